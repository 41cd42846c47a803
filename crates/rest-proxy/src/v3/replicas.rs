//! Replicas: of a partition (`.../partitions/{partition_id}/replicas`), of a broker (`.../partition-replicas`).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use client::admin::PartitionDescription;
use serde::Serialize;

use super::resource::{List, Resource, list as list_of, resource as resource_of};
use super::{brokers, partitions};
use crate::error::RestError;
use crate::links::{Links, Place, Related};
use crate::path::Path;
use crate::proxy::Proxy;

/// `ReplicaData`.
#[derive(Debug, Serialize)]
pub(super) struct ReplicaData {
    cluster_id: String,
    topic_name: String,
    partition_id: i32,
    broker_id: i32,
    is_leader: bool,
    is_in_sync: bool,
    broker: Related,
}

/// `GET .../partitions/{partition_id}/replicas`.
pub(super) async fn of_partition(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name, partition_id)): Path<(String, String, i32)>,
    links: Links,
) -> Result<Json<List<ReplicaData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let partition = partitions::find(admin, &topic_name, partition_id).await?;
    let cluster = proxy.place(&links, &cluster_id);
    let place = cluster.topic(&topic_name).partition(partition_id);
    Ok(Json(list_of(
        "KafkaReplicaList",
        place.below(&[&"replicas"]),
        partition
            .replicas
            .iter()
            .map(|broker| resource(&cluster, &cluster_id, &topic_name, &partition, *broker))
            .collect(),
    )))
}

/// `GET .../partitions/{partition_id}/replicas/{broker_id}`.
pub(super) async fn get(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name, partition_id, broker_id)): Path<(String, String, i32, i32)>,
    links: Links,
) -> Result<Json<Resource<ReplicaData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let partition = partitions::find(admin, &topic_name, partition_id).await?;
    if !partition.replicas.contains(&broker_id) {
        return Err(RestError::not_found(format!(
            "Replica {broker_id} cannot be found."
        )));
    }
    Ok(Json(resource(
        &proxy.place(&links, &cluster_id),
        &cluster_id,
        &topic_name,
        &partition,
        broker_id,
    )))
}

/// `GET /clusters/{cluster_id}/brokers/{broker_id}/partition-replicas`.
pub(super) async fn of_broker(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, broker_id)): Path<(String, i32)>,
    links: Links,
) -> Result<Json<List<ReplicaData>>, RestError> {
    let (admin, _) = brokers::find(&proxy, &cluster_id, broker_id).await?;
    let topics = admin.list_topics().await?;
    let cluster = proxy.place(&links, &cluster_id);
    let mut replicas = Vec::new();
    for topic in &topics {
        for partition in &topic.partitions {
            if partition.replicas.contains(&broker_id) {
                replicas.push(resource(
                    &cluster,
                    &cluster_id,
                    &topic.name,
                    partition,
                    broker_id,
                ));
            }
        }
    }
    let place = cluster.broker(broker_id).below(&[&"partition-replicas"]);
    Ok(Json(list_of("KafkaReplicaList", place, replicas)))
}

fn resource(
    cluster: &Place,
    cluster_id: &str,
    topic: &str,
    partition: &PartitionDescription,
    broker: i32,
) -> Resource<ReplicaData> {
    let body = ReplicaData {
        cluster_id: cluster_id.to_owned(),
        topic_name: topic.to_owned(),
        partition_id: partition.partition,
        broker_id: broker,
        is_leader: partition.leader == Some(broker),
        is_in_sync: partition.isr.contains(&broker),
        broker: cluster.broker(broker).link(),
    };
    let place = cluster.topic(topic).partition(partition.partition);
    resource_of("KafkaReplica", place.replica(broker), body)
}
