//! The indexes of remote segments on the local disk (`RemoteIndexCache`): one file per segment, the least recently used go first.
//!
//! The directory is emptied when the storage opens: what lies there is a copy, and reading it again costs one request.
//!
//! Differs: Apache Kafka keeps its three index files of a segment over a restart and maps them into memory.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base::Uuid;
use bytes::Bytes;

use crate::io::{LockExt, write_atomic};

#[derive(Debug)]
struct Kept {
    file: Arc<File>,
    bytes: u64,
    used: u64,
    used_at: Instant,
}

#[derive(Debug, Default)]
struct Inside {
    kept: HashMap<Uuid, Kept>,
    bytes: u64,
    tick: u64,
    limit: u64,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct IndexFiles {
    dir: PathBuf,
    inside: Mutex<Inside>,
}

impl IndexFiles {
    /// A cache in `dir`, which is emptied, of at most `limit` bytes and one file.
    pub(crate) fn open(dir: &Path, limit: u64) -> io::Result<IndexFiles> {
        match std::fs::remove_dir_all(dir) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        std::fs::create_dir_all(dir)?;
        Ok(IndexFiles {
            dir: dir.to_owned(),
            inside: Mutex::new(Inside {
                limit,
                ..Inside::default()
            }),
        })
    }

    pub(crate) fn set_limit(&self, limit: u64) {
        self.inside.locked().limit = limit;
    }

    /// Bytes of all files.
    pub(crate) fn bytes(&self) -> u64 {
        self.inside.locked().bytes
    }

    /// The file of a segment, if it is here.
    pub(crate) fn get(&self, id: Uuid) -> Option<Arc<File>> {
        let mut inside = self.inside.locked();
        inside.tick += 1;
        let tick = inside.tick;
        let kept = inside.kept.get_mut(&id)?;
        kept.used = tick;
        kept.used_at = Instant::now();
        Some(Arc::clone(&kept.file))
    }

    /// Keeps a segment's indexes. Who has a file of before keeps reading it, whatever becomes of its name.
    pub(crate) fn put(&self, id: Uuid, bytes: &Bytes) -> io::Result<Arc<File>> {
        let mut inside = self.inside.locked();
        if let Some(kept) = inside.kept.get(&id) {
            return Ok(Arc::clone(&kept.file));
        }
        let path = self.path(id);
        // Under the lock: two threads must not write one file. It is a few MiB to the page cache.
        write_atomic(&path, bytes, false)?;
        let file = Arc::new(File::open(&path)?);
        inside.tick += 1;
        let kept = Kept {
            file: Arc::clone(&file),
            bytes: bytes.len() as u64,
            used: inside.tick,
            used_at: Instant::now(),
        };
        inside.bytes += kept.bytes;
        inside.kept.insert(id, kept);
        while inside.bytes > inside.limit && inside.kept.len() > 1 {
            let oldest = inside.kept.iter().min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(id, _)| *id) else {
                break;
            };
            self.drop_one(&mut inside, oldest);
        }
        Ok(file)
    }

    /// Drops the files that nobody used for `ttl` (`remote.log.index.file.cache.ttl.ms`).
    pub(crate) fn expire(&self, ttl: Duration) {
        let mut inside = self.inside.locked();
        let kept = inside.kept.iter();
        let unused = kept.filter(|(_, kept)| kept.used_at.elapsed() >= ttl);
        let unused: Vec<Uuid> = unused.map(|(id, _)| *id).collect();
        for id in unused {
            self.drop_one(&mut inside, id);
        }
    }

    /// Forgets a segment that is deleted.
    pub(crate) fn remove(&self, id: Uuid) {
        self.drop_one(&mut self.inside.locked(), id);
    }

    fn drop_one(&self, inside: &mut Inside, id: Uuid) {
        let Some(kept) = inside.kept.remove(&id) else {
            return;
        };
        inside.bytes = inside.bytes.saturating_sub(kept.bytes);
        let path = self.path(id);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove a remote index");
        }
    }

    fn path(&self, id: Uuid) -> PathBuf {
        self.dir.join(format!("{id}.indexes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn it_holds_no_more_than_its_limit_and_the_last_one_always() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("cache");
        let files = IndexFiles::open(&dir, 250).unwrap();
        let id = |n: u8| Uuid([n; 16]);
        let put = |n: u8| files.put(id(n), &vec![n; 100].into()).unwrap();
        let first = put(1);
        put(2);
        assert!(files.get(id(1)).is_some());
        put(3);
        assert!(files.get(id(2)).is_none() && files.get(id(1)).is_some());
        assert_eq!(files.bytes(), 200);
        files.put(id(4), &vec![4; 900].into()).unwrap();
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
        let mut byte = [0];
        first.read_exact_at(&mut byte, 99).unwrap();
        assert_eq!(byte, [1], "an open file outlives its name");
        files.remove(id(4));
        assert_eq!(files.bytes(), 0);
        put(6);
        files.expire(Duration::from_secs(3_600));
        assert!(files.get(id(6)).is_some());
        files.expire(Duration::ZERO);
        assert_eq!(
            (files.bytes(), std::fs::read_dir(&dir).unwrap().count()),
            (0, 0)
        );
        put(5);
        let again = IndexFiles::open(&dir, 250).unwrap();
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
        assert!(again.get(id(5)).is_none());
    }
}
