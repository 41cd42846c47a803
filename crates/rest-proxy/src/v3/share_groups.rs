//! `/clusters/{cluster_id}/share-groups`: share groups (KIP-932), their consumers, what each was assigned.
//!
//! Paths, bodies and kinds are Confluent Cloud's. Of the addresses in them it describes no operation for a group's
//! partition and for one assignment; here they answer, since a link leads somewhere.
//!
//! Two consumers may have the same partition, so a group's partitions are counted once each. A group without consumers
//! has the partitions whose state it keeps.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use client::admin::{GroupDescription, GroupMember, TopicPartition};
use client::{Admin, ClientError};
use serde::Serialize;

use super::groups;
use super::resource::{List, Resource, list as list_of, resource as resource_of};
use crate::error::RestError;
use crate::links::{Links, Place, Related};
use crate::path::Path;
use crate::proxy::Proxy;

/// What these groups are called in refusals.
const SHARE_GROUP: &str = "Share Group";

/// `ShareGroupData`.
#[derive(Debug, Serialize)]
pub(super) struct ShareGroupData {
    cluster_id: String,
    share_group_id: String,
    state: String,
    coordinator: Related,
    consumers: Related,
    consumer_count: usize,
    partition_count: usize,
    assigned_topic_partitions: Vec<Resource<PartitionData>>,
}

/// `ShareGroupTopicPartitionData`.
#[derive(Debug, Serialize)]
pub(super) struct PartitionData {
    topic_name: String,
    partition_id: i32,
    partition: Related,
}

/// `ShareGroupConsumerData`.
#[derive(Debug, Serialize)]
pub(super) struct ConsumerData {
    cluster_id: String,
    group_id: String,
    consumer_id: String,
    client_id: String,
    assignments: Related,
}

/// `ShareGroupConsumerAssignmentData`.
#[derive(Debug, Serialize)]
pub(super) struct AssignmentData {
    cluster_id: String,
    group_id: String,
    consumer_id: String,
    topic_name: String,
    partition_id: i32,
    partition: Related,
}

/// A group with its partitions.
#[derive(Debug)]
struct ShareGroup {
    described: GroupDescription,
    partitions: BTreeSet<TopicPartition>,
}

impl ShareGroup {
    async fn of(admin: &Admin, group_id: &str) -> Result<Self, ClientError> {
        let described = admin.describe_share_group(group_id).await?;
        let partitions = if described.members.is_empty() {
            let kept = admin.share_group_partitions(group_id).await?;
            kept.into_iter().collect()
        } else {
            let members = described.members.iter();
            members
                .flat_map(|member| member.assignment.iter().cloned())
                .collect()
        };
        Ok(Self {
            described,
            partitions,
        })
    }

    async fn find(admin: &Admin, group_id: &str) -> Result<Self, RestError> {
        Self::of(admin, group_id).await.map_err(refusal(group_id))
    }

    fn resource(
        &self,
        cluster: &Place,
        cluster_id: &str,
        coordinator: i32,
    ) -> Resource<ShareGroupData> {
        let group_id = &self.described.group_id;
        let place = cluster.share_group(group_id);
        let partitions = self.partitions.iter();
        let body = ShareGroupData {
            cluster_id: cluster_id.to_owned(),
            share_group_id: group_id.clone(),
            state: groups::state_name(&self.described.state),
            coordinator: cluster.broker(coordinator).link(),
            consumers: place.below(&[&"consumers"]).link(),
            consumer_count: self.described.members.len(),
            partition_count: self.partitions.len(),
            assigned_topic_partitions: partitions
                .map(|partition| partition_resource(cluster, group_id, partition))
                .collect(),
        };
        resource_of("KafkaShareGroup", place, body)
    }
}

/// `GET .../share-groups`. A group that goes while it is looked at is left out.
pub(super) async fn list(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    links: Links,
) -> Result<Json<List<ShareGroupData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let listed = admin.list_share_groups().await?;
    let describe = |id: String| async move { ShareGroup::of(admin, &id).await };
    let groups = groups::described(listed, describe).await?;
    let cluster = proxy.place(&links, &cluster_id);
    let groups = groups.iter();
    Ok(Json(list_of(
        "KafkaShareGroupList",
        cluster.below(&[&"share-groups"]),
        groups
            .map(|(group, coordinator)| group.resource(&cluster, &cluster_id, *coordinator))
            .collect(),
    )))
}

/// `GET .../share-groups/{group_id}`.
pub(super) async fn get(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id)): Path<(String, String)>,
    links: Links,
) -> Result<Json<Resource<ShareGroupData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let group = ShareGroup::find(admin, &group_id).await?;
    let coordinator = admin.coordinator(&group_id).await?;
    let cluster = proxy.place(&links, &cluster_id);
    Ok(Json(group.resource(&cluster, &cluster_id, coordinator.id)))
}

/// `DELETE .../share-groups/{group_id}`: only a group without consumers can be deleted.
pub(super) async fn delete(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id)): Path<(String, String)>,
) -> Result<StatusCode, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    // A broker would delete a group of any kind.
    find(admin, &group_id).await?;
    let deleted = admin.delete_group(&group_id).await;
    deleted.map_err(refusal(&group_id))?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET .../assigned-topic-partitions/{topic_name}/{partition_id}`.
pub(super) async fn partition(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id, topic, partition)): Path<(String, String, String, i32)>,
    links: Links,
) -> Result<Json<Resource<PartitionData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let group = ShareGroup::find(admin, &group_id).await?;
    let wanted = TopicPartition { topic, partition };
    if !group.partitions.contains(&wanted) {
        return Err(RestError::not_found(format!(
            "Share Group {group_id} does not have partition {partition} of topic {}.",
            wanted.topic
        )));
    }
    let cluster = proxy.place(&links, &cluster_id);
    Ok(Json(partition_resource(&cluster, &group_id, &wanted)))
}

/// `GET .../consumers`.
pub(super) async fn consumers(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id)): Path<(String, String)>,
    links: Links,
) -> Result<Json<List<ConsumerData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let group = find(admin, &group_id).await?;
    let place = proxy.place(&links, &cluster_id).share_group(&group_id);
    let members = group.members.iter();
    Ok(Json(list_of(
        "KafkaShareConsumerList",
        place.below(&[&"consumers"]),
        members
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
    let member = groups::member(find(admin, &group_id).await?, &consumer_id)?;
    let place = proxy.place(&links, &cluster_id).share_group(&group_id);
    Ok(Json(consumer_resource(
        &place,
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
    let member = groups::member(find(admin, &group_id).await?, &consumer_id)?;
    let cluster = proxy.place(&links, &cluster_id);
    let place = cluster.share_group(&group_id).consumer(&consumer_id);
    let assigned = member.assignment.iter();
    Ok(Json(list_of(
        "KafkaConsumerAssignmentList",
        place.below(&[&"assignments"]),
        assigned
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
    let member = groups::member(find(admin, &group_id).await?, &consumer_id)?;
    let wanted = TopicPartition { topic, partition };
    if !member.assignment.contains(&wanted) {
        return Err(groups::not_assigned(&group_id, &consumer_id, &wanted));
    }
    Ok(Json(assignment_resource(
        &proxy.place(&links, &cluster_id),
        &cluster_id,
        &group_id,
        &consumer_id,
        &wanted,
    )))
}

/// The group of that id, without the partitions that only its state is kept of.
async fn find(admin: &Admin, group_id: &str) -> Result<GroupDescription, RestError> {
    let described = admin.describe_share_group(group_id).await;
    described.map_err(refusal(group_id))
}

fn refusal(group_id: &str) -> impl FnOnce(ClientError) -> RestError {
    move |error| groups::refusal(SHARE_GROUP, group_id, error)
}

fn partition_resource(
    cluster: &Place,
    group_id: &str,
    TopicPartition { topic, partition }: &TopicPartition,
) -> Resource<PartitionData> {
    let body = PartitionData {
        topic_name: topic.clone(),
        partition_id: *partition,
        partition: cluster.topic(topic).partition(*partition).link(),
    };
    let place = cluster.share_group(group_id);
    let place = place.shared_partition(topic, *partition);
    resource_of("KafkaShareGroupTopicPartition", place, body)
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
        group_id: group_id.to_owned(),
        consumer_id: member.member_id.clone(),
        client_id: member.client_id.clone(),
        assignments: place.below(&[&"assignments"]).link(),
    };
    resource_of("KafkaShareGroupConsumer", place, body)
}

fn assignment_resource(
    cluster: &Place,
    cluster_id: &str,
    group_id: &str,
    consumer_id: &str,
    TopicPartition { topic, partition }: &TopicPartition,
) -> Resource<AssignmentData> {
    let body = AssignmentData {
        cluster_id: cluster_id.to_owned(),
        group_id: group_id.to_owned(),
        consumer_id: consumer_id.to_owned(),
        topic_name: topic.clone(),
        partition_id: *partition,
        partition: cluster.topic(topic).partition(*partition).link(),
    };
    let place = cluster.share_group(group_id).consumer(consumer_id);
    let place = place.assignment(topic).partition(*partition);
    resource_of("KafkaShareGroupConsumerAssignment", place, body)
}
