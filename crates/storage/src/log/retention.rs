//! What makes a log shorter at its start: `DeleteRecords`, retention by time and size; and the repair of indexes.
//!
//! A segment's files go only once the new log start offset is durable: else a crash between the two would look like
//! lost data. So retention is planned here, made durable by the caller, then carried out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base::Offset;

use crate::config::LogConfig;
use crate::error::{ReadError, StorageError};
use crate::fault::IoOp;
use crate::io::LockExt;
use crate::log::index::{
    IndexBuilder, IndexEntries, OFFSET_ENTRY_LEN, SegmentReader, SegmentView, TIME_ENTRY_LEN,
};
use crate::log::read::local_log_start;
use crate::log::{LogState, PartitionLog, RemoteList, State};
use crate::lsn::Lsn;
use crate::metrics::add;
use crate::store::{SegmentPart, SegmentStore};
use crate::wal::{FrameBody, WalFrame, WhenToWrite};

/// The answer to a deletion of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletedRecords {
    /// The log start offset now (`low_watermark`).
    pub log_start_offset: Offset,
    /// Answer when this is durable.
    pub lsn: Lsn,
}

/// Segments that retention took out of a log, whose files are still there.
#[derive(Debug, Default)]
pub(crate) struct RetentionPlan {
    pub(crate) bases: Vec<i64>,
    pub(crate) bytes: u64,
    /// When the new log start is durable; `None` when only a checkpoint can make it so.
    pub(crate) lsn: Option<Lsn>,
    /// The segments may be in the remote store, so the log start says nothing of them: the checkpoint must forget them before
    /// they go.
    pub(crate) tiered: bool,
}

/// How much of a log retention leaves.
struct Cut {
    /// Local segments to remove, from the first.
    count: usize,
    /// The log start offset.
    log_start: i64,
}

/// Limits on age and size; negative for none.
#[derive(Clone, Copy)]
struct Limits {
    ms: i64,
    bytes: i64,
}

/// What a topic's retention says of all of its log; none for a topic that deletes nothing.
fn retention(config: &LogConfig) -> Option<Limits> {
    config.cleanup_policy.delete.then_some(Limits {
        ms: config.retention_ms,
        bytes: config.retention_bytes,
    })
}

impl PartitionLog {
    /// Moves the log start offset up to `before`, or to the high watermark for `None`. Files of whole segments below it go with the
    /// next retention run. On a full disk the new offset is durable only with the next checkpoint.
    ///
    /// # Errors
    /// [`ReadError::OffsetOutOfRange`] above the high watermark or below 0.
    pub fn delete_records(&self, before: Option<Offset>) -> Result<DeletedRecords, ReadError> {
        let mut state = self.state.locked();
        self.check_readable(&state)?;
        self.context.check().map_err(ReadError::Storage)?;
        let limit = self.high_watermark();
        let target = before.unwrap_or(limit);
        let log_start_offset = self.log_start_offset();
        if target > limit || target.0 < 0 {
            return Err(ReadError::OffsetOutOfRange {
                offset: target,
                log_start_offset,
                limit,
            });
        }
        if target <= log_start_offset {
            return Ok(DeletedRecords {
                log_start_offset,
                lsn: Lsn::ZERO,
            });
        }
        let lsn = self.move_start(&mut state, target.0);
        Ok(DeletedRecords {
            log_start_offset: target,
            lsn: lsn.unwrap_or(Lsn::ZERO),
        })
    }

    /// Moves the log start offset up to the local log start: nothing of the log is remote any more.
    pub(crate) fn leave_remote(&self) {
        let mut state = self.state.locked();
        let local = local_log_start(&state);
        if state.status == LogState::Online && local > self.log_start_offset().0 {
            // A full disk keeps the frame out of the journal; the next checkpoint says it then.
            let _lsn = self.move_start(&mut state, local);
        }
    }

    fn move_start(&self, state: &mut State, log_start: i64) -> Option<Lsn> {
        let frame = WalFrame {
            topic_id: self.name.topic_id,
            partition: self.name.partition,
            offset: log_start,
            next_offset: log_start,
            body: FrameBody::LogStartOffset,
        };
        let lsn = self
            .context
            .wal
            .enqueue(frame, None, WhenToWrite::AtOnce)
            .ok();
        self.log_start.store(log_start, Ordering::Release);
        state.epochs.truncate_from_start(log_start);
        state.aborted.retain(|txn| txn.last_offset.0 >= log_start);
        self.changed.store(true, Ordering::Release);
        lsn
    }

    /// Takes expired segments out of the log. Flushes the tail first, since an idle log's active segment expires
    /// as well.
    pub(crate) fn plan_retention(&self, now_ms: i64) -> Result<RetentionPlan, StorageError> {
        let mut io = self.io.locked();
        match self.flush_locked(&mut io) {
            // Just then something must be deleted.
            Ok(_) | Err(StorageError::DiskFull) => {}
            Err(error) => return Err(error),
        }
        let mut state = self.state.locked();
        if state.status != LogState::Online || state.segments.is_empty() {
            return Ok(RetentionPlan::default());
        }
        let config = Arc::clone(&state.config);
        let remote = self.remote_list();
        let tiered = remote.end().is_some();
        let Cut { count, log_start } = if tiered {
            self.cut_tiered(&state, &config, &remote, now_ms)
        } else {
            self.cut(&state, &config, now_ms)
        };
        let moved = log_start > self.log_start_offset().0;
        if count == 0 && !moved {
            return Ok(RetentionPlan::default());
        }
        if count == state.segments.len() {
            // The active segment goes too; the next batch begins a new one.
            io.active = None;
        }
        let gone: Vec<SegmentView> = state.segments.drain(..count).collect();
        state.hints.clear();
        let bases: Vec<i64> = gone.iter().map(|segment| segment.base).collect();
        io.dirty.retain(|base| !bases.contains(base));
        let lsn = if moved {
            self.move_start(&mut state, log_start)
        } else {
            // An earlier deletion of records moved it; that one may still be on its way to disk.
            Some(self.context.wal.last_lsn())
        };
        if tiered {
            let local = local_log_start(&state);
            state.aborted.retain(|txn| txn.last_offset.0 >= local);
            self.changed.store(true, Ordering::Release);
        }
        let bytes = gone.iter().map(|segment| segment.size).sum();
        Ok(RetentionPlan {
            bases,
            bytes,
            lsn,
            tiered,
        })
    }

    fn cut(&self, state: &State, config: &LogConfig, now_ms: i64) -> Cut {
        let segments = &state.segments;
        let limits = retention(config);
        let count = self.expired(segments, limits, state.tail.is_empty(), now_ms);
        // What lies between two segments was compacted away.
        let log_start = match segments.get(count) {
            _ if count == 0 => i64::MIN,
            Some(next) => next.base,
            None => segments.last().map_or(0, |segment| segment.next_offset),
        };
        Cut { count, log_start }
    }

    /// The whole log is the remote segments and the local ones behind them; what of it has expired is below the new log start. Local
    /// segments that are remote as well go by the local retention.
    fn cut_tiered(
        &self,
        state: &State,
        config: &LogConfig,
        remote: &RemoteList,
        now_ms: i64,
    ) -> Cut {
        let old_start = self.log_start_offset().0;
        let remote_end = remote.end().unwrap_or(i64::MIN);
        let tail_is_empty = state.tail.is_empty();
        let local = &state.segments;
        let only_local = local.iter().filter(|view| view.next_offset > remote_end);
        let remote = remote.all().iter().map(|segment| &segment.view);
        let whole: Vec<SegmentView> = remote
            .filter(|view| view.next_offset > old_start)
            .chain(only_local)
            .copied()
            .collect();
        let gone = self.expired(&whole, retention(config), tail_is_empty, now_ms);
        let log_start = match whole.get(gone) {
            _ if gone == 0 => old_start,
            Some(kept) => kept.base.max(old_start),
            None => whole.last().map_or(old_start, |last| last.next_offset),
        };
        // What compaction left out behind a segment goes with it.
        let end_below = |offset: i64| {
            let ends = local.iter().enumerate().map(|(index, view)| {
                let next = local.get(index + 1);
                next.map_or(view.next_offset, |next| next.base)
            });
            ends.take_while(|end| *end <= offset).count()
        };
        let below_start = end_below(log_start);
        let copied = end_below(remote_end).min(local.len().saturating_sub(1));
        let expired = if config.cleanup_policy.compact && config.copies_to_remote() {
            // They had expired when they were copied.
            copied
        } else {
            self.expired_locally(state, now_ms)
        };
        let mut count = below_start.max(expired.min(copied));
        if count == local.len() && gone < whole.len() {
            // The active segment goes only when all of the log has expired.
            count -= 1;
        }
        Cut { count, log_start }
    }

    /// How many local segments, from the first, the local retention takes if they are copied.
    pub(crate) fn expired_locally(&self, state: &State, now_ms: i64) -> usize {
        let config = &state.config;
        let limits = config.copies_to_remote().then(|| Limits {
            ms: config.local_retention_ms(),
            bytes: config.local_retention_bytes(),
        });
        self.expired(&state.segments, limits, state.tail.is_empty(), now_ms)
    }

    /// How many segments, from the first, have expired (`UnifiedLog.deleteOldSegments`). Without limits only those below the log
    /// start have.
    fn expired(
        &self,
        segments: &[SegmentView],
        limits: Option<Limits>,
        tail_is_empty: bool,
        now_ms: i64,
    ) -> usize {
        let log_start = self.log_start_offset().0;
        let total: u64 = segments.iter().map(|segment| segment.size).sum();
        let limit = limits.and_then(|limits| u64::try_from(limits.bytes).ok());
        let too_large = limit.is_some_and(|limit| total >= limit);
        let mut excess = limit.map_or(0, |limit| total.saturating_sub(limit));
        let mut count = 0;
        for (index, segment) in segments.iter().enumerate() {
            let next = segments.get(index + 1);
            let last = next.is_none();
            let below_start = next.is_some_and(|next| next.base <= log_start);
            let by_time = limits.is_some_and(|limits| {
                limits.ms >= 0 && now_ms.saturating_sub(segment.largest_timestamp()) > limits.ms
            }) && (!last || (segment.size > 0 && tail_is_empty));
            let by_size = too_large && excess >= segment.size && !last;
            if !(below_start || by_time || by_size) {
                break;
            }
            excess = excess.saturating_sub(segment.size);
            count += 1;
        }
        count
    }

    /// Removes the files of a plan whose log start is durable.
    pub(crate) fn carry_out(&self, plan: &RetentionPlan) -> Result<(), StorageError> {
        let delay = self.config().file_delete_delay_ms;
        let delay = Duration::from_millis(u64::try_from(delay).unwrap_or(0));
        for base in &plan.bases {
            if plan.tiered {
                self.context
                    .faults
                    .check(IoOp::LocalRetention)
                    .map_err(|error| StorageError::io("remove a segment of", self.dir(), error))?;
            }
            self.context
                .store
                .remove(&self.name, *base, delay)
                .map_err(|error| StorageError::io("remove a segment of", self.dir(), error))?;
            add(&self.context.metrics.segment_deletes, 1);
        }
        Ok(())
    }

    /// Pushes every batch of a segment into `builder`.
    fn index_batches(
        &self,
        view: SegmentView,
        builder: &mut IndexBuilder,
        entries: &mut IndexEntries,
    ) -> Result<(), ReadError> {
        let mut reader = SegmentReader::new(&*self.context.store, &self.name, view);
        let mut position = 0;
        loop {
            match reader.header_at(position) {
                Ok(Some(header)) => {
                    builder.push(&header, position, entries);
                    position += header.size_in_bytes() as u64;
                }
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.read_error(error, Some(view.base))),
            }
        }
    }

    /// Rebuilds both indexes of a segment from its log. `None` when the segment is no longer part of the log.
    pub(crate) fn rebuild_index(&self, base: i64) -> Result<Option<SegmentView>, ReadError> {
        let mut io = self.io.locked();
        let (view, interval) = {
            let state = self.state.locked();
            let view = state
                .segments
                .iter()
                .find(|segment| segment.base == base)
                .copied();
            (view, state.config.index_interval_bytes)
        };
        let Some(mut view) = view else {
            return Ok(None);
        };
        tracing::warn!(topic = self.topic(), partition = %self.name.partition, base,
            "rebuilding the indexes of a segment");
        // An index over headers that are wrong would hide that they are.
        self.check_segment(view)?;
        add(&self.context.metrics.index_rebuilds, 1);
        view.offset_entries = 0;
        view.time_entries = 0;
        let mut builder = IndexBuilder::new(base, interval);
        let mut entries = IndexEntries::default();
        self.index_batches(view, &mut builder, &mut entries)?;
        let is_active = io
            .active
            .as_ref()
            .is_some_and(|active| active.view.base == base);
        if !is_active {
            builder.push_time(&mut entries);
        }
        let put = |part, bytes: &[u8]| {
            self.context
                .store
                .put(&self.name, base, part, bytes)
                .map_err(|error| {
                    ReadError::Storage(StorageError::io("rebuild an index of", self.dir(), error))
                })
        };
        put(SegmentPart::OffsetIndex, &entries.offsets)?;
        put(SegmentPart::TimeIndex, &entries.times)?;
        view.offset_entries = (entries.offsets.len() / OFFSET_ENTRY_LEN) as u32;
        view.time_entries = (entries.times.len() / TIME_ENTRY_LEN) as u32;
        if let Some(active) = io.active.as_mut().filter(|_| is_active) {
            active.view.offset_entries = view.offset_entries;
            active.view.time_entries = view.time_entries;
            active.builder = builder;
        }
        let mut state = self.state.locked();
        if let Some(slot) = state
            .segments
            .iter_mut()
            .find(|segment| segment.base == base)
        {
            slot.offset_entries = view.offset_entries;
            slot.time_entries = view.time_entries;
            view = *slot;
        }
        state.hints.clear();
        self.changed.store(true, Ordering::Release);
        Ok(Some(view))
    }
}
