//! What is in force for streams groups: the broker's settings, and what is set on a group.

use std::collections::BTreeMap;
use std::time::Duration;

use coordinator::{StreamsGroupConfig, StreamsSettings};

use crate::config::StreamsGroupSettings;

/// The streams protocol's part of the broker's settings.
pub(super) fn config(settings: &StreamsGroupSettings) -> StreamsGroupConfig {
    StreamsGroupConfig {
        max_size: settings.max_size,
        settings: of_group(settings, None),
    }
}

/// What is in force for a group with these configs of its own. Its values are within the broker's bounds, also when
/// those have changed since they were set.
pub(super) fn of_group(
    settings: &StreamsGroupSettings,
    own: Option<&BTreeMap<String, String>>,
) -> StreamsSettings {
    let number = |name: &str| -> Option<u64> { own?.get(name)?.trim().parse().ok() };
    let ms = |name: &str, default: Duration, min: Duration, max: Duration| {
        number(name).map_or(default, |ms| {
            Duration::from_millis(ms).clamp(min, max.max(min))
        })
    };
    let tags = own.and_then(|own| own.get("streams.rack.aware.assignment.tags"));
    let tags = tags.map(|tags| {
        let tags = tags.split(',').map(str::trim);
        tags.filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect()
    });
    let standby =
        number("streams.num.standby.replicas").and_then(|value| usize::try_from(value).ok());
    let lag = number("streams.acceptable.recovery.lag").and_then(|lag| i64::try_from(lag).ok());
    StreamsSettings {
        session_timeout: ms(
            "streams.session.timeout.ms",
            settings.session_timeout,
            settings.min_session_timeout,
            settings.max_session_timeout,
        ),
        heartbeat_interval: ms(
            "streams.heartbeat.interval.ms",
            settings.heartbeat_interval,
            settings.min_heartbeat_interval,
            settings.max_heartbeat_interval,
        ),
        assignment_interval: ms(
            "streams.assignment.interval.ms",
            settings.assignment_interval,
            settings.min_assignment_interval,
            settings.max_assignment_interval,
        ),
        initial_rebalance_delay: ms(
            "streams.initial.rebalance.delay.ms",
            settings.initial_rebalance_delay,
            Duration::ZERO,
            Duration::MAX,
        ),
        standby_replicas: standby.map_or(settings.standby_replicas, |standby| {
            standby.min(settings.max_standby_replicas)
        }),
        rack_aware_tags: tags.unwrap_or_else(|| settings.rack_aware_tags.clone()),
        task_offset_interval: ms(
            "streams.task.offset.interval.ms",
            settings.task_offset_interval,
            settings.min_task_offset_interval,
            Duration::MAX,
        ),
        acceptable_recovery_lag: lag.unwrap_or(settings.acceptable_recovery_lag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> StreamsGroupSettings {
        let configs = crate::config::BrokerConfigs::default();
        crate::config::BrokerSettings::resolve(&configs).group_streams
    }

    #[test]
    fn defaults_are_kafkas() {
        let config = config(&settings());
        assert_eq!(config, StreamsGroupConfig::default());
    }

    #[test]
    fn a_groups_own_values_stay_within_bounds() {
        let own = BTreeMap::from([
            ("streams.session.timeout.ms".to_owned(), "50000".to_owned()),
            ("streams.heartbeat.interval.ms".to_owned(), "1".to_owned()),
            ("streams.num.standby.replicas".to_owned(), "9".to_owned()),
            (
                "streams.rack.aware.assignment.tags".to_owned(),
                "zone, rack".to_owned(),
            ),
            (
                "streams.initial.rebalance.delay.ms".to_owned(),
                "0".to_owned(),
            ),
        ]);
        let settings = of_group(&settings(), Some(&own));
        assert_eq!(settings.session_timeout, Duration::from_secs(50));
        assert_eq!(settings.heartbeat_interval, Duration::from_secs(5));
        assert_eq!(settings.standby_replicas, 2);
        assert_eq!(*settings.rack_aware_tags, ["zone", "rack"]);
        assert_eq!(settings.initial_rebalance_delay, Duration::ZERO);
    }
}
