//! JoinGroup (key 11): a member enters its group's next generation.

use std::sync::Arc;

use coordinator::Response;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{JoinGroupRequest, JoinGroupResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// Answers when the rebalance that the join takes part in is over.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: JoinGroupRequest,
) -> JoinGroupResponse {
    let member_id = request.member_id.clone();
    let failed = |code: ErrorCode| JoinGroupResponse {
        error_code: code.code(),
        generation_id: -1,
        // Null protocols came with version 7.
        protocol_name: (context.api_version < 7).then(String::new),
        member_id,
        ..JoinGroupResponse::default()
    };
    let group_id = request.group_id.clone();
    if !server.allows(&context, Operation::Read, ResourceType::Group, &group_id) {
        return failed(ErrorCode::GroupAuthorizationFailed);
    }
    let member = context.for_coordinator();
    let run =
        move |shard: &mut coordinator::Shard, token| shard.join_group(token, &member, request);
    match server.groups().request(&group_id, run).await {
        Ok(Response::JoinGroup(response)) => response,
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(code) => failed(code),
    }
}
