//! The pieces of remote objects that are in memory: so many at most, and of those that were used the one that was not for longest
//! goes first.
//!
//! Those that were asked for ahead of a reader and have not been used yet are half of all at most, and stay before the others. Else
//! many readers would have their pieces pushed out by each other before they come to them, and read everything twice.

use std::collections::HashMap;
use std::hash::Hash;

#[derive(Debug)]
struct Entry<V> {
    value: V,
    /// The tick when it was used last.
    used: u64,
    /// Asked for ahead, and not used yet.
    ahead: bool,
}

/// A bounded map; whether a value may go now is said by whoever changes it.
#[derive(Debug)]
pub(super) struct Kept<K, V> {
    entries: HashMap<K, Entry<V>>,
    max: usize,
    tick: u64,
    /// The tick when entries were last dropped for their age.
    aged: u64,
    ahead: usize,
}

impl<K: Copy + Eq + Hash, V: Clone> Kept<K, V> {
    pub(super) fn new(max: usize) -> Kept<K, V> {
        Kept {
            entries: HashMap::new(),
            max,
            tick: 0,
            aged: 0,
            ahead: 0,
        }
    }

    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.entries.contains_key(key)
    }

    /// A value, which counts as used.
    pub(super) fn used(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        self.tick += 1;
        entry.used = self.tick;
        self.ahead -= usize::from(std::mem::take(&mut entry.ahead));
        Some(entry.value.clone())
    }

    /// Whether one more may be asked for ahead.
    pub(super) fn has_room_ahead(&self) -> bool {
        self.ahead < self.max / 2
    }

    /// Adds a value. Others go while there are too many, of those that `may_go`.
    pub(super) fn put(&mut self, key: K, value: V, ahead: bool, may_go: impl Fn(&V) -> bool) {
        self.remove_if(&key, |_| true);
        self.tick += 1;
        self.ahead += usize::from(ahead);
        let used = self.tick;
        self.entries.insert(key, Entry { value, used, ahead });
        while self.entries.len() > self.max {
            let free = self.entries.iter().filter(|(_, one)| may_go(&one.value));
            let oldest = free.min_by_key(|(_, one)| (one.ahead, one.used));
            let oldest = oldest.map(|(key, _)| *key);
            let Some(oldest) = oldest else { return };
            self.remove_if(&oldest, |_| true);
        }
    }

    /// Removes a value that `is` what is meant.
    pub(super) fn remove_if(&mut self, key: &K, is: impl Fn(&V) -> bool) {
        if self.entries.get(key).is_some_and(|entry| is(&entry.value))
            && let Some(entry) = self.entries.remove(key)
        {
            self.ahead -= usize::from(entry.ahead);
        }
    }

    /// Drops what nobody used since the last call, if it `may_go`.
    pub(super) fn age(&mut self, may_go: impl Fn(&V) -> bool) {
        let before = std::mem::replace(&mut self.aged, self.tick);
        self.entries
            .retain(|_, entry| entry.used > before || !may_go(&entry.value));
        self.ahead = self.entries.values().filter(|entry| entry.ahead).count();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first_and_what_is_busy_stays() {
        let mut kept = Kept::new(3);
        let idle = |value: &&str| *value != "busy";
        kept.put(1, "busy", false, idle);
        kept.put(2, "b", false, idle);
        kept.put(3, "c", false, idle);
        assert_eq!(kept.used(&2), Some("b"));
        kept.put(4, "d", false, idle);
        assert_eq!((kept.len(), kept.used(&3)), (3, None));
        kept.put(5, "e", false, idle);
        assert!(kept.contains(&1) && !kept.contains(&2) && kept.contains(&4));
        kept.age(idle);
        kept.used(&5);
        kept.age(idle);
        assert!(kept.contains(&1) && kept.contains(&5) && kept.len() == 2);
    }

    #[test]
    fn what_was_asked_for_ahead_is_half_of_all_until_it_is_used() {
        let mut kept = Kept::new(4);
        let idle = |_: &()| true;
        for key in 0..2 {
            assert!(kept.has_room_ahead());
            kept.put(key, (), true, idle);
        }
        assert!(!kept.has_room_ahead());
        kept.used(&0);
        kept.used(&0);
        assert!(kept.has_room_ahead());
        kept.put(2, (), true, idle);
        assert!(!kept.has_room_ahead());
        for key in 10..15 {
            kept.put(key, (), false, idle);
            assert!(kept.contains(&1) && kept.contains(&2), "not used yet");
        }
        kept.remove_if(&2, |()| false);
        assert!(!kept.has_room_ahead(), "another value is meant");
        kept.remove_if(&2, |()| true);
        assert!(kept.has_room_ahead());
        kept.put(2, (), true, idle);
        kept.put(2, (), true, idle);
        kept.age(idle);
        kept.age(idle);
        assert!(kept.has_room_ahead(), "what is dropped is not counted");
        assert_eq!(kept.len(), 0);
    }
}
