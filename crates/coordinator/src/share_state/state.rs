//! The state of one share partition, and what a record does to it. Source: `ShareGroupOffset`.

use base::Offset;

use super::StateBatch;
use super::batches::combine;

/// The protocol's "not given" and "not known".
pub(super) const NONE: i32 = -1;
/// The start offset of a share partition nothing was written of.
pub(super) const UNINITIALIZED: Offset = Offset(-1);

/// A whole state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) snapshot_epoch: i32,
    pub(super) state_epoch: i32,
    pub(super) leader_epoch: i32,
    /// -1 until something was written.
    pub(super) start_offset: Offset,
    pub(super) delivery_complete_count: i32,
    /// When the state was first written as it is; differs from `write_timestamp_ms` in the snapshot of a share
    /// partition nothing happened to.
    pub(super) create_timestamp_ms: i64,
    pub(super) write_timestamp_ms: i64,
    pub(super) batches: Vec<StateBatch>,
}

/// What has changed since a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Update {
    pub(super) snapshot_epoch: i32,
    /// -1 for no change.
    pub(super) leader_epoch: i32,
    /// -1 for no change.
    pub(super) start_offset: Offset,
    pub(super) delivery_complete_count: i32,
    pub(super) batches: Vec<StateBatch>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Snapshot(Snapshot),
    Update(Update),
    Delete,
}

/// The state. Its epochs fence requests.
///
/// Differs: Kafka keeps the highest epochs it has seen of a share partition beside its state, also over an
/// initialization that sets them lower (its state epoch is -1, its leader epoch always 0), but loses them when the coordinator
/// is loaded from a pruned log, so that the same request is fenced or not. Here they are the state's, always: a function of
/// the log. Leaders read a state before they write it, so what is not fenced here is what no leader sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PartitionState {
    pub(super) snapshot: Snapshot,
    /// Updates since the last snapshot in the log.
    pub(super) updates: i32,
}

/// The state after `change`; none when there is none.
pub(super) fn apply(state: Option<&PartitionState>, change: &Change) -> Option<PartitionState> {
    match change {
        Change::Delete => None,
        Change::Snapshot(snapshot) => Some(PartitionState {
            snapshot: snapshot.clone(),
            updates: 0,
        }),
        Change::Update(update) => Some(match state {
            Some(state) => updated(state, update),
            None => from_update(update),
        }),
    }
}

fn updated(state: &PartitionState, update: &Update) -> PartitionState {
    let old = &state.snapshot;
    let start_offset = or_keep(update.start_offset, UNINITIALIZED, old.start_offset);
    PartitionState {
        snapshot: Snapshot {
            leader_epoch: or_keep(update.leader_epoch, NONE, old.leader_epoch),
            start_offset,
            delivery_complete_count: update.delivery_complete_count,
            batches: combine(&old.batches, &update.batches, start_offset),
            ..*old
        },
        updates: state.updates.saturating_add(1),
    }
}

/// The state of an update whose snapshot is not in the log: it was pruned, and the tombstone is to come.
fn from_update(update: &Update) -> PartitionState {
    PartitionState {
        snapshot: Snapshot {
            snapshot_epoch: update.snapshot_epoch,
            state_epoch: 0,
            leader_epoch: update.leader_epoch,
            start_offset: update.start_offset,
            delivery_complete_count: update.delivery_complete_count,
            create_timestamp_ms: 0,
            write_timestamp_ms: 0,
            batches: update.batches.clone(),
        },
        updates: 1,
    }
}

pub(super) fn or_keep<T: PartialEq>(value: T, none: T, old: T) -> T {
    if value == none { old } else { value }
}
