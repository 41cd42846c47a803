//! A record in a request (`ProduceRequest`), as it stands in the request's bytes.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::error::RestError;
use crate::json::unknown_field;
use crate::produce::{Data, Str};

/// `ProduceRequest`.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProduceRequest<'a> {
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
    pub(super) schema_id: Option<i32>,
    pub(super) schema_version: Option<i32>,
    #[serde(borrow)]
    pub(super) schema: Option<Str<'a>>,
    #[serde(default, borrow)]
    pub(super) data: Data<'a>,
}

/// A timestamp as RFC 3339 has it, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Cow<'_, str>")]
pub(super) struct DateTimeText(pub(super) i64);

impl TryFrom<Cow<'_, str>> for DateTimeText {
    type Error = String;

    fn try_from(text: Cow<'_, str>) -> Result<Self, String> {
        DateTime::parse_from_rfc3339(&text)
            .map(|time| Self(time.with_timezone(&Utc).timestamp_millis()))
            .map_err(|error| {
                format!(
                    "timestamp {text:?} is none of RFC 3339, such as 2021-02-05T19:14:42Z: {error}"
                )
            })
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
