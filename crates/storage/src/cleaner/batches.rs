//! The batches of a segment in order, through a window that bounds memory; the segment is a local file or a remote object.

use std::fs::File;
use std::io;
use std::sync::Arc;

use wire::record_batch::{BATCH_HEADER_LEN, BatchHeader, verify_crc};

use crate::cleaner::CleanError;
use crate::io::read_full_at;
use crate::log::PartitionLog;
use crate::log::index::SegmentView;
use crate::store::SegmentPart;
use crate::tier::{RemoteError, RemoteSegment, RemoteStore};

/// The least that is read of a remote object at once: a request for less costs more than it brings.
const REMOTE_WINDOW_BYTES: usize = 4 << 20;

#[derive(Debug)]
enum Source {
    File(File),
    Object {
        store: Arc<dyn RemoteStore>,
        name: String,
    },
}

impl Source {
    fn read(&self, buf: &mut [u8], position: u64) -> Result<usize, CleanError> {
        match self {
            Source::File(file) => {
                read_full_at(file, buf, position).map_err(CleanError::io("read a segment"))
            }
            Source::Object { store, name } => {
                let bytes =
                    store
                        .get(name, position, buf.len() as u64)
                        .map_err(|error| match error {
                            // A deletion was faster.
                            RemoteError::NotFound { .. } => CleanError::Aborted,
                            error => CleanError::remote(error.into_io()),
                        })?;
                let length = bytes.len().min(buf.len());
                if let (Some(to), Some(from)) = (buf.get_mut(..length), bytes.get(..length)) {
                    to.copy_from_slice(from);
                }
                Ok(length)
            }
        }
    }
}

/// The batches of a segment; each one's CRC is checked.
pub(crate) struct Batches<'a> {
    segment: &'a SegmentView,
    source: Source,
    /// Where the next batch is.
    pub(crate) position: u64,
    window: Vec<u8>,
    window_at: u64,
    window_bytes: usize,
}

impl<'a> Batches<'a> {
    /// Those of a local segment.
    pub(crate) fn open(
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
        Ok(Batches::new(segment, Source::File(file), window_bytes))
    }

    /// Those of a remote segment.
    pub(crate) fn open_remote(
        log: &PartitionLog,
        segment: &'a RemoteSegment,
        window_bytes: usize,
    ) -> Result<Batches<'a>, CleanError> {
        let Some(tier) = &log.context.tier else {
            return Err(CleanError::Aborted);
        };
        let name = segment.log_object(&tier.root);
        let window_bytes = window_bytes.max(REMOTE_WINDOW_BYTES);
        let store = Arc::clone(&tier.store);
        Ok(Batches::of_object(store, name, &segment.view, window_bytes))
    }

    /// Those of an object.
    pub(crate) fn of_object(
        store: Arc<dyn RemoteStore>,
        name: String,
        segment: &'a SegmentView,
        window_bytes: usize,
    ) -> Batches<'a> {
        Batches::new(segment, Source::Object { store, name }, window_bytes)
    }

    fn new(segment: &'a SegmentView, source: Source, window_bytes: usize) -> Batches<'a> {
        Batches {
            segment,
            source,
            position: 0,
            window: Vec::new(),
            window_at: 0,
            window_bytes,
        }
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
        let read = self.source.read(&mut self.window, self.position)?;
        self.window.truncate(read);
        self.window_at = self.position;
        Ok(())
    }

    fn at(&self) -> &[u8] {
        let from = usize::try_from(self.position - self.window_at).unwrap_or(usize::MAX);
        self.window.get(from..).unwrap_or_default()
    }

    /// The next batch; `None` at the segment's end.
    pub(crate) fn next(&mut self) -> Result<Option<(BatchHeader, &[u8])>, CleanError> {
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
