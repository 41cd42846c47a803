//! The window of what is in flight: how its start moves, and what is archived without ever being acknowledged.

use super::batch::{InFlightBatch, RecordState};
use super::{Gaps, SharePartition};
use base::Offset;

impl SharePartition {
    /// The log begins later now, by retention or DeleteRecords: what lay before is dealt with
    /// (`SharePartition.updateCacheAndOffsets`). The share coordinator hears of it with the next write.
    pub fn log_start_moved(&mut self, log_start: Offset) {
        if log_start.0 <= self.start {
            return;
        }
        self.start = log_start.0;
        self.drop_below_start();
        if self.end < self.start || self.batches.is_empty() {
            self.end = self.start;
        }
        if let Some(gaps) = &mut self.gaps {
            gaps.from = gaps.from.max(log_start.0);
        }
        self.advance();
    }

    /// Where offsets that nothing is known of may begin, while there are any.
    pub(super) fn active_gaps(&self) -> Option<i64> {
        let gaps = self.gaps.filter(|gaps| gaps.end == self.end)?;
        // The start may have gone past gaps that turned out to be none: what lies before it is dealt with.
        let from = gaps.from.max(self.start);
        (from <= gaps.end).then_some(from)
    }

    /// What lies before `offset` has been seen.
    pub(super) fn gaps_seen(&mut self, offset: i64) {
        self.gaps = self.gaps.and_then(|gaps| {
            let open = gaps.end == self.end && offset <= gaps.end;
            open.then(|| Gaps {
                from: gaps.from.max(offset),
                ..gaps
            })
        });
    }

    /// Moves the start past what is settled. Returns whether it moved.
    pub(super) fn advance(&mut self) -> bool {
        if self.batches.is_empty() {
            return false;
        }
        let mut gap = self.active_gaps();
        let mut next = None;
        'batches: for batch in self.batches.values() {
            if let Some(from) = gap {
                if from < batch.first {
                    // Nothing is known of what is there, so the start must not pass it.
                    next = gap;
                    break;
                }
                gap = Some(from.max(batch.last + 1));
            }
            for run in &batch.runs {
                if !run.is_settled() {
                    next = Some(run.first);
                    break 'batches;
                }
            }
        }
        let before = self.start;
        match next {
            Some(next) => {
                self.start = self.start.max(next);
                self.drop_below_start();
            }
            None => {
                self.start = self.start.max(self.end.saturating_add(1));
                self.end = self.start;
                self.batches.clear();
                self.gaps = None;
            }
        }
        self.start != before
    }

    fn drop_below_start(&mut self) {
        let start = self.start;
        while let Some(entry) = self.batches.first_entry() {
            if entry.get().first >= start {
                return;
            }
            let mut batch = entry.remove();
            if batch.last >= start {
                batch.drop_before(start);
                self.batches.insert(start, batch);
                return;
            }
        }
    }

    /// A read at `fetch_offset` found its first batch at `base_offset`: what was in between was compacted away
    /// (`SharePartition.maybeArchiveStaleBatches`).
    pub(super) fn archive_compacted(&mut self, fetch_offset: i64, base_offset: i64) {
        if fetch_offset >= base_offset {
            return;
        }
        self.archive(fetch_offset, base_offset - 1, RecordState::Available);
        if self.active_gaps().is_some_and(|from| from >= fetch_offset) {
            self.gaps_seen(base_offset);
        }
    }

    /// Archives what is in this state between two offsets.
    pub(super) fn archive(&mut self, first: i64, last: i64, state: RecordState) {
        for batch in overlapping(&mut self.batches, first, last) {
            let worth = batch
                .runs
                .iter()
                .any(|run| run.delivery.state == state && run.first <= last && run.last >= first);
            if !worth {
                continue;
            }
            for run in batch.runs_of(first, last) {
                if run.delivery.state == state {
                    run.archive();
                }
            }
            batch.join();
        }
    }
}

/// The batches that have an offset in this range.
pub(super) fn overlapping(
    batches: &mut std::collections::BTreeMap<i64, InFlightBatch>,
    first: i64,
    last: i64,
) -> impl Iterator<Item = &mut InFlightBatch> {
    let from = batches
        .range(..=first)
        .next_back()
        .filter(|(_, batch)| batch.last >= first)
        .map_or(first, |(key, _)| *key);
    let to = last.max(from);
    batches.range_mut(from..=to).map(|(_, batch)| batch)
}
