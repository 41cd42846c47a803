//! Apache Kafka as the oracle: one process that is broker and controller, formatted and started on free ports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::kafka::Kafka;
use crate::probe::{self, Ready};
use crate::process::{self, LOG_NAME, Managed};

/// Any valid id will do: each oracle is a cluster of its own that dies with its directory.
const CLUSTER_ID: &str = "AAAAAAAAAAAAAAAAAAAAAQ";

const START_LIMIT: Duration = Duration::from_secs(90);
const STOP_GRACE: Duration = Duration::from_secs(60);

/// The JVM options of Apache Kafka's own `kafka-server-start.sh` and `kafka-run-class.sh`.
const BROKER_JVM: [&str; 8] = [
    "-Xms1G",
    "-Xmx1G",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];

/// How the oracle is configured beyond what one node needs to run at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// Quick to start and quick to rebalance: what the cases want.
    Tests,
    /// Apache Kafka's own defaults: what a comparison of speed must use.
    Defaults,
}

/// What [`Oracle::start`] needs to know.
#[derive(Debug)]
pub struct Options<'a> {
    /// The directory for the configuration, the log and the data; it must exist.
    pub directory: &'a Path,
    /// The client port of the broker.
    pub port: u16,
    /// The port of the controller.
    pub controller_port: u16,
    /// The set of defaults.
    pub profile: Profile,
    /// Broker properties that go over all others.
    pub overrides: &'a [(String, String)],
}

/// A running Apache Kafka.
#[derive(Debug)]
pub struct Oracle {
    process: Managed,
    port: u16,
    data: PathBuf,
    ready: Ready,
}

impl Oracle {
    /// Formats the data directory, unless it is formatted, then starts the broker and waits until it serves.
    pub fn start(kafka: &Kafka, options: &Options<'_>) -> Result<Self> {
        let data = options.directory.join("data");
        let properties = options.directory.join("server.properties");
        fs::write(&properties, server_properties(options, &data))
            .with_context(|| format!("could not write {}", properties.display()))?;
        if !data.join("meta.properties").exists() {
            let mut format = kafka.java(&["-Xmx256M", "-XX:TieredStopAtLevel=1"]);
            format
                .args([
                    "kafka.tools.StorageTool",
                    "format",
                    "--standalone",
                    "-t",
                    CLUSTER_ID,
                    "-c",
                ])
                .arg(&properties);
            process::run(&mut format, b"", START_LIMIT)?
                .ok()
                .context("Apache Kafka could not format its directory")?;
        }
        let mut command = kafka.java(&BROKER_JVM);
        command.arg(format!("-Dkafka.logs.dir={}", options.directory.display()));
        // JVM options come before the class: `java` built the command up to the class path.
        command.arg("kafka.Kafka").arg(&properties);
        let mut process = Managed::spawn(
            "Apache Kafka",
            &mut command,
            &options.directory.join(LOG_NAME),
        )?;
        let ready =
            probe::wait_until_ready(options.port, START_LIMIT, || match process.exited()? {
                None => Ok(()),
                Some(status) => {
                    bail!(
                        "Apache Kafka ended with {status}: {}",
                        process::tail(&process.log_text(), 8)
                    )
                }
            })?;
        Ok(Self {
            process,
            port: options.port,
            data,
            ready,
        })
    }

    /// `host:port` for clients.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What the broker answered first, and after how long.
    pub fn ready(&self) -> Ready {
        self.ready
    }

    /// The broker's process id, for measuring its CPU time and memory.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The directory that holds one folder a partition.
    pub fn log_directory(&self) -> &Path {
        &self.data
    }

    /// The exit status, if the broker has ended.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.process.exited()
    }

    /// What the broker logged so far.
    pub fn log_text(&self) -> String {
        self.process.log_text()
    }

    /// A controlled shutdown.
    pub fn stop(self) -> Result<()> {
        self.process.stop(STOP_GRACE).map(|_| ())
    }

    /// kill -9.
    pub fn kill(self) -> Result<()> {
        self.process.kill().map(|_| ())
    }
}

fn server_properties(options: &Options<'_>, data: &Path) -> String {
    let Options {
        port,
        controller_port,
        ..
    } = options;
    let mut lines = vec![
        "process.roles=broker,controller".to_owned(),
        "node.id=1".to_owned(),
        format!("controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}"),
        format!("listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}"),
        format!("advertised.listeners=PLAINTEXT://127.0.0.1:{port}"),
        "controller.listener.names=CONTROLLER".to_owned(),
        "inter.broker.listener.name=PLAINTEXT".to_owned(),
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT".to_owned(),
        format!("log.dirs={}", data.display()),
    ];
    // A cluster of one cannot hold the default of three copies.
    for key in [
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
        "transaction.state.log.min.isr",
        "share.coordinator.state.topic.replication.factor",
        "share.coordinator.state.topic.min.isr",
    ] {
        lines.push(format!("{key}=1"));
    }
    if options.profile == Profile::Tests {
        // Fewer internal partitions start faster; the delay only makes each first rebalance wait.
        for key in [
            "offsets.topic.num.partitions",
            "transaction.state.log.num.partitions",
            "share.coordinator.state.topic.num.partitions",
        ] {
            lines.push(format!("{key}=4"));
        }
        lines.push("group.initial.rebalance.delay.ms=0".to_owned());
    }
    // The last of two lines with one key wins in a properties file.
    lines.extend(
        options
            .overrides
            .iter()
            .map(|(key, value)| format!("{key}={value}")),
    );
    lines.push(String::new());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(profile: Profile, overrides: &[(String, String)]) -> String {
        let options = Options {
            directory: Path::new("d"),
            port: 1,
            controller_port: 2,
            profile,
            overrides,
        };
        server_properties(&options, Path::new("d/data"))
    }

    #[test]
    fn overrides_come_last_and_the_defaults_profile_changes_nothing_it_need_not() {
        let ours = [("num.partitions".to_owned(), "7".to_owned())];
        let text = properties(Profile::Defaults, &ours);
        assert!(text.ends_with("num.partitions=7\n"));
        assert!(!text.contains("rebalance.delay"));
        assert!(properties(Profile::Tests, &[]).contains("group.initial.rebalance.delay.ms=0"));
    }
}
