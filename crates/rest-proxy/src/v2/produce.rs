//! `POST /topics/{topic}`, `POST /topics/{topic}/partitions/{partition}`: records in the format of the content type.
//!
//! Either all records of a request are handed to the producer or none: what cannot be read or encoded is refused before.
//! What becomes of each stands in `offsets`, in the order of the records.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use client::data::{DataError, RDKafkaErrorCode};
use serde::{Deserialize, Serialize};

use super::{media, partitions};
use crate::error::RestError;
use crate::format::Format;
use crate::json::{self, optional};
use crate::path::Path;
use crate::produce::{
    Data, Lane, Outcome, Outgoing, Source, Sources, Str, Unfit, encode_all, kafka_code, send,
    with_schema,
};
use crate::proxy::Proxy;
use crate::schemas::{Registered, SchemaQuery};

const AUTHENTICATION: i32 = 40101;
const AUTHORIZATION: i32 = 40301;
const KAFKA: i32 = 50002;
const RETRIABLE: i32 = 50003;

/// `ProduceRequest` of version 2.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<'a> {
    #[serde(borrow)]
    records: Option<Vec<Record<'a>>>,
    #[serde(borrow)]
    key_schema: Option<Str<'a>>,
    #[serde(default, deserialize_with = "optional")]
    key_schema_id: Option<i32>,
    #[serde(borrow)]
    value_schema: Option<Str<'a>>,
    #[serde(default, deserialize_with = "optional")]
    value_schema_id: Option<i32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record<'a> {
    #[serde(default, deserialize_with = "optional")]
    partition: Option<i32>,
    #[serde(default, borrow)]
    key: Data<'a>,
    #[serde(default, borrow)]
    value: Data<'a>,
}

/// `ProduceResponse` of version 2.
#[derive(Debug, Serialize)]
struct Answer {
    offsets: Vec<Offset>,
    key_schema_id: Option<i32>,
    value_schema_id: Option<i32>,
}

/// `PartitionOffset`.
#[derive(Debug, Serialize, PartialEq)]
struct Offset {
    partition: Option<i32>,
    offset: Option<i64>,
    error_code: Option<i32>,
    error: Option<String>,
}

/// `POST /topics/{topic}`.
pub(super) async fn to_topic(
    State(proxy): State<Arc<Proxy>>,
    Path(topic): Path<String>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, RestError> {
    let format = media::format_of_body(&headers)?;
    media::check_accept(&headers)?;
    produce(&proxy, &topic, None, format, &body?).await
}

/// `POST /topics/{topic}/partitions/{partition}`.
pub(super) async fn to_partition(
    State(proxy): State<Arc<Proxy>>,
    Path((topic, partition)): Path<(String, i32)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, RestError> {
    let format = media::format_of_body(&headers)?;
    media::check_accept(&headers)?;
    let body = body?;
    match partitions::find(proxy.admin().await?, &topic, partition).await {
        // The topic may be made by its first record.
        Err(error) if error != RestError::topic_not_found() => return Err(error),
        _ => {}
    }
    produce(&proxy, &topic, Some(partition), format, &body).await
}

async fn produce(
    proxy: &Proxy,
    topic: &str,
    partition: Option<i32>,
    format: Format,
    body: &[u8],
) -> Result<Response, RestError> {
    let request = read(body)?;
    let records = request.records.as_deref().unwrap_or_default();
    let key_schema = schema(proxy, topic, format, true, &request).await?;
    let value_schema = schema(proxy, topic, format, false, &request).await?;
    check_schemas(format, records, key_schema.as_ref(), value_schema.as_ref())?;
    let mut sources = Vec::with_capacity(records.len());
    for record in records {
        sources.push(Sources {
            key: source(format, key_schema.as_ref(), &record.key, true).await?,
            value: source(format, value_schema.as_ref(), &record.value, false).await?,
        });
    }
    let encoded = match encode_all(proxy.schemas(), sources).await {
        Ok(encoded) => encoded,
        Err(error) => return Err(error.settle(proxy, topic, None, unfit).await),
    };
    let sink = proxy.producer().await?;
    let lane = Arc::new(Lane::default());
    for (record, encoded) in records.iter().zip(&encoded) {
        let record = Outgoing {
            partition: record.partition.or(partition),
            key: encoded.key.as_deref(),
            value: encoded.value.as_deref(),
            ..Outgoing::default()
        };
        send(sink, topic, record, lane.ticket()).await;
    }
    let offsets: Vec<Offset> = lane.finish().await.iter().map(Offset::of).collect();
    let status = status_of(&offsets);
    let id = |schema: Option<Arc<Registered>>| schema.map(|schema| schema.id);
    let answer = Answer {
        offsets,
        key_schema_id: id(key_schema),
        value_schema_id: id(value_schema),
    };
    Ok((status, Json(answer)).into_response())
}

/// Reads a request that has records.
fn read(body: &[u8]) -> Result<Request<'_>, RestError> {
    let request: Option<Request<'_>> = json::read(body)?;
    let request = request
        .ok_or_else(|| RestError::invalid_payload("Null input provided. Data is required."))?;
    let records = request.records.as_deref().unwrap_or_default();
    if records.is_empty() {
        return Err(RestError::unprocessable("records may not be empty"));
    }
    let negative = |record: &Record<'_>| record.partition.is_some_and(|partition| partition < 0);
    match records.iter().position(negative) {
        Some(at) => Err(RestError::unprocessable(format!(
            "records[{at}].partition must be greater than or equal to 0"
        ))),
        None => Ok(request),
    }
}

/// The schema of keys or values that the request names.
async fn schema(
    proxy: &Proxy,
    topic: &str,
    format: Format,
    is_key: bool,
    request: &Request<'_>,
) -> Result<Option<Arc<Registered>>, RestError> {
    let (text, id) = if is_key {
        (&request.key_schema, request.key_schema_id)
    } else {
        (&request.value_schema, request.value_schema_id)
    };
    if format.schema_type().is_none() || (text.is_none() && id.is_none()) {
        return Ok(None);
    }
    let query = SchemaQuery {
        topic: topic.to_owned(),
        is_key,
        // An id says enough.
        format: id.is_none().then_some(format),
        id,
        text: text.as_deref().filter(|_| id.is_none()).map(str::to_owned),
        ..SchemaQuery::default()
    };
    let schemas = proxy.schemas();
    let found = schemas.find(&query.or_default(schemas)).await?;
    if found.format == format {
        return Ok(Some(found));
    }
    Err(RestError::invalid_schema(&format!(
        "schema {} is {}, the content type says {}",
        found.id,
        found.format.name(),
        format.name()
    )))
}

fn check_schemas(
    format: Format,
    records: &[Record<'_>],
    key_schema: Option<&Arc<Registered>>,
    value_schema: Option<&Arc<Registered>>,
) -> Result<(), RestError> {
    if format.schema_type().is_none() {
        return Ok(());
    }
    if key_schema.is_none() && records.iter().any(|record| record.key != Data::Null) {
        return Err(RestError::key_schema_missing());
    }
    if value_schema.is_none() && records.iter().any(|record| record.value != Data::Null) {
        return Err(RestError::value_schema_missing());
    }
    Ok(())
}

async fn source<'a>(
    format: Format,
    schema: Option<&Arc<Registered>>,
    data: &Data<'a>,
    is_key: bool,
) -> Result<Source<'a>, RestError> {
    let source = match schema {
        // A dead letter has the key's data.
        Some(schema) => with_schema(schema, data.clone(), is_key).await,
        None => Source::plain(format, data.clone()),
    };
    source.map_err(unfit)
}

fn unfit(unfit: Unfit) -> RestError {
    RestError::json_conversion(&unfit.to_string())
}

impl Offset {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Written {
                partition, offset, ..
            } => Self {
                partition: Some(*partition),
                offset: Some(*offset),
                error_code: None,
                error: None,
            },
            Outcome::Failed(error) => {
                let (code, message) = failure(error);
                Self {
                    partition: None,
                    offset: None,
                    error_code: Some(code),
                    error: Some(message),
                }
            }
        }
    }
}

/// The code of a record that is not written, by the kind of exception that the Java client has for it.
fn failure(error: &DataError) -> (i32, String) {
    let DataError::MessageProduction(code) = error else {
        return (KAFKA, error.to_string());
    };
    match code {
        // The Java client waits for metadata until it times out, which can be tried again.
        RDKafkaErrorCode::UnknownTopic
        | RDKafkaErrorCode::UnknownPartition
        | RDKafkaErrorCode::MessageTimedOut
        | RDKafkaErrorCode::QueueFull
        | RDKafkaErrorCode::AllBrokersDown => (RETRIABLE, code.to_string()),
        RDKafkaErrorCode::Authentication => (AUTHENTICATION, code.to_string()),
        other => match kafka_code(*other) {
            None => (KAFKA, other.to_string()),
            Some(kafka) => {
                let error = RestError::kafka(kafka, None);
                let code = match error.code {
                    AUTHENTICATION | AUTHORIZATION => error.code,
                    _ if kafka.is_retriable() => RETRIABLE,
                    _ => KAFKA,
                };
                (code, error.message)
            }
        },
    }
}

/// 200, unless nobody may do this (`Utils.produceRequestStatus`).
fn status_of(offsets: &[Offset]) -> StatusCode {
    let has = |code| offsets.iter().any(|offset| offset.error_code == Some(code));
    if has(AUTHENTICATION) {
        StatusCode::UNAUTHORIZED
    } else if has(AUTHORIZATION) {
        StatusCode::FORBIDDEN
    } else {
        StatusCode::OK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> i32 {
        read(body.as_bytes()).unwrap_err().code
    }

    #[test]
    fn a_request_has_records() {
        assert_eq!(refused(""), 42206);
        assert_eq!(refused("null"), 42206);
        assert_eq!(refused("{"), 400);
        assert_eq!(refused(r#"{"topic":"a"}"#), 422);
        assert_eq!(refused("{}"), 422);
        assert_eq!(refused(r#"{"records":[]}"#), 422);
        assert_eq!(refused(r#"{"records":[{"partition":-1}]}"#), 422);
        let request = read(br#"{"records":[{"key":null,"value":{"a": 1}}]}"#).unwrap();
        let record = &request.records.unwrap()[0];
        assert_eq!(record.key, Data::Null);
        assert_eq!(&*record.value.clone().into_json(), b"{\"a\":1}");
    }

    #[test]
    fn a_format_with_schemas_needs_them() {
        let request = read(br#"{"records":[{"key":1},{"value":2}]}"#).unwrap();
        let records = request.records.unwrap();
        let check = |format, records: &[Record<'_>]| check_schemas(format, records, None, None);
        assert!(check(Format::Json, &records).is_ok());
        assert_eq!(check(Format::Avro, &records).unwrap_err().code, 42201);
        assert_eq!(check(Format::Avro, &records[1..]).unwrap_err().code, 42202);
    }

    #[test]
    fn what_became_of_a_record_has_a_code() {
        let code =
            |code| Offset::of(&Outcome::Failed(DataError::MessageProduction(code))).error_code;
        assert_eq!(code(RDKafkaErrorCode::UnknownTopic), Some(50003));
        assert_eq!(code(RDKafkaErrorCode::MessageSizeTooLarge), Some(50002));
        assert_eq!(
            code(RDKafkaErrorCode::TopicAuthorizationFailed),
            Some(40301)
        );
        let written = Outcome::Written {
            partition: 1,
            offset: 2,
            timestamp_ms: None,
        };
        let offset = Offset::of(&written);
        assert_eq!(
            serde_json::to_string(&offset).unwrap(),
            r#"{"partition":1,"offset":2,"error_code":null,"error":null}"#
        );
        assert_eq!(status_of(&[offset]), StatusCode::OK);
    }
}
