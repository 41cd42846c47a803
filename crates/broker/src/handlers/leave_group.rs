//! LeaveGroup (key 13): members go, or are removed by an administrator (KIP-345).

use std::sync::Arc;

use coordinator::Response;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{LeaveGroupRequest, LeaveGroupResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// Answers per member from version 3.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: LeaveGroupRequest,
) -> LeaveGroupResponse {
    let failed = |code: ErrorCode| LeaveGroupResponse {
        error_code: code.code(),
        ..LeaveGroupResponse::default()
    };
    let group_id = request.group_id.clone();
    if !server.allows(&context, Operation::Read, ResourceType::Group, &group_id) {
        return failed(ErrorCode::GroupAuthorizationFailed);
    }
    let member = context.for_coordinator();
    let run =
        move |shard: &mut coordinator::Shard, token| shard.leave_group(token, &member, request);
    match server.groups().request(&group_id, run).await {
        Ok(Response::LeaveGroup(response)) => response,
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(code) => failed(code),
    }
}
