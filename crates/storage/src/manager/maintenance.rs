//! The thread that checkpoints, deletes what has expired and watches the room on disk.

use std::fs::OpenOptions;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use base::Timestamp;

use crate::error::StorageError;
use crate::io::LockExt;
use crate::log::{PartitionLog, RetentionPlan};
use crate::manager::{Inner, volume};

const TICK: Duration = Duration::from_millis(200);
const SPACE_EVERY: u32 = 5;

/// What a retention run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionReport {
    /// Segments taken out of their logs.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Logs that could not be looked at, with the reason.
    pub failures: Vec<String>,
}

/// The thread's body; ends with the storage.
pub(super) fn run(storage: &Weak<Inner>) {
    let mut ticks: u32 = 0;
    let mut last_checkpoint = Timestamp::default();
    let mut last_retention = None;
    loop {
        let Some(inner) = storage.upgrade() else {
            return;
        };
        let now = inner.context.clock.monotonic();
        let interval = Duration::from_millis(inner.options.checkpoint_interval_ms);
        let elapsed = now.since(last_checkpoint) >= interval;
        if elapsed {
            last_checkpoint = now;
        }
        if inner.checkpoint_due(elapsed)
            && let Err(error) = inner.checkpoint(false)
        {
            tracing::warn!(error = %base::ErrorChain(&error), "cannot checkpoint; trying again");
        }
        let began = *last_retention.get_or_insert(now);
        let every = Duration::from_millis(inner.options.retention_check_interval_ms);
        if now.since(began) >= every {
            last_retention = Some(now);
            inner.run_retention();
        }
        if ticks.is_multiple_of(SPACE_EVERY) || inner.context.disk_full.load(Ordering::Relaxed) {
            inner.watch_space();
            inner.context.store.purge(false);
        }
        ticks = ticks.wrapping_add(1);
        let stop = inner.stop.locked();
        let (stop, _) = inner
            .wake
            .wait_timeout_while(stop, TICK, |stop| !*stop)
            .unwrap_or_else(PoisonError::into_inner);
        if *stop {
            return;
        }
    }
}

impl Inner {
    fn checkpoint_due(&self, elapsed: bool) -> bool {
        if self.context.check().is_err() {
            return false;
        }
        let written = self.context.metrics.journal_bytes.load(Ordering::Relaxed);
        let since = written - self.checkpointed_journal_bytes.load(Ordering::Relaxed);
        since >= self.options.checkpoint_bytes
            || self.journal.wants_trim()
            || (elapsed
                && self
                    .all_logs()
                    .iter()
                    .any(|log| log.changed.load(Ordering::Acquire)))
    }

    pub(super) fn run_retention(&self) -> RetentionReport {
        let now_ms = self.context.clock.now_ms();
        let mut report = RetentionReport::default();
        let mut plans = Vec::new();
        let expiration_ms = self.producer_id_expiration_ms.load(Ordering::Relaxed);
        for log in self.all_logs() {
            log.expire_producers(now_ms, expiration_ms);
            if self.cleaner.is_cleaning(&log) {
                // A pass reads these segments; the next round has its turn (`LogCleanerManager.deletableLogs`).
                continue;
            }
            match log.plan_retention(now_ms) {
                Ok(plan) if plan.bases.is_empty() => {}
                Ok(plan) => plans.push((log, plan)),
                Err(error) => report.failures.push(format!("{:?}: {error}", log.name)),
            }
        }
        if plans.is_empty() {
            return report;
        }
        if let Err(error) = self.make_starts_durable(&plans) {
            // The segments stay on disk; recovery removes them by the log start that it finds.
            report.failures.push(base::ErrorChain(&error).to_string());
            return report;
        }
        if plans.iter().any(|(_, plan)| plan.tiered) {
            // Their log starts need not have moved: the checkpoint itself must not miss them.
            if let Err(error) = self.checkpoint_starts(&plans) {
                report.failures.push(base::ErrorChain(&error).to_string());
                return report;
            }
        }
        for (log, plan) in plans {
            report.segments += plan.bases.len() as u64;
            report.bytes += plan.bytes;
            if let Err(error) = log.carry_out(&plan) {
                report.failures.push(base::ErrorChain(&error).to_string());
            }
        }
        self.context.store.purge(false);
        if !report.failures.is_empty() {
            tracing::warn!(failures = ?report.failures, "retention could not do everything");
        }
        report
    }

    /// Waits for the new log start offsets, or writes them to the checkpoint when the journal could not take them.
    fn make_starts_durable(
        &self,
        plans: &[(Arc<PartitionLog>, RetentionPlan)],
    ) -> Result<(), StorageError> {
        if plans.iter().any(|(_, plan)| plan.lsn.is_none()) {
            self.release_ballast();
            return self.checkpoint_starts(plans);
        }
        let Some(last) = plans.iter().filter_map(|(_, plan)| plan.lsn).max() else {
            return Ok(());
        };
        loop {
            {
                let state = self.durable.borrow();
                if last <= state.durable {
                    return Ok(());
                }
                if let Some(reason) = state.failed.clone() {
                    return Err(StorageError::Failed { reason });
                }
            }
            if self.options.driven {
                self.journal.step();
                continue;
            }
            // A journal write takes a millisecond; nobody waits for retention.
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Writes the last checkpoint again with the new log starts: what a full disk leaves room for.
    fn checkpoint_starts(
        &self,
        plans: &[(Arc<PartitionLog>, RetentionPlan)],
    ) -> Result<(), StorageError> {
        let mut saved = self.checkpoints.locked();
        for (log, plan) in plans {
            if let Some(entry) = saved.get_mut(&(log.topic_id(), log.partition())) {
                entry.log_start = log.log_start_offset().0;
                if plan.tiered {
                    entry
                        .segments
                        .retain(|segment| !plan.bases.contains(&segment.base));
                }
            }
        }
        self.put_saved(&saved)
    }

    /// Refuses appends while there is hardly any room, and keeps a ballast file for that time.
    fn watch_space(&self) {
        let headroom = self.options.headroom_bytes;
        if headroom == 0 {
            return;
        }
        let Ok(volume) = volume(&self.options.data_dir) else {
            return;
        };
        let full = self.context.disk_full.load(Ordering::Relaxed);
        let ballast = self.options.data_dir.join("ballast");
        let held = ballast.exists();
        if !full && volume.usable_bytes < headroom / 2 {
            tracing::warn!(
                usable_bytes = volume.usable_bytes,
                "the disk is full; refusing appends"
            );
            self.context.disk_full.store(true, Ordering::Relaxed);
            self.context.room.notify_waiters();
            self.release_ballast();
        } else if full {
            self.release_ballast();
            let needed = headroom.saturating_mul(2);
            if volume.usable_bytes >= needed && self.make_ballast().is_ok() {
                tracing::info!(usable_bytes = volume.usable_bytes, "room on disk again");
                self.context.disk_full.store(false, Ordering::Relaxed);
                self.context.room.notify_waiters();
            }
        } else if !held && volume.usable_bytes >= headroom.saturating_mul(2) {
            match self.make_ballast() {
                Ok(()) => {}
                Err(error) => tracing::warn!(%error, "cannot keep room back"),
            }
        }
    }

    fn make_ballast(&self) -> io::Result<()> {
        let path = self.options.data_dir.join("ballast");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::fs::fallocate(&file, flags, 0, self.options.headroom_bytes) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    pub(super) fn release_ballast(&self) {
        let path = self.options.data_dir.join("ballast");
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "cannot release the ballast");
        }
    }
}
