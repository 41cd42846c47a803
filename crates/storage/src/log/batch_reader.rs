//! Reads the batches of a segment one after the other, for recovery. It stops where the bytes are no batch and does not
//! judge what that means.

use std::io;

use wire::record_batch::{BATCH_HEADER_LEN, BatchHeader, verify_crc};

use crate::store::{LocalDir, LogName, SegmentPart, SegmentStore};

/// How much is read at once.
const WINDOW: usize = 1 << 20;

/// Batches of a segment, one after the other, through a window.
pub(crate) struct BatchReader<'a> {
    store: &'a LocalDir,
    name: &'a LogName,
    base: i64,
    position: u64,
    size: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> BatchReader<'a> {
    pub(crate) fn new(
        store: &'a LocalDir,
        name: &'a LogName,
        base: i64,
        position: u64,
        size: u64,
    ) -> Self {
        BatchReader {
            store,
            name,
            base,
            position,
            size,
            window: Vec::new(),
            window_at: 0,
        }
    }

    pub(crate) fn bytes(&mut self, position: u64, length: usize) -> io::Result<&[u8]> {
        let end = self.window_at + self.window.len() as u64;
        if position < self.window_at || position + length as u64 > end {
            let left = usize::try_from(self.size.saturating_sub(position)).unwrap_or(usize::MAX);
            self.window.resize(length.max(WINDOW).min(left), 0);
            let (store, name, part) = (self.store, self.name, SegmentPart::Log);
            let read = store.read_at(name, self.base, part, position, &mut self.window)?;
            self.window.truncate(read);
            self.window_at = position;
        }
        let from = (position - self.window_at) as usize;
        let rest = self.window.get(from..).unwrap_or_default();
        Ok(rest.get(..length).unwrap_or(rest))
    }

    /// The next batch whose header is plausible; the position moves past it. `None` where there is none.
    pub(crate) fn next_header(&mut self) -> io::Result<Option<(BatchHeader, &[u8])>> {
        let position = self.position;
        let Ok(header) = BatchHeader::parse(self.bytes(position, BATCH_HEADER_LEN)?) else {
            return Ok(None);
        };
        let size = header.size_in_bytes();
        if position + size as u64 > self.size || header.last_offset_delta < 0 {
            return Ok(None);
        }
        self.position += size as u64;
        Ok(Some((header, self.bytes(position, size)?)))
    }

    /// The next batch with offsets from `expected` on and a true CRC.
    pub(crate) fn next_valid(&mut self, expected: i64) -> io::Result<Option<(BatchHeader, &[u8])>> {
        let position = self.position;
        let size = match self.next_header()? {
            Some((header, bytes))
                if header.base_offset >= expected && verify_crc(bytes).is_ok() =>
            {
                header.size_in_bytes()
            }
            _ => {
                self.position = position;
                return Ok(None);
            }
        };
        let bytes = self.bytes(position, size)?;
        match BatchHeader::parse(bytes) {
            Ok(header) => Ok(Some((header, bytes))),
            Err(_) => Ok(None),
        }
    }
}
