//! Records: `POST .../records`, a stream of JSON on one connection, and `POST .../records:batch`.
//!
//! ```text
//!   body ─▶ frames ─▶ request ─▶ enqueue (librdkafka) ─▶ acknowledgements in order ─▶ reports ─▶ body
//!           (a JSON value each)    in order               at most IN_FLIGHT_MAX wait
//! ```
//!
//! The answer begins with the first report, while the request still comes: with `Transfer-Encoding: chunked` one
//! connection stays open for as many records as a client likes. A record that cannot be taken gets a report with its
//! error in its place; a body that is not JSON any more ends the stream with one last report, since what follows
//! cannot be told apart.
//!
//! **Invariants:** reports come in the order of the records; a record's `error_code` is 200 only once all in-sync
//! replicas have it; at most [`IN_FLIGHT_MAX`] records of a connection wait, then its body is not read on.

mod data;
mod frames;
mod produce;
mod report;

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{BufMut, BytesMut};
use futures::stream::{self, Stream, StreamExt};
use serde::Deserialize;

use crate::error::RestError;
use crate::proxy::Proxy;
use data::ProduceRequest;
use frames::Frames;
use produce::{Target, Written};
use report::Report;

/// How many records of one connection may wait for their acknowledgement.
pub const IN_FLIGHT_MAX: usize = 8192;
/// How many reports go out in one piece, at most.
const REPORTS_PER_CHUNK_MAX: usize = 512;
/// Characters of an entry's id in a batch.
const ID_CHARS_MAX: usize = 80;

/// `ProduceBatchRequest`.
#[derive(Debug, Deserialize)]
pub(super) struct Batch {
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    id: String,
    #[serde(flatten)]
    request: ProduceRequest,
}

/// `POST .../records`.
pub(super) async fn stream(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, RestError> {
    check_content_type(&headers)?;
    proxy.check_cluster(&cluster_id).await?;
    let target = Arc::new(Target {
        producer: proxy.producer().await?.clone(),
        cluster_id,
        topic_name,
    });
    let mut frames = Box::pin(requests(body, proxy.config.produce_request_bytes_max));
    // The status goes out with the first report, so an empty body can still be told by its status.
    let first = frames.next().await.ok_or_else(|| {
        RestError::unprocessable("Payload error. Request body is empty. Data is required.")
    })?;
    let enqueue = move |request| {
        let target = target.clone();
        async move { target.enqueue(request).await }
    };
    let reports = stream::once(async move { first })
        .chain(frames)
        .then(enqueue)
        .map(Written::report)
        .buffered(IN_FLIGHT_MAX)
        .ready_chunks(REPORTS_PER_CHUNK_MAX)
        .map(|reports| Ok::<Bytes, Infallible>(lines(&reports)));
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok((json, Body::from_stream(reports)).into_response())
}

/// The requests in a body; after one that cannot be read comes no other.
fn requests(
    body: Body,
    bytes_max: usize,
) -> impl Stream<Item = Result<ProduceRequest, RestError>> + Send {
    struct Reading {
        body: axum::body::BodyDataStream,
        frames: Frames,
        ended: bool,
    }
    let reading = Reading {
        body: body.into_data_stream(),
        frames: Frames::new(bytes_max),
        ended: false,
    };
    stream::unfold(reading, |mut reading| async move {
        loop {
            match reading.frames.next_request() {
                Some(Err(error)) if error.ends_stream => {
                    if std::mem::replace(&mut reading.ended, true) {
                        return None;
                    }
                    return Some((Err(error.error), reading));
                }
                Some(Err(error)) => return Some((Err(error.error), reading)),
                Some(Ok(request)) => return Some((Ok(request), reading)),
                None if reading.ended => return None,
                None => {}
            }
            match reading.body.next().await {
                Some(Ok(bytes)) => reading.frames.push(&bytes),
                // A connection that broke off has nobody to answer to; what came whole before is written.
                Some(Err(_)) => return None,
                None => {
                    reading.frames.finish();
                    reading.ended = reading.frames.is_empty();
                }
            }
        }
    })
}

fn check_content_type(headers: &HeaderMap) -> Result<(), RestError> {
    let json = match headers.get(header::CONTENT_TYPE) {
        None => true,
        Some(value) => value.to_str().is_ok_and(|value| {
            let essence = value.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json")
        }),
    };
    if json {
        Ok(())
    } else {
        Err(RestError::unsupported_media_type())
    }
}

/// Each report on a line of its own.
fn lines(reports: &[Report]) -> Bytes {
    let mut out = BytesMut::with_capacity(reports.len() * 192);
    for report in reports {
        report.write((&mut out).writer());
        out.put_slice(b"\r\n");
    }
    out.freeze()
}

/// `POST .../records:batch`: 207 with what went well and what did not, by id.
pub(super) async fn batch(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name)): Path<(String, String)>,
    body: Result<Json<Batch>, JsonRejection>,
) -> Result<Response, RestError> {
    let Json(batch) = body?;
    check_batch(&batch, proxy.config.produce_batch_entries_max)?;
    proxy.check_cluster(&cluster_id).await?;
    let target = Target {
        producer: proxy.producer().await?.clone(),
        cluster_id,
        topic_name,
    };
    let mut written = Vec::with_capacity(batch.entries.len());
    for Entry { id, request } in batch.entries {
        written.push((id, target.enqueue(Ok(request)).await));
    }
    let mut successes = Vec::new();
    let mut failures = Vec::new();
    for (id, written) in written {
        let report = written.report().await;
        if report.is_success() {
            successes.push(report.entry(id));
        } else {
            failures.push(report.entry(id));
        }
    }
    let answer = report::BatchReport {
        successes,
        failures,
    };
    Ok((StatusCode::MULTI_STATUS, Json(answer)).into_response())
}

fn check_batch(batch: &Batch, entries_max: usize) -> Result<(), RestError> {
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

    fn batch_of(ids: &[&str]) -> Batch {
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

    async fn collect(chunks: &[&str]) -> Vec<Result<ProduceRequest, RestError>> {
        let chunks: Vec<Result<Bytes, Infallible>> = chunks
            .iter()
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk.as_bytes())))
            .collect();
        requests(Body::from_stream(stream::iter(chunks)), 1000)
            .collect()
            .await
    }

    #[tokio::test]
    async fn a_body_in_pieces_gives_each_record_once() {
        let found = collect(&["{\"partition_id\":1}{\"parti", "tion_id\":2}\n", "  "]).await;
        let partitions: Vec<_> = found
            .into_iter()
            .map(|request| request.unwrap().partition_id)
            .collect();
        assert_eq!(partitions, [Some(1), Some(2)]);
        assert!(collect(&[" ", "\n"]).await.is_empty());
    }

    #[tokio::test]
    async fn a_broken_body_ends_with_one_error() {
        let found = collect(&["{\"partition_id\":1}", "garbage {\"partition_id\":2}"]).await;
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].as_ref().unwrap_err().code, 400);
        let found = collect(&["{\"partition_id\":1"]).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].as_ref().unwrap_err().code, 400);
    }

    #[tokio::test]
    async fn one_bad_record_does_not_end_the_stream() {
        let found = collect(&["{\"partition_id\":\"x\"}{\"partition_id\":2}"]).await;
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].as_ref().unwrap_err().code, 400);
        assert_eq!(found[1].as_ref().unwrap().partition_id, Some(2));
    }
}
