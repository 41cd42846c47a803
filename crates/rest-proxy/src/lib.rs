//! The REST Proxy: Kafka over HTTP, with the paths, bodies and error codes of Confluent's.
//!
//! - [`v3`] is the API of resources (`/v3/clusters/...`): clusters, brokers, topics, partitions, configs, groups with
//!   lags, access control lists, and records in a stream of JSON on one connection.
//! - `v2` is the older API (`/topics`, `/consumers`): records in the format that a content type names, and consumer
//!   instances, which `consumers` keeps so that any proxy serves any of them.
//! - `schemas` finds the schemas of records in a Schema Registry, `produce` brings records to the cluster.
//! - [`config`] has the settings by Confluent's names, [`error`] what a request gets that cannot be served.
//!
//! It talks to the cluster as any client does: questions through [`client::Admin`], records through librdkafka; to a
//! registry over HTTP. So it runs in one process with the broker as well as alone against Apache Kafka.
//!
//! **Invariants:** a record that a report calls written is acknowledged by all in-sync replicas. What waits for its
//! acknowledgement is bounded for each connection ([`v3::records`]); bodies are bounded before they are read whole.
//!
//! Instances, what they read ahead, and schemas that are kept are bounded too.
//!
//! **Not here:** TLS, authentication of clients.

mod compression;
pub mod config;
mod consumers;
pub mod error;
mod format;
mod json;
mod links;
mod media;
mod path;
mod produce;
mod proxy;
mod schemas;
mod server;
mod v2;
pub mod v3;

pub use config::{Config, ConfigError};
pub use error::RestError;
pub use server::{RestProxy, StartError};
