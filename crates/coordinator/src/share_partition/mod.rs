//! The delivery of one partition's records to the members of one share group (KIP-932,
//! `kafka.server.share.SharePartition`), as a sans-I/O state machine.
//!
//! The leader of a partition keeps one [`SharePartition`] for each share group that reads it. Records from the *start
//! offset* to the *end offset* are in flight; what lies before was dealt with, what lies after was never delivered.
//!
//! ```text
//!              acquire                 accept
//!  Available ───────────▶ Acquired ─────────────▶ Acknowledged
//!      ▲                   │  │ reject, gap, delivered too often
//!      └───────────────────┘  └─────────────────▶ Archived
//!       release, lock timeout,
//!       session closed
//! ```
//!
//! A member acquires whole batches, as they are in the log, since a response holds whole batches. It acknowledges any
//! part of them. Each change but an acquisition is a [`StateWrite`] for the share coordinator: the caller writes it and
//! reports with [`SharePartition::written`]; until then the records are neither delivered nor settled, and a failed
//! write puts back what was. A lock that runs out is not put back: its write only tells.
//!
//! # Invariants
//!
//! - Batches are in order and do not overlap; none reaches below the start offset.
//! - A record is acquired by one member at a time, and at most `group.share.delivery.count.limit` times.
//! - The start offset never moves back, and never past a record that a member has or said something of that is not
//!   durable yet.
//! - No record that a member accepted durably is delivered again, over any number of leaders.
//! - Deterministic: time comes with each call.
//!
//! # Differs
//!
//! - What lies below the start offset is forgotten at once; Kafka keeps it until its lock runs out. Acknowledging it is
//!   accepted in silence on both.
//! - The start offset also moves past records that were archived because their transaction was aborted, or because they
//!   were compacted away, without waiting for the next acknowledgement; in Kafka, `group.share.partition.max.record.locks`
//!   such records in a row hold a share group up for good.
//!
//! # Memory
//!
//! About 150 bytes per run of offsets with one delivery; `group.share.partition.max.record.locks` bounds the offsets, so
//! at most 600 kB with Kafka's largest value.

mod acknowledge;
mod acquire;
mod batch;
#[cfg(test)]
mod tests;
mod window;

use std::collections::BTreeMap;
use std::time::Duration;

use base::{Offset, Timestamp};

pub use acknowledge::{AcknowledgeError, Acknowledgement};
pub use acquire::{AbortedRange, Acquire, AcquireMode, AcquiredRecords, FetchedBatch};
pub use batch::RecordState;
use batch::{Delivery, InFlightBatch};

use crate::share_state::{ReadState, StateBatch, WriteState};

/// What is set on the share group; read anew with each call, since it may change at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `share.delivery.count.limit`.
    pub delivery_count: i16,
    /// `share.record.lock.duration.ms`.
    pub lock_duration: Duration,
    /// `share.partition.max.record.locks`.
    pub record_locks: i64,
    /// `share.renew.acknowledge.enable`.
    pub renew: bool,
}

/// A write that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(u64);

/// What the share coordinator is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateWrite {
    /// To be reported with [`SharePartition::written`].
    pub id: WriteId,
    /// The start offset, the count of settled records, and the batches that changed.
    pub state: WriteState,
}

/// The state that was read makes no sense; the partition cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the persisted share state is not valid: {reason}")]
pub struct InvalidState {
    reason: String,
}

/// The offsets below the end offset that were in no batch of the state that was read. They were acquired before, and
/// nothing is known of them: they are fetched again.
#[derive(Clone, Copy, Debug)]
struct Gaps {
    /// Where the first may begin.
    from: i64,
    /// The end offset when the state was read; once it has moved on, all gaps have been seen.
    end: i64,
}

/// See the module.
#[derive(Debug)]
pub struct SharePartition {
    state_epoch: i32,
    leader_epoch: i32,
    start: i64,
    /// The last offset in flight; with nothing in flight the next to fetch.
    end: i64,
    /// By first offset.
    batches: BTreeMap<i64, InFlightBatch>,
    gaps: Option<Gaps>,
    last_write: u64,
}

impl SharePartition {
    /// The partition as its last leader left it. `start_offset` is that of the state, or where the group begins when the
    /// state names none (`share.auto.offset.reset`).
    ///
    /// # Errors
    /// [`InvalidState`]: batches before the start offset, out of order, or in a state that is never written.
    pub fn load(
        read: &ReadState,
        start_offset: Offset,
        leader_epoch: i32,
    ) -> Result<SharePartition, InvalidState> {
        let mut partition = SharePartition {
            state_epoch: read.state_epoch,
            leader_epoch,
            start: start_offset.0,
            end: start_offset.0,
            batches: BTreeMap::new(),
            gaps: None,
            last_write: 0,
        };
        let mut next = start_offset.0;
        let mut gap = None;
        for batch in &read.batches {
            let (first, last) = (batch.first_offset.0, batch.last_offset.0);
            if first < next || last < first || last == i64::MAX {
                let reason = format!("offsets {first} to {last} do not follow on {next}");
                return Err(InvalidState { reason });
            }
            let state = RecordState::persisted(batch.delivery_state).ok_or_else(|| {
                let reason = format!(
                    "offsets {first} to {last} have state {}",
                    batch.delivery_state
                );
                InvalidState { reason }
            })?;
            if first > next && gap.is_none() {
                gap = Some(next);
            }
            next = last + 1;
            let delivery = Delivery::of(state, batch.delivery_count);
            partition
                .batches
                .insert(first, InFlightBatch::new(first, last, delivery));
            partition.end = last;
        }
        let end = partition.end;
        partition.gaps = gap.map(|from| Gaps { from, end });
        partition.advance();
        Ok(partition)
    }

    /// The epoch of the state, which the group coordinator raises when it sets the state anew.
    #[must_use]
    pub fn state_epoch(&self) -> i32 {
        self.state_epoch
    }

    /// The first offset that is not dealt with.
    #[must_use]
    pub fn start_offset(&self) -> Offset {
        Offset(self.start)
    }

    /// The last offset in flight; with nothing in flight the next to fetch.
    #[must_use]
    pub fn end_offset(&self) -> Offset {
        Offset(self.end)
    }

    /// Records in flight that are settled: acknowledged or archived.
    #[must_use]
    pub fn delivery_complete_count(&self) -> i32 {
        let settled = self
            .runs()
            .filter(|run| run.delivery.state.is_terminal())
            .map(batch::Run::len)
            .sum::<i64>();
        i32::try_from(settled).unwrap_or(i32::MAX)
    }

    /// Where to read for the next acquisition.
    #[must_use]
    pub fn next_fetch_offset(&self) -> Offset {
        if self.batches.is_empty() {
            return Offset(self.end);
        }
        let mut gap = self.active_gaps();
        for batch in self.batches.values() {
            if let Some(from) = gap {
                if batch.first > from {
                    return Offset(from);
                }
                gap = Some(from.max(batch.last + 1));
            }
            if let Some(run) = batch.runs.iter().find(|run| run.is_available()) {
                return Offset(run.first);
            }
        }
        Offset(self.end.saturating_add(1))
    }

    /// Whether anything may be acquired: there is something to deliver again, or room for more in flight.
    #[must_use]
    pub fn can_acquire(&self, limits: &Limits) -> bool {
        self.next_fetch_offset().0 != self.end.saturating_add(1)
            || self.in_flight() < limits.record_locks
    }

    /// When the first lock runs out.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.runs()
            .filter(|run| run.is_acquired())
            .filter_map(|run| run.delivery.lock_until)
            .min()
    }

    /// Releases what was locked for too long. The change holds at once, whatever becomes of the write.
    pub fn expire(&mut self, limits: &Limits, now: Timestamp) -> Option<StateWrite> {
        let mut changed = Vec::new();
        for batch in self.batches.values_mut() {
            for run in &mut batch.runs {
                let over = run.delivery.lock_until.is_some_and(|until| until <= now);
                if over && run.is_acquired() {
                    run.delivery = run
                        .delivery
                        .ended(RecordState::Available, limits.delivery_count);
                    changed.push(state_batch(run));
                }
            }
            batch.join();
        }
        let id = self.next_write();
        self.state_write(id, changed)
    }

    /// A write became durable, or failed. Returns whether that may let a fetch go on.
    pub fn written(&mut self, id: WriteId, durable: bool) -> bool {
        let mut freed = false;
        for batch in self.batches.values_mut() {
            let mut touched = false;
            for run in &mut batch.runs {
                let Some(pending) = run.pending.take_if(|pending| pending.write == id) else {
                    continue;
                };
                touched = true;
                if !durable {
                    run.delivery = pending.before;
                }
                freed |= run.is_available();
            }
            if touched {
                batch.join();
            }
        }
        self.advance() || freed
    }

    fn runs(&self) -> impl Iterator<Item = &batch::Run> {
        self.batches.values().flat_map(|batch| batch.runs.iter())
    }

    /// Offsets from the start to the end, unless nothing is in flight.
    fn in_flight(&self) -> i64 {
        if self.batches.is_empty() {
            0
        } else {
            self.end - self.start + 1
        }
    }

    fn next_write(&mut self) -> WriteId {
        self.last_write += 1;
        WriteId(self.last_write)
    }

    fn state_write(&self, id: WriteId, changed: Vec<StateBatch>) -> Option<StateWrite> {
        if changed.is_empty() {
            return None;
        }
        let state = WriteState {
            state_epoch: self.state_epoch,
            leader_epoch: self.leader_epoch,
            start_offset: Offset(self.start),
            delivery_complete_count: self.delivery_complete_count(),
            batches: joined(changed),
        };
        Some(StateWrite { id, state })
    }
}

fn state_batch(run: &batch::Run) -> StateBatch {
    StateBatch {
        first_offset: Offset(run.first),
        last_offset: Offset(run.last),
        delivery_state: run.delivery.state.id(),
        delivery_count: run.delivery.count,
    }
}

/// Neighbours that are alike, as one.
fn joined(mut batches: Vec<StateBatch>) -> Vec<StateBatch> {
    batches.dedup_by(|upper, lower| {
        let alike = lower.last_offset.0 + 1 == upper.first_offset.0
            && lower.delivery_state == upper.delivery_state
            && lower.delivery_count == upper.delivery_count;
        if alike {
            lower.last_offset = upper.last_offset;
        }
        alike
    });
    batches
}
