//! Apache Kafka's own Java client, 4.3.1: the newest versions of all APIs, in cases of our own (`java/src`).

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::SHARE_HEARTBEATS;
use crate::cache::Cache;
use crate::kafka::{KAFKA_VERSION, Kafka};
use crate::process;
use crate::suite::{CaseResult, Outcome, Session, Suite, Tier};

/// How long all cases may take together.
const RUN_LIMIT: Duration = Duration::from_secs(1200);

/// The suite.
#[derive(Debug)]
pub struct JavaClient;

impl Suite for JavaClient {
    fn name(&self) -> &'static str {
        "java-client"
    }

    fn client(&self) -> String {
        format!("Apache Kafka {KAFKA_VERSION} Java client")
    }

    fn overrides(&self) -> Vec<(&'static str, &'static str)> {
        SHARE_HEARTBEATS.to_vec()
    }

    fn prepare(&self, _cache: &Cache, kafka: &Kafka, _tier: Tier) -> Result<bool> {
        kafka.compile_runner().map(|_| true)
    }

    fn run(&self, session: &Session<'_>, done: &mut dyn FnMut(CaseResult)) -> Result<()> {
        let classes = session.kafka.compile_runner()?;
        let mut command = session.kafka.java_with(&[&classes], &["-Xmx512M"]);
        command.args(["affluent.compat.ClientCases", &session.target.bootstrap()]);
        if let Some(only) = &session.selection.only {
            command.arg(format!("only={}", only.join(",")));
        } else if let Some(filter) = &session.selection.filter {
            command.arg(format!("filter={filter}"));
        }
        let finished = process::run(&mut command, b"", RUN_LIMIT)?;
        let output = finished.stdout_text();
        session.keep_log("stderr", &finished.stderr_text());
        for line in output.lines() {
            done(parse(line).with_context(|| format!("the line {line:?}"))?);
        }
        ensure!(
            finished.success(),
            "the Java client ended with {:?} after {} cases: {}",
            finished.status,
            output.lines().count(),
            process::tail(&finished.stderr_text(), 8)
        );
        Ok(())
    }
}

/// `PASS<tab>name<tab>seconds` or `FAIL<tab>name<tab>seconds<tab>reason`.
fn parse(line: &str) -> Result<CaseResult> {
    let mut fields = line.splitn(4, '\t');
    let mut next = |what| fields.next().with_context(|| format!("no {what}"));
    let (word, case, seconds) = (next("verdict")?, next("name")?, next("time")?);
    let outcome = match word {
        "PASS" => Outcome::Pass,
        "FAIL" => Outcome::Fail(next("reason")?.to_owned()),
        other => anyhow::bail!("the verdict {other:?}"),
    };
    Ok(CaseResult {
        case: case.to_owned(),
        outcome,
        seconds: seconds.parse().context("the time")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_verdict() {
        assert_eq!(parse("PASS\ta\t0.10").unwrap().outcome, Outcome::Pass);
        let failed = parse("FAIL\ta\t0.10\twhy\tnot").unwrap();
        assert_eq!(failed.outcome, Outcome::Fail("why\tnot".to_owned()));
        assert!(parse("log line").is_err());
        assert!(parse("PASS\ta").is_err());
    }
}
