//! Configs: of a topic, of a broker, and the default of all brokers (`broker-configs`).
//!
//! The three differ in where they lie and what they are called, which [`Owner`] says; what is done with them is the
//! same.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use client::Admin;
use client::admin::{ConfigChange, ConfigEntry, ConfigResource, ConfigSource};
use serde::{Deserialize, Serialize};

use super::resource::{List, Resource, list as list_of, resource as resource_of};
use crate::error::RestError;
use crate::json::{Body, optional, scalar};
use crate::links::{Links, Place};
use crate::path::Path;
use crate::proxy::Proxy;

/// Whose configs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Owner {
    Cluster,
    Broker(i32),
    Topic(String),
}

/// `TopicConfigData`, `BrokerConfigData`, `ClusterConfigData`.
#[derive(Debug, Serialize)]
pub(super) struct ConfigData {
    cluster_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broker_id: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_type: Option<&'static str>,
    name: String,
    value: Option<String>,
    is_default: bool,
    is_read_only: bool,
    is_sensitive: bool,
    source: &'static str,
    synonyms: Vec<Synonym>,
}

#[derive(Debug, Serialize)]
struct Synonym {
    name: String,
    value: Option<String>,
    source: &'static str,
}

/// `UpdateConfigRequestData`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetConfig {
    #[serde(default, deserialize_with = "optional")]
    value: Option<String>,
}

/// `AlterConfigBatchRequestData`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlterConfigs {
    data: Vec<AlterConfig>,
    #[serde(default, deserialize_with = "optional")]
    validate_only: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AlterConfig {
    #[serde(deserialize_with = "scalar")]
    name: String,
    #[serde(default, deserialize_with = "optional")]
    value: Option<String>,
    operation: Option<String>,
}

impl Owner {
    fn resource(&self) -> ConfigResource {
        match self {
            Self::Cluster => ConfigResource::DefaultBroker,
            Self::Broker(id) => ConfigResource::Broker(*id),
            Self::Topic(name) => ConfigResource::Topic(name.clone()),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Cluster => "KafkaClusterConfig",
            Self::Broker(_) => "KafkaBrokerConfig",
            Self::Topic(_) => "KafkaTopicConfig",
        }
    }

    fn list_kind(&self) -> &'static str {
        match self {
            Self::Cluster => "KafkaClusterConfigList",
            Self::Broker(_) => "KafkaBrokerConfigList",
            Self::Topic(_) => "KafkaTopicConfigList",
        }
    }

    /// Where its configs are listed.
    fn list_place(&self, cluster: &Place) -> Place {
        match self {
            Self::Cluster => cluster.below(&[&"broker-configs"]),
            Self::Broker(id) => cluster.broker(*id).below(&[&"configs"]),
            Self::Topic(topic) => cluster.topic(topic).below(&[&"configs"]),
        }
    }

    fn place(&self, cluster: &Place, name: &str) -> Place {
        match self {
            Self::Cluster => cluster.cluster_config(name),
            Self::Broker(id) => cluster.broker(*id).config(name),
            Self::Topic(topic) => cluster.topic(topic).config(name),
        }
    }

    async fn entries(&self, admin: &Admin) -> Result<Vec<ConfigEntry>, RestError> {
        Ok(admin.describe_configs(&self.resource()).await?)
    }

    async fn entry(
        &self,
        admin: &Admin,
        cluster_id: &str,
        name: &str,
    ) -> Result<ConfigEntry, RestError> {
        let entries = self.entries(admin).await?;
        entries
            .into_iter()
            .find(|entry| entry.name == name)
            .ok_or_else(|| self.not_found(cluster_id, name))
    }

    fn not_found(&self, cluster_id: &str, name: &str) -> RestError {
        let whose = match self {
            Self::Cluster => "all brokers".to_owned(),
            Self::Broker(id) => format!("BROKER {id}"),
            Self::Topic(topic) => format!("TOPIC {topic}"),
        };
        RestError::not_found(format!(
            "Config {name} cannot be found for {whose} in cluster {cluster_id}."
        ))
    }

    /// Refuses changes of what is no config. The default of all brokers lists only what somebody set, so what can be
    /// set there is not known from it.
    async fn check_names(
        &self,
        admin: &Admin,
        cluster_id: &str,
        changes: &[ConfigChange],
    ) -> Result<(), RestError> {
        if *self == Self::Cluster {
            return Ok(());
        }
        let entries = self.entries(admin).await?;
        let is_there =
            |change: &&ConfigChange| entries.iter().any(|entry| entry.name == change.name);
        match changes.iter().find(|change| !is_there(change)) {
            Some(change) => Err(self.not_found(cluster_id, &change.name)),
            None => Ok(()),
        }
    }

    /// Sets one config that exists, or takes it back to its default.
    async fn set(
        &self,
        proxy: &Proxy,
        cluster_id: &str,
        name: &str,
        value: Option<String>,
    ) -> Result<StatusCode, RestError> {
        let name = name.to_owned();
        let changes = [ConfigChange { name, value }];
        self.change(proxy, cluster_id, &changes, false).await
    }

    async fn alter(
        &self,
        proxy: &Proxy,
        cluster_id: &str,
        request: AlterConfigs,
    ) -> Result<StatusCode, RestError> {
        let changes: Vec<ConfigChange> = request
            .data
            .into_iter()
            .map(AlterConfig::change)
            .collect::<Result<_, _>>()?;
        let validate_only = request.validate_only.unwrap_or(false);
        self.change(proxy, cluster_id, &changes, validate_only)
            .await
    }

    async fn change(
        &self,
        proxy: &Proxy,
        cluster_id: &str,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<StatusCode, RestError> {
        let admin = proxy.check_cluster(cluster_id).await?;
        self.check_names(admin, cluster_id, changes).await?;
        admin
            .alter_configs(&self.resource(), changes, validate_only)
            .await?;
        Ok(StatusCode::NO_CONTENT)
    }

    fn data(&self, cluster: &Place, cluster_id: &str, entry: ConfigEntry) -> Resource<ConfigData> {
        let place = self.place(cluster, &entry.name);
        let body = ConfigData {
            cluster_id: cluster_id.to_owned(),
            topic_name: match self {
                Self::Topic(topic) => Some(topic.clone()),
                _ => None,
            },
            broker_id: match self {
                Self::Broker(id) => Some(*id),
                _ => None,
            },
            config_type: (*self == Self::Cluster).then_some("BROKER"),
            name: entry.name,
            value: entry.value,
            is_default: entry.source == ConfigSource::Default,
            is_read_only: entry.is_read_only,
            is_sensitive: entry.is_sensitive,
            source: entry.source.name(),
            synonyms: entry
                .synonyms
                .into_iter()
                .map(|synonym| Synonym {
                    name: synonym.name,
                    value: synonym.value,
                    source: synonym.source.name(),
                })
                .collect(),
        };
        resource_of(self.kind(), place, body)
    }

    async fn list(
        &self,
        proxy: &Proxy,
        cluster_id: &str,
        links: &Links,
    ) -> Result<Json<List<ConfigData>>, RestError> {
        let admin = proxy.check_cluster(cluster_id).await?;
        let cluster = proxy.place(links, cluster_id);
        let entries = self.entries(admin).await?;
        let place = self.list_place(&cluster);
        Ok(Json(self.list_at(place, &cluster, cluster_id, entries)))
    }

    fn list_at(
        &self,
        place: Place,
        cluster: &Place,
        cluster_id: &str,
        entries: Vec<ConfigEntry>,
    ) -> List<ConfigData> {
        let entries = entries.into_iter();
        list_of(
            self.list_kind(),
            place,
            entries
                .map(|entry| self.data(cluster, cluster_id, entry))
                .collect(),
        )
    }

    async fn get(
        &self,
        proxy: &Proxy,
        cluster_id: &str,
        name: &str,
        links: &Links,
    ) -> Result<Json<Resource<ConfigData>>, RestError> {
        let admin = proxy.check_cluster(cluster_id).await?;
        let entry = self.entry(admin, cluster_id, name).await?;
        let cluster = proxy.place(links, cluster_id);
        Ok(Json(self.data(&cluster, cluster_id, entry)))
    }
}

impl AlterConfig {
    /// `SET` where no operation is named.
    fn change(self) -> Result<ConfigChange, RestError> {
        let value = match self
            .operation
            .as_deref()
            .map(str::to_ascii_uppercase)
            .as_deref()
        {
            None | Some("SET") => self.value,
            Some("DELETE") => None,
            Some(other) => {
                return Err(RestError::bad_request(format!(
                    "operation of config {} must be SET or DELETE, not {other}",
                    self.name
                )));
            }
        };
        Ok(ConfigChange {
            name: self.name,
            value,
        })
    }
}

/// `GET .../broker-configs`.
pub(super) async fn list_of_cluster(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    links: Links,
) -> Result<Json<List<ConfigData>>, RestError> {
    Owner::Cluster.list(&proxy, &cluster_id, &links).await
}

/// `GET .../broker-configs/{name}`.
pub(super) async fn get_of_cluster(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, name)): Path<(String, String)>,
    links: Links,
) -> Result<Json<Resource<ConfigData>>, RestError> {
    Owner::Cluster.get(&proxy, &cluster_id, &name, &links).await
}

/// `PUT .../broker-configs/{name}`.
pub(super) async fn set_of_cluster(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, name)): Path<(String, String)>,
    Body(request): Body<SetConfig>,
) -> Result<StatusCode, RestError> {
    Owner::Cluster
        .set(&proxy, &cluster_id, &name, request.value)
        .await
}

/// `DELETE .../broker-configs/{name}`.
pub(super) async fn reset_of_cluster(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, name)): Path<(String, String)>,
) -> Result<StatusCode, RestError> {
    Owner::Cluster.set(&proxy, &cluster_id, &name, None).await
}

/// `POST .../broker-configs:alter`.
pub(super) async fn alter_of_cluster(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    Body(request): Body<AlterConfigs>,
) -> Result<StatusCode, RestError> {
    Owner::Cluster.alter(&proxy, &cluster_id, request).await
}

/// `GET .../brokers/-/configs`: of every broker.
pub(super) async fn list_of_brokers(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    links: Links,
) -> Result<Json<List<ConfigData>>, RestError> {
    let (_, cluster) = proxy.describe_cluster(&cluster_id).await?;
    let brokers = cluster.brokers.iter();
    let owners = brokers.map(|broker| Owner::Broker(broker.id)).collect();
    list_of_many(&proxy, &cluster_id, &links, "brokers", owners).await
}

/// `GET .../brokers/{broker_id}/configs`.
pub(super) async fn list_of_broker(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, broker_id)): Path<(String, i32)>,
    links: Links,
) -> Result<Json<List<ConfigData>>, RestError> {
    super::brokers::find(&proxy, &cluster_id, broker_id).await?;
    Owner::Broker(broker_id)
        .list(&proxy, &cluster_id, &links)
        .await
}

/// `GET .../brokers/{broker_id}/configs/{name}`.
pub(super) async fn get_of_broker(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, broker_id, name)): Path<(String, i32, String)>,
    links: Links,
) -> Result<Json<Resource<ConfigData>>, RestError> {
    super::brokers::find(&proxy, &cluster_id, broker_id).await?;
    Owner::Broker(broker_id)
        .get(&proxy, &cluster_id, &name, &links)
        .await
}

/// `PUT .../brokers/{broker_id}/configs/{name}`.
pub(super) async fn set_of_broker(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, broker_id, name)): Path<(String, i32, String)>,
    Body(request): Body<SetConfig>,
) -> Result<StatusCode, RestError> {
    super::brokers::find(&proxy, &cluster_id, broker_id).await?;
    Owner::Broker(broker_id)
        .set(&proxy, &cluster_id, &name, request.value)
        .await
}

/// `DELETE .../brokers/{broker_id}/configs/{name}`.
pub(super) async fn reset_of_broker(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, broker_id, name)): Path<(String, i32, String)>,
) -> Result<StatusCode, RestError> {
    super::brokers::find(&proxy, &cluster_id, broker_id).await?;
    Owner::Broker(broker_id)
        .set(&proxy, &cluster_id, &name, None)
        .await
}

/// `POST .../brokers/{broker_id}/configs:alter`.
pub(super) async fn alter_of_broker(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, broker_id)): Path<(String, i32)>,
    Body(request): Body<AlterConfigs>,
) -> Result<StatusCode, RestError> {
    super::brokers::find(&proxy, &cluster_id, broker_id).await?;
    Owner::Broker(broker_id)
        .alter(&proxy, &cluster_id, request)
        .await
}

/// `GET .../topics/-/configs`: of every topic.
pub(super) async fn list_of_topics(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    links: Links,
) -> Result<Json<List<ConfigData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let topics = admin.list_topics().await?;
    let topics = topics.into_iter();
    let owners = topics.map(|topic| Owner::Topic(topic.name)).collect();
    list_of_many(&proxy, &cluster_id, &links, "topics", owners).await
}

/// `GET .../topics/{topic_name}/configs`.
pub(super) async fn list_of_topic(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name)): Path<(String, String)>,
    links: Links,
) -> Result<Json<List<ConfigData>>, RestError> {
    Owner::Topic(topic_name)
        .list(&proxy, &cluster_id, &links)
        .await
}

/// `GET .../topics/{topic_name}/configs/{name}`.
pub(super) async fn get_of_topic(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name, name)): Path<(String, String, String)>,
    links: Links,
) -> Result<Json<Resource<ConfigData>>, RestError> {
    Owner::Topic(topic_name)
        .get(&proxy, &cluster_id, &name, &links)
        .await
}

/// `GET .../topics/{topic_name}/default-configs`: what the topic would have if it were created now. As in Confluent's
/// proxy, a topic that exists cannot be created, so it has none.
pub(super) async fn defaults_of_topic(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name)): Path<(String, String)>,
    links: Links,
) -> Result<Json<List<ConfigData>>, RestError> {
    let admin = proxy.check_cluster(&cluster_id).await?;
    let entries = admin.default_topic_configs(&topic_name).await?;
    let cluster = proxy.place(&links, &cluster_id);
    let place = cluster.topic(&topic_name).below(&[&"default-configs"]);
    let owner = Owner::Topic(topic_name);
    Ok(Json(owner.list_at(place, &cluster, &cluster_id, entries)))
}

/// `PUT .../topics/{topic_name}/configs/{name}`.
pub(super) async fn set_of_topic(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name, name)): Path<(String, String, String)>,
    Body(request): Body<SetConfig>,
) -> Result<StatusCode, RestError> {
    Owner::Topic(topic_name)
        .set(&proxy, &cluster_id, &name, request.value)
        .await
}

/// `DELETE .../topics/{topic_name}/configs/{name}`.
pub(super) async fn reset_of_topic(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name, name)): Path<(String, String, String)>,
) -> Result<StatusCode, RestError> {
    Owner::Topic(topic_name)
        .set(&proxy, &cluster_id, &name, None)
        .await
}

/// `POST .../topics/{topic_name}/configs:alter`.
pub(super) async fn alter_of_topic(
    State(proxy): State<Arc<Proxy>>,
    Path((cluster_id, topic_name)): Path<(String, String)>,
    Body(request): Body<AlterConfigs>,
) -> Result<StatusCode, RestError> {
    Owner::Topic(topic_name)
        .alter(&proxy, &cluster_id, request)
        .await
}

async fn list_of_many(
    proxy: &Proxy,
    cluster_id: &str,
    links: &Links,
    of: &str,
    owners: Vec<Owner>,
) -> Result<Json<List<ConfigData>>, RestError> {
    let admin = proxy.admin().await?;
    let cluster = proxy.place(links, cluster_id);
    let mut data = Vec::new();
    let mut kind = "KafkaTopicConfigList";
    for owner in &owners {
        kind = owner.list_kind();
        let entries = owner.entries(admin).await?.into_iter();
        data.extend(entries.map(|entry| owner.data(&cluster, cluster_id, entry)));
    }
    let place = cluster.below(&[&of, &"-", &"configs"]);
    Ok(Json(list_of(kind, place, data)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(operation: Option<&str>) -> Result<ConfigChange, RestError> {
        AlterConfig {
            name: "retention.ms".to_owned(),
            value: Some("1".to_owned()),
            operation: operation.map(str::to_owned),
        }
        .change()
    }

    #[test]
    fn an_operation_sets_or_deletes() {
        assert_eq!(change(None).unwrap().value.as_deref(), Some("1"));
        assert_eq!(change(Some("set")).unwrap().value.as_deref(), Some("1"));
        assert_eq!(change(Some("DELETE")).unwrap().value, None);
        let error = change(Some("APPEND")).unwrap_err();
        assert_eq!(error.code, 400);
        assert!(error.message.contains("retention.ms"), "{error}");
    }
}
