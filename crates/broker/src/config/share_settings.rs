//! The share groups' part of a broker's configuration (`GroupCoordinatorConfig`, `ShareGroupConfig`,
//! `ShareCoordinatorConfig`), resolved, and what is in force for one group.

use std::time::Duration;

use super::Overrides;
use super::broker_settings::Reader;
use super::layers::BrokerConfigs;
use super::rules::iso_duration;

/// A value that a group may set, and the bounds the broker puts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounded<T> {
    /// Of a group that sets none.
    pub default: T,
    /// The least a group may have.
    pub min: T,
    /// The most a group may have.
    pub max: T,
}

impl<T: Ord + Copy> Bounded<T> {
    /// A group's own value is within the bounds, also when those have changed since it was set.
    fn within(self, own: Option<T>) -> T {
        own.map_or(self.default, |own| {
            own.clamp(self.min, self.max.max(self.min))
        })
    }
}

/// The keys of share groups (KIP-932). Each field names the key it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareSettings {
    /// `group.share.session.timeout.ms`, `group.share.min.`, `group.share.max.session.timeout.ms`.
    pub session_timeout: Bounded<Duration>,
    /// `group.share.heartbeat.interval.ms`, `group.share.min.`, `group.share.max.heartbeat.interval.ms`.
    pub heartbeat_interval: Bounded<Duration>,
    /// `group.share.assignment.interval.ms`, `group.share.min.`, `group.share.max.assignment.interval.ms`.
    pub assignment_interval: Bounded<Duration>,
    /// `group.share.max.size`.
    pub max_size: usize,
    /// `group.share.initialize.retry.interval.ms`.
    pub initialize_retry_interval: Duration,
    /// `group.share.record.lock.duration.ms`, `group.share.min.`, `group.share.max.record.lock.duration.ms`.
    pub record_lock_duration: Bounded<Duration>,
    /// `group.share.delivery.count.limit`, `group.share.min.`, `group.share.max.delivery.count.limit`.
    pub delivery_count_limit: Bounded<i16>,
    /// `group.share.partition.max.record.locks`, `group.share.min.`,
    /// `group.share.max.partition.max.record.locks`.
    pub partition_max_record_locks: Bounded<i32>,
    /// `group.share.max.share.sessions`.
    pub max_share_sessions: usize,
    /// `share.coordinator.state.topic.num.partitions`.
    pub state_topic_num_partitions: i32,
    /// `share.coordinator.state.topic.segment.bytes`.
    pub state_topic_segment_bytes: i32,
    /// `share.coordinator.state.topic.prune.interval.ms`.
    pub prune_interval: Duration,
    /// `share.coordinator.cold.partition.snapshot.interval.ms`.
    pub cold_snapshot_interval: Duration,
    /// `share.coordinator.snapshot.update.records.per.snapshot`.
    pub updates_per_snapshot: i32,
}

/// Where a share partition begins that nothing was written of (`share.auto.offset.reset`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareAutoOffsetReset {
    /// At the log's end.
    Latest,
    /// At the log's start.
    Earliest,
    /// At the first record that is at most this old.
    ByDuration(Duration),
}

/// What is in force for one share group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareGroupSettings {
    /// `share.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `share.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `share.assignment.interval.ms`.
    pub assignment_interval: Duration,
    /// `share.record.lock.duration.ms`.
    pub record_lock_duration: Duration,
    /// `share.delivery.count.limit`.
    pub delivery_count_limit: i16,
    /// `share.partition.max.record.locks`.
    pub partition_max_record_locks: i32,
    /// `share.auto.offset.reset`.
    pub auto_offset_reset: ShareAutoOffsetReset,
    /// Whether `share.isolation.level` is `read_committed`.
    pub read_committed: bool,
    /// `share.renew.acknowledge.enable`.
    pub renew_acknowledge_enable: bool,
}

impl ShareSettings {
    pub(super) fn resolve(configs: &BrokerConfigs) -> ShareSettings {
        let read = Reader(configs);
        let ms = |what: &str| Bounded {
            default: read.ms(&format!("group.share.{what}.ms")),
            min: read.ms(&format!("group.share.min.{what}.ms")),
            max: read.ms(&format!("group.share.max.{what}.ms")),
        };
        ShareSettings {
            session_timeout: ms("session.timeout"),
            heartbeat_interval: ms("heartbeat.interval"),
            assignment_interval: ms("assignment.interval"),
            max_size: read.count("group.share.max.size"),
            initialize_retry_interval: read.ms("group.share.initialize.retry.interval.ms"),
            record_lock_duration: ms("record.lock.duration"),
            delivery_count_limit: Bounded {
                default: read.short("group.share.delivery.count.limit"),
                min: read.short("group.share.min.delivery.count.limit"),
                max: read.short("group.share.max.delivery.count.limit"),
            },
            partition_max_record_locks: Bounded {
                default: read.int("group.share.partition.max.record.locks"),
                min: read.int("group.share.min.partition.max.record.locks"),
                max: read.int("group.share.max.partition.max.record.locks"),
            },
            max_share_sessions: read.count("group.share.max.share.sessions"),
            state_topic_num_partitions: read.int("share.coordinator.state.topic.num.partitions"),
            state_topic_segment_bytes: read.int("share.coordinator.state.topic.segment.bytes"),
            prune_interval: read.ms("share.coordinator.state.topic.prune.interval.ms"),
            cold_snapshot_interval: read
                .ms("share.coordinator.cold.partition.snapshot.interval.ms"),
            updates_per_snapshot: read
                .int("share.coordinator.snapshot.update.records.per.snapshot"),
        }
    }

    /// What is in force for a group on which `own` was set, if anything.
    #[must_use]
    pub fn of_group(&self, own: Option<&Overrides>) -> ShareGroupSettings {
        let text = |name: &str| own.and_then(|own| own.get(name)).map(|value| value.trim());
        let ms = |name: &str| Some(Duration::from_millis(text(name)?.parse().ok()?));
        ShareGroupSettings {
            session_timeout: self.session_timeout.within(ms("share.session.timeout.ms")),
            heartbeat_interval: self
                .heartbeat_interval
                .within(ms("share.heartbeat.interval.ms")),
            assignment_interval: self
                .assignment_interval
                .within(ms("share.assignment.interval.ms")),
            record_lock_duration: self
                .record_lock_duration
                .within(ms("share.record.lock.duration.ms")),
            delivery_count_limit: self
                .delivery_count_limit
                .within(text("share.delivery.count.limit").and_then(|value| value.parse().ok())),
            partition_max_record_locks: self.partition_max_record_locks.within(
                text("share.partition.max.record.locks").and_then(|value| value.parse().ok()),
            ),
            auto_offset_reset: auto_offset_reset(text("share.auto.offset.reset")),
            read_committed: text("share.isolation.level") == Some("read_committed"),
            renew_acknowledge_enable: text("share.renew.acknowledge.enable")
                .is_none_or(|value| value.eq_ignore_ascii_case("true")),
        }
    }
}

fn auto_offset_reset(value: Option<&str>) -> ShareAutoOffsetReset {
    match value {
        Some("earliest") => ShareAutoOffsetReset::Earliest,
        Some(value) => value
            .strip_prefix("by_duration:")
            .and_then(iso_duration)
            .map_or(
                ShareAutoOffsetReset::Latest,
                ShareAutoOffsetReset::ByDuration,
            ),
        None => ShareAutoOffsetReset::Latest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(own: &[(&str, &str)]) -> ShareGroupSettings {
        let settings = ShareSettings::resolve(&BrokerConfigs::default());
        let own = own.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        settings.of_group(Some(&own.collect()))
    }

    #[test]
    fn a_group_without_values_has_kafkas_defaults() {
        let settings = of(&[]);
        assert_eq!(settings.session_timeout, Duration::from_secs(45));
        assert_eq!(settings.heartbeat_interval, Duration::from_secs(5));
        assert_eq!(settings.record_lock_duration, Duration::from_secs(30));
        assert_eq!(settings.delivery_count_limit, 5);
        assert_eq!(settings.partition_max_record_locks, 2000);
        assert_eq!(settings.auto_offset_reset, ShareAutoOffsetReset::Latest);
        assert!(!settings.read_committed && settings.renew_acknowledge_enable);
    }

    #[test]
    fn a_groups_own_values_are_kept_within_the_brokers_bounds() {
        assert_eq!(
            of(&[("share.delivery.count.limit", "7")]).delivery_count_limit,
            7
        );
        assert_eq!(
            of(&[("share.delivery.count.limit", "99")]).delivery_count_limit,
            10
        );
        let day = of(&[("share.auto.offset.reset", "by_duration:P1DT1.5S")]);
        let expected = Duration::from_millis(24 * 60 * 60 * 1000 + 1500);
        assert_eq!(
            day.auto_offset_reset,
            ShareAutoOffsetReset::ByDuration(expected)
        );
        assert!(of(&[("share.isolation.level", "read_committed")]).read_committed);
        assert!(!of(&[("share.renew.acknowledge.enable", "false")]).renew_acknowledge_enable);
    }
}
