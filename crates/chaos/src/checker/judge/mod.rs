//! The judge: a history in, the rules it broke out. Pure functions, one file a family of rules.

mod groups;
mod index;
mod polls;
mod processing;
mod share;
mod transactions;
mod writes;

#[cfg(test)]
mod share_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Result, bail};

use super::events::{Event, History, Outcome, TxnOutcome};
use index::Index;

/// A rule of the table in [`super`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    missing_docs,
    reason = "the table of the parent module describes each rule"
)]
pub enum Rule {
    LostWrite,
    AbortedRead,
    PrecommittedRead,
    CircularFlow,
    InconsistentOffsets,
    Duplicate,
    Reordered,
    Phantom,
    PollSkip,
    NonmonotonicPoll,
    TwoOwners,
    CommittedBack,
    ProcessedTwice,
    Unprocessed,
    StuckStableOffset,
    KeyLost,
    LogStartBack,
    EpochBack,
    ShareLost,
    ShareRedelivered,
    ShareTwoHolders,
    ShareDeliveryCount,
}

impl Rule {
    /// Every rule.
    pub const ALL: &'static [Rule] = &[
        Rule::LostWrite,
        Rule::AbortedRead,
        Rule::PrecommittedRead,
        Rule::CircularFlow,
        Rule::InconsistentOffsets,
        Rule::Duplicate,
        Rule::Reordered,
        Rule::Phantom,
        Rule::PollSkip,
        Rule::NonmonotonicPoll,
        Rule::TwoOwners,
        Rule::CommittedBack,
        Rule::ProcessedTwice,
        Rule::Unprocessed,
        Rule::StuckStableOffset,
        Rule::KeyLost,
        Rule::LogStartBack,
        Rule::EpochBack,
        Rule::ShareLost,
        Rule::ShareRedelivered,
        Rule::ShareTwoHolders,
        Rule::ShareDeliveryCount,
    ];

    /// The rule's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rule::LostWrite => "lost-write",
            Rule::AbortedRead => "aborted-read",
            Rule::PrecommittedRead => "precommitted-read",
            Rule::CircularFlow => "circular-flow",
            Rule::InconsistentOffsets => "inconsistent-offsets",
            Rule::Duplicate => "duplicate",
            Rule::Reordered => "reordered",
            Rule::Phantom => "phantom",
            Rule::PollSkip => "poll-skip",
            Rule::NonmonotonicPoll => "nonmonotonic-poll",
            Rule::TwoOwners => "two-owners",
            Rule::CommittedBack => "committed-back",
            Rule::ProcessedTwice => "processed-twice",
            Rule::Unprocessed => "unprocessed",
            Rule::StuckStableOffset => "stuck-stable-offset",
            Rule::KeyLost => "key-lost",
            Rule::LogStartBack => "log-start-back",
            Rule::EpochBack => "epoch-back",
            Rule::ShareLost => "share-lost",
            Rule::ShareRedelivered => "share-redelivered",
            Rule::ShareTwoHolders => "share-two-holders",
            Rule::ShareDeliveryCount => "share-delivery-count",
        }
    }
}

/// A rule that was broken, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// What contradicts it, in a sentence.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule.name(), self.detail)
    }
}

/// Violations as they are found.
#[derive(Debug, Default)]
pub(super) struct Findings(Vec<Violation>);

impl Findings {
    fn add(&mut self, rule: Rule, detail: String) {
        self.0.push(Violation { rule, detail });
    }
}

/// Everything in `history` that must not be.
#[must_use]
pub fn judge(history: &History) -> Vec<Violation> {
    let mut found = Findings::default();
    let index = Index::new(history);
    writes::check(history, &index, &mut found);
    transactions::check(history, &index, &mut found);
    polls::check(history, &index, &mut found);
    groups::check(history, &index, &mut found);
    processing::check(history, &index, &mut found);
    share::check(history, &index, &mut found);
    found.0
}

/// How much a history shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sends.
    pub sends: usize,
    /// Those acknowledged.
    pub acknowledged: usize,
    /// Committed transactions.
    pub committed: usize,
    /// Aborted ones.
    pub aborted: usize,
    /// Those of which nobody knows.
    pub unknown: usize,
    /// Records polled.
    pub polled: usize,
    /// Partitions given to members.
    pub assigned: usize,
    /// Committed offsets read.
    pub offsets: usize,
    /// Records delivered by share groups.
    pub delivered: usize,
    /// Records whose settlement by a share group was acknowledged.
    pub settled: usize,
    /// Heartbeats answered with an epoch.
    pub epochs: usize,
    /// Deletions acknowledged.
    pub deletions: usize,
}

impl Counts {
    /// Counts the events of a history.
    #[must_use]
    pub fn of(history: &History) -> Counts {
        let mut counts = Counts::default();
        for event in &history.events {
            match event {
                Event::Send { outcome, .. } => {
                    counts.sends += 1;
                    counts.acknowledged += usize::from(matches!(outcome, Outcome::Ok(_)));
                }
                Event::Ended { outcome, .. } => match outcome {
                    TxnOutcome::Committed => counts.committed += 1,
                    TxnOutcome::Aborted => counts.aborted += 1,
                    TxnOutcome::Unknown => counts.unknown += 1,
                },
                Event::Poll { records, .. } => counts.polled += records.len(),
                Event::Assigned { places, .. } => counts.assigned += places.len(),
                Event::OffsetRead { .. } => counts.offsets += 1,
                Event::ShareAcquired { delivered, .. } => counts.delivered += delivered.len(),
                Event::ShareAcknowledged { delivered, ack } if ack.settles() => {
                    counts.settled += delivered.len();
                }
                Event::MemberEpoch { .. } => counts.epochs += 1,
                Event::LogStart { .. } => counts.deletions += 1,
                _ => {}
            }
        }
        counts
    }

    /// Adds another history's.
    pub fn add(&mut self, other: Counts) {
        self.sends += other.sends;
        self.acknowledged += other.acknowledged;
        self.committed += other.committed;
        self.aborted += other.aborted;
        self.unknown += other.unknown;
        self.polled += other.polled;
        self.assigned += other.assigned;
        self.offsets += other.offsets;
        self.delivered += other.delivered;
        self.settled += other.settled;
        self.epochs += other.epochs;
        self.deletions += other.deletions;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} sends acknowledged, {} transactions committed, {} aborted, {} unknown, {} records polled, \
             {} assignments, {} committed offsets read, {} records delivered to share groups and {} settled, \
             {} epochs, {} deletions",
            self.acknowledged,
            self.sends,
            self.committed,
            self.aborted,
            self.unknown,
            self.polled,
            self.assigned,
            self.offsets,
            self.delivered,
            self.settled,
            self.epochs,
            self.deletions
        )
    }
}

/// Judges a history: what it shows, or an error that counts the rules it broke and quotes some.
///
/// # Errors
/// When a rule was broken.
pub fn verdict(history: &History) -> Result<Counts> {
    const QUOTED: usize = 5;
    let violations = judge(history);
    if violations.is_empty() {
        return Ok(Counts::of(history));
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for violation in &violations {
        *counts.entry(violation.rule.name()).or_default() += 1;
    }
    let quoted = violations.iter().take(QUOTED);
    let quoted: Vec<String> = quoted.map(Violation::to_string).collect();
    bail!("{counts:?}; {}", quoted.join("; "))
}
