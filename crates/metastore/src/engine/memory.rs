//! Keys in memory.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use super::{Backend, Batch};
use crate::error::MetaStoreError;
use crate::store::{KeyValue, Range, Revision};

#[derive(Debug, Default)]
pub(super) struct MemoryBackend(RwLock<Keys>);

#[derive(Debug, Default)]
struct Keys {
    revision: Revision,
    entries: BTreeMap<Vec<u8>, KeyValue>,
}

impl Backend for MemoryBackend {
    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, MetaStoreError> {
        Ok(self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .entries
            .get(key)
            .cloned())
    }

    fn range(&self, prefix: &[u8]) -> Result<Range, MetaStoreError> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let below = keys.entries.range(prefix.to_vec()..);
        let entries = below
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(_, kv)| kv.clone())
            .collect();
        Ok(Range {
            revision: keys.revision,
            entries,
        })
    }

    fn commit(&self, batch: &Batch) -> Result<(), MetaStoreError> {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.revision = batch.revision;
        for (key, change) in &batch.changes {
            match change {
                Some(kv) => drop(keys.entries.insert(key.clone(), kv.clone())),
                None => drop(keys.entries.remove(key)),
            }
        }
        Ok(())
    }
}
