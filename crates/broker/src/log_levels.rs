//! The levels of loggers while the broker runs: the `BROKER_LOGGER` config resource (KIP-412).
//!
//! Who installed the logger implements [`LogLevels`]; the checks here are those of Kafka's
//! `RuntimeLoggerManager`, with its texts. Levels are not stored: a restart begins with the configured ones, as
//! in Kafka.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;

use crate::config::{AlterOp, Alteration, Change};
use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::ApiError;

/// The logger that all others follow while they have no level of their own.
pub const ROOT_LOGGER: &str = "root";

/// How much a logger says (`org.apache.kafka.common.config.LogLevelConfig`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing: this broker logs no such messages.
    Fatal,
    /// What someone must act on.
    Error,
    /// And what is odd but went on.
    Warn,
    /// And what happened.
    Info,
    /// And why.
    Debug,
    /// And every step.
    Trace,
}

impl LogLevel {
    /// All levels, the quietest first.
    pub const ALL: [LogLevel; 6] = [
        LogLevel::Fatal,
        LogLevel::Error,
        LogLevel::Warn,
        LogLevel::Info,
        LogLevel::Debug,
        LogLevel::Trace,
    ];

    /// Kafka's name of it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            LogLevel::Fatal => "FATAL",
            LogLevel::Error => "ERROR",
            LogLevel::Warn => "WARN",
            LogLevel::Info => "INFO",
            LogLevel::Debug => "DEBUG",
            LogLevel::Trace => "TRACE",
        }
    }

    /// The level of this name, in upper case.
    #[must_use]
    pub fn parse(name: &str) -> Option<LogLevel> {
        LogLevel::ALL.into_iter().find(|level| level.name() == name)
    }
}

/// Loggers whose levels can be changed while they log.
pub trait LogLevels: Send + Sync + fmt::Debug + 'static {
    /// Every logger with the level it logs at, [`ROOT_LOGGER`] among them.
    fn levels(&self) -> BTreeMap<String, LogLevel>;

    /// Whether there is, or can be, such a logger.
    fn exists(&self, logger: &str) -> bool;

    /// Gives loggers a level, or none of their own any more; in force when this returns. Every logger exists.
    fn set(&self, changes: &[(String, Option<LogLevel>)]);
}

impl Server {
    /// The levels of all loggers.
    pub(crate) fn log_levels(&self) -> BTreeMap<String, LogLevel> {
        let loggers = self.loggers.as_ref();
        loggers.map(|loggers| loggers.levels()).unwrap_or_default()
    }

    /// Changes levels: in force when this returns.
    ///
    /// # Errors
    /// CLUSTER_AUTHORIZATION_FAILED, INVALID_CONFIG or INVALID_REQUEST in Kafka's words; nothing was changed
    /// then.
    pub(crate) fn alter_log_levels(
        &self,
        context: &RequestContext,
        change: Change<'_>,
        validate_only: bool,
    ) -> Result<(), ApiError> {
        let operation = Operation::ClusterAction;
        if !self.allows(context, operation, ResourceType::Cluster, CLUSTER_NAME) {
            let code = ErrorCode::ClusterAuthorizationFailed;
            return Err(ApiError::new(code, "Cluster authorization failed."));
        }
        let alterations = match change {
            Change::Incremental(alterations) => alterations,
            Change::Replace(_) => {
                let message = "Unknown resource type 8";
                return Err(ApiError::new(ErrorCode::InvalidRequest, message));
            }
        };
        let loggers = self.loggers.as_ref().ok_or_else(|| {
            let message = "The levels of this broker's loggers cannot be changed.";
            ApiError::new(ErrorCode::InvalidRequest, message)
        })?;
        let changes = checked(loggers, alterations)?;
        if !validate_only {
            loggers.set(&changes);
            tracing::info!(?changes, "changed levels of loggers");
        }
        Ok(())
    }
}

fn checked(
    loggers: &Arc<dyn LogLevels>,
    alterations: &[Alteration],
) -> Result<Vec<(String, Option<LogLevel>)>, ApiError> {
    let invalid_config = |message: String| ApiError::new(ErrorCode::InvalidConfig, message);
    let invalid_request = |message: String| ApiError::new(ErrorCode::InvalidRequest, message);
    let mut changes = Vec::with_capacity(alterations.len());
    for Alteration { name, op, value } in alterations {
        let level = match op {
            AlterOp::Set | AlterOp::Delete if !loggers.exists(name) => {
                return Err(invalid_config(format!("Logger {name} does not exist!")));
            }
            AlterOp::Set => {
                let text = value.as_deref().unwrap_or_default();
                let level = LogLevel::parse(text).ok_or_else(|| {
                    let valid: Vec<&str> = LogLevel::ALL.iter().map(|level| level.name()).collect();
                    invalid_config(format!(
                        "Cannot set the log level of {name} to {text} as it is not a supported log level. \
                         Valid log levels are {}",
                        valid.join(", ")
                    ))
                })?;
                Some(level)
            }
            AlterOp::Delete if name == ROOT_LOGGER => {
                return Err(invalid_request(
                    "Removing the log level of the root logger is not allowed".to_owned(),
                ));
            }
            AlterOp::Delete => None,
            AlterOp::Append | AlterOp::Subtract => {
                let op = if *op == AlterOp::Append {
                    "APPEND"
                } else {
                    "SUBTRACT"
                };
                return Err(invalid_request(format!(
                    "{op} operation is not allowed for the BROKER_LOGGER resource"
                )));
            }
        };
        changes.push((name.clone(), level));
    }
    Ok(changes)
}
