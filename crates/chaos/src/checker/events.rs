//! What is written down: one event a line, numbered by its place in the file.
//!
//! An event whose *beginning* matters to a rule (a commit that is asked for) is written before the call; one whose
//! *end* matters (a poll, an acknowledgement) after it. So an event that stands before another certainly began
//! before the other ended, which is all that the rules use.

use std::fmt;
use std::io::{BufRead, Write};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Bits of a value that count the records of one producer; those above name the producer.
const COUNTER_BITS: u32 = 40;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
}

impl Place {
    /// A partition of `topic`.
    #[must_use]
    pub fn new(topic: &str, partition: i32) -> Place {
        Place {
            topic: topic.to_owned(),
            partition,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A record's identity in a history: the producer, and the counter of its records.
#[must_use]
pub fn value_of(producer: u32, counter: u64) -> u64 {
    u64::from(producer) << COUNTER_BITS | counter
}

/// The producer of a value.
#[must_use]
pub fn producer_of(value: u64) -> u64 {
    value >> COUNTER_BITS
}

/// What became of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Acknowledged; with the offset, unless the broker knew the batch already.
    Ok(Option<i64>),
    /// Refused for good: the record must not be there.
    Fail,
    /// Nobody knows.
    Unknown,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TxnOutcome {
    /// The broker said that it is committed.
    Committed,
    /// It was aborted, or given up before anybody asked to commit it.
    Aborted,
    /// A commit was asked for and its answer never came.
    Unknown,
}

/// What a member of a share group says of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareAck {
    /// They are processed.
    Accept,
    /// They are to be delivered again.
    Release,
    /// Nobody can process them.
    Reject,
}

impl ShareAck {
    /// Whether the records must not be delivered again.
    #[must_use]
    pub fn settles(self) -> bool {
        self != ShareAck::Release
    }
}

/// Records that a share group delivered at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivered {
    /// The share group.
    pub group: String,
    /// To whom.
    pub member: String,
    /// Where they lie.
    pub place: Place,
    /// The first offset.
    pub first: i64,
    /// The last offset.
    pub last: i64,
    /// How often they were delivered, this time included.
    pub count: i16,
}

impl Delivered {
    /// How many offsets these are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "nothing is not delivered")]
    pub fn len(&self) -> usize {
        usize::try_from(self.last - self.first + 1).unwrap_or(0)
    }
}

/// A record at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The offset.
    pub offset: i64,
    /// The record's identity.
    pub value: u64,
}

/// The input record that an exactly-once loop made a record from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Source {
    /// The group that reads the input.
    pub group: String,
    /// Where it lay.
    pub place: Place,
    /// Its offset.
    pub offset: i64,
}

/// One step of one client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A send came to its end.
    Send {
        /// Where to.
        place: Place,
        /// The record.
        value: u64,
        /// Its transaction.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        txn: Option<u64>,
        /// The input record it was made from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Source>,
        /// Its key, in a topic that is compacted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<u64>,
        /// What became of it.
        outcome: Outcome,
    },
    /// A transaction is about to be committed.
    CommitAsked {
        /// The transaction; its number is unique in the history.
        txn: u64,
    },
    /// A transaction came to its end.
    Ended {
        /// The transaction.
        txn: u64,
        /// How.
        outcome: TxnOutcome,
    },
    /// A consumer was given records.
    Poll {
        /// The consumer.
        consumer: String,
        /// Whether it reads with `isolation.level=read_committed`.
        committed_only: bool,
        /// The transaction it was open in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        txn: Option<u64>,
        /// Where from.
        place: Place,
        /// In the order given.
        records: Vec<Seen>,
    },
    /// A consumer begins anew at a position of its choice.
    Seek {
        /// The consumer.
        consumer: String,
        /// Where.
        place: Place,
    },
    /// A member of a group was given partitions, in addition to those it has.
    Assigned {
        /// The member, by its name as a consumer.
        member: String,
        /// The group.
        group: String,
        /// The generation, or the member's epoch; `None` when the client does not tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        generation: Option<i32>,
        /// Which.
        places: Vec<Place>,
    },
    /// A member gives partitions up, before the group hears of it; or it was told that they are lost.
    Revoked {
        /// The member.
        member: String,
        /// The group.
        group: String,
        /// Which.
        places: Vec<Place>,
    },
    /// A group's coordinator answered a heartbeat.
    MemberEpoch {
        /// The group.
        group: String,
        /// The member, by its id.
        member: String,
        /// Its epoch by the answer.
        epoch: i32,
        /// Whether it joined with this heartbeat.
        joins: bool,
        /// How many events were written down when the heartbeat was sent.
        since: usize,
    },
    /// DeleteRecords was acknowledged: the log starts here, or later, for good.
    LogStart {
        /// The partition.
        place: Place,
        /// The offset.
        start: i64,
    },
    /// A partition's leader delivered records, as it sees it.
    ShareAcquired {
        /// Which, and to whom.
        delivered: Delivered,
        /// How often a record may be delivered.
        limit: i16,
        /// When, in microseconds.
        at_us: u64,
        /// Until when nobody else may have them.
        until_us: u64,
    },
    /// A member is about to acknowledge records.
    ShareAsked {
        /// Which.
        delivered: Delivered,
        /// As what.
        ack: ShareAck,
    },
    /// The broker said that an acknowledgement holds.
    ShareAcknowledged {
        /// Of which.
        delivered: Delivered,
        /// As what.
        ack: ShareAck,
    },
    /// The session of a member is over: what it has is released.
    ShareReleased {
        /// The group.
        group: String,
        /// The member.
        member: String,
    },
    /// The leaders of all partitions are gone, and what they had delivered is nobody's.
    LeadersLost,
    /// A share group has dealt with everything below an offset.
    ShareDone {
        /// The group.
        group: String,
        /// The partition.
        place: Place,
        /// The offset.
        start: i64,
    },
    /// An offset is about to be committed.
    OffsetAsked {
        /// The group.
        group: String,
        /// The partition.
        place: Place,
        /// The offset.
        offset: i64,
        /// The transaction that commits it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        txn: Option<u64>,
    },
    /// A commit outside of transactions was acknowledged.
    OffsetCommitted {
        /// The group.
        group: String,
        /// The partition.
        place: Place,
        /// The offset.
        offset: i64,
    },
    /// The broker said what is committed.
    OffsetRead {
        /// The group.
        group: String,
        /// The partition.
        place: Place,
        /// The offset, -1 for none.
        offset: i64,
        /// How many events were written down when the question was asked.
        since: usize,
    },
    /// A partition at the end, read with `isolation.level=read_committed` once every transaction had ended.
    Log {
        /// The partition.
        place: Place,
        /// The first offset.
        start: i64,
        /// The last stable offset.
        stable: i64,
        /// The high watermark.
        end: i64,
        /// Every record.
        records: Vec<Seen>,
    },
}

/// Everything that was written down, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The events; an event's number is its index.
    pub events: Vec<Event>,
}

impl History {
    /// Writes one JSON object a line.
    ///
    /// # Errors
    /// When `to` does not take it.
    pub fn write(&self, mut to: impl Write) -> Result<()> {
        for event in &self.events {
            serde_json::to_writer(&mut to, event)?;
            to.write_all(b"\n")?;
        }
        Ok(to.flush()?)
    }

    /// Reads what [`History::write`] wrote.
    ///
    /// # Errors
    /// One that names the line that is no event.
    pub fn read(from: impl BufRead) -> Result<History> {
        let mut events = Vec::new();
        for (index, line) in from.lines().enumerate() {
            let line = line.context("could not read the history")?;
            let event = serde_json::from_str(&line)
                .with_context(|| format!("line {} is no event of a history", index + 1))?;
            events.push(event);
        }
        Ok(History { events })
    }
}
