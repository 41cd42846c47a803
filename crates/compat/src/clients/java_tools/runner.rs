//! The JVM that runs the tools (`java/src/ToolServer.java`): one request a line, one answer a line.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::kafka::Kafka;
use crate::process;

/// How long a tool may run; the longest healthy one takes a few seconds.
pub(super) const TOOL_LIMIT: Duration = Duration::from_secs(90);

/// How much longer we wait for the JVM to tell us that a tool did not end.
const ANSWER_GRACE: Duration = Duration::from_secs(15);

#[derive(Serialize)]
struct Request<'a> {
    main: &'a str,
    args: &'a [&'a str],
    stdin: &'a str,
    limit_ms: u64,
}

/// How a tool ended and what it wrote.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    /// `None` when the tool did not end in time.
    pub(super) exit: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Answer {
    /// Fails if the tool did not end.
    pub(super) fn ended(self) -> Result<Self> {
        if self.exit.is_some() {
            return Ok(self);
        }
        bail!(
            "did not end within {} s; stdout: {}; stderr: {}",
            TOOL_LIMIT.as_secs(),
            process::tail(&self.stdout, 4),
            process::tail(&self.stderr, 24)
        )
    }

    /// Standard output of a tool that ended with 0.
    pub(super) fn ok(self) -> Result<String> {
        match self.exit {
            Some(0) => Ok(self.stdout),
            exit => bail!(
                "ended with {exit:?}; stdout: {}; stderr: {}",
                process::tail(&self.stdout, 6),
                process::tail(&self.stderr, 10)
            ),
        }
    }
}

/// A running JVM.
pub(super) struct Runner {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<String>,
}

impl Runner {
    /// Starts the JVM; it ends when this is dropped.
    pub(super) fn start(kafka: &Kafka, scratch: &Path) -> Result<Self> {
        let classes = kafka.compile_runner()?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(scratch.join("tools.log"))?;
        let mut command = kafka.java_with(&[&classes], &["-Xmx512M", "-XX:TieredStopAtLevel=1"]);
        let mut child = command
            .arg("affluent.compat.ToolServer")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("could not start java")?;
        let requests = child
            .stdin
            .take()
            .context("the JVM has no standard input")?;
        let stdout = child
            .stdout
            .take()
            .context("the JVM has no standard output")?;
        let (sender, answers) = channel();
        // Ends with the JVM, whose output it reads.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            child,
            requests,
            answers,
        })
    }

    /// Runs one tool and gives the JVM back, unless the tool still runs in it.
    pub(super) fn run(
        mut self,
        main: &str,
        args: &[&str],
        stdin: &str,
    ) -> Result<(Answer, Option<Self>)> {
        let limit_ms = u64::try_from(TOOL_LIMIT.as_millis())?;
        let mut line = serde_json::to_string(&Request {
            main,
            args,
            stdin,
            limit_ms,
        })?;
        line.push('\n');
        self.requests
            .write_all(line.as_bytes())
            .context("the JVM of the tools is gone")?;
        let answer = match self.answers.recv_timeout(TOOL_LIMIT + ANSWER_GRACE) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => bail!("the JVM did not answer while it ran {main}"),
            Err(RecvTimeoutError::Disconnected) => bail!("the JVM ended while it ran {main}"),
        };
        let answer: Answer =
            serde_json::from_str(&answer).with_context(|| format!("the answer {answer:?}"))?;
        let reusable = answer.exit.is_some();
        Ok((answer, reusable.then_some(self)))
    }

    /// Starts a tool that goes on until this is dropped.
    pub(super) fn run_in_background(mut self, main: &str, args: &[&str]) -> Result<Self> {
        let mut line = serde_json::to_string(&Request {
            main,
            args,
            stdin: "",
            limit_ms: 600_000,
        })?;
        line.push('\n');
        self.requests
            .write_all(line.as_bytes())
            .context("the JVM of the tools is gone")?;
        Ok(self)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        process::kill_group(&mut self.child);
    }
}
