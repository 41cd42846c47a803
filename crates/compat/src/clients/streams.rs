//! Kafka Streams 4.3.1 with `processing.guarantee=exactly_once_v2`, by the classic protocol and by that of streams groups
//! (KIP-1071): applications of our own (`java/src/StreamsApp.java`) that are killed, and whose broker is killed, while
//! they work. What they wrote must be exact.
//!
//! A case has a broker of its own and three JVMs: the application; one that feeds it and follows its output
//! (`StreamsCheck feed`); and, when all is done and the application has stopped, one that judges the whole output
//! (`StreamsCheck judge`). A fault strikes when a part of the output is there, and must strike before all of it is.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cache::Cache;
use crate::kafka::{KAFKA_VERSION, Kafka};
use crate::process::{self, Managed};
use crate::suite::{CaseResult, Session, Suite, Tier, run_case};
use crate::target::Target;

/// How long a case waits for the next thing to happen. The longest healthy wait is for the session of a member that
/// was killed.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

pub(super) const STOP_GRACE: Duration = Duration::from_secs(40);

/// A killed member is gone soon, so that its partitions move; the broker's least session is six seconds.
const CLASSIC: &[&str] = &[
    "consumer.session.timeout.ms=6000",
    "consumer.heartbeat.interval.ms=500",
];

/// The same of the streams protocol (KIP-1071), in which the broker says it.
pub(super) const SHORT_SESSIONS: &[(&str, &str)] = &[
    ("group.streams.session.timeout.ms", "6000"),
    ("group.streams.min.session.timeout.ms", "6000"),
    ("group.streams.heartbeat.interval.ms", "500"),
    ("group.streams.min.heartbeat.interval.ms", "500"),
];

const STREAMS: &[&str] = &["group.protocol=streams"];

/// The suite.
#[derive(Debug)]
pub struct Streams;

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The application, with SIGKILL.
    Application,
    /// The broker, with SIGKILL; the application rides it out.
    Broker,
    /// Both at once.
    Both,
}

/// One case.
#[derive(Debug)]
struct Plan {
    case: &'static str,
    /// A topology of `StreamsApp`.
    topology: &'static str,
    /// How many records are fed; of the join, pairs.
    records: u32,
    /// How fast.
    per_second: u32,
    /// Settings of the application beyond those in `StreamsApp`.
    settings: &'static [&'static str],
    /// Properties of the broker.
    broker: &'static [(&'static str, &'static str)],
    /// What strikes, at equal shares of the output.
    faults: &'static [Fault],
}

const ALL_FAULTS: &[Fault] = &[Fault::Application, Fault::Broker, Fault::Both];

const PLANS: &[Plan] = &[
    Plan {
        case: "word-count",
        topology: "word-count",
        records: 500,
        per_second: 1000,
        settings: CLASSIC,
        broker: &[],
        faults: &[],
    },
    Plan {
        case: "word-count-killed",
        topology: "word-count",
        records: 6000,
        per_second: 300,
        settings: CLASSIC,
        broker: &[],
        faults: ALL_FAULTS,
    },
    Plan {
        case: "windowed-join-killed",
        topology: "windowed-join",
        records: 12_000,
        per_second: 600,
        settings: CLASSIC,
        broker: &[],
        faults: ALL_FAULTS,
    },
    Plan {
        case: "word-count-streams-group",
        topology: "word-count",
        records: 500,
        per_second: 1000,
        settings: STREAMS,
        broker: SHORT_SESSIONS,
        faults: &[],
    },
    Plan {
        case: "word-count-streams-group-killed",
        topology: "word-count",
        records: 6000,
        per_second: 300,
        settings: STREAMS,
        broker: SHORT_SESSIONS,
        faults: ALL_FAULTS,
    },
];

impl Suite for Streams {
    fn name(&self) -> &'static str {
        "streams"
    }

    fn client(&self) -> String {
        format!("Apache Kafka {KAFKA_VERSION} Streams")
    }

    fn prepare(&self, _cache: &Cache, kafka: &Kafka, _tier: Tier) -> Result<bool> {
        kafka.compile_runner().map(|_| true)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        for plan in PLANS {
            if session.selection.wants(plan.case) {
                run_case(plan.case, done, || run_plan(session, plan));
            }
        }
        Ok(())
    }
}

fn run_plan(session: &Session<'_>, plan: &Plan) -> Result<()> {
    let broker = session.launcher.start(session.target.kind(), plan.broker)?;
    let bench = Bench {
        session,
        plan,
        classes: session.kafka.compile_runner()?,
        scratch: broker.scratch().to_owned(),
        bootstrap: broker.bootstrap(),
    };
    let mut stage = Stage::set(&bench, broker)?;
    let ended = stage.play(&bench);
    stage.keep_logs(&bench);
    ended?;
    stage.close(&bench)
}

/// What stays the same through a case.
struct Bench<'a> {
    session: &'a Session<'a>,
    plan: &'a Plan,
    classes: PathBuf,
    scratch: PathBuf,
    bootstrap: String,
}

impl Bench<'_> {
    /// A JVM with one of our classes.
    fn java(&self, heap: &str) -> std::process::Command {
        let options = [heap, "-XX:TieredStopAtLevel=1"];
        self.session.kafka.java_with(&[&self.classes], &options)
    }

    fn application(&self) -> Result<Managed> {
        let mut command = self.java("-Xmx384M");
        command
            .args(["affluent.compat.StreamsApp", &self.bootstrap])
            .args([self.plan.topology, self.plan.case])
            .arg(self.scratch.join("state"))
            .args(self.plan.settings);
        Managed::spawn("the application", &mut command, &self.log("application"))
    }

    fn feeder(&self) -> Result<Managed> {
        let mut command = self.java("-Xmx256M");
        command
            .args(["affluent.compat.StreamsCheck", "feed", &self.bootstrap])
            .args([self.plan.topology, self.plan.case])
            .arg(self.plan.records.to_string())
            .arg(self.plan.per_second.to_string());
        Managed::spawn("the feeder", &mut command, &self.log("feeder"))
    }

    fn judge(&self) -> Result<()> {
        let mut command = self.java("-Xmx256M");
        command
            .args(["affluent.compat.StreamsCheck", "judge", &self.bootstrap])
            .arg(self.plan.topology)
            .arg(self.plan.records.to_string());
        let finished = process::run(&mut command, b"", LIMIT)?
            .ok()
            .context("the output is not exact")?;
        ensure!(
            finished.stdout_text().contains("exact"),
            "the judge did not say that the output is exact"
        );
        Ok(())
    }

    fn log(&self, name: &str) -> PathBuf {
        Path::new(&self.scratch).join(format!("{name}.log"))
    }
}

/// The processes of a case.
struct Stage {
    /// `None` only while it is killed and started.
    broker: Option<Target>,
    application: Managed,
    feeder: Managed,
}

impl Stage {
    fn set(bench: &Bench<'_>, broker: Target) -> Result<Self> {
        let mut feeder = bench.feeder()?;
        // Streams wants its source topics to be there.
        await_process(&mut feeder, "the topics", |log| {
            number(log, "total").is_some()
        })?;
        Ok(Self {
            broker: Some(broker),
            application: bench.application()?,
            feeder,
        })
    }

    fn play(&mut self, bench: &Bench<'_>) -> Result<()> {
        let total = number(&self.feeder.log_text(), "total").context("the feeder says no total")?;
        let shares = u64::try_from(bench.plan.faults.len())? + 2;
        for (part, fault) in (1..).zip(bench.plan.faults) {
            let share = total * part / shares;
            let what = format!("{share} of {total} records of output before {fault:?}");
            self.await_feeder(&what, |log| {
                number(log, "progress").is_some_and(|seen| seen >= share)
            })?;
            ensure!(
                number(&self.feeder.log_text(), "progress").is_some_and(|seen| seen < total),
                "all output was there before {fault:?} struck: the case proves nothing"
            );
            self.strike(bench, *fault)?;
        }
        self.await_feeder("all output", |log| log.contains("complete"))
    }

    fn strike(&mut self, bench: &Bench<'_>, fault: Fault) -> Result<()> {
        if fault != Fault::Broker {
            self.application.kill_and_wait()?;
        }
        if fault != Fault::Application {
            let broker = self.broker.take().context("there is no broker to kill")?;
            self.broker = Some(broker.kill_and_start(bench.session.launcher)?);
        }
        if fault != Fault::Broker {
            self.application = bench.application()?;
        }
        Ok(())
    }

    /// Waits for a word of the feeder, while the application must stay alive.
    fn await_feeder(&mut self, what: &str, said: impl Fn(&str) -> bool) -> Result<()> {
        let application = &mut self.application;
        await_process(&mut self.feeder, what, |log| {
            said(log) || matches!(application.exited(), Ok(Some(_)))
        })?;
        if let Some(status) = self.application.exited()? {
            bail!(
                "the application ended with {status}: {}",
                process::tail(&self.application.log_text(), 6)
            );
        }
        Ok(())
    }

    fn keep_logs(&self, bench: &Bench<'_>) {
        let keep = |name: &str, text: &str| {
            bench
                .session
                .keep_log(&format!("{}-{name}", bench.plan.case), text);
        };
        keep("application", &self.application.log_text());
        keep("feeder", &self.feeder.log_text());
        if let Some(broker) = &self.broker {
            keep("broker", &broker.log_text());
        }
    }

    /// Stops the application as an operator would, judges, and stops the broker.
    fn close(self, bench: &Bench<'_>) -> Result<()> {
        self.application.stop(STOP_GRACE)?;
        bench.judge()?;
        let broker = self.broker.context("there is no broker")?;
        if let Some(error) = broker.logged_error() {
            bail!("the broker logged: {error}");
        }
        broker.stop()
    }
}

/// Waits until what the process printed is as wanted. Fails when it ended badly or nothing new came for too long.
pub(super) fn await_process(
    process: &mut Managed,
    what: &str,
    mut said: impl FnMut(&str) -> bool,
) -> Result<()> {
    let mut log = process.log_text();
    let mut deadline = Instant::now() + LIMIT;
    loop {
        if said(&log) {
            return Ok(());
        }
        if let Some(status) = process.exited()? {
            // It may have said it and ended since.
            if said(&process.log_text()) {
                return Ok(());
            }
            bail!(
                "waiting for {what}: the process ended with {status}: {}",
                process::tail(&process.log_text(), 6)
            );
        }
        if Instant::now() > deadline {
            bail!("{what} did not come in time: {}", process::tail(&log, 4));
        }
        // A file has no event to wait for.
        thread::sleep(Duration::from_millis(20));
        let now = process.log_text();
        if now.len() != log.len() {
            deadline = Instant::now() + LIMIT;
            log = now;
        }
    }
}

/// The number in the last line `name<tab>number`.
pub(super) fn number(log: &str, name: &str) -> Option<u64> {
    log.lines()
        .rev()
        .filter_map(|line| line.split_once('\t'))
        .find(|(word, _)| *word == name)
        .and_then(|(_, number)| number.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_of_a_name_counts() {
        let log = "total\t9\nprogress\t1\nWARN something\nprogress\t7\n";
        assert_eq!(number(log, "progress"), Some(7));
        assert_eq!(number(log, "total"), Some(9));
        assert_eq!(number(log, "complete"), None);
    }
}
