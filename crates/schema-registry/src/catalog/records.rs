//! The records of the catalog's topic. It is this registry's own; Confluent's catalog has none that one could share.
//!
//! The topic is compacted, so the order of a key's fields is part of the format:
//!
//! ```text
//! {"tenant":"default","name":"PII","type":"TAG_DEF"}
//! {"tenant":"default","name":"Team","type":"BUSINESS_METADATA_DEF"}
//! {"tenant":"default","entityType":"sr_field","entityName":"schema-registry:.:1:User.mail","type":"ENTITY"}
//! ```
//!
//! The value of a definition is the [`Definition`] as the API has it, without what the record says itself; that of an entity is its
//! [`Overlay`]: `tags` and `businessMetadata` by name, and `attributes`. A definition that is gone, and an entity on which nothing is set
//! any more, are tombstones.

use serde::{Deserialize, Serialize};

use super::model::{Definition, DefinitionKind, EntityId, EntityType, Overlay};
use crate::state::records::{TENANT, UnreadableRecord, unreadable};

const TAG_DEF: &str = "TAG_DEF";
const BUSINESS_METADATA_DEF: &str = "BUSINESS_METADATA_DEF";
const ENTITY: &str = "ENTITY";

/// The key of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A definition, by its name.
    Definition(DefinitionKind, String),
    /// An entity.
    Entity(EntityId),
}

/// The value of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a [`Key::Definition`].
    Definition(Definition),
    /// Of a [`Key::Entity`].
    Entity(Overlay),
}

/// One record; without a value it is a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What it is about.
    pub key: Key,
    /// What holds from now on.
    pub value: Option<Value>,
}

#[derive(Serialize)]
struct DefinitionKeyOut<'a> {
    tenant: &'static str,
    name: &'a str,
    r#type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EntityKeyOut<'a> {
    tenant: &'static str,
    entity_type: &'static str,
    entity_name: &'a str,
    r#type: &'static str,
}

/// Either key; which fields it must have depends on its type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyIn {
    r#type: String,
    tenant: Option<String>,
    name: Option<String>,
    entity_type: Option<String>,
    entity_name: Option<String>,
}

impl Key {
    /// The bytes of the key in the topic.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let encoded = match self {
            Self::Definition(kind, name) => serde_json::to_vec(&DefinitionKeyOut {
                tenant: TENANT,
                name,
                r#type: match kind {
                    DefinitionKind::Tag => TAG_DEF,
                    DefinitionKind::BusinessMetadata => BUSINESS_METADATA_DEF,
                },
            }),
            Self::Entity(id) => serde_json::to_vec(&EntityKeyOut {
                tenant: TENANT,
                entity_type: id.entity_type.name(),
                entity_name: &id.name,
                r#type: ENTITY,
            }),
        };
        encoded.expect("a key has string keys only and no map that can fail")
    }

    /// Reads a key; none for a kind of key, a tenant or a type of entities that this registry does not know.
    fn decode(bytes: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        use serde::de::Error;
        let key: KeyIn = serde_json::from_slice(bytes)?;
        let field = |value: Option<String>, name: &'static str| {
            value.ok_or_else(|| serde_json::Error::missing_field(name))
        };
        if key.tenant.as_deref() != Some(TENANT) {
            return Ok(None);
        }
        let definition = |kind| {
            Ok(Some(Self::Definition(
                kind,
                field(key.name.clone(), "name")?,
            )))
        };
        match key.r#type.as_str() {
            TAG_DEF => definition(DefinitionKind::Tag),
            BUSINESS_METADATA_DEF => definition(DefinitionKind::BusinessMetadata),
            ENTITY => {
                let name = field(key.entity_name, "entityName")?;
                let entity_type = EntityType::of(&field(key.entity_type, "entityType")?);
                Ok(entity_type.map(|entity_type| Self::Entity(EntityId { entity_type, name })))
            }
            _ => Ok(None),
        }
    }
}

impl Record {
    /// A record that takes the key away.
    #[must_use]
    pub fn tombstone(key: Key) -> Self {
        Self { key, value: None }
    }

    /// The bytes of the value in the topic.
    #[must_use]
    pub fn encode_value(&self) -> Option<Vec<u8>> {
        let encoded = match self.value.as_ref()? {
            Value::Definition(definition) => serde_json::to_vec(definition),
            Value::Entity(overlay) => serde_json::to_vec(overlay),
        };
        Some(encoded.expect("a value has string keys only"))
    }

    /// Reads a record of the topic; none for a kind of key that this registry does not know.
    ///
    /// # Errors
    /// What is no JSON, or lacks a field.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>, UnreadableRecord> {
        let Some(key) = Key::decode(key).map_err(unreadable("key"))? else {
            return Ok(None);
        };
        let Some(bytes) = value else {
            return Ok(Some(Self::tombstone(key)));
        };
        let value = match &key {
            Key::Definition(..) => serde_json::from_slice(bytes).map(Value::Definition),
            Key::Entity(_) => serde_json::from_slice(bytes).map(Value::Entity),
        };
        let value = Some(value.map_err(unreadable("value"))?);
        Ok(Some(Self { key, value }))
    }
}
