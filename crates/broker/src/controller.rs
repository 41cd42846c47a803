//! Changing topics and configs: check, commit to the metadata store, then take effect.
//!
//! All changes run one at a time under [`Server::changing`], so that a check still holds when its change is
//! committed. A change is in the store before it is in the topic table: whatever a client was told survives a
//! crash. The texts of refusals are those of Apache Kafka's `ReplicationControlManager` and
//! `ConfigurationControlManager`.

use std::convert::Infallible;
use std::sync::Arc;

use base::{ErrorChain, LeaderEpoch, NodeId, PartitionIndex, TopicId, Uuid};
use metastore::{CreateError, MetadataError, TopicImage};
use security::{CLUSTER_NAME, Operation, ResourceType};
use storage::PartitionSpec;
use wire::ErrorCode;

use crate::config::{
    AlterError, BrokerConfigs, BrokerScope, Change, Overrides, TopicSettings, alter,
};
use crate::errors;
use crate::request::RequestContext;
use crate::server::Server;
use crate::settings::{cleaner_config, log_config};
use crate::topics::{
    ApiError, CONSUMER_OFFSETS, NewTopic, Partition, SHARE_GROUP_STATE, TRANSACTION_STATE, Topic,
    validate_name,
};

/// Partitions that one request may create (`ReplicationControlManager.MAX_PARTITIONS_PER_BATCH`).
const PARTITIONS_PER_REQUEST_MAX: i32 = 10_000;

/// A new topic that passed every check.
#[derive(Debug, Clone)]
pub(crate) struct CheckedTopic {
    /// Its name.
    pub(crate) name: String,
    /// Its partitions.
    pub(crate) partitions: i32,
    /// Its configs.
    pub(crate) overrides: Overrides,
    settings: TopicSettings,
}

/// A resource with configs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConfigResource {
    /// A topic.
    Topic(String),
    /// This broker.
    Broker,
    /// The default of all brokers.
    BrokerDefault,
    /// The loggers of this broker (KIP-412).
    BrokerLogger,
    /// A group (KIP-1043).
    Group(String),
    /// A client metrics subscription (KIP-714).
    ClientMetrics(String),
}

impl ConfigResource {
    /// Whether a resource of this type can be described or altered.
    pub(crate) fn is_type(kind: i8) -> bool {
        matches!(kind, 2 | 4 | 8 | 16 | 32)
    }

    /// The resource a request names (`org.apache.kafka.common.config.ConfigResource.Type`).
    ///
    /// # Errors
    /// INVALID_REQUEST for a type there is not, or another broker's id.
    pub(crate) fn from_wire(kind: i8, name: &str, node: NodeId) -> Result<Self, ApiError> {
        match kind {
            2 => Ok(ConfigResource::Topic(name.to_owned())),
            4 if name.is_empty() => Ok(ConfigResource::BrokerDefault),
            4 if name.parse() == Ok(node.0) => Ok(ConfigResource::Broker),
            4 => Err(ApiError::new(
                ErrorCode::InvalidRequest,
                match name.parse::<i32>() {
                    Ok(_) => format!(
                        "Unexpected broker id, expected {node} or empty string, but received {name}"
                    ),
                    Err(_) => format!("Broker id must be an integer, but it is: {name}"),
                },
            )),
            8 if name.is_empty() => Err(ApiError::new(
                ErrorCode::InvalidRequest,
                "Broker id must not be empty",
            )),
            8 if name.parse() == Ok(node.0) => Ok(ConfigResource::BrokerLogger),
            8 => Err(ApiError::new(
                ErrorCode::InvalidRequest,
                match name.parse::<i32>() {
                    Ok(_) => {
                        format!("Unexpected broker id, expected {node} but received {name}")
                    }
                    Err(_) => format!("Broker id must be an integer, but it is: {name}"),
                },
            )),
            16 => Ok(ConfigResource::ClientMetrics(name.to_owned())),
            32 => Ok(ConfigResource::Group(name.to_owned())),
            other => Err(ApiError::new(
                ErrorCode::InvalidRequest,
                format!("Unknown resource type {other}"),
            )),
        }
    }

    /// Refuses the change of a resource that there is not, which Kafka does in other words than the question for it
    /// (`ConfigAdminManager`).
    ///
    /// # Errors
    /// INVALID_REQUEST for the topic without a name, and for what is no number of this broker.
    fn check_alterable(kind: i8, name: &str, node: NodeId) -> Result<(), ApiError> {
        let message = match (kind, name.parse::<i32>()) {
            (2, _) if name.is_empty() => "Default topic resources are not allowed.".to_owned(),
            (4 | 8, Err(_)) if !name.is_empty() => {
                format!("Node id must be an integer, but it is: {name}")
            }
            (4, Ok(id)) if id != node.0 => {
                format!("Unexpected broker id, expected {node}, but received {id}")
            }
            (8, Ok(id)) if id != node.0 => {
                format!("Unexpected node id. Expected {node}, but received {id}")
            }
            _ => return Ok(()),
        };
        Err(ApiError::new(ErrorCode::InvalidRequest, message))
    }

    /// What an authorizer is asked about, and the code for its refusal.
    pub(crate) fn guarded_by(&self) -> (ResourceType, &str, ErrorCode) {
        match self {
            ConfigResource::Topic(name) => (
                ResourceType::Topic,
                name.as_str(),
                ErrorCode::TopicAuthorizationFailed,
            ),
            ConfigResource::Group(name) => (
                ResourceType::Group,
                name.as_str(),
                ErrorCode::GroupAuthorizationFailed,
            ),
            _ => (
                ResourceType::Cluster,
                CLUSTER_NAME,
                ErrorCode::ClusterAuthorizationFailed,
            ),
        }
    }
}

impl From<AlterError> for ApiError {
    fn from(error: AlterError) -> ApiError {
        let code = match &error {
            AlterError::InvalidConfig(_) => ErrorCode::InvalidConfig,
            AlterError::InvalidRequest(_) => ErrorCode::InvalidRequest,
        };
        ApiError::new(code, error.to_string())
    }
}

/// Checks one partition's manual assignment: this broker, once.
///
/// # Errors
/// INVALID_REPLICA_ASSIGNMENT in Kafka's words.
pub(crate) fn check_assignment(brokers: &[i32], node: NodeId) -> Result<(), ApiError> {
    let refuse = |message: String| ApiError::new(ErrorCode::InvalidReplicaAssignment, message);
    match brokers {
        [] => Err(refuse(
            "The manual partition assignment includes an empty replica list.".into(),
        )),
        [broker] if *broker == node.0 => Ok(()),
        [first, rest @ ..] if rest.contains(first) => Err(refuse(format!(
            "The manual partition assignment includes the broker {first} more than once."
        ))),
        brokers => {
            let unknown = brokers
                .iter()
                .find(|broker| **broker != node.0)
                .unwrap_or(&node.0);
            Err(refuse(format!(
                "The manual partition assignment includes broker {unknown}, but no such broker is registered."
            )))
        }
    }
}

/// The answer when the metadata store failed.
pub(crate) fn store_failed(error: &MetadataError) -> ApiError {
    tracing::error!(error = %ErrorChain(error), "metadata cannot be changed");
    ApiError::new(ErrorCode::KafkaStorageError, ErrorChain(error).to_string())
}

/// Runs what blocks on the disk where it may.
///
/// # Cancel safety
/// The work goes on when the call is dropped.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(ApiError::new(
            ErrorCode::UnknownServerError,
            "The operation panicked.",
        ))
    })
}

impl Server {
    /// Checks a topic that is to be created.
    ///
    /// # Errors
    /// Kafka's code and words for what is wrong with it.
    pub(crate) fn check_topic(&self, new: &NewTopic) -> Result<CheckedTopic, ApiError> {
        validate_name(&new.name)
            .map_err(|message| ApiError::new(ErrorCode::InvalidTopicException, message))?;
        if self.topics().get(&new.name).is_some() {
            let message = format!("Topic '{}' already exists.", new.name);
            return Err(ApiError::new(ErrorCode::TopicAlreadyExists, message));
        }
        if let Some(other) = self.topics().colliding(&new.name) {
            let message = format!("Topic '{}' collides with existing topic: {other}", new.name);
            return Err(ApiError::new(ErrorCode::InvalidTopicException, message));
        }
        let settings = self.settings();
        let replicas = new
            .replication_factor
            .unwrap_or(settings.default_replication_factor);
        if replicas < 1 {
            return Err(ApiError::new(
                ErrorCode::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ));
        }
        let partitions = new.partitions.unwrap_or(settings.num_partitions);
        if partitions < 1 {
            return Err(ApiError::new(
                ErrorCode::InvalidPartitions,
                "Number of partitions was set to an invalid non-positive value.",
            ));
        }
        if partitions > PARTITIONS_PER_REQUEST_MAX {
            return Err(ApiError::new(
                ErrorCode::PolicyViolation,
                "Excessively large number of partitions per request.",
            ));
        }
        if replicas > 1 {
            let message = format!(
                "Unable to replicate the partition {replicas} time(s): The target replication factor of {replicas} cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned."
            );
            return Err(ApiError::new(ErrorCode::InvalidReplicationFactor, message));
        }
        let configs = self.configs();
        let overrides = alter::new_topic(&configs, &new.configs)?;
        let settings = resolve_settings(&configs, &overrides)?;
        Ok(CheckedTopic {
            name: new.name.clone(),
            partitions,
            overrides,
            settings,
        })
    }

    /// Creates a topic: durable, and ready to be written to, when this returns.
    ///
    /// # Errors
    /// What [`Server::check_topic`] finds, or KAFKA_STORAGE_ERROR.
    ///
    /// # Cancel safety
    /// Not cancel safe: the topic may be in the store and not in the table until the next start.
    pub(crate) async fn create_topic(
        self: &Arc<Self>,
        new: NewTopic,
    ) -> Result<Arc<Topic>, ApiError> {
        let _changing = self.changing.lock().await;
        let checked = self.check_topic(&new)?;
        let server = Arc::clone(self);
        let topic = blocking(move || {
            let id = TopicId(Uuid::from_random(rand::random()));
            let stored = server.metadata().create_topic(&metastore::NewTopic {
                name: checked.name.clone(),
                id,
                assignments: (0..checked.partitions)
                    .map(|_| vec![server.node_id()])
                    .collect(),
                configs: checked.overrides.clone(),
                created_ms: server.clock().now_ms(),
            });
            stored
                .map_err(|error| store_failed(&error))?
                .map_err(|refused| {
                    let code = match &refused {
                        CreateError::AlreadyExists(_) => ErrorCode::TopicAlreadyExists,
                        CreateError::PartitionCount { .. } => ErrorCode::InvalidPartitions,
                    };
                    ApiError::new(code, refused.to_string())
                })?;
            let partitions = server.open_partitions(
                &checked.name,
                id,
                0..checked.partitions,
                &checked.settings,
            )?;
            Ok(Arc::new(Topic::new(
                checked.name,
                id,
                partitions,
                checked.settings,
            )))
        })
        .await?;
        self.topics().insert(Arc::clone(&topic));
        self.tell_groups_of(&topic.name, true).await;
        tracing::info!(topic = topic.name, id = %topic.id,
            partitions = topic.partitions().len(), "created topic");
        Ok(topic)
    }

    fn open_partitions(
        &self,
        name: &str,
        id: TopicId,
        indexes: std::ops::Range<i32>,
        settings: &TopicSettings,
    ) -> Result<Vec<Partition>, ApiError> {
        indexes
            .map(|index| {
                let index = PartitionIndex(index);
                let log = self
                    .storage()
                    .create_partition(PartitionSpec {
                        topic: name.to_owned(),
                        topic_id: id,
                        partition: index,
                        config: log_config(name, settings),
                    })
                    .map_err(|error| {
                        ApiError::new(errors::of_storage(&error), ErrorChain(&error).to_string())
                    })?;
                let leader_epoch = LeaderEpoch(0);
                log.begin_epoch(leader_epoch);
                Ok(Partition {
                    index,
                    leader_epoch,
                    log,
                })
            })
            .collect()
    }

    /// Adds partitions to a topic until it has `count`.
    ///
    /// # Errors
    /// INVALID_PARTITIONS when it has as many already, or KAFKA_STORAGE_ERROR.
    pub(crate) async fn create_partitions(
        self: &Arc<Self>,
        topic: &Arc<Topic>,
        count: i32,
    ) -> Result<(), ApiError> {
        let _changing = self.changing.lock().await;
        let current = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
        if count <= current {
            let message = format!("Topic already has {current} partition(s).");
            return Err(ApiError::new(ErrorCode::InvalidPartitions, message));
        }
        if count - current > PARTITIONS_PER_REQUEST_MAX {
            return Err(ApiError::new(
                ErrorCode::PolicyViolation,
                "Excessively large number of partitions per request.",
            ));
        }
        let (server, owned) = (Arc::clone(self), Arc::clone(topic));
        let added = blocking(move || {
            let added: Vec<_> = (current..count).map(|_| vec![server.node_id()]).collect();
            server
                .metadata()
                .create_partitions(owned.id, owned.partitions().len(), &added)
                .map_err(|error| store_failed(&error))?;
            server.open_partitions(&owned.name, owned.id, current..count, &owned.settings())
        })
        .await?;
        topic.extend(added);
        self.tell_groups_of(&topic.name, false).await;
        Ok(())
    }

    /// Lets groups that want the topic look at it anew.
    async fn tell_groups_of(&self, topic: &str, created: bool) {
        let names = [topic.to_owned()];
        let tell = move |shard: &mut coordinator::Shard| {
            shard.topics_changed(&names, created);
            Vec::new()
        };
        self.groups().tell_all(tell).await;
    }

    /// Deletes a topic and forgets the offsets that groups committed for it.
    ///
    /// # Errors
    /// KAFKA_STORAGE_ERROR; the topic is then still there.
    pub(crate) async fn delete_topic(self: &Arc<Self>, topic: &Arc<Topic>) -> Result<(), ApiError> {
        let _changing = self.changing.lock().await;
        if self.topics().get_by_id(topic.id).is_none() {
            return Err(ApiError::new(
                ErrorCode::UnknownTopicOrPartition,
                "This server does not host this topic-partition.",
            ));
        }
        let (server, owned) = (Arc::clone(self), Arc::clone(topic));
        blocking(move || {
            let deleted = server.metadata().delete_topic(owned.id);
            deleted.map(drop).map_err(|error| store_failed(&error))
        })
        .await?;
        self.topics().remove(&topic.name);
        if topic.name == CONSUMER_OFFSETS {
            self.groups().stop().await;
        }
        if topic.name == TRANSACTION_STATE {
            self.transactions().stop().await;
        }
        if topic.name == SHARE_GROUP_STATE {
            self.persister().coordinators().stop().await;
        }
        let (server, owned) = (Arc::clone(self), Arc::clone(topic));
        blocking(move || {
            for partition in owned.partitions().iter() {
                // The topic is gone for clients; what cannot be removed now goes at the next start.
                if let Err(error) = server.storage().delete_partition(owned.id, partition.index) {
                    tracing::warn!(topic = owned.name, partition = partition.index.0,
                        error = %ErrorChain(&error), "cannot remove a deleted partition's files");
                }
            }
            Ok(())
        })
        .await?;
        self.tell_groups_of(&topic.name, false).await;
        let deleted = vec![(topic.name.clone(), topic.id)];
        self.groups()
            .tell_all(move |shard| shard.topics_deleted(&deleted))
            .await;
        let id = topic.id.0;
        let share_states = self.persister().coordinators();
        share_states
            .tell_all(move |machine| machine.topics_deleted(&[id]))
            .await;
        tracing::info!(topic = topic.name, id = %topic.id, "deleted topic");
        Ok(())
    }

    /// The configs that were set on a topic.
    pub(crate) fn topic_overrides(&self, name: &str) -> Overrides {
        let image = self.metadata().image();
        image
            .topic(name)
            .map(|topic| (*topic.configs).clone())
            .unwrap_or_default()
    }

    /// The configs that were set on a group.
    pub(crate) fn group_overrides(&self, name: &str) -> Overrides {
        self.metadata()
            .image()
            .group_configs()
            .get(name)
            .cloned()
            .unwrap_or_default()
    }

    /// The configs that were set on a client metrics subscription.
    pub(crate) fn client_metrics_overrides(&self, name: &str) -> Overrides {
        self.metadata()
            .image()
            .client_metrics()
            .get(name)
            .cloned()
            .unwrap_or_default()
    }

    /// Changes a resource's configs: durable and in force when this returns.
    ///
    /// # Errors
    /// Kafka's code and words for what is wrong.
    pub(crate) async fn alter_configs(
        self: &Arc<Self>,
        context: &RequestContext,
        (kind, name): (i8, &str),
        change: Change<'_>,
        validate_only: bool,
    ) -> Result<(), ApiError> {
        ConfigResource::check_alterable(kind, name, self.node_id())?;
        let resource = ConfigResource::from_wire(kind, name, self.node_id())?;
        if resource == ConfigResource::BrokerLogger {
            return self.alter_log_levels(context, change, validate_only);
        }
        self.check_may_alter(context, &resource)?;
        let _changing = self.changing.lock().await;
        let (scope, overrides) = self.altered(&resource, change)?;
        if validate_only {
            return Ok(());
        }
        let (server, stored) = (Arc::clone(self), overrides.clone());
        blocking(move || {
            let put = |_: &Overrides| Ok::<_, Infallible>(stored.clone());
            let stored = server.metadata().alter_configs(&scope, put);
            stored.map(drop).map_err(|error| store_failed(&error))
        })
        .await?;
        self.put_in_force(&resource, &overrides)
    }

    fn check_may_alter(
        &self,
        context: &RequestContext,
        resource: &ConfigResource,
    ) -> Result<(), ApiError> {
        let (resource_type, name, refused) = resource.guarded_by();
        if self.allows(context, Operation::AlterConfigs, resource_type, name) {
            return Ok(());
        }
        Err(ApiError::new(refused, "Authorization failed."))
    }

    /// The resource's configs after the change, and where they are kept.
    fn altered(
        &self,
        resource: &ConfigResource,
        change: Change<'_>,
    ) -> Result<(metastore::ConfigResource, Overrides), ApiError> {
        let configs = self.configs();
        Ok(match resource {
            ConfigResource::Topic(name) => {
                if self.topics().get(name).is_none() {
                    return Err(ApiError::new(
                        ErrorCode::UnknownTopicOrPartition,
                        format!("The topic '{name}' does not exist."),
                    ));
                }
                let changed = alter::topic(&configs, &self.topic_overrides(name), change)?;
                (metastore::ConfigResource::Topic(name.clone()), changed)
            }
            ConfigResource::Broker => (
                metastore::ConfigResource::Broker(self.node_id()),
                alter::broker(&configs, BrokerScope::Node, change)?,
            ),
            ConfigResource::BrokerDefault => (
                metastore::ConfigResource::BrokerDefault,
                alter::broker(&configs, BrokerScope::Default, change)?,
            ),
            // Levels of loggers are not stored; they never get here.
            ConfigResource::BrokerLogger => {
                let message = "Unknown resource type 8";
                return Err(ApiError::new(ErrorCode::InvalidRequest, message));
            }
            ConfigResource::Group(name) => {
                let existing = self.group_overrides(name);
                let changed = alter::group(&configs, name, &existing, change)?;
                (metastore::ConfigResource::Group(name.clone()), changed)
            }
            ConfigResource::ClientMetrics(name) => {
                let existing = self.client_metrics_overrides(name);
                let changed = alter::client_metrics(name, &existing, change)?;
                (
                    metastore::ConfigResource::ClientMetrics(name.clone()),
                    changed,
                )
            }
        })
    }

    fn put_in_force(
        &self,
        resource: &ConfigResource,
        overrides: &Overrides,
    ) -> Result<(), ApiError> {
        let configs = self.configs();
        match resource {
            ConfigResource::Topic(name) => {
                if let Some(topic) = self.topics().get(name) {
                    topic.reconfigure(resolve_settings(&configs, overrides)?);
                }
            }
            ConfigResource::Broker => {
                let (changed, _) = configs.with_dynamic(configs.dynamic_default(), overrides);
                self.replace_broker_configs(changed)?;
            }
            ConfigResource::BrokerDefault => {
                let (changed, _) = configs.with_dynamic(overrides, configs.dynamic_broker());
                self.replace_broker_configs(changed)?;
            }
            ConfigResource::Group(_) | ConfigResource::BrokerLogger => {}
            ConfigResource::ClientMetrics(_) => self
                .client_telemetry()
                .update(self.metadata().image().client_metrics()),
        }
        Ok(())
    }

    /// Puts broker configs in force, and with them the defaults of every topic.
    fn replace_broker_configs(&self, configs: BrokerConfigs) -> Result<(), ApiError> {
        self.set_configs(configs);
        let cleaner = cleaner_config(&self.settings());
        if let Err(error) = self.storage().set_cleaner(cleaner) {
            tracing::warn!(error = %ErrorChain(&error), "the log cleaner goes on as it was");
        }
        self.storage()
            .set_tiering(crate::tiering::tier_config(&self.settings()));
        let expiration_ms = self.settings().producer_id_expiration.as_millis();
        self.storage()
            .set_producer_id_expiration_ms(i64::try_from(expiration_ms).unwrap_or(i64::MAX));
        let configs = self.configs();
        for topic in self.topics().all() {
            let overrides = self.topic_overrides(&topic.name);
            topic.reconfigure(resolve_settings(&configs, &overrides)?);
        }
        Ok(())
    }

    /// The topic table's entry for a topic of the store, over logs that storage has opened.
    pub(crate) fn restore_topic(&self, image: &TopicImage) -> Result<Topic, ApiError> {
        let name = image.name.to_string();
        let settings = resolve_settings(&self.configs(), &image.configs)?;
        let partitions = image
            .partitions
            .iter()
            .zip((0..).map(PartitionIndex))
            .map(|(partition, index)| {
                let log = self.storage().partition(image.id, index).ok_or_else(|| {
                    let message = format!("{name}-{index} is not in storage");
                    ApiError::new(ErrorCode::KafkaStorageError, message)
                })?;
                let leader_epoch = partition.leader_epoch;
                Ok(Partition {
                    index,
                    leader_epoch,
                    log,
                })
            })
            .collect::<Result<Vec<Partition>, ApiError>>()?;
        Ok(Topic::new(name, image.id, partitions, settings))
    }
}

/// The topic's configs as the code wants them.
///
/// # Errors
/// INVALID_CONFIG for a value that does not parse.
pub(crate) fn resolve_settings(
    configs: &BrokerConfigs,
    overrides: &Overrides,
) -> Result<TopicSettings, ApiError> {
    TopicSettings::resolve(configs, overrides)
        .map_err(|error| ApiError::new(ErrorCode::InvalidConfig, error.to_string()))
}
