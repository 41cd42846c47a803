//! ConsumerGroupHeartbeat (key 68): membership and assignment of the consumer protocol (KIP-848).

use std::sync::Arc;

use coordinator::Response;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use crate::features::GROUP_VERSION;
use crate::request::RequestContext;
use crate::server::Server;

/// The name of the protocol in `group.coordinator.rebalance.protocols`.
const PROTOCOL: &str = "consumer";

/// Answers when what the heartbeat changes is durable.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    if !is_served(&server) {
        return failed(ErrorCode::UnsupportedVersion);
    }
    let group_id = request.group_id.clone();
    if !server.allows(&context, Operation::Read, ResourceType::Group, &group_id) {
        return failed(ErrorCode::GroupAuthorizationFailed);
    }
    let names = request.subscribed_topic_names.iter().flatten();
    for topic in names {
        if !server.allows(&context, Operation::Describe, ResourceType::Topic, topic) {
            return failed(ErrorCode::TopicAuthorizationFailed);
        }
    }
    let member = context.for_coordinator();
    let asked = Arc::clone(&server);
    let run = move |shard: &mut coordinator::Shard, token| {
        let may_see =
            |topic: &str| asked.allows(&context, Operation::Describe, ResourceType::Topic, topic);
        shard.consumer_group_heartbeat(token, &member, &request, &may_see)
    };
    match server.groups().request(&group_id, run).await {
        Ok(Response::ConsumerGroupHeartbeat(response)) => response,
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(code) => failed(code),
    }
}

/// Whether `group.coordinator.rebalance.protocols` has the consumer protocol, and the feature `group.version` is
/// on.
pub(crate) fn is_served(server: &Server) -> bool {
    let image = server.metadata().image();
    if image
        .features()
        .levels
        .get(GROUP_VERSION)
        .copied()
        .unwrap_or(0)
        < 1
    {
        return false;
    }
    let settings = server.settings();
    let mut served = settings.group_consumer.rebalance_protocols.iter();
    served.any(|protocol| protocol == PROTOCOL)
}

fn failed(code: ErrorCode) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse {
        error_code: code.code(),
        ..ConsumerGroupHeartbeatResponse::default()
    }
}
