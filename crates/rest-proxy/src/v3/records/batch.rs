//! `POST .../records:batch`: a few records with ids, answered together.

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::data::ProduceRequest;
use super::prepare::Begun;
use super::report::{Parts, Reporter};
use super::{JSON, check_content_type};
use crate::error::RestError;
use crate::produce::{Lane, send};
use crate::proxy::Proxy;

/// Characters of an entry's id in a batch.
const ID_CHARS_MAX: usize = 80;

/// `ProduceBatchRequest`.
#[derive(Debug, Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    entries: Vec<Entry<'a>>,
}

#[derive(Debug, Deserialize)]
struct Entry<'a> {
    id: String,
    #[serde(flatten, borrow)]
    request: ProduceRequest<'a>,
}

/// `POST .../records:batch`: 207 with what went well and what did not, by id.
pub(in crate::v3) async fn batch(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, RestError> {
    check_content_type(&headers)?;
    let body = body?;
    let batch: Batch<'_> =
        serde_json::from_slice(&body).map_err(|error| RestError::bad_request(error.to_string()))?;
    check_batch(&batch, proxy.config.produce_batch_entries_max)?;
    proxy.check_cluster(&cluster_id).await?;
    let sink = proxy.producer().await?;
    let lane = Arc::new(Lane::default());
    let mut sent = Vec::with_capacity(batch.entries.len());
    for Entry { id, request } in batch.entries {
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

fn check_batch(batch: &Batch<'_>, entries_max: usize) -> Result<(), RestError> {
    let refuse = |message: String| Err(RestError::produce_batch(message));
    if batch.entries.is_empty() {
        return refuse("Batch contains no entries".to_owned());
    }
    if batch.entries.len() > entries_max {
        return refuse(format!(
            "Batch contains {} entries, at most {entries_max} are allowed",
            batch.entries.len()
        ));
    }
    let mut ids = HashSet::new();
    for entry in &batch.entries {
        let id = &entry.id;
        let chars = id.chars().count();
        let valid = (1..=ID_CHARS_MAX).contains(&chars)
            && id
                .chars()
                .all(|char| char.is_ascii_alphanumeric() || char == '-' || char == '_');
        if !valid {
            return refuse(format!(
                "Entry id {id:?} is not valid: 1 to {ID_CHARS_MAX} letters, digits, '-' and '_' are"
            ));
        }
        if !ids.insert(id) {
            return refuse(format!("Entry id {id:?} is not distinct"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch_of(ids: &[&str]) -> Batch<'static> {
        let entries = ids.iter().map(|id| Entry {
            id: (*id).to_owned(),
            request: ProduceRequest::default(),
        });
        Batch {
            entries: entries.collect(),
        }
    }

    #[test]
    fn a_batch_has_distinct_ids_and_a_bound() {
        assert!(check_batch(&batch_of(&["1", "b-2_c"]), 10).is_ok());
        for bad in [
            batch_of(&[]),
            batch_of(&["1", "1"]),
            batch_of(&["a b"]),
            batch_of(&[""]),
        ] {
            assert_eq!(check_batch(&bad, 10).unwrap_err().code, 42208);
        }
        assert_eq!(
            check_batch(&batch_of(&["1", "2"]), 1).unwrap_err().code,
            42208
        );
    }

    #[test]
    fn an_entry_is_a_request_with_an_id() {
        let text = br#"{"entries":[{"id":"a","value":{"type":"JSON","data":{"n": [1]}}}]}"#;
        let batch: Batch<'_> = serde_json::from_slice(text).unwrap();
        let value = batch.entries[0].request.value.as_ref().unwrap();
        assert_eq!(value.data.clone().into_json(), br#"{"n":[1]}"#);
    }
}
