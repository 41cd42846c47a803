//! A record in a request (`ProduceRequest`), as it stands in the request's bytes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::RestError;
use crate::json::{optional, unknown_field};
use crate::produce::{Data, Str};

/// `ProduceRequest`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProduceRequest<'a> {
    #[serde(default, deserialize_with = "optional")]
    pub(super) partition_id: Option<i32>,
    #[serde(borrow)]
    pub(super) headers: Option<Vec<HeaderData<'a>>>,
    #[serde(borrow)]
    pub(super) key: Option<Datum<'a>>,
    #[serde(borrow)]
    pub(super) value: Option<Datum<'a>>,
    pub(super) timestamp: Option<DateTimeText>,
}

/// A header: a name, and base64.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HeaderData<'a> {
    #[serde(borrow)]
    pub(super) name: Str<'a>,
    #[serde(borrow)]
    pub(super) value: Option<Str<'a>>,
}

/// `ProduceRequestData`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Datum<'a> {
    #[serde(rename = "type", borrow)]
    pub(super) kind: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) subject: Option<Str<'a>>,
    #[serde(borrow)]
    pub(super) subject_name_strategy: Option<Str<'a>>,
    #[serde(default, deserialize_with = "optional")]
    pub(super) schema_id: Option<i32>,
    #[serde(default, deserialize_with = "optional")]
    pub(super) schema_version: Option<i32>,
    #[serde(borrow)]
    pub(super) schema: Option<Str<'a>>,
    #[serde(default, borrow)]
    pub(super) data: Data<'a>,
}

/// A timestamp in milliseconds: from a text as RFC 3339 has it, or from seconds as a number, since Jackson takes both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DateTimeText(pub(super) i64);

impl<'de> Deserialize<'de> for DateTimeText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DateTimeVisitor)
    }
}

struct DateTimeVisitor;

impl Visitor<'_> for DateTimeVisitor {
    type Value = DateTimeText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a timestamp")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<DateTimeText, E> {
        let time = DateTime::parse_from_rfc3339(text).map_err(|error| {
            E::custom(format_args!(
                "timestamp {text:?} is none of RFC 3339, such as 2021-02-05T19:14:42Z: {error}"
            ))
        })?;
        Ok(DateTimeText(time.with_timezone(&Utc).timestamp_millis()))
    }

    fn visit_i64<E: Error>(self, seconds: i64) -> Result<DateTimeText, E> {
        let milliseconds = seconds.checked_mul(1000).map(DateTimeText);
        milliseconds.ok_or_else(|| E::custom(format_args!("timestamp {seconds} is out of range")))
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<DateTimeText, E> {
        self.visit_i64(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    fn visit_f64<E: Error>(self, seconds: f64) -> Result<DateTimeText, E> {
        let milliseconds = (seconds * 1000.0).floor();
        // Beyond that a double is no whole number of milliseconds any more.
        if milliseconds.abs() < 9e15 {
            Ok(DateTimeText(milliseconds as i64))
        } else {
            Err(E::custom(format_args!(
                "timestamp {seconds} is out of range"
            )))
        }
    }
}

impl<'a> ProduceRequest<'a> {
    /// Reads one JSON object.
    ///
    /// # Errors
    /// 400 with what is wrong and where.
    pub(super) fn parse(json: &'a [u8]) -> Result<Self, RestError> {
        serde_json::from_slice(json).map_err(|error| {
            let message = error.to_string();
            RestError::bad_request(match unknown_field(&message) {
                Some(field) => format!("Unrecognized field: {field}"),
                None => message,
            })
        })
    }
}

impl HeaderData<'_> {
    /// The header's value.
    ///
    /// # Errors
    /// 400 when it is not base64.
    pub(super) fn bytes(&self) -> Result<Option<Vec<u8>>, RestError> {
        let decode = |text: &Str<'_>| {
            STANDARD.decode(text.as_bytes()).map_err(|_| {
                RestError::bad_request(format!(
                    "Bad Request: value of header {} is not a base64 string.",
                    &*self.name
                ))
            })
        };
        self.value.as_ref().map(decode).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_what_it_says() {
        let request = ProduceRequest::parse(
            br#"{"partition_id":1,"headers":[{"name":"h","value":"AQI="},{"name":"n"}],
                "key":{"type":"STRING","data":"k"},"value":{"schema_id":3,"data":{"a": 1}},
                "timestamp":"2021-02-05T19:14:42.5Z"}"#,
        )
        .unwrap();
        assert_eq!(request.timestamp, Some(DateTimeText(1_612_552_482_500)));
        let headers = request.headers.unwrap();
        assert_eq!(headers[0].bytes().unwrap(), Some(vec![1, 2]));
        assert_eq!(headers[1].bytes().unwrap(), None);
        let value = request.value.unwrap();
        assert_eq!(
            (value.schema_id, value.data),
            (Some(3), Data::Json(b"{\"a\":1}".into()))
        );
    }

    #[test]
    fn a_field_that_is_not_known_is_refused() {
        for bad in [
            r#"{"other":{}}"#,
            r#"{"value":{"datum":1}}"#,
            r#"{"headers":[{"name":"a","key":"b"}]}"#,
        ] {
            let error = ProduceRequest::parse(bad.as_bytes()).unwrap_err();
            assert_eq!(error.code, 400);
            assert!(error.message.starts_with("Unrecognized field: "), "{error}");
        }
    }

    #[test]
    fn what_is_no_timestamp_is_named() {
        let error = ProduceRequest::parse(br#"{"timestamp":"yesterday"}"#).unwrap_err();
        assert!(error.message.contains("yesterday"), "{error}");
        let found =
            |json: &str| ProduceRequest::parse(json.as_bytes()).map(|found| found.timestamp);
        assert_eq!(found(r#"{"timestamp":5}"#), Ok(Some(DateTimeText(5000))));
        assert_eq!(found(r#"{"timestamp":1.25}"#), Ok(Some(DateTimeText(1250))));
        assert_eq!(found(r#"{"timestamp":null}"#), Ok(None));
        for bad in ["9223372036854775807", "-1e300", "true"] {
            assert!(found(&format!("{{\"timestamp\":{bad}}}")).is_err(), "{bad}");
        }
    }

    #[test]
    fn nesting_ends_somewhere() {
        let deep = format!(
            "{{\"value\":{{\"data\":{}1{}}}}}",
            "[".repeat(10_000),
            "]".repeat(10_000)
        );
        assert_eq!(
            ProduceRequest::parse(deep.as_bytes()).unwrap_err().code,
            400
        );
    }
}
