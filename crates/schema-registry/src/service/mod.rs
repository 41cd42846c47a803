//! The operations: what the HTTP resources ask for, in terms of the state and of records to write.
//!
//! A question is answered from the [`State`] that this instance has read from the topic. A change is *planned* by a
//! function that looks at the state and says which records to write, written by the leader as one atomic batch, and
//! answered once the instance has read its own records back. Changes take turns ([`Registry::change`]), so a plan sees
//! the effect of all before it.
//!
//! **Invariant:** the state's lock is held for look-ups only, never while a schema is parsed or compared: a reader that
//! waits behind a writer would hold up every look-up of an id.

pub mod associations;
pub mod compatibility;
pub mod config;
pub mod contexts;
pub mod delete;
pub mod exporters;
pub mod listing;
pub mod lookup;
pub mod merge;
pub mod mode;
pub mod parse;
pub mod register;
pub mod rules;
pub mod tags;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use futures::future::BoxFuture;
use schema::{Metadata, RuleSet, SchemaReference, SchemaType};
use tokio_util::task::TaskTracker;

use crate::config::RegistryConfig;
use crate::error::RegistryError;
use crate::state::{Config, Mode, Record, SchemaBody, State, Version};
use parse::ParsedSchemas;

/// Where records go.
pub trait Log: Send + Sync + std::fmt::Debug {
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
    fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Result<(), RegistryError>>;
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

/// A registry: one instance's state, and the way to change it.
#[derive(Debug)]
pub struct Registry {
    state: Arc<RwLock<State>>,
    log: Arc<dyn Log>,
    config: RegistryConfig,
    parsed: ParsedSchemas,
    leadership: tokio::sync::watch::Receiver<Leadership>,
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Changes under way; they outlive the requests that asked for them.
    changes: TaskTracker,
}

/// What a plan came to.
#[derive(Debug)]
pub struct Planned<T> {
    /// The answer, once the records are written.
    pub answer: T,
    /// The records; none when there is nothing to do.
    pub records: Vec<Record>,
}

impl<T> Planned<T> {
    /// Nothing to write.
    pub fn nothing(answer: T) -> Self {
        Self {
            answer,
            records: Vec::new(),
        }
    }
}

/// A schema as a request has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewSchema {
    /// 0 where the request says none; -1 is "the next".
    pub version: i32,
    /// Negative where the request says none.
    pub id: i32,
    /// The format.
    pub schema_type: SchemaType,
    /// What it refers to.
    pub references: Vec<SchemaReference>,
    /// Tags and properties.
    pub metadata: Option<Metadata>,
    /// Rules.
    pub rule_set: Option<RuleSet>,
    /// The text; empty: that of the version before.
    pub text: String,
}

/// A version that was found or made.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// In normal form.
    pub subject: String,
    /// From 1 on.
    pub version: i32,
    /// In the subject's context.
    pub id: i32,
    /// Soft deleted.
    pub deleted: bool,
    /// When it was written, in milliseconds since 1970; 0 for one that was written just now.
    pub timestamp_ms: i64,
    /// The schema.
    pub body: Arc<SchemaBody>,
}

impl Found {
    /// A version of the state.
    #[must_use]
    pub fn of(subject: &str, number: i32, version: &Version) -> Self {
        Self {
            subject: subject.to_owned(),
            version: number,
            id: version.id,
            deleted: version.deleted,
            timestamp_ms: version.timestamp_ms,
            body: Arc::clone(&version.body),
        }
    }
}

impl Registry {
    /// A registry over a state that somebody keeps up to date with what `log` writes.
    #[must_use]
    pub fn new(
        state: Arc<RwLock<State>>,
        log: Arc<dyn Log>,
        config: RegistryConfig,
        leadership: tokio::sync::watch::Receiver<Leadership>,
    ) -> Self {
        let parsed = ParsedSchemas::new(config.schema_cache_size);
        Self {
            state,
            log,
            config,
            parsed,
            leadership,
            turn: Arc::default(),
            changes: TaskTracker::new(),
        }
    }

    /// The state, for a look-up. Not to be held over anything that takes long.
    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        // A writer that panicked left a whole record applied or not at all; what is there is still what the log says.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &RegistryConfig {
        &self.config
    }

    /// Who writes now.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.borrow().clone()
    }

    /// Who writes, to be watched.
    #[must_use]
    pub fn watch_leadership(&self) -> tokio::sync::watch::Receiver<Leadership> {
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

    /// Makes a change: plans it on a thread where it may take its time, and writes what the plan says.
    ///
    /// # Errors
    /// The plan's; [`RegistryError::UnknownLeader`] when this instance does not write; [`RegistryError::Timeout`] when
    /// the changes before it take `kafkastore.timeout.ms`; those of [`Log::append`].
    ///
    /// # Cancel safety
    /// Cancel safe: a change whose turn has not come is not made. One that has begun is finished by a task of its own,
    /// whether anybody waits for it or not: a client that hangs up must leave neither a transaction half way nor the
    /// next plan without the last one's records.
    pub async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        plan: impl FnOnce(&Self) -> Result<Planned<T>, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let turn = Arc::clone(&self.turn).lock_owned();
        let turn = tokio::time::timeout(self.config.timeout, turn)
            .await
            .map_err(|_| RegistryError::Timeout)?;
        let registry = Arc::clone(self);
        let change = self.changes.spawn(async move {
            let _turn = turn;
            registry.make_change(operation, plan).await
        });
        change.await.unwrap_or_else(|error| {
            Err(RegistryError::Store {
                message: format!("the change could not be made: {error}"),
            })
        })
    }

    async fn make_change<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        plan: impl FnOnce(&Self) -> Result<Planned<T>, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        if self.leadership() != Leadership::Here {
            return Err(RegistryError::UnknownLeader { operation });
        }
        self.log.ready().await?;
        let planned = self.aside(plan).await?;
        if !planned.records.is_empty() {
            self.log.append(planned.records).await?;
        }
        Ok(planned.answer)
    }

    /// Waits for the changes that are under way. Those that begin later are not waited for.
    pub async fn finish(&self) {
        self.changes.close();
        self.changes.wait().await;
    }

    /// Runs what may take long, parsing and comparing, away from the threads that serve requests.
    ///
    /// # Errors
    /// What `work` says.
    pub async fn aside<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let registry = Arc::clone(self);
        match tokio::task::spawn_blocking(move || work(&registry)).await {
            Ok(result) => result,
            Err(error) => Err(RegistryError::Store {
                message: format!("the request could not be worked on: {error}"),
            }),
        }
    }

    /// What holds for a subject, with this instance's defaults below it.
    #[must_use]
    pub fn config_in_scope(&self, of: Option<&str>) -> Config {
        let found = self.state().config_in_scope(of);
        let defaults = Config {
            compatibility_level: Some(self.config.compatibility_level),
            ..Config::default()
        };
        found.or(&defaults)
    }

    /// What may be done under a subject.
    #[must_use]
    pub fn mode_in_scope(&self, of: Option<&str>) -> Mode {
        self.state().mode_in_scope(of)
    }

    /// Fails where nothing may be written.
    fn check_writable(&self, subject: &str) -> Result<(), RegistryError> {
        if self.mode_in_scope(Some(subject)).is_read_only() {
            return Err(read_only(subject));
        }
        Ok(())
    }
}

fn read_only(subject: &str) -> RegistryError {
    let context = shown_context(subject);
    RegistryError::not_permitted(format!(
        "Subject {subject} in context {context} is in read-only mode"
    ))
}

/// A subject's context as the messages of Confluent's registry show it: `:.ctx:`, or `.` for the default one.
fn shown_context(subject: &str) -> String {
    match crate::subject::context_of(subject) {
        crate::subject::DEFAULT_CONTEXT => crate::subject::DEFAULT_CONTEXT.to_owned(),
        context => format!(":{context}:"),
    }
}

#[cfg(test)]
mod tests;
