//! The API of version 2: topics, partitions, brokers, records in the format that a content type names, consumers.
//!
//! One file for each kind of resource. What is special to this version is [`media`]: the embedded format of records is
//! part of the content type, on the way in as on the way out. Failures are `{"error_code", "message"}` as in version 3,
//! with codes of their own for what is not found.

mod brokers;
mod consumers;
mod media;
mod partitions;
mod produce;
mod records;
mod topics;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::proxy::Proxy;

/// The routes at the root.
pub(crate) fn routes(body_bytes_max: usize) -> Router<Arc<Proxy>> {
    Router::new()
        .route("/", get(root).post(root))
        .route("/brokers", get(brokers::list))
        .route("/topics", get(topics::list))
        .route("/topics/{topic}", get(topics::get).post(produce::to_topic))
        .route("/topics/{topic}/partitions", get(partitions::list))
        .route(
            "/topics/{topic}/partitions/{partition}",
            get(partitions::get).post(produce::to_partition),
        )
        .route(
            "/topics/{topic}/partitions/{partition}/offsets",
            get(partitions::offsets),
        )
        .merge(of_consumers())
        .layer(DefaultBodyLimit::max(body_bytes_max))
        .layer(map_response(as_version_2))
}

fn of_consumers() -> Router<Arc<Proxy>> {
    const INSTANCE: &str = "/consumers/{group}/instances/{instance}";
    let of = |rest: &str| format!("{INSTANCE}{rest}");
    Router::new()
        .route("/consumers/{group}", post(consumers::create))
        .route(INSTANCE, axum::routing::delete(consumers::delete))
        .route(
            &of("/subscription"),
            get(consumers::subscription)
                .post(consumers::subscribe)
                .delete(consumers::unsubscribe),
        )
        .route(
            &of("/assignments"),
            get(consumers::assignments).post(consumers::assign),
        )
        .route(
            &of("/offsets"),
            get(consumers::committed).post(consumers::commit),
        )
        .route(&of("/positions"), post(consumers::seek))
        .route(
            &of("/positions/beginning"),
            post(consumers::seek_to_beginning),
        )
        .route(&of("/positions/end"), post(consumers::seek_to_end))
        .route(&of("/records"), get(consumers::records))
}

/// `GET /`, `POST /`: that somebody is here.
async fn root() -> Json<Value> {
    Json(json!({}))
}

/// JSON is named as this version names it, unless an answer has named its own.
async fn as_version_2(mut response: Response) -> Response {
    let json = HeaderValue::from_static("application/json");
    if response.headers().get(header::CONTENT_TYPE) == Some(&json) {
        let name = HeaderValue::from_static(media::JSON);
        response.headers_mut().insert(header::CONTENT_TYPE, name);
    }
    response
}
