//! Configs of topics and brokers: read and change (KIP-133, KIP-226, KIP-339).

use wire::messages::describe_configs_request::DescribeConfigsResource;
use wire::messages::describe_configs_response::DescribeConfigsResourceResult;
use wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use wire::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest};

use super::{Admin, Destination, check};
use crate::error::ClientError;

/// What a config belongs to (`ConfigResource.Type`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigResource {
    /// A topic, by name.
    Topic(String),
    /// A broker, by id.
    Broker(i32),
    /// What every broker has that says nothing itself (the default entity of `kafka-configs.sh`).
    DefaultBroker,
}

impl ConfigResource {
    fn type_code(&self) -> i8 {
        match self {
            ConfigResource::Topic(_) => 2,
            ConfigResource::Broker(_) | ConfigResource::DefaultBroker => 4,
        }
    }

    fn name(&self) -> String {
        match self {
            ConfigResource::Topic(name) => name.clone(),
            ConfigResource::Broker(id) => id.to_string(),
            ConfigResource::DefaultBroker => String::new(),
        }
    }

    /// A broker's own configs are known only to itself.
    fn destination(&self) -> Destination<'static> {
        match self {
            ConfigResource::Topic(_) | ConfigResource::DefaultBroker => Destination::Any,
            ConfigResource::Broker(id) => Destination::Node(*id),
        }
    }

    fn subject(&self) -> String {
        match self {
            ConfigResource::Topic(name) => format!("topic '{name}'"),
            ConfigResource::Broker(id) => format!("broker {id}"),
            ConfigResource::DefaultBroker => "the default of all brokers".to_owned(),
        }
    }
}

/// Where a value comes from (`DescribeConfigsResponse.ConfigSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// Set on the topic.
    DynamicTopic,
    /// Set on the broker while it runs.
    DynamicBroker,
    /// Set for all brokers while they run.
    DynamicDefaultBroker,
    /// Set in the broker's own configuration.
    StaticBroker,
    /// Nobody set it.
    Default,
    /// Another source, of a newer Kafka.
    Other(i8),
}

impl ConfigSource {
    pub(super) fn of(code: i8) -> ConfigSource {
        match code {
            1 => ConfigSource::DynamicTopic,
            2 => ConfigSource::DynamicBroker,
            3 => ConfigSource::DynamicDefaultBroker,
            4 => ConfigSource::StaticBroker,
            5 => ConfigSource::Default,
            other => ConfigSource::Other(other),
        }
    }

    /// Kafka's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ConfigSource::DynamicTopic => "DYNAMIC_TOPIC_CONFIG",
            ConfigSource::DynamicBroker => "DYNAMIC_BROKER_CONFIG",
            ConfigSource::DynamicDefaultBroker => "DYNAMIC_DEFAULT_BROKER_CONFIG",
            ConfigSource::StaticBroker => "STATIC_BROKER_CONFIG",
            ConfigSource::Default => "DEFAULT_CONFIG",
            ConfigSource::Other(_) => "UNKNOWN",
        }
    }
}

/// One config with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The key.
    pub name: String,
    /// The value; `None` when it has none or is not shown.
    pub value: Option<String>,
    /// Whether it can not be changed while the broker runs.
    pub is_read_only: bool,
    /// Whether its value is a secret.
    pub is_sensitive: bool,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Every key and place that could give the value, the one that does first.
    pub synonyms: Vec<ConfigSynonym>,
}

/// A place that could give a config's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The key there, such as `log.retention.ms` for a topic's `retention.ms`.
    pub name: String,
    /// The value there.
    pub value: Option<String>,
    /// The place.
    pub source: ConfigSource,
}

/// A change of one config; `None` goes back to the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// The key.
    pub name: String,
    /// The new value.
    pub value: Option<String>,
}

impl Admin {
    /// Every config of `resource`, by name.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION` when there is no such topic.
    pub async fn describe_configs(
        &self,
        resource: &ConfigResource,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: resource.type_code(),
                resource_name: resource.name(),
                configuration_keys: None,
            }],
            include_synonyms: true,
            include_documentation: false,
        };
        self.call(resource.destination(), i16::MAX, &request, |response| {
            let mut entries = Vec::new();
            for result in &response.results {
                let message = result.error_message.as_deref();
                check(
                    "DescribeConfigs",
                    || resource.subject(),
                    result.error_code,
                    message,
                )?;
                entries.extend(result.configs.iter().map(entry));
            }
            entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            Ok(entries)
        })
        .await
    }

    /// Changes configs of `resource`; those not named keep their values.
    ///
    /// # Errors
    /// `INVALID_CONFIG` with the broker's message; nothing is changed then.
    pub async fn alter_configs(
        &self,
        resource: &ConfigResource,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<(), ClientError> {
        const SET: i8 = 0;
        const DELETE: i8 = 1;
        let configs = changes.iter().map(|change| AlterableConfig {
            name: change.name.clone(),
            config_operation: if change.value.is_some() { SET } else { DELETE },
            value: change.value.clone(),
        });
        let request = IncrementalAlterConfigsRequest {
            resources: vec![AlterConfigsResource {
                resource_type: resource.type_code(),
                resource_name: resource.name(),
                configs: configs.collect(),
            }],
            validate_only,
        };
        self.call(resource.destination(), i16::MAX, &request, |response| {
            response.responses.iter().try_for_each(|result| {
                let message = result.error_message.as_deref();
                let subject = || resource.subject();
                check(
                    "IncrementalAlterConfigs",
                    subject,
                    result.error_code,
                    message,
                )
            })
        })
        .await
    }
}

fn entry(config: &DescribeConfigsResourceResult) -> ConfigEntry {
    ConfigEntry {
        name: config.name.clone(),
        value: config.value.clone(),
        is_read_only: config.read_only,
        is_sensitive: config.is_sensitive,
        source: ConfigSource::of(config.config_source),
        synonyms: config
            .synonyms
            .iter()
            .map(|synonym| ConfigSynonym {
                name: synonym.name.clone(),
                value: synonym.value.clone(),
                source: ConfigSource::of(synonym.source),
            })
            .collect(),
    }
}
