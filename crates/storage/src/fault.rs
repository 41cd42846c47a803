//! Fault points: where a test makes I/O fail as a bad disk would, and learns what a power loss would leave.

use std::fmt;
use std::io;
use std::path::Path;

/// One kind of I/O that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IoOp {
    /// A group written to the journal; with `O_DSYNC` the write is also the sync.
    JournalWrite,
    /// `fdatasync` of a journal file, where the file system refuses `O_DIRECT`.
    JournalSync,
    /// A new journal file, created and filled with zeros.
    JournalAllocate,
    /// Batches written to a segment file.
    SegmentWrite,
    /// An index of aborted transactions, written and renamed.
    TxnIndexWrite,
    /// `fdatasync` of a segment file.
    SegmentSync,
    /// The directory of a log synced, after files appeared in it. Told of afterwards, never made to fail.
    DirectorySync,
    /// The checkpoint file, written and renamed.
    CheckpointWrite,
    /// A cleaned segment, before it is part of its log.
    CleanerWrite,
    /// Each step that puts a cleaned segment in the place of those it was made of.
    CleanerSwap,
    /// Local segments that are in the remote store as well, before each step of their removal.
    LocalRetention,
}

/// Decides, before each I/O, whether it fails instead.
pub trait FaultHook: Send + Sync + fmt::Debug {
    /// The error to fail `op` with, or `None` to let it happen.
    ///
    /// Called on the thread that does the I/O; must not block for long.
    fn before(&self, op: IoOp) -> Option<io::Error>;

    /// `op` on `path` has happened, and what the file holds now is on stable storage. Told of each file after
    /// [`IoOp::JournalWrite`], [`IoOp::JournalAllocate`], [`IoOp::SegmentSync`] (of a directory: everything below it),
    /// [`IoOp::CleanerWrite`] and [`IoOp::CheckpointWrite`]; after [`IoOp::DirectorySync`] only the names in it are. After
    /// [`IoOp::CleanerSwap`] a file that was synced under another name has this one, which is durable with its directory's sync.
    ///
    /// Called on the thread that does the I/O, before anybody hears of it.
    fn after(&self, op: IoOp, path: &Path) {
        let _ = (op, path);
    }
}
