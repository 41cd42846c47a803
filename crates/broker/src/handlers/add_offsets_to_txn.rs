//! AddOffsetsToTxn (key 25, KIP-98): a transaction will commit offsets of a group.

use std::sync::Arc;

use coordinator::transaction::{AddPartitions, ClientVersion, PartitionsMode};
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::CONSUMER_OFFSETS;
use crate::transactions::{add_partitions, fenced_since, may_write};

/// Adds the group's partition of `__consumer_offsets` to the transaction. The group need not exist.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: AddOffsetsToTxnRequest,
) -> AddOffsetsToTxnResponse {
    let error = match add(&server, &context, request).await {
        Ok(()) => ErrorCode::None,
        Err(error) => fenced_since(context.api_version, 2, error),
    };
    AddOffsetsToTxnResponse {
        error_code: error.code(),
        ..AddOffsetsToTxnResponse::default()
    }
}

async fn add(
    server: &Arc<Server>,
    context: &RequestContext,
    request: AddOffsetsToTxnRequest,
) -> Result<(), ErrorCode> {
    let AddOffsetsToTxnRequest {
        transactional_id,
        group_id,
        ..
    } = request;
    if !may_write(server, context, &transactional_id) {
        return Err(ErrorCode::TransactionalIdAuthorizationFailed);
    }
    if !server.allows(context, Operation::Read, ResourceType::Group, &group_id) {
        return Err(ErrorCode::GroupAuthorizationFailed);
    }
    server.groups().ensure_ready(server).await?;
    let partition = server
        .groups()
        .partition_of(&group_id)
        .and_then(|partition| i32::try_from(partition).ok())
        .ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let add = AddPartitions {
        transactional_id: transactional_id.clone(),
        producer_id: request.producer_id,
        producer_epoch: request.producer_epoch,
        mode: PartitionsMode::Add(ClientVersion::Classic),
        partitions: vec![(CONSUMER_OFFSETS.into(), partition)],
    };
    let codes = add_partitions(server, add).await;
    match codes.first() {
        Some(ErrorCode::None) => Ok(()),
        Some(code) => Err(*code),
        None => Err(ErrorCode::UnknownServerError),
    }
}
