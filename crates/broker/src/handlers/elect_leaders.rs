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
use crate::topics::{Partition, Topic};

const PREFERRED: i8 = 0;
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
    if !(PREFERRED..=UNCLEAN).contains(&request.election_type) {
        return unknown_election(request);
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
                let elected = topic.partitions.into_iter().map(|index| {
                    named(
                        known.as_deref(),
                        &topic.topic,
                        PartitionIndex(index),
                        no_leader,
                    )
                });
                let place = results.entry(topic.topic.clone()).or_default();
                place.extend(elected);
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

/// The answer to a type of election that there is not, which Kafka repeats for each partition.
fn unknown_election(request: ElectLeadersRequest) -> ElectLeadersResponse {
    let message = format!("Unknown election type {}", request.election_type);
    let topics = request.topic_partitions.into_iter().flatten();
    ElectLeadersResponse {
        error_code: ErrorCode::InvalidRequest.code(),
        replica_election_results: topics
            .map(|topic| ReplicaElectionResult {
                partition_result: topic
                    .partitions
                    .into_iter()
                    .map(|index| result(PartitionIndex(index), ErrorCode::InvalidRequest, &message))
                    .collect(),
                topic: topic.topic,
            })
            .collect(),
        ..ElectLeadersResponse::default()
    }
}

/// The answer for a partition that the request names.
fn named(
    topic: Option<&Topic>,
    name: &str,
    index: PartitionIndex,
    no_leader: ErrorCode,
) -> PartitionResult {
    let unknown = |message: String| result(index, ErrorCode::UnknownTopicOrPartition, &message);
    match topic {
        None => unknown(format!("No such topic as {name}")),
        Some(topic) => match topic.partition(index) {
            Some(partition) => elect(&partition, no_leader),
            None => unknown(format!("No such partition as {name}-{}", index.0)),
        },
    }
}

fn elect(partition: &Partition, no_leader: ErrorCode) -> PartitionResult {
    if partition.is_online() {
        result(
            partition.index,
            ErrorCode::ElectionNotNeeded,
            "Leader election not needed for topic partition.",
        )
    } else {
        result(
            partition.index,
            no_leader,
            "The partition's only replica is offline.",
        )
    }
}

fn result(index: PartitionIndex, code: ErrorCode, message: &str) -> PartitionResult {
    PartitionResult {
        partition_id: index.0,
        error_code: code.code(),
        error_message: Some(message.to_owned()),
    }
}
