//! The verdicts of a run: a table for people and the same in JSON.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One case of one scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was done to the broker.
    pub case: String,
    /// Whether the broker behaved.
    pub passed: bool,
    /// What happened, in a sentence.
    pub detail: String,
}

impl Verdict {
    /// A verdict from a result: its value or its error is the detail.
    #[must_use]
    pub fn of(case: impl Into<String>, result: Result<String>) -> Verdict {
        let (passed, detail) = match result {
            Ok(detail) => (true, detail),
            Err(error) => (false, format!("{error:#}")),
        };
        Verdict {
            case: case.into(),
            passed,
            detail,
        }
    }
}

/// The last run of one scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// What was typed.
    pub command: String,
    /// The commit that was checked out.
    pub commit: String,
    /// The seed of every random choice.
    pub seed: u64,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// The cases.
    pub verdicts: Vec<Verdict>,
}

/// The last run of every scenario, by its name.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// By scenario.
    pub scenarios: BTreeMap<String, Section>,
}

impl Ledger {
    /// Reads `chaos.json` in `directory`; empty when there is none.
    ///
    /// # Errors
    /// When the file is no ledger.
    pub fn load(directory: &Path) -> Result<Ledger> {
        let path = directory.join("chaos.json");
        if !path.exists() {
            return Ok(Ledger::default());
        }
        let text = fs::read_to_string(&path)?;
        serde_json::from_str(&text).with_context(|| format!("{} is not a ledger", path.display()))
    }

    /// Writes `chaos.json` and `chaos.md`.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn save(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory)?;
        fs::write(
            directory.join("chaos.json"),
            serde_json::to_string_pretty(self)? + "\n",
        )?;
        fs::write(directory.join("chaos.md"), self.to_markdown())?;
        Ok(())
    }

    /// Every scenario as a table.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = String::from(HEADING);
        for (name, section) in &self.scenarios {
            let passed = section
                .verdicts
                .iter()
                .filter(|verdict| verdict.passed)
                .count();
            // Writing to a string cannot fail.
            write!(
                text,
                "\n## {name}: {passed} of {} as they must be\n\nCommit `{}`, `{}`, seed {}, {} s.\n\n\
                 | case | | what happened |\n|---|---|---|\n",
                section.verdicts.len(),
                section.commit,
                section.command,
                section.seed,
                section.seconds,
            )
            .ok();
            for Verdict {
                case,
                passed,
                detail,
            } in &section.verdicts
            {
                let mark = if *passed { "ok" } else { "**FAILED**" };
                let detail = detail.replace('|', "\\|").replace('\n', " ");
                writeln!(text, "| {case} | {mark} | {detail} |").ok();
            }
        }
        text
    }
}

const HEADING: &str = "\
# Chaos: faults and bad input

Written by the chaos lane from `chaos.json`; do not edit. Every case starts the `affluent` binary on a directory of
its own, does something to it, and checks what clients see: acknowledged records are there, once and in order, or
the partition says that it is offline; nothing panics.
";

/// The root of the workspace, as cargo compiled it in.
#[must_use]
pub fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest
        .ancestors()
        .nth(2)
        .unwrap_or(manifest)
        .to_path_buf()
}

/// The commit checked out, marked when tracked files of the crates differ from it.
///
/// # Errors
/// When git cannot be asked.
pub fn commit() -> Result<String> {
    let git = |arguments: &[&str]| -> Result<String> {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(root())
            .output();
        let output = output.context("could not ask git for the commit")?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let hash = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&[
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        "crates",
        "Cargo.lock",
    ])?;
    Ok(if changed.is_empty() {
        hash
    } else {
        format!("{hash} + changes")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_case_is_seen_in_the_table() {
        let verdicts = vec![
            Verdict::of("a", Ok("fine".to_owned())),
            Verdict::of("b", Err(anyhow::anyhow!("a | b").context("lost"))),
        ];
        let section = Section {
            command: "c".to_owned(),
            commit: "d".to_owned(),
            seed: 1,
            seconds: 2,
            verdicts,
        };
        let ledger = Ledger {
            scenarios: BTreeMap::from([("kills".to_owned(), section)]),
        };
        let text = ledger.to_markdown();
        assert!(text.contains("## kills: 1 of 2"), "{text}");
        assert!(
            text.contains("| b | **FAILED** | lost: a \\| b |"),
            "{text}"
        );
    }
}
