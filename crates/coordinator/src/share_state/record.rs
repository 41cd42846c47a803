//! The records of `__share_group_state`, as Apache Kafka 4.4 writes them.
//!
//! ```text
//! key:   i16 = 0 (ShareSnapshot), 1 (ShareUpdate) │ group │ topic id, 16 bytes │ partition, i32
//! value: i16 = 0 │ value fields; none for a tombstone, which only a ShareSnapshot has
//! ```
//! Source: `ShareCoordinatorRecordHelpers`.

use base::{Offset, PartitionIndex};
use bytes::Bytes;
use wire::coordinator_records::{
    ShareSnapshotKey, ShareSnapshotValue, ShareUpdateKey, ShareUpdateValue, share_snapshot_value,
    share_update_value,
};
use wire::{EncodeError, Reader};

use super::state::{Change, Snapshot, Update};
use super::{ShareKey, StateBatch};
use crate::action::CoordinatorRecord;
use crate::record::{ReplayError, decode_key, decode_value, record};

const VALUE_VERSION: i16 = 0;

/// A record that was read.
pub(super) enum Decoded {
    Change(ShareKey, Change),
    /// A record type that does not exist yet, or an update without a value, which nobody writes.
    Unknown(i16),
}

/// The record of a change.
pub(super) fn encode(key: &ShareKey, change: &Change) -> Result<CoordinatorRecord, EncodeError> {
    let snapshot_key = || ShareSnapshotKey {
        group_id: key.group_id.to_string(),
        topic_id: key.topic_id,
        partition: key.partition.0,
    };
    let kind = ShareSnapshotKey::RECORD_TYPE;
    match change {
        Change::Delete => record::<_, ShareSnapshotValue>(kind, &snapshot_key(), None),
        Change::Snapshot(snapshot) => {
            let value = snapshot_value(snapshot);
            record(kind, &snapshot_key(), Some((VALUE_VERSION, &value)))
        }
        Change::Update(update) => {
            let update_key = ShareUpdateKey {
                group_id: key.group_id.to_string(),
                topic_id: key.topic_id,
                partition: key.partition.0,
            };
            let value = update_value(update);
            let kind = ShareUpdateKey::RECORD_TYPE;
            record(kind, &update_key, Some((VALUE_VERSION, &value)))
        }
    }
}

/// Reads a record of the log.
pub(super) fn decode(key: &Bytes, value: Option<&Bytes>) -> Result<Decoded, ReplayError> {
    let mut reader = Reader::new(key.clone());
    let record_type = reader.i16().map_err(|_| ReplayError::NoType(key.len()))?;
    match record_type {
        ShareSnapshotKey::RECORD_TYPE => {
            let key: ShareSnapshotKey = decode_key(record_type, &mut reader)?;
            let value: Option<ShareSnapshotValue> = decode_value(record_type, value)?;
            let key = ShareKey {
                group_id: key.group_id.into(),
                topic_id: key.topic_id,
                partition: PartitionIndex(key.partition),
            };
            let change = value.map_or(Change::Delete, |value| Change::Snapshot(snapshot(value)));
            Ok(Decoded::Change(key, change))
        }
        ShareUpdateKey::RECORD_TYPE => {
            let key: ShareUpdateKey = decode_key(record_type, &mut reader)?;
            let value: Option<ShareUpdateValue> = decode_value(record_type, value)?;
            let Some(value) = value else {
                return Ok(Decoded::Unknown(record_type));
            };
            let key = ShareKey {
                group_id: key.group_id.into(),
                topic_id: key.topic_id,
                partition: PartitionIndex(key.partition),
            };
            Ok(Decoded::Change(key, Change::Update(update(value))))
        }
        other => Ok(Decoded::Unknown(other)),
    }
}

fn snapshot_value(snapshot: &Snapshot) -> ShareSnapshotValue {
    let batches = snapshot.batches.iter();
    ShareSnapshotValue {
        snapshot_epoch: snapshot.snapshot_epoch,
        state_epoch: snapshot.state_epoch,
        leader_epoch: snapshot.leader_epoch,
        start_offset: snapshot.start_offset.0,
        delivery_complete_count: snapshot.delivery_complete_count,
        create_timestamp: snapshot.create_timestamp_ms,
        write_timestamp: snapshot.write_timestamp_ms,
        state_batches: batches
            .map(|batch| share_snapshot_value::StateBatch {
                first_offset: batch.first_offset.0,
                last_offset: batch.last_offset.0,
                delivery_state: batch.delivery_state,
                delivery_count: batch.delivery_count,
            })
            .collect(),
    }
}

fn update_value(update: &Update) -> ShareUpdateValue {
    let batches = update.batches.iter();
    ShareUpdateValue {
        snapshot_epoch: update.snapshot_epoch,
        leader_epoch: update.leader_epoch,
        start_offset: update.start_offset.0,
        delivery_complete_count: update.delivery_complete_count,
        state_batches: batches
            .map(|batch| share_update_value::StateBatch {
                first_offset: batch.first_offset.0,
                last_offset: batch.last_offset.0,
                delivery_state: batch.delivery_state,
                delivery_count: batch.delivery_count,
            })
            .collect(),
    }
}

fn snapshot(value: ShareSnapshotValue) -> Snapshot {
    let batches = value.state_batches.into_iter();
    Snapshot {
        snapshot_epoch: value.snapshot_epoch,
        state_epoch: value.state_epoch,
        leader_epoch: value.leader_epoch,
        start_offset: Offset(value.start_offset),
        delivery_complete_count: value.delivery_complete_count,
        create_timestamp_ms: value.create_timestamp,
        write_timestamp_ms: value.write_timestamp,
        batches: batches
            .map(|batch| StateBatch {
                first_offset: Offset(batch.first_offset),
                last_offset: Offset(batch.last_offset),
                delivery_state: batch.delivery_state,
                delivery_count: batch.delivery_count,
            })
            .collect(),
    }
}

fn update(value: ShareUpdateValue) -> Update {
    let batches = value.state_batches.into_iter();
    Update {
        snapshot_epoch: value.snapshot_epoch,
        leader_epoch: value.leader_epoch,
        start_offset: Offset(value.start_offset),
        delivery_complete_count: value.delivery_complete_count,
        batches: batches
            .map(|batch| StateBatch {
                first_offset: Offset(batch.first_offset),
                last_offset: Offset(batch.last_offset),
                delivery_state: batch.delivery_state,
                delivery_count: batch.delivery_count,
            })
            .collect(),
    }
}
