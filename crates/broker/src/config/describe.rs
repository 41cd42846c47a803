//! The rows of `DescribeConfigs` (`kafka.server.ConfigHelper`).
//!
//! Three things in it look odd and are Kafka's: a topic key's synonyms are those of its first server key alone,
//! so a retention given in hours does not show as a source of `retention.ms`; a null default is no synonym; and
//! a key nobody declared is shown as sensitive, of unknown type.

use base::config::{ConfigKey, ConfigTable};

use super::layers::{BrokerConfigs, declaration, family, listener_base};
use super::settings::topic_value;
use super::{BROKER, CLIENT_METRICS, GROUP, Overrides, TOPIC};

/// Where a value comes from (`DescribeConfigsResponse.ConfigSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set dynamically on this broker.
    DynamicBroker,
    /// Set dynamically for all brokers.
    DynamicDefaultBroker,
    /// In the properties the broker started with.
    StaticBroker,
    /// Declared.
    Default,
    /// The level of one logger.
    DynamicBrokerLogger,
    /// Set on the client metrics subscription.
    ClientMetrics,
    /// Set on the group.
    Group,
}

impl ConfigSource {
    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> i8 {
        match self {
            ConfigSource::Topic => 1,
            ConfigSource::DynamicBroker => 2,
            ConfigSource::DynamicDefaultBroker => 3,
            ConfigSource::StaticBroker => 4,
            ConfigSource::Default => 5,
            ConfigSource::DynamicBrokerLogger => 6,
            ConfigSource::ClientMetrics => 7,
            ConfigSource::Group => 8,
        }
    }
}

/// One place a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SynonymEntry {
    /// The key that is set there.
    pub name: String,
    /// Its text; none when sensitive.
    pub value: Option<String>,
    /// The layer.
    pub source: ConfigSource,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The key.
    pub name: String,
    /// Its effective value; none when null or sensitive.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// The code of its type (`base::config::ConfigType::code`), 0 when unknown.
    pub type_code: i8,
    /// Whether it can only be changed by a restart.
    pub read_only: bool,
    /// Whether the value is withheld.
    pub is_sensitive: bool,
    /// All places it is set in, the one that wins first; empty unless asked for.
    pub synonyms: Vec<SynonymEntry>,
    /// What it does; none unless asked for.
    pub documentation: Option<String>,
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, Default)]
pub struct DescribeOptions<'a> {
    /// The keys to describe; none, or an empty list, for all.
    pub names: Option<&'a [String]>,
    /// Whether to list synonyms.
    pub synonyms: bool,
    /// Whether to add the documentation.
    pub documentation: bool,
}

impl DescribeOptions<'_> {
    fn wants(&self, name: &str) -> bool {
        self.names
            .is_none_or(|names| names.is_empty() || names.iter().any(|n| n == name))
    }

    /// The row of `key`, or of a name that none declares.
    fn entry(
        &self,
        name: &str,
        key: Option<&ConfigKey>,
        value: Option<String>,
        synonyms: Vec<SynonymEntry>,
    ) -> ConfigEntry {
        let is_sensitive = key.is_none_or(ConfigKey::is_sensitive);
        ConfigEntry {
            name: name.to_owned(),
            value: if is_sensitive { None } else { value },
            source: synonyms
                .first()
                .map_or(ConfigSource::Default, |synonym| synonym.source),
            type_code: key.map_or(0, |key| key.kind.code()),
            read_only: false,
            is_sensitive,
            synonyms: if self.synonyms { synonyms } else { Vec::new() },
            documentation: match key {
                Some(key) if self.documentation => Some(key.documentation()),
                _ => None,
            },
        }
    }
}

/// Every public key of a topic with these overrides, and what else was set on it.
#[must_use]
pub fn describe_topic(
    broker: &BrokerConfigs,
    overrides: &Overrides,
    options: DescribeOptions<'_>,
) -> Vec<ConfigEntry> {
    names(&TOPIC, overrides)
        .into_iter()
        .filter(|name| options.wants(name))
        .map(|name| {
            let key = TOPIC.get(&name);
            let value = key.and_then(|key| topic_value(broker, overrides, key));
            let value = value.map(|value| value.to_string());
            let mut synonyms = own_synonym(&name, key, overrides, ConfigSource::Topic);
            if let Some(server) = key.and_then(|key| key.synonyms.first()) {
                synonyms.extend(server_synonyms(broker, server.name));
            }
            options.entry(&name, key, value, synonyms)
        })
        .collect()
}

/// Every public key of this broker, and what else was set on it.
#[must_use]
pub fn describe_broker(broker: &BrokerConfigs, options: DescribeOptions<'_>) -> Vec<ConfigEntry> {
    names(&BROKER, broker.effective())
        .into_iter()
        .filter(|name| options.wants(name))
        .map(|name| {
            let value = broker.value(&name).map(|value| value.to_string());
            broker_entry(&name, value, server_synonyms(broker, &name), options)
        })
        .collect()
}

/// What is set as the dynamic default of all brokers; nothing else.
#[must_use]
pub fn describe_broker_default(
    broker: &BrokerConfigs,
    options: DescribeOptions<'_>,
) -> Vec<ConfigEntry> {
    broker
        .dynamic_default()
        .iter()
        .filter(|(name, _)| options.wants(name))
        .map(|(name, text)| {
            let mut synonyms = server_synonyms(broker, name);
            synonyms.retain(|s| s.source == ConfigSource::DynamicDefaultBroker);
            broker_entry(name, Some(text.clone()), synonyms, options)
        })
        .collect()
}

/// Every public key of a group with these overrides.
#[must_use]
pub fn describe_group(
    broker: &BrokerConfigs,
    overrides: &Overrides,
    options: DescribeOptions<'_>,
) -> Vec<ConfigEntry> {
    names(&GROUP, overrides)
        .into_iter()
        .filter(|name| options.wants(name))
        .map(|name| {
            let key = GROUP.get(&name);
            let server = key.and_then(|key| key.synonyms.first());
            let value = match (overrides.get(&name), server) {
                (Some(text), _) => shown(key, text),
                (None, Some(server)) => broker.value(server.name).map(|value| value.to_string()),
                (None, None) => key.and_then(ConfigKey::default_text).map(str::to_owned),
            };
            let mut synonyms = own_synonym(&name, key, overrides, ConfigSource::Group);
            match (server, key.and_then(ConfigKey::default_text)) {
                (Some(server), _) => synonyms.extend(server_synonyms(broker, server.name)),
                (None, Some(default)) => synonyms.push(SynonymEntry {
                    name: name.clone(),
                    value: Some(default.to_owned()),
                    source: ConfigSource::Default,
                }),
                (None, None) => {}
            }
            options.entry(&name, key, value, synonyms)
        })
        .collect()
}

/// Every key of a client metrics subscription with these overrides.
#[must_use]
pub fn describe_client_metrics(
    overrides: &Overrides,
    options: DescribeOptions<'_>,
) -> Vec<ConfigEntry> {
    names(&CLIENT_METRICS, overrides)
        .into_iter()
        .filter(|name| options.wants(name))
        .map(|name| {
            let key = CLIENT_METRICS.get(&name);
            let value = match overrides.get(&name) {
                Some(text) => shown(key, text),
                None => key.and_then(ConfigKey::default_text).map(str::to_owned),
            };
            let synonyms = own_synonym(&name, key, overrides, ConfigSource::ClientMetrics);
            options.entry(&name, key, value, synonyms)
        })
        .collect()
}

/// The public keys of a table and the names set beside them, in order.
fn names(table: &ConfigTable, set: &Overrides) -> Vec<String> {
    let mut names: Vec<String> = table
        .keys()
        .filter(|key| !key.internal)
        .map(|key| key.name.to_owned())
        .collect();
    names.extend(set.keys().cloned());
    names.sort_unstable();
    names.dedup();
    names
}

fn broker_entry(
    name: &str,
    value: Option<String>,
    synonyms: Vec<SynonymEntry>,
    options: DescribeOptions<'_>,
) -> ConfigEntry {
    let mut entry = options.entry(name, declaration(name), value, synonyms);
    entry.read_only = !is_dynamic(name);
    entry
}

/// Whether a key of this very name can change at run time; a listener's own setting can, yet Kafka describes
/// it as read-only.
fn is_dynamic(name: &str) -> bool {
    BROKER
        .get(name)
        .is_some_and(|key| key.dynamic != base::config::DynamicMode::ReadOnly)
}

/// The text as its parsed value shows it; a text that does not parse stays as it is.
fn shown(key: Option<&ConfigKey>, text: &str) -> Option<String> {
    let value = key.and_then(|key| key.parse(text).ok());
    Some(value.map_or_else(|| text.to_owned(), |value| value.to_string()))
}

fn own_synonym(
    name: &str,
    key: Option<&ConfigKey>,
    overrides: &Overrides,
    source: ConfigSource,
) -> Vec<SynonymEntry> {
    let Some(text) = overrides.get(name) else {
        return Vec::new();
    };
    let sensitive = key.is_none_or(ConfigKey::is_sensitive);
    let value = if sensitive { None } else { shown(key, text) };
    vec![SynonymEntry {
        name: name.to_owned(),
        value,
        source,
    }]
}

/// The layers a broker key is set in (`ConfigHelper.configSynonyms`), the one that wins first.
fn server_synonyms(broker: &BrokerConfigs, name: &str) -> Vec<SynonymEntry> {
    let names: Vec<&str> = match (family(name), listener_base(name)) {
        ([], Some(base)) => vec![name, base],
        ([], None) => vec![name],
        (family, _) => family.to_vec(),
    };
    let sensitive = declaration(name).is_none_or(ConfigKey::is_sensitive);
    let mut synonyms = Vec::new();
    for (layer, source) in [
        (&broker.dynamic_broker, ConfigSource::DynamicBroker),
        (&broker.dynamic_default, ConfigSource::DynamicDefaultBroker),
        (&broker.properties, ConfigSource::StaticBroker),
    ] {
        for name in &names {
            if let Some(text) = layer.get(*name) {
                let value = (!sensitive).then(|| text.clone());
                synonyms.push(SynonymEntry {
                    name: (*name).to_owned(),
                    value,
                    source,
                });
            }
        }
    }
    for name in &names {
        if let Some(text) = BROKER.get(name).and_then(ConfigKey::default_text) {
            let value = (!sensitive).then(|| text.to_owned());
            let source = ConfigSource::Default;
            synonyms.push(SynonymEntry {
                name: (*name).to_owned(),
                value,
                source,
            });
        }
    }
    let own = synonyms.iter().position(|synonym| synonym.name == name);
    own.map_or_else(Vec::new, |first| synonyms.split_off(first))
}
