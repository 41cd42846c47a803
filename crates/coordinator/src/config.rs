//! The limits and periods of a group coordinator.

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{ConsumerSettings, ShareSettings, StreamsSettings};
use crate::consumer::assignor::Assignor;

/// Which way a live group may change its protocol (`group.consumer.migration.policy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Neither way.
    Disabled,
    /// From the classic protocol to the consumer protocol.
    Upgrade,
    /// From the consumer protocol to the classic protocol.
    Downgrade,
    /// Both ways.
    Bidirectional,
}

/// The part of Kafka's `GroupCoordinatorConfig` that the consumer protocol uses. Defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupConfig {
    /// `group.consumer.session.timeout.ms`: how long a member may be silent.
    pub session_timeout: Duration,
    /// `group.consumer.heartbeat.interval.ms`: how often members are told to send a heartbeat.
    pub heartbeat_interval: Duration,
    /// `group.consumer.assignment.interval.ms`: the least time between two target assignments.
    pub assignment_interval: Duration,
    /// `group.consumer.max.size`: members a group accepts; the next gets GROUP_MAX_SIZE_REACHED.
    pub max_size: usize,
    /// `group.consumer.assignors`: what members may ask for, the default first. Not empty.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`.
    pub migration: MigrationPolicy,
    /// `group.consumer.regex.refresh.interval.ms`: how old the topics that a regular expression matches may
    /// be, whatever happens.
    pub regex_refresh_interval: Duration,
}

impl ConsumerGroupConfig {
    pub(crate) fn settings(&self) -> ConsumerSettings {
        ConsumerSettings {
            session_timeout: self.session_timeout,
            heartbeat_interval: self.heartbeat_interval,
            assignment_interval: self.assignment_interval,
        }
    }

    /// The assignor of a group whose members ask for none.
    pub(crate) fn default_assignor(&self) -> Assignor {
        self.assignors.first().copied().unwrap_or(Assignor::Uniform)
    }
}

impl Default for ConsumerGroupConfig {
    fn default() -> ConsumerGroupConfig {
        ConsumerGroupConfig {
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(5),
            assignment_interval: Duration::from_secs(1),
            max_size: i32::MAX as usize,
            assignors: Assignor::ALL.to_vec(),
            migration: MigrationPolicy::Bidirectional,
            regex_refresh_interval: Duration::from_secs(600),
        }
    }
}

/// The part of Kafka's `GroupCoordinatorConfig` that the streams protocol uses. Defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamsGroupConfig {
    /// `group.streams.max.size`: members a group accepts; the next gets GROUP_MAX_SIZE_REACHED.
    pub max_size: usize,
    /// What is in force for groups that have no values of their own: `group.streams.*`.
    pub settings: StreamsSettings,
}

impl Default for StreamsGroupConfig {
    fn default() -> StreamsGroupConfig {
        StreamsGroupConfig {
            max_size: i32::MAX as usize,
            settings: StreamsSettings {
                session_timeout: Duration::from_secs(45),
                heartbeat_interval: Duration::from_secs(5),
                assignment_interval: Duration::from_secs(1),
                initial_rebalance_delay: Duration::from_secs(3),
                standby_replicas: 0,
                rack_aware_tags: Arc::default(),
                task_offset_interval: Duration::from_secs(60),
                acceptable_recovery_lag: 10_000,
            },
        }
    }
}

/// The part of Kafka's `GroupCoordinatorConfig` that share groups use. Defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareGroupConfig {
    /// `group.share.max.size`: members a group accepts; the next gets GROUP_MAX_SIZE_REACHED.
    pub max_size: usize,
    /// `group.share.initialize.retry.interval.ms`: how long an initialization of share partitions may take before
    /// it is asked for again.
    pub initialize_retry_interval: Duration,
    /// What is in force for groups that have no values of their own: `group.share.*`.
    pub settings: ShareSettings,
}

impl Default for ShareGroupConfig {
    fn default() -> ShareGroupConfig {
        ShareGroupConfig {
            max_size: 200,
            initialize_retry_interval: Duration::from_secs(30),
            settings: ShareSettings {
                session_timeout: Duration::from_secs(45),
                heartbeat_interval: Duration::from_secs(5),
                assignment_interval: Duration::from_secs(1),
            },
        }
    }
}

/// Kafka's `GroupCoordinatorConfig`: what all groups and those of the classic protocol use. Defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`: JoinGroup with less gets INVALID_SESSION_TIMEOUT.
    pub min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`: JoinGroup with more gets INVALID_SESSION_TIMEOUT.
    pub max_session_timeout: Duration,
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members before its
    /// first generation. Zero makes tests fast and real groups rebalance several times while they start.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`: members a group accepts; the next gets GROUP_MAX_SIZE_REACHED.
    pub max_size: usize,
    /// `offset.metadata.max.bytes`: the longest metadata string of a commit, in UTF-16 code units, which
    /// is what Kafka measures despite the name.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`: how long a group that is empty keeps its offsets.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`: how often expired offsets and empty groups are removed.
    pub offsets_retention_check_interval: Duration,
    /// `offsets.commit.timeout.ms`: how long a request waits for its append. The append may still become
    /// durable after that; its effect is then applied, and the client has been told to retry.
    pub commit_timeout: Duration,
    /// The consumer protocol's own.
    pub consumer: ConsumerGroupConfig,
    /// The streams protocol's own.
    pub streams: StreamsGroupConfig,
    /// Share groups' own.
    pub share: ShareGroupConfig,
}

impl Default for GroupConfig {
    fn default() -> GroupConfig {
        GroupConfig {
            min_session_timeout: Duration::from_secs(6),
            max_session_timeout: Duration::from_secs(30 * 60),
            initial_rebalance_delay: Duration::from_secs(3),
            max_size: i32::MAX as usize,
            offset_metadata_max_bytes: 4096,
            offsets_retention: Duration::from_secs(7 * 24 * 60 * 60),
            offsets_retention_check_interval: Duration::from_secs(600),
            commit_timeout: Duration::from_secs(5),
            consumer: ConsumerGroupConfig::default(),
            streams: StreamsGroupConfig::default(),
            share: ShareGroupConfig::default(),
        }
    }
}
