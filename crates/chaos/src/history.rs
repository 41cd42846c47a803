//! What the clients of one experiment did and saw, and the rules that it must keep.
//!
//! The idea is Jepsen's Kafka test (`jepsen.tests.kafka`): clients write down what they asked for and what they
//! were answered, and a checker that knows nothing of the broker looks for a contradiction. A send has one of
//! three outcomes, and the difference matters: *ok* (acknowledged: it must be there), *fail* (refused: it must
//! not be there) and *info* (nobody answered: it may be there or not).
//!
//! | rule | a violation means |
//! |---|---|
//! | lost | an acknowledged record is not in the log |
//! | moved | an acknowledged record is not at the offset it was acknowledged with |
//! | duplicate | an idempotent producer's record is there twice |
//! | reordered | two records of one producer in one partition changed places |
//! | phantom | a record is there that nobody sent |
//! | refused yet there | a record is there that the broker refused |
//! | gap | an offset between two records holds nothing |
//! | inconsistent | two reads of one offset saw different records |
//! | vanished | a record was read, and is not in the log |
//! | backwards | a consumer was given an offset it had passed |
//! | uncommitted | a group's committed offset went back, or was never asked for |
//!
//! What it does not look at: transactions, which the broker does not have yet.

mod check;

use std::collections::BTreeMap;
use std::fmt;

pub use check::check;

/// A record's identity, which is its value: who wrote it, where, and as which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The producer.
    pub producer: u32,
    /// The partition.
    pub partition: i32,
    /// Counts the producer's records to that partition, from 0.
    pub counter: u64,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.producer, self.partition, self.counter)
    }
}

impl RecordId {
    /// The record's value: the identity, then padding up to `length` bytes.
    #[must_use]
    pub fn to_value(self, length: usize) -> Vec<u8> {
        let mut value = format!("{self} ").into_bytes();
        value.resize(value.len().max(length), b'.');
        value
    }

    /// The identity in a value made by [`RecordId::to_value`].
    #[must_use]
    pub fn from_value(value: &[u8]) -> Option<RecordId> {
        let text = std::str::from_utf8(value).ok()?;
        let (id, padding) = text.split_once(' ')?;
        if padding.bytes().any(|byte| byte != b'.') {
            return None;
        }
        let mut parts = id.split('/');
        let found = RecordId {
            producer: parts.next()?.parse().ok()?,
            partition: parts.next()?.parse().ok()?,
            counter: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(found)
    }
}

/// What became of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Acknowledged; with the offset, unless the broker answered that it had the batch already.
    Ok(Option<i64>),
    /// Refused for good.
    Fail,
    /// Nobody knows.
    Info,
}

/// One record that a producer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Send {
    /// The record.
    pub id: RecordId,
    /// What became of it.
    pub outcome: Outcome,
}

/// A record at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The offset.
    pub offset: i64,
    /// The record; `None` for a value that no producer of ours makes.
    pub id: Option<RecordId>,
}

/// What a consumer was given at once, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The consumer.
    pub consumer: u32,
    /// Grows when the consumer was given its partitions anew, and may begin again at what was committed.
    pub assignment: u64,
    /// The partition.
    pub partition: i32,
    /// The records.
    pub records: Vec<Observed>,
}

/// One step of committing a group's offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    /// Asked to commit this offset.
    Asked(i64),
    /// The commit of this offset was acknowledged.
    Acked(i64),
    /// The broker said that this offset is committed, -1 for none.
    Read(i64),
}

/// Everything that was written down.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What the producers did.
    pub sends: Vec<Send>,
    /// What consumers saw while it happened, each consumer's polls in order.
    pub polls: Vec<Poll>,
    /// The commits of one group and partition, in order, by a name.
    pub commits: BTreeMap<String, Vec<Commit>>,
    /// Every partition as it was at the end, read from its first offset to its last.
    pub logs: BTreeMap<i32, Vec<Observed>>,
}

impl History {
    /// How many sends were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.sends
            .iter()
            .filter(|send| matches!(send.outcome, Outcome::Ok(_)))
            .count()
    }
}

/// A rule of the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the module's table describes each rule")]
pub enum Rule {
    Lost,
    Moved,
    Duplicate,
    Reordered,
    Phantom,
    RefusedYetThere,
    Gap,
    Inconsistent,
    Vanished,
    Backwards,
    Uncommitted,
}

impl Rule {
    /// The rule's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rule::Lost => "lost",
            Rule::Moved => "moved",
            Rule::Duplicate => "duplicate",
            Rule::Reordered => "reordered",
            Rule::Phantom => "phantom",
            Rule::RefusedYetThere => "refused yet there",
            Rule::Gap => "gap",
            Rule::Inconsistent => "inconsistent",
            Rule::Vanished => "vanished",
            Rule::Backwards => "backwards",
            Rule::Uncommitted => "uncommitted",
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
        f.write_str(&self.detail)
    }
}
