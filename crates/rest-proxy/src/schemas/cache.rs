//! A map with a bound: beyond it, what was put in first goes.
//!
//! Schemas are few and live long, so the order of use is not worth keeping; a request that misses asks the registry
//! again, and nothing is lost.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Values by key, at most so many, each for at most so long.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    entries: Mutex<Entries<K, V>>,
    entries_max: usize,
    age_max: Option<Duration>,
}

#[derive(Debug)]
struct Entries<K, V> {
    values: HashMap<K, (V, Instant)>,
    order: VecDeque<K>,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// A cache of `entries_max` values; each is forgotten after `age_max`, if there is one.
    pub(super) fn new(entries_max: usize, age_max: Option<Duration>) -> Self {
        Self {
            entries: Mutex::new(Entries {
                values: HashMap::new(),
                order: VecDeque::new(),
            }),
            entries_max,
            age_max,
        }
    }

    /// The value of `key`, if it is there and not too old.
    pub(super) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entries = self.lock();
        let (value, since) = entries.values.get(key)?;
        match self.age_max {
            Some(age_max) if since.elapsed() > age_max => None,
            _ => Some(value.clone()),
        }
    }

    /// Puts a value in.
    pub(super) fn put(&self, key: K, value: V) {
        let mut entries = self.lock();
        let entry = (value, Instant::now());
        if entries.values.insert(key.clone(), entry).is_none() {
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
        let cache = Cache::new(2, None);
        for key in ["a", "b", "a", "c"] {
            cache.put(key, key.len());
        }
        assert_eq!(cache.get("a"), None);
        assert_eq!((cache.get("b"), cache.get("c")), (Some(1), Some(1)));
    }

    #[test]
    fn what_is_too_old_is_not_there() {
        let cache = Cache::new(2, Some(Duration::ZERO));
        cache.put("a", 1);
        std::thread::sleep(Duration::from_millis(1));
        assert_eq!(cache.get("a"), None);
    }
}
