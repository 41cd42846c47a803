//! One partition's log: Apache Kafka's `UnifiedLog`, over a journal.
//!
//! A batch lives in three places in turn. At append it goes to the *tail* (in memory) and is enqueued to the journal;
//! once durable, the high watermark passes it and the segment writer moves it to the active *segment*; a checkpoint syncs
//! the segment and releases the journal. A read takes segments as file ranges and the tail as shared buffers.
//!
//! Two locks: `io`, held by whoever writes segment files, then `state`, held for a moment. The append path of
//! `flush.policy=ack` takes only `state` and never waits for a disk.
//!
//! **Invariants**
//! - The segments hold what begins at the *local log start*. Without a remote part that is at or below the log start; offsets
//!   between the two are in remote segments ([`crate::tier`]).
//! - `log_start <= segments.end == flushed <= high_watermark <= log_end`.
//! - The tail begins at `flushed` and has no gaps; the order of a partition's frames in the journal is offset order.
//! - Segments hold only what is durable in the journal (or what was acknowledged without it).

pub(crate) mod aborted_index;
mod append;
mod batch_reader;
mod checkpoint;
pub mod epoch;
mod flush;
mod hints;
pub mod index;
pub(crate) mod inherited;
mod offsets;
pub mod producer;
pub(crate) mod read;
mod recover;
mod remote;
mod replay;
mod retention;
mod snapshot;
mod verification;

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use base::{Clock, LeaderEpoch, Offset, PartitionIndex, TopicId};
use tokio::sync::Notify;
use wire::record_batch::{BatchHeader, StampedBatch};

use crate::config::{FlushPolicy, LogConfig};
use crate::error::StorageError;
use crate::flusher::Flusher;
use crate::io::{Faults, LockExt};
use crate::lsn::Lsn;
use crate::metrics::{StorageMetrics, sub};
use crate::store::{LocalDir, LogName};
use crate::tier::Tier;
use crate::wal::{DurableListener, Wal};

pub use append::{AppendBatch, AppendOrigin, Appended};
pub(crate) use append::{marker_of, storage_error as append_to_storage_error};
pub(crate) use checkpoint::{LogCheckpoint, SyncMode};
use epoch::{EpochCache, EpochEndOffset};
pub(crate) use flush::put_aborted;
use hints::ReadHints;
use index::SegmentView;
use inherited::Inherited;
pub use offsets::TimestampOffset;
use producer::{AbortedTxn, ProducerDescription, ProducerStates};
pub use read::{ReadLimit, ReadResult};
pub(crate) use recover::{LogRecovery, RecoveryInput, recover as recover_log};
pub(crate) use remote::RemoteList;
pub use retention::DeletedRecords;
pub(crate) use retention::RetentionPlan;
use verification::Verifications;
pub use verification::{VerificationGuard, VerificationRequest};

/// What all logs of a data directory share.
pub(crate) struct LogContext {
    pub(crate) store: Arc<LocalDir>,
    pub(crate) wal: Arc<dyn Wal>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<StorageMetrics>,
    pub(crate) faults: Faults,
    pub(crate) flusher: Arc<Flusher>,
    /// Bytes in all tails.
    pub(crate) tail_bytes: AtomicUsize,
    pub(crate) tail_limit: usize,
    /// Woken when the tails shrink or an error clears.
    pub(crate) room: Notify,
    /// A segment could not be written for want of space, or there is hardly any left.
    pub(crate) disk_full: AtomicBool,
    /// The remote store, if there is one.
    pub(crate) tier: Option<Arc<Tier>>,
    /// Set once, when segment I/O failed.
    pub(crate) failed: Mutex<Option<StorageError>>,
}

impl fmt::Debug for LogContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogContext")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl LogContext {
    pub(crate) fn fail(&self, error: StorageError) {
        let mut failed = self.failed.locked();
        if failed.is_none() {
            tracing::error!(error = %base::ErrorChain(&error), "the storage failed");
            *failed = Some(StorageError::Failed {
                reason: base::ErrorChain(&error).to_string().into(),
            });
        }
        drop(failed);
        self.room.notify_waiters();
    }

    pub(crate) fn check(&self) -> Result<(), StorageError> {
        match &*self.failed.locked() {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

/// Whether a partition can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogState {
    /// It can.
    Online,
    /// Corruption took it offline; its bytes are kept.
    Offline(Arc<str>),
    /// It was deleted.
    Deleted,
}

/// A batch in memory.
#[derive(Clone, Debug)]
pub(crate) struct TailBatch {
    pub(crate) header: BatchHeader,
    pub(crate) batch: StampedBatch,
    pub(crate) aborted: Option<AbortedTxn>,
}

/// What the state lock guards.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) status: LogState,
    pub(crate) config: Arc<LogConfig>,
    /// The policy in force; follows the config once what was written under the old one is settled.
    pub(crate) policy: FlushPolicy,
    pub(crate) log_end: i64,
    pub(crate) flushed: i64,
    pub(crate) segments: Vec<SegmentView>,
    pub(crate) tail: VecDeque<TailBatch>,
    pub(crate) producers: ProducerStates,
    pub(crate) verifications: Verifications,
    pub(crate) epochs: EpochCache,
    pub(crate) hints: ReadHints,
    /// Aborted transactions whose marker is in a segment, ascending by last offset.
    pub(crate) aborted: Vec<AbortedTxn>,
}

/// The log of one partition. Shared; every method takes `&self`.
pub struct PartitionLog {
    pub(crate) name: LogName,
    pub(crate) context: Arc<LogContext>,
    me: Weak<PartitionLog>,
    high_watermark: AtomicI64,
    log_start: AtomicI64,
    pub(crate) state: Mutex<State>,
    pub(crate) io: Mutex<flush::IoState>,
    /// What an earlier process wrote and nobody looked at yet. Taken last, and for a moment.
    pub(crate) inherited: Mutex<Inherited>,
    /// Whether the flusher knows of it.
    pub(crate) queued: AtomicBool,
    /// Whether something changed since the last checkpoint.
    pub(crate) changed: AtomicBool,
    /// How often compaction replaced segments. It moves before the files do: who finds it unchanged after reading has read
    /// what the views that it began with describe.
    pub(crate) swaps: AtomicU64,
    /// The finished remote segments, by offset.
    pub(crate) remote: Mutex<RemoteList>,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    list: Vec<Weak<Notify>>,
    prune_at: usize,
}

impl fmt::Debug for PartitionLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartitionLog")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl PartitionLog {
    /// An empty log. Touches no disk.
    pub(crate) fn empty(
        name: LogName,
        context: Arc<LogContext>,
        config: LogConfig,
    ) -> Arc<PartitionLog> {
        PartitionLog::build(name, context, config, LogRecovery::default())
    }

    /// A log as recovery found it.
    pub(crate) fn build(
        name: LogName,
        context: Arc<LogContext>,
        config: LogConfig,
        found: LogRecovery,
    ) -> Arc<PartitionLog> {
        let status = match found.offline {
            Some(reason) => LogState::Offline(reason),
            None => LogState::Online,
        };
        let state = State {
            status,
            policy: config.flush_policy,
            config: Arc::new(config),
            log_end: found.log_end,
            flushed: found.log_end,
            segments: found.segments,
            tail: VecDeque::new(),
            producers: found.producers,
            verifications: Verifications::default(),
            epochs: found.epochs,
            hints: ReadHints::default(),
            aborted: found.aborted,
        };
        Arc::new_cyclic(|me| PartitionLog {
            name,
            context,
            me: me.clone(),
            high_watermark: AtomicI64::new(found.log_end),
            log_start: AtomicI64::new(found.log_start),
            state: Mutex::new(state),
            io: Mutex::new(flush::IoState {
                active: found.active,
                new_names: !found.dirty.is_empty(),
                dirty: found.dirty,
                ..flush::IoState::default()
            }),
            inherited: Mutex::new(found.inherited),
            queued: AtomicBool::new(false),
            changed: AtomicBool::new(found.changed),
            swaps: AtomicU64::new(0),
            remote: Mutex::new(found.remote),
            waiters: Mutex::default(),
        })
    }

    /// The topic's name.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.name.topic
    }

    /// The topic's id.
    #[must_use]
    pub fn topic_id(&self) -> TopicId {
        self.name.topic_id
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> PartitionIndex {
        self.name.partition
    }

    /// The log's directory; it appears with the first segment.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.context.store.dir(&self.name)
    }

    /// The offset below which everything is durable and may be read.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark.load(Ordering::Acquire))
    }

    /// The first offset.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        Offset(self.log_start.load(Ordering::Acquire))
    }

    /// The offset that the next record gets. It may run ahead of the high watermark.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        Offset(self.state.locked().log_end)
    }

    /// The first offset of the oldest open transaction, or the high watermark.
    #[must_use]
    pub fn last_stable_offset(&self) -> Offset {
        let mut state = self.state.locked();
        Offset(self.stable_offset(&mut state))
    }

    pub(crate) fn stable_offset(&self, state: &mut State) -> i64 {
        let high_watermark = self.high_watermark().0;
        if !state.producers.has_txns() {
            return high_watermark;
        }
        let unstable = state.producers.first_unstable(high_watermark);
        unstable.map_or(high_watermark, |first| first.min(high_watermark))
    }

    /// Whether the partition can be used.
    #[must_use]
    pub fn state(&self) -> LogState {
        self.state.locked().status.clone()
    }

    /// Bytes of all batches, those not yet in a segment included.
    #[must_use]
    pub fn size_in_bytes(&self) -> u64 {
        let state = self.state.locked();
        let segments: u64 = state.segments.iter().map(|segment| segment.size).sum();
        segments
            + state
                .tail
                .iter()
                .map(|tail| tail.batch.len() as u64)
                .sum::<u64>()
    }

    /// Segments, closed and active.
    #[must_use]
    pub fn segments(&self) -> Vec<SegmentView> {
        self.state.locked().segments.clone()
    }

    /// The configs in force.
    #[must_use]
    pub fn config(&self) -> Arc<LogConfig> {
        Arc::clone(&self.state.locked().config)
    }

    /// Replaces the configs. A new `flush.policy` holds from the first append that finds everything older
    /// settled.
    pub fn set_config(&self, config: LogConfig) {
        self.state.locked().config = Arc::new(config);
    }

    /// The known producers, by id.
    #[must_use]
    pub fn active_producers(&self) -> Vec<ProducerDescription> {
        self.state.locked().producers.describe()
    }

    /// A copy of the producer state, for comparisons.
    #[must_use]
    pub fn producer_states(&self) -> ProducerStates {
        self.state.locked().producers.clone()
    }

    /// Forgets producers that were silent for `expiration_ms` (`producer.id.expiration.ms`).
    pub(crate) fn expire_producers(&self, now_ms: i64, expiration_ms: i64) {
        let mut state = self.state.locked();
        state.verifications.expire(now_ms, expiration_ms);
        if state.producers.expire(now_ms, expiration_ms) > 0 {
            self.changed.store(true, Ordering::Release);
        }
    }

    /// The newest leader epoch in the log.
    #[must_use]
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.state.locked().epochs.latest().map(LeaderEpoch)
    }

    /// A leader of `epoch` begins at the log end offset.
    pub fn begin_epoch(&self, epoch: LeaderEpoch) {
        let mut state = self.state.locked();
        let log_end = state.log_end;
        if state.epochs.assign(epoch.0, log_end) {
            self.changed.store(true, Ordering::Release);
        }
    }

    /// Where `epoch` ends (`LeaderEpochFileCache.endOffsetFor`).
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> EpochEndOffset {
        let state = self.state.locked();
        // The end that a client may know of is the high watermark, not what is still being written.
        state
            .epochs
            .end_offset_for(epoch.0, self.high_watermark().0)
    }

    /// The epoch that `offset` was written in.
    #[must_use]
    pub fn epoch_for_offset(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.state
            .locked()
            .epochs
            .epoch_for(offset.0)
            .map(LeaderEpoch)
    }

    /// Wakes `notify` once, by `notify_one`, when the high watermark advances or the log goes away. Subscribe first, then read,
    /// then wait: nothing is missed so. Dropping the `Notify` is all it takes to leave.
    pub fn subscribe(&self, notify: &Arc<Notify>) {
        let mut waiters = self.waiters.locked();
        if waiters.list.len() >= waiters.prune_at {
            waiters.list.retain(|waiter| waiter.strong_count() > 0);
            waiters.prune_at = (waiters.list.len() * 2).max(16);
        }
        waiters.list.push(Arc::downgrade(notify));
    }

    pub(crate) fn wake_waiters(&self) {
        let list = {
            let mut waiters = self.waiters.locked();
            if waiters.list.is_empty() {
                return;
            }
            std::mem::take(&mut waiters.list)
        };
        for waiter in list {
            if let Some(notify) = waiter.upgrade() {
                notify.notify_one();
            }
        }
    }

    pub(crate) fn set_status(&self, status: LogState) {
        {
            let mut state = self.state.locked();
            if matches!(status, LogState::Deleted) {
                self.release_tail(&mut state);
            }
            state.status = status;
        }
        self.wake_waiters();
    }

    fn release_tail(&self, state: &mut State) {
        let bytes = state.tail.drain(..).map(|tail| tail.batch.len()).sum();
        self.context.tail_bytes.fetch_sub(bytes, Ordering::Relaxed);
        sub(&self.context.metrics.tail_bytes, bytes);
        self.context.room.notify_waiters();
    }

    pub(crate) fn advance(&self, next_offset: i64) {
        self.high_watermark.fetch_max(next_offset, Ordering::AcqRel);
        self.wake_waiters();
    }
}

impl DurableListener for PartitionLog {
    fn on_durable(&self, _lsn: Lsn, next_offset: i64) {
        self.advance(next_offset);
    }
}
