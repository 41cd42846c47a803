//! A remote store and a manifest in memory, for tests: it can be away, and it can stop taking changes after so many, as a kill would
//! leave it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;

use crate::io::LockExt;
use crate::tier::{RemoteError, RemoteManifest, RemoteSegment, RemoteStore};

#[derive(Debug, Default)]
struct Inside {
    objects: BTreeMap<String, Bytes>,
    entries: BTreeMap<[u8; 16], Vec<u8>>,
    away: bool,
    /// Changes that still succeed.
    left: Option<usize>,
    /// Whether the change that is told to have failed was made.
    made_all_the_same: bool,
    changes: usize,
    reads: usize,
}

/// Both sides of the seam in memory.
#[derive(Debug, Default)]
pub struct MemoryTier {
    inside: Mutex<Inside>,
}

impl MemoryTier {
    /// Everything fails from now on, or no longer.
    pub fn set_away(&self, away: bool) {
        self.inside.locked().away = away;
    }

    /// After `changes` more changes each further one fails, the first of them after having been made with `made_all_the_same`.
    /// `None` for no limit.
    pub fn stop_after(&self, changes: Option<usize>, made_all_the_same: bool) {
        let mut inside = self.inside.locked();
        inside.left = changes;
        inside.made_all_the_same = made_all_the_same;
    }

    /// How many changes of objects and entries there were.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.inside.locked().changes
    }

    /// How many reads of objects there were.
    #[must_use]
    pub fn reads(&self) -> usize {
        self.inside.locked().reads
    }

    /// The names of all objects.
    #[must_use]
    pub fn objects(&self) -> Vec<String> {
        self.inside.locked().objects.keys().cloned().collect()
    }

    /// The same objects and entries once more, reachable and without a limit on changes.
    #[must_use]
    pub fn copy(&self) -> MemoryTier {
        let inside = self.inside.locked();
        let inside = Inside {
            objects: inside.objects.clone(),
            entries: inside.entries.clone(),
            ..Inside::default()
        };
        MemoryTier {
            inside: Mutex::new(inside),
        }
    }

    /// Puts an object there that nobody wrote, or replaces one.
    pub fn plant(&self, name: &str, bytes: Bytes) {
        self.inside.locked().objects.insert(name.to_owned(), bytes);
    }

    fn change(
        &self,
        action: &'static str,
        name: &str,
        make: impl FnOnce(&mut Inside),
    ) -> Result<(), RemoteError> {
        let mut inside = self.inside.locked();
        let failed = || {
            Err(RemoteError::unavailable(
                action,
                name,
                io::Error::other("away"),
            ))
        };
        if inside.away {
            return failed();
        }
        match inside.left {
            Some(0) => {
                if std::mem::take(&mut inside.made_all_the_same) {
                    make(&mut inside);
                }
                return failed();
            }
            Some(left) => inside.left = Some(left - 1),
            None => {}
        }
        inside.changes += 1;
        make(&mut inside);
        Ok(())
    }

    fn reachable(&self, name: &str) -> Result<std::sync::MutexGuard<'_, Inside>, RemoteError> {
        let mut inside = self.inside.locked();
        if inside.away {
            return Err(RemoteError::unavailable(
                "read",
                name,
                io::Error::other("away"),
            ));
        }
        inside.reads += 1;
        Ok(inside)
    }
}

impl RemoteStore for MemoryTier {
    fn put_file(&self, name: &str, file: &Path, length: u64) -> Result<(), RemoteError> {
        let mut bytes =
            std::fs::read(file).map_err(|error| RemoteError::unavailable("write", name, error))?;
        bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        RemoteStore::put(self, name, bytes.into())
    }

    fn put(&self, name: &str, bytes: Bytes) -> Result<(), RemoteError> {
        self.change("write", name, |inside| {
            inside.objects.insert(name.to_owned(), bytes);
        })
    }

    fn get(&self, name: &str, position: u64, length: u64) -> Result<Bytes, RemoteError> {
        let inside = self.reachable(name)?;
        let Some(bytes) = inside.objects.get(name) else {
            let name = name.to_owned();
            return Err(RemoteError::NotFound { name });
        };
        let clamp = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        Ok(bytes.slice(clamp(position)..clamp(position.saturating_add(length))))
    }

    fn delete(&self, name: &str) -> Result<(), RemoteError> {
        self.change("delete", name, |inside| {
            inside.objects.remove(name);
        })
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(&str)) -> Result<(), RemoteError> {
        let names: Vec<String> = self.reachable(prefix)?.objects.keys().cloned().collect();
        let below = |name: &&String| {
            name.strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        names.iter().filter(below).for_each(|name| each(name));
        Ok(())
    }
}

impl RemoteManifest for MemoryTier {
    fn entries(&self) -> Result<Vec<RemoteSegment>, RemoteError> {
        let inside = self.reachable("manifest")?;
        Ok(inside
            .entries
            .values()
            .filter_map(|bytes| RemoteSegment::decode(bytes))
            .collect())
    }

    fn entry(&self, segment: &RemoteSegment) -> Result<Option<RemoteSegment>, RemoteError> {
        let inside = self.reachable("manifest")?;
        let bytes = inside.entries.get(&segment.id.0);
        Ok(bytes.and_then(|bytes| RemoteSegment::decode(bytes)))
    }

    fn put(&self, segment: &RemoteSegment) -> Result<(), RemoteError> {
        self.change("write", "manifest", |inside| {
            inside.entries.insert(segment.id.0, segment.encode());
        })
    }

    fn replace(
        &self,
        unchanged: &RemoteSegment,
        entries: &[RemoteSegment],
    ) -> Result<bool, RemoteError> {
        let there = {
            let inside = self.reachable("manifest")?;
            inside.entries.get(&unchanged.id.0) == Some(&unchanged.encode())
        };
        if !there {
            return Ok(false);
        }
        self.change("write", "manifest", |inside| {
            let entries = entries.iter();
            let encoded = entries.map(|entry| (entry.id.0, entry.encode()));
            inside.entries.extend(encoded);
        })?;
        Ok(true)
    }

    fn remove(&self, segment: &RemoteSegment) -> Result<(), RemoteError> {
        self.change("write", "manifest", |inside| {
            inside.entries.remove(&segment.id.0);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tier::conformance;

    #[test]
    fn it_keeps_the_contracts() {
        let tier = MemoryTier::default();
        conformance::check_store(&tier, "c");
        conformance::check_manifest(&tier);
    }
}
