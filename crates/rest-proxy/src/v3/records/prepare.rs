//! From a request to a record's bytes: which format, which schema, what does not go together.
//!
//! The rules and their order are those of `ProduceRequestData.Builder` and `ProduceAction` (kafka-rest 8): without a
//! `type`, the schema says it, and without anything it is the latest schema of the topic's subject.

use std::collections::VecDeque;
use std::sync::Arc;

use client::data::{Header, OwnedHeaders};
use schema::serde::SubjectNameStrategy;

use super::data::{Datum, HeaderData, ProduceRequest};
use super::report::{Part, Parts};
use crate::error::RestError;
use crate::format::Format;
use crate::produce::{
    Encoded, NotEncoded, Outgoing, Source, Sources, Str, Unfit, encode_each, encode_one,
    with_schema,
};
use crate::proxy::Proxy;
use crate::schemas::{Registered, SchemaQuery, Schemas};

/// Which format and schema a key or value has.
#[derive(Debug)]
struct Kind {
    format: Format,
    schema: Option<Arc<Registered>>,
}

/// What a record has besides its bytes.
#[derive(Debug)]
struct Rest {
    partition: Option<i32>,
    timestamp_ms: Option<i64>,
    headers: Option<OwnedHeaders>,
    key: Option<Kind>,
    value: Option<Kind>,
}

/// A record whose bytes may still have to be made.
#[derive(Debug)]
pub(super) struct Begun<'a> {
    rest: Rest,
    sources: Sources<'a>,
}

/// A record's parts as bytes.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    rest: Rest,
    encoded: Encoded<'a>,
}

/// Records of a stream that wait for the rules of their schemas, in order, and those that were refused meanwhile.
#[derive(Debug, Default)]
pub(super) struct Held(VecDeque<Result<Begun<'static>, RestError>>);

impl<'a> Begun<'a> {
    /// Finds the schemas that the request names.
    ///
    /// # Errors
    /// 400 for what does not fit or go together, and those of [`Schemas::find`].
    pub(super) async fn of(
        request: ProduceRequest<'a>,
        topic: &str,
        schemas: &Schemas,
    ) -> Result<Self, RestError> {
        if request.partition_id.is_some_and(|partition| partition < 0) {
            return Err(RestError::partition_not_found());
        }
        let headers = headers(request.headers.as_deref().unwrap_or_default())?;
        let (key, key_source) = part(request.key, topic, true, schemas).await?;
        let (value, value_source) = part(request.value, topic, false, schemas).await?;
        Ok(Self {
            rest: Rest {
                partition: request.partition_id,
                timestamp_ms: request.timestamp.map(|time| time.0),
                headers,
                key,
                value,
            },
            sources: Sources {
                key: key_source,
                value: value_source,
            },
        })
    }

    /// Whether there are no rules to be run.
    pub(super) fn is_ready(&self) -> bool {
        self.sources.is_ready()
    }

    /// The same, without what it borrows from the request.
    pub(super) fn into_owned(self) -> Begun<'static> {
        Begun {
            rest: self.rest,
            sources: self.sources.into_owned(),
        }
    }

    /// Makes the bytes.
    ///
    /// # Errors
    /// 400 for what does not fit, 422/42207 for a record that a rule refuses.
    pub(super) async fn finish(
        self,
        topic: &str,
        proxy: &Proxy,
    ) -> Result<Prepared<'a>, RestError> {
        let encoded = encode_one(proxy.schemas(), self.sources).await;
        self.rest.finish(encoded, topic, proxy).await
    }
}

impl Rest {
    async fn finish<'a>(
        self,
        encoded: Result<Encoded<'a>, NotEncoded>,
        topic: &str,
        proxy: &Proxy,
    ) -> Result<Prepared<'a>, RestError> {
        match encoded {
            Ok(encoded) => Ok(Prepared {
                rest: self,
                encoded,
            }),
            Err(error) => Err(error.settle(proxy, topic, self.headers, unfit).await),
        }
    }
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, record: Result<Begun<'static>, RestError>) {
        self.0.push_back(record);
    }

    /// Makes the bytes of as many as a moment suffices for, at least of the first; the others stay.
    pub(super) async fn take(
        &mut self,
        topic: &str,
        proxy: &Proxy,
    ) -> Vec<Result<Prepared<'static>, RestError>> {
        let mut sources = Vec::with_capacity(self.0.len());
        let mut rests = Vec::with_capacity(self.0.len());
        for record in self.0.drain(..) {
            rests.push(record.map(|begun| {
                sources.push(begun.sources);
                begun.rest
            }));
        }
        let (encoded, left) = encode_each(proxy.schemas(), sources).await;
        let (mut encoded, mut left) = (encoded.into_iter(), left.into_iter());
        let mut taken = Vec::with_capacity(rests.len());
        for rest in rests {
            match rest {
                Err(error) if self.0.is_empty() => taken.push(Err(error)),
                Err(error) => self.push(Err(error)),
                Ok(rest) => match encoded.next() {
                    Some(encoded) => taken.push(rest.finish(encoded, topic, proxy).await),
                    None => match left.next() {
                        Some(sources) => self.push(Ok(Begun { rest, sources })),
                        None => taken.push(Err(RestError::internal("a record has no outcome"))),
                    },
                },
            }
        }
        taken
    }
}

impl Prepared<'_> {
    /// The record, for the producer.
    pub(super) fn outgoing(&mut self) -> Outgoing<'_> {
        Outgoing {
            partition: self.rest.partition,
            timestamp_ms: self.rest.timestamp_ms,
            headers: self.rest.headers.take(),
            key: self.encoded.key.as_deref(),
            value: self.encoded.value.as_deref(),
        }
    }

    /// What the report says of key and value.
    pub(super) fn parts(&self) -> Parts {
        let part = |kind: &Kind, bytes: Option<&[u8]>| Part {
            format: kind.format,
            size: bytes.map_or(0, <[u8]>::len),
            schema: kind.schema.clone(),
        };
        let Rest { key, value, .. } = &self.rest;
        let encoded = &self.encoded;
        Parts {
            key: key.as_ref().map(|kind| part(kind, encoded.key.as_deref())),
            value: value
                .as_ref()
                .map(|kind| part(kind, encoded.value.as_deref())),
        }
    }
}

fn headers(headers: &[HeaderData<'_>]) -> Result<Option<OwnedHeaders>, RestError> {
    let mut made: Option<OwnedHeaders> = None;
    for header in headers {
        if header.name.contains('\0') {
            return Err(refuse("the name of a header has a NUL"));
        }
        let value = header.bytes()?;
        made = Some(made.unwrap_or_default().insert(Header {
            key: &header.name,
            value: value.as_deref(),
        }));
    }
    Ok(made)
}

/// What a request says of a key or value, on its way to its bytes.
async fn part<'a>(
    datum: Option<Datum<'a>>,
    topic: &str,
    is_key: bool,
    schemas: &Schemas,
) -> Result<(Option<Kind>, Source<'a>), RestError> {
    let Some(datum) = datum else {
        return Ok((None, Source::Ready(None)));
    };
    match format_of(&datum)? {
        Some(format) if format.schema_type().is_none() => {
            check_schemaless(&datum, format)?;
            let source = Source::plain(format, datum.data).map_err(unfit)?;
            let schema = None;
            Ok((Some(Kind { format, schema }), source))
        }
        format => {
            let query = query(&datum, format, topic, is_key)?.or_default(schemas);
            let schema = schemas.find(&query).await?;
            // A dead letter has the key's data.
            let source = with_schema(&schema, datum.data, is_key).await;
            let kind = Kind {
                format: schema.format,
                schema: Some(schema),
            };
            Ok((Some(kind), source.map_err(unfit)?))
        }
    }
}

/// The format that `type` names, if it is there.
fn format_of(datum: &Datum<'_>) -> Result<Option<Format>, RestError> {
    let Some(name) = datum.kind.as_deref() else {
        return Ok(None);
    };
    match Format::of(name) {
        Some(format) => Ok(Some(format)),
        None => Err(RestError::bad_request(format!(
            "Bad Request: type={name} is none of BINARY, JSON, STRING, AVRO, JSONSCHEMA, PROTOBUF."
        ))),
    }
}

fn check_schemaless(datum: &Datum<'_>, format: Format) -> Result<(), RestError> {
    let name = format.name();
    let given = [
        (datum.subject_name_strategy.is_some(), "subject_strategy"),
        (datum.subject.is_some(), "subject"),
        (datum.schema_id.is_some(), "schema_id"),
        (datum.schema_version.is_some(), "schema_version"),
        (datum.schema.is_some(), "schema"),
    ];
    match given.iter().find(|(is_given, _)| *is_given) {
        Some((_, what)) => Err(refuse(&format!(
            "'type={name}' cannot be used with '{what}'."
        ))),
        None => Ok(()),
    }
}

fn unfit(unfit: Unfit) -> RestError {
    refuse(&unfit.to_string())
}

fn refuse(what: &str) -> RestError {
    RestError::bad_request(format!("Bad Request: {what}"))
}

/// The schema that is asked for.
fn query(
    datum: &Datum<'_>,
    format: Option<Format>,
    topic: &str,
    is_key: bool,
) -> Result<SchemaQuery, RestError> {
    if datum.subject_name_strategy.is_some() && datum.subject.is_some() {
        return Err(refuse(
            "Only one of 'subject_name_strategy' or 'subject' can be used.",
        ));
    }
    let ways = usize::from(datum.schema_id.is_some())
        + usize::from(datum.schema_version.is_some())
        + usize::from(datum.schema.is_some());
    if ways > 1 {
        return Err(refuse(
            "Only one of 'schema_id', 'schema_version' or 'schema' can be used.",
        ));
    }
    match (format, datum.schema_id, datum.schema_version, &datum.schema) {
        (Some(_), Some(id), ..) => {
            return Err(refuse(&format!(
                "'schema_id={id}' cannot be used with 'serializer'."
            )));
        }
        (Some(_), _, Some(version), _) => {
            return Err(refuse(&format!(
                "'schema_version={version}' cannot be used with 'serializer'."
            )));
        }
        (Some(_), None, None, None) => {
            return Err(refuse(
                "'schema_version=latest' cannot be used with 'serializer'.",
            ));
        }
        (None, _, _, Some(_)) => {
            return Err(refuse(
                "'schema' needs a 'type': AVRO, JSONSCHEMA or PROTOBUF.",
            ));
        }
        _ => {}
    }
    let strategy = match datum.subject_name_strategy.as_deref() {
        None => None,
        Some(name) => Some(strategy(name)?),
    };
    let owned = |text: &Option<Str<'_>>| text.as_deref().map(str::to_owned);
    Ok(SchemaQuery {
        topic: topic.to_owned(),
        is_key,
        format,
        subject: owned(&datum.subject),
        strategy,
        id: datum.schema_id,
        version: datum.schema_version,
        text: owned(&datum.schema),
    })
}

fn strategy(name: &str) -> Result<SubjectNameStrategy, RestError> {
    match name {
        "TOPIC_NAME" => Ok(SubjectNameStrategy::TopicName),
        "RECORD_NAME" => Ok(SubjectNameStrategy::RecordName),
        "TOPIC_RECORD_NAME" => Ok(SubjectNameStrategy::TopicRecordName),
        other => Err(refuse(&format!(
            "subject_name_strategy={other} is none of TOPIC_NAME, RECORD_NAME, TOPIC_RECORD_NAME."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datum(json: &str) -> Datum<'_> {
        serde_json::from_str(json).unwrap()
    }

    fn bytes(json: &str) -> Result<Option<Vec<u8>>, RestError> {
        let datum = datum(json);
        let format = format_of(&datum)?.unwrap();
        let source = Source::plain(format, datum.data).map_err(unfit)?;
        let Source::Ready(bytes) = source else {
            panic!("there is no schema: {source:?}");
        };
        Ok(bytes.map(std::borrow::Cow::into_owned))
    }

    #[test]
    fn each_format_gives_its_bytes() {
        let bytes = |json: &str| bytes(json).unwrap();
        assert_eq!(
            bytes(r#"{"type":"BINARY","data":"AQI="}"#),
            Some(vec![1, 2])
        );
        assert_eq!(bytes(r#"{"type":"BINARY","data":"AQI"}"#), Some(vec![1, 2]));
        assert_eq!(
            bytes(r#"{"type":"STRING","data":"é"}"#),
            Some("é".as_bytes().to_vec())
        );
        assert_eq!(
            bytes(r#"{"type":"JSON","data":{ "b":1, "a":[true] }}"#),
            Some(br#"{"b":1,"a":[true]}"#.to_vec())
        );
        assert_eq!(
            bytes(r#"{"type":"JSON","data":"x"}"#),
            Some(br#""x""#.to_vec())
        );
        assert_eq!(bytes(r#"{"type":"JSON","data":null}"#), None);
        assert_eq!(bytes(r#"{"type":"BINARY"}"#), None);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let message = |json: &str| bytes(json).unwrap_err().message;
        assert_eq!(
            message(r#"{"type":"BINARY","data":1}"#),
            "Bad Request: data=1 is not a base64 string."
        );
        assert_eq!(
            message(r#"{"type":"BINARY","data":"*"}"#),
            "Bad Request: data=* is not a base64 string."
        );
        assert_eq!(
            message(r#"{"type":"STRING","data":[1]}"#),
            "Bad Request: data=[1] is not a string."
        );
        assert!(message(r#"{"type":"YAML","data":1}"#).contains("YAML"));
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let refused = |json: &str| {
            let datum = datum(json);
            let format = format_of(&datum).unwrap();
            match format {
                Some(format) if format.schema_type().is_none() => {
                    check_schemaless(&datum, format).unwrap_err()
                }
                format => query(&datum, format, "t", false).unwrap_err(),
            }
            .message
        };
        for (json, what) in [
            (
                r#"{"type":"BINARY","schema_id":1}"#,
                "'type=BINARY' cannot be used with 'schema_id'.",
            ),
            (
                r#"{"type":"AVRO","schema_id":1}"#,
                "'schema_id=1' cannot be used with 'serializer'.",
            ),
            (
                r#"{"type":"AVRO"}"#,
                "'schema_version=latest' cannot be used with 'serializer'.",
            ),
            (
                r#"{"schema_id":1,"schema_version":1}"#,
                "Only one of 'schema_id', 'schema_version' or 'schema' can be used.",
            ),
            (
                r#"{"subject":"s","subject_name_strategy":"TOPIC_NAME"}"#,
                "Only one of 'subject_name_strategy' or 'subject' can be used.",
            ),
            (r#"{"schema":"{}"}"#, "'schema' needs a 'type'"),
            (
                r#"{"subject_name_strategy":"X"}"#,
                "subject_name_strategy=X",
            ),
        ] {
            let message = refused(json);
            assert!(message.contains(what), "{json}: {message}");
        }
        let latest = query(&datum("{}"), None, "t", true).unwrap();
        assert_eq!((latest.topic.as_str(), latest.is_key), ("t", true));
    }
}
