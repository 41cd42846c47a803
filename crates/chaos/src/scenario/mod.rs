//! The faults, one file a kind.

pub mod checker;
pub mod clocks;
pub mod corruption;
pub mod disk;
pub mod frames;
pub mod kills;
pub mod workload;

use anyhow::{Context, Result};

use crate::report::Verdict;

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// A short form.
    pub quick: bool,
    /// The seed of every random choice.
    pub seed: u64,
    /// For how long the checker's clients go through faults of every kind, in minutes, when not for a number of faults.
    pub minutes: Option<u64>,
}

impl Plan {
    /// The number for the long form or the short one.
    #[must_use]
    pub fn size<T>(&self, long: T, short: T) -> T {
        if self.quick { short } else { long }
    }
}

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// kill -9 under load, again and again.
    Kills,
    /// SIGSTOP and SIGCONT under load.
    Freezes,
    /// Torn writes, flipped bytes and truncation in every kind of file.
    Corruption,
    /// A full disk.
    FullDisk,
    /// A disk that fails to write and to sync.
    FailingDisk,
    /// A wall clock that jumps.
    Clocks,
    /// Malformed frames and rude connections.
    Frames,
    /// Transactions and groups through faults, judged by the checker.
    Checker,
}

/// Every scenario.
pub const ALL: &[Scenario] = &[
    Scenario::Kills,
    Scenario::Freezes,
    Scenario::Corruption,
    Scenario::FullDisk,
    Scenario::FailingDisk,
    Scenario::Clocks,
    Scenario::Frames,
    Scenario::Checker,
];

/// The scenarios with these names; `all` is every one.
///
/// # Errors
/// One that lists the names, for a name that is none.
pub fn select(names: &[String]) -> Result<Vec<Scenario>> {
    if names.iter().any(|name| name == "all") {
        return Ok(ALL.to_vec());
    }
    let known = || {
        ALL.iter()
            .map(|scenario| scenario.name())
            .collect::<Vec<_>>()
            .join(", ")
    };
    names
        .iter()
        .map(|name| {
            ALL.iter()
                .find(|scenario| scenario.name() == name)
                .copied()
                .with_context(|| {
                    format!(
                        "there is no scenario '{name}': use `all` or some of {}",
                        known()
                    )
                })
        })
        .collect()
}

impl Scenario {
    /// The name on the command line and in the ledger.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Kills => "kills",
            Scenario::Freezes => "freezes",
            Scenario::Corruption => "corruption",
            Scenario::FullDisk => "full-disk",
            Scenario::FailingDisk => "failing-disk",
            Scenario::Clocks => "clocks",
            Scenario::Frames => "frames",
            Scenario::Checker => "checker",
        }
    }

    /// Runs every case.
    #[must_use]
    pub fn run(self, plan: &Plan) -> Vec<Verdict> {
        match self {
            Scenario::Kills => kills::run(plan),
            Scenario::Freezes => kills::run_freezes(plan),
            Scenario::Corruption => corruption::run(plan),
            Scenario::FullDisk => disk::run_full(plan),
            Scenario::FailingDisk => disk::run_failing(plan),
            Scenario::Clocks => clocks::run(plan),
            Scenario::Frames => frames::run(plan),
            Scenario::Checker => checker::run(plan),
        }
    }
}
