//! Rules that one key or a few keys have to themselves, with Kafka's texts.

use std::time::Duration;

use base::config::{ConfigError, ConfigValue};

/// `CompressionType.GZIP.levelValidator`: -1 is the library's own choice.
pub(super) fn gzip_level(name: &str, value: &ConfigValue) -> Result<(), ConfigError> {
    match value {
        ConfigValue::Integer(-1 | 1..=9) => Ok(()),
        other => Err(ConfigError::invalid(
            name,
            other,
            "Value must be between 1 and 9 or equal to -1",
        )),
    }
}

/// `ThrottledReplicaListValidator`: `*`, or partition:broker pairs.
pub(super) fn throttled_replicas(name: &str, value: &ConfigValue) -> Result<(), ConfigError> {
    let ConfigValue::List(elements) = value else {
        return Ok(());
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_replica = |element: &String| {
        element.is_empty()
            || element
                .split_once(':')
                .is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
    };
    if elements.iter().all(is_replica) || elements.concat() == "*" {
        return Ok(());
    }
    Err(ConfigError::invalid(
        name,
        format!("[{}]", elements.join(", ")),
        format!(
            "{name} must be the literal '*' or a list of replicas in the following format: \
             [partitionId]:[brokerId],[partitionId]:[brokerId],..."
        ),
    ))
}

/// `QuorumConfig.ControllerQuorumVotersValidator`.
pub(super) fn quorum_voters(name: &str, value: &ConfigValue) -> Result<(), ConfigError> {
    let ConfigValue::List(voters) = value else {
        return Ok(());
    };
    let is_voter = |voter: &String| {
        voter.split_once('@').is_some_and(|(id, address)| {
            id.parse::<i32>().is_ok() && host_and_port(address).is_some()
        })
    };
    if voters.iter().all(is_voter) {
        return Ok(());
    }
    Err(ConfigError::Rejected(format!(
        "Invalid configuration value for {name}. Each entry should be in the form `{{id}}@{{host}}:{{port}}`."
    )))
}

/// `QuorumConfig.ControllerQuorumBootstrapServersValidator`.
pub(super) fn bootstrap_servers(name: &str, value: &ConfigValue) -> Result<(), ConfigError> {
    let ConfigValue::List(servers) = value else {
        return Ok(());
    };
    match servers
        .iter()
        .find(|server| host_and_port(server).is_none())
    {
        None => Ok(()),
        Some(server) => Err(ConfigError::Rejected(format!(
            "Failed to parse host name from {server} for the configuration {name}. \
             Each entry should be in the form \"{{host}}:{{port}}\""
        ))),
    }
}

fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    if host.is_empty() {
        None
    } else {
        Some((host, port.parse().ok()?))
    }
}

/// `authorizer.class.name` is a string in Kafka, but a class that does not exist stops the server; a
/// misspelt authorizer must not silently leave the broker open.
pub(super) fn authorizer(name: &str, value: &ConfigValue) -> Result<(), ConfigError> {
    const STANDARD: &str = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
    match value {
        ConfigValue::Text(text) if text.is_empty() || text == STANDARD => Ok(()),
        other => Err(ConfigError::invalid(
            name,
            other,
            format!("Class {other} could not be found."),
        )),
    }
}

/// `ShareGroupAutoOffsetResetStrategy.Validator`.
pub(super) fn share_auto_offset_reset(name: &str, value: &ConfigValue) -> Result<(), ConfigError> {
    let ConfigValue::Text(text) = value else {
        return Ok(());
    };
    let valid = match text.strip_prefix("by_duration:") {
        Some(duration) => iso_duration(duration).is_some(),
        None => text == "earliest" || text == "latest",
    };
    if valid {
        return Ok(());
    }
    Err(ConfigError::invalid(
        name,
        text,
        format!(
            "Invalid value `{text}` for configuration {name}. The value must be either 'earliest', \
             'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'."
        ),
    ))
}

/// The durations `java.time.Duration.parse` takes, negative ones left out: `PnDTnHnMn.nS` in any case. One that
/// is too long for a [`Duration`] is none.
pub(super) fn iso_duration(text: &str) -> Option<Duration> {
    let upper = text.to_ascii_uppercase();
    let rest = upper.strip_prefix('P')?;
    let (days, time) = match rest.split_once('T') {
        Some((days, time)) => (days, Some(time)),
        None => (rest, None),
    };
    let mut total = Duration::ZERO;
    if !days.is_empty() {
        let (amount, rest) = take_amount(days, 'D', 24 * 60 * 60)?;
        total = total.checked_add(amount)?;
        if !rest.is_empty() {
            return None;
        }
    }
    let Some(time) = time else {
        return (!days.is_empty()).then_some(total);
    };
    let mut rest = time;
    for (unit, seconds) in [('H', 60 * 60), ('M', 60), ('S', 1)] {
        if let Some((amount, after)) = take_amount(rest, unit, seconds) {
            total = total.checked_add(amount)?;
            rest = after;
        }
    }
    (!time.is_empty() && rest.is_empty()).then_some(total)
}

/// Takes digits followed by `unit`, which is this many seconds, off the front of `text`; only seconds have a
/// fraction, of up to nine digits.
fn take_amount(text: &str, unit: char, unit_seconds: u64) -> Option<(Duration, &str)> {
    let (amount, rest) = text.split_once(unit)?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (whole, decimals) = match amount.split_once('.') {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (amount, None),
    };
    let nanos = match decimals {
        None => 0,
        Some(decimals) if unit_seconds == 1 && digits(decimals) && decimals.len() <= 9 => {
            format!("{decimals:0<9}").parse().ok()?
        }
        Some(_) => return None,
    };
    if !digits(whole) {
        return None;
    }
    let seconds = whole.parse::<u64>().ok()?.checked_mul(unit_seconds)?;
    Some((Duration::new(seconds, nanos), rest))
}

/// Pairs of broker keys of which the first may not be below the second
/// (`GroupCoordinatorConfig`, `ShareGroupConfig`).
pub(super) const ORDERED: &[(&str, &str)] = &[
    (
        "group.consumer.max.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
    ),
    (
        "group.consumer.heartbeat.interval.ms",
        "group.consumer.min.heartbeat.interval.ms",
    ),
    (
        "group.consumer.max.heartbeat.interval.ms",
        "group.consumer.heartbeat.interval.ms",
    ),
    (
        "group.consumer.max.session.timeout.ms",
        "group.consumer.min.session.timeout.ms",
    ),
    (
        "group.consumer.session.timeout.ms",
        "group.consumer.min.session.timeout.ms",
    ),
    (
        "group.consumer.max.session.timeout.ms",
        "group.consumer.session.timeout.ms",
    ),
    (
        "group.consumer.max.assignment.interval.ms",
        "group.consumer.assignment.interval.ms",
    ),
    (
        "group.consumer.assignment.interval.ms",
        "group.consumer.min.assignment.interval.ms",
    ),
    (
        "group.share.max.heartbeat.interval.ms",
        "group.share.min.heartbeat.interval.ms",
    ),
    (
        "group.share.heartbeat.interval.ms",
        "group.share.min.heartbeat.interval.ms",
    ),
    (
        "group.share.max.heartbeat.interval.ms",
        "group.share.heartbeat.interval.ms",
    ),
    (
        "group.share.max.session.timeout.ms",
        "group.share.min.session.timeout.ms",
    ),
    (
        "group.share.session.timeout.ms",
        "group.share.min.session.timeout.ms",
    ),
    (
        "group.share.max.session.timeout.ms",
        "group.share.session.timeout.ms",
    ),
    (
        "group.share.max.record.lock.duration.ms",
        "group.share.record.lock.duration.ms",
    ),
    (
        "group.share.record.lock.duration.ms",
        "group.share.min.record.lock.duration.ms",
    ),
    (
        "group.share.max.delivery.count.limit",
        "group.share.delivery.count.limit",
    ),
    (
        "group.share.delivery.count.limit",
        "group.share.min.delivery.count.limit",
    ),
    (
        "group.share.max.partition.max.record.locks",
        "group.share.partition.max.record.locks",
    ),
    (
        "group.share.partition.max.record.locks",
        "group.share.min.partition.max.record.locks",
    ),
    (
        "group.streams.max.heartbeat.interval.ms",
        "group.streams.min.heartbeat.interval.ms",
    ),
    (
        "group.streams.heartbeat.interval.ms",
        "group.streams.min.heartbeat.interval.ms",
    ),
    (
        "group.streams.max.heartbeat.interval.ms",
        "group.streams.heartbeat.interval.ms",
    ),
    (
        "group.streams.max.session.timeout.ms",
        "group.streams.min.session.timeout.ms",
    ),
    (
        "group.streams.session.timeout.ms",
        "group.streams.min.session.timeout.ms",
    ),
    (
        "group.streams.max.session.timeout.ms",
        "group.streams.session.timeout.ms",
    ),
    (
        "group.streams.max.standby.replicas",
        "group.streams.num.standby.replicas",
    ),
];
