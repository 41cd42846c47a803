//! A schema proposed from records: types, what is optional, statistics, and probable personal data by shape.
//!
//! [`Inference`] takes JSON values one by one and keeps a bounded profile of each place; [`Inference::propose`] makes
//! an Avro, JSON Schema or Protobuf schema of it, with a report on every field. It is a proposal: what was never
//! seen cannot be known, so a whole number is a long, and what was absent or null once is optional.
//!
//! **Bounds:** [`PROFILES_MAX`] places, their depth, a few hundred bytes of statistics each, however many records.

use serde::Serialize;
use serde_json::Value as Json;

use crate::model::SchemaType;

mod avro;
mod guess;
mod json_schema;
mod profile;
mod protobuf;
mod report;
mod shapes;

use profile::Profile;

/// How many places an inference follows; names beyond that are left out, and the proposal says so.
pub const PROFILES_MAX: usize = 20_000;

/// Why no schema can be proposed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InferError {
    /// There was nothing to look at.
    #[error(
        "there are no records to infer a schema from: read a topic or a time range that has some"
    )]
    NoRecords,
    /// Protobuf has messages only.
    #[error(
        "the records are not all JSON objects, of which alone a Protobuf message can be made: infer an Avro or JSON schema"
    )]
    NotObjects,
}

/// A tag, and why it is proposed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProposedTag {
    /// `PII`, `EMAIL`, ...
    pub tag: &'static str,
    /// What speaks for it.
    pub why: String,
}

/// What was seen at one place.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldReport {
    /// `user.email`; `[]` is any item of an array, `{}` any entry of a map.
    pub path: String,
    /// The kinds of JSON value, with how many of each there were.
    pub kinds: Vec<(&'static str, u64)>,
    /// How many values there were, nulls among them.
    pub values: u64,
    /// Of those, the share that was null: 0 to 1.
    pub null_share: f64,
    /// Of the objects around it, the share that did not have it: 0 to 1.
    pub absent_share: f64,
    /// The smallest and the largest number.
    pub range: Option<(f64, f64)>,
    /// The shortest and the longest string in characters, or array in items.
    pub lengths: Option<(usize, usize)>,
    /// How many different values; an estimate above some hundred.
    pub distinct: u64,
    /// A few values; masked where the field is tagged.
    pub examples: Vec<Json>,
    /// Probable personal data.
    pub tags: Vec<ProposedTag>,
}

/// A schema with what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// The format.
    pub schema_type: SchemaType,
    /// The text.
    pub schema: String,
    /// How many records were looked at.
    pub records: u64,
    /// Whether there were more places than [`PROFILES_MAX`].
    pub is_cut: bool,
    /// Every place, in the order of the schema.
    pub fields: Vec<FieldReport>,
}

/// A schema in the making.
#[derive(Debug, Clone)]
pub struct Inference {
    name: String,
    namespace: Option<String>,
    root: Profile,
    room: usize,
}

impl Inference {
    /// Of records of that name, such as `Order`, in that namespace or package.
    pub fn new(name: &str, namespace: Option<&str>) -> Self {
        Self {
            name: guess::type_name(name),
            namespace: namespace.map(str::to_owned),
            root: Profile::default(),
            room: PROFILES_MAX,
        }
    }

    /// Takes one record in.
    pub fn add(&mut self, record: &Json) {
        self.root.add(record, 0, &mut self.room);
    }

    /// How many records it has seen.
    pub fn records(&self) -> u64 {
        self.root.values
    }

    /// The schema that all records so far fit.
    ///
    /// # Errors
    /// [`InferError`].
    pub fn propose(&self, schema_type: SchemaType) -> Result<Proposal, InferError> {
        if self.root.values == 0 {
            return Err(InferError::NoRecords);
        }
        let root = guess::root(&self.root);
        let namespace = self.namespace.as_deref();
        let schema = match schema_type {
            SchemaType::Avro => avro::text(&root, &self.name, namespace),
            SchemaType::Json => json_schema::text(&root, &self.name),
            SchemaType::Protobuf => {
                protobuf::text(&root, &self.name, namespace).ok_or(InferError::NotObjects)?
            }
        };
        Ok(Proposal {
            schema_type,
            schema,
            records: self.root.values,
            is_cut: self.room == 0,
            fields: report::fields(&self.root),
        })
    }
}

#[cfg(test)]
mod tests;
