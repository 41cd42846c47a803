//! ElectLeaders (key 43, KIP-460): with one replica a partition there is never an election to hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::PartitionIndex;
use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use wire::messages::{ElectLeadersRequest, ElectLeadersResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::Partition;

const UNCLEAN: i8 = 1;

/// Answers ELECTION_NOT_NEEDED for a partition whose leader is online, and names the others.
///
/// When all partitions are meant (null), Kafka leaves those out that need no election; so the answer is then
/// of the offline ones only.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ElectLeadersRequest,
) -> ElectLeadersResponse {
    if !server.allows(
        &context,
        Operation::Alter,
        ResourceType::Cluster,
        CLUSTER_NAME,
    ) {
        return ElectLeadersResponse {
            error_code: ErrorCode::ClusterAuthorizationFailed.code(),
            ..ElectLeadersResponse::default()
        };
    }
    let no_leader = if request.election_type == UNCLEAN {
        ErrorCode::EligibleLeadersNotAvailable
    } else {
        ErrorCode::PreferredLeaderNotAvailable
    };
    let mut results: BTreeMap<String, Vec<PartitionResult>> = BTreeMap::new();
    match request.topic_partitions {
        None => {
            for topic in server.topics().all() {
                for partition in topic.partitions().iter().filter(|p| !p.is_online()) {
                    results.entry(topic.name.clone()).or_default().push(result(
                        partition.index,
                        no_leader,
                        "The partition's only replica is offline.",
                    ));
                }
            }
        }
        Some(topics) => {
            for topic in topics {
                let known = server.topics().get(&topic.topic);
                for index in topic.partitions.into_iter().map(PartitionIndex) {
                    let partition = known.as_ref().and_then(|topic| topic.partition(index));
                    let elected = elect(index, partition.as_ref(), no_leader);
                    results
                        .entry(topic.topic.clone())
                        .or_default()
                        .push(elected);
                }
            }
        }
    }
    ElectLeadersResponse {
        replica_election_results: results
            .into_iter()
            .map(|(topic, partition_result)| ReplicaElectionResult {
                topic,
                partition_result,
            })
            .collect(),
        ..ElectLeadersResponse::default()
    }
}

fn elect(
    index: PartitionIndex,
    partition: Option<&Partition>,
    no_leader: ErrorCode,
) -> PartitionResult {
    match partition {
        None => result(
            index,
            ErrorCode::UnknownTopicOrPartition,
            "This server does not host this topic-partition.",
        ),
        Some(partition) if partition.is_online() => result(
            index,
            ErrorCode::ElectionNotNeeded,
            "Leader election not needed for topic partition.",
        ),
        Some(_) => result(index, no_leader, "The partition's only replica is offline."),
    }
}

fn result(index: PartitionIndex, code: ErrorCode, message: &str) -> PartitionResult {
    PartitionResult {
        partition_id: index.0,
        error_code: code.code(),
        error_message: Some(message.to_owned()),
    }
}
