//! Making the topic, and seeing that it is what it has to be.

use std::collections::BTreeMap;
use std::time::Duration;

use base::ErrorChain;
use client::admin::{ConfigResource, NewTopic, OffsetSpec, TopicPartition};
use client::{Admin, ClientError};
use wire::ErrorCode;

use super::super::config::RegistryConfig;

/// Why the topic cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// The brokers do not do what they are asked.
    #[error("the topic '{topic}' can be neither made nor looked at")]
    Client {
        /// Its name.
        topic: String,
        /// Why.
        #[source]
        source: ClientError,
    },
    /// More than one partition has no one order.
    #[error("the topic '{topic}' has {partitions} partitions: a registry's has one")]
    Partitions {
        /// Its name.
        topic: String,
        /// As found.
        partitions: usize,
    },
    /// Without compaction the brokers would delete schemas that are in use.
    #[error(
        "the topic '{topic}' has cleanup.policy={policy}, by which schemas get lost: set it to compact"
    )]
    Retention {
        /// Its name.
        topic: String,
        /// As found.
        policy: String,
    },
}

/// Makes `topic` unless it is there, and checks it.
///
/// # Errors
/// [`TopicError`].
pub async fn ensure(admin: &Admin, config: &RegistryConfig, topic: &str) -> Result<(), TopicError> {
    let client = |source| TopicError::Client {
        topic: topic.to_owned(),
        source,
    };
    match admin.describe_topic(topic).await {
        Ok(_) => {}
        Err(error) if error.error_code() == Some(ErrorCode::UnknownTopicOrPartition) => {
            create(admin, config, topic).await.map_err(client)?;
        }
        Err(error) => return Err(client(error)),
    }
    let description = wait_for_leader(admin, topic).await.map_err(client)?;
    if description != 1 {
        return Err(TopicError::Partitions {
            topic: topic.to_owned(),
            partitions: description,
        });
    }
    check_retention(admin, topic).await
}

/// Where `topic` ends now.
///
/// # Errors
/// [`TopicError::Client`].
pub async fn end(admin: &Admin, topic: &str) -> Result<i64, TopicError> {
    let partition = TopicPartition {
        topic: topic.to_owned(),
        partition: 0,
    };
    let found = admin
        .list_offsets(std::slice::from_ref(&partition), OffsetSpec::Latest)
        .await
        .map_err(|source| TopicError::Client {
            topic: topic.to_owned(),
            source,
        })?;
    Ok(found
        .get(&partition)
        .and_then(|listed| listed.offset)
        .unwrap_or(0))
}

async fn create(admin: &Admin, config: &RegistryConfig, topic: &str) -> Result<(), ClientError> {
    let brokers = admin.describe_cluster().await?.brokers.len();
    let factor = i16::try_from(brokers).unwrap_or(i16::MAX);
    let factor = factor.clamp(1, config.replication_factor.max(1));
    if factor < config.replication_factor {
        tracing::info!(
            topic,
            replication_factor = factor,
            wanted = config.replication_factor,
            "the topic has fewer replicas than it should, because there are fewer brokers"
        );
    }
    let new = NewTopic {
        name: topic.to_owned(),
        partitions: Some(1),
        replication_factor: Some(factor),
        configs: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
        ..NewTopic::default()
    };
    match admin.create_topic(&new).await {
        // Another instance was first.
        Err(error) if error.error_code() == Some(ErrorCode::TopicAlreadyExists) => Ok(()),
        made => made,
    }
}

/// The number of partitions, once the first has a leader.
async fn wait_for_leader(admin: &Admin, topic: &str) -> Result<usize, ClientError> {
    const PAUSE: Duration = Duration::from_millis(50);
    const TRIES: usize = 200;
    let mut tries = 0;
    loop {
        let found = admin.describe_topic(topic).await;
        tries += 1;
        match found {
            Ok(found)
                if found
                    .partitions
                    .first()
                    .is_some_and(|first| first.leader.is_some()) =>
            {
                return Ok(found.partitions.len());
            }
            Ok(found) if tries >= TRIES => return Ok(found.partitions.len()),
            Err(error) if tries >= TRIES => return Err(error),
            Ok(_) | Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn check_retention(admin: &Admin, topic: &str) -> Result<(), TopicError> {
    let resource = ConfigResource::Topic(topic.to_owned());
    let entries = match admin.describe_configs(&resource).await {
        Ok(entries) => entries,
        Err(error) => {
            // Somebody who may read and write the topic need not be allowed to ask for its configs.
            tracing::warn!(topic, error = %ErrorChain(&error), "cleanup.policy could not be checked");
            return Ok(());
        }
    };
    let policy = entries
        .iter()
        .find(|entry| entry.name == "cleanup.policy")
        .and_then(|entry| entry.value.clone())
        .unwrap_or_default();
    if policy == "compact" {
        return Ok(());
    }
    Err(TopicError::Retention {
        topic: topic.to_owned(),
        policy,
    })
}
