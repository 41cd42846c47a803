//! The remote store of tiered storage and its manifest: both survive every crash, and both refuse now and then.
//!
//! A life of the broker has its own way to them, which ends with its power: whatever the code still does then, nothing of it
//! arrives. Reads always succeed: how far ahead they are is a matter of threads, of which a simulation knows nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use storage::TierOptions;
use storage::tier::{
    MemoryTier, ObjectName, RemoteError, RemoteManifest, RemoteSegment, RemoteState, RemoteStore,
};

use crate::disk::SimDisk;
use crate::plant::Plant;

/// The first part of every object's name.
const ROOT: &str = "sim";

/// One life's way to the store and the manifest.
#[derive(Clone, Debug)]
struct Way {
    tier: Arc<MemoryTier>,
    disk: SimDisk,
    plant: Option<Plant>,
}

/// The settings for one life.
pub(crate) fn options(tier: &Arc<MemoryTier>, disk: &SimDisk, plant: Option<Plant>) -> TierOptions {
    let way = Arc::new(Way {
        tier: Arc::clone(tier),
        disk: disk.clone(),
        plant,
    });
    TierOptions {
        store: Arc::clone(&way) as Arc<dyn RemoteStore>,
        manifest: way,
        root: ROOT.to_owned(),
        config: storage::TierConfig {
            copier_threads: 1,
            reader_threads: 1,
            ..storage::TierConfig::default()
        },
    }
}

/// An object that no entry of the manifest has, or an entry that is not finished: what must not be left in the end.
pub(crate) fn leaked(tier: &MemoryTier) -> Option<String> {
    let entries = tier.entries().unwrap_or_default();
    let unfinished = entries
        .iter()
        .find(|entry| entry.state != RemoteState::Finished);
    if let Some(entry) = unfinished {
        return Some(format!(
            "the entry of {} is {:?}",
            entry.view.base, entry.state
        ));
    }
    let named = |name: &String| {
        let parsed = ObjectName::parse(ROOT, name);
        parsed.is_some_and(|object| entries.iter().any(|entry| entry.id == object.id))
    };
    let object = tier.objects().into_iter().find(|name| !named(name))?;
    let parsed = ObjectName::parse(ROOT, &object);
    let base = parsed.map_or(-1, |object| object.base);
    Some(format!("an object of the segment at {base} is nobody's"))
}

impl Way {
    fn alive(&self, action: &'static str, name: &str) -> Result<(), RemoteError> {
        if self.disk.is_gone() {
            let error = io::Error::other("the power is gone");
            return Err(RemoteError::unavailable(action, name, error));
        }
        Ok(())
    }
}

impl RemoteStore for Way {
    fn put_file(&self, name: &str, file: &Path, length: u64) -> Result<(), RemoteError> {
        self.alive("write", name)?;
        if self.plant == Some(Plant::RemoteCopyIsALie) {
            return RemoteStore::put(&*self.tier, name, Bytes::new());
        }
        self.tier.put_file(name, file, length)
    }

    fn put(&self, name: &str, bytes: Bytes) -> Result<(), RemoteError> {
        self.alive("write", name)?;
        RemoteStore::put(&*self.tier, name, bytes)
    }

    fn get(&self, name: &str, position: u64, length: u64) -> Result<Bytes, RemoteError> {
        self.tier.get(name, position, length)
    }

    fn delete(&self, name: &str) -> Result<(), RemoteError> {
        self.alive("delete", name)?;
        if self.plant == Some(Plant::RemoteDeleteIsALie) {
            return Ok(());
        }
        self.tier.delete(name)
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(&str)) -> Result<(), RemoteError> {
        self.alive("list", prefix)?;
        self.tier.list(prefix, each)
    }
}

impl RemoteManifest for Way {
    fn entries(&self) -> Result<Vec<RemoteSegment>, RemoteError> {
        self.tier.entries()
    }

    fn entry(&self, segment: &RemoteSegment) -> Result<Option<RemoteSegment>, RemoteError> {
        self.alive("read", "manifest")?;
        self.tier.entry(segment)
    }

    fn put(&self, segment: &RemoteSegment) -> Result<(), RemoteError> {
        self.alive("write", "manifest")?;
        RemoteManifest::put(&*self.tier, segment)
    }

    fn replace(
        &self,
        unchanged: &RemoteSegment,
        entries: &[RemoteSegment],
    ) -> Result<bool, RemoteError> {
        self.alive("write", "manifest")?;
        self.tier.replace(unchanged, entries)
    }

    fn remove(&self, segment: &RemoteSegment) -> Result<(), RemoteError> {
        self.alive("write", "manifest")?;
        self.tier.remove(segment)
    }
}
