//! `/topics`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use client::Admin;
use client::admin::{ConfigResource, TopicDescription};
use serde::Serialize;
use wire::ErrorCode;

use super::media;
use super::partitions::PartitionEntity;
use crate::error::RestError;
use crate::path::Path;
use crate::proxy::Proxy;

/// `GetTopicResponse`.
#[derive(Debug, Serialize)]
pub(super) struct TopicEntity {
    name: String,
    configs: BTreeMap<String, String>,
    partitions: Vec<PartitionEntity>,
}

/// `GET /topics`: the names of those that are not the cluster's own.
pub(super) async fn list(
    State(proxy): State<Arc<Proxy>>,
    headers: HeaderMap,
) -> Result<Json<Vec<String>>, RestError> {
    media::check_accept(&headers)?;
    let topics = proxy.admin().await?.list_topics().await?;
    let names = topics
        .into_iter()
        .filter(|topic| !topic.is_internal)
        .map(|topic| topic.name);
    Ok(Json(names.collect()))
}

/// `GET /topics/{topic}`.
pub(super) async fn get(
    State(proxy): State<Arc<Proxy>>,
    Path(topic): Path<String>,
    headers: HeaderMap,
) -> Result<Json<TopicEntity>, RestError> {
    media::check_accept(&headers)?;
    let admin = proxy.admin().await?;
    let found = find(admin, &topic).await?;
    let configs = admin
        .describe_configs(&ConfigResource::Topic(topic.clone()))
        .await?;
    Ok(Json(TopicEntity {
        name: topic,
        configs: configs
            .into_iter()
            .filter_map(|config| Some((config.name, config.value?)))
            .collect(),
        partitions: found.partitions.iter().map(PartitionEntity::of).collect(),
    }))
}

/// The topic of that name.
///
/// # Errors
/// 404/40401 when there is none.
pub(super) async fn find(admin: &Admin, topic: &str) -> Result<TopicDescription, RestError> {
    match admin.describe_topic(topic).await {
        Err(error) if error.error_code() == Some(ErrorCode::UnknownTopicOrPartition) => {
            Err(RestError::topic_not_found())
        }
        found => Ok(found?),
    }
}
