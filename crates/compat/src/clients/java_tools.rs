//! Apache Kafka's own command-line tools, 4.3.1, as an operator would use them.
//!
//! A case reads what a tool prints, as people and scripts do. Where the wording is the broker's, the case looks for
//! the Kafka exception and not for the sentence.

mod cluster;
mod configs;
mod consumer_protocol;
mod groups;
mod offline;
mod performance;
mod quotas;
mod records;
mod runner;
mod share_groups;
mod topics;
mod transactions;
mod transcript;
mod transcripts;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::cache::Cache;
use crate::kafka::{KAFKA_VERSION, Kafka};
use crate::process;
use crate::suite::{CaseResult, Session, Suite, Tier, run_case};
use crate::target::{Launcher, Target};
use runner::{Answer, Runner};

/// The suite.
#[derive(Debug)]
pub struct JavaTools;

type Case = fn(&Tools<'_>) -> Result<()>;

/// The cases of one file, by name.
type Cases = &'static [(&'static str, Case)];

const FILES: [Cases; 12] = [
    topics::CASES,
    cluster::CASES,
    quotas::CASES,
    configs::CASES,
    records::CASES,
    groups::CASES,
    consumer_protocol::CASES,
    transactions::CASES,
    share_groups::CASES,
    offline::CASES,
    performance::CASES,
    transcripts::CASES,
];

impl Suite for JavaTools {
    fn name(&self) -> &'static str {
        "java-tools"
    }

    fn client(&self) -> String {
        format!("Apache Kafka {KAFKA_VERSION} command-line tools")
    }

    fn prepare(&self, _cache: &Cache, kafka: &Kafka, _tier: Tier) -> Result<bool> {
        kafka.compile_runner().map(|_| true)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        let tools = Tools::new(session.target, session.launcher, session.kafka);
        for (case, body) in FILES.iter().copied().flatten() {
            if session.selection.wants(case) {
                run_case(case, done, || body(&tools));
            }
        }
        Ok(())
    }
}

/// The tools, pointed at one broker.
struct Tools<'a> {
    target: &'a Target,
    launcher: &'a Launcher,
    kafka: &'a Kafka,
    bootstrap: String,
    /// The JVM the tools run in; replaced after a tool that did not end.
    runner: RefCell<Option<Runner>>,
}

impl<'a> Tools<'a> {
    fn new(target: &'a Target, launcher: &'a Launcher, kafka: &'a Kafka) -> Self {
        Self {
            target,
            launcher,
            kafka,
            bootstrap: target.bootstrap(),
            runner: RefCell::new(None),
        }
    }

    /// Runs a tool that takes `--bootstrap-server`.
    fn run(&self, main: &str, arguments: &[&str], input: &str) -> Result<Answer> {
        let all = [&["--bootstrap-server", &self.bootstrap], arguments].concat();
        self.run_plain(main, &all, input)
    }

    /// Runs any tool.
    fn run_plain(&self, main: &str, arguments: &[&str], input: &str) -> Result<Answer> {
        let mut slot = self.runner.borrow_mut();
        let runner = match slot.take() {
            Some(runner) => runner,
            None => Runner::start(self.kafka, self.target.scratch())?,
        };
        let (answer, runner) = runner.run(main, arguments, input)?;
        *slot = runner;
        answer
            .ended()
            .with_context(|| format!("{main} {}", arguments.join(" ")))
    }

    /// Runs a tool that must succeed, and returns what it printed.
    fn output(&self, main: &str, arguments: &[&str], input: &str) -> Result<String> {
        let answer = self.run(main, arguments, input)?;
        answer
            .ok()
            .with_context(|| format!("{main} {}", arguments.join(" ")))
    }

    /// Runs a tool in a JVM of its own, because it does its last work when the JVM ends.
    fn output_alone(&self, main: &str, arguments: &[&str]) -> Result<String> {
        let all = [&["--bootstrap-server", &self.bootstrap], arguments].concat();
        self.run_alone(main, &all)
    }

    /// As [`Self::output_alone`], for a tool that names the broker in its own way.
    fn run_alone(&self, main: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.kafka.java(&["-Xmx256M", "-XX:TieredStopAtLevel=1"]);
        command.arg(main).args(arguments);
        Ok(process::run(&mut command, b"", runner::TOOL_LIMIT)?
            .ok()?
            .stdout_text())
    }

    /// Runs a tool that must fail with the named Kafka exception.
    fn refused(&self, main: &str, arguments: &[&str], exception: &str) -> Result<()> {
        let answer = self.run(main, arguments, "")?;
        let said = format!("{}{}", answer.stdout, answer.stderr);
        ensure!(
            said.contains(exception),
            "{main} {} should be refused with {exception}, it ended with {:?} and said: {}",
            arguments.join(" "),
            answer.exit,
            process::tail(&said, 6)
        );
        Ok(())
    }

    /// Creates a topic and waits until the broker serves each of its partitions.
    ///
    /// Apache Kafka lists a topic before its broker leads the partitions. An idempotent producer that sends several
    /// batches in between can end in OUT_OF_ORDER_SEQUENCE_NUMBER for good, which no case is about.
    fn create_topic(&self, topic: &str, partitions: &str) -> Result<()> {
        let arguments = [
            "--create",
            "--topic",
            topic,
            "--partitions",
            partitions,
            "--replication-factor",
            "1",
        ];
        self.output(topics::TOPIC_COMMAND, &arguments, "")?;
        eventually(|| {
            let offsets = self.output(
                records::GET_OFFSETS,
                &["--topic", topic, "--time", "latest"],
                "",
            )?;
            let served = offsets
                .lines()
                .filter(|line| line.starts_with(topic))
                .count();
            ensure!(
                served.to_string() == partitions,
                "{topic} has {partitions} partitions, {served} are served"
            );
            Ok(())
        })
    }

    /// Produces one record a line with the console producer.
    fn produce(&self, topic: &str, options: &[&str], input: &str) -> Result<()> {
        let arguments = [&["--topic", topic], options].concat();
        let answer = self.run(records::CONSOLE_PRODUCER, &arguments, input)?;
        let said = answer.stderr.clone();
        answer.ok()?;
        // The console producer ends with 0 even when the broker refused a record; it only logs that.
        ensure!(
            !said.contains("ERROR"),
            "the console producer logged: {}",
            process::tail(&said, 4)
        );
        Ok(())
    }
}

/// Repeats a check until it holds, and gives up with its last error.
///
/// Apache Kafka answers a change when its controller has agreed; its broker follows as soon as it hears of it.
fn eventually(check: impl Fn() -> Result<()>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match check() {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => {}
        }
    }
}

/// Fails unless `text` contains `wanted`.
fn expect(text: &str, wanted: &str) -> Result<()> {
    ensure!(
        text.contains(wanted),
        "expected {wanted:?} in: {}",
        process::tail(text, 12)
    );
    Ok(())
}

/// Fails if `text` contains `unwanted`.
fn expect_not(text: &str, unwanted: &str) -> Result<()> {
    ensure!(
        !text.contains(unwanted),
        "did not expect {unwanted:?} in: {}",
        process::tail(text, 12)
    );
    Ok(())
}

/// Lines that differ, `count` of them.
fn lines(prefix: &str, count: usize) -> String {
    (0..count)
        .map(|index| format!("{prefix}-{index}\n"))
        .collect()
}
