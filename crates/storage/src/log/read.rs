//! Reading: segments as file ranges, the tail as shared buffers.
//!
//! A read may block on the disk for what it must look at itself: index entries and batch headers that are not in the page
//! cache. A reader that goes on where it stopped needs neither index nor header to find its place. The
//! records themselves are not read here; the connection sends the file range.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use base::Offset;
use wire::{Records, RecordsPart};

use crate::error::{ReadError, StorageError};
use crate::io::LockExt;
use crate::log::index::{SegmentError, SegmentReader, SegmentView, Slice};
use crate::log::producer::AbortedTxn;
use crate::log::{LogState, PartitionLog, State};
use crate::metrics::add;
use crate::store::SegmentPart;

/// How far a read may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadLimit {
    /// What is durable: consumers (`READ_UNCOMMITTED`).
    HighWatermark,
    /// What is durable and belongs to no open transaction (`READ_COMMITTED`).
    LastStableOffset,
    /// Everything appended; for what runs inside the broker.
    LogEnd,
}

/// What a read found.
#[derive(Clone, Debug)]
pub struct ReadResult {
    /// Whole batches; the first may begin below the offset asked for.
    pub records: Records,
    /// The high watermark.
    pub high_watermark: Offset,
    /// The last stable offset.
    pub last_stable_offset: Offset,
    /// The log start offset.
    pub log_start_offset: Offset,
    /// Where the next read goes on; the offset asked for when there are no records.
    pub next_offset: Offset,
    /// For [`ReadLimit::LastStableOffset`]: the aborted transactions in what was read, by first offset.
    pub aborted_transactions: Vec<AbortedTxn>,
}

/// How often a read starts over when retention or an index rebuild gets in its way.
const ATTEMPTS: usize = 4;

enum Place {
    Nothing,
    Tail,
    Segment {
        view: SegmentView,
        hint: Option<u64>,
        last: bool,
    },
}

impl PartitionLog {
    /// Reads whole batches from the one that holds `offset`, up to `max_bytes`; with `at_least_one` the first batch is
    /// returned even when it alone is larger (KIP-74).
    ///
    /// An offset between the limit and the log end offset finds no records, as in `UnifiedLog.read`.
    ///
    /// # Errors
    /// [`ReadError::OffsetOutOfRange`] below the log start or above the log end offset; [`ReadError::Tiered`] for an offset that is
    /// only in the remote store, with everything but the records; [`ReadError::Corrupt`] when the segment's bytes are not batches.
    pub fn read(
        &self,
        offset: Offset,
        max_bytes: usize,
        limit: ReadLimit,
        at_least_one: bool,
    ) -> Result<ReadResult, ReadError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let swaps = self.swaps.load(Ordering::Acquire);
            match self.read_once(offset.0, max_bytes, limit, at_least_one) {
                // Compaction replaced what was read.
                Err(_) if self.swaps.load(Ordering::Acquire) != swaps => attempt = 0,
                Err((SegmentError::Index, Some(base))) if attempt < ATTEMPTS => {
                    self.rebuild_index(base)?;
                }
                Err((SegmentError::Io(error), Some(_)))
                    if error.kind() == std::io::ErrorKind::NotFound && attempt < ATTEMPTS => {}
                Err((error, base)) => return Err(self.read_error(error, base)),
                Ok(result) => return result,
            }
        }
    }

    pub(crate) fn read_error(&self, error: SegmentError, base: Option<i64>) -> ReadError {
        let path = self
            .context
            .store
            .path(&self.name, base.unwrap_or_default(), SegmentPart::Log);
        let error = error.into_read_error(path);
        if let ReadError::Corrupt { .. } = error {
            tracing::error!(topic = self.topic(), partition = %self.name.partition,
                error = %error, "read met corrupt bytes");
        }
        error
    }

    /// The partition's status as an error.
    pub(crate) fn check_readable(&self, state: &State) -> Result<(), ReadError> {
        match &state.status {
            LogState::Online => Ok(()),
            LogState::Offline(reason) => Err(ReadError::Storage(StorageError::Offline {
                reason: reason.clone(),
            })),
            LogState::Deleted => Err(ReadError::Storage(StorageError::UnknownPartition {
                topic_id: self.name.topic_id,
                partition: self.name.partition,
            })),
        }
    }

    /// The offset that a read with this limit may not pass.
    pub(crate) fn limit_offset(&self, state: &mut State, limit: ReadLimit) -> i64 {
        match limit {
            ReadLimit::HighWatermark => self.high_watermark().0,
            ReadLimit::LastStableOffset => self.stable_offset(state),
            ReadLimit::LogEnd => state.log_end,
        }
    }

    fn read_once(
        &self,
        offset: i64,
        max_bytes: usize,
        limit: ReadLimit,
        at_least_one: bool,
    ) -> Result<Result<ReadResult, ReadError>, (SegmentError, Option<i64>)> {
        let mut state = self.state.locked();
        if let Err(error) = self.check_readable(&state) {
            return Ok(Err(error));
        }
        let end = self.limit_offset(&mut state, limit);
        let log_start = self.log_start_offset();
        if offset < log_start.0 || offset > state.log_end {
            let limit = Offset(state.log_end);
            let (offset, log_start_offset) = (Offset(offset), log_start);
            return Ok(Err(ReadError::OffsetOutOfRange {
                offset,
                log_start_offset,
                limit,
            }));
        }
        let mut result = ReadResult {
            records: Records::empty(),
            high_watermark: self.high_watermark(),
            last_stable_offset: Offset(self.stable_offset(&mut state)),
            log_start_offset: log_start,
            next_offset: Offset(offset),
            aborted_transactions: Vec::new(),
        };
        if offset < end && offset < local_log_start(&state) && self.is_remote(offset) {
            return Ok(Err(ReadError::Tiered(Box::new(result))));
        }
        match place(&state, offset, end) {
            Place::Nothing => {}
            Place::Tail => self.read_tail(&state, end, max_bytes, at_least_one, &mut result),
            Place::Segment { view, hint, last } => {
                let swaps = self.swaps.load(Ordering::Acquire);
                drop(state);
                let slice = self
                    .read_segment(view, offset, hint, end, max_bytes, at_least_one)
                    .map_err(|error| (error, Some(view.base)))?;
                if let Some(slice) = slice {
                    self.push_slice(view.base, slice, &mut result)
                        .map_err(|error| (error, Some(view.base)))?;
                }
                state = self.state.locked();
                if self.swaps.load(Ordering::Acquire) != swaps {
                    return Err((SegmentError::Replaced, None));
                }
                if let Some(slice) = slice {
                    state
                        .hints
                        .put(offset, slice.next_offset, view.base, slice.end);
                    let left = max_bytes.saturating_sub(result.records.len());
                    if last && slice.end == view.size && state.flushed == slice.next_offset {
                        self.read_tail(&state, end, left, false, &mut result);
                    }
                }
            }
        }
        if limit == ReadLimit::LastStableOffset {
            let upper = result.next_offset.0;
            result.aborted_transactions = aborted_between(&state.aborted, offset, upper);
        }
        Ok(Ok(result))
    }

    fn push_slice(
        &self,
        base: i64,
        slice: Slice,
        result: &mut ReadResult,
    ) -> Result<(), SegmentError> {
        use crate::store::SegmentStore;
        let length = u32::try_from(slice.end - slice.position).unwrap_or(u32::MAX);
        let region = self
            .context
            .store
            .region(&self.name, base, slice.position, length)?;
        add(&self.context.metrics.read_bytes_file, length as usize);
        result.records.push(region);
        result.next_offset = Offset(slice.next_offset);
        Ok(())
    }

    /// A reader of a local segment that checks what an earlier process wrote.
    pub(crate) fn segment_reader(&self, view: SegmentView) -> SegmentReader<'_> {
        SegmentReader::new(&*self.context.store, &self.name, view).checking(&self.inherited)
    }

    /// Follows the batches of a local segment that nobody followed since it was opened ([`crate::log::inherited`]).
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] where one does not follow the other.
    pub(crate) fn check_segment(&self, view: SegmentView) -> Result<(), ReadError> {
        self.segment_reader(view)
            .check(0..view.size)
            .map_err(|error| self.read_error(error, Some(view.base)))
    }

    fn read_segment(
        &self,
        view: SegmentView,
        offset: i64,
        hint: Option<u64>,
        end: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Option<Slice>, SegmentError> {
        let mut reader = self.segment_reader(view);
        // What a hint says is not trusted blindly, and in a compacted log it may point behind a gap.
        let hint = match hint {
            Some(position) => reader.header_at(position)?.and_then(|header| {
                let holds = header.base_offset <= offset && offset <= header.last_offset();
                holds.then_some(position)
            }),
            None => None,
        };
        let position = match hint {
            Some(position) => position,
            None => match reader.find_offset(offset)? {
                Some((position, _)) => position,
                None => return Ok(None),
            },
        };
        let end = if end >= view.next_offset {
            (view.size, view.next_offset)
        } else {
            match reader.find_offset(end)? {
                Some((position, header)) => (position, header.base_offset),
                None => (view.size, view.next_offset),
            }
        };
        // Nor is what an index says.
        match reader.header_at(position)? {
            Some(header) if offset <= header.last_offset() => {
                reader.check_begin(offset, position, &header)?;
            }
            None if position >= end.0 => return Ok(None),
            _ => {
                let reason = format!("the batch there does not hold offset {offset}");
                return Err(SegmentError::Corrupt { position, reason });
            }
        }
        let slice = reader.cut(position, end, max_bytes as u64, at_least_one)?;
        if let Some(slice) = &slice {
            reader.check(slice.position..slice.end)?;
        }
        Ok(slice)
    }

    fn read_tail(
        &self,
        state: &State,
        end: i64,
        max_bytes: usize,
        at_least_one: bool,
        result: &mut ReadResult,
    ) {
        let from = result.next_offset.0;
        let first = state
            .tail
            .partition_point(|tail| tail.header.last_offset() < from);
        let mut left = max_bytes;
        for tail in state.tail.range(first..) {
            let length = tail.batch.len();
            let forced = at_least_one && result.records.is_empty();
            if tail.header.next_offset() > end || (length > left && !forced) {
                break;
            }
            left = left.saturating_sub(length);
            add(&self.context.metrics.read_bytes_tail, length);
            result
                .records
                .push(RecordsPart::Stamped(tail.batch.clone()));
            result.next_offset = Offset(tail.header.next_offset());
        }
    }
}

/// The aborted transactions that overlap a range, by first offset. `aborted` ascends by last offset: what ended
/// before the range is skipped without a look.
pub(crate) fn aborted_between(aborted: &[AbortedTxn], from: i64, upper: i64) -> Vec<AbortedTxn> {
    let first = aborted.partition_point(|txn| txn.last_offset.0 < from);
    let mut overlapping: Vec<AbortedTxn> = aborted
        .iter()
        .skip(first)
        .filter(|txn| txn.first_offset.0 < upper)
        .copied()
        .collect();
    overlapping.sort_by_key(|txn| txn.first_offset);
    overlapping
}

/// The first offset of the segments: below it, if at all, records are in the remote store.
pub(crate) fn local_log_start(state: &State) -> i64 {
    state
        .segments
        .first()
        .map_or(state.flushed, |segment| segment.base)
}

/// Where `offset` is.
fn place(state: &State, offset: i64, end: i64) -> Place {
    if offset >= end {
        return Place::Nothing;
    }
    if offset >= state.flushed {
        return Place::Tail;
    }
    let mut index = state
        .segments
        .partition_point(|segment| segment.base <= offset);
    index = index.saturating_sub(1);
    // A segment whose last batches were compacted away may end below the offset, or hold nothing at all.
    while state
        .segments
        .get(index)
        .is_some_and(|segment| segment.next_offset <= offset || segment.size == 0)
    {
        index += 1;
    }
    match state.segments.get(index) {
        Some(view) => Place::Segment {
            view: *view,
            hint: state.hints.get(offset, view.base),
            last: index + 1 == state.segments.len(),
        },
        None => Place::Nothing,
    }
}

/// The bytes of what a read gave, wherever each part is. Blocks on files that are not in the page cache.
///
/// # Errors
/// When a file cannot be read.
pub fn bytes_of(parts: &[RecordsPart]) -> io::Result<Vec<u8>> {
    let mut all = Vec::with_capacity(parts.iter().map(RecordsPart::len).sum());
    for part in parts {
        match part {
            RecordsPart::Bytes(bytes) => all.extend_from_slice(bytes),
            RecordsPart::Stamped(batch) => {
                all.extend_from_slice(&batch.head);
                all.extend_from_slice(&batch.body);
            }
            RecordsPart::File(region) => {
                let mut bytes = vec![0; region.length as usize];
                region.file.read_exact_at(&mut bytes, region.position)?;
                all.extend(bytes);
            }
        }
    }
    Ok(all)
}
