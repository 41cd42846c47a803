//! A share coordinator with a log and a clock in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::{ManualClock, Offset, PartitionIndex, Uuid};
use coordinator::share_state::{
    Prune, ReadState, Response, ShareCoordinator, ShareKey, ShareStateConfig, StateBatch,
    StateError, WriteState,
};
use coordinator::{
    Action, Actions, AppendError, ClusterView, CommitId, CoordinatorRecord, StateMachine, Token,
    TopicMetadata,
};

/// The topics there are: ids of these bytes, of two partitions each.
pub(crate) const TOPICS: [u8; 2] = [1, 2];

#[derive(Debug)]
struct TwoTopics;

impl ClusterView for TwoTopics {
    fn topic(&self, _: &str) -> Option<TopicMetadata> {
        None
    }

    fn topic_by_id(&self, id: Uuid) -> Option<TopicMetadata> {
        TOPICS
            .iter()
            .any(|topic| Uuid([*topic; 16]) == id)
            .then(|| TopicMetadata {
                id,
                name: "t".into(),
                partitions: 2,
                rack: None,
            })
    }

    fn topic_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn version(&self) -> i64 {
        0
    }
}

pub(crate) fn key(group: &str, topic: u8, partition: i32) -> ShareKey {
    ShareKey {
        group_id: group.into(),
        topic_id: Uuid([topic; 16]),
        partition: PartitionIndex(partition),
    }
}

pub(crate) fn batch(first: i64, last: i64, delivery_state: i8, delivery_count: i16) -> StateBatch {
    StateBatch {
        first_offset: Offset(first),
        last_offset: Offset(last),
        delivery_state,
        delivery_count,
    }
}

pub(crate) fn write(start: i64, batches: &[StateBatch]) -> WriteState {
    WriteState {
        state_epoch: -1,
        leader_epoch: -1,
        start_offset: Offset(start),
        delivery_complete_count: -1,
        batches: batches.to_vec(),
    }
}

pub(crate) struct Bench {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) config: ShareStateConfig,
    pub(crate) machine: ShareCoordinator,
    /// What is in the log from `log_start` on.
    pub(crate) log: VecDeque<CoordinatorRecord>,
    pub(crate) log_start: i64,
    /// Appends that are in the log and not durable; a crash takes them out again.
    pub(crate) in_flight: VecDeque<(CommitId, usize)>,
    pub(crate) answers: BTreeMap<Token, Response>,
    next_token: u64,
}

impl Bench {
    pub(crate) fn new(config: ShareStateConfig) -> Bench {
        let clock = Arc::new(ManualClock::new(1_000_000));
        let machine = ShareCoordinator::new(config.clone(), clock.clone(), Arc::new(TwoTopics));
        let mut bench = Bench {
            clock,
            config,
            machine,
            log: VecDeque::new(),
            log_start: 0,
            in_flight: VecDeque::new(),
            answers: BTreeMap::new(),
            next_token: 0,
        };
        let actions = bench.machine.loaded();
        bench.take(actions);
        bench
    }

    pub(crate) fn take(&mut self, actions: Actions<ShareCoordinator>) {
        for action in actions {
            match action {
                Action::Reply { token, response } => {
                    let earlier = self.answers.insert(token, response);
                    assert_eq!(earlier, None, "{token:?} has two answers");
                }
                Action::Append { commit, records } => {
                    let base_offset = self.log_start + i64::try_from(self.log.len()).unwrap();
                    self.machine.appended(commit, Offset(base_offset));
                    self.in_flight.push_back((commit, records.len()));
                    self.log.extend(records);
                }
                Action::Effect(Prune { before }) => {
                    let durable = self.log.len() - self.undurable();
                    let pruned = usize::try_from(before.0 - self.log_start).unwrap();
                    assert!(pruned <= durable, "pruned what is not durable");
                    self.log.drain(..pruned);
                    self.log_start = before.0;
                }
                Action::AppendTransactional { .. } | Action::AppendMarker { .. } => {
                    panic!("no transactions here")
                }
            }
        }
    }

    fn undurable(&self) -> usize {
        self.in_flight.iter().map(|(_, records)| records).sum()
    }

    pub(crate) fn send(
        &mut self,
        run: impl FnOnce(&mut ShareCoordinator, Token) -> Actions<ShareCoordinator>,
    ) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        let actions = run(&mut self.machine, token);
        self.take(actions);
        token
    }

    pub(crate) fn commit_next(&mut self) {
        let (commit, _) = self.in_flight.pop_front().unwrap();
        let actions = self.machine.committed(commit);
        self.take(actions);
    }

    /// The last append fails: only that one can without leaving a hole in the log.
    pub(crate) fn fail_last(&mut self) {
        let (commit, records) = self.in_flight.pop_back().unwrap();
        self.log.truncate(self.log.len() - records);
        let actions = self.machine.failed(commit, AppendError::Storage);
        self.take(actions);
    }

    pub(crate) fn settle(&mut self) {
        while !self.in_flight.is_empty() {
            self.commit_next();
        }
    }

    pub(crate) fn advance(&mut self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
        let actions = self.machine.tick();
        self.take(actions);
    }

    /// A machine that has read what is durable.
    pub(crate) fn replayed(&self) -> ShareCoordinator {
        let mut machine =
            ShareCoordinator::new(self.config.clone(), self.clock.clone(), Arc::new(TwoTopics));
        let durable = self.log.len() - self.undurable();
        for (offset, record) in (self.log_start..).zip(self.log.iter().take(durable)) {
            let (key, value) = (&record.key, record.value.as_ref());
            machine.replay_at(Offset(offset), key, value).unwrap();
        }
        assert!(machine.loaded().is_empty());
        machine
    }

    /// The process dies: what is not durable is gone, and so is whoever waited.
    pub(crate) fn crash(&mut self) {
        let machine = self.replayed();
        let durable = self.log.len() - self.undurable();
        self.log.truncate(durable);
        self.in_flight.clear();
        self.machine = machine;
    }

    /// Sends, makes durable and gives the answer.
    pub(crate) fn call(
        &mut self,
        run: impl FnOnce(&mut ShareCoordinator, Token) -> Actions<ShareCoordinator>,
    ) -> Response {
        let token = self.send(run);
        self.settle();
        self.answers.remove(&token).unwrap()
    }

    pub(crate) fn initialize(
        &mut self,
        key: &ShareKey,
        state_epoch: i32,
        start: i64,
    ) -> Result<(), StateError> {
        done(self.call(|machine, token| machine.initialize(token, key, state_epoch, Offset(start))))
    }

    pub(crate) fn write(&mut self, key: &ShareKey, write: &WriteState) -> Result<(), StateError> {
        done(self.call(|machine, token| machine.write(token, key, write)))
    }

    pub(crate) fn read(
        &mut self,
        key: &ShareKey,
        leader_epoch: i32,
    ) -> Result<ReadState, StateError> {
        match self.call(|machine, token| machine.read(token, key, leader_epoch)) {
            Response::Read(read) => read,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn done(response: Response) -> Result<(), StateError> {
    match response {
        Response::Done(done) => done,
        other => panic!("{other:?}"),
    }
}
