//! What the requests to the share coordinator have in common.

use coordinator::share_state::StateError;
use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;

use crate::request::RequestContext;
use crate::server::Server;

/// Whether the requester may act as a broker.
pub(crate) fn may_ask(server: &Server, context: &RequestContext) -> bool {
    server.allows(
        context,
        Operation::ClusterAction,
        ResourceType::Cluster,
        CLUSTER_NAME,
    )
}

/// What those get that may not.
pub(crate) fn refused() -> StateError {
    StateError {
        code: ErrorCode::ClusterAuthorizationFailed,
        message: "Cluster authorization failed.".to_owned(),
    }
}
