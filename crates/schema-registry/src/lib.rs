//! The Schema Registry: Confluent's API over a topic of any Kafka.
//!
//! ```text
//!            HTTP  ──▶ http ──▶ service ──▶ log::KafkaLog ──▶ the topic `_schemas`
//!                               │    ▲          (leader)            │
//!                               ▼    │                              ▼
//!                              state ◀───────────────────────── log::Reader
//! ```
//!
//! - [`state`] is what the records of the topic say: a state machine without I/O.
//! - [`service`] holds the operations: questions to the state, and plans of what to write.
//! - [`dek`] is the DEK registry: the same over a topic of its own, for keys that encrypt fields.
//! - [`catalog`] is the Stream Catalog: the same again, for tags and what else is said of schemas and topics.
//! - [`log`] reads the topic and writes to it; [`election`] says which of several instances does.
//! - [`http`] is the REST API. [`config`] has Confluent's names of settings.
//! - [`exporter`] mirrors subjects to other registries.
//! - [`instance`] puts these together and takes them down.
//!
//! **Invariants:** an answer to a change means that the change is committed in the topic, and that this instance has
//! read it back. An id is given to one schema of its context, once, for ever: over kills, elections and restarts
//! ([`log`] says how). A topic that Confluent's registry wrote is taken over as it is, and can be given back.
//!
//! **Boundary:** everything goes through the public Kafka protocol, so it runs beside any broker from Kafka 3.0 on.
//! What schemas mean is in the crate `schema`.
//!
//! **Not here:** TLS and SASL to the brokers, and authentication of clients.

pub mod catalog;
pub mod config;
pub mod dek;
pub mod election;
pub mod error;
pub mod exporter;
pub mod http;
pub mod instance;
pub mod log;
mod metrics;
mod outgoing;
pub mod service;
pub mod state;
pub mod subject;

pub use config::RegistryConfig;
pub use error::RegistryError;
pub use instance::{Instance, StartError};
pub use service::Registry;
