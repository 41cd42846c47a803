//! The bytes of a `.snapshot` file. All integers are big-endian.
//!
//! ```text
//!  0  version        i16  1
//!  2  crc            u32  CRC-32C of everything behind it
//!  6  count          i32
//! 10  entries, 46 bytes each:
//!       producer_id i64, epoch i16, last_sequence i32, last_offset i64, offset_delta i32, timestamp i64,
//!       coordinator_epoch i32, txn_first_offset i64 (-1 for none)
//!     then, where Kafka's reader stops:
//!     magic          4    "AFPX"
//!     per entry, in the same order: count u8, then per older batch 24 bytes:
//!       last_sequence i32, last_offset i64, offset_delta i32, timestamp i64
//! ```
//! The first part is Kafka's (`ProducerSnapshot.json`, version 1). Kafka keeps only the last batch of a
//! producer in it.
//!
//! Differs: the tail behind Kafka's entries keeps the other batches as well, so that after a restart the retry of any
//! of the five requests in flight is still recognised. Kafka's reader takes the CRC over the whole file and
//! ignores the tail.

use std::collections::{HashMap, VecDeque};

use crate::io::be;
use crate::log::producer::{BATCHES_REMEMBERED, BatchMetadata, ProducerEntry};
use crate::lsn::Lsn;

const VERSION: i16 = 1;
const CRC_AT: usize = 2;
const ENTRIES_AT: usize = 6;
const ENTRY_LEN: usize = 46;
const OLDER_LEN: usize = 24;
const TAIL_MAGIC: [u8; 4] = *b"AFPX";

/// Writes the entries, ordered by producer id.
pub(crate) fn encode(entries: &HashMap<i64, ProducerEntry>) -> Vec<u8> {
    let mut sorted: Vec<(&i64, &ProducerEntry)> = entries.iter().collect();
    sorted.sort_by_key(|(id, _)| **id);
    let mut out = Vec::with_capacity(14 + sorted.len() * (ENTRY_LEN + 1 + 4 * OLDER_LEN));
    out.extend(VERSION.to_be_bytes());
    out.extend([0; 4]);
    out.extend(
        i32::try_from(sorted.len())
            .unwrap_or(i32::MAX)
            .to_be_bytes(),
    );
    for (id, entry) in &sorted {
        let last = entry.batches.back();
        out.extend(id.to_be_bytes());
        out.extend(entry.epoch.to_be_bytes());
        out.extend(last.map_or(-1, |b| b.last_sequence).to_be_bytes());
        out.extend(last.map_or(-1, |b| b.last_offset).to_be_bytes());
        out.extend(last.map_or(0, |b| b.offset_delta).to_be_bytes());
        out.extend(entry.last_timestamp.to_be_bytes());
        out.extend(entry.coordinator_epoch.to_be_bytes());
        out.extend(entry.txn_first_offset.unwrap_or(-1).to_be_bytes());
    }
    out.extend(TAIL_MAGIC);
    for (_, entry) in &sorted {
        let older = entry.batches.len().saturating_sub(1);
        out.push(older as u8);
        for batch in entry.batches.iter().take(older) {
            out.extend(batch.last_sequence.to_be_bytes());
            out.extend(batch.last_offset.to_be_bytes());
            out.extend(batch.offset_delta.to_be_bytes());
            out.extend(batch.timestamp.to_be_bytes());
        }
    }
    let crc = crc32c::crc32c(&out[ENTRIES_AT..]);
    out[CRC_AT..ENTRIES_AT].copy_from_slice(&crc.to_be_bytes());
    out
}

/// Reads a snapshot, with the tail or without; `None` when it is damaged.
pub(crate) fn decode(bytes: &[u8]) -> Option<HashMap<i64, ProducerEntry>> {
    if be::i16(bytes, 0)? != VERSION
        || crc32c::crc32c(bytes.get(ENTRIES_AT..)?) != be::u32(bytes, CRC_AT)?
    {
        return None;
    }
    let count = usize::try_from(be::i32(bytes, ENTRIES_AT)?).ok()?;
    let entries_at = ENTRIES_AT + 4;
    let tail_at = entries_at.checked_add(count.checked_mul(ENTRY_LEN)?)?;
    let rows = bytes.get(entries_at..tail_at)?;
    let mut tail = match bytes.get(tail_at..)?.strip_prefix(&TAIL_MAGIC) {
        Some(tail) => tail,
        None => &[],
    };
    let mut entries = HashMap::with_capacity(count);
    for row in rows.chunks_exact(ENTRY_LEN) {
        let (id, mut entry) = decode_entry(row)?;
        if let Some((older, rest)) = tail.split_first() {
            let length = usize::from(*older) * OLDER_LEN;
            let batches = rest.get(..length)?;
            tail = rest.get(length..)?;
            for batch in batches.chunks_exact(OLDER_LEN).rev() {
                entry.batches.push_front(decode_older(batch)?);
            }
            if entry.batches.len() > BATCHES_REMEMBERED {
                return None;
            }
        }
        entries.insert(id, entry);
    }
    Some(entries)
}

fn decode_entry(row: &[u8]) -> Option<(i64, ProducerEntry)> {
    let timestamp = be::i64(row, 26)?;
    let last = BatchMetadata {
        last_sequence: be::i32(row, 10)?,
        last_offset: be::i64(row, 14)?,
        offset_delta: be::i32(row, 22)?,
        timestamp,
        lsn: Lsn::ZERO,
    };
    let txn = be::i64(row, 38)?;
    let mut entry = ProducerEntry::empty(be::i16(row, 8)?);
    entry.coordinator_epoch = be::i32(row, 34)?;
    entry.last_timestamp = timestamp;
    entry.txn_first_offset = (txn >= 0).then_some(txn);
    if last.last_sequence >= 0 {
        entry.batches = VecDeque::from([last]);
    }
    Some((be::i64(row, 0)?, entry))
}

fn decode_older(bytes: &[u8]) -> Option<BatchMetadata> {
    Some(BatchMetadata {
        last_sequence: be::i32(bytes, 0)?,
        last_offset: be::i64(bytes, 4)?,
        offset_delta: be::i32(bytes, 12)?,
        timestamp: be::i64(bytes, 16)?,
        lsn: Lsn::ZERO,
    })
}
