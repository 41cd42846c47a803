//! PushTelemetry (key 72, KIP-714): takes a client's metrics.

use std::sync::Arc;

use wire::messages::{PushTelemetryRequest, PushTelemetryResponse};

use crate::client_telemetry::{ClientIdentity, Push};
use crate::request::RequestContext;
use crate::server::Server;

/// Answers once the metrics are exported, or why they are not.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: PushTelemetryRequest,
) -> PushTelemetryResponse {
    let client = ClientIdentity::of(&context);
    let max_bytes = usize::try_from(server.settings().telemetry_max_bytes).unwrap_or(0);
    let push = Push {
        client_instance_id: request.client_instance_id,
        subscription_id: request.subscription_id,
        terminating: request.terminating,
        compression_type: request.compression_type,
        metrics: request.metrics,
    };
    context
        .connection
        .set_client_instance(push.client_instance_id);
    let pushed = server
        .client_telemetry()
        .push(push, &client, max_bytes)
        .await;
    let error_code = pushed.err().map_or(0, |error| {
        tracing::debug!(peer = %context.connection.peer, %error, "telemetry refused");
        error.code.code()
    });
    PushTelemetryResponse {
        error_code,
        ..PushTelemetryResponse::default()
    }
}
