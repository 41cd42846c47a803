//! What the catalog keeps: definitions, and what users set on entities.
//!
//! The names in JSON are those of Confluent's API (`TagDef`, `BusinessMetadataDef`, `AttributeDef`, `Tag`), which the topic shares.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a definition is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DefinitionKind {
    /// Tags (Atlas: classifications).
    Tag,
    /// Business metadata: attributes that belong together.
    BusinessMetadata,
}

impl DefinitionKind {
    /// Atlas's word for it.
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Self::Tag => "CLASSIFICATION",
            Self::BusinessMetadata => "BUSINESS_METADATA",
        }
    }
}

/// How many values an attribute has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Cardinality {
    /// One.
    #[default]
    Single,
    /// A list.
    List,
    /// A list without repetitions.
    Set,
}

/// An attribute of a definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(
    missing_docs,
    reason = "the names are those of the API, which says what they mean"
)]
pub struct AttributeDef {
    pub name: String,
    pub type_name: String,
    pub is_optional: bool,
    pub cardinality: Cardinality,
    pub values_min_count: i32,
    pub values_max_count: i32,
    pub is_unique: bool,
    pub is_indexable: bool,
    pub include_in_notification: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub search_weight: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_type: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}

/// A definition of a tag or of business metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// Unique among all definitions.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `1.0` where nobody says otherwise.
    pub type_version: String,
    /// As given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<String>,
    /// As given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Its own; a tag has those of its super types too.
    #[serde(default)]
    pub attribute_defs: Vec<AttributeDef>,
    /// Tag definitions whose attributes and restrictions it has.
    #[serde(default)]
    pub super_types: Vec<String>,
    /// The types of entities that it is for; none: all.
    #[serde(default)]
    pub entity_types: Vec<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// From 1 on, one more with each update.
    pub version: i32,
    /// When it was made, in milliseconds since 1970; until the first update that is the time of its record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_time: Option<i64>,
    /// The time of its record.
    #[serde(skip)]
    pub update_time: i64,
}

/// From when to when a tag holds, as given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(
    missing_docs,
    reason = "the names are those of the API, which says what they mean"
)]
pub struct TimeBoundary {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// A tag of an entity.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tag {
    /// Values of the definition's attributes.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// As given; tags do not propagate.
    pub propagate: bool,
    /// As given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub validity_periods: Vec<TimeBoundary>,
    /// As given.
    pub remove_propagations_on_entity_delete: bool,
}

/// The types of entities that there are. `cf_entity` stands for all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityType {
    /// The Kafka cluster.
    Cluster,
    /// A topic of it.
    Topic,
    /// A version of a subject.
    SubjectVersion,
    /// What an id stands for.
    Schema,
    /// A type within a schema: a record, an object, a message.
    Record,
    /// A field of such a type.
    Field,
}

impl EntityType {
    /// All, in the order in which a search lists them.
    pub const ALL: [Self; 6] = [
        Self::Cluster,
        Self::Topic,
        Self::SubjectVersion,
        Self::Schema,
        Self::Record,
        Self::Field,
    ];

    /// What stands for every type.
    pub const ROOT: &'static str = "cf_entity";

    /// Confluent's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cluster => "kafka_logical_cluster",
            Self::Topic => "kafka_topic",
            Self::SubjectVersion => "sr_subject_version",
            Self::Schema => "sr_schema",
            Self::Record => "sr_record",
            Self::Field => "sr_field",
        }
    }

    /// The type of that name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|found| found.name() == name)
    }
}

impl fmt::Display for EntityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an entity is known by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityId {
    /// Its type.
    pub entity_type: EntityType,
    /// `qualifiedName`.
    pub name: String,
}

impl EntityId {
    /// The GUID: of the same entity it is the same in every instance and for ever.
    #[must_use]
    pub fn guid(&self) -> String {
        schema::guid::of_name(self.entity_type.name(), &self.name).to_string()
    }
}

/// What users set on an entity.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Overlay {
    /// Tags by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, Tag>,
    /// Business metadata by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub business_metadata: BTreeMap<String, Map<String, Value>>,
    /// `description`, `owner`, `ownerEmail`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The time of its record.
    #[serde(skip)]
    pub update_time: i64,
}

impl Overlay {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.business_metadata.is_empty() && self.attributes.is_empty()
    }
}
