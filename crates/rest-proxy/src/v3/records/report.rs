//! What became of a record (`ProduceResponse`), alone or in a batch (`ProduceBatchResponse`), as JSON.
//!
//! Written by hand, since there is one for each record: what stays the same within a request is written once, and the
//! text of a timestamp is made anew only when the millisecond is another.

use std::io::Write as _;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;

use crate::error::RestError;
use crate::format::Format;
use crate::produce::{Outcome, refusal};
use crate::schemas::Registered;

/// The code of a record that was written.
const WRITTEN: i32 = 200;

/// What a report says of a key or value.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) format: Format,
    pub(super) size: usize,
    pub(super) schema: Option<Arc<Registered>>,
}

/// Key and value.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    pub(super) key: Option<Part>,
    pub(super) value: Option<Part>,
}

/// Writes the reports of one request.
#[derive(Debug)]
pub(super) struct Reporter {
    /// Cluster and topic.
    head: Vec<u8>,
    timestamp_ms: Option<i64>,
    timestamp: Vec<u8>,
}

impl Reporter {
    pub(super) fn new(cluster_id: &str, topic_name: &str) -> Self {
        let mut head = b"\"cluster_id\":".to_vec();
        write_json(&mut head, cluster_id);
        head.extend_from_slice(b",\"topic_name\":");
        write_json(&mut head, topic_name);
        head.extend_from_slice(b",\"partition_id\":");
        Self {
            head,
            timestamp_ms: None,
            timestamp: Vec::new(),
        }
    }

    /// A report as an object.
    pub(super) fn object(&mut self, out: &mut Vec<u8>, outcome: &Outcome, parts: &Parts) {
        out.push(b'{');
        match place(outcome) {
            Ok(place) => {
                write_number(out, b"\"error_code\":", i64::from(WRITTEN));
                out.push(b',');
                self.place(out, place, parts);
            }
            Err(error) => failure(out, &error),
        }
        out.push(b'}');
    }

    /// A report as an entry of a batch; a success says no code there. Gives whether it is one.
    pub(super) fn entry(
        &mut self,
        out: &mut Vec<u8>,
        id: &str,
        outcome: &Result<Outcome, RestError>,
        parts: &Parts,
    ) -> bool {
        out.extend_from_slice(b"{\"id\":");
        write_json(out, id);
        out.push(b',');
        let place = match outcome {
            Ok(outcome) => place(outcome),
            Err(error) => Err(error.clone()),
        };
        match &place {
            Ok(place) => self.place(out, *place, parts),
            Err(error) => failure(out, error),
        }
        out.push(b'}');
        place.is_ok()
    }

    fn place(&mut self, out: &mut Vec<u8>, place: Place, parts: &Parts) {
        out.extend_from_slice(&self.head);
        push_number(out, i64::from(place.partition));
        write_number(out, b",\"offset\":", place.offset);
        if place.timestamp_ms != self.timestamp_ms {
            self.timestamp_ms = place.timestamp_ms;
            self.timestamp.clear();
            if let Some(text) = place.timestamp_ms.and_then(timestamp) {
                self.timestamp.extend_from_slice(b",\"timestamp\":\"");
                self.timestamp.extend_from_slice(text.as_bytes());
                self.timestamp.push(b'"');
            }
        }
        out.extend_from_slice(&self.timestamp);
        for (name, part) in [
            (&b",\"key\":"[..], &parts.key),
            (&b",\"value\":"[..], &parts.value),
        ] {
            if let Some(part) = part {
                out.extend_from_slice(name);
                write_part(out, part);
            }
        }
    }
}

/// A report of a record that was refused, as an object.
pub(super) fn refused(out: &mut Vec<u8>, error: &RestError) {
    out.push(b'{');
    failure(out, error);
    out.push(b'}');
}

#[derive(Debug, Clone, Copy)]
struct Place {
    partition: i32,
    offset: i64,
    timestamp_ms: Option<i64>,
}

fn place(outcome: &Outcome) -> Result<Place, RestError> {
    match outcome {
        Outcome::Written {
            partition,
            offset,
            timestamp_ms,
        } => Ok(Place {
            partition: *partition,
            offset: *offset,
            timestamp_ms: *timestamp_ms,
        }),
        Outcome::Failed(error) => Err(refusal(error)),
    }
}

fn failure(out: &mut Vec<u8>, error: &RestError) {
    write_number(out, b"\"error_code\":", i64::from(error.code));
    out.extend_from_slice(b",\"message\":");
    write_json(out, &error.message);
}

fn write_part(out: &mut Vec<u8>, part: &Part) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(part.format.name().as_bytes());
    out.push(b'"');
    if let Some(schema) = &part.schema {
        out.extend_from_slice(b",\"subject\":");
        write_json(out, &schema.subject);
        write_number(out, b",\"schema_id\":", i64::from(schema.id));
        write_number(out, b",\"schema_version\":", i64::from(schema.version));
    }
    let size = i64::try_from(part.size).unwrap_or(i64::MAX);
    write_number(out, b",\"size\":", size);
    out.push(b'}');
}

fn write_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("a string is JSON, and memory takes what is written");
}

fn write_number(out: &mut Vec<u8>, name: &[u8], number: i64) {
    out.extend_from_slice(name);
    push_number(out, number);
}

fn push_number(out: &mut Vec<u8>, number: i64) {
    write!(out, "{number}").expect("memory takes what is written");
}

/// RFC 3339 with as many digits as the milliseconds need.
fn timestamp(timestamp_ms: i64) -> Option<String> {
    let time = DateTime::from_timestamp_millis(timestamp_ms)?;
    Some(time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Parts {
        Parts {
            key: None,
            value: Some(Part {
                format: Format::Json,
                size: 15,
                schema: None,
            }),
        }
    }

    fn written(timestamp_ms: Option<i64>) -> Outcome {
        Outcome::Written {
            partition: 1,
            offset: 7,
            timestamp_ms,
        }
    }

    #[test]
    fn a_report_reads_as_confluents() {
        let mut reporter = Reporter::new("c", "t");
        let mut report = |timestamp_ms| {
            let mut out = Vec::new();
            reporter.object(&mut out, &written(timestamp_ms), &parts());
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            report(Some(1_612_552_482_000)),
            r#"{"error_code":200,"cluster_id":"c","topic_name":"t","partition_id":1,"offset":7,"timestamp":"2021-02-05T19:14:42Z","value":{"type":"JSON","size":15}}"#
        );
        assert!(report(Some(1_612_552_482_001)).contains("19:14:42.001Z"));
        assert!(!report(None).contains("timestamp"));
    }

    #[test]
    fn a_failure_has_a_code_and_a_message_only() {
        let mut out = Vec::new();
        refused(&mut out, &RestError::bad_request("no"));
        assert_eq!(out, br#"{"error_code":400,"message":"no"}"#);
    }

    #[test]
    fn an_entry_has_its_id() {
        let mut reporter = Reporter::new("c", "t");
        let mut out = Vec::new();
        assert!(reporter.entry(&mut out, "a", &Ok(written(None)), &parts()));
        assert!(out.starts_with(br#"{"id":"a","cluster_id":"c""#));
        out.clear();
        let failed = Err(RestError::bad_request("no"));
        assert!(!reporter.entry(&mut out, "b", &failed, &parts()));
        assert_eq!(out, br#"{"id":"b","error_code":400,"message":"no"}"#);
    }
}
