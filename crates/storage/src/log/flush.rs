//! Writing segments: from the tail (behind the journal) or directly (`flush.policy` other than `ack`).
//!
//! Batches go to the active segment in large vectored writes. Log bytes are written first, then index entries, then
//! the new size is published under the state lock: a reader never sees bytes that are not there. After a
//! failed write nothing was published, and the next attempt writes over what the failed one left.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use wire::record_batch::BatchHeader;

use crate::config::LogConfig;
use crate::error::StorageError;
use crate::fault::IoOp;
use crate::io::{BLOCK, LockExt, is_disk_full, start_write_back, sync_dir, write_all_vectored_at};
use crate::log::index::{
    IndexBuilder, IndexEntries, OFFSET_ENTRY_LEN, SegmentView, TIME_ENTRY_LEN,
};
use crate::log::producer::AbortedTxn;
use crate::log::{LogState, PartitionLog, TailBatch};
use crate::metrics::{add, sub};
use crate::store::{SegmentPart, SegmentStore};

/// The most taken from the tail at once.
const CHUNK_BYTES: usize = 8 << 20;
const CHUNK_BATCHES: usize = 4_096;
/// So much of a segment goes to the disk at once, while nobody waits for it.
const WRITE_BACK_BYTES: u64 = 256 << 10;

/// The segment that grows.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) view: SegmentView,
    pub(crate) builder: IndexBuilder,
    /// The largest timestamp of the first batch (`rollingBasedTimestamp`).
    pub(crate) rolling_timestamp: Option<i64>,
    pub(crate) created_ms: i64,
    pub(crate) jitter_ms: i64,
    /// The kernel was asked to write the log part back up to here.
    pub(crate) written_back: u64,
}

/// What the io lock guards.
#[derive(Debug, Default)]
pub(crate) struct IoState {
    pub(crate) active: Option<Active>,
    /// Segments written since the last sync.
    pub(crate) dirty: Vec<i64>,
    /// Files were created since the last sync.
    pub(crate) new_names: bool,
    /// Batches written since the last sync, for `flush.messages`.
    pub(crate) unsynced_records: i64,
    /// When the oldest of them was written, for `flush.ms`.
    pub(crate) unsynced_since: Option<base::Timestamp>,
    /// Transactions whose abort is in a segment and not in its index yet: the disk was full.
    pub(crate) aborted: Vec<AbortedTxn>,
}

impl Active {
    /// `LogSegment.shouldRoll`.
    fn should_roll(&self, header: &BatchHeader, config: &LogConfig, now_ms: i64) -> bool {
        let size = header.size_in_bytes() as u64;
        let max_entries = |entry: usize| u64::from(config.segment_index_bytes) / entry as u64;
        let offsets_full =
            u64::from(self.view.offset_entries) >= max_entries(OFFSET_ENTRY_LEN).max(1);
        let times_full = u64::from(self.view.time_entries)
            >= max_entries(TIME_ENTRY_LEN).saturating_sub(1).max(1);
        let waited = match self.rolling_timestamp {
            Some(first) if header.max_timestamp >= 0 => header.max_timestamp - first,
            _ => now_ms - self.created_ms,
        };
        let limit = u64::from(config.segment_bytes).min(i32::MAX as u64);
        self.view.size + size > limit
            || (self.view.size > 0 && waited > config.segment_ms_max() - self.jitter_ms)
            || (self.view.size > 0 && (offsets_full || times_full))
            || header.last_offset() - self.view.base > i64::from(i32::MAX)
    }
}

impl PartitionLog {
    /// Moves what is durable from the tail to segments. Returns whether anything is left.
    ///
    /// # Errors
    /// [`StorageError::DiskFull`]: try again later, nothing is lost. Anything else has failed the storage.
    pub(crate) fn flush_tail(&self) -> Result<bool, StorageError> {
        let mut io = self.io.locked();
        self.flush_locked(&mut io)
    }

    pub(crate) fn flush_locked(&self, io: &mut IoState) -> Result<bool, StorageError> {
        self.write_aborted(io)?;
        loop {
            let (batches, config) = {
                let state = self.state.locked();
                if state.status != LogState::Online {
                    return Ok(false);
                }
                let durable = self.high_watermark().0;
                let mut bytes = 0;
                let take = state
                    .tail
                    .iter()
                    .take(CHUNK_BATCHES)
                    .take_while(|tail| {
                        bytes += tail.batch.len();
                        tail.header.next_offset() <= durable && bytes <= CHUNK_BYTES + (1 << 20)
                    })
                    .count()
                    .max(usize::from(
                        state
                            .tail
                            .front()
                            .is_some_and(|t| t.header.next_offset() <= durable),
                    ));
                if take == 0 {
                    return Ok(!state.tail.is_empty());
                }
                let batches: Vec<TailBatch> = state.tail.iter().take(take).cloned().collect();
                (batches, Arc::clone(&state.config))
            };
            let mut rest = batches.as_slice();
            while !rest.is_empty() {
                let count = self.write_run(io, rest, &config)?;
                let (written, after) = rest.split_at(count);
                self.publish(io, written);
                self.write_back(io);
                io.aborted.extend(written.iter().filter_map(|t| t.aborted));
                self.write_aborted(io)?;
                rest = after;
            }
            self.write_epochs(io)?;
        }
    }

    /// Has the disk take what the journal holds already in small pieces. Left to the checkpoint, some hundred
    /// megabytes would meet the journal's writes there, and those are what producers wait for.
    fn write_back(&self, io: &mut IoState) {
        let Some(active) = &mut io.active else { return };
        // The last page is still written to.
        let whole = active.view.size & !(BLOCK as u64 - 1);
        if whole.saturating_sub(active.written_back) < WRITE_BACK_BYTES {
            return;
        }
        let base = active.view.base;
        if let Ok(file) = self.context.store.file(&self.name, base, SegmentPart::Log) {
            start_write_back(&file, active.written_back, whole);
        }
        active.written_back = whole;
    }

    /// The written batches leave the tail.
    fn publish(&self, io: &IoState, written: &[TailBatch]) {
        let Some(active) = &io.active else { return };
        let mut state = self.state.locked();
        put_view(&mut state.segments, active.view);
        let mut bytes = 0;
        for _ in 0..written.len().min(state.tail.len()) {
            bytes += state.tail.pop_front().map_or(0, |tail| tail.batch.len());
        }
        if state.tail.is_empty() && state.tail.capacity() > 64 {
            state.tail.shrink_to(16);
        }
        state.flushed = active.view.next_offset;
        drop(state);
        let limit = self.context.tail_limit;
        let before = self.context.tail_bytes.fetch_sub(bytes, Ordering::Relaxed);
        sub(&self.context.metrics.tail_bytes, bytes);
        if before >= limit {
            self.context.room.notify_waiters();
        }
    }

    /// Writes one batch past the journal, for `flush.policy` other than `ack`.
    pub(crate) fn write_direct(
        &self,
        io: &mut IoState,
        one: &[TailBatch; 1],
        config: &LogConfig,
    ) -> Result<(), StorageError> {
        self.write_run(io, one, config)?;
        if let Some(active) = &io.active {
            put_view(&mut self.state.locked().segments, active.view);
        }
        io.unsynced_records += i64::from(one[0].header.record_count);
        io.unsynced_since
            .get_or_insert_with(|| self.context.clock.monotonic());
        if !self.queued.swap(true, Ordering::AcqRel)
            && let Some(me) = self.me.upgrade()
        {
            self.context.flusher.push(me);
        }
        Ok(())
    }

    /// Writes as many of `batches` as belong to one segment, rolling first when the first asks for it. Returns how
    /// many.
    fn write_run(
        &self,
        io: &mut IoState,
        batches: &[TailBatch],
        config: &LogConfig,
    ) -> Result<usize, StorageError> {
        match self.try_write_run(io, batches, config) {
            Ok(count) => Ok(count),
            Err(error) => Err(self.write_failed(error)),
        }
    }

    fn write_failed(&self, error: io::Error) -> StorageError {
        if is_disk_full(&error) {
            self.context.disk_full.store(true, Ordering::Relaxed);
            return StorageError::DiskFull;
        }
        let error = StorageError::io("write a segment of", self.dir(), error);
        self.context.fail(error.clone());
        error
    }

    fn try_write_run(
        &self,
        io: &mut IoState,
        batches: &[TailBatch],
        config: &LogConfig,
    ) -> io::Result<usize> {
        let now_ms = self.context.clock.now_ms();
        let Some(first) = batches.first() else {
            return Ok(0);
        };
        let roll = match &io.active {
            Some(active) => active.should_roll(&first.header, config, now_ms),
            None => true,
        };
        if roll {
            self.roll(io, first.header.base_offset, config, now_ms)?;
        }
        let Some(active) = io.active.as_mut() else {
            return Ok(0);
        };
        active.builder.set_interval(config.index_interval_bytes);
        let mut next = Active {
            builder: active.builder,
            view: active.view,
            ..*active
        };
        let mut entries = IndexEntries::default();
        let mut slices = Vec::with_capacity(batches.len() * 2);
        let mut count = 0;
        for tail in batches {
            if count > 0 && next.should_roll(&tail.header, config, now_ms) {
                break;
            }
            next.builder
                .push(&tail.header, next.view.size, &mut entries);
            next.rolling_timestamp = next
                .rolling_timestamp
                .or_else(|| (tail.header.max_timestamp >= 0).then_some(tail.header.max_timestamp));
            next.view.offset_entries =
                active.view.offset_entries + (entries.offsets.len() / OFFSET_ENTRY_LEN) as u32;
            next.view.time_entries =
                active.view.time_entries + (entries.times.len() / TIME_ENTRY_LEN) as u32;
            next.view.size += tail.batch.len() as u64;
            next.view.next_offset = tail.header.next_offset();
            slices.push(IoSlice::new(&tail.batch.head));
            slices.push(IoSlice::new(&tail.batch.body));
            count += 1;
        }
        (next.view.max_timestamp, next.view.max_timestamp_offset) = next.builder.max_timestamp();
        next.view.modified_ms = now_ms;
        self.context.faults.check(IoOp::SegmentWrite)?;
        let base = active.view.base;
        let file = self
            .context
            .store
            .file(&self.name, base, SegmentPart::Log)?;
        write_all_vectored_at(&file, &mut slices, active.view.size)?;
        self.write_index(&active.view, &entries)?;
        let metrics = &self.context.metrics;
        add(&metrics.segment_writes, 1);
        add(
            &metrics.segment_bytes,
            (next.view.size - active.view.size) as usize,
        );
        *active = next;
        if io.dirty.last() != Some(&base) {
            io.dirty.push(base);
        }
        Ok(count)
    }

    fn write_index(&self, view: &SegmentView, entries: &IndexEntries) -> io::Result<()> {
        let parts = [
            (
                SegmentPart::OffsetIndex,
                &entries.offsets,
                view.offset_entries,
                OFFSET_ENTRY_LEN,
            ),
            (
                SegmentPart::TimeIndex,
                &entries.times,
                view.time_entries,
                TIME_ENTRY_LEN,
            ),
        ];
        for (part, bytes, count, length) in parts {
            if !bytes.is_empty() {
                let file = self.context.store.file(&self.name, view.base, part)?;
                file.write_all_at(bytes, u64::from(count) * length as u64)?;
            }
        }
        Ok(())
    }

    /// Closes the active segment and begins one at `base`.
    fn roll(&self, io: &mut IoState, base: i64, config: &LogConfig, now_ms: i64) -> io::Result<()> {
        if io
            .active
            .as_ref()
            .is_some_and(|active| active.view.size == 0)
        {
            return Ok(());
        }
        self.close_active(io)?;
        let preallocate = config
            .preallocate
            .then_some(u64::from(config.segment_bytes));
        self.context.store.create(&self.name, base, preallocate)?;
        let metadata = self.dir().join("partition.metadata");
        if !metadata.exists() {
            let text = format!("version: 0\ntopic_id: {}", self.name.topic_id);
            crate::io::write_atomic(&metadata, text.as_bytes(), false)?;
        }
        io.new_names = true;
        let jitter = config.segment_jitter_ms.clamp(0, config.segment_ms.max(0)) as u64;
        let random = RandomState::new().hash_one((self.name.uid, base));
        io.active = Some(Active {
            view: SegmentView::empty(base, now_ms),
            builder: IndexBuilder::new(base, config.index_interval_bytes),
            rolling_timestamp: None,
            created_ms: now_ms,
            jitter_ms: if jitter == 0 {
                0
            } else {
                (random % jitter) as i64
            },
            written_back: 0,
        });
        add(&self.context.metrics.segment_rolls, 1);
        Ok(())
    }

    /// `LogSegment.onBecomeInactiveSegment`: the last time index entry. Both indexes are for the next sync: while the segment
    /// was active none took them, not even one that took the last of its records.
    pub(crate) fn close_active(&self, io: &mut IoState) -> io::Result<()> {
        let Some(active) = io.active.as_mut() else {
            return Ok(());
        };
        let mut entries = IndexEntries::default();
        active.builder.push_time(&mut entries);
        self.write_index(&active.view, &entries)?;
        if self.config().preallocate {
            // Gives back what was reserved and not needed.
            let (base, part) = (active.view.base, SegmentPart::Log);
            let file = self.context.store.file(&self.name, base, part)?;
            file.set_len(active.view.size)?;
        }
        active.view.time_entries += (entries.times.len() / TIME_ENTRY_LEN) as u32;
        put_view(&mut self.state.locked().segments, active.view);
        let base = active.view.base;
        if io.dirty.last() != Some(&base) {
            io.dirty.push(base);
        }
        Ok(())
    }

    /// Appends what is to be appended to the index of aborted transactions. What a full disk has no room for stays.
    pub(crate) fn write_aborted(&self, io: &mut IoState) -> Result<(), StorageError> {
        let Some(active) = io.active.as_ref().filter(|_| !io.aborted.is_empty()) else {
            return Ok(());
        };
        let base = active.view.base;
        let path = self
            .context
            .store
            .path(&self.name, base, SegmentPart::TxnIndex);
        let mut bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(self.write_failed(error)),
        };
        for txn in &io.aborted {
            put_aborted(txn, &mut bytes);
        }
        let context = &self.context;
        let put = context.faults.check(IoOp::TxnIndexWrite).and_then(|()| {
            let part = SegmentPart::TxnIndex;
            context.store.put(&self.name, base, part, &bytes)
        });
        put.map_err(|error| self.write_failed(error))?;
        io.aborted.clear();
        Ok(())
    }

    /// Writes `leader-epoch-checkpoint` when it is behind.
    fn write_epochs(&self, _io: &mut IoState) -> Result<(), StorageError> {
        let text = {
            let mut state = self.state.locked();
            state.epochs.take_changed().then(|| state.epochs.to_text())
        };
        let Some(text) = text else { return Ok(()) };
        let path = self.dir().join("leader-epoch-checkpoint");
        crate::io::write_atomic(&path, text.as_bytes(), false)
            .map_err(|error| self.write_failed(error))
    }

    /// Makes everything in segments durable.
    pub(crate) fn sync_segments(&self, io: &mut IoState) -> Result<(), StorageError> {
        let dirty = std::mem::take(&mut io.dirty);
        let new_names = std::mem::take(&mut io.new_names);
        io.unsynced_records = 0;
        io.unsynced_since = None;
        let active = io.active.as_ref().map(|active| active.view.base);
        self.sync_files(&dirty, active, new_names)
    }

    /// Syncs the log part of `bases`, and the indexes of those that are closed.
    pub(crate) fn sync_files(
        &self,
        bases: &[i64],
        active: Option<i64>,
        new_names: bool,
    ) -> Result<(), StorageError> {
        let sync = |base: i64, part: SegmentPart| -> io::Result<()> {
            let began = Instant::now();
            self.context.faults.check(IoOp::SegmentSync)?;
            let store = &self.context.store;
            store.file(&self.name, base, part)?.sync_data()?;
            let path = store.path(&self.name, base, part);
            self.context.faults.done(IoOp::SegmentSync, &path);
            add(&self.context.metrics.segment_syncs, 1);
            self.context
                .metrics
                .segment_sync_latency
                .record(began.elapsed());
            Ok(())
        };
        let all = || -> io::Result<()> {
            let closed = [
                SegmentPart::Log,
                SegmentPart::OffsetIndex,
                SegmentPart::TimeIndex,
            ];
            for base in bases {
                let parts = if active == Some(*base) { 1 } else { 3 };
                for part in closed.iter().take(parts) {
                    match sync(*base, *part) {
                        Ok(()) => {}
                        // Retention was faster.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                        Err(error) => return Err(error),
                    }
                }
            }
            if new_names {
                sync_dir(&self.dir())?;
                sync_dir(self.context.store.root())?;
                self.context.faults.done(IoOp::DirectorySync, &self.dir());
            }
            Ok(())
        };
        all().map_err(|error| {
            // A failed sync may have dropped the pages: nothing that follows can be trusted.
            let error = StorageError::io("sync", self.dir(), error);
            if self.state() == LogState::Online {
                self.context.fail(error.clone());
            }
            error
        })
    }

    /// Syncs by `flush.ms` and `flush.messages`. Returns whether something is left to sync later.
    pub(crate) fn sync_by_interval(&self) -> Result<bool, StorageError> {
        let mut io = self.io.locked();
        let config = self.config();
        if config.flush_policy != crate::config::FlushPolicy::Interval {
            return Ok(false);
        }
        let Some(since) = io.unsynced_since else {
            return Ok(false);
        };
        let age = self.context.clock.monotonic().since(since).as_millis();
        let due = io.unsynced_records >= config.flush_messages
            || i64::try_from(age).unwrap_or(i64::MAX) >= config.flush_ms;
        if due {
            self.sync_segments(&mut io)?;
        }
        Ok(!due)
    }
}

/// An entry of the index of aborted transactions (`AbortedTxn`: version i16, producer id, first, last and last stable
/// offset i64 each).
pub(crate) fn put_aborted(txn: &AbortedTxn, out: &mut Vec<u8>) {
    out.extend(0i16.to_be_bytes());
    out.extend(txn.producer_id.0.to_be_bytes());
    out.extend(txn.first_offset.0.to_be_bytes());
    out.extend(txn.last_offset.0.to_be_bytes());
    out.extend(txn.last_stable_offset.0.to_be_bytes());
}

/// Replaces the view of a segment, or adds it at the end.
pub(crate) fn put_view(segments: &mut Vec<SegmentView>, view: SegmentView) {
    match segments.last_mut() {
        Some(last) if last.base == view.base => *last = view,
        _ => segments.push(view),
    }
}
