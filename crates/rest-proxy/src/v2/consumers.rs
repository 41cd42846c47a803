//! `/consumers/{group}`: consumer instances and what they read.
//!
//! Every request finds its instance wherever it is ([`crate::consumers`]); what is here is the JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use client::data::{CommitMode, Message as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::media;
use super::records::{Unreadable, write_all};
use crate::config::FETCH_BYTES_MIN;
use crate::consumers::{
    Call, CommitOffset, Consumers, InstanceId, Interest, Place, Routed, Seat, SeekTo, Settings,
};
use crate::error::RestError;
use crate::format::Format;
use crate::links::Links;
use crate::path::Path;
use crate::proxy::Proxy;

/// The path of an instance.
type Of = Path<(String, String)>;

/// `CreateConsumerInstanceRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Create {
    id: Option<String>,
    name: Option<String>,
    format: Option<String>,
    #[serde(rename = "auto.offset.reset")]
    offset_reset: Option<String>,
    /// A string, or a boolean, as Jackson takes both.
    #[serde(rename = "auto.commit.enable")]
    commit: Option<Value>,
    #[serde(rename = "fetch.min.bytes", alias = "responseMinBytes")]
    fetch_bytes_min: Option<Value>,
    #[serde(rename = "consumer.request.timeout.ms", alias = "requestWaitMs")]
    request_timeout_ms: Option<Value>,
}

/// `CreateConsumerInstanceResponse`.
#[derive(Debug, Serialize)]
pub(super) struct Created {
    instance_id: String,
    base_uri: String,
}

/// `ConsumerSubscriptionRecord`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscription {
    topics: Option<Vec<String>>,
    topic_pattern: Option<String>,
}

/// `ConsumerAssignmentRequest`, `ConsumerSeekToRequest`, `ConsumerCommittedRequest`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Partitions {
    partitions: Vec<Place>,
}

/// `ConsumerSeekRequest`, `ConsumerOffsetCommitRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Offsets {
    offsets: Vec<OffsetEntity>,
    timestamps: Vec<TimestampEntity>,
}

/// `TopicPartitionOffsetMetadata`.
#[derive(Debug, Serialize, Deserialize)]
struct OffsetEntity {
    #[serde(flatten)]
    place: Place,
    offset: i64,
    metadata: Option<String>,
}

#[derive(Debug, Deserialize)]
struct TimestampEntity {
    #[serde(flatten)]
    place: Place,
    timestamp: String,
}

/// The query of `.../records`.
#[derive(Debug, Deserialize)]
pub(super) struct ReadQuery {
    timeout: Option<i64>,
    max_bytes: Option<i64>,
}

/// The query of `POST .../offsets`.
#[derive(Debug, Deserialize)]
pub(super) struct CommitQuery {
    r#async: Option<String>,
}

fn id_of((group, instance): (String, String)) -> InstanceId {
    InstanceId { group, instance }
}

/// Checks a request and finds its instance.
async fn route(proxy: &Proxy, of: Of, call: &Call) -> Result<Routed, RestError> {
    media::check_accept(&call.headers)?;
    media::check_body(&call.headers)?;
    proxy.consumers().route(&id_of(of.0), call).await
}

/// The instance, or the answer of its owner.
macro_rules! seat {
    ($proxy:expr, $of:expr, $call:expr) => {
        match route(&$proxy, $of, &$call).await? {
            Routed::Here(seat) => seat,
            Routed::Answered(answer) => return Ok(answer),
        }
    };
}

/// The body, which has to be there.
fn required<T: serde::de::DeserializeOwned>(call: &Call) -> Result<T, RestError> {
    call.json()?
        .ok_or_else(|| RestError::invalid_payload("Null input provided. Data is required."))
}

/// librdkafka takes names as C does.
fn check_topics<'a>(mut topics: impl Iterator<Item = &'a String>) -> Result<(), RestError> {
    match topics.find(|topic| topic.is_empty() || topic.contains('\0')) {
        Some(topic) => Err(RestError::unprocessable(format!(
            "{topic:?} is no name of a topic"
        ))),
        None => Ok(()),
    }
}

/// `POST /consumers/{group}`
pub(super) async fn create(
    State(proxy): State<Arc<Proxy>>,
    Path(group): Path<String>,
    links: Links,
    call: Call,
) -> Result<Json<Created>, RestError> {
    media::check_accept(&call.headers)?;
    media::check_body(&call.headers)?;
    let request: Create = call.json()?.unwrap_or_default();
    if group.contains('\0') {
        return Err(RestError::invalid_consumer_config(
            "the group's id has a NUL",
        ));
    }
    let consumers = proxy.consumers();
    let settings = request.settings(proxy.config.consumers.instance_timeout)?;
    // An id that is asked for comes before a name.
    let name = request.id.or(request.name);
    let instance_id = consumers.create(&group, name, settings).await?;
    let base_uri = links.at_root(&[&"consumers", &group, &"instances", &instance_id]);
    Ok(Json(Created {
        instance_id,
        base_uri,
    }))
}

impl Create {
    fn settings(&self, instance_timeout: Duration) -> Result<Settings, RestError> {
        let wrong = |key: &str, value: &dyn std::fmt::Display, expected: &str| {
            RestError::invalid_consumer_config(&format!(
                "Invalid value {value} for configuration {key}: {expected}"
            ))
        };
        let offset_reset = match self.offset_reset.as_deref() {
            None => None,
            Some(reset @ ("earliest" | "latest")) => Some(reset.to_owned()),
            Some("none") => Some("error".to_owned()),
            Some(other) => {
                let expected = "String must be one of: latest, earliest, none";
                return Err(wrong("auto.offset.reset", &other, expected));
            }
        };
        let commit = match &self.commit {
            None | Some(Value::Null) => None,
            Some(Value::Bool(commit)) => Some(*commit),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Some(true),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Some(false),
            Some(other) => {
                let expected = "Expected value to be either true or false";
                return Err(wrong("enable.auto.commit", other, expected));
            }
        };
        let fetch_bytes_min = integer("fetch.min.bytes", self.fetch_bytes_min.as_ref())?;
        if let Some(bytes) = fetch_bytes_min.filter(|bytes| !FETCH_BYTES_MIN.contains(bytes)) {
            let bound = if bytes < *FETCH_BYTES_MIN.start() {
                format!("Value must be at least {}", FETCH_BYTES_MIN.start())
            } else {
                format!("Value must be no more than {}", FETCH_BYTES_MIN.end())
            };
            return Err(RestError::consumer_config_constraint(&format!(
                "Invalid value {bytes} for configuration fetch.min.bytes: {bound}"
            )));
        }
        let timeout = self.request_timeout_ms.as_ref();
        let timeout = integer("consumer.request.timeout.ms", timeout)?;
        Ok(Settings {
            format: self.format()?,
            offset_reset,
            commit,
            fetch_bytes_min,
            request_timeout_ms: timeout.and_then(|timeout| u64::try_from(timeout).ok()),
            instance_timeout_ms: u64::try_from(instance_timeout.as_millis()).unwrap_or(u64::MAX),
        })
    }

    fn format(&self) -> Result<Format, RestError> {
        let Some(name) = &self.format else {
            return Ok(Format::Binary);
        };
        Format::of(&name.to_ascii_uppercase())
            .filter(|format| *format != Format::Text)
            .ok_or_else(|| RestError::unprocessable("Invalid format type."))
    }
}

/// A number, which Jackson also takes from a string.
fn integer(key: &str, value: Option<&Value>) -> Result<Option<i64>, RestError> {
    let number = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(_) => None,
    };
    let in_range = number.filter(|number| i32::try_from(*number).is_ok());
    in_range.map(Some).ok_or_else(|| {
        RestError::bad_request(format!("{key} is a number from -2147483648 to 2147483647"))
    })
}

/// `DELETE /consumers/{group}/instances/{instance}`
pub(super) async fn delete(
    State(proxy): State<Arc<Proxy>>,
    of: Of,
    call: Call,
) -> Result<Response, RestError> {
    let seat = seat!(proxy, of, call);
    proxy.consumers().delete(seat.local()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST .../subscription`
pub(super) async fn subscribe(
    State(proxy): State<Arc<Proxy>>,
    of: Of,
    call: Call,
) -> Result<Response, RestError> {
    let seat = seat!(proxy, of, call);
    let request: Subscription = required(&call)?;
    let interest = match (request.topics, request.topic_pattern) {
        (Some(topics), _) => Some(Interest::Topics(topics)),
        (None, Some(pattern)) => Some(Interest::Pattern(pattern)),
        (None, None) => None,
    };
    if let Some(interest) = interest {
        read_from(proxy.consumers(), &seat, interest).await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Sets what the instance reads, and keeps it.
async fn read_from(
    consumers: &Arc<Consumers>,
    seat: &Seat,
    interest: Interest,
) -> Result<(), RestError> {
    match &interest {
        Interest::Topics(topics) => check_topics(topics.iter())?,
        Interest::Pattern(pattern) => check_topics(std::iter::once(pattern))?,
        Interest::Partitions(places) => check_topics(places.iter().map(|place| &place.topic))?,
        Interest::Nothing => {}
    }
    let set = move |worker: &mut crate::consumers::Worker| worker.set_interest(interest);
    seat.instance().ask(set).await?;
    consumers.keep_now(seat.local()).await
}

/// `GET .../subscription`
pub(super) async fn subscription(
    State(proxy): State<Arc<Proxy>>,
    of: Of,
    call: Call,
) -> Result<Response, RestError> {
    let seat = seat!(proxy, of, call);
    let topics = seat.instance().ask(|worker| worker.subscription()).await?;
    Ok(Json(json!({ "topics": topics })).into_response())
}

/// `DELETE .../subscription`
pub(super) async fn unsubscribe(
    State(proxy): State<Arc<Proxy>>,
    of: Of,
    call: Call,
) -> Result<Response, RestError> {
    let seat = seat!(proxy, of, call);
    let consumers = proxy.consumers();
    let (interest, _) = seat.instance().progress();
    if matches!(interest, Interest::Topics(_) | Interest::Pattern(_)) {
        consumers.leave(seat.local()).await?;
    } else {
        read_from(consumers, &seat, Interest::Nothing).await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST .../assignments`
pub(super) async fn assign(
    State(proxy): State<Arc<Proxy>>,
    of: Of,
    call: Call,
) -> Result<Response, RestError> {
    let seat = seat!(proxy, of, call);
    let request: Partitions = required(&call)?;
    let interest = Interest::Partitions(request.partitions);
    read_from(proxy.consumers(), &seat, interest).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET .../assignments`
pub(super) async fn assignments(
    State(proxy): State<Arc<Proxy>>,
    of: Of,
    call: Call,
) -> Result<Response, RestError> {
    let seat = seat!(proxy, of, call);
    let places = seat.instance().ask(|worker| worker.assignment()).await?;
    let partitions = places.into_iter().collect();
    Ok(Json(Partitions { partitions }).into_response())
}

/// `POST .../positions`
pub(super) async fn seek(
    State(proxy): State<Arc<Proxy>>,
    of: Of,
    call: Call,
) -> Result<Response, RestError> {
    let seat = seat!(proxy, of, call);
    let request: Offsets = required(&call)?;
    let mut targets = Vec::new();
    for entity in request.offsets {
        targets.push((entity.place, SeekTo::Offset(entity.offset)));
    }
    for entity in request.timestamps {
        let time = DateTime::parse_from_rfc3339(&entity.timestamp).map_err(|error| {
            RestError::bad_request(format!(
                "timestamp {:?} is none of RFC 3339, such as 2021-02-05T19:14:42Z: {error}",
                entity.timestamp
            ))
        })?;
        targets.push((entity.place, SeekTo::Timestamp(time.timestamp_millis())));
    }
    move_to(&proxy, &seat, targets).await
}

/// `POST .../positions/beginning`
pub(super) async fn seek_to_beginning(
    State(proxy): State<Arc<Proxy>>,
    of: Of,
    call: Call,
) -> Result<Response, RestError> {
    let seat = seat!(proxy, of, call);
    move_all(&proxy, &seat, &call, SeekTo::Beginning).await
}

/// `POST .../positions/end`
pub(super) async fn seek_to_end(
    State(proxy): State<Arc<Proxy>>,
    of: Of,
    call: Call,
) -> Result<Response, RestError> {
    let seat = seat!(proxy, of, call);
    move_all(&proxy, &seat, &call, SeekTo::End).await
}

/// The partitions of the request; none named are all there are, as in the Java client.
async fn move_all(
    proxy: &Proxy,
    seat: &Seat,
    call: &Call,
    to: SeekTo,
) -> Result<Response, RestError> {
    let request: Partitions = required(call)?;
    let places = if request.partitions.is_empty() {
        let held = seat.instance().ask(|worker| worker.assignment()).await?;
        held.into_iter().collect()
    } else {
        request.partitions
    };
    let targets = places.into_iter().map(|place| (place, to)).collect();
    move_to(proxy, seat, targets).await
}

async fn move_to(
    proxy: &Proxy,
    seat: &Seat,
    targets: Vec<(Place, SeekTo)>,
) -> Result<Response, RestError> {
    check_topics(targets.iter().map(|(place, _)| &place.topic))?;
    let seek = move |worker: &mut crate::consumers::Worker| worker.seek(&targets);
    seat.instance().ask(seek).await?;
    proxy.consumers().keep_now(seat.local()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST .../offsets`: without a body, all that the client has got.
pub(super) async fn commit(
    State(proxy): State<Arc<Proxy>>,
    of: Of,
    query: Result<Query<CommitQuery>, QueryRejection>,
    call: Call,
) -> Result<Response, RestError> {
    let seat = seat!(proxy, of, call);
    let Query(query) = query?;
    let is_async = query
        .r#async
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let mode = if is_async {
        CommitMode::Async
    } else {
        CommitMode::Sync
    };
    let request: Option<Offsets> = call.json()?;
    let offsets = request.map(|request| {
        let commit = |entity: OffsetEntity| CommitOffset {
            place: entity.place,
            offset: entity.offset,
            metadata: entity.metadata,
        };
        request.offsets.into_iter().map(commit).collect::<Vec<_>>()
    });
    let named = offsets.iter().flatten();
    check_topics(named.map(|commit| &commit.place.topic))?;
    let work = move |worker: &mut crate::consumers::Worker| worker.commit(offsets.as_deref(), mode);
    seat.instance().ask(work).await?;
    Ok(Json(json!([])).into_response())
}

/// `GET .../offsets`: what the group has committed of the partitions in the body.
pub(super) async fn committed(
    State(proxy): State<Arc<Proxy>>,
    Path(of): Of,
    call: Call,
) -> Result<Response, RestError> {
    let group = of.0.clone();
    let _seat = seat!(proxy, Path(of), call);
    let request: Partitions = call.json()?.ok_or_else(RestError::partition_not_found)?;
    let committed = proxy.admin().await?.committed(&group).await?;
    let found = request.partitions.into_iter().filter_map(|place| {
        let key = client::admin::TopicPartition {
            topic: place.topic.clone(),
            partition: place.partition,
        };
        let committed = committed.get(&key)?;
        Some(OffsetEntity {
            place,
            offset: committed.offset,
            metadata: Some(committed.metadata.clone()),
        })
    });
    let offsets: Vec<OffsetEntity> = found.collect();
    Ok(Json(json!({ "offsets": offsets })).into_response())
}

/// `GET .../records`
pub(super) async fn records(
    State(proxy): State<Arc<Proxy>>,
    Path(of): Of,
    query: Result<Query<ReadQuery>, QueryRejection>,
    call: Call,
) -> Result<Response, RestError> {
    let (format, content_type) = media::format_of_answer(&call.headers)?;
    media::check_body(&call.headers)?;
    let Query(query) = query?;
    let consumers = proxy.consumers();
    let seat = match consumers.route(&id_of(of), &call).await? {
        Routed::Here(seat) => seat,
        Routed::Answered(answer) => return Ok(answer),
    };
    if seat.instance().settings().format != format {
        return Err(RestError::consumer_format_mismatch());
    }
    let positive = |number: Option<i64>| {
        number
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| *number > 0)
    };
    let timeout = positive(query.timeout).map(Duration::from_millis);
    let batch = seat
        .read(consumers, timeout, positive(query.max_bytes))
        .await?;
    let mut out = vec![b'['];
    let (written, failed) = write_all(&proxy, format, batch.messages(), &mut out).await;
    // What can be read is given first; the record that cannot is the next read's.
    if let Some(Unreadable { error, undelivered }) = failed.filter(|_| written == 0) {
        if let (Some(undelivered), Some(message)) = (undelivered, batch.messages().first()) {
            let headers = message.headers().cloned();
            undelivered.keep(&proxy, message.topic(), headers).await;
        }
        return Err(error);
    }
    out.push(b']');
    batch.settle(written);
    let content_type = match format {
        Format::Binary => content_type,
        format => media::of_format(format),
    };
    Ok(([(header::CONTENT_TYPE, content_type)], out).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(request: &str) -> Result<Settings, RestError> {
        let request: Create = serde_json::from_str(request).unwrap();
        request.settings(Duration::from_secs(300))
    }

    #[test]
    fn an_instance_is_made_as_its_settings_say() {
        let made = settings(
            r#"{"format":"jsonschema","auto.offset.reset":"none","auto.commit.enable":"false",
                "fetch.min.bytes":1,"consumer.request.timeout.ms":"500"}"#,
        )
        .unwrap();
        assert_eq!(made.format, Format::JsonSchema);
        assert_eq!(made.offset_reset.as_deref(), Some("error"));
        assert_eq!(
            (made.commit, made.fetch_bytes_min, made.request_timeout_ms),
            (Some(false), Some(1), Some(500))
        );
        assert_eq!(settings("{}").unwrap().format, Format::Binary);
    }

    #[test]
    fn settings_that_are_not_usable_are_named() {
        for (request, code) in [
            (r#"{"format":"string"}"#, 422),
            (r#"{"auto.offset.reset":"x"}"#, 42204),
            (r#"{"auto.commit.enable":"x"}"#, 42204),
            (r#"{"fetch.min.bytes":-2}"#, 40001),
            (r#"{"fetch.min.bytes":10000001}"#, 40001),
            (r#"{"fetch.min.bytes":[]}"#, 400),
        ] {
            assert_eq!(settings(request).unwrap_err().code, code, "{request}");
        }
    }
}
