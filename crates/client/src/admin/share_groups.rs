//! Share groups (KIP-932): list, describe, and which partitions one keeps a state of.

use wire::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
use wire::messages::share_group_describe_response::{DescribedGroup, Member};
use wire::messages::{DescribeShareGroupOffsetsRequest, ShareGroupDescribeRequest};

use super::TopicPartition;
use super::groups::{host, partitions_of, the_group};
use super::{Admin, Destination, GroupDescription, GroupKind, GroupListing, GroupMember};
use crate::error::ClientError;

impl Admin {
    /// Every share group of every coordinator, by id.
    ///
    /// # Errors
    /// [`ClientError::NotSupported`] when the brokers know no share groups.
    pub async fn list_share_groups(&self) -> Result<Vec<GroupListing>, ClientError> {
        self.list_groups_of::<ShareGroupDescribeRequest>(GroupKind::Share)
            .await
    }

    /// One share group. Two members may have the same partition.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND` when there is none of that id, or it is of another kind.
    pub async fn describe_share_group(&self, group: &str) -> Result<GroupDescription, ClientError> {
        let request = ShareGroupDescribeRequest {
            group_ids: vec![group.to_owned()],
            include_authorized_operations: false,
        };
        let destination = Destination::Coordinator(group);
        self.call(destination, i16::MAX, &request, |response| {
            the_group("ShareGroupDescribe", group, response.groups, |described| {
                (described.error_code, described.error_message.as_deref())
            })
            .map(of_group)
        })
        .await
    }

    /// The partitions of which a share group keeps a state, in order: all that were ever assigned to it, until its
    /// offsets of their topic are deleted. None for a group that is not there.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn share_group_partitions(
        &self,
        group: &str,
    ) -> Result<Vec<TopicPartition>, ClientError> {
        let request = DescribeShareGroupOffsetsRequest {
            groups: vec![DescribeShareGroupOffsetsRequestGroup {
                group_id: group.to_owned(),
                topics: None,
            }],
        };
        let destination = Destination::Coordinator(group);
        self.call(destination, i16::MAX, &request, |response| {
            let api = "DescribeShareGroupOffsets";
            let described = the_group(api, group, response.groups, |described| {
                (described.error_code, described.error_message.as_deref())
            })?;
            let topics = described.topics.into_iter();
            let mut partitions: Vec<_> = topics
                .flat_map(|topic| {
                    let partitions = topic.partitions.iter();
                    let partitions = partitions.map(|partition| partition.partition_index);
                    partitions_of(topic.topic_name, partitions.collect())
                })
                .collect();
            partitions.sort_unstable();
            Ok(partitions)
        })
        .await
    }
}

fn of_group(group: DescribedGroup) -> GroupDescription {
    let mut members: Vec<_> = group.members.into_iter().map(of_member).collect();
    members.sort_unstable_by(|a, b| a.member_id.cmp(&b.member_id));
    GroupDescription {
        group_id: group.group_id,
        kind: GroupKind::Share,
        protocol_type: "share".to_owned(),
        state: group.group_state,
        partition_assignor: group.assignor_name,
        members,
    }
}

/// Members of a share group are never static.
fn of_member(member: Member) -> GroupMember {
    let assignment = member.assignment.topic_partitions.into_iter();
    GroupMember {
        member_id: member.member_id,
        instance_id: None,
        client_id: member.client_id,
        host: host(&member.client_host),
        assignment: assignment
            .flat_map(|topic| partitions_of(topic.topic_name, topic.partitions))
            .collect(),
    }
}
