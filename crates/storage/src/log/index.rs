//! Reading a segment through its sparse indexes. All integers are big-endian.
//!
//! ```text
//! .index      8 bytes per entry: offset - base u32, position i32      the last offset of the batch at that position
//! .timeindex 12 bytes per entry: timestamp i64, offset - base u32     the largest timestamp so far, and the last
//!                                                                     offset of the batch that has it
//! ```
//! Kafka's `OffsetIndex` and `TimeIndex`, without its memory maps: entries are read as the binary search needs them.
//!
//! **Invariant:** an index only makes a search shorter. Each entry that is used is compared with the header of the
//! batch it points to, and an index that lies is rebuilt from the log ([`SegmentError::Index`]).

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;

use bytes::Bytes;
use wire::record_batch::{BATCH_HEADER_LEN, BatchHeader, verify_crc};

use crate::error::{ReadError, StorageError};
use crate::io::{LockExt, be};
use crate::log::inherited::Inherited;
use crate::store::{LogName, SegmentPart, SegmentStore};

/// Bytes of an offset index entry.
pub const OFFSET_ENTRY_LEN: usize = 8;
/// Bytes of a time index entry.
pub const TIME_ENTRY_LEN: usize = 12;

const SCAN_BUFFER: usize = 16 << 10;
/// What is read where the next header lies far behind the last.
const LONE_HEADER: usize = 512;

/// What is known of a segment without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentView {
    /// Its first offset.
    pub base: i64,
    /// Bytes of the log part that hold whole batches.
    pub size: u64,
    /// The offset after its last batch.
    pub next_offset: i64,
    /// Entries of the offset index.
    pub offset_entries: u32,
    /// Entries of the time index.
    pub time_entries: u32,
    /// The largest timestamp in it, -1 for none.
    pub max_timestamp: i64,
    /// The last offset of the batch that has it.
    pub max_timestamp_offset: i64,
    /// When it was last written, for retention of batches without a timestamp.
    pub modified_ms: i64,
}

impl SegmentView {
    /// An empty segment.
    #[must_use]
    pub fn empty(base: i64, now_ms: i64) -> SegmentView {
        SegmentView {
            base,
            size: 0,
            next_offset: base,
            offset_entries: 0,
            time_entries: 0,
            max_timestamp: -1,
            max_timestamp_offset: base,
            modified_ms: now_ms,
        }
    }

    /// `LogSegment.largestTimestamp`.
    #[must_use]
    pub fn largest_timestamp(&self) -> i64 {
        if self.max_timestamp >= 0 {
            self.max_timestamp
        } else {
            self.modified_ms
        }
    }
}

/// Why a segment could not be searched.
#[derive(Debug)]
pub(crate) enum SegmentError {
    /// The index does not match the log; rebuild it and try again.
    Index,
    /// The log's bytes are not batches.
    Corrupt { position: u64, reason: String },
    /// Compaction replaced the segment while it was read; begin anew.
    Replaced,
    /// I/O.
    Io(io::Error),
}

impl From<io::Error> for SegmentError {
    fn from(error: io::Error) -> SegmentError {
        SegmentError::Io(error)
    }
}

impl SegmentError {
    pub(crate) fn into_read_error(self, path: PathBuf) -> ReadError {
        match self {
            SegmentError::Index => ReadError::Corrupt {
                path,
                position: 0,
                reason: "its index does not match it, even rebuilt".to_owned(),
            },
            SegmentError::Corrupt { position, reason } => ReadError::Corrupt {
                path,
                position,
                reason,
            },
            SegmentError::Replaced => ReadError::Corrupt {
                path,
                position: 0,
                reason: "it was replaced while it was read".to_owned(),
            },
            SegmentError::Io(error) => ReadError::Storage(StorageError::io("read", path, error)),
        }
    }
}

/// A range of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) position: u64,
    pub(crate) end: u64,
    pub(crate) next_offset: i64,
}

/// A reader of one segment.
pub(crate) struct SegmentReader<'a> {
    store: &'a dyn SegmentStore,
    log: &'a LogName,
    view: SegmentView,
    inherited: Option<&'a Mutex<Inherited>>,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl<'a> SegmentReader<'a> {
    pub(crate) fn new(store: &'a dyn SegmentStore, log: &'a LogName, view: SegmentView) -> Self {
        SegmentReader {
            store,
            log,
            view,
            inherited: None,
            buffer: Vec::new(),
            buffer_at: 0,
        }
    }

    /// A reader that trusts no header of an inherited segment before it has followed the chain.
    pub(crate) fn checking(self, inherited: &'a Mutex<Inherited>) -> Self {
        SegmentReader {
            inherited: Some(inherited),
            ..self
        }
    }

    /// Follows the headers of what nobody followed before in `range`, which begins and ends with a batch.
    pub(crate) fn check(&mut self, range: Range<u64>) -> Result<(), SegmentError> {
        let Some(inherited) = self.inherited else {
            return Ok(());
        };
        let base = self.view.base;
        loop {
            let next = inherited.locked().next(base, &range);
            let Some(next) = next else {
                return Ok(());
            };
            self.follow(inherited, next.clone())?;
            inherited.locked().note(base, next);
        }
    }

    fn follow(
        &mut self,
        inherited: &Mutex<Inherited>,
        range: Range<u64>,
    ) -> Result<(), SegmentError> {
        let mut position = range.start;
        let mut expected = (position == 0).then_some(self.view.base);
        loop {
            let header = self.header_at(position)?;
            let found = header.map_or(self.view.next_offset, |header| header.base_offset);
            if let Some(expected) = expected
                && !inherited.locked().may_follow(expected, found)
            {
                let reason = format!("offset {found} where {expected} follows");
                return Err(SegmentError::Corrupt { position, reason });
            }
            match header {
                Some(header) if position < range.end => {
                    expected = Some(header.next_offset());
                    position += header.size_in_bytes() as u64;
                }
                _ if position == range.end => return Ok(()),
                _ => {
                    let reason = format!("a batch ends there, and not at byte {}", range.end);
                    return Err(SegmentError::Corrupt { position, reason });
                }
            }
        }
    }

    /// Checks that nothing is missing between `offset` and the batch that was found for it, as when a header was passed over
    /// for its wrong offset.
    pub(crate) fn check_begin(
        &self,
        offset: i64,
        position: u64,
        found: &BatchHeader,
    ) -> Result<(), SegmentError> {
        let begin = found.base_offset;
        let may_begin = |inherited: &Mutex<Inherited>| {
            let inherited = inherited.locked();
            !inherited.holds(self.view.base) || inherited.may_follow(offset, begin)
        };
        if begin <= offset || self.inherited.is_none_or(may_begin) {
            return Ok(());
        }
        let reason = format!("offset {begin} where {offset} follows");
        Err(SegmentError::Corrupt { position, reason })
    }

    fn entry<const N: usize>(
        &self,
        part: SegmentPart,
        index: u32,
    ) -> Result<[u8; N], SegmentError> {
        let mut entry = [0; N];
        let position = u64::from(index) * N as u64;
        match self
            .store
            .read_at(self.log, self.view.base, part, position, &mut entry)
        {
            Ok(read) if read == N => Ok(entry),
            Ok(_) => Err(SegmentError::Index),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A segment that retention removed has lost its log as well.
                match self
                    .store
                    .length(self.log, self.view.base, SegmentPart::Log)?
                {
                    Some(_) => Err(SegmentError::Index),
                    None => Err(error.into()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    fn offset_entry(&self, index: u32) -> Result<(i64, u64), SegmentError> {
        let entry = self.entry::<OFFSET_ENTRY_LEN>(SegmentPart::OffsetIndex, index)?;
        let relative = be::u32(&entry, 0).unwrap_or(0);
        let position = be::u32(&entry, 4).unwrap_or(0);
        Ok((self.view.base + i64::from(relative), u64::from(position)))
    }

    fn time_entry(&self, index: u32) -> Result<(i64, i64), SegmentError> {
        let entry = self.entry::<TIME_ENTRY_LEN>(SegmentPart::TimeIndex, index)?;
        let relative = be::u32(&entry, 8).unwrap_or(0);
        Ok((
            be::i64(&entry, 0).unwrap_or(0),
            self.view.base + i64::from(relative),
        ))
    }

    /// The last of `count` entries for which `below` holds, by binary search.
    fn last_entry<T>(
        count: u32,
        mut entry: impl FnMut(u32) -> Result<T, SegmentError>,
        below: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, SegmentError> {
        let (mut low, mut high) = (0, count);
        let mut found = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let candidate = entry(middle)?;
            if below(&candidate) {
                found = Some(candidate);
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(found)
    }

    /// The header of the batch at `position`; `None` at the end of the segment.
    pub(crate) fn header_at(&mut self, position: u64) -> Result<Option<BatchHeader>, SegmentError> {
        if position >= self.view.size {
            return Ok(None);
        }
        let corrupt = |reason: String| SegmentError::Corrupt { position, reason };
        let buffer_end = self.buffer_at + self.buffer.len() as u64;
        let need = position + BATCH_HEADER_LEN as u64;
        if position < self.buffer_at || need > buffer_end {
            let left = usize::try_from(self.view.size - position).unwrap_or(usize::MAX);
            let is_far =
                !self.buffer.is_empty() && position > buffer_end + self.buffer.len() as u64;
            let length = if is_far { LONE_HEADER } else { SCAN_BUFFER };
            self.buffer.resize(length.min(left), 0);
            let (log, base) = (self.log, self.view.base);
            let read =
                self.store
                    .read_at(log, base, SegmentPart::Log, position, &mut self.buffer)?;
            self.buffer.truncate(read);
            self.buffer_at = position;
        }
        let from = (position - self.buffer_at) as usize;
        let header = BatchHeader::parse(self.buffer.get(from..).unwrap_or_default())
            .map_err(|error| corrupt(error.to_string()))?;
        if position + header.size_in_bytes() as u64 > self.view.size {
            return Err(corrupt(format!(
                "a batch of {} bytes",
                header.size_in_bytes()
            )));
        }
        if header.base_offset < self.view.base
            || header.last_offset_delta < 0
            || header.next_offset() > self.view.next_offset
        {
            return Err(corrupt(format!(
                "a batch with base offset {}",
                header.base_offset
            )));
        }
        Ok(Some(header))
    }

    /// Checks that the batch an index entry points to is the one it names.
    fn entry_header(&mut self, offset: i64, position: u64) -> Result<BatchHeader, SegmentError> {
        match self.header_at(position) {
            Ok(Some(header)) if header.last_offset() == offset => Ok(header),
            Err(SegmentError::Io(error)) => Err(SegmentError::Io(error)),
            _ => Err(SegmentError::Index),
        }
    }

    /// Where the first batch is whose last offset is at or above `offset`; `None` behind the last one.
    pub(crate) fn find_offset(
        &mut self,
        offset: i64,
    ) -> Result<Option<(u64, BatchHeader)>, SegmentError> {
        let count = self.view.offset_entries;
        let entry = Self::last_entry(count, |i| self.offset_entry(i), |e| e.0 <= offset)?;
        let mut position = 0;
        if let Some((last_offset, at)) = entry {
            self.entry_header(last_offset, at)?;
            position = at;
        }
        while let Some(header) = self.header_at(position)? {
            if header.last_offset() >= offset {
                return Ok(Some((position, header)));
            }
            position += header.size_in_bytes() as u64;
        }
        Ok(None)
    }

    /// The whole batches from `start` that fit `max_bytes` and end at or before `end`, a batch boundary after which
    /// `end_offset` follows. At least one when `at_least_one`.
    pub(crate) fn cut(
        &mut self,
        start: u64,
        end: (u64, i64),
        max_bytes: u64,
        at_least_one: bool,
    ) -> Result<Option<Slice>, SegmentError> {
        let (end, end_offset) = end;
        if start >= end {
            return Ok(None);
        }
        if end - start <= max_bytes {
            return Ok(Some(Slice {
                position: start,
                end,
                next_offset: end_offset,
            }));
        }
        let limit = start + max_bytes;
        let count = self.view.offset_entries;
        let entry = Self::last_entry(count, |i| self.offset_entry(i), |e| e.1 <= limit)?;
        let mut position = start;
        let mut next_offset = None;
        if let Some((last_offset, at)) = entry
            && at > start
        {
            next_offset = Some(self.entry_header(last_offset, at)?.base_offset);
            position = at;
        }
        while let Some(header) = self.header_at(position)? {
            let after = position + header.size_in_bytes() as u64;
            if after > limit && !(at_least_one && position == start) {
                break;
            }
            next_offset = Some(header.next_offset());
            position = after;
            if after > limit {
                break;
            }
        }
        Ok(next_offset
            .filter(|_| position > start)
            .map(|next_offset| Slice {
                position: start,
                end: position,
                next_offset,
            }))
    }

    /// Where to look for the first record with a timestamp at or above `timestamp`: `LogSegment.findOffsetByTimestamp`.
    /// Returns the position of the first batch whose largest timestamp is.
    pub(crate) fn find_timestamp(
        &mut self,
        timestamp: i64,
        from_offset: i64,
    ) -> Result<Option<(u64, BatchHeader)>, SegmentError> {
        let count = self.view.time_entries;
        let entry = Self::last_entry(count, |i| self.time_entry(i), |e| e.0 < timestamp)?;
        let mut offset = from_offset.max(self.view.base);
        if let Some((entry_timestamp, entry_offset)) = entry {
            match self.find_offset(entry_offset)? {
                Some((_, header))
                    if header.last_offset() == entry_offset
                        && header.max_timestamp == entry_timestamp => {}
                _ => return Err(SegmentError::Index),
            }
            offset = offset.max(entry_offset);
        }
        let Some((mut position, _)) = self.find_offset(offset)? else {
            return Ok(None);
        };
        while let Some(header) = self.header_at(position)? {
            if header.max_timestamp >= timestamp && header.last_offset() >= from_offset {
                return Ok(Some((position, header)));
            }
            position += header.size_in_bytes() as u64;
        }
        Ok(None)
    }

    /// Whether `indexes`, the offset index and the time index behind it, are true of the segment: each entry names a batch, in
    /// the order of the batches. Reads the headers of all batches.
    pub(crate) fn indexes_match(&mut self, indexes: &[u8]) -> Result<bool, SegmentError> {
        let base = self.view.base;
        let length = self.view.offset_entries as usize * OFFSET_ENTRY_LEN;
        let Some((offsets, times)) = indexes.split_at_checked(length) else {
            return Ok(false);
        };
        let offset_of =
            |entry: &[u8], at| be::u32(entry, at).map(|relative| base + i64::from(relative));
        let mut offsets = offsets.chunks_exact(OFFSET_ENTRY_LEN).peekable();
        let mut times = times
            .chunks_exact(TIME_ENTRY_LEN)
            .take(self.view.time_entries as usize)
            .peekable();
        let (mut position, mut max_timestamp) = (0, -1);
        while let Some(header) = self.header_at(position)? {
            let last_offset = Some(header.last_offset());
            let is_largest = header.max_timestamp > max_timestamp;
            max_timestamp = max_timestamp.max(header.max_timestamp);
            // An entry that is of no batch stays, and the ones behind it with it.
            offsets.next_if(|entry| {
                be::u32(entry, 4).map(u64::from) == Some(position)
                    && offset_of(entry, 0) == last_offset
            });
            times.next_if(|entry| {
                is_largest
                    && be::i64(entry, 0) == Some(header.max_timestamp)
                    && offset_of(entry, 8) == last_offset
            });
            position += header.size_in_bytes() as u64;
        }
        Ok(offsets.peek().is_none() && times.peek().is_none())
    }

    /// The bytes of the batch at `position`, its CRC checked.
    pub(crate) fn batch_at(&mut self, position: u64) -> Result<Bytes, SegmentError> {
        let corrupt = |reason: String| SegmentError::Corrupt { position, reason };
        let Some(header) = self.header_at(position)? else {
            return Err(corrupt("no batch".to_owned()));
        };
        self.check(position..position + header.size_in_bytes() as u64)?;
        let mut bytes = vec![0; header.size_in_bytes()];
        let (log, base) = (self.log, self.view.base);
        let read = self
            .store
            .read_at(log, base, SegmentPart::Log, position, &mut bytes)?;
        bytes.truncate(read);
        verify_crc(&bytes).map_err(|error| corrupt(error.to_string()))?;
        Ok(Bytes::from(bytes))
    }
}

/// Collects the index entries of a segment as its batches go by (`LogSegment.append`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexBuilder {
    base: i64,
    interval: u64,
    bytes_since_entry: u64,
    last_time: i64,
    max_timestamp: i64,
    max_timestamp_offset: i64,
}

/// Entries to append to the two indexes.
#[derive(Debug, Default)]
pub(crate) struct IndexEntries {
    pub(crate) offsets: Vec<u8>,
    pub(crate) times: Vec<u8>,
}

impl IndexBuilder {
    pub(crate) fn new(base: i64, interval: u32) -> IndexBuilder {
        IndexBuilder {
            base,
            interval: u64::from(interval),
            bytes_since_entry: 0,
            last_time: -1,
            max_timestamp: -1,
            max_timestamp_offset: base,
        }
    }

    /// Goes on in a segment whose last entry is `bytes_since_entry` back.
    pub(crate) fn resume(
        base: i64,
        interval: u32,
        bytes_since_entry: u64,
        last_time: i64,
        max_timestamp: (i64, i64),
    ) -> IndexBuilder {
        let (max_timestamp, max_timestamp_offset) = max_timestamp;
        let interval = u64::from(interval);
        IndexBuilder {
            base,
            interval,
            bytes_since_entry,
            last_time,
            max_timestamp,
            max_timestamp_offset,
        }
    }

    pub(crate) fn max_timestamp(&self) -> (i64, i64) {
        (self.max_timestamp, self.max_timestamp_offset)
    }

    pub(crate) fn set_interval(&mut self, interval: u32) {
        self.interval = u64::from(interval);
    }

    /// The batch at `position` is appended.
    pub(crate) fn push(&mut self, header: &BatchHeader, position: u64, out: &mut IndexEntries) {
        if header.max_timestamp > self.max_timestamp {
            self.max_timestamp = header.max_timestamp;
            self.max_timestamp_offset = header.last_offset();
        }
        if self.bytes_since_entry > self.interval {
            let relative = self.relative(header.last_offset());
            out.offsets.extend(relative.to_be_bytes());
            out.offsets
                .extend(u32::try_from(position).unwrap_or(u32::MAX).to_be_bytes());
            self.push_time(out);
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += header.size_in_bytes() as u64;
    }

    /// The last time entry, written when the segment is closed (`onBecomeInactiveSegment`).
    pub(crate) fn push_time(&mut self, out: &mut IndexEntries) {
        if self.max_timestamp > self.last_time {
            out.times.extend(self.max_timestamp.to_be_bytes());
            out.times
                .extend(self.relative(self.max_timestamp_offset).to_be_bytes());
            self.last_time = self.max_timestamp;
        }
    }

    fn relative(&self, offset: i64) -> u32 {
        u32::try_from(offset - self.base).unwrap_or(u32::MAX)
    }
}
