//! Writing Kafka's primitive types, and record bytes that pass through uncopied.

use base::Uuid;
use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::EncodeError;
use crate::records::{FileRegion, Records, RecordsPart};

/// Record bytes shorter than this are copied into the response instead of becoming a chunk of their own:
/// an `iovec` costs more than copying a kilobyte.
const SPLICE_MIN_BYTES: usize = 1024;

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
    /// Bytes at the start that are kept for the frame's length.
    prefix_len: usize,
}

/// Of a frame's length.
const PREFIX_LEN: usize = 4;

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

    /// As [`Writer::with_capacity`], for a message that [`Writer::finish_frame`] makes a frame: its length is put in front of it
    /// without a copy, as long as all of it is small values.
    #[must_use]
    pub fn for_frame(capacity: usize) -> Writer {
        let mut writer = Writer::with_capacity(PREFIX_LEN + capacity);
        writer.head.put_slice(&[0; PREFIX_LEN]);
        writer.prefix_len = PREFIX_LEN;
        writer
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks_len + self.head.len() - self.prefix_len
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
        if let (1.., Some(Chunk::Bytes(first))) = (self.prefix_len, self.chunks.first_mut()) {
            first.advance(self.prefix_len);
        }
        self.chunks
    }

    /// The message as a frame: its length as an `i32`, then its chunks.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] at 2 GiB and more.
    pub fn finish_frame(mut self) -> Result<Vec<Chunk>, EncodeError> {
        let length = i32::try_from(self.len()).map_err(|_| EncodeError::TooLong(self.len()))?;
        let prefix = length.to_be_bytes();
        if self.prefix_len > 0
            && self.chunks.is_empty()
            && let Some(place) = self.head.first_chunk_mut::<PREFIX_LEN>()
        {
            *place = prefix;
            return Ok(vec![Chunk::Bytes(self.head.freeze())]);
        }
        let mut chunks = self.finish();
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
