//! Streams groups (KIP-1071): list and describe.
//!
//! A member works on tasks. A task is a partition of a subtopology, which is a part of the application's topology that
//! needs no other part in the same process. Active tasks process records; standby tasks keep a copy of an active one's
//! state; warm-up tasks make one for a member that is to take the active task over.

use wire::messages::StreamsGroupDescribeRequest;
use wire::messages::streams_group_describe_response::{
    Assignment, DescribedGroup, Member, Subtopology, TaskIds,
};

use super::groups::{host, the_group};
use super::{Admin, Destination, GroupKind, GroupListing};
use crate::error::ClientError;

/// A streams group with its topology and members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsGroupDescription {
    /// The group's id, which is the application's.
    pub group_id: String,
    /// Its state, such as `Stable`.
    pub state: String,
    /// Raised with everything that asks for another assignment.
    pub group_epoch: i32,
    /// The group epoch of which the target assignment was made.
    pub assignment_epoch: i32,
    /// The topology's epoch; -1 when the group has none.
    pub topology_epoch: i32,
    /// The parts of the topology, by id; none while the group cannot use it, such as for missing source topics.
    pub subtopologies: Vec<StreamsSubtopology>,
    /// Its members, by id.
    pub members: Vec<StreamsMember>,
}

/// A part of a topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsSubtopology {
    /// Its id, unique in the topology.
    pub subtopology_id: String,
    /// The topics of users it reads.
    pub source_topics: Vec<String>,
}

/// A member of a streams group: a thread of an instance of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsMember {
    /// The id it gave itself.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// `client.id`.
    pub client_id: String,
    /// Where it connects from.
    pub host: String,
    /// Names the instance, which shares its state among its threads.
    pub process_id: String,
    /// The assignment epoch it has come to.
    pub member_epoch: i32,
    /// The epoch of the topology it has.
    pub topology_epoch: i32,
    /// Whether it speaks the classic protocol yet.
    pub is_classic: bool,
    /// The tasks it has.
    pub assignment: StreamsAssignment,
    /// The tasks it is to have.
    pub target_assignment: StreamsAssignment,
}

/// The tasks of a member by what they are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsAssignment {
    /// They process records.
    pub active: Vec<StreamsTasks>,
    /// They keep copies of state.
    pub standby: Vec<StreamsTasks>,
    /// They make copies of state, to become active.
    pub warmup: Vec<StreamsTasks>,
}

/// The tasks of one subtopology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsTasks {
    /// The subtopology.
    pub subtopology_id: String,
    /// One task for each.
    pub partitions: Vec<i32>,
}

impl Admin {
    /// Every streams group of every coordinator, by id.
    ///
    /// # Errors
    /// [`ClientError::NotSupported`] when the brokers know no streams groups.
    pub async fn list_streams_groups(&self) -> Result<Vec<GroupListing>, ClientError> {
        self.list_groups_of::<StreamsGroupDescribeRequest>(GroupKind::Streams)
            .await
    }

    /// One streams group.
    ///
    /// # Errors
    /// `GROUP_ID_NOT_FOUND` when there is none of that id, or it is of another kind.
    pub async fn describe_streams_group(
        &self,
        group: &str,
    ) -> Result<StreamsGroupDescription, ClientError> {
        let request = StreamsGroupDescribeRequest {
            group_ids: vec![group.to_owned()],
            include_authorized_operations: false,
            include_topology_description: false,
        };
        let destination = Destination::Coordinator(group);
        self.call(destination, i16::MAX, &request, |response| {
            the_group(
                "StreamsGroupDescribe",
                group,
                response.groups,
                |described| (described.error_code, described.error_message.as_deref()),
            )
            .map(of_group)
        })
        .await
    }
}

fn of_group(group: DescribedGroup) -> StreamsGroupDescription {
    let mut members: Vec<_> = group.members.into_iter().map(of_member).collect();
    members.sort_unstable_by(|a, b| a.member_id.cmp(&b.member_id));
    let topology_epoch = group
        .topology
        .as_ref()
        .map_or(-1, |topology| topology.epoch);
    let parts = group.topology.and_then(|topology| topology.subtopologies);
    let parts = parts.unwrap_or_default().into_iter();
    let mut subtopologies: Vec<_> = parts.map(of_subtopology).collect();
    subtopologies.sort_unstable_by(|a, b| a.subtopology_id.cmp(&b.subtopology_id));
    StreamsGroupDescription {
        group_id: group.group_id,
        state: group.group_state,
        group_epoch: group.group_epoch,
        assignment_epoch: group.assignment_epoch,
        topology_epoch,
        subtopologies,
        members,
    }
}

fn of_subtopology(subtopology: Subtopology) -> StreamsSubtopology {
    StreamsSubtopology {
        subtopology_id: subtopology.subtopology_id,
        source_topics: subtopology.source_topics,
    }
}

fn of_member(member: Member) -> StreamsMember {
    StreamsMember {
        member_id: member.member_id,
        instance_id: member.instance_id,
        client_id: member.client_id,
        host: host(&member.client_host),
        process_id: member.process_id,
        member_epoch: member.member_epoch,
        topology_epoch: member.topology_epoch,
        is_classic: member.is_classic,
        assignment: of_assignment(member.assignment),
        target_assignment: of_assignment(member.target_assignment),
    }
}

fn of_assignment(assignment: Assignment) -> StreamsAssignment {
    let tasks = |tasks: Vec<TaskIds>| tasks.into_iter().map(of_tasks).collect();
    StreamsAssignment {
        active: tasks(assignment.active_tasks),
        standby: tasks(assignment.standby_tasks),
        warmup: tasks(assignment.warmup_tasks),
    }
}

fn of_tasks(tasks: TaskIds) -> StreamsTasks {
    StreamsTasks {
        subtopology_id: tasks.subtopology_id,
        partitions: tasks.partitions,
    }
}
