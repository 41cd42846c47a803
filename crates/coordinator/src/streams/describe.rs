//! StreamsGroupDescribe, and a streams group in ListGroups. Source: Kafka's `StreamsGroup.asDescribedGroup` and
//! `StreamsGroupMember.asStreamsGroupDescribeMember`.

use std::collections::BTreeMap;
use std::sync::Arc;

use wire::coordinator_records::streams_group_topology_value as value;
use wire::messages::list_groups_response::ListedGroup;
use wire::messages::streams_group_describe_response::{
    Assignment, DescribedGroup, Endpoint, KeyValue, Member as DescribedMember, Subtopology,
    TaskIds, TaskOffset, TopicInfo, Topology as DescribedTopology,
};

use super::assignor::STICKY;
use super::configured::{ConfiguredSubtopology, ConfiguredTopology};
use super::group::StreamsGroup;
use super::internal_topics::InternalTopic;
use super::member::Member;
use super::tasks::{TaskSet, Tasks, without_epochs};
use super::topology::Topology;
use crate::cluster::ClusterView;
use crate::shard::Shard;
use crate::shard::groups::Group;

/// The group type of ListGroups, and its protocol type.
const STREAMS_GROUP_TYPE: &str = "streams";

/// `TopologyDescriptionStatus` when nobody has stored a description (KIP-1331).
const DESCRIPTION_NOT_STORED: i8 = 1;

impl Shard {
    /// StreamsGroupDescribe, versions 0 and 1, for one group of this shard. `authorized_operations` is the broker's
    /// to fill, and so is the check that the requester may see the topics in it.
    ///
    /// There is no plugin that stores topology descriptions, so `include_description` is answered as Kafka without
    /// one answers it.
    #[must_use]
    pub fn describe_streams_group(
        &self,
        group_id: &str,
        include_description: bool,
    ) -> DescribedGroup {
        match self.group_to_describe(group_id, "streams", Group::as_streams) {
            Ok(group) => self.describe_streams(group, include_description),
            Err(failure) => DescribedGroup {
                group_id: group_id.to_owned(),
                error_code: failure.code.code(),
                error_message: failure.message,
                ..DescribedGroup::default()
            },
        }
    }

    fn describe_streams(&self, group: &StreamsGroup, include_description: bool) -> DescribedGroup {
        let topology = group.topology.as_deref();
        DescribedGroup {
            group_id: group.id.to_string(),
            group_state: group.state().name().to_owned(),
            group_epoch: group.metadata.epoch,
            assignment_epoch: group.assignment_epoch,
            topology: topology.map(|topology| describe_topology(topology, &*self.cluster)),
            members: group
                .members
                .values()
                .map(|member| describe_member(group, member))
                .collect(),
            topology_description_status: match include_description {
                true => DESCRIPTION_NOT_STORED,
                false => 0,
            },
            assignor_name: Some(STICKY.to_owned()),
            ..DescribedGroup::default()
        }
    }
}

impl StreamsGroup {
    pub(crate) fn list(&self) -> ListedGroup {
        ListedGroup {
            group_id: self.id.to_string(),
            protocol_type: STREAMS_GROUP_TYPE.to_owned(),
            group_state: self.state().name().to_owned(),
            group_type: STREAMS_GROUP_TYPE.to_owned(),
        }
    }
}

/// With the partitions of internal topics once all topics are there, as the members say it before.
fn describe_topology(topology: &Topology, cluster: &dyn ClusterView) -> DescribedTopology {
    let configured = ConfiguredTopology::new(topology, cluster).ok();
    let configured = configured.filter(ConfiguredTopology::is_ready);
    let subtopologies = match configured.and_then(|configured| configured.subtopologies) {
        Some(subtopologies) => subtopologies
            .iter()
            .map(|(id, subtopology)| describe_configured(id, subtopology))
            .collect(),
        None => topology
            .subtopologies
            .iter()
            .map(|(id, subtopology)| describe_subtopology(id, subtopology))
            .collect(),
    };
    DescribedTopology {
        epoch: topology.epoch,
        subtopologies: Some(subtopologies),
    }
}

fn describe_configured(id: &Arc<str>, subtopology: &ConfiguredSubtopology) -> Subtopology {
    let topics = |topics: &BTreeMap<String, InternalTopic>| {
        let topics = topics.values().map(|topic| TopicInfo {
            name: topic.name.clone(),
            partitions: topic.partitions,
            replication_factor: topic.replication_factor.unwrap_or(0),
            topic_configs: key_values(&topic.configs),
        });
        topics.collect()
    };
    Subtopology {
        subtopology_id: id.to_string(),
        source_topics: subtopology.source_topics.iter().cloned().collect(),
        repartition_sink_topics: subtopology
            .repartition_sink_topics
            .iter()
            .cloned()
            .collect(),
        state_changelog_topics: topics(&subtopology.changelog_topics),
        repartition_source_topics: topics(&subtopology.repartition_source_topics),
    }
}

fn describe_subtopology(id: &Arc<str>, subtopology: &value::Subtopology) -> Subtopology {
    let topics = |topics: &[value::TopicInfo]| {
        let mut topics: Vec<TopicInfo> = topics.iter().map(describe_topic).collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        topics
    };
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    Subtopology {
        subtopology_id: id.to_string(),
        source_topics: sorted(&subtopology.source_topics),
        repartition_sink_topics: sorted(&subtopology.repartition_sink_topics),
        state_changelog_topics: topics(&subtopology.state_changelog_topics),
        repartition_source_topics: topics(&subtopology.repartition_source_topics),
    }
}

fn describe_topic(topic: &value::TopicInfo) -> TopicInfo {
    let configs = topic.topic_configs.iter().map(|config| KeyValue {
        key: config.key.clone(),
        value: config.value.clone(),
    });
    TopicInfo {
        name: topic.name.clone(),
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        topic_configs: configs.collect(),
    }
}

fn describe_member(group: &StreamsGroup, member: &Member) -> DescribedMember {
    let metadata = &member.metadata;
    let target = group.target.get(&member.id).cloned().unwrap_or_default();
    let has = Tasks {
        active: without_epochs(&member.current.assigned.active),
        standby: member.current.assigned.standby.clone(),
        warmup: member.current.assigned.warmup.clone(),
    };
    let endpoint = metadata.user_endpoint.as_ref();
    let offsets = group
        .task_offsets
        .get(&member.id)
        .cloned()
        .unwrap_or_default();
    DescribedMember {
        member_id: member.id.to_string(),
        member_epoch: member.current.epoch,
        instance_id: metadata.instance_id.as_deref().map(str::to_owned),
        rack_id: metadata.rack_id.clone(),
        client_id: metadata.client_id.clone(),
        client_host: metadata.client_host.clone(),
        topology_epoch: metadata.topology_epoch,
        process_id: metadata.process_id.to_string(),
        user_endpoint: endpoint.map(|endpoint| Endpoint {
            host: endpoint.host.clone(),
            port: endpoint.port,
        }),
        client_tags: key_values(&metadata.client_tags),
        task_offsets: task_offsets(&offsets.positions),
        task_end_offsets: task_offsets(&offsets.ends),
        assignment: describe_tasks(&has),
        target_assignment: describe_tasks(&target),
        is_classic: false,
    }
}

fn task_offsets(offsets: &BTreeMap<(Arc<str>, i32), i64>) -> Vec<TaskOffset> {
    let offsets = offsets.iter();
    offsets
        .map(|((subtopology, partition), offset)| TaskOffset {
            subtopology_id: subtopology.to_string(),
            partition: *partition,
            offset: *offset,
        })
        .collect()
}

fn describe_tasks(tasks: &Tasks) -> Assignment {
    let ids = |tasks: &TaskSet| {
        let tasks = tasks.iter().map(|(subtopology, partitions)| TaskIds {
            subtopology_id: subtopology.to_string(),
            partitions: partitions.iter().copied().collect(),
        });
        tasks.collect()
    };
    Assignment {
        active_tasks: ids(&tasks.active),
        standby_tasks: ids(&tasks.standby),
        warmup_tasks: ids(&tasks.warmup),
    }
}

fn key_values(map: &BTreeMap<String, String>) -> Vec<KeyValue> {
    let pairs = map.iter().map(|(key, value)| KeyValue {
        key: key.clone(),
        value: value.clone(),
    });
    pairs.collect()
}
