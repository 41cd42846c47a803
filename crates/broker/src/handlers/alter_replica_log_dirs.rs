//! AlterReplicaLogDirs (key 34, KIP-113): moves partitions between data directories, of which there is one.
//!
//! A move to where a partition lies already succeeds at once, as it does in Kafka; any other path is unknown.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use base::PartitionIndex;
use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use wire::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// Answers one result per partition.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: AlterReplicaLogDirsRequest,
) -> AlterReplicaLogDirsResponse {
    let operation = Operation::Alter;
    let allowed = server.allows(&context, operation, ResourceType::Cluster, CLUSTER_NAME);
    let mut results: BTreeMap<String, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
    for dir in request.dirs {
        let is_ours = Path::new(&dir.path) == server.log_dir();
        for topic in dir.topics {
            let known = server.topics().get(&topic.name);
            let of_topic = results.entry(topic.name).or_default();
            for partition_index in topic.partitions {
                let exists = known.as_ref().is_some_and(|topic| {
                    topic.partition(PartitionIndex(partition_index)).is_some()
                });
                let code = if !allowed {
                    ErrorCode::ClusterAuthorizationFailed
                } else if !is_ours {
                    ErrorCode::LogDirNotFound
                } else if !exists {
                    ErrorCode::UnknownTopicOrPartition
                } else {
                    ErrorCode::None
                };
                of_topic.push(AlterReplicaLogDirPartitionResult {
                    partition_index,
                    error_code: code.code(),
                });
            }
        }
    }
    AlterReplicaLogDirsResponse {
        results: results
            .into_iter()
            .map(|(topic_name, partitions)| AlterReplicaLogDirTopicResult {
                topic_name,
                partitions,
            })
            .collect(),
        ..AlterReplicaLogDirsResponse::default()
    }
}
