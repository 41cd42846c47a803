//! The record of what was run: `docs/results/compat.json` for programs, `docs/results/compat.md` for people.
//!
//! The record keeps, for each suite and target, the last run with its commit, date and command. A run of one
//! suite replaces that suite's part only, so each part says by itself where it comes from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::expected::{ExclusionKind, Expected};
use crate::suite::{CaseResult, Outcome, Tier};
use crate::target::Kind;

/// One run of one suite against one target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// The client and its version.
    pub client: String,
    /// The commit of the checkout, with `-dirty` when it held changes.
    pub commit: String,
    /// When it ended, in UTC.
    pub date: String,
    /// The command that repeats it.
    pub command: String,
    /// How much was run.
    pub tier: Tier,
    /// The cases in the order they ran.
    pub cases: Vec<CaseResult>,
}

impl Run {
    /// How many cases passed.
    pub fn passed(&self) -> usize {
        self.cases
            .iter()
            .filter(|case| case.outcome == Outcome::Pass)
            .count()
    }

    fn outcome(&self, case: &str) -> Option<&Outcome> {
        self.cases
            .iter()
            .find(|result| result.case == case)
            .map(|result| &result.outcome)
    }
}

/// All runs: suite, then target.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Record {
    suites: BTreeMap<String, BTreeMap<Kind, Run>>,
}

impl Record {
    /// Reads `compat.json` in `folder`; a record that does not exist is empty.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("compat.json");
        if !path.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(&path)
            .with_context(|| format!("could not read {}", path.display()))?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} is not a record of this lane", path.display()))
    }

    /// Replaces one suite's run on one target.
    pub fn insert(&mut self, suite: &str, kind: Kind, run: Run) {
        self.suites
            .entry(suite.to_owned())
            .or_default()
            .insert(kind, run);
    }

    /// Writes both files into `folder`.
    pub fn save(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)
            .with_context(|| format!("could not create {}", folder.display()))?;
        let mut lists = BTreeMap::new();
        for suite in self.suites.keys() {
            lists.insert(suite.as_str(), Expected::load(suite)?);
        }
        let mut json = serde_json::to_string_pretty(self)?;
        json.push('\n');
        fs::write(folder.join("compat.json"), json)?;
        fs::write(folder.join("compat.md"), self.render(&lists))?;
        Ok(())
    }

    fn render(&self, lists: &BTreeMap<&str, Expected>) -> String {
        let mut page = String::from(INTRODUCTION);
        page.push_str("| suite | client | affluent | Apache Kafka | must pass | excluded |\n|---|---|---|---|---|---|\n");
        for (suite, runs) in &self.suites {
            let client = runs.values().next().map_or("", |run| run.client.as_str());
            let score = |kind| match runs.get(&kind) {
                None => "not run".to_owned(),
                Some(run) => format!("{} of {}", run.passed(), run.cases.len()),
            };
            let (must, excluded) = lists
                .get(suite.as_str())
                .map_or((0, 0), |list| (list.must_pass.len(), list.exclude.len()));
            page.push_str(&format!(
                "| [{suite}](#{suite}) | {client} | {} | {} | {must} | {excluded} |\n",
                score(Kind::Affluent),
                score(Kind::Kafka),
            ));
        }
        for (suite, runs) in &self.suites {
            render_suite(&mut page, suite, runs, lists.get(suite.as_str()));
        }
        page
    }
}

const INTRODUCTION: &str = "\
# Compatibility with real clients

Each case is something a client that nobody here wrote does to a broker. The column *Apache Kafka* is the same
case against Apache Kafka 4.3.1. What must pass, and why anything else need not, is committed in
`crates/compat/expected/`. This page is made by `cargo xtask compat --record` from `compat.json`.

";

fn render_suite(
    page: &mut String,
    suite: &str,
    runs: &BTreeMap<Kind, Run>,
    list: Option<&Expected>,
) {
    page.push_str(&format!("\n## {suite}\n\n"));
    for (kind, run) in runs {
        page.push_str(&format!(
            "- {kind}: {} at `{}`, tier {}: `{}`\n",
            run.date, run.commit, run.tier, run.command
        ));
    }
    page.push_str("\n| case | affluent | Apache Kafka | expected |\n|---|---|---|---|\n");
    let mut seen = BTreeSet::new();
    let mut notes = String::new();
    for case in runs
        .values()
        .flat_map(|run| &run.cases)
        .map(|result| result.case.as_str())
    {
        if !seen.insert(case) {
            continue;
        }
        let mut cell = |kind: Kind| match runs.get(&kind).and_then(|run| run.outcome(case)) {
            None => "-".to_owned(),
            Some(Outcome::Pass) => "pass".to_owned(),
            Some(Outcome::Skip(_)) => "skip".to_owned(),
            Some(Outcome::Fail(why)) => {
                // Writing to a String does not fail.
                writeln!(notes, "- `{case}` on {kind}: {}", one_line(why)).ok();
                "**fail**".to_owned()
            }
        };
        let (ours, theirs) = (cell(Kind::Affluent), cell(Kind::Kafka));
        let expected = match list.map(|list| (list.must_pass(case), list.exclusion(case))) {
            Some((true, _)) => "must pass".to_owned(),
            Some((false, Some(exclusion))) => {
                format!("{}: {}", kind_name(exclusion.kind), exclusion.reason)
            }
            _ => "not listed".to_owned(),
        };
        page.push_str(&format!("| {case} | {ours} | {theirs} | {expected} |\n"));
    }
    if !notes.is_empty() {
        page.push_str("\nWhat the failures said:\n\n");
        page.push_str(&notes);
    }
}

fn kind_name(kind: ExclusionKind) -> &'static str {
    match kind {
        ExclusionKind::LaterIssue => "later issue",
        ExclusionKind::TestFault => "fault of the test",
        ExclusionKind::OutOfScope => "out of scope",
    }
}

/// Takes out what is true on one machine only: the homes of the cache and of temporary files.
pub(crate) fn scrubbed(text: &str) -> String {
    let mut text = text.to_owned();
    let places = [
        ("TMPDIR", "$TMPDIR"),
        ("AFFLUENT_CACHE", "$AFFLUENT_CACHE"),
        ("HOME", "~"),
    ];
    for (variable, shown) in places {
        match std::env::var(variable) {
            Ok(place) if place.len() > 1 => text = text.replace(place.as_str(), shown),
            _ => {}
        }
    }
    text
}

/// One line of bounded length, so that a stack trace does not become the page, and without what Markdown would
/// take for a column or a link.
pub(crate) fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    let flat = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .replace('|', "¦")
        .replace("](", "] (");
    if flat.chars().count() <= CHARS_MAX {
        return flat;
    }
    flat.chars().take(CHARS_MAX).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cases: &[(&str, Outcome)]) -> Run {
        Run {
            client: "kcat 1.7.1".to_owned(),
            commit: "abc".to_owned(),
            date: "2026-01-01T00:00:00Z".to_owned(),
            command: "cargo xtask compat".to_owned(),
            tier: Tier::Full,
            cases: cases
                .iter()
                .map(|(case, outcome)| CaseResult {
                    case: (*case).to_owned(),
                    outcome: outcome.clone(),
                    seconds: 0.5,
                })
                .collect(),
        }
    }

    #[test]
    fn a_record_survives_its_own_file() {
        let mut record = Record::default();
        record.insert(
            "kcat",
            Kind::Kafka,
            run(&[("a", Outcome::Pass), ("b", Outcome::Fail("why".to_owned()))]),
        );
        let text = serde_json::to_string(&record).unwrap();
        let back: Record = serde_json::from_str(&text).unwrap();
        assert_eq!(
            back.suites["kcat"][&Kind::Kafka].cases[1].outcome,
            Outcome::Fail("why".to_owned())
        );
    }

    #[test]
    fn a_reason_is_one_plain_line() {
        assert_eq!(one_line("a\n b|c](d)"), "a b¦c] (d)");
        assert_eq!(one_line(&"x".repeat(400)).len(), 303);
    }

    #[test]
    fn a_record_does_not_tell_where_a_home_lies() {
        let home = std::env::var("HOME").unwrap();
        assert_eq!(
            scrubbed(&format!("{home}/.cache/x failed")),
            "~/.cache/x failed"
        );
    }

    #[test]
    fn the_page_sets_both_brokers_side_by_side_and_says_what_failed() {
        let mut record = Record::default();
        record.insert(
            "kcat",
            Kind::Affluent,
            run(&[("a", Outcome::Fail("broken\npipe".to_owned()))]),
        );
        record.insert(
            "kcat",
            Kind::Kafka,
            run(&[("a", Outcome::Pass), ("b", Outcome::Skip("no".to_owned()))]),
        );
        let list = Expected::parse("must_pass = [\"a\"]").unwrap();
        let page = record.render(&BTreeMap::from([("kcat", list)]));
        assert!(
            page.contains("| a | **fail** | pass | must pass |"),
            "{page}"
        );
        assert!(page.contains("| b | - | skip | not listed |"), "{page}");
        assert!(page.contains("- `a` on affluent: broken pipe"), "{page}");
    }
}
