//! Runs the suites: for each suite and target a fresh broker, the wanted cases, and a verdict against the list.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cache::Cache;
use crate::clients;
use crate::expected::Expected;
use crate::kafka::Kafka;
use crate::process;
use crate::record::{Record, Run, one_line, scrubbed};
use crate::suite::{CaseResult, Outcome, Selection, Session, Suite, Tier, seconds};
use crate::target::{Kind, Launcher, Target};

/// The cases of [`closing_cases`], which a filter of cases leaves out.
const CLEAN_LOG: &str = "clean-log";
const GRACEFUL_STOP: &str = "graceful-stop";

/// What the lane is asked to do.
#[derive(Debug)]
pub struct Request {
    /// The suites by name; empty means all.
    pub clients: Vec<String>,
    /// The targets, in this order.
    pub targets: Vec<Kind>,
    /// How much.
    pub tier: Tier,
    /// Only cases whose name contains this text.
    pub filter: Option<String>,
    /// Our binary, when Affluent is a target.
    pub affluent: Option<PathBuf>,
    /// Where to keep the record; `None` keeps none.
    pub record: Option<PathBuf>,
}

/// Runs the request. The error says which must-pass cases failed.
pub fn run(request: &Request) -> Result<()> {
    let suites = chosen(&request.clients)?;
    let cache = Cache::from_env()?;
    let kafka = Arc::new(Kafka::fetch(&cache)?);
    let launcher = Launcher {
        kafka: Arc::clone(&kafka),
        affluent: request.affluent.clone(),
    };
    let mut faults = Vec::new();
    let mut summary = Vec::new();
    for suite in &suites {
        let expected = Expected::load(suite.name())?;
        let selection = selection(request, &expected);
        if selection.is_nothing() {
            continue;
        }
        let ready = suite
            .prepare(&cache, &kafka, request.tier)
            .with_context(|| format!("could not prepare the suite {}", suite.name()))?;
        if !ready {
            let why = match request.tier {
                Tier::Quick => "not in the cache yet, left out of the quick tier",
                Tier::Full => "left out, for its cases are not on this machine",
            };
            eprintln!("{}: {why}", suite.name());
            continue;
        }
        for &kind in &request.targets {
            eprintln!("{} against {kind}: starting", suite.name());
            let started = Instant::now();
            let cases = run_suite(suite.as_ref(), kind, &launcher, &cache, &selection)?;
            let faults_before = faults.len();
            judge(
                suite.name(),
                kind,
                &expected,
                &selection,
                &cases,
                &mut faults,
            );
            let passed = cases
                .iter()
                .filter(|case| case.outcome == Outcome::Pass)
                .count();
            summary.push(format!(
                "{:<12} {:<8} {passed} of {} passed, {} against the list, {:.0} s",
                suite.name(),
                kind.to_string(),
                cases.len(),
                faults.len() - faults_before,
                started.elapsed().as_secs_f64(),
            ));
            record(request, suite.as_ref(), kind, cases)?;
        }
    }
    eprintln!("\ncompat summary:");
    for line in &summary {
        eprintln!("  {line}");
    }
    let faults: Vec<String> = faults.iter().map(|fault| one_line(fault)).collect();
    if faults.is_empty() {
        Ok(())
    } else {
        bail!(
            "compat: {} against the list:\n  {}",
            faults.len(),
            faults.join("\n  ")
        )
    }
}

fn chosen(names: &[String]) -> Result<Vec<Box<dyn Suite>>> {
    let all = clients::all();
    for name in names {
        if !all.iter().any(|suite| suite.name() == name) {
            let known: Vec<&str> = all.iter().map(|suite| suite.name()).collect();
            bail!(
                "there is no client {name:?}; there are: {}",
                known.join(", ")
            );
        }
    }
    Ok(all
        .into_iter()
        .filter(|suite| names.is_empty() || names.iter().any(|name| name == suite.name()))
        .collect())
}

/// A filter looks at all cases; without one the quick tier takes its part of the list.
fn selection(request: &Request, expected: &Expected) -> Selection {
    let only = match (request.tier, &request.filter) {
        (Tier::Quick, None) => Some(expected.quick()),
        _ => None,
    };
    Selection {
        only,
        filter: request.filter.clone(),
    }
}

fn run_suite(
    suite: &dyn Suite,
    kind: Kind,
    launcher: &Launcher,
    cache: &Cache,
    selection: &Selection,
) -> Result<Vec<CaseResult>> {
    let mut target = launcher.start(kind, &suite.overrides())?;
    let mut cases = Vec::new();
    let logs = cache.directory(&format!("logs/{}-{kind}", suite.name()))?;
    let session = Session {
        target: &target,
        launcher,
        kafka: &launcher.kafka,
        cache,
        logs,
        selection,
    };
    let result = suite.run(&session, &mut |case: CaseResult| {
        tell(suite.name(), kind, &case);
        cases.push(case);
    });
    session.keep_log("broker", &target.log_text());
    if let Err(error) = result {
        let log = process::tail(&target.log_text(), 8);
        return Err(error.context(format!(
            "{} against {kind} broke off; the broker's log ends: {log}",
            suite.name()
        )));
    }
    if kind == Kind::Kafka {
        // What clients said of an oracle that was not there must not be recorded.
        target.check_running()?;
    }
    if selection.filter.is_none() {
        for case in closing_cases(target) {
            tell(suite.name(), kind, &case);
            cases.push(case);
        }
    }
    Ok(cases)
}

/// What holds for every suite in its end: the broker stops when told to, and ours logged no error.
///
/// A broker that has to be killed would lose a user's buffered work, and an error in the log that no client saw is
/// a fault all the same. Apache Kafka logs some as a matter of course, so its log is not looked at.
fn closing_cases(mut target: Target) -> Vec<CaseResult> {
    let mut cases = Vec::new();
    if target.kind() == Kind::Affluent {
        let outcome = target.logged_error().map_or(Outcome::Pass, Outcome::Fail);
        cases.push(CaseResult {
            case: CLEAN_LOG.to_owned(),
            outcome,
            seconds: 0.0,
        });
    }
    let started = Instant::now();
    let outcome = match target.check_running().and_then(|()| target.stop()) {
        Ok(()) => Outcome::Pass,
        Err(error) => Outcome::Fail(format!("{error:#}")),
    };
    cases.push(CaseResult {
        case: GRACEFUL_STOP.to_owned(),
        outcome,
        seconds: seconds(started.elapsed()),
    });
    cases
}

fn tell(suite: &str, kind: Kind, case: &CaseResult) {
    let (word, detail) = match &case.outcome {
        Outcome::Pass => ("ok  ", String::new()),
        Outcome::Skip(why) => ("skip", format!(": {why}")),
        Outcome::Fail(why) => ("FAIL", format!(": {why}")),
    };
    eprintln!(
        "{word} {suite}/{} [{kind}] {:.2} s{detail}",
        case.case, case.seconds
    );
}

/// Compares what happened with the list and adds every disagreement to `faults`.
///
/// Only Affluent is held to the list. A case that the oracle fails is named too: then the case, not Affluent, is
/// at fault, and belongs among the exclusions. One that the oracle has nothing for is skipped there, and shown so.
fn judge(
    suite: &str,
    kind: Kind,
    expected: &Expected,
    selection: &Selection,
    cases: &[CaseResult],
    faults: &mut Vec<String>,
) {
    for result in cases {
        let case = result.case.as_str();
        if expected.must_pass(case) {
            match (&result.outcome, kind) {
                (Outcome::Pass, _) | (Outcome::Skip(_), Kind::Kafka) => {}
                (Outcome::Fail(why), Kind::Affluent) => {
                    faults.push(format!("{suite}/{case} failed: {why}"));
                }
                (Outcome::Skip(why), Kind::Affluent) => {
                    faults.push(format!("{suite}/{case} must pass and was skipped: {why}"));
                }
                (Outcome::Fail(why), Kind::Kafka) => {
                    faults.push(format!(
                        "{suite}/{case} must pass but fails on Apache Kafka itself: {why}"
                    ));
                }
            }
        } else if expected.exclusion(case).is_none() {
            faults.push(format!(
                "{suite}/{case} stands neither in must_pass nor among the exclusions"
            ));
        }
    }
    let wanted = expected
        .must_pass
        .iter()
        .filter(|case| selection.wants(case));
    for case in wanted {
        let left_out = match case.as_str() {
            CLEAN_LOG => selection.filter.is_some() || kind == Kind::Kafka,
            GRACEFUL_STOP => selection.filter.is_some(),
            _ => false,
        };
        if left_out {
            continue;
        }
        if !cases.iter().any(|result| result.case == **case) {
            faults.push(format!(
                "{suite}/{case} must pass and did not run on {kind}"
            ));
        }
    }
}

fn record(
    request: &Request,
    suite: &dyn Suite,
    kind: Kind,
    mut cases: Vec<CaseResult>,
) -> Result<()> {
    let Some(folder) = &request.record else {
        return Ok(());
    };
    let mut record = Record::load(folder)?;
    for result in &mut cases {
        match &mut result.outcome {
            Outcome::Fail(detail) | Outcome::Skip(detail) => *detail = scrubbed(detail),
            Outcome::Pass => {}
        }
    }
    let run = Run {
        client: suite.client(),
        commit: commit(kind)?,
        date: ask("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"])?,
        command: format!(
            "cargo xtask compat --client {} --target {kind} --tier {} --record",
            suite.name(),
            request.tier
        ),
        tier: request.tier,
        cases,
    };
    record.insert(suite.name(), kind, run);
    record.save(folder)
}

/// The commit, with `-dirty` behind it when what was run differs from what is committed.
///
/// For the oracle that is only the harness; for Affluent it is all but the results themselves.
fn commit(kind: Kind) -> Result<String> {
    let paths: &[&str] = match kind {
        Kind::Kafka => &["crates/compat"],
        Kind::Affluent => &[".", ":!docs"],
    };
    let commit = ask("git", &["rev-parse", "--short=12", "HEAD"])?;
    let changes = ask(
        "git",
        &[
            &["status", "--porcelain", "--untracked-files=no", "--"],
            paths,
        ]
        .concat(),
    )?;
    Ok(if changes.is_empty() {
        commit
    } else {
        format!("{commit}-dirty")
    })
}

fn ask(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(process::run(&mut command, b"", Duration::from_secs(30))?
        .ok()?
        .stdout_text()
        .trim()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(case: &str, outcome: Outcome) -> CaseResult {
        CaseResult {
            case: case.to_owned(),
            outcome,
            seconds: 0.0,
        }
    }

    fn verdict(kind: Kind, cases: &[CaseResult]) -> Vec<String> {
        let list = Expected::parse(
            "must_pass = [\"a\", \"b\"]\n[[exclude]]\ncase = \"x\"\nkind = \"later-issue\"\nreason = \"needs transactions\"",
        )
        .unwrap();
        let mut faults = Vec::new();
        judge("s", kind, &list, &Selection::default(), cases, &mut faults);
        faults
    }

    #[test]
    fn only_a_run_that_agrees_with_the_list_has_no_faults() {
        let (pass, fail) = (Outcome::Pass, Outcome::Fail("why".to_owned()));
        let both = [result("a", pass.clone()), result("b", pass.clone())];
        assert!(verdict(Kind::Affluent, &both).is_empty());
        assert_eq!(
            verdict(
                Kind::Affluent,
                &[result("a", pass.clone()), result("b", fail.clone())]
            )
            .len(),
            1
        );
        assert_eq!(
            verdict(
                Kind::Kafka,
                &[result("a", pass.clone()), result("b", fail.clone())]
            )
            .len(),
            1
        );
        assert_eq!(
            verdict(Kind::Affluent, &both[..1]).len(),
            1,
            "b did not run"
        );
        let with_excluded = [both[0].clone(), both[1].clone(), result("x", fail.clone())];
        assert!(verdict(Kind::Affluent, &with_excluded).is_empty());
        let with_unknown = [both[0].clone(), both[1].clone(), result("new", pass)];
        assert_eq!(
            verdict(Kind::Affluent, &with_unknown).len(),
            1,
            "an unlisted case"
        );
    }
}
