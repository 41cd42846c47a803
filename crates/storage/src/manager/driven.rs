//! A storage without threads: what they would do is done when it is asked for, so that a simulation decides when.
//!
//! Everything else is as it always is: the same journal, the same segments, the same recovery.

use std::sync::atomic::Ordering;

use super::Storage;
use crate::error::StorageError;
use crate::log::LogContext;

/// One step of what a background thread does. Checkpoints, retention and compaction have methods of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Duty {
    /// The journal's writer: one group, the change to the next file, or, with nothing queued, the seal of the last group.
    WriteJournal,
    /// The journal's allocator: one file, when one is missing.
    MakeJournalFile,
    /// The segment writer: every log with something durable in its tail.
    WriteSegments,
}

impl Storage {
    /// Does one step on the calling thread, of a storage opened with
    /// [`StorageOptions::driven`](crate::StorageOptions::driven). Returns whether there is more of it to do.
    pub fn drive(&self, duty: Duty) -> bool {
        let inner = &self.inner;
        match duty {
            Duty::WriteJournal => inner.journal.step(),
            Duty::MakeJournalFile => inner.journal.allocate_due(),
            Duty::WriteSegments => match inner.context.flusher.round() {
                Some(outcome) => {
                    flushed(&inner.context, inner.options.headroom_bytes > 0, outcome);
                    true
                }
                None => false,
            },
        }
    }

    /// Whether frames are queued that the journal has not made durable.
    #[must_use]
    pub fn has_queued_frames(&self) -> bool {
        let state = self.inner.durable.borrow();
        state.failed.is_none() && state.durable < self.inner.context.wal.last_lsn()
    }

    /// Whether only a checkpoint makes room in the journal.
    #[must_use]
    pub fn wants_checkpoint(&self) -> bool {
        self.inner.journal.wants_trim()
    }
}

/// What a round of the segment writer says of the disk.
pub(crate) fn flushed(context: &LogContext, headroom: bool, outcome: Result<(), StorageError>) {
    match outcome {
        // With headroom, the maintenance thread decides by the space that is free.
        Ok(()) if !headroom => context.disk_full.store(false, Ordering::Relaxed),
        Ok(()) | Err(StorageError::DiskFull) => {}
        Err(error) => context.fail(error),
    }
}
