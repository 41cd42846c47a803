//! Reads of segment bytes that are not in the page cache: past it, into pipes that are used again and again.
//!
//! A consumer that catches up reads each byte once. Through the page cache, every such byte costs a page that must be found,
//! mapped and given up again, on the way in and once more where the socket's reader touches it; and a `sendfile` that
//! has to wait for the disk holds up a thread that serves other connections. Here a thread that may wait has the disk
//! fill a pipe (`splice` from the file opened with `O_DIRECT`), and the pages move from the pipe into the socket without
//! being copied. They are few and come back soon, so they stay in the processor's caches. Bytes that *are* in the page
//! cache are left to `sendfile`: [`is_cold`] asks the kernel without reading anything.
//!
//! ```text
//! region ─ is_cold? ─ no ──▶ sendfile
//!                    └ yes ─▶ ColdReads::pipe ─▶ ColdPipe::fill (blocks) ─▶ ColdPipe::send_to ─▶ socket
//! ```
//!
//! **Invariants**
//! - Pipes are bounded by [`ColdReads::new`]'s limit, whoever holds them; when all are taken there is none, and the caller
//!   uses `sendfile`. A peer that does not read its response can therefore not keep others from theirs.
//! - A direct read sees what was written through the page cache: the kernel writes dirty pages of the range back first.
//! - A pipe goes back only when it is empty; one that is dropped half-way is closed.
//!
//! It does not share what it read between readers; what many consumers follow closely is in the page cache or the tail.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex};

use rustix::fs::OFlags;
use rustix::io::{Errno, ReadWriteFlags};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use crate::io::{BLOCK, LockExt};
use crate::metrics::{StorageMetrics, add};

/// The most bytes that one pipe takes: what Linux lets any user have (`fs.pipe-max-size`), and short enough to send while
/// the next one fills.
pub const PIECE_BYTES: usize = 1 << 20;
/// Unused pipes that are kept for the next reader; the others are closed. An empty one costs two descriptors.
const KEPT: usize = 16;
/// How far apart [`is_cold`] looks. Less than what a reader of batch headers leaves in the page cache would not do.
const PROBE_STEP: usize = 256 << 10;

/// Whether some of the bytes have to come from the disk. Looks at one in [`PROBE_STEP`], past the first headers, which
/// whoever found the region has looked at; reads nothing, never blocks. `false` too when the kernel cannot say.
#[must_use]
pub fn is_cold(file: &File, position: u64, length: u64) -> bool {
    let missing = |at: u64| {
        let mut byte = [0];
        let mut one = [IoSliceMut::new(&mut byte)];
        let cached = rustix::io::preadv2(file, &mut one, at, ReadWriteFlags::NOWAIT);
        cached == Err(rustix::io::Errno::AGAIN)
    };
    let middle = position + length / 2;
    length > 0
        && ((position..position + length)
            .step_by(PROBE_STEP)
            .any(missing)
            || missing(middle))
}

/// Has the kernel read a range into the page cache, for a `sendfile` that must wait for the disk: segment files are
/// open without read-ahead of their own.
pub fn read_into_cache(file: &File, position: u64, length: u64) {
    let length = std::num::NonZeroU64::new(length);
    if let Err(errno) = rustix::fs::fadvise(file, position, length, rustix::fs::Advice::WillNeed) {
        tracing::trace!(%errno, "no read-ahead");
    }
}

/// The pipes of all cold reads of a data directory.
#[derive(Debug)]
pub struct ColdReads {
    pool: Mutex<Pool>,
    limit: usize,
    metrics: Arc<StorageMetrics>,
}

#[derive(Debug)]
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

#[derive(Debug, Default)]
struct Pool {
    unused: Vec<Ends>,
    /// Pipes that someone holds.
    taken: usize,
}

impl ColdReads {
    /// No pipes yet, at most `limit` of [`PIECE_BYTES`] at any time. What was read is counted in `metrics`.
    #[must_use]
    pub fn new(limit: usize, metrics: Arc<StorageMetrics>) -> ColdReads {
        ColdReads {
            pool: Mutex::default(),
            limit,
            metrics,
        }
    }

    /// A pipe, or `None` while all are taken or the system gives no more. It comes back by being dropped.
    #[must_use]
    pub fn pipe(self: &Arc<Self>) -> Option<ColdPipe> {
        let mut pool = self.pool.locked();
        if pool.taken >= self.limit {
            return None;
        }
        let ends = pool.unused.pop().or_else(|| match new_pipe() {
            Ok(ends) => Some(ends),
            Err(errno) => {
                // The user's share of pipe pages, or of descriptors, is used up.
                tracing::debug!(%errno, "no pipe for a cold read");
                None
            }
        })?;
        pool.taken += 1;
        Some(ColdPipe {
            ends: Some(ends),
            left: 0,
            trailing: 0,
            reads: Arc::clone(self),
        })
    }
}

fn new_pipe() -> rustix::io::Result<Ends> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    fcntl_setpipe_size(&write, PIECE_BYTES)?;
    Ok(Ends { read, write })
}

/// One pipe and what is in it.
#[derive(Debug)]
pub struct ColdPipe {
    ends: Option<Ends>,
    /// Bytes that are still to be sent.
    left: usize,
    /// Bytes behind them: direct reads end at a multiple of [`BLOCK`].
    trailing: usize,
    reads: Arc<ColdReads>,
}

impl ColdPipe {
    /// How many of `length` bytes from `position` the next piece takes: all that fit a pipe, or a share of about equal
    /// size that ends at a block's boundary.
    #[must_use]
    pub fn piece_length(position: u64, length: u64) -> u64 {
        let skip = position % BLOCK as u64;
        let blocks = (skip + length).div_ceil(BLOCK as u64);
        let pieces = blocks.div_ceil((PIECE_BYTES / BLOCK) as u64).max(1);
        let end = blocks.div_ceil(pieces) * BLOCK as u64;
        length.min(end - skip)
    }

    /// Has `length` bytes at `position` read into the pipe, at most [`ColdPipe::piece_length`]. Blocks for as long as
    /// the disk takes.
    ///
    /// Where the file system, or a `/proc` that is not there, refuses a direct read, it is an ordinary one.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before; the disk's errors. Drop the pipe then.
    pub fn fill(&mut self, file: &File, position: u64, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut at = position - position % BLOCK as u64;
        let skip = usize::try_from(position - at).unwrap_or(0);
        let wanted = skip.saturating_add(length);
        if wanted > PIECE_BYTES || self.left + self.trailing > 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{length} bytes are more than one piece, or the pipe is not empty"),
            ));
        }
        let direct = reopen_direct(file);
        let is_direct = direct.is_some();
        let file = direct.as_ref().unwrap_or(file);
        let whole = wanted.next_multiple_of(BLOCK);
        while self.left < wanted {
            let more = whole - self.left;
            let flags = SpliceFlags::NONBLOCK;
            match splice(file, Some(&mut at), &self.ends()?.write, None, more, flags) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => self.left += read,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            // A direct read ends within a block only where the file does.
            if is_direct && self.left < wanted && !self.left.is_multiple_of(BLOCK) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.discard(skip)?;
        self.trailing = self.left - wanted;
        self.left = length;
        add(&self.reads.metrics.read_bytes_cold, length);
        Ok(())
    }

    /// Moves bytes from the pipe to a socket that does not block; returns how many are left.
    ///
    /// # Errors
    /// `WouldBlock` while the socket takes no more; the socket's errors.
    pub fn send_to(&mut self, socket: impl AsFd) -> io::Result<usize> {
        if self.left > 0 {
            let flags = SpliceFlags::NONBLOCK;
            let sent = splice(&self.ends()?.read, None, socket, None, self.left, flags)?;
            self.left = self.left.saturating_sub(sent);
        }
        if self.left == 0 {
            self.discard(self.trailing)?;
            self.trailing = 0;
        }
        Ok(self.left)
    }

    fn ends(&self) -> io::Result<&Ends> {
        self.ends
            .as_ref()
            .ok_or_else(|| io::Error::other("the pipe was given back"))
    }

    /// Takes less than a block from the front of the pipe.
    fn discard(&self, mut count: usize) -> io::Result<()> {
        let mut scratch = [0; BLOCK];
        while count > 0 {
            let target = scratch.get_mut(..count.min(BLOCK)).unwrap_or_default();
            match rustix::io::read(&self.ends()?.read, target)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => count -= read,
            }
        }
        Ok(())
    }
}

impl Drop for ColdPipe {
    fn drop(&mut self) {
        let empty = self.left + self.trailing == 0;
        let ends = self.ends.take().filter(|_| empty);
        let mut pool = self.reads.pool.locked();
        pool.taken = pool.taken.saturating_sub(1);
        if pool.unused.len() < KEPT {
            pool.unused.extend(ends);
        }
    }
}

/// The same open file with `O_DIRECT`. By its descriptor and not by its name: a segment may have been renamed or
/// removed since, and stays readable all the same.
fn reopen_direct(file: &File) -> Option<File> {
    std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(i32::try_from(OFlags::DIRECT.bits()).unwrap_or(0))
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{Read, Write};
    use std::os::unix::fs::FileExt;
    use std::os::unix::net::UnixStream;

    fn reads(limit: usize) -> Arc<ColdReads> {
        Arc::new(ColdReads::new(limit, Arc::default()))
    }

    fn file_of(length: usize) -> (tempfile::NamedTempFile, Vec<u8>) {
        let content: Vec<u8> = (0..length)
            .map(|i| (i / 7) as u8 ^ (i >> 12) as u8)
            .collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&content).unwrap();
        (file, content)
    }

    /// Sends what is in the pipe, and returns what arrives.
    fn received(pipe: &mut ColdPipe, length: usize) -> Vec<u8> {
        let (mut here, there) = UnixStream::pair().unwrap();
        there.set_nonblocking(true).unwrap();
        let mut got = vec![0; length];
        let mut at = 0;
        while at < length {
            let before = pipe.left;
            let left = match pipe.send_to(&there) {
                Ok(left) => left,
                Err(error) => panic!("after {at} of {length} bytes: {error}"),
            };
            let sent = before - left;
            here.read_exact(&mut got[at..at + sent]).unwrap();
            at += sent;
        }
        got
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn pieces_put_together_are_the_region(from in 0usize..9_000, length in 1usize..3_000_000) {
            let (file, content) = file_of(3_100_000);
            let reads = reads(1);
            let end = (from + length).min(content.len());
            let mut position = from as u64;
            let mut got = Vec::new();
            while position < end as u64 {
                let piece = ColdPipe::piece_length(position, end as u64 - position);
                let mut pipe = reads.pipe().unwrap();
                pipe.fill(file.as_file(), position, piece).unwrap();
                got.extend(received(&mut pipe, piece as usize));
                position += piece;
            }
            prop_assert!(got == content[from..end]);
        }

        #[test]
        fn a_piece_fits_a_pipe(position in 0u64..1 << 40, length in 1u64..1 << 31) {
            let piece = ColdPipe::piece_length(position, length);
            prop_assert!(piece > 0 && piece <= length);
            let whole = (position % BLOCK as u64 + piece).next_multiple_of(BLOCK as u64);
            prop_assert!(whole <= PIECE_BYTES as u64);
            prop_assert!(piece == length || (position + piece).is_multiple_of(BLOCK as u64));
        }
    }

    #[test]
    fn a_file_that_ends_early_is_an_error_and_a_removed_one_is_not() {
        let (file, content) = file_of(10_000);
        let reads = reads(2);
        let error = reads
            .pipe()
            .unwrap()
            .fill(file.as_file(), 5_000, 5_001)
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let (file, path) = file.into_parts();
        drop(path);
        let mut pipe = reads.pipe().unwrap();
        pipe.fill(&file, 5_000, 5_000).unwrap();
        assert_eq!(received(&mut pipe, 5_000), &content[5_000..]);
        let too_long = PIECE_BYTES as u64 + 1;
        assert!(pipe.fill(&file, 0, too_long).is_err());
    }

    #[test]
    fn pipes_are_bounded_and_only_empty_ones_are_used_again() {
        let (file, _) = file_of(10_000);
        let reads = reads(2);
        let mut first = reads.pipe().unwrap();
        let second = reads.pipe().unwrap();
        assert!(reads.pipe().is_none());
        first.fill(file.as_file(), 0, 100).unwrap();
        drop(first);
        assert!(reads.pool.locked().unused.is_empty());
        let empty = second.ends.as_ref().unwrap().read.as_raw_fd();
        drop(second);
        let again = reads.pipe().unwrap();
        assert_eq!(again.ends.as_ref().unwrap().read.as_raw_fd(), empty);
        drop(again);
        assert_eq!(reads.pool.locked().taken, 0);
    }

    #[test]
    fn what_was_evicted_is_cold_and_what_was_read_is_not() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let path = dir.path().join("segment");
        std::fs::write(&path, vec![7; 1 << 20]).unwrap();
        let file = File::open(&path).unwrap();
        assert!(!is_cold(&file, 0, 1 << 20));
        assert!(!is_cold(&file, 0, 0));
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        // A file system in memory has nothing to evict; there the bytes stay warm.
        let evicted = is_cold(&file, 4_096, 500_000);
        let in_memory = rustix::fs::statfs(&path).unwrap().f_type == 0x0102_1994;
        assert!(evicted || in_memory);
        let mut all = vec![0; 1 << 20];
        file.read_exact_at(&mut all, 0).unwrap();
        assert!(!is_cold(&file, 4_096, 500_000));
    }
}
