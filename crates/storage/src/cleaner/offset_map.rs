//! Key to last offset, in memory that is fixed when the map is made (`SkimpyOffsetMap`).
//!
//! An open-addressing table of 24-byte slots: 128 bits of a key's hash, then its offset plus one, 0 for an empty slot. Keys
//! themselves are not kept. The hash is SipHash under two keys drawn for the map, so that nobody can choose record
//! keys that collide.
//!
//! **Invariant:** there is always an empty slot, so that every search ends.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Bytes of a slot.
pub(crate) const SLOT_BYTES: usize = 24;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: [u64; 2],
    next_offset: u64,
}

/// The map of one pass.
#[derive(Debug)]
pub(crate) struct OffsetMap {
    slots: Vec<Slot>,
    len: usize,
    len_max: usize,
    hashers: [RandomState; 2],
    latest: i64,
}

impl OffsetMap {
    /// An empty map that takes up to `budget_bytes` times `load_factor`, and no more memory than `records` keys need.
    pub(crate) fn new(budget_bytes: usize, load_factor: f64, records: u64) -> OffsetMap {
        let load_factor = load_factor.clamp(0.01, 0.99);
        let wanted = (records as f64 / load_factor.min(0.75)).min(u32::MAX.into()) as usize;
        let slots = wanted.min(budget_bytes / SLOT_BYTES).max(16);
        let len_max = ((slots as f64 * load_factor) as usize).clamp(1, slots - 1);
        OffsetMap {
            slots: vec![Slot::default(); slots],
            len: 0,
            len_max,
            hashers: [RandomState::new(), RandomState::new()],
            latest: -1,
        }
    }

    /// Notes that `key` has a record at `offset`, at or above every offset noted before. False, and nothing noted, when
    /// the key is new and the map full.
    pub(crate) fn put(&mut self, key: &[u8], offset: i64) -> bool {
        let hash = self.hash(key);
        let at = self.find(hash);
        let full = self.len >= self.len_max;
        let Some(slot) = self.slots.get_mut(at) else {
            return false;
        };
        if slot.next_offset == 0 {
            if full {
                return false;
            }
            self.len += 1;
        }
        *slot = Slot {
            hash,
            next_offset: offset.unsigned_abs() + 1,
        };
        self.latest = self.latest.max(offset);
        true
    }

    /// The last offset of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<i64> {
        let slot = self.slots.get(self.find(self.hash(key)))?;
        i64::try_from(slot.next_offset.checked_sub(1)?).ok()
    }

    /// The offset up to which every record was noted, -1 for none.
    pub(crate) fn latest_offset(&self) -> i64 {
        self.latest
    }

    /// Everything up to `offset` was looked at.
    pub(crate) fn advance(&mut self, offset: i64) {
        self.latest = self.latest.max(offset);
    }

    /// Keys noted.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many of the keys that fit are noted, 0 to 1.
    pub(crate) fn utilization(&self) -> f64 {
        self.len as f64 / self.len_max as f64
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        self.hashers.each_ref().map(|state| {
            let mut hasher = state.build_hasher();
            hasher.write(key);
            hasher.finish()
        })
    }

    /// The slot of `hash`, or the empty one where it belongs.
    fn find(&self, hash: [u64; 2]) -> usize {
        let count = self.slots.len();
        // The high half of the product spreads the hash over any number of slots.
        let mut at = ((u128::from(hash[0]) * count as u128) >> 64) as usize;
        while let Some(slot) = self.slots.get(at) {
            if slot.next_offset == 0 || slot.hash == hash {
                break;
            }
            at += 1;
            if at == count {
                at = 0;
            }
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_the_last_offset_of_each_key() {
        let mut map = OffsetMap::new(1 << 20, 0.9, 5_000);
        for offset in 0..5_000i64 {
            let key = (offset % 700).to_be_bytes();
            assert!(map.put(&key, offset));
        }
        assert_eq!((map.len(), map.latest_offset()), (700, 4_999));
        for key in 0..700i64 {
            let last = (0..5_000).filter(|offset| offset % 700 == key).max();
            assert_eq!(map.get(&key.to_be_bytes()), last);
        }
        assert_eq!(map.get(b"never"), None);
        assert_eq!(map.get(b""), None);
    }

    #[test]
    fn a_full_map_takes_known_keys_only_and_never_grows() {
        let budget = 100 * SLOT_BYTES;
        let mut map = OffsetMap::new(budget, 0.9, u64::MAX);
        let taken = (0..1_000i64)
            .filter(|n| map.put(&n.to_be_bytes(), *n))
            .count();
        assert_eq!((taken, map.len()), (90, 90));
        assert!((map.utilization() - 1.0).abs() < f64::EPSILON);
        assert_eq!(map.latest_offset(), 89);
        assert!(map.put(&0i64.to_be_bytes(), 2_000));
        assert!(!map.put(b"another", 2_001));
        assert_eq!(map.get(&0i64.to_be_bytes()), Some(2_000));
        assert_eq!(map.slots.capacity() * size_of::<Slot>(), budget);
        assert_eq!(size_of::<Slot>(), SLOT_BYTES);
    }

    #[test]
    fn it_takes_no_more_memory_than_the_records_need() {
        let map = OffsetMap::new(128 << 20, 0.9, 100);
        assert!(map.slots.len() < 200);
        let mut tiny = OffsetMap::new(0, 0.0, 0);
        assert!(tiny.put(b"k", 0), "a pass always gets on");
    }
}
