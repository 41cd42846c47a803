//! A data directory: its lock, its journal, its logs, and the threads that look after them.
//!
//! ```text
//! <data_dir>/lock          held while a process uses the directory
//!            checkpoint    where recovery begins
//!            ballast       free space kept back, given up when the disk is full
//!            journal/      the ring of journal files
//!            logs/         one directory per partition
//!            remote-log-index-cache/   indexes of remote segments; emptied at each start
//! ```

mod checkpoint_file;
mod cleanable;
mod cleaning;
mod driven;
mod maintenance;
mod open;
mod replacing;
mod tiering;

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use base::{Clock, PartitionIndex, TopicId};
use tokio::sync::watch;

pub(crate) use checkpoint_file::CheckpointFile;
pub use driven::Duty;
pub(super) use driven::flushed;
pub use maintenance::RetentionReport;
pub use open::{OfflinePartition, RecoveryReport};
pub use tiering::TierReport;

use crate::cold::ColdReads;
use crate::config::{LogConfig, StorageOptions};
use crate::error::StorageError;
use crate::fault::IoOp;
use crate::io::{LockExt, write_atomic};
use crate::log::append_to_storage_error;
use crate::log::{LogCheckpoint, LogContext, LogState, PartitionLog, SyncMode};
use crate::lsn::Lsn;
use crate::metrics::{StorageMetrics, add};
use crate::store::LogName;
use crate::wal::journal::LocalJournal;
use crate::wal::{Wal, WalState};

/// With more changed logs than this a checkpoint syncs the file system instead of each file.
const SYNC_ALL_ABOVE: usize = 32;

/// A partition's key.
pub(crate) type LogKey = (TopicId, PartitionIndex);

/// A partition that should exist.
#[derive(Clone, Debug)]
pub struct PartitionSpec {
    /// The topic's name.
    pub topic: String,
    /// The topic's id.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// Its configs.
    pub config: LogConfig,
}

/// Whether the storage takes appends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageStatus {
    /// It does.
    Online,
    /// The disk is full; appends are refused until there is room.
    DiskFull,
    /// An I/O error ended it; only a restart helps.
    Failed(Arc<str>),
    /// It was closed.
    Closed,
}

/// Room on the volume of the data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its size.
    pub total_bytes: u64,
    /// What may still be used.
    pub usable_bytes: u64,
}

/// A data directory. Clones are handles to the same one.
#[derive(Clone)]
pub struct Storage {
    inner: Arc<Handle>,
}

/// What the clones of a [`Storage`] share. The last one stops the threads, which hold the inside only weakly or for a
/// moment.
struct Handle(Arc<Inner>);

impl std::ops::Deref for Handle {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.stop_threads();
        if let Err(error) = self.0.journal.close() {
            tracing::debug!(%error, "storage dropped after its journal failed");
        }
    }
}

struct Inner {
    options: StorageOptions,
    /// The option of the same name, until it is changed.
    producer_id_expiration_ms: AtomicI64,
    context: Arc<LogContext>,
    journal: Arc<LocalJournal>,
    durable: watch::Receiver<WalState>,
    cold_reads: Arc<ColdReads>,
    logs: RwLock<HashMap<LogKey, Arc<PartitionLog>>>,
    /// What the last checkpoint said of each log. Held while one is taken.
    checkpoints: Mutex<HashMap<LogKey, LogCheckpoint>>,
    checkpointed_journal_bytes: AtomicU64,
    /// What the last checkpoint says that the segments have.
    trimmed: AtomicU64,
    next_uid: AtomicU64,
    closed: AtomicBool,
    stop: Mutex<bool>,
    wake: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
    cleaner: cleaning::Cleaner,
    tiering: tiering::Tiering,
    /// Locked for as long as it is open.
    _lock: File,
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage")
            .field("data_dir", &self.inner.options.data_dir)
            .finish()
    }
}

/// Appends whose writing begins when this is dropped, however that comes about: a request that was given up must not leave
/// behind what nobody writes. Dropping it may write on the calling thread, see [`Wal::write_queued`].
#[derive(Debug)]
pub struct QueuedWrites<'a> {
    wal: &'a dyn Wal,
}

impl Drop for QueuedWrites<'_> {
    fn drop(&mut self) {
        self.wal.write_queued();
    }
}

impl Storage {
    /// Opens a data directory, brings back every partition in `partitions` and starts the background threads. Blocks for as
    /// long as recovery takes. Frames and directories of other partitions are ignored; the report names the
    /// directories.
    ///
    /// # Errors
    /// [`StorageError::Locked`], I/O errors. Corruption is no error here: it takes partitions offline.
    pub fn open(
        options: StorageOptions,
        clock: Arc<dyn Clock>,
        partitions: Vec<PartitionSpec>,
    ) -> Result<(Storage, RecoveryReport), StorageError> {
        open::open(options, clock, partitions)
    }

    /// Changes after how many milliseconds idle producers are forgotten, from the next retention run on.
    pub fn set_producer_id_expiration_ms(&self, expiration_ms: i64) {
        self.inner
            .producer_id_expiration_ms
            .store(expiration_ms, Ordering::Relaxed);
    }

    /// Adds a partition. Touches the disk only to see that no directory of this name is in the way.
    ///
    /// # Errors
    /// [`StorageError::PartitionExists`], or I/O errors.
    pub fn create_partition(&self, spec: PartitionSpec) -> Result<Arc<PartitionLog>, StorageError> {
        let inner = &self.inner;
        inner.check_open()?;
        let key = (spec.topic_id, spec.partition);
        let mut logs = inner.logs.write().unwrap_or_else(PoisonError::into_inner);
        if logs.contains_key(&key) {
            let (topic, partition) = (spec.topic, spec.partition);
            return Err(StorageError::PartitionExists { topic, partition });
        }
        let name = inner.name(&spec);
        open::set_aside_stray(&inner.context.store, &name)?;
        let log = PartitionLog::empty(name, Arc::clone(&inner.context), spec.config);
        logs.insert(key, Arc::clone(&log));
        Ok(log)
    }

    /// Deletes a partition: its directory is renamed at once and unlinked after `file.delete.delay.ms`.
    ///
    /// # Errors
    /// [`StorageError::UnknownPartition`], or when the directory cannot be renamed; the partition is gone then
    /// all the same.
    pub fn delete_partition(
        &self,
        topic_id: TopicId,
        partition: PartitionIndex,
    ) -> Result<(), StorageError> {
        let inner = &self.inner;
        let log = {
            let mut logs = inner.logs.write().unwrap_or_else(PoisonError::into_inner);
            logs.remove(&(topic_id, partition))
        };
        let log = log.ok_or(StorageError::UnknownPartition {
            topic_id,
            partition,
        })?;
        log.set_status(LogState::Deleted);
        inner.discard_remote(&log);
        // Whoever writes segments is waited for; from then on the status keeps them out.
        let _io = log.io.locked();
        let store = &inner.context.store;
        store.forget(&log.name);
        let from = log.dir();
        let to = from.with_file_name(format!("{}.{}-delete", log.name.dir_name(), hex(topic_id)));
        let delay = u64::try_from(log.config().file_delete_delay_ms).unwrap_or(0);
        match std::fs::rename(&from, &to) {
            Ok(()) => {
                store.doom(to, Duration::from_millis(delay));
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StorageError::io("rename", from, error)),
        }
    }

    /// The log of a partition.
    #[must_use]
    pub fn partition(
        &self,
        topic_id: TopicId,
        partition: PartitionIndex,
    ) -> Option<Arc<PartitionLog>> {
        let logs = self
            .inner
            .logs
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        logs.get(&(topic_id, partition)).cloned()
    }

    /// All logs, in no order.
    #[must_use]
    pub fn partitions(&self) -> Vec<Arc<PartitionLog>> {
        self.inner.all_logs()
    }

    /// Whether the frame `lsn` is on stable storage.
    #[must_use]
    pub fn is_durable(&self, lsn: Lsn) -> bool {
        lsn <= self.inner.durable.borrow().durable
    }

    /// Waits until the frame `lsn` is on stable storage.
    ///
    /// # Errors
    /// [`StorageError::Failed`] when the journal failed first: the batch may or may not be there after a restart.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn wait_durable(&self, lsn: Lsn) -> Result<(), StorageError> {
        if self.is_durable(lsn) {
            return Ok(());
        }
        let mut state = self.inner.durable.clone();
        loop {
            {
                let now = state.borrow_and_update();
                if lsn <= now.durable {
                    return Ok(());
                }
                if let Some(reason) = &now.failed {
                    return Err(StorageError::Failed {
                        reason: Arc::clone(reason),
                    });
                }
            }
            if state.changed().await.is_err() {
                return Err(StorageError::Closed);
            }
        }
    }

    /// Waits until a batch of `batch_bytes` can be queued: at once, unless the journal or the segment writer is behind.
    /// Await it before each [`PartitionLog::append`]; together with the request size it bounds what is in
    /// memory.
    ///
    /// # Errors
    /// [`StorageError::DiskFull`], [`StorageError::Failed`] or [`StorageError::Closed`], as the append would.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn append_room(&self, batch_bytes: usize) -> Result<(), StorageError> {
        let context = &self.inner.context;
        self.inner.journal.wake();
        loop {
            let notified = context.room.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            context.check()?;
            if context.disk_full.load(Ordering::Relaxed) {
                return Err(StorageError::DiskFull);
            }
            if context.tail_bytes.load(Ordering::Relaxed) < context.tail_limit {
                break;
            }
            notified.await;
        }
        // A batch that never fits is the append's to refuse.
        let batch_bytes = batch_bytes.min(self.inner.journal.max_payload());
        self.inner
            .journal
            .room(batch_bytes)
            .await
            .map_err(append_to_storage_error)
    }

    /// Whether appends are taken.
    #[must_use]
    pub fn status(&self) -> StorageStatus {
        let inner = &self.inner;
        match inner.context.check() {
            Err(StorageError::Closed) => return StorageStatus::Closed,
            Err(error) => return StorageStatus::Failed(error.to_string().into()),
            Ok(()) => {}
        }
        let state = inner.durable.borrow();
        if let Some(reason) = &state.failed {
            return StorageStatus::Failed(Arc::clone(reason));
        }
        if inner.context.disk_full.load(Ordering::Relaxed) || state.disk_full {
            return StorageStatus::DiskFull;
        }
        StorageStatus::Online
    }

    /// Waits until the storage has failed for good; only a restart helps then.
    ///
    /// # Cancel safety
    /// Yes.
    pub async fn failed(&self) -> StorageError {
        let mut journal = self.inner.durable.clone();
        loop {
            let notified = self.inner.context.room.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if let StorageStatus::Failed(reason) = self.status() {
                return StorageError::Failed { reason };
            }
            tokio::select! {
                () = notified => {}
                changed = journal.wait_for(|state| state.failed.is_some()) => {
                    // A journal that is gone without a failure was closed.
                    if changed.is_err() {
                        return StorageError::Closed;
                    }
                }
            }
        }
    }

    /// Syncs all segments, records that and releases the journal. Blocks; runs by itself as well.
    ///
    /// # Errors
    /// When the disk is full or failed; the journal keeps everything then.
    pub fn checkpoint(&self) -> Result<(), StorageError> {
        self.inner.checkpoint(false)
    }

    /// Deletes expired segments of all logs. Blocks; runs by itself every `log.retention.check.interval.ms`.
    pub fn run_retention(&self) -> RetentionReport {
        self.inner.run_retention()
    }

    /// Cleans every log that is worth a pass, as the cleaner's threads do by themselves. Blocks, unthrottled. Only what the
    /// last checkpoint holds is touched: see [`Storage::checkpoint`].
    pub fn run_cleaner(&self) -> crate::cleaner::CleanerReport {
        self.inner.run_cleaner()
    }

    /// One round of tiered storage, as its thread does by itself: copies what is to be copied, deletes what lies below the log starts
    /// and what nothing refers to. Blocks. Takes a checkpoint first, since only what one holds is touched.
    pub fn run_tiering(&self) -> TierReport {
        let mut report = TierReport::default();
        if let Err(error) = self.checkpoint() {
            report.failures.push(base::ErrorChain(&error).to_string());
            return report;
        }
        self.inner.run_tiering(true)
    }

    /// Replaces the settings of tiered storage; without a remote store nothing happens.
    pub fn set_tiering(&self, config: crate::tier::TierConfig) {
        self.inner.set_tiering(config);
    }

    /// Replaces the cleaner's settings; threads begin and end as they say.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn set_cleaner(&self, config: crate::cleaner::CleanerConfig) -> Result<(), StorageError> {
        self.inner.0.set_cleaner(config)
    }

    /// The partitions whose compaction failed, which are not cleaned until a restart, with the reason.
    #[must_use]
    pub fn uncleanable(&self) -> Vec<(TopicId, PartitionIndex, Arc<str>)> {
        self.inner.uncleanable()
    }

    /// Room on the volume.
    ///
    /// # Errors
    /// When the file system does not say.
    pub fn volume(&self) -> Result<Volume, StorageError> {
        volume(&self.inner.options.data_dir)
    }

    /// Holds back the writing of what is appended with [`WhenToWrite::Later`](crate::WhenToWrite::Later) until it is dropped.
    #[must_use]
    pub fn queue_writes(&self) -> QueuedWrites<'_> {
        QueuedWrites {
            wal: &*self.inner.context.wal,
        }
    }

    /// The pipes for reads past the page cache.
    #[must_use]
    pub fn cold_reads(&self) -> &Arc<ColdReads> {
        &self.inner.cold_reads
    }

    /// Counters.
    #[must_use]
    pub fn metrics(&self) -> &Arc<StorageMetrics> {
        &self.inner.context.metrics
    }

    /// The directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.inner.options.data_dir
    }

    /// Makes everything appended durable, checkpoints and stops. Appends are refused from here on. Blocks. A second call does
    /// nothing.
    ///
    /// # Errors
    /// When the journal failed or the checkpoint could not be written; the next open recovers then.
    pub fn close(&self) -> Result<(), StorageError> {
        self.inner.close()
    }
}

impl Inner {
    fn check_open(&self) -> Result<(), StorageError> {
        if self.closed.load(Ordering::Acquire) {
            Err(StorageError::Closed)
        } else {
            Ok(())
        }
    }

    fn name(&self, spec: &PartitionSpec) -> LogName {
        LogName {
            topic: spec.topic.as_str().into(),
            topic_id: spec.topic_id,
            partition: spec.partition,
            uid: self.next_uid.fetch_add(1, Ordering::Relaxed),
        }
    }

    fn all_logs(&self) -> Vec<Arc<PartitionLog>> {
        let logs = self.logs.read().unwrap_or_else(PoisonError::into_inner);
        logs.values().cloned().collect()
    }

    fn checkpoint(&self, clean: bool) -> Result<(), StorageError> {
        // After a failed sync nothing says which pages reached the disk: the journal must keep everything.
        self.context.check()?;
        let mut saved = self.checkpoints.locked();
        // Read before the logs: whatever they flush covers these frames.
        let trimmed = self.durable.borrow().durable;
        let incarnation = self.journal.incarnation();
        let journal_bytes = self.context.metrics.journal_bytes.load(Ordering::Relaxed);
        let logs = self.all_logs();
        let written = self.checkpoint_logs(&logs, &mut saved)?;
        let known: std::collections::HashSet<LogKey> = logs
            .iter()
            .map(|log| (log.topic_id(), log.partition()))
            .collect();
        saved.retain(|key, _| known.contains(key));
        let logs = saved.values().cloned().collect();
        let put = self.put_checkpoint(&CheckpointFile {
            clean,
            trimmed,
            incarnation,
            logs,
        });
        if let Err(error) = put {
            for (log, _) in &written {
                log.changed.store(true, Ordering::Release);
            }
            return Err(error);
        }
        self.trimmed.store(trimmed.0, Ordering::Release);
        self.journal.trim(trimmed);
        self.checkpointed_journal_bytes
            .store(journal_bytes, Ordering::Relaxed);
        for (log, checkpoint) in written {
            log.drop_snapshots(checkpoint.has_snapshot.then_some(checkpoint.recovery_point));
        }
        add(&self.context.metrics.checkpoints, 1);
        Ok(())
    }

    /// Makes every changed log durable and notes what recovery may rely on. Returns those logs.
    fn checkpoint_logs(
        &self,
        logs: &[Arc<PartitionLog>],
        saved: &mut HashMap<LogKey, LogCheckpoint>,
    ) -> Result<Vec<(Arc<PartitionLog>, LogCheckpoint)>, StorageError> {
        let mut changed: Vec<&Arc<PartitionLog>> = logs
            .iter()
            .filter(|log| log.changed.load(Ordering::Acquire))
            .collect();
        // In the same order each time, so that a simulation can repeat a run.
        changed.sort_by_key(|log| (log.topic_id(), log.partition()));
        let mode = if changed.len() > SYNC_ALL_ABOVE {
            SyncMode::Later
        } else {
            SyncMode::Each
        };
        let mut written = Vec::with_capacity(changed.len());
        let mut outcome = Ok(());
        for log in changed {
            let key = (log.topic_id(), log.partition());
            match log.checkpoint(mode) {
                Ok(mut checkpoint) => {
                    if let (Some(_), Some(before)) = (&checkpoint.offline, saved.get(&key)) {
                        // What was known of it when it was whole is all that helps a repair.
                        let offline = checkpoint.offline;
                        checkpoint = LogCheckpoint {
                            offline,
                            ..before.clone()
                        };
                    }
                    written.push((Arc::clone(log), checkpoint.clone()));
                    saved.insert(key, checkpoint);
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        if mode == SyncMode::Later {
            // Also after an error: the logs before it count as written from here on.
            self.sync_all()?;
        }
        outcome.map(|()| written)
    }

    /// Syncs the file system of the logs.
    fn sync_all(&self) -> Result<(), StorageError> {
        let root = self.context.store.root();
        let began = std::time::Instant::now();
        let sync = || -> std::io::Result<()> {
            self.context.faults.check(IoOp::SegmentSync)?;
            rustix::fs::syncfs(File::open(root)?)?;
            self.context.faults.done(IoOp::SegmentSync, root);
            Ok(())
        };
        sync().map_err(|error| {
            let error = StorageError::io("sync", root, error);
            self.context.fail(error.clone());
            error
        })?;
        add(&self.context.metrics.segment_syncs, 1);
        self.context
            .metrics
            .segment_sync_latency
            .record(began.elapsed());
        Ok(())
    }

    fn put_checkpoint(&self, file: &CheckpointFile) -> Result<(), StorageError> {
        let path = checkpoint_path(&self.options.data_dir);
        self.context
            .faults
            .check(IoOp::CheckpointWrite)
            .and_then(|()| write_atomic(&path, &file.encode(), true))
            .map_err(|error| StorageError::io("write", &path, error))?;
        self.context.faults.done(IoOp::CheckpointWrite, &path);
        Ok(())
    }

    fn close(&self) -> Result<(), StorageError> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let journal = self.journal.close().map_err(append_to_storage_error);
        self.stop_threads();
        let done = journal.and_then(|()| self.context.check()).and_then(|()| {
            for log in self.all_logs() {
                let mut io = log.io.locked();
                log.flush_locked(&mut io)?;
                log.close_active(&mut io)
                    .map_err(|error| StorageError::io("close a segment of", log.dir(), error))?;
            }
            self.checkpoint(true)
        });
        let mut failed = self.context.failed.locked();
        failed.get_or_insert(StorageError::Closed);
        drop(failed);
        for log in self.all_logs() {
            log.wake_waiters();
        }
        self.context.room.notify_waiters();
        done
    }

    fn stop_threads(&self) {
        self.stop_tiering();
        *self.stop.locked() = true;
        self.wake.notify_all();
        self.context.flusher.stop();
        for thread in self.threads.locked().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a storage thread panicked");
            }
        }
    }
}

pub(crate) fn checkpoint_path(data_dir: &Path) -> PathBuf {
    data_dir.join("checkpoint")
}

pub(crate) fn journal_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("journal")
}

pub(crate) fn logs_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("logs")
}

pub(crate) fn hex(topic_id: TopicId) -> String {
    topic_id
        .0
        .0
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn volume(path: &Path) -> Result<Volume, StorageError> {
    let stat = rustix::fs::statvfs(path)
        .map_err(|errno| StorageError::io("measure", path, errno.into()))?;
    Ok(Volume {
        total_bytes: stat.f_blocks.saturating_mul(stat.f_frsize),
        usable_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
    })
}
