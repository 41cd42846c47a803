//! Key to last offset, in memory that has a bound when the map is made (`SkimpyOffsetMap`).
//!
//! Open-addressing tables of 24-byte slots: 128 bits of a key's hash, then its offset plus one, 0 for an empty slot. Keys
//! themselves are not kept. The hash is SipHash under two keys drawn for the map, so that nobody can choose record
//! keys that collide.
//!
//! A table begins small and doubles until it has its share of the budget: a log with few keys stays within the processor's
//! caches, where one made for its records would miss them at each key. Since a table that doubles is there twice for a moment, a
//! map of some size has many, by the first bits of the hash.
//!
//! Beside the keys it tells which batches hold nothing that counts any more ([`OffsetMap::is_superseded`]): those need not be
//! decompressed a second time.
//!
//! **Invariant:** there is always an empty slot in each table, so that every search ends.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Bytes of a slot.
pub(crate) const SLOT_BYTES: usize = 24;
/// Slots from which a map has many tables.
const MANY_FROM_SLOTS: usize = 1 << 16;
/// Bits of the hash that choose one of many tables.
const TABLE_BITS: u32 = 8;
/// What a table begins with.
const FIRST_SLOTS: usize = 16;
/// Batches that are counted, 4 MiB of them; those behind are looked at record by record.
const BATCHES_MAX: usize = 1 << 18;

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: [u64; 2],
    next_offset: u64,
}

/// Some of the keys: those whose hash begins with the same bits.
#[derive(Debug)]
struct Table {
    slots: Vec<Slot>,
    len: usize,
}

impl Table {
    /// The slot of `hash`, or the empty one where it belongs.
    fn find(&self, hash: [u64; 2]) -> usize {
        let count = self.slots.len();
        // The high half of the product spreads the hash over any number of slots.
        let mut at = ((u128::from(hash[1]) * count as u128) >> 64) as usize;
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

    /// Makes room for one more key; false when there is none.
    fn make_room(&mut self, slots_max: usize) -> bool {
        let count = self.slots.len();
        if self.len < count - count / 4 {
            return true;
        }
        if count >= slots_max {
            return self.len + 1 < count;
        }
        let larger = vec![Slot::default(); (count * 2).min(slots_max)];
        let old = std::mem::replace(&mut self.slots, larger);
        for slot in old.into_iter().filter(|slot| slot.next_offset > 0) {
            let at = self.find(slot.hash);
            if let Some(empty) = self.slots.get_mut(at) {
                *empty = slot;
            }
        }
        true
    }
}

/// How many records of a batch no later record supersedes, as far as the map was filled.
#[derive(Clone, Copy, Debug)]
struct Tally {
    base_offset: i64,
    live: u32,
    /// Every record of the batch was noted.
    whole: bool,
}

/// The map of one pass.
#[derive(Debug)]
pub(crate) struct OffsetMap {
    tables: Vec<Table>,
    /// How far one table may grow.
    table_slots_max: usize,
    len: usize,
    len_max: usize,
    hashers: [RandomState; 2],
    latest: i64,
    /// By base offset.
    batches: Vec<Tally>,
    /// Where the first batch begins that is not counted, because there are too many.
    counted_until: i64,
}

impl OffsetMap {
    /// An empty map that takes up to `budget_bytes` times `load_factor`, and no more memory than `records` keys need.
    pub(crate) fn new(budget_bytes: usize, load_factor: f64, records: u64) -> OffsetMap {
        let load_factor = load_factor.clamp(0.01, 0.99);
        let wanted = (records as f64 / load_factor.min(0.75)).min(u32::MAX.into()) as usize;
        let slots = wanted.min(budget_bytes / SLOT_BYTES).max(FIRST_SLOTS);
        let len_max = ((slots as f64 * load_factor) as usize).clamp(1, slots - 1);
        let tables = if slots >= MANY_FROM_SLOTS {
            1 << TABLE_BITS
        } else {
            1
        };
        let table = || Table {
            slots: vec![Slot::default(); FIRST_SLOTS],
            len: 0,
        };
        OffsetMap {
            tables: (0..tables).map(|_| table()).collect(),
            table_slots_max: slots / tables,
            len: 0,
            len_max,
            hashers: [RandomState::new(), RandomState::new()],
            latest: -1,
            batches: Vec::new(),
            counted_until: i64::MAX,
        }
    }

    /// What is put from here on are records of the batch that begins at `base_offset`, above all before.
    pub(crate) fn begin_batch(&mut self, base_offset: i64) {
        if self.batches.len() < BATCHES_MAX {
            self.batches.push(Tally {
                base_offset,
                live: 0,
                whole: false,
            });
        } else {
            self.counted_until = self.counted_until.min(base_offset);
        }
    }

    /// Every record of the batch that was begun last has been put.
    pub(crate) fn end_batch(&mut self) {
        if let Some(last) = self.counted_last() {
            last.whole = true;
        }
    }

    /// Whether each record of the batch has a later one of its key in the map. False when that is not known without looking at
    /// the records.
    pub(crate) fn is_superseded(&self, base_offset: i64) -> bool {
        let found = self
            .batches
            .binary_search_by_key(&base_offset, |tally| tally.base_offset);
        let tally = found.ok().and_then(|at| self.batches.get(at));
        tally.is_some_and(|tally| tally.whole && tally.live == 0)
    }

    /// Notes that `key` has a record at `offset`, at or above every offset noted before. False, and nothing noted, when
    /// the key is new and the map full.
    pub(crate) fn put(&mut self, key: &[u8], offset: i64) -> bool {
        let hash = self.hash(key);
        let full = self.len >= self.len_max;
        let slots_max = self.table_slots_max;
        let at = self.table_of(hash);
        let Some(table) = self.tables.get_mut(at) else {
            return false;
        };
        let mut at = table.find(hash);
        let before = table.slots.get(at).map_or(0, |slot| slot.next_offset);
        if before == 0 {
            if full || !table.make_room(slots_max) {
                return false;
            }
            at = table.find(hash);
            table.len += 1;
            self.len += 1;
        }
        if let Some(slot) = table.slots.get_mut(at) {
            *slot = Slot {
                hash,
                next_offset: offset.unsigned_abs() + 1,
            };
        }
        self.count(before);
        self.latest = self.latest.max(offset);
        true
    }

    /// The batch that was begun last, if it is counted.
    fn counted_last(&mut self) -> Option<&mut Tally> {
        let counting = self.counted_until == i64::MAX;
        self.batches.last_mut().filter(|_| counting)
    }

    /// A record is in the place of one of the same key at `before - 1`; 0 for none.
    fn count(&mut self, before: u64) {
        if let Some(last) = self.counted_last() {
            last.live += 1;
        }
        let Some(before) = before.checked_sub(1).and_then(|at| i64::try_from(at).ok()) else {
            return;
        };
        if before >= self.counted_until {
            return;
        }
        let behind = self
            .batches
            .partition_point(|tally| tally.base_offset <= before);
        let holds = behind
            .checked_sub(1)
            .and_then(|at| self.batches.get_mut(at));
        if let Some(tally) = holds {
            tally.live = tally.live.saturating_sub(1);
        }
    }

    /// The last offset of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<i64> {
        let hash = self.hash(key);
        let table = self.tables.get(self.table_of(hash))?;
        let slot = table.slots.get(table.find(hash))?;
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

    /// The table of `hash`.
    fn table_of(&self, hash: [u64; 2]) -> usize {
        match self.tables.len() {
            1 => 0,
            _ => (hash[0] >> (u64::BITS - TABLE_BITS)) as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(map: &OffsetMap) -> usize {
        let slots = map.tables.iter().map(|table| table.slots.capacity());
        slots.sum::<usize>() * size_of::<Slot>()
    }

    #[test]
    fn it_knows_the_last_offset_of_each_key() {
        // A map of one table, and one of many that grow.
        for (keys, records) in [(700i64, 5_000i64), (40_000, 120_000)] {
            let mut map = OffsetMap::new(8 << 20, 0.9, records as u64);
            assert_eq!(map.tables.len() > 1, records > 100_000);
            for offset in 0..records {
                let key = (offset % keys).to_be_bytes();
                assert!(map.put(&key, offset));
            }
            assert_eq!((map.len() as i64, map.latest_offset()), (keys, records - 1));
            for key in 0..keys {
                let last = (records - 1 - key) / keys * keys + key;
                assert_eq!(map.get(&key.to_be_bytes()), Some(last));
            }
            assert_eq!(map.get(b"never"), None);
            assert_eq!(map.get(b""), None);
        }
    }

    #[test]
    fn a_full_map_takes_known_keys_only_and_stays_within_its_budget() {
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
        assert_eq!(memory(&map), budget);
        assert_eq!(size_of::<Slot>(), SLOT_BYTES);
        // Of many tables none is full much before the others.
        let budget = 8 << 20;
        let mut map = OffsetMap::new(budget, 0.9, u64::MAX);
        let taken = (0..400_000i64).take_while(|n| map.put(&n.to_be_bytes(), *n));
        let wanted = (budget / SLOT_BYTES) as f64 * 0.9;
        assert!(taken.count() as f64 > wanted * 0.98, "{}", map.len());
        assert!(memory(&map) <= budget);
    }

    #[test]
    fn memory_grows_with_the_keys_up_to_what_the_records_need() {
        let mut map = OffsetMap::new(128 << 20, 0.9, 100);
        assert!(map.table_slots_max < 200);
        for n in 0..100i64 {
            assert!(map.put(&n.to_be_bytes(), n));
        }
        assert!(memory(&map) < 200 * SLOT_BYTES);
        let mut few = OffsetMap::new(128 << 20, 0.9, 10_000_000);
        for n in 0..100_000i64 {
            assert!(few.put(&(n % 1_000).to_be_bytes(), n));
        }
        assert!(memory(&few) < 256 << 10, "{}", memory(&few));
        let mut tiny = OffsetMap::new(0, 0.0, 0);
        assert!(tiny.put(b"k", 0), "a pass always gets on");
    }

    /// Puts the keys as the records of one batch.
    fn put_batch(map: &mut OffsetMap, base_offset: i64, keys: &[&[u8]]) {
        map.begin_batch(base_offset);
        for (offset, key) in (base_offset..).zip(keys) {
            assert!(map.put(key, offset));
        }
        map.end_batch();
    }

    #[test]
    fn a_batch_is_superseded_once_each_of_its_records_is() {
        let mut map = OffsetMap::new(1 << 20, 0.9, 1_000);
        put_batch(&mut map, 0, &[b"a", b"b"]);
        put_batch(&mut map, 2, &[b"c", b"c", b"d"]);
        assert!(!map.is_superseded(0) && !map.is_superseded(2));
        put_batch(&mut map, 10, &[b"a", b"d", b"a"]);
        assert!(!map.is_superseded(0), "b is the last of its key");
        assert!(!map.is_superseded(2), "so is the second c");
        put_batch(&mut map, 20, &[b"b", b"c"]);
        assert!(map.is_superseded(0) && map.is_superseded(2));
        assert!(!map.is_superseded(10) && !map.is_superseded(20));
        // A batch that was not noted to its end, or not at all, has to be looked at.
        map.begin_batch(30);
        assert!(map.put(b"e", 30));
        put_batch(&mut map, 40, &[b"e"]);
        assert!(!map.is_superseded(30) && !map.is_superseded(35));
    }

    #[test]
    fn batches_behind_those_that_are_counted_are_looked_at() {
        let mut map = OffsetMap::new(64 << 20, 0.9, 4 * BATCHES_MAX as u64);
        let count = BATCHES_MAX as i64;
        for base_offset in 0..count + 2 {
            put_batch(&mut map, base_offset, &[&base_offset.to_be_bytes()]);
        }
        for key in [7, count, count + 1] {
            put_batch(&mut map, 2 * count + key, &[&key.to_be_bytes()]);
        }
        assert!(map.is_superseded(7));
        assert!(!map.is_superseded(8) && !map.is_superseded(count - 1));
        assert!(!map.is_superseded(count) && !map.is_superseded(count + 1));
        assert_eq!(map.batches.len(), BATCHES_MAX);
    }
}
