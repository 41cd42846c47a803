//! The settings of the proxy, by the names of Confluent's `kafka-rest.properties`.

mod rules;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use registry_client::{ClientOptions, Password};
use schema::serde::SubjectNameStrategy;

pub(crate) use rules::RulesConfig;

/// A setting that is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kafka.rest.{key} = {value:?} is not usable: expected {expected}")]
pub struct ConfigError {
    /// The key, without the prefix it has in this program's settings.
    pub key: String,
    /// As it was set.
    pub value: String,
    /// What would be right.
    pub expected: &'static str,
}

/// What a proxy needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// `listeners`: where it listens; port 0 takes a free one.
    pub listeners: Vec<SocketAddr>,
    /// `bootstrap.servers`: the cluster, `host:port` with commas between.
    pub bootstrap_servers: String,
    /// `confluent.resource.name.authority`: with it, resources have `crn://` names.
    pub resource_name_authority: Option<String>,
    /// `api.v3.produce.batch.maximum.entries`: of one `records:batch`.
    pub produce_batch_entries_max: usize,
    /// `api.v3.produce.request.size.limit.max.bytes`: of one record's JSON in a stream.
    pub produce_request_bytes_max: usize,
    /// How long a stream of records may last.
    pub stream_limits: StreamLimits,
    /// `client.*` and `producer.*` settings that librdkafka knows, without their prefix.
    pub producer: BTreeMap<String, String>,
    /// `advertised.listeners`, or `host.name` with the port of the listener: where other proxies reach this one.
    pub advertised: Advertised,
    /// Consumer instances of version 2.
    pub consumers: ConsumersConfig,
    /// `schema.registry.*`.
    pub(crate) registry: ClientOptions,
    /// `schema.registry.key.subject.name.strategy`, and of values.
    pub(crate) subjects: Subjects,
    /// `rule.*`: of data contracts.
    pub(crate) rules: RulesConfig,
}

/// How subjects are named where a request does not say it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Subjects {
    pub(crate) key: SubjectNameStrategy,
    pub(crate) value: SubjectNameStrategy,
}

/// Where other proxies reach this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advertised {
    /// `advertised.listeners`: the first address, `http://host:port`.
    pub url: Option<String>,
    /// `host.name`.
    pub host: Option<String>,
}

/// What consumer instances may do.
#[derive(Debug, Clone)]
pub struct ConsumersConfig {
    /// `consumer.instance.timeout.ms`: an instance nobody asked anything of for so long is deleted.
    pub instance_timeout: Duration,
    /// `consumer.request.timeout.ms`: how long a read waits for records.
    pub request_timeout: Duration,
    /// `consumer.request.max.bytes`: keys and values of one read, at most.
    pub request_bytes_max: u64,
    /// `fetch.min.bytes`: a read that has so many is answered at once; `None` (-1) waits for the time to pass.
    pub fetch_bytes_min: Option<u64>,
    /// `consumer.instances.max`: of this proxy.
    pub instances_max: usize,
    /// `consumer.instances.topic`: where proxies tell each other whose which instance is.
    pub topic: String,
    /// `client.*` and `consumer.*` settings that librdkafka knows, without their prefix.
    pub properties: BTreeMap<String, String>,
}

impl Default for ConsumersConfig {
    fn default() -> Self {
        Self {
            instance_timeout: Duration::from_secs(300),
            request_timeout: Duration::from_secs(1),
            request_bytes_max: 64 * 1024 * 1024,
            fetch_bytes_min: None,
            instances_max: 256,
            topic: "_affluent_rest_consumers".to_owned(),
            properties: BTreeMap::new(),
        }
    }
}

/// `fetch.min.bytes` within its range.
pub(crate) const FETCH_BYTES_MIN: std::ops::RangeInclusive<i64> = -1..=10_000_000;

/// How long a stream of records may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// `streaming.connection.max.duration.ms`: records that come later are refused.
    pub duration_max: Duration,
    /// `streaming.connection.max.duration.grace.period.ms`: how long after the first that is refused the stream is closed.
    pub grace: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            duration_max: Duration::from_secs(24 * 60 * 60),
            grace: Duration::from_millis(500),
        }
    }
}

impl Config {
    /// Confluent's defaults, on loopback.
    #[must_use]
    pub fn new(bootstrap_servers: impl Into<String>) -> Self {
        Self {
            listeners: vec![SocketAddr::from(([127, 0, 0, 1], 8082))],
            bootstrap_servers: bootstrap_servers.into(),
            resource_name_authority: None,
            produce_batch_entries_max: 10,
            produce_request_bytes_max: 16 * 1024 * 1024,
            stream_limits: StreamLimits::default(),
            producer: BTreeMap::new(),
            advertised: Advertised::default(),
            consumers: ConsumersConfig::default(),
            registry: ClientOptions::new(""),
            subjects: Subjects::default(),
            rules: RulesConfig::default(),
        }
    }

    /// `schema.registry.url`: addresses with commas between, unless there is one already.
    pub fn default_registry(&mut self, urls: &str) {
        if self.registry.urls.is_empty() {
            self.registry.urls = addresses(urls);
        }
    }

    /// The settings as a file or the environment has them. `listeners` is the caller's to read; `bootstrap.servers`
    /// stands before `bootstrap`.
    ///
    /// # Errors
    /// The first setting that is not usable, or that the proxy does not know.
    pub fn from_properties(
        properties: &BTreeMap<String, String>,
        bootstrap: &str,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::new(bootstrap);
        for (key, value) in properties {
            match key.as_str() {
                "listeners" => {}
                "bootstrap.servers" => config.bootstrap_servers.clone_from(value),
                "confluent.resource.name.authority" => {
                    config.resource_name_authority =
                        Some(value.clone()).filter(|authority| !authority.is_empty());
                }
                "api.v3.produce.batch.maximum.entries" => {
                    config.produce_batch_entries_max = number(key, value)?;
                }
                "api.v3.produce.request.size.limit.max.bytes" => {
                    config.produce_request_bytes_max = number(key, value)?;
                }
                "streaming.connection.max.duration.ms" => {
                    config.stream_limits.duration_max = milliseconds(key, value)?;
                }
                "streaming.connection.max.duration.grace.period.ms" => {
                    config.stream_limits.grace = milliseconds(key, value)?;
                }
                "advertised.listeners" => {
                    config.advertised.url = addresses(value).into_iter().next();
                }
                "host.name" => config.advertised.host = Some(value.clone()),
                "schema.registry.url" => config.registry.urls = addresses(value),
                "schema.registry.basic.auth.credentials.source" if value == "USER_INFO" => {}
                "schema.registry.basic.auth.user.info" => {
                    config.registry.user = Some(user_info(key, value)?);
                }
                "schema.registry.key.subject.name.strategy" => {
                    config.subjects.key = strategy(key, value)?;
                }
                "schema.registry.value.subject.name.strategy" => {
                    config.subjects.value = strategy(key, value)?;
                }
                key if config.rules.take(key, value)? => {}
                key if config.consumers.take(key, value)? => {}
                key => config.take_of_clients(key, value)?,
            }
        }
        Ok(config)
    }

    /// Settings that are handed to librdkafka.
    fn take_of_clients(&mut self, key: &str, value: &str) -> Result<(), ConfigError> {
        let (producer, consumer) = (&mut self.producer, &mut self.consumers.properties);
        let takers = match key.split_once('.') {
            Some(("producer", setting)) => [Some((producer, setting)), None],
            Some(("consumer", setting)) => [Some((consumer, setting)), None],
            Some(("client", setting)) => [Some((producer, setting)), Some((consumer, setting))],
            _ => {
                return Err(ConfigError {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    expected: "a key the REST Proxy has (docs/rest-proxy.md)",
                });
            }
        };
        for (settings, setting) in takers.into_iter().flatten() {
            settings.insert(setting.to_owned(), value.to_owned());
        }
        Ok(())
    }
}

impl ConsumersConfig {
    /// Takes a setting, if it is one of these.
    fn take(&mut self, key: &str, value: &str) -> Result<bool, ConfigError> {
        match key {
            "consumer.instance.timeout.ms" => self.instance_timeout = milliseconds(key, value)?,
            "consumer.request.timeout.ms" => self.request_timeout = milliseconds(key, value)?,
            "consumer.request.max.bytes" => self.request_bytes_max = number(key, value)? as u64,
            "consumer.instances.max" => self.instances_max = number(key, value)?,
            "consumer.instances.topic" => value.clone_into(&mut self.topic),
            "fetch.min.bytes" => {
                let bytes = value.trim().parse().ok();
                let bytes = bytes.filter(|bytes| FETCH_BYTES_MIN.contains(bytes));
                let bytes: i64 = bytes.ok_or_else(|| ConfigError {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    expected: "a number from -1 to 10000000",
                })?;
                self.fetch_bytes_min = u64::try_from(bytes).ok();
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Addresses with commas between, without a slash at their end.
fn addresses(list: &str) -> Vec<String> {
    list.split(',')
        .map(|url| url.trim().trim_end_matches('/'))
        .filter(|url| !url.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What is associated with a topic is not asked for.
fn strategy(key: &str, value: &str) -> Result<SubjectNameStrategy, ConfigError> {
    let found = SubjectNameStrategy::of(value.trim());
    let found = found.filter(|strategy| *strategy != SubjectNameStrategy::AssociatedName);
    found.ok_or_else(|| ConfigError {
        key: key.to_owned(),
        value: value.to_owned(),
        expected: "TopicNameStrategy, RecordNameStrategy or TopicRecordNameStrategy",
    })
}

fn user_info(key: &str, value: &str) -> Result<(String, Password), ConfigError> {
    let (name, password) = value.split_once(':').ok_or_else(|| ConfigError {
        key: key.to_owned(),
        value: "(hidden)".to_owned(),
        expected: "name:password",
    })?;
    Ok((name.to_owned(), Password(password.to_owned())))
}

fn milliseconds(key: &str, value: &str) -> Result<Duration, ConfigError> {
    number(key, value).map(|millis| Duration::from_millis(millis as u64))
}

fn number(key: &str, value: &str) -> Result<usize, ConfigError> {
    let number = value.trim().parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| ConfigError {
        key: key.to_owned(),
        value: value.to_owned(),
        expected: "a number from 1",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(key: &str, value: &str) -> Result<Config, ConfigError> {
        Config::from_properties(&BTreeMap::from([(key.to_owned(), value.to_owned())]), "h:1")
    }

    #[test]
    fn a_setting_is_read_or_refused_by_name() {
        assert_eq!(
            parse("bootstrap.servers", "k:9092")
                .unwrap()
                .bootstrap_servers,
            "k:9092"
        );
        assert_eq!(parse("listeners", "x").unwrap().bootstrap_servers, "h:1");
        assert_eq!(
            parse("producer.linger.ms", "5").unwrap().producer["linger.ms"],
            "5"
        );
        let error = parse("api.v3.produce.batch.maximum.entries", "0").unwrap_err();
        assert!(error.to_string().contains("maximum.entries"), "{error}");
        assert_eq!(parse("nonsense", "1").unwrap_err().key, "nonsense");
        assert_eq!(
            parse("fetch.min.bytes", "-2").unwrap_err().key,
            "fetch.min.bytes"
        );
    }

    #[test]
    fn consumers_have_settings_of_the_proxy_and_of_librdkafka() {
        let config = parse("consumer.instance.timeout.ms", "5").unwrap();
        assert_eq!(config.consumers.instance_timeout, Duration::from_millis(5));
        assert!(config.consumers.properties.is_empty());
        let config = parse("consumer.session.timeout.ms", "7").unwrap();
        assert_eq!(config.consumers.properties["session.timeout.ms"], "7");
        let config = parse("client.sasl.username", "u").unwrap();
        assert_eq!(config.consumers.properties["sasl.username"], "u");
        assert_eq!(config.producer["sasl.username"], "u");
    }

    #[test]
    fn subjects_are_named_as_a_class_says() {
        let record = "io.confluent.kafka.serializers.subject.RecordNameStrategy";
        let config = parse("schema.registry.value.subject.name.strategy", record).unwrap();
        assert_eq!(config.subjects.value, SubjectNameStrategy::RecordName);
        assert_eq!(config.subjects.key, SubjectNameStrategy::TopicName);
        for unknown in ["x.MineStrategy", "AssociatedNameStrategy"] {
            assert!(parse("schema.registry.key.subject.name.strategy", unknown).is_err());
        }
    }

    #[test]
    fn a_registry_is_named_by_its_addresses() {
        let mut config = parse("schema.registry.url", "http://a:1/, http://b:2").unwrap();
        config.default_registry("http://c:3");
        assert_eq!(config.registry.urls, ["http://a:1", "http://b:2"]);
        let config = parse("schema.registry.basic.auth.user.info", "u:secret").unwrap();
        assert!(!format!("{config:?}").contains("secret"));
    }
}
