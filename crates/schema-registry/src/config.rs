//! The registry's settings, by the names that Confluent's registry gives them (`SchemaRegistryConfig`, 8.2).
//!
//! In a process that is a broker too, `listeners` is the broker's; the registry's is then `schema.registry.listeners`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use schema::CompatibilityLevel;

use crate::service::listing::Limits;

/// Where the registry listens unless told otherwise.
///
/// Differs: Confluent's listens on every interface; this one only on loopback, since a fresh one authenticates nobody.
const DEFAULT_LISTENER: &str = "127.0.0.1:8081";

/// The settings of an instance.
#[derive(Debug, Clone, PartialEq)]
pub struct RegistryConfig {
    /// `kafkastore.bootstrap.servers`: the brokers that hold the topic.
    pub bootstrap_servers: String,
    /// `schema.registry.listeners`, or `listeners` where no broker runs beside: where HTTP is served.
    pub listener: SocketAddr,
    /// `host.name`: how other instances reach this one.
    pub host_name: Option<String>,
    /// `kafkastore.topic`.
    pub topic: String,
    /// `dek.registry.topic`: the topic of keys.
    pub dek_topic: String,
    /// `dek.registry.max.keys`: how many KEKs, and how many DEKs, there may be.
    pub dek_max_keys: usize,
    /// `catalog.topic`: the topic of tags and what else is set in the catalog.
    pub catalog_topic: String,
    /// `kafkastore.topic.replication.factor`: of the topics when they have to be made; fewer where there are fewer
    /// brokers.
    pub replication_factor: i16,
    /// `schema.registry.group.id`: the group in which instances elect who writes.
    pub group_id: String,
    /// `leader.eligibility`: whether this instance may be the one.
    pub leader_eligibility: bool,
    /// `kafkastore.init.timeout.ms`: how long a start waits for the topic and for what is in it.
    pub init_timeout: Duration,
    /// `kafkastore.timeout.ms`: how long a write may take.
    ///
    /// Differs: 10 s where Confluent's is 0.5 s. A write that times out has an unknown outcome, and costs the writer
    /// its session.
    pub timeout: Duration,
    /// `schema.compatibility.level`: where no config says another.
    pub compatibility_level: CompatibilityLevel,
    /// `schema.validate.fields`: where no config says.
    pub validate_fields: bool,
    /// `schema.validate.new.schemas`: where no config says.
    pub validate_new_schemas: bool,
    /// `mode.mutability`: whether modes may be changed.
    pub mode_mutability: bool,
    /// `schema.cache.size`: how many parsed schemas are kept.
    pub schema_cache_size: usize,
    /// `schema.search.*.limit`.
    pub schema_limits: Limits,
    /// `subject.search.*.limit`.
    pub subject_limits: Limits,
    /// `subject.version.search.*.limit`.
    pub subject_version_limits: Limits,
    /// `context.search.*.limit`.
    pub context_limits: Limits,
    /// The `error_code` of an incompatible schema: 409, or 40901 with `schema.registry.api.version` 8.2 or later.
    ///
    /// Differs: Confluent's has no such setting; its clients read the HTTP status, which is 409 either way.
    pub incompatible_error_code: u32,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        let thousand = Limits {
            default: 1_000,
            max: 1_000,
        };
        let many = Limits {
            default: 20_000,
            max: 20_000,
        };
        Self {
            bootstrap_servers: String::new(),
            listener: SocketAddr::from(([127, 0, 0, 1], 8081)),
            host_name: None,
            topic: "_schemas".to_owned(),
            dek_topic: "_dek_registry_keys".to_owned(),
            dek_max_keys: 10_000,
            catalog_topic: "_schema_registry_catalog".to_owned(),
            replication_factor: 3,
            group_id: "schema-registry".to_owned(),
            leader_eligibility: true,
            init_timeout: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            compatibility_level: CompatibilityLevel::Backward,
            validate_fields: false,
            validate_new_schemas: false,
            mode_mutability: true,
            schema_cache_size: 1_000,
            schema_limits: thousand,
            subject_limits: many,
            subject_version_limits: many,
            context_limits: many,
            incompatible_error_code: 409,
        }
    }
}

/// A setting that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} = '{value}' is not usable: expected {expected}")]
pub struct ConfigError {
    /// The setting.
    pub key: String,
    /// What it was set to.
    pub value: String,
    /// What it may be.
    pub expected: &'static str,
}

/// Keys that are the registry's alone; a broker in the same process knows nothing of them.
const OWN: [&str; 4] = [
    "host.name",
    "mode.mutability",
    "leader.eligibility",
    "master.eligibility",
];

/// What the registry's other keys start with.
const OWN_PREFIXES: [&str; 13] = [
    "kafkastore.",
    "schema.",
    "avro.compatibility.",
    "inter.instance.",
    "leader.",
    "metadata.encoder.",
    "subject.search.",
    "subject.version.search.",
    "context.search.",
    "associations.",
    "catalog.",
    "dek.registry.",
    "kek.registry.",
];

/// Whether a setting is the registry's.
#[must_use]
pub fn is_registry_key(key: &str) -> bool {
    OWN.contains(&key) || OWN_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

impl RegistryConfig {
    /// Reads the settings; what is not set has its default.
    ///
    /// # Errors
    /// A value that is not what its setting expects.
    pub fn from_properties(properties: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let source = Source(properties);
        let default = Self::default();
        let limits = |kind: &str, default: Limits| -> Result<Limits, ConfigError> {
            Ok(Limits {
                default: source.number(&format!("{kind}.search.default.limit"), default.default)?,
                max: source.number(&format!("{kind}.search.max.limit"), default.max)?,
            })
        };
        let millis = |key: &str, default: Duration| -> Result<Duration, ConfigError> {
            let default_ms = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
            Ok(Duration::from_millis(source.number(key, default_ms)?))
        };
        source.check_protocol()?;
        Ok(Self {
            bootstrap_servers: source
                .text("kafkastore.bootstrap.servers")
                .map(|servers| servers.replace("PLAINTEXT://", ""))
                .unwrap_or_default(),
            listener: source.listener()?,
            host_name: source.text("host.name").map(str::to_owned),
            topic: source.text_or("kafkastore.topic", &default.topic),
            dek_topic: source.text_or("dek.registry.topic", &default.dek_topic),
            dek_max_keys: source.number("dek.registry.max.keys", default.dek_max_keys)?,
            catalog_topic: source.text_or("catalog.topic", &default.catalog_topic),
            replication_factor: source.number(
                "kafkastore.topic.replication.factor",
                default.replication_factor,
            )?,
            group_id: source.text_or("schema.registry.group.id", &default.group_id),
            leader_eligibility: source.flag(
                "leader.eligibility",
                source.flag("master.eligibility", true)?,
            )?,
            init_timeout: millis("kafkastore.init.timeout.ms", default.init_timeout)?,
            timeout: millis("kafkastore.timeout.ms", default.timeout)?,
            compatibility_level: source.level()?,
            validate_fields: source.flag("schema.validate.fields", false)?,
            validate_new_schemas: source.flag("schema.validate.new.schemas", false)?,
            mode_mutability: source.flag("mode.mutability", true)?,
            schema_cache_size: source.number("schema.cache.size", default.schema_cache_size)?,
            schema_limits: limits("schema", default.schema_limits)?,
            subject_limits: limits("subject", default.subject_limits)?,
            subject_version_limits: limits("subject.version", default.subject_version_limits)?,
            context_limits: limits("context", default.context_limits)?,
            incompatible_error_code: source.incompatible_error_code()?,
        })
    }
}

struct Source<'a>(&'a BTreeMap<String, String>);

impl Source<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|value| value.trim())
    }

    fn text_or(&self, key: &str, default: &str) -> String {
        self.text(key).unwrap_or(default).to_owned()
    }

    fn bad(key: &str, value: &str, expected: &'static str) -> ConfigError {
        ConfigError {
            key: key.to_owned(),
            value: value.to_owned(),
            expected,
        }
    }

    fn number<N: std::str::FromStr>(&self, key: &str, default: N) -> Result<N, ConfigError> {
        match self.text(key) {
            None => Ok(default),
            Some(value) => value
                .parse()
                .map_err(|_| Self::bad(key, value, "a number that is not negative")),
        }
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, ConfigError> {
        match self.text(key) {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(value) => Err(Self::bad(key, value, "true or false")),
        }
    }

    fn level(&self) -> Result<CompatibilityLevel, ConfigError> {
        for key in ["schema.compatibility.level", "avro.compatibility.level"] {
            if let Some(value) = self.text(key) {
                return CompatibilityLevel::of(value).ok_or_else(|| {
                    Self::bad(key, value, "a level such as backward or full_transitive")
                });
            }
        }
        Ok(CompatibilityLevel::Backward)
    }

    fn listener(&self) -> Result<SocketAddr, ConfigError> {
        let own = self.text("schema.registry.listeners");
        let shared = self
            .text("listeners")
            .filter(|value| value.starts_with("http"));
        let (key, value) = match (own, shared) {
            (Some(value), _) => ("schema.registry.listeners", value),
            (None, Some(value)) => ("listeners", value),
            (None, None) => ("schema.registry.listeners", DEFAULT_LISTENER),
        };
        let expected = "one http://host:port";
        let address = value.strip_prefix("http://").unwrap_or(value);
        if address.contains("://") || address.contains(',') {
            return Err(Self::bad(key, value, expected));
        }
        use std::net::ToSocketAddrs;
        let found = address
            .to_socket_addrs()
            .ok()
            .and_then(|mut found| found.next());
        found.ok_or_else(|| Self::bad(key, value, expected))
    }

    fn incompatible_error_code(&self) -> Result<u32, ConfigError> {
        let key = "schema.registry.api.version";
        let Some(value) = self.text(key) else {
            return Ok(409);
        };
        let expected = "a version such as 8.1";
        let number = |part: Option<&str>| part.unwrap_or("0").parse::<u32>();
        let mut parts = value.split('.');
        match (number(parts.next()), number(parts.next())) {
            (Ok(major), Ok(minor)) if (major, minor) >= (8, 2) => Ok(40901),
            (Ok(_), Ok(_)) => Ok(409),
            _ => Err(Self::bad(key, value, expected)),
        }
    }

    /// The registry speaks to brokers in the clear; to be told otherwise and do so all the same would be a trap.
    fn check_protocol(&self) -> Result<(), ConfigError> {
        let key = "kafkastore.security.protocol";
        match self.text(key) {
            None | Some("PLAINTEXT") => Ok(()),
            Some(value) => Err(Self::bad(key, value, "PLAINTEXT")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<RegistryConfig, ConfigError> {
        let properties = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        RegistryConfig::from_properties(&properties)
    }

    #[test]
    fn nothing_set_is_the_defaults() {
        let config = config(&[]).unwrap();
        assert_eq!(config.listener.to_string(), DEFAULT_LISTENER);
        assert_eq!(config.topic, "_schemas");
    }

    #[test]
    fn a_broker_beside_keeps_its_listeners() {
        let found = config(&[("listeners", "PLAINTEXT://127.0.0.1:9092")]).unwrap();
        assert_eq!(found.listener.port(), 8081);
        let found = config(&[("listeners", "http://127.0.0.1:9000")]).unwrap();
        assert_eq!(found.listener.port(), 9000);
        let both = [
            ("listeners", "http://127.0.0.1:9000"),
            ("schema.registry.listeners", "http://127.0.0.1:9001"),
        ];
        assert_eq!(config(&both).unwrap().listener.port(), 9001);
    }

    #[test]
    fn the_code_of_an_incompatible_schema_follows_the_version() {
        let code = |version| {
            config(&[("schema.registry.api.version", version)])
                .unwrap()
                .incompatible_error_code
        };
        assert_eq!((code("8.1"), code("8.2"), code("10")), (409, 40901, 40901));
    }

    #[test]
    fn what_cannot_be_used_is_told_with_its_key() {
        for (key, value) in [
            ("schema.compatibility.level", "sideways"),
            ("mode.mutability", "yes"),
            ("schema.cache.size", "-1"),
            ("schema.registry.listeners", "https://127.0.0.1:8081"),
            ("kafkastore.security.protocol", "SASL_SSL"),
        ] {
            assert_eq!(config(&[(key, value)]).unwrap_err().key, key);
        }
    }

    #[test]
    fn a_key_belongs_to_one_role() {
        assert!(is_registry_key("kafkastore.topic") && is_registry_key("host.name"));
        assert!(!is_registry_key("listeners") && !is_registry_key("log.retention.ms"));
    }
}
