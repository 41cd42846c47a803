//! What a topic's records make: the part of a log that differs from topic to topic.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::hash::Hash;

use crate::state::records::UnreadableRecord;

/// A record's key and value, as the topic has them; without a value a tombstone.
pub type Encoded = (Vec<u8>, Option<Vec<u8>>);

/// A state that is a function of the records of its topic, taken one after the other.
pub trait Replay: Default + Debug + Send + Sync + 'static {
    /// One record.
    type Record: Debug + Send + Sync + 'static;

    /// Takes the record at an offset of the topic; one of a kind that nobody knows is passed over.
    ///
    /// # Errors
    /// The record cannot be read; the state is as before.
    fn replay(
        &mut self,
        offset: i64,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp_ms: i64,
    ) -> Result<(), UnreadableRecord>;

    /// The offset of the last record that was taken; -1 before the first.
    fn offset(&self) -> i64;

    /// What to write for a record: its bytes, after a tombstone for each other spelling of its key ([`Spellings`]).
    fn encode(&self, record: &Self::Record) -> Vec<Encoded>;

    /// What a session of a writer begins with: a record that changes nothing.
    fn opening(&self) -> Self::Record;
}

/// Keys that stand in a topic with other bytes than ours. Compaction keeps what is under them, so whoever writes the
/// key has to delete them, or another registry's record comes back with the next start.
#[derive(Debug)]
pub struct Spellings<K>(HashMap<K, BTreeSet<Vec<u8>>>);

impl<K> Default for Spellings<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Clone + Eq + Hash> Spellings<K> {
    /// Notes the bytes of a record's key, where `ours` would be others; a tombstone takes the note away.
    pub fn note(&mut self, key: &K, ours: &[u8], found: &[u8], is_tombstone: bool) {
        if ours == found {
            return;
        }
        let spellings = self.0.entry(key.clone()).or_default();
        if is_tombstone {
            spellings.remove(found);
        } else {
            spellings.insert(found.to_vec());
        }
        if spellings.is_empty() {
            self.0.remove(key);
        }
    }

    /// The other bytes of a key.
    pub fn of(&self, key: &K) -> impl Iterator<Item = &[u8]> {
        let found = self.0.get(key).into_iter().flatten();
        found.map(Vec::as_slice)
    }

    /// What to write under a key: tombstones for its other bytes, then `value` under ours.
    pub fn encode(&self, key: &K, ours: Vec<u8>, value: Option<Vec<u8>>) -> Vec<Encoded> {
        let mut encoded: Vec<Encoded> = self.of(key).map(|old| (old.to_vec(), None)).collect();
        encoded.push((ours, value));
        encoded
    }
}
