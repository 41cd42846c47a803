//! The JSON of requests and answers (`client.rest.entities`, 8.2).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use schema::{
    CompatibilityLevel, CompatibilityPolicy, FieldTags, Metadata, RuleSet, SchemaReference,
    SchemaType,
};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::associations::AssociationEntity;
use crate::error::RegistryError;
use crate::service::config::ConfigChange;
use crate::service::register::RegisterOptions;
use crate::service::{Found, NewSchema};
use crate::state::SchemaBody;

/// A version of a subject (`Schema`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SchemaEntity<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<i32>,
    guid: Uuid2,
    schema_type: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) references: Cow<'a, [SchemaReference]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_set: Option<&'a RuleSet>,
    pub(super) schema: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) schema_tags: Vec<SchemaTags>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) aliases: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) associations: Vec<AssociationEntity<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_id: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) deleted: Option<bool>,
}

/// A UUID as text, without a string of its own.
#[derive(Debug)]
struct Uuid2(Uuid);

impl Serialize for Uuid2 {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = Uuid::encode_buffer();
        serializer.serialize_str(self.0.hyphenated().encode_lower(&mut buffer))
    }
}

impl<'a> SchemaEntity<'a> {
    /// A schema without a version.
    pub(super) fn of_body(body: &'a SchemaBody) -> Self {
        Self {
            subject: None,
            version: None,
            id: None,
            guid: Uuid2(body.guid),
            schema_type: body.schema_type.name(),
            references: Cow::Borrowed(&body.references),
            metadata: body.metadata.as_deref(),
            rule_set: body.rule_set.as_deref(),
            schema: &body.text,
            schema_tags: Vec::new(),
            aliases: None,
            associations: Vec::new(),
            max_id: None,
            ts: None,
            deleted: None,
        }
    }

    /// A version.
    pub(super) fn of(found: &'a Found) -> Self {
        Self {
            subject: Some(&found.subject),
            version: Some(found.version),
            id: Some(found.id),
            ts: (found.timestamp_ms > 0).then_some(found.timestamp_ms),
            deleted: Some(found.deleted),
            ..Self::of_body(&found.body)
        }
    }
}

/// Tags of a part of a schema.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SchemaTags {
    schema_entity: SchemaPart,
    tags: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SchemaPart {
    entity_path: String,
    #[serde(default)]
    entity_type: Option<String>,
}

impl SchemaTags {
    /// Those of `all` that have one of the `wanted` tags, or all of them for `*`; `types` says which are no fields.
    pub(super) fn wanted(all: FieldTags, types: &BTreeSet<String>, wanted: &[&str]) -> Vec<Self> {
        let matches = |tags: &BTreeSet<String>| {
            wanted.contains(&"*") || wanted.iter().any(|tag| tags.contains(*tag))
        };
        all.into_iter()
            .filter(|(_, tags)| matches(tags))
            .map(|(entity_path, tags)| {
                let kind = if types.contains(&entity_path) {
                    "sr_record"
                } else {
                    "sr_field"
                };
                Self {
                    schema_entity: SchemaPart {
                        entity_path,
                        entity_type: Some(kind.to_owned()),
                    },
                    tags: tags.into_iter().collect(),
                }
            })
            .collect()
    }

    fn map(list: Option<Vec<Self>>) -> FieldTags {
        let mut map = FieldTags::new();
        for entry in list.into_iter().flatten() {
            map.entry(entry.schema_entity.entity_path)
                .or_default()
                .extend(entry.tags);
        }
        map
    }
}

/// A schema to register, to look up or to compare (`RegisterSchemaRequest`).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RegisterSchemaRequest {
    #[serde(deserialize_with = "number")]
    version: Option<i32>,
    #[serde(deserialize_with = "number")]
    id: Option<i32>,
    schema_type: Option<String>,
    references: Option<Vec<SchemaReference>>,
    metadata: Option<Metadata>,
    rule_set: Option<RuleSet>,
    #[serde(deserialize_with = "text")]
    schema: Option<String>,
    schema_tags_to_add: Option<Vec<SchemaTags>>,
    schema_tags_to_remove: Option<Vec<SchemaTags>>,
    propagate_schema_tags: Option<bool>,
}

impl RegisterSchemaRequest {
    /// What it asks for.
    pub(super) fn into_parts(
        self,
        normalize: bool,
    ) -> Result<(NewSchema, RegisterOptions), RegistryError> {
        let schema_type = match self.schema_type.as_deref() {
            None | Some("") => SchemaType::Avro,
            Some(name) => SchemaType::of(name).ok_or_else(|| {
                RegistryError::invalid_schema(format!("Invalid schema type {name}"))
            })?,
        };
        let new = NewSchema {
            version: self.version.unwrap_or(0),
            id: self.id.unwrap_or(-1),
            schema_type,
            references: self.references.unwrap_or_default(),
            metadata: self.metadata,
            rule_set: self.rule_set,
            text: self.schema.unwrap_or_default(),
        };
        let options = RegisterOptions {
            normalize,
            tags_to_add: SchemaTags::map(self.schema_tags_to_add),
            tags_to_remove: SchemaTags::map(self.schema_tags_to_remove),
            propagate_tags: self.propagate_schema_tags.unwrap_or(false),
        };
        Ok((new, options))
    }
}

/// Tags, metadata and rules for the next version (`TagSchemaRequest`).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TagSchemaRequest {
    #[serde(deserialize_with = "number")]
    pub(super) new_version: Option<i32>,
    tags_to_add: Option<Vec<SchemaTags>>,
    tags_to_remove: Option<Vec<SchemaTags>>,
    pub(super) metadata: Option<Metadata>,
    pub(super) rule_set: Option<RuleSet>,
    pub(super) rules_to_merge: Option<RuleSet>,
    pub(super) rules_to_remove: Option<Vec<String>>,
}

impl TagSchemaRequest {
    /// Tags to add, and to take out.
    pub(super) fn take_tags(&mut self) -> (FieldTags, FieldTags) {
        (
            SchemaTags::map(self.tags_to_add.take()),
            SchemaTags::map(self.tags_to_remove.take()),
        )
    }
}

/// A change of a config (`ConfigUpdateRequest`). What is absent stays, what is `null` goes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ConfigUpdateRequest {
    #[serde(deserialize_with = "present")]
    alias: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    alias_for_deks: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    normalize: Option<Option<bool>>,
    #[serde(deserialize_with = "present")]
    validate_fields: Option<Option<bool>>,
    #[serde(deserialize_with = "present")]
    validate_new_schemas: Option<Option<bool>>,
    #[serde(deserialize_with = "present")]
    validate_rules: Option<Option<bool>>,
    #[serde(deserialize_with = "present")]
    compatibility: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    compatibility_policy: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    compatibility_group: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    default_metadata: Option<Option<Metadata>>,
    #[serde(deserialize_with = "present")]
    override_metadata: Option<Option<Metadata>>,
    #[serde(deserialize_with = "present")]
    default_rule_set: Option<Option<RuleSet>>,
    #[serde(deserialize_with = "present")]
    override_rule_set: Option<Option<RuleSet>>,
}

/// A number, or a text that is one, as Jackson takes it; an empty text is none.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "invalid type: a number is wanted")]
    enum Either {
        Number(i32),
        Text(String),
    }
    match Option::deserialize(deserializer)? {
        None => Ok(None),
        Some(Either::Number(number)) => Ok(Some(number)),
        Some(Either::Text(text)) if text.trim().is_empty() => Ok(None),
        Some(Either::Text(text)) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|_| serde::de::Error::custom(format!("'{text}' is no number of 32 bits"))),
    }
}

/// A text, or a number or truth value as one, as Jackson takes it.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "invalid type: a text is wanted")]
    enum Scalar {
        Text(String),
        Number(serde_json::Number),
        Truth(bool),
    }
    Ok(
        Option::deserialize(deserializer)?.map(|scalar| match scalar {
            Scalar::Text(text) => text,
            Scalar::Number(number) => number.to_string(),
            Scalar::Truth(truth) => truth.to_string(),
        }),
    )
}

pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl TryFrom<ConfigUpdateRequest> for ConfigChange {
    type Error = RegistryError;

    fn try_from(request: ConfigUpdateRequest) -> Result<Self, RegistryError> {
        let level = |name: String| {
            CompatibilityLevel::of(&name).ok_or(RegistryError::InvalidCompatibilityLevel)
        };
        let policy = |name: String| match name.to_ascii_uppercase().as_str() {
            "STRICT" => Ok(CompatibilityPolicy::Strict),
            "LENIENT" => Ok(CompatibilityPolicy::Lenient),
            "LOGICAL" => Ok(CompatibilityPolicy::Logical),
            _ => Err(RegistryError::InvalidCompatibilityLevel),
        };
        Ok(Self {
            alias: request.alias,
            alias_for_deks: request.alias_for_deks,
            normalize: request.normalize,
            validate_fields: request.validate_fields,
            validate_new_schemas: request.validate_new_schemas,
            validate_rules: request.validate_rules,
            compatibility_level: transposed(request.compatibility, level)?,
            compatibility_policy: transposed(request.compatibility_policy, policy)?,
            compatibility_group: request.compatibility_group,
            default_metadata: request.default_metadata,
            override_metadata: request.override_metadata,
            default_rule_set: request.default_rule_set,
            override_rule_set: request.override_rule_set,
        })
    }
}

fn transposed<T>(
    value: Option<Option<String>>,
    read: impl Fn(String) -> Result<T, RegistryError>,
) -> Result<Option<Option<T>>, RegistryError> {
    match value {
        None => Ok(None),
        Some(None) => Ok(Some(None)),
        Some(Some(name)) => read(name).map(|value| Some(Some(value))),
    }
}

/// The answer to a compatibility check.
#[derive(Debug, Serialize)]
pub(super) struct CompatibilityCheckResponse {
    pub(super) is_compatible: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) messages: Option<Vec<String>>,
}

/// A subject and a version.
#[derive(Debug, Serialize)]
pub(super) struct SubjectVersion {
    pub(super) subject: String,
    pub(super) version: i32,
}

/// An id in a context.
#[derive(Debug, Serialize)]
pub(super) struct ContextId {
    pub(super) context: String,
    pub(super) id: i32,
}

/// A mode.
#[derive(Debug, Serialize)]
pub(super) struct ModeEntity {
    pub(super) mode: Option<&'static str>,
}

/// What server and cluster are called.
#[derive(Debug, Serialize)]
pub(super) struct ServerClusterId<'a> {
    pub(super) scope: Scope<'a>,
    pub(super) id: &'static str,
}

/// Where a resource is, as Confluent's role bindings name it.
#[derive(Debug, Serialize)]
pub(super) struct Scope<'a> {
    pub(super) path: [&'static str; 0],
    pub(super) clusters: BTreeMap<&'static str, &'a str>,
}
