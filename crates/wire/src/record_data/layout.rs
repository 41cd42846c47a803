//! Where the parts of one record lie, found without copying any of them.
//!
//! [`Source::record`] is written once over a [`Source`]; a slice in memory and a decompressor
//! ([`StreamSource`]) are the two sources, so that validation of compressed and of plain batches is the same
//! code and neither holds a record in memory.

use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

/// What is wrong with the bytes of a record.
///
/// The wording is Kafka's where Kafka has a wording (`DefaultRecord`, `DefaultRecordBatch`): it reaches the
/// producer's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordDefect {
    /// The records end before the last record does.
    PrematureEnd,
    /// A varint of more than 32 bits, or a varlong of more than 64.
    VarintTooLong,
    /// The record's length is negative.
    NegativeSize(i32),
    /// A key, value or header is longer than what is left of the record.
    FieldTooLong {
        /// The field's length.
        length: i32,
        /// What the record has left.
        remaining: u64,
    },
    /// The fields take more or fewer bytes than the record's length.
    SizeMismatch {
        /// The record's length.
        expected: i32,
        /// What its fields take.
        read: u64,
    },
    /// The number of headers is negative or more than the record can hold.
    HeaderCount(i32),
    /// A header key is null.
    HeaderKeyLength(i32),
    /// Bytes follow the last record.
    TrailingBytes,
    /// The source failed; it keeps the reason.
    Source,
}

impl fmt::Display for RecordDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordDefect::PrematureEnd => {
                f.write_str("Incorrect declared batch size, premature EOF reached")
            }
            RecordDefect::VarintTooLong => {
                f.write_str("Found invalid record structure, a varint is too long")
            }
            RecordDefect::NegativeSize(size) => {
                write!(f, "Invalid record size: {size} is negative")
            }
            RecordDefect::FieldTooLong { length, remaining } => write!(
                f,
                "Found invalid record structure, a field of {length} bytes does not fit the {remaining} \
                 that remain of the record"
            ),
            RecordDefect::SizeMismatch { expected, read } => write!(
                f,
                "Invalid record size: expected to read {expected} bytes in record payload, but instead read \
                 {read}"
            ),
            RecordDefect::HeaderCount(count) => {
                write!(f, "Found invalid number of record headers {count}")
            }
            RecordDefect::HeaderKeyLength(length) => {
                write!(f, "Invalid negative header key size {length}")
            }
            RecordDefect::TrailingBytes => {
                f.write_str("Incorrect declared batch size, records still remaining in file")
            }
            RecordDefect::Source => f.write_str("Failed to decompress record stream"),
        }
    }
}

/// Bytes that are walked forwards.
pub(crate) trait Source {
    /// Bytes walked so far.
    fn position(&self) -> u64;
    /// The next byte.
    fn byte(&mut self) -> Result<u8, RecordDefect>;
    /// Walks over `count` bytes.
    fn skip(&mut self, count: u64) -> Result<(), RecordDefect>;

    /// A zigzag varint. Bits beyond the 32nd are dropped, as `ByteUtils.readVarint` does.
    #[inline(always)]
    fn varint(&mut self) -> Result<i32, RecordDefect> {
        Ok(unzigzag(self.raw(5)?) as i32)
    }

    /// A zigzag varlong.
    #[inline(always)]
    fn varlong(&mut self) -> Result<i64, RecordDefect> {
        Ok(unzigzag(self.raw(10)?))
    }

    /// Walks over one record.
    #[inline(always)]
    fn record(&mut self) -> Result<RecordLayout, RecordDefect>
    where
        Self: Sized,
    {
        any_record(self)
    }

    /// A number in groups of seven bits, the lowest first, of at most `bytes_max` bytes.
    #[inline]
    fn raw(&mut self, bytes_max: u32) -> Result<u64, RecordDefect> {
        raw_bytewise(self, bytes_max)
    }
}

/// Walks over any record, field by field.
#[inline]
fn any_record<S: Source>(source: &mut S) -> Result<RecordLayout, RecordDefect> {
    let size = source.varint()?;
    if size < 0 {
        return Err(RecordDefect::NegativeSize(size));
    }
    RecordLayout::fields(source, size)
}

#[inline]
fn raw_bytewise<S: Source + ?Sized>(source: &mut S, bytes_max: u32) -> Result<u64, RecordDefect> {
    let mut raw = 0;
    for group in 0..bytes_max {
        let byte = source.byte()?;
        raw |= u64::from(byte & 0x7f) << (7 * group);
        if byte < 0x80 {
            // A varint of five bytes has three bits more than 32.
            return Ok(if bytes_max == 5 {
                raw & u64::from(u32::MAX)
            } else {
                raw
            });
        }
    }
    Err(RecordDefect::VarintTooLong)
}

#[inline(always)]
fn unzigzag(raw: u64) -> i64 {
    (raw >> 1) as i64 ^ -((raw & 1) as i64)
}

/// A source over bytes in memory.
#[derive(Clone, Debug)]
pub(crate) struct SliceSource<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> SliceSource<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> SliceSource<'a> {
        SliceSource {
            rest: bytes,
            length: bytes.len(),
        }
    }

    /// A source at `position` of the same bytes a source was made of.
    pub(crate) fn at(bytes: &'a [u8], position: usize) -> SliceSource<'a> {
        SliceSource {
            rest: bytes.get(position..).unwrap_or_default(),
            length: bytes.len(),
        }
    }
}

/// Walks over a record that is not plain, on a copy, so that the original can stay in registers.
#[inline(never)]
fn unusual_record(mut source: SliceSource<'_>) -> Result<(RecordLayout, &[u8]), RecordDefect> {
    let layout = any_record(&mut source)?;
    Ok((layout, source.rest))
}

/// The bytes in which [`plain_record`] looks for the numbers in front of the key: the size and three fields of up
/// to three bytes each, and the attributes.
const HEAD_LEN: usize = 16;

/// A record as nearly all are: no number of more than three bytes, no headers, and at least [`HEAD_LEN`] bytes in
/// all. `None` when it is another, or none at all. Validation spends its time here; the fixed head spares a
/// check of the bounds at each byte.
#[inline(always)]
fn plain_record(bytes: &[u8], at: u64) -> Option<(RecordLayout, &[u8])> {
    let head: &[u8; HEAD_LEN] = bytes.first_chunk()?;
    let (size, body_at) = small_number(head, 0)?;
    let end = body_at + usize::try_from(size).ok()?;
    let attributes = head[body_at] as i8;
    let (timestamp_delta, next) = small_number(head, body_at + 1)?;
    let (offset_delta, next) = small_number(head, next)?;
    let (key_length, key_at) = small_number(head, next)?;
    let value_length_at = key_at + usize::try_from(key_length).unwrap_or(0);
    let value_head: &[u8; 3] = bytes.get(value_length_at..)?.first_chunk()?;
    let (value_length, length_len) = short_number(value_head)?;
    let value_at = value_length_at + length_len;
    let headers_at = value_at + usize::try_from(value_length).unwrap_or(0);
    let (record, rest) = bytes.split_at_checked(end)?;
    if headers_at + 1 != end || record.last() != Some(&0) {
        return None;
    }
    let layout = RecordLayout {
        attributes,
        timestamp_delta: i64::from(timestamp_delta),
        offset_delta,
        key_length,
        key_at: at + key_at as u64,
        value_length,
        value_at: at + value_at as u64,
        header_count: 0,
        headers_at: at + end as u64,
    };
    Some((layout, rest))
}

/// The zigzag number at `at` and where it ends, when it has three bytes at most.
#[inline(always)]
fn small_number(head: &[u8; HEAD_LEN], at: usize) -> Option<(i32, usize)> {
    // The mask spares the check; four numbers of three bytes and the attributes end below it.
    let byte = |i: usize| u32::from(head[i & (HEAD_LEN - 1)]);
    let (number, length) = three_bytes(byte(at), || byte(at + 1), || byte(at + 2))?;
    Some((number, at + length))
}

/// The zigzag number and its length, when it has three bytes at most.
#[inline(always)]
fn short_number(bytes: &[u8; 3]) -> Option<(i32, usize)> {
    three_bytes(
        u32::from(bytes[0]),
        || u32::from(bytes[1]),
        || u32::from(bytes[2]),
    )
}

#[inline(always)]
fn three_bytes(
    first: u32,
    second: impl Fn() -> u32,
    third: impl Fn() -> u32,
) -> Option<(i32, usize)> {
    let unzigzag = |raw: u32| (raw >> 1) as i32 ^ -((raw & 1) as i32);
    if first < 0x80 {
        return Some((unzigzag(first), 1));
    }
    let raw = first & 0x7f | second() << 7;
    if raw < 0x80 << 7 {
        return Some((unzigzag(raw), 2));
    }
    let raw = raw & 0x3fff | third() << 14;
    (raw < 0x80 << 14).then(|| (unzigzag(raw), 3))
}

impl Source for SliceSource<'_> {
    /// The next record begins where the size says, so that the processor can begin with it before it is done
    /// with this one.
    #[inline(always)]
    fn record(&mut self) -> Result<RecordLayout, RecordDefect> {
        let at = self.length - self.rest.len();
        if let Some((layout, rest)) = plain_record(self.rest, at as u64) {
            self.rest = rest;
            return Ok(layout);
        }
        let (layout, rest) = unusual_record(self.clone())?;
        self.rest = rest;
        Ok(layout)
    }

    #[inline(always)]
    fn position(&self) -> u64 {
        (self.length - self.rest.len()) as u64
    }

    #[inline(always)]
    fn byte(&mut self) -> Result<u8, RecordDefect> {
        let (first, rest) = self.rest.split_first().ok_or(RecordDefect::PrematureEnd)?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline(always)]
    fn skip(&mut self, count: u64) -> Result<(), RecordDefect> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        self.rest = self.rest.get(count..).ok_or(RecordDefect::PrematureEnd)?;
        Ok(())
    }
}

/// The room a stream is read through, in bytes.
const STREAM_BUFFER_LEN: usize = 16 * 1024;

/// A source over a reader, of fixed memory whatever the records' size.
pub(crate) struct StreamSource<R> {
    reader: R,
    buffer: Box<[u8]>,
    taken: usize,
    filled: usize,
    /// Bytes walked over before the current buffer.
    before: u64,
    error: Option<io::Error>,
}

impl<R: Read> StreamSource<R> {
    pub(crate) fn new(reader: R) -> StreamSource<R> {
        StreamSource {
            reader,
            buffer: vec![0; STREAM_BUFFER_LEN].into_boxed_slice(),
            taken: 0,
            filled: 0,
            before: 0,
            error: None,
        }
    }

    /// Why the reader failed, after a [`RecordDefect::Source`].
    pub(crate) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// The reader; what is still in the buffer is lost.
    pub(crate) fn into_reader(self) -> R {
        self.reader
    }

    /// Reads on after the buffer was used up; false at the end.
    #[cold]
    #[inline(never)]
    fn fill(&mut self) -> Result<bool, RecordDefect> {
        self.before += self.filled as u64;
        self.taken = 0;
        self.filled = 0;
        loop {
            match self.reader.read(&mut self.buffer) {
                Ok(read) => {
                    self.filled = read;
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.error = Some(error);
                    return Err(RecordDefect::Source);
                }
            }
        }
    }

    /// Whether everything was walked over.
    pub(crate) fn at_end(&mut self) -> Result<bool, RecordDefect> {
        Ok(self.taken >= self.filled && !self.fill()?)
    }
}

impl<R: Read> Source for StreamSource<R> {
    #[inline(always)]
    fn position(&self) -> u64 {
        self.before + self.taken as u64
    }

    #[inline(always)]
    fn byte(&mut self) -> Result<u8, RecordDefect> {
        loop {
            if self.taken < self.filled
                && let Some(byte) = self.buffer.get(self.taken)
            {
                self.taken += 1;
                return Ok(*byte);
            }
            if !self.fill()? {
                return Err(RecordDefect::PrematureEnd);
            }
        }
    }

    #[inline]
    fn skip(&mut self, mut count: u64) -> Result<(), RecordDefect> {
        loop {
            let ready = (self.filled - self.taken) as u64;
            if count <= ready {
                self.taken += count as usize;
                return Ok(());
            }
            count -= ready;
            self.taken = self.filled;
            if !self.fill()? {
                return Err(RecordDefect::PrematureEnd);
            }
        }
    }
}

/// Where the parts of one record lie, as positions in its source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecordLayout {
    pub(crate) attributes: i8,
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    /// The key's length on the wire; negative for null.
    pub(crate) key_length: i32,
    pub(crate) key_at: u64,
    /// The value's length on the wire; negative for null.
    pub(crate) value_length: i32,
    pub(crate) value_at: u64,
    pub(crate) header_count: i32,
    /// Where the first header begins.
    pub(crate) headers_at: u64,
}

/// Walks over a nullable field; gives its length and where it begins.
#[inline(always)]
fn field<S: Source>(source: &mut S, end: u64) -> Result<(i32, u64), RecordDefect> {
    let length = source.varint()?;
    let at = source.position();
    if length > 0 {
        let remaining = end.saturating_sub(at);
        let wanted = u64::from(length.unsigned_abs());
        if wanted > remaining {
            return Err(RecordDefect::FieldTooLong { length, remaining });
        }
        source.skip(wanted)?;
    }
    Ok((length, at))
}

/// Walks over a header; gives where its key and its value lie.
#[inline]
pub(crate) fn header<S: Source>(
    source: &mut S,
    end: u64,
) -> Result<(Range<u64>, Option<Range<u64>>), RecordDefect> {
    let (key_length, key_at) = field(source, end)?;
    if key_length < 0 {
        return Err(RecordDefect::HeaderKeyLength(key_length));
    }
    let (value_length, value_at) = field(source, end)?;
    let key = key_at..key_at + u64::from(key_length.unsigned_abs());
    Ok((key, range(value_at, value_length)))
}

/// The range of a nullable field.
pub(crate) fn range(at: u64, length: i32) -> Option<Range<u64>> {
    let length = u64::try_from(length).ok()?;
    Some(at..at + length)
}

impl RecordLayout {
    /// Walks over the fields of a record of `size` bytes that begins where `source` stands.
    #[inline(always)]
    fn fields<S: Source>(source: &mut S, size: i32) -> Result<RecordLayout, RecordDefect> {
        let start = source.position();
        let end = start + u64::from(size.unsigned_abs());
        let attributes = source.byte()? as i8;
        let timestamp_delta = source.varlong()?;
        let offset_delta = source.varint()?;
        let (key_length, key_at) = field(source, end)?;
        let (value_length, value_at) = field(source, end)?;
        let header_count = source.varint()?;
        let headers_at = source.position();
        if header_count != 0 {
            skip_headers(source, header_count, end)?;
        }
        if source.position() != end {
            let read = source.position() - start;
            return Err(RecordDefect::SizeMismatch {
                expected: size,
                read,
            });
        }
        Ok(RecordLayout {
            attributes,
            timestamp_delta,
            offset_delta,
            key_length,
            key_at,
            value_length,
            value_at,
            header_count,
            headers_at,
        })
    }
}

#[inline(never)]
fn skip_headers<S: Source>(source: &mut S, count: i32, end: u64) -> Result<(), RecordDefect> {
    let remaining = end.saturating_sub(source.position());
    // A header takes two bytes at least.
    if u64::try_from(count).map_or(true, |count| count > remaining / 2) {
        return Err(RecordDefect::HeaderCount(count));
    }
    for _ in 0..count {
        header(source, end)?;
    }
    Ok(())
}

/// Appends a zigzag varint.
pub(crate) fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_raw(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

/// Appends a zigzag varlong.
pub(crate) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    put_raw(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn put_raw(out: &mut Vec<u8>, mut raw: u64) {
    while raw >= 0x80 {
        out.push((raw & 0x7f) as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

/// The bytes a zigzag varint takes.
pub(crate) fn varint_len(value: i32) -> usize {
    raw_len(u64::from(((value << 1) ^ (value >> 31)) as u32))
}

/// The bytes a zigzag varlong takes.
pub(crate) fn varlong_len(value: i64) -> usize {
    raw_len(((value << 1) ^ (value >> 63)) as u64)
}

fn raw_len(raw: u64) -> usize {
    // Seven bits to the byte, and zero takes one too.
    ((u64::BITS - (raw | 1).leading_zeros()).div_ceil(7)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_round_trip_at_every_length() {
        for shift in 0..64 {
            for value in [
                1i64 << shift,
                (1i64 << shift).wrapping_sub(1),
                (1i64 << shift).wrapping_neg(),
            ] {
                let mut bytes = Vec::new();
                put_varlong(&mut bytes, value);
                assert_eq!(bytes.len(), varlong_len(value));
                assert_eq!(SliceSource::new(&bytes).varlong(), Ok(value));
                let narrow = value as i32;
                bytes.clear();
                put_varint(&mut bytes, narrow);
                assert_eq!(bytes.len(), varint_len(narrow));
                assert_eq!(SliceSource::new(&bytes).varint(), Ok(narrow));
                assert_eq!(StreamSource::new(bytes.as_slice()).varint(), Ok(narrow));
            }
        }
    }

    #[test]
    fn a_varint_never_ends_late() {
        let endless = [0xff; 11];
        assert_eq!(
            SliceSource::new(&endless).varint(),
            Err(RecordDefect::VarintTooLong)
        );
        assert_eq!(
            SliceSource::new(&endless).varlong(),
            Err(RecordDefect::VarintTooLong)
        );
        assert_eq!(
            SliceSource::new(&endless[..3]).varint(),
            Err(RecordDefect::PrematureEnd)
        );
    }

    #[test]
    fn a_stream_source_walks_over_more_than_its_buffer() {
        let bytes = vec![7u8; STREAM_BUFFER_LEN * 3 + 5];
        let mut source = StreamSource::new(bytes.as_slice());
        source.skip(STREAM_BUFFER_LEN as u64 * 3).unwrap();
        assert_eq!(source.position(), STREAM_BUFFER_LEN as u64 * 3);
        source.skip(4).unwrap();
        assert_eq!(source.at_end(), Ok(false));
        assert_eq!(source.byte(), Ok(7));
        assert_eq!(source.at_end(), Ok(true));
        assert_eq!(source.byte(), Err(RecordDefect::PrematureEnd));
    }

    #[test]
    fn both_sources_walk_alike() {
        // Records of every shape near the edges of the short way, then with one byte changed.
        let mut state = 5u64;
        let mut next = |bound: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % bound
        };
        let mut refused = 0;
        for _ in 0..20_000 {
            let mut body = vec![0];
            put_varlong(&mut body, 1i64 << next(30));
            put_varint(&mut body, next(70_000) as i32);
            for _ in 0..2 {
                let length = next(20) as i32 - 1;
                put_varint(&mut body, length);
                body.resize(body.len() + usize::try_from(length).unwrap_or(0), 7);
            }
            let headers = next(8) / 7;
            put_varint(&mut body, headers as i32);
            body.resize(body.len() + 2 * headers as usize, 0);
            let mut bytes = Vec::new();
            put_varint(&mut bytes, body.len() as i32);
            bytes.extend(body);
            if next(3) > 0 {
                let at = next(bytes.len() as u64) as usize;
                bytes[at] = next(256) as u8;
            }
            // What follows is the next record's, or nothing.
            bytes.resize(bytes.len() + next(3) as usize * 9, 0);
            let mut slice = SliceSource::new(&bytes);
            let mut stream = StreamSource::new(bytes.as_slice());
            let (of_slice, of_stream) = (slice.record(), stream.record());
            refused += u32::from(of_slice.is_err());
            assert_eq!(of_slice, of_stream, "{bytes:?}");
            if of_slice.is_ok() {
                assert_eq!(slice.position(), stream.position());
            }
        }
        assert!((1_000..15_000).contains(&refused), "{refused}");
    }
}
