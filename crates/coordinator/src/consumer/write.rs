//! Records on their way to the log: applied at once, answered for when durable, taken back when they fail.
//!
//! A record is keyed, so what it replaces is a record too. Each append keeps those, and an append that fails is
//! taken back together with the later ones of its group, newest first; the later ones are then applied again,
//! since they are still in the log's way. So the state is always what a shard would load once all that is in
//! flight were durable.

use std::sync::Arc;

use wire::EncodeError;

use super::group::ConsumerGroup;
use super::records::{ConsumerRecord, encode};
use crate::action::{CommitId, CoordinatorRecord, Response, Token};
use crate::cluster::ConsumerSettings;
use crate::group::ClassicGroup;
use crate::record;
use crate::shard::Shard;
use crate::shard::core::Core;
use crate::shard::effect::Effect;
use crate::shard::groups::Group;
use crate::share_group;
use crate::share_group::records::ShareRecord;
use crate::streams;
use crate::streams::records::StreamsRecord;

/// A record of a group that uses, used or will use the consumer or the streams protocol, or of a share group.
#[derive(Clone, Debug)]
pub(crate) enum LogRecord {
    /// The group as a classic one, when it changes the protocol; none for its tombstone.
    Classic(Option<Box<ClassicGroup>>),
    Consumer(ConsumerRecord),
    Streams(StreamsRecord),
    Share(ShareRecord),
}

impl LogRecord {
    fn encode(&self, group: &str) -> Result<CoordinatorRecord, EncodeError> {
        match self {
            LogRecord::Classic(None) => record::group_tombstone(group),
            LogRecord::Classic(Some(classic)) => {
                let value = classic.to_record(|member| member.assignment.clone());
                record::group_metadata(group, &value)
            }
            LogRecord::Consumer(change) => encode(group, change),
            LogRecord::Streams(change) => streams::records::encode(group, change),
            LogRecord::Share(change) => share_group::records::encode(group, change),
        }
    }
}

/// What takes a record back.
#[derive(Debug)]
pub(crate) enum Undo {
    Record(ConsumerRecord),
    Streams(StreamsRecord),
    Share(ShareRecord),
    /// The whole group as it was; none when there was none.
    Group(Option<Group>),
}

/// An append of such records.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) group: Arc<str>,
    records: Vec<LogRecord>,
    undo: Vec<Undo>,
}

/// Where the group of a request comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// It is in the shard.
    Existing(Arc<str>),
    /// It is made by this request, or taken over from the classic protocol, by `records`.
    Made {
        group: Box<ConsumerGroup>,
        records: Vec<LogRecord>,
    },
}

impl Source {
    pub(super) fn group<'a>(&'a self, shard: &'a Shard) -> Option<&'a ConsumerGroup> {
        match self {
            Source::Existing(id) => shard.consumer(id),
            Source::Made { group, .. } => Some(group),
        }
    }

    /// The records that make the group.
    pub(super) fn records(self) -> Vec<LogRecord> {
        match self {
            Source::Existing(_) => Vec::new(),
            Source::Made { records, .. } => records,
        }
    }
}

impl Shard {
    /// The consumer group, unless it does not exist or its deletion is on its way to the log.
    pub(crate) fn consumer(&self, group_id: &str) -> Option<&ConsumerGroup> {
        let group = self.groups.get(group_id)?.as_consumer()?;
        Some(group).filter(|group| !group.deleting)
    }

    /// As [`Shard::consumer`], with what its handlers need.
    pub(crate) fn consumer_mut(
        &mut self,
        group_id: &str,
    ) -> Option<(&mut ConsumerGroup, &mut Core)> {
        let group = self.groups.get_mut(group_id)?.as_consumer_mut()?;
        (!group.deleting).then_some((group, &mut self.core))
    }

    /// What is in force for a consumer group.
    pub(crate) fn consumer_settings(&self, group_id: &str) -> ConsumerSettings {
        self.cluster
            .consumer_settings(group_id)
            .unwrap_or_else(|| self.core.config.consumer.settings())
    }

    /// Applies and appends `records` as one batch. `reply` waits for them; without records it waits for what
    /// the group has in flight, since it may tell of that.
    pub(crate) fn write(
        &mut self,
        id: &Arc<str>,
        records: Vec<LogRecord>,
        reply: Option<(Token, Response)>,
    ) {
        if records.is_empty() {
            if let Some(reply) = reply {
                self.reply_when_durable(id, reply);
            }
            return;
        }
        let encoded = records.iter().map(|record| record.encode(id)).collect();
        let undo = self.apply_records(id, &records);
        let written = Written {
            group: id.clone(),
            records,
            undo,
        };
        let effect = Effect::Written(Box::new(written));
        let commit = self.core.append(effect, reply, encoded);
        self.writes.entry(id.clone()).or_default().insert(commit);
    }

    /// Whether the group has appends whose outcome is open.
    pub(crate) fn has_writes(&self, id: &str) -> bool {
        self.writes.contains_key(id)
    }

    fn reply_when_durable(&mut self, id: &str, (token, response): (Token, Response)) {
        let newest = self.writes.get(id).and_then(|commits| commits.last());
        let pending = newest.and_then(|commit| self.core.commits.get_mut(commit));
        match pending {
            Some(pending) => pending.followers.push((token, response)),
            None => self.core.reply(token, response),
        }
    }

    fn apply_records(&mut self, id: &Arc<str>, records: &[LogRecord]) -> Vec<Undo> {
        let records = records.iter().cloned();
        records
            .filter_map(|record| match record {
                LogRecord::Classic(group) => Some(self.apply_classic(id, group)),
                LogRecord::Consumer(change) => self.apply_consumer(id, change),
                LogRecord::Streams(change) => self.apply_streams(id, change),
                LogRecord::Share(change) => self.apply_share(id, change),
            })
            .collect()
    }

    fn apply_classic(&mut self, id: &Arc<str>, group: Option<Box<ClassicGroup>>) -> Undo {
        Undo::Group(match group {
            Some(group) => self.groups.insert(id.clone(), Group::Classic(group)),
            None => self.groups.remove(id),
        })
    }

    /// Applies a record of a consumer group. The first makes the group, in place of one that only has offsets;
    /// the tombstones of a group that is not there, or is a classic one by now, do nothing.
    pub(crate) fn apply_consumer(&mut self, id: &Arc<str>, change: ConsumerRecord) -> Option<Undo> {
        let exists = self.consumer(id).is_some();
        if change == ConsumerRecord::Group(None) {
            return exists.then(|| Undo::Group(self.groups.remove(id)));
        }
        if exists {
            let group = self.groups.get_mut(id)?.as_consumer_mut()?;
            return Some(Undo::Record(group.apply(change)));
        }
        let replaceable = self.groups.get(id).is_none_or(|group| {
            group.is_deleting() || group.as_classic().is_some_and(ClassicGroup::is_simple)
        });
        if !replaceable || is_tombstone(&change) {
            return None;
        }
        let mut group = ConsumerGroup::new(id.clone(), self.core.incarnation());
        group.apply(change);
        let group = Group::Consumer(Box::new(group));
        Some(Undo::Group(self.groups.insert(id.clone(), group)))
    }

    /// The append is durable.
    pub(crate) fn written_durable(&mut self, commit: CommitId, written: &Written) {
        self.forget_write(commit, &written.group);
        if let Some(group) = self.groups.get_mut(&written.group) {
            group.set_durable();
        }
    }

    /// The append is not in the log.
    pub(crate) fn written_failed(&mut self, commit: CommitId, written: Written) {
        let id = written.group.clone();
        self.forget_write(commit, &id);
        let later: Vec<CommitId> = self
            .writes
            .get(&id)
            .into_iter()
            .flatten()
            .copied()
            .filter(|other| *other > commit)
            .collect();
        for other in later.iter().rev() {
            let undo = self
                .written_mut(*other)
                .map(|later| std::mem::take(&mut later.undo));
            self.take_back(&id, undo.unwrap_or_default());
        }
        self.take_back(&id, written.undo);
        for other in later {
            let Some(records) = self.written_mut(other).map(|later| later.records.clone()) else {
                continue;
            };
            let undo = self.apply_records(&id, &records);
            if let Some(later) = self.written_mut(other) {
                later.undo = undo;
            }
        }
        self.restart_timers(&id);
    }

    fn written_mut(&mut self, commit: CommitId) -> Option<&mut Written> {
        match &mut self.core.commits.get_mut(&commit)?.effect {
            Effect::Written(written) => Some(written),
            _ => None,
        }
    }

    fn take_back(&mut self, id: &Arc<str>, undo: Vec<Undo>) {
        for step in undo.into_iter().rev() {
            match step {
                Undo::Record(change) => {
                    if let Some(group) = self.groups.get_mut(id).and_then(Group::as_consumer_mut) {
                        group.apply(change);
                    }
                }
                Undo::Streams(change) => {
                    if let Some(group) = self.groups.get_mut(id).and_then(Group::as_streams_mut) {
                        group.apply(change);
                        // What it knows of topics may have been written down only there.
                        group.refresh_due = true;
                    }
                }
                Undo::Share(change) => {
                    if let Some(group) = self.groups.get_mut(id).and_then(Group::as_share_mut) {
                        group.apply(change);
                        // What it knows of topics and states may have been written down only there.
                        group.refresh_due = true;
                        group.initializing_since_ms = 0;
                    }
                }
                Undo::Group(before) => {
                    let after = match before {
                        Some(before) => self.groups.insert(id.clone(), before),
                        None => self.groups.remove(id),
                    };
                    if let Some(mut after) = after {
                        after.retire(&mut self.core, wire::ErrorCode::UnknownMemberId);
                    }
                }
            }
        }
    }

    fn forget_write(&mut self, commit: CommitId, id: &str) {
        if let Some(commits) = self.writes.get_mut(id) {
            commits.remove(&commit);
            if commits.is_empty() {
                self.writes.remove(id);
            }
        }
    }
}

fn is_tombstone(change: &ConsumerRecord) -> bool {
    match change {
        ConsumerRecord::Group(value) | ConsumerRecord::TargetEpoch(value) => value.is_none(),
        ConsumerRecord::PartitionMetadata(present) => !present,
        ConsumerRecord::Member(_, value) => value.is_none(),
        ConsumerRecord::Target(_, value) => value.is_none(),
        ConsumerRecord::Current(_, value) => value.is_none(),
        ConsumerRecord::Regex(_, value) => value.is_none(),
    }
}
