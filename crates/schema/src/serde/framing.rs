//! The identity of a schema in a record, to the byte (Confluent's `SchemaId`, `MessageIndexes`; 8.2).
//!
//! ```text
//! by id      00 | id, 4 bytes big endian          | indexes, Protobuf only | payload
//! by GUID    01 | GUID, 16 bytes                  | indexes, Protobuf only | payload
//! header     __key_schema_id, __value_schema_id: the same bytes without the payload, as clients write them by GUID
//! indexes    count, then each index: zigzag varints; [0] alone is one 00
//! ```
//!
//! A reader that takes both looks for the header first.

use uuid::Uuid;

use crate::model::SchemaType;

/// The header that names the schema of a record's key.
pub const KEY_HEADER: &str = "__key_schema_id";

/// The header that names the schema of a record's value.
pub const VALUE_HEADER: &str = "__value_schema_id";

const BY_ID: u8 = 0;
const BY_GUID: u8 = 1;

/// How a record names its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchemaId {
    /// By the id that a registry gave it.
    Id(i32),
    /// By what it is (`schema::guid`).
    Guid(Uuid),
}

/// What stands before a payload, or in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The schema.
    pub schema: SchemaId,
    /// Protobuf: the place of the message in its file; empty for other formats.
    pub message_indexes: Vec<i32>,
}

/// Why bytes do not say which schema they are of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FramingError {
    /// The bytes end too early.
    #[error("{have} bytes are too few to name a schema: is this record written with a schema?")]
    TooShort {
        /// How many there are.
        have: usize,
    },
    /// The first byte is neither 0 nor 1.
    #[error(
        "Unknown magic byte! {found} (0 and 1 are known): is this record written with a schema?"
    )]
    MagicByte {
        /// The byte.
        found: u8,
    },
    /// The message indexes of Protobuf are not what they should be.
    #[error("the message indexes are broken: {what}")]
    Indexes {
        /// What is wrong with them.
        what: &'static str,
    },
}

impl Frame {
    /// A schema of a format without message indexes.
    pub fn new(schema: SchemaId) -> Self {
        Self {
            schema,
            message_indexes: Vec::new(),
        }
    }

    /// Appends the bytes to `out`: before a payload, or as the value of a header.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self.schema {
            SchemaId::Id(id) => {
                out.push(BY_ID);
                out.extend_from_slice(&id.to_be_bytes());
            }
            SchemaId::Guid(guid) => {
                out.push(BY_GUID);
                out.extend_from_slice(guid.as_bytes());
            }
        }
        match self.message_indexes.as_slice() {
            [] => {}
            [0] => out.push(0),
            indexes => {
                // A message nests at most as deep as the parser lets it.
                write_varint(i32::try_from(indexes.len()).unwrap_or(i32::MAX), out);
                for index in indexes {
                    write_varint(*index, out);
                }
            }
        }
    }

    /// Reads what [`Frame::write`] wrote, and gives what comes after it.
    ///
    /// # Errors
    /// The bytes are too few, start with another byte, or have broken message indexes.
    pub fn read(bytes: &[u8], schema_type: SchemaType) -> Result<(Self, &[u8]), FramingError> {
        let short = || FramingError::TooShort { have: bytes.len() };
        let (magic, rest) = bytes.split_first().ok_or_else(short)?;
        let (schema, rest) = match *magic {
            BY_ID => {
                let (id, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
                (SchemaId::Id(i32::from_be_bytes(*id)), rest)
            }
            BY_GUID => {
                let (guid, rest) = rest.split_first_chunk::<16>().ok_or_else(short)?;
                (SchemaId::Guid(Uuid::from_bytes(*guid)), rest)
            }
            found => return Err(FramingError::MagicByte { found }),
        };
        let mut frame = Self::new(schema);
        let mut rest = rest;
        if schema_type == SchemaType::Protobuf {
            (frame.message_indexes, rest) = read_indexes(rest)?;
        }
        Ok((frame, rest))
    }

    /// Reads from the header if there is one, else from before the payload (`DualSchemaIdDeserializer`); gives the
    /// payload without what named the schema.
    ///
    /// # Errors
    /// As [`Frame::read`].
    pub fn read_dual<'p>(
        header: Option<&[u8]>,
        payload: &'p [u8],
        schema_type: SchemaType,
    ) -> Result<(Self, &'p [u8]), FramingError> {
        match header {
            Some(header) => Ok((Self::read(header, schema_type)?.0, payload)),
            None => Self::read(payload, schema_type),
        }
    }
}

fn read_indexes(bytes: &[u8]) -> Result<(Vec<i32>, &[u8]), FramingError> {
    let (count, mut rest) = read_varint(bytes)?;
    let Ok(count) = usize::try_from(count) else {
        return Err(FramingError::Indexes {
            what: "their count is negative",
        });
    };
    if count == 0 {
        return Ok((vec![0], rest));
    }
    // Each takes a byte at least.
    if count > rest.len() {
        return Err(FramingError::Indexes {
            what: "there are fewer than they say",
        });
    }
    let mut indexes = Vec::with_capacity(count);
    for _ in 0..count {
        let (index, after) = read_varint(rest)?;
        if index < 0 {
            return Err(FramingError::Indexes {
                what: "one is negative",
            });
        }
        indexes.push(index);
        rest = after;
    }
    Ok((indexes, rest))
}

fn write_varint(value: i32, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 31)).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

fn read_varint(bytes: &[u8]) -> Result<(i32, &[u8]), FramingError> {
    let mut value = 0u32;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        let part = u32::from(byte & 0x7F);
        if index == 4 && part > 0x0F {
            break;
        }
        value |= part << (7 * index);
        if byte & 0x80 == 0 {
            let rest = bytes.get(index + 1..).unwrap_or_default();
            return Ok((
                ((value >> 1).cast_signed()) ^ -((value & 1).cast_signed()),
                rest,
            ));
        }
    }
    Err(FramingError::Indexes {
        what: "a varint has no end, or more than 32 bits",
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GUID: &str = "a3f1c2d4-0b5e-4f60-8a7b-9c0d1e2f3a4b";

    fn written(schema: SchemaId, indexes: &[i32]) -> String {
        let mut bytes = Vec::new();
        let frame = Frame {
            schema,
            message_indexes: indexes.to_vec(),
        };
        frame.write(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// As `confluent-kafka` for Python (2.16) writes them.
    #[test]
    fn frames_are_those_of_confluents_clients() {
        let guid: Uuid = GUID.parse().unwrap();
        let cases: [(&[i32], &str, &str); 6] = [
            (&[], "000012d687", "01a3f1c2d40b5e4f608a7b9c0d1e2f3a4b"),
            (&[0], "000012d68700", "01a3f1c2d40b5e4f608a7b9c0d1e2f3a4b00"),
            (
                &[1],
                "000012d6870202",
                "01a3f1c2d40b5e4f608a7b9c0d1e2f3a4b0202",
            ),
            (
                &[0, 0],
                "000012d687040000",
                "01a3f1c2d40b5e4f608a7b9c0d1e2f3a4b040000",
            ),
            (
                &[2, 1, 300],
                "000012d687060402d804",
                "01a3f1c2d40b5e4f608a7b9c0d1e2f3a4b060402d804",
            ),
            (
                &[0, 1, 0],
                "000012d68706000200",
                "01a3f1c2d40b5e4f608a7b9c0d1e2f3a4b06000200",
            ),
        ];
        for (indexes, by_id, by_guid) in cases {
            assert_eq!(written(SchemaId::Id(1_234_567), indexes), by_id);
            assert_eq!(written(SchemaId::Guid(guid), indexes), by_guid);
        }
    }

    #[test]
    fn the_header_comes_before_the_prefix() {
        let guid: Uuid = GUID.parse().unwrap();
        let mut header = Vec::new();
        Frame::new(SchemaId::Guid(guid)).write(&mut header);
        let payload = [0, 0, 0, 0, 7, b'x'];
        let (frame, rest) = Frame::read_dual(Some(&header), &payload, SchemaType::Avro).unwrap();
        assert_eq!((frame.schema, rest), (SchemaId::Guid(guid), &payload[..]));
        let (frame, rest) = Frame::read_dual(None, &payload, SchemaType::Json).unwrap();
        assert_eq!((frame.schema, rest), (SchemaId::Id(7), &b"x"[..]));
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        let read = |bytes: &[u8]| Frame::read(bytes, SchemaType::Protobuf).unwrap_err();
        assert_eq!(read(&[]), FramingError::TooShort { have: 0 });
        assert_eq!(read(&[0, 1, 2, 3]), FramingError::TooShort { have: 4 });
        assert_eq!(read(&[1, 1, 2, 3]), FramingError::TooShort { have: 4 });
        assert_eq!(read(b"{\"a\":1}"), FramingError::MagicByte { found: b'{' });
        for indexes in [
            &[][..],
            &[0x80],
            &[0x01],
            &[0x02],
            &[0x02, 0x01],
            &[0xFE, 0xFF, 0xFF, 0xFF, 0x0F],
            &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
        ] {
            let bytes = [&[0, 0, 0, 0, 1], indexes].concat();
            assert!(
                matches!(read(&bytes), FramingError::Indexes { .. }),
                "{indexes:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(id in any::<i32>(), indexes in prop::collection::vec(0..i32::MAX, 1..6), payload in prop::collection::vec(any::<u8>(), 0..20)) {
            let frame = Frame { schema: SchemaId::Id(id), message_indexes: indexes };
            let mut bytes = Vec::new();
            frame.write(&mut bytes);
            bytes.extend_from_slice(&payload);
            prop_assert_eq!(Frame::read(&bytes, SchemaType::Protobuf), Ok((frame, payload.as_slice())));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _outcome = Frame::read(&bytes, SchemaType::Protobuf).is_ok();
        }
    }
}
