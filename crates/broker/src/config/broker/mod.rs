//! The keys of a broker (`org.apache.kafka.server.config.AbstractKafkaConfig`, Apache Kafka 4.4), by area.

mod coordinator;
mod groups;
mod log;
mod metrics;
mod oauth;
mod quorum;
mod quota;
mod remote;
mod replication;
mod security;
mod server;
mod socket;
mod transaction;

use base::config::ConfigSection;

/// The sections in the order of the reference page.
pub(super) fn sections() -> Vec<&'static ConfigSection> {
    vec![
        &socket::LISTENERS,
        &socket::CONNECTIONS,
        &server::TOPICS,
        &server::SERVER,
        &log::LOG,
        &log::CLEANER,
        &replication::REPLICATION,
        &coordinator::CLASSIC,
        &coordinator::OFFSETS,
        &groups::CONSUMER_GROUPS,
        &groups::SHARE_GROUPS,
        &groups::SHARE_STATE,
        &groups::STREAMS_GROUPS,
        &transaction::TRANSACTIONS,
        &transaction::PRODUCERS,
        &quota::QUOTAS,
        &metrics::METRICS,
        &security::SSL,
        &security::SASL,
        &oauth::OAUTH,
        &oauth::TOKENS,
        &quorum::QUORUM,
        &remote::REMOTE,
    ]
}
