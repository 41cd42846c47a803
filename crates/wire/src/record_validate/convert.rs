//! The cases in which a batch cannot be appended in the bytes that were sent.

use std::io::{self, Read, Write};

use bytes::Bytes;

use super::walk::{self, Walk};
use super::{TimestampRule, ValidatedBatch, ValidationError, ValidationRules, check_size};
use crate::compression::{Decoder, Encoder};
use crate::record_batch::{Attributes, BATCH_HEADER_LEN, BatchHeader, Compression, LOG_OVERHEAD};
use crate::record_data::seal;

/// The codec of the batch as sent, and codec and level of the batch as appended.
pub(super) type Codecs = (Compression, Compression, Option<i32>);

/// A batch in the making: room for its header, then its records. Keeps `cap` bytes and counts the rest, so that
/// a batch that grows beyond what is allowed costs no memory.
pub(super) struct CappedBatch {
    bytes: Vec<u8>,
    size: usize,
    cap: usize,
}

impl CappedBatch {
    fn new(capacity: usize, cap: usize) -> CappedBatch {
        let mut bytes = Vec::with_capacity(BATCH_HEADER_LEN + capacity.min(cap));
        bytes.resize(BATCH_HEADER_LEN, 0);
        CappedBatch {
            bytes,
            size: BATCH_HEADER_LEN,
            cap,
        }
    }
}

impl Write for CappedBatch {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.size = self.size.saturating_add(data.len());
        if self.size <= self.cap {
            self.bytes.extend_from_slice(data);
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads from one codec and writes what it read to the other.
struct Transcoder<'a> {
    decoder: Decoder<'a>,
    encoder: Encoder<CappedBatch>,
}

impl Read for Transcoder<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.read(out)?;
        self.encoder
            .write_all(out.get(..read).unwrap_or_default())?;
        Ok(read)
    }
}

/// Walks over the records and brings them into the target codec at the same time.
pub(super) fn recompress(
    data: &[u8],
    header: &BatchHeader,
    (source, target, level): Codecs,
    rules: &ValidationRules<'_>,
) -> Result<(Walk, CappedBatch), ValidationError> {
    let transcoder = Transcoder {
        decoder: Decoder::new(source, data, rules.decompressed_max_bytes)
            .map_err(ValidationError::Decompression)?,
        encoder: Encoder::new(
            target,
            level,
            CappedBatch::new(data.len(), rules.max_message_bytes),
        )
        .map_err(ValidationError::Conversion)?,
    };
    let (walk, transcoder) = walk::stream(transcoder, source, header, rules)?;
    let batch = transcoder
        .encoder
        .finish()
        .map_err(ValidationError::Conversion)?;
    Ok((walk, batch))
}

/// The validated batch: the bytes as sent when nothing about them changes.
pub(super) fn finish(
    batch: &Bytes,
    header: BatchHeader,
    walk: &Walk,
    source_compression: Compression,
    (target, converted): (Compression, Option<CappedBatch>),
    rules: &ValidationRules<'_>,
) -> Result<ValidatedBatch, ValidationError> {
    let (max_timestamp, max_timestamp_offset_delta, log_append_time_ms) = match rules.timestamps {
        TimestampRule::CreateTime { .. } => (walk.max_timestamp, walk.max_timestamp_at, -1),
        TimestampRule::LogAppendTime => (rules.now_ms, 0, rules.now_ms),
    };
    let is_log_append_time = rules.timestamps == TimestampRule::LogAppendTime;
    let as_sent = converted.is_none()
        && header.max_timestamp == max_timestamp
        && header.attributes.is_log_append_time() == is_log_append_time;
    let converted_batch = converted.is_some();
    let (bytes, header) = if as_sent {
        (batch.clone(), header)
    } else {
        let bytes = match converted {
            Some(capped) => {
                check_size(capped.size, rules)?;
                capped.bytes
            }
            None => batch.to_vec(),
        };
        reseal(bytes, &header, target, max_timestamp, is_log_append_time)?
    };
    Ok(ValidatedBatch {
        bytes,
        header,
        source_compression,
        max_timestamp,
        max_timestamp_offset_delta,
        log_append_time_ms,
        converted: converted_batch,
    })
}

/// Gives the batch in `bytes` a header like `header`, but for codec, length, timestamp type and largest timestamp.
fn reseal(
    mut bytes: Vec<u8>,
    header: &BatchHeader,
    codec: Compression,
    max_timestamp: i64,
    is_log_append_time: bool,
) -> Result<(Bytes, BatchHeader), ValidationError> {
    let kept = Attributes::TRANSACTIONAL | Attributes::CONTROL;
    let mut attributes = (header.attributes.0 & kept) | codec.id();
    if is_log_append_time {
        attributes |= Attributes::LOG_APPEND_TIME;
    }
    let size = bytes.len();
    let batch_length =
        i32::try_from(size - LOG_OVERHEAD).map_err(|_| ValidationError::TooLarge {
            size,
            limit: i32::MAX.unsigned_abs() as usize,
        })?;
    let header = BatchHeader {
        batch_length,
        attributes: Attributes(attributes),
        max_timestamp,
        ..*header
    };
    let crc = seal(&header, &mut bytes);
    Ok((bytes.into(), BatchHeader { crc, ..header }))
}
