//! DescribeTransactions (key 65, KIP-664): state, producer and partitions of transactional ids.

use std::sync::Arc;

use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::describe_transactions_response::TransactionState;
use wire::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// Answers for each transactional id. Topics that the requester may not describe are left out.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DescribeTransactionsRequest,
) -> DescribeTransactionsResponse {
    let mut states = Vec::with_capacity(request.transactional_ids.len());
    for id in request.transactional_ids {
        let mut state = describe(&server, &context, id).await;
        state.topics.retain(|topic| {
            let name = topic.topic.as_str();
            server.allows(&context, Operation::Describe, ResourceType::Topic, name)
        });
        states.push(state);
    }
    DescribeTransactionsResponse {
        transaction_states: states,
        ..DescribeTransactionsResponse::default()
    }
}

async fn describe(
    server: &Arc<Server>,
    context: &RequestContext,
    transactional_id: String,
) -> TransactionState {
    let failed = |error: ErrorCode| TransactionState {
        error_code: error.code(),
        transactional_id: transactional_id.clone(),
        ..TransactionState::default()
    };
    let (operation, resource) = (Operation::Describe, ResourceType::TransactionalId);
    if !server.allows(context, operation, resource, &transactional_id) {
        return failed(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    if transactional_id.is_empty() {
        return failed(ErrorCode::InvalidRequest);
    }
    if server
        .transactions()
        .partition_of(&transactional_id)
        .is_none()
    {
        // Nobody has ever asked for a transaction coordinator.
        return failed(ErrorCode::TransactionalIdNotFound);
    }
    let id = transactional_id.clone();
    let described = server
        .transactions()
        .query(&transactional_id, move |machine| machine.describe(&id));
    described.await.unwrap_or_else(failed)
}
