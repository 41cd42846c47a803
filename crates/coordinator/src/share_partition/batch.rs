//! What is known of the records that were fetched together: their delivery, by ranges of offsets.
//!
//! Records of a batch mostly share one delivery, and then the batch is one run. Apache Kafka keeps an entry for each
//! offset once they differ (`InFlightBatch.offsetState`); a run for each range that is alike says the same in memory
//! that depends on how often a batch was acknowledged in parts, not on how many offsets it spans.

use std::sync::Arc;

use base::Timestamp;

use super::WriteId;

/// What happened to a record so far (`org.apache.kafka.server.share.fetch.RecordState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecordState {
    /// To be delivered.
    Available,
    /// Locked by a member that has it.
    Acquired,
    /// Processed.
    Acknowledged,
    /// Never to be delivered again: rejected, a gap, delivered too often, or gone from the log.
    Archived,
}

impl RecordState {
    /// The number on the wire and in the state topic.
    #[must_use]
    pub fn id(self) -> i8 {
        match self {
            RecordState::Available => 0,
            RecordState::Acquired => 1,
            RecordState::Acknowledged => 2,
            RecordState::Archived => 4,
        }
    }

    /// The state of this number, unless it is none that is kept.
    #[must_use]
    pub fn persisted(id: i8) -> Option<RecordState> {
        match id {
            0 => Some(RecordState::Available),
            2 => Some(RecordState::Acknowledged),
            4 => Some(RecordState::Archived),
            _ => None,
        }
    }

    /// Whether the state is final.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, RecordState::Acknowledged | RecordState::Archived)
    }
}

/// A delivery: who has the record, for how long, for how many times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    pub(super) state: RecordState,
    /// How often it was delivered.
    pub(super) count: i16,
    /// Its owner while it is acquired.
    pub(super) member: Option<Arc<str>>,
    /// Until when it is acquired.
    pub(super) lock_until: Option<Timestamp>,
}

impl Delivery {
    pub(super) fn of(state: RecordState, count: i16) -> Delivery {
        Delivery {
            state,
            count,
            member: None,
            lock_until: None,
        }
    }

    pub(super) fn acquired(count: i16, member: &Arc<str>, lock_until: Timestamp) -> Delivery {
        Delivery {
            state: RecordState::Acquired,
            count,
            member: Some(Arc::clone(member)),
            lock_until: Some(lock_until),
        }
    }

    /// The delivery once its owner no longer has it; a record that was delivered as often as it may is archived
    /// instead of made available.
    pub(super) fn ended(&self, state: RecordState, limit: i16) -> Delivery {
        let exhausted = state == RecordState::Available && self.count >= limit;
        let state = if exhausted {
            RecordState::Archived
        } else {
            state
        };
        Delivery::of(state, self.count)
    }
}

/// A change whose record is not durable yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) write: WriteId,
    /// What holds again if the write fails.
    pub(super) before: Delivery,
}

/// Offsets of one batch with the same delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) delivery: Delivery,
    pub(super) pending: Option<Pending>,
}

impl Run {
    pub(super) fn is_available(&self) -> bool {
        self.delivery.state == RecordState::Available && self.pending.is_none()
    }

    /// Acquired, and not about to be anything else.
    pub(super) fn is_acquired(&self) -> bool {
        self.delivery.state == RecordState::Acquired && self.pending.is_none()
    }

    /// Final and durable.
    pub(super) fn is_settled(&self) -> bool {
        self.delivery.state.is_terminal() && self.pending.is_none()
    }

    pub(super) fn len(&self) -> i64 {
        self.last - self.first + 1
    }

    /// Makes a change that a failed write takes back.
    pub(super) fn change(&mut self, write: WriteId, delivery: Delivery) {
        let before = std::mem::replace(&mut self.delivery, delivery);
        self.pending = Some(Pending { write, before });
    }

    /// Archives it for good, whatever becomes of a write on its way.
    pub(super) fn archive(&mut self) {
        self.delivery = Delivery::of(RecordState::Archived, self.delivery.count);
        if let Some(pending) = &mut self.pending {
            pending.before = self.delivery.clone();
        }
    }
}

/// Records that were fetched together. The first offset is the key it is kept under.
#[derive(Clone, Debug)]
pub(super) struct InFlightBatch {
    pub(super) first: i64,
    pub(super) last: i64,
    /// Its records are looked at one by one from now on, even where they are alike.
    pub(super) split: bool,
    /// Ascending, without a hole; never empty.
    pub(super) runs: Vec<Run>,
}

impl InFlightBatch {
    pub(super) fn new(first: i64, last: i64, delivery: Delivery) -> InFlightBatch {
        let run = Run {
            first,
            last,
            delivery,
            pending: None,
        };
        InFlightBatch {
            first,
            last,
            split: false,
            runs: vec![run],
        }
    }

    pub(super) fn len(&self) -> i64 {
        self.last - self.first + 1
    }

    /// The one delivery of a batch that is not split.
    pub(super) fn whole(&self) -> Option<&Run> {
        match self.runs.as_slice() {
            [run] if !self.split => Some(run),
            _ => None,
        }
    }

    pub(super) fn is_within(&self, first: i64, last: i64) -> bool {
        self.first >= first && self.last <= last
    }

    /// The runs of these offsets alone: those that reach over an end are cut in two.
    pub(super) fn runs_of(&mut self, first: i64, last: i64) -> &mut [Run] {
        self.cut_before(first);
        self.cut_before(last.saturating_add(1));
        let from = self.runs.partition_point(|run| run.last < first);
        let to = self.runs.partition_point(|run| run.first <= last);
        self.runs.get_mut(from..to).unwrap_or_default()
    }

    fn cut_before(&mut self, offset: i64) {
        let place = self.runs.partition_point(|run| run.last < offset);
        let Some(run) = self.runs.get_mut(place) else {
            return;
        };
        if run.first >= offset {
            return;
        }
        let mut upper = run.clone();
        run.last = offset - 1;
        upper.first = offset;
        self.runs.insert(place + 1, upper);
        self.split = true;
    }

    /// Joins runs that have become alike.
    pub(super) fn join(&mut self) {
        self.runs.dedup_by(|upper, lower| {
            let alike = lower.delivery == upper.delivery && lower.pending == upper.pending;
            if alike {
                lower.last = upper.last;
            }
            alike
        });
    }

    /// Drops what lies before an offset within the batch.
    pub(super) fn drop_before(&mut self, offset: i64) {
        self.cut_before(offset);
        self.runs.retain(|run| run.first >= offset);
        self.first = self.first.max(offset);
    }
}
