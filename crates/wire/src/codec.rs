//! Reader and writer for Kafka's primitive types.
//!
//! [`Reader`] walks one frame. It never reads past the end, and it refuses a length before allocating for it:
//! an array of `n` elements needs at least `n` times the smallest element in the bytes that remain.
//! [`Writer`] collects one response as chunks, so that record bytes and file ranges pass through uncopied.
//!
//! Types and encodings: <https://kafka.apache.org/protocol.html#protocol_types>; compact types and tagged
//! fields: KIP-482.

use std::fmt;

use base::Uuid;
use bytes::{BufMut, Bytes, BytesMut};

use crate::records::{FileRegion, Records, RecordsPart};

/// Record bytes shorter than this are copied into the response instead of becoming a chunk of their own:
/// an `iovec` costs more than copying a kilobyte.
const SPLICE_MIN_BYTES: usize = 1024;

/// Elements to reserve room for before any of them was read, at most.
const ARRAY_RESERVE_MAX: usize = 256;

/// Why bytes are not the message they were taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} version {version} cannot be decoded at byte {position}: {kind}")]
pub struct DecodeError {
    /// The message that was being read.
    pub message: &'static str,
    /// Its version.
    pub version: i16,
    /// Bytes from the start of the message body to the value that is wrong.
    pub position: usize,
    /// What is wrong.
    pub kind: DecodeErrorKind,
}

/// What is wrong with a value in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The bytes end inside the value.
    UnexpectedEnd {
        /// Bytes the value needs.
        needed: usize,
        /// Bytes that remain.
        remaining: usize,
    },
    /// A length or count that the remaining bytes cannot hold.
    LengthTooLarge {
        /// The length or count on the wire.
        length: u64,
        /// Bytes that remain.
        remaining: usize,
    },
    /// A negative length other than the one that means null.
    NegativeLength(i32),
    /// Null where the schema does not allow it.
    UnexpectedNull,
    /// A string that is not UTF-8.
    InvalidUtf8,
    /// A varint of more than five bytes.
    VarintTooLong,
    /// A tagged field that does not end where its size says.
    TaggedFieldSize {
        /// The field's tag.
        tag: u32,
    },
    /// Tags that do not strictly ascend.
    TagOrder {
        /// The tag that came too late.
        tag: u32,
    },
    /// The version is outside the message's range.
    UnsupportedVersion,
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeErrorKind::UnexpectedEnd { needed, remaining } => {
                write!(f, "{needed} bytes needed, {remaining} remain")
            }
            DecodeErrorKind::LengthTooLarge { length, remaining } => {
                write!(
                    f,
                    "length {length} does not fit the {remaining} bytes that remain"
                )
            }
            DecodeErrorKind::NegativeLength(length) => write!(f, "length {length} is negative"),
            DecodeErrorKind::UnexpectedNull => f.write_str("null where null is not allowed"),
            DecodeErrorKind::InvalidUtf8 => f.write_str("string is not UTF-8"),
            DecodeErrorKind::VarintTooLong => f.write_str("varint is longer than five bytes"),
            DecodeErrorKind::TaggedFieldSize { tag } => {
                write!(f, "tagged field {tag} does not end where its size says")
            }
            DecodeErrorKind::TagOrder { tag } => {
                write!(f, "tagged field {tag} is repeated or out of order")
            }
            DecodeErrorKind::UnsupportedVersion => f.write_str("the version is not supported"),
        }
    }
}

/// Why a message cannot be written in a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The version is outside the message's range.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// The message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field holds a value that the version has no room for, and the schema does not let it be dropped.
    #[error("{message} version {version} has no field '{field}', which is set")]
    UnsupportedField {
        /// The message or struct.
        message: &'static str,
        /// The version asked for.
        version: i16,
        /// The field, as the schema spells it.
        field: &'static str,
    },
    /// Null in a version in which the field is not nullable.
    #[error("{message} version {version}: field '{field}' must not be null")]
    UnexpectedNull {
        /// The message or struct.
        message: &'static str,
        /// The version asked for.
        version: i16,
        /// The field, as the schema spells it.
        field: &'static str,
    },
    /// A string longer than 32,767 bytes in a version whose strings have 16-bit lengths, or a response
    /// of 2 GiB and more.
    #[error("a value of {0} bytes is too long for its length prefix")]
    TooLong(usize),
}

/// A message of the protocol, in every version of its range.
pub trait Message: Sized {
    /// The schema's name, such as `ProduceRequest`.
    const NAME: &'static str;
    /// The oldest version that is encoded and decoded.
    const MIN_VERSION: i16;
    /// The newest version that is encoded and decoded.
    const MAX_VERSION: i16;
    /// The first flexible version (KIP-482); `i16::MAX` when there is none.
    const FIRST_FLEXIBLE_VERSION: i16;

    /// Reads the message. Bytes that follow it are left in `reader`.
    ///
    /// # Errors
    /// A [`DecodeErrorKind`], wherever the reader then stands.
    fn read(reader: &mut Reader, version: i16) -> Result<Self, DecodeErrorKind>;

    /// Writes the message.
    ///
    /// # Errors
    /// [`EncodeError`] when a field holds what the version cannot say. `writer` then holds half a message.
    fn write(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError>;

    /// Decodes a message from `reader`, checking the version first.
    ///
    /// # Errors
    /// [`DecodeError`] with the message's name, the version and the position.
    fn decode(reader: &mut Reader, version: i16) -> Result<Self, DecodeError> {
        let fail = |position, kind| DecodeError {
            message: Self::NAME,
            version,
            position,
            kind,
        };
        if !(Self::MIN_VERSION..=Self::MAX_VERSION).contains(&version) {
            return Err(fail(0, DecodeErrorKind::UnsupportedVersion));
        }
        let start = reader.position();
        Self::read(reader, version).map_err(|kind| fail(reader.position() - start, kind))
    }

    /// Encodes the message into `writer`, checking the version first.
    ///
    /// # Errors
    /// [`EncodeError`]; `writer` then holds half a message and must be dropped.
    fn encode(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !(Self::MIN_VERSION..=Self::MAX_VERSION).contains(&version) {
            return Err(EncodeError::UnsupportedVersion {
                message: Self::NAME,
                version,
            });
        }
        self.write(writer, version)
    }
}

/// A message that a client sends and the response it gets.
pub trait Request: Message {
    /// The key that names the API on the wire.
    const API_KEY: i16;
    /// What the broker answers.
    type Response: Message;
}

type Decoded<T> = Result<T, DecodeErrorKind>;

/// A cursor over the bytes of one frame. Slices it hands out share the frame's memory.
#[derive(Debug, Clone)]
pub struct Reader {
    bytes: Bytes,
    position: usize,
}

impl Reader {
    /// A cursor at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: Bytes) -> Reader {
        Reader { bytes, position: 0 }
    }

    /// Bytes read so far.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    fn take<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let Some(taken) = rest.first_chunk::<N>() else {
            return Err(DecodeErrorKind::UnexpectedEnd {
                needed: N,
                remaining: rest.len(),
            });
        };
        self.position += N;
        Ok(*taken)
    }

    fn check(&self, length: usize) -> Decoded<()> {
        if length > self.remaining() {
            return Err(DecodeErrorKind::LengthTooLarge {
                length: length as u64,
                remaining: self.remaining(),
            });
        }
        Ok(())
    }

    /// The next `length` bytes, sharing the frame's memory.
    ///
    /// # Errors
    /// [`DecodeErrorKind::LengthTooLarge`] when fewer remain.
    pub fn slice(&mut self, length: usize) -> Decoded<Bytes> {
        self.check(length)?;
        let slice = self.bytes.slice(self.position..self.position + length);
        self.position += length;
        Ok(slice)
    }

    /// A boolean: any byte but 0 is true, as in the Java client.
    ///
    /// # Errors
    /// The bytes end.
    pub fn bool(&mut self) -> Decoded<bool> {
        Ok(self.take::<1>()? != [0])
    }

    /// A presence marker of a nullable struct: negative is null.
    ///
    /// # Errors
    /// The bytes end.
    pub fn is_present(&mut self) -> Decoded<bool> {
        Ok(self.i8()? >= 0)
    }

    /// The same inside a tagged field, where zero is null too: Kafka's generator writes that there.
    ///
    /// # Errors
    /// The bytes end.
    pub fn is_present_in_tag(&mut self) -> Decoded<bool> {
        Ok(self.i8()? > 0)
    }

    /// A varint without sign, of at most 32 bits.
    ///
    /// # Errors
    /// The bytes end, or [`DecodeErrorKind::VarintTooLong`].
    pub fn uvarint(&mut self) -> Decoded<u32> {
        let mut value: u32 = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.take::<1>()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeErrorKind::VarintTooLong)
    }

    /// 16 bytes.
    ///
    /// # Errors
    /// The bytes end.
    pub fn uuid(&mut self) -> Decoded<Uuid> {
        Ok(Uuid(self.take()?))
    }

    /// A compact length: `None` for null (0), else the value less one.
    fn compact_length(&mut self) -> Decoded<Option<usize>> {
        Ok(self.uvarint()?.checked_sub(1).map(|length| length as usize))
    }

    fn plain_length(length: i32) -> Decoded<Option<usize>> {
        match length {
            -1 => Ok(None),
            negative if negative < 0 => Err(DecodeErrorKind::NegativeLength(negative)),
            length => Ok(Some(length.unsigned_abs() as usize)),
        }
    }

    /// A string, or `None` for null.
    ///
    /// # Errors
    /// A bad length, or [`DecodeErrorKind::InvalidUtf8`].
    pub fn nullable_string(&mut self, flexible: bool) -> Decoded<Option<String>> {
        let length = if flexible {
            self.compact_length()?
        } else {
            Reader::plain_length(i32::from(self.i16()?))?
        };
        let Some(length) = length else {
            return Ok(None);
        };
        self.check(length)?;
        let rest = self
            .bytes
            .get(self.position..self.position + length)
            .unwrap_or_default();
        let text = std::str::from_utf8(rest)
            .map_err(|_| DecodeErrorKind::InvalidUtf8)?
            .to_owned();
        self.position += length;
        Ok(Some(text))
    }

    /// A string.
    ///
    /// # Errors
    /// As [`Reader::nullable_string`], or [`DecodeErrorKind::UnexpectedNull`].
    pub fn string(&mut self, flexible: bool) -> Decoded<String> {
        self.nullable_string(flexible)?
            .ok_or(DecodeErrorKind::UnexpectedNull)
    }

    /// Bytes, or `None` for null; they share the frame's memory.
    ///
    /// # Errors
    /// A bad length.
    pub fn nullable_bytes(&mut self, flexible: bool) -> Decoded<Option<Bytes>> {
        let length = if flexible {
            self.compact_length()?
        } else {
            Reader::plain_length(self.i32()?)?
        };
        length.map(|length| self.slice(length)).transpose()
    }

    /// Bytes; they share the frame's memory.
    ///
    /// # Errors
    /// A bad length, or [`DecodeErrorKind::UnexpectedNull`].
    pub fn bytes(&mut self, flexible: bool) -> Decoded<Bytes> {
        self.nullable_bytes(flexible)?
            .ok_or(DecodeErrorKind::UnexpectedNull)
    }

    /// A `records` field; its bytes share the frame's memory and are not parsed.
    ///
    /// # Errors
    /// A bad length.
    pub fn nullable_records(&mut self, flexible: bool) -> Decoded<Option<Records>> {
        Ok(self.nullable_bytes(flexible)?.map(Records::from))
    }

    /// A `records` field that is not nullable.
    ///
    /// # Errors
    /// A bad length, or [`DecodeErrorKind::UnexpectedNull`].
    pub fn records(&mut self, flexible: bool) -> Decoded<Records> {
        self.nullable_records(flexible)?
            .ok_or(DecodeErrorKind::UnexpectedNull)
    }

    /// An array, or `None` for null. `element_min_bytes` is the least one element can take on the wire;
    /// counts that cannot fit are refused before anything is allocated.
    ///
    /// # Errors
    /// A bad count, or what `read` returns.
    pub fn nullable_array<T>(
        &mut self,
        flexible: bool,
        element_min_bytes: usize,
        mut read: impl FnMut(&mut Reader) -> Decoded<T>,
    ) -> Decoded<Option<Vec<T>>> {
        let count = if flexible {
            self.compact_length()?
        } else {
            Reader::plain_length(self.i32()?)?
        };
        let Some(count) = count else { return Ok(None) };
        if count.saturating_mul(element_min_bytes.max(1)) > self.remaining() {
            return Err(DecodeErrorKind::LengthTooLarge {
                length: count as u64,
                remaining: self.remaining(),
            });
        }
        let mut elements = Vec::with_capacity(count.min(ARRAY_RESERVE_MAX));
        for _ in 0..count {
            elements.push(read(self)?);
        }
        Ok(Some(elements))
    }

    /// An array.
    ///
    /// # Errors
    /// As [`Reader::nullable_array`], or [`DecodeErrorKind::UnexpectedNull`].
    pub fn array<T>(
        &mut self,
        flexible: bool,
        element_min_bytes: usize,
        read: impl FnMut(&mut Reader) -> Decoded<T>,
    ) -> Decoded<Vec<T>> {
        self.nullable_array(flexible, element_min_bytes, read)?
            .ok_or(DecodeErrorKind::UnexpectedNull)
    }

    /// The tagged fields at the end of a struct in a flexible version. `read` is given each tag with a reader
    /// over exactly that field's bytes and says whether it knew the tag; unknown ones are skipped (KIP-482).
    ///
    /// # Errors
    /// Tags out of order, a field that does not use up its bytes, or what `read` returns.
    pub fn tagged_fields(
        &mut self,
        mut read: impl FnMut(u32, &mut Reader) -> Decoded<bool>,
    ) -> Decoded<()> {
        let count = self.uvarint()?;
        let mut previous: Option<u32> = None;
        for _ in 0..count {
            let tag = self.uvarint()?;
            if previous.is_some_and(|previous| tag <= previous) {
                return Err(DecodeErrorKind::TagOrder { tag });
            }
            previous = Some(tag);
            let size = self.uvarint()? as usize;
            let mut field = Reader::new(self.slice(size)?);
            if read(tag, &mut field)? && field.remaining() > 0 {
                return Err(DecodeErrorKind::TaggedFieldSize { tag });
            }
        }
        Ok(())
    }
}

macro_rules! read_integers {
    ($($name:ident: $type:ty),*) => {
        impl Reader {
            $(
                /// A big-endian number of this type.
                ///
                /// # Errors
                /// The bytes end.
                pub fn $name(&mut self) -> Decoded<$type> {
                    Ok(<$type>::from_be_bytes(self.take()?))
                }
            )*
        }
    };
}
read_integers!(i8: i8, i16: i16, i32: i32, i64: i64, u16: u16, u32: u32, f64: f64);

/// One piece of an encoded message, in wire order.
#[derive(Debug, Clone, PartialEq)]
pub enum Chunk {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes to send from a file.
    File(FileRegion),
}

impl Chunk {
    /// The piece's length on the wire, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Chunk::Bytes(bytes) => bytes.len(),
            Chunk::File(region) => region.length as usize,
        }
    }

    /// Whether the piece holds no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Collects one message as chunks. Small values are copied into a buffer, record bytes are spliced in.
#[derive(Debug, Default)]
pub struct Writer {
    chunks: Vec<Chunk>,
    chunks_len: usize,
    head: BytesMut,
}

type Encoded = Result<(), EncodeError>;

impl Writer {
    /// An empty writer with room for `capacity` bytes of small values.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Writer {
        Writer {
            head: BytesMut::with_capacity(capacity),
            ..Writer::default()
        }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks_len + self.head.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The chunks in wire order.
    #[must_use]
    pub fn finish(mut self) -> Vec<Chunk> {
        self.flush_head();
        self.chunks
    }

    /// The message as a frame: its length as an `i32`, then its chunks.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] at 2 GiB and more.
    pub fn finish_frame(self) -> Result<Vec<Chunk>, EncodeError> {
        let length = i32::try_from(self.len()).map_err(|_| EncodeError::TooLong(self.len()))?;
        let mut chunks = self.finish();
        let prefix = length.to_be_bytes();
        // The usual response is one small chunk: one buffer is then cheaper to send than two.
        match chunks.first_mut() {
            Some(Chunk::Bytes(first)) if first.len() <= 16 * SPLICE_MIN_BYTES => {
                let mut joined = BytesMut::with_capacity(prefix.len() + first.len());
                joined.put_slice(&prefix);
                joined.put_slice(first);
                *first = joined.freeze();
            }
            _ => chunks.insert(0, Chunk::Bytes(Bytes::copy_from_slice(&prefix))),
        }
        Ok(chunks)
    }

    /// The message as one buffer; `None` if a chunk is a file region.
    #[must_use]
    pub fn into_bytes(self) -> Option<Bytes> {
        let length = self.len();
        let mut chunks = self.finish();
        if let [Chunk::Bytes(_)] = chunks.as_slice() {
            return match chunks.pop() {
                Some(Chunk::Bytes(bytes)) => Some(bytes),
                _ => None,
            };
        }
        let mut buffer = BytesMut::with_capacity(length);
        for chunk in chunks {
            match chunk {
                Chunk::Bytes(bytes) => buffer.put_slice(&bytes),
                Chunk::File(_) => return None,
            }
        }
        Some(buffer.freeze())
    }

    fn flush_head(&mut self) {
        if !self.head.is_empty() {
            let head = self.head.split().freeze();
            self.chunks_len += head.len();
            self.chunks.push(Chunk::Bytes(head));
        }
    }

    /// Raw bytes, copied.
    pub fn put_slice(&mut self, bytes: &[u8]) {
        self.head.put_slice(bytes);
    }

    fn splice(&mut self, bytes: &Bytes) {
        if bytes.len() < SPLICE_MIN_BYTES {
            self.head.put_slice(bytes);
        } else {
            self.flush_head();
            self.chunks_len += bytes.len();
            self.chunks.push(Chunk::Bytes(bytes.clone()));
        }
    }

    fn splice_file(&mut self, region: &FileRegion) {
        self.flush_head();
        self.chunks_len += region.length as usize;
        self.chunks.push(Chunk::File(region.clone()));
    }

    /// A boolean as one byte.
    pub fn bool(&mut self, value: bool) {
        self.head.put_u8(u8::from(value));
    }

    /// A varint without sign.
    pub fn uvarint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.head.put_u8((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.head.put_u8(value as u8);
    }

    /// 16 bytes.
    pub fn uuid(&mut self, value: Uuid) {
        self.head.put_slice(&value.0);
    }

    fn compact_length(&mut self, length: Option<usize>) -> Encoded {
        let value = match length {
            None => 0,
            Some(length) => u32::try_from(length)
                .ok()
                .and_then(|length| length.checked_add(1))
                .ok_or(EncodeError::TooLong(length))?,
        };
        self.uvarint(value);
        Ok(())
    }

    fn length(&mut self, flexible: bool, length: Option<usize>) -> Encoded {
        if flexible {
            return self.compact_length(length);
        }
        match length {
            None => self.head.put_i32(-1),
            Some(length) => {
                self.head
                    .put_i32(i32::try_from(length).map_err(|_| EncodeError::TooLong(length))?);
            }
        }
        Ok(())
    }

    /// A string or null.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] past 32,767 bytes in a version that is not flexible.
    pub fn nullable_string(&mut self, flexible: bool, value: Option<&str>) -> Encoded {
        if flexible {
            self.compact_length(value.map(str::len))?;
        } else {
            let length = match value {
                None => -1,
                Some(text) => {
                    i16::try_from(text.len()).map_err(|_| EncodeError::TooLong(text.len()))?
                }
            };
            self.head.put_i16(length);
        }
        self.head.put_slice(value.unwrap_or_default().as_bytes());
        Ok(())
    }

    /// A string.
    ///
    /// # Errors
    /// As [`Writer::nullable_string`].
    pub fn string(&mut self, flexible: bool, value: &str) -> Encoded {
        self.nullable_string(flexible, Some(value))
    }

    /// Bytes or null.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] past the length prefix's range.
    pub fn nullable_bytes(&mut self, flexible: bool, value: Option<&Bytes>) -> Encoded {
        self.length(flexible, value.map(Bytes::len))?;
        if let Some(bytes) = value {
            self.splice(bytes);
        }
        Ok(())
    }

    /// Bytes.
    ///
    /// # Errors
    /// As [`Writer::nullable_bytes`].
    pub fn bytes(&mut self, flexible: bool, value: &Bytes) -> Encoded {
        self.nullable_bytes(flexible, Some(value))
    }

    /// A `records` field or null. In-memory parts of 1 KiB and more and file regions are not copied.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] past the length prefix's range.
    pub fn nullable_records(&mut self, flexible: bool, value: Option<&Records>) -> Encoded {
        self.length(flexible, value.map(Records::len))?;
        for part in value.map(Records::parts).unwrap_or_default() {
            match part {
                RecordsPart::Bytes(bytes) => self.splice(bytes),
                RecordsPart::Stamped(batch) => {
                    self.head.put_slice(&batch.head);
                    self.splice(&batch.body);
                }
                RecordsPart::File(region) => self.splice_file(region),
            }
        }
        Ok(())
    }

    /// A `records` field.
    ///
    /// # Errors
    /// As [`Writer::nullable_records`].
    pub fn records(&mut self, flexible: bool, value: &Records) -> Encoded {
        self.nullable_records(flexible, Some(value))
    }

    /// An array or null.
    ///
    /// # Errors
    /// What `write` returns for an element, or [`EncodeError::TooLong`].
    pub fn nullable_array<T>(
        &mut self,
        flexible: bool,
        value: Option<&[T]>,
        mut write: impl FnMut(&mut Writer, &T) -> Encoded,
    ) -> Encoded {
        self.length(flexible, value.map(<[T]>::len))?;
        for element in value.unwrap_or_default() {
            write(self, element)?;
        }
        Ok(())
    }

    /// An array.
    ///
    /// # Errors
    /// As [`Writer::nullable_array`].
    pub fn array<T>(
        &mut self,
        flexible: bool,
        value: &[T],
        write: impl FnMut(&mut Writer, &T) -> Encoded,
    ) -> Encoded {
        self.nullable_array(flexible, Some(value), write)
    }

    /// One tagged field: tag, size, then what `write` writes.
    ///
    /// # Errors
    /// What `write` returns, or [`EncodeError::TooLong`].
    pub fn tagged_field(
        &mut self,
        tag: u32,
        write: impl FnOnce(&mut Writer) -> Encoded,
    ) -> Encoded {
        let mut field = Writer::default();
        write(&mut field)?;
        let length = field.len();
        self.uvarint(tag);
        self.uvarint(u32::try_from(length).map_err(|_| EncodeError::TooLong(length))?);
        for chunk in field.finish() {
            match chunk {
                Chunk::Bytes(bytes) => self.splice(&bytes),
                Chunk::File(region) => self.splice_file(&region),
            }
        }
        Ok(())
    }
}

macro_rules! write_integers {
    ($($name:ident: $type:ty),*) => {
        impl Writer {
            $(
                /// A big-endian number of this type.
                pub fn $name(&mut self, value: $type) {
                    self.head.put_slice(&value.to_be_bytes());
                }
            )*
        }
    };
}
write_integers!(i8: i8, i16: i16, i32: i32, i64: i64, u16: u16, u32: u32, f64: f64);

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8]) -> Reader {
        Reader::new(Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn an_absurd_count_is_refused_before_allocation() {
        let result = reader(&[0x7f, 0xff, 0xff, 0xff, 1]).array(false, 1, Reader::i8);
        let length = 0x7fff_ffff;
        assert_eq!(
            result,
            Err(DecodeErrorKind::LengthTooLarge {
                length,
                remaining: 1
            })
        );
        let compact = reader(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0]).array(true, 1, Reader::i8);
        assert!(matches!(
            compact,
            Err(DecodeErrorKind::LengthTooLarge { remaining: 1, .. })
        ));
    }

    #[test]
    fn strings_tell_null_empty_and_too_long_apart() {
        assert_eq!(reader(&[0xff, 0xff]).nullable_string(false), Ok(None));
        assert_eq!(
            reader(&[0, 0]).nullable_string(false),
            Ok(Some(String::new()))
        );
        assert_eq!(
            reader(&[0]).string(true),
            Err(DecodeErrorKind::UnexpectedNull)
        );
        assert_eq!(
            reader(&[0xff, 0xfe]).string(false),
            Err(DecodeErrorKind::NegativeLength(-2))
        );
        assert_eq!(
            reader(&[2, 0xc3]).string(true),
            Err(DecodeErrorKind::InvalidUtf8)
        );
        let long = "x".repeat(40_000);
        let mut writer = Writer::default();
        assert_eq!(
            writer.string(false, &long),
            Err(EncodeError::TooLong(40_000))
        );
    }

    #[test]
    fn varints_end_after_five_bytes() {
        for value in [0, 127, 128, 300, u32::MAX] {
            let mut writer = Writer::default();
            writer.uvarint(value);
            let bytes = writer.into_bytes().unwrap();
            assert_eq!(Reader::new(bytes).uvarint(), Ok(value));
        }
        assert_eq!(
            reader(&[0x80; 6]).uvarint(),
            Err(DecodeErrorKind::VarintTooLong)
        );
    }

    #[test]
    fn unknown_tags_are_skipped_and_order_is_checked() {
        let mut seen = Vec::new();
        let mut fields = reader(&[2, 1, 1, 42, 9, 2, 0, 0, 77]);
        fields
            .tagged_fields(|tag, field| {
                Ok(tag == 1 && {
                    seen.push(field.i8()?);
                    true
                })
            })
            .unwrap();
        assert_eq!((seen, fields.i8()), (vec![42], Ok(77)));
        assert_eq!(
            reader(&[2, 1, 0, 1, 0]).tagged_fields(|_, _| Ok(false)),
            Err(DecodeErrorKind::TagOrder { tag: 1 })
        );
    }

    #[test]
    fn large_records_are_spliced_not_copied() {
        let body = Bytes::from(vec![7u8; 100_000]);
        let mut writer = Writer::default();
        writer.i32(1);
        writer.records(true, &Records::from(body.clone())).unwrap();
        writer.i32(2);
        let chunks = writer.finish_frame().unwrap();
        let Chunk::Bytes(spliced) = &chunks[1] else {
            panic!("file")
        };
        assert_eq!(spliced.as_ptr(), body.as_ptr());
        assert_eq!(
            chunks.iter().map(Chunk::len).sum::<usize>(),
            4 + 4 + 3 + 100_000 + 4
        );
    }
}
