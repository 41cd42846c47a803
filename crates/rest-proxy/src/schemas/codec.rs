//! JSON to bytes of a schema, and back.
//!
//! Avro is in Avro's own JSON encoding (a union's value is wrapped in the name of its branch), Protobuf in ProtoJSON, JSON
//! Schema is validated. A schema that is Avro `bytes` and nothing else has a payload without a length before it, as
//! Confluent's serialiser writes it.

use schema::avro::Value as AvroValue;
use schema::model::SchemaType;
use schema::protobuf::ProtobufCodec;
use schema::rules::Shape;
use schema::serde::{Frame, SchemaId};
use schema::{AvroSchema, Format as _, JsonSchema, ParsedSchema, ProtobufSchema, SchemaError};
use serde_json::Value;

/// Why data does not become bytes, or bytes do not become data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct CodecError {
    what: String,
}

impl CodecError {
    /// What is wrong, in somebody else's words.
    pub(crate) fn of(what: impl ToString) -> Self {
        Self {
            what: what.to_string(),
        }
    }
}

fn wrong(what: impl ToString) -> CodecError {
    CodecError::of(what)
}

/// Where JSON comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// From a request: it has to be what the schema says.
    Request,
    /// From the rules of the schema, which have seen what was. A text that is encrypted may be longer than it should be,
    /// and an expression does not name the branch of a union.
    Rules,
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
        let mut bytes = self.head(id);
        self.append(&mut bytes, data, Origin::Request)?;
        Ok(bytes)
    }

    /// The full name of the type of a record, of Protobuf that of the message at `message_indexes`.
    pub(super) fn record_name(&self, message_indexes: &[i32]) -> Option<String> {
        match self {
            Self::Protobuf { schema, .. } => schema.message_name(message_indexes),
            Self::Avro { .. } | Self::Json(_) => self.name(),
        }
    }

    /// What stands before a payload.
    pub(super) fn head(&self, id: i32) -> Vec<u8> {
        let mut frame = Frame::new(SchemaId::Id(id));
        if matches!(self, Self::Protobuf { .. }) {
            frame.message_indexes = vec![0];
        }
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        bytes
    }

    /// Writes the payload of `data`.
    ///
    /// # Errors
    /// What does not fit, and where.
    pub(super) fn append(
        &self,
        out: &mut Vec<u8>,
        data: &Value,
        origin: Origin,
    ) -> Result<(), CodecError> {
        match self {
            Self::Avro { schema, is_bytes } => {
                let value = match origin {
                    Origin::Request => schema.value_from_json(data),
                    Origin::Rules => schema.value_from_plain_json(data),
                };
                match value.map_err(wrong)? {
                    AvroValue::Bytes(payload) if *is_bytes => out.extend_from_slice(&payload),
                    value => out.extend(schema.encode(&value).map_err(wrong)?),
                }
            }
            Self::Json(schema) => {
                if origin == Origin::Request {
                    schema.validate(data).map_err(wrong)?;
                }
                serde_json::to_writer(out, data).map_err(wrong)?;
            }
            Self::Protobuf { schema, codec } => {
                let message = first_message(schema)?;
                out.extend(codec.to_bytes(&message, data).map_err(wrong)?);
            }
        }
        Ok(())
    }

    /// Data of a request as rules see it: it is of the schema, and in the form that reading it back would give.
    ///
    /// # Errors
    /// What does not fit, and where.
    pub(super) fn checked(&self, data: Value) -> Result<Value, CodecError> {
        match self {
            Self::Avro { schema, .. } => {
                schema.value_from_json(&data).map_err(wrong)?;
                Ok(data)
            }
            Self::Json(schema) => {
                schema.validate(&data).map_err(wrong)?;
                Ok(data)
            }
            Self::Protobuf { schema, codec } => {
                let message = first_message(schema)?;
                let bytes = codec.to_bytes(&message, &data).map_err(wrong)?;
                codec.to_json(&message, &bytes).map_err(wrong)
            }
        }
    }

    /// Data that rules leave, in the form in which it is shown.
    ///
    /// # Errors
    /// What is not of the schema any more.
    pub(super) fn settled(
        &self,
        message_indexes: &[i32],
        data: Value,
    ) -> Result<Value, CodecError> {
        match self {
            Self::Avro { schema, .. } => {
                let value = schema.value_from_plain_json(&data).map_err(wrong)?;
                schema.value_to_json(&value).map_err(wrong)
            }
            Self::Json(_) => Ok(data),
            Self::Protobuf { schema, codec } => {
                let message = message(schema, message_indexes)?;
                let bytes = codec.to_bytes(&message, &data).map_err(wrong)?;
                codec.to_json(&message, &bytes).map_err(wrong)
            }
        }
    }

    /// Data as a dead letter queue has it: what is one value is that value, everything else JSON
    /// (`DlqAction.convertToBytes`).
    pub(super) fn loose(&self, data: &Value) -> Vec<u8> {
        let value = match self {
            Self::Avro { schema, .. } => schema.value_from_plain_json(data).ok(),
            Self::Json(_) | Self::Protobuf { .. } => None,
        };
        match value {
            Some(AvroValue::String(text)) => text.into_bytes(),
            Some(AvroValue::Bytes(bytes)) => bytes,
            Some(AvroValue::Int(number)) => number.to_be_bytes().to_vec(),
            Some(AvroValue::Long(number)) => number.to_be_bytes().to_vec(),
            Some(AvroValue::Float(number)) => number.to_be_bytes().to_vec(),
            Some(AvroValue::Double(number)) => number.to_be_bytes().to_vec(),
            _ => data.to_string().into_bytes(),
        }
    }

    /// What rules have to know of the schema; of Protobuf the message at `message_indexes`.
    ///
    /// # Errors
    /// The schema cannot be taken apart.
    pub(super) fn shape(&self, message_indexes: &[i32]) -> Result<Shape, SchemaError> {
        match self {
            Self::Avro { schema, .. } => Shape::of(&ParsedSchema::Avro(schema.clone()), None),
            Self::Json(schema) => Shape::of(&ParsedSchema::Json(schema.clone()), None),
            Self::Protobuf { schema, .. } => {
                let message = self.record_name(message_indexes);
                let schema = ParsedSchema::Protobuf(schema.clone());
                Shape::of(&schema, message.as_deref())
            }
        }
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
                let name = message(schema, message_indexes)?;
                codec.to_json(&name, payload).map_err(wrong)
            }
        }
    }
}

fn first_message(schema: &ProtobufSchema) -> Result<String, CodecError> {
    let name = schema.name();
    name.ok_or_else(|| wrong("the schema has no message"))
}

fn message(schema: &ProtobufSchema, message_indexes: &[i32]) -> Result<String, CodecError> {
    let name = schema.message_name(message_indexes);
    name.ok_or_else(|| wrong(format!("the schema has no message {message_indexes:?}")))
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
