//! What a client brings: a name, the broker properties it wants, and its cases.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::kafka::Kafka;
use crate::target::{Launcher, Target};

/// How much is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// A few minutes: on each change.
    Quick,
    /// All there is.
    Full,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Quick => "quick",
            Self::Full => "full",
        })
    }
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "outcome", content = "detail")]
pub enum Outcome {
    /// It did what it should.
    Pass,
    /// It did not, and why.
    Fail(String),
    /// The client itself decided not to run it, and why.
    Skip(String),
}

/// One case and how it ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseResult {
    /// The name within its suite.
    pub case: String,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
}

/// What a suite has while it runs.
#[derive(Debug)]
pub struct Session<'a> {
    /// The broker under test.
    pub target: &'a Target,
    /// For cases that want a broker of their own, such as one that they kill.
    pub launcher: &'a Launcher,
    /// Apache Kafka's jars, for the suites in Java.
    pub kafka: &'a Kafka,
    /// Where downloads and builds live.
    pub cache: &'a Cache,
    /// Where a suite leaves what its client printed, for whoever looks into a failure.
    pub logs: PathBuf,
    /// Which cases to run: those the selection names.
    pub selection: &'a Selection,
}

impl Session<'_> {
    /// Keeps what a client printed. A log that cannot be written does not fail a case.
    pub fn keep_log(&self, name: &str, text: &str) {
        let path = self.logs.join(format!("{}.log", name.replace('/', "-")));
        if let Err(error) = fs::write(&path, text) {
            eprintln!("could not write {}: {error}", path.display());
        }
    }
}

/// Which cases of a suite run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// When set, only these names, in the quick tier.
    pub only: Option<Vec<String>>,
    /// When set, only names that contain this text.
    pub filter: Option<String>,
}

impl Selection {
    /// Whether the case runs.
    pub fn wants(&self, case: &str) -> bool {
        self.only
            .as_ref()
            .is_none_or(|only| only.iter().any(|name| name == case))
            && self
                .filter
                .as_ref()
                .is_none_or(|filter| case.contains(filter.as_str()))
    }

    /// Whether no case can run.
    pub fn is_nothing(&self) -> bool {
        self.only.as_ref().is_some_and(Vec::is_empty)
    }
}

/// The cases of one client.
pub trait Suite {
    /// Its name on the command line, in the expected lists and in the record.
    fn name(&self) -> &'static str;

    /// The client and its version, for the record.
    fn client(&self) -> String;

    /// Broker properties it needs beyond those of all suites.
    fn overrides(&self) -> Vec<(&'static str, &'static str)> {
        Vec::new()
    }

    /// Fetches and builds what it needs, before a broker is started for it.
    ///
    /// In the quick tier an answer of `false` means: not in the cache, and too long to build now.
    fn prepare(&self, cache: &Cache, kafka: &Kafka, tier: Tier) -> Result<bool>;

    /// Runs the wanted cases and reports each through `done` as it ends.
    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()>;
}

/// Runs one case that is a function and reports how it ended.
pub fn run_case(case: &str, done: &mut dyn FnMut(CaseResult), body: impl FnOnce() -> Result<()>) {
    let started = Instant::now();
    let outcome = match body() {
        Ok(()) => Outcome::Pass,
        Err(error) => Outcome::Fail(format!("{error:#}")),
    };
    done(CaseResult {
        case: case.to_owned(),
        outcome,
        seconds: seconds(started.elapsed()),
    });
}

/// Seconds to a hundredth, which is as much as a record needs.
pub fn seconds(elapsed: Duration) -> f64 {
    (elapsed.as_secs_f64() * 100.0).round() / 100.0
}
