//! Questions and orders to a cluster: topics, configs, groups, offsets.
//!
//! [`Admin`] keeps one [`Connection`] per broker it talked to and sends each request where it belongs: any
//! broker, the controller, a group's coordinator, a partition's leader. While one of these moves, brokers
//! answer with a retriable error; the request is then sent again, with a growing pause, until
//! [`AdminOptions::timeout`] has passed.
//!
//! Two things are not tried again. A bootstrap list of which no address answers fails at once: a person at a
//! terminal learns more from that than from a minute of silence ("Differs:" from the Java client, which waits
//! `default.api.timeout.ms`). And an order whose connection ended before the answer came is reported as
//! such, since it may have taken effect.

mod acls;
mod configs;
mod groups;
mod lag;
mod offsets;
mod reassignments;
mod share_groups;
mod streams_groups;
mod topics;

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;
use wire::messages::find_coordinator_response::Coordinator;
use wire::messages::metadata_response::MetadataResponseTopic;
use wire::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest, MetadataResponse,
};
use wire::{ErrorCode, Request};

pub use acls::{
    AclBinding, AclFilter, OPERATIONS, PATTERN_TYPES, PERMISSIONS, RESOURCE_TYPES, acl_code,
    acl_name,
};
pub use configs::{ConfigChange, ConfigEntry, ConfigResource, ConfigSource, ConfigSynonym};
pub use groups::{GroupDescription, GroupKind, GroupListing, GroupMember};
pub use lag::{CommittedOffset, GroupLag, PartitionLag};
pub use offsets::{ListedOffset, OffsetSpec, TopicPartition};
pub use reassignments::Reassignment;
pub use streams_groups::{
    StreamsAssignment, StreamsGroupDescription, StreamsMember, StreamsSubtopology, StreamsTasks,
};
pub use topics::{NewTopic, PartitionDescription, TopicDescription};

use crate::connection::{Connection, ConnectionOptions};
use crate::error::{ClientError, KafkaError};

const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Limits of an [`Admin`].
#[derive(Debug, Clone)]
pub struct AdminOptions {
    /// Limits of each connection.
    pub connection: ConnectionOptions,
    /// How long a request is tried again while leadership moves.
    pub timeout: Duration,
}

impl Default for AdminOptions {
    fn default() -> AdminOptions {
        AdminOptions {
            connection: ConnectionOptions::default(),
            timeout: Duration::from_secs(30),
        }
    }
}

/// A broker, as the cluster names it to its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// `node.id`.
    pub id: i32,
    /// `host:port` of the listener that was asked.
    pub address: String,
    /// `broker.rack`.
    pub rack: Option<String>,
}

/// A cluster as one of its brokers describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterDescription {
    /// The cluster's id.
    pub cluster_id: String,
    /// The broker that takes orders for the controller, if one is known.
    pub controller_id: Option<i32>,
    /// Every broker, by id.
    pub brokers: Vec<Broker>,
}

/// An administrative client. Its methods may be called at the same time.
#[derive(Debug)]
pub struct Admin {
    bootstrap: Vec<String>,
    options: AdminOptions,
    connections: Mutex<HashMap<String, Connection>>,
}

/// Which broker a request belongs to.
#[derive(Debug, Clone, Copy)]
enum Destination<'a> {
    Any,
    Controller,
    Node(i32),
    Coordinator(&'a str),
}

impl Admin {
    /// Reaches the first address of `bootstrap` (`host:port`, several separated by commas) that answers.
    ///
    /// # Errors
    /// [`ClientError::InvalidAddress`], or why the last address could not be used.
    pub async fn connect(bootstrap: &str, options: AdminOptions) -> Result<Admin, ClientError> {
        let admin = Admin {
            bootstrap: parse_bootstrap(bootstrap)?,
            options,
            connections: Mutex::new(HashMap::new()),
        };
        admin.any_broker().await?;
        Ok(admin)
    }

    /// The cluster's id, controller and brokers.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn describe_cluster(&self) -> Result<ClusterDescription, ClientError> {
        let connection = self.any_broker().await?;
        let metadata = metadata_of(&connection, Some(Vec::new())).await?;
        Ok(describe(&metadata))
    }

    /// The broker that coordinates `group`.
    ///
    /// # Errors
    /// [`ClientError`]; `COORDINATOR_NOT_AVAILABLE` once it was not for [`AdminOptions::timeout`].
    pub async fn coordinator(&self, group: &str) -> Result<Broker, ClientError> {
        let request = find_coordinator(group);
        self.call(Destination::Any, i16::MAX, &request, |response| {
            let found = coordinator_in(&response, group, "the cluster")?;
            Ok(Broker {
                id: found.node_id,
                address: host_port(&found.host, found.port),
                rack: None,
            })
        })
        .await
    }

    /// Sends `request` where it belongs and reads the answer with `read`, again while a retriable error
    /// says that leadership moves.
    async fn call<R: Request, T>(
        &self,
        destination: Destination<'_>,
        max_version: i16,
        request: &R,
        read: impl FnMut(R::Response) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        self.call_within(destination, 0..=max_version, request, read)
            .await
    }

    /// As [`Admin::call`], in one of `versions`.
    async fn call_within<R: Request, T>(
        &self,
        destination: Destination<'_>,
        versions: RangeInclusive<i16>,
        request: &R,
        mut read: impl FnMut(R::Response) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let deadline = Instant::now() + self.options.timeout;
        let mut backoff = BACKOFF_FIRST;
        loop {
            let attempt = async {
                let connection = self.route(destination).await?;
                let version = connection.version_of_within::<R>(&versions)?;
                read(connection.send_version(request, version).await?)
            };
            match attempt.await {
                Err(error) if is_moving(&error) && Instant::now() + backoff < deadline => {
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
                result => return result,
            }
        }
    }

    async fn route(&self, destination: Destination<'_>) -> Result<Connection, ClientError> {
        let any = self.any_broker().await?;
        let address = match destination {
            Destination::Any => return Ok(any),
            Destination::Controller => {
                let cluster = describe(&metadata_of(&any, Some(Vec::new())).await?);
                match cluster.controller_id {
                    Some(id) => address_of(&cluster, id, &any)?,
                    // No controller is known: any broker forwards, or says that it cannot.
                    None => return Ok(any),
                }
            }
            Destination::Node(id) => address_of(
                &describe(&metadata_of(&any, Some(Vec::new())).await?),
                id,
                &any,
            )?,
            Destination::Coordinator(group) => coordinator_of(&any, group).await?,
        };
        self.connection_to(&address).await
    }

    async fn any_broker(&self) -> Result<Connection, ClientError> {
        let mut failure = ClientError::InvalidAddress {
            value: String::new(),
        };
        for address in &self.bootstrap {
            match self.connection_to(address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn connection_to(&self, address: &str) -> Result<Connection, ClientError> {
        // Held over the connect, so that two callers do not open two connections to one broker.
        let mut connections = self.connections.lock().await;
        if let Some(open) = connections.get(address).filter(|known| !known.is_closed()) {
            return Ok(open.clone());
        }
        let options = self.options.connection.clone();
        let connection = Connection::connect(address, options).await?;
        connections.insert(address.to_owned(), connection.clone());
        Ok(connection)
    }

    /// `timeout.ms` of the requests that carry one.
    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.options.timeout.as_millis()).unwrap_or(i32::MAX)
    }
}

fn parse_bootstrap(bootstrap: &str) -> Result<Vec<String>, ClientError> {
    let addresses: Vec<String> = bootstrap
        .split(',')
        .map(str::trim)
        .filter(|address| !address.is_empty())
        .map(parse_address)
        .collect::<Result<_, _>>()?;
    if addresses.is_empty() {
        return Err(ClientError::InvalidAddress {
            value: bootstrap.to_owned(),
        });
    }
    Ok(addresses)
}

/// Checks `host:port`; a scheme such as `PLAINTEXT://`, as in `listeners`, is taken off.
fn parse_address(text: &str) -> Result<String, ClientError> {
    let address = text.split_once("://").map_or(text, |(_, rest)| rest);
    let valid = address
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0));
    if valid {
        Ok(address.to_owned())
    } else {
        Err(ClientError::InvalidAddress {
            value: text.to_owned(),
        })
    }
}

/// Whether the error says that somebody else answers for this now, or soon.
fn is_moving(error: &ClientError) -> bool {
    matches!(
        error.error_code(),
        Some(
            ErrorCode::NotController
                | ErrorCode::NotCoordinator
                | ErrorCode::CoordinatorNotAvailable
                | ErrorCode::CoordinatorLoadInProgress
                | ErrorCode::NotLeaderOrFollower
                | ErrorCode::LeaderNotAvailable
        )
    )
}

/// `Err` for every code but 0.
fn check(
    api: &'static str,
    subject: impl FnOnce() -> String,
    code: i16,
    message: Option<&str>,
) -> Result<(), ClientError> {
    if code == ErrorCode::None as i16 {
        return Ok(());
    }
    let message = message.map(str::to_owned);
    Err(ClientError::Kafka(KafkaError {
        api,
        subject: subject(),
        code,
        message,
    }))
}

fn host_port(host: &str, port: i32) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// Metadata of the topics named; `None` for all of them. Never creates a topic.
async fn metadata_of(
    connection: &Connection,
    topics: Option<Vec<String>>,
) -> Result<MetadataResponse, ClientError> {
    let request = MetadataRequest {
        topics: topics.map(|names| names.into_iter().map(named).collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    let response = connection.send(&request).await?;
    let subject = || format!("'{}'", connection.address());
    check("Metadata", subject, response.error_code, None)?;
    Ok(response)
}

fn named(name: String) -> wire::messages::metadata_request::MetadataRequestTopic {
    wire::messages::metadata_request::MetadataRequestTopic {
        name: Some(name),
        ..Default::default()
    }
}

fn describe(metadata: &MetadataResponse) -> ClusterDescription {
    let mut brokers: Vec<Broker> = metadata
        .brokers
        .iter()
        .map(|broker| Broker {
            id: broker.node_id,
            address: host_port(&broker.host, broker.port),
            rack: broker.rack.clone(),
        })
        .collect();
    brokers.sort_unstable_by_key(|broker| broker.id);
    ClusterDescription {
        cluster_id: metadata.cluster_id.clone().unwrap_or_default(),
        controller_id: Some(metadata.controller_id).filter(|id| *id >= 0),
        brokers,
    }
}

fn address_of(
    cluster: &ClusterDescription,
    id: i32,
    asked: &Connection,
) -> Result<String, ClientError> {
    let broker = cluster.brokers.iter().find(|broker| broker.id == id);
    broker
        .map(|broker| broker.address.clone())
        .ok_or_else(|| ClientError::Incomplete {
            api: "Metadata",
            address: asked.address().to_owned(),
            subject: format!("broker {id}"),
        })
}

/// Who coordinates `group`? (KIP-699's batched form, brokers from 3.0.)
fn find_coordinator(group: &str) -> FindCoordinatorRequest {
    FindCoordinatorRequest {
        coordinator_keys: vec![group.to_owned()],
        ..FindCoordinatorRequest::default()
    }
}

/// The coordinator of `group` in the answer of the broker at `address`.
fn coordinator_in<'a>(
    response: &'a FindCoordinatorResponse,
    group: &str,
    address: &str,
) -> Result<&'a Coordinator, ClientError> {
    let found = response
        .coordinators
        .iter()
        .find(|found| found.key == group)
        .ok_or_else(|| ClientError::Incomplete {
            api: "FindCoordinator",
            address: address.to_owned(),
            subject: format!("group '{group}'"),
        })?;
    check(
        "FindCoordinator",
        || format!("group '{group}'"),
        found.error_code,
        found.error_message.as_deref(),
    )?;
    Ok(found)
}

async fn coordinator_of(any: &Connection, group: &str) -> Result<String, ClientError> {
    let response = any.send(&find_coordinator(group)).await?;
    let found = coordinator_in(&response, group, any.address())?;
    Ok(host_port(&found.host, found.port))
}

/// A topic's name in a metadata answer; only requests by id get answers without one.
fn topic_name(topic: &MetadataResponseTopic) -> String {
    topic.name.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bootstrap_lists_are_split_and_checked() {
        let parsed = parse_bootstrap(" localhost:9092, PLAINTEXT://[::1]:19092 ,").unwrap();
        assert_eq!(parsed, ["localhost:9092", "[::1]:19092"]);
        for bad in [
            "",
            ",",
            "localhost",
            "localhost:",
            ":9092",
            "localhost:0",
            "h:70000",
        ] {
            let error = parse_bootstrap(bad).unwrap_err();
            assert!(
                matches!(error, ClientError::InvalidAddress { .. }),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn an_ipv6_host_is_bracketed() {
        assert_eq!(host_port("::1", 9092), "[::1]:9092");
        assert_eq!(host_port("kafka-1", 9092), "kafka-1:9092");
    }
}
