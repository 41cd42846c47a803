//! Reader and writer for Kafka's primitive types.
//!
//! [`Reader`] walks one frame. It never reads past the end, and it refuses a length before allocating for it:
//! an array of `n` elements needs at least `n` times the smallest element in the bytes that remain.
//! [`Writer`] collects one response as chunks, so that record bytes and file ranges pass through uncopied.
//!
//! Types and encodings: <https://kafka.apache.org/protocol.html#protocol_types>; compact types and tagged
//! fields: KIP-482.

mod reader;
mod writer;

use std::fmt;

pub use reader::Reader;
pub use writer::{Chunk, Writer};

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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::records::Records;

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
