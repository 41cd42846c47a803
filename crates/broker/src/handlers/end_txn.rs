//! EndTxn (key 26, KIP-98, KIP-890): commits or aborts a transaction.

use std::sync::Arc;

use coordinator::transaction::{ClientVersion, EndTxn, Response};
use wire::ErrorCode;
use wire::messages::{EndTxnRequest, EndTxnResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::transactions::{fenced_since, may_write, request_with_producer_id};

/// Answers when the outcome is durable; its markers follow. From version 5 the answer holds the producer id and
/// epoch of the next transaction.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: EndTxnRequest,
) -> EndTxnResponse {
    let failed = |error: ErrorCode| EndTxnResponse {
        error_code: error.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..EndTxnResponse::default()
    };
    let id = request.transactional_id;
    if !may_write(&server, &context, &id) {
        return failed(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    let end = EndTxn {
        transactional_id: id.clone(),
        producer_id: request.producer_id,
        producer_epoch: request.producer_epoch,
        commit: request.committed,
        version: if context.api_version >= 5 {
            ClientVersion::V2
        } else {
            ClientVersion::Classic
        },
        new_producer_id: None,
    };
    let ended = request_with_producer_id(&server, &id, move |machine, token, new_producer_id| {
        let end = EndTxn {
            new_producer_id,
            ..end.clone()
        };
        machine.end_txn(token, end)
    });
    let mut response = match ended.await {
        Ok(Response::EndTxn(response)) => response,
        Ok(_) => failed(ErrorCode::UnknownServerError),
        Err(error) => failed(error),
    };
    if response.error_code == ErrorCode::ProducerFenced.code() {
        let error = fenced_since(context.api_version, 2, ErrorCode::ProducerFenced);
        response.error_code = error.code();
    }
    if context.api_version < 5 {
        // Earlier versions have no place for them.
        response.producer_id = -1;
        response.producer_epoch = -1;
    }
    response
}
