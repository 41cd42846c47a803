//! Offsets by timestamp (`ListOffsets`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use base::{LeaderEpoch, Offset};
use bytes::{BufMut, Bytes, BytesMut};
use wire::record_batch::{BatchHeader, StampedBatch};
use wire::record_data::records;

use crate::error::ReadError;
use crate::io::LockExt;
use crate::log::index::{SegmentError, SegmentReader, SegmentView};
use crate::log::{PartitionLog, ReadLimit, RemoteList, TailBatch};
use crate::tier::RemoteSegment;

/// The most one batch may decompress to here; one that holds more finds no offset.
const DECOMPRESSED_MAX: usize = 256 << 20;

/// A record, found by its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampOffset {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp.
    pub timestamp_ms: i64,
    /// The epoch it was written in.
    pub leader_epoch: Option<LeaderEpoch>,
}

enum Search {
    /// The first record at or after a time.
    From(i64),
    /// The first record with the batch's largest timestamp.
    Max,
}

impl PartitionLog {
    /// The first record, below the limit, whose timestamp is at or above `timestamp_ms`
    /// (`UnifiedLog.fetchOffsetByTimestamp`). Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] and I/O errors.
    pub fn offset_for_timestamp(
        &self,
        timestamp_ms: i64,
        limit: ReadLimit,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        self.offset_for_timestamp_by(timestamp_ms, limit, None)
    }

    /// As [`PartitionLog::offset_for_timestamp`], waiting for the remote store until `deadline` at the latest. What is only there is
    /// searched first.
    ///
    /// # Errors
    /// [`ReadError::RemotePending`] and [`ReadError::Remote`] as well.
    pub fn offset_for_timestamp_by(
        &self,
        timestamp_ms: i64,
        limit: ReadLimit,
        deadline: Option<Instant>,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        loop {
            let (local, list) = (self.local_log_start_offset(), self.remote_list());
            let found = self.search_whole(&list, timestamp_ms, limit, deadline);
            // What local retention took meanwhile was looked for in neither part, and what was replaced in vain.
            if self.local_log_start_offset() == local && self.remote_list().is(&list) {
                return found;
            }
        }
    }

    fn search_whole(
        &self,
        list: &RemoteList,
        timestamp_ms: i64,
        limit: ReadLimit,
        deadline: Option<Instant>,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let log_start = self.log_start_offset().0;
        let older = self.only_remote(list);
        for segment in older
            .iter()
            .filter(|segment| segment.view.largest_timestamp() >= timestamp_ms)
        {
            let found = self.with_remote(list, segment, deadline, |reader| {
                first_at(reader, timestamp_ms, log_start)
            })?;
            if let Some((offset, timestamp)) = found {
                // What was copied lies below the last stable offset.
                return Ok(self.answer(offset, timestamp, i64::MAX));
            }
        }
        self.undisturbed(|swaps| self.search_timestamp(timestamp_ms, limit, swaps))
    }

    /// Repeats a search as long as compaction replaced segments meanwhile.
    fn undisturbed<T>(&self, search: impl Fn(u64) -> T) -> T {
        loop {
            let swaps = self.swaps.load(Ordering::Acquire);
            let found = search(swaps);
            if self.swaps.load(Ordering::Acquire) == swaps {
                return found;
            }
        }
    }

    fn search_timestamp(
        &self,
        timestamp_ms: i64,
        limit: ReadLimit,
        swaps: u64,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let (segments, tail, end) =
            self.searchable(limit, |tail| tail.header.max_timestamp >= timestamp_ms)?;
        let log_start = self.log_start_offset().0;
        let candidates = segments
            .iter()
            .filter(|s| s.largest_timestamp() >= timestamp_ms && s.next_offset > log_start);
        for view in candidates {
            let found = self.with_reader(*view, swaps, |reader| {
                first_at(reader, timestamp_ms, log_start)
            })?;
            if let Some((offset, timestamp)) = found {
                return Ok(self.answer(offset, timestamp, end));
            }
        }
        let found = tail.and_then(|tail| {
            find_record(&whole(&tail.batch), &Search::From(timestamp_ms), log_start)
        });
        Ok(found.and_then(|(offset, timestamp)| self.answer(offset, timestamp, end)))
    }

    /// The first record that has the largest timestamp of the log (`ListOffsets` -3, KIP-734). Blocks on disk.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] and I/O errors.
    pub fn max_timestamp_offset(&self) -> Result<Option<TimestampOffset>, ReadError> {
        self.max_timestamp_offset_by(None)
    }

    /// As [`PartitionLog::max_timestamp_offset`], waiting for the remote store until `deadline` at the latest.
    ///
    /// Differs: Apache Kafka looks only at what is local.
    ///
    /// # Errors
    /// [`ReadError::RemotePending`] and [`ReadError::Remote`] as well.
    pub fn max_timestamp_offset_by(
        &self,
        deadline: Option<Instant>,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        loop {
            let list = self.remote_list();
            let found = self.search_whole_max(&list, deadline);
            if self.remote_list().is(&list) {
                return found;
            }
        }
    }

    fn search_whole_max(
        &self,
        list: &RemoteList,
        deadline: Option<Instant>,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let mut older: Option<Arc<RemoteSegment>> = None;
        for segment in self.only_remote(list) {
            let beaten = older.as_ref().map_or(-1, |older| older.view.max_timestamp);
            if segment.view.max_timestamp > beaten {
                older = Some(segment);
            }
        }
        let floor = older.as_ref().map_or(-1, |older| older.view.max_timestamp);
        let local = self.undisturbed(|swaps| self.search_max_timestamp(floor, swaps))?;
        let (None, Some(older)) = (local, older) else {
            return Ok(local);
        };
        let batch = self.with_remote(list, &older, deadline, |reader| {
            let found = reader.find_offset(older.view.max_timestamp_offset)?;
            found
                .map(|(position, _)| reader.batch_at(position))
                .transpose()
        })?;
        let found = batch.and_then(|batch| find_record(&batch, &Search::Max, i64::MIN));
        Ok(found.and_then(|(offset, timestamp)| self.answer(offset, timestamp, i64::MAX)))
    }

    /// The first record with the largest timestamp of the local part, if that is above `floor`.
    fn search_max_timestamp(
        &self,
        floor: i64,
        swaps: u64,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let (segments, _, end) = self.searchable(ReadLimit::HighWatermark, |_| false)?;
        let mut best: Option<SegmentView> = None;
        for view in segments.iter().filter(|view| view.max_timestamp > floor) {
            if best.is_none_or(|best| view.max_timestamp > best.max_timestamp) {
                best = Some(*view);
            }
        }
        let floor = best.map_or(floor, |view| view.max_timestamp);
        let tail = self.largest_in_tail(end, floor);
        let batch = match (tail, best) {
            (Some(tail), _) => Some(whole(&tail.batch)),
            (None, Some(view)) => self.with_reader(view, swaps, |reader| {
                let found = reader.find_offset(view.max_timestamp_offset)?;
                found
                    .map(|(position, _)| reader.batch_at(position))
                    .transpose()
            })?,
            (None, None) => None,
        };
        let found = batch.and_then(|batch| find_record(&batch, &Search::Max, i64::MIN));
        Ok(found.and_then(|(offset, timestamp)| self.answer(offset, timestamp, end)))
    }

    fn largest_in_tail(&self, end: i64, floor: i64) -> Option<TailBatch> {
        let state = self.state.locked();
        let mut best: Option<&TailBatch> = None;
        for tail in state
            .tail
            .iter()
            .filter(|tail| tail.header.next_offset() <= end)
        {
            let beaten = best.map_or(floor, |best| best.header.max_timestamp);
            if tail.header.max_timestamp > beaten {
                best = Some(tail);
            }
        }
        best.cloned()
    }

    fn answer(&self, offset: i64, timestamp_ms: i64, end: i64) -> Option<TimestampOffset> {
        (offset < end).then(|| TimestampOffset {
            offset: Offset(offset),
            timestamp_ms,
            leader_epoch: self.epoch_for_offset(Offset(offset)),
        })
    }

    /// The segments, the first batch of the tail that `matches`, and the limit.
    fn searchable(
        &self,
        limit: ReadLimit,
        matches: impl Fn(&TailBatch) -> bool,
    ) -> Result<(Vec<SegmentView>, Option<TailBatch>, i64), ReadError> {
        let mut state = self.state.locked();
        self.check_readable(&state)?;
        let end = self.limit_offset(&mut state, limit);
        let tail = state
            .tail
            .iter()
            .filter(|tail| tail.header.next_offset() <= end)
            .find(|tail| matches(tail))
            .cloned();
        Ok((state.segments.clone(), tail, end))
    }

    /// Runs a search in a segment, rebuilding its indexes once if they do not match it. A segment that retention removed
    /// meanwhile finds nothing.
    fn with_reader<T>(
        &self,
        view: SegmentView,
        swaps: u64,
        search: impl Fn(&mut SegmentReader<'_>) -> Result<Option<T>, SegmentError>,
    ) -> Result<Option<T>, ReadError> {
        let mut view = view;
        for attempt in 0..2 {
            let mut reader = self.segment_reader(view);
            match search(&mut reader) {
                Ok(found) => return Ok(found),
                // Compaction replaced what was read; the caller repeats the search.
                Err(_) if self.swaps.load(Ordering::Acquire) != swaps => return Ok(None),
                Err(SegmentError::Index) if attempt == 0 => match self.rebuild_index(view.base)? {
                    Some(rebuilt) => view = rebuilt,
                    None => return Ok(None),
                },
                Err(SegmentError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Ok(None);
                }
                Err(error) => return Err(self.read_error(error, Some(view.base))),
            }
        }
        Ok(None)
    }
}

/// The first record of a segment at or after a time, from an offset on.
fn first_at(
    reader: &mut SegmentReader<'_>,
    timestamp_ms: i64,
    log_start: i64,
) -> Result<Option<(i64, i64)>, SegmentError> {
    // A batch whose largest timestamp is late enough may hold no such record: compaction emptied it.
    let mut from = log_start;
    while let Some((position, header)) = reader.find_timestamp(timestamp_ms, from)? {
        let batch = reader.batch_at(position)?;
        let found = find_record(&batch, &Search::From(timestamp_ms), log_start);
        if found.is_some() {
            return Ok(found);
        }
        from = header.next_offset();
    }
    Ok(None)
}

fn find_record(batch: &Bytes, search: &Search, from_offset: i64) -> Option<(i64, i64)> {
    let header = BatchHeader::parse(batch).ok()?;
    let wanted = match search {
        Search::From(timestamp) => *timestamp,
        Search::Max => header.max_timestamp,
    };
    let iter = match records(batch, DECOMPRESSED_MAX) {
        Ok(iter) => iter,
        Err(error) => {
            tracing::warn!(%error, offset = header.base_offset, "cannot read the records of a batch");
            return None;
        }
    };
    iter.map_while(Result::ok)
        .find(|record| record.timestamp >= wanted && record.offset >= from_offset)
        .map(|record| (record.offset, record.timestamp))
}

fn whole(batch: &StampedBatch) -> Bytes {
    let mut bytes = BytesMut::with_capacity(batch.len());
    bytes.put_slice(&batch.head);
    bytes.put_slice(&batch.body);
    bytes.freeze()
}
