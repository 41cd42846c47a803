//! InitProducerId (key 22, KIP-98, KIP-360): an identity for an idempotent producer.

use std::sync::Arc;

use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{InitProducerIdRequest, InitProducerIdResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// Answers with a new producer id and epoch 0: an idempotent producer always gets a new one.
///
/// A transactional id is refused: transactions are not advertised, so only a client that ignores ApiVersions
/// sends one.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: InitProducerIdRequest,
) -> InitProducerIdResponse {
    let failed = |code: ErrorCode| InitProducerIdResponse {
        error_code: code.code(),
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdResponse::default()
    };
    match request.transactional_id.as_deref() {
        Some("") => return failed(ErrorCode::InvalidRequest),
        Some(_) => return failed(ErrorCode::CoordinatorNotAvailable),
        None => {}
    }
    let may_write_somewhere =
        server.allows(
            &context,
            Operation::IdempotentWrite,
            ResourceType::Cluster,
            CLUSTER_NAME,
        ) || server.topics().all().iter().any(|topic| {
            server.allows(&context, Operation::Write, ResourceType::Topic, &topic.name)
        });
    if !may_write_somewhere {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    match server.producer_ids().next(&server).await {
        Ok(producer_id) => InitProducerIdResponse {
            producer_id: producer_id.0,
            producer_epoch: 0,
            ..InitProducerIdResponse::default()
        },
        Err(code) => failed(code),
    }
}
