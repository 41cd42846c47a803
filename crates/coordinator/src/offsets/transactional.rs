//! TxnOffsetCommit, and what becomes of its offsets when the transaction ends.
//!
//! The offsets of a transaction are *pending* from the moment their records are durable until its marker is: nobody
//! reads them, and with `require_stable` nobody reads around them. An abort drops them. A commit publishes each,
//! unless a commit that came later in the log stands already: what counts is the order of the commits' records, not
//! that of the markers, so that compaction keeps the right one.
//!
//! Source: Kafka's `OffsetMetadataManager.commitTransactionalOffset`, `replayEndTransactionMarker`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Uuid;
use bytes::Bytes;
use wire::ErrorCode;
use wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use wire::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use super::OffsetEntry;
use super::commit::check_metadata;
use crate::action::{Action, Response, Token, TransactionMarker, TransactionalProducer};
use crate::consumer::Committer;
use crate::group::{ClassicGroup, GroupState};
use crate::record::{self, Decoded, ReplayError};
use crate::shard::effect::{Change, Effect};
use crate::shard::{Replayed, Shard};

/// An offset that a transaction commits.
#[derive(Clone, Debug)]
struct PendingOffset {
    entry: OffsetEntry,
    /// Its place among the pending offsets of the log.
    order: u64,
    /// A later commit of the same offset stands: a commit of the transaction does not publish this one.
    superseded: bool,
}

type PartitionKey = (Arc<str>, String, i32);

/// The offsets that open transactions commit, by producer id.
#[derive(Debug, Default)]
pub(crate) struct OpenTransactions {
    by_producer: BTreeMap<i64, BTreeMap<PartitionKey, PendingOffset>>,
    /// The producers with offsets of a group.
    by_group: BTreeMap<Arc<str>, BTreeSet<i64>>,
    last_order: u64,
}

impl OpenTransactions {
    fn put(&mut self, producer_id: i64, key: PartitionKey, entry: OffsetEntry) {
        self.last_order += 1;
        let pending = PendingOffset {
            entry,
            order: self.last_order,
            superseded: false,
        };
        let producers = self.by_group.entry(Arc::clone(&key.0)).or_default();
        producers.insert(producer_id);
        let offsets = self.by_producer.entry(producer_id).or_default();
        offsets.insert(key, pending);
    }

    fn take(&mut self, producer_id: i64) -> BTreeMap<PartitionKey, PendingOffset> {
        let offsets = self.by_producer.remove(&producer_id).unwrap_or_default();
        for (group, _, _) in offsets.keys() {
            self.forget(producer_id, group);
        }
        offsets
    }

    fn forget(&mut self, producer_id: i64, group: &str) {
        if let Some(producers) = self.by_group.get_mut(group) {
            producers.remove(&producer_id);
            if producers.is_empty() {
                self.by_group.remove(group);
            }
        }
    }

    /// Everything pending of a group.
    fn of_group(&self, group: &str) -> impl Iterator<Item = (&PartitionKey, &PendingOffset)> {
        let found = self.by_group.get_key_value(group);
        found.into_iter().flat_map(move |(group, producers)| {
            let from = (Arc::clone(group), String::new(), i32::MIN);
            producers
                .iter()
                .filter_map(|producer_id| self.by_producer.get(producer_id))
                .flat_map(move |offsets| {
                    offsets
                        .range(from.clone()..)
                        .take_while(move |(key, _)| key.0 == *group)
                })
        })
    }

    fn find_mut(
        &mut self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> impl Iterator<Item = &mut PendingOffset> {
        let key: PartitionKey = (group.into(), topic.to_owned(), partition);
        self.by_producer
            .values_mut()
            .filter_map(move |offsets| offsets.get_mut(&key))
    }

    /// An offset was committed outside of a transaction, later than all that is pending.
    pub(crate) fn supersede(&mut self, group: &str, topic: &str, partition: i32) {
        self.supersede_before(group, topic, partition, u64::MAX);
    }

    fn supersede_before(&mut self, group: &str, topic: &str, partition: i32, order: u64) {
        if !self.by_group.contains_key(group) {
            return;
        }
        for pending in self.find_mut(group, topic, partition) {
            pending.superseded |= pending.order < order;
        }
    }

    /// The offset was deleted, and with it what is pending.
    pub(super) fn remove(&mut self, group: &str, topic: &str, partition: i32) {
        let Some(producers) = self.by_group.get(group).cloned() else {
            return;
        };
        let key: PartitionKey = (group.into(), topic.to_owned(), partition);
        for producer_id in producers {
            let Some(offsets) = self.by_producer.get_mut(&producer_id) else {
                continue;
            };
            offsets.remove(&key);
            let left = offsets.keys().any(|(of, _, _)| **of == *group);
            if offsets.is_empty() {
                self.by_producer.remove(&producer_id);
            }
            if !left {
                self.forget(producer_id, group);
            }
        }
    }

    /// The groups with pending offsets.
    pub(super) fn groups(&self) -> impl Iterator<Item = &Arc<str>> {
        self.by_group.keys()
    }

    /// Whether a transaction commits offsets of the group.
    pub(super) fn has_offsets(&self, group: &str) -> bool {
        self.by_group.contains_key(group)
    }

    /// Whether a transaction commits this offset.
    pub(super) fn has_offset(&self, group: &str, topic: &str, partition: i32) -> bool {
        let Some((group, producers)) = self.by_group.get_key_value(group) else {
            return false;
        };
        let key: PartitionKey = (Arc::clone(group), topic.to_owned(), partition);
        producers
            .iter()
            .filter_map(|producer_id| self.by_producer.get(producer_id))
            .any(|offsets| offsets.contains_key(&key))
    }

    /// The partitions of the group with pending offsets.
    pub(super) fn offsets_of(&self, group: &str) -> impl Iterator<Item = (String, i32)> {
        self.of_group(group)
            .map(|((_, topic, partition), _)| (topic.clone(), *partition))
    }

    /// The partitions of a topic with pending offsets, of the topic with that id or of none.
    pub(super) fn offsets_of_topic(
        &self,
        group: &str,
        topic: &str,
        topic_id: Uuid,
    ) -> impl Iterator<Item = i32> {
        self.of_group(group)
            .filter(move |((_, name, _), pending)| {
                let committed = pending.entry.topic_id;
                name == topic && (committed.is_zero() || committed == topic_id)
            })
            .map(|((_, _, partition), _)| *partition)
    }

    fn groups_of(&self, producer_id: i64) -> impl Iterator<Item = &Arc<str>> {
        let offsets = self.by_producer.get(&producer_id);
        offsets
            .into_iter()
            .flat_map(|offsets| offsets.keys().map(|(group, _, _)| group))
    }
}

impl Shard {
    /// TxnOffsetCommit, versions 0 to 6. The reply waits until the offsets are durable; they count once the
    /// transaction is committed.
    ///
    /// The broker has asked the transaction coordinator about this partition of `__consumer_offsets`
    /// (`verification` is its proof), has checked the topics as for OffsetCommit, and has set their names and ids.
    #[must_use]
    pub fn txn_offset_commit(
        &mut self,
        token: Token,
        request: TxnOffsetCommitRequest,
        verification: u64,
    ) -> Vec<Action> {
        let checked = match self.unavailable() {
            Some(error) => Err(error),
            None => self.check_txn_commit(&request),
        };
        match checked {
            Ok(()) => self.append_txn_offsets(token, request, verification),
            Err(error) => {
                let response = respond(&request.topics, |_| error);
                self.core.reply(token, Response::TxnOffsetCommit(response));
            }
        }
        self.finish()
    }

    fn check_txn_commit(&self, request: &TxnOffsetCommitRequest) -> Result<(), ErrorCode> {
        if self.share_group(&request.group_id).is_some() {
            return Err(ErrorCode::GroupIdNotFound);
        }
        let committer = Committer {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_deref(),
            epoch: request.generation_id_or_member_epoch,
            version: None,
        };
        if let Some(group) = self.consumer(&request.group_id) {
            let partitions = request.topics.iter().flat_map(|topic| {
                let partitions = topic.partitions.iter();
                partitions.map(move |partition| (topic.topic_id, partition.partition_index))
            });
            return group
                .validate_commit(committer, partitions)
                .map_err(of_producer);
        }
        if let Some(group) = self.streams(&request.group_id) {
            let partitions = request.topics.iter().flat_map(|topic| {
                let partitions = topic.partitions.iter();
                partitions.map(move |partition| (topic.name.as_str(), partition.partition_index))
            });
            return group
                .validate_commit(committer, partitions)
                .map_err(of_producer);
        }
        match self.group(&request.group_id) {
            Some(group) => group.validate_txn_commit(request),
            // Without a generation the commit makes a simple group.
            None if request.generation_id_or_member_epoch < 0 => Ok(()),
            None => Err(ErrorCode::IllegalGeneration),
        }
    }

    fn append_txn_offsets(
        &mut self,
        token: Token,
        request: TxnOffsetCommitRequest,
        verification: u64,
    ) {
        let group: Arc<str> = request.group_id.into();
        let commit_timestamp_ms = self.core.now_ms();
        let max_metadata = self.core.config.offset_metadata_max_bytes;
        let check = |partition: &TxnOffsetCommitRequestPartition| {
            check_metadata(partition.committed_metadata.as_deref(), max_metadata)
        };
        let response = Response::TxnOffsetCommit(respond(&request.topics, check));
        let mut changes = Vec::new();
        for topic in request.topics {
            for partition in topic.partitions {
                if check(&partition).is_error() {
                    continue;
                }
                changes.push(Change::PutOffset {
                    group: Arc::clone(&group),
                    topic: topic.name.clone(),
                    partition: partition.partition_index,
                    entry: OffsetEntry {
                        offset: partition.committed_offset,
                        leader_epoch: partition.committed_leader_epoch,
                        metadata: partition.committed_metadata.unwrap_or_default(),
                        commit_timestamp_ms,
                        expire_timestamp_ms: None,
                        topic_id: topic.topic_id,
                    },
                });
            }
        }
        if changes.is_empty() {
            self.core.reply(token, response);
            return;
        }
        let records = changes.iter().map(Change::to_record).collect();
        let producer = TransactionalProducer {
            producer_id: request.producer_id,
            producer_epoch: request.producer_epoch,
            verification,
        };
        let effect = Effect::TxnOffsets {
            producer_id: request.producer_id,
            changes,
        };
        let reply = Some((token, response));
        let commit = self
            .core
            .append_transactional(effect, reply, producer, records);
        self.offsets.stage(commit, vec![group]);
    }

    /// Ends the transaction of a producer in this partition: appends the marker, and publishes or drops the
    /// producer's offsets once it is durable. The same marker may come again.
    #[must_use]
    pub fn end_transaction(&mut self, token: Token, marker: TransactionMarker) -> Vec<Action> {
        if let Some(error) = self.unavailable() {
            self.core.reply(token, Response::MarkerWritten(error));
            return self.finish();
        }
        let producer_id = marker.producer_id;
        let pending = self.offsets.open.groups_of(producer_id);
        let mut groups: BTreeSet<Arc<str>> = pending.cloned().collect();
        for commit in self.core.commits.values() {
            if let Effect::TxnOffsets {
                producer_id: of,
                changes,
            } = &commit.effect
                && *of == producer_id
            {
                groups.extend(changes.iter().map(|change| change.group().clone()));
            }
        }
        let groups: Vec<Arc<str>> = groups.into_iter().collect();
        let effect = Effect::EndTxn {
            producer_id,
            committed: marker.committed,
            groups: groups.clone(),
        };
        let reply = Some((token, Response::MarkerWritten(ErrorCode::None)));
        let commit = self.core.append_marker(effect, reply, marker);
        self.offsets.stage(commit, groups);
        self.finish()
    }

    /// Applies one record that a transaction wrote, while loading.
    ///
    /// # Errors
    /// As [`Shard::replay`].
    pub fn replay_transactional(
        &mut self,
        producer_id: i64,
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<Replayed, ReplayError> {
        match record::decode(key, value)? {
            Decoded::Offset(key, Some(value)) => {
                let group = self.group_of_offsets(&key.group);
                let key = (group, key.topic, key.partition);
                let entry = OffsetEntry::from(value);
                self.offsets.open.put(producer_id, key, entry);
                Ok(Replayed::Applied)
            }
            // Nothing else is written within a transaction.
            _ => self.replay(key, value),
        }
    }

    /// The records of a transaction's offsets are durable.
    pub(crate) fn hold_offsets(&mut self, producer_id: i64, changes: Vec<Change>) {
        for change in changes {
            if let Change::PutOffset {
                group,
                topic,
                partition,
                entry,
            } = change
            {
                let group = self.group_of_offsets(&group);
                let key = (group, topic, partition);
                self.offsets.open.put(producer_id, key, entry);
            }
        }
    }

    /// The marker of a transaction is durable.
    pub(crate) fn end_open_transaction(&mut self, producer_id: i64, committed: bool) {
        let offsets = self.offsets.open.take(producer_id);
        if !committed {
            return;
        }
        for ((group, topic, partition), pending) in offsets {
            if pending.superseded {
                continue;
            }
            let order = pending.order;
            self.offsets
                .open
                .supersede_before(&group, &topic, partition, order);
            self.store_offset(&group, topic, partition, pending.entry);
        }
    }
}

/// Producers know one error for an old member.
fn of_producer(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::StaleMemberEpoch => ErrorCode::IllegalGeneration,
        other => other,
    }
}

impl ClassicGroup {
    /// `ClassicGroup.validateOffsetCommit` for a transaction: unlike outside of one, a producer that does not say
    /// who it is may commit for a group with members, since old ones cannot say, and so may a member during a
    /// rebalance.
    fn validate_txn_commit(&self, request: &TxnOffsetCommitRequest) -> Result<(), ErrorCode> {
        let generation = request.generation_id_or_member_epoch;
        let instance_id = request.group_instance_id.as_deref();
        if generation < 0 && self.state == GroupState::Empty {
            return Ok(());
        }
        if generation >= 0 || !request.member_id.is_empty() || instance_id.is_some() {
            self.validate_member(&request.member_id, instance_id)?;
            if generation != self.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
        }
        Ok(())
    }
}

fn respond(
    topics: &[TxnOffsetCommitRequestTopic],
    error_of: impl Fn(&TxnOffsetCommitRequestPartition) -> ErrorCode,
) -> TxnOffsetCommitResponse {
    let respond_partition =
        |partition: &TxnOffsetCommitRequestPartition| TxnOffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code: error_of(partition).code(),
        };
    let respond_topic = |topic: &TxnOffsetCommitRequestTopic| TxnOffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(respond_partition).collect(),
    };
    TxnOffsetCommitResponse {
        topics: topics.iter().map(respond_topic).collect(),
        ..TxnOffsetCommitResponse::default()
    }
}
