//! What the registry knows of keys: a function of the records of their topic.
//!
//! **Invariant:** it holds what the records say and nothing else, so it has no key in the clear.

use std::collections::BTreeMap;

use schema::encryption::Algorithm;

use super::records::{DekId, DekValue, KekValue, Key, Record, Value};
use crate::log::{Encoded, Replay, Spellings};
use crate::state::records::UnreadableRecord;

/// A key with the time of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<V> {
    /// The key.
    pub value: V,
    /// When its record was written, in milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// All keys.
#[derive(Debug, Default)]
pub struct Keys {
    keks: BTreeMap<String, Stored<KekValue>>,
    deks: BTreeMap<DekId, Stored<DekValue>>,
    /// The offset after that of the last record.
    next_offset: i64,
    spellings: Spellings<Key>,
}

impl Keys {
    /// A KEK; a soft deleted one only where `deleted` asks for those too.
    #[must_use]
    pub fn kek(&self, name: &str, deleted: bool) -> Option<&Stored<KekValue>> {
        let found = self.keks.get(name);
        found.filter(|kek| deleted || !kek.value.deleted)
    }

    /// KEKs by name.
    pub fn keks(&self, deleted: bool) -> impl Iterator<Item = (&str, &Stored<KekValue>)> {
        self.keks
            .iter()
            .filter(move |(_, kek)| deleted || !kek.value.deleted)
            .map(|(name, kek)| (name.as_str(), kek))
    }

    /// A DEK; a soft deleted one only where `deleted` asks for those too.
    #[must_use]
    pub fn dek(&self, id: &DekId, deleted: bool) -> Option<&Stored<DekValue>> {
        let found = self.deks.get(id);
        found.filter(|dek| deleted || !dek.value.deleted)
    }

    /// DEKs by KEK, subject, algorithm and version.
    pub fn deks(&self, deleted: bool) -> impl Iterator<Item = (&DekId, &Stored<DekValue>)> {
        let all = self.deks.iter();
        all.filter(move |(_, dek)| deleted || !dek.value.deleted)
    }

    /// The DEKs of a KEK.
    pub fn deks_of<'a>(
        &'a self,
        kek_name: &'a str,
        deleted: bool,
    ) -> impl Iterator<Item = (&'a DekId, &'a Stored<DekValue>)> {
        let first = DekId {
            kek_name: kek_name.to_owned(),
            subject: String::new(),
            algorithm: Algorithm::Aes128Gcm,
            version: i32::MIN,
        };
        self.deks
            .range(first..)
            .take_while(move |(id, _)| id.kek_name == kek_name)
            .filter(move |(_, dek)| deleted || !dek.value.deleted)
    }

    /// The versions of a DEK, in order.
    pub fn versions<'a>(
        &'a self,
        kek_name: &str,
        subject: &str,
        algorithm: Algorithm,
        deleted: bool,
    ) -> impl DoubleEndedIterator<Item = (&'a DekId, &'a Stored<DekValue>)> + use<'a> {
        let at = |version| DekId {
            kek_name: kek_name.to_owned(),
            subject: subject.to_owned(),
            algorithm,
            version,
        };
        let range = self.deks.range(at(i32::MIN)..=at(i32::MAX));
        range.filter(move |(_, dek)| deleted || !dek.value.deleted)
    }

    /// How many KEKs there are, soft deleted ones too.
    #[must_use]
    pub fn kek_count(&self) -> usize {
        self.keks.len()
    }

    /// How many DEKs there are, soft deleted ones too.
    #[must_use]
    pub fn dek_count(&self) -> usize {
        self.deks.len()
    }
}

impl Replay for Keys {
    type Record = Record;

    fn replay(
        &mut self,
        offset: i64,
        key: &[u8],
        value: Option<&[u8]>,
        timestamp_ms: i64,
    ) -> Result<(), UnreadableRecord> {
        self.next_offset = offset.saturating_add(1);
        let Some(record) = Record::decode(key, value)? else {
            return Ok(());
        };
        self.spellings
            .note(&record.key, &record.key.encode(), key, value.is_none());
        match (record.key, record.value) {
            (Key::Kek(name), Some(Value::Kek(value))) => {
                let stored = Stored {
                    value,
                    timestamp_ms,
                };
                self.keks.insert(name, stored);
            }
            (Key::Dek(id), Some(Value::Dek(value))) => {
                let stored = Stored {
                    value,
                    timestamp_ms,
                };
                self.deks.insert(id, stored);
            }
            (Key::Kek(name), None) => {
                self.keks.remove(&name);
            }
            (Key::Dek(id), None) => {
                self.deks.remove(&id);
            }
            (Key::Kek(_), Some(Value::Dek(_))) | (Key::Dek(_), Some(Value::Kek(_))) => {}
        }
        Ok(())
    }

    fn offset(&self) -> i64 {
        self.next_offset.saturating_sub(1)
    }

    fn encode(&self, record: &Record) -> Vec<Encoded> {
        self.spellings
            .encode(&record.key, record.key.encode(), record.encode_value())
    }

    /// A tombstone of the KEK without a name, which there cannot be. Confluent's topic has no record without a
    /// meaning; its registries take this one, and nothing happens.
    fn opening(&self) -> Record {
        Record::tombstone(Key::Kek(String::new()))
    }
}
