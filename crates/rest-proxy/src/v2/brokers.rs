//! `/brokers`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use serde::Serialize;

use super::media;
use crate::error::RestError;
use crate::proxy::Proxy;

/// `BrokerList`.
#[derive(Debug, Serialize)]
pub(super) struct BrokerList {
    brokers: Vec<i32>,
}

/// `GET /brokers`: their ids.
pub(super) async fn list(
    State(proxy): State<Arc<Proxy>>,
    headers: HeaderMap,
) -> Result<Json<BrokerList>, RestError> {
    media::check_accept(&headers)?;
    let cluster = proxy.admin().await?.describe_cluster().await?;
    let brokers = cluster.brokers.iter().map(|broker| broker.id).collect();
    Ok(Json(BrokerList { brokers }))
}
