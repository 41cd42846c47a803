//! `/clusters`: the one cluster behind the proxy.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use client::admin::ClusterDescription;
use serde::Serialize;

use super::resource::{List, Namer, Resource, list as list_of};
use crate::error::RestError;
use crate::links::{Links, Related};
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
    let namer = proxy.namer(&links);
    let address = links.to(&[&"clusters"]);
    Ok(Json(list_of(
        "KafkaClusterList",
        address,
        vec![resource(namer, &cluster)],
    )))
}

/// `GET /clusters/{cluster_id}`.
pub(super) async fn get(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    links: Links,
) -> Result<Json<Resource<Cluster>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let cluster = admin.describe_cluster().await?;
    Ok(Json(resource(proxy.namer(&links), &cluster)))
}

fn resource(namer: Namer<'_>, cluster: &ClusterDescription) -> Resource<Cluster> {
    let id = &cluster.cluster_id;
    let related = |what: &str| namer.links.related(&[&"clusters", id, &what]);
    let body = Cluster {
        cluster_id: id.clone(),
        controller: cluster
            .controller_id
            .map(|broker| namer.links.related(&[&"clusters", id, &"brokers", &broker])),
        acls: related("acls"),
        brokers: related("brokers"),
        broker_configs: related("broker-configs"),
        consumer_groups: related("consumer-groups"),
        topics: related("topics"),
        partition_reassignments: namer.links.related(&[
            &"clusters",
            id,
            &"topics",
            &"-",
            &"partitions",
            &"-",
            &"reassignment",
        ]),
    };
    let address = namer.links.to(&[&"clusters", id]);
    namer.resource("KafkaCluster", address, &[("kafka", id)], body)
}
