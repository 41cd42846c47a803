//! `/clusters/{cluster_id}/brokers`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use client::admin::Broker;
use serde::Serialize;

use super::resource::{List, Namer, Resource, list as list_of};
use crate::error::RestError;
use crate::links::{Links, Related};
use crate::proxy::Proxy;

/// `BrokerData`.
#[derive(Debug, Serialize)]
pub(super) struct BrokerData {
    cluster_id: String,
    broker_id: i32,
    host: Option<String>,
    port: Option<u16>,
    rack: Option<String>,
    configs: Related,
    partition_replicas: Related,
}

/// `GET /clusters/{cluster_id}/brokers`.
pub(super) async fn list(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    links: Links,
) -> Result<Json<List<BrokerData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let cluster = admin.describe_cluster().await?;
    let namer = proxy.namer(&links);
    let brokers = cluster.brokers.iter();
    Ok(Json(list_of(
        "KafkaBrokerList",
        links.to(&[&"clusters", &cluster_id, &"brokers"]),
        brokers
            .map(|broker| resource(namer, &cluster_id, broker))
            .collect(),
    )))
}

/// `GET /clusters/{cluster_id}/brokers/{broker_id}`.
pub(super) async fn get(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, broker_id)): Path<(String, i32)>,
    links: Links,
) -> Result<Json<Resource<BrokerData>>, RestError> {
    let broker = find(&proxy, &cluster_id, broker_id).await?;
    Ok(Json(resource(proxy.namer(&links), &cluster_id, &broker)))
}

/// The broker of that id.
///
/// # Errors
/// 404 when there is none.
pub(super) async fn find(
    proxy: &Proxy,
    cluster_id: &str,
    broker_id: i32,
) -> Result<Broker, RestError> {
    let admin = proxy.check_cluster(cluster_id).await?;
    let cluster = admin.describe_cluster().await?;
    let mut brokers = cluster.brokers.into_iter();
    brokers
        .find(|broker| broker.id == broker_id)
        .ok_or_else(|| RestError::not_found(format!("Broker {broker_id} cannot be found.")))
}

fn resource(namer: Namer<'_>, cluster_id: &str, broker: &Broker) -> Resource<BrokerData> {
    let related = |what: &str| {
        namer
            .links
            .related(&[&"clusters", &cluster_id, &"brokers", &broker.id, &what])
    };
    let (host, port) = host_and_port(&broker.address);
    let body = BrokerData {
        cluster_id: cluster_id.to_owned(),
        broker_id: broker.id,
        host,
        port,
        rack: broker.rack.clone(),
        configs: related("configs"),
        partition_replicas: related("partition-replicas"),
    };
    namer.resource(
        "KafkaBroker",
        namer
            .links
            .to(&[&"clusters", &cluster_id, &"brokers", &broker.id]),
        &[("kafka", &cluster_id), ("broker", &broker.id)],
        body,
    )
}

/// `host:port`, an IPv6 host in brackets.
fn host_and_port(address: &str) -> (Option<String>, Option<u16>) {
    match address.rsplit_once(':') {
        Some((host, port)) => (
            Some(host.trim_matches(['[', ']']).to_owned()),
            port.parse().ok(),
        ),
        None => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        let (host, port) = host_and_port("[::1]:9092");
        assert_eq!((host.as_deref(), port), (Some("::1"), Some(9092)));
        let (host, port) = host_and_port("kafka-1:9093");
        assert_eq!((host.as_deref(), port), (Some("kafka-1"), Some(9093)));
    }
}
