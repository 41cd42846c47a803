//! `/clusters/{cluster_id}/topics/{topic_name}/partitions`, with their offsets.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use client::Admin;
use client::admin::{OffsetSpec, PartitionDescription, TopicPartition};
use serde::{Deserialize, Serialize};

use super::resource::{List, Resource, list as list_of, resource as resource_of};
use crate::error::RestError;
use crate::links::{Links, Place, Related, search};
use crate::path::Path;
use crate::proxy::Proxy;

/// `PartitionData`.
#[derive(Debug, Serialize)]
pub(super) struct PartitionData {
    cluster_id: String,
    topic_name: String,
    partition_id: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<Related>,
    replicas: Related,
    reassignment: Related,
}

/// `PartitionWithOffsetsData`.
#[derive(Debug, Serialize)]
pub(super) struct PartitionOffsets {
    cluster_id: String,
    topic_name: String,
    partition_id: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    earliest_offset: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latest_offset: Option<i64>,
}

/// The query of `.../offset`.
#[derive(Debug, Deserialize)]
pub(super) struct WhichOffset {
    offset_type: Option<String>,
}

/// `GET .../partitions`.
pub(super) async fn list(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name)): Path<(String, String)>,
    links: Links,
) -> Result<Json<List<PartitionData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let topic = admin.describe_topic(&topic_name).await?;
    let place = proxy.place(&links, &cluster_id).topic(&topic_name);
    Ok(Json(list_of(
        "KafkaPartitionList",
        place.below(&[&"partitions"]),
        topic
            .partitions
            .iter()
            .map(|partition| resource(&place, &cluster_id, &topic_name, partition))
            .collect(),
    )))
}

/// `GET .../partitions/{partition_id}`.
pub(super) async fn get(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name, partition_id)): Path<(String, String, i32)>,
    links: Links,
) -> Result<Json<Resource<PartitionData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let partition = find(admin, &topic_name, partition_id).await?;
    let place = proxy.place(&links, &cluster_id).topic(&topic_name);
    Ok(Json(resource(&place, &cluster_id, &topic_name, &partition)))
}

/// `GET .../partitions/{partition_id}/offset`: both ends, or the one that `offset_type` names.
pub(super) async fn offsets(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name, partition_id)): Path<(String, String, i32)>,
    links: Links,
    query: Result<Query<WhichOffset>, QueryRejection>,
) -> Result<Json<Resource<PartitionOffsets>>, RestError> {
    let Query(query) = query?;
    let kind = query.offset_type.as_deref().map(str::to_ascii_lowercase);
    let (earliest, latest) = match kind.as_deref() {
        None => (true, true),
        Some("earliest") => (true, false),
        Some("latest") => (false, true),
        Some(other) => {
            return Err(RestError::bad_request(format!(
                "offset_type must be earliest or latest, not {other:?}"
            )));
        }
    };
    let admin = proxy.check_cluster(&cluster_id).await?;
    find(admin, &topic_name, partition_id).await?;
    let partition = TopicPartition {
        topic: topic_name.clone(),
        partition: partition_id,
    };
    let ask = async |wanted: bool, spec| match wanted {
        false => Ok(None),
        true => admin
            .list_offsets(std::slice::from_ref(&partition), spec)
            .await
            .map(|found| offset_in(&found, &partition)),
    };
    let body = PartitionOffsets {
        cluster_id: cluster_id.clone(),
        topic_name: topic_name.clone(),
        partition_id,
        earliest_offset: ask(earliest, OffsetSpec::Earliest).await?,
        latest_offset: ask(latest, OffsetSpec::Latest).await?,
    };
    let place = proxy
        .place(&links, &cluster_id)
        .topic(&topic_name)
        .partition(partition_id)
        .below(&[&"offset"])
        .map_address(|address| search(address, &[("offset_type", query.offset_type.as_deref())]));
    Ok(Json(resource_of("KafkaPartitionWithOffsets", place, body)))
}

fn offset_in(
    found: &BTreeMap<TopicPartition, client::admin::ListedOffset>,
    partition: &TopicPartition,
) -> Option<i64> {
    found.get(partition).and_then(|listed| listed.offset)
}

/// The partition of that index.
///
/// # Errors
/// 404/40403 when there is no such topic, 404 when it has no such partition.
pub(super) async fn find(
    admin: &Admin,
    topic_name: &str,
    partition_id: i32,
) -> Result<PartitionDescription, RestError> {
    let topic = admin.describe_topic(topic_name).await?;
    let mut partitions = topic.partitions.into_iter();
    partitions
        .find(|partition| partition.partition == partition_id)
        .ok_or_else(|| RestError::not_found(format!("Partition {partition_id} cannot be found.")))
}

fn resource(
    topic_place: &Place,
    cluster_id: &str,
    topic: &str,
    partition: &PartitionDescription,
) -> Resource<PartitionData> {
    let place = topic_place.partition(partition.partition);
    let body = PartitionData {
        cluster_id: cluster_id.to_owned(),
        topic_name: topic.to_owned(),
        partition_id: partition.partition,
        leader: partition.leader.map(|broker| place.replica(broker).link()),
        replicas: place.below(&[&"replicas"]).link(),
        reassignment: place.reassignment().link(),
    };
    resource_of("KafkaPartition", place, body)
}
