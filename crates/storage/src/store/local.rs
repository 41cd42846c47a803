//! Kafka's directory layout on a local file system, with a bounded cache of open files.
//!
//! ```text
//! <root>/<topic>-<partition>/
//!     00000000000000000000.log        .index  .timeindex  .txnindex (only with aborted transactions)
//!     00000000000000000042.snapshot   producer state before offset 42
//!     leader-epoch-checkpoint
//!     partition.metadata              the topic id
//! ```
//! A log's directory appears with its first segment, so that ten thousand empty partitions cost nothing.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wire::{FileRegion, RecordsPart};

use crate::fault::IoOp;
use crate::io::{Faults, LockExt, read_full_at, write_atomic};
use crate::store::{LogName, SegmentPart, SegmentStore};

/// Log, segment, part, and how often the segment was replaced: who opened a file while that happened must not leave
/// the old one for others.
type HandleKey = (u64, i64, SegmentPart, u32);

/// Open files, least recently used first out.
#[derive(Debug, Default)]
struct Handles {
    open: HashMap<HandleKey, (Arc<File>, u64)>,
    tick: u64,
    replaced: HashMap<(u64, i64), u32>,
}

impl Handles {
    fn key(&self, log: &LogName, base: i64, part: SegmentPart) -> HandleKey {
        let replaced = self.replaced.get(&(log.uid, base)).copied();
        (log.uid, base, part, replaced.unwrap_or(0))
    }

    fn close(&mut self, log: &LogName, base: i64) {
        self.open
            .retain(|(uid, of, _, _), _| (*uid, *of) != (log.uid, base));
    }
}

/// [`SegmentStore`] over a directory.
#[derive(Debug)]
pub struct LocalDir {
    root: PathBuf,
    capacity: usize,
    handles: Mutex<Handles>,
    doomed: Mutex<Vec<(Instant, PathBuf)>>,
    faults: Faults,
}

impl LocalDir {
    /// A store in `root`, which is created when missing, that keeps at most `open_files` files open.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(root: impl Into<PathBuf>, open_files: usize) -> io::Result<LocalDir> {
        let root = root.into();
        std::fs::create_dir_all(&root)?;
        Ok(LocalDir {
            root,
            capacity: open_files.max(16),
            handles: Mutex::default(),
            doomed: Mutex::default(),
            faults: Faults::default(),
        })
    }

    /// The same store, with fault points.
    pub(crate) fn with_faults(mut self, faults: Faults) -> LocalDir {
        self.faults = faults;
        self
    }

    /// The directory of all logs.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of one log; it may not exist yet.
    #[must_use]
    pub fn dir(&self, log: &LogName) -> PathBuf {
        self.root.join(log.dir_name())
    }

    /// The path of a part.
    #[must_use]
    pub fn path(&self, log: &LogName, base: i64, part: SegmentPart) -> PathBuf {
        self.dir(log)
            .join(format!("{base:020}.{}", part.extension()))
    }

    /// An open handle, for reading and writing.
    ///
    /// # Errors
    /// `NotFound` and other I/O errors.
    pub fn file(&self, log: &LogName, base: i64, part: SegmentPart) -> io::Result<Arc<File>> {
        let key = {
            let mut handles = self.handles.locked();
            handles.tick += 1;
            let tick = handles.tick;
            let key = handles.key(log, base, part);
            if let Some((file, used)) = handles.open.get_mut(&key) {
                *used = tick;
                return Ok(Arc::clone(file));
            }
            key
        };
        let path = self.path(log, base, part);
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        without_read_ahead(&file, part);
        Ok(self.remember(key, Arc::new(file)))
    }

    /// Creates the log's directory, if need be, and the segment's empty parts. Parts that are there stay.
    ///
    /// # Errors
    /// I/O errors.
    pub fn create(&self, log: &LogName, base: i64, preallocate: Option<u64>) -> io::Result<()> {
        std::fs::create_dir_all(self.dir(log))?;
        for part in [
            SegmentPart::Log,
            SegmentPart::OffsetIndex,
            SegmentPart::TimeIndex,
        ] {
            let path = self.path(log, base, part);
            let mut options = OpenOptions::new();
            let file = options
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?;
            if let (SegmentPart::Log, Some(bytes)) = (part, preallocate) {
                // KEEP_SIZE: the file's length stays the length of its data.
                let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
                match rustix::fs::fallocate(&file, flags, 0, bytes) {
                    Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
                    Err(errno) => return Err(errno.into()),
                }
            }
            without_read_ahead(&file, part);
            let key = self.handles.locked().key(log, base, part);
            self.remember(key, Arc::new(file));
        }
        Ok(())
    }

    /// Closes the cached handles of a log.
    pub fn forget(&self, log: &LogName) {
        let mut handles = self.handles.locked();
        handles.open.retain(|(uid, _, _, _), _| *uid != log.uid);
        handles.replaced.retain(|(uid, _), _| *uid != log.uid);
    }

    /// The files of a segment are other ones now: nobody is given a handle of the old ones any more. Who has one keeps
    /// reading what was there.
    pub fn replaced(&self, log: &LogName, base: i64) {
        let mut handles = self.handles.locked();
        *handles.replaced.entry((log.uid, base)).or_default() += 1;
        handles.close(log, base);
    }

    /// Unlinks what was removed and whose delay is over; directories are removed whole.
    pub fn purge(&self, everything: bool) {
        let now = Instant::now();
        let due: Vec<PathBuf> = {
            let mut doomed = self.doomed.locked();
            let (due, later) = doomed
                .drain(..)
                .partition::<Vec<_>, _>(|(at, _)| everything || *at <= now);
            *doomed = later;
            due.into_iter().map(|(_, path)| path).collect()
        };
        for path in due {
            let removed = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
            if let Err(error) = removed
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "cannot unlink");
            }
        }
    }

    /// Leaves `path` to [`LocalDir::purge`] after `delay`.
    pub fn doom(&self, path: PathBuf, delay: Duration) {
        self.doomed.locked().push((Instant::now() + delay, path));
    }

    /// Lists what earlier processes removed but did not unlink, so that `purge` does.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn doom_leftovers(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.root)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with("-delete") {
                self.doom(path, Duration::ZERO);
            }
        }
        Ok(())
    }

    fn remember(&self, key: HandleKey, file: Arc<File>) -> Arc<File> {
        let mut handles = self.handles.locked();
        handles.tick += 1;
        let tick = handles.tick;
        let (uid, base, _, replaced) = key;
        if handles.replaced.get(&(uid, base)).copied().unwrap_or(0) != replaced {
            return file;
        }
        if handles.open.len() >= self.capacity {
            let mut ages: Vec<u64> = handles.open.values().map(|(_, used)| *used).collect();
            let quarter = ages.len() / 4;
            let (_, cut, _) = ages.select_nth_unstable(quarter);
            let cut = *cut;
            handles.open.retain(|_, (_, used)| *used > cut);
        }
        let (kept, _) = handles.open.entry(key).or_insert((file, tick));
        Arc::clone(kept)
    }
}

/// The kernel's own read-ahead would bring a log into the page cache behind each header that is looked at, before the
/// records are read past it ([`crate::cold`]).
fn without_read_ahead(file: &File, part: SegmentPart) {
    if part == SegmentPart::Log
        && let Err(errno) = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Random)
    {
        tracing::trace!(%errno, "the kernel takes no advice on read-ahead");
    }
}

impl SegmentStore for LocalDir {
    fn list(&self, log: &LogName) -> io::Result<Vec<i64>> {
        let entries = match std::fs::read_dir(self.dir(log)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut bases = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(".log"));
            if let Some(base) = stem
                .filter(|stem| stem.len() == 20)
                .and_then(|s| s.parse().ok())
            {
                bases.push(base);
            }
        }
        bases.sort_unstable();
        Ok(bases)
    }

    fn length(&self, log: &LogName, base: i64, part: SegmentPart) -> io::Result<Option<u64>> {
        match std::fs::metadata(self.path(log, base, part)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_at(
        &self,
        log: &LogName,
        base: i64,
        part: SegmentPart,
        position: u64,
        buf: &mut [u8],
    ) -> io::Result<usize> {
        read_full_at(&*self.file(log, base, part)?, buf, position)
    }

    fn region(
        &self,
        log: &LogName,
        base: i64,
        position: u64,
        length: u32,
    ) -> io::Result<RecordsPart> {
        let file = self.file(log, base, SegmentPart::Log)?;
        Ok(RecordsPart::File(FileRegion {
            file,
            position,
            length,
        }))
    }

    fn put(&self, log: &LogName, base: i64, part: SegmentPart, bytes: &[u8]) -> io::Result<()> {
        std::fs::create_dir_all(self.dir(log))?;
        let path = self.path(log, base, part);
        write_atomic(&path, bytes, true)?;
        self.faults.done(IoOp::SegmentSync, &path);
        let mut handles = self.handles.locked();
        let key = handles.key(log, base, part);
        handles.open.remove(&key);
        Ok(())
    }

    fn remove(&self, log: &LogName, base: i64, delay: Duration) -> io::Result<()> {
        {
            let mut handles = self.handles.locked();
            handles.close(log, base);
            handles.replaced.remove(&(log.uid, base));
        }
        for part in SegmentPart::ALL {
            let path = self.path(log, base, part);
            let mut doomed = path.clone().into_os_string();
            doomed.push(".deleted");
            let doomed = PathBuf::from(doomed);
            match std::fs::rename(&path, &doomed) {
                Ok(()) => self.doom(doomed, delay),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{PartitionIndex, TopicId};

    fn log(uid: u64) -> LogName {
        LogName {
            topic: "t".into(),
            topic_id: TopicId::ZERO,
            partition: PartitionIndex(0),
            uid,
        }
    }

    #[test]
    fn it_passes_the_conformance_suite() {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalDir::open(dir.path().join("logs"), 16).unwrap();
        crate::store::conformance::check(&store);
    }

    #[test]
    fn few_files_stay_open_and_all_stay_readable() {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalDir::open(dir.path(), 16).unwrap();
        let log = log(1);
        for base in 0..200 {
            store
                .put(&log, base, SegmentPart::Log, &[base as u8; 8])
                .unwrap();
        }
        for base in (0..200).rev() {
            let mut byte = [0];
            store
                .read_at(&log, base, SegmentPart::Log, 3, &mut byte)
                .unwrap();
            assert_eq!(byte[0], base as u8);
            assert!(store.handles.locked().open.len() <= 16);
        }
    }

    #[test]
    fn removed_files_are_unlinked_when_their_delay_is_over() {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalDir::open(dir.path(), 16).unwrap();
        let log = log(1);
        store.put(&log, 0, SegmentPart::Log, b"x").unwrap();
        store.remove(&log, 0, Duration::from_secs(3_600)).unwrap();
        let count = || std::fs::read_dir(store.dir(&log)).unwrap().count();
        store.purge(false);
        assert_eq!(count(), 1);
        store.purge(true);
        assert_eq!(count(), 0);
    }
}
