//! How everything beside the broker talks to a broker: the public Kafka protocol, twice.
//!
//! - [`Connection`] is one TCP connection that speaks [`wire`]'s messages: version negotiation, pipelining,
//!   timeouts, bounds. [`Admin`] stands on it: metadata, topics, configs, groups, offsets, lag. It finds the
//!   controller and the coordinators, and tries again while leadership moves.
//! - [`data`] is the producer and the consumer of `rdkafka` (librdkafka), thinly re-exported.
//!
//! Why both? A producer and a group consumer are years of work on batching, rebalancing, back-pressure and
//! fetch sessions, and librdkafka has had those years; a second implementation would be a worse one. Requests
//! one by one are the opposite case: librdkafka's admin surface lags behind the protocol, hides the error
//! messages and the versions, and blocks on its own threads, while `wire` already has every message of every
//! version. A service picks by what it does: records through [`data`], questions through [`Admin`].
//!
//! **Invariants:** nothing here knows the broker crate, so each part also runs against Apache Kafka (brokers
//! from 3.0). Every wait has a limit, every queue and frame a bound.
//!
//! **Not here:** TLS and SASL for [`Connection`]; [`data`] has them by librdkafka's own settings.

pub mod admin;
pub mod connection;
pub mod data;
pub mod error;

pub use admin::{Admin, AdminOptions};
pub use connection::{Connection, ConnectionOptions};
pub use error::{ClientError, CloseReason, KafkaError};
