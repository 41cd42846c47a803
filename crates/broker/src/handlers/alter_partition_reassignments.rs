//! AlterPartitionReassignments (key 45, KIP-455): moves replicas between brokers, of which there is one.
//!
//! An assignment to this broker is what every partition has already and succeeds; any other names a broker there
//! is not. Nothing is ever on the move, so there is nothing to cancel.

use std::sync::Arc;

use base::PartitionIndex;
use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::alter_partition_reassignments_request::ReassignablePartition;
use wire::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use wire::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};

use crate::controller::check_assignment;
use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::ApiError;

/// Answers one result per partition.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: AlterPartitionReassignmentsRequest,
) -> AlterPartitionReassignmentsResponse {
    let allow_replication_factor_change = request.allow_replication_factor_change;
    let operation = Operation::Alter;
    if !server.allows(&context, operation, ResourceType::Cluster, CLUSTER_NAME) {
        return AlterPartitionReassignmentsResponse {
            allow_replication_factor_change,
            error_code: ErrorCode::ClusterAuthorizationFailed.code(),
            error_message: Some("Cluster authorization failed.".to_owned()),
            ..AlterPartitionReassignmentsResponse::default()
        };
    }
    let responses = request
        .topics
        .into_iter()
        .map(|topic| ReassignableTopicResponse {
            partitions: topic
                .partitions
                .iter()
                .map(|partition| result(&server, &topic.name, partition))
                .collect(),
            name: topic.name,
        })
        .collect();
    AlterPartitionReassignmentsResponse {
        allow_replication_factor_change,
        error_message: None,
        responses,
        ..AlterPartitionReassignmentsResponse::default()
    }
}

fn result(
    server: &Server,
    topic: &str,
    partition: &ReassignablePartition,
) -> ReassignablePartitionResponse {
    let error = reassign(server, topic, partition).err();
    ReassignablePartitionResponse {
        partition_index: partition.partition_index,
        error_code: error.as_ref().map_or(0, |error| error.code.code()),
        // Kafka says no more than the code that there is none to cancel.
        error_message: error
            .filter(|error| error.code != ErrorCode::NoReassignmentInProgress)
            .map(|error| error.message),
    }
}

fn reassign(server: &Server, name: &str, wanted: &ReassignablePartition) -> Result<(), ApiError> {
    let unknown = |message: String| ApiError::new(ErrorCode::UnknownTopicOrPartition, message);
    let index = wanted.partition_index;
    server
        .topics()
        .get(name)
        .ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?
        .partition(PartitionIndex(index))
        .ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
    match &wanted.replicas {
        None => Err(ApiError::new(
            ErrorCode::NoReassignmentInProgress,
            "No partition reassignment is in progress.",
        )),
        Some(replicas) => check_assignment(replicas, server.node_id()),
    }
}
