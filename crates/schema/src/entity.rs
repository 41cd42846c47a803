//! What a schema declares, as a catalog of it shows it: its types and their fields, each with its tags.
//!
//! An entity has the path that tags name it by ([`crate::Format::inline_tags`]): a record by its full name, a field by that of its
//! record, a dot and its own name (`SchemaEntity` of Confluent's API). What references define is no part of the schema.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Metadata;
use crate::parsed::ParsedSchema;
use crate::rules::execute::path_matches;

/// How many entities a schema has at most; one with more is told by its first ones.
pub const ENTITIES_MAX: usize = 10_000;

/// How many pairs of characters, of paths with wildcards and of names, are looked at for the tags of metadata; what paths after that mean is
/// not found.
const STEPS_MAX: usize = 20_000_000;

/// A type, or a field of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaEntity {
    path: Box<str>,
    /// Where in the path its own name begins.
    name_start: usize,
    is_field: bool,
    tags: BTreeSet<String>,
}

impl SchemaEntity {
    /// A type whose own name is the end of its path.
    pub(crate) fn record(path: &str, name: &str, tags: BTreeSet<String>) -> Self {
        let is_end = path.ends_with(name);
        Self {
            path: path.into(),
            name_start: if is_end { path.len() - name.len() } else { 0 },
            is_field: false,
            tags,
        }
    }

    pub(crate) fn field(record: &str, name: &str, tags: BTreeSet<String>) -> Self {
        Self {
            path: format!("{record}.{name}").into(),
            name_start: record.len() + 1,
            is_field: true,
            tags,
        }
    }

    /// What tags name it by.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its own name, without what it is in.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.get(self.name_start..).unwrap_or_default()
    }

    /// Of a field: the path of the type it is in.
    #[must_use]
    pub fn record_path(&self) -> Option<&str> {
        let end = self.name_start.checked_sub(1).filter(|_| self.is_field)?;
        self.path.get(..end)
    }

    /// Of a type: what is before its name, without the dot between.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        let end = self.name_start.checked_sub(1).filter(|_| !self.is_field)?;
        self.path.get(..end)
    }

    /// Whether it is a field.
    #[must_use]
    pub fn is_field(&self) -> bool {
        self.is_field
    }

    /// The tags that the schema gives it.
    #[must_use]
    pub fn tags(&self) -> &BTreeSet<String> {
        &self.tags
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
    if let Some(tags) = metadata.and_then(|metadata| metadata.tags.as_ref())
        && !tags.is_empty()
    {
        let names = names(schema, &found);
        let mut steps = 0_usize;
        for (pattern, tags) in tags {
            for at in meant(pattern, &names, &mut steps) {
                if let Some(entity) = found.get_mut(at) {
                    entity.tags.extend(tags.iter().cloned());
                }
            }
        }
    }
    found
}

/// The names that the paths of metadata are held against, with the places of what they name.
fn names(schema: &ParsedSchema, entities: &[SchemaEntity]) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for (at, entity) in entities.iter().enumerate() {
        let other = match schema {
            ParsedSchema::Avro(_) => None,
            // In JSON Schema, data is named from `$` on, as rules name it.
            ParsedSchema::Json(_) => entity
                .path
                .strip_prefix("object")
                .map(|rest| format!("${rest}")),
            ParsedSchema::Protobuf(schema) => match schema.package() {
                "" => None,
                package => Some(format!("{package}.{}", entity.path)),
            },
        };
        names.extend(other.map(|name| (name, at)));
        names.insert(entity.path.to_string(), at);
    }
    names
}

/// What a path means. One without wildcards is looked up.
fn meant(pattern: &str, names: &BTreeMap<String, usize>, steps: &mut usize) -> Vec<usize> {
    if !pattern.contains(['*', '?']) {
        return names.get(pattern).copied().into_iter().collect();
    }
    let mut meant = Vec::new();
    for (name, at) in names {
        *steps = steps.saturating_add(pattern.len().saturating_mul(name.len()));
        if *steps > STEPS_MAX {
            break;
        }
        if path_matches(pattern, name) {
            meant.push(*at);
        }
    }
    meant
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::ParseOptions;
    use crate::model::SchemaType;

    fn told(schema_type: SchemaType, text: &str, metadata: &str) -> Vec<(String, Vec<String>)> {
        let schema = ParsedSchema::parse(schema_type, text, &[], ParseOptions::default()).unwrap();
        let metadata: Metadata = serde_json::from_str(metadata).unwrap();
        let entities = entities(&schema, Some(&metadata)).into_iter();
        entities
            .map(|entity| {
                (
                    entity.path().to_owned(),
                    entity.tags().iter().cloned().collect(),
                )
            })
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

    #[test]
    fn a_path_ends_with_a_name() {
        let field = SchemaEntity::field("a.User", "mail", BTreeSet::new());
        assert_eq!((field.path(), field.name()), ("a.User.mail", "mail"));
        assert_eq!(
            (field.record_path(), field.namespace()),
            (Some("a.User"), None)
        );
        let record = SchemaEntity::record("a.b.User", "User", BTreeSet::new());
        assert_eq!((record.name(), record.namespace()), ("User", Some("a.b")));
        let bare = SchemaEntity::record("User", "User", BTreeSet::new());
        assert_eq!(
            (bare.name(), bare.namespace(), bare.record_path()),
            ("User", None, None)
        );
    }

    /// Ten thousand wildcards over ten thousand fields would take minutes.
    #[test]
    fn many_wildcards_take_bounded_time() {
        let fields: Vec<String> = (0..3_000)
            .map(|n| format!(r#"{{"name":"f{n}","type":"int"}}"#))
            .collect();
        let text = format!(
            r#"{{"type":"record","name":"R","fields":[{}]}}"#,
            fields.join(",")
        );
        let schema = ParsedSchema::parse(SchemaType::Avro, &text, &[], ParseOptions::default());
        let tags = (0..3_000).map(|n| (format!("*.*{}f{n}", "?".repeat(200)), BTreeSet::new()));
        let metadata = Metadata {
            tags: Some(tags.collect()),
            ..Metadata::default()
        };
        let began = std::time::Instant::now();
        assert_eq!(entities(&schema.unwrap(), Some(&metadata)).len(), 3_001);
        assert!(began.elapsed() < std::time::Duration::from_secs(60));
    }
}
