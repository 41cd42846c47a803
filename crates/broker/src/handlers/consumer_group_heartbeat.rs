//! ConsumerGroupHeartbeat (key 68): membership and assignment of the consumer protocol (KIP-848).

use std::sync::Arc;

use coordinator::Response;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use crate::coordination::Begun;
use crate::dispatch::AtOnce;
use crate::features::GROUP_VERSION;
use crate::request::RequestContext;
use crate::server::Server;

/// The name of the protocol in `group.coordinator.rebalance.protocols`.
const PROTOCOL: &str = "consumer";

impl AtOnce for ConsumerGroupHeartbeatRequest {
    fn begin(
        server: &Arc<Server>,
        context: &RequestContext,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<Option<Begun<Response>>, ErrorCode> {
        check(server, context, request)?;
        let member = context.for_coordinator();
        let run = |shard: &mut coordinator::Shard, token| {
            let may_see = |topic: &str| may_see(server, context, topic);
            shard.consumer_group_heartbeat(token, &member, request, &may_see)
        };
        Ok(server.groups().request_now(&request.group_id, run))
    }

    fn respond(answer: Result<Response, ErrorCode>) -> ConsumerGroupHeartbeatResponse {
        match answer {
            Ok(Response::ConsumerGroupHeartbeat(response)) => response,
            Ok(_) => failed(ErrorCode::UnknownServerError),
            Err(code) => failed(code),
        }
    }
}

fn check(
    server: &Server,
    context: &RequestContext,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<(), ErrorCode> {
    if !is_served(server) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    let group_id = &request.group_id;
    if !server.allows(context, Operation::Read, ResourceType::Group, group_id) {
        return Err(ErrorCode::GroupAuthorizationFailed);
    }
    let mut names = request.subscribed_topic_names.iter().flatten();
    if names.any(|topic| !may_see(server, context, topic)) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    Ok(())
}

fn may_see(server: &Server, context: &RequestContext, topic: &str) -> bool {
    server.allows(context, Operation::Describe, ResourceType::Topic, topic)
}

/// Answers when what the heartbeat changes is durable.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    let answer = match check(&server, &context, &request) {
        Ok(()) => {
            let group_id = request.group_id.clone();
            let member = context.for_coordinator();
            let asked = Arc::clone(&server);
            let run = move |shard: &mut coordinator::Shard, token| {
                let may_see = |topic: &str| may_see(&asked, &context, topic);
                shard.consumer_group_heartbeat(token, &member, &request, &may_see)
            };
            server.groups().request(&group_id, run).await
        }
        Err(code) => Err(code),
    };
    ConsumerGroupHeartbeatRequest::respond(answer)
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
