//! Appending one batch.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base::{LeaderEpoch, Offset};
use bytes::Bytes;
use wire::control_record::EndTxnMarker;
use wire::record_batch::{BatchHeader, StampedBatch};

use crate::config::FlushPolicy;
use crate::error::{AppendError, StorageError};
use crate::io::LockExt;
use crate::log::producer::Sequence;
use crate::log::{LogState, PartitionLog, State, TailBatch, VerificationGuard};
use crate::lsn::Lsn;
use crate::metrics::add;
use crate::wal::{DurableListener, FrameBody, WalError, WalFrame, WhenToWrite};

/// Who appends (`AppendOrigin`), and what is known of its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AppendOrigin {
    /// A producer: sequences are checked and duplicates recognised. A batch of a transaction is taken as it is.
    Client,
    /// A producer in a transaction: as `Client`, and a batch that begins its transaction in this log needs the
    /// guard under which the coordinator was asked ([`PartitionLog::begin_verification`]).
    VerifiedClient(VerificationGuard),
    /// A coordinator of this broker: the epoch is checked, sequences are not.
    Coordinator,
    /// A coordinator that writes in a client's transaction, with the guard as for `VerifiedClient`.
    VerifiedCoordinator(VerificationGuard),
    /// The transaction coordinator, with a marker of transaction version 2: its epoch is above that of the records
    /// it ends, so that a late marker cannot end a later transaction (KIP-890).
    Marker2,
}

impl AppendOrigin {
    fn is_client(self) -> bool {
        matches!(self, AppendOrigin::Client | AppendOrigin::VerifiedClient(_))
    }

    fn guard(self) -> Option<VerificationGuard> {
        match self {
            AppendOrigin::VerifiedClient(guard) | AppendOrigin::VerifiedCoordinator(guard) => {
                Some(guard)
            }
            AppendOrigin::Client | AppendOrigin::Coordinator | AppendOrigin::Marker2 => None,
        }
    }
}

/// A batch to append.
#[derive(Clone, Debug)]
pub struct AppendBatch {
    /// Exactly one batch of magic 2, validated; kept as it is, but for base offset and leader epoch.
    pub bytes: Bytes,
    /// Its header.
    pub header: BatchHeader,
    /// The leader's epoch, stamped into the batch.
    pub leader_epoch: LeaderEpoch,
    /// Who appends.
    pub origin: AppendOrigin,
    /// When the journal is to write it; without effect where `flush.policy` is not `ack`.
    pub write: WhenToWrite,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record; of the original when it is a duplicate.
    pub base_offset: Offset,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// The time of a `LogAppendTime` batch, -1 for `CreateTime`; of a duplicate the original's largest timestamp, whatever
    /// its type, as `UnifiedLog.append` has it.
    pub log_append_time_ms: i64,
    /// The log's first offset.
    pub log_start_offset: Offset,
    /// Acknowledge only when this is durable ([`crate::Storage::wait_durable`]).
    pub lsn: Lsn,
    /// Whether the batch had been appended before.
    pub duplicate: bool,
}

impl PartitionLog {
    /// Appends `batch` at the log end offset.
    ///
    /// With `flush.policy=ack` this never waits for a disk: it reserves the offsets and returns the LSN to wait for. Else
    /// it writes to the page cache, which may block when the kernel throttles writers, and the batch is
    /// visible at once.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was changed. [`AppendError::Backpressure`] asks for
    /// [`crate::Storage::append_room`].
    pub fn append(&self, batch: AppendBatch, now_ms: i64) -> Result<Appended, AppendError> {
        check_shape(&batch)?;
        let marker = read_marker(&batch);
        {
            let mut state = self.state.locked();
            if state.policy == FlushPolicy::Ack && state.config.flush_policy == FlushPolicy::Ack {
                return self.append_journaled(&mut state, &batch, marker, now_ms);
            }
        }
        self.append_settling(&batch, marker, now_ms)
    }

    /// The path for other policies and for the change between them: takes the io lock first.
    fn append_settling(
        &self,
        batch: &AppendBatch,
        marker: Option<EndTxnMarker>,
        now_ms: i64,
    ) -> Result<Appended, AppendError> {
        let mut io = self.io.locked();
        let mut state = self.state.locked();
        let wanted = state.config.flush_policy;
        if state.policy != wanted {
            let to_journal = wanted == FlushPolicy::Ack;
            if to_journal {
                // What the journal does not have must be on disk before anything that follows it is.
                drop(state);
                self.sync_segments(&mut io).map_err(AppendError::Storage)?;
                state = self.state.locked();
            }
            let settled = state.tail.is_empty() && self.high_watermark().0 == state.log_end;
            if to_journal || state.policy != FlushPolicy::Ack || settled {
                state.policy = wanted;
            }
        }
        if state.policy == FlushPolicy::Ack {
            drop(io);
            return self.append_journaled(&mut state, batch, marker, now_ms);
        }
        if let Some(duplicate) = self.check(&state, batch, marker)? {
            return Ok(duplicate);
        }
        let tail = self.stamp(&state, batch)?;
        let config = Arc::clone(&state.config);
        drop(state);
        let one = [tail];
        self.write_direct(&mut io, &one, &config)
            .map_err(AppendError::Storage)?;
        let [tail] = one;
        let mut state = self.state.locked();
        let appended = self.take_up(&mut state, &tail.header, marker, Lsn::ZERO);
        if let Some(aborted) = appended.1 {
            io.aborted.push(aborted);
            self.write_aborted(&mut io).map_err(AppendError::Storage)?;
            state.aborted.push(aborted);
        }
        state.flushed = state.log_end;
        let log_end = state.log_end;
        drop(state);
        drop(io);
        self.advance(log_end);
        Ok(appended.0)
    }

    /// The path of `flush.policy=ack`.
    fn append_journaled(
        &self,
        state: &mut State,
        batch: &AppendBatch,
        marker: Option<EndTxnMarker>,
        _now_ms: i64,
    ) -> Result<Appended, AppendError> {
        if let Some(duplicate) = self.check(state, batch, marker)? {
            return Ok(duplicate);
        }
        let context = &self.context;
        if context.tail_bytes.load(Ordering::Relaxed) >= 2 * context.tail_limit {
            return Err(AppendError::Backpressure);
        }
        let mut tail = self.stamp(state, batch)?;
        let frame = WalFrame {
            topic_id: self.name.topic_id,
            partition: self.name.partition,
            offset: tail.header.base_offset,
            next_offset: tail.header.next_offset(),
            body: FrameBody::Batch(tail.batch.clone()),
        };
        let listener = self.me.upgrade().map(|me| me as Arc<dyn DurableListener>);
        let lsn = context
            .wal
            .enqueue(frame, listener, batch.write)
            .map_err(append_error)?;
        let (appended, aborted) = self.take_up(state, &tail.header, marker, lsn);
        state.aborted.extend(aborted);
        tail.aborted = aborted;
        let bytes = tail.batch.len();
        state.tail.push_back(tail);
        add(&context.metrics.tail_bytes, bytes);
        let total = context.tail_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if !self.queued.swap(true, Ordering::AcqRel)
            && let Some(me) = self.me.upgrade()
        {
            context.flusher.push(me);
        }
        context.flusher.note(total);
        Ok(appended)
    }

    /// Everything that may refuse the batch, or answer it.
    fn check(
        &self,
        state: &State,
        batch: &AppendBatch,
        marker: Option<EndTxnMarker>,
    ) -> Result<Option<Appended>, AppendError> {
        match &state.status {
            LogState::Online => {}
            LogState::Offline(reason) => {
                let reason = Arc::clone(reason);
                return Err(AppendError::Storage(StorageError::Offline { reason }));
            }
            LogState::Deleted => {
                return Err(AppendError::Storage(StorageError::UnknownPartition {
                    topic_id: self.name.topic_id,
                    partition: self.name.partition,
                }));
            }
        }
        self.context.check().map_err(AppendError::Storage)?;
        if self.context.disk_full.load(Ordering::Relaxed) {
            add(&self.context.metrics.disk_full_refusals, 1);
            return Err(AppendError::Storage(StorageError::DiskFull));
        }
        if let Some(current) = state.epochs.latest()
            && batch.leader_epoch.0 < current
        {
            let epoch = batch.leader_epoch.0;
            return Err(AppendError::FencedLeaderEpoch { epoch, current });
        }
        let limit = state.config.segment_bytes.min(i32::MAX as u32) as usize;
        if batch.bytes.len() > limit {
            return Err(AppendError::TooLarge {
                size: batch.bytes.len(),
                limit,
            });
        }
        let from_client = batch.origin.is_client();
        if batch.origin == AppendOrigin::Marker2 {
            state.producers.check_strict_marker(&batch.header)?;
        }
        match state.producers.check(&batch.header, marker, from_client)? {
            Sequence::New => {
                self.check_transaction(state, batch)?;
                Ok(None)
            }
            Sequence::Duplicate(original) => {
                add(&self.context.metrics.duplicate_batches, 1);
                Ok(Some(Appended {
                    base_offset: Offset(original.first_offset()),
                    last_offset: Offset(original.last_offset),
                    log_append_time_ms: original.timestamp,
                    log_start_offset: self.log_start_offset(),
                    lsn: original.lsn,
                    duplicate: true,
                }))
            }
        }
    }

    /// Refuses a batch that would open a transaction the coordinator does not know of.
    fn check_transaction(&self, state: &State, batch: &AppendBatch) -> Result<(), AppendError> {
        let header = &batch.header;
        let Some(guard) = batch.origin.guard() else {
            return Ok(());
        };
        let begins = header.attributes.is_transactional()
            && !header.attributes.is_control()
            && !state
                .producers
                .has_open_txn(header.producer_id, header.producer_epoch);
        if !begins {
            return Ok(());
        }
        let entry = state.producers.get(header.producer_id);
        state
            .verifications
            .check(guard, header, entry, batch.origin.is_client())
    }

    fn stamp(&self, state: &State, batch: &AppendBatch) -> Result<TailBatch, AppendError> {
        let stamped = StampedBatch::new(&batch.bytes, Offset(state.log_end), batch.leader_epoch)
            .map_err(|error| AppendError::InvalidBatch(error.to_string()))?;
        let mut header = batch.header;
        header.base_offset = state.log_end;
        header.partition_leader_epoch = batch.leader_epoch.0;
        Ok(TailBatch {
            header,
            batch: stamped,
            aborted: None,
        })
    }

    /// The batch is accepted: offsets, producer state and epochs move.
    fn take_up(
        &self,
        state: &mut State,
        header: &BatchHeader,
        marker: Option<EndTxnMarker>,
        lsn: Lsn,
    ) -> (Appended, Option<crate::log::producer::AbortedTxn>) {
        let aborted = state.producers.apply(header, marker, lsn);
        if header.attributes.is_transactional() {
            state.verifications.end(header);
        }
        state
            .epochs
            .assign(header.partition_leader_epoch, header.base_offset);
        state.log_end = header.next_offset();
        self.changed.store(true, Ordering::Release);
        add(&self.context.metrics.appended_batches, 1);
        add(&self.context.metrics.appended_bytes, header.size_in_bytes());
        let appended = Appended {
            base_offset: Offset(header.base_offset),
            last_offset: Offset(header.last_offset()),
            log_append_time_ms: append_time(header),
            log_start_offset: self.log_start_offset(),
            lsn,
            duplicate: false,
        };
        (appended, aborted)
    }
}

fn append_time(header: &BatchHeader) -> i64 {
    if header.attributes.is_log_append_time() {
        header.max_timestamp
    } else {
        -1
    }
}

fn check_shape(batch: &AppendBatch) -> Result<(), AppendError> {
    let header = &batch.header;
    if header.size_in_bytes() != batch.bytes.len() {
        return Err(AppendError::InvalidBatch(format!(
            "{} bytes, but the header says {}",
            batch.bytes.len(),
            header.size_in_bytes()
        )));
    }
    if header.last_offset_delta < 0 {
        return Err(AppendError::InvalidBatch(format!(
            "last offset delta is {}",
            header.last_offset_delta
        )));
    }
    Ok(())
}

pub(crate) fn append_error(error: WalError) -> AppendError {
    match error {
        WalError::QueueFull => AppendError::Backpressure,
        WalError::TooLarge { size, limit } => AppendError::TooLarge { size, limit },
        other => AppendError::Storage(storage_error(other)),
    }
}

pub(crate) fn storage_error(error: WalError) -> StorageError {
    match error {
        WalError::Failed(reason) => StorageError::Failed { reason },
        WalError::DiskFull => StorageError::DiskFull,
        WalError::Closed => StorageError::Closed,
        other @ (WalError::QueueFull | WalError::TooLarge { .. }) => StorageError::Failed {
            reason: other.to_string().into(),
        },
    }
}

/// The marker in a control batch; `None` for other batches.
pub(crate) fn marker_of(bytes: &Bytes) -> Option<EndTxnMarker> {
    let mut records = wire::record_data::records(bytes, 4096).ok()?;
    let record = records.next()?.ok()?;
    EndTxnMarker::decode(&record.key?, record.value.as_ref())
}

fn read_marker(batch: &AppendBatch) -> Option<EndTxnMarker> {
    if batch.header.attributes.is_control() {
        marker_of(&batch.bytes)
    } else {
        None
    }
}
