//! What became of a record (`ProduceResponse`), alone or in a batch (`ProduceBatchResponse`).

use std::io::Write;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

use super::data::Format;
use crate::error::RestError;

/// `ProduceResponse`.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    error_code: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
}

/// Where a record is.
#[derive(Debug, Serialize)]
pub(super) struct Place {
    pub(super) cluster_id: String,
    pub(super) topic_name: String,
    pub(super) partition_id: i32,
    pub(super) offset: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<Size>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<Size>,
}

/// `ProduceResponseData`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Size {
    #[serde(rename = "type")]
    kind: &'static str,
    size: usize,
}

impl Size {
    pub(super) fn of(format: Format, size: usize) -> Self {
        Self {
            kind: format.name(),
            size,
        }
    }
}

/// `ProduceBatchResponse`.
#[derive(Debug, Serialize)]
pub(super) struct BatchReport {
    pub(super) successes: Vec<EntryReport>,
    pub(super) failures: Vec<EntryReport>,
}

/// An entry of a batch, by its id.
#[derive(Debug, Serialize)]
pub(super) struct EntryReport {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
}

/// The code of a record that was written.
const WRITTEN: i32 = 200;

impl Report {
    pub(super) fn written(place: Place) -> Self {
        Self {
            error_code: WRITTEN,
            message: None,
            place: Some(place),
        }
    }

    pub(super) fn is_success(&self) -> bool {
        self.error_code == WRITTEN
    }

    /// The report as an entry of a batch; a success says no code there.
    pub(super) fn entry(self, id: String) -> EntryReport {
        EntryReport {
            id,
            error_code: (!self.is_success()).then_some(self.error_code),
            message: self.message,
            place: self.place,
        }
    }

    /// Writes the report as one line of JSON.
    pub(super) fn write(&self, mut out: impl Write) {
        serde_json::to_writer(&mut out, self).expect(
            "a report has no map with other keys than strings, and memory takes what is written",
        );
    }
}

impl From<RestError> for Report {
    fn from(error: RestError) -> Self {
        Self {
            error_code: error.code,
            message: Some(error.message),
            place: None,
        }
    }
}

/// RFC 3339 with as many digits as the milliseconds need.
pub(super) fn timestamp(timestamp_ms: i64) -> Option<String> {
    let time = DateTime::from_timestamp_millis(timestamp_ms)?;
    Some(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_as_confluents() {
        let report = Report::written(Place {
            cluster_id: "c".to_owned(),
            topic_name: "t".to_owned(),
            partition_id: 1,
            offset: 7,
            timestamp: timestamp(1_612_552_482_000),
            key: None,
            value: Some(Size::of(Format::Json, 15)),
        });
        let mut out = Vec::new();
        report.write(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"{"error_code":200,"cluster_id":"c","topic_name":"t","partition_id":1,"offset":7,"timestamp":"2021-02-05T19:14:42Z","value":{"type":"JSON","size":15}}"#
        );
    }

    #[test]
    fn a_failure_has_a_code_and_a_message_only() {
        let report = Report::from(RestError::bad_request("no"));
        let mut out = Vec::new();
        report.write(&mut out);
        assert_eq!(out, br#"{"error_code":400,"message":"no"}"#);
    }
}
