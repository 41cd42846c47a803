//! Programs that hold cases, in whatever language a client is for: with `--list` as their only argument they print the names of
//! their cases as an array of JSON; with names behind their other arguments they run those, and print a line of JSON for each,
//! `{"case": .., "failure": null or a text, "seconds": ..}`.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process;
use crate::suite::{CaseResult, Outcome, Session};

/// A line of a program.
#[derive(Deserialize)]
struct Line {
    case: String,
    failure: Option<String>,
    seconds: f64,
}

/// The cases of the program that the session asks for.
///
/// # Errors
/// When the program does not list them.
pub(super) fn wanted(
    session: &Session<'_>,
    mut program: Command,
    limit: Duration,
) -> Result<Vec<String>> {
    let listed = process::run(program.arg("--list"), b"", limit)?.ok()?;
    let mut named: Vec<String> =
        serde_json::from_slice(&listed.stdout).context("the program's list of cases")?;
    named.retain(|case| session.selection.wants(case));
    Ok(named)
}

/// Runs `cases`, keeps what the program said beside its lines as `log`, and tells of each case; one that the program said
/// nothing of has failed.
///
/// # Errors
/// When the program cannot be started, or its lines not be read.
pub(super) fn play(
    session: &Session<'_>,
    log: &str,
    mut program: Command,
    cases: &[String],
    limit: Duration,
    done: &mut dyn FnMut(CaseResult),
) -> Result<()> {
    let finished = process::run(program.args(cases), b"", limit)?;
    session.keep_log(log, &finished.stderr_text());
    report(
        &finished.stdout_text(),
        &finished.stderr_text(),
        cases,
        done,
    )
}

fn report(
    output: &str,
    errors: &str,
    cases: &[String],
    done: &mut dyn FnMut(CaseResult),
) -> Result<()> {
    let mut lines = BTreeMap::new();
    for line in output.lines() {
        let line: Line = serde_json::from_str(line).context("a line of the program")?;
        lines.insert(line.case.clone(), line);
    }
    for case in cases {
        let (outcome, seconds) = match lines.remove(case) {
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
            case: case.clone(),
            outcome,
            seconds,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_that_was_not_told_of_has_failed() {
        let output = "{\"case\":\"a\",\"failure\":null,\"seconds\":0.5}\n\
            {\"case\":\"b\",\"failure\":\"Traceback\\nAssertionError: no\",\"seconds\":1}\n";
        let mut results = Vec::new();
        let cases = ["a", "b", "c"].map(str::to_owned);
        report(output, "killed", &cases, &mut |result| {
            results.push((result.case, result.outcome));
        })
        .unwrap();
        assert_eq!(results[0], ("a".to_owned(), Outcome::Pass));
        assert!(matches!(&results[1].1, Outcome::Fail(why) if why.contains("AssertionError")));
        assert_eq!(results[2].1, Outcome::Fail("killed".to_owned()));
    }
}
