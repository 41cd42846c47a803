//! What the registry knows of the catalog: a function of the records of its topic, and what a change would make of it.

use std::collections::BTreeMap;

use super::model::{Definition, DefinitionKind, EntityId, Overlay};
use super::records::{Key, Record, Value};
use crate::log::{Encoded, Replay, Spellings};
use crate::state::records::UnreadableRecord;

/// All definitions, and all that is set on entities.
#[derive(Debug, Default)]
pub struct CatalogState {
    definitions: BTreeMap<(DefinitionKind, String), Definition>,
    /// How many of the definitions are of tags.
    tag_count: usize,
    overlays: BTreeMap<EntityId, Overlay>,
    /// The offset after that of the last record.
    next_offset: i64,
    spellings: Spellings<Key>,
}

impl CatalogState {
    /// A definition.
    #[must_use]
    pub fn definition(&self, kind: DefinitionKind, name: &str) -> Option<&Definition> {
        self.definitions.get(&(kind, name.to_owned()))
    }

    /// Definitions of a kind, by name.
    pub fn definitions(&self, kind: DefinitionKind) -> impl Iterator<Item = &Definition> {
        let all = self.definitions.range((kind, String::new())..);
        all.take_while(move |((found, _), _)| *found == kind)
            .map(|(_, definition)| definition)
    }

    /// What is set on an entity.
    #[must_use]
    pub fn overlay(&self, id: &EntityId) -> Option<&Overlay> {
        self.overlays.get(id)
    }

    /// How many definitions of a kind there are.
    #[must_use]
    pub fn definition_count(&self, kind: DefinitionKind) -> usize {
        match kind {
            DefinitionKind::Tag => self.tag_count,
            DefinitionKind::BusinessMetadata => {
                self.definitions.len().saturating_sub(self.tag_count)
            }
        }
    }

    fn count(&mut self, kind: DefinitionKind, change: isize) {
        if kind == DefinitionKind::Tag {
            self.tag_count = self.tag_count.saturating_add_signed(change);
        }
    }

    /// How many entities have something set on them.
    #[must_use]
    pub fn overlay_count(&self) -> usize {
        self.overlays.len()
    }

    /// The entities on which something is set, by type and name.
    pub fn overlays(&self) -> impl Iterator<Item = (&EntityId, &Overlay)> {
        self.overlays.iter()
    }
}

impl Replay for CatalogState {
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
            (Key::Definition(kind, name), Some(Value::Definition(mut definition))) => {
                definition.update_time = timestamp_ms;
                if self.definitions.insert((kind, name), definition).is_none() {
                    self.count(kind, 1);
                }
            }
            (Key::Definition(kind, name), None) => {
                if self.definitions.remove(&(kind, name)).is_some() {
                    self.count(kind, -1);
                }
            }
            (Key::Entity(id), Some(Value::Entity(mut overlay))) => {
                overlay.update_time = timestamp_ms;
                self.overlays.insert(id, overlay);
            }
            (Key::Entity(id), None) => {
                self.overlays.remove(&id);
            }
            (Key::Definition(..), Some(Value::Entity(_)))
            | (Key::Entity(_), Some(Value::Definition(_))) => {}
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

    /// A tombstone of the tag without a name, which there cannot be.
    fn opening(&self) -> Record {
        Record::tombstone(Key::Definition(DefinitionKind::Tag, String::new()))
    }
}

/// A change in the making: what is there, and over it what the items before have changed. An item that fails changes nothing.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    state: &'a CatalogState,
    changed: BTreeMap<Key, Option<Value>>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(state: &'a CatalogState) -> Self {
        Self {
            state,
            changed: BTreeMap::new(),
        }
    }

    pub(super) fn definition(&self, kind: DefinitionKind, name: &str) -> Option<&Definition> {
        match self.changed.get(&Key::Definition(kind, name.to_owned())) {
            Some(Some(Value::Definition(definition))) => Some(definition),
            Some(_) => None,
            None => self.state.definition(kind, name),
        }
    }

    /// How many definitions of a kind there would be.
    pub(super) fn definition_count(&self, kind: DefinitionKind) -> usize {
        let made = self.changed.keys().filter(|key| match key {
            Key::Definition(of, name) => *of == kind && self.state.definition(kind, name).is_none(),
            Key::Entity(_) => false,
        });
        self.state.definition_count(kind) + made.count()
    }

    pub(super) fn put_definition(&mut self, kind: DefinitionKind, definition: Definition) {
        let key = Key::Definition(kind, definition.name.clone());
        self.changed
            .insert(key, Some(Value::Definition(definition)));
    }

    /// What is set on an entity, to be changed and put back.
    pub(super) fn overlay(&self, id: &EntityId) -> Overlay {
        match self.changed.get(&Key::Entity(id.clone())) {
            Some(Some(Value::Entity(overlay))) => overlay.clone(),
            Some(_) => Overlay::default(),
            None => self.state.overlay(id).cloned().unwrap_or_default(),
        }
    }

    pub(super) fn put_overlay(&mut self, id: &EntityId, overlay: Overlay) {
        let value = (!overlay.is_empty()).then_some(Value::Entity(overlay));
        self.changed.insert(Key::Entity(id.clone()), value);
    }

    /// How many entities would have something set on them, at most.
    pub(super) fn overlay_count(&self) -> usize {
        self.state.overlay_count() + self.changed.len()
    }

    /// What to write.
    pub(super) fn into_records(self) -> Vec<Record> {
        let changed = self.changed.into_iter();
        changed.map(|(key, value)| Record { key, value }).collect()
    }
}
