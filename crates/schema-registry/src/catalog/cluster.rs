//! The Kafka cluster as the catalog shows it: its topics.
//!
//! All topics are asked for at once and kept for a moment; one that was made since is asked for by its name.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base::ErrorChain;
use client::admin::TopicDescription;
use client::{Admin, AdminOptions, ClientError};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::Instant;
use wire::ErrorCode;

use crate::config::RegistryConfig;
use crate::error::RegistryError;

/// How long the list of topics is kept.
const KEPT: Duration = Duration::from_secs(2);

/// How many topics are shown at most: the first ones by name.
const TOPICS_MAX: usize = 100_000;

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// How many partitions it has.
    pub partitions: usize,
    /// How many replicas each has.
    pub replication_factor: usize,
    /// Whether it is Kafka's own.
    pub is_internal: bool,
}

impl Topic {
    fn of(found: TopicDescription) -> Self {
        Self {
            id: found.topic_id.to_string(),
            partitions: found.partitions.len(),
            replication_factor: found.replication_factor(),
            is_internal: found.is_internal,
            name: found.name,
        }
    }
}

/// Topics by name.
pub type Topics = Arc<BTreeMap<String, Topic>>;

/// What there is to know of the cluster.
pub trait Cluster: fmt::Debug + Send + Sync {
    /// All topics.
    ///
    /// # Errors
    /// 50001 when no broker answers.
    fn topics(&self) -> BoxFuture<'_, Result<Topics, RegistryError>>;

    /// A topic.
    ///
    /// # Errors
    /// 50001 when no broker answers.
    fn topic<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Topic>, RegistryError>>;
}

/// The cluster that holds the registry's topics.
#[derive(Debug)]
pub struct KafkaCluster {
    bootstrap: String,
    options: AdminOptions,
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    admin: Option<Arc<Admin>>,
    topics: Option<(Instant, Topics)>,
}

impl Asked {
    /// The topics, if they were asked for a moment ago.
    fn kept(&self) -> Option<&Topics> {
        let kept = self.topics.as_ref();
        kept.filter(|(when, _)| when.elapsed() < KEPT)
            .map(|(_, topics)| topics)
    }
}

impl KafkaCluster {
    /// The cluster behind `kafkastore.bootstrap.servers`; it is connected to when it is asked the first time.
    #[must_use]
    pub fn new(config: &RegistryConfig) -> Self {
        Self {
            bootstrap: config.bootstrap_servers.clone(),
            options: AdminOptions {
                timeout: config.timeout,
                ..AdminOptions::default()
            },
            asked: Mutex::default(),
        }
    }

    async fn admin(&self, asked: &mut Asked) -> Result<Arc<Admin>, RegistryError> {
        if let Some(admin) = &asked.admin {
            return Ok(Arc::clone(admin));
        }
        let admin = Admin::connect(&self.bootstrap, self.options.clone()).await;
        let admin = Arc::new(admin.map_err(|error| failed(&error))?);
        asked.admin = Some(Arc::clone(&admin));
        Ok(admin)
    }
}

fn failed(error: &ClientError) -> RegistryError {
    RegistryError::Store {
        message: format!("the topics are not known: {}", ErrorChain(error)),
    }
}

impl Cluster for KafkaCluster {
    fn topics(&self) -> BoxFuture<'_, Result<Topics, RegistryError>> {
        async move {
            // Those who ask meanwhile wait for this answer.
            let mut asked = self.asked.lock().await;
            if let Some(topics) = asked.kept() {
                return Ok(Arc::clone(topics));
            }
            let admin = self.admin(&mut asked).await?;
            let listed = admin.list_topics().await.map_err(|error| failed(&error))?;
            let mut topics: BTreeMap<String, Topic> = listed
                .into_iter()
                .map(|found| (found.name.clone(), Topic::of(found)))
                .collect();
            while topics.len() > TOPICS_MAX {
                topics.pop_last();
            }
            let topics = Arc::new(topics);
            asked.topics = Some((Instant::now(), Arc::clone(&topics)));
            Ok(topics)
        }
        .boxed()
    }

    fn topic<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Topic>, RegistryError>> {
        async move {
            let admin = {
                let mut asked = self.asked.lock().await;
                let kept = asked.kept().and_then(|topics| topics.get(name).cloned());
                if kept.is_some() {
                    return Ok(kept);
                }
                self.admin(&mut asked).await?
            };
            match admin.describe_topic(name).await {
                Ok(found) => Ok(Some(Topic::of(found))),
                Err(error) => match error.error_code() {
                    Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::InvalidTopicException) => {
                        Ok(None)
                    }
                    _ => Err(failed(&error)),
                },
            }
        }
        .boxed()
    }
}

/// Topics that are a list: for tests.
#[derive(Debug, Default)]
pub struct FixedCluster(pub Topics);

impl Cluster for FixedCluster {
    fn topics(&self) -> BoxFuture<'_, Result<Topics, RegistryError>> {
        std::future::ready(Ok(Arc::clone(&self.0))).boxed()
    }

    fn topic<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Topic>, RegistryError>> {
        std::future::ready(Ok(self.0.get(name).cloned())).boxed()
    }
}
