//! Bringing one log back: its segments are scanned from the checkpoint on, then the journal's frames are laid over.
//!
//! What is compared with what:
//! - The checkpoint lists the segments as they were synced. One that is missing or shorter is corruption.
//! - From the recovery point on every batch is read and its CRC checked.
//! - A frame below the end must be the batch that is there (same CRC field); one at the end is appended; one beyond it
//!   is a gap.
//!
//! Bytes that are no batch are cut only where nobody can have been told that they are durable, or where the journal
//! brings them again. Everything else takes the partition offline, with its files untouched.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use wire::record_batch::{BATCH_HEADER_LEN, BatchHeader, verify_crc};

use crate::cleaner::progress;
use crate::config::{FlushPolicy, LogConfig};
use crate::io::be;
use crate::log::append::marker_of;
use crate::log::batch_reader::BatchReader;
use crate::log::epoch::EpochCache;
use crate::log::flush::Active;
use crate::log::index::{
    IndexBuilder, IndexEntries, OFFSET_ENTRY_LEN, SegmentReader, SegmentView, TIME_ENTRY_LEN,
};
use crate::log::inherited::Inherited;
use crate::log::producer::{AbortedTxn, ProducerStates};
use crate::log::{LogCheckpoint, RemoteList, aborted_index};
use crate::lsn::Lsn;
use crate::store::{LocalDir, LogName, SegmentPart, SegmentStore};
use crate::wal::scan::{JournalScan, ScannedFrame};

/// How far behind bad bytes a valid batch is looked for.
const SEARCH_BYTES: u64 = 64 << 20;

/// What a log is recovered from.
pub(crate) struct RecoveryInput<'a> {
    pub(crate) store: &'a LocalDir,
    pub(crate) name: &'a LogName,
    pub(crate) config: &'a LogConfig,
    pub(crate) checkpoint: Option<&'a LogCheckpoint>,
    /// This log's frames, by LSN.
    pub(crate) frames: &'a [ScannedFrame],
    pub(crate) journal: &'a JournalScan,
    pub(crate) now_ms: i64,
    pub(crate) allow_unclean: bool,
    /// Up to here compaction has been over the log.
    pub(crate) cleaned: i64,
    /// What is in the remote store.
    pub(crate) remote: &'a RemoteList,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct LogRecovery {
    pub(crate) offline: Option<Arc<str>>,
    pub(crate) log_start: i64,
    pub(crate) log_end: i64,
    pub(crate) segments: Vec<SegmentView>,
    pub(crate) active: Option<Active>,
    pub(crate) producers: ProducerStates,
    pub(crate) epochs: EpochCache,
    pub(crate) aborted: Vec<AbortedTxn>,
    /// Filled in by the caller.
    pub(crate) remote: RemoteList,
    /// What was not read.
    pub(crate) inherited: Inherited,
    pub(crate) changed: bool,
    /// Base offset and CRC field of the batches read, ascending.
    pub(crate) scanned: Vec<(i64, u32)>,
    /// The segments that were read. What they hold may be in the page cache alone, written by a process that was killed, and
    /// the next sync must take it.
    pub(crate) dirty: Vec<i64>,
    /// From here on batches were read.
    pub(crate) scan_from: i64,
    pub(crate) scanned_bytes: u64,
    /// Bytes cut from the end.
    pub(crate) cut_bytes: u64,
}

/// Why a log cannot be used.
struct Unusable(String);

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Unusable {
        Unusable(format!("cannot read its files: {error}"))
    }
}

/// Reads a log's files.
pub(crate) fn recover(input: &RecoveryInput<'_>) -> LogRecovery {
    let mut found = LogRecovery {
        scan_from: 0,
        ..LogRecovery::default()
    };
    if let Some(checkpoint) = input.checkpoint {
        found.log_start = checkpoint.log_start;
        found.log_end = checkpoint.recovery_point;
    }
    if input.checkpoint.is_none()
        && let Some(first) = input.remote.all().first()
    {
        found.log_start = first.view.base;
    }
    let moved = input
        .frames
        .iter()
        .filter(|frame| !frame.is_batch)
        .map(|frame| frame.offset);
    found.log_start = moved.fold(found.log_start, i64::max);
    if let Some(reason) = input.checkpoint.and_then(|c| c.offline.as_ref())
        && !input.allow_unclean
    {
        found.offline = Some(reason.as_str().into());
        found.segments = input
            .checkpoint
            .map(|c| c.segments.clone())
            .unwrap_or_default();
        return found;
    }
    // What the checkpoint of an offline log says is what went wrong; the files themselves are all there is to go by.
    let distrusted = RecoveryInput {
        checkpoint: None,
        ..*input
    };
    let offline = input
        .checkpoint
        .is_some_and(|checkpoint| checkpoint.offline.is_some());
    let input = if offline { &distrusted } else { input };
    if let Err(Unusable(reason)) = scan_segments(input, &mut found) {
        found.offline = Some(reason.into());
    }
    found
}

fn scan_segments(input: &RecoveryInput<'_>, found: &mut LogRecovery) -> Result<(), Unusable> {
    let (store, name) = (input.store, input.name);
    let synced = input
        .checkpoint
        .map(|c| c.segments.as_slice())
        .unwrap_or_default();
    let mut bases = store.list(name)?;
    check_synced(input, synced, &bases, found.log_start)?;
    // Segments that retention had taken out, but not yet removed.
    let first_kept = synced
        .iter()
        .map(|segment| segment.base)
        .chain(bases.iter().copied())
        .filter(|base| *base <= found.log_start)
        .max();
    if input.checkpoint.is_some() {
        let known = |base: &i64| synced.iter().any(|segment| segment.base == *base);
        let oldest_synced = synced.first().map_or(i64::MIN, |segment| segment.base);
        remove_forgotten(input, &bases, oldest_synced)?;
        bases.retain(|base| known(base) || *base > oldest_synced);
    }
    let gone = |base: i64, next: Option<i64>| {
        next.is_some_and(|next| next <= found.log_start) && Some(base) != first_kept
    };
    for pair in bases.windows(2) {
        if gone(pair[0], Some(pair[1])) {
            store.remove(name, pair[0], std::time::Duration::ZERO)?;
        }
    }
    let kept: Vec<i64> = bases
        .iter()
        .enumerate()
        .filter(|(index, base)| !gone(**base, bases.get(index + 1).copied()))
        .map(|(_, base)| *base)
        .collect();
    let Some(first) = kept.first().copied() else {
        // The batch that the log start lies in may still be in the journal, and begins below it.
        let covering = input.frames.iter().find(|frame| {
            frame.is_batch && frame.offset <= found.log_start && frame.next_offset > found.log_start
        });
        found.log_end = covering.map_or(found.log_end.max(found.log_start), |frame| frame.offset);
        found.scan_from = found.log_end;
        load_states(input, found, &[])?;
        apply_removed(input, found, found.log_end);
        return Ok(());
    };
    let covered = covers(input.remote, found.log_start, first);
    if first > found.log_start && !covered {
        if input.checkpoint.is_some() && !input.allow_unclean {
            return Err(Unusable(format!(
                "its first segment begins at offset {first}, but offsets from {} on were not deleted",
                found.log_start
            )));
        }
        found.log_start = first;
    }
    load_states(input, found, &kept)?;
    found.epochs.extend_below(input.remote.epochs());
    apply_removed(input, found, first);
    scan_from_point(input, found, &kept, synced)?;
    found.epochs.truncate_from_end(found.log_end);
    found.aborted = aborted_index::load(store, name, &found.segments)?;
    Ok(())
}

/// Whether the remote segments hold everything from `from` up to `to`.
fn covers(remote: &RemoteList, from: i64, to: i64) -> bool {
    let first = remote.all().first();
    first.is_some_and(|first| first.view.base <= from) && remote.end().is_some_and(|end| end >= to)
}

/// Files that local retention had taken out of the checkpoint, but not yet removed, when the process ended.
fn remove_forgotten(
    input: &RecoveryInput<'_>,
    bases: &[i64],
    oldest_synced: i64,
) -> io::Result<()> {
    let Some(remote_end) = input.remote.end() else {
        return Ok(());
    };
    for base in bases {
        if *base < oldest_synced.min(remote_end) {
            let delay = std::time::Duration::ZERO;
            input.store.remove(input.name, *base, delay)?;
        }
    }
    Ok(())
}

/// Every segment that the checkpoint synced must be there, as long as it was.
fn check_synced(
    input: &RecoveryInput<'_>,
    synced: &[SegmentView],
    bases: &[i64],
    log_start: i64,
) -> Result<(), Unusable> {
    for segment in synced
        .iter()
        .filter(|segment| segment.next_offset > log_start)
    {
        let length = match bases.binary_search(&segment.base) {
            Ok(_) => input
                .store
                .length(input.name, segment.base, SegmentPart::Log)?,
            Err(_) => None,
        };
        let missing = match length {
            None => "is missing".to_owned(),
            Some(length) if length < segment.size => {
                format!("has {length} bytes of {}", segment.size)
            }
            Some(_) => continue,
        };
        if !input.allow_unclean {
            return Err(Unusable(format!(
                "segment {:020}.log {missing}",
                segment.base
            )));
        }
    }
    Ok(())
}

/// Producer state as of the recovery point, and the epochs.
fn load_states(
    input: &RecoveryInput<'_>,
    found: &mut LogRecovery,
    kept: &[i64],
) -> Result<(), Unusable> {
    let dir = input.store.dir(input.name);
    let text = std::fs::read_to_string(dir.join("leader-epoch-checkpoint")).unwrap_or_default();
    let epochs = EpochCache::parse(&text);
    let mut states = match input.checkpoint {
        Some(checkpoint) if checkpoint.has_snapshot => {
            let path = dir.join(format!("{:020}.snapshot", checkpoint.recovery_point));
            let bytes = std::fs::read(path).unwrap_or_default();
            ProducerStates::from_snapshot(&bytes)
        }
        Some(_) => Some(ProducerStates::default()),
        None => None,
    };
    if input.checkpoint.is_none() {
        // Everything is scanned with CRCs anyway; that builds both.
        found.epochs = EpochCache::default();
        found.changed = true;
        return Ok(());
    }
    if states.is_none() || epochs.is_none() {
        let (rebuilt_states, rebuilt_epochs) = rebuild_states(input, kept)?;
        states = states.or(Some(rebuilt_states));
        found.epochs = epochs.unwrap_or(rebuilt_epochs);
        found.changed = true;
    } else {
        found.epochs = epochs.unwrap_or_default();
    }
    found.producers = states.unwrap_or_default();
    Ok(())
}

/// Batches behind the recovery point that retention has removed since: their producers are still known.
fn apply_removed(input: &RecoveryInput<'_>, found: &mut LogRecovery, before: i64) {
    let point = input
        .checkpoint
        .map_or(0, |checkpoint| checkpoint.recovery_point);
    let removed = input
        .frames
        .iter()
        .filter(|frame| frame.is_batch && frame.offset >= point && frame.next_offset <= before);
    for frame in removed {
        let Ok(bytes) = input.journal.read_batch(frame.location).map(Bytes::from) else {
            continue;
        };
        let Ok(header) = BatchHeader::parse(&bytes) else {
            continue;
        };
        let marker = if header.attributes.is_control() {
            marker_of(&bytes)
        } else {
            None
        };
        found.producers.apply(&header, marker, Lsn::ZERO);
        found
            .epochs
            .assign(header.partition_leader_epoch, header.base_offset);
    }
}

/// Reads all batches below the recovery point, for what their headers say.
fn rebuild_states(
    input: &RecoveryInput<'_>,
    kept: &[i64],
) -> Result<(ProducerStates, EpochCache), Unusable> {
    let mut states = ProducerStates::default();
    let mut epochs = EpochCache::default();
    let end = input.checkpoint.map_or(0, |c| c.recovery_point);
    for base in kept.iter().filter(|base| **base < end) {
        let size = input
            .store
            .length(input.name, *base, SegmentPart::Log)?
            .unwrap_or(0);
        let mut reader = BatchReader::new(input.store, input.name, *base, 0, size);
        while let Some((header, bytes)) = reader.next_header()? {
            if header.base_offset >= end {
                break;
            }
            let marker = if header.attributes.is_control() {
                marker_of(&Bytes::copy_from_slice(bytes))
            } else {
                None
            };
            states.apply(&header, marker, Lsn::ZERO);
            epochs.assign(header.partition_leader_epoch, header.base_offset);
        }
    }
    Ok((states, epochs))
}

/// Where the scan begins in one segment, and what its indexes keep.
struct SegmentStart {
    view: SegmentView,
    builder: IndexBuilder,
    position: u64,
    /// The largest timestamp of the segment's first batch.
    rolling: Option<i64>,
}

impl SegmentStart {
    /// At the segment's first batch, with empty indexes.
    fn first(input: &RecoveryInput<'_>, base: i64) -> SegmentStart {
        SegmentStart {
            view: SegmentView::empty(base, input.now_ms),
            builder: IndexBuilder::new(base, input.config.index_interval_bytes),
            position: 0,
            rolling: None,
        }
    }
}

fn scan_from_point(
    input: &RecoveryInput<'_>,
    found: &mut LogRecovery,
    kept: &[i64],
    synced: &[SegmentView],
) -> Result<(), Unusable> {
    let point = input
        .checkpoint
        .map_or(kept[0], |c| c.recovery_point.max(kept[0]));
    found.scan_from = point;
    let start = kept
        .partition_point(|base| *base <= point)
        .saturating_sub(1);
    for base in &kept[..start] {
        found.segments.push(synced_view(synced, *base)?);
    }
    let mut unread: Vec<(i64, u64)> = found.segments.iter().map(|s| (s.base, s.size)).collect();
    let mut expected = kept[start].max(found.segments.last().map_or(i64::MIN, |s| s.next_offset));
    for (index, base) in kept.iter().enumerate().skip(start) {
        let known = synced.iter().find(|segment| segment.base == *base);
        let size = input
            .store
            .length(input.name, *base, SegmentPart::Log)?
            .unwrap_or(0);
        let begin = if index == start {
            segment_start(input, *base, known, point)?
        } else {
            None
        };
        let begin = begin.unwrap_or_else(|| SegmentStart::first(input, *base));
        if begin.position > 0 {
            expected = point;
            unread.push((*base, begin.position));
        }
        let last = index + 1 == kept.len();
        let (view, builder, rolling) = scan_one(input, found, begin, expected, size)?;
        expected = view.next_offset;
        // Compaction may have dropped the last batches of a segment.
        let follows = |next: i64| next == expected || (next > expected && rewritten(input, next));
        let whole = view.size == size && (last || follows(kept[index + 1]));
        found.segments.push(view);
        found.active = Some(Active {
            view,
            builder,
            rolling_timestamp: rolling,
            created_ms: input.now_ms,
            jitter_ms: 0,
            written_back: view.size,
        });
        if !whole {
            let synced_size = known.map_or(0, |view| view.size);
            cut_or_refuse(input, found, &kept[index + 1..], size, synced_size)?;
            break;
        }
    }
    found.inherited = inherited(input, unread);
    // Frames that go on below the log start are laid over all the same; it may lie within one.
    let continued = input
        .frames
        .iter()
        .any(|frame| frame.is_batch && frame.offset == expected);
    found.log_end = if continued {
        expected
    } else {
        expected.max(found.log_start)
    };
    Ok(())
}

/// Whether offsets before `offset` may be missing.
fn rewritten(input: &RecoveryInput<'_>, offset: i64) -> bool {
    offset <= rewritten_to(input, input.cleaned)
}

/// Up to which offset some may be missing, of a log that is known to be cleaned up to `cleaned`: they are dense unless the log is
/// compacted, or was. A pass changes only what lies below the checkpoint that was there when it began, so what is missing behind
/// it is lost, and the journal has it. How far the log was cleaned may be lost itself.
fn rewritten_to(input: &RecoveryInput<'_>, cleaned: i64) -> i64 {
    match input.checkpoint {
        Some(checkpoint) if input.config.cleanup_policy.compact => {
            cleaned.max(checkpoint.recovery_point)
        }
        _ => cleaned,
    }
}

/// Segments and how much of each is not read.
fn inherited(input: &RecoveryInput<'_>, unread: Vec<(i64, u64)>) -> Inherited {
    if unread.is_empty() {
        return Inherited::default();
    }
    let cleaned = progress::changed_to(&input.store.dir(input.name));
    Inherited::new(unread, rewritten_to(input, cleaned))
}

/// What the checkpoint says of a segment that lies wholly below the recovery point.
fn synced_view(synced: &[SegmentView], base: i64) -> Result<SegmentView, Unusable> {
    let view = synced.iter().find(|segment| segment.base == base);
    view.copied()
        .ok_or_else(|| Unusable(format!("segment {base:020}.log is not in the checkpoint")))
}

/// Where the recovery point is in its segment. `None` when the segment must be read from its start.
fn segment_start(
    input: &RecoveryInput<'_>,
    base: i64,
    known: Option<&SegmentView>,
    point: i64,
) -> Result<Option<SegmentStart>, Unusable> {
    let Some(view) = known.filter(|view| view.next_offset >= point && point > base) else {
        return Ok(None);
    };
    if !indexes_are_whole(input, view)? {
        return Ok(None);
    }
    let mut reader = SegmentReader::new(input.store, input.name, *view);
    let position = match reader.find_offset(point) {
        Ok(Some((position, header))) if header.base_offset == point => position,
        Ok(None) => view.size,
        _ => return Ok(None),
    };
    let rolling = match reader.header_at(0) {
        Ok(Some(first)) => (first.max_timestamp >= 0).then_some(first.max_timestamp),
        _ => return Ok(None),
    };
    let read = |part, length: usize, count: u32| -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count as usize * length];
        if count == 0 {
            // Nothing to read, and the file itself may be missing: an active segment's indexes are not synced.
            return Ok(bytes);
        }
        input.store.read_at(input.name, base, part, 0, &mut bytes)?;
        Ok(bytes)
    };
    let offsets = read(
        SegmentPart::OffsetIndex,
        OFFSET_ENTRY_LEN,
        view.offset_entries,
    )?;
    let times = read(SegmentPart::TimeIndex, TIME_ENTRY_LEN, view.time_entries)?;
    let mut kept = *view;
    let (offset_entries, last_position) = offset_entries_below(&offsets, position);
    let (time_entries, last_time) = time_entries_below(&times, base, point);
    kept.offset_entries = offset_entries;
    kept.time_entries = time_entries;
    kept.size = position;
    kept.next_offset = point;
    // Many bytes without an entry: the index was cut or flipped, and is worth building again.
    let sparse = position - last_position
        > 64 * u64::from(input.config.index_interval_bytes.max(4096)) + (8 << 20);
    if sparse {
        return Ok(None);
    }
    let builder = IndexBuilder::resume(
        base,
        input.config.index_interval_bytes,
        position - last_position,
        last_time,
        (view.max_timestamp, view.max_timestamp_offset),
    );
    Ok(Some(SegmentStart {
        view: kept,
        builder,
        position,
        rolling,
    }))
}

/// Whether both index files hold as many entries as the checkpoint says.
fn indexes_are_whole(input: &RecoveryInput<'_>, view: &SegmentView) -> Result<bool, Unusable> {
    let parts = [
        (
            SegmentPart::OffsetIndex,
            view.offset_entries,
            OFFSET_ENTRY_LEN,
        ),
        (SegmentPart::TimeIndex, view.time_entries, TIME_ENTRY_LEN),
    ];
    for (part, entries, length) in parts {
        let have = input
            .store
            .length(input.name, view.base, part)?
            .unwrap_or(0);
        if have < u64::from(entries) * length as u64 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How many entries of an offset index ascend and point below `position`, and where the last of them points.
fn offset_entries_below(offsets: &[u8], position: u64) -> (u32, u64) {
    let (mut kept, mut last_position) = (0, 0);
    for entry in offsets.chunks_exact(OFFSET_ENTRY_LEN) {
        let at = u64::from(be::u32(entry, 4).unwrap_or(0));
        if at >= position || (kept > 0 && at <= last_position) {
            break;
        }
        last_position = at;
        kept += 1;
    }
    (kept, last_position)
}

/// How many entries of a time index ascend and are of offsets below `point`, and the last of their timestamps.
fn time_entries_below(times: &[u8], base: i64, point: i64) -> (u32, i64) {
    let (mut kept, mut last_time) = (0, -1);
    for entry in times.chunks_exact(TIME_ENTRY_LEN) {
        let offset = base + i64::from(be::u32(entry, 8).unwrap_or(0));
        let timestamp = be::i64(entry, 0).unwrap_or(0);
        if offset >= point || timestamp <= last_time {
            break;
        }
        last_time = timestamp;
        kept += 1;
    }
    (kept, last_time)
}

/// Reads batches to the end or to the first that is none, and writes the index entries they give.
fn scan_one(
    input: &RecoveryInput<'_>,
    found: &mut LogRecovery,
    start: SegmentStart,
    expected: i64,
    size: u64,
) -> Result<(SegmentView, IndexBuilder, Option<i64>), Unusable> {
    let SegmentStart {
        mut view,
        mut builder,
        position,
        mut rolling,
    } = start;
    let mut expected = expected;
    let mut entries = IndexEntries::default();
    let mut aborted = Vec::new();
    let mut reader = BatchReader::new(input.store, input.name, view.base, position, size);
    let mut at = position;
    while let Some((header, bytes)) = reader.next_valid(expected)? {
        if header.base_offset != expected && !rewritten(input, header.base_offset) {
            break;
        }
        let marker = if header.attributes.is_control() {
            marker_of(&Bytes::copy_from_slice(bytes))
        } else {
            None
        };
        if header.base_offset >= found.scan_from {
            aborted.extend(found.producers.apply(&header, marker, Lsn::ZERO));
            found
                .epochs
                .assign(header.partition_leader_epoch, header.base_offset);
            found.scanned.push((header.base_offset, header.crc));
        }
        found.scanned_bytes += header.size_in_bytes() as u64;
        builder.push(&header, at, &mut entries);
        if header.max_timestamp >= 0 {
            rolling.get_or_insert(header.max_timestamp);
        }
        at += header.size_in_bytes() as u64;
        expected = header.next_offset();
    }
    put_index(input, &view, &entries)?;
    found.dirty.push(view.base);
    let (store, name) = (input.store, input.name);
    aborted_index::restore(store, name, view.base, expected, &aborted)?;
    view.offset_entries += (entries.offsets.len() / OFFSET_ENTRY_LEN) as u32;
    view.time_entries += (entries.times.len() / TIME_ENTRY_LEN) as u32;
    view.size = at;
    view.next_offset = expected.max(view.base);
    (view.max_timestamp, view.max_timestamp_offset) = builder.max_timestamp();
    Ok((view, builder, rolling))
}

/// Cuts the indexes to what the view keeps and appends the entries.
fn put_index(
    input: &RecoveryInput<'_>,
    view: &SegmentView,
    entries: &IndexEntries,
) -> Result<(), Unusable> {
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
        let keep = u64::from(count) * length as u64;
        let have = input.store.length(input.name, view.base, part)?;
        let mut content = vec![0; keep as usize];
        if keep > 0 {
            input
                .store
                .read_at(input.name, view.base, part, 0, &mut content)?;
        }
        content.extend_from_slice(bytes);
        let mut now = vec![0; content.len()];
        let same = have == Some(content.len() as u64)
            && input
                .store
                .read_at(input.name, view.base, part, 0, &mut now)?
                == content.len()
            && now == content;
        if !same {
            let path = input.store.path(input.name, view.base, part);
            crate::io::write_atomic(&path, &content, false)?;
            // What was read through is the old file: entries written to that would be lost.
            input.store.replaced(input.name, view.base);
        }
    }
    Ok(())
}

/// The scan of the last segment in `found` stopped before the log's end. Decides what that means.
fn cut_or_refuse(
    input: &RecoveryInput<'_>,
    found: &mut LogRecovery,
    later: &[i64],
    size: u64,
    synced_size: u64,
) -> Result<(), Unusable> {
    let Some(view) = found.segments.last().copied() else {
        return Ok(());
    };
    let end = view.next_offset;
    let journaled = input
        .frames
        .iter()
        .any(|frame| frame.is_batch && frame.offset == end);
    let place = format!("segment {:020}.log at byte {}", view.base, view.size);
    if !journaled && !input.allow_unclean {
        if view.size < synced_size {
            return Err(Unusable(format!(
                "{place}: synced bytes are not a record batch"
            )));
        }
        // Past the last sync, without the journal, a write may be torn anywhere, as in Apache Kafka.
        let ordered = input.config.flush_policy == FlushPolicy::Ack;
        if ordered && (!later.is_empty() || valid_batch_behind(input, &view, size)?) {
            return Err(Unusable(format!(
                "{place}: no record batch, but later ones are intact"
            )));
        }
    }
    for base in later {
        let length = input
            .store
            .length(input.name, *base, SegmentPart::Log)?
            .unwrap_or(0);
        found.cut_bytes += length;
        input
            .store
            .remove(input.name, *base, std::time::Duration::ZERO)?;
    }
    found.cut_bytes += size - view.size;
    let file = input.store.file(input.name, view.base, SegmentPart::Log)?;
    file.set_len(view.size)?;
    found.changed = true;
    tracing::warn!(log = ?input.name, base = view.base, position = view.size, journaled,
        cut = found.cut_bytes, "the end of a segment is torn");
    Ok(())
}

/// Whether a batch that follows in the log is intact behind the bad bytes.
fn valid_batch_behind(
    input: &RecoveryInput<'_>,
    view: &SegmentView,
    size: u64,
) -> Result<bool, Unusable> {
    let end = size.min(view.size + SEARCH_BYTES);
    let mut bytes = vec![0; usize::try_from(end - view.size).unwrap_or(0)];
    let part = SegmentPart::Log;
    let read = input
        .store
        .read_at(input.name, view.base, part, view.size, &mut bytes)?;
    bytes.truncate(read);
    for at in 1..bytes.len().saturating_sub(BATCH_HEADER_LEN) {
        // The magic byte first: it rules out almost everything.
        if bytes[at + 16] != 2 {
            continue;
        }
        let rest = &bytes[at..];
        let plausible = BatchHeader::parse(rest).is_ok_and(|header| {
            header.base_offset > view.next_offset
                && header.base_offset - view.next_offset < i64::from(i32::MAX)
        });
        if plausible && verify_crc(rest).is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}
