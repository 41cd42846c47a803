//! WriteTxnMarkers (key 27, KIP-98, KIP-664): ends a producer's transaction in single partitions.
//!
//! Transaction coordinators of other brokers send it, and administrators to end a transaction that its own
//! coordinator has forgotten (`kafka-transactions.sh abort`).

use std::sync::Arc;

use coordinator::TransactionMarker;
use futures::future::join_all;
use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::write_txn_markers_request::WritableTxnMarker;
use wire::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use wire::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::transactions::markers::write_one;

/// Answers per partition, when the markers are durable. Needs ALTER or CLUSTER_ACTION on the cluster.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: WriteTxnMarkersRequest,
) -> WriteTxnMarkersResponse {
    let allowed = [Operation::Alter, Operation::ClusterAction]
        .into_iter()
        .any(|operation| server.allows(&context, operation, ResourceType::Cluster, CLUSTER_NAME));
    let mut markers = Vec::with_capacity(request.markers.len());
    for marker in request.markers {
        markers.push(write(&server, allowed, marker).await);
    }
    WriteTxnMarkersResponse { markers }
}

async fn write(
    server: &Arc<Server>,
    allowed: bool,
    request: WritableTxnMarker,
) -> WritableTxnMarkerResult {
    let marker = TransactionMarker {
        producer_id: request.producer_id,
        producer_epoch: request.producer_epoch,
        coordinator_epoch: request.coordinator_epoch,
        committed: request.transaction_result,
        is_strict: request.transaction_version >= 2,
    };
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = topic.name.as_str();
        let written = topic.partition_indexes.iter().map(|index| async move {
            let written = if allowed {
                write_one(server, name, *index, marker).await
            } else {
                Err(ErrorCode::ClusterAuthorizationFailed)
            };
            WritableTxnMarkerPartitionResult {
                partition_index: *index,
                error_code: written.err().unwrap_or(ErrorCode::None).code(),
            }
        });
        topics.push(WritableTxnMarkerTopicResult {
            partitions: join_all(written).await,
            name: topic.name.clone(),
        });
    }
    WritableTxnMarkerResult {
        producer_id: request.producer_id,
        topics,
    }
}
