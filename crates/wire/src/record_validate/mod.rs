//! Whether a produced batch may be appended, and in which bytes.
//!
//! This is Kafka's `ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords` and `LogValidator`
//! (4.3) for the only format a Kafka 4 broker takes, in the same order, so that a batch with several faults
//! gets the error Kafka gives. What Kafka reads of each record is read here too, because a consumer would trip
//! over it later: the structure, the number of records, timestamps, keys on a compacted topic. It is a walk
//! over varints that allocates nothing; a compressed batch is decompressed through a fixed buffer and thrown
//! away.
//!
//! The batch comes back as the very bytes that were sent, unless one of these asks for other bytes:
//! - `message.timestamp.type=LogAppendTime`, or a `max_timestamp` or timestamp type that is not true: a copy
//!   with a new header and CRC;
//! - a `compression.type` other than the batch's: the records move to the other codec, streaming.
//!
//! Base offset and leader epoch are not assigned here; [`crate::record_batch::StampedBatch`] does that.
//!
//! Differs, each time to keep what no consumer could read out of the log:
//! - Kafka answers a codec that does not exist and records that do not decompress with `UNKNOWN_SERVER_ERROR`;
//!   here they are `UNSUPPORTED_COMPRESSION_TYPE` and `INVALID_RECORD`, neither of which is retried.
//! - Kafka takes timestamps below -1 and transactional batches without a producer id, but fails with
//!   `UNKNOWN_SERVER_ERROR` when it has to recompress such a batch; here they always pass.
//! - Kafka checks a record's length against its fields only in uncompressed batches, here always.
//! - Offset deltas other than 0, 1, 2, ... are `INVALID_RECORD` here. Kafka keeps them in an uncompressed
//!   batch, repairs them when it recompresses, and fails with `UNKNOWN_SERVER_ERROR` otherwise.
//! - A client's batch of type `LogAppendTime` in a `CreateTime` topic loses that type in Kafka too, but Kafka
//!   judges each record by the batch's `max_timestamp`; here it is the record's own, which then counts.
//! - A gzip stream whose header has reserved flags set is `INVALID_RECORD`, as RFC 1952 (2.3.1.2) asks of a reader and as
//!   consumers with zlib meet it; Java's reader does not look at those flags.
//! - Kafka decompresses without a limit; see [`ValidationRules::decompressed_max_bytes`].

mod convert;
mod error;
mod walk;

use std::fmt;

use bytes::Bytes;

pub use error::{RECORD_ERRORS_MAX, RecordError, ValidationError};

use crate::record_batch::{
    BATCH_HEADER_LEN, BatchError, BatchHeader, Compression, LOG_OVERHEAD, MAGIC_V2, verify_crc,
};

/// A useful [`ValidationRules::decompressed_max_bytes`]: 256 times Kafka's default `max.message.bytes`.
pub const DECOMPRESSED_MAX_BYTES_DEFAULT: usize = 256 << 20;

/// The first Produce version whose batches may be zstd (KIP-110).
const ZSTD_PRODUCE_VERSION_MIN: i16 = 7;

/// `Records.HEADER_SIZE_UP_TO_MAGIC`: the bytes before which nobody looks for a batch.
const HEADER_UP_TO_MAGIC_LEN: usize = 17;

/// `LegacyRecord.RECORD_OVERHEAD_V0`: below this length the bytes are no batch of any format.
const BATCH_LENGTH_MIN: i32 = 14;

/// Who wrote a batch (`AppendOrigin`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client, by Produce.
    Client,
    /// A coordinator of this broker, which may write control batches and has no sequence.
    Coordinator,
}

/// `message.timestamp.type`, with what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampRule {
    /// The producer's timestamps stand, if they are close enough to now (KIP-937).
    CreateTime {
        /// `message.timestamp.before.max.ms`; `i64::MAX` for no limit.
        before_max_ms: i64,
        /// `message.timestamp.after.max.ms`; `i64::MAX` for no limit.
        after_max_ms: i64,
    },
    /// The broker's clock stands for every record.
    LogAppendTime,
}

/// `compression.type` of a topic, with its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetCompression {
    /// Whatever the producer chose.
    Producer,
    /// This codec and level (its default when `None`); [`Compression::None`] is `uncompressed`.
    Codec(Compression, Option<i32>),
}

/// What a batch is judged by: the topic's configs, the request and the clock.
#[derive(Clone, Copy, Debug)]
pub struct ValidationRules<'a> {
    /// The topic, for messages to the producer.
    pub topic: &'a str,
    /// The partition, for messages to the producer.
    pub partition: base::PartitionIndex,
    /// The version of the Produce request.
    pub produce_version: i16,
    /// Who wrote the batch.
    pub origin: Origin,
    /// `max.message.bytes`: the largest batch, header included.
    pub max_message_bytes: usize,
    /// `message.timestamp.type` and its limits.
    pub timestamps: TimestampRule,
    /// `compression.type` and its level.
    pub compression: TargetCompression,
    /// Whether `cleanup.policy` has `compact`: every record then needs a key.
    pub compacted: bool,
    /// The wall clock, in milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// The most a batch may decompress to. Memory does not grow with it, only the time that a bomb takes.
    pub decompressed_max_bytes: usize,
}

impl ValidationRules<'_> {
    fn topic_partition(&self) -> impl fmt::Display {
        format!("{}-{}", self.topic, self.partition)
    }

    fn target(&self, header: &BatchHeader, source: Compression) -> (Compression, Option<i32>) {
        match self.compression {
            TargetCompression::Producer => (source, None),
            // A control record is not compressed, whatever the topic says.
            TargetCompression::Codec(..)
                if header.attributes.is_control() && source == Compression::None =>
            {
                (source, None)
            }
            TargetCompression::Codec(codec, level) => (codec, level),
        }
    }
}

/// A batch that may be appended.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedBatch {
    /// The batch to append, exactly one; shares the producer's memory unless it had to be changed.
    pub bytes: Bytes,
    /// The header of `bytes`; its base offset and leader epoch are not assigned yet.
    pub header: BatchHeader,
    /// The codec the producer used.
    pub source_compression: Compression,
    /// The largest timestamp of the batch, -1 when no record has one.
    pub max_timestamp: i64,
    /// The first record that has it, as its distance from the base offset; 0 for `LogAppendTime`, as
    /// `RecordBatch.offsetOfMaxTimestamp` has it.
    pub max_timestamp_offset_delta: i32,
    /// What Produce answers as `log_append_time_ms`: -1 for `CreateTime`.
    pub log_append_time_ms: i64,
    /// Whether the records had to be recompressed (`RecordValidationStats`).
    pub converted: bool,
}

/// Judges the `records` of one partition in a Produce request.
///
/// Bytes after the batch that are not a whole further batch are cut off, as Kafka's `trimInvalidBytes` does.
///
/// # Errors
/// [`ValidationError`], which knows the error code and messages for the response. Nothing must be appended
/// then.
pub fn validate_produce(
    records: &Bytes,
    rules: &ValidationRules<'_>,
) -> Result<ValidatedBatch, ValidationError> {
    let batch = single_batch(records, rules.produce_version)?;
    let header = check_header(&batch, rules)?;
    let Some(source) = header.attributes.compression() else {
        return Err(ValidationError::UnknownCodec {
            id: header.attributes.0 & 0x07,
        });
    };
    check_client_rules(&header, rules)?;
    let (target, level) = rules.target(&header, source);
    let data = batch.get(BATCH_HEADER_LEN..).unwrap_or_default();
    let (walk, converted) = if target != source {
        let (walk, body) = convert::recompress(data, &header, (source, target, level), rules)?;
        (walk, Some(body))
    } else if source == Compression::None {
        (walk::plain(data, &header, rules)?, None)
    } else {
        (walk::compressed(data, source, &header, rules)?, None)
    };
    let walk = walk.accept()?;
    convert::finish(&batch, header, &walk, source, (target, converted), rules)
}

/// The one batch in `records` (`ProduceRequest.validateRecords`).
fn single_batch(records: &Bytes, produce_version: i16) -> Result<Bytes, ValidationError> {
    let Some((size, magic)) = next_batch(records).map_err(no_batch)? else {
        return Err(ValidationError::NoBatch { produce_version });
    };
    if magic != MAGIC_V2 {
        return Err(ValidationError::OldMagic {
            magic,
            produce_version,
        });
    }
    let codec = records.get(22).map(|attributes| attributes & 0x07);
    if produce_version < ZSTD_PRODUCE_VERSION_MIN
        && codec.map(i16::from) == Some(Compression::Zstd.id())
    {
        return Err(ValidationError::ZstdTooEarly { produce_version });
    }
    if next_batch(records.get(size..).unwrap_or_default())?.is_some() {
        return Err(ValidationError::SeveralBatches { produce_version });
    }
    Ok(records.slice(..size))
}

/// Why the records do not even begin with a batch. Apache Kafka meets this before it judges the records, when it asks
/// whether they are transactional, and answers in words; the same behind the first batch has the code alone.
fn no_batch(error: BatchError) -> ValidationError {
    match error {
        BatchError::InvalidLength(length) => ValidationError::NoLength {
            length,
            minimum: BATCH_LENGTH_MIN,
        },
        BatchError::UnsupportedMagic(magic) => ValidationError::NoMagic { magic },
        other => ValidationError::Corrupt(other),
    }
}

/// The size and magic of the batch that `bytes` begins with; `None` when it is not all there
/// (`ByteBufferLogInputStream.nextBatch`).
fn next_batch(bytes: &[u8]) -> Result<Option<(usize, i8)>, BatchError> {
    let Some(length) = bytes
        .get(8..LOG_OVERHEAD)
        .and_then(|bytes| bytes.first_chunk())
    else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*length);
    if length < BATCH_LENGTH_MIN {
        return Err(BatchError::InvalidLength(length));
    }
    let Some(magic) = bytes.get(HEADER_UP_TO_MAGIC_LEN - 1) else {
        return Ok(None);
    };
    let magic = i8::from_be_bytes([*magic]);
    if !(0..=MAGIC_V2).contains(&magic) {
        return Err(BatchError::UnsupportedMagic(magic));
    }
    let size = LOG_OVERHEAD + length.unsigned_abs() as usize;
    Ok((size <= bytes.len()).then_some((size, magic)))
}

/// `UnifiedLog.analyzeAndValidateRecords`.
fn check_header(
    batch: &Bytes,
    rules: &ValidationRules<'_>,
) -> Result<BatchHeader, ValidationError> {
    let header = BatchHeader::parse(batch)?;
    if rules.origin == Origin::Client && header.base_offset != 0 {
        return Err(ValidationError::BaseOffset {
            base_offset: header.base_offset,
        });
    }
    check_size(batch.len(), rules)?;
    verify_crc(batch)?;
    Ok(header)
}

fn check_size(size: usize, rules: &ValidationRules<'_>) -> Result<(), ValidationError> {
    if size > rules.max_message_bytes {
        return Err(ValidationError::TooLarge {
            size,
            limit: rules.max_message_bytes,
        });
    }
    Ok(())
}

/// `LogValidator.validateBatch`.
fn check_client_rules(
    header: &BatchHeader,
    rules: &ValidationRules<'_>,
) -> Result<(), ValidationError> {
    let (count, last_offset_delta) = (header.record_count, header.last_offset_delta);
    if last_offset_delta < 0 || count <= 0 || last_offset_delta != count - 1 {
        return Err(ValidationError::RecordCount {
            count,
            last_offset_delta,
        });
    }
    if rules.origin == Origin::Coordinator {
        return Ok(());
    }
    if header.attributes.is_control() {
        return Err(ValidationError::ControlBatch);
    }
    if header.has_producer_id() && header.base_sequence < 0 {
        return Err(ValidationError::Sequence {
            producer_id: base::ProducerId(header.producer_id),
            base_sequence: header.base_sequence,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
