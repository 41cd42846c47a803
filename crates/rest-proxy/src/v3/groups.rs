//! `/clusters/{cluster_id}/consumer-groups`: groups, their consumers, what each was assigned.
//!
//! Share and streams groups have files of their own, which use what is common from here.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use client::admin::{GroupDescription, GroupListing, GroupMember, TopicPartition};
use client::{Admin, ClientError};
use serde::Serialize;

use super::resource::{List, Resource, list as list_of, resource as resource_of};
use crate::error::RestError;
use crate::links::{Links, Place, Related};
use crate::path::Path;
use crate::proxy::Proxy;

/// What these groups are called in refusals.
pub(super) const CONSUMER_GROUP: &str = "Consumer Group";

/// `ConsumerGroupData`.
#[derive(Debug, Serialize)]
pub(super) struct GroupData {
    cluster_id: String,
    consumer_group_id: String,
    is_simple: bool,
    partition_assignor: String,
    state: String,
    #[serde(rename = "type")]
    kind: String,
    is_mixed_consumer_group: bool,
    coordinator: Related,
    consumers: Related,
    lag_summary: Related,
}

/// `ConsumerData`.
#[derive(Debug, Serialize)]
pub(super) struct ConsumerData {
    cluster_id: String,
    consumer_group_id: String,
    consumer_id: String,
    instance_id: Option<String>,
    client_id: String,
    assignments: Related,
}

/// `ConsumerAssignmentData`.
#[derive(Debug, Serialize)]
pub(super) struct AssignmentData {
    cluster_id: String,
    consumer_group_id: String,
    consumer_id: String,
    topic_name: String,
    partition_id: i32,
    partition: Related,
    lag: Related,
}

/// `GET .../consumer-groups`. A group that goes while it is looked at is left out.
pub(super) async fn list(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    links: Links,
) -> Result<Json<List<GroupData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let cluster = proxy.place(&links, &cluster_id);
    let mut listed = admin.list_groups().await?;
    listed.retain(|listing| listing.is_simple() || listing.protocol_type == "consumer");
    let describe = |id: String| async move { admin.describe_group(&id).await };
    let groups = described(listed, describe).await?;
    let groups = groups.iter();
    Ok(Json(list_of(
        "KafkaConsumerGroupList",
        cluster.below(&[&"consumer-groups"]),
        groups
            .map(|(group, coordinator)| resource(&cluster, &cluster_id, group, *coordinator))
            .collect(),
    )))
}

/// `GET .../consumer-groups/{consumer_group_id}`.
pub(super) async fn get(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id)): Path<(String, String)>,
    links: Links,
) -> Result<Json<Resource<GroupData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let group = find(admin, &group_id).await?;
    let coordinator = admin.coordinator(&group_id).await?;
    let cluster = proxy.place(&links, &cluster_id);
    Ok(Json(resource(
        &cluster,
        &cluster_id,
        &group,
        coordinator.id,
    )))
}

/// `GET .../consumers`.
pub(super) async fn consumers(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id)): Path<(String, String)>,
    links: Links,
) -> Result<Json<List<ConsumerData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let group = find(admin, &group_id).await?;
    let place = proxy.place(&links, &cluster_id).group(&group_id);
    Ok(Json(list_of(
        "KafkaConsumerList",
        place.below(&[&"consumers"]),
        group
            .members
            .iter()
            .map(|member| consumer_resource(&place, &cluster_id, &group_id, member))
            .collect(),
    )))
}

/// `GET .../consumers/{consumer_id}`.
pub(super) async fn consumer(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id, consumer_id)): Path<(String, String, String)>,
    links: Links,
) -> Result<Json<Resource<ConsumerData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let member = find_member(admin, &group_id, &consumer_id).await?;
    Ok(Json(consumer_resource(
        &proxy.place(&links, &cluster_id).group(&group_id),
        &cluster_id,
        &group_id,
        &member,
    )))
}

/// `GET .../consumers/{consumer_id}/assignments`.
pub(super) async fn assignments(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id, consumer_id)): Path<(String, String, String)>,
    links: Links,
) -> Result<Json<List<AssignmentData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let member = find_member(admin, &group_id, &consumer_id).await?;
    let cluster = proxy.place(&links, &cluster_id);
    let place = cluster.group(&group_id).consumer(&consumer_id);
    Ok(Json(list_of(
        "KafkaConsumerAssignmentList",
        place.below(&[&"assignments"]),
        member
            .assignment
            .iter()
            .map(|partition| {
                assignment_resource(&cluster, &cluster_id, &group_id, &consumer_id, partition)
            })
            .collect(),
    )))
}

/// `GET .../assignments/{topic_name}/partitions/{partition_id}`.
pub(super) async fn assignment(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id, consumer_id, topic, partition)): Path<(
        String,
        String,
        String,
        String,
        i32,
    )>,
    links: Links,
) -> Result<Json<Resource<AssignmentData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let member = find_member(admin, &group_id, &consumer_id).await?;
    let wanted = TopicPartition { topic, partition };
    if !member.assignment.contains(&wanted) {
        return Err(not_assigned(&group_id, &consumer_id, &wanted));
    }
    Ok(Json(assignment_resource(
        &proxy.place(&links, &cluster_id),
        &cluster_id,
        &group_id,
        &consumer_id,
        &wanted,
    )))
}

/// The group of that id.
///
/// # Errors
/// 404 when there is none.
pub(super) async fn find(admin: &Admin, group_id: &str) -> Result<GroupDescription, RestError> {
    let described = admin.describe_group(group_id).await;
    described.map_err(|error| refusal(CONSUMER_GROUP, group_id, error))
}

/// Each of the groups that are listed, with the broker that coordinates it. A group that goes while it is looked at
/// is left out.
pub(super) async fn described<T, F>(
    listed: Vec<GroupListing>,
    describe: impl Fn(String) -> F,
) -> Result<Vec<(T, i32)>, RestError>
where
    F: Future<Output = Result<T, ClientError>>,
{
    let mut groups = Vec::with_capacity(listed.len());
    for listing in listed {
        match describe(listing.group_id).await {
            Ok(group) => groups.push((group, listing.coordinator.id)),
            Err(error) if RestError::is_unknown_group(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(groups)
}

/// What it means that a question about a group has no answer; `kind` is what groups of its kind are called.
pub(super) fn refusal(kind: &str, group_id: &str, error: ClientError) -> RestError {
    if RestError::is_unknown_group(&error) {
        RestError::not_found(format!("{kind} {group_id} could not be found."))
    } else {
        error.into()
    }
}

/// The member of that id.
///
/// # Errors
/// 404 when the group has none.
pub(super) fn member(group: GroupDescription, consumer_id: &str) -> Result<GroupMember, RestError> {
    let mut members = group.members.into_iter();
    members
        .find(|member| member.member_id == consumer_id)
        .ok_or_else(|| RestError::not_found(format!("Consumer {consumer_id} could not be found.")))
}

/// 404: the consumer does not have the partition.
pub(super) fn not_assigned(
    group_id: &str,
    consumer_id: &str,
    TopicPartition { topic, partition }: &TopicPartition,
) -> RestError {
    RestError::not_found(format!(
        "Consumer {consumer_id} of group {group_id} has no assignment of partition {partition} of topic {topic}."
    ))
}

async fn find_member(
    admin: &Admin,
    group_id: &str,
    consumer_id: &str,
) -> Result<GroupMember, RestError> {
    member(find(admin, group_id).await?, consumer_id)
}

fn resource(
    cluster: &Place,
    cluster_id: &str,
    group: &GroupDescription,
    coordinator: i32,
) -> Resource<GroupData> {
    let place = cluster.group(&group.group_id);
    let body = GroupData {
        cluster_id: cluster_id.to_owned(),
        consumer_group_id: group.group_id.clone(),
        is_simple: group.protocol_type.is_empty(),
        partition_assignor: group.partition_assignor.clone(),
        state: state_name(&group.state),
        kind: group.kind.name().to_ascii_uppercase(),
        is_mixed_consumer_group: false,
        coordinator: cluster.broker(coordinator).link(),
        consumers: place.below(&[&"consumers"]).link(),
        lag_summary: place.below(&[&"lag-summary"]).link(),
    };
    resource_of("KafkaConsumerGroup", place, body)
}

/// `PreparingRebalance` is `PREPARING_REBALANCE` here.
pub(super) fn state_name(state: &str) -> String {
    let mut name = String::with_capacity(state.len() + 2);
    for (index, letter) in state.char_indices() {
        if index > 0 && letter.is_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

fn consumer_resource(
    group: &Place,
    cluster_id: &str,
    group_id: &str,
    member: &GroupMember,
) -> Resource<ConsumerData> {
    let place = group.consumer(&member.member_id);
    let body = ConsumerData {
        cluster_id: cluster_id.to_owned(),
        consumer_group_id: group_id.to_owned(),
        consumer_id: member.member_id.clone(),
        instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        assignments: place.below(&[&"assignments"]).link(),
    };
    resource_of("KafkaConsumer", place, body)
}

fn assignment_resource(
    cluster: &Place,
    cluster_id: &str,
    group_id: &str,
    consumer_id: &str,
    assigned: &TopicPartition,
) -> Resource<AssignmentData> {
    let TopicPartition { topic, partition } = assigned;
    let group = cluster.group(group_id);
    let body = AssignmentData {
        cluster_id: cluster_id.to_owned(),
        consumer_group_id: group_id.to_owned(),
        consumer_id: consumer_id.to_owned(),
        topic_name: topic.clone(),
        partition_id: *partition,
        partition: cluster.topic(topic).partition(*partition).link(),
        lag: group.lag(topic).partition(*partition).link(),
    };
    let place = group.consumer(consumer_id).assignment(topic);
    resource_of("KafkaConsumerAssignment", place.partition(*partition), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_confluents_spelling() {
        assert_eq!(state_name("PreparingRebalance"), "PREPARING_REBALANCE");
        assert_eq!(state_name("Stable"), "STABLE");
        assert_eq!(state_name(""), "");
    }
}
