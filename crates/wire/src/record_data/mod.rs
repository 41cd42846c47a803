//! The records inside one batch of magic 2: read one by one, or built into a new batch.
//!
//! ```text
//! record:  length varint, then that many bytes:
//!   attributes       i8       unused
//!   timestamp_delta  varlong  from the batch's base_timestamp
//!   offset_delta     varint   from the batch's base_offset
//!   key_length       varint   negative for null, then the key
//!   value_length     varint   negative for null, then the value
//!   header_count     varint, then for each header:
//!     key_length     varint, then the key (UTF-8 by convention, not checked)
//!     value_length   varint   negative for null, then the value
//! ```
//! Varints are zigzag-encoded. Source: `org.apache.kafka.common.record.internal.DefaultRecord` (KIP-98, KIP-82).
//!
//! [`records`] walks a batch, [`batches`] walks the batches of a fetched range, [`RecordBatchBuilder`] makes a
//! batch, [`raw_records`] and [`rebuild`] move records from one batch to another as they are. Keys, values and
//! headers of an uncompressed batch share the memory of the batch; those of a
//! compressed one share the memory of its decompressed records.
//!
//! The broker's hot path uses none of this: it passes batches on as bytes and looks inside only to validate
//! (see [`crate::record_validate`]).
//!
//! **Invariant:** headers keep their order and their duplicates; no length is believed before the bytes are
//! seen to be there.

mod builder;
mod iter;
pub(crate) mod layout;
mod raw;

use bytes::Bytes;

pub use builder::{BatchOptions, BuildError, RecordBatchBuilder};
pub use iter::{BatchIter, RecordIter, batches, records};
pub use layout::RecordDefect;
pub use raw::{RawRecord, RawRecords, emptied, raw_records, rebuild};

use crate::compression::CompressionError;
use crate::record_batch::{ATTRIBUTES_AT, BATCH_HEADER_LEN, BatchError, BatchHeader};

/// `RecordBatch.NO_TIMESTAMP`: the record has no timestamp.
pub const NO_TIMESTAMP: i64 = -1;

/// One record, with offset and timestamp made absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The attribute byte; no bit of it has a meaning yet.
    pub attributes: i8,
    /// Milliseconds since the Unix epoch, [`NO_TIMESTAMP`] for none; the batch's append time when its timestamp
    /// type is `LogAppendTime`.
    pub timestamp: i64,
    /// The offset in the partition, when the batch's base offset is.
    pub offset: i64,
    /// The key.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone in a compacted topic.
    pub value: Option<Bytes>,
    /// The headers in order, duplicates included.
    pub headers: Vec<RecordHeader>,
}

/// One header of a record (KIP-82).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// The key, UTF-8 by convention.
    pub key: Bytes,
    /// The value.
    pub value: Option<Bytes>,
}

impl RecordHeader {
    /// A header of a text key.
    #[must_use]
    pub fn new(key: &str, value: Option<&[u8]>) -> RecordHeader {
        RecordHeader {
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: value.map(Bytes::copy_from_slice),
        }
    }
}

/// Why the records of a batch cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordDataError {
    /// The batch's header is wrong.
    #[error("record batch header is wrong")]
    Batch(#[from] BatchError),
    /// The attributes name a codec that does not exist.
    #[error("record batch names compression codec {0}, which does not exist")]
    UnknownCodec(i16),
    /// The records cannot be decompressed, or not within the limit.
    #[error("records of the batch cannot be decompressed")]
    Compression(#[from] CompressionError),
    /// A record's bytes are not a record.
    #[error("record {index} of {count} is malformed: {defect}")]
    Malformed {
        /// The record's place in the batch, from 0; `count` when something follows the last.
        index: usize,
        /// The number of records the batch's header gives.
        count: i32,
        /// What is wrong.
        defect: RecordDefect,
    },
}

/// Writes `header` over the first 61 bytes of `batch`, which holds one whole batch, with the CRC that fits,
/// and gives that CRC.
pub(crate) fn seal(header: &BatchHeader, batch: &mut [u8]) -> u32 {
    debug_assert_eq!(
        header.size_in_bytes(),
        batch.len(),
        "a batch is sealed when it is whole"
    );
    put_header(header, batch);
    let crc = crc32c::crc32c(batch.get(ATTRIBUTES_AT..).unwrap_or_default());
    put_header(&BatchHeader { crc, ..*header }, batch);
    crc
}

fn put_header(header: &BatchHeader, batch: &mut [u8]) {
    if let Some(head) = batch.first_chunk_mut::<BATCH_HEADER_LEN>() {
        *head = header.to_bytes();
    }
}

#[cfg(test)]
mod tests;
