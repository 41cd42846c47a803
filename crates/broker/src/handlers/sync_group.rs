//! SyncGroup (key 14): members get, and their leader hands in, the assignment of a generation.

use std::sync::Arc;

use coordinator::Response;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{SyncGroupRequest, SyncGroupResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// Answers when the leader's assignment is durable.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: SyncGroupRequest,
) -> SyncGroupResponse {
    let failed = |code: ErrorCode| SyncGroupResponse {
        error_code: code.code(),
        ..SyncGroupResponse::default()
    };
    let group_id = request.group_id.clone();
    if !server.allows(&context, Operation::Read, ResourceType::Group, &group_id) {
        return failed(ErrorCode::GroupAuthorizationFailed);
    }
    let member = context.for_coordinator();
    let run =
        move |shard: &mut coordinator::Shard, token| shard.sync_group(token, &member, request);
    match server.groups().request(&group_id, run).await {
        Ok(Response::SyncGroup(response)) => response,
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(code) => failed(code),
    }
}
