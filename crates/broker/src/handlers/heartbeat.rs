//! Heartbeat (key 12): a member is alive, and hears of rebalances.

use std::sync::Arc;

use coordinator::Response;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{HeartbeatRequest, HeartbeatResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// Answers at once.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: HeartbeatRequest,
) -> HeartbeatResponse {
    let failed = |code: ErrorCode| HeartbeatResponse {
        error_code: code.code(),
        ..HeartbeatResponse::default()
    };
    let group_id = request.group_id.clone();
    if !server.allows(&context, Operation::Read, ResourceType::Group, &group_id) {
        return failed(ErrorCode::GroupAuthorizationFailed);
    }
    let run = move |shard: &mut coordinator::Shard, token| shard.heartbeat(token, &request);
    match server.groups().request(&group_id, run).await {
        Ok(Response::Heartbeat(response)) => response,
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(code) => failed(code),
    }
}
