//! The streams protocol's part of a broker's configuration (`GroupCoordinatorConfig`), resolved.

use std::sync::Arc;
use std::time::Duration;

use super::broker_settings::Reader;
use super::layers::BrokerConfigs;

/// The keys of streams groups (KIP-1071). Each field names the key it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsGroupSettings {
    /// `group.streams.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `group.streams.min.session.timeout.ms`.
    pub min_session_timeout: Duration,
    /// `group.streams.max.session.timeout.ms`.
    pub max_session_timeout: Duration,
    /// `group.streams.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `group.streams.min.heartbeat.interval.ms`.
    pub min_heartbeat_interval: Duration,
    /// `group.streams.max.heartbeat.interval.ms`.
    pub max_heartbeat_interval: Duration,
    /// `group.streams.assignment.interval.ms`.
    pub assignment_interval: Duration,
    /// `group.streams.min.assignment.interval.ms`.
    pub min_assignment_interval: Duration,
    /// `group.streams.max.assignment.interval.ms`.
    pub max_assignment_interval: Duration,
    /// `group.streams.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `group.streams.max.size`.
    pub max_size: usize,
    /// `group.streams.num.standby.replicas`.
    pub standby_replicas: usize,
    /// `group.streams.max.standby.replicas`.
    pub max_standby_replicas: usize,
    /// `group.streams.rack.aware.assignment.tags`.
    pub rack_aware_tags: Arc<[String]>,
    /// `group.streams.task.offset.interval.ms`.
    pub task_offset_interval: Duration,
    /// `group.streams.min.task.offset.interval.ms`.
    pub min_task_offset_interval: Duration,
    /// `group.streams.acceptable.recovery.lag`, in records.
    pub acceptable_recovery_lag: i64,
}

impl StreamsGroupSettings {
    pub(super) fn resolve(configs: &BrokerConfigs) -> StreamsGroupSettings {
        let read = Reader(configs);
        let tags = configs.list("group.streams.rack.aware.assignment.tags");
        StreamsGroupSettings {
            session_timeout: read.ms("group.streams.session.timeout.ms"),
            min_session_timeout: read.ms("group.streams.min.session.timeout.ms"),
            max_session_timeout: read.ms("group.streams.max.session.timeout.ms"),
            heartbeat_interval: read.ms("group.streams.heartbeat.interval.ms"),
            min_heartbeat_interval: read.ms("group.streams.min.heartbeat.interval.ms"),
            max_heartbeat_interval: read.ms("group.streams.max.heartbeat.interval.ms"),
            assignment_interval: read.ms("group.streams.assignment.interval.ms"),
            min_assignment_interval: read.ms("group.streams.min.assignment.interval.ms"),
            max_assignment_interval: read.ms("group.streams.max.assignment.interval.ms"),
            initial_rebalance_delay: read.ms("group.streams.initial.rebalance.delay.ms"),
            max_size: read.count("group.streams.max.size"),
            standby_replicas: read.count("group.streams.num.standby.replicas"),
            max_standby_replicas: read.count("group.streams.max.standby.replicas"),
            rack_aware_tags: tags.unwrap_or_default().into(),
            task_offset_interval: read.ms("group.streams.task.offset.interval.ms"),
            min_task_offset_interval: read.ms("group.streams.min.task.offset.interval.ms"),
            acceptable_recovery_lag: read.long("group.streams.acceptable.recovery.lag"),
        }
    }
}
