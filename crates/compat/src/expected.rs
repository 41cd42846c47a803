//! The committed lists of what must pass: one TOML file a suite.
//!
//! ```toml
//! must_pass = ["metadata", "consume-from-offset"]
//! quick = ["metadata"]              # optional: the part of must_pass for the quick tier; absent means all
//! # or, where most of them are: slow = ["consume-from-offset"], the part that the quick tier leaves out
//!
//! [[exclude]]
//! case = "transactional-produce"
//! kind = "later-issue"              # or "test-fault", or "out-of-scope"
//! reason = "transactions arrive with their own issue"
//! ```
//!
//! A case that stands in neither list fails the lane: someone has to say what it is. "Flaky" is not a reason.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// Why a case need not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExclusionKind {
    /// It needs a feature that belongs to a later issue.
    LaterIssue,
    /// The test is at fault: it fails against Apache Kafka as well, or assumes what it may not.
    TestFault,
    /// It does not concern one broker on one machine, such as a test of the client alone.
    OutOfScope,
}

/// A case that need not pass.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// The case.
    pub case: String,
    /// The sort of reason.
    pub kind: ExclusionKind,
    /// The reason, for people.
    pub reason: String,
}

/// One suite's list.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Cases that must pass on Affluent.
    pub must_pass: Vec<String>,
    /// The part of them that the quick tier runs; `None` means all but the slow ones.
    quick: Option<Vec<String>>,
    /// The part of them that the quick tier leaves out.
    #[serde(default)]
    slow: Vec<String>,
    /// Cases that need not.
    #[serde(default)]
    pub exclude: Vec<Exclusion>,
}

impl Expected {
    /// Reads the list of a suite from `crates/compat/expected/`.
    pub fn load(suite: &str) -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("expected")
            .join(format!("{suite}.toml"));
        let text = fs::read_to_string(&path)
            .with_context(|| format!("could not read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    /// Reads a list and checks that it does not contradict itself.
    pub fn parse(text: &str) -> Result<Self> {
        let list: Self = toml::from_str(text)?;
        let must: BTreeSet<&str> = list.must_pass.iter().map(String::as_str).collect();
        ensure!(
            must.len() == list.must_pass.len(),
            "must_pass names a case twice"
        );
        let mut excluded = BTreeSet::new();
        for exclusion in &list.exclude {
            let case = exclusion.case.as_str();
            ensure!(!must.contains(case), "{case} must pass and is excluded");
            ensure!(excluded.insert(case), "{case} is excluded twice");
            ensure!(
                exclusion.reason.len() >= 10,
                "the exclusion of {case} gives no reason"
            );
            ensure!(
                !exclusion.reason.to_lowercase().contains("flaky"),
                "the exclusion of {case} calls it flaky: find out which of the two is at fault"
            );
        }
        ensure!(
            list.quick.is_none() || list.slow.is_empty(),
            "quick says what the quick tier runs, slow what it leaves out: give one of them"
        );
        for case in list.quick.iter().flatten().chain(&list.slow) {
            ensure!(
                must.contains(case.as_str()),
                "quick or slow names {case}, which must_pass does not"
            );
        }
        Ok(list)
    }

    /// The exclusion of a case, if it is excluded.
    pub fn exclusion(&self, case: &str) -> Option<&Exclusion> {
        self.exclude.iter().find(|exclusion| exclusion.case == case)
    }

    /// What the quick tier runs.
    pub fn quick(&self) -> Vec<String> {
        match &self.quick {
            Some(quick) => quick.clone(),
            None => {
                let quick = |case: &&String| !self.slow.contains(*case);
                self.must_pass.iter().filter(quick).cloned().collect()
            }
        }
    }

    /// Whether the case must pass.
    pub fn must_pass(&self, case: &str) -> bool {
        self.must_pass.iter().any(|name| name == case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exclusion(case: &str, reason: &str) -> String {
        format!("[[exclude]]\ncase = \"{case}\"\nkind = \"later-issue\"\nreason = \"{reason}\"\n")
    }

    #[test]
    fn a_list_says_what_must_pass_and_why_the_rest_need_not() {
        let text = format!(
            "must_pass = [\"a\", \"b\"]\nquick = [\"a\"]\n{}",
            exclusion("c", "needs transactions")
        );
        let list = Expected::parse(&text).unwrap();
        assert!(list.must_pass("a") && !list.must_pass("c"));
        assert_eq!(list.exclusion("c").unwrap().kind, ExclusionKind::LaterIssue);
        assert!(list.exclusion("a").is_none());
        assert_eq!(list.quick(), ["a"]);
        let list = Expected::parse("must_pass = [\"a\", \"b\"]\nslow = [\"a\"]").unwrap();
        assert_eq!(list.quick(), ["b"]);
    }

    #[test]
    fn a_list_that_contradicts_itself_is_refused() {
        for text in [
            "must_pass = [\"a\", \"a\"]".to_owned(),
            "must_pass = [\"a\"]\nquick = [\"b\"]".to_owned(),
            "must_pass = [\"a\"]\nslow = [\"b\"]".to_owned(),
            "must_pass = [\"a\"]\nquick = [\"a\"]\nslow = [\"a\"]".to_owned(),
            format!(
                "must_pass = [\"a\"]\n{}",
                exclusion("a", "needs transactions")
            ),
            format!(
                "must_pass = []\n{}",
                exclusion("a", "it is flaky sometimes")
            ),
            format!("must_pass = []\n{}", exclusion("a", "no")),
            "must_pass = []\nshould_pass = []".to_owned(),
        ] {
            assert!(Expected::parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_committed_list_is_sound() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("expected");
        let mut lists = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            Expected::parse(&text).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
            lists += 1;
        }
        assert!(lists > 0);
    }
}
