//! Groups: list and describe, classic and KIP-848 alike.
//!
//! A group's kind is not known before it is asked for. As in the Java client, `ConsumerGroupDescribe` goes
//! first where the broker has it; when it knows no such group, `DescribeGroups` answers for the classic ones.
//! Before version 6 that API describes a missing group as `Dead` instead of refusing (KIP-1043).

use wire::codec::DecodeErrorKind;
use wire::messages::consumer_group_describe_response as modern;
use wire::messages::describe_groups_response as classic;
use wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerProtocolAssignment, DescribeGroupsRequest,
    ListGroupsRequest,
};
use wire::{DecodeError, ErrorCode, Message, Reader};

use super::{Admin, Broker, Destination, TopicPartition, check, describe, metadata_of};
use crate::connection::Connection;
use crate::error::{ClientError, KafkaError};

/// Which protocol a group's members speak (`GroupType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupKind {
    /// JoinGroup and SyncGroup: the members assign.
    Classic,
    /// KIP-848: the coordinator assigns.
    Consumer,
}

/// A group as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// The group's id.
    pub group_id: String,
    /// What its members do, such as `consumer`; empty for a group that only keeps offsets.
    pub protocol_type: String,
    /// Its state, such as `Stable`.
    pub state: String,
    /// The broker that coordinates it.
    pub coordinator: Broker,
}

impl GroupListing {
    /// Whether it only keeps offsets: nobody ever joined it.
    #[must_use]
    pub fn is_simple(&self) -> bool {
        self.protocol_type.is_empty()
    }
}

/// A group with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// The group's id.
    pub group_id: String,
    /// Which protocol its members speak.
    pub kind: GroupKind,
    /// What its members do; empty for a group that only keeps offsets.
    pub protocol_type: String,
    /// Its state, such as `Stable`.
    pub state: String,
    /// The assignor the members voted for, or the coordinator uses.
    pub partition_assignor: String,
    /// Its members, by id.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// The id the coordinator gave it, or it gave itself.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// `client.id`.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// The partitions it has.
    pub assignment: Vec<TopicPartition>,
}

impl Admin {
    /// Every group of every coordinator, by id.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_groups(&self) -> Result<Vec<GroupListing>, ClientError> {
        let any = self.any_broker().await?;
        let cluster = describe(&metadata_of(&any, Some(Vec::new())).await?);
        let mut groups = Vec::new();
        for broker in &cluster.brokers {
            let request = ListGroupsRequest::default();
            let destination = Destination::Node(broker.id);
            let listed = self
                .call(destination, i16::MAX, &request, |response| {
                    let subject = || format!("broker {}", broker.id);
                    check("ListGroups", subject, response.error_code, None)?;
                    Ok(response.groups)
                })
                .await?;
            groups.extend(listed.into_iter().map(|group| GroupListing {
                group_id: group.group_id,
                protocol_type: group.protocol_type,
                state: group.group_state,
                coordinator: broker.clone(),
            }));
        }
        groups.sort_unstable_by(|a, b| a.group_id.cmp(&b.group_id));
        Ok(groups)
    }

    /// A connection to the coordinator of `group`, for a member that speaks the group protocol itself. Whoever is
    /// answered with `NOT_COORDINATOR` on it asks again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn group_coordinator(&self, group: &str) -> Result<Connection, ClientError> {
        self.route(Destination::Coordinator(group)).await
    }

    /// One group.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND` when there is none of that id.
    pub async fn describe_group(&self, group: &str) -> Result<GroupDescription, ClientError> {
        match self.describe_consumer_group(group).await {
            Err(ClientError::NotSupported { .. }) => {}
            Err(error) if error.error_code() == Some(ErrorCode::GroupIdNotFound) => {}
            Err(error) if error.error_code() == Some(ErrorCode::UnsupportedVersion) => {}
            result => return result,
        }
        self.describe_classic_group(group).await
    }

    async fn describe_consumer_group(&self, group: &str) -> Result<GroupDescription, ClientError> {
        let request = ConsumerGroupDescribeRequest {
            group_ids: vec![group.to_owned()],
            include_authorized_operations: false,
        };
        self.call(
            Destination::Coordinator(group),
            i16::MAX,
            &request,
            |response| {
                let described = response
                    .groups
                    .into_iter()
                    .next()
                    .ok_or_else(|| not_found(group))?;
                let message = described.error_message.as_deref();
                let subject = || group_subject(group);
                check(
                    "ConsumerGroupDescribe",
                    subject,
                    described.error_code,
                    message,
                )?;
                Ok(of_consumer_group(described))
            },
        )
        .await
    }

    async fn describe_classic_group(&self, group: &str) -> Result<GroupDescription, ClientError> {
        let request = DescribeGroupsRequest {
            groups: vec![group.to_owned()],
            include_authorized_operations: false,
        };
        self.call(
            Destination::Coordinator(group),
            i16::MAX,
            &request,
            |response| {
                let described = response
                    .groups
                    .into_iter()
                    .next()
                    .ok_or_else(|| not_found(group))?;
                let message = described.error_message.as_deref();
                check(
                    "DescribeGroups",
                    || group_subject(group),
                    described.error_code,
                    message,
                )?;
                if described.group_state == "Dead" {
                    return Err(not_found(group));
                }
                of_classic_group(described)
            },
        )
        .await
    }
}

pub(super) fn group_subject(group: &str) -> String {
    format!("group '{group}'")
}

fn not_found(group: &str) -> ClientError {
    ClientError::Kafka(KafkaError {
        api: "DescribeGroups",
        subject: group_subject(group),
        code: ErrorCode::GroupIdNotFound as i16,
        message: None,
    })
}

fn of_consumer_group(group: modern::DescribedGroup) -> GroupDescription {
    let mut members: Vec<_> = group.members.into_iter().map(of_consumer_member).collect();
    members.sort_unstable_by(|a, b| a.member_id.cmp(&b.member_id));
    GroupDescription {
        group_id: group.group_id,
        kind: GroupKind::Consumer,
        protocol_type: "consumer".to_owned(),
        state: group.group_state,
        partition_assignor: group.assignor_name,
        members,
    }
}

fn of_consumer_member(member: modern::Member) -> GroupMember {
    let assignment = member.assignment.topic_partitions.into_iter();
    GroupMember {
        member_id: member.member_id,
        instance_id: member.instance_id,
        client_id: member.client_id,
        host: host(&member.client_host),
        assignment: assignment
            .flat_map(|topic| partitions_of(topic.topic_name, topic.partitions))
            .collect(),
    }
}

fn of_classic_group(group: classic::DescribedGroup) -> Result<GroupDescription, ClientError> {
    let is_consumer = group.protocol_type == "consumer";
    let mut members = Vec::with_capacity(group.members.len().min(1024));
    for member in group.members {
        members.push(of_classic_member(member, is_consumer)?);
    }
    members.sort_unstable_by(|a, b| a.member_id.cmp(&b.member_id));
    Ok(GroupDescription {
        group_id: group.group_id,
        kind: GroupKind::Classic,
        protocol_type: group.protocol_type,
        state: group.group_state,
        partition_assignor: group.protocol_data,
        members,
    })
}

fn of_classic_member(
    member: classic::DescribedGroupMember,
    is_consumer: bool,
) -> Result<GroupMember, ClientError> {
    let assignment = if is_consumer && !member.member_assignment.is_empty() {
        read_assignment(Reader::new(member.member_assignment)).map_err(|source| {
            // The bytes are the member's, not the broker's.
            ClientError::Decode {
                address: host(&member.client_host),
                source,
            }
        })?
    } else {
        Vec::new()
    };
    Ok(GroupMember {
        member_id: member.member_id,
        instance_id: member.group_instance_id,
        client_id: member.client_id,
        host: host(&member.client_host),
        assignment,
    })
}

/// A consumer's assignment: its version, then the message. A version newer than ours only adds fields at the
/// end, so it is read as our newest (`ConsumerProtocol.deserializeAssignment` does the same).
fn read_assignment(mut reader: Reader) -> Result<Vec<TopicPartition>, DecodeError> {
    let fail = |version, position, kind| DecodeError {
        message: ConsumerProtocolAssignment::NAME,
        version,
        position,
        kind,
    };
    let version = reader.i16().map_err(|kind| fail(0, 0, kind))?;
    if version < ConsumerProtocolAssignment::MIN_VERSION {
        return Err(fail(version, 0, DecodeErrorKind::UnsupportedVersion));
    }
    let version = version.min(ConsumerProtocolAssignment::MAX_VERSION);
    let assignment = ConsumerProtocolAssignment::decode(&mut reader, version)?;
    let topics = assignment.assigned_partitions.into_iter();
    Ok(topics
        .flat_map(|topic| partitions_of(topic.topic, topic.partitions))
        .collect())
}

fn partitions_of(topic: String, partitions: Vec<i32>) -> impl Iterator<Item = TopicPartition> {
    partitions.into_iter().map(move |partition| TopicPartition {
        topic: topic.clone(),
        partition,
    })
}

/// Brokers put Java's `InetAddress.toString` on the wire: `/127.0.0.1`.
fn host(client_host: &str) -> String {
    client_host.trim_start_matches('/').to_owned()
}
