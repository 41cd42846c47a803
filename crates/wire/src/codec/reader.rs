//! Reading Kafka's primitive types off one frame.

use base::Uuid;
use bytes::Bytes;

use super::{DecodeErrorKind, Decoded};
use crate::records::Records;

/// Elements to reserve room for before any of them was read, at most.
const ARRAY_RESERVE_MAX: usize = 256;

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

    /// The `i16` that begins `ahead` bytes from here. The cursor stays.
    ///
    /// # Errors
    /// The bytes end before it does.
    pub fn peek_i16(&self, ahead: usize) -> Decoded<i16> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let ahead_of = rest.get(ahead..).unwrap_or_default();
        let value = ahead_of.first_chunk::<2>();
        value
            .map(|value| i16::from_be_bytes(*value))
            .ok_or(DecodeErrorKind::UnexpectedEnd {
                needed: 2,
                remaining: ahead_of.len(),
            })
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
