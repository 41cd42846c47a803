//! Records: `POST .../records`, a stream of JSON on one connection, and `POST .../records:batch`.
//!
//! ```text
//!   body ─▶ frames ─▶ request ─▶ producer (librdkafka) ─▶ acknowledgements in order ─▶ reports ─▶ body
//!           (a JSON object each)    in order               at most IN_FLIGHT_MAX wait
//! ```
//!
//! The answer begins with the first report, while the request still comes: with `Transfer-Encoding: chunked` one
//! connection stays open for as many records as a client likes. A record that cannot be taken gets a report with its
//! error in its place; a body that is not JSON any more ends the stream with one last report, since what follows
//! cannot be told apart.
//!
//! **Invariants:** reports come in the order of the records; a record's `error_code` is 200 only once all in-sync
//! replicas have it; at most [`IN_FLIGHT_MAX`] records of a connection wait, then its body is not read on.

mod batch;
mod data;
mod frames;
mod prepare;
mod report;
mod stream;

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::stream::unfold;

pub(super) use batch::batch;

use crate::error::RestError;
use crate::path::Path;
use crate::proxy::Proxy;
use stream::Records;

/// How many records of one connection may wait for their acknowledgement.
pub const IN_FLIGHT_MAX: usize = 8192;

const JSON: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "application/json")];

/// `POST .../records`.
pub(super) async fn stream(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name)): Path<(String, String)>,
    body: Body,
) -> Result<Response, RestError> {
    proxy.check_cluster(&cluster_id).await?;
    let mut records = Records::new(proxy, &cluster_id, topic_name, body).await?;
    // The status goes out with the first report, so an empty body can still be told by its status.
    let first = records
        .next_reports()
        .await
        .ok_or_else(|| RestError::invalid_payload("Request body is empty. Data is required."))?;
    let reports = unfold((Some(first), records), |(first, mut records)| async move {
        let reports = match first {
            Some(first) => first,
            None => records.next_reports().await?,
        };
        Some((Ok::<Bytes, Infallible>(reports), (None, records)))
    });
    Ok((JSON, Body::from_stream(reports)).into_response())
}
