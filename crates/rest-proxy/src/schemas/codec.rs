//! JSON to bytes of a schema, and back.
//!
//! Avro is in Avro's own JSON encoding (a union's value is wrapped in the name of its branch), Protobuf in ProtoJSON, JSON
//! Schema is validated. A schema that is Avro `bytes` and nothing else has a payload without a length before it, as
//! Confluent's serialiser writes it.

use schema::avro::Value as AvroValue;
use schema::model::SchemaType;
use schema::protobuf::ProtobufCodec;
use schema::serde::{Frame, SchemaId};
use schema::{AvroSchema, Format as _, JsonSchema, ParsedSchema, ProtobufSchema, SchemaError};
use serde_json::Value;

/// Why data does not become bytes, or bytes do not become data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct CodecError {
    what: String,
}

fn wrong(what: impl ToString) -> CodecError {
    CodecError {
        what: what.to_string(),
    }
}

/// What reads and writes data of one schema.
#[derive(Debug)]
pub(super) enum Codec {
    Avro {
        schema: AvroSchema,
        /// It is `bytes`.
        is_bytes: bool,
    },
    Json(JsonSchema),
    Protobuf {
        schema: ProtobufSchema,
        codec: ProtobufCodec,
    },
}

impl Codec {
    /// Takes a schema apart.
    ///
    /// # Errors
    /// A Protobuf schema that makes no descriptors.
    pub(super) fn new(parsed: ParsedSchema) -> Result<Self, SchemaError> {
        Ok(match parsed {
            ParsedSchema::Avro(schema) => {
                let is_bytes = schema.canonical() == "\"bytes\"";
                Self::Avro { schema, is_bytes }
            }
            ParsedSchema::Json(schema) => Self::Json(schema),
            ParsedSchema::Protobuf(schema) => {
                let codec = schema.codec()?;
                Self::Protobuf { schema, codec }
            }
            other => {
                return Err(SchemaError::UnknownType {
                    name: other.schema_type().name(),
                });
            }
        })
    }

    pub(super) fn schema_type(&self) -> SchemaType {
        match self {
            Self::Avro { .. } => SchemaType::Avro,
            Self::Json(_) => SchemaType::Json,
            Self::Protobuf { .. } => SchemaType::Protobuf,
        }
    }

    /// The schema's text, as the registry compares it.
    pub(super) fn canonical(&self) -> String {
        match self {
            Self::Avro { schema, .. } => schema.canonical(),
            Self::Json(schema) => schema.canonical(),
            Self::Protobuf { schema, .. } => schema.canonical(),
        }
    }

    /// The full name of its first type.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Avro { schema, .. } => schema.name(),
            Self::Json(schema) => schema.name(),
            Self::Protobuf { schema, .. } => schema.name(),
        }
    }

    /// The bytes of `data` with the schema's id before them. A Protobuf schema means its first message.
    ///
    /// # Errors
    /// What does not fit, and where.
    pub(super) fn encode(&self, id: i32, data: &Value) -> Result<Vec<u8>, CodecError> {
        let mut frame = Frame::new(SchemaId::Id(id));
        let mut bytes = Vec::new();
        match self {
            Self::Avro { schema, is_bytes } => {
                let value = schema.value_from_json(data).map_err(wrong)?;
                frame.write(&mut bytes);
                match value {
                    AvroValue::Bytes(payload) if *is_bytes => bytes.extend_from_slice(&payload),
                    value => bytes.extend(schema.encode(&value).map_err(wrong)?),
                }
            }
            Self::Json(schema) => {
                schema.validate(data).map_err(wrong)?;
                frame.write(&mut bytes);
                serde_json::to_writer(&mut bytes, data).map_err(wrong)?;
            }
            Self::Protobuf { schema, codec } => {
                let message = schema
                    .name()
                    .ok_or_else(|| wrong("the schema has no message"))?;
                frame.message_indexes = vec![0];
                frame.write(&mut bytes);
                bytes.extend(codec.to_bytes(&message, data).map_err(wrong)?);
            }
        }
        Ok(bytes)
    }

    /// The data that a payload holds; `framed` are the bytes from the frame on, `payload` what comes after an id.
    ///
    /// # Errors
    /// Bytes that are not of the schema.
    pub(super) fn decode(
        &self,
        message_indexes: &[i32],
        payload: &[u8],
    ) -> Result<Value, CodecError> {
        match self {
            Self::Avro { schema, is_bytes } => {
                let value = if *is_bytes {
                    AvroValue::Bytes(payload.to_vec())
                } else {
                    schema.decode(payload).map_err(wrong)?
                };
                schema.value_to_json(&value).map_err(wrong)
            }
            Self::Json(_) => serde_json::from_slice(payload).map_err(wrong),
            Self::Protobuf { schema, codec } => {
                let name = schema.message_name(message_indexes).ok_or_else(|| {
                    wrong(format!("the schema has no message {message_indexes:?}"))
                })?;
                codec.to_json(&name, payload).map_err(wrong)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use schema::ParseOptions;
    use serde_json::json;

    use super::*;

    fn codec(schema_type: SchemaType, text: &str) -> Codec {
        let options = ParseOptions { validate_new: true };
        Codec::new(ParsedSchema::parse(schema_type, text, &[], options).unwrap()).unwrap()
    }

    fn round_trip(codec: &Codec, data: &Value) -> Vec<u8> {
        let bytes = codec.encode(7, data).unwrap();
        let (frame, payload) = Frame::read(&bytes, codec.schema_type()).unwrap();
        assert_eq!(frame.schema, SchemaId::Id(7));
        let read = codec.decode(&frame.message_indexes, payload).unwrap();
        assert_eq!(&read, data);
        bytes
    }

    #[test]
    fn avro_has_unions_in_its_own_json() {
        let text = r#"{"type":"record","name":"R","fields":[
            {"name":"n","type":["null","string"]},
            {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;
        let codec = codec(SchemaType::Avro, text);
        let bytes = round_trip(&codec, &json!({"n": {"string": "x"}, "at": 1}));
        assert_eq!(bytes, [0, 0, 0, 0, 7, 2, 2, b'x', 2]);
        let error = codec.encode(7, &json!({"n": "x", "at": 1})).unwrap_err();
        assert!(error.to_string().contains("/n"), "{error}");
    }

    #[test]
    fn avro_bytes_alone_have_no_length() {
        let codec = codec(SchemaType::Avro, "\"bytes\"");
        let bytes = round_trip(&codec, &json!("\u{1}\u{ff}"));
        assert_eq!(bytes, [0, 0, 0, 0, 7, 1, 0xff]);
    }

    #[test]
    fn json_is_validated_and_protobuf_means_the_first_message() {
        let json_codec = codec(
            SchemaType::Json,
            r#"{"type":"object","required":["a"],"properties":{"a":{"type":"integer"}}}"#,
        );
        assert_eq!(
            round_trip(&json_codec, &json!({"a": 1})).get(5..),
            Some(&b"{\"a\":1}"[..])
        );
        assert!(json_codec.encode(7, &json!({})).is_err());
        let proto = codec(
            SchemaType::Protobuf,
            "syntax = \"proto3\"; message A { string s = 1; } message B {}",
        );
        assert_eq!(
            round_trip(&proto, &json!({"s": "x"})),
            [0, 0, 0, 0, 7, 0, 0x0A, 1, b'x']
        );
        assert!(proto.encode(7, &json!({"none": 1})).is_err());
    }
}
