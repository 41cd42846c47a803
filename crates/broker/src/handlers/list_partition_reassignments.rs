//! ListPartitionReassignments (key 46, KIP-455): partitions of one replica are never on the move.

use std::sync::Arc;

use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// Answers that nothing is being reassigned. Kafka lists ongoing reassignments only and says nothing of
/// topics it does not know.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    _request: ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let allowed = server.allows(
        &context,
        Operation::Describe,
        ResourceType::Cluster,
        CLUSTER_NAME,
    );
    let code = if allowed {
        ErrorCode::None
    } else {
        ErrorCode::ClusterAuthorizationFailed
    };
    ListPartitionReassignmentsResponse {
        error_code: code.code(),
        error_message: None,
        ..ListPartitionReassignmentsResponse::default()
    }
}
