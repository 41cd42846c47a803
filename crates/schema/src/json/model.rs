//! What a schema means to the comparison: one kind of schema per node, references resolved, drafts forgotten.
//!
//! The kinds are those of the library that Confluent's registry compares with (Everit's `Schema` classes), because
//! its change types are told in their terms: a schema with `type` and `enum` is a *combined* one of a string and an
//! enum schema, `type: [a, b]` a combined `anyOf`, and so on.
//!
//! **Invariants:** a [`SchemaId`] is a place in its own [`Model`]; cycles go through [`Kind::Reference`] only, which
//! may lead anywhere in the model, to itself too.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::node::Node;

/// The place of a schema in its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SchemaId(pub(super) u32);

/// One schema and everything under it.
#[derive(Debug)]
pub(super) struct Model {
    /// All subschemas that can be reached.
    pub(super) schemas: Vec<Schema>,
    /// Where it begins.
    pub(super) root: SchemaId,
}

/// A (sub)schema.
#[derive(Debug)]
pub(super) struct Schema {
    /// `$id` (draft 4: `id`).
    pub(super) id: Option<String>,
    /// `title`.
    pub(super) title: Option<String>,
    /// `description`.
    pub(super) description: Option<String>,
    /// `default`.
    pub(super) default: Option<Node>,
    /// Kafka Connect writes it as bytes, whatever the JSON type (`connect.type`).
    pub(super) is_connect_bytes: bool,
    /// Hash of the text it came from; equal for equal texts.
    pub(super) fingerprint: u64,
    /// What it demands.
    pub(super) kind: Kind,
}

/// What a schema demands.
#[derive(Debug)]
pub(super) enum Kind {
    /// Nothing: `{}` or `true`.
    Empty,
    /// What nothing satisfies: `false`.
    False,
    /// A boolean.
    Boolean,
    /// `null`.
    Null,
    /// A string, or rules for whatever is a string.
    String(Box<StringRules>),
    /// A number, or rules for whatever is a number.
    Number(Box<NumberRules>),
    /// One of these values.
    Enum(Vec<Node>),
    /// This value.
    Const(Node),
    /// An object, or rules for whatever is an object.
    Object(Box<ObjectRules>),
    /// An array, or rules for whatever is an array.
    Array(Box<ArrayRules>),
    /// Several schemas at once.
    Combined(Criterion, Vec<SchemaId>),
    /// Anything but this.
    Not(SchemaId),
    /// `if`, `then`, `else`.
    Conditional([Option<SchemaId>; 3]),
    /// The same as another.
    Reference(SchemaId),
    /// The meta-schema of a draft.
    MetaSchema(String),
}

/// How many of the schemas of a combined one have to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Criterion {
    /// `allOf`.
    All,
    /// `anyOf`.
    Any,
    /// `oneOf`.
    One,
}

impl Criterion {
    /// The keyword.
    pub(super) fn keyword(self) -> &'static str {
        match self {
            Self::All => "allOf",
            Self::Any => "anyOf",
            Self::One => "oneOf",
        }
    }
}

/// Rules for strings.
#[derive(Debug, Default)]
pub(super) struct StringRules {
    pub(super) min_length: Option<i64>,
    pub(super) max_length: Option<i64>,
    pub(super) pattern: Option<String>,
}

/// Rules for numbers.
#[derive(Debug, Default)]
pub(super) struct NumberRules {
    pub(super) is_integer: bool,
    pub(super) minimum: Option<f64>,
    pub(super) maximum: Option<f64>,
    pub(super) exclusive_minimum: Option<f64>,
    pub(super) exclusive_maximum: Option<f64>,
    pub(super) multiple_of: Option<f64>,
}

/// What holds for that which no other rule speaks of: further properties, further items.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing is said.
    #[default]
    Unsaid,
    /// `true`.
    Allowed,
    /// `false`.
    Forbidden,
    /// It has to satisfy a schema.
    Schema(SchemaId),
}

impl Rest {
    /// Its schema, if it has one.
    pub(super) fn schema(self) -> Option<SchemaId> {
        match self {
            Self::Schema(id) => Some(id),
            _ => None,
        }
    }
}

/// Rules for objects.
#[derive(Debug, Default)]
pub(super) struct ObjectRules {
    pub(super) properties: BTreeMap<String, SchemaId>,
    pub(super) required: BTreeSet<String>,
    pub(super) patterns: Vec<(Option<Regex>, SchemaId)>,
    pub(super) additional: Rest,
    pub(super) unevaluated: Option<SchemaId>,
    pub(super) names: Option<SchemaId>,
    pub(super) min_properties: Option<i64>,
    pub(super) max_properties: Option<i64>,
    pub(super) needed_with: BTreeMap<String, BTreeSet<String>>,
    pub(super) holds_with: BTreeMap<String, SchemaId>,
}

/// Rules for arrays.
#[derive(Debug, Default)]
pub(super) struct ArrayRules {
    pub(super) items: Option<SchemaId>,
    pub(super) tuple: Vec<SchemaId>,
    pub(super) additional: Rest,
    pub(super) unevaluated: Option<SchemaId>,
    pub(super) contains: Option<SchemaId>,
    pub(super) min_items: Option<i64>,
    pub(super) max_items: Option<i64>,
    pub(super) min_contains: Option<i64>,
    pub(super) max_contains: Option<i64>,
    pub(super) is_unique: bool,
}

impl Model {
    /// The schema at that place; an id of this model always has one.
    pub(super) fn get(&self, id: SchemaId) -> &Schema {
        self.schemas
            .get(id.0 as usize)
            .expect("an id is made by the model that it belongs to")
    }

    /// Where references lead from `id`; references in a circle lead nowhere, and demand nothing.
    pub(super) fn behind_references(&self, id: SchemaId) -> Option<SchemaId> {
        let mut at = id;
        for _ in 0..=self.schemas.len() {
            match self.get(at).kind {
                Kind::Reference(next) => at = next,
                _ => return Some(at),
            }
        }
        None
    }

    /// Whether the schema behind `id` demands nothing.
    pub(super) fn is_empty(&self, id: SchemaId) -> bool {
        matches!(self.get(id).kind, Kind::Empty)
    }

    /// Whether the schema at `id` is `false`.
    pub(super) fn is_false(&self, id: SchemaId) -> bool {
        matches!(self.get(id).kind, Kind::False)
    }
}
