//! Kafka's share coordinator as a sans-I/O state machine (KIP-932): where every share partition is.
//!
//! A *share partition* is a partition of a topic as one share group sees it. Its *state* is a start offset, below
//! which everything is done with, and *state batches* above it: offsets that share a delivery state and a delivery
//! count. A [`ShareCoordinator`] keeps the states of all share partitions that hash to its partition of
//! `__share_group_state`.
//!
//! ```text
//!              initialize, read, write, delete, summary, committed / failed, tick
//!   broker  ───────────────────────────────────────────────────────────────────────▶  ShareCoordinator
//!           ◀───────────────────────────────────────────────────────────────────────
//!              Reply, Append, Effect(Prune)
//! ```
//!
//! A state is written down as a snapshot and then as updates to it, which say only what has changed; after
//! `share.coordinator.snapshot.update.records.per.snapshot` updates a snapshot follows. Updates of one key do not
//! replace each other, so the topic cannot be compacted: everything before the oldest snapshot that is still a
//! key's last one is deleted ([`Prune`]), and share partitions nothing happens to get a new snapshot now and then,
//! so that they do not hold that up.
//!
//! Two epochs fence. The *state epoch* is the group's epoch when the state was initialized, so that an answer from
//! before a reset changes nothing; the *leader epoch* is that of the topic's partition, so that its former leader
//! changes nothing.
//!
//! # Invariants
//!
//! - **State is a function of the log.** What a change does is decided by [`state::apply`] alone, when a record is
//!   written and when it is read.
//! - **Reserve is not publish.** A state that waits for its append is the base of the next write, but no answer
//!   tells of it before it is durable. What is durable is kept beside it until then, and comes back when the
//!   append fails.
//! - **Every request gets exactly one reply.**
//! - **Deterministic**: time comes from the clock; collections iterate in key order.
//!
//! # Memory
//!
//! About 250 bytes per share partition and 24 per state batch, twice while a write is on its way. A share partition
//! has at most as many batches as records that may be delivered at a time (`share.partition.max.record.locks`).
//!
//! Source: `ShareCoordinatorShard` and `ShareCoordinatorOffsetsManager` of Apache Kafka 4.3.

mod batches;
mod config;
mod prune;
mod record;
mod requests;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use base::{Clock, Offset, PartitionIndex, Timestamp, Uuid};
use bytes::Bytes;
use wire::ErrorCode;

use crate::action::{Action, AppendError, CommitId, Token};
use crate::cluster::ClusterView;
use crate::machine::{Actions, StateMachine};
use crate::record::ReplayError;
use crate::shard::Replayed;
pub use config::ShareStateConfig;
use record::Decoded;
use state::{Change, PartitionState};

/// A share partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShareKey {
    /// The share group.
    pub group_id: Arc<str>,
    /// The topic.
    pub topic_id: Uuid,
    /// Its partition.
    pub partition: PartitionIndex,
}

/// As FindCoordinator names it: `group:topic id:partition`. Its hash names the partition of
/// `__share_group_state` (`SharePartitionKey.asCoordinatorKey`).
impl fmt::Display for ShareKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ShareKey {
            group_id,
            topic_id,
            partition,
        } = self;
        write!(f, "{group_id}:{topic_id}:{}", partition.0)
    }
}

/// Offsets in a row that share a delivery state and count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateBatch {
    /// The first offset.
    pub first_offset: Offset,
    /// The last offset; one below `first_offset` makes a batch of nothing, which is passed over.
    pub last_offset: Offset,
    /// As the records say it: 0 available, 2 acknowledged, 4 archived. What is acquired is never written down.
    pub delivery_state: i8,
    /// How often the records were delivered.
    pub delivery_count: i16,
}

/// Where a share partition is, for the broker that leads its partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadState {
    /// The epoch of the group when the state was initialized; writes have to show it.
    pub state_epoch: i32,
    /// Where it starts; none until something was written, -1 in the protocol.
    pub start_offset: Option<Offset>,
    /// How many records from the start offset on are done with; -1 when that is not known.
    pub delivery_complete_count: i32,
    /// What is known of the offsets from there on, in order; none overlap.
    pub batches: Vec<StateBatch>,
}

/// What a write says of a share partition. Batches replace what is known of their offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteState {
    /// The state epoch that was read; -1 is not checked.
    pub state_epoch: i32,
    /// The leader epoch of the writer's partition; -1 is not checked.
    pub leader_epoch: i32,
    /// Where the share partition starts from now on; -1 for where it did.
    pub start_offset: Offset,
    /// How many records from the start offset on are done with; -1 when that is not known.
    pub delivery_complete_count: i32,
    /// What has changed, in any order.
    pub batches: Vec<StateBatch>,
}

/// The outline of a share partition's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateSummary {
    /// As in [`ReadState`]; 0 when there is no state.
    pub state_epoch: i32,
    /// The last leader epoch that was written down; 0 when there is no state.
    pub leader_epoch: i32,
    /// As in [`ReadState`].
    pub start_offset: Option<Offset>,
    /// As in [`ReadState`].
    pub delivery_complete_count: i32,
}

/// Why a request did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateError {
    /// The code.
    pub code: ErrorCode,
    /// Kafka's words for it.
    pub message: String,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// To [`ShareCoordinator::initialize`], [`ShareCoordinator::write`] and [`ShareCoordinator::delete`].
    Done(Result<(), StateError>),
    /// To [`ShareCoordinator::read`].
    Read(Result<ReadState, StateError>),
    /// To [`ShareCoordinator::summary`].
    Summary(Result<StateSummary, StateError>),
}

impl Response {
    fn into_error(self, error: StateError) -> Response {
        match self {
            Response::Done(_) => Response::Done(Err(error)),
            Response::Read(_) => Response::Read(Err(error)),
            Response::Summary(_) => Response::Summary(Err(error)),
        }
    }
}

/// No record of the coordinator's partition before this offset is needed any more: the broker may delete them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prune {
    /// The first offset to keep.
    pub before: Offset,
}

/// What is known of one share partition.
#[derive(Debug, Default)]
struct Entry {
    /// With every change that was asked for.
    current: Option<Arc<PartitionState>>,
    /// With every change that is durable.
    durable: Option<Arc<PartitionState>>,
    /// Where the last durable snapshot is in the log.
    snapshot_offset: Option<Offset>,
    /// The appends that make the difference.
    in_flight: BTreeSet<CommitId>,
}

/// An append whose outcome is not known yet.
#[derive(Debug)]
struct PendingCommit {
    changes: Vec<(ShareKey, Change)>,
    /// Where its first record is, once it is in the log.
    base_offset: Option<Offset>,
    replies: Vec<(Token, Response)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Loading,
    Active,
    Unloaded,
}

/// The share partitions of one partition of `__share_group_state`. See the module's documentation.
#[derive(Debug)]
pub struct ShareCoordinator {
    config: ShareStateConfig,
    clock: Arc<dyn Clock>,
    cluster: Arc<dyn ClusterView>,
    phase: Phase,
    entries: BTreeMap<ShareKey, Entry>,
    commits: BTreeMap<CommitId, PendingCommit>,
    next_commit: u64,
    /// The offset after the last durable record.
    end: Offset,
    /// What the log was last pruned to.
    pruned: Offset,
    prune_due: Timestamp,
    cold_due: Timestamp,
    /// Appends whose records could not be encoded.
    unencodable: Vec<CommitId>,
    out: Actions<ShareCoordinator>,
}

impl ShareCoordinator {
    /// A coordinator that waits for its log. `cluster` knows which topics there are.
    #[must_use]
    pub fn new(
        config: ShareStateConfig,
        clock: Arc<dyn Clock>,
        cluster: Arc<dyn ClusterView>,
    ) -> ShareCoordinator {
        let now = clock.monotonic();
        ShareCoordinator {
            prune_due: now.after(config.prune_interval),
            cold_due: now.after(config.cold_snapshot_interval),
            config,
            clock,
            cluster,
            phase: Phase::Loading,
            entries: BTreeMap::new(),
            commits: BTreeMap::new(),
            next_commit: 0,
            end: Offset(0),
            pruned: Offset(0),
            unencodable: Vec::new(),
            out: Vec::new(),
        }
    }

    fn reply(&mut self, token: Token, response: Response) {
        self.out.push(Action::Reply { token, response });
    }

    fn current(&self, key: &ShareKey) -> Option<&Arc<PartitionState>> {
        self.entries.get(key)?.current.as_ref()
    }

    /// Sends an answer once everything it tells of is durable.
    fn reply_durable(&mut self, key: &ShareKey, token: Token, response: Response) {
        let entry = self.entries.get(key);
        let last = entry.and_then(|entry| entry.in_flight.last().copied());
        match last.and_then(|commit| self.commits.get_mut(&commit)) {
            Some(pending) => pending.replies.push((token, response)),
            None => self.reply(token, response),
        }
    }

    /// Appends changes, which are the base of what follows from here on.
    fn append(&mut self, changes: Vec<(ShareKey, Change)>, reply: Option<(Token, Response)>) {
        let commit = CommitId(self.next_commit);
        self.next_commit += 1;
        let records: Result<Vec<_>, _> = changes
            .iter()
            .map(|(key, change)| record::encode(key, change))
            .collect();
        for (key, change) in &changes {
            let entry = self.entries.entry(key.clone()).or_default();
            entry.current = state::apply(entry.current.as_deref(), change).map(Arc::new);
            entry.in_flight.insert(commit);
        }
        let pending = PendingCommit {
            changes,
            base_offset: None,
            replies: reply.into_iter().collect(),
        };
        self.commits.insert(commit, pending);
        match records {
            Ok(records) => self.out.push(Action::Append { commit, records }),
            Err(error) => {
                tracing::warn!(%error, commit = commit.0, "share state records do not encode");
                self.unencodable.push(commit);
            }
        }
    }

    fn on_durable(&mut self, commit: CommitId, pending: PendingCommit) {
        let offsets = pending.base_offset.map(|base| base.0..);
        let mut offsets = offsets.into_iter().flatten().map(Offset);
        for (key, change) in pending.changes {
            let offset = offsets.next();
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            entry.in_flight.remove(&commit);
            entry.durable = if entry.in_flight.is_empty() {
                entry.current.clone()
            } else {
                state::apply(entry.durable.as_deref(), &change).map(Arc::new)
            };
            if let (Change::Snapshot(_), Some(offset)) = (&change, offset) {
                entry.snapshot_offset = Some(offset);
            }
            if let Some(offset) = offset {
                self.end = Offset(offset.0.saturating_add(1));
            }
            self.forget_if_gone(&key);
        }
        for (token, response) in pending.replies {
            self.reply(token, response);
        }
    }

    /// Takes the changes of a failed append out of the states they are part of.
    fn on_failed(&mut self, commit: CommitId, pending: PendingCommit, error: AppendError) {
        for (key, _) in &pending.changes {
            let Some(entry) = self.entries.get_mut(key) else {
                continue;
            };
            entry.in_flight.remove(&commit);
            let later = entry.in_flight.iter().filter_map(|id| self.commits.get(id));
            let changes = later.flat_map(|pending| &pending.changes);
            let mut current = entry.durable.clone();
            for (_, change) in changes.filter(|(changed, _)| changed == key) {
                current = state::apply(current.as_deref(), change).map(Arc::new);
            }
            entry.current = current;
            self.forget_if_gone(key);
        }
        let error = StateError {
            code: error.to_error_code(),
            message: format!("Unable to write share group state: {error}"),
        };
        for (token, response) in pending.replies {
            self.reply(token, response.into_error(error.clone()));
        }
    }

    fn forget_if_gone(&mut self, key: &ShareKey) {
        let gone = |entry: &Entry| {
            entry.current.is_none() && entry.durable.is_none() && entry.in_flight.is_empty()
        };
        if self.entries.get(key).is_some_and(gone) {
            self.entries.remove(key);
        }
    }

    fn finish(&mut self) -> Actions<Self> {
        while let Some(commit) = self.unencodable.pop() {
            if let Some(pending) = self.commits.remove(&commit) {
                self.on_failed(commit, pending, AppendError::TooLarge);
            }
        }
        std::mem::take(&mut self.out)
    }
}

impl StateMachine for ShareCoordinator {
    type Response = Response;
    type Effect = Prune;

    fn replay(&mut self, key: &Bytes, value: Option<&Bytes>) -> Result<Replayed, ReplayError> {
        self.replay_at(self.end, key, value)
    }

    fn replay_at(
        &mut self,
        offset: Offset,
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<Replayed, ReplayError> {
        debug_assert_eq!(self.phase, Phase::Loading, "replay after loaded");
        self.end = Offset(offset.0.saturating_add(1));
        let (key, change) = match record::decode(key, value)? {
            Decoded::Change(key, change) => (key, change),
            Decoded::Unknown(record_type) => return Ok(Replayed::UnknownType(record_type)),
        };
        let entry = self.entries.entry(key.clone()).or_default();
        entry.durable = state::apply(entry.durable.as_deref(), &change).map(Arc::new);
        entry.current.clone_from(&entry.durable);
        if matches!(change, Change::Snapshot(_)) || entry.snapshot_offset.is_none() {
            entry.snapshot_offset = Some(offset);
        }
        self.forget_if_gone(&key);
        Ok(Replayed::Applied)
    }

    fn loaded(&mut self) -> Actions<Self> {
        self.phase = Phase::Active;
        self.finish()
    }

    fn unload(&mut self) -> Actions<Self> {
        self.phase = Phase::Unloaded;
        self.unencodable.clear();
        for pending in std::mem::take(&mut self.commits).into_values() {
            for (token, response) in pending.replies {
                let error = requests::unavailable_error(ErrorCode::NotCoordinator);
                self.reply(token, response.into_error(error));
            }
        }
        self.entries.clear();
        self.finish()
    }

    fn appended(&mut self, commit: CommitId, base_offset: Offset) {
        if let Some(pending) = self.commits.get_mut(&commit) {
            pending.base_offset = Some(base_offset);
        }
    }

    fn committed(&mut self, commit: CommitId) -> Actions<Self> {
        while let Some(first) = self.commits.first_entry() {
            let id = *first.key();
            if id > commit {
                break;
            }
            let pending = first.remove();
            self.on_durable(id, pending);
        }
        self.finish()
    }

    fn failed(&mut self, commit: CommitId, error: AppendError) -> Actions<Self> {
        if let Some(pending) = self.commits.remove(&commit) {
            self.on_failed(commit, pending, error);
        }
        self.finish()
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.next_due()
    }

    fn tick(&mut self) -> Actions<Self> {
        self.run_due();
        self.finish()
    }
}
