//! Records of any format as plain JSON: what people and rules look at.
//!
//! Avro without the names of union branches, Protobuf in its own mapping to JSON.

use serde_json::Value as Json;

use crate::error::SchemaError;
use crate::parsed::ParsedSchema;
use crate::protobuf::ProtobufCodec;

/// Reads records of one schema; worth keeping, for the codec of a Protobuf schema takes it apart.
#[derive(Debug, Clone)]
pub struct RecordReader {
    schema: ParsedSchema,
    codec: Option<ProtobufCodec>,
}

/// Why bytes are no record of a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no record of the schema: {what}")]
pub struct RecordError {
    /// What is wrong with them.
    pub what: String,
}

impl RecordError {
    fn of(error: impl ToString) -> Self {
        Self {
            what: error.to_string(),
        }
    }
}

impl RecordReader {
    /// A reader of records that were written with `schema`.
    ///
    /// # Errors
    /// [`SchemaError::Invalid`] when a Protobuf schema and its references do not make descriptors together.
    pub fn new(schema: ParsedSchema) -> Result<Self, SchemaError> {
        let codec = match &schema {
            ParsedSchema::Protobuf(schema) => Some(schema.codec()?),
            _ => None,
        };
        Ok(Self { schema, codec })
    }

    /// The schema.
    pub fn schema(&self) -> &ParsedSchema {
        &self.schema
    }

    /// The record behind what names its schema. `message_indexes` say which message of a Protobuf schema it is.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn to_json(&self, message_indexes: &[i32], payload: &[u8]) -> Result<Json, RecordError> {
        match (&self.schema, &self.codec) {
            (ParsedSchema::Avro(schema), _) => schema
                .decode(payload)
                .and_then(|value| schema.value_to_plain_json(&value))
                .map_err(RecordError::of),
            (ParsedSchema::Json(_), _) => serde_json::from_slice(payload).map_err(RecordError::of),
            (ParsedSchema::Protobuf(schema), Some(codec)) => {
                let name = schema.message_name(message_indexes);
                let name =
                    name.ok_or_else(|| RecordError::of("its message indexes lead nowhere"))?;
                codec.to_json(&name, payload).map_err(RecordError::of)
            }
            (ParsedSchema::Protobuf(_), None) => Err(RecordError::of("there is no codec for it")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ParseOptions, SchemaType};

    fn reader(schema_type: SchemaType, text: &str) -> RecordReader {
        let options = ParseOptions::default();
        RecordReader::new(ParsedSchema::parse(schema_type, text, &[], options).unwrap()).unwrap()
    }

    #[test]
    fn a_record_of_each_format_is_json() {
        let avro = reader(
            SchemaType::Avro,
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","long"]}]}"#,
        );
        assert_eq!(
            avro.to_json(&[], &[2, 6]).unwrap(),
            serde_json::json!({"a": 3})
        );
        let json = reader(SchemaType::Json, "{}");
        assert_eq!(
            json.to_json(&[], b"{\"a\":3}").unwrap(),
            serde_json::json!({"a": 3})
        );
        let text = "syntax = \"proto3\"; message M {} message N { int32 a = 1; }";
        let protobuf = reader(SchemaType::Protobuf, text);
        assert_eq!(
            protobuf.to_json(&[1], &[8, 3]).unwrap(),
            serde_json::json!({"a": 3})
        );
        for (reader, bytes) in [(&avro, &[4][..]), (&json, b"{"), (&protobuf, &[8])] {
            assert!(reader.to_json(&[1], bytes).is_err());
        }
        assert!(protobuf.to_json(&[2], &[]).is_err());
    }
}
