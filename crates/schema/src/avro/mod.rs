//! Avro: schemas as Avro's Java library and Confluent's `AvroSchema` (8.2, on Avro 1.12) know them.
//!
//! [`AvroSchema`] is one schema with all it refers to. Its text is not kept: the canonical text is the identity of an
//! Avro schema in a registry, and everything that it needs is in the model.
//!
//! `model` is the types, `parse` and `print` go from text to them and back, `names` is what a name and a default may
//! be, `normalize` writes what means the same the same way, `compare` is schema resolution as a question, `tags`
//! reads and changes `confluent:tags`; `value` is data, which `json`, `encode` and `decode` read and write.
//! `propose` makes a compatible schema of one that is not.
//!
//! **Differs** from Java: what takes Java to a stack overflow is an error; a normalised schema keeps a default that
//! fits another branch of a union than the first, which Confluent's drops.

use std::collections::{BTreeSet, HashSet};

use crate::compatibility::{CompatibilityPolicy, Incompatibility};
use crate::entity::SchemaEntity;
use crate::error::SchemaError;
use crate::format::{FieldTags, Format, ParseOptions};
use crate::model::{ResolvedReference, SchemaType};

mod compare;
mod decode;
mod encode;
mod json;
mod model;
mod names;
mod normalize;
mod parse;
mod print;
mod propose;
mod tags;
mod value;

pub use value::{DataError, FieldContext, FieldType, Value};

use model::{Kind, Model};

/// Whether `name` may name a type or a field.
pub(crate) fn is_name(name: &str) -> bool {
    names::check_name(name).is_none()
}

/// One Avro schema.
#[derive(Debug, Clone, PartialEq)]
pub struct AvroSchema {
    model: Model,
}

impl AvroSchema {
    /// The names that references define, which the canonical text does not define again.
    fn known(&self) -> HashSet<String> {
        self.model
            .references
            .iter()
            .filter_map(|id| self.model.get(*id).named())
            .map(|named| named.name.full())
            .collect()
    }

    /// Its records and their fields.
    pub(crate) fn entities(&self) -> Vec<SchemaEntity> {
        tags::entities(&self.model, &self.known())
    }
}

impl Format for AvroSchema {
    const TYPE: SchemaType = SchemaType::Avro;

    fn parse(
        text: &str,
        references: &[ResolvedReference],
        options: ParseOptions,
    ) -> Result<Self, SchemaError> {
        let model = parse::parse(text, references, options)?;
        Ok(Self { model })
    }

    fn canonical(&self) -> String {
        print::schema(&self.model, self.known())
    }

    fn normalized(&self) -> String {
        print::schema(&normalize::normalize(&self.model), self.known())
    }

    /// `resolved` has what references define in it. As Confluent's registry does, a format that is not known is taken
    /// for the canonical text, because a newer client may ask for it.
    fn formatted(&self, format: &str) -> Result<String, SchemaError> {
        Ok(if format.trim().eq_ignore_ascii_case("resolved") {
            print::schema(&self.model, HashSet::new())
        } else {
            self.canonical()
        })
    }

    /// Only a record has one.
    fn name(&self) -> Option<String> {
        match &self.model.root().kind {
            Kind::Record(record) => Some(record.named.name.full()),
            _ => None,
        }
    }

    fn reading(
        &self,
        writer: &Self,
        _policy: CompatibilityPolicy,
    ) -> Result<Vec<Incompatibility>, SchemaError> {
        compare::reading(&self.model, &writer.model)
    }

    /// Of records by their full name, of fields by that and their name.
    fn inline_tags(&self) -> FieldTags {
        tags::inline(&self.model)
    }

    fn tagged_types(&self) -> BTreeSet<String> {
        tags::types(&self.model)
    }

    fn with_tags(&self, add: &FieldTags, remove: &FieldTags) -> Result<String, SchemaError> {
        let model = tags::changed(&self.model, &self.known(), add, remove)?;
        Ok(print::schema(&model, self.known()))
    }

    fn top_level_fields(&self) -> Vec<String> {
        match &self.model.root().kind {
            Kind::Record(record) => record
                .fields
                .iter()
                .map(|field| field.name.clone())
                .collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod data_tests;
#[cfg(test)]
mod tests;
