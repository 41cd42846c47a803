//! Tags that a schema carries itself (`confluent:tags`), and the names of what they are on.
//!
//! A tag is on an *entity*: an object (`object`), or a property of one (`object.email`). The name spells the way from
//! the root in the words of Confluent's registry: `array`, `allof.0`, `not`, `conditional.then`, `definitions.Address`
//! (`JsonSchema.inlineTaggedEntities`). Where the order of subschemas has no meaning they are counted in the order
//! of their kinds, titles, descriptions and defaults (`JsonSchemaComparator`).
//!
//! **Invariants:** references are not followed, so a walk ends; the names together are at most
//! [`NAME_BYTES_MAX`] long, after which no more entities are found.

use std::collections::BTreeSet;

use super::node::{Node, Object};
use crate::entity::{ENTITIES_MAX, SchemaEntity};
use crate::error::SchemaError;
use crate::format::FieldTags;

/// The member that holds tags.
pub(super) const TAGS: &str = "confluent:tags";

/// Bytes that the names of all entities may take together.
const NAME_BYTES_MAX: usize = 32 * 1024 * 1024;

/// One step from a value to a value in it.
#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

/// The kind of one part of a schema, in the order in which parts are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Array,
    Boolean,
    Combined(&'static str),
    /// `type` is an array.
    Union,
    Conditional,
    Const,
    Empty,
    Enum,
    False,
    Not,
    Null,
    Number,
    Object,
    Reference,
    String,
}

impl Part {
    /// `Union` counts as a combined schema.
    fn rank(self) -> u8 {
        match self {
            Self::Array => 0,
            Self::Boolean => 1,
            Self::Combined(_) | Self::Union => 2,
            Self::Conditional => 3,
            Self::Const => 4,
            Self::Empty => 5,
            Self::Enum => 6,
            Self::False => 7,
            Self::Not => 8,
            Self::Null => 9,
            Self::Number => 10,
            Self::Object => 11,
            Self::Reference => 12,
            Self::String => 13,
        }
    }

    fn of_type(name: &str) -> Self {
        match name {
            "array" => Self::Array,
            "boolean" => Self::Boolean,
            "null" => Self::Null,
            "integer" | "number" => Self::Number,
            "object" => Self::Object,
            _ => Self::String,
        }
    }
}

/// The tags of every entity that has some.
pub(super) fn inline(root: &Node) -> FieldTags {
    let mut tags = FieldTags::new();
    visit(root, |name, _, node, is_alias| {
        let found = tags_of(node);
        if !found.is_empty() && !is_alias {
            tags.entry(name.to_owned()).or_default().extend(found);
        }
    });
    tags
}

/// The objects and their properties, with their tags.
pub(super) fn entities(root: &Node) -> Vec<SchemaEntity> {
    let mut found = Vec::new();
    visit(root, |path, steps, node, is_alias| {
        if found.len() >= ENTITIES_MAX {
            return;
        }
        if is_alias {
            // The object that a property is; the tags are the property's.
            found.push(SchemaEntity::record(path, path, BTreeSet::new()));
            return;
        }
        let tags = tags_of(node).into_iter().collect();
        let property = match steps {
            [.., Step::Member("properties"), Step::Member(name)] => path
                .strip_suffix(name)
                .and_then(|record| record.strip_suffix('.'))
                .map(|record| (record, *name)),
            _ => None,
        };
        found.push(match property {
            Some((record, name)) => SchemaEntity::field(record, name, tags),
            None => SchemaEntity::record(path, path, tags),
        });
    });
    found
}

/// The names of those entities with tags that are objects, and no property of one.
pub(super) fn types(root: &Node) -> BTreeSet<String> {
    let mut types = BTreeSet::new();
    visit(root, |name, steps, node, is_alias| {
        let is_property = matches!(steps, [.., Step::Member("properties"), Step::Member(_)]);
        if !is_property && !is_alias && !tags_of(node).is_empty() {
            types.insert(name.to_owned());
        }
    });
    types
}

/// The schema with tags added and removed.
///
/// # Errors
/// [`SchemaError::Invalid`] when a name is not that of an entity.
pub(super) fn changed(
    root: &Node,
    add: &FieldTags,
    remove: &FieldTags,
) -> Result<Node, SchemaError> {
    let mut wanted: BTreeSet<&str> = add
        .keys()
        .chain(remove.keys())
        .map(String::as_str)
        .collect();
    let mut places: Vec<(String, Vec<OwnedStep>)> = Vec::new();
    visit(root, |name, steps, _, _| {
        if wanted.remove(name) {
            places.push((name.to_owned(), steps.iter().map(OwnedStep::of).collect()));
        }
    });
    if let Some(unknown) = wanted.first() {
        return Err(SchemaError::Invalid {
            format: "JSON",
            path: (*unknown).to_owned(),
            rule: format!("No matching path '{unknown}' found in the schema"),
        });
    }
    let mut copy = root.clone();
    for (name, steps) in places {
        let Some(Node::Object(object)) = steps
            .iter()
            .try_fold(&mut copy, |node, step| step.follow(node))
        else {
            return Err(SchemaError::Invalid {
                format: "JSON",
                path: name.clone(),
                rule: format!(
                    "'{name}' is a boolean schema, which carries no tags; write an object"
                ),
            });
        };
        let mut tags = tags_of_object(object);
        for tag in add.get(&name).into_iter().flatten() {
            if !tags.contains(tag) {
                tags.push(tag.clone());
            }
        }
        tags.retain(|tag| !remove.get(&name).is_some_and(|tags| tags.contains(tag)));
        if tags.is_empty() {
            object.remove(TAGS);
        } else {
            object.set(
                TAGS,
                Node::Array(tags.into_iter().map(Node::String).collect()),
            );
        }
    }
    Ok(copy)
}

enum OwnedStep {
    Member(String),
    Item(usize),
}

impl OwnedStep {
    fn of(step: &Step<'_>) -> Self {
        match *step {
            Step::Member(name) => Self::Member(name.to_owned()),
            Step::Item(index) => Self::Item(index),
        }
    }

    fn follow<'n>(&self, node: &'n mut Node) -> Option<&'n mut Node> {
        match (self, node) {
            (Self::Member(name), Node::Object(object)) => object.get_mut(name),
            (Self::Item(index), Node::Array(items)) => items.get_mut(*index),
            _ => None,
        }
    }
}

fn tags_of(node: &Node) -> Vec<String> {
    node.object().map(tags_of_object).unwrap_or_default()
}

fn tags_of_object(object: &Object) -> Vec<String> {
    let items = object.get(TAGS).and_then(Node::array).unwrap_or_default();
    items
        .iter()
        .filter_map(Node::text)
        .map(str::to_owned)
        .collect()
}

/// Calls `seen` with the name, the way and the value of every entity. A property that is an object has two names,
/// `object.home` and `object.home.object`; the second is told as an alias.
fn visit<'a>(root: &'a Node, seen: impl FnMut(&str, &[Step<'a>], &'a Node, bool)) {
    let mut walk = Walk {
        seen,
        name: String::new(),
        steps: Vec::new(),
        name_bytes: 0,
    };
    walk.schema(root, false);
}

struct Walk<'a, F> {
    seen: F,
    name: String,
    steps: Vec<Step<'a>>,
    name_bytes: usize,
}

impl<'a, F: FnMut(&str, &[Step<'a>], &'a Node, bool)> Walk<'a, F> {
    /// Runs `inner` with `name` appended.
    fn named(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        let length = self.name.len();
        self.name.push_str(name);
        inner(self);
        self.name.truncate(length);
    }

    fn stepped(&mut self, steps: &[Step<'a>], inner: impl FnOnce(&mut Self)) {
        let length = self.steps.len();
        self.steps.extend_from_slice(steps);
        inner(self);
        self.steps.truncate(length);
    }

    fn entity(&mut self, node: &'a Node, is_alias: bool) {
        self.name_bytes += self.name.len();
        if self.name_bytes <= NAME_BYTES_MAX {
            (self.seen)(&self.name, &self.steps, node, is_alias);
        }
    }

    fn schema(&mut self, node: &'a Node, is_field: bool) {
        let Some(object) = node.object() else { return };
        if object.has("$ref") {
            return;
        }
        let parts = parts(object);
        if let [part] = parts.as_slice() {
            self.part(node, object, *part, is_field);
            return;
        }
        for (index, part) in parts.into_iter().enumerate() {
            self.named(&format!("allof.{index}."), |walk| {
                walk.part(node, object, part, false)
            });
        }
    }

    fn part(&mut self, node: &'a Node, object: &'a Object, part: Part, is_field: bool) {
        match part {
            Part::Object => self.object(node, object, is_field),
            Part::Array => {
                if let Some(items) = object.get("items") {
                    self.named("array.", |walk| {
                        walk.stepped(&[Step::Member("items")], |walk| walk.schema(items, false));
                    });
                }
            }
            Part::Combined(keyword) => self.combined(object, keyword),
            Part::Union => {
                let types = object.get("type").and_then(Node::array).unwrap_or_default();
                let mut kinds: Vec<Part> = types
                    .iter()
                    .filter_map(Node::text)
                    .map(Part::of_type)
                    .collect();
                kinds.sort_by_key(|kind| kind.rank());
                for (index, kind) in kinds.into_iter().enumerate() {
                    if matches!(kind, Part::Object | Part::Array) {
                        self.named(&format!("anyof.{index}."), |walk| {
                            walk.part(node, object, kind, false)
                        });
                    }
                }
            }
            Part::Conditional => {
                for keyword in ["if", "then", "else"] {
                    if let Some(branch) = object.get(keyword) {
                        self.named(&format!("conditional.{keyword}."), |walk| {
                            walk.stepped(&[Step::Member(keyword)], |walk| {
                                walk.schema(branch, false)
                            });
                        });
                    }
                }
            }
            Part::Not => {
                if let Some(not) = object.get("not") {
                    self.named("not.", |walk| {
                        walk.stepped(&[Step::Member("not")], |walk| walk.schema(not, false));
                    });
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, node: &'a Node, object: &'a Object, is_field: bool) {
        self.named("object", |walk| {
            walk.entity(node, is_field);
            for keyword in ["properties", "definitions", "$defs"] {
                let Some(members) = object.get(keyword).and_then(Node::object) else {
                    continue;
                };
                let is_properties = keyword == "properties";
                for (name, value) in members.iter() {
                    let scope = if is_properties {
                        format!(".{name}")
                    } else {
                        format!(".{keyword}.{name}")
                    };
                    walk.named(&scope, |walk| {
                        walk.stepped(&[Step::Member(keyword), Step::Member(name)], |walk| {
                            if is_properties {
                                walk.entity(value, false);
                            }
                            walk.named(".", |walk| walk.schema(value, is_properties));
                        });
                    });
                }
            }
        });
    }

    fn combined(&mut self, object: &'a Object, keyword: &'static str) {
        let items = object
            .get(keyword)
            .and_then(Node::array)
            .unwrap_or_default();
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_cached_key(|&index| items.get(index).map(order_key));
        for (rank, index) in order.into_iter().enumerate() {
            let Some(item) = items.get(index) else {
                continue;
            };
            self.named(
                &format!("{}.{rank}.", keyword.to_ascii_lowercase()),
                |walk| {
                    walk.stepped(&[Step::Member(keyword), Step::Item(index)], |walk| {
                        walk.schema(item, false)
                    });
                },
            );
        }
    }
}

/// By which keywords a type is known where `type` does not name it.
const KEYWORDS: &[(Part, &[&str])] = &[
    (
        Part::Array,
        &[
            "items",
            "prefixItems",
            "additionalItems",
            "minItems",
            "maxItems",
            "uniqueItems",
            "contains",
        ],
    ),
    (
        Part::Object,
        &[
            "properties",
            "required",
            "minProperties",
            "maxProperties",
            "dependencies",
            "patternProperties",
            "additionalProperties",
            "propertyNames",
            "dependentRequired",
            "dependentSchemas",
            "unevaluatedProperties",
        ],
    ),
    (
        Part::Number,
        &[
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
        ],
    ),
    (Part::String, &["minLength", "maxLength", "pattern"]),
    (Part::Conditional, &["if", "then", "else"]),
];

/// What a schema object is made of, in the order in which parts are counted.
fn parts(object: &Object) -> Vec<Part> {
    let has = |names: &[&str]| names.iter().any(|name| object.has(name));
    let mut parts = Vec::new();
    for (keyword, part) in [
        ("enum", Part::Enum),
        ("allOf", Part::Combined("allOf")),
        ("anyOf", Part::Combined("anyOf")),
        ("oneOf", Part::Combined("oneOf")),
        ("not", Part::Not),
        ("const", Part::Const),
    ] {
        if object.has(keyword) {
            parts.push(part);
        }
    }
    let mut typed = Vec::new();
    match object.get("type") {
        Some(Node::String(name)) => {
            typed.push(Part::of_type(name));
            parts.push(Part::of_type(name));
        }
        Some(Node::Array(names)) => {
            typed.extend(names.iter().filter_map(Node::text).map(Part::of_type));
            parts.push(Part::Union);
        }
        _ => {}
    }
    for &(part, keywords) in KEYWORDS {
        if !typed.contains(&part) && has(keywords) {
            parts.push(part);
        }
    }
    parts.sort_by_key(|part| part.rank());
    parts
}

/// Kind, title, description, default, names of properties: what orders the subschemas of a combined schema.
fn order_key(node: &Node) -> (u8, [Option<String>; 3], Vec<String>) {
    let Some(object) = node.object() else {
        let part = if matches!(node, Node::Bool(false)) {
            Part::False
        } else {
            Part::Empty
        };
        return (part.rank(), [None, None, None], Vec::new());
    };
    let rank = if object.has("$ref") {
        Part::Reference.rank()
    } else {
        match parts(object).as_slice() {
            [] => Part::Empty.rank(),
            [part] => part.rank(),
            _ => Part::Combined("allOf").rank(),
        }
    };
    let text = |name: &str| object.get(name).and_then(Node::text).map(str::to_owned);
    let default = object.get("default").map(super::writer::canonical);
    let mut names: Vec<String> = object
        .get("properties")
        .and_then(Node::object)
        .into_iter()
        .flat_map(Object::iter)
        .map(|(name, _)| name.to_owned())
        .collect();
    names.sort();
    (rank, [text("title"), text("description"), default], names)
}
