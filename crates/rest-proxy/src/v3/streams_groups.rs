//! `/clusters/{cluster_id}/streams-groups`: streams groups (KIP-1071), their subtopologies, their members and the tasks
//! of each.
//!
//! Paths, bodies and kinds are Confluent Cloud's. Its examples call one resource differently in a list and alone; here
//! its kind is always the one it has alone, and links are spelled like the operations they lead to.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use client::Admin;
use client::admin::{
    StreamsAssignment, StreamsGroupDescription, StreamsMember, StreamsSubtopology, StreamsTasks,
};
use serde::Serialize;

use super::groups;
use super::resource::{List, Resource, list as list_of, resource as resource_of};
use crate::error::RestError;
use crate::links::{Links, Place, Related};
use crate::path::Path;
use crate::proxy::Proxy;

/// What these groups are called in refusals.
const STREAMS_GROUP: &str = "Streams Group";

/// `StreamsGroupData`.
#[derive(Debug, Serialize)]
pub(super) struct StreamsGroupData {
    cluster_id: String,
    group_id: String,
    group_epoch: i32,
    target_assignment_epoch: i32,
    topology_epoch: i32,
    state: String,
    member_count: usize,
    subtopology_count: usize,
    members: Related,
    subtopologies: Related,
}

/// `StreamsGroupSubtopologyData`.
#[derive(Debug, Serialize)]
pub(super) struct SubtopologyData {
    cluster_id: String,
    group_id: String,
    subtopology_id: String,
    source_topics: Vec<String>,
}

/// `StreamsGroupMemberData`.
#[derive(Debug, Serialize)]
pub(super) struct MemberData {
    cluster_id: String,
    group_id: String,
    member_id: String,
    process_id: String,
    client_id: String,
    /// Empty for a member that is not static: it cannot be null.
    instance_id: String,
    member_epoch: i32,
    topology_epoch: i32,
    is_classic: bool,
    assignments: Related,
    target_assignment: Related,
}

/// `StreamsGroupMemberAssignmentData`.
#[derive(Debug, Serialize)]
pub(super) struct AssignmentData {
    cluster_id: String,
    group_id: String,
    member_id: String,
    active_tasks: Related,
    standby_tasks: Related,
    warmup_tasks: Related,
}

/// `StreamsTaskData`.
#[derive(Debug, Serialize)]
pub(super) struct TaskData {
    subtopology_id: String,
    partition_ids: Vec<i32>,
}

/// Whether a member's tasks are those it has or those it is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// What it has.
    Now,
    /// What it is to have.
    Target,
}

impl When {
    /// What it is called in paths and names.
    pub(super) fn segment(self) -> &'static str {
        match self {
            Self::Now => "assignments",
            Self::Target => "target-assignments",
        }
    }

    fn of(self, member: StreamsMember) -> StreamsAssignment {
        match self {
            Self::Now => member.assignment,
            Self::Target => member.target_assignment,
        }
    }
}

/// `AssignmentsType`: what tasks are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TaskType {
    Active,
    Standby,
    Warmup,
}

impl TaskType {
    const ALL: [Self; 3] = [Self::Active, Self::Standby, Self::Warmup];

    /// What it is called in paths and names.
    fn segment(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Warmup => "warmup",
        }
    }

    /// The type of that name, in capitals or not.
    ///
    /// # Errors
    /// 404, as for every path that leads nowhere.
    fn parse(name: &str) -> Result<Self, RestError> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.segment().eq_ignore_ascii_case(name))
            .ok_or_else(|| {
                RestError::not_found(format!(
                    "Tasks of type {name} could not be found: there are active, standby and warmup tasks."
                ))
            })
    }

    fn of(self, assignment: StreamsAssignment) -> Vec<StreamsTasks> {
        match self {
            Self::Active => assignment.active,
            Self::Standby => assignment.standby,
            Self::Warmup => assignment.warmup,
        }
    }
}

/// `GET .../streams-groups`. A group that goes while it is looked at is left out.
pub(super) async fn list(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    links: Links,
) -> Result<Json<List<StreamsGroupData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let listed = admin.list_streams_groups().await?;
    let describe = |id: String| async move { admin.describe_streams_group(&id).await };
    let groups = groups::described(listed, describe).await?;
    let cluster = proxy.place(&links, &cluster_id);
    let groups = groups.iter();
    Ok(Json(list_of(
        "KafkaStreamsGroupList",
        cluster.below(&[&"streams-groups"]),
        groups
            .map(|(group, _)| resource(&cluster, &cluster_id, group))
            .collect(),
    )))
}

/// `GET .../streams-groups/{group_id}`.
pub(super) async fn get(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id)): Path<(String, String)>,
    links: Links,
) -> Result<Json<Resource<StreamsGroupData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let group = find(admin, &group_id).await?;
    let cluster = proxy.place(&links, &cluster_id);
    Ok(Json(resource(&cluster, &cluster_id, &group)))
}

/// `GET .../subtopologies`.
pub(super) async fn subtopologies(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id)): Path<(String, String)>,
    links: Links,
) -> Result<Json<List<SubtopologyData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let group = find(admin, &group_id).await?;
    let place = proxy.place(&links, &cluster_id).streams_group(&group_id);
    let parts = group.subtopologies.into_iter();
    Ok(Json(list_of(
        "KafkaStreamsGroupSubtopologyList",
        place.below(&[&"subtopologies"]),
        parts
            .map(|part| subtopology_resource(&place, &cluster_id, &group_id, part))
            .collect(),
    )))
}

/// `GET .../subtopologies/{subtopology_id}`.
pub(super) async fn subtopology(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id, subtopology_id)): Path<(String, String, String)>,
    links: Links,
) -> Result<Json<Resource<SubtopologyData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let group = find(admin, &group_id).await?;
    let mut parts = group.subtopologies.into_iter();
    let part = parts.find(|part| part.subtopology_id == subtopology_id);
    let part = part.ok_or_else(|| {
        RestError::not_found(format!("Subtopology {subtopology_id} could not be found."))
    })?;
    let place = proxy.place(&links, &cluster_id).streams_group(&group_id);
    Ok(Json(subtopology_resource(
        &place,
        &cluster_id,
        &group_id,
        part,
    )))
}

/// `GET .../members`.
pub(super) async fn members(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id)): Path<(String, String)>,
    links: Links,
) -> Result<Json<List<MemberData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let group = find(admin, &group_id).await?;
    let place = proxy.place(&links, &cluster_id).streams_group(&group_id);
    let members = group.members.into_iter();
    Ok(Json(list_of(
        "KafkaStreamsGroupMemberList",
        place.below(&[&"members"]),
        members
            .map(|member| member_resource(&place, &cluster_id, &group_id, member))
            .collect(),
    )))
}

/// `GET .../members/{member_id}`.
pub(super) async fn member(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id, member_id)): Path<(String, String, String)>,
    links: Links,
) -> Result<Json<Resource<MemberData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let member = find_member(admin, &group_id, &member_id).await?;
    let place = proxy.place(&links, &cluster_id).streams_group(&group_id);
    Ok(Json(member_resource(
        &place,
        &cluster_id,
        &group_id,
        member,
    )))
}

/// `GET .../members/{member_id}/assignments`, and `.../target-assignments`.
pub(super) async fn assignments(
    when: When,
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id, member_id)): Path<(String, String, String)>,
    links: Links,
) -> Result<Json<Resource<AssignmentData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    find_member(admin, &group_id, &member_id).await?;
    let group = proxy.place(&links, &cluster_id).streams_group(&group_id);
    let member = group.member(&member_id);
    let tasks = |tasks: TaskType| tasks_place(&member, when, tasks).link();
    let body = AssignmentData {
        active_tasks: tasks(TaskType::Active),
        standby_tasks: tasks(TaskType::Standby),
        warmup_tasks: tasks(TaskType::Warmup),
        cluster_id,
        group_id,
        member_id,
    };
    let place = member.tasks(when.segment());
    Ok(Json(resource_of(MEMBER_ASSIGNMENTS, place, body)))
}

/// `GET .../assignments/{assignments_type}`, and of the target.
pub(super) async fn tasks(
    when: When,
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id, member_id, tasks)): Path<(String, String, String, String)>,
    links: Links,
) -> Result<Json<List<TaskData>>, RestError> {
    let tasks = TaskType::parse(&tasks)?;
    let admin = proxy.check_cluster(&cluster_id).await?;
    let member = find_member(admin, &group_id, &member_id).await?;
    let group = proxy.place(&links, &cluster_id).streams_group(&group_id);
    let place = tasks_place(&group.member(&member_id), when, tasks);
    let found = tasks.of(when.of(member)).into_iter();
    let data = found.map(|found| task_resource(&place, found)).collect();
    Ok(Json(list_of(MEMBER_ASSIGNMENTS, place, data)))
}

/// `GET .../assignments/{assignments_type}/subtopologies/{subtopology_id}`, and of the target.
pub(super) async fn tasks_of(
    when: When,
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id, member_id, tasks, subtopology_id)): Path<(
        String,
        String,
        String,
        String,
        String,
    )>,
    links: Links,
) -> Result<Json<Resource<TaskData>>, RestError> {
    let tasks = TaskType::parse(&tasks)?;
    let admin = proxy.check_cluster(&cluster_id).await?;
    let member = find_member(admin, &group_id, &member_id).await?;
    let mut found = tasks.of(when.of(member)).into_iter();
    let found = found.find(|found| found.subtopology_id == subtopology_id);
    let found = found.ok_or_else(|| {
        RestError::not_found(format!(
            "Member {member_id} has no {} tasks of subtopology {subtopology_id}.",
            tasks.segment()
        ))
    })?;
    let group = proxy.place(&links, &cluster_id).streams_group(&group_id);
    let place = tasks_place(&group.member(&member_id), when, tasks);
    Ok(Json(task_resource(&place, found)))
}

/// The kind of a member's assignment, and of the tasks in it.
const MEMBER_ASSIGNMENTS: &str = "KafkaStreamsGroupMemberAssignments";

async fn find(admin: &Admin, group_id: &str) -> Result<StreamsGroupDescription, RestError> {
    let described = admin.describe_streams_group(group_id).await;
    described.map_err(|error| groups::refusal(STREAMS_GROUP, group_id, error))
}

async fn find_member(
    admin: &Admin,
    group_id: &str,
    member_id: &str,
) -> Result<StreamsMember, RestError> {
    let mut members = find(admin, group_id).await?.members.into_iter();
    members
        .find(|member| member.member_id == member_id)
        .ok_or_else(|| RestError::not_found(format!("Member {member_id} could not be found.")))
}

fn tasks_place(member: &Place, when: When, tasks: TaskType) -> Place {
    member.tasks_of_type(when.segment(), tasks.segment())
}

fn resource(
    cluster: &Place,
    cluster_id: &str,
    group: &StreamsGroupDescription,
) -> Resource<StreamsGroupData> {
    let place = cluster.streams_group(&group.group_id);
    let body = StreamsGroupData {
        cluster_id: cluster_id.to_owned(),
        group_id: group.group_id.clone(),
        group_epoch: group.group_epoch,
        target_assignment_epoch: group.assignment_epoch,
        topology_epoch: group.topology_epoch,
        state: groups::state_name(&group.state),
        member_count: group.members.len(),
        subtopology_count: group.subtopologies.len(),
        members: place.below(&[&"members"]).link(),
        subtopologies: place.below(&[&"subtopologies"]).link(),
    };
    resource_of("KafkaStreamsGroup", place, body)
}

fn subtopology_resource(
    group: &Place,
    cluster_id: &str,
    group_id: &str,
    subtopology: StreamsSubtopology,
) -> Resource<SubtopologyData> {
    let place = group.subtopology(&subtopology.subtopology_id);
    let body = SubtopologyData {
        cluster_id: cluster_id.to_owned(),
        group_id: group_id.to_owned(),
        subtopology_id: subtopology.subtopology_id,
        source_topics: subtopology.source_topics,
    };
    resource_of("KafkaStreamsGroupSubtopology", place, body)
}

fn member_resource(
    group: &Place,
    cluster_id: &str,
    group_id: &str,
    member: StreamsMember,
) -> Resource<MemberData> {
    let place = group.member(&member.member_id);
    let body = MemberData {
        cluster_id: cluster_id.to_owned(),
        group_id: group_id.to_owned(),
        member_id: member.member_id,
        process_id: member.process_id,
        client_id: member.client_id,
        instance_id: member.instance_id.unwrap_or_default(),
        member_epoch: member.member_epoch,
        topology_epoch: member.topology_epoch,
        is_classic: member.is_classic,
        assignments: place.below(&[&When::Now.segment()]).link(),
        target_assignment: place.below(&[&When::Target.segment()]).link(),
    };
    resource_of("KafkaStreamsGroupMember", place, body)
}

fn task_resource(tasks: &Place, found: StreamsTasks) -> Resource<TaskData> {
    let place = tasks.subtopology(&found.subtopology_id);
    let body = TaskData {
        subtopology_id: found.subtopology_id,
        partition_ids: found.partitions,
    };
    resource_of(MEMBER_ASSIGNMENTS, place, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_of_tasks_may_stand_in_capitals() {
        assert_eq!(TaskType::parse("active").unwrap(), TaskType::Active);
        assert_eq!(TaskType::parse("STANDBY").unwrap(), TaskType::Standby);
        let error = TaskType::parse("warm").unwrap_err();
        assert_eq!(error.code, 404);
        assert!(error.message.contains("warm "), "{error}");
    }
}
