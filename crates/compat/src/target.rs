//! A running broker a suite talks to: ours, or Apache Kafka's.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::affluent::{self, Affluent};
use crate::kafka::Kafka;
use crate::oracle::{self, Oracle, Profile};
use crate::probe;
use crate::process::{self, LOG_NAME};

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Affluent.
    Affluent,
    /// Apache Kafka, the oracle.
    Kafka,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Affluent => "affluent",
            Self::Kafka => "kafka",
        })
    }
}

/// Starts targets.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// Apache Kafka's jars.
    pub kafka: Arc<Kafka>,
    /// Our binary; not needed while only the oracle is asked for.
    pub affluent: Option<PathBuf>,
}

#[derive(Debug)]
enum Broker {
    Affluent(Affluent),
    Kafka(Oracle),
}

/// A running broker and its directory, both gone when it is dropped.
#[derive(Debug)]
pub struct Target {
    broker: Broker,
    place: Place,
}

/// Where a broker lives and what it is told: all that a second start on the same data needs.
#[derive(Debug)]
struct Place {
    directory: TempDir,
    port: u16,
    controller_port: u16,
    properties: Vec<(String, String)>,
}

impl Launcher {
    /// Starts a fresh broker of the given kind with the properties of tests and then `overrides`.
    pub fn start(&self, kind: Kind, overrides: &[(&str, &str)]) -> Result<Target> {
        let directory = tempfile::Builder::new()
            .prefix("affluent-compat-")
            .tempdir()?;
        let mut properties = vec![("num.partitions".to_owned(), "4".to_owned())];
        if kind == Kind::Affluent {
            properties.push((
                "group.initial.rebalance.delay.ms".to_owned(),
                "0".to_owned(),
            ));
        }
        properties.extend(
            overrides
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        );
        let [port, controller_port] = probe::free_ports()?;
        let place = Place {
            directory,
            port,
            controller_port,
            properties,
        };
        let broker = self.start_in(kind, &place)?;
        Ok(Target { broker, place })
    }

    fn start_in(&self, kind: Kind, place: &Place) -> Result<Broker> {
        let directory = place.directory.path();
        Ok(match kind {
            Kind::Affluent => {
                let binary = self
                    .affluent
                    .as_deref()
                    .context("no affluent binary was given to the lane")?;
                Broker::Affluent(Affluent::start(&affluent::Options {
                    binary,
                    directory,
                    port: place.port,
                    overrides: &place.properties,
                })?)
            }
            Kind::Kafka => Broker::Kafka(Oracle::start(
                &self.kafka,
                &oracle::Options {
                    directory,
                    port: place.port,
                    controller_port: place.controller_port,
                    profile: Profile::Tests,
                    overrides: &place.properties,
                },
            )?),
        })
    }
}

impl Target {
    /// Which broker it is.
    pub fn kind(&self) -> Kind {
        match self.broker {
            Broker::Affluent(_) => Kind::Affluent,
            Broker::Kafka(_) => Kind::Kafka,
        }
    }

    /// `host:port` for clients.
    pub fn bootstrap(&self) -> String {
        match &self.broker {
            Broker::Affluent(broker) => broker.bootstrap(),
            Broker::Kafka(broker) => broker.bootstrap(),
        }
    }

    /// The broker's id, as its clients see it.
    pub fn broker_id(&self) -> i32 {
        match &self.broker {
            Broker::Affluent(broker) => broker.ready().broker_id,
            Broker::Kafka(broker) => broker.ready().broker_id,
        }
    }

    /// The directory that holds one folder a partition.
    pub fn log_directory(&self) -> PathBuf {
        match &self.broker {
            Broker::Affluent(broker) => broker.log_directory(),
            Broker::Kafka(broker) => broker.log_directory().to_owned(),
        }
    }

    /// Room for a suite's own files.
    pub fn scratch(&self) -> &Path {
        self.place.directory.path()
    }

    /// What the broker logged so far.
    pub fn log_text(&self) -> String {
        match &self.broker {
            Broker::Affluent(broker) => broker.log_text(),
            Broker::Kafka(broker) => broker.log_text(),
        }
    }

    /// Fails if the broker has ended by itself, with its last words.
    pub fn check_running(&mut self) -> Result<()> {
        let exited = match &mut self.broker {
            Broker::Affluent(broker) => broker.exited()?,
            Broker::Kafka(broker) => broker.exited()?,
        };
        match exited {
            None => Ok(()),
            Some(status) => bail!(
                "the broker ended with {status} before it was told to: {}",
                process::tail(&self.log_text(), 6)
            ),
        }
    }

    /// The first line of Affluent's log that tells of an error, if there is one.
    ///
    /// An error that no client saw is a fault all the same. Apache Kafka logs some as a matter of course, so its log
    /// is not looked at.
    pub fn logged_error(&self) -> Option<String> {
        if self.kind() == Kind::Kafka {
            return None;
        }
        self.log_text()
            .lines()
            .find(|line| line.contains(" ERROR ") || line.contains("panicked at"))
            .map(str::to_owned)
    }

    /// Kills the broker with SIGKILL and starts it again on the same data and port.
    pub fn kill_and_start(self, launcher: &Launcher) -> Result<Self> {
        let kind = self.kind();
        let Self { broker, place } = self;
        match broker {
            Broker::Affluent(broker) => broker.kill(),
            Broker::Kafka(broker) => broker.kill(),
        }?;
        let broker = launcher.start_in(kind, &place)?;
        Ok(Self { broker, place })
    }

    /// A graceful stop; a broker that does not stop, or not well, is an error that ends with its last words.
    pub fn stop(self) -> Result<()> {
        let Self { broker, place } = self;
        let stopped = match broker {
            Broker::Affluent(broker) => broker.stop(),
            Broker::Kafka(broker) => broker.stop(),
        };
        stopped.map_err(|error| {
            let log = fs::read(place.directory.path().join(LOG_NAME)).unwrap_or_default();
            error.context(process::tail(&String::from_utf8_lossy(&log), 6))
        })
    }
}
