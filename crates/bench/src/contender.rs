//! The brokers that are compared, started the same way on the same disk.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use compat::cache::Cache;
use compat::kafka::Kafka;
use compat::oracle::{self, Oracle, Profile};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use testkit::calls::{self, Partition};
use testkit::port::free_port;
use testkit::wait::retry;
use testkit::{Connection, Server, ServerOptions, Usage};
use wire::ErrorCode;

/// How long a new partition may be without a leader.
const LEADER_PATIENCE: Duration = Duration::from_secs(60);

/// A broker with a configuration.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Contender {
    /// Apache Kafka 4.3.1 with its own defaults and the JVM options of its start script. Its acknowledgement
    /// means: in the page cache of one machine.
    Kafka,
    /// Affluent with its defaults. Its acknowledgement means: on stable storage.
    Affluent,
    /// Affluent with `flush.policy=os` on the topic: the promise Apache Kafka makes.
    AffluentOs,
}

impl Contender {
    /// Configs of the topics that are measured.
    pub(crate) fn topic_configs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Contender::Kafka | Contender::Affluent => &[],
            Contender::AffluentOs => &[("flush.policy", "os")],
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Contender::Kafka => "kafka",
            Contender::Affluent => "affluent",
            Contender::AffluentOs => "affluent-os",
        })
    }
}

/// Where the brokers compete: the disk, the jars, the sizes.
#[derive(Debug)]
pub(crate) struct Hall {
    /// The directory for data.
    pub(crate) directory: PathBuf,
    /// Apache Kafka's jars; its clients are used for every contender.
    pub(crate) kafka: Kafka,
    /// Small sizes.
    pub(crate) quick: bool,
}

impl Hall {
    /// Fetches what is needed.
    pub(crate) fn open(directory: &Path, quick: bool) -> Result<Hall> {
        std::fs::create_dir_all(directory)?;
        let kafka = Kafka::fetch(&Cache::from_env()?)?;
        Ok(Hall {
            directory: directory.to_owned(),
            kafka,
            quick,
        })
    }

    /// The size of an experiment.
    pub(crate) fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Starts a contender on an empty directory. `properties` are broker properties of Affluent or of Apache
    /// Kafka, as the contender asks for.
    pub(crate) fn start(
        &self,
        contender: Contender,
        properties: &[(String, String)],
    ) -> Result<Running> {
        let directory = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(&self.directory)?;
        let mut running = Running {
            kafka: self.kafka.clone(),
            properties: properties.to_vec(),
            port: free_port()?,
            controller_port: free_port()?,
            broker: None,
            start_time: Duration::ZERO,
            directory,
        };
        if contender == Contender::Kafka {
            running.start_kafka()?;
        } else {
            let options = ServerOptions {
                overrides: properties.to_vec(),
                directory: Some(running.directory.path().to_owned()),
                start_limit: Some(Duration::from_secs(120)),
                ..ServerOptions::default()
            };
            let mut server = Server::prepare(options)?;
            running.start_time = server.restart()?;
            running.port = server.port();
            running.broker = Some(Broker::Affluent(server));
        }
        Ok(running)
    }
}

#[derive(Debug)]
enum Broker {
    Kafka(Oracle),
    Affluent(Server),
}

/// A contender that runs; its directory goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    kafka: Kafka,
    properties: Vec<(String, String)>,
    port: u16,
    controller_port: u16,
    broker: Option<Broker>,
    start_time: Duration,
    directory: TempDir,
}

impl Running {
    fn start_kafka(&mut self) -> Result<()> {
        let options = oracle::Options {
            directory: self.directory.path(),
            port: self.port,
            controller_port: self.controller_port,
            profile: Profile::Defaults,
            overrides: &self.properties,
        };
        let formatted = self.directory.path().join("data").join("meta.properties");
        let again = formatted.exists();
        let begin = Instant::now();
        let oracle = Oracle::start(&self.kafka, &options)?;
        self.start_time = if again {
            begin.elapsed()
        } else {
            // The first start formats the directory with a JVM of its own, which is no part of a start.
            let formatted = std::fs::metadata(&formatted)?.modified()?;
            SystemTime::now()
                .duration_since(formatted)
                .unwrap_or(begin.elapsed())
        };
        self.broker = Some(Broker::Kafka(oracle));
        Ok(())
    }

    /// How long the last start took, to the first answer to Metadata.
    pub(crate) fn start_time(&self) -> Duration {
        self.start_time
    }

    /// `host:port` for clients.
    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Creates a topic and waits until each partition is led: Apache Kafka answers CreateTopics before that.
    pub(crate) fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<()> {
        let mut connection = self.connect()?;
        calls::create_topic(&mut connection, name, partitions, configs)?;
        for index in 0..partitions {
            let partition = Partition { topic: name, index };
            retry("the partition's leader", LEADER_PATIENCE, || {
                let (error, _) = calls::list_offset(&mut connection, partition, calls::LATEST)?;
                ensure!(
                    error == ErrorCode::None,
                    "{partition} answers {}",
                    error.name()
                );
                Ok(())
            })?;
        }
        Ok(())
    }

    /// A raw connection.
    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::open(self.port)
    }

    /// Where the data lies.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// CPU time and memory of the broker's process.
    pub(crate) fn usage(&self) -> Result<Usage> {
        match self.broker.as_ref().context("the broker does not run")? {
            Broker::Kafka(oracle) => Usage::of(oracle.pid()),
            Broker::Affluent(server) => server.usage(),
        }
    }

    /// kill -9, then start again on the same directory and port.
    pub(crate) fn kill_and_restart(&mut self) -> Result<()> {
        match self.broker.take() {
            Some(Broker::Kafka(oracle)) => {
                oracle.kill()?;
                self.start_kafka()
            }
            Some(Broker::Affluent(mut server)) => {
                server.kill()?;
                self.start_time = server.restart()?;
                self.broker = Some(Broker::Affluent(server));
                Ok(())
            }
            None => bail!("the broker does not run"),
        }
    }
}
