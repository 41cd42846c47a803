//! ListGroups (key 16): every group, filtered by state (KIP-518) and type (KIP-848).

use std::sync::Arc;

use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{ListGroupsRequest, ListGroupsResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// Answers with the groups the requester may describe.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ListGroupsRequest,
) -> ListGroupsResponse {
    let failed = |code: ErrorCode| ListGroupsResponse {
        error_code: code.code(),
        ..ListGroupsResponse::default()
    };
    let listed = server
        .groups()
        .query_all(move |shard| shard.list_groups(&request))
        .await;
    let shards = match listed {
        Ok(shards) => shards,
        Err(code) => return failed(code),
    };
    let sees_all = server.allows(
        &context,
        Operation::Describe,
        ResourceType::Cluster,
        CLUSTER_NAME,
    );
    let mut response = ListGroupsResponse::default();
    for groups in shards {
        match groups {
            Ok(groups) => response.groups.extend(groups.into_iter().filter(|group| {
                sees_all
                    || server.allows(
                        &context,
                        Operation::Describe,
                        ResourceType::Group,
                        &group.group_id,
                    )
            })),
            Err(code) => return failed(code),
        }
    }
    response
}
