//! GetTelemetrySubscriptions (key 71, KIP-714): which of its metrics a client is asked for.

use std::sync::Arc;

use wire::messages::{GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse};

use crate::client_telemetry::{ACCEPTED_COMPRESSION_TYPES, ClientIdentity};
use crate::request::RequestContext;
use crate::server::Server;

/// Answers what is wanted of this client, which may be nothing. Kafka asks no authorizer here.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: GetTelemetrySubscriptionsRequest,
) -> GetTelemetrySubscriptionsResponse {
    let client = ClientIdentity::of(&context);
    let wanted = server
        .client_telemetry()
        .subscriptions(request.client_instance_id, &client);
    match wanted {
        Ok(wanted) => {
            context
                .connection
                .set_client_instance(wanted.client_instance_id);
            GetTelemetrySubscriptionsResponse {
                client_instance_id: wanted.client_instance_id,
                subscription_id: wanted.subscription_id,
                accepted_compression_types: ACCEPTED_COMPRESSION_TYPES.to_vec(),
                push_interval_ms: wanted.push_interval_ms,
                telemetry_max_bytes: server.settings().telemetry_max_bytes,
                delta_temporality: true,
                requested_metrics: wanted.metrics,
                ..GetTelemetrySubscriptionsResponse::default()
            }
        }
        Err(error) => {
            tracing::debug!(peer = %context.connection.peer, %error, "telemetry subscriptions refused");
            GetTelemetrySubscriptionsResponse {
                error_code: error.code.code(),
                ..GetTelemetrySubscriptionsResponse::default()
            }
        }
    }
}
