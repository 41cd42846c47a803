//! ShareGroupHeartbeat (key 76): membership and assignment of share groups (KIP-932).

use std::sync::Arc;

use coordinator::Response;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::{group_states, is_enabled};

/// The longest member id, which clients make of a UUID (`KafkaApis.isMemberIdValid`).
const MEMBER_ID_MAX_LENGTH: usize = 36;

/// Answers when what the heartbeat changes is durable. Share partitions that need a state get it after that; they
/// are assigned by a later heartbeat.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ShareGroupHeartbeatRequest,
) -> ShareGroupHeartbeatResponse {
    if !is_enabled(&server) {
        return failed(ErrorCode::UnsupportedVersion, None);
    }
    let group_id: Arc<str> = request.group_id.as_str().into();
    if !server.allows(&context, Operation::Read, ResourceType::Group, &group_id) {
        return failed(ErrorCode::GroupAuthorizationFailed, None);
    }
    if request.member_id.is_empty() || request.member_id.len() > MEMBER_ID_MAX_LENGTH {
        return failed(ErrorCode::InvalidRequest, None);
    }
    for topic in request.subscribed_topic_names.iter().flatten() {
        if !server.allows(&context, Operation::Describe, ResourceType::Topic, topic) {
            return failed(ErrorCode::TopicAuthorizationFailed, None);
        }
    }
    let member = context.for_coordinator();
    let run = move |shard: &mut coordinator::Shard, token| {
        shard.share_group_heartbeat(token, &member, &request)
    };
    match server.groups().request(&group_id, run).await {
        Ok(Response::ShareGroupHeartbeat(heartbeat)) => {
            if let Some(states) = heartbeat.initialize {
                let owned = Arc::clone(&server);
                server.tasks().spawn("share states", async move {
                    group_states::initialize(&owned, &group_id, states).await;
                });
            }
            heartbeat.response
        }
        Ok(_) => failed(ErrorCode::UnknownServerError, None),
        Err(code) => failed(code, None),
    }
}

fn failed(code: ErrorCode, message: Option<&str>) -> ShareGroupHeartbeatResponse {
    ShareGroupHeartbeatResponse {
        error_code: code.code(),
        error_message: message.map(str::to_owned),
        ..ShareGroupHeartbeatResponse::default()
    }
}
