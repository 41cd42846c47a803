//! Why a batch was refused, and what the producer is told.

use std::fmt;

use crate::compression::CompressionError;
use crate::error_code::ErrorCode;
use crate::record_batch::BatchError;
use crate::record_data::RecordDefect;

/// The most [`RecordError`]s kept of one batch.
///
/// Differs: Kafka reports every record, so that a megabyte of wrong records is answered with a dozen.
pub const RECORD_ERRORS_MAX: usize = 1_000;

/// How many record errors the error message repeats, as in Kafka.
const SHOWN_MAX: usize = 3;

/// A record that made its batch be refused; an element of `record_errors` in the Produce response (KIP-467).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// The record's place in the batch, from 0.
    pub batch_index: i32,
    /// What is wrong with it, in Kafka's words.
    pub message: String,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `ProduceResponse.RecordError.toString`: it is quoted in the batch's error message.
        write!(
            f,
            "RecordError(batchIndex={}, message='{}')",
            self.batch_index, self.message
        )
    }
}

/// Why a batch must not be appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValidationError {
    /// There is no whole batch.
    #[error(
        "Produce requests with version {produce_version} must have at least one record batch per partition"
    )]
    NoBatch {
        /// The request's version.
        produce_version: i16,
    },
    /// A message set of Kafka 0.10 or older.
    #[error(
        "Produce requests with version {produce_version} are only allowed to contain record batches with \
         magic version 2, not {magic}"
    )]
    OldMagic {
        /// The magic.
        magic: i8,
        /// The request's version.
        produce_version: i16,
    },
    /// More than one batch.
    #[error(
        "Produce requests with version {produce_version} are only allowed to contain exactly one record \
         batch per partition"
    )]
    SeveralBatches {
        /// The request's version.
        produce_version: i16,
    },
    /// zstd from a client that may not know that consumers must.
    #[error(
        "Produce requests with version {produce_version} are not allowed to use ZStandard compression"
    )]
    ZstdTooEarly {
        /// The request's version.
        produce_version: i16,
    },
    /// The attributes name codec 5, 6 or 7.
    #[error("record batch names compression codec {id}, which does not exist")]
    UnknownCodec {
        /// The codec's id.
        id: i16,
    },
    /// Length, magic or CRC are wrong: the bytes were damaged on the way.
    #[error("record batch is corrupt")]
    Corrupt(#[from] BatchError),
    /// The length is below that of any format, so that not even the end is known.
    #[error("Record size {length} is less than the minimum record overhead ({minimum})")]
    NoLength {
        /// The length sent.
        length: i32,
        /// The least that is one.
        minimum: i32,
    },
    /// A format that does not exist.
    #[error("Invalid magic found in record: {magic}")]
    NoMagic {
        /// The magic sent.
        magic: i8,
    },
    /// The producer assigned an offset.
    #[error("The baseOffset of the record batch should be 0, but it is {base_offset}")]
    BaseOffset {
        /// The base offset sent.
        base_offset: i64,
    },
    /// The batch is larger than `max.message.bytes`.
    #[error(
        "The record batch size is {size} bytes which exceeds the maximum configured value of {limit}"
    )]
    TooLarge {
        /// The batch's size in bytes, after conversion when there was one.
        size: usize,
        /// `max.message.bytes`.
        limit: usize,
    },
    /// The header's record count is not positive, or is not what its last offset delta says.
    #[error(
        "Inconsistent batch offset range [0, {last_offset_delta}] and count of records {count}"
    )]
    RecordCount {
        /// The header's record count.
        count: i32,
        /// The header's last offset delta.
        last_offset_delta: i32,
    },
    /// A client sent a control batch.
    #[error("Clients are not allowed to write control records")]
    ControlBatch,
    /// A producer id without a sequence.
    #[error(
        "Invalid sequence number {base_sequence} in record batch with producerId {producer_id}"
    )]
    Sequence {
        /// The batch's producer id.
        producer_id: base::ProducerId,
        /// The batch's base sequence.
        base_sequence: i32,
    },
    /// A record's bytes are not a record.
    #[error("record {index} of {count} is malformed: {defect}")]
    Malformed {
        /// The record's place in the batch, from 0.
        index: i32,
        /// The header's record count.
        count: i32,
        /// What is wrong.
        defect: RecordDefect,
    },
    /// A record's offset delta is not its place in the batch.
    #[error("record {index} has offset delta {offset_delta}, its place in the batch is {index}")]
    OffsetDelta {
        /// The record's place in the batch, from 0.
        index: i32,
        /// Its offset delta.
        offset_delta: i32,
    },
    /// The records do not decompress, or to more than is allowed.
    #[error("Failed to decompress record stream")]
    Decompression(#[source] CompressionError),
    /// The records cannot be brought into the topic's codec.
    #[error("records cannot be converted to the topic's compression.type")]
    Conversion(#[source] CompressionError),
    /// Records are whole but not allowed.
    #[error("{}", rejected_text(*invalid_timestamp, *total, errors))]
    Rejected {
        /// Whether any record was refused for its timestamp, which decides the error code.
        invalid_timestamp: bool,
        /// How many records were refused.
        total: usize,
        /// The first [`RECORD_ERRORS_MAX`] of them.
        errors: Vec<RecordError>,
    },
}

fn rejected_text(invalid_timestamp: bool, total: usize, errors: &[RecordError]) -> String {
    if invalid_timestamp {
        return "One or more records have been rejected due to invalid timestamp".to_owned();
    }
    let shown: Vec<String> = errors
        .iter()
        .take(SHOWN_MAX)
        .map(RecordError::to_string)
        .collect();
    format!(
        "One or more records have been rejected due to {total} record errors in total, and only showing the \
         first three errors at most: [{}]",
        shown.join(", ")
    )
}

impl ValidationError {
    /// The error code of the partition in the Produce response.
    #[must_use]
    pub fn error_code(&self) -> ErrorCode {
        match self {
            ValidationError::Corrupt(_)
            | ValidationError::NoLength { .. }
            | ValidationError::NoMagic { .. } => ErrorCode::CorruptMessage,
            ValidationError::TooLarge { .. } => ErrorCode::MessageTooLarge,
            ValidationError::ZstdTooEarly { .. } | ValidationError::UnknownCodec { .. } => {
                ErrorCode::UnsupportedCompressionType
            }
            ValidationError::Rejected {
                invalid_timestamp: true,
                ..
            } => ErrorCode::InvalidTimestamp,
            ValidationError::Conversion(_) => ErrorCode::UnknownServerError,
            ValidationError::NoBatch { .. }
            | ValidationError::OldMagic { .. }
            | ValidationError::SeveralBatches { .. }
            | ValidationError::BaseOffset { .. }
            | ValidationError::RecordCount { .. }
            | ValidationError::ControlBatch
            | ValidationError::Sequence { .. }
            | ValidationError::Malformed { .. }
            | ValidationError::OffsetDelta { .. }
            | ValidationError::Decompression(_)
            | ValidationError::Rejected {
                invalid_timestamp: false,
                ..
            } => ErrorCode::InvalidRecord,
        }
    }

    /// The partition's `error_message` from Produce version 8 on. Kafka sends one only when records were
    /// refused one by one and when there is no batch to look at; otherwise the client words the error code itself.
    #[must_use]
    pub fn error_message(&self) -> Option<String> {
        let has_message = matches!(
            self,
            ValidationError::Rejected { .. }
                | ValidationError::NoLength { .. }
                | ValidationError::NoMagic { .. }
        );
        has_message.then(|| self.to_string())
    }

    /// Whether it is for the log to refuse such a batch, and not for whoever takes the request: Kafka's answer then says
    /// where the log starts.
    #[must_use]
    pub fn is_by_log(&self) -> bool {
        match self {
            ValidationError::NoBatch { .. }
            | ValidationError::OldMagic { .. }
            | ValidationError::SeveralBatches { .. }
            | ValidationError::ZstdTooEarly { .. }
            | ValidationError::NoLength { .. }
            | ValidationError::NoMagic { .. }
            | ValidationError::Corrupt(_)
            | ValidationError::TooLarge { .. } => false,
            ValidationError::UnknownCodec { .. }
            | ValidationError::BaseOffset { .. }
            | ValidationError::RecordCount { .. }
            | ValidationError::ControlBatch
            | ValidationError::Sequence { .. }
            | ValidationError::Malformed { .. }
            | ValidationError::OffsetDelta { .. }
            | ValidationError::Decompression(_)
            | ValidationError::Conversion(_)
            | ValidationError::Rejected { .. } => true,
        }
    }

    /// The partition's `record_errors` from Produce version 8 on.
    #[must_use]
    pub fn record_errors(&self) -> &[RecordError] {
        match self {
            ValidationError::Rejected { errors, .. } => errors,
            _ => &[],
        }
    }
}
