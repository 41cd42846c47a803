//! One pass over one log: its dirty part into a map, then every segment up to the map's end written again.
//!
//! In a log with a remote part there are two kinds. A pass over the *local* part leaves the remote one as it is; since older values
//! of a key may lie there, it drops no tombstone and no marker, and none gets a delete horizon. A pass over the *whole* log begins
//! with the remote segments.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use base::Offset;
use bytes::Bytes;
use wire::record_batch::BatchHeader;
use wire::record_data::raw_records;

use crate::cleaner::batches::Batches;
use crate::cleaner::filter::{Filter, LastRecord, records_of};
use crate::cleaner::offset_map::OffsetMap;
use crate::cleaner::output::{Cleaned, Output, discard};
use crate::cleaner::progress::{self, Progress};
use crate::cleaner::select::{Cleanable, group};
use crate::cleaner::transactions::CleanedTransactions;
use crate::cleaner::{CleanError, CleanReport, CleanerConfig};
use crate::config::LogConfig;
use crate::fault::IoOp;
use crate::io::LockExt;
use crate::log::index::{SegmentError, SegmentReader, SegmentView};
use crate::log::producer::AbortedTxn;
use crate::log::{LogState, PartitionLog, marker_of};
use crate::tier::reader::RemoteReader;
use crate::tier::{REPLACED_MAX, RemoteSegment};

/// A pass in progress.
pub(crate) struct Pass<'a> {
    pub(crate) log: &'a Arc<PartitionLog>,
    pub(crate) scope: &'a Scope,
    pub(crate) config: Arc<LogConfig>,
    pub(crate) cleaner: &'a CleanerConfig,
    pub(crate) now_ms: i64,
    /// Told of each batch's bytes; may wait, and says when to stop.
    pub(crate) pace: &'a dyn Fn(u64) -> Result<(), CleanError>,
}

/// How far a log was cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// By any pass.
    pub(crate) local: i64,
    /// By one over the whole log.
    pub(crate) whole: i64,
}

/// What a pass is over.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) cleanable: Cleanable,
    /// The remote segments, which lie before the local ones; none in a pass over the local part alone.
    pub(crate) remote: Vec<Arc<RemoteSegment>>,
    /// Every local segment below the first that may not be cleaned; in a log with a remote part, none that is remote as well.
    pub(crate) local: Vec<SegmentView>,
    /// Whether this is all of the log.
    pub(crate) whole: bool,
    /// How far the log was cleaned before.
    pub(crate) done: Done,
}

/// Puts a written group in the place of the segments it was made of.
pub(crate) type Swap<'a, T> = dyn Fn(&[T], &Cleaned) -> Result<(), CleanError> + 'a;

/// The swaps of both parts.
pub(crate) struct Swaps<'a> {
    /// Local segments.
    pub(crate) local: &'a Swap<'a, SegmentView>,
    /// Remote ones.
    pub(crate) remote: &'a Swap<'a, Arc<RemoteSegment>>,
}

/// A segment, wherever it is.
#[derive(Clone, Copy)]
struct Piece<'a> {
    view: &'a SegmentView,
    remote: Option<&'a RemoteSegment>,
}

impl Pass<'_> {
    /// Does all of it (`Cleaner.doClean`). The log's first dirty offset is durable when this returns.
    pub(crate) fn run(&self, swaps: &Swaps<'_>) -> Result<CleanReport, CleanError> {
        let mut report = CleanReport {
            topic: self.log.topic().to_owned(),
            partition: self.log.partition(),
            first_dirty_offset: Offset(self.scope.cleanable.first_dirty),
            whole: self.scope.whole,
            ..CleanReport::default()
        };
        let aborted = self.aborted()?;
        let map = self.build_map(&aborted, &mut report)?;
        let end = map.latest_offset() + 1;
        report.map_keys = map.len() as u64;
        report.map_utilization = map.utilization();
        report.next_dirty_offset = Offset(end);
        let pieces = self.pieces(end);
        let first = pieces.first().map_or(end, |piece| piece.view.base);
        // The last segment is written again whole, also behind the map's end.
        let last = pieces.last().map_or(end, |piece| piece.view.next_offset);
        let changed_to = self.scope.cleanable.first_uncleanable.max(last);
        let mut transactions = self.transactions(&aborted, first, last);
        self.note_progress(self.scope.done, changed_to)?;
        self.clean_remote(end, &map, &mut transactions, swaps, &mut report)?;
        let count = self.scope.local.partition_point(|view| view.base < end);
        let local = self.scope.local.get(..count).unwrap_or_default();
        for group in group(local, &self.config, self.scope.cleanable.first_uncleanable) {
            let pieces: Vec<Piece<'_>> = group.iter().map(Piece::local).collect();
            let (cleaned, _) = self.clean_group(&pieces, &map, &mut transactions, &mut report)?;
            if let Err(error) = (swaps.local)(group, &cleaned) {
                // After the commit the files are what a restart goes on with.
                if !matches!(error, CleanError::Storage(_)) {
                    discard(self.log, cleaned.view.base);
                }
                return Err(error);
            }
            report.count(&pieces, &cleaned);
        }
        let done = Done {
            local: self.scope.done.local.max(end),
            whole: if self.scope.whole {
                end
            } else {
                self.scope.done.whole
            },
        };
        self.note_progress(done, changed_to)?;
        Ok(report)
    }

    /// The remote segments below `end`, in groups as local ones.
    fn clean_remote(
        &self,
        end: i64,
        map: &OffsetMap,
        transactions: &mut CleanedTransactions,
        swaps: &Swaps<'_>,
        report: &mut CleanReport,
    ) -> Result<(), CleanError> {
        let all = &self.scope.remote;
        let count = all.partition_point(|segment| segment.view.base < end);
        let round_end = match (all.get(count), all.last()) {
            (Some(next), _) => next.view.base,
            (None, Some(last)) => last.view.next_offset,
            (None, None) => return Ok(()),
        };
        let mut rest = all.get(..count).unwrap_or_default();
        let views: Vec<SegmentView> = rest.iter().map(|segment| segment.view).collect();
        let groups = group(&views, &self.config, round_end);
        for views in groups.iter().flat_map(|group| group.chunks(REPLACED_MAX)) {
            let (group, after) = rest.split_at(views.len());
            rest = after;
            let pieces: Vec<Piece<'_>> = group.iter().map(Piece::remote).collect();
            let (cleaned, changed) = self.clean_group(&pieces, map, transactions, report)?;
            // What would be the same object again is not worth one.
            let swapped = if changed || group.len() > 1 {
                report.count(&pieces, &cleaned);
                (swaps.remote)(group, &cleaned)
            } else {
                Ok(())
            };
            discard(self.log, cleaned.view.base);
            swapped?;
        }
        Ok(())
    }

    /// The segments that begin below an offset.
    fn pieces(&self, end: i64) -> Vec<Piece<'_>> {
        let remote = self.scope.remote.iter().map(Piece::remote);
        let local = self.scope.local.iter().map(Piece::local);
        let all = remote.chain(local);
        all.take_while(|piece| piece.view.base < end).collect()
    }

    fn note_progress(&self, done: Done, changed_to: i64) -> Result<(), CleanError> {
        // Under the lock that a deletion takes: the directory is still this log's.
        let _io = self.log.io.locked();
        if self.log.state() != LogState::Online {
            return Err(CleanError::Aborted);
        }
        let progress = Progress {
            first_dirty: done.local,
            changed_to: changed_to.max(done.local),
            whole_first_dirty: done.whole,
        };
        let dir = self.log.dir();
        progress::write(&dir, progress).map_err(CleanError::io("note the progress"))?;
        let faults = &self.log.context.faults;
        faults.done(IoOp::CleanerWrite, &progress::path(&dir));
        Ok(())
    }

    /// The aborted transactions of the segments the pass is over.
    fn aborted(&self) -> Result<Vec<AbortedTxn>, CleanError> {
        let remote_end = self
            .scope
            .remote
            .last()
            .map_or(i64::MIN, |one| one.view.next_offset);
        let mut all = Vec::new();
        for segment in &self.scope.remote {
            let Some(tier) = &self.log.context.tier else {
                return Err(CleanError::Aborted);
            };
            let reader = RemoteReader::new(tier, segment, None);
            all.extend(reader.aborted().map_err(CleanError::remote)?);
        }
        let state = self.log.state.locked();
        let local = state.aborted.iter();
        all.extend(local.filter(|txn| txn.last_offset.0 >= remote_end));
        Ok(all)
    }

    /// A walk over a range.
    fn transactions(&self, aborted: &[AbortedTxn], from: i64, to: i64) -> CleanedTransactions {
        let within = |txn: &&AbortedTxn| txn.last_offset.0 >= from && txn.first_offset.0 < to;
        let aborted = aborted.iter().filter(within).copied().collect();
        if self.scope.whole {
            CleanedTransactions::new(aborted)
        } else {
            CleanedTransactions::after_others(aborted)
        }
    }

    /// `Cleaner.buildOffsetMap`.
    fn build_map(
        &self,
        aborted: &[AbortedTxn],
        report: &mut CleanReport,
    ) -> Result<OffsetMap, CleanError> {
        let Cleanable {
            first_dirty: start,
            first_uncleanable: end,
            ..
        } = self.scope.cleanable;
        let records = u64::try_from(end - start).unwrap_or(0);
        let mut map = OffsetMap::new(self.cleaner.map_bytes(), self.cleaner.load_factor, records);
        // A log that begins behind an empty first part has nothing there to look at.
        map.advance(start - 1);
        let mut transactions = self.transactions(aborted, start, end);
        let pieces = self.pieces(i64::MAX);
        let from = pieces
            .partition_point(|piece| piece.view.base <= start)
            .saturating_sub(1);
        let dirty = pieces.get(from..).unwrap_or_default();
        for (index, piece) in dirty.iter().enumerate() {
            let mut batches = self.open(piece)?;
            if piece.remote.is_none() {
                batches.position = self.place(piece.view, start);
            }
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
            let next = dirty.get(index + 1).map_or(end, |piece| piece.view.base);
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

    /// Once compaction has been over a segment, nobody can tell a wrong offset from a gap.
    fn check(&self, segment: &SegmentView) -> Result<(), CleanError> {
        let mut reader = self.log.segment_reader(*segment);
        match reader.check(0..segment.size) {
            Ok(()) => Ok(()),
            // Retention or a deletion was faster.
            Err(SegmentError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                Err(CleanError::Aborted)
            }
            Err(SegmentError::Io(error)) => Err(CleanError::io("read a segment")(error)),
            Err(error) => Err(CleanError::Corrupt {
                reason: self.log.read_error(error, Some(segment.base)).to_string(),
            }),
        }
    }

    fn open<'a>(&self, piece: &Piece<'a>) -> Result<Batches<'a>, CleanError> {
        let window_bytes = self.cleaner.buffer_bytes();
        match piece.remote {
            Some(segment) => Batches::open_remote(self.log, segment, window_bytes),
            None => {
                self.check(piece.view)?;
                Batches::open(self.log, piece.view, window_bytes)
            }
        }
    }

    /// `Cleaner.cleanSegments`, up to the swap. Returns as well whether anything is not as it was.
    fn clean_group(
        &self,
        group: &[Piece<'_>],
        map: &OffsetMap,
        transactions: &mut CleanedTransactions,
        report: &mut CleanReport,
    ) -> Result<(Cleaned, bool), CleanError> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            return Err(CleanError::Aborted);
        };
        let buffer_bytes = self.cleaner.buffer_bytes();
        let (base, modified_ms) = (first.view.base, last.view.modified_ms);
        let mut output = Output::create(self.log, base, modified_ms, &self.config, buffer_bytes)?;
        let last_records = self.last_records();
        let mut filter = Filter {
            map,
            now_ms: self.now_ms,
            delete_retention_ms: self.config.delete_retention_ms,
            round_end: self.scope.cleanable.first_uncleanable,
            last_records: &last_records,
            whole: self.scope.whole,
            changed: false,
            counts: [0; 3],
        };
        for piece in group {
            let mut batches = self.open(piece)?;
            while let Some((header, batch)) = batches.next()? {
                let kept = filter
                    .apply(batch, &header, transactions, output.buffer())
                    .map_err(|error| corrupt(piece.view, header.base_offset, &error))?;
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
        let changed = filter.changed;
        Ok((output.finish(transactions.take_kept())?, changed))
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

impl<'a> Piece<'a> {
    fn local(view: &'a SegmentView) -> Piece<'a> {
        Piece { view, remote: None }
    }

    fn remote(segment: &'a Arc<RemoteSegment>) -> Piece<'a> {
        Piece {
            view: &segment.view,
            remote: Some(segment),
        }
    }
}

impl CleanReport {
    /// A group was written again.
    fn count(&mut self, group: &[Piece<'_>], cleaned: &Cleaned) {
        self.segments_before += group.len() as u64;
        self.segments_after += 1;
        self.bytes_before += group.iter().map(|piece| piece.view.size).sum::<u64>();
        self.bytes_after += cleaned.view.size;
        self.remote_segments_before +=
            group.iter().filter(|one| one.remote.is_some()).count() as u64;
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
