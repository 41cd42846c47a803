//! `/topics/{topic}/partitions`, with their offsets.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use client::Admin;
use client::admin::{OffsetSpec, PartitionDescription, TopicPartition};
use serde::Serialize;

use super::{media, topics};
use crate::error::RestError;
use crate::path::Path;
use crate::proxy::Proxy;

/// `GetPartitionResponse`.
#[derive(Debug, Serialize)]
pub(super) struct PartitionEntity {
    partition: i32,
    /// -1 where nobody leads.
    leader: i32,
    replicas: Vec<ReplicaEntity>,
}

#[derive(Debug, Serialize)]
struct ReplicaEntity {
    broker: i32,
    leader: bool,
    in_sync: bool,
}

/// `TopicPartitionOffsetResponse`.
#[derive(Debug, Serialize)]
pub(super) struct PartitionOffsets {
    beginning_offset: i64,
    end_offset: i64,
}

impl PartitionEntity {
    pub(super) fn of(partition: &PartitionDescription) -> Self {
        let replica = |broker: &i32| ReplicaEntity {
            broker: *broker,
            leader: partition.leader == Some(*broker),
            in_sync: partition.isr.contains(broker),
        };
        Self {
            partition: partition.partition,
            leader: partition.leader.unwrap_or(-1),
            replicas: partition.replicas.iter().map(replica).collect(),
        }
    }
}

/// `GET /topics/{topic}/partitions`.
pub(super) async fn list(
    State(proxy): State<Arc<Proxy>>,
    Path(topic): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Vec<PartitionEntity>>, RestError> {
    media::check_accept(&headers)?;
    let topic = topics::find(proxy.admin().await?, &topic).await?;
    let partitions = topic.partitions.iter();
    Ok(Json(partitions.map(PartitionEntity::of).collect()))
}

/// `GET /topics/{topic}/partitions/{partition}`.
pub(super) async fn get(
    State(proxy): State<Arc<Proxy>>,
    Path((topic, partition)): Path<(String, i32)>,
    headers: HeaderMap,
) -> Result<Json<PartitionEntity>, RestError> {
    media::check_accept(&headers)?;
    let found = find(proxy.admin().await?, &topic, partition).await?;
    Ok(Json(PartitionEntity::of(&found)))
}

/// `GET /topics/{topic}/partitions/{partition}/offsets`.
pub(super) async fn offsets(
    State(proxy): State<Arc<Proxy>>,
    Path((topic, partition)): Path<(String, i32)>,
    headers: HeaderMap,
) -> Result<Json<PartitionOffsets>, RestError> {
    media::check_accept(&headers)?;
    let admin = proxy.admin().await?;
    find(admin, &topic, partition).await?;
    let place = TopicPartition { topic, partition };
    let ask = async |spec| -> Result<i64, RestError> {
        let found = admin
            .list_offsets(std::slice::from_ref(&place), spec)
            .await?;
        let offset = found.get(&place).and_then(|listed| listed.offset);
        offset.ok_or_else(RestError::partition_not_found)
    };
    Ok(Json(PartitionOffsets {
        beginning_offset: ask(OffsetSpec::Earliest).await?,
        end_offset: ask(OffsetSpec::Latest).await?,
    }))
}

/// The partition of that index.
///
/// # Errors
/// 404/40401 when there is no such topic, 404/40402 when it has no such partition.
pub(super) async fn find(
    admin: &Admin,
    topic: &str,
    partition: i32,
) -> Result<PartitionDescription, RestError> {
    let topic = topics::find(admin, topic).await?;
    let mut partitions = topic.partitions.into_iter();
    partitions
        .find(|found| found.partition == partition)
        .ok_or_else(RestError::partition_not_found)
}
