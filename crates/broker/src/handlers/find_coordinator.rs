//! FindCoordinator (key 10): which broker coordinates a group, a transactional id or a share partition; on one
//! node, this one.

use std::sync::Arc;

use base::Uuid;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::find_coordinator_response::Coordinator;
use wire::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use crate::request::{MALFORMED_REQUEST, RequestContext};
use crate::server::Server;
use crate::share::state_requests::may_ask;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;
/// The first version that may ask for a share partition.
const SHARE_SINCE_VERSION: i16 = 6;

/// Answers for one key, or for several from version 4 (KIP-699). Creates `__consumer_offsets` when the first
/// group asks, `__transaction_state` when the first transactional producer does, `__share_group_state` for the first
/// share partition.
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
    let code = ErrorCode::from_code(found.error_code);
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: Some(first_versions_message(code, found.error_message)),
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
    let failed = |code: ErrorCode, key: String| Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code: code.code(),
        error_message: Some(message_of(code, key_type)),
        ..Coordinator::default()
    };
    if let Err(code) = check(server, context, key_type, &key) {
        return failed(code, key);
    }
    let ready = match key_type {
        GROUP => server.groups().ensure_ready(server).await,
        TRANSACTION => server.transactions().ensure_ready(server).await,
        _ => server.persister().coordinators().ensure_ready(server).await,
    };
    if let Err(code) = ready {
        return failed(code, key);
    }
    let listener = &context.connection.listener;
    Coordinator {
        key,
        node_id: server.node_id().0,
        host: listener.advertised_host.clone(),
        port: i32::from(listener.advertised_port),
        error_code: 0,
        error_message: Some(String::new()),
    }
}

/// Before version 4 the message is that of the code, which for none is its name (`Errors.message`).
fn first_versions_message(code: Option<ErrorCode>, message: Option<String>) -> String {
    match code {
        Some(ErrorCode::None) => "NONE".to_owned(),
        Some(ErrorCode::CoordinatorNotAvailable) => "The coordinator is not available.".to_owned(),
        _ => message.unwrap_or_default(),
    }
}

/// Kafka leaves the message of a coordinator empty, but for a type of key that there is not.
fn message_of(code: ErrorCode, key_type: i8) -> String {
    if code == ErrorCode::InvalidRequest && !(GROUP..=SHARE).contains(&key_type) {
        MALFORMED_REQUEST.to_owned()
    } else {
        String::new()
    }
}

/// What is asked for has a coordinator, and the requester may know which.
fn check(
    server: &Server,
    context: &RequestContext,
    key_type: i8,
    key: &str,
) -> Result<(), ErrorCode> {
    let (allowed, refused) = match key_type {
        GROUP => (
            server.allows(context, Operation::Describe, ResourceType::Group, key),
            ErrorCode::GroupAuthorizationFailed,
        ),
        TRANSACTION => {
            let resource = ResourceType::TransactionalId;
            (
                server.allows(context, Operation::Describe, resource, key),
                ErrorCode::TransactionalIdAuthorizationFailed,
            )
        }
        SHARE if context.api_version >= SHARE_SINCE_VERSION && names_share_partition(key) => (
            may_ask(server, context),
            ErrorCode::ClusterAuthorizationFailed,
        ),
        _ => return Err(ErrorCode::InvalidRequest),
    };
    if allowed { Ok(()) } else { Err(refused) }
}

/// Whether a key is `group:topic id:partition` (`SharePartitionKey.validate`).
fn names_share_partition(key: &str) -> bool {
    let mut parts = key.rsplitn(3, ':');
    let partition = parts.next().map(str::parse::<i32>);
    let topic_id = parts.next().map(str::parse::<Uuid>);
    let group_id = parts.next().map(str::trim);
    matches!(
        (group_id, topic_id, partition),
        (Some(group_id), Some(Ok(_)), Some(Ok(_))) if !group_id.is_empty()
    )
}
