//! `POST .../records:batch`: a few records with ids, answered together.

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use super::JSON;
use super::data::{DateTimeText, Datum, HeaderData, ProduceRequest};
use super::prepare::Begun;
use super::report::{Parts, Reporter};
use crate::error::RestError;
use crate::json::{optional, read};
use crate::path::Path;
use crate::produce::{Lane, send};
use crate::proxy::Proxy;

/// Characters of an entry's id in a batch.
const ID_CHARS_MAX: usize = 80;

/// `ProduceBatchRequest`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    entries: Vec<Entry<'a>>,
}

/// `ProduceBatchRequestEntry`: a [`ProduceRequest`] with an id.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<'a> {
    id: Value,
    #[serde(default, deserialize_with = "optional")]
    partition_id: Option<i32>,
    #[serde(borrow)]
    headers: Option<Vec<HeaderData<'a>>>,
    #[serde(borrow)]
    key: Option<Datum<'a>>,
    #[serde(borrow)]
    value: Option<Datum<'a>>,
    timestamp: Option<DateTimeText>,
}

impl<'a> Entry<'a> {
    /// The id, and the request.
    ///
    /// # Errors
    /// 422/42208 for an id that is none: a number is not taken for a string, so that ids come back as they went.
    fn take(self) -> Result<(String, ProduceRequest<'a>), RestError> {
        let Value::String(id) = self.id else {
            return Err(invalid_id());
        };
        let is_id = |char: char| char.is_ascii_alphanumeric() || char == '-' || char == '_';
        if id.is_empty() || id.len() > ID_CHARS_MAX || !id.chars().all(is_id) {
            return Err(invalid_id());
        }
        let request = ProduceRequest {
            partition_id: self.partition_id,
            headers: self.headers,
            key: self.key,
            value: self.value,
            timestamp: self.timestamp,
        };
        Ok((id, request))
    }
}

fn invalid_id() -> RestError {
    RestError::produce_batch("Batch entry identifier is not a valid string.")
}

/// `POST .../records:batch`: 207 with what went well and what did not, by id.
pub(in crate::v3) async fn batch(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name)): Path<(String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, RestError> {
    let body = body?;
    let batch: Option<Batch<'_>> = read(&body)?;
    let batch = batch
        .ok_or_else(|| RestError::produce_batch("Request body is empty. Data is required."))?;
    let entries = entries_of(batch, proxy.config.produce_batch_entries_max)?;
    proxy.check_cluster(&cluster_id).await?;
    let sink = proxy.producer().await?;
    let lane = Arc::new(Lane::default());
    let mut sent = Vec::with_capacity(entries.len());
    for (id, request) in entries {
        let prepared = match Begun::of(request, &topic_name, proxy.schemas()).await {
            Ok(begun) => begun.finish(&topic_name, &proxy).await,
            Err(error) => Err(error),
        };
        let parts = match prepared {
            Ok(mut prepared) => {
                let parts = prepared.parts();
                let ticket = lane.ticket();
                send(sink, &topic_name, prepared.outgoing(), ticket).await;
                Ok(parts)
            }
            Err(error) => Err(error),
        };
        sent.push((id, parts));
    }
    let mut outcomes = lane.finish().await;
    let mut reporter = Reporter::new(&cluster_id, &topic_name);
    let (mut successes, mut failures) = (Vec::new(), Vec::new());
    for (id, parts) in sent {
        let (outcome, parts) = match parts {
            Ok(parts) => (
                outcomes
                    .pop_front()
                    .ok_or_else(|| RestError::internal("a record has no outcome")),
                parts,
            ),
            Err(error) => (Err(error), Parts::default()),
        };
        let mut entry = Vec::new();
        let is_success = reporter.entry(&mut entry, &id, &outcome, &parts);
        let list = if is_success {
            &mut successes
        } else {
            &mut failures
        };
        list.push(entry);
    }
    let mut answer = b"{\"successes\":[".to_vec();
    answer.extend(successes.join(&b','));
    answer.extend_from_slice(b"],\"failures\":[");
    answer.extend(failures.join(&b','));
    answer.extend_from_slice(b"]}");
    Ok((StatusCode::MULTI_STATUS, JSON, answer).into_response())
}

/// The requests with their ids, in order.
fn entries_of(
    batch: Batch<'_>,
    entries_max: usize,
) -> Result<Vec<(String, ProduceRequest<'_>)>, RestError> {
    let entries = batch.entries.into_iter().map(Entry::take);
    let entries: Vec<_> = entries.collect::<Result<_, _>>()?;
    let mut ids = HashSet::new();
    if !entries.iter().all(|(id, _)| ids.insert(id)) {
        return Err(RestError::produce_batch(
            "Batch entry IDs are not distinct.",
        ));
    }
    if entries.is_empty() {
        return Err(RestError::produce_batch("Empty batch."));
    }
    if entries.len() > entries_max {
        return Err(RestError::produce_batch("Too many entries in batch."));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(entries: Value, entries_max: usize) -> String {
        let text = json!({ "entries": entries }).to_string();
        let batch = serde_json::from_str(&text).unwrap();
        let error = entries_of(batch, entries_max).unwrap_err();
        assert_eq!(error.code, 42208);
        error.message
    }

    #[test]
    fn a_batch_has_distinct_ids_and_a_bound() {
        let good = r#"{"entries":[{"id":"1"},{"id":"b-2_c"}]}"#;
        let batch = serde_json::from_str(good).unwrap();
        assert_eq!(entries_of(batch, 10).unwrap().len(), 2);
        assert_eq!(refused(json!([]), 10), "Empty batch.");
        let two = json!([{"id": "1"}, {"id": "2"}]);
        assert_eq!(refused(two, 1), "Too many entries in batch.");
        let same = json!([{"id": "1"}, {"id": "1"}]);
        assert_eq!(refused(same, 10), "Batch entry IDs are not distinct.");
        for id in [
            json!(""),
            json!("a b"),
            json!(1),
            Value::Null,
            json!("a".repeat(81)),
        ] {
            let message = refused(json!([{ "id": id }]), 10);
            assert_eq!(message, "Batch entry identifier is not a valid string.");
        }
    }

    #[test]
    fn an_entry_is_a_request_with_an_id() {
        let text = br#"{"entries":[{"id":"a","value":{"type":"JSON","data":{"n": [1]}}}]}"#;
        let batch: Batch<'_> = serde_json::from_slice(text).unwrap();
        let (id, request) = entries_of(batch, 1).unwrap().remove(0);
        assert_eq!(id, "a");
        assert_eq!(&*request.value.unwrap().data.into_json(), br#"{"n":[1]}"#);
    }
}
