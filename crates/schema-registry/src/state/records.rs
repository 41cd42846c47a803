//! The records of the topic, in Confluent's JSON.
//!
//! The topic is compacted, and compaction compares the bytes of keys, so the order of a key's fields is part of the
//! format:
//!
//! ```text
//! {"keytype":"SCHEMA","subject":"s","version":1,"magic":1}
//! {"keytype":"CONFIG","subject":null,"magic":0}            null: of everybody
//! {"keytype":"MODE","subject":null,"magic":0}
//! {"keytype":"NOOP","magic":0}
//! {"keytype":"DELETE_SUBJECT","subject":"s","magic":0}
//! {"keytype":"CLEAR_SUBJECT","subject":"s","magic":0}
//! {"keytype":"CONTEXT","tenant":"default","context":".c","magic":0}
//! {"keytype":"ASSOC","tenant":"default","resourceName":"t","resourceNamespace":"lkc-1","resourceType":"topic",
//!  "associationType":"value","subject":"s","magic":0}
//! {"keytype":"EXPORTER","name":"e","magic":0}              ours
//! {"keytype":"EXPORTER_STATE","name":"e","magic":0}        ours
//! ```
//!
//! Fields in another order, as older registries wrote them, are read all the same; see [`super::State`] for how such
//! keys are got rid of. Values are read field by field, and fields nobody knows are left alone. A record of a kind that
//! nobody here knows stays in the topic as it is: nothing is ever written under its key.
//!
//! A `NOOP` of ours has a value, `{"maxIds":{".":57}}`: the highest id ever given in each context. A `NOOP` is written
//! by every new leader, so the numbers outlive the compaction of the schemas that had them.
//! Differs: Confluent's has none, and its registry gives the highest id again once the schema that had it is deleted
//! for good and the registry started anew. Its registries read past the value.

use std::collections::BTreeMap;

use schema::{Metadata, RuleSet, SchemaReference};
use serde::{Deserialize, Deserializer, Serialize};

use super::associations::{AssociationKey, AssociationValue};
use super::exporters::{ExporterProgress, ExporterValue};

/// The key of a record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A version of a subject.
    Schema {
        /// In normal form.
        subject: String,
        /// From 1 on.
        version: i32,
    },
    /// The config of a subject or a context (`:.c:`); of everybody where absent.
    Config(Option<String>),
    /// The mode, likewise.
    Mode(Option<String>),
    /// Nothing but a place in the log, and the highest ids.
    Noop,
    /// All versions of a subject up to one are soft deleted.
    DeleteSubject(String),
    /// Soft deleted versions under a prefix are forgotten.
    ClearSubject(Option<String>),
    /// A context exists.
    Context(String),
    /// A resource uses a subject.
    Association(Box<AssociationKey>),
    /// An exporter of that name was ordered.
    Exporter(String),
    /// How far the exporter of that name has come.
    ExporterState(String),
}

/// The value of a `SCHEMA` record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SchemaValue {
    /// As in the key.
    pub subject: String,
    /// As in the key.
    pub version: i32,
    /// Unique in the context.
    pub id: i32,
    /// The GUID's bytes in base 64; written for Confluent's registries, computed when read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
    /// Absent: Avro.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_type: Option<String>,
    /// What the schema refers to.
    #[serde(
        default,
        deserialize_with = "or_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub references: Vec<SchemaReference>,
    /// Tags and properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// Rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule_set: Option<RuleSet>,
    /// The text.
    pub schema: String,
    /// Soft deleted.
    #[serde(default, deserialize_with = "or_default")]
    pub deleted: bool,
}

/// `null` as if there was nothing.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The value of a `MODE` record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModeValue {
    /// As in the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The mode's name.
    pub mode: super::Mode,
}

/// The value of a `DELETE_SUBJECT` record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeleteSubjectValue {
    /// As in the key.
    pub subject: String,
    /// Up to and with this version.
    pub version: i32,
}

/// The value of a `CLEAR_SUBJECT` record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClearSubjectValue {
    /// As in the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// The value of a `CONTEXT` record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContextValue {
    /// Always `default`: tenants are Confluent Cloud's.
    pub tenant: String,
    /// With its dot.
    pub context: String,
}

/// The value of our `NOOP` records.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoopValue {
    /// The highest id ever given, by context.
    #[serde(default)]
    pub max_ids: BTreeMap<String, i32>,
}

/// The value of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Of a `SCHEMA` key.
    Schema(Box<SchemaValue>),
    /// Of a `CONFIG` key.
    Config(Box<super::Config>),
    /// Of a `MODE` key.
    Mode(ModeValue),
    /// Of a `NOOP` key.
    Noop(NoopValue),
    /// Of a `DELETE_SUBJECT` key.
    DeleteSubject(DeleteSubjectValue),
    /// Of a `CLEAR_SUBJECT` key.
    ClearSubject(ClearSubjectValue),
    /// Of a `CONTEXT` key.
    Context(ContextValue),
    /// Of an `ASSOC` key.
    Association(Box<AssociationValue>),
    /// Of an `EXPORTER` key.
    Exporter(Box<ExporterValue>),
    /// Of an `EXPORTER_STATE` key.
    ExporterState(ExporterProgress),
}

/// One record; without a value it is a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What it is about.
    pub key: Key,
    /// What holds from now on.
    pub value: Option<Value>,
}

/// A record that cannot be read. It is passed over, as Confluent's registry does, and told in the log.
#[derive(Debug, thiserror::Error)]
#[error("the {part} of a record is not what the topic's format says")]
pub struct UnreadableRecord {
    /// `key` or `value`.
    part: &'static str,
    #[source]
    source: serde_json::Error,
}

pub(crate) const TENANT: &str = "default";

#[derive(Serialize)]
struct KeyOut<'a> {
    keytype: &'static str,
    #[serde(flatten)]
    body: KeyBody<'a>,
    magic: u8,
}

#[derive(Serialize)]
#[serde(untagged)]
enum KeyBody<'a> {
    Version {
        subject: &'a str,
        version: i32,
    },
    Subject {
        subject: Option<&'a str>,
    },
    Context {
        tenant: &'a str,
        context: &'a str,
    },
    #[serde(rename_all = "camelCase")]
    Association {
        tenant: &'a str,
        resource_name: &'a str,
        resource_namespace: &'a str,
        resource_type: &'a str,
        association_type: &'a str,
        subject: &'a str,
    },
    Name {
        name: &'a str,
    },
    Nothing {},
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyIn {
    keytype: KeyType,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    version: Option<i32>,
    #[serde(default)]
    context: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    resource_name: Option<String>,
    #[serde(default)]
    resource_namespace: Option<String>,
    #[serde(default)]
    resource_type: Option<String>,
    #[serde(default)]
    association_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum KeyType {
    Schema,
    Config,
    Mode,
    Noop,
    DeleteSubject,
    ClearSubject,
    Context,
    Assoc,
    Exporter,
    ExporterState,
    #[serde(other)]
    Other,
}

impl Key {
    /// The bytes of the key in the topic.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let subject = |subject: &'_ Option<String>| subject.clone();
        let owned;
        let (keytype, body, magic) = match self {
            Self::Schema { subject, version } => (
                "SCHEMA",
                KeyBody::Version {
                    subject,
                    version: *version,
                },
                1,
            ),
            Self::Config(of) | Self::Mode(of) | Self::ClearSubject(of) => {
                owned = subject(of);
                let keytype = match self {
                    Self::Config(_) => "CONFIG",
                    Self::Mode(_) => "MODE",
                    _ => "CLEAR_SUBJECT",
                };
                let subject = owned.as_deref();
                (keytype, KeyBody::Subject { subject }, 0)
            }
            Self::DeleteSubject(of) => (
                "DELETE_SUBJECT",
                KeyBody::Subject {
                    subject: Some(of.as_str()),
                },
                0,
            ),
            Self::Context(context) => (
                "CONTEXT",
                KeyBody::Context {
                    tenant: TENANT,
                    context,
                },
                0,
            ),
            Self::Noop => ("NOOP", KeyBody::Nothing {}, 0),
            Self::Association(key) => (
                "ASSOC",
                KeyBody::Association {
                    tenant: TENANT,
                    resource_name: &key.resource_name,
                    resource_namespace: &key.resource_namespace,
                    resource_type: &key.resource_type,
                    association_type: &key.association_type,
                    subject: &key.subject,
                },
                0,
            ),
            Self::Exporter(name) => ("EXPORTER", KeyBody::Name { name }, 0),
            Self::ExporterState(name) => ("EXPORTER_STATE", KeyBody::Name { name }, 0),
        };
        let out = KeyOut {
            keytype,
            body,
            magic,
        };
        serde_json::to_vec(&out).expect("a key has string keys only and no map that can fail")
    }

    /// Reads a key; none for a kind of key that this registry does not know.
    fn decode(bytes: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        use serde::de::Error;
        let key: KeyIn = serde_json::from_slice(bytes)?;
        let given = |name: &'static str, field: Option<String>| {
            field.ok_or_else(|| serde_json::Error::missing_field(name))
        };
        Ok(Some(match key.keytype {
            KeyType::Schema => Self::Schema {
                subject: given("subject", key.subject)?,
                version: key
                    .version
                    .ok_or_else(|| serde_json::Error::missing_field("version"))?,
            },
            KeyType::Config => Self::Config(key.subject),
            KeyType::Mode => Self::Mode(key.subject),
            KeyType::Noop => Self::Noop,
            KeyType::DeleteSubject => Self::DeleteSubject(given("subject", key.subject)?),
            KeyType::ClearSubject => Self::ClearSubject(key.subject),
            KeyType::Context => Self::Context(given("context", key.context)?),
            KeyType::Assoc => Self::Association(Box::new(AssociationKey {
                resource_name: given("resourceName", key.resource_name)?,
                resource_namespace: given("resourceNamespace", key.resource_namespace)?,
                resource_type: given("resourceType", key.resource_type)?,
                association_type: given("associationType", key.association_type)?,
                subject: given("subject", key.subject)?,
            })),
            KeyType::Exporter => Self::Exporter(given("name", key.name)?),
            KeyType::ExporterState => Self::ExporterState(given("name", key.name)?),
            KeyType::Other => return Ok(None),
        }))
    }
}

impl Record {
    /// A record with a value.
    #[must_use]
    pub fn new(key: Key, value: Value) -> Self {
        Self {
            key,
            value: Some(value),
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
        let encoded = match self.value.as_ref()? {
            Value::Schema(value) => serde_json::to_vec(value),
            Value::Config(value) => {
                let subject = match &self.key {
                    Key::Config(subject) => subject.as_deref(),
                    _ => None,
                };
                serde_json::to_vec(&ConfigOut {
                    subject,
                    config: value,
                })
            }
            Value::Mode(value) => serde_json::to_vec(value),
            Value::Noop(value) => serde_json::to_vec(value),
            Value::DeleteSubject(value) => serde_json::to_vec(value),
            Value::ClearSubject(value) => serde_json::to_vec(value),
            Value::Context(value) => serde_json::to_vec(value),
            Value::Association(value) => serde_json::to_vec(value),
            Value::Exporter(value) => serde_json::to_vec(value),
            Value::ExporterState(value) => serde_json::to_vec(value),
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
            Key::Schema { .. } => serde_json::from_slice(bytes).map(Value::Schema),
            Key::Config(_) => {
                serde_json::from_slice(bytes).map(|mut config: Box<super::Config>| {
                    // These are the record's, and no settings.
                    for name in ["subject", "offset", "ts"] {
                        config.other.remove(name);
                    }
                    Value::Config(config)
                })
            }
            Key::Mode(_) => serde_json::from_slice(bytes).map(Value::Mode),
            Key::Noop => Ok(Value::Noop(
                serde_json::from_slice(bytes).unwrap_or_default(),
            )),
            Key::DeleteSubject(_) => serde_json::from_slice(bytes).map(Value::DeleteSubject),
            Key::ClearSubject(_) => serde_json::from_slice(bytes).map(Value::ClearSubject),
            Key::Context(_) => serde_json::from_slice(bytes).map(Value::Context),
            Key::Association(_) => serde_json::from_slice(bytes).map(Value::Association),
            Key::Exporter(_) => serde_json::from_slice(bytes).map(Value::Exporter),
            Key::ExporterState(_) => serde_json::from_slice(bytes).map(Value::ExporterState),
        };
        let value = value.map_err(unreadable("value"))?;
        Ok(Some(Self::new(key, value)))
    }
}

/// What the key of a record calls its kind, to tell of one that is not known.
#[must_use]
pub(super) fn kind_of(key: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Kind {
        keytype: String,
    }
    const CHARS_MAX: usize = 64;
    serde_json::from_slice::<Kind>(key)
        .map(|kind| kind.keytype.chars().take(CHARS_MAX).collect())
        .unwrap_or_default()
}

pub(crate) fn unreadable(part: &'static str) -> impl Fn(serde_json::Error) -> UnreadableRecord {
    move |source| UnreadableRecord { part, source }
}

#[derive(Serialize)]
struct ConfigOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(flatten)]
    config: &'a super::Config,
}

/// What makes a context known.
#[must_use]
pub fn context_record(context: &str) -> Record {
    Record::new(
        Key::Context(context.to_owned()),
        Value::Context(ContextValue {
            tenant: TENANT.to_owned(),
            context: context.to_owned(),
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &Key) -> String {
        String::from_utf8(key.encode()).unwrap()
    }

    #[test]
    fn the_bytes_of_a_key_are_confluents() {
        let schema = Key::Schema {
            subject: "s".to_owned(),
            version: 1,
        };
        let cases = [
            (
                schema,
                r#"{"keytype":"SCHEMA","subject":"s","version":1,"magic":1}"#,
            ),
            (
                Key::Config(None),
                r#"{"keytype":"CONFIG","subject":null,"magic":0}"#,
            ),
            (
                Key::Mode(Some("s".to_owned())),
                r#"{"keytype":"MODE","subject":"s","magic":0}"#,
            ),
            (Key::Noop, r#"{"keytype":"NOOP","magic":0}"#),
            (
                Key::DeleteSubject("s".to_owned()),
                r#"{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}"#,
            ),
            (
                Key::ClearSubject(None),
                r#"{"keytype":"CLEAR_SUBJECT","subject":null,"magic":0}"#,
            ),
            (
                Key::Context(".c".to_owned()),
                r#"{"keytype":"CONTEXT","tenant":"default","context":".c","magic":0}"#,
            ),
            (
                Key::Association(Box::new(AssociationKey {
                    resource_name: "t".to_owned(),
                    resource_namespace: "lkc-1".to_owned(),
                    resource_type: "topic".to_owned(),
                    association_type: "value".to_owned(),
                    subject: "s".to_owned(),
                })),
                r#"{"keytype":"ASSOC","tenant":"default","resourceName":"t","resourceNamespace":"lkc-1","resourceType":"topic","associationType":"value","subject":"s","magic":0}"#,
            ),
            (
                Key::Exporter("e".to_owned()),
                r#"{"keytype":"EXPORTER","name":"e","magic":0}"#,
            ),
            (
                Key::ExporterState("e".to_owned()),
                r#"{"keytype":"EXPORTER_STATE","name":"e","magic":0}"#,
            ),
        ];
        for (value, text) in cases {
            assert_eq!(key(&value), text);
            assert_eq!(Key::decode(text.as_bytes()).unwrap(), Some(value));
        }
    }

    #[test]
    fn a_key_of_an_older_registry_is_read_in_its_order() {
        let old = br#"{"magic":1,"keytype":"SCHEMA","version":3,"subject":"s"}"#;
        let expected = Key::Schema {
            subject: "s".to_owned(),
            version: 3,
        };
        assert_eq!(Key::decode(old).unwrap(), Some(expected));
        assert_eq!(
            Key::decode(br#"{"keytype":"NEWER","magic":0}"#).unwrap(),
            None
        );
        assert!(Key::decode(br#"{"keytype":"SCHEMA","magic":1}"#).is_err());
        assert!(Record::decode(b"\xff", None).is_err());
    }

    #[test]
    fn a_schema_is_spelled_as_confluent_spells_it() {
        let text = r#"{"subject":"s","version":1,"id":7,"schema":"\"int\"","deleted":false}"#;
        let bytes = Key::Schema {
            subject: "s".to_owned(),
            version: 1,
        }
        .encode();
        let record = Record::decode(&bytes, Some(text.as_bytes()))
            .unwrap()
            .unwrap();
        assert_eq!(record.encode_value().unwrap(), text.as_bytes());
    }

    #[test]
    fn a_noop_without_a_value_is_confluents() {
        let record = Record::decode(&Key::Noop.encode(), None).unwrap().unwrap();
        assert_eq!(record, Record::tombstone(Key::Noop));
    }
}
