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
pub mod turns;

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use schema::{Metadata, RuleSet, SchemaReference, SchemaType};

use crate::config::RegistryConfig;
use crate::error::RegistryError;
use crate::state::{Config, Mode, Record, SchemaBody, State, Version};
use parse::ParsedSchemas;
pub use turns::{Leadership, Log, Planned, Turns};

/// A registry: one instance's state, and the way to change it.
#[derive(Debug)]
pub struct Registry {
    state: Arc<RwLock<State>>,
    turns: Turns<Record>,
    config: RegistryConfig,
    parsed: ParsedSchemas,
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
            turns: Turns::new(log, leadership, config.timeout),
            config,
            parsed,
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
        self.turns.leadership()
    }

    /// Who writes, to be watched.
    #[must_use]
    pub fn watch_leadership(&self) -> tokio::sync::watch::Receiver<Leadership> {
        self.turns.watch_leadership()
    }

    /// Who writes, once somebody does; `Unknown` when nobody was elected within `limit`.
    pub async fn leadership_within(&self, limit: Duration) -> Leadership {
        self.turns.leadership_within(limit).await
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
        let registry = Arc::clone(self);
        let plan = move || async move { registry.aside(plan).await };
        self.turns.make(operation, plan).await
    }

    /// Waits for the changes that are under way. Those that begin later are not waited for.
    pub async fn finish(&self) {
        self.turns.finish().await;
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

/// Fails for what can have neither config nor mode.
///
/// # Errors
/// 42208.
pub(crate) fn check_settings_of(of: Option<&str>) -> Result<(), RegistryError> {
    match of {
        Some(of) if !crate::subject::may_have_settings(of) => Err(RegistryError::InvalidSubject {
            subject: of.to_owned(),
        }),
        _ => Ok(()),
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
