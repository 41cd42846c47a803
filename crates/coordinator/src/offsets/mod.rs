//! Committed offsets. Source: Kafka's `OffsetMetadataManager`.
//!
//! An offset is *staged* from the moment its append starts until the outcome is known, and *durable* after
//! that. OffsetFetch sees durable ones only; with `require_stable` it waits until nothing of its group is
//! staged. Deletions look at both, since their tombstones come later in the log than what is staged now.
//! Offsets that a transaction commits are *pending* until its marker is durable (see [`transactional`]).

mod commit;
mod delete;
mod expire;
mod fetch;
mod transactional;

pub use fetch::{from_grouped_fetch, to_grouped_fetch};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Uuid;
use wire::coordinator_records::{OffsetCommitKey, OffsetCommitValue};
use wire::messages::offset_fetch_request::OffsetFetchRequestGroup;

use crate::action::{CommitId, Token};
use crate::shard::Shard;
use crate::shard::effect::{Change, Effect};
use transactional::OpenTransactions;

/// What was committed for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    pub(crate) offset: i64,
    /// -1 for none.
    pub(crate) leader_epoch: i32,
    pub(crate) metadata: String,
    /// Wall-clock milliseconds.
    pub(crate) commit_timestamp_ms: i64,
    /// Wall-clock milliseconds; set when the request named a retention time (versions 2 to 4).
    pub(crate) expire_timestamp_ms: Option<i64>,
    /// Zero when the topic's id was not known.
    pub(crate) topic_id: Uuid,
}

impl OffsetEntry {
    pub(crate) fn to_value(&self) -> OffsetCommitValue {
        OffsetCommitValue {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata: self.metadata.clone(),
            commit_timestamp: self.commit_timestamp_ms,
            expire_timestamp: self.expire_timestamp_ms.unwrap_or(-1),
            topic_id: self.topic_id,
        }
    }
}

impl From<OffsetCommitValue> for OffsetEntry {
    fn from(value: OffsetCommitValue) -> OffsetEntry {
        OffsetEntry {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata,
            commit_timestamp_ms: value.commit_timestamp,
            expire_timestamp_ms: (value.expire_timestamp != -1).then_some(value.expire_timestamp),
            topic_id: value.topic_id,
        }
    }
}

/// The key of an OffsetCommit record.
pub(crate) fn key(group: &str, topic: &str, partition: i32) -> OffsetCommitKey {
    OffsetCommitKey {
        group: group.to_owned(),
        topic: topic.to_owned(),
        partition,
    }
}

/// The durable offsets of one group.
pub(crate) type GroupOffsets = BTreeMap<String, BTreeMap<i32, OffsetEntry>>;

/// An OffsetFetch with `require_stable` that waits for an append.
#[derive(Clone, Debug)]
pub(crate) struct StableFetch {
    pub(crate) token: Token,
    pub(crate) group_id: String,
    pub(crate) request: OffsetFetchRequestGroup,
}

/// The durable offsets of a shard, and which appends may change those of a group.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    durable: BTreeMap<Arc<str>, GroupOffsets>,
    staged: BTreeMap<Arc<str>, BTreeSet<CommitId>>,
    stable_fetches: BTreeMap<CommitId, Vec<StableFetch>>,
    /// What open transactions commit.
    pub(crate) open: OpenTransactions,
}

impl Offsets {
    pub(crate) fn put(
        &mut self,
        group: Arc<str>,
        topic: String,
        partition: i32,
        entry: OffsetEntry,
    ) {
        self.durable
            .entry(group)
            .or_default()
            .entry(topic)
            .or_default()
            .insert(partition, entry);
    }

    pub(crate) fn remove(&mut self, group: &str, topic: &str, partition: i32) {
        self.open.remove(group, topic, partition);
        let Some(topics) = self.durable.get_mut(group) else {
            return;
        };
        let Some(partitions) = topics.get_mut(topic) else {
            return;
        };
        partitions.remove(&partition);
        if partitions.is_empty() {
            topics.remove(topic);
        }
        if topics.is_empty() {
            self.durable.remove(group);
        }
    }

    /// The durable offsets of a group.
    pub(crate) fn of_group(&self, group: &str) -> Option<&GroupOffsets> {
        self.durable.get(group)
    }

    /// Every group with an offset, durable or staged.
    fn groups(&self) -> BTreeSet<Arc<str>> {
        self.durable
            .keys()
            .chain(self.staged.keys())
            .chain(self.open.groups())
            .cloned()
            .collect()
    }

    /// Notes that the append `commit` changes offsets of `groups`.
    pub(crate) fn stage(&mut self, commit: CommitId, groups: Vec<Arc<str>>) {
        for group in groups {
            self.staged.entry(group).or_default().insert(commit);
        }
    }

    /// Forgets what [`Offsets::stage`] noted.
    pub(crate) fn unstage(&mut self, commit: CommitId, changes: &[Change]) {
        for change in changes {
            if let Some(commits) = self.staged.get_mut(change.group()) {
                commits.remove(&commit);
                if commits.is_empty() {
                    self.staged.remove(change.group());
                }
            }
        }
    }

    /// As [`Offsets::unstage`], for an append that names its groups.
    pub(crate) fn unstage_groups(&mut self, commit: CommitId, groups: &[Arc<str>]) {
        for group in groups {
            if let Some(commits) = self.staged.get_mut(group) {
                commits.remove(&commit);
                if commits.is_empty() {
                    self.staged.remove(group);
                }
            }
        }
    }

    /// The appends that may change offsets of `group`, oldest first.
    fn staged_of(&self, group: &str) -> impl DoubleEndedIterator<Item = CommitId> + '_ {
        self.staged.get(group).into_iter().flatten().copied()
    }

    fn await_stable(&mut self, commit: CommitId, fetch: StableFetch) {
        self.stable_fetches.entry(commit).or_default().push(fetch);
    }

    /// Takes the fetches that wait for `commit`.
    pub(crate) fn take_stable_fetches(&mut self, commit: CommitId) -> Vec<StableFetch> {
        self.stable_fetches.remove(&commit).unwrap_or_default()
    }

    /// Takes the fetches that wait for any append.
    pub(crate) fn take_all_stable_fetches(&mut self) -> Vec<StableFetch> {
        std::mem::take(&mut self.stable_fetches)
            .into_values()
            .flatten()
            .collect()
    }
}

impl Shard {
    /// Changes on their way to the log that touch `group`, oldest first.
    pub(crate) fn staged_changes<'a>(
        &'a self,
        group: &'a str,
    ) -> impl Iterator<Item = &'a Change> + 'a {
        let commits = self.offsets.staged_of(group);
        let pending = commits.filter_map(|commit| self.core.commits.get(&commit));
        let changes = pending.flat_map(|pending| match &pending.effect {
            Effect::Changes(changes) | Effect::TxnOffsets { changes, .. } => changes.as_slice(),
            Effect::EndTxn { .. }
            | Effect::NewGroup { .. }
            | Effect::EmptyGroup { .. }
            | Effect::Assignment(_)
            | Effect::StaticMember(_)
            | Effect::Written(_) => &[],
        });
        changes.filter(move |change| **change.group() == *group)
    }

    /// The partitions of `group` that have an offset, durable, staged or in an open transaction.
    pub(crate) fn latest_offsets(&self, group: &str) -> BTreeSet<(String, i32)> {
        let durable = self.offsets.of_group(group).into_iter().flatten();
        let mut latest: BTreeSet<(String, i32)> = durable
            .flat_map(|(topic, partitions)| {
                partitions
                    .keys()
                    .map(move |partition| (topic.clone(), *partition))
            })
            .collect();
        latest.extend(self.offsets.open.offsets_of(group));
        for change in self.staged_changes(group) {
            if let Change::PutOffset {
                topic, partition, ..
            } = change
            {
                latest.insert((topic.clone(), *partition));
            }
        }
        latest
    }
}
