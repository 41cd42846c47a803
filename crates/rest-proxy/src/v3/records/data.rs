//! A record in a request (`ProduceRequest`), and its key and value as bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use crate::error::RestError;

/// `ProduceRequest`.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub(super) struct ProduceRequest {
    pub(super) partition_id: Option<i32>,
    #[serde(default)]
    pub(super) headers: Vec<HeaderData>,
    pub(super) key: Option<Datum>,
    pub(super) value: Option<Datum>,
    pub(super) timestamp: Option<DateTimeText>,
}

/// A header: a name, and base64.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct HeaderData {
    pub(super) name: String,
    pub(super) value: Option<String>,
}

/// `ProduceRequestData`.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub(super) struct Datum {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) data: Option<Value>,
}

/// A timestamp as RFC 3339 has it, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct DateTimeText(pub(super) i64);

impl TryFrom<String> for DateTimeText {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        DateTime::parse_from_rfc3339(&text)
            .map(|time| Self(time.with_timezone(&Utc).timestamp_millis()))
            .map_err(|error| {
                format!(
                    "timestamp {text:?} is none of RFC 3339, such as 2021-02-05T19:14:42Z: {error}"
                )
            })
    }
}

/// How a key or value becomes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Binary,
    Json,
    Text,
}

impl Format {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Binary => "BINARY",
            Self::Json => "JSON",
            Self::Text => "STRING",
        }
    }
}

/// A key or value, ready to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Serialized {
    pub(super) format: Format,
    /// `None`: null, for a value a tombstone.
    pub(super) bytes: Option<Vec<u8>>,
}

impl ProduceRequest {
    /// Reads one JSON object.
    ///
    /// # Errors
    /// 400 with what is wrong and where.
    pub(super) fn parse(json: &[u8]) -> Result<Self, RestError> {
        serde_json::from_slice(json).map_err(|error| RestError::bad_request(error.to_string()))
    }
}

impl HeaderData {
    /// The header's value.
    ///
    /// # Errors
    /// 400 when it is not base64.
    pub(super) fn bytes(&self) -> Result<Option<Vec<u8>>, RestError> {
        let decode = |text: &String| {
            STANDARD.decode(text).map_err(|_| {
                RestError::bad_request(format!(
                    "Bad Request: value of header {} is not a base64 string.",
                    self.name
                ))
            })
        };
        self.value.as_ref().map(decode).transpose()
    }
}

impl Datum {
    /// The bytes of a key or value.
    ///
    /// # Errors
    /// 400 when `data` does not fit `type`, or `type` is not one of those without a schema.
    pub(super) fn serialize(self) -> Result<Serialized, RestError> {
        let format = match self.kind.as_deref() {
            Some("BINARY") => Format::Binary,
            Some("JSON") => Format::Json,
            Some("STRING") => Format::Text,
            other => {
                let other = other.unwrap_or("null");
                return Err(RestError::bad_request(format!(
                    "Bad Request: type={other} is none of BINARY, JSON, STRING."
                )));
            }
        };
        let data = match self.data {
            None | Some(Value::Null) => {
                return Ok(Serialized {
                    format,
                    bytes: None,
                });
            }
            Some(data) => data,
        };
        let bytes = match (format, data) {
            (Format::Json, data) => serde_json::to_vec(&data)
                .map_err(|error| RestError::bad_request(error.to_string()))?,
            (Format::Text, Value::String(text)) => text.into_bytes(),
            (Format::Binary, Value::String(text)) => STANDARD.decode(&text).map_err(|_| {
                RestError::bad_request(format!("Bad Request: data={text} is not a base64 string."))
            })?,
            (Format::Text, other) => {
                return Err(RestError::bad_request(format!(
                    "Bad Request: data={other} is not a string."
                )));
            }
            (Format::Binary, other) => {
                return Err(RestError::bad_request(format!(
                    "Bad Request: data={other} is not a base64 string."
                )));
            }
        };
        Ok(Serialized {
            format,
            bytes: Some(bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serialize(json: &str) -> Result<Option<Vec<u8>>, RestError> {
        let datum: Datum = serde_json::from_str(json).unwrap();
        datum.serialize().map(|serialized| serialized.bytes)
    }

    #[test]
    fn each_format_gives_its_bytes() {
        let bytes = |json: &str| serialize(json).unwrap().unwrap();
        assert_eq!(bytes(r#"{"type":"BINARY","data":"AQI="}"#), [1, 2]);
        assert_eq!(bytes(r#"{"type":"STRING","data":"é"}"#), "é".as_bytes());
        assert_eq!(
            bytes(r#"{"type":"JSON","data":{ "b":1, "a":[true] }}"#),
            br#"{"b":1,"a":[true]}"#
        );
        assert_eq!(serialize(r#"{"type":"JSON","data":null}"#).unwrap(), None);
        assert_eq!(serialize(r#"{"type":"BINARY"}"#).unwrap(), None);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |json: &str| serialize(json).unwrap_err().message;
        assert_eq!(
            message(r#"{"type":"BINARY","data":1}"#),
            "Bad Request: data=1 is not a base64 string."
        );
        assert_eq!(
            message(r#"{"type":"BINARY","data":"*"}"#),
            "Bad Request: data=* is not a base64 string."
        );
        assert!(message(r#"{"type":"YAML","data":1}"#).contains("YAML"));
    }

    #[test]
    fn a_timestamp_is_rfc_3339() {
        let request = ProduceRequest::parse(br#"{"timestamp":"2021-02-05T19:14:42.5Z"}"#).unwrap();
        assert_eq!(request.timestamp, Some(DateTimeText(1_612_552_482_500)));
        let error = ProduceRequest::parse(br#"{"timestamp":"yesterday"}"#).unwrap_err();
        assert!(error.message.contains("yesterday"), "{error}");
    }
}
