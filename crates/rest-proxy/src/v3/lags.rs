//! How far a consumer group is behind: `.../lags`, `.../lag-summary`.
//!
//! As in Confluent's proxy, partitions with a committed offset are counted, whether anybody reads them now or not: the
//! lag of a group whose consumers are gone is the one to worry about. Who asks for another partition gets 404.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use client::Admin;
use client::admin::{GroupMember, PartitionLag, TopicPartition};
use serde::Serialize;

use super::groups;
use super::resource::{List, Resource, list as list_of, resource as resource_of};
use crate::error::RestError;
use crate::links::{Links, Place, Related};
use crate::path::Path;
use crate::proxy::Proxy;

/// `ConsumerLagData`.
#[derive(Debug, Serialize)]
pub(super) struct LagData {
    cluster_id: String,
    consumer_group_id: String,
    topic_name: String,
    partition_id: i32,
    current_offset: i64,
    log_end_offset: i64,
    lag: i64,
    consumer_id: String,
    instance_id: Option<String>,
    client_id: String,
}

/// `ConsumerGroupLagSummaryData`.
#[derive(Debug, Serialize)]
pub(super) struct LagSummary {
    cluster_id: String,
    consumer_group_id: String,
    max_lag_consumer_id: String,
    max_lag_instance_id: Option<String>,
    max_lag_client_id: String,
    max_lag_topic_name: String,
    max_lag_partition_id: i32,
    max_lag: i64,
    total_lag: i64,
    max_lag_consumer: Related,
    max_lag_partition: Related,
}

/// A partition with a committed offset.
#[derive(Debug, Clone)]
struct Lag {
    partition: TopicPartition,
    current_offset: i64,
    log_end_offset: i64,
    lag: i64,
    /// Who reads it; nobody may.
    member: Option<GroupMember>,
}

impl Lag {
    fn consumer_id(&self) -> &str {
        self.member.as_ref().map_or("", |member| &member.member_id)
    }

    fn client_id(&self) -> &str {
        self.member.as_ref().map_or("", |member| &member.client_id)
    }

    fn instance_id(&self) -> Option<String> {
        self.member.as_ref()?.instance_id.clone()
    }

    fn of(lag: PartitionLag) -> Option<Self> {
        Some(Self {
            lag: lag.lag()?,
            current_offset: lag.current_offset?,
            log_end_offset: lag.log_end_offset?,
            partition: lag.partition,
            member: lag.member,
        })
    }
}

/// `GET .../lags`.
pub(super) async fn list(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id)): Path<(String, String)>,
    links: Links,
) -> Result<Json<List<LagData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let lags = lags_of(admin, &group_id).await?;
    if lags.is_empty() {
        return Err(nothing());
    }
    let place = proxy.place(&links, &cluster_id).group(&group_id);
    Ok(Json(list_of(
        "KafkaConsumerLagList",
        place.below(&[&"lags"]),
        lags.into_iter()
            .map(|lag| resource(&place, &cluster_id, &group_id, lag))
            .collect(),
    )))
}

/// `GET .../lags/{topic_name}/partitions/{partition_id}`.
pub(super) async fn get(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id, topic, partition)): Path<(String, String, String, i32)>,
    links: Links,
) -> Result<Json<Resource<LagData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let wanted = TopicPartition { topic, partition };
    let lags = lags_of(admin, &group_id).await?;
    let found = lags.into_iter().find(|lag| lag.partition == wanted);
    let lag = found.ok_or_else(|| {
        RestError::not_found(format!(
            "Consumer lag of group {group_id} for partition {} of topic {} could not be found.",
            wanted.partition, wanted.topic
        ))
    })?;
    Ok(Json(resource(
        &proxy.place(&links, &cluster_id).group(&group_id),
        &cluster_id,
        &group_id,
        lag,
    )))
}

/// `GET .../lag-summary`.
pub(super) async fn summary(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, group_id)): Path<(String, String)>,
    links: Links,
) -> Result<Json<Resource<LagSummary>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let lags = lags_of(admin, &group_id).await?;
    let total_lag = lags.iter().map(|lag| lag.lag).sum();
    let most = lags
        .into_iter()
        .reduce(|most, lag| if lag.lag > most.lag { lag } else { most });
    let most = most.ok_or_else(nothing)?;
    let TopicPartition { topic, partition } = &most.partition;
    let cluster = proxy.place(&links, &cluster_id);
    let place = cluster.group(&group_id);
    let body = LagSummary {
        // Nobody may read it; then the link leads to those who could.
        max_lag_consumer: match most.consumer_id() {
            "" => place.below(&[&"consumers"]).link(),
            consumer => place.consumer(consumer).link(),
        },
        max_lag_partition: cluster.topic(topic).partition(*partition).link(),
        cluster_id,
        consumer_group_id: group_id,
        max_lag_consumer_id: most.consumer_id().to_owned(),
        max_lag_instance_id: most.instance_id(),
        max_lag_client_id: most.client_id().to_owned(),
        max_lag_topic_name: topic.clone(),
        max_lag_partition_id: *partition,
        max_lag: most.lag,
        total_lag,
    };
    Ok(Json(resource_of(
        "KafkaConsumerGroupLagSummary",
        place.below(&[&"lag-summary"]),
        body,
    )))
}

async fn lags_of(admin: &Admin, group_id: &str) -> Result<Vec<Lag>, RestError> {
    let lag = admin.group_lag(group_id).await;
    let lag = lag.map_err(|error| groups::refusal(groups::CONSUMER_GROUP, group_id, error))?;
    Ok(lag.partitions.into_iter().filter_map(Lag::of).collect())
}

fn nothing() -> RestError {
    RestError::not_found("Consumer group offsets could not be found.")
}

fn resource(group: &Place, cluster_id: &str, group_id: &str, lag: Lag) -> Resource<LagData> {
    let (consumer_id, client_id) = (lag.consumer_id().to_owned(), lag.client_id().to_owned());
    let instance_id = lag.instance_id();
    let TopicPartition { topic, partition } = lag.partition;
    let place = group.lag(&topic).partition(partition);
    let body = LagData {
        cluster_id: cluster_id.to_owned(),
        consumer_group_id: group_id.to_owned(),
        topic_name: topic,
        partition_id: partition,
        current_offset: lag.current_offset,
        log_end_offset: lag.log_end_offset,
        lag: lag.lag,
        consumer_id,
        instance_id,
        client_id,
    };
    resource_of("KafkaConsumerLag", place, body)
}
