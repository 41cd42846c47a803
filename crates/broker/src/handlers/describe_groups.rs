//! DescribeGroups (key 15): state, protocol and members of classic groups.

use std::sync::Arc;

use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::describe_groups_response::DescribedGroup;
use wire::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// Answers per group, in the order of the request.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for group_id in request.groups {
        let mut group = describe(&server, &context, group_id).await;
        group.authorized_operations =
            if request.include_authorized_operations && group.error_code == 0 {
                let authorizer = server.authorizer();
                authorizer.authorized_operations(
                    context.requester(),
                    ResourceType::Group,
                    &group.group_id,
                )
            } else {
                i32::MIN
            };
        groups.push(group);
    }
    DescribeGroupsResponse {
        groups,
        ..DescribeGroupsResponse::default()
    }
}

async fn describe(
    server: &Arc<Server>,
    context: &RequestContext,
    group_id: String,
) -> DescribedGroup {
    let failed = |code: ErrorCode| DescribedGroup {
        error_code: code.code(),
        group_id: group_id.clone(),
        ..DescribedGroup::default()
    };
    if !server.allows(context, Operation::Describe, ResourceType::Group, &group_id) {
        return failed(ErrorCode::GroupAuthorizationFailed);
    }
    let asker = context.for_coordinator();
    let id = group_id.clone();
    let described = server
        .groups()
        .query(&group_id, move |shard| {
            shard.describe_groups(&asker, &[id]).pop()
        })
        .await;
    match described {
        Ok(Some(group)) => group,
        Ok(None) => failed(ErrorCode::UnknownServerError),
        Err(code) => failed(code),
    }
}
