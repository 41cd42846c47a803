//! Records as they lie in a batch, for whoever moves them without taking them apart: compaction keeps some
//! records of a batch and drops the others, and copies those it keeps byte by byte.
//!
//! [`raw_records`] walks over records that are decompressed already, [`rebuild`] puts records behind a header again.
//! Nothing is copied on the way but by [`rebuild`].

use super::layout::{
    RecordDefect, SliceSource, Source, put_varint, put_varlong, range, varlong_len,
};
use super::{BuildError, seal};
use crate::compression::compress_onto;
use crate::record_batch::{Attributes, BATCH_HEADER_LEN, BatchHeader, Compression, LOG_OVERHEAD};

/// One record where it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawRecord<'a> {
    /// All of it, the length in front included.
    pub bytes: &'a [u8],
    /// Milliseconds from the batch's `base_timestamp`.
    pub timestamp_delta: i64,
    /// Distance from the batch's `base_offset`.
    pub offset_delta: i32,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// Whether there is a value; a record without one is a tombstone in a compacted topic.
    pub has_value: bool,
}

impl RawRecord<'_> {
    /// Appends the record to `out` with another distance from `base_timestamp`; everything else of it stays.
    ///
    /// # Errors
    /// [`RecordDefect`] when `bytes` is no record; what [`raw_records`] gave always is one.
    pub fn put_with_timestamp_delta(
        &self,
        timestamp_delta: i64,
        out: &mut Vec<u8>,
    ) -> Result<(), RecordDefect> {
        let mut source = SliceSource::new(self.bytes);
        source.varint()?;
        let attributes = source.byte()?;
        source.varlong()?;
        let rest = usize::try_from(source.position()).unwrap_or(usize::MAX);
        let rest = self.bytes.get(rest..).ok_or(RecordDefect::PrematureEnd)?;
        let size = 1 + varlong_len(timestamp_delta) + rest.len();
        let size = i32::try_from(size).map_err(|_| RecordDefect::NegativeSize(i32::MIN))?;
        put_varint(out, size);
        out.push(attributes);
        put_varlong(out, timestamp_delta);
        out.extend_from_slice(rest);
        Ok(())
    }
}

/// Walks over the records in `data`, which holds `count` of them, decompressed, and nothing else.
#[must_use]
pub fn raw_records(data: &[u8], count: i32) -> RawRecords<'_> {
    RawRecords {
        data,
        source: SliceSource::new(data),
        left: count.max(0),
        done: false,
    }
}

/// Iterates over the records of one batch. Ends after the first error.
#[derive(Clone, Debug)]
pub struct RawRecords<'a> {
    data: &'a [u8],
    source: SliceSource<'a>,
    left: i32,
    done: bool,
}

impl<'a> RawRecords<'a> {
    fn slice(&self, from: u64, to: u64) -> &'a [u8] {
        // Positions of a walk over these same bytes.
        let index = |position: u64| usize::try_from(position).unwrap_or(usize::MAX);
        self.data.get(index(from)..index(to)).unwrap_or_default()
    }

    fn read(&mut self) -> Result<RawRecord<'a>, RecordDefect> {
        let start = self.source.position();
        let layout = self.source.record()?;
        let end = self.source.position();
        Ok(RawRecord {
            bytes: self.slice(start, end),
            timestamp_delta: layout.timestamp_delta,
            offset_delta: layout.offset_delta,
            key: range(layout.key_at, layout.key_length).map(|key| self.slice(key.start, key.end)),
            has_value: layout.value_length >= 0,
        })
    }
}

impl<'a> Iterator for RawRecords<'a> {
    type Item = Result<RawRecord<'a>, RecordDefect>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.left == 0 {
            self.done = true;
            let rest = self.source.position() < self.data.len() as u64;
            return rest.then_some(Err(RecordDefect::TrailingBytes));
        }
        self.left -= 1;
        let record = self.read();
        self.done = record.is_err();
        Some(record)
    }
}

/// Appends a batch to `out`: `header` with the length and CRC that fit, then `records`, compressed as the
/// header's attributes say at the codec's default level. Gives the header as it was written.
///
/// # Errors
/// [`BuildError::TooLarge`] from 2 GiB on, [`BuildError::Compression`]; `out` is as before then.
pub fn rebuild(
    header: &BatchHeader,
    records: &[u8],
    out: &mut Vec<u8>,
) -> Result<BatchHeader, BuildError> {
    let start = out.len();
    let rebuilt = try_rebuild(header, records, out);
    if rebuilt.is_err() {
        out.truncate(start);
    }
    rebuilt
}

fn try_rebuild(
    header: &BatchHeader,
    records: &[u8],
    out: &mut Vec<u8>,
) -> Result<BatchHeader, BuildError> {
    let start = out.len();
    out.resize(start + BATCH_HEADER_LEN, 0);
    match header.attributes.compression() {
        Some(Compression::None) | None => out.extend_from_slice(records),
        Some(codec) => compress_onto(codec, None, records, out)?,
    }
    let size = out.len() - start;
    let batch_length =
        i32::try_from(size - LOG_OVERHEAD).map_err(|_| BuildError::TooLarge(size))?;
    let header = BatchHeader {
        batch_length,
        ..*header
    };
    let crc = seal(&header, out.get_mut(start..).unwrap_or_default());
    Ok(BatchHeader { crc, ..header })
}

/// A header that keeps what an emptied batch still says: offsets, producer, sequence, epoch and largest
/// timestamp (`DefaultRecordBatch.writeEmptyHeader`).
#[must_use]
pub fn emptied(header: &BatchHeader) -> BatchHeader {
    let kept = Attributes::LOG_APPEND_TIME | Attributes::TRANSACTIONAL | Attributes::CONTROL;
    BatchHeader {
        attributes: Attributes(header.attributes.0 & kept),
        base_timestamp: super::NO_TIMESTAMP,
        record_count: 0,
        ..*header
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::decompress;
    use crate::record_batch::verify_crc;
    use crate::record_data::{BatchOptions, RecordBatchBuilder, RecordHeader, records};
    use bytes::Bytes;

    fn batch(compression: Compression) -> Bytes {
        let mut builder = RecordBatchBuilder::new(BatchOptions {
            compression,
            base_offset: 40,
            ..BatchOptions::default()
        });
        let headers = [RecordHeader::new("h", Some(b"1"))];
        builder
            .append(1_000, Some(b"a"), Some(b"one"), &[])
            .unwrap();
        builder
            .append(1_500, None, Some(&[7; 300]), &headers)
            .unwrap();
        builder.append(900, Some(b"a"), None, &[]).unwrap();
        builder.finish().unwrap()
    }

    fn data(batch: &Bytes, header: &BatchHeader) -> Bytes {
        let codec = header.attributes.compression().unwrap();
        decompress(codec, &batch[BATCH_HEADER_LEN..], 10_000).unwrap()
    }

    #[test]
    fn what_is_walked_over_and_put_back_is_the_batch() {
        for codec in [
            Compression::None,
            Compression::Gzip,
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd,
        ] {
            let batch = batch(codec);
            let header = BatchHeader::parse(&batch).unwrap();
            let data = data(&batch, &header);
            let all: Vec<RawRecord<'_>> = raw_records(&data, 3).map(Result::unwrap).collect();
            assert_eq!(all[1].key, None);
            assert_eq!((all[2].key, all[2].has_value), (Some(&b"a"[..]), false));
            assert_eq!((all[2].timestamp_delta, all[2].offset_delta), (-100, 2));
            let bytes: Vec<u8> = all
                .iter()
                .flat_map(|record| record.bytes)
                .copied()
                .collect();
            assert_eq!(bytes, data);
            let mut out = vec![9];
            let rebuilt = rebuild(&header, &bytes, &mut out).unwrap();
            assert_eq!((&out[1..], rebuilt), (&batch[..], header));
        }
    }

    #[test]
    fn another_base_timestamp_leaves_the_records_what_they_are() {
        let batch = batch(Compression::Zstd);
        let header = BatchHeader::parse(&batch).unwrap();
        let data = data(&batch, &header);
        let base_timestamp = 1 << 41;
        let mut moved = Vec::new();
        for record in raw_records(&data, 3) {
            let record = record.unwrap();
            let delta = header.base_timestamp + record.timestamp_delta - base_timestamp;
            record.put_with_timestamp_delta(delta, &mut moved).unwrap();
        }
        let header = BatchHeader {
            base_timestamp,
            ..header
        };
        let mut out = Vec::new();
        rebuild(&header, &moved, &mut out).unwrap();
        verify_crc(&out).unwrap();
        let before: Vec<_> = records(&batch, 10_000)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let after = records(&Bytes::from(out), 10_000).unwrap();
        assert_eq!(after.map(Result::unwrap).collect::<Vec<_>>(), before);
    }

    #[test]
    fn what_is_no_record_is_an_error_and_ends_the_walk() {
        let batch = batch(Compression::None);
        let data = &batch[BATCH_HEADER_LEN..];
        let mut walk = raw_records(data, 2);
        assert!(walk.next().unwrap().is_ok() && walk.next().unwrap().is_ok());
        assert_eq!(walk.next(), Some(Err(RecordDefect::TrailingBytes)));
        assert_eq!(walk.next(), None);
        let mut walk = raw_records(&data[..5], 3);
        assert!(walk.next().unwrap().is_err());
        assert_eq!(walk.next(), None);
    }

    #[test]
    fn an_emptied_batch_keeps_offsets_and_producer() {
        let mut out = Vec::new();
        let header = BatchHeader::parse(&batch(Compression::Gzip)).unwrap();
        let header = BatchHeader {
            producer_id: 5,
            producer_epoch: 1,
            base_sequence: 70,
            ..header
        };
        let empty = rebuild(&emptied(&header), &[], &mut out).unwrap();
        assert_eq!(out.len(), BATCH_HEADER_LEN);
        verify_crc(&out).unwrap();
        assert_eq!((empty.base_offset, empty.last_offset()), (40, 42));
        assert_eq!((empty.last_sequence(), empty.max_timestamp), (72, 1_500));
        assert_eq!(records(&Bytes::from(out), 10).unwrap().count(), 0);
    }
}
