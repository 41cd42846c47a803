//! Loading a shard: every record of its partition, oldest first.

use std::os::unix::fs::FileExt;
use std::sync::Arc;

use base::{ErrorChain, Offset};
use bytes::Bytes;
use coordinator::{Replayed, Shard};
use storage::{LogState, PartitionLog, ReadLimit};
use wire::record_data::{batches, records};
use wire::{Records, RecordsPart};

/// Bytes read at a time; Kafka's `offsets.load.buffer.size`.
const LOAD_BYTES: usize = 5 * 1024 * 1024;
/// The most one batch of `__consumer_offsets` may decompress to.
const DECOMPRESSED_MAX_BYTES: usize = 256 * 1024 * 1024;

/// Replays the partition into `shard`. Blocks on the disk.
///
/// # Errors
/// What is wrong with the partition, for a person; the shard must be dropped.
pub(super) fn load(shard: &mut Shard, log: &Arc<PartitionLog>) -> Result<u64, String> {
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
        let bytes = in_memory(&read.records).map_err(|error| error.to_string())?;
        let next = replay(shard, &bytes, offset, &mut replayed)?;
        if next <= offset {
            return Err(format!("no record batch at offset {offset}"));
        }
        offset = next;
    }
    Ok(replayed)
}

fn replay(
    shard: &mut Shard,
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
        if header.attributes.is_control() {
            continue;
        }
        for record in batch_records {
            let record = record.map_err(|error| error.to_string())?;
            let Some(key) = &record.key else { continue };
            match shard.replay(key, record.value.as_ref()) {
                Ok(Replayed::Applied) => *replayed += 1,
                Ok(Replayed::UnknownType(kind)) => {
                    tracing::debug!(kind, "skipping a record of an unknown type");
                }
                Err(error) => return Err(ErrorChain(&error).to_string()),
            }
        }
    }
    Ok(next)
}

fn in_memory(records: &Records) -> std::io::Result<Bytes> {
    let mut all = Vec::with_capacity(records.len());
    for part in records.parts() {
        match part {
            RecordsPart::Bytes(bytes) => all.extend_from_slice(bytes),
            RecordsPart::Stamped(batch) => {
                all.extend_from_slice(&batch.head);
                all.extend_from_slice(&batch.body);
            }
            RecordsPart::File(region) => {
                let start = all.len();
                all.resize(start + region.length as usize, 0);
                if let Some(target) = all.get_mut(start..) {
                    region.file.read_exact_at(target, region.position)?;
                }
            }
        }
    }
    Ok(Bytes::from(all))
}
