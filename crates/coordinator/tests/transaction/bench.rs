//! A coordinator with its log, a clock that moves when told, and requests as short as a test wants them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, ManualClock};
use coordinator::transaction::{
    AddPartitions, ClientVersion, EndTxn, InitProducerId, PartitionsMode, Response,
    TransactionConfig, TransactionCoordinator, WriteMarkers,
};
use coordinator::{Action, Actions, AppendError, CommitId, CoordinatorRecord, StateMachine, Token};
use wire::ErrorCode;

pub(crate) const START_MS: i64 = 1_700_000_000_000;
pub(crate) const ID: &str = "payments";
pub(crate) const TIMEOUT_MS: i32 = 60_000;

pub(crate) struct Bench {
    pub(crate) machine: TransactionCoordinator,
    pub(crate) clock: Arc<ManualClock>,
    /// What is durable.
    pub(crate) log: Vec<CoordinatorRecord>,
    pub(crate) in_flight: VecDeque<(CommitId, Vec<CoordinatorRecord>)>,
    /// Markers that were asked for and are not written yet.
    pub(crate) markers: VecDeque<WriteMarkers>,
    /// Whether appends and markers become durable at once.
    pub(crate) auto: bool,
    replies: BTreeMap<Token, Response>,
    next_token: u64,
    next_producer_id: i64,
}

/// A producer as a client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let mut bench = Bench::booting(Arc::new(ManualClock::new(START_MS)), 1_000);
        let actions = bench.machine.loaded();
        bench.run(actions);
        bench
    }

    fn booting(clock: Arc<ManualClock>, next_producer_id: i64) -> Bench {
        let config = TransactionConfig {
            coordinator_epoch: 4,
            ..TransactionConfig::default()
        };
        Bench {
            machine: TransactionCoordinator::new(config, clock.clone()),
            clock,
            log: Vec::new(),
            in_flight: VecDeque::new(),
            markers: VecDeque::new(),
            auto: true,
            replies: BTreeMap::new(),
            next_token: 0,
            next_producer_id,
        }
    }

    /// A coordinator that loads what is durable, as after a crash; markers that were under way are lost.
    pub(crate) fn crash(self) -> Bench {
        let mut bench = Bench::booting(self.clock, self.next_producer_id);
        bench.auto = self.auto;
        bench.next_token = self.next_token;
        for record in &self.log {
            bench
                .machine
                .replay(&record.key, record.value.as_ref())
                .unwrap();
        }
        bench.log = self.log;
        let actions = bench.machine.loaded();
        bench.run(actions);
        bench
    }

    pub(crate) fn run(&mut self, actions: Actions<TransactionCoordinator>) {
        for action in actions {
            match action {
                Action::Reply { token, response } => {
                    let earlier = self.replies.insert(token, response);
                    assert_eq!(earlier, None, "{token:?} was answered twice");
                }
                Action::Append { commit, records } => {
                    assert!(!records.is_empty());
                    self.in_flight.push_back((commit, records));
                }
                Action::Effect(markers) => {
                    assert!(!markers.partitions.is_empty());
                    self.markers.push_back(markers);
                }
                other => panic!("{other:?} is of group coordinators"),
            }
        }
        if self.auto {
            self.settle();
        }
    }

    /// Makes everything durable that is under way, and writes every marker.
    pub(crate) fn settle(&mut self) {
        loop {
            if !self.in_flight.is_empty() {
                self.commit_next();
            } else if !self.markers.is_empty() {
                self.write_next();
            } else {
                return;
            }
        }
    }

    pub(crate) fn commit_next(&mut self) {
        let (commit, records) = self.in_flight.pop_front().unwrap();
        self.log.extend(records);
        let actions = self.machine.committed(commit);
        self.run(actions);
    }

    pub(crate) fn fail_next(&mut self) {
        let (commit, _) = self.in_flight.pop_front().unwrap();
        let actions = self.machine.failed(commit, AppendError::Storage);
        self.run(actions);
    }

    pub(crate) fn write_next(&mut self) -> WriteMarkers {
        let markers = self.markers.pop_front().unwrap();
        let actions = self.machine.markers_written(&markers);
        self.run(actions);
        markers
    }

    /// Lets `ms` pass, stopping at each deadline on the way.
    pub(crate) fn advance(&mut self, ms: u64) {
        let end = self.clock.monotonic().after(Duration::from_millis(ms));
        loop {
            let next = self.machine.next_deadline().filter(|at| *at <= end);
            let at = next.unwrap_or(end);
            self.clock.advance(at.since(self.clock.monotonic()));
            let actions = self.machine.tick();
            self.run(actions);
            if next.is_none() {
                return;
            }
        }
    }

    pub(crate) fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    pub(crate) fn is_waiting(&self, token: Token) -> bool {
        !self.replies.contains_key(&token)
    }

    pub(crate) fn response(&mut self, token: Token) -> Response {
        self.replies.remove(&token).unwrap()
    }

    /// A producer id that nobody has, when `response` asks for one.
    fn wanted(&mut self, response: &Response) -> Option<i64> {
        (*response == Response::ProducerIdWanted).then(|| {
            self.next_producer_id += 1;
            self.next_producer_id
        })
    }

    pub(crate) fn send_init(&mut self, expected: Option<Producer>, timeout_ms: i32) -> Token {
        let mut request = InitProducerId {
            transactional_id: ID.to_owned(),
            timeout_ms,
            expected: expected.map(|producer| (producer.id, producer.epoch)),
            new_producer_id: None,
        };
        let token = self.token();
        let actions = self.machine.init_producer_id(token, request.clone());
        self.run(actions);
        if self.is_waiting(token) {
            return token;
        }
        let response = self.response(token);
        request.new_producer_id = self.wanted(&response);
        if request.new_producer_id.is_none() {
            self.replies.insert(token, response);
            return token;
        }
        let token = self.token();
        let actions = self.machine.init_producer_id(token, request);
        self.run(actions);
        token
    }

    pub(crate) fn initialised(&mut self, token: Token) -> Result<Producer, ErrorCode> {
        match self.response(token) {
            Response::InitProducerId(response) => {
                let producer = Producer {
                    id: response.producer_id,
                    epoch: response.producer_epoch,
                };
                result(response.error_code).map(|()| producer)
            }
            other => panic!("not an InitProducerId response: {other:?}"),
        }
    }

    pub(crate) fn init(&mut self) -> Result<Producer, ErrorCode> {
        let token = self.send_init(None, TIMEOUT_MS);
        self.initialised(token)
    }

    pub(crate) fn init_again(&mut self, producer: Producer) -> Result<Producer, ErrorCode> {
        let token = self.send_init(Some(producer), TIMEOUT_MS);
        self.initialised(token)
    }

    pub(crate) fn send_partitions(
        &mut self,
        producer: Producer,
        mode: PartitionsMode,
        partitions: &[i32],
    ) -> Token {
        let topic: Arc<str> = "orders".into();
        let request = AddPartitions {
            transactional_id: ID.to_owned(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            mode,
            partitions: partitions
                .iter()
                .map(|partition| (topic.clone(), *partition))
                .collect(),
        };
        let token = self.token();
        let actions = self.machine.add_partitions(token, request);
        self.run(actions);
        token
    }

    pub(crate) fn partitions(&mut self, token: Token) -> Vec<ErrorCode> {
        match self.response(token) {
            Response::Partitions(codes) => codes,
            other => panic!("not an answer to partitions: {other:?}"),
        }
    }

    pub(crate) fn add(&mut self, producer: Producer, version: ClientVersion) -> ErrorCode {
        let token = self.send_partitions(producer, PartitionsMode::Add(version), &[0, 1]);
        self.partitions(token)[0]
    }

    pub(crate) fn verify(&mut self, producer: Producer, partitions: &[i32]) -> Vec<ErrorCode> {
        let token = self.send_partitions(producer, PartitionsMode::Verify, partitions);
        self.partitions(token)
    }

    pub(crate) fn send_end(
        &mut self,
        producer: Producer,
        version: ClientVersion,
        commit: bool,
    ) -> Token {
        let mut request = EndTxn {
            transactional_id: ID.to_owned(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            commit,
            version,
            new_producer_id: None,
        };
        let token = self.token();
        let actions = self.machine.end_txn(token, request.clone());
        self.run(actions);
        if self.is_waiting(token) {
            return token;
        }
        let response = self.response(token);
        request.new_producer_id = self.wanted(&response);
        if request.new_producer_id.is_none() {
            self.replies.insert(token, response);
            return token;
        }
        let token = self.token();
        let actions = self.machine.end_txn(token, request);
        self.run(actions);
        token
    }

    pub(crate) fn ended(&mut self, token: Token) -> Result<Producer, ErrorCode> {
        match self.response(token) {
            Response::EndTxn(response) => {
                let producer = Producer {
                    id: response.producer_id,
                    epoch: response.producer_epoch,
                };
                result(response.error_code).map(|()| producer)
            }
            other => panic!("not an EndTxn response: {other:?}"),
        }
    }

    pub(crate) fn end(
        &mut self,
        producer: Producer,
        version: ClientVersion,
        commit: bool,
    ) -> Result<Producer, ErrorCode> {
        let token = self.send_end(producer, version, commit);
        self.ended(token)
    }

    pub(crate) fn send_await(&mut self) -> Token {
        let token = self.token();
        let actions = self.machine.await_settled(token, ID);
        self.run(actions);
        token
    }

    /// Whether the transactional id takes requests.
    pub(crate) fn is_settled(&mut self) -> bool {
        let token = self.send_await();
        !self.is_waiting(token)
    }

    /// State, producer and epoch, as DescribeTransactions shows them.
    pub(crate) fn described(&self) -> String {
        let state = self.machine.describe(ID);
        match result(state.error_code) {
            Err(error) => error.name().to_owned(),
            Ok(()) => format!(
                "{} {}/{} {}",
                state.transaction_state,
                state.producer_id,
                state.producer_epoch,
                state
                    .topics
                    .iter()
                    .map(|t| t.partitions.len())
                    .sum::<usize>()
            ),
        }
    }
}

fn result(error_code: i16) -> Result<(), ErrorCode> {
    match ErrorCode::from_code(error_code).unwrap() {
        ErrorCode::None => Ok(()),
        error => Err(error),
    }
}
