//! `/clusters/{cluster_id}/topics`: list, create, describe, grow, delete.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use client::admin::{NewTopic, TopicDescription};
use serde::{Deserialize, Serialize};

use super::resource::{List, Resource, list as list_of, resource as resource_of};
use crate::error::RestError;
use crate::json::{Body, optional, scalar};
use crate::links::{Links, Place, Related};
use crate::path::Path;
use crate::proxy::Proxy;

/// `TopicData`.
#[derive(Debug, Serialize)]
pub(super) struct TopicData {
    cluster_id: String,
    topic_name: String,
    is_internal: bool,
    replication_factor: usize,
    partitions_count: usize,
    partitions: Related,
    configs: Related,
    partition_reassignments: Related,
    authorized_operations: Vec<&'static str>,
}

/// `CreateTopicRequestData`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateTopic {
    #[serde(deserialize_with = "scalar")]
    topic_name: String,
    #[serde(default, deserialize_with = "optional")]
    partitions_count: Option<i32>,
    #[serde(default, deserialize_with = "optional")]
    replication_factor: Option<i16>,
    replicas_assignments: Option<BTreeMap<i32, Vec<i32>>>,
    configs: Option<Vec<CreateConfig>>,
    #[serde(default, deserialize_with = "optional")]
    validate_only: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateConfig {
    #[serde(deserialize_with = "scalar")]
    name: String,
    #[serde(default, deserialize_with = "optional")]
    value: Option<String>,
}

/// `UpdatePartitionCountRequestData`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Grow {
    #[serde(deserialize_with = "scalar")]
    partitions_count: i32,
}

/// The query of `GET .../topics/{topic_name}`.
#[derive(Debug, Deserialize)]
pub(super) struct GetTopic {
    #[serde(default)]
    include_authorized_operations: bool,
}

/// `GET /clusters/{cluster_id}/topics`.
pub(super) async fn list(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    links: Links,
) -> Result<Json<List<TopicData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let topics = admin.list_topics().await?;
    let place = proxy.place(&links, &cluster_id);
    Ok(Json(list_of(
        "KafkaTopicList",
        place.below(&[&"topics"]),
        topics
            .iter()
            .map(|topic| resource(&place, &cluster_id, topic, Vec::new()))
            .collect(),
    )))
}

/// `POST /clusters/{cluster_id}/topics`: 201, or 200 when it was only checked, and where it is or would be.
pub(super) async fn create(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    links: Links,
    Body(request): Body<CreateTopic>,
) -> Result<Response, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let topic = new_topic(request);
    admin.create_topic(&topic).await?;
    let described = if topic.validate_only {
        planned(&topic)
    } else {
        admin.describe_topic(&topic.name).await?
    };
    let answer = Json(resource(
        &proxy.place(&links, &cluster_id),
        &cluster_id,
        &described,
        Vec::new(),
    ));
    let status = if topic.validate_only {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let location = proxy
        .place(&links, &cluster_id)
        .topic(&topic.name)
        .into_address();
    Ok((status, [(header::LOCATION, location)], answer).into_response())
}

fn new_topic(request: CreateTopic) -> NewTopic {
    let configs = request.configs.unwrap_or_default().into_iter();
    let assignments = request.replicas_assignments.unwrap_or_default();
    // Assignments say how many partitions and replicas there are, whatever else is said.
    let is_counted = assignments.is_empty();
    NewTopic {
        name: request.topic_name,
        partitions: request.partitions_count.filter(|_| is_counted),
        replication_factor: request.replication_factor.filter(|_| is_counted),
        assignments,
        configs: configs
            .filter_map(|config| Some((config.name, config.value?)))
            .collect(),
        validate_only: request.validate_only.unwrap_or(false),
    }
}

/// A topic that was only checked, as far as the request says what it would be.
fn planned(topic: &NewTopic) -> TopicDescription {
    let replicas = topic
        .assignments
        .values()
        .next()
        .cloned()
        .unwrap_or_else(|| {
            vec![0; usize::try_from(topic.replication_factor.unwrap_or(0)).unwrap_or(0)]
        });
    let count = match topic.partitions {
        Some(count) => usize::try_from(count).unwrap_or(0),
        None => topic.assignments.len(),
    };
    let partition = |index: usize| client::admin::PartitionDescription {
        partition: i32::try_from(index).unwrap_or(i32::MAX),
        leader: None,
        leader_epoch: -1,
        replicas: replicas.clone(),
        isr: Vec::new(),
        offline: Vec::new(),
    };
    TopicDescription {
        name: topic.name.clone(),
        topic_id: base::TopicId::ZERO,
        is_internal: false,
        partitions: (0..count).map(partition).collect(),
    }
}

/// `GET /clusters/{cluster_id}/topics/{topic_name}`.
pub(super) async fn get(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name)): Path<(String, String)>,
    links: Links,
    query: Result<Query<GetTopic>, QueryRejection>,
) -> Result<Json<Resource<TopicData>>, RestError> {
    let Query(query) = query?;
    let admin = proxy.check_cluster(&cluster_id).await?;
    let topic = admin.describe_topic(&topic_name).await?;
    let operations = if query.include_authorized_operations {
        admin.topic_operations(&topic_name).await?
    } else {
        Vec::new()
    };
    Ok(Json(resource(
        &proxy.place(&links, &cluster_id),
        &cluster_id,
        &topic,
        operations,
    )))
}

/// `PATCH /clusters/{cluster_id}/topics/{topic_name}`: more partitions.
pub(super) async fn grow(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name)): Path<(String, String)>,
    links: Links,
    Body(request): Body<Grow>,
) -> Result<Json<Resource<TopicData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    admin
        .create_partitions(&topic_name, request.partitions_count)
        .await?;
    let topic = admin.describe_topic(&topic_name).await?;
    Ok(Json(resource(
        &proxy.place(&links, &cluster_id),
        &cluster_id,
        &topic,
        Vec::new(),
    )))
}

/// `DELETE /clusters/{cluster_id}/topics/{topic_name}`.
pub(super) async fn delete(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name)): Path<(String, String)>,
) -> Result<StatusCode, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    admin.delete_topic(&topic_name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn resource(
    cluster: &Place,
    cluster_id: &str,
    topic: &TopicDescription,
    authorized_operations: Vec<&'static str>,
) -> Resource<TopicData> {
    let place = cluster.topic(&topic.name);
    let body = TopicData {
        cluster_id: cluster_id.to_owned(),
        topic_name: topic.name.clone(),
        is_internal: topic.is_internal,
        replication_factor: topic.replication_factor(),
        partitions_count: topic.partitions.len(),
        partitions: place.below(&[&"partitions"]).link(),
        configs: place.below(&[&"configs"]).link(),
        partition_reassignments: place.below(&[&"partitions", &"-", &"reassignment"]).link(),
        authorized_operations,
    };
    resource_of("KafkaTopic", place, body)
}
