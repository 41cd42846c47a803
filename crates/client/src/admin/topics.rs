//! Topics: list, describe, create, delete, grow.

use std::collections::BTreeMap;

use base::TopicId;
use wire::messages::create_partitions_request::CreatePartitionsTopic;
use wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use wire::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use wire::messages::delete_topics_request::DeleteTopicState;
use wire::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use wire::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest,
};

use super::{
    Admin, ConfigEntry, ConfigSource, Destination, OPERATIONS, check, metadata_of, topic_name,
};
use crate::error::ClientError;

/// The version of DeleteTopics whose answers carry error messages; it also names topics in a new field.
const DELETE_BY_STATE: i16 = 6;

/// The first version of CreateTopics whose answers carry configs (KIP-525).
const CREATE_WITH_CONFIGS: i16 = 5;

/// A topic to create.
#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    /// The topic's name.
    pub name: String,
    /// How many partitions; `None` for the broker's `num.partitions`.
    pub partitions: Option<i32>,
    /// How many replicas of each; `None` for the broker's `default.replication.factor`.
    pub replication_factor: Option<i16>,
    /// The brokers of each partition, the leader first, in the place of the two counts; empty: the cluster chooses.
    pub assignments: BTreeMap<i32, Vec<i32>>,
    /// Topic configs by their Kafka names.
    pub configs: BTreeMap<String, String>,
    /// Check everything, create nothing.
    pub validate_only: bool,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// The topic's name.
    pub name: String,
    /// The topic's id; [`TopicId::ZERO`] from a broker that has none.
    pub topic_id: TopicId,
    /// Whether the cluster made it for itself.
    pub is_internal: bool,
    /// Its partitions, by index.
    pub partitions: Vec<PartitionDescription>,
}

impl TopicDescription {
    /// Replicas of a partition; the most, when partitions differ.
    #[must_use]
    pub fn replication_factor(&self) -> usize {
        self.partitions
            .iter()
            .map(|partition| partition.replicas.len())
            .max()
            .unwrap_or(0)
    }
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Its index.
    pub partition: i32,
    /// The broker that leads it, if any does.
    pub leader: Option<i32>,
    /// How many leaders it has had.
    pub leader_epoch: i32,
    /// The brokers that hold it.
    pub replicas: Vec<i32>,
    /// Those that are in sync (ISR).
    pub isr: Vec<i32>,
    /// Those that are offline.
    pub offline: Vec<i32>,
}

impl Admin {
    /// Every topic, by name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_topics(&self) -> Result<Vec<TopicDescription>, ClientError> {
        let metadata = metadata_of(&self.any_broker().await?, None).await?;
        let mut topics: Vec<_> = metadata.topics.iter().map(describe).collect();
        topics.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// One topic.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION` when there is none of that name.
    pub async fn describe_topic(&self, name: &str) -> Result<TopicDescription, ClientError> {
        let connection = self.any_broker().await?;
        let metadata = metadata_of(&connection, Some(vec![name.to_owned()])).await?;
        let topic = metadata
            .topics
            .first()
            .ok_or_else(|| ClientError::Incomplete {
                api: "Metadata",
                address: connection.address().to_owned(),
                subject: topic_subject(name),
            })?;
        check("Metadata", || topic_subject(name), topic.error_code, None)?;
        Ok(describe(topic))
    }

    /// Creates a topic, or only checks it.
    ///
    /// # Errors
    /// `TOPIC_ALREADY_EXISTS` and the other refusals, with the broker's message.
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<(), ClientError> {
        self.created(topic, 0).await.map(drop)
    }

    /// The configs that a topic of this name would have if it were created with none of its own, by name
    /// (KIP-525). Nothing is created.
    ///
    /// # Errors
    /// `TOPIC_ALREADY_EXISTS` when there is one of that name.
    pub async fn default_topic_configs(&self, name: &str) -> Result<Vec<ConfigEntry>, ClientError> {
        let topic = NewTopic {
            name: name.to_owned(),
            validate_only: true,
            ..NewTopic::default()
        };
        let created = self.created(&topic, CREATE_WITH_CONFIGS).await?;
        let code = created.topic_config_error_code;
        check("CreateTopics", || topic_subject(name), code, None)?;
        let configs = created.configs.unwrap_or_default().into_iter();
        let mut entries: Vec<_> = configs.map(default_config).collect();
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Creates a topic, or only checks it, and gives what the broker says of it.
    async fn created(
        &self,
        topic: &NewTopic,
        min_version: i16,
    ) -> Result<CreatableTopicResult, ClientError> {
        let configs = topic
            .configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig {
                name: name.clone(),
                value: Some(value.clone()),
            });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.name.clone(),
                num_partitions: topic.partitions.unwrap_or(-1),
                replication_factor: topic.replication_factor.unwrap_or(-1),
                assignments: topic.assignments.iter().map(assignment).collect(),
                configs: configs.collect(),
            }],
            timeout_ms: self.timeout_ms(),
            validate_only: topic.validate_only,
        };
        let subject = || topic_subject(&topic.name);
        let versions = min_version..=i16::MAX;
        self.call_within(Destination::Controller, versions, &request, |response| {
            let result = response.topics.into_iter().next();
            let result = result.ok_or_else(|| ClientError::Incomplete {
                api: "CreateTopics",
                address: "the cluster".to_owned(),
                subject: subject(),
            })?;
            let message = result.error_message.as_deref();
            check("CreateTopics", subject, result.error_code, message)?;
            Ok(result)
        })
        .await
    }

    /// What the caller may do with a topic, by Kafka's names (`AclOperation`), in order (KIP-430).
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION` when there is none of that name.
    pub async fn topic_operations(&self, name: &str) -> Result<Vec<&'static str>, ClientError> {
        let request = MetadataRequest {
            topics: Some(vec![super::named(name.to_owned())]),
            allow_auto_topic_creation: false,
            include_topic_authorized_operations: true,
            ..MetadataRequest::default()
        };
        self.call(Destination::Any, i16::MAX, &request, |response| {
            let mut operations = 0;
            for topic in &response.topics {
                check("Metadata", || topic_subject(name), topic.error_code, None)?;
                operations = topic.topic_authorized_operations;
            }
            let allowed = |code: i8| operations >= 0 && operations & (1 << code) != 0;
            let named = OPERATIONS.iter().filter(|(code, _)| allowed(*code));
            Ok(named.map(|(_, name)| *name).collect())
        })
        .await
    }

    /// Deletes a topic and everything in it.
    ///
    /// # Errors
    /// `UNKNOWN_TOPIC_OR_PARTITION` when there is none of that name.
    pub async fn delete_topic(&self, name: &str) -> Result<(), ClientError> {
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicState {
                name: Some(name.to_owned()),
                ..DeleteTopicState::default()
            }],
            topic_names: Vec::new(),
            timeout_ms: self.timeout_ms(),
        };
        self.call(
            Destination::Controller,
            DELETE_BY_STATE,
            &request,
            |response| {
                response.responses.iter().try_for_each(|result| {
                    let message = result.error_message.as_deref();
                    check(
                        "DeleteTopics",
                        || topic_subject(name),
                        result.error_code,
                        message,
                    )
                })
            },
        )
        .await
    }

    /// Grows a topic to `count` partitions.
    ///
    /// # Errors
    /// `INVALID_PARTITIONS` when it has as many already.
    pub async fn create_partitions(&self, name: &str, count: i32) -> Result<(), ClientError> {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: name.to_owned(),
                count,
                assignments: None,
            }],
            timeout_ms: self.timeout_ms(),
            validate_only: false,
        };
        self.call(Destination::Controller, i16::MAX, &request, |response| {
            response.results.iter().try_for_each(|result| {
                let message = result.error_message.as_deref();
                check(
                    "CreatePartitions",
                    || topic_subject(name),
                    result.error_code,
                    message,
                )
            })
        })
        .await
    }
}

fn default_config(config: CreatableTopicConfigs) -> ConfigEntry {
    ConfigEntry {
        name: config.name,
        value: config.value,
        is_read_only: config.read_only,
        is_sensitive: config.is_sensitive,
        source: ConfigSource::of(config.config_source),
        synonyms: Vec::new(),
    }
}

fn assignment((partition, brokers): (&i32, &Vec<i32>)) -> CreatableReplicaAssignment {
    CreatableReplicaAssignment {
        partition_index: *partition,
        broker_ids: brokers.clone(),
    }
}

pub(super) fn topic_subject(name: &str) -> String {
    format!("topic '{name}'")
}

fn describe(topic: &MetadataResponseTopic) -> TopicDescription {
    let mut partitions: Vec<_> = topic.partitions.iter().map(describe_partition).collect();
    partitions.sort_unstable_by_key(|partition| partition.partition);
    TopicDescription {
        name: topic_name(topic),
        topic_id: TopicId(topic.topic_id),
        is_internal: topic.is_internal,
        partitions,
    }
}

fn describe_partition(partition: &MetadataResponsePartition) -> PartitionDescription {
    PartitionDescription {
        partition: partition.partition_index,
        leader: Some(partition.leader_id).filter(|id| *id >= 0),
        leader_epoch: partition.leader_epoch,
        replicas: partition.replica_nodes.clone(),
        isr: partition.isr_nodes.clone(),
        offline: partition.offline_replicas.clone(),
    }
}
