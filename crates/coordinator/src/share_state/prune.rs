//! What time does: the log is cut before what is still needed, and snapshots that hold that up are renewed.
//! Source: `ShareCoordinatorOffsetsManager`, `ShareCoordinatorShard.snapshotColdPartitions`.

use std::sync::Arc;

use base::{Offset, Timestamp};

use super::state::{Change, Snapshot};
use super::{Prune, ShareCoordinator, ShareKey};
use crate::action::Action;

/// State batches of one append of renewed snapshots, and snapshots without any: far below `max.message.bytes`.
const BATCHES_PER_APPEND: usize = 10_000;

impl ShareCoordinator {
    /// When [`ShareCoordinator::run_due`] has something to do; `None` while there is no log to cut.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        if self.entries.is_empty() && self.pruned >= self.end {
            return None;
        }
        Some(self.prune_due.min(self.cold_due))
    }

    pub(super) fn run_due(&mut self) {
        let now = self.clock.monotonic();
        if now >= self.cold_due {
            self.cold_due = now.after(self.config.cold_snapshot_interval);
            self.renew_cold_snapshots();
        }
        if now >= self.prune_due {
            self.prune_due = now.after(self.config.prune_interval);
            let before = self.first_needed();
            if before > self.pruned {
                self.pruned = before;
                self.out.push(Action::Effect(Prune { before }));
            }
        }
    }

    /// The oldest snapshot that is some share partition's last; the end of the log when there is none.
    fn first_needed(&self) -> Offset {
        let snapshots = self.entries.values().map(|entry| entry.snapshot_offset);
        // A share partition whose first snapshot is on its way needs nothing of what is durable.
        snapshots.flatten().min().unwrap_or(self.end)
    }

    /// Once all snapshots are renewed ones nothing is left to cut, and they stay.
    fn renew_cold_snapshots(&mut self) {
        let now_ms = self.clock.now_ms();
        let oldest_ms = i64::try_from(self.config.cold_snapshot_interval.as_millis());
        let oldest_ms = oldest_ms.unwrap_or(i64::MAX);
        let is_renewed =
            |snapshot: &Snapshot| snapshot.create_timestamp_ms != snapshot.write_timestamp_ms;
        let states = || {
            self.entries
                .iter()
                .filter_map(|(key, entry)| Some((key, entry.current.as_ref()?)))
        };
        if states().all(|(_, state)| is_renewed(&state.snapshot)) {
            return;
        }
        let cold: Vec<(ShareKey, Arc<_>)> = states()
            .filter(|(_, state)| {
                now_ms.saturating_sub(state.snapshot.write_timestamp_ms) >= oldest_ms
            })
            .map(|(key, state)| (key.clone(), Arc::clone(state)))
            .collect();
        let mut renewed = Vec::new();
        let mut size = 0;
        for (key, state) in cold {
            let snapshot = Snapshot {
                snapshot_epoch: state.snapshot.snapshot_epoch.saturating_add(1),
                write_timestamp_ms: now_ms,
                ..state.snapshot.clone()
            };
            size += 10 + snapshot.batches.len();
            renewed.push((key, Change::Snapshot(snapshot)));
            if size >= BATCHES_PER_APPEND {
                size = 0;
                self.append(std::mem::take(&mut renewed), None);
            }
        }
        if !renewed.is_empty() {
            self.append(renewed, None);
        }
    }
}
