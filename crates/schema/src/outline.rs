//! A schema as a list of its fields, and what changed from one list to another: the diff that people read.
//!
//! Every format becomes the same flat list: a *place* is a path as people write it (`address.zip`, `items[].sku`,
//! `Order.total`), with *traits* by name (`type`, `default`, `tags`, ...). Two schemas are compared place by place, so a
//! field that moved within its record has not changed. Metadata and rules of a contract are places too.
//!
//! This says what is different, not whether it matters: that is [`crate::compatibility`].

mod avro;
mod contract;
mod json;
mod protobuf;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use crate::error::SchemaError;
use crate::model::{Metadata, RuleSet};
use crate::parsed::ParsedSchema;

/// What is said of a place, by the name of the trait: `type`, `default`, `doc`, `tags`, `number`, ...
pub type Traits = BTreeMap<String, String>;

/// How many places an outline has at most; a schema of more is told by its first ones.
pub const PLACES_MAX: usize = 100_000;

/// How many levels of JSON an outline looks into: what `serde_json` reads.
const NESTED_MAX: usize = 127;

/// A field, a type or an entry of the contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Where: `address.zip`, `items[]`, `metadata.properties.owner`.
    pub path: String,
    /// What is said of it.
    pub traits: Traits,
}

/// What happened to a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Happened {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its traits differ.
    Changed,
}

/// One trait that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TraitChange {
    /// Its name.
    pub name: String,
    /// The value before, if it had one.
    pub before: Option<String>,
    /// The value now, if it has one.
    pub after: Option<String>,
}

/// A place that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaceChange {
    /// Where.
    pub path: String,
    /// What happened.
    pub change: Happened,
    /// The traits that differ; of a place that came or went, all of them.
    pub traits: Vec<TraitChange>,
}

/// The fields of a schema, in its order.
///
/// # Errors
/// The schema cannot be written out with what it refers to, or nests too deep for that to be read.
pub fn outline(schema: &ParsedSchema) -> Result<Vec<Place>, SchemaError> {
    let mut places = Places::default();
    match schema {
        ParsedSchema::Avro(_) => avro::outline(&tree(&schema.formatted("resolved")?)?, &mut places),
        ParsedSchema::Json(_) => json::outline(&tree(&schema.canonical())?, &mut places),
        ParsedSchema::Protobuf(schema) => protobuf::outline(schema, &mut places),
    }
    Ok(places.0)
}

/// The JSON that a schema of this crate is written as.
fn tree(text: &str) -> Result<serde_json::Value, SchemaError> {
    serde_json::from_str(text).map_err(|_| SchemaError::TooComplex {
        what: "levels of nesting of an outline",
        max: NESTED_MAX,
    })
}

/// What a contract says beside the schema's text.
pub fn contract(metadata: Option<&Metadata>, rules: Option<&RuleSet>) -> Vec<Place> {
    let mut places = Places::default();
    contract::outline(metadata, rules, &mut places);
    places.0
}

/// What happened between two lists: in the order of the new one, what is gone first.
pub fn changes(before: &[Place], after: &[Place]) -> Vec<PlaceChange> {
    let had: HashMap<&str, &Traits> = before
        .iter()
        .map(|place| (place.path.as_str(), &place.traits))
        .collect();
    let has: HashSet<&str> = after.iter().map(|place| place.path.as_str()).collect();
    let none = Traits::new();
    let mut changes = Vec::new();
    for place in before
        .iter()
        .filter(|place| !has.contains(place.path.as_str()))
    {
        changes.push(PlaceChange {
            path: place.path.clone(),
            change: Happened::Removed,
            traits: differing(&place.traits, &none),
        });
    }
    for place in after {
        let (change, traits) = match had.get(place.path.as_str()) {
            None => (Happened::Added, differing(&none, &place.traits)),
            Some(traits) => (Happened::Changed, differing(traits, &place.traits)),
        };
        if change == Happened::Added || !traits.is_empty() {
            changes.push(PlaceChange {
                path: place.path.clone(),
                change,
                traits,
            });
        }
    }
    changes
}

fn differing(before: &Traits, after: &Traits) -> Vec<TraitChange> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    // The type is what people look for first.
    let (types, others): (Vec<&String>, Vec<&String>) =
        names.into_iter().partition(|name| *name == "type");
    types
        .into_iter()
        .chain(others)
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| TraitChange {
            name: name.clone(),
            before: before.get(name).cloned(),
            after: after.get(name).cloned(),
        })
        .collect()
}

/// A list in the making.
#[derive(Debug, Default)]
struct Places(Vec<Place>);

impl Places {
    fn add(&mut self, path: impl Into<String>, traits: Traits) {
        if self.0.len() < PLACES_MAX {
            self.0.push(Place {
                path: path.into(),
                traits,
            });
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The path of a type at the root, which has no name of its own.
fn or_root(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

#[cfg(test)]
mod tests;
