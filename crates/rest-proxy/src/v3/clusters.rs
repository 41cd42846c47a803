//! `/clusters`: the one cluster behind the proxy.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use client::admin::ClusterDescription;
use serde::Serialize;

use super::resource::{List, Resource, resource as resource_of};
use crate::error::RestError;
use crate::links::{Links, Place, Related};
use crate::path::Path;
use crate::proxy::Proxy;

/// `ClusterData`.
#[derive(Debug, Serialize)]
pub(super) struct Cluster {
    cluster_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    controller: Option<Related>,
    acls: Related,
    brokers: Related,
    broker_configs: Related,
    consumer_groups: Related,
    topics: Related,
    partition_reassignments: Related,
}

/// `GET /clusters`.
pub(super) async fn list(
    State(proxy): State<Arc<Proxy>>,
    links: Links,
) -> Result<Json<List<Cluster>>, RestError> {
    let cluster = proxy.admin().await?.describe_cluster().await?;
    let place = proxy.place(&links, &cluster.cluster_id);
    Ok(Json(List::at(
        "KafkaClusterList",
        links.to(&[&"clusters"]),
        vec![resource(place, &cluster)],
    )))
}

/// `GET /clusters/{cluster_id}`.
pub(super) async fn get(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    links: Links,
) -> Result<Json<Resource<Cluster>>, RestError> {
    let (_, cluster) = proxy.describe_cluster(&cluster_id).await?;
    Ok(Json(resource(proxy.place(&links, &cluster_id), &cluster)))
}

fn resource(place: Place, cluster: &ClusterDescription) -> Resource<Cluster> {
    let related = |what: &str| place.below(&[&what]).link();
    let body = Cluster {
        cluster_id: cluster.cluster_id.clone(),
        controller: cluster
            .controller_id
            .map(|broker| place.broker(broker).link()),
        acls: related("acls"),
        brokers: related("brokers"),
        broker_configs: related("broker-configs"),
        consumer_groups: related("consumer-groups"),
        topics: related("topics"),
        partition_reassignments: place
            .below(&[&"topics", &"-", &"partitions", &"-", &"reassignment"])
            .link(),
    };
    resource_of("KafkaCluster", place, body)
}
