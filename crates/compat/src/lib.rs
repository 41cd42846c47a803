//! The compat lane: real Kafka clients, run case by case against Affluent and against Apache Kafka itself.
//!
//! Nobody here wrote the clients: kcat, Apache Kafka's Java client, command-line tools, Streams and Connect,
//! librdkafka's own test-suite, confluent-kafka, the tests of the `rdkafka` crate and kafka-python's integration
//! tests; for the services, Confluent's serialisers for Python, Node and Java, and requests made from OpenAPI files.
//! Each case runs against a fresh broker on a free port of the loopback interface; the same case against Apache Kafka
//! 4.3.1 tells a difference between the two brokers from a fault of the test.
//!
//! Words used here:
//! - a **target** is a running broker, ours or Apache Kafka ([`target::Target`]);
//! - a **suite** is what one client brings ([`suite::Suite`]), a **case** one thing it does;
//! - a **transcript** in `crates/compat/transcripts/` is a case that says what tools print of Apache Kafka, word for word;
//! - the **expected** lists in `crates/compat/expected/` say which cases must pass and why each other one need not;
//! - the **record** in `docs/results/compat.json` keeps each suite's last result on each target.
//!
//! Invariants: nothing is written inside the checkout but the record; downloads and builds go to the
//! [`cache::Cache`]; every process started here is stopped, by its process group, when its owner is dropped.
//! This crate depends on no other crate of the workspace: a client harness that shared the codec with the broker
//! could share its mistakes.

#![expect(
    clippy::print_stderr,
    reason = "the lane tells the person at the terminal how far it is"
)]

pub mod affluent;
mod azurite;
pub mod cache;
pub mod clients;
pub mod expected;
pub mod kafka;
pub mod lane;
mod npm;
pub mod object_server;
pub mod oracle;
pub mod probe;
pub mod process;
mod python;
pub mod record;
mod rest;
pub mod seaweedfs;
pub mod suite;
pub mod target;
