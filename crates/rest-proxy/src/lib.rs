//! The REST Proxy: Kafka over HTTP, with the paths, bodies and error codes of Confluent's.
//!
//! - [`v3`] is the API of resources (`/v3/clusters/...`): clusters, brokers, topics, partitions, configs, groups with
//!   lags, access control lists, and records in a stream of JSON on one connection.
//! - [`config`] has the settings by Confluent's names, [`error`] what a request gets that cannot be served.
//!
//! It talks to the cluster as any client does: questions through [`client::Admin`], records through librdkafka. So it
//! runs in one process with the broker as well as alone against Apache Kafka.
//!
//! **Invariants:** a record that a report calls written is acknowledged by all in-sync replicas. What waits for its
//! acknowledgement is bounded for each connection ([`v3::records`]); bodies are bounded before they are read whole.
//!
//! **Not here:** the v2 API with its consumers, the formats that need a schema registry.

pub mod config;
pub mod error;
mod links;
mod proxy;
mod server;
pub mod v3;

pub use config::{Config, ConfigError};
pub use error::RestError;
pub use server::{RestProxy, StartError};
