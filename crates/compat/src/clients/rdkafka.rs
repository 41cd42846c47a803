//! The tests of the crate `rdkafka`, the Rust binding that our own client uses, run from its published source.
//!
//! They are built in the cache as a project of their own, with the `Cargo.lock` the crate was published with.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::registry;
use crate::cache::{Cache, once};
use crate::kafka::{KAFKA_VERSION, Kafka};
use crate::process;
use crate::suite::{CaseResult, Outcome, Session, Suite, Tier, seconds};

const BUILD_LIMIT: Duration = Duration::from_secs(2400);

/// How long one test may take.
const TEST_LIMIT: Duration = Duration::from_secs(75);

/// The suite.
#[derive(Debug)]
pub struct Rdkafka;

impl Suite for Rdkafka {
    fn name(&self) -> &'static str {
        "rdkafka"
    }

    fn client(&self) -> String {
        "the tests of the crate rdkafka".to_owned()
    }

    fn overrides(&self) -> Vec<(&'static str, &'static str)> {
        // As in its docker-compose.yaml: its tests count on three partitions and name broker 0.
        vec![("num.partitions", "3"), ("node.id", "0")]
    }

    fn prepare(&self, cache: &Cache, _kafka: &Kafka, tier: Tier) -> Result<bool> {
        let directory = cache.directory("rdkafka")?;
        let source = registry::source("rdkafka")?;
        let stamp = source.display().to_string();
        let built = fs::read_to_string(directory.join("built")).is_ok_and(|found| found == stamp);
        if tier == Tier::Quick && !built {
            return Ok(false);
        }
        once(&directory, "built", &stamp, || build(&source, &directory))?;
        Ok(true)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        let binaries = fs::read_to_string(session.cache.directory("rdkafka")?.join("binaries"))?;
        for line in binaries.lines() {
            let (file, binary) = line
                .split_once('\t')
                .context("the list of test binaries is damaged")?;
            for test in list(Path::new(binary))? {
                let case = format!("{file}::{test}");
                if session.selection.wants(&case) {
                    done(run_test(session, &case, Path::new(binary), &test));
                }
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Builds the test binaries and keeps their paths, one `name<tab>path` a line.
fn build(source: &Path, directory: &Path) -> Result<()> {
    eprintln!(
        "building the tests of the crate rdkafka in {}: a few minutes",
        directory.display()
    );
    let copy = directory.join("source");
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    registry::copy(source, &copy)?;
    let mut command = Command::new("nice");
    command
        .arg(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "--no-run", "--tests", "--message-format", "json"])
        .current_dir(&copy)
        .env("CARGO_TARGET_DIR", directory.join("target"));
    let finished = process::run(&mut command, b"", BUILD_LIMIT)?
        .ok()
        .context("could not build rdkafka's tests")?;
    let mut binaries = String::new();
    for line in finished.stdout_text().lines() {
        let Ok(Message {
            executable: Some(path),
            target: Some(target),
        }) = serde_json::from_str(line)
        else {
            continue;
        };
        // The unit tests of the library need no broker.
        if target.kind.iter().any(|kind| kind == "test") {
            binaries.push_str(&format!("{}\t{}\n", target.name, path.display()));
        }
    }
    ensure!(
        !binaries.is_empty(),
        "cargo built no test binary of rdkafka"
    );
    fs::write(directory.join("binaries"), binaries)?;
    Ok(())
}

/// The names of the tests in a binary.
fn list(binary: &Path) -> Result<Vec<String>> {
    let mut command = Command::new(binary);
    command.args(["--list", "--format", "terse"]);
    let listed = process::run(&mut command, b"", TEST_LIMIT)?
        .ok()?
        .stdout_text();
    Ok(listed
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect())
}

fn run_test(session: &Session<'_>, case: &str, binary: &Path, test: &str) -> CaseResult {
    let started = Instant::now();
    let mut command = Command::new(binary);
    command
        .args(["--exact", test, "--test-threads", "1"])
        .env("KAFKA_HOST", session.target.bootstrap())
        .env("KAFKA_VERSION", KAFKA_VERSION)
        .env("RUST_BACKTRACE", "0");
    let outcome = match process::run(&mut command, b"", TEST_LIMIT) {
        Ok(finished) if finished.success() => Outcome::Pass,
        Ok(finished) => Outcome::Fail(process::tail(&finished.stdout_text(), 10)),
        Err(error) => Outcome::Fail(format!("{error:#}")),
    };
    CaseResult {
        case: case.to_owned(),
        outcome,
        seconds: seconds(started.elapsed()),
    }
}
