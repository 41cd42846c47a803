//! The coordinator of one partition of `__consumer_offsets`: lifecycle, appends and timers.
//!
//! The handlers of requests are beside what they work on: `group/` for membership and administration,
//! `offsets/` for offsets. Here is what ties them to the log: a record is appended, its outcome is
//! reported, and only then does its effect become visible.

pub(crate) mod core;
pub(crate) mod effect;
pub(crate) mod groups;
mod machine;
mod outcome;
pub(crate) mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::{Clock, Timestamp};
use bytes::Bytes;
use wire::ErrorCode;

use self::core::Core;
use self::effect::Change;
use self::groups::Group;
use crate::action::{Action, AppendError, CommitId, Response};
use crate::cluster::{ClusterView, NoTopics};
use crate::config::GroupConfig;
use crate::consumer::Failure;
use crate::group::{ClassicGroup, MemberIds};
use crate::offsets::{OffsetEntry, Offsets};
use crate::record::{self, Decoded, ReplayError};
use crate::timer::TimerKey;

/// Where a shard is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Loading,
    Active,
    Unloaded,
}

/// What [`StateMachine::replay`](crate::StateMachine::replay) did with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed {
    /// The record changed the state.
    Applied,
    /// A record type of a group protocol that is not here. Apache Kafka too skips unknown types on load.
    UnknownType(i16),
}

/// The groups and offsets of one partition of `__consumer_offsets`. See the crate's documentation.
///
/// Not `Sync` by design: one task at a time has a shard and calls it. No method blocks; none allocates more than
/// its request and the state it touches.
#[derive(Debug)]
pub struct Shard {
    pub(crate) core: Core,
    pub(crate) groups: BTreeMap<Arc<str>, Group>,
    pub(crate) offsets: Offsets,
    pub(crate) cluster: Arc<dyn ClusterView>,
    /// Appends of records of consumer and streams groups whose outcome is open, by group.
    pub(crate) writes: BTreeMap<Arc<str>, BTreeSet<CommitId>>,
    phase: Phase,
}

impl Shard {
    /// A shard that waits for its log: call [`Shard::replay`] and then [`Shard::loaded`].
    ///
    /// `clock` gives wall-clock milliseconds for what is written down and monotonic time for timeouts;
    /// `ids` gives the random part of member ids.
    #[must_use]
    pub fn new(config: GroupConfig, clock: Arc<dyn Clock>, ids: Box<dyn MemberIds>) -> Shard {
        Shard {
            core: Core::new(config, clock, ids),
            groups: BTreeMap::new(),
            offsets: Offsets::default(),
            cluster: Arc::new(NoTopics),
            writes: BTreeMap::new(),
            phase: Phase::Loading,
        }
    }

    /// The same shard, with the cluster its consumer groups are assigned the topics of.
    #[must_use]
    pub fn with_cluster(mut self, cluster: Arc<dyn ClusterView>) -> Shard {
        self.cluster = cluster;
        self
    }

    /// Applies one record of the log, while loading; records come in log order. Only records of committed
    /// batches belong here, and no control records.
    ///
    /// # Errors
    /// [`ReplayError`] when the record does not decode. The shard must then be dropped: what follows in the
    /// log cannot be trusted to mean what it says.
    pub fn replay(&mut self, key: &Bytes, value: Option<&Bytes>) -> Result<Replayed, ReplayError> {
        debug_assert_eq!(self.phase, Phase::Loading, "replay after loaded");
        match record::decode(key, value)? {
            Decoded::Offset(key, Some(value)) => {
                self.put_offset(
                    &key.group,
                    key.topic,
                    key.partition,
                    OffsetEntry::from(value),
                );
            }
            Decoded::Offset(key, None) => {
                self.offsets.remove(&key.group, &key.topic, key.partition);
            }
            Decoded::Group(key, Some(value)) => {
                let incarnation = self.core.incarnation();
                let id: Arc<str> = key.group.into();
                let group = ClassicGroup::from_record(id.clone(), incarnation, value);
                self.groups.insert(id, Group::Classic(Box::new(group)));
            }
            Decoded::Group(key, None) => {
                // Before a consumer group's records stands the tombstone of the classic group it was.
                if self.group(&key.group).is_some() {
                    self.groups.remove(key.group.as_str());
                }
            }
            Decoded::OfGroup(group, record) => self.replay_record(&group.into(), record),
            Decoded::Unknown(record_type) => return Ok(Replayed::UnknownType(record_type)),
        }
        Ok(Replayed::Applied)
    }

    /// Ends loading: members get a full session timeout from now, and requests are served.
    #[must_use]
    pub fn loaded(&mut self) -> Vec<Action> {
        self.phase = Phase::Active;
        let max_size = self.core.config.max_size;
        for group in self.groups.values_mut() {
            group.start_sessions(&mut self.core, &*self.cluster);
            let Some(group) = group.as_classic_mut() else {
                continue;
            };
            if group.members.len() > max_size {
                // `group.max.size` was lowered: the rebalance admits the first that come back.
                group.prepare_rebalance(&mut self.core, "the loaded group is over group.max.size");
            }
        }
        let period = self.core.config.offsets_retention_check_interval;
        self.core.schedule(TimerKey::Expiration, period);
        self.finish()
    }

    /// Ends the shard: this broker does not lead the partition any more. Everything that waits gets
    /// NOT_COORDINATOR, and so does every later request. Outcomes of appends need not be reported.
    #[must_use]
    pub fn unload(&mut self) -> Vec<Action> {
        self.phase = Phase::Unloaded;
        self.core.timers.clear();
        self.core.unencodable.clear();
        self.writes.clear();
        for mut pending in std::mem::take(&mut self.core.commits).into_values() {
            for (token, response) in pending.take_replies() {
                self.core
                    .reply(token, response.into_error(ErrorCode::NotCoordinator));
            }
        }
        for fetch in self.offsets.take_all_stable_fetches() {
            let response = Response::fetch_error(&fetch.group_id, ErrorCode::NotCoordinator);
            self.core.reply(fetch.token, response);
        }
        for group in std::mem::take(&mut self.groups).values_mut() {
            group.retire(&mut self.core, ErrorCode::NotCoordinator);
        }
        self.offsets = Offsets::default();
        self.core.take_actions()
    }

    /// The append `commit` and every earlier one that was not reported as failed are durable. Ids that are
    /// not in flight are ignored, so a durable watermark may be reported as often as it moves.
    #[must_use]
    pub fn committed(&mut self, commit: CommitId) -> Vec<Action> {
        while let Some(first) = self.core.commits.first_entry() {
            let id = *first.key();
            if id > commit {
                break;
            }
            let pending = first.remove();
            self.core.timers.cancel(&TimerKey::Commit(id));
            self.on_durable(id, pending);
            self.run_stable_fetches(id);
        }
        self.finish()
    }

    /// The records of `commit` are certainly not in the log, and never will be. Report an append whose
    /// outcome is unknown only once it is known; until then [`Shard::tick`] answers what waits for it.
    #[must_use]
    pub fn failed(&mut self, commit: CommitId, error: AppendError) -> Vec<Action> {
        self.fail_commit(commit, error);
        self.finish()
    }

    /// When [`Shard::tick`] is next to be called: when something is due, or before, if that was put off since. `None` while
    /// nothing waits. Ask again after every call.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.core.timers.next()
    }

    /// Runs what is due: session and rebalance timeouts, overdue replies, the expiry of offsets.
    #[must_use]
    pub fn tick(&mut self) -> Vec<Action> {
        let now = self.core.now();
        while let Some(key) = self.core.timers.pop_due(now) {
            match key {
                TimerKey::Commit(commit) => self.on_overdue(commit),
                TimerKey::Session { group, member } => match self.groups.get_mut(&group) {
                    Some(Group::Classic(group)) => group.expire_session(&mut self.core, &member),
                    Some(Group::Consumer(_)) => self.expire_consumer_session(&group, &member),
                    Some(Group::Streams(_)) => self.expire_streams_session(&group, &member),
                    Some(Group::Share(_)) => self.expire_share_session(&group, &member),
                    None => {}
                },
                TimerKey::Member {
                    group,
                    member,
                    timer,
                } => match self.groups.get(&group) {
                    Some(Group::Streams(_)) => self.expire_streams_rebalance(&group, &member),
                    _ => self.expire_member_timer(&group, &member, timer),
                },
                TimerKey::InitialRebalance(group) => self.end_initial_rebalance_delay(&group),
                TimerKey::Join(group) => {
                    if let Some(group) = self.groups.get_mut(&group).and_then(Group::as_classic_mut)
                    {
                        group.expire_join(&mut self.core);
                    }
                }
                TimerKey::Sync(group) => {
                    if let Some(group) = self.groups.get_mut(&group).and_then(Group::as_classic_mut)
                    {
                        group.expire_sync(&mut self.core);
                    }
                }
                TimerKey::Expiration => self.expire_offsets(),
            }
        }
        self.finish()
    }

    /// The error of any request while the shard does not serve; `None` while it does.
    pub(crate) fn unavailable(&self) -> Option<ErrorCode> {
        match self.phase {
            Phase::Loading => Some(ErrorCode::CoordinatorLoadInProgress),
            Phase::Active => None,
            Phase::Unloaded => Some(ErrorCode::NotCoordinator),
        }
    }

    /// The group of any protocol, unless it does not exist or its deletion is on its way to the log.
    pub(crate) fn any_group(&self, group_id: &str) -> Option<&Group> {
        self.groups
            .get(group_id)
            .filter(|group| !group.is_deleting())
    }

    /// The group of the protocol `kind`, as `of_kind` has it; `what` begins Kafka's words when there is none.
    ///
    /// # Errors
    /// GROUP_ID_NOT_FOUND, for a group of another protocol too.
    pub(crate) fn find_group<'a, G>(
        &'a self,
        group_id: &str,
        (kind, what): (&str, &str),
        of_kind: impl FnOnce(&'a Group) -> Option<&'a G>,
    ) -> Result<&'a G, Failure> {
        let not_found = |message| Failure::new(ErrorCode::GroupIdNotFound, message);
        let group = self
            .any_group(group_id)
            .ok_or_else(|| not_found(format!("{what} {group_id} not found.")))?;
        of_kind(group).ok_or_else(|| not_found(format!("Group {group_id} is not a {kind} group.")))
    }

    /// The group that a describe request of the protocol `kind` names, as `of_kind` has it: only what the log holds.
    ///
    /// # Errors
    /// INVALID_GROUP_ID; GROUP_ID_NOT_FOUND, for a group of another protocol too; why the shard does not answer.
    pub(crate) fn group_to_describe<'a, G>(
        &'a self,
        group_id: &str,
        kind: &str,
        of_kind: impl FnOnce(&'a Group) -> Option<&'a G>,
    ) -> Result<&'a G, Failure> {
        if group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId.into());
        }
        if let Some(error) = self.unavailable() {
            return Err(error.into());
        }
        let not_found = |message| Failure::new(ErrorCode::GroupIdNotFound, message);
        let group = self.groups.get(group_id);
        let group = group
            .filter(|group| group.is_durable())
            .ok_or_else(|| not_found(format!("Group {group_id} not found.")))?;
        of_kind(group).ok_or_else(|| not_found(format!("Group {group_id} is not a {kind} group.")))
    }

    /// The classic group, unless it does not exist or its deletion is on its way to the log.
    pub(crate) fn group(&self, group_id: &str) -> Option<&ClassicGroup> {
        self.any_group(group_id)?.as_classic()
    }

    /// As [`Shard::group`], with what its handlers need.
    pub(crate) fn group_mut(&mut self, group_id: &str) -> Option<(&mut ClassicGroup, &mut Core)> {
        let group = self.groups.get_mut(group_id)?.as_classic_mut()?;
        (!group.lifecycle.deleting).then_some((group, &mut self.core))
    }

    /// Stores a durable offset that was committed outside of a transaction: it stands above what transactions
    /// committed earlier in the log, whenever those end.
    pub(crate) fn put_offset(
        &mut self,
        group_id: &str,
        topic: String,
        partition: i32,
        entry: OffsetEntry,
    ) {
        self.offsets.open.supersede(group_id, &topic, partition);
        self.store_offset(group_id, topic, partition, entry);
    }

    /// Stores a durable offset. A group that only commits offsets exists by that alone: it is what Kafka
    /// calls a simple group, empty and without a protocol type.
    pub(crate) fn store_offset(
        &mut self,
        group_id: &str,
        topic: String,
        partition: i32,
        entry: OffsetEntry,
    ) {
        let id = self.group_of_offsets(group_id);
        self.offsets.put(id, topic, partition, entry);
    }

    /// The id of the group that offsets belong to, which exists from here on.
    pub(crate) fn group_of_offsets(&mut self, group_id: &str) -> Arc<str> {
        let deletion_staged = self
            .staged_changes(group_id)
            .any(|change| matches!(change, Change::DeleteGroup { .. }));
        match self.groups.get_mut(group_id) {
            Some(group) => {
                // The offset shows the group, unless a tombstone follows it in the log.
                if !deletion_staged {
                    group.set_durable();
                }
                group.id().clone()
            }
            None => {
                let id: Arc<str> = group_id.into();
                let incarnation = self.core.incarnation();
                let group = ClassicGroup::simple(id.clone(), incarnation, self.core.now_ms());
                self.groups
                    .insert(id.clone(), Group::Classic(Box::new(group)));
                id
            }
        }
    }

    /// Fails appends that never reached the broker, then hands out what was collected.
    pub(crate) fn finish(&mut self) -> Vec<Action> {
        while let Some(commit) = self.core.unencodable.pop() {
            self.fail_commit(commit, AppendError::TooLarge);
        }
        self.core.take_actions()
    }

    fn fail_commit(&mut self, commit: CommitId, error: AppendError) {
        let Some(pending) = self.core.commits.remove(&commit) else {
            return;
        };
        self.core.timers.cancel(&TimerKey::Commit(commit));
        self.on_failed(commit, pending, error);
        self.run_stable_fetches(commit);
    }
}
