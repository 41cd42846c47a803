//! Iteration over the batches of a range and over the records of a batch.

use std::iter::FusedIterator;
use std::ops::Range;

use bytes::Bytes;

use super::layout::{SliceSource, Source, header, range};
use super::{Record, RecordDataError, RecordDefect, RecordHeader};
use crate::compression::decompress;
use crate::record_batch::{Attributes, BATCH_HEADER_LEN, BatchError, BatchHeader, Compression};

/// The records of one batch, `batch` being exactly that batch or beginning with it. Compressed records are
/// decompressed here, into at most `limit` bytes. The CRC is not checked: see
/// [`crate::record_batch::verify_crc`].
///
/// # Errors
/// [`RecordDataError`] for a wrong header, an unknown codec or data that does not decompress. A record that is
/// wrong is found when the iterator comes to it.
pub fn records(batch: &Bytes, limit: usize) -> Result<RecordIter, RecordDataError> {
    let header = BatchHeader::parse(batch)?;
    let need = header.size_in_bytes();
    if batch.len() < need {
        return Err(BatchError::Truncated {
            have: batch.len(),
            need,
        }
        .into());
    }
    let data = batch.slice(BATCH_HEADER_LEN..need);
    let data = match header.attributes.compression() {
        Some(Compression::None) => data,
        Some(codec) => decompress(codec, &data, limit)?,
        None => {
            return Err(RecordDataError::UnknownCodec(
                header.attributes.0 & Attributes::COMPRESSION_MASK,
            ));
        }
    };
    Ok(RecordIter {
        header,
        data,
        position: 0,
        index: 0,
        done: false,
    })
}

/// Iterates over the records of one batch. Ends after the first error.
#[derive(Clone, Debug)]
pub struct RecordIter {
    header: BatchHeader,
    data: Bytes,
    position: usize,
    index: usize,
    done: bool,
}

impl RecordIter {
    /// The batch's header.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    fn expected(&self) -> usize {
        usize::try_from(self.header.record_count).unwrap_or(0)
    }

    fn read(&mut self) -> Result<Record, RecordDefect> {
        let mut source = SliceSource::at(&self.data, self.position);
        let layout = source.record()?;
        let end = source.position();
        let mut headers_source = SliceSource::at(&self.data, index(layout.headers_at));
        // `Source::record` walked over every header, so their number is real.
        let mut headers = Vec::with_capacity(usize::try_from(layout.header_count).unwrap_or(0));
        for _ in 0..layout.header_count {
            let (key, value) = header(&mut headers_source, end)?;
            headers.push(RecordHeader {
                key: self.slice(key),
                value: value.map(|value| self.slice(value)),
            });
        }
        self.position = index(end);
        let timestamp = if self.header.attributes.is_log_append_time() {
            self.header.max_timestamp
        } else {
            self.header
                .base_timestamp
                .wrapping_add(layout.timestamp_delta)
        };
        Ok(Record {
            attributes: layout.attributes,
            timestamp,
            offset: self
                .header
                .base_offset
                .wrapping_add(i64::from(layout.offset_delta)),
            key: range(layout.key_at, layout.key_length).map(|key| self.slice(key)),
            value: range(layout.value_at, layout.value_length).map(|value| self.slice(value)),
            headers,
        })
    }

    /// `part` of the records; every range comes from a walk over these same bytes.
    fn slice(&self, part: Range<u64>) -> Bytes {
        self.data.slice(index(part.start)..index(part.end))
    }

    fn fail(&mut self, defect: RecordDefect) -> RecordDataError {
        self.done = true;
        RecordDataError::Malformed {
            index: self.index,
            count: self.header.record_count,
            defect,
        }
    }
}

/// A position in bytes that are in memory.
fn index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

impl Iterator for RecordIter {
    type Item = Result<Record, RecordDataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.index >= self.expected() {
            self.done = true;
            let rest = self.data.len() > self.position;
            return rest.then(|| Err(self.fail(RecordDefect::TrailingBytes)));
        }
        match self.read() {
            Ok(record) => {
                self.index += 1;
                Some(Ok(record))
            }
            Err(defect) => Some(Err(self.fail(defect))),
        }
    }
}

impl FusedIterator for RecordIter {}

/// The batches in `bytes`, end to end, each as a slice of `bytes`. A batch that is cut short at the end is left
/// out without an error, since a fetch response may end inside one. CRCs are not checked.
#[must_use]
pub fn batches(bytes: &Bytes) -> BatchIter {
    BatchIter {
        rest: bytes.clone(),
    }
}

/// Iterates over whole batches. Ends after the first error.
#[derive(Clone, Debug)]
pub struct BatchIter {
    rest: Bytes,
}

impl Iterator for BatchIter {
    type Item = Result<(BatchHeader, Bytes), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.len() < BATCH_HEADER_LEN {
            return None;
        }
        let header = match BatchHeader::parse(&self.rest) {
            Ok(header) => header,
            Err(error) => {
                self.rest = Bytes::new();
                return Some(Err(error));
            }
        };
        let size = header.size_in_bytes();
        if size > self.rest.len() {
            self.rest = Bytes::new();
            return None;
        }
        Some(Ok((header, self.rest.split_to(size))))
    }
}

impl FusedIterator for BatchIter {}
