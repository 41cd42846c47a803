//! The records of the keys' topic, in Confluent's JSON (`KeyEncryptionKeyId`, `DataEncryptionKeyId` and their values).
//!
//! The topic is compacted, so the order of a key's fields is part of the format:
//!
//! ```text
//! {"tenant":"default","name":"kek","type":"KEK"}
//! {"tenant":"default","kekName":"kek","subject":"s","algorithm":"AES256_GCM","version":1,"type":"DEK"}
//! ```
//!
//! Fields in another order are read all the same, as in `_schemas`; fields nobody knows are left alone, and keys of
//! other tenants than `default`, which is the only one outside of Confluent's cloud.

use std::collections::BTreeMap;

use schema::encryption::Algorithm;
use serde::{Deserialize, Serialize};

use crate::state::records::{TENANT, UnreadableRecord, unreadable};

/// The key of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A KEK, by its name.
    Kek(String),
    /// A DEK.
    Dek(DekId),
}

/// What a DEK is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DekId {
    /// The KEK that encrypts it.
    pub kek_name: String,
    /// Whose fields it encrypts; in normal form.
    pub subject: String,
    /// How it encrypts.
    pub algorithm: Algorithm,
    /// From 1 on.
    pub version: i32,
}

/// A KEK.
#[derive(Clone, PartialEq, Eq)]
pub struct KekValue {
    /// Which service has the key.
    pub kms_type: String,
    /// Which key it is there.
    pub kms_key_id: String,
    /// How to ask for it; may hold secrets.
    pub kms_props: BTreeMap<String, String>,
    /// For people.
    pub doc: Option<String>,
    /// Whether the registry may use the key.
    pub shared: bool,
    /// Soft deleted.
    pub deleted: bool,
}

impl std::fmt::Debug for KekValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KekValue")
            .field("kms_type", &self.kms_type)
            .field("shared", &self.shared)
            .field("deleted", &self.deleted)
            .finish_non_exhaustive()
    }
}

/// A DEK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DekValue {
    /// As the KEK encrypted it, in base 64.
    pub encrypted_key_material: Option<String>,
    /// Soft deleted.
    pub deleted: bool,
}

/// The value of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Of a [`Key::Kek`].
    Kek(KekValue),
    /// Of a [`Key::Dek`].
    Dek(DekValue),
}

/// One record; without a value it is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it is about.
    pub key: Key,
    /// What holds from now on.
    pub value: Option<Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DekKeyOut<'a> {
    tenant: &'static str,
    kek_name: &'a str,
    subject: &'a str,
    algorithm: &'static str,
    version: i32,
    r#type: &'static str,
}

#[derive(Serialize)]
struct KekKeyOut<'a> {
    tenant: &'static str,
    name: &'a str,
    r#type: &'static str,
}

/// Either key; which fields it must have depends on its type.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyIn {
    r#type: String,
    tenant: Option<String>,
    name: Option<String>,
    kek_name: Option<String>,
    subject: Option<String>,
    algorithm: Option<String>,
    version: Option<i32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KekOut<'a> {
    name: &'a str,
    kms_type: &'a str,
    kms_key_id: &'a str,
    kms_props: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    doc: Option<&'a str>,
    shared: bool,
    deleted: bool,
    r#type: &'static str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KekIn {
    kms_type: String,
    kms_key_id: String,
    kms_props: Option<BTreeMap<String, String>>,
    doc: Option<String>,
    #[serde(default)]
    shared: bool,
    #[serde(default)]
    deleted: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DekOut<'a> {
    kek_name: &'a str,
    subject: &'a str,
    algorithm: &'static str,
    version: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted_key_material: Option<&'a str>,
    deleted: bool,
    r#type: &'static str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DekIn {
    encrypted_key_material: Option<String>,
    #[serde(default)]
    deleted: bool,
}

impl Key {
    /// The bytes of the key in the topic.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let encoded = match self {
            Self::Kek(name) => serde_json::to_vec(&KekKeyOut {
                tenant: TENANT,
                name,
                r#type: "KEK",
            }),
            Self::Dek(id) => serde_json::to_vec(&DekKeyOut {
                tenant: TENANT,
                kek_name: &id.kek_name,
                subject: &id.subject,
                algorithm: id.algorithm.name(),
                version: id.version,
                r#type: "DEK",
            }),
        };
        encoded.expect("a key has string keys only and no map that can fail")
    }

    /// Reads a key; none for a kind of key, or a tenant, that this registry does not know.
    fn decode(bytes: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        use serde::de::Error;
        let key: KeyIn = serde_json::from_slice(bytes)?;
        let field = |value: Option<String>, name: &'static str| {
            value.ok_or_else(|| serde_json::Error::missing_field(name))
        };
        if key.tenant.as_deref() != Some(TENANT) {
            return Ok(None);
        }
        Ok(Some(match key.r#type.as_str() {
            "KEK" => Self::Kek(field(key.name, "name")?),
            "DEK" => {
                let algorithm = field(key.algorithm, "algorithm")?;
                Self::Dek(DekId {
                    kek_name: field(key.kek_name, "kekName")?,
                    subject: field(key.subject, "subject")?,
                    algorithm: Algorithm::of(&algorithm).ok_or_else(|| {
                        serde_json::Error::custom(format!("unknown algorithm {algorithm}"))
                    })?,
                    version: key
                        .version
                        .ok_or_else(|| serde_json::Error::missing_field("version"))?,
                })
            }
            _ => return Ok(None),
        }))
    }
}

impl Record {
    /// A KEK as it is from now on.
    #[must_use]
    pub fn kek(name: &str, value: KekValue) -> Self {
        Self {
            key: Key::Kek(name.to_owned()),
            value: Some(Value::Kek(value)),
        }
    }

    /// A DEK as it is from now on.
    #[must_use]
    pub fn dek(id: DekId, value: DekValue) -> Self {
        Self {
            key: Key::Dek(id),
            value: Some(Value::Dek(value)),
        }
    }

    /// A record that takes the key away.
    #[must_use]
    pub fn tombstone(key: Key) -> Self {
        Self { key, value: None }
    }

    /// The bytes of the value in the topic.
    #[must_use]
    pub fn encode_value(&self) -> Option<Vec<u8>> {
        let encoded = match (&self.key, self.value.as_ref()?) {
            (Key::Kek(name), Value::Kek(value)) => serde_json::to_vec(&KekOut {
                name,
                kms_type: &value.kms_type,
                kms_key_id: &value.kms_key_id,
                kms_props: &value.kms_props,
                doc: value.doc.as_deref(),
                shared: value.shared,
                deleted: value.deleted,
                r#type: "KEK",
            }),
            (Key::Dek(id), Value::Dek(value)) => serde_json::to_vec(&DekOut {
                kek_name: &id.kek_name,
                subject: &id.subject,
                algorithm: id.algorithm.name(),
                version: id.version,
                encrypted_key_material: value.encrypted_key_material.as_deref(),
                deleted: value.deleted,
                r#type: "DEK",
            }),
            (Key::Kek(_), Value::Dek(_)) | (Key::Dek(_), Value::Kek(_)) => return None,
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
            Key::Kek(_) => serde_json::from_slice(bytes).map(|kek: KekIn| {
                Value::Kek(KekValue {
                    kms_type: kek.kms_type,
                    kms_key_id: kek.kms_key_id,
                    kms_props: kek.kms_props.unwrap_or_default(),
                    doc: kek.doc,
                    shared: kek.shared,
                    deleted: kek.deleted,
                })
            }),
            Key::Dek(_) => serde_json::from_slice(bytes).map(|dek: DekIn| {
                Value::Dek(DekValue {
                    encrypted_key_material: dek.encrypted_key_material,
                    deleted: dek.deleted,
                })
            }),
        };
        let value = Some(value.map_err(unreadable("value"))?);
        Ok(Some(Self { key, value }))
    }
}
