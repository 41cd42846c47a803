//! The `affluent` binary as a child process: what a user runs, with a data directory and a port it keeps over
//! restarts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use wire::messages::MetadataRequest;

use crate::connection::Connection;
use crate::log;
use crate::port::free_port;
use crate::process::Process;
use crate::usage::Usage;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_GRACE: Duration = Duration::from_secs(60);

/// How a [`Server`] is set up.
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// The binary; found by [`binary`] when `None`.
    pub binary: Option<PathBuf>,
    /// Where the data directory and the log go; a temporary directory when `None`.
    pub directory: Option<PathBuf>,
    /// Broker properties by their Kafka names.
    pub overrides: Vec<(String, String)>,
    /// Environment variables, such as `LD_PRELOAD`.
    pub environment: Vec<(String, String)>,
    /// How long a start may take; a minute when `None`.
    pub start_limit: Option<Duration>,
}

impl ServerOptions {
    /// Adds a broker property.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl ToString) -> ServerOptions {
        self.overrides.push((key.to_owned(), value.to_string()));
        self
    }

    /// Keeps the data in `directory` instead of a temporary one.
    #[must_use]
    pub fn at(mut self, directory: &Path) -> ServerOptions {
        self.directory = Some(directory.to_owned());
        self
    }
}

/// A broker that runs, or that was killed and can be started again.
#[derive(Debug)]
pub struct Server {
    options: ServerOptions,
    binary: PathBuf,
    directory: PathBuf,
    port: u16,
    process: Option<Process>,
    /// Removes the directory when the server is dropped; `None` for a directory of the caller's.
    temporary: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts a broker and waits until it answers Metadata.
    ///
    /// # Errors
    /// When the binary is missing, ends, or does not answer in time; the message ends with its last log lines.
    pub fn start(options: ServerOptions) -> Result<Server> {
        let mut server = Server::prepare(options)?;
        server.restart()?;
        Ok(server)
    }

    /// As [`Server::start`], but does not start the broker yet.
    ///
    /// # Errors
    /// When the binary is missing or no directory can be made.
    pub fn prepare(options: ServerOptions) -> Result<Server> {
        let binary = match &options.binary {
            Some(binary) => binary.clone(),
            None => binary()?,
        };
        let temporary = match &options.directory {
            Some(_) => None,
            None => Some(tempfile::tempdir().context("could not create a temporary directory")?),
        };
        let directory = match (&options.directory, &temporary) {
            (Some(directory), _) => directory.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => bail!("a server needs a directory"),
        };
        fs::create_dir_all(&directory)?;
        let port = free_port()?;
        Ok(Server {
            options,
            binary,
            directory,
            port,
            process: None,
            temporary,
        })
    }

    /// Starts the broker, which must not be running, on the same directory and port. Returns how long it took
    /// from the start of the process to the first answer to Metadata.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn restart(&mut self) -> Result<Duration> {
        ensure!(self.process.is_none(), "the broker runs already");
        let started = Instant::now();
        let mut process = self.spawn()?;
        let limit = self.options.start_limit.unwrap_or(START_LIMIT);
        loop {
            match Connection::open(self.port).and_then(|mut connection| {
                connection.set_limit(limit)?;
                connection.call(
                    12,
                    &MetadataRequest {
                        topics: Some(Vec::new()),
                        ..Default::default()
                    },
                )
            }) {
                Ok(answer) if !answer.brokers.is_empty() => break,
                Ok(_) | Err(_) if started.elapsed() < limit => {}
                Ok(_) => bail!("Metadata named no broker within {} ms", limit.as_millis()),
                Err(error) => {
                    let tail = process.log_tail();
                    return Err(
                        error.context(format!("affluent does not serve; its log ends: {tail}"))
                    );
                }
            }
            if let Some(status) = process.exited()? {
                bail!(
                    "affluent ended with {status}; its log ends: {}",
                    process.log_tail()
                );
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        self.process = Some(process);
        Ok(started.elapsed())
    }

    /// Starts the process and returns at once, whether it will serve or not.
    ///
    /// # Errors
    /// When the binary cannot be started.
    pub fn spawn(&self) -> Result<Process> {
        let mut command = Command::new(&self.binary);
        command.arg("start").arg("--data-dir").arg(self.data_dir());
        command
            .arg("--listener")
            .arg(format!("127.0.0.1:{}", self.port));
        command.args(["--roles", "broker", "--admin-listener", "127.0.0.1:0"]);
        for (key, value) in &self.options.overrides {
            command.arg("--override").arg(format!("{key}={value}"));
        }
        command.envs(
            self.options
                .environment
                .iter()
                .map(|(key, value)| (key, value)),
        );
        command.current_dir(&self.directory);
        Process::spawn("affluent", &mut command, &self.log_file())
    }

    /// The port of the Kafka listener; the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port` for clients.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("broker.log")
    }

    /// What the broker logged so far, over all restarts.
    #[must_use]
    pub fn log_text(&self) -> String {
        fs::read(self.log_file())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// A new connection to the broker.
    ///
    /// # Errors
    /// When it does not listen.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(self.port)
    }

    /// The running process.
    ///
    /// # Errors
    /// When the broker was killed or stopped.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the broker does not run")
    }

    /// CPU time and memory of the running broker.
    ///
    /// # Errors
    /// When it does not run.
    pub fn usage(&self) -> Result<Usage> {
        self.process
            .as_ref()
            .context("the broker does not run")?
            .usage()
    }

    /// kill -9, and wait until the process is gone.
    ///
    /// # Errors
    /// When the broker does not run.
    pub fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the broker does not run")?;
        if let Some(status) = process.exited()? {
            bail!(
                "affluent ended by itself with {status}; its log ends: {}",
                process.log_tail()
            );
        }
        process.kill()?;
        Ok(())
    }

    /// Makes sure that the broker does not run, whether it ended by itself or has to be killed; says which.
    ///
    /// # Errors
    /// When it was not running before either.
    pub fn end(&mut self) -> Result<String> {
        let mut process = self.process.take().context("the broker does not run")?;
        if let Some(status) = process.exited()? {
            return Ok(format!("had ended with {status}"));
        }
        process.kill()?;
        Ok("was killed".to_owned())
    }

    /// SIGTERM, and wait for a clean exit.
    ///
    /// # Errors
    /// When the broker does not end in time or not with status 0.
    pub fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the broker does not run")?;
        let status = process.terminate(STOP_GRACE)?;
        ensure!(
            status.success(),
            "affluent answered SIGTERM with {status}: {}",
            process.log_tail()
        );
        Ok(())
    }

    /// SIGSTOP: the process stands still until [`Server::thaw`].
    ///
    /// # Errors
    /// When the broker does not run.
    pub fn freeze(&mut self) -> Result<()> {
        self.process()?.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When the broker does not run.
    pub fn thaw(&mut self) -> Result<()> {
        self.process()?.signal(Signal::CONT)
    }

    /// Fails when the broker logged an ERROR, a WARN or a panic that does not contain one of `expected`.
    ///
    /// # Errors
    /// One that quotes the lines.
    pub fn expect_quiet_log(&self, expected: &[&str]) -> Result<()> {
        let text = self.log_text();
        let lines = log::unexpected(&text, expected);
        ensure!(
            lines.is_empty(),
            "unexpected lines in the broker's log:\n{}",
            lines.join("\n")
        );
        Ok(())
    }

    /// Keeps a temporary directory after the server is dropped, and returns it: for a look at what went wrong.
    pub fn keep_directory(&mut self) -> &Path {
        if let Some(temporary) = self.temporary.take() {
            self.directory = temporary.keep();
        }
        &self.directory
    }
}

/// The `affluent` binary: `$AFFLUENT_BIN`, or the newest of what cargo built in this target directory.
///
/// # Errors
/// When there is none; the message says how to build it.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("AFFLUENT_BIN") {
        let path = PathBuf::from(path);
        ensure!(
            path.is_file(),
            "AFFLUENT_BIN names {}, which is no file",
            path.display()
        );
        return Ok(path);
    }
    let executable = std::env::current_exe().context("where does this program lie?")?;
    // target/<profile>/deps/test-1234 and target/<profile>/chaos: prefer the binary of the same profile.
    for folder in executable.ancestors().skip(1).take(2) {
        let candidate = folder.join("affluent");
        if candidate.is_file() {
            return Ok(candidate);
        }
    }
    bail!(
        "no affluent binary beside {}: build it with `cargo build -p affluent` (add --release if this \
         program was), or name one in AFFLUENT_BIN",
        executable.display()
    )
}
