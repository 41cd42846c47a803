//! Records on their way to the log: applied at once, answered for when durable, taken back when they fail.
//!
//! A record is keyed, so what it replaces is a record too. Each append keeps those, and an append that fails is
//! taken back together with the later ones of its group, newest first; the later ones are then applied again,
//! since they are still in the log's way. So the state is always what a shard would load once all that is in
//! flight were durable.

use std::sync::Arc;

use wire::EncodeError;

use super::Shard;
use super::effect::Effect;
use super::groups::Group;
use crate::action::{CommitId, CoordinatorRecord, Response, Token};
use crate::consumer;
use crate::consumer::records::ConsumerRecord;
use crate::group::ClassicGroup;
use crate::record;
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
    /// Whether it removes its group.
    fn removes_group(&self) -> bool {
        matches!(
            self,
            LogRecord::Classic(None)
                | LogRecord::Consumer(ConsumerRecord::Group(None))
                | LogRecord::Streams(StreamsRecord::Group(None))
                | LogRecord::Share(ShareRecord::Group(None))
        )
    }

    fn is_tombstone(&self) -> bool {
        match self {
            LogRecord::Classic(group) => group.is_none(),
            LogRecord::Consumer(change) => change.is_tombstone(),
            LogRecord::Streams(change) => change.is_tombstone(),
            LogRecord::Share(change) => change.is_tombstone(),
        }
    }

    fn encode(&self, group: &str) -> Result<CoordinatorRecord, EncodeError> {
        match self {
            LogRecord::Classic(None) => record::group_tombstone(group),
            LogRecord::Classic(Some(classic)) => {
                let value = classic.to_record(|member| member.assignment.clone());
                record::group_metadata(group, &value)
            }
            LogRecord::Consumer(change) => consumer::records::encode(group, change),
            LogRecord::Streams(change) => streams::records::encode(group, change),
            LogRecord::Share(change) => share_group::records::encode(group, change),
        }
    }
}

/// What takes a record back.
#[derive(Debug)]
enum Undo {
    Record(LogRecord),
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

impl Shard {
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
            .filter_map(|record| self.apply_record(id, record))
            .collect()
    }

    /// Applies a record that was read.
    pub(super) fn replay_record(&mut self, id: &Arc<str>, record: LogRecord) {
        self.apply_record(id, record);
        if let Some(group) = self.groups.get_mut(id) {
            group.set_durable();
        }
    }

    /// Applies a record. The first of a protocol makes the group, in place of one that only has offsets; the tombstones
    /// of a group that is not there, or is of another protocol by now, do nothing.
    fn apply_record(&mut self, id: &Arc<str>, record: LogRecord) -> Option<Undo> {
        let record = match record {
            LogRecord::Classic(group) => return Some(self.apply_classic(id, group)),
            record => record,
        };
        let exists = self
            .any_group(id)
            .is_some_and(|group| group.is_of_protocol(&record));
        if record.removes_group() {
            return exists.then(|| Undo::Group(self.groups.remove(id)));
        }
        if exists {
            return self.groups.get_mut(id)?.apply(record).map(Undo::Record);
        }
        let replaceable = self.groups.get(id).is_none_or(|group| {
            group.is_deleting() || group.as_classic().is_some_and(ClassicGroup::is_simple)
        });
        if !replaceable || record.is_tombstone() {
            return None;
        }
        let mut group = Group::of_protocol(&record, id.clone(), self.core.incarnation())?;
        group.apply(record);
        Some(Undo::Group(self.groups.insert(id.clone(), group)))
    }

    fn apply_classic(&mut self, id: &Arc<str>, group: Option<Box<ClassicGroup>>) -> Undo {
        Undo::Group(match group {
            Some(group) => self.groups.insert(id.clone(), Group::Classic(group)),
            None => self.groups.remove(id),
        })
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
                Undo::Record(record) => {
                    if let Some(group) = self.groups.get_mut(id) {
                        group.take_back(record);
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
