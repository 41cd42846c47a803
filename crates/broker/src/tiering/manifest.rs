//! The manifest of tiered storage in the metadata store: one key per remote segment.
//!
//! ```text
//! affluent-remote/<topic id>/<partition>/<base offset, 20 digits>-<segment id>     the entry, see storage::tier::segment
//! ```
//! The prefix is not the metadata's own: whoever follows topics and configs need not hold every segment in memory. An entry is one
//! key, so that each step of a copy is one transaction, and outlives its topic until its objects are deleted.

use std::sync::Arc;

use metastore::{Compare, MetaStore, MetaStoreError, Op};
use storage::tier::{RemoteError, RemoteManifest, RemoteSegment};

const PREFIX: &str = "affluent-remote/";

/// [`RemoteManifest`] over a metadata store.
#[derive(Debug)]
pub(super) struct StoredManifest {
    store: Arc<dyn MetaStore>,
}

impl StoredManifest {
    pub(super) fn new(store: Arc<dyn MetaStore>) -> StoredManifest {
        StoredManifest { store }
    }
}

fn key(segment: &RemoteSegment) -> String {
    let (topic, partition) = (segment.topic_id.0, segment.partition);
    format!(
        "{PREFIX}{topic}/{partition}/{:020}-{}",
        segment.view.base, segment.id
    )
}

fn failed(action: &'static str, key: &str) -> impl FnOnce(MetaStoreError) -> RemoteError {
    move |error| RemoteError::unavailable(action, key, error)
}

fn decode(key: &[u8], value: &[u8]) -> Result<RemoteSegment, RemoteError> {
    RemoteSegment::decode(value).ok_or_else(|| RemoteError::Damaged {
        name: String::from_utf8_lossy(key).into_owned(),
        reason: "it is no entry of the manifest, or one of a later version".to_owned(),
    })
}

impl RemoteManifest for StoredManifest {
    fn entries(&self) -> Result<Vec<RemoteSegment>, RemoteError> {
        let range = self
            .store
            .range(PREFIX.as_bytes())
            .map_err(failed("read", PREFIX))?;
        let entries = range.entries.iter();
        entries.map(|one| decode(&one.key, &one.value)).collect()
    }

    fn entry(&self, segment: &RemoteSegment) -> Result<Option<RemoteSegment>, RemoteError> {
        let key = key(segment);
        let found = self
            .store
            .get(key.as_bytes())
            .map_err(failed("read", &key))?;
        found.map(|one| decode(&one.key, &one.value)).transpose()
    }

    fn put(&self, segment: &RemoteSegment) -> Result<(), RemoteError> {
        let key = key(segment);
        let put = Op::put(key.as_bytes(), segment.encode());
        let done = self.store.txn(&[], &[put]);
        done.map(drop).map_err(failed("write", &key))
    }

    fn replace(
        &self,
        unchanged: &RemoteSegment,
        entries: &[RemoteSegment],
    ) -> Result<bool, RemoteError> {
        let name = key(unchanged);
        let compare = Compare::Value {
            key: name.clone().into_bytes(),
            is: unchanged.encode(),
        };
        let puts: Vec<Op> = entries
            .iter()
            .map(|entry| Op::put(key(entry).into_bytes(), entry.encode()))
            .collect();
        let done = self.store.txn(&[compare], &puts);
        done.map(|outcome| outcome.succeeded)
            .map_err(failed("replace", &name))
    }

    fn remove(&self, segment: &RemoteSegment) -> Result<(), RemoteError> {
        let key = key(segment);
        let done = self.store.txn(&[], &[Op::delete(key.as_bytes())]);
        done.map(drop).map_err(failed("remove", &key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metastore::MemoryStore;

    #[test]
    fn it_keeps_the_contract() {
        let store = MemoryStore::new(Arc::new(base::SystemClock::new()));
        let manifest = StoredManifest::new(Arc::new(store));
        storage::tier::conformance::check_manifest(&manifest);
    }

    #[test]
    fn an_entry_that_does_not_read_is_an_error() {
        let store: Arc<dyn MetaStore> =
            Arc::new(MemoryStore::new(Arc::new(base::SystemClock::new())));
        let put = Op::put(format!("{PREFIX}x/0/1-y").into_bytes(), b"?".to_vec());
        store.txn(&[], &[put]).unwrap();
        let read = StoredManifest::new(store).entries();
        assert!(matches!(read, Err(RemoteError::Damaged { .. })), "{read:?}");
    }
}
