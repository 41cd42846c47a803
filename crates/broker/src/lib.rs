//! The Kafka-compatible broker: listeners, request pipeline, one handler per API key.
//!
//! ```text
//!  listener ─ connection ─ dispatch ─┬─ handlers::produce ── storage (enqueue) ┄ durable ┄▶ answer
//!                                    ├─ handlers::fetch ──── storage (file ranges, shared buffers)
//!                                    ├─ handlers::*_group ── coordination (a task a partition) ── coordinator
//!                                    └─ handlers::create_topics, … ── controller ── metastore, storage
//! ```
//!
//! - [`Broker::start`] opens the data directory, binds the listeners and accepts; [`Broker::shutdown`] drains
//!   and checkpoints.
//! - `connection` keeps the order of requests and bounds what is in flight; `dispatch` decodes and routes;
//!   each file of `handlers` is one API.
//! - `client_telemetry` asks clients for their metrics and keeps the last ones for export.
//! - `quota` limits what users, clients and addresses may use; a connection over its limit is muted.
//! - `record_validator` is how whoever starts the broker judges records by their schemas.
//! - `controller` changes topics and configs; `coordination` gives coordinators their I/O, `groups` and
//!   `transactions` are two of them; [`config`] declares every configuration key.
//!
//! **Invariants**
//! - *Order now, ack later*: a connection's produce requests are enqueued in their order, their answers wait in
//!   a bounded FIFO; storage latency never delays the taking of requests.
//! - A response is only ever of a version that was asked for, and ApiVersions advertises what is answered.
//! - Bytes from a client never panic: they get Kafka's error, or the connection is closed with one log line.
//!
//! **API boundary:** nothing here knows HTTP services; they reach the broker through the protocol.

mod accept;
mod api_versions;
mod client_telemetry;
pub mod config;
mod connection;
mod controller;
mod coordination;
mod dispatch;
mod errors;
mod features;
mod fetch;
mod groups;
mod handlers;
mod listener;
mod log_levels;
mod producer_ids;
mod quota;
mod record_validator;
mod request;
mod server;
mod settings;
mod share;
mod start;
mod tasks;
mod telemetry;
mod tiering;
mod topics;
mod transactions;

pub use client_telemetry::ClientMetrics;
pub use log_levels::{LogLevel, LogLevels, ROOT_LOGGER};
pub use record_validator::{RecordValidator, RefusedRecord, ValidatorUnavailable, Verdict};
pub use start::{BoundListener, Broker, BrokerOptions, StartError};
pub use tiering::offline::{RemotePart, RemotePartError, remote_store};
