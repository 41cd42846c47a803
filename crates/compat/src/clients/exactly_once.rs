//! An exactly-once application over confluent-kafka (librdkafka): consume, transform, produce, and commit the offset, in
//! transactions, while its processes and the broker are killed with SIGKILL. The end result must be exact.
//!
//! `python/exactly_once.py` holds the parts: a feeder, two instances of the application and a judge, each a process. The
//! lane is their supervisor: an instance that ends is started again under its transactional id, which fences what the
//! last one left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::cache::{Cache, once};
use crate::kafka::Kafka;
use crate::process::{self, Managed};
use crate::python::Environment;
use crate::suite::{CaseResult, Session, Suite, Tier, run_case};
use crate::target::Target;

const VERSION: &str = "2.16.1";

const SCRIPT: &str = include_str!("../../python/exactly_once.py");

/// How long the feeder, the instances or the judge may take for what they are waited for.
const LIMIT: Duration = Duration::from_secs(180);

/// How many numbers go through the loop, and how fast they come.
const COUNT: &str = "9000";
const PER_SECOND: &str = "300";

/// Between two kills: long enough that the group settles and transactions commit.
const PAUSE: Duration = Duration::from_secs(4);

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Instance(usize),
    Broker,
}

/// One case.
#[derive(Debug)]
struct Plan {
    case: &'static str,
    group_protocol: &'static str,
    victims: &'static [Victim],
}

const PLANS: &[Plan] = &[Plan {
    case: "both-killed",
    group_protocol: "classic",
    victims: BOTH,
}];

const BOTH: &[Victim] = &[
    Victim::Instance(0),
    Victim::Broker,
    Victim::Instance(1),
    Victim::Instance(0),
    Victim::Broker,
];

/// The suite.
#[derive(Debug)]
pub struct ExactlyOnce;

impl Suite for ExactlyOnce {
    fn name(&self) -> &'static str {
        "exactly-once"
    }

    fn client(&self) -> String {
        format!("an exactly-once loop over confluent-kafka {VERSION} for Python")
    }

    fn prepare(&self, cache: &Cache, _kafka: &Kafka, tier: Tier) -> Result<bool> {
        let directory = cache.directory("confluent-kafka")?;
        let built =
            fs::read_to_string(directory.join("installed")).is_ok_and(|found| found == VERSION);
        if tier == Tier::Quick && !built {
            return Ok(false);
        }
        once(&directory, "installed", VERSION, || install(&directory))?;
        Ok(true)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        for plan in PLANS {
            if session.selection.wants(plan.case) {
                run_case(plan.case, done, || play(session, plan));
            }
        }
        Ok(())
    }
}

fn install(directory: &Path) -> Result<()> {
    eprintln!(
        "installing confluent-kafka {VERSION} in {}",
        directory.display()
    );
    let package = format!("confluent-kafka=={VERSION}");
    Environment::install(directory, &[&package]).map(drop)
}

fn play(session: &Session<'_>, plan: &Plan) -> Result<()> {
    let broker = session.launcher.start(session.target.kind(), &[])?;
    let bootstrap = broker.bootstrap();
    let mut scene = Scene {
        session,
        plan,
        python: session
            .cache
            .directory("confluent-kafka")?
            .join("venv/bin/python"),
        script: broker.scratch().join("exactly_once.py"),
        bootstrap,
        logs: Vec::new(),
    };
    fs::write(&scene.script, SCRIPT)?;
    let ended = scene.play(broker);
    for (name, path) in &scene.logs {
        let text = fs::read_to_string(path).unwrap_or_default();
        session.keep_log(&format!("{}-{name}", plan.case), &text);
    }
    let broker = ended?;
    session.keep_log(&format!("{}-broker", plan.case), &broker.log_text());
    let error = broker.logged_error();
    ensure!(error.is_none(), "the broker logged: {error:?}");
    broker.stop()
}

/// What a case has while it runs.
struct Scene<'a> {
    session: &'a Session<'a>,
    plan: &'a Plan,
    python: PathBuf,
    script: PathBuf,
    bootstrap: String,
    logs: Vec<(String, PathBuf)>,
}

impl Scene<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let [part, rest @ ..] = arguments else {
            return Command::new(&self.python);
        };
        let mut command = Command::new(&self.python);
        command
            .arg(&self.script)
            .args([part, self.bootstrap.as_str()])
            .args(rest)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }

    fn spawn(&mut self, name: &str, arguments: &[&str]) -> Result<Managed> {
        let folder = self.script.parent().context("the script is in a folder")?;
        let log = folder.join(format!("{name}-{}.log", self.logs.len()));
        let process = Managed::spawn(name, &mut self.command(arguments), &log)?;
        self.logs.push((format!("{name}-{}", self.logs.len()), log));
        Ok(process)
    }

    fn instance(&mut self, index: usize) -> Result<Managed> {
        let id = format!("mover-{index}");
        let protocol = self.plan.group_protocol;
        self.spawn(&id, &["move", &id, protocol])
    }

    /// Starts all parts, kills what the plan says, and lets the judge speak. Returns the broker.
    fn play(&mut self, mut broker: Target) -> Result<Target> {
        process::run(&mut self.command(&["topics"]), b"", LIMIT)?
            .ok()
            .context("the topics")?;
        let mut instances = [self.instance(0)?, self.instance(1)?];
        for (index, instance) in instances.iter_mut().enumerate() {
            await_line(instance, "moving").with_context(|| format!("instance {index}"))?;
        }
        let mut feeder = self.spawn("feeder", &["feed", COUNT, PER_SECOND])?;
        for victim in self.plan.victims {
            self.supervise_for(PAUSE, &mut instances)?;
            match *victim {
                Victim::Instance(index) => {
                    let place = instances
                        .get_mut(index)
                        .context("there are two instances")?;
                    place.kill_and_wait()?;
                    *place = self.instance(index)?;
                }
                Victim::Broker => broker = broker.kill_and_start(self.session.launcher)?,
            }
        }
        let deadline = Instant::now() + LIMIT;
        while feeder.exited()?.is_none() {
            ensure!(Instant::now() < deadline, "the feeder does not end");
            self.supervise_for(Duration::from_millis(100), &mut instances)?;
        }
        let log = feeder.log_text();
        ensure!(
            log.contains("fed "),
            "the feeder: {}",
            process::tail(&log, 4)
        );
        let mut judge = self.spawn("judge", &["judge", COUNT])?;
        while judge.exited()?.is_none() {
            ensure!(Instant::now() < deadline + LIMIT, "the judge does not end");
            self.supervise_for(Duration::from_millis(100), &mut instances)?;
        }
        let log = judge.log_text();
        ensure!(log.contains("exact "), "{}", process::tail(&log, 4));
        for instance in instances {
            instance.stop(Duration::from_secs(40))?;
        }
        Ok(broker)
    }

    /// For so long, starts each instance again that ends.
    fn supervise_for(&mut self, time: Duration, instances: &mut [Managed; 2]) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            for (index, instance) in instances.iter_mut().enumerate() {
                if instance.exited()?.is_some() {
                    *instance = self.instance(index)?;
                }
            }
            // The time between two kills is what is waited for.
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

fn await_line(process: &mut Managed, wanted: &str) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while !process.log_text().lines().any(|line| line == wanted) {
        if let Some(status) = process.exited()? {
            bail!(
                "it ended with {status}: {}",
                process::tail(&process.log_text(), 4)
            );
        }
        ensure!(Instant::now() < deadline, "{wanted:?} was not said");
        // A file has no event to wait for.
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
