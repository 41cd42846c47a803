//! Partitions on their way to other brokers: `.../reassignment`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use client::admin::{Reassignment, TopicPartition};
use serde::Serialize;

use super::resource::{List, Resource, list as list_of, resource as resource_of};
use crate::error::RestError;
use crate::links::{Links, Place, Related};
use crate::path::Path;
use crate::proxy::Proxy;

/// `ReassignmentData`.
#[derive(Debug, Serialize)]
pub(super) struct ReassignmentData {
    cluster_id: String,
    topic_name: String,
    partition_id: i32,
    adding_replicas: Vec<i32>,
    removing_replicas: Vec<i32>,
    replicas: Related,
}

/// `GET /clusters/{cluster_id}/topics/-/partitions/-/reassignment`.
pub(super) async fn all(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    links: Links,
) -> Result<Json<List<ReassignmentData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let moving = admin.list_reassignments(None).await?;
    Ok(Json(listing(&proxy, &links, &cluster_id, "-", &moving)))
}

/// `GET .../topics/{topic_name}/partitions/-/reassignment`.
pub(super) async fn of_topic(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name)): Path<(String, String)>,
    links: Links,
) -> Result<Json<List<ReassignmentData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let topic = admin.describe_topic(&topic_name).await?;
    let partitions: Vec<TopicPartition> = topic
        .partitions
        .iter()
        .map(|partition| TopicPartition {
            topic: topic_name.clone(),
            partition: partition.partition,
        })
        .collect();
    let moving = admin.list_reassignments(Some(&partitions)).await?;
    Ok(Json(listing(
        &proxy,
        &links,
        &cluster_id,
        &topic_name,
        &moving,
    )))
}

/// `GET .../topics/{topic_name}/partitions/{partition_id}/reassignment`.
pub(super) async fn get(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name, partition_id)): Path<(String, String, i32)>,
    links: Links,
) -> Result<Json<Resource<ReassignmentData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let partition = TopicPartition {
        topic: topic_name,
        partition: partition_id,
    };
    let moving = admin
        .list_reassignments(Some(std::slice::from_ref(&partition)))
        .await?;
    let found = moving.iter().find(|one| one.partition == partition);
    let found = found.ok_or_else(|| {
        RestError::not_found(format!(
            "No reassignment of partition {partition_id} of topic {} is in progress.",
            partition.topic
        ))
    })?;
    let place = proxy.place(&links, &cluster_id);
    Ok(Json(resource(&place, &cluster_id, found)))
}

fn listing(
    proxy: &Proxy,
    links: &Links,
    cluster_id: &str,
    topic: &str,
    moving: &[Reassignment],
) -> List<ReassignmentData> {
    let place = proxy.place(links, cluster_id);
    list_of(
        "KafkaReassignmentList",
        place
            .topic(topic)
            .below(&[&"partitions", &"-", &"reassignment"]),
        moving
            .iter()
            .map(|one| resource(&place, cluster_id, one))
            .collect(),
    )
}

fn resource(
    cluster: &Place,
    cluster_id: &str,
    moving: &Reassignment,
) -> Resource<ReassignmentData> {
    let TopicPartition { topic, partition } = &moving.partition;
    let place = cluster.topic(topic).partition(*partition);
    let body = ReassignmentData {
        cluster_id: cluster_id.to_owned(),
        topic_name: topic.clone(),
        partition_id: *partition,
        adding_replicas: moving.adding.clone(),
        removing_replicas: moving.removing.clone(),
        replicas: place.below(&[&"replicas"]).link(),
    };
    resource_of("KafkaReassignment", place.reassignment(), body)
}
