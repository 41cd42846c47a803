//! Our own broker as a child process: the binary a user runs, on a free port, with a data directory of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::probe::{self, Ready};
use crate::process::{self, LOG_NAME, Managed};

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_GRACE: Duration = Duration::from_secs(30);

/// What [`Affluent::start`] needs to know.
#[derive(Debug)]
pub struct Options<'a> {
    /// The binary.
    pub binary: &'a Path,
    /// The directory for the log and the data; it must exist. Started again on it, the broker recovers.
    pub directory: &'a Path,
    /// The client port.
    pub port: u16,
    /// Broker properties, by their Kafka names.
    pub overrides: &'a [(String, String)],
}

/// A running Affluent.
#[derive(Debug)]
pub struct Affluent {
    process: Managed,
    port: u16,
    data: PathBuf,
    ready: Ready,
}

impl Affluent {
    /// Starts the broker and waits until it serves.
    pub fn start(options: &Options<'_>) -> Result<Self> {
        let data = options.directory.join("data");
        let mut command = Command::new(options.binary);
        command
            .args(["start", "--roles", "broker", "--admin-listener", "none"])
            .arg("--data-dir")
            .arg(&data);
        command
            .arg("--listener")
            .arg(format!("127.0.0.1:{}", options.port));
        for (key, value) in options.overrides {
            command.arg("--override").arg(format!("{key}={value}"));
        }
        command.current_dir(options.directory);
        let mut process =
            Managed::spawn("affluent", &mut command, &options.directory.join(LOG_NAME))?;
        let ready =
            probe::wait_until_ready(options.port, START_LIMIT, || match process.exited()? {
                None => Ok(()),
                Some(status) => bail!(
                    "affluent ended with {status}: {}",
                    process::tail(&process.log_text(), 8)
                ),
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
    pub fn log_directory(&self) -> PathBuf {
        self.data.join("logs")
    }

    /// The exit status, if the broker has ended.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.process.exited()
    }

    /// What the broker logged so far.
    pub fn log_text(&self) -> String {
        self.process.log_text()
    }

    /// A graceful shutdown.
    pub fn stop(self) -> Result<()> {
        let status = self.process.stop(STOP_GRACE)?;
        if status.success() {
            Ok(())
        } else {
            bail!("affluent answered SIGTERM with {status}")
        }
    }

    /// kill -9.
    pub fn kill(self) -> Result<()> {
        self.process.kill().map(|_| ())
    }
}
