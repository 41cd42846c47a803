//! Changing configurations: what `IncrementalAlterConfigs` and `AlterConfigs` do to one resource.
//!
//! A change is computed on a copy and validated as a whole; the caller stores the result only when that
//! succeeds. The order of the checks and the texts are Kafka's (`ConfigAdminManager`,
//! `ConfigurationControlManager`, `ControllerConfigurationValidator`).

use base::config::{ConfigError, ConfigTable, ConfigType, ConfigValue, DynamicMode};

use super::layers::{BrokerConfigs, declaration, listener_base};
use super::settings::topic_value;
use super::{BROKER, CLIENT_METRICS, GROUP, Overrides, TOPIC};
use crate::client_telemetry::parse_match;

/// Why a change was refused. The display is the error message of the response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlterError {
    /// `INVALID_CONFIG`: the key or its value is wrong; the client should correct it.
    #[error("{0}")]
    InvalidConfig(String),
    /// `INVALID_REQUEST`: the request contradicts itself, or a broker's key cannot be changed so.
    #[error("{0}")]
    InvalidRequest(String),
}

impl AlterError {
    /// Kafka's error code.
    #[must_use]
    pub const fn error_code(&self) -> i16 {
        match self {
            AlterError::InvalidConfig(_) => 40,
            AlterError::InvalidRequest(_) => 42,
        }
    }
}

impl From<ConfigError> for AlterError {
    fn from(error: ConfigError) -> AlterError {
        AlterError::InvalidConfig(error.to_string())
    }
}

/// One operation of `IncrementalAlterConfigs` (`AlterConfigOp.OpType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlterOp {
    /// Sets the value.
    Set,
    /// Removes the override.
    Delete,
    /// Adds elements to a list.
    Append,
    /// Removes elements from a list.
    Subtract,
}

impl AlterOp {
    /// The operation of a code on the wire.
    ///
    /// # Errors
    /// [`AlterError::InvalidRequest`] for a code that means nothing.
    pub fn from_code(code: i8) -> Result<AlterOp, AlterError> {
        match code {
            0 => Ok(AlterOp::Set),
            1 => Ok(AlterOp::Delete),
            2 => Ok(AlterOp::Append),
            3 => Ok(AlterOp::Subtract),
            other => Err(AlterError::InvalidRequest(format!(
                "Unknown operations type {other}"
            ))),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            AlterOp::Set => "SET",
            AlterOp::Delete => "DELETE",
            AlterOp::Append => "APPEND",
            AlterOp::Subtract => "SUBTRACT",
        }
    }
}

/// One key's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alteration {
    /// The key.
    pub name: String,
    /// What to do.
    pub op: AlterOp,
    /// With what; not looked at by [`AlterOp::Delete`].
    pub value: Option<String>,
}

/// What a request does to one resource.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// `IncrementalAlterConfigs`: these operations.
    Incremental(&'a [Alteration]),
    /// `AlterConfigs`: exactly these values, whatever was set before.
    Replace(&'a [(String, Option<String>)]),
}

/// Which dynamic layer of the brokers is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerScope {
    /// The default of all brokers (the empty resource name).
    Default,
    /// This broker.
    Node,
}

/// The overrides of a topic about to be created (`CreateTopics`).
///
/// # Errors
/// [`AlterError`] as the answer for this topic.
pub fn new_topic(
    broker: &BrokerConfigs,
    configs: &[(String, Option<String>)],
) -> Result<Overrides, AlterError> {
    let nulls: Vec<&str> = configs
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(name, _)| name.as_str())
        .collect();
    if !nulls.is_empty() {
        let what = format!(
            "Null value not supported for topic configs: {}",
            nulls.join(",")
        );
        return Err(AlterError::InvalidConfig(what));
    }
    let changed = configs
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
        .collect();
    validate_topic(broker, &Overrides::new(), &changed)?;
    Ok(changed)
}

/// The overrides of a topic after a change.
///
/// # Errors
/// [`AlterError`] as the answer for this resource.
pub fn topic(
    broker: &BrokerConfigs,
    existing: &Overrides,
    change: Change<'_>,
) -> Result<Overrides, AlterError> {
    let changed = apply(&TOPIC, existing, change)?;
    validate_topic(broker, existing, &changed)?;
    Ok(changed)
}

/// The dynamic layer of the brokers after a change.
///
/// # Errors
/// [`AlterError`] as the answer for this resource.
pub fn broker(
    current: &BrokerConfigs,
    scope: BrokerScope,
    change: Change<'_>,
) -> Result<Overrides, AlterError> {
    let existing = match scope {
        BrokerScope::Default => current.dynamic_default(),
        BrokerScope::Node => current.dynamic_broker(),
    };
    check_shape(change)?;
    let changed = match change {
        Change::Incremental(alterations) => apply_to_broker(existing, alterations)?,
        Change::Replace(values) => replaced(values),
    };
    validate_broker(current, scope, &changed)?;
    Ok(changed)
}

/// The overrides of a group after a change.
///
/// # Errors
/// [`AlterError`] as the answer for this resource.
pub fn group(
    broker: &BrokerConfigs,
    name: &str,
    existing: &Overrides,
    change: Change<'_>,
) -> Result<Overrides, AlterError> {
    let changed = apply(&GROUP, existing, change)?;
    if name.is_empty() {
        let what = "Default group resources are not allowed.";
        return Err(AlterError::InvalidRequest(what.to_owned()));
    }
    if let Some(unknown) = changed.keys().find(|key| GROUP.get(key).is_none()) {
        return Err(AlterError::InvalidConfig(format!(
            "Unknown group config name: {unknown}"
        )));
    }
    parse_all(&GROUP, &changed)?;
    check_group_limits(broker, &changed)?;
    Ok(changed)
}

/// The overrides of a client metrics subscription after a change.
///
/// # Errors
/// [`AlterError`] as the answer for this resource.
pub fn client_metrics(
    name: &str,
    existing: &Overrides,
    change: Change<'_>,
) -> Result<Overrides, AlterError> {
    let changed = apply(&CLIENT_METRICS, existing, change)?;
    if name.is_empty() {
        return Err(AlterError::InvalidRequest(
            "Subscription name can't be empty".to_owned(),
        ));
    }
    if let Some(unknown) = changed.keys().find(|key| CLIENT_METRICS.get(key).is_none()) {
        let what = format!("Unknown client metrics configuration: {unknown}");
        return Err(AlterError::InvalidRequest(what));
    }
    parse_all(&CLIENT_METRICS, &changed)?;
    if let Some(interval) = changed.get("interval.ms") {
        let ms: i64 = interval.trim().parse().unwrap_or(-1);
        if !(100..=3_600_000).contains(&ms) {
            return Err(AlterError::InvalidRequest(format!(
                "Invalid value {ms} for interval.ms, interval must be between 100 and 3600000 (1 hour)"
            )));
        }
    }
    let patterns = changed.get("match").map(String::as_str);
    parse_match(patterns.unwrap_or_default()).map_err(|pattern| {
        AlterError::InvalidConfig(format!("Illegal client matching pattern: {pattern}"))
    })?;
    Ok(changed)
}

/// What holds for any change: no key twice, no null but to delete.
fn check_shape(change: Change<'_>) -> Result<(), AlterError> {
    let entries: Vec<(&str, bool)> = match change {
        Change::Incremental(alterations) => alterations
            .iter()
            .map(|a| {
                (
                    a.name.as_str(),
                    a.value.is_none() && a.op != AlterOp::Delete,
                )
            })
            .collect(),
        Change::Replace(values) => values
            .iter()
            .map(|(name, value)| (name.as_str(), value.is_none()))
            .collect(),
    };
    let mut names: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(AlterError::InvalidRequest(
            "Error due to duplicate config keys".to_owned(),
        ));
    }
    let nulls: Vec<&str> = entries
        .iter()
        .filter(|(_, null)| *null)
        .map(|(name, _)| *name)
        .collect();
    if nulls.is_empty() {
        return Ok(());
    }
    let what = format!("Null value not supported for : {}", nulls.join(", "));
    Err(AlterError::InvalidRequest(what))
}

fn replaced(values: &[(String, Option<String>)]) -> Overrides {
    values
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
        .collect()
}

/// The change of a resource whose keys are in `table` (`ConfigurationControlManager`).
fn apply(
    table: &ConfigTable,
    existing: &Overrides,
    change: Change<'_>,
) -> Result<Overrides, AlterError> {
    check_shape(change)?;
    let alterations = match change {
        Change::Incremental(alterations) => alterations,
        Change::Replace(values) => return Ok(replaced(values)),
    };
    let mut changed = existing.clone();
    for Alteration { name, op, value } in alterations {
        let value = value.clone().unwrap_or_default();
        match op {
            AlterOp::Set => drop(changed.insert(name.clone(), value)),
            AlterOp::Delete => drop(changed.remove(name)),
            AlterOp::Append | AlterOp::Subtract => {
                let key = table.get(name).filter(|key| key.kind == ConfigType::LIST);
                let Some(key) = key else {
                    return Err(AlterError::InvalidConfig(format!(
                        "Can't {} to key {name} because its type is not LIST.",
                        op.name()
                    )));
                };
                let before = changed.get(name).map(String::as_str).or(key.default_text());
                let after = edit_list(before.unwrap_or_default(), *op, &value);
                changed.insert(name.clone(), after);
            }
        }
    }
    Ok(changed)
}

/// The same for brokers, whose texts differ (`ConfigAdminManager.prepareIncrementalConfigs`).
fn apply_to_broker(
    existing: &Overrides,
    alterations: &[Alteration],
) -> Result<Overrides, AlterError> {
    for Alteration { name, op, .. } in alterations {
        if !matches!(op, AlterOp::Append | AlterOp::Subtract) {
            continue;
        }
        match BROKER.get(name) {
            None => {
                return Err(AlterError::InvalidConfig(format!(
                    "Unknown config name: {name}"
                )));
            }
            Some(key) if key.kind != ConfigType::LIST => {
                return Err(AlterError::InvalidConfig(format!(
                    "Config value {} is not allowed for config key: {name}",
                    op.name().to_ascii_lowercase()
                )));
            }
            Some(_) => {}
        }
    }
    apply(&BROKER, existing, Change::Incremental(alterations))
}

/// A list's text with elements added or removed. Java's `split` drops empty elements at the end, and so
/// does this.
fn edit_list(before: &str, op: AlterOp, operand: &str) -> String {
    let mut elements: Vec<&str> = before.split(',').filter(|e| !e.is_empty()).collect();
    let mut operands: Vec<&str> = operand.split(',').collect();
    while operands.len() > 1 && operands.last() == Some(&"") {
        operands.pop();
    }
    for element in operands {
        let position = elements.iter().position(|e| *e == element);
        match (op, position) {
            (AlterOp::Append, None) => elements.push(element),
            (AlterOp::Subtract, Some(position)) => drop(elements.remove(position)),
            _ => {}
        }
    }
    elements.join(",")
}

fn parse_all(table: &ConfigTable, overrides: &Overrides) -> Result<(), ConfigError> {
    for (name, text) in overrides {
        if let Some(key) = table.get(name) {
            key.parse(text)?;
        }
    }
    Ok(())
}

/// `LogConfig.validate`: names, values, and what several keys say together.
fn validate_topic(
    broker: &BrokerConfigs,
    existing: &Overrides,
    changed: &Overrides,
) -> Result<(), AlterError> {
    if let Some(unknown) = changed.keys().find(|name| TOPIC.get(name).is_none()) {
        return Err(AlterError::InvalidConfig(format!(
            "Unknown topic config name: {unknown}"
        )));
    }
    parse_all(&TOPIC, changed)?;
    let long = |name: &str| topic_long(broker, changed, name);
    let (min, max) = (long("min.compaction.lag.ms"), long("max.compaction.lag.ms"));
    if min > max {
        return Err(AlterError::InvalidConfig(format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
        )));
    }
    let is_on = |overrides: &Overrides, name: &str| {
        overrides
            .get(name)
            .is_some_and(|text| text.trim().eq_ignore_ascii_case("true"))
    };
    if is_on(changed, "remote.storage.enable") {
        return validate_tiered_topic(broker, changed);
    }
    let was_on = is_on(existing, "remote.storage.enable");
    if was_on && !is_on(changed, "remote.log.delete.on.disable") {
        return Err(AlterError::InvalidConfig(
            "It is invalid to disable remote storage without deleting remote data. If you want to keep \
             the remote data and turn to read only, please set \
             `remote.storage.enable=true,remote.log.copy.disable=true`. If you want to disable remote \
             storage and delete all remote data, please set \
             `remote.storage.enable=false,remote.log.delete.on.disable=true`."
                .to_owned(),
        ));
    }
    Ok(())
}

fn topic_long(broker: &BrokerConfigs, overrides: &Overrides, name: &str) -> i64 {
    let value = TOPIC
        .get(name)
        .and_then(|key| topic_value(broker, overrides, key));
    if let Some(ConfigValue::Integer(value)) = value {
        value
    } else {
        0
    }
}

/// What `LogConfig.validateTopicLogConfigValues` asks of a topic with `remote.storage.enable`.
///
/// Differs: Apache Kafka refuses a `cleanup.policy` with `compact`, which the remote part of a log here can do.
fn validate_tiered_topic(broker: &BrokerConfigs, changed: &Overrides) -> Result<(), AlterError> {
    let refuse = |what: &str| Err(AlterError::InvalidConfig(what.to_owned()));
    if !broker.boolean("remote.log.storage.system.enable") {
        return refuse(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with \
             remote log storage.",
        );
    }
    let copy_disabled = changed
        .get("remote.log.copy.disable")
        .is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
    for kind in ["bytes", "ms"] {
        let [total, local, lag] =
            ["retention", "local.retention", "remote.copy.lag"].map(|key| format!("{key}.{kind}"));
        let amount = |name: &str| topic_long(broker, changed, name);
        check_local_retention(&total, amount(&total), &local, amount(&local))?;
        let local_amount = if amount(&local) == -2 {
            amount(&total)
        } else {
            amount(&local)
        };
        if amount(&lag) > 0 && local_amount >= 0 && amount(&lag) > local_amount {
            let reason = format!("Value must not exceed {local} (effective value: {local_amount})");
            return Err(ConfigError::invalid(&lag, amount(&lag), reason).into());
        }
        if copy_disabled && amount(&local) != -2 && amount(&local) != amount(&total) {
            return refuse(&format!(
                "When `remote.log.copy.disable` is set to true, the `{local}` and `{total}` must be set to \
                 the identical value because there will be no more logs copied to the remote storage."
            ));
        }
    }
    Ok(())
}

/// The local part of a tiered log is not kept longer than the whole.
fn check_local_retention(
    total_name: &str,
    total: i64,
    local_name: &str,
    local: i64,
) -> Result<(), ConfigError> {
    if total <= -1 || local == -2 {
        return Ok(());
    }
    if local == -1 {
        let reason = format!("Value must not be -1 as {total_name} value is set as {total}.");
        return Err(ConfigError::invalid(local_name, local, reason));
    }
    if local > total {
        let reason = format!("Value must not be more than {total_name} property value: {total}");
        return Err(ConfigError::invalid(local_name, local, reason));
    }
    Ok(())
}

/// `DynamicBrokerConfig.validate`. Every failure is an INVALID_REQUEST (KAFKA-13609).
fn validate_broker(
    current: &BrokerConfigs,
    scope: BrokerScope,
    changed: &Overrides,
) -> Result<(), AlterError> {
    let refuse = |names: Vec<&str>, what: &str| {
        if names.is_empty() {
            return Ok(());
        }
        Err(AlterError::InvalidRequest(format!(
            "{what}: [{}]",
            names.join(", ")
        )))
    };
    let named = |wanted: &dyn Fn(&str) -> bool| -> Vec<&str> {
        changed
            .keys()
            .map(String::as_str)
            .filter(|name| wanted(name))
            .collect()
    };
    let mode = |name: &str| BROKER.get(name).map(|key| key.dynamic);
    refuse(
        named(&|name| mode(name) == Some(DynamicMode::ReadOnly)),
        "Cannot update these configs dynamically",
    )?;
    refuse(
        named(&|name| PER_LISTENER_ONLY.contains(&name)),
        "These security configs can be dynamically updated only per-listener using the listener prefix",
    )?;
    let invalid = |error: ConfigError| AlterError::InvalidRequest(error.to_string());
    for (name, text) in changed {
        if let Some(key) = declaration(name) {
            key.parse(text).map_err(invalid)?;
        }
    }
    if scope == BrokerScope::Default {
        refuse(
            named(&|name| {
                mode(name) == Some(DynamicMode::PerBroker) || listener_base(name).is_some()
            }),
            "Cannot update these configs at default cluster level, broker id must be specified",
        )?;
    }
    let updated = match scope {
        BrokerScope::Default => current.try_with_dynamic(changed, current.dynamic_broker()),
        BrokerScope::Node => current.try_with_dynamic(current.dynamic_default(), changed),
    }
    .map_err(invalid)?;
    check_reconfiguration(current, &updated).map_err(|error| {
        AlterError::InvalidRequest(format!(
            "Invalid value org.apache.kafka.common.config.ConfigException: {error} for configuration \
             Invalid dynamic configuration"
        ))
    })
}

/// `SslConfigs.RECONFIGURABLE_CONFIGS`: key stores are reloaded per listener.
const PER_LISTENER_ONLY: [&str; 9] = [
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
];

/// What the parts of a broker that reconfigure themselves refuse (`DynamicThreadPool`, `LogCleaner`,
/// `DynamicRemoteLogConfig`, `DynamicLogConfig`).
fn check_reconfiguration(
    current: &BrokerConfigs,
    updated: &BrokerConfigs,
) -> Result<(), ConfigError> {
    const POOLS: [&str; 5] = [
        "num.io.threads",
        "num.network.threads",
        "num.replica.fetchers",
        "num.recovery.threads.per.data.dir",
        "background.threads",
    ];
    for name in POOLS {
        let (Some(old), Some(new)) = (current.integer(name), updated.integer(name)) else {
            continue;
        };
        let limit = if new > old.saturating_mul(2) {
            "not be greater than double"
        } else if new < old / 2 {
            "be at least half"
        } else {
            continue;
        };
        return Err(ConfigError::Rejected(format!(
            "Dynamic thread count update validation failed for {name}={new}, value should {limit} the \
             current value {old}"
        )));
    }
    let cleaners = |configs: &BrokerConfigs| configs.integer("log.cleaner.threads").unwrap_or(1);
    let (old, new) = (cleaners(current), cleaners(updated));
    if new > old.saturating_mul(2) {
        return Err(ConfigError::Rejected(format!(
            "Log cleaner threads cannot be increased to more than double the current value {old}"
        )));
    }
    if new < old / 2 {
        return Err(ConfigError::Rejected(format!(
            "Log cleaner threads cannot be reduced to less than half the current value {old}"
        )));
    }
    for kind in ["ms", "bytes"] {
        let total = topic_long(updated, &Overrides::new(), &format!("retention.{kind}"));
        let local = format!("log.local.retention.{kind}");
        let amount = updated.integer(&local).unwrap_or(-2);
        check_local_retention(&format!("log.retention.{kind}"), total, &local, amount)?;
    }
    Ok(())
}

/// `GroupConfig.validateValues`: a group's own values stay within the broker's limits, and a session outlives
/// its heartbeats.
fn check_group_limits(broker: &BrokerConfigs, changed: &Overrides) -> Result<(), AlterError> {
    let refuse = |what: String| Err(AlterError::InvalidConfig(what));
    let amount = |name: &str| match changed
        .get(name)
        .and_then(|text| GROUP.get(name)?.parse(text).ok())
    {
        Some(ConfigValue::Integer(value)) => Some(value),
        _ => None,
    };
    for key in GROUP.keys() {
        let Some(value) = amount(key.name) else {
            continue;
        };
        let Some((protocol, limited)) = key.name.split_once('.') else {
            continue;
        };
        let bound = |which: &str| {
            let name = match limited {
                "num.standby.replicas" => format!("group.{protocol}.{which}.standby.replicas"),
                "num.warmup.replicas" => format!("group.{protocol}.{which}.warmup.replicas"),
                _ => format!("group.{protocol}.{which}.{limited}"),
            };
            broker.integer(&name).map(|bound| (name, bound))
        };
        if let Some((name, _)) = bound("min").filter(|(_, min)| value < *min) {
            return refuse(format!(
                "{} must be greater than or equal to {name}",
                key.name
            ));
        }
        if let Some((name, _)) = bound("max").filter(|(_, max)| value > *max) {
            return refuse(format!("{} must be less than or equal to {name}", key.name));
        }
    }
    for protocol in ["consumer", "share", "streams"] {
        let session = format!("{protocol}.session.timeout.ms");
        let heartbeat = format!("{protocol}.heartbeat.interval.ms");
        let effective =
            |name: &str| amount(name).or_else(|| broker.integer(&format!("group.{name}")));
        if effective(&session) <= effective(&heartbeat) {
            return refuse(format!("{session} must be greater than {heartbeat}"));
        }
    }
    Ok(())
}
