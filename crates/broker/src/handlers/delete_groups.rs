//! DeleteGroups (key 42, KIP-229): groups without members, with all their offsets.

use std::sync::Arc;

use coordinator::Response;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::delete_groups_response::DeletableGroupResult;
use wire::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::group_states;

/// Answers per group, once its tombstones are durable. A group named twice is deleted once.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DeleteGroupsRequest,
) -> DeleteGroupsResponse {
    let mut results: Vec<DeletableGroupResult> = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        if results.iter().any(|result| result.group_id == group_id) {
            continue;
        }
        results.push(delete(&server, &context, group_id).await);
    }
    DeleteGroupsResponse {
        results,
        ..DeleteGroupsResponse::default()
    }
}

async fn delete(
    server: &Arc<Server>,
    context: &RequestContext,
    group_id: String,
) -> DeletableGroupResult {
    let failed = |code: ErrorCode| DeletableGroupResult {
        group_id: group_id.clone(),
        error_code: code.code(),
        ..DeletableGroupResult::default()
    };
    if !server.allows(context, Operation::Delete, ResourceType::Group, &group_id) {
        return failed(ErrorCode::GroupAuthorizationFailed);
    }
    if group_id.is_empty() {
        return failed(ErrorCode::GroupIdNotFound);
    }
    if let Err(code) = delete_share_states(server, &group_id).await {
        return failed(code);
    }
    let ids = [group_id.clone()];
    let run = move |shard: &mut coordinator::Shard, token| shard.delete_groups(token, &ids);
    match server.groups().request(&group_id, run).await {
        Ok(Response::DeleteGroups(results)) => results
            .into_iter()
            .next()
            .unwrap_or_else(|| failed(ErrorCode::UnknownServerError)),
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(code) => failed(code),
    }
}

/// Has the states of a share group's partitions deleted; the group itself goes when all are.
async fn delete_share_states(server: &Arc<Server>, group_id: &str) -> Result<(), ErrorCode> {
    let id: Arc<str> = group_id.into();
    let asked = Arc::clone(&id);
    let run =
        move |shard: &mut coordinator::Shard, token| shard.delete_share_group_states(token, &asked);
    let deletion = match server.groups().request(group_id, run).await? {
        Response::DeleteShareGroupOffsets(deletion) => *deletion,
        _ => return Err(ErrorCode::UnknownServerError),
    };
    if let Some((code, _)) = deletion.error {
        return Err(code);
    }
    let failures = group_states::delete(server, &id, &deletion.delete).await;
    failures
        .values()
        .next()
        .map_or(Ok(()), |error| Err(error.code))
}
