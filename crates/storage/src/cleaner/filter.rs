//! What of a batch stays (`Cleaner.cleanInto`, `MemoryRecords.filterTo`).
//!
//! A record stays when the map knows no later one of its key, and a tombstone until its *delete horizon*: the first pass
//! that could drop it stamps now plus `delete.retention.ms` into the batch (KIP-534), so that whoever reads the log from
//! its start has that long to see it. A transaction marker goes the same way once its transaction is gone.
//!
//! A batch of which something goes is built again with the same codec, base offset, last offset and sequence. One of
//! which nothing is left goes, unless it is the last of a producer, whose sequence it proves, or the last of the round,
//! whose offset it proves: then its header stays.
//!
//! Differs: a rebuilt batch keeps its `base_timestamp` where Kafka puts the first record's timestamp there; the records'
//! own timestamps are the same, and their bytes need no change.

use std::collections::HashMap;

use bytes::Bytes;
use wire::compression::{CompressionError, decompress};
use wire::record_batch::{Attributes, BATCH_HEADER_LEN, BatchHeader, Compression};
use wire::record_data::{BuildError, RawRecord, RecordDefect, emptied, raw_records, rebuild};

use crate::cleaner::offset_map::OffsetMap;
use crate::cleaner::transactions::CleanedTransactions;
use crate::log::marker_of;

/// The most one batch may decompress to; more was never accepted from a producer.
pub(crate) const DECOMPRESSED_MAX_BYTES: usize = 256 << 20;

/// The last batch of a producer (`LastRecord`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LastRecord {
    /// The last offset of its last batch of records; `None` when only markers are known.
    pub(crate) last_data_offset: Option<i64>,
    /// Its epoch.
    pub(crate) producer_epoch: i16,
}

/// What a batch is judged by.
#[derive(Debug)]
pub(crate) struct Filter<'a> {
    pub(crate) map: &'a OffsetMap,
    pub(crate) now_ms: i64,
    pub(crate) delete_retention_ms: i64,
    /// Where the round ends: the offset up to which segments are cleanable.
    pub(crate) round_end: i64,
    pub(crate) last_records: &'a HashMap<i64, LastRecord>,
    /// Whether the walk began at the log's first record, so that no older value of a key and nothing of a transaction lies before
    /// it. Else tombstones and markers stay, and none gets a delete horizon.
    pub(crate) whole: bool,
    /// Whether anything is not as it was.
    pub(crate) changed: bool,
    /// Records looked at, kept, and without a key.
    pub(crate) counts: [u64; 3],
}

/// Why a batch cannot be taken apart.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilterError {
    #[error("its codec {0} does not exist")]
    UnknownCodec(i16),
    #[error("its records cannot be decompressed: {0}")]
    Decompress(#[from] CompressionError),
    #[error("a record is malformed: {0}")]
    Malformed(RecordDefect),
    #[error("it cannot be built again: {0}")]
    Build(#[from] BuildError),
}

/// What happens to the records of one batch, and to the batch when they are gone.
struct Verdict {
    drop_records: bool,
    keep_empty: bool,
    /// The batch is a marker that nothing needs any more.
    stale_marker: bool,
}

impl Filter<'_> {
    /// Appends what stays of `batch` to `out` and gives the header it has there; `None` when nothing stays. The CRC was
    /// checked before.
    pub(crate) fn apply(
        &mut self,
        batch: &[u8],
        header: &BatchHeader,
        transactions: &mut CleanedTransactions,
        out: &mut Vec<u8>,
    ) -> Result<Option<BatchHeader>, FilterError> {
        let verdict = self.judge(batch, header, transactions);
        self.counts[0] += u64::try_from(header.record_count).unwrap_or(0);
        if verdict.drop_records || header.record_count <= 0 {
            return self.empty(header, &verdict, out);
        }
        if !header.attributes.is_control() && self.map.is_superseded(header.base_offset) {
            return self.empty(header, &verdict, out);
        }
        let data = records_of(batch, header)?;
        let mut kept = Vec::new();
        let mut tombstones = false;
        for record in raw_records(&data, header.record_count) {
            let record = record.map_err(FilterError::Malformed)?;
            if header.attributes.is_control() || self.keeps(header, &record) {
                tombstones |= !record.has_value;
                kept.push(record);
            }
        }
        if kept.is_empty() {
            return self.empty(header, &verdict, out);
        }
        self.counts[1] += kept.len() as u64;
        let stamp = self.whole
            && (tombstones || verdict.stale_marker)
            && !header.attributes.has_delete_horizon();
        let whole = i32::try_from(kept.len()) == Ok(header.record_count);
        if whole && !stamp {
            out.extend_from_slice(batch);
            return Ok(Some(*header));
        }
        self.changed = true;
        let horizon = stamp.then(|| self.now_ms.saturating_add(self.delete_retention_ms));
        Ok(Some(build(header, &kept, horizon, out)?))
    }

    fn judge(
        &self,
        batch: &[u8],
        header: &BatchHeader,
        transactions: &mut CleanedTransactions,
    ) -> Verdict {
        let is_control = header.attributes.is_control();
        let (drop_records, stale_marker) = if is_control {
            let marker = marker_of(&Bytes::copy_from_slice(batch));
            let stale = transactions.on_control(header, marker);
            (stale && self.past_horizon(header), stale)
        } else {
            (transactions.on_batch(header), false)
        };
        let last = self.last_records.get(&header.producer_id);
        let last_of_producer = header.has_producer_id()
            && last.is_some_and(|last| match last.last_data_offset {
                Some(offset) => header.last_offset() == offset,
                None => is_control && header.producer_epoch == last.producer_epoch,
            });
        Verdict {
            drop_records,
            keep_empty: last_of_producer || header.next_offset() == self.round_end,
            stale_marker,
        }
    }

    /// The header alone, if it has to stay.
    fn empty(
        &mut self,
        header: &BatchHeader,
        verdict: &Verdict,
        out: &mut Vec<u8>,
    ) -> Result<Option<BatchHeader>, FilterError> {
        self.changed |= !verdict.keep_empty || header.record_count > 0;
        if !verdict.keep_empty {
            return Ok(None);
        }
        Ok(Some(rebuild(&emptied(header), &[], out)?))
    }

    fn past_horizon(&self, header: &BatchHeader) -> bool {
        self.whole && header.attributes.has_delete_horizon() && header.base_timestamp <= self.now_ms
    }

    /// `Cleaner.shouldRetainRecord`.
    fn keeps(&mut self, header: &BatchHeader, record: &RawRecord<'_>) -> bool {
        let offset = header
            .base_offset
            .saturating_add(i64::from(record.offset_delta));
        if offset > self.map.latest_offset() {
            return true;
        }
        let Some(key) = record.key else {
            self.counts[2] += 1;
            return false;
        };
        let superseded = self.map.get(key).is_some_and(|latest| latest > offset);
        !superseded && (record.has_value || !self.past_horizon(header))
    }
}

/// The records of a batch, decompressed.
pub(crate) fn records_of<'a>(
    batch: &'a [u8],
    header: &BatchHeader,
) -> Result<std::borrow::Cow<'a, [u8]>, FilterError> {
    let data = batch
        .get(BATCH_HEADER_LEN..header.size_in_bytes())
        .unwrap_or_default();
    match header.attributes.compression() {
        Some(Compression::None) => Ok(data.into()),
        Some(codec) => {
            let data = decompress(codec, data, DECOMPRESSED_MAX_BYTES)?;
            Ok(Vec::from(data).into())
        }
        None => Err(FilterError::UnknownCodec(
            header.attributes.0 & Attributes::COMPRESSION_MASK,
        )),
    }
}

/// A batch of the records that stay (`MemoryRecords.buildRetainedRecordsInto`).
fn build(
    header: &BatchHeader,
    kept: &[RawRecord<'_>],
    horizon_ms: Option<i64>,
    out: &mut Vec<u8>,
) -> Result<BatchHeader, FilterError> {
    let mut records = Vec::with_capacity(kept.iter().map(|record| record.bytes.len() + 10).sum());
    let mut max_timestamp = -1;
    let base_timestamp = horizon_ms.unwrap_or(header.base_timestamp);
    for record in kept {
        let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
        max_timestamp = max_timestamp.max(timestamp);
        match horizon_ms {
            None => records.extend_from_slice(record.bytes),
            Some(horizon_ms) => record
                .put_with_timestamp_delta(timestamp.wrapping_sub(horizon_ms), &mut records)
                .map_err(FilterError::Malformed)?,
        }
    }
    if header.attributes.is_log_append_time() {
        max_timestamp = header.max_timestamp;
    }
    let horizon_bit = horizon_ms.map_or(0, |_| Attributes::DELETE_HORIZON);
    let rebuilt = BatchHeader {
        attributes: Attributes(header.attributes.0 | horizon_bit),
        base_timestamp,
        max_timestamp,
        record_count: i32::try_from(kept.len()).unwrap_or(i32::MAX),
        ..*header
    };
    Ok(rebuild(&rebuilt, &records, out)?)
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
