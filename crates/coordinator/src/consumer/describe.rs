//! ConsumerGroupDescribe, and a consumer group in ListGroups. Source: Kafka's `ConsumerGroup.asDescribedGroup`
//! and `ConsumerGroupMember.asConsumerGroupDescribeMember`.

use base::Uuid;
use wire::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
};
use wire::messages::list_groups_response::ListedGroup;

use super::group::ConsumerGroup;
use super::member::Member;
use crate::cluster::ClusterView;
use crate::shard::Shard;
use crate::shard::groups::Group;

/// The group type of ListGroups (KIP-848).
pub(crate) const CONSUMER_GROUP_TYPE: &str = "consumer";

/// `MemberType` of a member that uses the classic protocol, and of one of the consumer protocol (KIP-1099).
const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

impl Shard {
    /// ConsumerGroupDescribe, versions 0 and 1, for one group of this shard. `authorized_operations` is the
    /// broker's to fill, and so is the check that the requester may see the topics in it.
    #[must_use]
    pub fn describe_consumer_group(&self, group_id: &str) -> DescribedGroup {
        match self.group_to_describe(group_id, "consumer", Group::as_consumer) {
            Ok(group) => self.describe_consumer(group),
            Err(failure) => DescribedGroup {
                group_id: group_id.to_owned(),
                error_code: failure.code.code(),
                error_message: failure.message,
                ..DescribedGroup::default()
            },
        }
    }

    fn describe_consumer(&self, group: &ConsumerGroup) -> DescribedGroup {
        let default = self.core.config.consumer.default_assignor();
        DescribedGroup {
            group_id: group.id.to_string(),
            group_state: group.state().name().to_owned(),
            group_epoch: group.epoch,
            assignment_epoch: group.assignment_epoch,
            assignor_name: group
                .assignor()
                .unwrap_or_else(|| default.name().to_owned()),
            members: group
                .members
                .values()
                .map(|member| describe_member(group, &*self.cluster, member))
                .collect(),
            ..DescribedGroup::default()
        }
    }
}

impl ConsumerGroup {
    pub(crate) fn list(&self) -> ListedGroup {
        ListedGroup {
            group_id: self.id.to_string(),
            protocol_type: crate::group::CONSUMER_PROTOCOL_TYPE.to_owned(),
            group_state: self.state().name().to_owned(),
            group_type: CONSUMER_GROUP_TYPE.to_owned(),
        }
    }
}

fn describe_member(
    group: &ConsumerGroup,
    cluster: &dyn ClusterView,
    member: &Member,
) -> DescribedMember {
    let metadata = &member.metadata;
    let target = group.target.get(&member.id);
    let has = member.current.assigned.iter();
    DescribedMember {
        member_id: member.id.to_string(),
        instance_id: metadata.instance_id.as_deref().map(str::to_owned),
        rack_id: metadata.rack_id.clone(),
        member_epoch: member.current.epoch,
        client_id: metadata.client_id.clone(),
        client_host: metadata.client_host.clone(),
        subscribed_topic_names: metadata.topic_names.iter().cloned().collect(),
        subscribed_topic_regex: Some(metadata.topic_regex.to_string())
            .filter(|regex| !regex.is_empty()),
        assignment: to_assignment(
            cluster,
            has.map(|(topic, partitions)| (*topic, partitions.keys().copied().collect())),
        ),
        target_assignment: target.map_or_else(Assignment::default, |target| {
            let topics = target.iter();
            to_assignment(
                cluster,
                topics.map(|(topic, partitions)| (*topic, partitions.iter().copied().collect())),
            )
        }),
        member_type: if member.uses_classic_protocol() {
            CLASSIC_MEMBER
        } else {
            CONSUMER_MEMBER
        },
    }
}

/// Topics that are gone have no name, and are left out.
fn to_assignment(
    cluster: &dyn ClusterView,
    topics: impl Iterator<Item = (Uuid, Vec<i32>)>,
) -> Assignment {
    let named = topics.filter_map(|(topic_id, partitions)| {
        let topic = cluster.topic_by_id(topic_id)?;
        Some(TopicPartitions {
            topic_id,
            topic_name: topic.name.to_string(),
            partitions,
        })
    });
    Assignment {
        topic_partitions: named.collect(),
    }
}
