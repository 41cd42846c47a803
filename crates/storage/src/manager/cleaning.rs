//! Which log is cleaned next and by whom, the swap of what a pass wrote, and what a start has to finish
//! (`LogCleaner`, `LogCleanerManager`).
//!
//! Each thread takes the log with the largest share of dirty bytes, or one that is overdue, cleans it, and looks again; one
//! that finds nothing waits `log.cleaner.backoff.ms`. A log whose pass failed is *uncleanable* until a restart: the failure
//! would only repeat.
//!
//! Lock order: checkpoints, a log's io, a log's state. The state lock is held while files are renamed, so that a reader either
//! finds the old segments or the new one.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;

use base::{PartitionIndex, Timestamp, TopicId};

use crate::cleaner::output::Cleaned;
use crate::cleaner::pass::{Pass, Swaps};
use crate::cleaner::progress::Progress;
use crate::cleaner::swap::{self, SwapRecord};
use crate::cleaner::throttle::Throttle;
use crate::cleaner::{CleanError, CleanReport, CleanerConfig, CleanerReport, progress};
use crate::config::LogConfig;
use crate::error::StorageError;
use crate::fault::IoOp;
use crate::io::{LockExt, is_disk_full};
use crate::log::index::SegmentView;
use crate::log::{LogCheckpoint, LogState, PartitionLog};
use crate::lsn::Lsn;
use crate::manager::cleanable::{Candidate, Known, examine};
use crate::manager::{CheckpointFile, Inner, LogKey};
use crate::metrics::add;
use crate::store::{LogName, SegmentStore};
use crate::tier::RemoteSegment;
use crate::wal::journal::spawn;

/// After a failure of the remote store a log's passes are over its local part for this long.
const REST: Duration = Duration::from_secs(60);

/// What the cleaner knows of all logs.
#[derive(Debug)]
pub(super) struct Cleaner {
    config: RwLock<Arc<CleanerConfig>>,
    logs: Mutex<Logs>,
    throttle: Throttle,
    /// Which threads run.
    running: Mutex<Vec<bool>>,
    /// Directories whose swap a start has finished, until the checkpoint says so.
    completed: Mutex<Vec<std::path::PathBuf>>,
}

#[derive(Debug, Default)]
struct Logs {
    in_progress: HashSet<LogKey>,
    /// Whose segments are being copied to the remote store as they are.
    copying: HashSet<LogKey>,
    /// Whose last pass failed for the remote store, and when.
    remote_failed: HashMap<LogKey, Timestamp>,
    uncleanable: HashMap<LogKey, Arc<str>>,
    /// What the logs' files say.
    cleaned: HashMap<LogKey, Option<Progress>>,
}

impl Cleaner {
    pub(super) fn new(config: CleanerConfig) -> Cleaner {
        Cleaner {
            config: RwLock::new(Arc::new(config)),
            logs: Mutex::default(),
            throttle: Throttle::default(),
            running: Mutex::default(),
            completed: Mutex::default(),
        }
    }

    pub(super) fn is_cleaning(&self, log: &PartitionLog) -> bool {
        self.logs.locked().in_progress.contains(&key(log))
    }

    /// Keeps passes away from a log until [`Cleaner::end_copy`]; false while there is one.
    pub(super) fn begin_copy(&self, log: &PartitionLog) -> bool {
        let mut logs = self.logs.locked();
        let free = !logs.in_progress.contains(&key(log));
        if free {
            logs.copying.insert(key(log));
        }
        free
    }

    pub(super) fn end_copy(&self, log: &PartitionLog) {
        self.logs.locked().copying.remove(&key(log));
    }

    /// Up to where a log has been part of a pass that was completed.
    pub(super) fn first_dirty(&self, log: &PartitionLog) -> Option<i64> {
        let mut logs = self.logs.locked();
        let progress = logs.progress(log)?;
        Some(progress.first_dirty)
    }

    fn config(&self) -> Arc<CleanerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Logs {
    fn progress(&mut self, log: &PartitionLog) -> Option<Progress> {
        let known = self.cleaned.entry(key(log));
        *known.or_insert_with(|| progress::read(&log.dir()))
    }
}

fn key(log: &PartitionLog) -> LogKey {
    (log.topic_id(), log.partition())
}

/// The body of one thread; ends with the storage or when there should be fewer.
fn run(storage: &Weak<Inner>, index: usize) {
    loop {
        let Some(inner) = storage.upgrade() else {
            return;
        };
        let config = inner.cleaner.config();
        if !config.enable || index >= config.threads {
            if let Some(running) = inner.cleaner.running.locked().get_mut(index) {
                *running = false;
            }
            return;
        }
        let pause = match inner.clean_filthiest(&HashSet::new(), true) {
            Some(_) => Duration::ZERO,
            None => Duration::from_millis(config.backoff_ms),
        };
        if inner.pause_cleaner(pause) {
            return;
        }
    }
}

impl Inner {
    /// Waits; true when the storage stops.
    fn pause_cleaner(&self, pause: Duration) -> bool {
        let stop = self.stop.locked();
        if pause.is_zero() {
            return *stop;
        }
        let config = self.cleaner.config();
        let changed = || !Arc::ptr_eq(&config, &self.cleaner.config());
        let (stop, _) = self
            .wake
            .wait_timeout_while(stop, pause, |stop| !*stop && !changed())
            .unwrap_or_else(PoisonError::into_inner);
        *stop
    }

    pub(super) fn start_cleaner_threads(self: &Arc<Inner>) -> Result<(), StorageError> {
        let config = self.cleaner.config();
        if !config.enable {
            return Ok(());
        }
        let mut running = self.cleaner.running.locked();
        for index in 0..config.threads {
            if running.len() <= index {
                running.push(false);
            }
            if std::mem::replace(&mut running[index], true) {
                continue;
            }
            let weak = Arc::downgrade(self);
            let thread = spawn("log-cleaner", move || run(&weak, index)).map_err(|error| {
                running[index] = false;
                StorageError::io("start a thread for", &self.options.data_dir, error)
            })?;
            self.threads.locked().push(thread);
        }
        Ok(())
    }

    pub(super) fn set_cleaner(
        self: &Arc<Inner>,
        config: CleanerConfig,
    ) -> Result<(), StorageError> {
        self.check_open()?;
        let mut current = self
            .cleaner
            .config
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if **current == config {
            return Ok(());
        }
        *current = Arc::new(config);
        drop(current);
        // Taken, so that a thread that is about to wait has either seen the change or is woken.
        drop(self.stop.locked());
        self.wake.notify_all();
        self.start_cleaner_threads()
    }

    pub(super) fn uncleanable(&self) -> Vec<(TopicId, PartitionIndex, Arc<str>)> {
        let logs = self.cleaner.logs.locked();
        let all = logs.uncleanable.iter();
        all.map(|((topic_id, partition), reason)| (*topic_id, *partition, Arc::clone(reason)))
            .collect()
    }

    pub(super) fn run_cleaner(&self) -> CleanerReport {
        let mut report = CleanerReport::default();
        let mut failed = HashSet::new();
        while let Some((key, outcome)) = self.clean_filthiest(&failed, false) {
            match outcome {
                Ok(pass) => report.passes.push(pass),
                Err(reason) => {
                    report.failures.push(reason);
                    failed.insert(key);
                }
            }
        }
        report
    }

    /// One pass over the log that needs it most, `except` those; `None` when none needs it.
    fn clean_filthiest(
        &self,
        except: &HashSet<LogKey>,
        paced: bool,
    ) -> Option<(LogKey, Result<CleanReport, String>)> {
        self.context.check().ok()?;
        let candidate = self.grab_filthiest(except)?;
        let key = key(&candidate.log);
        let outcome = self.clean(&candidate, paced);
        let mut logs = self.cleaner.logs.locked();
        logs.in_progress.remove(&key);
        logs.cleaned.remove(&key);
        let metrics = &self.context.metrics;
        let outcome = match outcome {
            Ok(report) => Ok(report),
            Err(error) => {
                let name = &candidate.log.name;
                let reason = error.reason();
                // A full disk and a log that changed are other things than a log that cannot be read.
                let again = match &error {
                    CleanError::Aborted | CleanError::Storage(_) => true,
                    CleanError::Remote { .. } => {
                        let now = self.context.clock.monotonic();
                        logs.remote_failed.insert(key, now);
                        true
                    }
                    CleanError::Corrupt { .. } => false,
                    CleanError::Io { source, .. } => is_disk_full(source),
                };
                if again {
                    tracing::info!(topic = %name.topic, partition = %name.partition, %reason,
                        "compaction of the partition was broken off");
                } else {
                    tracing::error!(topic = %name.topic, partition = %name.partition, %reason,
                        "the partition cannot be compacted until a restart");
                    logs.uncleanable.insert(key, Arc::clone(&reason));
                }
                add(&metrics.cleaner_failures, 1);
                Err(format!("{name:?}: {reason}"))
            }
        };
        let uncleanable = logs.uncleanable.len() as u64;
        metrics
            .cleaner_uncleanable_partitions
            .store(uncleanable, Ordering::Relaxed);
        drop(logs);
        let stopped = outcome.is_err()
            && paced
            && self.pause_cleaner(Duration::from_millis(
                // What failed once fails at once again: a full disk, say.
                self.cleaner.config().backoff_ms,
            ));
        (!stopped).then_some((key, outcome))
    }

    /// `LogCleanerManager.grabFilthiestCompactedLog`.
    fn grab_filthiest(&self, except: &HashSet<LogKey>) -> Option<Candidate> {
        let compacted: Vec<Arc<PartitionLog>> = self
            .all_logs()
            .into_iter()
            .filter(|log| log.config().cleanup_policy.compact)
            .collect();
        let synced: HashMap<LogKey, i64> = {
            let saved = self.checkpoints.locked();
            let last_base = |log: &Arc<PartitionLog>| {
                let key = key(log);
                let entry = saved.get(&key).filter(|entry| entry.offline.is_none())?;
                Some((key, entry.segments.last()?.base))
            };
            compacted.iter().filter_map(last_base).collect()
        };
        let now_ms = self.context.clock.now_ms();
        let mut logs = self.cleaner.logs.locked();
        let known: HashSet<LogKey> = compacted.iter().map(|log| key(log)).collect();
        logs.cleaned.retain(|key, _| known.contains(key));
        logs.uncleanable.retain(|key, _| known.contains(key));
        logs.remote_failed.retain(|key, _| known.contains(key));
        let now = self.context.clock.monotonic();
        let (mut best, mut count, mut delay_ms): (Option<Candidate>, u64, i64) = (None, 0, 0);
        for log in compacted {
            let key = key(&log);
            let excluded = logs.in_progress.contains(&key)
                || logs.copying.contains(&key)
                || logs.uncleanable.contains_key(&key);
            let Some(synced) = synced
                .get(&key)
                .filter(|_| !excluded && !except.contains(&key))
            else {
                continue;
            };
            let rested = logs
                .remote_failed
                .get(&key)
                .is_none_or(|failed| now.since(*failed) >= REST);
            let facts = Known {
                checkpointed_base: *synced,
                progress: logs.progress(&log),
                remote_works: rested && !self.tiering.is_replacing(&key),
                now_ms,
            };
            let Some((candidate, overdue_ms)) = examine(&log, facts) else {
                continue;
            };
            delay_ms = delay_ms.max(overdue_ms);
            count += 1;
            let filthier = best
                .as_ref()
                .is_none_or(|best| candidate.ratio() > best.ratio());
            if filthier {
                best = Some(candidate);
            }
        }
        let metrics = &self.context.metrics;
        metrics
            .cleaner_cleanable_partitions
            .store(count, Ordering::Relaxed);
        metrics
            .cleaner_compaction_delay_ms
            .store(delay_ms.unsigned_abs(), Ordering::Relaxed);
        let best = best?;
        logs.in_progress.insert(key(&best.log));
        Some(best)
    }

    /// Finishes a swap whose checkpoint could not be written. A pass must not begin before: its files would be taken for
    /// those of that swap.
    fn finish_earlier_swap(&self, log: &PartitionLog) -> Result<(), CleanError> {
        let saved = self.checkpoints.locked();
        let _io = log.io.locked();
        if log.state() != LogState::Online {
            return Err(CleanError::Aborted);
        }
        let dir = log.dir();
        match swap::read(&dir).map_err(CleanError::io("read a swap record"))? {
            Some(_) => self.finish_swap(&dir, &saved).map_err(CleanError::Storage),
            None => Ok(()),
        }
    }

    fn clean(&self, candidate: &Candidate, paced: bool) -> Result<CleanReport, CleanError> {
        let cleaner = self.cleaner.config();
        let clock = &self.context.clock;
        let began = clock.monotonic();
        let log = &candidate.log;
        self.finish_earlier_swap(log)?;
        let pace = |bytes: u64| {
            if log.state() != LogState::Online {
                return Err(CleanError::Aborted);
            }
            if !paced {
                return Ok(());
            }
            let limit = cleaner.max_bytes_per_second;
            let pause = self.cleaner.throttle.note(bytes, limit, clock.monotonic());
            match self.pause_cleaner(pause) {
                true => Err(CleanError::Aborted),
                false => Ok(()),
            }
        };
        let pass = Pass {
            log,
            scope: &candidate.scope,
            config: Arc::clone(&candidate.config),
            cleaner: &cleaner,
            now_ms: clock.now_ms(),
            pace: &pace,
        };
        let local = |group: &[SegmentView], cleaned: &Cleaned| self.swap(log, group, cleaned);
        let remote = |group: &[Arc<RemoteSegment>], cleaned: &Cleaned| {
            self.replace_remote(log, group, cleaned)
        };
        let mut report = pass.run(&Swaps {
            local: &local,
            remote: &remote,
        })?;
        report.elapsed = clock.monotonic().since(began);
        let metrics = &self.context.metrics;
        let count = |counter, amount: u64| add(counter, usize::try_from(amount).unwrap_or(0));
        count(&metrics.cleaner_passes, 1);
        count(
            &metrics.cleaner_read_bytes,
            report.map_bytes_read + report.bytes_before,
        );
        count(&metrics.cleaner_written_bytes, report.bytes_after);
        count(
            &metrics.cleaner_dropped_records,
            report.records_before - report.records_after,
        );
        tracing::info!(topic = log.topic(), partition = %log.partition(),
            from = report.first_dirty_offset.0, to = report.next_dirty_offset.0,
            whole = report.whole, remote_segments_before = report.remote_segments_before,
            segments_before = report.segments_before, segments_after = report.segments_after,
            bytes_before = report.bytes_before, bytes_after = report.bytes_after,
            records_before = report.records_before, records_after = report.records_after,
            map_utilization = report.map_utilization, elapsed = ?report.elapsed,
            "compacted a partition");
        if report.records_without_key > 0 {
            tracing::warn!(topic = log.topic(), partition = %log.partition(),
                count = report.records_without_key,
                "records without a key were dropped from a compacted topic");
        }
        Ok(report)
    }

    /// Puts `cleaned` in the place of `group`; see [`swap`].
    fn swap(
        &self,
        log: &Arc<PartitionLog>,
        group: &[SegmentView],
        cleaned: &Cleaned,
    ) -> Result<(), CleanError> {
        // No checkpoint is taken meanwhile, nothing is flushed, no retention planned, no index rebuilt.
        let mut saved = self.checkpoints.locked();
        let _io = log.io.locked();
        let dir = log.dir();
        let last_base = group.last().map_or(cleaned.view.base, |last| last.base);
        let record = SwapRecord {
            topic_id: log.topic_id(),
            last_base,
            has_txn_index: cleaned.has_txn_index,
            view: cleaned.view,
        };
        let entry = saved.get(&key(log));
        if !replaceable(log, entry, group) {
            return Err(CleanError::Aborted);
        }
        self.context
            .faults
            .check(IoOp::CleanerSwap)
            .and_then(|()| swap::sync_names(&dir, &self.context.faults))
            .map_err(CleanError::io("commit a cleaned segment"))?;
        match record.write(&dir, &self.context.faults) {
            Ok(written) => written.map_err(CleanError::io("commit a cleaned segment"))?,
            Err(error) => return Err(self.broken(log, error)),
        }
        self.swap_in(log, &record, cleaned, group)
            .map_err(|error| self.broken(log, error))?;
        if let Some(entry) = saved.get_mut(&key(log)) {
            record.patch(&mut entry.segments);
        }
        self.finish_swap(&dir, &saved).map_err(CleanError::Storage)
    }

    /// Something failed after the commit. Only a start can finish it.
    fn broken(&self, log: &PartitionLog, error: std::io::Error) -> CleanError {
        let error = StorageError::io("replace segments of", log.dir(), error);
        self.context.fail(error.clone());
        CleanError::Storage(error)
    }

    fn swap_in(
        &self,
        log: &PartitionLog,
        record: &SwapRecord,
        cleaned: &Cleaned,
        group: &[SegmentView],
    ) -> std::io::Result<()> {
        let (store, faults) = (&self.context.store, &self.context.faults);
        let end = group
            .last()
            .map_or(cleaned.view.next_offset, |last| last.next_offset);
        faults.check(IoOp::CleanerSwap)?;
        {
            let mut state = log.state.locked();
            log.swaps.fetch_add(1, Ordering::AcqRel);
            record.adopt(store, &log.name, faults)?;
            record.patch(&mut state.segments);
            state.hints.clear();
            for segment in group {
                log.inherited.locked().forget(segment.base);
            }
            let ended_here = record.view.base..end;
            state
                .aborted
                .retain(|txn| !ended_here.contains(&txn.last_offset.0));
            state.aborted.extend(&cleaned.aborted);
            state.aborted.sort_by_key(|txn| txn.last_offset);
        }
        faults.check(IoOp::CleanerSwap)?;
        let delay = u64::try_from(log.config().file_delete_delay_ms).unwrap_or(0);
        for segment in group.iter().skip(1) {
            store.remove(&log.name, segment.base, Duration::from_millis(delay))?;
        }
        swap::sync_names(&log.dir(), faults)?;
        faults.check(IoOp::CleanerSwap)
    }

    /// The segments of `saved` are the ones on disk: says so in the checkpoint and forgets the swap.
    fn finish_swap(
        &self,
        dir: &std::path::Path,
        saved: &HashMap<LogKey, LogCheckpoint>,
    ) -> Result<(), StorageError> {
        self.put_saved(saved)?;
        self.context
            .faults
            .check(IoOp::CleanerSwap)
            .and_then(|()| swap::forget(dir, &self.context.faults))
            .map_err(|error| StorageError::io("finish a compaction in", dir, error))
    }

    /// Writes the last checkpoint again, as `saved` has it by now.
    pub(super) fn put_saved(
        &self,
        saved: &HashMap<LogKey, LogCheckpoint>,
    ) -> Result<(), StorageError> {
        self.put_checkpoint(&CheckpointFile {
            clean: false,
            trimmed: Lsn(self.trimmed.load(Ordering::Acquire)),
            incarnation: self.journal.incarnation(),
            logs: saved.values().cloned().collect(),
        })
    }

    /// Finishes or undoes what a pass over the log, or a delayed deletion, was doing when the last process ended.
    pub(super) fn complete_cleaning(
        &self,
        name: &LogName,
        saved: Option<&mut LogCheckpoint>,
    ) -> Result<(), StorageError> {
        let store = &self.context.store;
        let dir = store.dir(name);
        let failed = |error| StorageError::io("finish a compaction in", &dir, error);
        if swap::complete(store, name, saved, &self.context.faults).map_err(failed)? {
            self.cleaner.completed.locked().push(dir.clone());
        }
        swap::remove_leftovers(store, name).map_err(failed)
    }

    /// The checkpoint knows of the swaps that the start finished.
    pub(super) fn forget_completed(&self) -> Result<(), StorageError> {
        for dir in self.cleaner.completed.locked().drain(..) {
            // A log of another topic of this name may have been set aside with its directory.
            if dir.exists() {
                swap::forget(&dir, &self.context.faults)
                    .map_err(|error| StorageError::io("finish a compaction in", dir, error))?;
            }
        }
        Ok(())
    }

    /// Up to which offset batches of a log may be missing or others than the journal's. Only asked when everything is
    /// read, for want of a checkpoint.
    pub(super) fn cleaned_before(
        &self,
        name: &LogName,
        config: &LogConfig,
        checkpointed: bool,
    ) -> i64 {
        if checkpointed {
            return i64::MIN;
        }
        let changed_to = progress::changed_to(&self.context.store.dir(name));
        // A file that is damaged says nothing of a log that is not compacted.
        if changed_to == i64::MAX && !config.cleanup_policy.compact {
            return i64::MIN;
        }
        changed_to
    }
}

/// Whether the group is what the log and the checkpoint hold, with a later segment behind it in both.
fn replaceable(log: &PartitionLog, saved: Option<&LogCheckpoint>, group: &[SegmentView]) -> bool {
    let state = log.state.locked();
    let (Some(first), Some(last), Some(saved)) = (group.first(), group.last(), saved) else {
        return false;
    };
    let at = state
        .segments
        .partition_point(|segment| segment.base < first.base);
    let same = |(now, then): (&SegmentView, &SegmentView)| {
        (now.base, now.size, now.next_offset) == (then.base, then.size, then.next_offset)
    };
    let there = state.segments.get(at..at + group.len());
    state.status == LogState::Online
        && saved.offline.is_none()
        && state.segments.len() > at + group.len()
        && there.is_some_and(|there| there.iter().zip(group).all(same))
        && saved
            .segments
            .last()
            .is_some_and(|synced| synced.base > last.base)
}
