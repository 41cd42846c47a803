//! The limits and periods of a group coordinator.

use std::time::Duration;

/// The part of Kafka's `GroupCoordinatorConfig` that the classic protocol uses. Defaults are Kafka's.
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
        }
    }
}
