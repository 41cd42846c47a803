//! Small file helpers: positioned vectored writes, atomic replacement, directory sync, poison-free locks.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::fault::{FaultHook, IoOp};

/// The unit of journal writes: what `O_DIRECT` asks for on every file system in use.
pub(crate) const BLOCK: usize = 4096;

/// `IOV_MAX` on Linux.
const IOV_MAX: usize = 1024;

/// Locks without poisoning: a panic elsewhere is reported by its own thread, and every critical section of
/// this crate leaves its data consistent at each step.
pub(crate) trait LockExt<T> {
    fn locked(&self) -> MutexGuard<'_, T>;
}

impl<T> LockExt<T> for Mutex<T> {
    fn locked(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The optional fault hook, as every writer holds it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(pub(crate) Option<Arc<dyn FaultHook>>);

impl Faults {
    pub(crate) fn check(&self, op: IoOp) -> io::Result<()> {
        match self.0.as_ref().and_then(|hook| hook.before(op)) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    pub(crate) fn done(&self, op: IoOp, path: &Path) {
        if let Some(hook) = &self.0 {
            hook.after(op, path);
        }
    }
}

/// Writes all of `slices` at `position`, in as few calls as `IOV_MAX` allows.
pub(crate) fn write_all_vectored_at(
    file: &File,
    slices: &mut [IoSlice<'_>],
    position: u64,
) -> io::Result<()> {
    let mut rest = slices;
    let mut at = position;
    while !rest.is_empty() {
        let take = rest.len().min(IOV_MAX);
        let written = match rustix::io::pwritev(file, &rest[..take], at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        };
        at += written as u64;
        IoSlice::advance_slices(&mut rest, written);
    }
    Ok(())
}

/// Has the kernel begin to write the dirty pages from `from` to `to`, without waiting for them. `POSIX_FADV_DONTNEED`
/// does that first (`generic_fadvise`); what it drops next are clean pages only, and these are on their way to the
/// disk. A failure of the write is the next sync's to report; a kernel that takes no advice costs speed only.
pub(crate) fn start_write_back(file: &File, from: u64, to: u64) {
    let length = std::num::NonZeroU64::new(to.saturating_sub(from));
    if length.is_some()
        && let Err(errno) = rustix::fs::fadvise(file, from, length, rustix::fs::Advice::DontNeed)
    {
        tracing::trace!(%errno, "the kernel takes no advice on write-back");
    }
}

/// Reads until `buf` is full or the file ends; returns how much was read.
pub(crate) fn read_full_at(file: &File, buf: &mut [u8], position: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buf.len() {
        match file.read_at(&mut buf[done..], position + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Replaces `path` by `bytes`: written aside and renamed over. With `durable` the file and its directory are
/// synced, so that after power loss either the old or the new content is there.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let tmp = std::path::PathBuf::from(name);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&tmp)?;
    file.write_all_at(bytes, 0)?;
    if durable {
        file.sync_all()?;
    }
    std::fs::rename(&tmp, path)?;
    if durable && let Some(parent) = path.parent() {
        sync_dir(parent)?;
    }
    Ok(())
}

/// Whether the error says that the disk, or the user's share of it, is full.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Big-endian integers at a place of a slice, `None` beyond its end.
pub(crate) mod be {
    pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
        bytes.get(at..)?.first_chunk::<N>().copied()
    }
    pub(crate) fn u32(bytes: &[u8], at: usize) -> Option<u32> {
        array(bytes, at).map(u32::from_be_bytes)
    }
    pub(crate) fn i32(bytes: &[u8], at: usize) -> Option<i32> {
        array(bytes, at).map(i32::from_be_bytes)
    }
    pub(crate) fn u64(bytes: &[u8], at: usize) -> Option<u64> {
        array(bytes, at).map(u64::from_be_bytes)
    }
    pub(crate) fn i64(bytes: &[u8], at: usize) -> Option<i64> {
        array(bytes, at).map(i64::from_be_bytes)
    }
    pub(crate) fn i16(bytes: &[u8], at: usize) -> Option<i16> {
        array(bytes, at).map(i16::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_slices_than_one_call_takes_are_all_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let file = File::create_new(&path).unwrap();
        let words: Vec<[u8; 3]> = (0..2_500u32)
            .map(|i| [i as u8, (i >> 8) as u8, 7])
            .collect();
        let mut slices: Vec<IoSlice<'_>> = words.iter().map(|w| IoSlice::new(w)).collect();
        write_all_vectored_at(&file, &mut slices, 5).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[..5], &[0; 5]);
        assert_eq!(&bytes[5..], words.concat());
    }

    #[test]
    fn an_atomic_write_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_atomic(&path, b"one", true).unwrap();
        write_atomic(&path, b"two", false).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
