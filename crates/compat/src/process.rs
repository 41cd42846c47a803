//! Child processes that cannot outlive their owner: each leads a process group of its own, and the group is
//! killed when the owner is dropped, so that neither a failed case nor a panic leaves a broker behind.
//!
//! Output goes to files, not pipes: a child that nobody reads never blocks, and a grandchild that keeps its
//! standard output open does not keep us waiting.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// How often a wait looks again. The standard library has no wait with a deadline.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The name of a broker's log, in the directory it was started with.
pub const LOG_NAME: &str = "broker.log";

/// A long-running child, such as a broker.
#[derive(Debug)]
pub struct Managed {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Managed {
    /// Starts `command` in a process group of its own with its output appended to `log`.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(log)
                .with_context(|| format!("could not open {}", log.display()))
        };
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(open()?)
            .stderr(open()?)
            .spawn()
            .with_context(|| format!("could not start {name}: {command:?}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// The process id, which is the id of its group too.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the process wrote so far, both streams together.
    pub fn log_text(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The exit status, if the process has ended.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("could not ask for the state of {}", self.name))
    }

    /// Sends `signal` to the whole group.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process_group(Pid::from_child(&self.child), signal).with_context(|| {
            format!(
                "could not signal {} (process {})",
                self.name,
                self.child.id()
            )
        })
    }

    /// Asks with SIGTERM, and kills the group if it has not ended after `grace`.
    ///
    /// The error names a process that had to be killed: a broker that does not stop when told is a defect.
    pub fn stop(mut self, grace: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.exited()? {
            return Ok(status);
        }
        self.signal(Signal::TERM)?;
        match wait_until(&mut self.child, Instant::now() + grace)? {
            Some(status) => Ok(status),
            None => bail!(
                "{} (process {}) did not end within {} s of SIGTERM and was killed",
                self.name,
                self.child.id(),
                grace.as_secs()
            ),
        }
    }

    /// Kills the group with SIGKILL and waits until it is gone.
    pub fn kill(mut self) -> Result<ExitStatus> {
        self.kill_and_wait()
    }

    /// As [`Self::kill`], for an owner that still wants to read what the process wrote.
    pub fn kill_and_wait(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::KILL)?;
        self.child
            .wait()
            .with_context(|| format!("could not wait for {}", self.name))
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        kill_group(&mut self.child);
    }
}

/// How a command ended and what it wrote.
#[derive(Debug)]
pub struct Finished {
    /// `None` when it ran out of time and was killed.
    pub status: Option<ExitStatus>,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// How long it ran.
    pub elapsed: Duration,
}

impl Finished {
    /// Standard output as text.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Whether it ended by itself with exit status 0.
    pub fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// Fails unless the command ended by itself with status 0, with the last lines it wrote.
    pub fn ok(self) -> Result<Self> {
        if self.success() {
            return Ok(self);
        }
        let how = match self.status {
            None => format!("was killed after {} s", self.elapsed.as_secs()),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("ended with status {code}"),
                (None, Some(signal)) => format!("was ended by signal {signal}"),
                (None, None) => format!("ended with {status}"),
            },
        };
        bail!(
            "{how}; stderr: {}; stdout: {}",
            tail(&self.stderr_text(), 12),
            tail(&self.stdout_text(), 6)
        )
    }
}

/// Runs `command` to its end, feeding it `input`, and kills its group when `limit` has passed.
pub fn run(command: &mut Command, input: &[u8], limit: Duration) -> Result<Finished> {
    let mut stdin = tempfile::tempfile().context("could not create a temporary file")?;
    stdin.write_all(input)?;
    stdin.seek(SeekFrom::Start(0))?;
    let outputs = tempfile::tempdir().context("could not create a temporary directory")?;
    let (stdout, stderr) = (outputs.path().join("stdout"), outputs.path().join("stderr"));
    let started = Instant::now();
    let mut child = command
        .process_group(0)
        .stdin(stdin)
        .stdout(File::create(&stdout)?)
        .stderr(File::create(&stderr)?)
        .spawn()
        .with_context(|| format!("could not start {}", display(command)))?;
    let status = wait_until(&mut child, started + limit)?;
    if status.is_none() {
        kill_group(&mut child);
    }
    Ok(Finished {
        status,
        stdout: fs::read(&stdout)?,
        stderr: fs::read(&stderr)?,
        elapsed: started.elapsed(),
    })
}

/// Whether a program can be started at all.
pub fn exists(program: impl AsRef<OsStr>, argument: &str) -> bool {
    Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// The last `lines` lines of a text, on one line.
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    all.iter()
        .skip(all.len().saturating_sub(lines))
        .copied()
        .collect::<Vec<_>>()
        .join(" | ")
}

fn display(command: &Command) -> String {
    format!("{command:?}")
}

fn wait_until(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child
            .try_wait()
            .context("could not wait for a child process")?
        {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// Kills the process group that `child` leads, unless it has ended, and waits for it.
pub fn kill_group(child: &mut Child) {
    if let Ok(None) = child.try_wait() {
        // Fails only when the group has just ended by itself, which is what we want.
        kill_process_group(Pid::from_child(child), Signal::KILL).ok();
        child.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_command_gets_its_input_and_gives_its_output() {
        let finished = run(
            &mut shell("cat; echo no >&2; exit 3"),
            b"yes",
            Duration::from_secs(10),
        )
        .unwrap();
        assert_eq!(
            (
                finished.stdout_text().as_str(),
                finished.stderr_text().as_str()
            ),
            ("yes", "no\n")
        );
        let error = finished.ok().unwrap_err().to_string();
        assert!(
            error.contains("status 3") && error.contains("stderr: no"),
            "{error}"
        );
    }

    #[test]
    fn a_command_that_runs_out_of_time_is_killed_with_its_children() {
        let started = Instant::now();
        let finished = run(
            &mut shell("sleep 600 & sleep 600"),
            b"",
            Duration::from_millis(50),
        )
        .unwrap();
        assert!(finished.status.is_none());
        assert!(started.elapsed() < Duration::from_secs(60));
        assert!(
            finished
                .ok()
                .unwrap_err()
                .to_string()
                .contains("was killed")
        );
    }

    #[test]
    fn a_managed_child_that_ignores_the_term_signal_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let child = Managed::spawn(
            "stubborn",
            &mut shell("trap '' TERM; echo up; sleep 600"),
            &log,
        )
        .unwrap();
        while !child.log_text().contains("up") {
            thread::yield_now();
        }
        let error = child
            .stop(Duration::from_millis(50))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("stubborn") && error.contains("SIGTERM"),
            "{error}"
        );
    }

    #[test]
    fn the_tail_of_a_text_leaves_out_empty_lines() {
        assert_eq!(tail("a\n\nb\nc\n", 2), "b | c");
        assert_eq!(tail("", 2), "");
    }
}
