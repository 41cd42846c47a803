//! Which instance answers interactive queries about which partition. Source: Kafka's `EndpointToPartitionsManager` and
//! `StreamsGroup.buildEndpointToPartitions`.

use wire::messages::streams_group_heartbeat_response::{
    Endpoint, EndpointToPartitions, TopicPartition,
};

use super::configured::ConfiguredTopology;
use super::group::StreamsGroup;
use super::member::Member;
use super::tasks::{TaskSet, without_epochs};
use crate::cluster::ClusterView;

/// What every member with an endpoint has, `updated` in its new state.
pub(super) fn partitions_by_endpoint(
    group: &StreamsGroup,
    updated: &Member,
    topology: &ConfiguredTopology,
    cluster: &dyn ClusterView,
) -> Vec<EndpointToPartitions> {
    let others = group.members.values();
    others
        .map(|member| &**member)
        .filter(|member| member.id != updated.id)
        .chain([updated])
        .filter_map(|member| of_member(member, topology, cluster))
        .collect()
}

fn of_member(
    member: &Member,
    topology: &ConfiguredTopology,
    cluster: &dyn ClusterView,
) -> Option<EndpointToPartitions> {
    let endpoint = member.metadata.user_endpoint.as_ref()?;
    let assigned = &member.current.assigned;
    Some(EndpointToPartitions {
        user_endpoint: Endpoint {
            host: endpoint.host.clone(),
            port: endpoint.port,
        },
        active_partitions: partitions(&without_epochs(&assigned.active), topology, cluster),
        standby_partitions: partitions(&assigned.standby, topology, cluster),
    })
}

/// The partitions that tasks read. A topic may have fewer partitions than its subtopology has tasks.
///
/// Differs: Kafka 4.3.1 cuts the list of tasks to as many as the topic has partitions, and so may name partitions that
/// do not exist; here those are left out.
fn partitions(
    tasks: &TaskSet,
    topology: &ConfiguredTopology,
    cluster: &dyn ClusterView,
) -> Vec<TopicPartition> {
    let mut topics = Vec::new();
    for (id, partitions) in tasks {
        let subtopologies = topology.subtopologies.as_ref();
        let Some(subtopology) = subtopologies.and_then(|subtopologies| subtopologies.get(id))
        else {
            continue;
        };
        for name in subtopology.inputs() {
            let Some(topic) = cluster.topic(name) else {
                continue;
            };
            topics.push(TopicPartition {
                topic: name.to_owned(),
                partitions: partitions.range(..topic.partitions).copied().collect(),
            });
        }
    }
    topics
}
