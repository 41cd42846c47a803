//! Makes the journal's files: reserves their space, writes their blocks once, keeps one ready ahead of need.
//!
//! The blocks of a new file are written beside the active file's groups, on the same disk, so they are written at the
//! pace at which the active file fills, and are done when it is half full: all at once they hold up every write of that
//! tenth of a second. Whoever is in want of a file ([`Queue::wanted`]) has it made without pause.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::fs::OFlags;

use super::{Queue, RingFile, Shared, open_ring_file};
use crate::aligned::AlignedBuf;
use crate::fault::IoOp;
use crate::io::{LockExt, sync_dir};
use crate::metrics::add;

/// How often making a file is tried again while the disk is full.
const ALLOCATE_AGAIN: Duration = Duration::from_millis(500);
/// A new file's blocks are written in pieces of this size.
const ZEROS_BYTES: usize = 128 << 10;

/// How fast the blocks of a new file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Without pause.
    AtOnce,
    /// Twice as fast as the active file fills.
    BesideTheActiveFile,
}

impl Queue {
    /// `file` becomes the active one.
    pub(super) fn begin_file(&mut self, file: &RingFile) {
        self.remaining = file.capacity();
        self.capacity = file.capacity();
    }

    /// What the active file must not hold more of for a new file of `bytes` to have `written` of its blocks.
    fn turn_of(&self, written: u64, bytes: u64) -> u64 {
        let used = u128::from(written) * u128::from(self.capacity) / (2 * u128::from(bytes.max(1)));
        self.capacity
            .saturating_sub(u64::try_from(used).unwrap_or(u64::MAX))
    }
}

impl Shared {
    /// Makes one file and adds it to the free ones.
    pub(super) fn allocate(&self, bytes: u64, pace: Pace) {
        let slot = {
            let mut queue = self.queue.locked();
            queue.next_slot += 1;
            queue.next_slot - 1
        };
        let path = self.options.dir.join(format!("journal-{slot:04}.wal"));
        match self.make_file(&path, bytes, pace) {
            Ok(Some(file)) => {
                let mut queue = self.queue.locked();
                queue.total_bytes += bytes;
                queue.wanted = false;
                add(&self.metrics.journal_files_bytes, bytes as usize);
                queue.free.insert(0, file);
                drop(queue);
                self.set_disk_full(false);
                self.wake_writer.notify_one();
            }
            Ok(None) => remove(&path),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot make a journal file");
                remove(&path);
                self.set_disk_full(true);
            }
        }
        self.room.notify_waiters();
    }

    fn set_disk_full(&self, full: bool) {
        if self.disk_full.swap(full, Ordering::Relaxed) != full {
            self.state.send_modify(|state| state.disk_full = full);
        }
    }

    /// `None` when the journal ends before the file is whole.
    fn make_file(&self, path: &Path, bytes: u64, pace: Pace) -> io::Result<Option<RingFile>> {
        self.faults.check(IoOp::JournalAllocate)?;
        let stat = rustix::fs::statvfs(&self.options.dir)?;
        let usable = stat.f_bavail.saturating_mul(stat.f_frsize);
        if usable < bytes.saturating_add(self.options.headroom_bytes) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        // The space is reserved first, so that a full disk is found before anything is written.
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno.into()),
        }
        if !self.write_zeros(path, bytes, pace)? {
            return Ok(None);
        }
        file.sync_all()?;
        sync_dir(&self.options.dir)?;
        drop(file);
        self.faults.done(IoOp::JournalAllocate, path);
        open_ring_file(path, bytes).map(Some)
    }

    /// Writes a new file's blocks once, so that later writes to them change no metadata of the file system. Past the
    /// page cache where that is possible: nobody reads these zeros, and copying them there would cost as much
    /// processor time as copying the records that replace them. `false` when the journal ended meanwhile.
    fn write_zeros(&self, path: &Path, bytes: u64, pace: Pace) -> io::Result<bool> {
        let mut options = OpenOptions::new();
        options.write(true);
        let direct = options
            .clone()
            .custom_flags(OFlags::DIRECT.bits() as i32)
            .open(path);
        let file = direct.or_else(|_| options.open(path))?;
        let mut zeros = AlignedBuf::with_capacity(ZEROS_BYTES);
        zeros.extend(&vec![0; ZEROS_BYTES]);
        let mut written = 0;
        while written < bytes {
            if pace == Pace::BesideTheActiveFile && !self.await_turn(written, bytes) {
                return Ok(false);
            }
            let length = ZEROS_BYTES.min(usize::try_from(bytes - written).unwrap_or(ZEROS_BYTES));
            file.write_all_at(&zeros.as_slice()[..length], written)?;
            written += length as u64;
        }
        Ok(true)
    }

    /// Waits until the active file is so full that a new file of `bytes` may have more than `written` of its blocks,
    /// or somebody is in want of it. `false` when the journal has ended.
    fn await_turn(&self, written: u64, bytes: u64) -> bool {
        let mut queue = self.queue.locked();
        loop {
            if queue.closed || queue.failed.is_some() {
                return false;
            }
            let turn = queue.turn_of(written, bytes);
            if queue.wanted || queue.remaining <= turn {
                queue.allocate_at = None;
                return true;
            }
            queue.allocate_at = Some(turn);
            queue = self
                .wake_allocator
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The allocator thread: keeps one file ready.
    pub(super) fn allocate_ahead(&self) {
        loop {
            let mut queue = self.queue.locked();
            loop {
                if queue.closed || queue.failed.is_some() {
                    return;
                }
                if self.is_file_due(&mut queue) {
                    break;
                }
                queue = self
                    .wake_allocator
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            drop(queue);
            self.allocate(self.options.file_bytes, Pace::BesideTheActiveFile);
            if self.disk_full.load(Ordering::Relaxed) {
                let queue = self.queue.locked();
                if queue.closed {
                    return;
                }
                drop(self.wake_allocator.wait_timeout(queue, ALLOCATE_AGAIN));
            }
        }
    }

    /// Whether a file is missing and may be made; notes when only the limit is in the way.
    pub(super) fn is_file_due(&self, queue: &mut Queue) -> bool {
        let missing = queue.free.is_empty() || queue.wanted;
        let fits = queue.total_bytes + self.options.file_bytes <= self.options.max_bytes;
        queue.at_limit = missing && !fits;
        missing && fits
    }
}

/// What is left of a file that was not made.
fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "cannot remove an unfinished journal file");
    }
}
