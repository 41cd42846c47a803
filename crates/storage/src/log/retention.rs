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
use crate::io::LockExt;
use crate::log::index::{
    IndexBuilder, IndexEntries, OFFSET_ENTRY_LEN, SegmentReader, SegmentView, TIME_ENTRY_LEN,
};
use crate::log::{LogState, PartitionLog, State};
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
        let count = self.expired(&state, &config, now_ms);
        if count == 0 {
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
        // What lies between two segments was compacted away.
        let log_start = match state.segments.first() {
            Some(next) => next.base,
            None => gone.last().map_or(0, |segment| segment.next_offset),
        };
        let lsn = if log_start > self.log_start_offset().0 {
            self.move_start(&mut state, log_start)
        } else {
            // An earlier deletion of records moved it; that one may still be on its way to disk.
            Some(self.context.wal.last_lsn())
        };
        let bytes = gone.iter().map(|segment| segment.size).sum();
        Ok(RetentionPlan { bases, bytes, lsn })
    }

    /// How many segments, from the first, have expired (`UnifiedLog.deleteOldSegments`).
    fn expired(&self, state: &State, config: &LogConfig, now_ms: i64) -> usize {
        let log_start = self.log_start_offset().0;
        let total: u64 = state.segments.iter().map(|segment| segment.size).sum();
        let limit = u64::try_from(config.retention_bytes).ok();
        let too_large = limit.is_some_and(|limit| total >= limit);
        let mut excess = limit.map_or(0, |limit| total.saturating_sub(limit));
        let mut count = 0;
        for (index, segment) in state.segments.iter().enumerate() {
            let next = state.segments.get(index + 1);
            let last = next.is_none();
            let below_start = next.is_some_and(|next| next.base <= log_start);
            let by_time = config.retention_ms >= 0
                && now_ms.saturating_sub(segment.largest_timestamp()) > config.retention_ms
                && (!last || (segment.size > 0 && state.tail.is_empty()));
            let by_size = too_large && excess >= segment.size && !last;
            let deletes = config.cleanup_policy.delete && (by_time || by_size);
            if !(below_start || deletes) {
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
