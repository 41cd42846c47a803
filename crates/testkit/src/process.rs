//! A child process that cannot outlive its owner: it leads a process group of its own, which is killed when the
//! owner is dropped. Its output is appended to a file, so that a child that nobody reads never blocks.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::usage::Usage;
use crate::wait::wait_for;

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    /// What the log file held already when this child started.
    log_start: u64,
}

impl Process {
    /// Starts `command` with both output streams appended to `log`.
    ///
    /// # Errors
    /// When the program or the log file cannot be opened.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Process> {
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(log)
                .with_context(|| format!("could not open {}", log.display()))
        };
        let stdout = open()?;
        let log_start = stdout.metadata()?.len();
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(open()?)
            .spawn()
            .with_context(|| format!("could not start {name}: {command:?}"))?;
        Ok(Process {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
            log_start,
        })
    }

    /// The process id, which is the id of its group too.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What this child wrote so far.
    #[must_use]
    pub fn log_text(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let from = usize::try_from(self.log_start).unwrap_or(usize::MAX);
        String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
    }

    /// The last lines this child wrote, on one line, for an error message.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = self.log_text();
        let lines: Vec<&str> = text.lines().collect();
        lines
            .iter()
            .skip(lines.len().saturating_sub(8))
            .copied()
            .collect::<Vec<_>>()
            .join(" | ")
    }

    /// CPU time and memory.
    ///
    /// # Errors
    /// When the child has ended.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.pid())
    }

    /// The exit status, if the child has ended.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("could not ask for the state of {}", self.name))
    }

    /// Sends `signal` to the whole group.
    ///
    /// # Errors
    /// When the group is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process_group(Pid::from_child(&self.child), signal)
            .with_context(|| format!("could not signal {} (process {})", self.name, self.pid()))
    }

    /// Kills the group with SIGKILL and waits until it is gone. Not an error when it is gone already.
    ///
    /// # Errors
    /// When the child cannot be waited for.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.exited()? {
            return Ok(status);
        }
        self.signal(Signal::KILL)?;
        self.child
            .wait()
            .with_context(|| format!("could not wait for {}", self.name))
    }

    /// Asks with SIGTERM and waits.
    ///
    /// # Errors
    /// When the child has not ended within `grace`; it still runs then.
    pub fn terminate(&mut self, grace: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.exited()? {
            return Ok(status);
        }
        self.signal(Signal::TERM)?;
        let what = format!(
            "{} (process {}) to end after SIGTERM",
            self.name,
            self.pid()
        );
        wait_for(&what, grace, || self.exited())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only when the group ended by itself a moment ago, which is what we want.
        self.kill().ok();
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
    fn a_child_that_ignores_sigterm_is_an_error_and_dies_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let script = "trap '' TERM; echo up; sleep 600 & wait; wait";
        let mut child = Process::spawn("stubborn", &mut shell(script), &log).unwrap();
        let limit = Duration::from_secs(20);
        wait_for("the child's trap", limit, || {
            Ok(child.log_text().contains("up").then_some(()))
        })
        .unwrap();
        let error = child
            .terminate(Duration::from_millis(20))
            .unwrap_err()
            .to_string();
        assert!(error.contains("stubborn"), "{error}");
        let pid = child.pid();
        drop(child);
        assert!(Usage::of(pid).is_err());
    }

    #[test]
    fn each_child_sees_its_own_part_of_a_shared_log() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        for word in ["first", "second"] {
            let mut child =
                Process::spawn(word, &mut shell(&format!("echo {word}")), &log).unwrap();
            wait_for("the child's end", Duration::from_secs(20), || {
                child.exited()
            })
            .unwrap();
            assert_eq!(child.log_text(), format!("{word}\n"));
        }
    }
}
