//! The settings of the proxy, by the names of Confluent's `kafka-rest.properties`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

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
    /// `client.*` and `producer.*` settings that librdkafka knows, without their prefix.
    pub producer: BTreeMap<String, String>,
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
            producer: BTreeMap::new(),
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
                _ => match key
                    .strip_prefix("producer.")
                    .or_else(|| key.strip_prefix("client."))
                {
                    Some(setting) => {
                        config.producer.insert(setting.to_owned(), value.clone());
                    }
                    None => {
                        return Err(ConfigError {
                            key: key.clone(),
                            value: value.clone(),
                            expected: "a key the REST Proxy has (docs/rest-proxy.md)",
                        });
                    }
                },
            }
        }
        Ok(config)
    }
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
    }
}
