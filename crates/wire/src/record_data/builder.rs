//! Building a record batch.

use std::io::Write;

use bytes::Bytes;

use super::layout::{put_varint, put_varlong, varint_len, varlong_len};
use super::{NO_TIMESTAMP, RecordHeader, seal};
use crate::compression::{CompressionError, Encoder};
use crate::record_batch::{
    Attributes, BATCH_HEADER_LEN, BatchHeader, Compression, LOG_OVERHEAD, MAGIC_V2,
};

/// What a batch is made with, apart from its records. The default is an uncompressed batch at offset 0 of no
/// producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchOptions {
    /// The codec.
    pub compression: Compression,
    /// The codec's level; its default when `None`.
    pub level: Option<i32>,
    /// The offset of the first record.
    pub base_offset: i64,
    /// The leader epoch to stamp, -1 for none.
    pub partition_leader_epoch: i32,
    /// The producer id, -1 for none.
    pub producer_id: i64,
    /// The producer epoch, -1 for none.
    pub producer_epoch: i16,
    /// The sequence of the first record, -1 for none.
    pub base_sequence: i32,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
    /// Whether the batch holds a control record.
    pub control: bool,
    /// The append time for `LogAppendTime`; `None` for `CreateTime`.
    pub log_append_time_ms: Option<i64>,
}

impl Default for BatchOptions {
    fn default() -> BatchOptions {
        BatchOptions {
            compression: Compression::None,
            level: None,
            base_offset: 0,
            partition_leader_epoch: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            transactional: false,
            control: false,
            log_append_time_ms: None,
        }
    }
}

/// Why a batch cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// There is no record.
    #[error("a record batch needs at least one record")]
    Empty,
    /// The batch would be 2 GiB or more.
    #[error("a record batch of {0} bytes is too large: the limit is 2,147,483,647")]
    TooLarge(usize),
    /// An offset delta is not above the one before.
    #[error("offset delta {delta} does not follow {last}")]
    OffsetOrder {
        /// The delta given.
        delta: i32,
        /// The delta of the record before.
        last: i32,
    },
    /// The records could not be compressed.
    #[error("records cannot be compressed")]
    Compression(#[from] CompressionError),
}

/// Collects records and makes one batch of them.
///
/// ```
/// use wire::record_data::{BatchOptions, RecordBatchBuilder, records};
///
/// let mut builder = RecordBatchBuilder::new(BatchOptions::default());
/// builder.append(1_700_000_000_000, Some(b"k"), Some(b"v"), &[])?;
/// let batch = builder.finish()?;
/// assert_eq!(records(&batch, 1024)?.count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RecordBatchBuilder {
    options: BatchOptions,
    records: Vec<u8>,
    count: i32,
    last_offset_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl RecordBatchBuilder {
    /// A builder without records.
    #[must_use]
    pub fn new(options: BatchOptions) -> RecordBatchBuilder {
        RecordBatchBuilder {
            options,
            records: Vec::new(),
            count: 0,
            last_offset_delta: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
        }
    }

    /// The number of records so far.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(0)
    }

    /// Whether there are no records yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The batch's size in bytes if nothing more came and nothing was compressed.
    #[must_use]
    pub fn uncompressed_size(&self) -> usize {
        BATCH_HEADER_LEN + self.records.len()
    }

    /// Appends a record at the next offset. `timestamp` is in milliseconds since the Unix epoch, or
    /// [`NO_TIMESTAMP`].
    ///
    /// # Errors
    /// [`BuildError::TooLarge`]; the builder is then as before.
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader],
    ) -> Result<(), BuildError> {
        let delta = self
            .last_offset_delta
            .checked_add(1)
            .ok_or(BuildError::TooLarge(self.uncompressed_size()))?;
        self.append_at(delta, timestamp, key, value, headers)
    }

    /// As [`RecordBatchBuilder::append`], `offset_delta` above the base offset; a compacted batch has gaps.
    ///
    /// # Errors
    /// [`BuildError::TooLarge`] or [`BuildError::OffsetOrder`]; the builder is then as before.
    pub fn append_at(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[RecordHeader],
    ) -> Result<(), BuildError> {
        if offset_delta <= self.last_offset_delta {
            let last = self.last_offset_delta;
            return Err(BuildError::OffsetOrder {
                delta: offset_delta,
                last,
            });
        }
        if self.count == 0 {
            self.base_timestamp = timestamp;
        }
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        let size = body_len(offset_delta, timestamp_delta, key, value, headers);
        let too_large = BuildError::TooLarge(self.uncompressed_size().saturating_add(size));
        let Ok(wire_size) = i32::try_from(size) else {
            return Err(too_large);
        };
        if i32::try_from(self.uncompressed_size() + size + varint_len(wire_size)).is_err() {
            return Err(too_large);
        }
        self.records.reserve(size + varint_len(wire_size));
        put_varint(&mut self.records, wire_size);
        self.records.push(0);
        put_varlong(&mut self.records, timestamp_delta);
        put_varint(&mut self.records, offset_delta);
        put_nullable(&mut self.records, key);
        put_nullable(&mut self.records, value);
        put_length(&mut self.records, headers.len());
        for header in headers {
            put_nullable(&mut self.records, Some(&header.key));
            put_nullable(&mut self.records, header.value.as_deref());
        }
        self.count += 1;
        self.last_offset_delta = offset_delta;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        Ok(())
    }

    /// The finished batch, with its CRC.
    ///
    /// # Errors
    /// [`BuildError::Empty`], [`BuildError::TooLarge`], or [`BuildError::Compression`] for a level the codec
    /// does not have.
    pub fn finish(self) -> Result<Bytes, BuildError> {
        if self.count == 0 {
            return Err(BuildError::Empty);
        }
        let options = self.options;
        let mut batch = Vec::with_capacity(BATCH_HEADER_LEN + self.records.len());
        batch.resize(BATCH_HEADER_LEN, 0);
        let codec = options.compression;
        let mut encoder = Encoder::new(codec, options.level, batch)?;
        encoder
            .write_all(&self.records)
            .map_err(|source| CompressionError::Encode { codec, source })?;
        let mut batch = encoder.finish()?;
        let batch_length = i32::try_from(batch.len() - LOG_OVERHEAD)
            .map_err(|_| BuildError::TooLarge(batch.len()))?;
        let mut attributes = codec.id();
        for (set, bit) in [
            (
                options.log_append_time_ms.is_some(),
                Attributes::LOG_APPEND_TIME,
            ),
            (options.transactional, Attributes::TRANSACTIONAL),
            (options.control, Attributes::CONTROL),
        ] {
            if set {
                attributes |= bit;
            }
        }
        let header = BatchHeader {
            base_offset: options.base_offset,
            batch_length,
            partition_leader_epoch: options.partition_leader_epoch,
            magic: MAGIC_V2,
            crc: 0,
            attributes: Attributes(attributes),
            last_offset_delta: self.last_offset_delta,
            base_timestamp: self.base_timestamp,
            max_timestamp: options.log_append_time_ms.unwrap_or(self.max_timestamp),
            producer_id: options.producer_id,
            producer_epoch: options.producer_epoch,
            base_sequence: options.base_sequence,
            record_count: self.count,
        };
        seal(&header, &mut batch);
        Ok(batch.into())
    }
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    let Some(bytes) = bytes else {
        return varint_len(-1);
    };
    // A length beyond `i32` makes the record too large whatever its varint takes.
    varint_len(i32::try_from(bytes.len()).unwrap_or(i32::MAX)).saturating_add(bytes.len())
}

fn body_len(
    offset_delta: i32,
    timestamp_delta: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[RecordHeader],
) -> usize {
    let headers_len = headers.iter().fold(0usize, |sum, header| {
        sum.saturating_add(nullable_len(Some(&header.key)))
            .saturating_add(nullable_len(header.value.as_deref()))
    });
    let fixed = 1
        + varlong_len(timestamp_delta)
        + varint_len(offset_delta)
        + varint_len(i32::try_from(headers.len()).unwrap_or(i32::MAX));
    fixed
        .saturating_add(nullable_len(key))
        .saturating_add(nullable_len(value))
        .saturating_add(headers_len)
}

/// Appends a length that was checked to be part of a record below 2 GiB.
fn put_length(out: &mut Vec<u8>, length: usize) {
    put_varint(out, i32::try_from(length).unwrap_or(i32::MAX));
}

fn put_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            put_length(out, bytes.len());
            out.extend_from_slice(bytes);
        }
        None => put_varint(out, -1),
    }
}
