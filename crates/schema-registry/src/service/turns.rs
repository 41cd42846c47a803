//! Changes take turns: one at a time, planned over all that was ever written, by whoever was elected.
//!
//! The same for every topic: [`Turns`] has the log of one, and hands a plan's records to it. A change that has begun is
//! finished by a task of its own, whether anybody waits for it or not.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Mutex, watch};
use tokio_util::task::TaskTracker;

use crate::error::RegistryError;
use crate::state::Record;

/// Where records go.
pub trait Log<R = Record>: Send + Sync + std::fmt::Debug {
    /// Makes sure that the state has all that was ever written, and that nobody else writes any more. A change is
    /// planned after this.
    ///
    /// # Errors
    /// [`RegistryError::UnknownLeader`] when another instance writes; else why the log cannot be written.
    fn ready(&self) -> BoxFuture<'_, Result<(), RegistryError>>;

    /// Writes `records`, all or none of them, and waits until the state has them.
    ///
    /// # Errors
    /// [`RegistryError::Timeout`] leaves open whether they were written; any other error says that they were not.
    fn append(&self, records: Vec<R>) -> BoxFuture<'_, Result<(), RegistryError>>;
}

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leadership {
    /// Nobody is known to: an election is under way.
    Unknown,
    /// This instance.
    Here,
    /// The instance with this URL.
    At(String),
}

/// What a plan came to.
#[derive(Debug)]
pub struct Planned<T, R = Record> {
    /// The answer, once the records are written.
    pub answer: T,
    /// The records; none when there is nothing to do.
    pub records: Vec<R>,
}

impl<T, R> Planned<T, R> {
    /// Nothing to write.
    pub fn nothing(answer: T) -> Self {
        Self {
            answer,
            records: Vec::new(),
        }
    }
}

/// The way to change one topic's state.
#[derive(Debug)]
pub struct Turns<R> {
    log: Arc<dyn Log<R>>,
    leadership: watch::Receiver<Leadership>,
    pub(super) turn: Arc<Mutex<()>>,
    /// How long a change waits for those before it.
    timeout: Duration,
    /// Changes under way; they outlive the requests that asked for them.
    under_way: TaskTracker,
}

impl<R: Send + 'static> Turns<R> {
    /// Changes that are written to `log` while this instance leads.
    #[must_use]
    pub fn new(
        log: Arc<dyn Log<R>>,
        leadership: watch::Receiver<Leadership>,
        timeout: Duration,
    ) -> Self {
        Self {
            log,
            leadership,
            turn: Arc::default(),
            timeout,
            under_way: TaskTracker::new(),
        }
    }

    /// Who writes now.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.borrow().clone()
    }

    /// Who writes, to be watched.
    #[must_use]
    pub fn watch_leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Who writes, once somebody does; `Unknown` when nobody was elected within `limit`.
    pub async fn leadership_within(&self, limit: Duration) -> Leadership {
        let mut changes = self.leadership.clone();
        let known = changes.wait_for(|leadership| *leadership != Leadership::Unknown);
        match tokio::time::timeout(limit, known).await {
            Ok(Ok(leadership)) => leadership.clone(),
            Ok(Err(_)) | Err(_) => Leadership::Unknown,
        }
    }

    /// Makes a change: plans it when its turn has come, and writes what the plan says.
    ///
    /// # Errors
    /// The plan's; [`RegistryError::UnknownLeader`] when this instance does not write; [`RegistryError::Timeout`] when
    /// the changes before it take too long; those of the log.
    ///
    /// # Cancel safety
    /// Cancel safe: a change whose turn has not come is not made. One that has begun is finished by a task of its own,
    /// whether anybody waits for it or not: a client that hangs up must leave neither a transaction half way nor the
    /// next plan without the last one's records.
    pub async fn make<T, F>(
        &self,
        operation: &'static str,
        plan: impl FnOnce() -> F + Send + 'static,
    ) -> Result<T, RegistryError>
    where
        T: Send + 'static,
        F: Future<Output = Result<Planned<T, R>, RegistryError>> + Send + 'static,
    {
        let turn = Arc::clone(&self.turn).lock_owned();
        let turn = tokio::time::timeout(self.timeout, turn)
            .await
            .map_err(|_| RegistryError::Timeout)?;
        let (log, leadership) = (Arc::clone(&self.log), self.leadership.clone());
        let change = self.under_way.spawn(async move {
            let _turn = turn;
            if *leadership.borrow() != Leadership::Here {
                return Err(RegistryError::UnknownLeader { operation });
            }
            log.ready().await?;
            let planned = plan().await?;
            if !planned.records.is_empty() {
                log.append(planned.records).await?;
            }
            Ok(planned.answer)
        });
        change.await.unwrap_or_else(|error| {
            Err(RegistryError::Store {
                message: format!("the change could not be made: {error}"),
            })
        })
    }

    /// Waits for the changes that are under way. Those that begin later are not waited for.
    pub async fn finish(&self) {
        self.under_way.close();
        self.under_way.wait().await;
    }
}
