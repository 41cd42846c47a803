//! Acquiring what was read (`SharePartition.acquire`).
//!
//! What is read is whole batches from [`SharePartition::next_fetch_offset`] on. Parts of it may be in flight already: those
//! are delivered again if they are available, in the batches they were first delivered in; the rest is new.
//!
//! Records that keep being released are taken apart: a batch that was delivered half as often as it may is delivered in
//! halves, quarters and so on, and a record that may be delivered once more is delivered alone, so that one bad record
//! does not take its batch with it.

use std::sync::Arc;

use base::{Offset, Timestamp};

use super::batch::{Delivery, InFlightBatch, RecordState};
use super::window::overlapping;
use super::{Limits, SharePartition};

/// At least so often is a batch delivered before it is taken apart.
const TAKEN_APART_MIN: i16 = 2;

/// How much a member wants (KIP-1206, `ShareAcquireMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireMode {
    /// Whole batches; the limit may be passed by one batch less a record.
    BatchOptimized,
    /// Not one record more than the limit.
    RecordLimit,
}

/// A batch of what was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchedBatch {
    /// Its first offset.
    pub base_offset: Offset,
    /// Its last offset.
    pub last_offset: Offset,
}

/// Offsets of an aborted transaction, which nobody who reads committed records gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedRange {
    /// The first offset of a batch.
    pub first_offset: Offset,
    /// Its last offset.
    pub last_offset: Offset,
}

/// What is to be acquired.
#[derive(Clone, Copy, Debug)]
pub struct Acquire<'a> {
    /// For whom.
    pub member: &'a Arc<str>,
    /// How strict the limit is.
    pub mode: AcquireMode,
    /// New records are split into batches of about this many, at the ends of batches of the log.
    pub batch_size: i64,
    /// At most so many records, but see the mode.
    pub records_max: i64,
    /// Where the read began.
    pub fetch_offset: Offset,
    /// What it found, ascending.
    pub fetched: &'a [FetchedBatch],
    /// The batches of it whose transactions were aborted, ascending; none for a group that reads uncommitted records.
    pub aborted: &'a [AbortedRange],
}

/// Records that a member has now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcquiredRecords {
    /// The first.
    pub first_offset: Offset,
    /// The last.
    pub last_offset: Offset,
    /// How often they were delivered, this time included.
    pub delivery_count: i16,
}

impl AcquiredRecords {
    /// How many offsets these are.
    #[must_use]
    pub fn count(&self) -> i64 {
        self.last_offset.0 - self.first_offset.0 + 1
    }
}

/// One acquisition as it goes.
struct Acquisition<'a> {
    request: &'a Acquire<'a>,
    limits: &'a Limits,
    now: Timestamp,
    /// The last offset that may be acquired.
    last: i64,
    /// How many records may be.
    records_max: i64,
    acquired: Vec<AcquiredRecords>,
    count: i64,
}

impl Acquisition<'_> {
    fn left(&self) -> i64 {
        self.records_max - self.count
    }

    fn strict(&self) -> bool {
        self.request.mode == AcquireMode::RecordLimit
    }

    fn push(&mut self, first: i64, last: i64, delivery_count: i16) {
        self.count += last - first + 1;
        self.acquired.push(AcquiredRecords {
            first_offset: Offset(first),
            last_offset: Offset(last),
            delivery_count,
        });
    }
}

impl SharePartition {
    /// Locks what can be had of what was read, and returns it by ascending offset. Nothing is written: a leader that is
    /// lost forgets its locks.
    pub fn acquire(
        &mut self,
        request: &Acquire<'_>,
        limits: &Limits,
        now: Timestamp,
    ) -> Vec<AcquiredRecords> {
        let (Some(first), Some(last)) = (request.fetched.first(), request.fetched.last()) else {
            return Vec::new();
        };
        let (fetched_from, fetched_to) = (first.base_offset.0, last.last_offset.0);
        if fetched_to < self.start || fetched_to == i64::MAX {
            return Vec::new();
        }
        let Some((last, records_max)) = self.room(request, fetched_to, limits) else {
            return Vec::new();
        };
        let mut acquisition = Acquisition {
            request,
            limits,
            now,
            last,
            records_max,
            acquired: Vec::new(),
            count: 0,
        };
        self.archive_compacted(request.fetch_offset.0, fetched_from);
        self.acquire_between(fetched_from, &mut acquisition);
        if let Some(acquired) = acquisition.acquired.last() {
            self.gaps_seen(acquired.last_offset.0 + 1);
        }
        let mut acquired = acquisition.acquired;
        for aborted in request.aborted {
            self.archive_acquired(*aborted, &acquired);
            acquired = without(&acquired, *aborted);
        }
        self.advance();
        acquired
    }

    /// Up to which offset, and how many records. With all locks taken only what was delivered before can be had.
    fn room(&self, request: &Acquire<'_>, fetched_to: i64, limits: &Limits) -> Option<(i64, i64)> {
        let records_max = request
            .records_max
            .min(limits.record_locks - self.in_flight());
        if records_max > 0 {
            return Some((fetched_to, records_max));
        }
        let between = self.end - request.fetch_offset.0 + 1;
        let records_max = request.records_max.min(between);
        (records_max > 0 && !self.batches.is_empty())
            .then_some((fetched_to.min(self.end), records_max))
    }

    fn acquire_between(&mut self, fetched_from: i64, acquisition: &mut Acquisition<'_>) {
        // What was read may begin below the start offset, within a batch that was dealt with in part.
        let mut next = fetched_from.max(self.start);
        let known: Vec<(i64, i64)> = overlapping(&mut self.batches, next, acquisition.last)
            .map(|batch| (batch.first, batch.last))
            .collect();
        let Some(&(_, known_to)) = known.last() else {
            self.acquire_new(next, acquisition.last, acquisition);
            return;
        };
        for (first, last) in known {
            if acquisition.left() <= 0 {
                return;
            }
            // Holes between batches are holes of the log, unless they were there when the state was read.
            if next < first && self.active_gaps().is_some() {
                self.acquire_new(next, first - 1, acquisition);
                if acquisition.left() <= 0 {
                    return;
                }
            }
            next = last + 1;
            if !self.acquire_known(first, fetched_from, acquisition) {
                return;
            }
        }
        if known_to < acquisition.last && acquisition.left() > 0 {
            self.acquire_new(known_to + 1, acquisition.last, acquisition);
        }
    }

    /// Acquires what is available of a batch in flight. Returns whether to go on behind it.
    fn acquire_known(
        &mut self,
        first: i64,
        fetched_from: i64,
        acquisition: &mut Acquisition<'_>,
    ) -> bool {
        let left = acquisition.left();
        let to = acquisition.last;
        let Some(batch) = self.batches.get_mut(&first) else {
            return true;
        };
        let apart = is_taken_apart(batch, fetched_from, to, acquisition.limits.delivery_count);
        if apart && acquisition.count > 0 {
            return false;
        }
        let part = !batch.is_within(fetched_from, to)
            || batch.whole().is_none()
            || (acquisition.strict() && batch.len() > left)
            || apart;
        if part {
            if batch.whole().is_some_and(|run| !run.is_available()) {
                return true;
            }
            let before = acquisition.count;
            acquire_part(batch, fetched_from, acquisition);
            return !(apart && acquisition.count > before);
        }
        let (limits, now) = (acquisition.limits, acquisition.now);
        if let [run] = batch.runs.as_mut_slice()
            && run.is_available()
        {
            let count = run.delivery.count.saturating_add(1);
            let until = now.after(limits.lock_duration);
            run.delivery = Delivery::acquired(count, acquisition.request.member, until);
            let (first, last) = (batch.first, batch.last);
            acquisition.push(first, last, count);
        }
        true
    }

    /// Acquires what was never in flight, as many records as are left, to the end of the batch of the log they end in.
    fn acquire_new(&mut self, first: i64, last: i64, acquisition: &mut Acquisition<'_>) {
        let records_max = acquisition.left();
        let first = if self.batches.is_empty() {
            first.max(self.end)
        } else {
            first
        };
        if first > last || records_max <= 0 {
            return;
        }
        let mut to = last;
        if records_max < last - first + 1 {
            to = end_of_batch(acquisition.request.fetched, first + records_max - 1);
            // The next batch in flight may begin within this batch of the log.
            to = to.min(last);
        }
        let member = acquisition.request.member;
        let (limits, now) = (acquisition.limits, acquisition.now);
        let delivery = Delivery::acquired(1, member, now.after(limits.lock_duration));
        if acquisition.strict() {
            let acquired_to = to.min(first + records_max - 1);
            let mut batch = InFlightBatch::new(first, to, delivery);
            for run in batch.runs_of(acquired_to + 1, to) {
                run.delivery = Delivery::of(RecordState::Available, 0);
            }
            self.insert(batch);
            acquisition.push(first, acquired_to, 1);
            return self.gaps_seen(acquired_to + 1);
        }
        let mut from = first;
        if to - first + 1 > acquisition.request.batch_size {
            for fetched in acquisition.request.fetched {
                let base = fetched.base_offset.0;
                if base > to {
                    break;
                }
                if base - from >= acquisition.request.batch_size.max(1) {
                    self.insert(InFlightBatch::new(from, base - 1, delivery.clone()));
                    acquisition.push(from, base - 1, 1);
                    from = base;
                }
            }
        }
        self.insert(InFlightBatch::new(from, to, delivery));
        acquisition.push(from, to, 1);
        self.gaps_seen(to + 1);
    }

    fn insert(&mut self, batch: InFlightBatch) {
        let (first, last) = (batch.first, batch.last);
        let earliest = self.batches.keys().next().is_none_or(|key| first < *key);
        self.batches.insert(first, batch);
        // The log has nothing between the start offset and what was read first.
        if earliest {
            self.start = self.start.max(first);
        }
        self.end = self.end.max(last);
    }

    /// Archives what a member has just acquired of an aborted transaction.
    fn archive_acquired(&mut self, aborted: AbortedRange, acquired: &[AcquiredRecords]) {
        for records in acquired {
            let first = records.first_offset.0.max(aborted.first_offset.0);
            let last = records.last_offset.0.min(aborted.last_offset.0);
            if first <= last {
                self.archive(first, last, RecordState::Acquired);
            }
        }
    }
}

/// Whether a batch has been delivered so often that it is delivered in parts from now on.
fn is_taken_apart(batch: &InFlightBatch, first: i64, last: i64, limit: i16) -> bool {
    let threshold = apart_from(limit);
    batch
        .runs
        .iter()
        .filter(|run| run.first <= last && run.last >= first && run.is_available())
        .any(|run| run.delivery.count >= threshold)
}

fn apart_from(limit: i16) -> i16 {
    TAKEN_APART_MIN.max(limit / 2 + limit % 2)
}

/// Acquires the available records of a batch one by one (`SharePartition.acquireSubsetBatchRecords`).
fn acquire_part(batch: &mut InFlightBatch, fetched_from: i64, acquisition: &mut Acquisition<'_>) {
    let limit = acquisition.limits.delivery_count;
    let until = acquisition.now.after(acquisition.limits.lock_duration);
    let mut left = if acquisition.strict() {
        acquisition.left()
    } else {
        i64::MAX
    };
    let mut apart = false;
    let mut taken = Vec::new();
    for run in &batch.runs {
        let first = run.first.max(fetched_from);
        let last = run.last.min(acquisition.last);
        if first > last || !run.is_available() {
            continue;
        }
        let count = run.delivery.count;
        let final_delivery = limit > 2 && count >= limit - 1;
        if left <= 0 || (final_delivery && !taken.is_empty()) {
            break;
        }
        if count >= apart_from(limit) && !apart {
            apart = true;
            let halvings = u32::from((count - apart_from(limit) + 1).unsigned_abs());
            let halved = batch.len() >> halvings.min(62);
            left = left.min(halved.max(1));
        }
        if final_delivery {
            left = 1;
        }
        let last = last.min(first.saturating_add(left - 1));
        left -= last - first + 1;
        taken.push((first, last, count.saturating_add(1)));
        if final_delivery {
            break;
        }
    }
    batch.split = true;
    for (first, last, count) in taken {
        for run in batch.runs_of(first, last) {
            run.delivery = Delivery::acquired(count, acquisition.request.member, until);
        }
        match acquisition.acquired.last_mut() {
            Some(before)
                if before.last_offset.0 + 1 == first
                    && before.delivery_count == count
                    && before.first_offset.0 >= batch.first =>
            {
                before.last_offset = Offset(last);
                acquisition.count += last - first + 1;
            }
            _ => acquisition.push(first, last, count),
        }
    }
    batch.join();
}

/// The last offset of the batch that holds this offset; the offset itself when it lies between batches.
fn end_of_batch(fetched: &[FetchedBatch], offset: i64) -> i64 {
    let place = fetched.partition_point(|batch| batch.base_offset.0 <= offset);
    place
        .checked_sub(1)
        .and_then(|place| fetched.get(place))
        .map_or(offset, |batch| batch.last_offset.0.max(offset))
}

fn without(acquired: &[AcquiredRecords], aborted: AbortedRange) -> Vec<AcquiredRecords> {
    let mut kept = Vec::with_capacity(acquired.len() + 1);
    for records in acquired {
        let below = records.last_offset.0.min(aborted.first_offset.0 - 1);
        let above = records.first_offset.0.max(aborted.last_offset.0 + 1);
        if below >= records.last_offset.0 || above <= records.first_offset.0 {
            kept.push(*records);
            continue;
        }
        if records.first_offset.0 <= below {
            kept.push(AcquiredRecords {
                last_offset: Offset(below),
                ..*records
            });
        }
        if above <= records.last_offset.0 {
            kept.push(AcquiredRecords {
                first_offset: Offset(above),
                ..*records
            });
        }
    }
    kept
}
