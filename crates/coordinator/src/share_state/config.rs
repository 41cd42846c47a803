//! The limits and periods of a share coordinator.

use std::time::Duration;

/// What Kafka's `ShareCoordinatorConfig` says. Defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareStateConfig {
    /// `share.coordinator.snapshot.update.records.per.snapshot`: updates of a share partition between two
    /// snapshots of it. More make writes smaller and loading longer.
    pub updates_per_snapshot: i32,
    /// `share.coordinator.state.topic.prune.interval.ms`: how often records that are no longer needed are given
    /// up.
    pub prune_interval: Duration,
    /// `share.coordinator.cold.partition.snapshot.interval.ms`: how old a snapshot may get before another is
    /// written in its place, and how often that is looked after.
    pub cold_snapshot_interval: Duration,
}

impl Default for ShareStateConfig {
    fn default() -> ShareStateConfig {
        ShareStateConfig {
            updates_per_snapshot: 500,
            prune_interval: Duration::from_secs(5 * 60),
            cold_snapshot_interval: Duration::from_secs(5 * 60),
        }
    }
}
