//! Groups: list and describe, classic and KIP-848 alike.
//!
//! A group's kind is not known before it is asked for. As in the Java client, `ConsumerGroupDescribe` goes
//! first where the broker has it; when it knows no such group, `DescribeGroups` answers for the classic ones.
//! Before version 6 that API describes a missing group as `Dead` instead of refusing (KIP-1043).
//!
//! Share and streams groups have APIs of their own, and so files of their own beside this one.

use wire::codec::DecodeErrorKind;
use wire::messages::consumer_group_describe_response as modern;
use wire::messages::describe_groups_response as classic;
use wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerProtocolAssignment, DeleteGroupsRequest,
    DescribeGroupsRequest, ListGroupsRequest,
};
use wire::{DecodeError, ErrorCode, Message, Reader, Request};

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
    /// KIP-932: members share partitions.
    Share,
    /// KIP-1071: the coordinator assigns tasks.
    Streams,
}

impl GroupKind {
    /// Kafka's name, as in the type filter of ListGroups.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GroupKind::Classic => "Classic",
            GroupKind::Consumer => "Consumer",
            GroupKind::Share => "Share",
            GroupKind::Streams => "Streams",
        }
    }
}

/// The first version of ListGroups that filters by type (KIP-848).
const LIST_BY_TYPE: i16 = 5;

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
        self.list_groups_within(0, ListGroupsRequest::default())
            .await
    }

    /// The groups of one kind, by id, where brokers describe them with `Describe`.
    pub(super) async fn list_groups_of<Describe: Request>(
        &self,
        kind: GroupKind,
    ) -> Result<Vec<GroupListing>, ClientError> {
        // Brokers that know the filter but no such groups would list none.
        self.any_broker().await?.version_of::<Describe>()?;
        let request = ListGroupsRequest {
            types_filter: vec![kind.name().to_owned()],
            ..ListGroupsRequest::default()
        };
        self.list_groups_within(LIST_BY_TYPE, request).await
    }

    async fn list_groups_within(
        &self,
        min_version: i16,
        request: ListGroupsRequest,
    ) -> Result<Vec<GroupListing>, ClientError> {
        let any = self.any_broker().await?;
        let cluster = describe(&metadata_of(&any, Some(Vec::new())).await?);
        let mut groups = Vec::new();
        for broker in &cluster.brokers {
            let destination = Destination::Node(broker.id);
            let listed = self
                .call_within(destination, min_version..=i16::MAX, &request, |response| {
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
                let described = the_group(
                    "ConsumerGroupDescribe",
                    group,
                    response.groups,
                    |described| (described.error_code, described.error_message.as_deref()),
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
                let described = the_group("DescribeGroups", group, response.groups, |described| {
                    (described.error_code, described.error_message.as_deref())
                })?;
                if described.group_state == "Dead" {
                    return Err(not_found("DescribeGroups", group));
                }
                of_classic_group(described)
            },
        )
        .await
    }

    /// Deletes a group of any kind, and the offsets it keeps.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND` when there is none of that id, `NON_EMPTY_GROUP` while it has members.
    pub async fn delete_group(&self, group: &str) -> Result<(), ClientError> {
        let request = DeleteGroupsRequest {
            groups_names: vec![group.to_owned()],
        };
        let destination = Destination::Coordinator(group);
        self.call(destination, i16::MAX, &request, |response| {
            the_group("DeleteGroups", group, response.results, |deleted| {
                (deleted.error_code, deleted.error_message.as_deref())
            })
            .map(drop)
        })
        .await
    }
}

/// The answer about `group`, which is the only one that was asked about, unless it is a refusal; `outcome` gives
/// its error code and message.
pub(super) fn the_group<G>(
    api: &'static str,
    group: &str,
    answers: Vec<G>,
    outcome: impl Fn(&G) -> (i16, Option<&str>),
) -> Result<G, ClientError> {
    let answer = answers.into_iter().next();
    let answer = answer.ok_or_else(|| not_found(api, group))?;
    let (code, message) = outcome(&answer);
    check(api, || group_subject(group), code, message)?;
    Ok(answer)
}

pub(super) fn group_subject(group: &str) -> String {
    format!("group '{group}'")
}

fn not_found(api: &'static str, group: &str) -> ClientError {
    ClientError::Kafka(KafkaError {
        api,
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

pub(super) fn partitions_of(
    topic: String,
    partitions: Vec<i32>,
) -> impl Iterator<Item = TopicPartition> {
    partitions.into_iter().map(move |partition| TopicPartition {
        topic: topic.clone(),
        partition,
    })
}

/// Brokers put Java's `InetAddress.toString` on the wire: `/127.0.0.1`.
pub(super) fn host(client_host: &str) -> String {
    client_host.trim_start_matches('/').to_owned()
}
