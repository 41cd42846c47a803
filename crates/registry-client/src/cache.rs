//! A map with a bound: beyond it, what was put in first goes.
//!
//! Schemas are few and live long, so the order of use is not worth keeping; whoever misses asks the registry again, and
//! nothing is lost.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Values by key, at most so many, each for as long as it was said to hold.
#[derive(Debug)]
pub struct Cache<K, V> {
    entries: Mutex<Entries<K, V>>,
    entries_max: usize,
}

#[derive(Debug)]
struct Entries<K, V> {
    /// Each with the time from which on it does not hold.
    values: HashMap<K, (V, Option<Instant>)>,
    /// The keys of `values`, each once.
    order: VecDeque<K>,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// A cache of `entries_max` values.
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        Self {
            entries: Mutex::new(Entries {
                values: HashMap::new(),
                order: VecDeque::new(),
            }),
            entries_max,
        }
    }

    /// The value of `key`, if it is there and still holds.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entries = self.lock();
        let (value, until) = entries.values.get(key)?;
        let holds = until.is_none_or(|until| Instant::now() < until);
        holds.then(|| value.clone())
    }

    /// Puts a value in; it holds for so long, or for as long as there is room.
    pub fn put(&self, key: K, value: V, holds: Option<Duration>) {
        let mut entries = self.lock();
        let until = holds.map(|holds| Instant::now() + holds);
        if entries.values.insert(key.clone(), (value, until)).is_none() {
            entries.order.push_back(key);
        }
        while entries.order.len() > self.entries_max {
            if let Some(oldest) = entries.order.pop_front() {
                entries.values.remove(&oldest);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries<K, V>> {
        // Each change is whole by itself.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_first_goes_first() {
        let cache = Cache::new(2);
        for key in ["a", "b", "a", "c"] {
            cache.put(key, key.len(), None);
        }
        assert_eq!(cache.get("a"), None);
        assert_eq!((cache.get("b"), cache.get("c")), (Some(1), Some(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_hold_any_more_is_not_there() {
        let cache = Cache::new(2);
        cache.put("a", 1, Some(Duration::from_secs(1)));
        cache.put("b", 2, None);
        assert_eq!((cache.get("a"), cache.get("b")), (Some(1), Some(2)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((cache.get("a"), cache.get("b")), (None, Some(2)));
        cache.put("a", 3, Some(Duration::from_secs(1)));
        assert_eq!(cache.get("a"), Some(3));
    }
}
