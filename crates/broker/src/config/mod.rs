//! The configuration of topics, brokers, groups and client metrics: every key of Apache Kafka 4.4, declared
//! once.
//!
//! Words used here:
//! - the **tables** ([`TOPIC`], [`BROKER`], [`GROUP`], [`CLIENT_METRICS`]) hold the declarations;
//! - **overrides** ([`Overrides`]) are what was set on one resource, as text, before any parsing;
//! - [`BrokerConfigs`] puts a broker's layers over each other: defaults, the properties it started with,
//!   the dynamic default of all brokers, the dynamic configuration of this one;
//! - **settings** ([`TopicSettings`], [`BrokerSettings`]) are plain structs that hot code reads.
//!
//! The names, types, defaults, rules and error texts are those of Apache Kafka (`LogConfig`,
//! `AbstractKafkaConfig`, `GroupConfig`, `ClientMetricsConfigs` of 4.3.1, with the keys that 4.4 added), checked
//! against a running 4.3.1 key by key. The documentation is ours. A key that means nothing here is accepted,
//! validated and described all the same, and says so: a client's provisioning script has to pass.
//!
//! **Invariant:** nothing here does I/O or keeps state; who stores the overrides is
//! `metastore`'s business, who applies a changed setting is the broker's.

pub mod alter;
mod broker;
mod broker_settings;
mod consumer_group_settings;
mod describe;
mod group;
mod layers;
mod remote_settings;
mod rules;
mod schema_validation;
mod settings;
mod share_settings;
mod streams_group_settings;
#[cfg(test)]
mod tests;
mod topic;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base::config::ConfigTable;
use base::config::reference::{Audience, markdown};

pub use alter::{AlterError, AlterOp, Alteration, BrokerScope, Change};
pub use broker_settings::{BrokerSettings, TransactionSettings};
pub use consumer_group_settings::ConsumerGroupSettings;
pub use describe::{
    ConfigEntry, ConfigSource, DescribeOptions, SynonymEntry, describe_broker,
    describe_broker_default, describe_client_metrics, describe_group, describe_topic,
};
pub use layers::{BrokerConfigs, Loaded};
pub use remote_settings::{RemoteLogSettings, RemoteStoreSettings};
pub use schema_validation::SchemaValidation;
pub use settings::{CompressionSetting, FlushPolicy, RemoteSettings, TimestampType, TopicSettings};
pub use share_settings::{Bounded, ShareAutoOffsetReset, ShareGroupSettings, ShareSettings};
pub use streams_group_settings::StreamsGroupSettings;

/// What was set on one resource: key to text, unparsed.
pub type Overrides = BTreeMap<String, String>;

/// The keys of a topic.
pub static TOPIC: LazyLock<ConfigTable> = LazyLock::new(|| ConfigTable::new(topic::sections()));
/// The keys of a broker.
pub static BROKER: LazyLock<ConfigTable> = LazyLock::new(|| ConfigTable::new(broker::sections()));
/// The keys of a group.
pub static GROUP: LazyLock<ConfigTable> = LazyLock::new(|| ConfigTable::new(group::sections()));
/// The keys of a client metrics subscription (KIP-714).
pub static CLIENT_METRICS: LazyLock<ConfigTable> =
    LazyLock::new(|| ConfigTable::new(group::client_metrics_sections()));

/// The reference pages: file name under `docs/reference/` and content.
#[must_use]
pub fn reference_markdown() -> Vec<(&'static str, String)> {
    vec![
        (
            "topic-configs.md",
            markdown(
                "Topic configuration",
                "Set with `--config` when a topic is created, or at any time with \
                 `IncrementalAlterConfigs` (`kafka-configs --entity-type topics`). A key that is not set \
                 follows its server default.",
                &TOPIC,
                Audience::Resource,
            ),
        ),
        (
            "broker-configs.md",
            markdown(
                "Broker configuration",
                "Set in the properties a broker starts with. A key whose update mode is per-broker or \
                 cluster-wide can also be changed while the broker runs (`kafka-configs --entity-type \
                 brokers`); a dynamic value of one broker wins over the dynamic default of all, which \
                 wins over the properties, which win over the default.",
                &BROKER,
                Audience::Server,
            ),
        ),
        (
            "group-configs.md",
            markdown(
                "Group configuration",
                "Set on one group with `kafka-configs --entity-type groups`. A key that is not set \
                 follows the broker key of the same name with the prefix `group.`, where there is one.",
                &GROUP,
                Audience::Resource,
            ),
        ),
        (
            "client-metrics-configs.md",
            markdown(
                "Client metrics configuration",
                "One subscription of client metrics (KIP-714), set with `kafka-configs --entity-type \
                 client-metrics`.",
                &CLIENT_METRICS,
                Audience::Resource,
            ),
        ),
    ]
}
