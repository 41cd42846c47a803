//! ShareGroupDescribe, and a share group in ListGroups. Source: Kafka's `ShareGroup.asDescribedGroup` and
//! `ShareGroupMember.asShareGroupDescribeMember`.

use wire::messages::list_groups_response::ListedGroup;
use wire::messages::share_group_describe_response::{
    Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
};

use super::assignor::SIMPLE;
use super::group::ShareGroup;
use super::member::Member;
use crate::cluster::ClusterView;
use crate::shard::Shard;
use crate::shard::groups::Group;

/// The group type and the protocol type of ListGroups.
const SHARE: &str = "share";

impl Shard {
    /// ShareGroupDescribe, version 1, for one group of this shard. `authorized_operations` is the broker's to
    /// fill, and so is the check that the requester may see the topics in it.
    #[must_use]
    pub fn describe_share_group(&self, group_id: &str) -> DescribedGroup {
        match self.group_to_describe(group_id, "share", Group::as_share) {
            Ok(group) => describe(group, &*self.cluster),
            Err(failure) => DescribedGroup {
                group_id: group_id.to_owned(),
                error_code: failure.code.code(),
                error_message: failure.message,
                ..DescribedGroup::default()
            },
        }
    }
}

impl ShareGroup {
    pub(crate) fn list(&self) -> ListedGroup {
        ListedGroup {
            group_id: self.id.to_string(),
            protocol_type: SHARE.to_owned(),
            group_state: self.state_name().to_owned(),
            group_type: SHARE.to_owned(),
        }
    }
}

fn describe(group: &ShareGroup, cluster: &dyn ClusterView) -> DescribedGroup {
    let members = group.members.values();
    DescribedGroup {
        group_id: group.id.to_string(),
        group_state: group.state_name().to_owned(),
        group_epoch: group.epoch,
        assignment_epoch: group.assignment_epoch,
        assignor_name: SIMPLE.to_owned(),
        members: members
            .map(|member| describe_member(member, cluster))
            .collect(),
        ..DescribedGroup::default()
    }
}

/// Topics that are gone have no name, and are left out.
fn describe_member(member: &Member, cluster: &dyn ClusterView) -> DescribedMember {
    let metadata = &member.metadata;
    let assigned = member.current.assigned.iter();
    let named = assigned.filter_map(|(topic_id, partitions)| {
        let topic = cluster.topic_by_id(*topic_id)?;
        Some(TopicPartitions {
            topic_id: *topic_id,
            topic_name: topic.name.to_string(),
            partitions: partitions.iter().copied().collect(),
        })
    });
    DescribedMember {
        member_id: member.id.to_string(),
        rack_id: metadata.rack_id.clone(),
        member_epoch: member.current.epoch,
        client_id: metadata.client_id.clone(),
        client_host: metadata.client_host.clone(),
        subscribed_topic_names: metadata.topic_names.iter().cloned().collect(),
        assignment: Assignment {
            topic_partitions: named.collect(),
        },
    }
}
