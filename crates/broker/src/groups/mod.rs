//! The I/O around the group coordinator: one task per partition of `__consumer_offsets`.
//!
//! The coordinator itself ([`coordinator::Shard`]) is a function of the log and does no I/O. Each shard's
//! task ([`shard_task`]) loads it from its partition, hands it requests, appends what it asks for, and tells
//! it what became durable. Requests find their shard by the hash of the group id, as in Apache Kafka, so
//! that stock tools which compute the partition agree.

mod load;
mod shard_task;

use std::sync::{Arc, PoisonError, RwLock};

use coordinator::{Action, Response, Shard, Token, partition_for};
use tokio::sync::{Mutex, oneshot};
use wire::ErrorCode;

use crate::server::Server;
use crate::topics::{CONSUMER_OFFSETS, NewTopic, Partition};
use shard_task::{Command, ShardHandle};

/// All shards of the group coordinator.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    shards: RwLock<Arc<[ShardHandle]>>,
    /// Held while `__consumer_offsets` is created, so that it happens once.
    creating: Mutex<()>,
}

impl Default for ShardList {
    fn default() -> ShardList {
        ShardList(Arc::from(Vec::new()))
    }
}

/// The shards at one moment.
struct ShardList(Arc<[ShardHandle]>);

impl Groups {
    /// Starts a shard for each partition of `__consumer_offsets`; earlier shards are unloaded.
    pub(crate) fn start(&self, server: &Arc<Server>, partitions: &[Partition]) {
        let handles = partitions
            .iter()
            .map(|partition| shard_task::spawn(Arc::clone(server), partition.clone()))
            .collect();
        *self.shards.write().unwrap_or_else(PoisonError::into_inner) = handles;
    }

    fn list(&self) -> ShardList {
        ShardList(Arc::clone(
            &self.shards.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }

    /// Makes sure that `__consumer_offsets` exists and is being coordinated.
    ///
    /// # Errors
    /// COORDINATOR_NOT_AVAILABLE when the topic cannot be created; clients try again.
    pub(crate) async fn ensure_ready(&self, server: &Arc<Server>) -> Result<(), ErrorCode> {
        if !self.list().0.is_empty() {
            return Ok(());
        }
        let _creating = self.creating.lock().await;
        if !self.list().0.is_empty() {
            return Ok(());
        }
        let topic = match server.topics().get(CONSUMER_OFFSETS) {
            Some(topic) => topic,
            None => {
                let created = server.create_topic(offsets_topic(server)).await;
                created.map_err(|error| {
                    tracing::warn!(%error, "cannot create __consumer_offsets");
                    ErrorCode::CoordinatorNotAvailable
                })?
            }
        };
        self.start(server, &topic.partitions());
        Ok(())
    }

    /// Hands a request to its group's shard and waits for the answer, as long as that takes: a JoinGroup
    /// waits for the rebalance.
    ///
    /// # Errors
    /// COORDINATOR_NOT_AVAILABLE while there is no shard, NOT_COORDINATOR when it ended meanwhile.
    ///
    /// # Cancel safety
    /// Cancel safe: the shard runs the request whether or not anyone waits for its answer.
    pub(crate) async fn request(
        &self,
        group_id: &str,
        run: impl FnOnce(&mut Shard, Token) -> Vec<Action> + Send + 'static,
    ) -> Result<Response, ErrorCode> {
        let list = self.list();
        let shard = list
            .for_group(group_id)
            .ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let (reply, answer) = oneshot::channel();
        shard
            .send(Command::Request {
                run: Box::new(run),
                reply,
            })
            .await?;
        answer.await.map_err(|_| ErrorCode::NotCoordinator)
    }

    /// Asks the group's shard something it answers at once.
    ///
    /// # Errors
    /// As [`Groups::request`].
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        group_id: &str,
        ask: impl FnOnce(&mut Shard) -> T + Send + 'static,
    ) -> Result<T, ErrorCode> {
        let list = self.list();
        let shard = list
            .for_group(group_id)
            .ok_or(ErrorCode::CoordinatorNotAvailable)?;
        shard.query(ask).await
    }

    /// Asks every shard.
    ///
    /// # Errors
    /// As [`Groups::request`], for the first shard that fails.
    pub(crate) async fn query_all<T: Send + 'static>(
        &self,
        ask: impl Fn(&mut Shard) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, ErrorCode> {
        let mut answers = Vec::new();
        for shard in self.list().0.iter() {
            answers.push(shard.query(ask.clone()).await?);
        }
        Ok(answers)
    }

    /// Runs something on every shard that yields actions but no answer, such as forgetting a deleted topic's
    /// offsets.
    pub(crate) async fn tell_all(
        &self,
        run: impl Fn(&mut Shard) -> Vec<Action> + Clone + Send + 'static,
    ) {
        for shard in self.list().0.iter() {
            let run = run.clone();
            let told = shard.send(Command::Run(Box::new(move |shard: &mut Shard| run(shard))));
            if told.await.is_err() {
                tracing::debug!("group shard ended");
            }
        }
    }

    /// Unloads every shard: waiting members are told NOT_COORDINATOR.
    pub(crate) async fn stop(&self) {
        for shard in self.list().0.iter() {
            if shard.send(Command::Unload).await.is_err() {
                tracing::debug!("group shard had ended");
            }
        }
    }
}

impl ShardList {
    fn for_group(&self, group_id: &str) -> Option<&ShardHandle> {
        let count = i32::try_from(self.0.len())
            .ok()
            .filter(|count| *count > 0)?;
        self.0
            .get(usize::try_from(partition_for(group_id, count)).ok()?)
    }
}

/// `__consumer_offsets` as Apache Kafka creates it (`GroupCoordinatorService.groupMetadataTopicConfigs`).
///
/// Differs: the replication factor is at most the number of brokers, one; Kafka refuses to create the topic
/// while fewer brokers run than `offsets.topic.replication.factor` says.
fn offsets_topic(server: &Server) -> NewTopic {
    let settings = server.settings();
    let configs = [
        ("cleanup.policy", "compact".to_owned()),
        ("compression.type", "producer".to_owned()),
        (
            "segment.bytes",
            settings.offsets_topic_segment_bytes.to_string(),
        ),
    ];
    let configs = configs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Some(value)))
        .collect();
    NewTopic {
        name: CONSUMER_OFFSETS.to_owned(),
        partitions: Some(settings.offsets_topic_num_partitions),
        replication_factor: Some(1),
        configs,
    }
}
