//! `/` and `/v1/metadata`: what server this is.

use std::collections::BTreeMap;

use serde_json::json;

use super::entities::{Scope, ServerClusterId};
use super::{App, HttpError, Reply};

/// The release of Confluent's registry whose API this is; clients compare it.
const API_VERSION: &str = "8.2.0";

/// `GET /`, `POST /`
pub(super) fn root() -> Result<Reply, HttpError> {
    Reply::json(&json!({}))
}

/// `GET /v1/metadata/id`
pub(super) fn id(app: &App) -> Result<Reply, HttpError> {
    let clusters = BTreeMap::from([
        ("kafka-cluster", app.cluster_id.as_str()),
        (
            "schema-registry-cluster",
            app.registry.config().group_id.as_str(),
        ),
    ]);
    let scope = Scope { path: [], clusters };
    Reply::json(&ServerClusterId { scope, id: "" })
}

/// `GET /v1/metadata/version`
pub(super) fn version() -> Result<Reply, HttpError> {
    Reply::json(&json!({
        "version": API_VERSION,
        "commitId": format!("affluent-{}", env!("CARGO_PKG_VERSION")),
    }))
}

/// `GET /v1/metadata/deployment`
pub(super) fn deployment() -> Result<Reply, HttpError> {
    Reply::json(&json!({ "attributes": [] }))
}

/// `GET /clusterconfig`: how much this registry takes. An id is a number of 32 bits; requests are not counted.
pub(super) fn cluster_config() -> Result<Reply, HttpError> {
    Reply::json(&json!({ "maxSchemas": i32::MAX, "maxRequestsPerSec": i32::MAX }))
}
