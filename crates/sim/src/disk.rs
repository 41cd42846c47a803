//! The disk under the storage's files, and what a power loss leaves of it.
//!
//! The storage writes to real files of a scratch directory; this hook learns of every sync. What it then knows is, for
//! each file, the bytes that are certainly on stable storage. At a crash an image is made for the next start:
//!
//! - A journal file keeps what was written: the writes are synchronous. The write in progress may be torn: each of its
//!   4 KiB blocks is old or new, and one of them may be half of each.
//! - Any other file keeps its synced bytes. Each 4 KiB block that was written since is there or not; its length may
//!   be the old one. A file that was never synced may be gone, and one that was removed may be back.
//!
//! - A file that compaction renames over another is the old one or the new one, until its directory is synced.
//!
//! Names become durable with the sync of the file, as on ext4, or of its directory; a file system that loses the names of
//! synced files is not modelled. A crash comes at a chosen I/O call, so that it falls between any two steps of a checkpoint too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use storage::{FaultHook, IoOp};

/// Copies of what is in the remote store.
const INDEX_CACHE: &str = "remote-log-index-cache";
/// What is lost or kept at once.
const BLOCK: usize = 4096;

/// Files by their path below the data directory.
type Files = BTreeMap<PathBuf, Vec<u8>>;

#[derive(Debug)]
struct State {
    root: PathBuf,
    /// What is certainly on stable storage, journal files left out.
    durable: Files,
    rng: SmallRng,
    /// Files that were synced under another name, as they are, until their directory is synced.
    renamed: Files,
    /// I/O calls until the power goes.
    crash_in: Option<u64>,
    /// The journal as it was before the write in progress, when the power goes during it.
    before_write: Option<Files>,
    /// What is left, once the power is gone.
    image: Option<Files>,
    /// Writes that need new space fail.
    full: bool,
    /// These syncs are reported and not done.
    lies: Option<IoOp>,
    calls: u64,
}

/// The disk of one life of the broker.
#[derive(Clone, Debug)]
pub struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// A disk over the files that are in `root`, all of them durable.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn new(root: &Path, seed: u64, lies: Option<IoOp>) -> io::Result<SimDisk> {
        let mut state = State {
            root: root.to_owned(),
            durable: Files::new(),
            renamed: Files::new(),
            rng: SmallRng::seed_from_u64(seed),
            crash_in: None,
            before_write: None,
            image: None,
            full: false,
            lies,
            calls: 0,
        };
        state.durable = state.files()?;
        state.durable.retain(|path, _| !is_journal(path));
        Ok(SimDisk(Arc::new(Mutex::new(state))))
    }

    /// Lets the power go at the I/O call after `calls` more.
    pub fn crash_in(&self, calls: u64) {
        self.locked().crash_in = Some(calls);
    }

    /// Lets the power go now, unless it is gone.
    pub fn crash(&self) {
        let mut state = self.locked();
        if state.image.is_none() {
            state.lose();
        }
    }

    /// Whether the power is gone.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.locked().image.is_some()
    }

    /// Whether there is room.
    pub fn set_full(&self, full: bool) {
        self.locked().full = full;
    }

    /// How many I/O calls there were.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.locked().calls
    }

    /// Writes what is left into an empty directory.
    ///
    /// # Errors
    /// When that fails, or the power is not gone.
    pub fn write_image(&self, to: &Path) -> io::Result<()> {
        let state = self.locked();
        let image = state.image.as_ref();
        for (path, bytes) in image.ok_or_else(|| io::Error::other("the power is still there"))? {
            let path = to.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, bytes)?;
        }
        Ok(())
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The name that a cleaned segment's file has before it is renamed.
fn aside_of(path: &Path) -> PathBuf {
    PathBuf::from(format!("{}.cleaned", path.display()))
}

fn is_journal(path: &Path) -> bool {
    path.starts_with("journal")
}

impl FaultHook for SimDisk {
    fn before(&self, op: IoOp) -> Option<io::Error> {
        let mut state = self.locked();
        state.calls += 1;
        if state.image.is_some() {
            return None;
        }
        if let Some(left) = state.crash_in {
            state.crash_in = left.checked_sub(1);
            if left == 0 && op == IoOp::JournalWrite {
                state.before_write =
                    Some(state.files().expect("the scratch directory is readable"));
            } else if left == 0 {
                state.lose();
                return None;
            }
        }
        let needs_room = matches!(
            op,
            IoOp::SegmentWrite
                | IoOp::JournalAllocate
                | IoOp::CheckpointWrite
                | IoOp::CleanerWrite
                | IoOp::TxnIndexWrite
        );
        (state.full && needs_room).then(|| io::ErrorKind::StorageFull.into())
    }

    fn after(&self, op: IoOp, path: &Path) {
        let mut state = self.locked();
        if state.image.is_some() {
            return;
        }
        if op == IoOp::JournalWrite
            && let Some(before) = state.before_write.take()
        {
            state.lose();
            state.tear(&before);
            return;
        }
        if state.lies == Some(op) {
            return;
        }
        let Ok(name) = path.strip_prefix(&state.root).map(Path::to_owned) else {
            return;
        };
        if is_journal(&name) {
            return;
        }
        if op == IoOp::DirectorySync {
            state.keep_names(&name);
        } else if path.is_dir() {
            let below = state.files().expect("the scratch directory is readable");
            let below = below
                .into_iter()
                .filter(|(path, _)| path.starts_with(&name));
            state.durable.extend(below);
        } else if let Ok(bytes) = fs::read(path) {
            if op == IoOp::CleanerSwap {
                let synced = state.durable.get(&aside_of(&name)).cloned();
                let bytes = synced.unwrap_or_else(|| state.mix(&[], &bytes));
                state.renamed.insert(name, bytes);
            } else {
                state.durable.insert(name, bytes);
            }
        }
    }
}

impl State {
    /// The names in a directory are as they are now; what the files hold is not.
    fn keep_names(&mut self, directory: &Path) {
        let below = |path: &Path| path.parent() == Some(directory);
        let now = self.names(directory);
        let now = now.expect("the scratch directory is readable");
        self.durable
            .retain(|path, _| !below(path) || now.contains(path));
        for path in now {
            match self.renamed.remove(&path) {
                Some(bytes) => {
                    self.durable.insert(path, bytes);
                }
                None => {
                    self.durable.entry(path).or_default();
                }
            }
        }
    }

    /// The files in one directory.
    fn names(&self, directory: &Path) -> io::Result<BTreeSet<PathBuf>> {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(self.root.join(directory))? {
            let entry = entry?;
            let path = directory.join(entry.file_name());
            if entry.file_type()?.is_file() && path.extension().is_none_or(|e| e != "tmp") {
                names.insert(path);
            }
        }
        Ok(names)
    }

    /// Every file there is, but the lock, and what is being written aside.
    fn files(&self) -> io::Result<Files> {
        let mut files = Files::new();
        let mut left = vec![PathBuf::new()];
        while let Some(below) = left.pop() {
            for entry in fs::read_dir(self.root.join(&below))? {
                let entry = entry?;
                let path = below.join(entry.file_name());
                if path == Path::new(INDEX_CACHE) {
                    // Emptied at every start.
                } else if entry.file_type()?.is_dir() {
                    left.push(path);
                } else if path != Path::new("lock") && path.extension().is_none_or(|e| e != "tmp") {
                    files.insert(path, fs::read(entry.path())?);
                }
            }
        }
        Ok(files)
    }

    /// The power goes: decides for each block that was not synced whether it is there.
    fn lose(&mut self) {
        let now = self.files().expect("the scratch directory is readable");
        let mut image = Files::new();
        let mut durable = std::mem::take(&mut self.durable);
        for (path, new) in std::mem::take(&mut self.renamed) {
            // The rename happened, or it did not.
            let aside = aside_of(&path);
            durable.remove(&aside);
            let old = durable.remove(&path);
            if self.rng.random_bool(0.5) {
                image.insert(path, new);
            } else {
                image.extend(old.map(|old| (path, old)));
                image.insert(aside, new);
            }
        }
        let decided: Vec<PathBuf> = image.keys().cloned().collect();
        for (path, bytes) in &now {
            if decided.contains(path) || decided.contains(&aside_of(path)) {
                continue;
            }
            if is_journal(path) {
                image.insert(path.clone(), bytes.clone());
                continue;
            }
            match durable.get(path) {
                Some(synced) if synced == bytes => {
                    image.insert(path.clone(), bytes.clone());
                }
                Some(synced) => {
                    let left = self.mix(synced, bytes);
                    image.insert(path.clone(), left);
                }
                None if self.rng.random_bool(0.5) => {
                    let left = self.mix(&[], bytes);
                    image.insert(path.clone(), left);
                }
                None => {}
            }
        }
        for (path, bytes) in durable {
            if !now.contains_key(&path) && self.rng.random_bool(0.5) {
                image.insert(path, bytes);
            }
        }
        self.image = Some(image);
    }

    /// Each block of `new` that differs from `old` is there or not.
    fn mix(&mut self, old: &[u8], new: &[u8]) -> Vec<u8> {
        let keeps_length = self.rng.random_bool(0.5);
        let mut left = old.to_vec();
        for (index, block) in new.chunks(BLOCK).enumerate() {
            let at = index * BLOCK;
            let end = at + block.len();
            if old.get(at..end) == Some(block) || self.rng.random_bool(0.5) {
                continue;
            }
            if left.len() < end {
                left.resize(end, 0);
            }
            if let Some(target) = left.get_mut(at..end) {
                target.copy_from_slice(block);
            }
        }
        if keeps_length || new.len() < old.len() {
            left.resize(new.len(), 0);
        }
        left
    }

    /// The write in progress: some of its blocks are as they were before, and one may be half of each.
    fn tear(&mut self, before: &Files) {
        let Some(mut image) = self.image.take() else {
            return;
        };
        for (path, old) in before.iter().filter(|(path, _)| is_journal(path)) {
            let Some(new) = image.get_mut(path) else {
                continue;
            };
            for (old, new) in old.chunks(BLOCK).zip(new.chunks_mut(BLOCK)) {
                if old == new {
                    continue;
                }
                let keep = match self.rng.random_range(0..5) {
                    0 | 1 => 0,
                    2 | 3 => new.len(),
                    _ => self.rng.random_range(0..8) * 512,
                };
                if let (Some(new), Some(old)) = (new.get_mut(keep..), old.get(keep..)) {
                    new.copy_from_slice(old);
                }
            }
        }
        self.image = Some(image);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(root: &Path, seed: u64) -> SimDisk {
        SimDisk::new(root, seed, None).unwrap()
    }

    fn image(disk: &SimDisk) -> Files {
        disk.crash();
        disk.locked().image.clone().unwrap()
    }

    #[test]
    fn what_was_synced_is_there_and_what_was_not_may_be_lost() {
        let (mut kept, mut lost, mut gone) = (0, 0, 0);
        for seed in 0..64 {
            let root = tempfile::tempdir().unwrap();
            let disk = disk(root.path(), seed);
            let (log, new) = (root.path().join("log"), root.path().join("new"));
            fs::write(&log, vec![1; BLOCK]).unwrap();
            disk.after(IoOp::SegmentSync, &log);
            fs::write(&log, [vec![1; BLOCK], vec![2; BLOCK]].concat()).unwrap();
            fs::write(&new, b"new").unwrap();
            let image = image(&disk);
            let bytes = &image[Path::new("log")];
            assert_eq!(bytes[..BLOCK], vec![1; BLOCK]);
            match bytes.get(BLOCK) {
                Some(2) => kept += 1,
                _ => lost += 1,
            }
            gone += usize::from(!image.contains_key(Path::new("new")));
        }
        assert!(kept > 10 && lost > 10 && gone > 10, "{kept} {lost} {gone}");
    }

    #[test]
    fn a_renamed_file_is_the_old_one_or_the_new_one() {
        let (mut old, mut new) = (0, 0);
        for seed in 0..64 {
            let root = tempfile::tempdir().unwrap();
            let log = root.path().join("0.log");
            let aside = root.path().join("0.log.cleaned");
            fs::write(&log, vec![1; 3 * BLOCK]).unwrap();
            let disk = disk(root.path(), seed);
            fs::write(&aside, vec![2; 2 * BLOCK]).unwrap();
            disk.after(IoOp::CleanerWrite, &aside);
            fs::rename(&aside, &log).unwrap();
            disk.after(IoOp::CleanerSwap, &log);
            let is_synced = seed % 4 == 0;
            if is_synced {
                disk.after(IoOp::DirectorySync, root.path());
            }
            let image = image(&disk);
            let left = &image[Path::new("0.log")];
            if *left == vec![2; 2 * BLOCK] {
                new += 1;
            } else {
                assert_eq!(*left, vec![1; 3 * BLOCK]);
                assert_eq!(image[Path::new("0.log.cleaned")], vec![2; 2 * BLOCK]);
                assert!(!is_synced);
                old += 1;
            }
        }
        assert!(old > 10 && new > 26, "{old} {new}");
    }

    #[test]
    fn the_journals_write_in_progress_may_be_torn_and_no_other() {
        let (mut whole, mut torn) = (0, 0);
        for seed in 0..64 {
            let root = tempfile::tempdir().unwrap();
            let journal = root.path().join("journal/a.wal");
            fs::create_dir(root.path().join("journal")).unwrap();
            fs::write(&journal, vec![0; 4 * BLOCK]).unwrap();
            let disk = disk(root.path(), seed);
            let mut bytes = vec![0; 4 * BLOCK];
            bytes[..BLOCK].fill(1);
            assert!(disk.before(IoOp::JournalWrite).is_none());
            fs::write(&journal, &bytes).unwrap();
            disk.after(IoOp::JournalWrite, &journal);
            disk.crash_in(0);
            assert!(disk.before(IoOp::JournalWrite).is_none());
            bytes[BLOCK..3 * BLOCK].fill(2);
            fs::write(&journal, &bytes).unwrap();
            disk.after(IoOp::JournalWrite, &journal);
            let left = &image(&disk)[Path::new("journal/a.wal")];
            assert_eq!(left[..BLOCK], vec![1; BLOCK]);
            assert_eq!(left[3 * BLOCK..], vec![0; BLOCK]);
            if *left == bytes {
                whole += 1;
            } else {
                torn += 1;
            }
        }
        assert!(whole > 3 && torn > 10, "{whole} {torn}");
    }
}
