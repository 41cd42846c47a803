//! One walk over the records of a batch, looking at what `LogValidator.validateRecord` looks at.

use std::io::Read;

use super::error::{RECORD_ERRORS_MAX, RecordError, ValidationError};
use super::{TimestampRule, ValidationRules};
use crate::compression::{CompressionError, Decoder};
use crate::record_batch::{BatchHeader, Compression};
use crate::record_data::layout::{RecordLayout, SliceSource, Source, StreamSource};
use crate::record_data::{NO_TIMESTAMP, RecordDefect};

/// What a walk found.
pub(super) struct Walk {
    /// The largest timestamp, -1 for none.
    pub(super) max_timestamp: i64,
    /// The first record that has it.
    pub(super) max_timestamp_at: i32,
    /// The first record whose offset delta is not its place in the batch.
    misplaced: Option<(i32, i32)>,
    errors: Vec<RecordError>,
    total: usize,
    invalid_timestamp: bool,
}

impl Walk {
    /// The walk itself when no record was refused.
    pub(super) fn accept(self) -> Result<Walk, ValidationError> {
        if self.total > 0 {
            return Err(ValidationError::Rejected {
                invalid_timestamp: self.invalid_timestamp,
                total: self.total,
                errors: self.errors,
            });
        }
        match self.misplaced {
            Some((index, offset_delta)) => Err(ValidationError::OffsetDelta {
                index,
                offset_delta,
            }),
            None => Ok(self),
        }
    }
}

/// Walks over uncompressed records.
pub(super) fn plain(
    data: &[u8],
    header: &BatchHeader,
    rules: &ValidationRules<'_>,
) -> Result<Walk, ValidationError> {
    let mut source = SliceSource::new(data);
    let walk = walk(&mut source, header, rules)?;
    if source.position() != data.len() as u64 {
        return Err(malformed(
            header,
            header.record_count,
            RecordDefect::TrailingBytes,
        ));
    }
    Ok(walk)
}

/// Walks over compressed records.
pub(super) fn compressed(
    data: &[u8],
    codec: Compression,
    header: &BatchHeader,
    rules: &ValidationRules<'_>,
) -> Result<Walk, ValidationError> {
    let decoder = Decoder::new(codec, data, rules.decompressed_max_bytes)
        .map_err(ValidationError::Decompression)?;
    Ok(stream(decoder, codec, header, rules)?.0)
}

/// Walks over what `reader` gives, to its end; gives the reader back.
pub(super) fn stream<R: Read>(
    reader: R,
    codec: Compression,
    header: &BatchHeader,
    rules: &ValidationRules<'_>,
) -> Result<(Walk, R), ValidationError> {
    let mut source = StreamSource::new(reader);
    let walked = walk(&mut source, header, rules).and_then(|walk| match source.at_end() {
        Ok(true) => Ok(walk),
        Ok(false) => Err(malformed(
            header,
            header.record_count,
            RecordDefect::TrailingBytes,
        )),
        Err(defect) => Err(malformed(header, header.record_count, defect)),
    });
    match (walked, source.take_error()) {
        (Err(_), Some(error)) => Err(ValidationError::Decompression(CompressionError::from_read(
            codec, error,
        ))),
        (walked, _) => Ok((walked?, source.into_reader())),
    }
}

fn malformed(header: &BatchHeader, index: i32, defect: RecordDefect) -> ValidationError {
    ValidationError::Malformed {
        index,
        count: header.record_count,
        defect,
    }
}

fn walk<S: Source>(
    source: &mut S,
    header: &BatchHeader,
    rules: &ValidationRules<'_>,
) -> Result<Walk, ValidationError> {
    let mut walk = Walk {
        max_timestamp: NO_TIMESTAMP,
        max_timestamp_at: 0,
        misplaced: None,
        errors: Vec::new(),
        total: 0,
        invalid_timestamp: false,
    };
    let batch_is_log_append_time = header.attributes.is_log_append_time();
    for index in 0..header.record_count {
        let record = match source.record() {
            Ok(record) => record,
            Err(defect) => return Err(malformed(header, index, defect)),
        };
        let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
        if let Some(fault) = judge(&record, timestamp, batch_is_log_append_time, rules) {
            refuse(&mut walk, index, fault, (&record, timestamp, header), rules);
        }
        if timestamp > walk.max_timestamp {
            walk.max_timestamp = timestamp;
            walk.max_timestamp_at = index;
        }
        if record.offset_delta != index && walk.misplaced.is_none() {
            walk.misplaced = Some((index, record.offset_delta));
        }
    }
    Ok(walk)
}

/// Why a whole record is not allowed.
#[derive(Clone, Copy)]
enum Fault {
    NoKey,
    TimestampRange {
        before_max_ms: i64,
        after_max_ms: i64,
    },
    TimestampType,
}

/// `LogValidator.validateKey` and `validateTimestamp`. Arithmetic wraps where Java's does, so that absurd
/// timestamps fare alike.
#[inline(always)]
fn judge(
    record: &RecordLayout,
    timestamp: i64,
    batch_is_log_append_time: bool,
    rules: &ValidationRules<'_>,
) -> Option<Fault> {
    if rules.compacted && record.key_length < 0 {
        return Some(Fault::NoKey);
    }
    match rules.timestamps {
        TimestampRule::CreateTime {
            before_max_ms,
            after_max_ms,
        } if timestamp != NO_TIMESTAMP => {
            let age = rules.now_ms.wrapping_sub(timestamp);
            let out = age > before_max_ms || age.wrapping_neg() > after_max_ms;
            out.then_some(Fault::TimestampRange {
                before_max_ms,
                after_max_ms,
            })
        }
        _ => batch_is_log_append_time.then_some(Fault::TimestampType),
    }
}

#[cold]
#[inline(never)]
fn refuse(
    walk: &mut Walk,
    index: i32,
    fault: Fault,
    (record, timestamp, header): (&RecordLayout, i64, &BatchHeader),
    rules: &ValidationRules<'_>,
) {
    walk.total += 1;
    walk.invalid_timestamp |= !matches!(fault, Fault::NoKey);
    if walk.errors.len() >= RECORD_ERRORS_MAX {
        return;
    }
    let offset = header
        .base_offset
        .wrapping_add(i64::from(record.offset_delta));
    let message = match fault {
        Fault::NoKey => format!(
            "Compacted topic cannot accept message without key in topic partition {}",
            rules.topic_partition()
        ),
        Fault::TimestampRange {
            before_max_ms,
            after_max_ms,
        } => format!(
            "Timestamp {timestamp} of message with offset {offset} is out of range. The timestamp should be \
             within [{}, {}]",
            rules.now_ms.wrapping_sub(before_max_ms),
            rules.now_ms.wrapping_add(after_max_ms)
        ),
        Fault::TimestampType => format!(
            "Invalid timestamp type in message DefaultRecord(offset={offset}, timestamp={}, \
             key={} bytes, value={} bytes). Producer should not set timestamp type to LogAppendTime.",
            header.max_timestamp,
            record.key_length.max(0),
            record.value_length.max(0)
        ),
    };
    walk.errors.push(RecordError {
        batch_index: index,
        message,
    });
}
