//! What a schema declares, as a catalog of it shows it: its types and their fields, each with its tags.
//!
//! An entity has the path that tags name it by ([`crate::Format::inline_tags`]): a record by its full name, a field by that of its
//! record, a dot and its own name (`SchemaEntity` of Confluent's API). What references define is no part of the schema.

use std::collections::BTreeSet;

use crate::model::{Metadata, SchemaType};
use crate::parsed::ParsedSchema;
use crate::rules::execute::path_matches;

/// How many entities a schema has at most; one with more is told by its first ones.
pub const ENTITIES_MAX: usize = 10_000;

/// A type, or a field of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaEntity {
    /// What tags name it by.
    pub path: String,
    /// Its own name, without what it is in.
    pub name: String,
    /// Of a field: the path of the type it is in.
    pub record: Option<String>,
    /// Those that are written at it.
    pub tags: BTreeSet<String>,
    /// The name that the paths of a contract's metadata are held against.
    full_name: String,
}

impl SchemaEntity {
    pub(crate) fn record(path: &str, name: &str, tags: BTreeSet<String>) -> Self {
        Self {
            path: path.to_owned(),
            name: name.to_owned(),
            record: None,
            tags,
            full_name: path.to_owned(),
        }
    }

    pub(crate) fn field(record: &str, name: &str, tags: BTreeSet<String>) -> Self {
        let path = format!("{record}.{name}");
        Self {
            full_name: path.clone(),
            path,
            name: name.to_owned(),
            record: Some(record.to_owned()),
            tags,
        }
    }

    /// In a package, which the paths of tags leave out.
    pub(crate) fn within(mut self, package: &str) -> Self {
        if !package.is_empty() {
            self.full_name = format!("{package}.{}", self.path);
        }
        self
    }
}

/// The types of a schema and their fields, in its order, with the tags that its text and `metadata` give them.
#[must_use]
pub fn entities(schema: &ParsedSchema, metadata: Option<&Metadata>) -> Vec<SchemaEntity> {
    let mut found = match schema {
        ParsedSchema::Avro(schema) => schema.entities(),
        ParsedSchema::Json(schema) => schema.entities(),
        ParsedSchema::Protobuf(schema) => schema.entities(),
    };
    let tagged = metadata.and_then(|metadata| metadata.tags.as_ref());
    for (pattern, tags) in tagged.into_iter().flatten() {
        for entity in &mut found {
            if is_meant(pattern, entity, schema.schema_type()) {
                entity.tags.extend(tags.iter().cloned());
            }
        }
    }
    found
}

/// Whether a path of the metadata means an entity. In JSON Schema, data is named from `$` on, as rules name it.
fn is_meant(pattern: &str, entity: &SchemaEntity, schema_type: SchemaType) -> bool {
    if path_matches(pattern, &entity.path) || path_matches(pattern, &entity.full_name) {
        return true;
    }
    let below = entity.path.strip_prefix("object");
    schema_type == SchemaType::Json
        && below.is_some_and(|below| path_matches(pattern, &format!("${below}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::ParseOptions;

    fn told(schema_type: SchemaType, text: &str, metadata: &str) -> Vec<(String, Vec<String>)> {
        let schema = ParsedSchema::parse(schema_type, text, &[], ParseOptions::default()).unwrap();
        let metadata: Metadata = serde_json::from_str(metadata).unwrap();
        let entities = entities(&schema, Some(&metadata)).into_iter();
        entities
            .map(|entity| (entity.path, entity.tags.into_iter().collect()))
            .collect()
    }

    fn expected(all: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        all.iter()
            .map(|(path, tags)| {
                let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
                ((*path).to_owned(), tags)
            })
            .collect()
    }

    #[test]
    fn types_and_fields_have_the_tags_of_text_and_metadata() {
        let avro = r#"{"type":"record","name":"User","namespace":"a.b","fields":[
            {"name":"mail","type":"string","confluent:tags":["PII"]},
            {"name":"home","type":{"type":"record","name":"Home","fields":[{"name":"zip","type":"string"}]}}]}"#;
        let metadata = r#"{"tags":{"a.b.User.mail":["M"],"**.zip":["Z"]}}"#;
        assert_eq!(
            told(SchemaType::Avro, avro, metadata),
            expected(&[
                ("a.b.User", &[]),
                ("a.b.User.mail", &["M", "PII"]),
                ("a.b.User.home", &[]),
                ("a.b.Home", &[]),
                ("a.b.Home.zip", &["Z"]),
            ])
        );
        let json =
            r#"{"type":"object","properties":{"mail":{"type":"string","confluent:tags":["PII"]}}}"#;
        assert_eq!(
            told(SchemaType::Json, json, r#"{"tags":{"$.mail":["M"]}}"#),
            expected(&[("object", &[]), ("object.mail", &["M", "PII"])])
        );
        let protobuf = "syntax = \"proto3\"; package a.b; message User { string mail = 1; message Home { string zip = 1; } }";
        assert_eq!(
            told(
                SchemaType::Protobuf,
                protobuf,
                r#"{"tags":{"a.b.User.mail":["M"]}}"#
            ),
            expected(&[
                ("User", &[]),
                ("User.mail", &["M"]),
                ("User.Home", &[]),
                ("User.Home.zip", &[]),
            ])
        );
    }
}
