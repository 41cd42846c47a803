//! The I/O around coordinators: one task per partition of a coordinator's topic.
//!
//! A coordinator itself ([`coordinator::StateMachine`]) is a function of the log and does no I/O. Each one's
//! [`task`] loads it from its partition, hands it requests, appends what it asks for, and tells it what became
//! durable. A request that finds nothing in its way does that itself, on its connection's task ([`seat`]).
//! Requests find their coordinator by the hash of their key (a group id, a transactional id), as in Apache Kafka,
//! so that stock tools which compute the partition agree.
//!
//! A kind of coordinator is an implementation of [`Coordinated`]; everything else here is shared.

pub(crate) mod append;
mod load;
mod seat;
mod task;

use std::sync::{Arc, PoisonError, RwLock};

use coordinator::{Actions, StateMachine, Token, partition_for};
use tokio::sync::Mutex;
use wire::ErrorCode;

use crate::server::Server;
use crate::topics::{NewTopic, Partition};
pub(crate) use seat::Begun;
use task::Command;
pub(crate) use task::Handle;

/// A kind of coordinator.
pub(crate) trait Coordinated: StateMachine + Sized {
    /// The topic whose partitions are coordinated.
    const TOPIC: &'static str;
    /// The name of the tasks.
    const TASK: &'static str;

    /// A machine that waits for its log.
    fn create(server: &Server, partition: &Partition) -> Self;

    /// The topic as it is created when a client first needs it.
    fn topic(server: &Server) -> NewTopic;

    /// Carries out an effect. Must not block: what takes time runs in a task and reports through `handle`.
    fn perform(
        server: &Arc<Server>,
        partition: &Partition,
        handle: Handle<Self>,
        effect: Self::Effect,
    );
}

/// All coordinators of one kind.
#[derive(Debug)]
pub(crate) struct Coordinators<M: Coordinated> {
    handles: RwLock<Arc<[Handle<M>]>>,
    /// Held while the topic is created, so that it happens once.
    creating: Mutex<()>,
}

impl<M: Coordinated> Default for Coordinators<M> {
    fn default() -> Coordinators<M> {
        Coordinators {
            handles: RwLock::new(Arc::from(Vec::new())),
            creating: Mutex::new(()),
        }
    }
}

impl<M: Coordinated> Coordinators<M> {
    /// Starts a coordinator for each partition of the topic; earlier ones are unloaded.
    pub(crate) fn start(&self, server: &Arc<Server>, partitions: &[Partition]) {
        let handles = partitions
            .iter()
            .map(|partition| task::spawn(Arc::clone(server), partition.clone()))
            .collect();
        *self.handles.write().unwrap_or_else(PoisonError::into_inner) = handles;
    }

    fn list(&self) -> Arc<[Handle<M>]> {
        Arc::clone(&self.handles.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes sure that the topic exists and is being coordinated.
    ///
    /// # Errors
    /// COORDINATOR_NOT_AVAILABLE when the topic cannot be created; clients try again.
    pub(crate) async fn ensure_ready(&self, server: &Arc<Server>) -> Result<(), ErrorCode> {
        if !self.list().is_empty() {
            return Ok(());
        }
        let _creating = self.creating.lock().await;
        if !self.list().is_empty() {
            return Ok(());
        }
        let topic = match server.topics().get(M::TOPIC) {
            Some(topic) => topic,
            None => {
                let created = server.create_topic(M::topic(server)).await;
                created.map_err(|error| {
                    tracing::warn!(%error, topic = M::TOPIC, "cannot create a coordinator's topic");
                    ErrorCode::CoordinatorNotAvailable
                })?
            }
        };
        self.start(server, &topic.partitions());
        Ok(())
    }

    /// The partition that `key` is coordinated by; `None` while there is none.
    pub(crate) fn partition_of(&self, key: &str) -> Option<usize> {
        place_of(key, self.list().len())
    }

    /// The coordinator of a partition.
    ///
    /// # Errors
    /// COORDINATOR_NOT_AVAILABLE while there is none.
    pub(crate) fn at(&self, partition: usize) -> Result<Handle<M>, ErrorCode> {
        let list = self.list();
        let handle = list.get(partition).cloned();
        handle.ok_or(ErrorCode::CoordinatorNotAvailable)
    }

    fn of(&self, key: &str) -> Result<Handle<M>, ErrorCode> {
        let list = self.list();
        let handle = place_of(key, list.len()).and_then(|at| list.get(at).cloned());
        handle.ok_or(ErrorCode::CoordinatorNotAvailable)
    }

    /// Hands a request to its key's coordinator and waits for the answer, as long as that takes: a JoinGroup
    /// waits for the rebalance.
    ///
    /// # Errors
    /// COORDINATOR_NOT_AVAILABLE while there is no coordinator, NOT_COORDINATOR when it ended meanwhile.
    ///
    /// # Cancel safety
    /// Cancel safe: the machine runs the request whether or not anyone waits for its answer.
    pub(crate) async fn request(
        &self,
        key: &str,
        run: impl FnOnce(&mut M, Token) -> Actions<M> + Send + 'static,
    ) -> Result<M::Response, ErrorCode> {
        self.of(key)?.request(run).await
    }

    /// Runs a request of its key's coordinator now. None when there is no coordinator or something is in the way, in which case
    /// nothing was done: see [`Coordinators::request`]. Blocks for one small write of the journal at most.
    pub(crate) fn request_now(
        &self,
        key: &str,
        run: impl FnOnce(&mut M, Token) -> Actions<M>,
    ) -> Option<Begun<M::Response>> {
        let list = self.list();
        let handle = list.get(place_of(key, list.len())?)?;
        handle.request_now(run)
    }

    /// Asks the key's coordinator something it answers at once.
    ///
    /// # Errors
    /// As [`Coordinators::request`].
    pub(crate) async fn query<T: Send + 'static>(
        &self,
        key: &str,
        ask: impl FnOnce(&mut M) -> T + Send + 'static,
    ) -> Result<T, ErrorCode> {
        self.of(key)?.query(ask).await
    }

    /// Asks every coordinator.
    ///
    /// # Errors
    /// As [`Coordinators::request`], for the first one that fails.
    pub(crate) async fn query_all<T: Send + 'static>(
        &self,
        ask: impl Fn(&mut M) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, ErrorCode> {
        let mut answers = Vec::new();
        for handle in self.list().iter() {
            answers.push(handle.query(ask.clone()).await?);
        }
        Ok(answers)
    }

    /// Runs something on every coordinator that yields actions but no answer, such as forgetting a deleted
    /// topic's offsets.
    pub(crate) async fn tell_all(
        &self,
        run: impl Fn(&mut M) -> Actions<M> + Clone + Send + 'static,
    ) {
        for handle in self.list().iter() {
            if handle.tell(run.clone()).await.is_err() {
                tracing::debug!(topic = M::TOPIC, "coordinator ended");
            }
        }
    }

    /// Unloads every coordinator: whoever waits is told NOT_COORDINATOR.
    pub(crate) async fn stop(&self) {
        for handle in self.list().iter() {
            if handle.send(Command::Unload).await.is_err() {
                tracing::debug!(topic = M::TOPIC, "coordinator had ended");
            }
        }
    }
}

/// The partition, of `count`, that `key` is coordinated by.
fn place_of(key: &str, count: usize) -> Option<usize> {
    let count = i32::try_from(count).ok().filter(|count| *count > 0)?;
    usize::try_from(partition_for(key, count)).ok()
}
