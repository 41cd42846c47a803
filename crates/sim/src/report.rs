//! The record of a long run: `docs/results/checker.json` and `checker.md`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The last long run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What was typed.
    pub command: String,
    /// The commit that was checked out.
    pub commit: String,
    /// The first seed; each schedule has the next.
    pub seed: u64,
    /// How long it took, in seconds.
    pub seconds: u64,
    /// How many schedules there were.
    pub schedules: u64,
    /// How many of them were clean.
    pub clean: u64,
    /// Power losses, over all.
    pub crashes: u64,
    /// Pauses, full and slow disks, new partitions and stops.
    pub other_faults: u64,
    /// What the histories show, over all.
    pub shown: String,
    /// What was found, by seed.
    pub findings: BTreeMap<u64, String>,
    /// Each planted fault: what found it, with which seed.
    pub plants: BTreeMap<String, Option<(u64, String)>>,
}

impl Report {
    /// Writes both files.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn save(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory)?;
        let json = serde_json::to_string_pretty(self)? + "\n";
        fs::write(directory.join("checker.json"), json)?;
        fs::write(directory.join("checker.md"), self.to_markdown())
            .context("could not write checker.md")
    }

    /// For people.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut text = String::from(HEADING);
        // Writing to a string cannot fail.
        write!(
            text,
            "\n## {} of {} schedules clean\n\nCommit `{}`, `{}`, seeds from {}, {} s; {} power losses, {} other faults.\n\n\
             Shown by the histories: {}.\n",
            self.clean,
            self.schedules,
            self.commit,
            self.command,
            self.seed,
            self.seconds,
            self.crashes,
            self.other_faults,
            self.shown
        )
        .ok();
        for (seed, finding) in &self.findings {
            writeln!(text, "\n- **seed {seed}**: {finding}").ok();
        }
        let caught = self.plants.values().filter(|by| by.is_some()).count();
        write!(
            text,
            "\n## {caught} of {} planted faults found\n\n| fault | found by | seed |\n|---|---|---|\n",
            self.plants.len()
        )
        .ok();
        for (plant, by) in &self.plants {
            match by {
                Some((seed, rule)) => writeln!(text, "| {plant} | {rule} | {seed} |").ok(),
                None => writeln!(text, "| {plant} | **NOTHING** | |").ok(),
            };
        }
        text
    }
}

const HEADING: &str = "\
# The checker: simulated schedules

Written by `cargo xtask chaos --nightly` from `checker.json`; do not edit. Each schedule is a seed: clients of both
transaction protocols, members of classic, consumer, share and streams groups, topics that are compacted and deleted from, and
a broker whose power goes, whose disk is full or slow, and which stands still, in virtual time; see the crate `sim` for what is
real in it. The histories are judged by the rules of
the crate `chaos`. Every planted fault must be found.
";
