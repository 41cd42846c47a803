//! The suites, one file a client.

pub mod connect;
pub mod exactly_once;
pub mod java_client;
pub mod java_messages;
pub mod java_tools;
pub mod kafka_python;
pub mod kcat;
pub mod librdkafka;
mod program;
pub mod rdkafka;
mod registry;
pub mod rest_proxy;
pub mod schema_registry;
pub mod schemathesis;
pub mod serdes;
pub mod serdes_java;
pub mod serdes_js;
mod service;
pub mod streams;
pub mod streams_group;
pub mod tiered;

use crate::suite::Suite;
use librdkafka::{Edition, GroupProtocol};

/// Broker properties of suites that make many share groups: the first member of one hears of its partitions with its
/// second heartbeat, which by default is due after five seconds.
const SHARE_HEARTBEATS: [(&str, &str); 2] = [
    ("group.share.min.heartbeat.interval.ms", "1000"),
    ("group.share.heartbeat.interval.ms", "1000"),
];

/// All suites in the order they run: the quickest answer first.
pub fn all() -> Vec<Box<dyn Suite>> {
    vec![
        Box::new(kcat::Kcat),
        Box::new(java_tools::JavaTools),
        Box::new(java_client::JavaClient),
        Box::new(java_messages::JavaMessages),
        Box::new(streams::Streams),
        Box::new(streams_group::StreamsGroup),
        Box::new(connect::Connect),
        Box::new(exactly_once::ExactlyOnce),
        Box::new(schema_registry::SchemaRegistry),
        Box::new(tiered::Tiered),
        Box::new(rest_proxy::RestProxy),
        Box::new(serdes::Serdes),
        Box::new(serdes_js::SerdesJs),
        Box::new(serdes_java::SerdesJava),
        Box::new(schemathesis::Schemathesis),
        Box::new(rdkafka::Rdkafka),
        Box::new(kafka_python::KafkaPython),
        Box::new(librdkafka::Librdkafka {
            scenario: "noautocreate",
            group_protocol: GroupProtocol::Classic,
            edition: Edition::Crate,
        }),
        Box::new(librdkafka::Librdkafka {
            scenario: "default",
            group_protocol: GroupProtocol::Classic,
            edition: Edition::Crate,
        }),
        Box::new(librdkafka::Librdkafka {
            scenario: "default",
            group_protocol: GroupProtocol::Consumer,
            edition: Edition::Crate,
        }),
        Box::new(librdkafka::Librdkafka {
            scenario: "default",
            group_protocol: GroupProtocol::Consumer,
            edition: Edition::Share,
        }),
    ]
}
