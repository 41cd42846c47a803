//! One pass over one log: its dirty part into a map, then every segment up to the map's end written again.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::sync::Arc;

use base::Offset;
use bytes::Bytes;
use wire::record_batch::{BATCH_HEADER_LEN, BatchHeader, verify_crc};
use wire::record_data::raw_records;

use crate::cleaner::filter::{Filter, LastRecord, records_of};
use crate::cleaner::offset_map::OffsetMap;
use crate::cleaner::output::{Cleaned, Output, discard};
use crate::cleaner::progress::{self, Progress};
use crate::cleaner::select::{Cleanable, group};
use crate::cleaner::transactions::CleanedTransactions;
use crate::cleaner::{CleanError, CleanReport, CleanerConfig};
use crate::config::LogConfig;
use crate::fault::IoOp;
use crate::io::{LockExt, read_full_at};
use crate::log::index::{SegmentReader, SegmentView};
use crate::log::producer::AbortedTxn;
use crate::log::{LogState, PartitionLog, marker_of};
use crate::store::SegmentPart;

/// A pass in progress.
pub(crate) struct Pass<'a> {
    pub(crate) log: &'a Arc<PartitionLog>,
    pub(crate) cleanable: Cleanable,
    /// Every segment below the first that may not be cleaned.
    pub(crate) segments: Vec<SegmentView>,
    pub(crate) config: Arc<LogConfig>,
    pub(crate) cleaner: &'a CleanerConfig,
    pub(crate) now_ms: i64,
    /// Told of each batch's bytes; may wait, and says when to stop.
    pub(crate) pace: &'a dyn Fn(u64) -> Result<(), CleanError>,
}

/// Puts a written group in the place of the segments it was made of.
pub(crate) type Swap<'a> = dyn Fn(&[SegmentView], &Cleaned) -> Result<(), CleanError> + 'a;

impl Pass<'_> {
    /// Does all of it (`Cleaner.doClean`). The log's first dirty offset is durable when this returns.
    pub(crate) fn run(&self, swap: &Swap<'_>) -> Result<CleanReport, CleanError> {
        let mut report = CleanReport {
            topic: self.log.topic().to_owned(),
            partition: self.log.partition(),
            first_dirty_offset: Offset(self.cleanable.first_dirty),
            ..CleanReport::default()
        };
        let map = self.build_map(&mut report)?;
        let end = map.latest_offset() + 1;
        report.map_keys = map.len() as u64;
        report.map_utilization = map.utilization();
        report.next_dirty_offset = Offset(end);
        let count = self.segments.partition_point(|segment| segment.base < end);
        let segments = self.segments.get(..count).unwrap_or_default();
        let round_end = self.cleanable.first_uncleanable;
        let first = segments.first().map_or(end, |segment| segment.base);
        // The last segment is written again whole, also behind the map's end.
        let last = segments.last().map_or(end, |segment| segment.next_offset);
        let mut transactions = CleanedTransactions::new(self.aborted_between(first, last));
        self.note_progress(self.cleanable.first_dirty, round_end.max(last))?;
        for group in group(segments, &self.config, round_end) {
            let cleaned = self.clean_group(group, &map, &mut transactions, &mut report)?;
            if let Err(error) = swap(group, &cleaned) {
                // After the commit the files are what a restart goes on with.
                if !matches!(error, CleanError::Storage(_)) {
                    discard(self.log, cleaned.view.base);
                }
                return Err(error);
            }
            report.segments_before += group.len() as u64;
            report.segments_after += 1;
            report.bytes_before += group.iter().map(|segment| segment.size).sum::<u64>();
            report.bytes_after += cleaned.view.size;
        }
        self.note_progress(end, round_end.max(last))?;
        Ok(report)
    }

    fn note_progress(&self, first_dirty: i64, changed_to: i64) -> Result<(), CleanError> {
        // Under the lock that a deletion takes: the directory is still this log's.
        let _io = self.log.io.locked();
        if self.log.state() != LogState::Online {
            return Err(CleanError::Aborted);
        }
        let progress = Progress {
            first_dirty,
            changed_to: changed_to.max(first_dirty),
        };
        let dir = self.log.dir();
        progress::write(&dir, progress).map_err(CleanError::io("note the progress"))?;
        let faults = &self.log.context.faults;
        faults.done(IoOp::CleanerWrite, &progress::path(&dir));
        Ok(())
    }

    /// The aborted transactions with a batch in a range.
    fn aborted_between(&self, from: i64, to: i64) -> Vec<AbortedTxn> {
        let state = self.log.state.locked();
        let within = |txn: &&AbortedTxn| txn.last_offset.0 >= from && txn.first_offset.0 < to;
        state.aborted.iter().filter(within).copied().collect()
    }

    /// `Cleaner.buildOffsetMap`.
    fn build_map(&self, report: &mut CleanReport) -> Result<OffsetMap, CleanError> {
        let Cleanable {
            first_dirty: start,
            first_uncleanable: end,
            ..
        } = self.cleanable;
        let records = u64::try_from(end - start).unwrap_or(0);
        let mut map = OffsetMap::new(self.cleaner.map_bytes(), self.cleaner.load_factor, records);
        // A log that begins behind an empty first part has nothing there to look at.
        map.advance(start - 1);
        let mut transactions = CleanedTransactions::new(self.aborted_between(start, end));
        let from = self
            .segments
            .partition_point(|segment| segment.base <= start)
            .saturating_sub(1);
        let dirty = self.segments.get(from..).unwrap_or_default();
        for (index, segment) in dirty.iter().enumerate() {
            let mut batches = Batches::open(self.log, segment, self.cleaner.buffer_bytes())?;
            batches.position = self.place(segment, start);
            while let Some((header, batch)) = batches.next()? {
                let size = header.size_in_bytes() as u64;
                report.map_bytes_read += size;
                if !note_batch(&mut map, &header, batch, start, &mut transactions)? {
                    return Ok(map);
                }
                if header.last_offset() >= start {
                    map.advance(header.last_offset());
                }
                (self.pace)(size)?;
            }
            let next = dirty.get(index + 1).map_or(end, |segment| segment.base);
            map.advance(next - 1);
        }
        Ok(map)
    }

    /// Where to begin in a segment to find `offset`; its start when the index does not help.
    fn place(&self, segment: &SegmentView, offset: i64) -> u64 {
        if segment.base >= offset {
            return 0;
        }
        let store = &*self.log.context.store;
        let mut reader = SegmentReader::new(store, &self.log.name, *segment);
        match reader.find_offset(offset) {
            Ok(Some((position, _))) => position,
            Ok(None) => segment.size,
            Err(_) => 0,
        }
    }

    /// `Cleaner.cleanSegments`, up to the swap.
    fn clean_group(
        &self,
        group: &[SegmentView],
        map: &OffsetMap,
        transactions: &mut CleanedTransactions,
        report: &mut CleanReport,
    ) -> Result<Cleaned, CleanError> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            return Err(CleanError::Aborted);
        };
        let buffer_bytes = self.cleaner.buffer_bytes();
        let (base, modified_ms) = (first.base, last.modified_ms);
        let mut output = Output::create(self.log, base, modified_ms, &self.config, buffer_bytes)?;
        let last_records = self.last_records();
        let mut filter = Filter {
            map,
            now_ms: self.now_ms,
            delete_retention_ms: self.config.delete_retention_ms,
            round_end: self.cleanable.first_uncleanable,
            last_records: &last_records,
            counts: [0; 3],
        };
        for segment in group {
            let mut batches = Batches::open(self.log, segment, buffer_bytes)?;
            while let Some((header, batch)) = batches.next()? {
                let kept = filter
                    .apply(batch, &header, transactions, output.buffer())
                    .map_err(|error| corrupt(segment, header.base_offset, &error))?;
                let mut moved = header.size_in_bytes() as u64;
                if let Some(kept) = kept {
                    output.took(&kept)?;
                    moved += kept.size_in_bytes() as u64;
                }
                (self.pace)(moved)?;
            }
        }
        let [before, after, without_key] = filter.counts;
        report.records_before += before;
        report.records_after += after;
        report.records_without_key += without_key;
        output.finish(transactions.take_kept())
    }

    /// `UnifiedLog.lastRecordsOfActiveProducers`.
    fn last_records(&self) -> HashMap<i64, LastRecord> {
        let state = self.log.state.locked();
        let entries = state.producers.entries.iter();
        entries
            .map(|(id, entry)| {
                let last = LastRecord {
                    last_data_offset: entry.batches.back().map(|batch| batch.last_offset),
                    producer_epoch: entry.epoch,
                };
                (*id, last)
            })
            .collect()
    }
}

/// Notes the keys of a batch. False when the map is full.
fn note_batch(
    map: &mut OffsetMap,
    header: &BatchHeader,
    batch: &[u8],
    start: i64,
    transactions: &mut CleanedTransactions,
) -> Result<bool, CleanError> {
    if header.attributes.is_control() {
        let marker = marker_of(&Bytes::copy_from_slice(batch));
        transactions.on_control(header, marker);
        return Ok(true);
    }
    // What was aborted supersedes nothing.
    if transactions.on_batch(header) || header.record_count <= 0 {
        return Ok(true);
    }
    let malformed = |error: &dyn std::fmt::Display| CleanError::Corrupt {
        reason: format!("the batch at offset {}: {error}", header.base_offset),
    };
    let data = records_of(batch, header).map_err(|error| malformed(&error))?;
    let mut whole = true;
    map.begin_batch(header.base_offset);
    for record in raw_records(&data, header.record_count) {
        let record = record.map_err(|defect| malformed(&defect))?;
        let offset = header.base_offset + i64::from(record.offset_delta);
        let Some(key) = record.key.filter(|_| offset >= start) else {
            whole = false;
            continue;
        };
        if !map.put(key, offset) {
            return Ok(false);
        }
    }
    if whole {
        map.end_batch();
    }
    Ok(true)
}

fn corrupt(segment: &SegmentView, offset: i64, error: &dyn std::fmt::Display) -> CleanError {
    CleanError::Corrupt {
        reason: format!(
            "segment {:020}.log, the batch at offset {offset}: {error}",
            segment.base
        ),
    }
}

/// The batches of a segment, through a window; each one's CRC is checked.
struct Batches<'a> {
    segment: &'a SegmentView,
    file: File,
    position: u64,
    window: Vec<u8>,
    window_at: u64,
    window_bytes: usize,
}

impl<'a> Batches<'a> {
    fn open(
        log: &PartitionLog,
        segment: &'a SegmentView,
        window_bytes: usize,
    ) -> Result<Batches<'a>, CleanError> {
        // A handle of its own, read in order; those of the store are meant for readers anywhere.
        let store = &log.context.store;
        let path = store.path(&log.name, segment.base, SegmentPart::Log);
        let file = match File::open(path) {
            Ok(file) => file,
            // Retention or a deletion was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CleanError::Aborted);
            }
            Err(source) => {
                let action = "open a segment";
                return Err(CleanError::Io { action, source });
            }
        };
        Ok(Batches {
            segment,
            file,
            position: 0,
            window: Vec::new(),
            window_at: 0,
            window_bytes,
        })
    }

    /// Makes the window hold `length` bytes at the position, if the segment does.
    fn fill(&mut self, length: usize) -> Result<(), CleanError> {
        let end = self.window_at + self.window.len() as u64;
        if self.position >= self.window_at && self.position + length as u64 <= end {
            return Ok(());
        }
        let left = usize::try_from(self.segment.size - self.position).unwrap_or(usize::MAX);
        self.window
            .resize(length.max(self.window_bytes).min(left), 0);
        let read = read_full_at(&self.file, &mut self.window, self.position)
            .map_err(CleanError::io("read a segment"))?;
        self.window.truncate(read);
        self.window_at = self.position;
        Ok(())
    }

    fn at(&self) -> &[u8] {
        let from = usize::try_from(self.position - self.window_at).unwrap_or(usize::MAX);
        self.window.get(from..).unwrap_or_default()
    }

    /// The next batch; `None` at the segment's end.
    fn next(&mut self) -> Result<Option<(BatchHeader, &[u8])>, CleanError> {
        if self.position >= self.segment.size {
            return Ok(None);
        }
        let place = |position: u64, error: &dyn std::fmt::Display| CleanError::Corrupt {
            reason: format!(
                "segment {:020}.log at byte {position}: {error}",
                self.segment.base
            ),
        };
        let at = self.position;
        self.fill(BATCH_HEADER_LEN)?;
        let header = BatchHeader::parse(self.at()).map_err(|error| place(at, &error))?;
        let size = header.size_in_bytes();
        if at + size as u64 > self.segment.size || header.last_offset_delta < 0 {
            return Err(place(at, &"a batch that does not fit"));
        }
        self.fill(size)?;
        verify_crc(self.at()).map_err(|error| place(at, &error))?;
        let from = usize::try_from(at - self.window_at).unwrap_or(usize::MAX);
        self.position += size as u64;
        let batch = self.window.get(from..from.saturating_add(size));
        Ok(Some((header, batch.unwrap_or_default())))
    }
}
