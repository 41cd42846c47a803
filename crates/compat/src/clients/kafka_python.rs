//! kafka-python's integration tests, from its source distribution, run by pytest in a virtual environment.
//!
//! `KAFKA_URI` points them at a broker that is already there. The tests of TLS and SASL start brokers of their own
//! and are left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::cache::{Cache, once};
use crate::kafka::Kafka;
use crate::process;
use crate::python::Environment;
use crate::suite::{CaseResult, Outcome, Session, Suite, Tier};

const VERSION: &str = "3.0.12";

/// What pytest and the codecs need.
const REQUIREMENTS: [&str; 8] = [
    "pytest",
    "pytest-mock",
    "pytest-timeout",
    "crc32c",
    "lz4",
    "python-snappy",
    "zstandard",
    "py",
];

const FILES: [&str; 3] = [
    "test/integration/test_admin_integration.py",
    "test/integration/test_consumer_integration.py",
    "test/integration/test_producer_integration.py",
];

/// What the fixtures need of the missing `test/service.py` when the broker runs already.
const SERVICE: &str = "\
class ExternalService:
    def __init__(self, host, port):
        self.host, self.port = host, port

    def dump_logs(self):
        pass


class SpawnedService:
    def __init__(self, *args, **kwargs):
        raise RuntimeError('only a broker that runs already is tested')
";

/// How long all tests of a file may take together.
const FILE_LIMIT: Duration = Duration::from_secs(1500);

/// The suite.
#[derive(Debug)]
pub struct KafkaPython;

impl Suite for KafkaPython {
    fn name(&self) -> &'static str {
        "kafka-python"
    }

    fn client(&self) -> String {
        format!("kafka-python {VERSION}'s integration tests")
    }

    fn overrides(&self) -> Vec<(&'static str, &'static str)> {
        // Its tests name broker 0 and use sessions of three seconds, below the broker's default minimum.
        vec![("node.id", "0"), ("group.min.session.timeout.ms", "2000")]
    }

    fn prepare(&self, cache: &Cache, _kafka: &Kafka, tier: Tier) -> Result<bool> {
        let directory = cache.directory("kafka-python")?;
        let stamp = format!("{VERSION} {} {SERVICE}", REQUIREMENTS.join(" "));
        let built =
            fs::read_to_string(directory.join("installed")).is_ok_and(|found| found == stamp);
        if tier == Tier::Quick && !built {
            return Ok(false);
        }
        once(&directory, "installed", &stamp, || install(&directory))?;
        Ok(true)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        let directory = session.cache.directory("kafka-python")?;
        for file in FILES {
            let mut command = Command::new(directory.join("venv/bin/python"));
            command
                .args([
                    "-m",
                    "pytest",
                    "-o",
                    "addopts=",
                    "-o",
                    "log_level=WARNING",
                    "-p",
                    "no:cacheprovider",
                ])
                .args([
                    "--timeout",
                    "120",
                    "-v",
                    "-rfEs",
                    "--tb=short",
                    "--durations=0",
                    "--durations-min=0",
                    file,
                ])
                .current_dir(directory.join(format!("kafka_python-{VERSION}")))
                .env(
                    "KAFKA_URI",
                    format!("kafka://{}", session.target.bootstrap()),
                )
                .env("KAFKA_VERSION", "4.3.0")
                .env("KAFKA_ROOT", session.kafka.shell_scripts()?)
                .env("COLUMNS", "400")
                .env("PYTHONDONTWRITEBYTECODE", "1");
            // A filter that is part of a test's name spares us the rest of the file.
            if let Some(text) = &session.selection.filter {
                command.args(["-k", text]);
            }
            let finished = process::run(&mut command, b"", FILE_LIMIT)?;
            let name = file.rsplit('/').next().unwrap_or(file);
            session.keep_log(name, &finished.stdout_text());
            let results = parse(&finished.stdout_text());
            // pytest ends with 5 when the filter leaves nothing of a file.
            let nothing = finished.status.and_then(|status| status.code()) == Some(5);
            ensure!(
                nothing || !results.is_empty(),
                "pytest ran no test of {file}: {}",
                process::tail(
                    &format!("{}{}", finished.stdout_text(), finished.stderr_text()),
                    6
                )
            );
            results
                .into_iter()
                .filter(|result| session.selection.wants(&result.case))
                .for_each(&mut *done);
        }
        Ok(())
    }
}

fn install(directory: &Path) -> Result<()> {
    eprintln!(
        "installing kafka-python {VERSION} and pytest in {}",
        directory.display()
    );
    let environment = Environment::install(directory, &REQUIREMENTS)?;
    let package = format!("kafka-python=={VERSION}");
    let fetch = ["download", "-q", "--no-deps", "--no-binary", ":all:"];
    environment
        .run(Command::new(environment.pip()).args(fetch).arg(&package))
        .context("could not fetch kafka-python's source distribution")?;
    environment.run(Command::new("tar").args(["xf", &format!("kafka_python-{VERSION}.tar.gz")]))?;
    // The distribution leaves these two files out. Without the first, Python's own package `test` is found instead.
    let tests = directory
        .join(format!("kafka_python-{VERSION}"))
        .join("test");
    for (name, text) in [("__init__.py", ""), ("service.py", SERVICE)] {
        let path = tests.join(name);
        fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
    }
    Ok(())
}

/// Reads pytest's verbose output: `path::name PASSED [ 3%]`, and at its end the reasons and durations.
fn parse(output: &str) -> Vec<CaseResult> {
    let mut reasons: BTreeMap<&str, &str> = BTreeMap::new();
    let mut durations: BTreeMap<&str, f64> = BTreeMap::new();
    for line in output.lines() {
        for word in ["FAILED ", "ERROR "] {
            if let Some((test, reason)) = line
                .strip_prefix(word)
                .and_then(|rest| rest.split_once(" - "))
            {
                reasons.insert(test, reason);
            }
        }
        if let Some((time, test)) = line.split_once("s call ")
            && let Ok(time) = time.trim().parse()
        {
            durations.insert(test.trim(), time);
        }
    }
    let mut results = Vec::new();
    for line in output.lines() {
        let Some((test, rest)) = line
            .split_once(' ')
            .filter(|(test, _)| test.contains(".py::"))
        else {
            continue;
        };
        let reason = || {
            reasons
                .get(test)
                .map_or_else(|| rest.trim().to_owned(), |reason| (*reason).to_owned())
        };
        let outcome = match rest.split_whitespace().next() {
            Some("PASSED" | "XPASS") => Outcome::Pass,
            Some("FAILED" | "ERROR") => Outcome::Fail(reason()),
            Some("SKIPPED" | "XFAIL") => Outcome::Skip(reason()),
            _ => continue,
        };
        let name = test.rsplit('/').next().unwrap_or(test);
        let case = name.replace("_integration.py", "");
        results.push(CaseResult {
            case,
            outcome,
            seconds: durations.get(test).copied().unwrap_or(0.0),
        });
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pytests_output_becomes_cases() {
        let output = "\
test/integration/test_admin_integration.py::test_create PASSED   [ 33%]
test/integration/test_admin_integration.py::test_acl FAILED      [ 66%]
test/integration/test_admin_integration.py::test_old SKIPPED (too old)  [100%]
0.25s call     test/integration/test_admin_integration.py::test_create
FAILED test/integration/test_admin_integration.py::test_acl - AssertionError: no
";
        let results = parse(output);
        assert_eq!(results.len(), 3);
        assert_eq!(results[0].case, "test_admin::test_create");
        assert_eq!(
            (results[0].outcome.clone(), results[0].seconds),
            (Outcome::Pass, 0.25)
        );
        assert_eq!(
            results[1].outcome,
            Outcome::Fail("AssertionError: no".to_owned())
        );
        assert!(matches!(&results[2].outcome, Outcome::Skip(why) if why.contains("too old")));
    }
}
