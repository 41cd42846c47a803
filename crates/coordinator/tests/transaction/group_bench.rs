//! A shard of the group coordinator with a log that has transactions.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base::ManualClock;
use coordinator::{
    Action, AppendError, CommitId, CoordinatorRecord, GroupConfig, RequestContext, Response, Shard,
    StateMachine, Token, TransactionMarker, TransactionalProducer,
};
use wire::ErrorCode;
use wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use wire::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use wire::messages::{OffsetCommitRequest, OffsetDeleteRequest, TxnOffsetCommitRequest};

use crate::bench::START_MS;

pub(crate) const GROUP: &str = "readers";

/// What one append puts into the log.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Plain(Vec<CoordinatorRecord>),
    Transactional(TransactionalProducer, Vec<CoordinatorRecord>),
    Marker(TransactionMarker),
}

pub(crate) struct GroupBench {
    pub(crate) shard: Shard,
    clock: Arc<ManualClock>,
    pub(crate) log: Vec<Entry>,
    pub(crate) in_flight: VecDeque<(CommitId, Entry)>,
    pub(crate) auto: bool,
    replies: BTreeMap<Token, Response>,
    next_token: u64,
}

impl GroupBench {
    pub(crate) fn new() -> GroupBench {
        let mut bench = GroupBench::loading(Vec::new());
        let actions = bench.shard.loaded();
        bench.run(actions);
        bench
    }

    fn loading(log: Vec<Entry>) -> GroupBench {
        let clock = Arc::new(ManualClock::new(START_MS));
        let ids = Box::new(|| [7; 16]);
        GroupBench {
            shard: Shard::new(GroupConfig::default(), clock.clone(), ids),
            clock,
            log,
            in_flight: VecDeque::new(),
            auto: true,
            replies: BTreeMap::new(),
            next_token: 0,
        }
    }

    /// A shard that loads what is durable.
    pub(crate) fn reload(&self) -> GroupBench {
        let mut bench = GroupBench::loading(self.log.clone());
        for entry in self.log.clone() {
            match entry {
                Entry::Plain(records) => {
                    for record in records {
                        let value = record.value.as_ref();
                        bench.shard.replay(&record.key, value).unwrap();
                    }
                }
                Entry::Transactional(producer, records) => {
                    for record in records {
                        let id = producer.producer_id;
                        let value = record.value.as_ref();
                        let replayed = bench.shard.replay_transactional(id, &record.key, value);
                        replayed.unwrap();
                    }
                }
                Entry::Marker(marker) => {
                    let id = marker.producer_id;
                    StateMachine::replay_end_txn(&mut bench.shard, id, marker.committed);
                }
            }
        }
        let actions = bench.shard.loaded();
        bench.run(actions);
        bench
    }

    fn run(&mut self, actions: Vec<Action>) {
        for action in actions {
            let (commit, entry) = match action {
                Action::Reply { token, response } => {
                    let earlier = self.replies.insert(token, response);
                    assert_eq!(earlier, None, "{token:?} was answered twice");
                    continue;
                }
                Action::Append { commit, records } => (commit, Entry::Plain(records)),
                Action::AppendTransactional {
                    commit,
                    producer,
                    records,
                } => (commit, Entry::Transactional(producer, records)),
                Action::AppendMarker { commit, marker } => (commit, Entry::Marker(marker)),
            };
            self.in_flight.push_back((commit, entry));
        }
        while self.auto && !self.in_flight.is_empty() {
            self.commit_next();
        }
    }

    pub(crate) fn commit_next(&mut self) {
        let (commit, entry) = self.in_flight.pop_front().unwrap();
        self.log.push(entry);
        let actions = self.shard.committed(commit);
        self.run(actions);
    }

    pub(crate) fn fail_next(&mut self, error: AppendError) {
        let (commit, _) = self.in_flight.pop_front().unwrap();
        let actions = self.shard.failed(commit, error);
        self.run(actions);
    }

    pub(crate) fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    pub(crate) fn is_waiting(&self, token: Token) -> bool {
        !self.replies.contains_key(&token)
    }

    pub(crate) fn send_txn_commit(
        &mut self,
        producer_id: i64,
        generation: i32,
        partition: i32,
        offset: i64,
    ) -> Token {
        let request = TxnOffsetCommitRequest {
            transactional_id: "tx".to_owned(),
            group_id: GROUP.to_owned(),
            producer_id,
            generation_id_or_member_epoch: generation,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: "in".to_owned(),
                partitions: vec![TxnOffsetCommitRequestPartition {
                    partition_index: partition,
                    committed_offset: offset,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let token = self.token();
        let actions = self.shard.txn_offset_commit(token, request, 9);
        self.run(actions);
        token
    }

    pub(crate) fn txn_committed(&mut self, token: Token) -> ErrorCode {
        match self.replies.remove(&token).unwrap() {
            Response::TxnOffsetCommit(response) => {
                let code = response.topics[0].partitions[0].error_code;
                ErrorCode::from_code(code).unwrap()
            }
            other => panic!("not a TxnOffsetCommit response: {other:?}"),
        }
    }

    pub(crate) fn txn_commit(&mut self, producer_id: i64, partition: i32, offset: i64) {
        let token = self.send_txn_commit(producer_id, -1, partition, offset);
        assert_eq!(self.txn_committed(token), ErrorCode::None);
    }

    pub(crate) fn send_commit(&mut self, partition: i32, offset: i64) -> Token {
        let request = OffsetCommitRequest {
            group_id: GROUP.to_owned(),
            generation_id_or_member_epoch: -1,
            topics: vec![OffsetCommitRequestTopic {
                name: "in".to_owned(),
                partitions: vec![OffsetCommitRequestPartition {
                    partition_index: partition,
                    committed_offset: offset,
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let context = RequestContext {
            version: 8,
            client_id: String::new(),
            client_host: String::new(),
        };
        let token = self.token();
        let actions = self.shard.offset_commit(token, &context, request);
        self.run(actions);
        token
    }

    pub(crate) fn send_end(&mut self, producer_id: i64, committed: bool) -> Token {
        let marker = TransactionMarker {
            producer_id,
            producer_epoch: 0,
            coordinator_epoch: 0,
            committed,
            is_strict: false,
        };
        let token = self.token();
        let actions = self.shard.end_transaction(token, marker);
        self.run(actions);
        token
    }

    pub(crate) fn marker_written(&mut self, token: Token) -> ErrorCode {
        match self.replies.remove(&token).unwrap() {
            Response::MarkerWritten(error) => error,
            other => panic!("not an answer to a marker: {other:?}"),
        }
    }

    pub(crate) fn end(&mut self, producer_id: i64, committed: bool) {
        let token = self.send_end(producer_id, committed);
        assert_eq!(self.marker_written(token), ErrorCode::None);
    }

    pub(crate) fn delete_offset(&mut self, partition: i32) {
        let request = OffsetDeleteRequest {
            group_id: GROUP.to_owned(),
            topics: vec![OffsetDeleteRequestTopic {
                name: "in".to_owned(),
                partitions: vec![OffsetDeleteRequestPartition {
                    partition_index: partition,
                }],
            }],
        };
        let token = self.token();
        let actions = self.shard.offset_delete(token, request);
        self.run(actions);
    }

    pub(crate) fn send_fetch(&mut self, partitions: &[i32], stable: bool) -> Token {
        let request = OffsetFetchRequestGroup {
            group_id: GROUP.to_owned(),
            topics: Some(vec![OffsetFetchRequestTopics {
                name: "in".to_owned(),
                partition_indexes: partitions.to_vec(),
                ..Default::default()
            }]),
            ..Default::default()
        };
        let token = self.token();
        let actions = self.shard.offset_fetch(token, request, stable);
        self.run(actions);
        token
    }

    /// The offset of each partition, or its error.
    pub(crate) fn fetched(&mut self, token: Token) -> Vec<Result<i64, ErrorCode>> {
        let Response::OffsetFetch(group) = self.replies.remove(&token).unwrap() else {
            panic!("not an OffsetFetch response")
        };
        assert_eq!(group.error_code, 0);
        let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
        partitions
            .map(
                |partition| match ErrorCode::from_code(partition.error_code).unwrap() {
                    ErrorCode::None => Ok(partition.committed_offset),
                    error => Err(error),
                },
            )
            .collect()
    }

    /// The offset of partition 0, read around open transactions and not.
    pub(crate) fn offset(&mut self) -> (i64, Result<i64, ErrorCode>) {
        let plain = self.send_fetch(&[0], false);
        let stable = self.send_fetch(&[0], true);
        (self.fetched(plain)[0].unwrap(), self.fetched(stable)[0])
    }

    /// Everything a reader can see, for comparison.
    pub(crate) fn visible(&mut self) -> Vec<Vec<Result<i64, ErrorCode>>> {
        let partitions = [0, 1, 2];
        let plain = self.send_fetch(&partitions, false);
        let stable = self.send_fetch(&partitions, true);
        vec![self.fetched(plain), self.fetched(stable)]
    }

    /// The wall clock's time, so that a test can say that none passed.
    pub(crate) fn now_ms(&self) -> i64 {
        base::Clock::now_ms(&*self.clock)
    }
}
