//! JSON Schemas as a registry uses them: texts, references, versions, tags, data, hostile input.

mod cases;
mod compatibility;
mod data;
mod hostile;
mod properties;
mod propose;
mod texts;

use super::*;

/// A schema that is about to be registered.
fn new(text: &str) -> JsonSchema {
    with(text, &[]).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The same with references: name and text.
fn with(text: &str, references: &[(&str, &str)]) -> Result<JsonSchema, SchemaError> {
    let references: Vec<ResolvedReference> = references
        .iter()
        .map(|(name, schema)| ResolvedReference {
            name: (*name).to_owned(),
            schema: (*schema).to_owned(),
        })
        .collect();
    JsonSchema::parse(text, &references, ParseOptions { validate_new: true })
}

/// All changes from `old` to `new`, `KIND path`, sorted.
fn changes(old: &JsonSchema, new: &JsonSchema) -> Vec<String> {
    let mut told: Vec<String> = new
        .changes(old, CompatibilityPolicy::Strict, false)
        .unwrap()
        .into_iter()
        .map(|change| format!("{} {}", change.kind.name(), change.path))
        .collect();
    told.sort();
    told
}

fn is_compatible(old: &JsonSchema, new: &JsonSchema, policy: CompatibilityPolicy) -> bool {
    new.reading(old, policy).unwrap().is_empty()
}
