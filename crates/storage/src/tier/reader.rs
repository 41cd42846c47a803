//! A remote segment as a [`SegmentStore`], so that what searches local segments searches it as well.
//!
//! Index entries come from the local copy of its indexes, batches from the pieces of [`super::chunks`]. Only reads are here: a remote
//! segment never changes.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use wire::RecordsPart;

use crate::io::{be, read_full_at};
use crate::log::producer::AbortedTxn;
use crate::store::{LogName, SegmentPart, SegmentStore};
use crate::tier::chunks::{CHUNK_BYTES, Piece, Wanted};
use crate::tier::segment::TXN_ENTRY_LEN;
use crate::tier::{RemoteError, RemoteSegment, Tier};

/// Reads one remote segment.
#[derive(Debug)]
pub(crate) struct RemoteReader<'a> {
    tier: &'a Tier,
    segment: &'a RemoteSegment,
    deadline: Option<Instant>,
}

impl<'a> RemoteReader<'a> {
    /// A reader that waits for the store until `deadline`.
    pub(crate) fn new(
        tier: &'a Tier,
        segment: &'a RemoteSegment,
        deadline: Option<Instant>,
    ) -> RemoteReader<'a> {
        RemoteReader {
            tier,
            segment,
            deadline,
        }
    }

    fn piece(&self, index: u64) -> Wanted {
        let position = index * CHUNK_BYTES;
        let length = self.segment.view.size.saturating_sub(position);
        Wanted {
            id: self.segment.id,
            piece: Piece::Log(index),
            name: self.segment.log_object(&self.tier.root),
            position,
            length: length.min(CHUNK_BYTES),
        }
    }

    fn pieces(&self) -> u64 {
        self.segment.view.size.div_ceil(CHUNK_BYTES)
    }

    fn ask_for(&self, index: u64) {
        let chunks = &self.tier.chunks;
        if !chunks.knows(self.segment.id, Piece::Log(index)) {
            chunks.prefetch(self.piece(index));
        }
    }

    /// Asks for the first pieces, as many as there are of `pieces`, and the indexes, which will be wanted soon. Returns how many there
    /// are.
    pub(crate) fn prefetch(&self, pieces: u64) -> u64 {
        let pieces = pieces.min(self.pieces());
        if pieces > 0 && self.tier.index_files.get(self.segment.id).is_none() {
            self.tier.chunks.prefetch(self.indexes_wanted());
        }
        (0..pieces).for_each(|index| self.ask_for(index));
        pieces
    }

    /// A piece of the records; a reader that comes from the piece before has the following ones asked for. Of the first piece that is
    /// who had it asked for from the segment before, or comes back to it.
    fn chunk(&self, index: u64) -> io::Result<Bytes> {
        let chunks = &self.tier.chunks;
        let before = Piece::Log(index.saturating_sub(1));
        if chunks.knows(self.segment.id, before) {
            // This one first: it is what is waited for.
            let last = index.saturating_add(chunks.ahead());
            let last = last.min(self.pieces().saturating_sub(1));
            (index..=last).for_each(|index| self.ask_for(index));
        }
        chunks.get(self.piece(index), self.deadline)
    }

    /// Whether the piece before the one at `position` is in memory or on its way, as it is when a reader comes from there.
    pub(crate) fn came_to(&self, position: u64) -> bool {
        let before = (position / CHUNK_BYTES).checked_sub(1);
        before.is_some_and(|before| self.tier.chunks.knows(self.segment.id, Piece::Log(before)))
    }

    /// Whether the last piece is in memory or on its way, as it is when a reader came through.
    pub(crate) fn knows_end(&self) -> bool {
        let last = self.pieces().checked_sub(1);
        last.is_some_and(|last| self.tier.chunks.knows(self.segment.id, Piece::Log(last)))
    }

    /// How many pieces behind this segment's end are to be asked for ahead of a reader that got as far as `position`.
    pub(crate) fn ahead_behind_end(&self, position: u64) -> u64 {
        let wanted = position / CHUNK_BYTES + 1 + self.tier.chunks.ahead();
        wanted.saturating_sub(self.pieces())
    }

    /// The records in a range, which must lie within the segment, as shared buffers.
    pub(crate) fn records(&self, range: Range<u64>) -> io::Result<Vec<Bytes>> {
        let mut parts = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let chunk = self.chunk(at / CHUNK_BYTES)?;
            let from = usize::try_from(at % CHUNK_BYTES).unwrap_or(usize::MAX);
            let left = usize::try_from(range.end - at).unwrap_or(usize::MAX);
            let part_end = from.saturating_add(left).min(chunk.len());
            if from >= part_end {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            parts.push(chunk.slice(from..part_end));
            at += (part_end - from) as u64;
        }
        Ok(parts)
    }

    fn indexes_wanted(&self) -> Wanted {
        Wanted {
            id: self.segment.id,
            piece: Piece::Indexes,
            name: self.segment.indexes_object(&self.tier.root),
            position: 0,
            length: self.segment.indexes_bytes(),
        }
    }

    /// The local copy of the indexes, made now if need be.
    fn indexes(&self) -> io::Result<Arc<File>> {
        let (tier, id) = (self.tier, self.segment.id);
        if let Some(file) = tier.index_files.get(id) {
            return Ok(file);
        }
        let bytes = tier.chunks.get(self.indexes_wanted(), self.deadline)?;
        let done = if crc32c::crc32c(&bytes) == self.segment.indexes_crc {
            tier.index_files.put(id, &bytes)
        } else {
            let damaged = RemoteError::Damaged {
                name: self.segment.indexes_object(&tier.root),
                reason: "its CRC is not the one in the manifest".to_owned(),
            };
            Err(damaged.into_io())
        };
        tier.chunks.forget(id, Piece::Indexes);
        let bytes = tier.index_files.bytes();
        let metrics = &tier.metrics;
        metrics
            .remote_index_cache_bytes
            .store(bytes, Ordering::Relaxed);
        done
    }

    /// The aborted transactions whose marker is in the segment.
    pub(crate) fn aborted(&self) -> io::Result<Vec<AbortedTxn>> {
        let range = self.segment.index_range(SegmentPart::TxnIndex);
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        let read = read_full_at(&*self.indexes()?, &mut bytes, range.start)?;
        bytes.truncate(read);
        Ok(parse_aborted(&bytes))
    }
}

/// The entries of an index of aborted transactions.
pub(crate) fn parse_aborted(bytes: &[u8]) -> Vec<AbortedTxn> {
    let entry = |entry: &[u8]| {
        let field = |at| be::i64(entry, at).unwrap_or(-1);
        AbortedTxn {
            producer_id: base::ProducerId(field(2)),
            first_offset: base::Offset(field(10)),
            last_offset: base::Offset(field(18)),
            last_stable_offset: base::Offset(field(26)),
        }
    };
    bytes.chunks_exact(TXN_ENTRY_LEN).map(entry).collect()
}

fn read_only() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "a remote segment is never changed",
    )
}

impl SegmentStore for RemoteReader<'_> {
    fn list(&self, _: &LogName) -> io::Result<Vec<i64>> {
        Ok(vec![self.segment.view.base])
    }

    fn length(&self, _: &LogName, _: i64, part: SegmentPart) -> io::Result<Option<u64>> {
        let range = self.segment.index_range(part);
        Ok(Some(match part {
            SegmentPart::Log => self.segment.view.size,
            _ => range.end - range.start,
        }))
    }

    fn read_at(
        &self,
        _: &LogName,
        _: i64,
        part: SegmentPart,
        position: u64,
        buf: &mut [u8],
    ) -> io::Result<usize> {
        let range = match part {
            SegmentPart::Log => 0..self.segment.view.size,
            _ => self.segment.index_range(part),
        };
        let from = range.start.saturating_add(position);
        let length = (buf.len() as u64).min(range.end.saturating_sub(from));
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let Some(buf) = buf.get_mut(..length) else {
            return Ok(0);
        };
        if part != SegmentPart::Log {
            return read_full_at(&*self.indexes()?, buf, from);
        }
        let mut done = 0;
        for bytes in self.records(from..from + length as u64)? {
            let end = done + bytes.len();
            if let Some(to) = buf.get_mut(done..end) {
                to.copy_from_slice(&bytes);
            }
            done = end;
        }
        Ok(done)
    }

    fn region(&self, _: &LogName, _: i64, position: u64, length: u32) -> io::Result<RecordsPart> {
        let end = position.saturating_add(u64::from(length));
        let mut whole = BytesMut::with_capacity(length as usize);
        for part in self.records(position..end.min(self.segment.view.size))? {
            whole.extend_from_slice(&part);
        }
        Ok(RecordsPart::Bytes(whole.freeze()))
    }

    fn put(&self, _: &LogName, _: i64, _: SegmentPart, _: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn remove(&self, _: &LogName, _: i64, _: Duration) -> io::Result<()> {
        Err(read_only())
    }
}
