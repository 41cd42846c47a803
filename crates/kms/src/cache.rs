//! What was fetched once and holds for a while: tokens, sessions, clients.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The most that is kept. There is one entry for each set of credentials, and few KEKs have their own.
const ENTRIES_MAX: usize = 256;

/// A token is not used in its last minute, for it may end on its way.
const MARGIN: Duration = Duration::from_secs(60);

/// Values by what they were fetched with. The keys may be secrets: they are not printed.
pub(crate) struct Cache<V>(Mutex<HashMap<Vec<String>, (Instant, V)>>);

impl<V> Default for Cache<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V> std::fmt::Debug for Cache<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_tuple("Cache").field(&entries.len()).finish()
    }
}

impl<V: Clone> Cache<V> {
    /// What is kept under `key` and still holds.
    pub(crate) fn get(&self, key: &[&str]) -> Option<V> {
        let key: Vec<String> = key.iter().map(|part| (*part).to_owned()).collect();
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, value) = entries.get(&key)?;
        (Instant::now() < *until).then(|| value.clone())
    }

    /// Keeps a value that holds for `life`.
    pub(crate) fn put(&self, key: &[&str], value: V, life: Duration) {
        let key = key.iter().map(|part| (*part).to_owned()).collect();
        let until = Instant::now() + life.saturating_sub(MARGIN);
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= ENTRIES_MAX {
            let now = Instant::now();
            entries.retain(|_, (until, _)| now < *until);
        }
        if entries.len() >= ENTRIES_MAX {
            entries.clear();
        }
        entries.insert(key, (until, value));
    }
}
