//! Copying segments to the remote store, deleting them there, and sweeping up (`RemoteLogManager`).
//!
//! A round looks at every log: deletes remote segments below its checkpointed log start, then copies the closed segments that wait.
//! Several threads share a round's logs; a log has a few segments copied and then its turn is over, so that one that is far behind
//! does not hold up the others. What failed is tried again in the next round, and who cannot tell what came of a change reads the
//! manifest first.
//!
//! ```text
//! copy    entry Started ─▶ object .log ─▶ object .indexes ─▶ entry Finished (commit) ─▶ the log's list
//! replace entry Started ─▶ object .log ─▶ object .indexes ─▶ entry Finished and the old ones' Deleting (commit) ─▶ the log's list
//! delete  out of the list ─▶ entry Deleting ─▶ both objects deleted ─▶ entry removed
//! ```

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use base::{Timestamp, Uuid};
use bytes::Bytes;

use crate::cleaner::throttle::Throttle;
use crate::error::{ReadError, StorageError};
use crate::io::LockExt;
use crate::log::index::{OFFSET_ENTRY_LEN, SegmentReader, SegmentView, TIME_ENTRY_LEN};
use crate::log::{LogState, PartitionLog, RemoteList};
use crate::manager::replacing::Replacement;
use crate::manager::{Inner, LogKey, PartitionSpec};
use crate::metrics::add;
use crate::store::{SegmentPart, SegmentStore};
use crate::tier::segment::TXN_ENTRY_LEN;
use crate::tier::{ObjectName, RemoteError, RemoteSegment, RemoteState, Tier, TierConfig};
use crate::wal::journal::spawn;

/// Segments of one log that are copied in one turn.
const SEGMENTS_A_TURN: usize = 4;
/// How often the store is listed for objects that nothing refers to.
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);

/// What a round did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TierReport {
    /// Segments copied.
    pub copied: u64,
    /// Remote segments deleted.
    pub deleted: u64,
    /// Objects that nothing referred to, deleted.
    pub swept: u64,
    /// Whether there is more to copy right now.
    pub more: bool,
    /// What could not be done, with the reason.
    pub failures: Vec<String>,
}

/// What rounds remember.
#[derive(Debug, Default)]
pub(super) struct Tiering {
    /// One round at a time.
    round: Mutex<Round>,
    throttle: Throttle,
    pub(super) stop: AtomicBool,
    random: RandomState,
    ids: AtomicU64,
    /// Replacements of remote segments of which nobody knows yet whether they were made; at most one of each log.
    pub(super) replacing: Mutex<HashMap<LogKey, Replacement>>,
}

#[derive(Debug, Default)]
struct Round {
    /// When the sweep went through last.
    swept: Option<Timestamp>,
}

/// A log with the segments that are copied now.
type Turn = (Arc<PartitionLog>, Vec<SegmentView>);

/// Why a segment was not copied.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error("the segment cannot be read")]
    Local(#[source] io::Error),
    #[error("the segment's indexes do not match it")]
    Indexes,
    #[error("the segment's batches cannot be read")]
    Batches(#[source] ReadError),
    #[error("the segment cannot be copied")]
    Remote(#[source] RemoteError),
}

impl From<RemoteError> for CopyError {
    fn from(error: RemoteError) -> CopyError {
        CopyError::Remote(error)
    }
}

fn key(log: &PartitionLog) -> LogKey {
    (log.topic_id(), log.partition())
}

/// The thread's body; ends with the storage.
fn run(storage: &Weak<Inner>) {
    let (mut more, mut failed) = (false, 0);
    loop {
        let Some(inner) = storage.upgrade() else {
            return;
        };
        let Some(tier) = &inner.context.tier else {
            return;
        };
        let config = tier.config();
        let pause = match more {
            true => Duration::ZERO,
            false => inner.tiering.pause(&config, failed),
        };
        let stop = inner.stop.locked();
        let changed = || !Arc::ptr_eq(&config, &tier.config());
        let (stop, _) = inner
            .wake
            .wait_timeout_while(stop, pause, |stop| !*stop && !changed())
            .unwrap_or_else(PoisonError::into_inner);
        if *stop {
            return;
        }
        drop(stop);
        let report = inner.run_tiering(false);
        if !report.failures.is_empty() {
            tracing::warn!(failures = ?report.failures, "tiered storage could not do everything");
        }
        more = report.more && report.failures.is_empty();
        failed = if report.failures.is_empty() {
            0
        } else {
            failed + 1
        };
    }
}

impl Inner {
    pub(super) fn start_tier_thread(self: &Arc<Inner>) -> Result<(), StorageError> {
        if self.context.tier.is_none() {
            return Ok(());
        }
        let weak = Arc::downgrade(self);
        let thread = spawn("remote-log-manager", move || run(&weak)).map_err(|error| {
            StorageError::io("start a thread for", &self.options.data_dir, error)
        })?;
        self.threads.locked().push(thread);
        Ok(())
    }

    pub(super) fn set_tiering(&self, config: TierConfig) {
        let Some(tier) = &self.context.tier else {
            return;
        };
        if *tier.config() == config {
            return;
        }
        tier.set_config(config);
        drop(self.stop.locked());
        self.wake.notify_all();
    }

    /// Breaks off what is being copied.
    pub(super) fn stop_tiering(&self) {
        self.tiering.stop.store(true, Ordering::Release);
        if let Some(tier) = &self.context.tier {
            tier.store.close();
        }
    }

    /// What the manifest has of each partition; the rest of it is garbage.
    pub(super) fn remote_lists(
        &self,
        specs: &[PartitionSpec],
    ) -> Result<HashMap<LogKey, RemoteList>, StorageError> {
        let Some(tier) = &self.context.tier else {
            return Ok(HashMap::new());
        };
        let entries = tier.manifest.entries().map_err(|error| {
            let error = io::Error::other(error);
            StorageError::io("read the manifest of", &self.options.data_dir, error)
        })?;
        let known: HashSet<LogKey> = specs
            .iter()
            .map(|spec| (spec.topic_id, spec.partition))
            .collect();
        let mut finished: HashMap<LogKey, Vec<Arc<RemoteSegment>>> = HashMap::new();
        for entry in entries {
            let key = (entry.topic_id, entry.partition);
            if entry.state == RemoteState::Finished && known.contains(&key) {
                finished.entry(key).or_default().push(Arc::new(entry));
            } else {
                tier.discard([Arc::new(entry)]);
            }
        }
        let mut lists = HashMap::with_capacity(finished.len());
        for (key, segments) in finished {
            let (list, overlapping) = RemoteList::new(segments);
            tier.discard(overlapping);
            lists.insert(key, list);
        }
        Ok(lists)
    }

    /// The partition is deleted: so is what of it is remote, from the next round on.
    pub(super) fn discard_remote(&self, log: &PartitionLog) {
        if let Some(tier) = &self.context.tier {
            tier.discard(log.remote.locked().take_below(i64::MAX));
        }
    }

    /// One round. `sweep` lists the store however short ago that was.
    pub(super) fn run_tiering(&self, sweep: bool) -> TierReport {
        let mut report = TierReport::default();
        let Some(tier) = &self.context.tier else {
            return report;
        };
        let mut round = self.tiering.round.locked();
        self.settle_replacements(tier, &mut report);
        for segment in tier.take_garbage() {
            self.delete_remote(tier, segment, &mut report);
        }
        let logs = self.all_logs();
        for log in &logs {
            self.delete_below_start(tier, log, &mut report);
        }
        let now = self.context.clock.monotonic();
        let due = round
            .swept
            .is_none_or(|swept| now.since(swept) >= SWEEP_EVERY);
        if sweep || due {
            match self.sweep(tier) {
                Ok(swept) => {
                    round.swept = Some(now);
                    report.swept = swept;
                }
                Err(error) => report.failures.push(base::ErrorChain(&error).to_string()),
            }
        }
        self.copy_all(tier, &logs, &mut report);
        tier.chunks.age();
        if let Ok(ttl_ms) = u64::try_from(tier.config().index_cache_ttl_ms) {
            tier.index_files.expire(Duration::from_millis(ttl_ms));
        }
        self.measure(tier, &logs);
        report
    }

    fn measure(&self, tier: &Tier, logs: &[Arc<PartitionLog>]) {
        let (mut segments, mut bytes) = (0, 0);
        for log in logs {
            let list = log.remote_list();
            segments += list.all().len() as u64;
            bytes += list.all().iter().map(|one| one.view.size).sum::<u64>();
        }
        let metrics = &tier.metrics;
        metrics.remote_segments.store(segments, Ordering::Relaxed);
        metrics.remote_bytes.store(bytes, Ordering::Relaxed);
    }

    // --- deleting

    /// What lies below the log start of the last checkpoint can never be asked for again.
    fn delete_below_start(&self, tier: &Tier, log: &PartitionLog, report: &mut TierReport) {
        let config = log.config().remote;
        if !config.enabled && config.delete_on_disable && log.remote_list().end().is_some() {
            log.leave_remote();
        }
        let saved = self.checkpoints.locked();
        let Some(log_start) = saved.get(&key(log)).map(|entry| entry.log_start) else {
            return;
        };
        drop(saved);
        if log.state() != LogState::Online
            || self.cleaner.is_cleaning(log)
            || self.tiering.is_replacing(&key(log))
        {
            return;
        }
        let gone = log.remote.locked().take_below(log_start);
        for segment in gone {
            self.delete_remote(tier, segment, report);
        }
    }

    fn delete_remote(&self, tier: &Tier, segment: Arc<RemoteSegment>, report: &mut TierReport) {
        match try_delete(tier, &segment) {
            Ok(()) => {
                report.deleted += 1;
                add(&tier.metrics.remote_deleted_segments, 1);
            }
            Err(error) => {
                add(&tier.metrics.remote_delete_errors, 1);
                report.failures.push(base::ErrorChain(&error).to_string());
                tier.discard([segment]);
            }
        }
    }

    /// Deletes the objects whose segment no entry names. See [`crate::tier`] for why that is safe.
    fn sweep(&self, tier: &Tier) -> Result<u64, RemoteError> {
        let mut found: Vec<(String, ObjectName)> = Vec::new();
        tier.store.list(&tier.root, &mut |name| {
            if let Some(parsed) = ObjectName::parse(&tier.root, name) {
                found.push((name.to_owned(), parsed));
            }
        })?;
        if found.is_empty() {
            return Ok(0);
        }
        let entries = tier.manifest.entries()?;
        let named: HashSet<Uuid> = entries.iter().map(|entry| entry.id).collect();
        let mut swept = 0;
        for (name, _) in found
            .iter()
            .filter(|(_, parsed)| !named.contains(&parsed.id))
        {
            tracing::info!(
                object = name,
                "deleting a remote object that nothing refers to"
            );
            tier.store.delete(name)?;
            swept += 1;
            add(&tier.metrics.remote_swept_objects, 1);
        }
        Ok(swept)
    }

    // --- copying

    fn copy_all(&self, tier: &Tier, logs: &[Arc<PartitionLog>], report: &mut TierReport) {
        let now_ms = self.context.clock.now_ms();
        let mut waiting: Vec<Turn> = Vec::new();
        let (mut lag_segments, mut lag_bytes) = (0, 0);
        for log in logs.iter().filter(|log| log.config().copies_to_remote()) {
            let synced = {
                let saved = self.checkpoints.locked();
                let entry = saved.get(&key(log)).filter(|entry| entry.offline.is_none());
                entry.map(|entry| entry.segments.clone())
            };
            // What is copied must not be rewritten meanwhile.
            if !self.cleaner.begin_copy(log) {
                continue;
            }
            let compact = log.config().cleanup_policy.compact;
            let clean = compact.then(|| self.cleaner.first_dirty(log).unwrap_or(i64::MIN));
            let segments = log.copyable(&synced.unwrap_or_default(), clean, now_ms);
            lag_segments += segments.len() as u64;
            lag_bytes += segments.iter().map(|view| view.size).sum::<u64>();
            report.more |= segments.len() > SEGMENTS_A_TURN;
            let turn = segments.into_iter().take(SEGMENTS_A_TURN);
            let turn: Vec<SegmentView> = turn.collect();
            if turn.is_empty() {
                self.cleaner.end_copy(log);
            } else {
                waiting.push((Arc::clone(log), turn));
            }
        }
        let metrics = &tier.metrics;
        metrics
            .remote_copy_lag_segments
            .store(lag_segments, Ordering::Relaxed);
        metrics
            .remote_copy_lag_bytes
            .store(lag_bytes, Ordering::Relaxed);
        let threads = tier.config().copier_threads.clamp(1, waiting.len().max(1));
        let waiting = Mutex::new(waiting);
        let shared = Mutex::new(report);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    loop {
                        let next = waiting.locked().pop();
                        let Some((log, segments)) = next else { return };
                        let (copied, failure) = self.copy_turn(tier, &log, &segments);
                        self.cleaner.end_copy(&log);
                        let mut report = shared.locked();
                        report.copied += copied;
                        report.failures.extend(failure);
                    }
                });
            }
        });
    }

    fn copy_turn(
        &self,
        tier: &Tier,
        log: &PartitionLog,
        segments: &[SegmentView],
    ) -> (u64, Option<String>) {
        let mut copied = 0;
        for view in segments {
            if self.tiering.stop.load(Ordering::Acquire) || log.state() != LogState::Online {
                break;
            }
            let outcome = self.copy(tier, log, *view);
            if log.state() == LogState::Deleted {
                // What was finished after the partition had been deleted would be forgotten.
                self.discard_remote(log);
            }
            match outcome {
                Ok(bytes) => {
                    copied += 1;
                    add(&tier.metrics.remote_copied_segments, 1);
                    tier.metrics
                        .remote_copied_bytes
                        .fetch_add(bytes, Ordering::Relaxed);
                    self.pace(tier, bytes);
                }
                Err(error) => {
                    add(&tier.metrics.remote_copy_errors, 1);
                    let base = view.base;
                    let reason = base::ErrorChain(&error).to_string();
                    return (copied, Some(format!("{:?} at {base}: {reason}", log.name)));
                }
            }
        }
        (copied, None)
    }

    pub(super) fn pace(&self, tier: &Tier, bytes: u64) {
        let rate = tier.config().copy_bytes_per_second as f64;
        let now = self.context.clock.monotonic();
        let pause = self.tiering.throttle.note(bytes, rate, now);
        let stop = self.stop.locked();
        if !pause.is_zero() {
            drop(
                self.wake
                    .wait_timeout_while(stop, pause, |stop| !*stop)
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
    }

    /// Copies one segment. Returns the bytes written.
    fn copy(&self, tier: &Tier, log: &PartitionLog, view: SegmentView) -> Result<u64, CopyError> {
        let (view, indexes) = self.sound_indexes(log, view)?;
        let started = RemoteSegment {
            state: RemoteState::Started,
            topic_id: log.topic_id(),
            partition: log.partition(),
            id: self.tiering.new_id(log, view.base),
            view,
            txn_entries: indexes.txn_entries,
            indexes_crc: crc32c::crc32c(&indexes.bytes),
            epochs: log.epochs_between(view.base, view.next_offset),
        };
        let bytes = view.size + indexes.bytes.len() as u64;
        let done = self.copy_objects(tier, log, &started, indexes.bytes);
        let finished = started.in_state(RemoteState::Finished);
        let done = done.and_then(|()| match tier.manifest.put(&finished) {
            Ok(()) => Ok(()),
            Err(error) => match tier.manifest.entry(&finished) {
                Ok(Some(found)) if found == finished => Ok(()),
                _ => Err(CopyError::Remote(error)),
            },
        });
        match done {
            Ok(()) => {
                log.remote.locked().push(Arc::new(finished));
                Ok(bytes)
            }
            Err(error) => {
                // It may be finished for all we know; it is deleted as one that never was, since nothing relies on it.
                tier.discard([Arc::new(started)]);
                Err(error)
            }
        }
    }

    fn copy_objects(
        &self,
        tier: &Tier,
        log: &PartitionLog,
        segment: &RemoteSegment,
        indexes: Bytes,
    ) -> Result<(), CopyError> {
        tier.manifest.put(segment)?;
        let store = &self.context.store;
        let path = store.path(&log.name, segment.view.base, SegmentPart::Log);
        let name = segment.log_object(&tier.root);
        tier.store.put_file(&name, &path, segment.view.size)?;
        tier.store
            .put(&segment.indexes_object(&tier.root), indexes)?;
        Ok(())
    }

    /// The indexes of a local segment as [`Inner::indexes`] gives them, and the view that counts their entries. They are built anew
    /// when they do not match the segment: in the copy they stay as they are for ever.
    fn sound_indexes(
        &self,
        log: &PartitionLog,
        view: SegmentView,
    ) -> Result<(SegmentView, Indexes), CopyError> {
        log.check_segment(view).map_err(CopyError::Batches)?;
        if let Some(indexes) = self.matching_indexes(log, &view)? {
            return Ok((view, indexes));
        }
        let rebuilt = log.rebuild_index(view.base).map_err(CopyError::Batches)?;
        // Unless the segment was removed or replaced meanwhile. What is copied ends where the next segment begins.
        let rebuilt = rebuilt
            .filter(|now| now.size == view.size && now.next_offset <= view.next_offset)
            .ok_or(CopyError::Indexes)?;
        let rebuilt = SegmentView {
            next_offset: view.next_offset,
            ..rebuilt
        };
        let indexes = self.matching_indexes(log, &rebuilt)?;
        Ok((rebuilt, indexes.ok_or(CopyError::Indexes)?))
    }

    fn matching_indexes(
        &self,
        log: &PartitionLog,
        view: &SegmentView,
    ) -> Result<Option<Indexes>, CopyError> {
        let indexes = match self.indexes(log, view) {
            Ok(indexes) => indexes,
            Err(CopyError::Indexes) => return Ok(None),
            Err(CopyError::Local(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut reader = SegmentReader::new(&*self.context.store, &log.name, *view);
        let matches = reader
            .indexes_match(&indexes.bytes)
            .map_err(|error| CopyError::Batches(log.read_error(error, Some(view.base))))?;
        Ok(matches.then_some(indexes))
    }

    /// The indexes of a local segment, one behind the other.
    fn indexes(&self, log: &PartitionLog, view: &SegmentView) -> Result<Indexes, CopyError> {
        let store = &self.context.store;
        let mut bytes = Vec::new();
        let parts = [
            (
                SegmentPart::OffsetIndex,
                view.offset_entries as usize * OFFSET_ENTRY_LEN,
            ),
            (
                SegmentPart::TimeIndex,
                view.time_entries as usize * TIME_ENTRY_LEN,
            ),
        ];
        for (part, length) in parts {
            let mut index = vec![0; length];
            let read = store.read_at(&log.name, view.base, part, 0, &mut index);
            if read.map_err(CopyError::Local)? != length {
                return Err(CopyError::Indexes);
            }
            bytes.extend(index);
        }
        let path = store.path(&log.name, view.base, SegmentPart::TxnIndex);
        let aborted = match std::fs::read(path) {
            Ok(aborted) => aborted,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(CopyError::Local(error)),
        };
        let txn_entries = aborted.len() / TXN_ENTRY_LEN;
        let aborted = aborted.get(..txn_entries * TXN_ENTRY_LEN);
        bytes.extend_from_slice(aborted.unwrap_or_default());
        Ok(Indexes {
            bytes: bytes.into(),
            txn_entries: u32::try_from(txn_entries).map_err(|_| CopyError::Indexes)?,
        })
    }
}

struct Indexes {
    bytes: Bytes,
    txn_entries: u32,
}

impl Tiering {
    /// How long after a round the next one is, `failed` rounds after the last that went well.
    fn pause(&self, config: &TierConfig, failed: u32) -> Duration {
        let interval = Duration::from_millis(config.task_interval_ms);
        let Some(doublings) = failed.checked_sub(1) else {
            return interval;
        };
        let factor = 1u64.checked_shl(doublings.min(62)).unwrap_or(u64::MAX);
        let backoff_ms = config.retry_backoff_ms.saturating_mul(factor);
        let backoff_ms = backoff_ms.min(config.retry_backoff_max_ms) as f64;
        // Between -1 and 1.
        let random = self.random.hash_one(failed) as f64 / u64::MAX as f64 * 2.0 - 1.0;
        let share = 1.0 + random * config.retry_jitter.clamp(0.0, 0.5);
        Duration::from_secs_f64(backoff_ms * share / 1_000.0).min(interval)
    }

    /// Whether there is a replacement of the log's remote segments whose outcome is not known.
    pub(super) fn is_replacing(&self, key: &LogKey) -> bool {
        self.replacing.locked().contains_key(key)
    }

    /// An id that no segment ever had: 128 bits of a hasher that is seeded by the operating system, over what tells copies apart.
    pub(super) fn new_id(&self, log: &PartitionLog, base: i64) -> Uuid {
        let count = self.ids.fetch_add(1, Ordering::Relaxed);
        let what = (log.topic_id(), log.partition(), base, count);
        let halves = [0u8, 1].map(|half| self.random.hash_one((half, &what)).to_be_bytes());
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(halves.as_flattened()) {
            *to = *from;
        }
        Uuid::from_random(bytes)
    }
}

fn try_delete(tier: &Tier, segment: &RemoteSegment) -> Result<(), RemoteError> {
    tier.index_files.remove(segment.id);
    if tier.manifest.entry(segment)?.is_none() {
        // The entry was never written, or is gone with the objects.
        return Ok(());
    }
    tier.manifest
        .put(&segment.in_state(RemoteState::Deleting))?;
    tier.store.delete(&segment.log_object(&tier.root))?;
    tier.store.delete(&segment.indexes_object(&tier.root))?;
    tier.manifest.remove(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_round_is_followed_sooner_and_then_later_and_later() {
        let tiering = Tiering::default();
        let config = TierConfig {
            retry_jitter: 0.0,
            ..TierConfig::default()
        };
        let pauses = [0, 1, 2, 3, 6, 7, 40, u32::MAX].map(|failed| tiering.pause(&config, failed));
        let expected = [30_000, 500, 1_000, 2_000, 16_000, 30_000, 30_000, 30_000];
        assert_eq!(pauses, expected.map(Duration::from_millis));
        let jitter = TierConfig::default();
        for failed in 1..20 {
            let (plain, random) = (
                tiering.pause(&config, failed),
                tiering.pause(&jitter, failed),
            );
            assert!(
                random >= plain.mul_f64(0.79) && random <= plain.mul_f64(1.21),
                "{random:?}"
            );
        }
        let often = TierConfig {
            task_interval_ms: 50,
            ..config
        };
        assert_eq!(tiering.pause(&often, 3), Duration::from_millis(50));
    }
}
