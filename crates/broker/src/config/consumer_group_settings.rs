//! The consumer protocol's part of a broker's configuration (`GroupCoordinatorConfig`), resolved.

use std::time::Duration;

use super::broker_settings::Reader;
use super::layers::BrokerConfigs;

/// The keys of consumer groups (KIP-848). Each field names the key it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerGroupSettings {
    /// `group.coordinator.rebalance.protocols`: those of all groups.
    pub rebalance_protocols: Vec<String>,
    /// `group.consumer.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `group.consumer.min.session.timeout.ms`.
    pub min_session_timeout: Duration,
    /// `group.consumer.max.session.timeout.ms`.
    pub max_session_timeout: Duration,
    /// `group.consumer.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `group.consumer.min.heartbeat.interval.ms`.
    pub min_heartbeat_interval: Duration,
    /// `group.consumer.max.heartbeat.interval.ms`.
    pub max_heartbeat_interval: Duration,
    /// `group.consumer.assignment.interval.ms`.
    pub assignment_interval: Duration,
    /// `group.consumer.min.assignment.interval.ms`.
    pub min_assignment_interval: Duration,
    /// `group.consumer.max.assignment.interval.ms`.
    pub max_assignment_interval: Duration,
    /// `group.consumer.max.size`.
    pub max_size: usize,
    /// `group.consumer.assignors`, as given.
    pub assignors: Vec<String>,
    /// `group.consumer.migration.policy`, in lower case.
    pub migration_policy: String,
    /// `group.consumer.regex.refresh.interval.ms`.
    pub regex_refresh_interval: Duration,
}

impl ConsumerGroupSettings {
    pub(super) fn resolve(configs: &BrokerConfigs) -> ConsumerGroupSettings {
        let read = Reader(configs);
        let list = |name: &str| configs.list(name).unwrap_or_default();
        let policy = configs.text("group.consumer.migration.policy");
        ConsumerGroupSettings {
            rebalance_protocols: list("group.coordinator.rebalance.protocols"),
            session_timeout: read.ms("group.consumer.session.timeout.ms"),
            min_session_timeout: read.ms("group.consumer.min.session.timeout.ms"),
            max_session_timeout: read.ms("group.consumer.max.session.timeout.ms"),
            heartbeat_interval: read.ms("group.consumer.heartbeat.interval.ms"),
            min_heartbeat_interval: read.ms("group.consumer.min.heartbeat.interval.ms"),
            max_heartbeat_interval: read.ms("group.consumer.max.heartbeat.interval.ms"),
            assignment_interval: read.ms("group.consumer.assignment.interval.ms"),
            min_assignment_interval: read.ms("group.consumer.min.assignment.interval.ms"),
            max_assignment_interval: read.ms("group.consumer.max.assignment.interval.ms"),
            max_size: read.count("group.consumer.max.size"),
            assignors: list("group.consumer.assignors"),
            migration_policy: policy.unwrap_or_default().to_lowercase(),
            regex_refresh_interval: read.ms("group.consumer.regex.refresh.interval.ms"),
        }
    }
}
