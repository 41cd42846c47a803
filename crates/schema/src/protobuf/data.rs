//! Records of a Protobuf schema, as bytes and as JSON.
//!
//! The JSON is that of Protobuf's own mapping (the language guide, "ProtoJSON Format"), with fields that have their
//! default value, as Confluent's REST Proxy and console tools show it (`ProtobufSchemaUtils.toJson`).

use prost::Message as _;
use prost_reflect::{
    DescriptorPool, DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions,
};

/// Why data does not fit a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// No message of that name.
    #[error("the schema has no message {name:?}")]
    NoMessage {
        /// Its full name.
        name: String,
    },
    /// The bytes are not of that message.
    #[error("the bytes are no {name}: {what}")]
    Bytes {
        /// The message.
        name: String,
        /// What is wrong with them.
        what: String,
    },
    /// The JSON is not of that message.
    #[error("the JSON is no {name}: {what}")]
    Json {
        /// The message.
        name: String,
        /// What is wrong with it.
        what: String,
    },
}

/// Reads and writes records of one schema; messages are named in full.
#[derive(Debug, Clone)]
pub struct ProtobufCodec {
    pool: DescriptorPool,
}

impl ProtobufCodec {
    pub(super) fn new(pool: DescriptorPool) -> Self {
        Self { pool }
    }

    fn message(&self, name: &str) -> Result<MessageDescriptor, DataError> {
        self.pool
            .get_message_by_name(name)
            .ok_or_else(|| DataError::NoMessage {
                name: name.to_owned(),
            })
    }

    /// The bytes of a message that is given as JSON.
    ///
    /// # Errors
    /// There is no such message, or the JSON has what the message does not.
    pub fn to_bytes(&self, name: &str, json: &serde_json::Value) -> Result<Vec<u8>, DataError> {
        let descriptor = self.message(name)?;
        let options = DeserializeOptions::new().deny_unknown_fields(true);
        let message = DynamicMessage::deserialize_with_options(descriptor, json, &options);
        let message = message.map_err(|error| DataError::Json {
            name: name.to_owned(),
            what: error.to_string(),
        })?;
        Ok(message.encode_to_vec())
    }

    /// The JSON of a message that is given as bytes.
    ///
    /// # Errors
    /// There is no such message, or the bytes are not one.
    pub fn to_json(&self, name: &str, bytes: &[u8]) -> Result<serde_json::Value, DataError> {
        let descriptor = self.message(name)?;
        let fault = |what: String| DataError::Bytes {
            name: name.to_owned(),
            what,
        };
        let message =
            DynamicMessage::decode(descriptor, bytes).map_err(|error| fault(error.to_string()))?;
        let options = SerializeOptions::new().skip_default_fields(false);
        message
            .serialize_with_options(serde_json::value::Serializer, &options)
            .map_err(|error| fault(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::ProtobufSchema;
    use super::*;
    use crate::format::{Format as _, ParseOptions};
    use crate::model::ResolvedReference;

    fn codec(text: &str) -> ProtobufCodec {
        let schema = ProtobufSchema::parse(text, &[], ParseOptions { validate_new: true }).unwrap();
        schema.codec().unwrap()
    }

    const TEXT: &str = r#"syntax = "proto3"; package p; import "google/protobuf/timestamp.proto"; import "google/type/date.proto";
        message M { string name = 1; int64 big = 2; repeated int32 many = 3; map<string, bool> flags = 4; E e = 5;
            oneof one { string a = 6; bytes b = 7; } optional int32 maybe = 8; google.protobuf.Timestamp at = 9; google.type.Date day = 10;
            message N { bool x = 1; } N n = 11; }
        enum E { ZERO = 0; ONE = 1; }"#;

    #[test]
    fn json_and_bytes_are_two_forms_of_one_record() {
        let codec = codec(TEXT);
        let json = json!({
            "name": "x", "big": "9007199254740993", "many": [1, 2], "flags": {"f": true}, "e": "ONE",
            "b": "AQI=", "maybe": 0, "at": "2024-01-02T03:04:05Z", "day": {"year": 2024, "month": 1, "day": 2},
            "n": {"x": true}
        });
        let bytes = codec.to_bytes("p.M", &json).unwrap();
        assert_eq!(bytes.get(..3), Some(&[0x0A, 0x01, b'x'][..]));
        assert_eq!(codec.to_json("p.M", &bytes).unwrap(), json);
        assert_eq!(
            codec.to_bytes("p.M.N", &json!({"x": true})).unwrap(),
            [0x08, 0x01]
        );
    }

    #[test]
    fn defaults_are_shown_and_what_is_absent_is_not() {
        let codec = codec(TEXT);
        assert_eq!(
            codec.to_json("p.M", &[]).unwrap(),
            json!({"name": "", "big": "0", "many": [], "flags": {}, "e": "ZERO"})
        );
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let codec = codec(TEXT);
        assert!(matches!(
            codec.to_json("p.X", &[]),
            Err(DataError::NoMessage { .. })
        ));
        assert!(matches!(
            codec.to_json("p.M", &[0x0A, 0x05]),
            Err(DataError::Bytes { .. })
        ));
        let error = codec.to_bytes("p.M", &json!({"nme": 1})).unwrap_err();
        assert!(error.to_string().contains("nme"), "{error}");
        assert!(codec.to_bytes("p.M", &json!({"big": "x"})).is_err());
    }

    #[test]
    fn bytes_that_nest_without_end_are_an_error() {
        let codec = codec("syntax = \"proto3\"; message R { R r = 1; }");
        let mut bytes = Vec::new();
        for _ in 0..10_000 {
            let mut outer = vec![0x0A];
            prost::encoding::encode_varint(bytes.len() as u64, &mut outer);
            outer.append(&mut bytes);
            bytes = outer;
        }
        assert!(codec.to_json("R", &bytes).is_err());
    }

    #[test]
    fn an_entry_that_is_none_does_not_panic() {
        let text = "syntax = \"proto3\"; message M { repeated E e = 1; message E { option map_entry = true; int32 x = 5; } }";
        let refused = ProtobufSchema::parse(text, &[], ParseOptions { validate_new: true });
        assert!(refused.unwrap_err().to_string().contains("map_entry"));
        let schema = ProtobufSchema::parse(text, &[], ParseOptions::default()).unwrap();
        let codec = schema.codec().unwrap();
        let json = json!({"e": [{"x": 1}]});
        let bytes = codec.to_bytes("M", &json).unwrap();
        assert_eq!(codec.to_json("M", &bytes).unwrap(), json);
    }

    #[test]
    fn types_of_references_and_of_proto2_are_read() {
        let reference = ResolvedReference {
            name: "other.proto".to_owned(),
            schema: "package o; message T { required int32 a = 1 [default = 5]; repeated group G = 2 { optional string s = 1; } extensions 10 to 20; }".to_owned(),
        };
        let text = "syntax = \"proto3\"; import \"other.proto\"; message M { o.T t = 1; }";
        let schema =
            ProtobufSchema::parse(text, &[reference], ParseOptions { validate_new: true }).unwrap();
        let codec = schema.codec().unwrap();
        let json = json!({"t": {"a": 1, "g": [{"s": "x"}]}});
        let bytes = codec.to_bytes("M", &json).unwrap();
        assert_eq!(codec.to_json("M", &bytes).unwrap(), json);
    }
}
