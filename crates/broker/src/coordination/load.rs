//! Loading a coordinator: every record of its partition, oldest first.
//!
//! Records of a transaction reach the machine as such; its marker says whether they count. A transaction
//! without a marker is still open when loading ends.

use std::sync::Arc;

use base::{ErrorChain, Offset};
use bytes::Bytes;
use coordinator::{ReplayError, Replayed, StateMachine};
use storage::{LogState, PartitionLog, ReadLimit};
use wire::control_record::EndTxnMarker;
use wire::record_batch::BatchHeader;
use wire::record_data::{Record, batches, records};

/// Bytes read at a time; Kafka's `offsets.load.buffer.size` and `transaction.state.log.load.buffer.size`.
const LOAD_BYTES: usize = 5 * 1024 * 1024;
/// The most one batch of a coordinator's topic may decompress to.
const DECOMPRESSED_MAX_BYTES: usize = 256 * 1024 * 1024;

/// Replays the partition into `machine`. Blocks on the disk. Returns how many records it took up.
///
/// # Errors
/// What is wrong with the partition, for a person; the machine must be dropped.
pub(super) fn load(
    machine: &mut impl StateMachine,
    log: &Arc<PartitionLog>,
) -> Result<u64, String> {
    // Nothing may be readable of an offline log, and that is not the same as nothing having been committed.
    if let LogState::Offline(reason) = log.state() {
        return Err(format!("the partition is offline: {reason}"));
    }
    let mut offset = log.log_start_offset();
    let end = log.high_watermark();
    let mut replayed = 0;
    while offset < end {
        let read = log
            .read(offset, LOAD_BYTES, ReadLimit::HighWatermark, true)
            .map_err(|error| ErrorChain(&error).to_string())?;
        let bytes = storage::bytes_of(read.records.parts()).map_err(|error| error.to_string())?;
        let bytes = Bytes::from(bytes);
        let next = replay(machine, &bytes, offset, &mut replayed)?;
        if next <= offset {
            return Err(format!("no record batch at offset {offset}"));
        }
        offset = next;
    }
    Ok(replayed)
}

fn replay(
    machine: &mut impl StateMachine,
    bytes: &Bytes,
    from: Offset,
    replayed: &mut u64,
) -> Result<Offset, String> {
    let mut next = from;
    for batch in batches(bytes) {
        let (_, batch) = batch.map_err(|error| error.to_string())?;
        let batch_records =
            records(&batch, DECOMPRESSED_MAX_BYTES).map_err(|error| error.to_string())?;
        let header = *batch_records.header();
        next = Offset(header.next_offset());
        for record in batch_records {
            let record = record.map_err(|error| error.to_string())?;
            match replay_record(machine, &header, &record) {
                Ok(Some(Replayed::Applied)) => *replayed += 1,
                Ok(Some(Replayed::UnknownType(kind))) => {
                    tracing::debug!(kind, "skipping a record of an unknown type");
                }
                Ok(None) => {}
                Err(error) => return Err(ErrorChain(&error).to_string()),
            }
        }
    }
    Ok(next)
}

/// Hands over one record; `None` when it has nothing to say.
fn replay_record(
    machine: &mut impl StateMachine,
    header: &BatchHeader,
    record: &Record,
) -> Result<Option<Replayed>, ReplayError> {
    let Some(key) = &record.key else {
        return Ok(None);
    };
    let value = record.value.as_ref();
    if header.attributes.is_control() {
        if let Some(marker) = EndTxnMarker::decode(key, value) {
            machine.replay_end_txn(header.producer_id, marker.committed);
        }
        return Ok(None);
    }
    let replayed = if header.attributes.is_transactional() {
        machine.replay_transactional(header.producer_id, key, value)
    } else {
        machine.replay_at(Offset(record.offset), key, value)
    };
    replayed.map(Some)
}
