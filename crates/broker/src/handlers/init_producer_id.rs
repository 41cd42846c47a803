//! InitProducerId (key 22, KIP-98, KIP-360): an identity for an idempotent or a transactional producer.

use std::sync::Arc;

use coordinator::transaction::{InitProducerId, Response};
use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{InitProducerIdRequest, InitProducerIdResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::transactions::settle::ask_until_settled;
use crate::transactions::{fenced_since, may_write, request_with_producer_id};

/// Answers an idempotent producer with a new producer id and epoch 0, always; a transactional one with the id of
/// its transactional id and the next epoch, which fences whoever had the last.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    // A producer that goes on names both, a new one neither.
    let expected = match (request.producer_id, request.producer_epoch) {
        (-1, -1) => None,
        (-1, _) | (_, -1) => return failed(ErrorCode::InvalidRequest),
        known => Some(known),
    };
    let initialised = match &request.transactional_id {
        Some(id) => {
            let init = InitProducerId {
                transactional_id: id.clone(),
                timeout_ms: request.transaction_timeout_ms,
                expected,
                new_producer_id: None,
            };
            of_transaction(&server, &context, init).await
        }
        None => of_idempotent(&server, &context).await,
    };
    let mut response = initialised.unwrap_or_else(failed);
    if response.error_code == ErrorCode::ProducerFenced.code() {
        let error = fenced_since(context.api_version, 4, ErrorCode::ProducerFenced);
        response.error_code = error.code();
    }
    response
}

fn failed(code: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: code.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    }
}

async fn of_idempotent(
    server: &Arc<Server>,
    context: &RequestContext,
) -> Result<InitProducerIdResponse, ErrorCode> {
    let may_write_somewhere =
        server.allows(
            context,
            Operation::IdempotentWrite,
            ResourceType::Cluster,
            CLUSTER_NAME,
        ) || server.topics().all().iter().any(|topic| {
            server.allows(context, Operation::Write, ResourceType::Topic, &topic.name)
        });
    if !may_write_somewhere {
        return Err(ErrorCode::ClusterAuthorizationFailed);
    }
    let producer_id = server.producer_ids().next(server).await?;
    Ok(InitProducerIdResponse {
        producer_id: producer_id.0,
        producer_epoch: 0,
        ..InitProducerIdResponse::default()
    })
}

async fn of_transaction(
    server: &Arc<Server>,
    context: &RequestContext,
    init: InitProducerId,
) -> Result<InitProducerIdResponse, ErrorCode> {
    let id = init.transactional_id.clone();
    if !may_write(server, context, &id) {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    if id.is_empty() {
        return Err(ErrorCode::InvalidRequest);
    }
    let ask = || initialise(server, &init);
    ask_until_settled(server, &id, ask, |answer| {
        let code = answer.as_ref().map(|response| response.error_code);
        code == Ok(ErrorCode::ConcurrentTransactions.code())
    })
    .await
}

async fn initialise(
    server: &Arc<Server>,
    init: &InitProducerId,
) -> Result<InitProducerIdResponse, ErrorCode> {
    let init = init.clone();
    let id = init.transactional_id.clone();
    let asked = request_with_producer_id(server, &id, move |machine, token, new_producer_id| {
        let init = InitProducerId {
            new_producer_id,
            ..init.clone()
        };
        machine.init_producer_id(token, init)
    });
    match asked.await? {
        Response::InitProducerId(response) => Ok(response),
        _ => Err(ErrorCode::UnknownServerError),
    }
}
