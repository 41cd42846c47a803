//! DescribeQuorum (key 55, KIP-595): who holds the cluster's metadata.
//!
//! Kafka answers for `__cluster_metadata-0`, the log of its Raft quorum. Here one node holds the metadata store,
//! and the answer says just that: it is the one voter and the leader, and its log ends at the store's revision,
//! which is also what is committed. Differs: there are no elections, so the leader epoch is always 1, and no
//! metadata directory has an id, which Kafka shows as the zero id too before `kraft.version` 1.

use std::sync::Arc;

use base::Uuid;
use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use wire::messages::{DescribeQuorumRequest, DescribeQuorumResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// The topic of Kafka's metadata log.
const CLUSTER_METADATA: &str = "__cluster_metadata";
/// The one leader there has been.
const LEADER_EPOCH: i32 = 1;

/// Answers for the one partition there is, and UNKNOWN_TOPIC_OR_PARTITION for a request of anything else.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DescribeQuorumRequest,
) -> DescribeQuorumResponse {
    let operation = Operation::Describe;
    if !server.allows(&context, operation, ResourceType::Cluster, CLUSTER_NAME) {
        return DescribeQuorumResponse {
            error_code: ErrorCode::ClusterAuthorizationFailed.code(),
            error_message: Some("Cluster authorization failed.".to_owned()),
            ..DescribeQuorumResponse::default()
        };
    }
    if !asks_for_metadata(&request) {
        return unknown(request);
    }
    let revision = i64::try_from(server.metadata().image().revision().0).unwrap_or(i64::MAX);
    let now_ms = server.clock().now_ms();
    let node_id = server.node_id().0;
    let voter = ReplicaState {
        replica_id: node_id,
        replica_directory_id: Uuid::ZERO,
        log_end_offset: revision,
        last_fetch_timestamp: now_ms,
        last_caught_up_timestamp: now_ms,
    };
    let listener = &context.connection.listener;
    DescribeQuorumResponse {
        topics: vec![TopicData {
            topic_name: CLUSTER_METADATA.to_owned(),
            partitions: vec![PartitionData {
                leader_id: node_id,
                leader_epoch: LEADER_EPOCH,
                high_watermark: revision,
                current_voters: vec![voter],
                ..PartitionData::default()
            }],
        }],
        nodes: vec![Node {
            node_id,
            listeners: vec![Listener {
                name: listener.name.clone(),
                host: listener.advertised_host.clone(),
                port: listener.advertised_port,
            }],
        }],
        ..DescribeQuorumResponse::default()
    }
}

fn asks_for_metadata(request: &DescribeQuorumRequest) -> bool {
    match request.topics.as_slice() {
        [topic] => {
            topic.topic_name == CLUSTER_METADATA
                && matches!(topic.partitions.as_slice(), [partition] if partition.partition_index == 0)
        }
        _ => false,
    }
}

fn unknown(request: DescribeQuorumRequest) -> DescribeQuorumResponse {
    let topics = request.topics.into_iter().map(|topic| TopicData {
        topic_name: topic.topic_name,
        partitions: topic
            .partitions
            .into_iter()
            .map(|partition| PartitionData {
                partition_index: partition.partition_index,
                error_code: ErrorCode::UnknownTopicOrPartition.code(),
                ..PartitionData::default()
            })
            .collect(),
    });
    DescribeQuorumResponse {
        topics: topics.collect(),
        ..DescribeQuorumResponse::default()
    }
}
