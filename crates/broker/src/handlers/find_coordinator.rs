//! FindCoordinator (key 10): which broker coordinates a group or a transactional id; on one node, this one.

use std::sync::Arc;

use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::find_coordinator_response::Coordinator;
use wire::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use crate::request::RequestContext;
use crate::server::Server;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Answers for one key, or for several from version 4 (KIP-699). Creates `__consumer_offsets` when the first
/// group asks, `__transaction_state` when the first transactional producer does.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: FindCoordinatorRequest,
) -> FindCoordinatorResponse {
    if context.api_version >= 4 {
        let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
        for key in request.coordinator_keys {
            coordinators.push(find(&server, &context, request.key_type, key).await);
        }
        return FindCoordinatorResponse {
            coordinators,
            ..FindCoordinatorResponse::default()
        };
    }
    let found = find(&server, &context, request.key_type, request.key).await;
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..FindCoordinatorResponse::default()
    }
}

async fn find(
    server: &Arc<Server>,
    context: &RequestContext,
    key_type: i8,
    key: String,
) -> Coordinator {
    let failed = |code: ErrorCode, message: Option<&str>, key: String| Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code: code.code(),
        error_message: message.map(str::to_owned),
        ..Coordinator::default()
    };
    let (resource, refused) = match key_type {
        GROUP => (ResourceType::Group, ErrorCode::GroupAuthorizationFailed),
        TRANSACTION => (
            ResourceType::TransactionalId,
            ErrorCode::TransactionalIdAuthorizationFailed,
        ),
        _ => {
            return failed(
                ErrorCode::InvalidRequest,
                Some("Only groups and transactional ids have a coordinator in this release."),
                key,
            );
        }
    };
    if !server.allows(context, Operation::Describe, resource, &key) {
        return failed(refused, None, key);
    }
    let ready = if key_type == GROUP {
        server.groups().ensure_ready(server).await
    } else {
        server.transactions().ensure_ready(server).await
    };
    if let Err(code) = ready {
        return failed(code, None, key);
    }
    let listener = &context.connection.listener;
    Coordinator {
        key,
        node_id: server.node_id().0,
        host: listener.advertised_host.clone(),
        port: i32::from(listener.advertised_port),
        error_code: 0,
        error_message: None,
    }
}
