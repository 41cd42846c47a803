//! A broker's configuration: four layers, the uppermost that sets a key wins.
//!
//! From the top: the dynamic configuration of this broker, the dynamic default of all brokers, the properties
//! the broker started with, the declared default (`kafka.server.DynamicBrokerConfig`). Keys of one family, such
//! as `log.retention.ms`, `.minutes` and `.hours`, count as one: a dynamic value of one of them hides the
//! others below it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use base::config::{ConfigError, ConfigKey, ConfigValue};

use super::{BROKER, Overrides, rules};

/// A broker's configuration. Cheap enough to build anew at each change; see
/// [`BrokerSettings`](super::BrokerSettings) for the values hot code reads.
#[derive(Debug, Clone, Default)]
pub struct BrokerConfigs {
    pub(super) properties: Overrides,
    pub(super) dynamic_default: Overrides,
    pub(super) dynamic_broker: Overrides,
    effective: Overrides,
}

/// What reading a broker's properties gave.
#[derive(Debug)]
pub struct Loaded {
    /// The configuration.
    pub configs: BrokerConfigs,
    /// Keys that are declared nowhere. A running server warns of them and starts, so that an older binary
    /// still reads a newer file; `check-config` refuses them (house rule 40).
    pub unknown: Vec<String>,
}

/// The keys that stand for the same thing, the most precise first
/// (`DynamicBrokerConfig.brokerConfigSynonyms`); empty when `name` is alone.
pub(super) fn family(name: &str) -> &'static [&'static str] {
    const FAMILIES: [&[&str]; 3] = [
        &["log.roll.ms", "log.roll.hours"],
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        &[
            "log.retention.ms",
            "log.retention.minutes",
            "log.retention.hours",
        ],
    ];
    if name == "log.flush.interval.ms" {
        // One way only: the scheduler's interval is its default, not another name of it.
        return &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"];
    }
    FAMILIES
        .into_iter()
        .find(|family| family.contains(&name))
        .unwrap_or(&[])
}

/// The key behind a listener's own setting: `listener.name.internal.ssl.keystore.type` and
/// `listener.name.internal.plain.sasl.jaas.config` stand for `ssl.keystore.type` and `sasl.jaas.config`.
pub(super) fn listener_base(name: &str) -> Option<&str> {
    const OF_MECHANISM: [&str; 5] = [
        "sasl.jaas.config",
        "sasl.login.callback.handler.class",
        "sasl.login.class",
        "sasl.server.callback.handler.class",
        "connections.max.reauth.ms",
    ];
    let (_, base) = name.strip_prefix("listener.name.")?.split_once('.')?;
    let of_mechanism = OF_MECHANISM.into_iter().find(|key| base.ends_with(key));
    Some(of_mechanism.unwrap_or(base))
}

/// The declaration that a name is parsed by, listener prefixes included.
pub(super) fn declaration(name: &str) -> Option<&'static ConfigKey> {
    BROKER
        .get(name)
        .or_else(|| BROKER.get(listener_base(name)?))
}

impl BrokerConfigs {
    /// Reads the properties a broker starts with.
    ///
    /// `broker.id` and `node.id` name the same number; whichever is given stands for both.
    ///
    /// # Errors
    /// The first value that does not parse, breaks its rule, or contradicts another.
    pub fn from_properties(
        properties: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Loaded, ConfigError> {
        let mut properties: Overrides = properties.into_iter().collect();
        let id = properties
            .get("node.id")
            .or_else(|| properties.get("broker.id"))
            .cloned();
        if let Some(id) = id {
            for name in ["node.id", "broker.id"] {
                if let Entry::Vacant(entry) = properties.entry(name.to_owned()) {
                    entry.insert(id.clone());
                }
            }
        }
        let mut unknown = Vec::new();
        for (name, text) in &properties {
            match declaration(name) {
                Some(key) => drop(key.parse(text)?),
                None => unknown.push(name.clone()),
            }
        }
        let configs = BrokerConfigs {
            effective: properties.clone(),
            properties,
            ..Self::default()
        };
        configs.check()?;
        Ok(Loaded { configs, unknown })
    }

    /// The same properties under these dynamic layers.
    ///
    /// Returns beside the configuration what was left out of a layer, because its value does not parse or
    /// breaks a rule: a broker that meets such a value in its metadata still has to start, as Kafka's does.
    #[must_use]
    pub fn with_dynamic(
        &self,
        default: &Overrides,
        broker: &Overrides,
    ) -> (BrokerConfigs, Vec<ConfigError>) {
        let mut refused = Vec::new();
        let mut keep_valid = |layer: &Overrides| -> Overrides {
            let mut kept = Overrides::new();
            for (name, text) in layer {
                match declaration(name).map(|key| key.parse(text)) {
                    Some(Err(error)) => refused.push(error),
                    Some(Ok(_)) | None => {
                        kept.insert(name.clone(), text.clone());
                    }
                }
            }
            kept
        };
        let dynamic_default = keep_valid(default);
        let dynamic_broker = keep_valid(broker);
        let configs = BrokerConfigs {
            properties: self.properties.clone(),
            effective: overlay(&self.properties, [&dynamic_default, &dynamic_broker]),
            dynamic_default,
            dynamic_broker,
        };
        match configs.check() {
            Ok(()) => (configs, refused),
            Err(error) => {
                refused.push(error);
                (self.clone(), refused)
            }
        }
    }

    /// As [`BrokerConfigs::with_dynamic`], for a change that has to be valid as a whole.
    pub(super) fn try_with_dynamic(
        &self,
        default: &Overrides,
        broker: &Overrides,
    ) -> Result<BrokerConfigs, ConfigError> {
        let (configs, mut refused) = self.with_dynamic(default, broker);
        if refused.is_empty() {
            Ok(configs)
        } else {
            Err(refused.swap_remove(0))
        }
    }

    /// The dynamic default of all brokers.
    #[must_use]
    pub fn dynamic_default(&self) -> &Overrides {
        &self.dynamic_default
    }

    /// The dynamic configuration of this broker.
    #[must_use]
    pub fn dynamic_broker(&self) -> &Overrides {
        &self.dynamic_broker
    }

    /// The properties this broker started with.
    #[must_use]
    pub fn properties(&self) -> &Overrides {
        &self.properties
    }

    /// Each name that some layer sets, with its effective text.
    pub(super) fn effective(&self) -> &Overrides {
        &self.effective
    }

    /// Whether some layer sets a key of this very name.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.effective.contains_key(name)
    }

    /// The effective value of a key, or its default; none when that is null.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<ConfigValue> {
        let key = declaration(name)?;
        match self.effective.get(name) {
            // Each layer was parsed before it was put here.
            Some(text) => key.parse(text).ok(),
            None => key.default_value().ok().flatten(),
        }
    }

    /// The value of a key of type INT, SHORT or LONG; none when it is null.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.value(name)? {
            ConfigValue::Integer(value) => Some(value),
            _ => None,
        }
    }

    /// The value of a key of type BOOLEAN; false for one that has no value.
    #[must_use]
    pub fn boolean(&self, name: &str) -> bool {
        matches!(self.value(name), Some(ConfigValue::Boolean(true)))
    }

    /// The value of a key of type STRING or CLASS; none when it is null.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            ConfigValue::Text(value) => Some(value),
            _ => None,
        }
    }

    /// The elements of a key of type LIST; none when it is null.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<Vec<String>> {
        match self.value(name)? {
            ConfigValue::List(values) => Some(values),
            _ => None,
        }
    }

    /// What `kafka.server.KafkaConfig.validateValues` asks of several keys together.
    fn check(&self) -> Result<(), ConfigError> {
        let require = |holds: bool, what: &str| {
            if holds {
                Ok(())
            } else {
                Err(requirement(what))
            }
        };
        let time = |names: &[&str]| first_set_ms(self, names);
        require(
            time(family("log.roll.ms")).is_none_or(|ms| ms >= 1),
            "log.roll.ms must be greater than or equal to 1",
        )?;
        require(
            time(family("log.roll.jitter.ms")).is_none_or(|ms| ms >= 0),
            "log.roll.jitter.ms must be greater than or equal to 0",
        )?;
        require(
            time(family("log.retention.ms")).is_none_or(|ms| ms != 0),
            "log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
        )?;
        let cleaner_threads = self.integer("log.cleaner.threads").unwrap_or(1).max(1);
        let dedupe_bytes = self
            .integer("log.cleaner.dedupe.buffer.size")
            .unwrap_or(i64::MAX);
        require(
            dedupe_bytes / cleaner_threads > 1024 * 1024,
            "log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
        )?;
        self.check_connection_limits()?;
        for (larger, smaller) in rules::ORDERED {
            if let (Some(a), Some(b)) = (self.integer(larger), self.integer(smaller)) {
                let what = format!("{larger} must be greater than or equal to {smaller}");
                require(a >= b, &what)?;
            }
        }
        Ok(())
    }

    fn check_connection_limits(&self) -> Result<(), ConfigError> {
        let overrides = self
            .text("max.connections.per.ip.overrides")
            .unwrap_or_default();
        parse_connection_overrides(&overrides)?;
        if self.integer("max.connections.per.ip") == Some(0) && overrides.is_empty() {
            return Err(requirement(
                "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides \
                 property is set.",
            ));
        }
        Ok(())
    }
}

/// The text Scala's `require` fails with.
pub(super) fn requirement(what: &str) -> ConfigError {
    ConfigError::Rejected(format!("requirement failed: {what}"))
}

/// `max.connections.per.ip.overrides` as host to limit.
pub(super) fn parse_connection_overrides(text: &str) -> Result<BTreeMap<String, u32>, ConfigError> {
    let mut limits = BTreeMap::new();
    for entry in text
        .split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
    {
        let malformed =
            |limit: &str| ConfigError::Rejected(format!("For input string: \"{limit}\""));
        let (host, limit) = entry.rsplit_once(':').ok_or_else(|| malformed(entry))?;
        let limit = limit.trim();
        limits.insert(
            host.trim().to_owned(),
            limit.parse().map_err(|_| malformed(limit))?,
        );
    }
    Ok(limits)
}

/// The first key of `names` that has a value, in milliseconds; hours and minutes are converted.
fn first_set_ms(configs: &BrokerConfigs, names: &[&str]) -> Option<i64> {
    names.iter().find_map(|name| {
        let factor = if name.ends_with(".hours") {
            3_600_000
        } else if name.ends_with(".minutes") {
            60_000
        } else {
            1
        };
        configs
            .integer(name)
            .map(|value| value.saturating_mul(factor))
    })
}

/// `DynamicBrokerConfig.overrideProps`: an upper layer's key also hides the rest of its family below.
fn overlay<'a>(
    properties: &Overrides,
    layers: impl IntoIterator<Item = &'a Overrides>,
) -> Overrides {
    let mut effective = properties.clone();
    for layer in layers {
        for name in layer.keys() {
            for other in family(name) {
                effective.remove(*other);
            }
        }
        effective.extend(
            layer
                .iter()
                .map(|(name, text)| (name.clone(), text.clone())),
        );
    }
    effective
}
