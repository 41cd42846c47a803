//! `/clusters/{cluster_id}/brokers`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use client::Admin;
use client::admin::Broker;
use serde::Serialize;

use super::resource::{List, Resource, list as list_of, resource as resource_of};
use crate::error::RestError;
use crate::links::{Links, Place, Related};
use crate::path::Path;
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
    let (_, cluster) = proxy.describe_cluster(&cluster_id).await?;
    let place = proxy.place(&links, &cluster_id);
    let brokers = cluster.brokers.iter();
    Ok(Json(list_of(
        "KafkaBrokerList",
        place.below(&[&"brokers"]),
        brokers
            .map(|broker| resource(&place, &cluster_id, broker))
            .collect(),
    )))
}

/// `GET /clusters/{cluster_id}/brokers/{broker_id}`.
pub(super) async fn get(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, broker_id)): Path<(String, i32)>,
    links: Links,
) -> Result<Json<Resource<BrokerData>>, RestError> {
    let (_, broker) = find(&proxy, &cluster_id, broker_id).await?;
    let place = proxy.place(&links, &cluster_id);
    Ok(Json(resource(&place, &cluster_id, &broker)))
}

/// The broker of that id, and the client for further questions.
///
/// # Errors
/// 404 when there is none.
pub(super) async fn find<'p>(
    proxy: &'p Proxy,
    cluster_id: &str,
    broker_id: i32,
) -> Result<(&'p Admin, Broker), RestError> {
    let (admin, cluster) = proxy.describe_cluster(cluster_id).await?;
    let mut brokers = cluster.brokers.into_iter();
    let broker = brokers
        .find(|broker| broker.id == broker_id)
        .ok_or_else(|| RestError::not_found(format!("Broker {broker_id} cannot be found.")))?;
    Ok((admin, broker))
}

fn resource(cluster: &Place, cluster_id: &str, broker: &Broker) -> Resource<BrokerData> {
    let place = cluster.broker(broker.id);
    let (host, port) = host_and_port(&broker.address);
    let body = BrokerData {
        cluster_id: cluster_id.to_owned(),
        broker_id: broker.id,
        host,
        port,
        rack: broker.rack.clone(),
        configs: place.below(&[&"configs"]).link(),
        partition_replicas: place.below(&[&"partition-replicas"]).link(),
    };
    resource_of("KafkaBroker", place, body)
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
