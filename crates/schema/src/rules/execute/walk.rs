//! Visiting the fields of a record by the shape of its schema.

use std::collections::BTreeSet;

use serde_json::Value;

use super::RuleError;
use super::shape::{Field, Node, NodeId, Shape};
use crate::model::Metadata;

/// How deep a record is followed.
const DEPTH_MAX: usize = 200;

/// The field at hand.
#[derive(Debug)]
pub(super) struct FieldContext<'a> {
    /// The record that has it, as it was.
    pub message: &'a Value,
    pub full_name: &'a str,
    pub name: &'a str,
    /// `STRING`, `INT`, ...
    pub type_name: &'a str,
    /// Those in the schema and those of the metadata.
    pub tags: BTreeSet<String>,
}

/// What a rule does with a field.
pub(super) type Visit<'v> = dyn FnMut(&FieldContext<'_>, &mut Value) -> Result<(), RuleError> + 'v;

/// Visits each field of a primitive type that the record has, those of nested records, lists and maps too.
pub(super) fn fields(
    shape: &Shape,
    metadata: Option<&Metadata>,
    record: &mut Value,
    visit: &mut Visit<'_>,
) -> Result<(), RuleError> {
    let mut walk = Walk {
        shape,
        metadata,
        visit,
    };
    walk.value(shape.root(), record, None, 0)
}

struct Walk<'w, 'v> {
    shape: &'w Shape,
    metadata: Option<&'w Metadata>,
    visit: &'w mut Visit<'v>,
}

/// The field whose value is being visited.
struct Current<'c> {
    message: &'c Value,
    full_name: &'c str,
    name: &'c str,
    tags: &'c BTreeSet<String>,
}

impl Walk<'_, '_> {
    fn value(
        &mut self,
        node: NodeId,
        value: &mut Value,
        current: Option<&Current<'_>>,
        depth: usize,
    ) -> Result<(), RuleError> {
        if depth > DEPTH_MAX {
            return Err(RuleError::TooExpensive {
                expr: String::new(),
                what: format!("the record nests deeper than {DEPTH_MAX} levels"),
            });
        }
        match (self.shape.node(node), value) {
            (
                Node::Scalar {
                    type_name,
                    primitive: true,
                },
                value,
            ) => {
                let Some(current) = current else {
                    return Ok(());
                };
                let field = FieldContext {
                    message: current.message,
                    full_name: current.full_name,
                    name: current.name,
                    type_name,
                    tags: current.tags.clone(),
                };
                (self.visit)(&field, value)
            }
            (Node::Scalar { .. }, _) => Ok(()),
            (Node::List(item), Value::Array(items)) => items
                .iter_mut()
                .try_for_each(|each| self.value(*item, each, current, depth + 1)),
            (Node::Map(item), Value::Object(entries)) => entries
                .values_mut()
                .try_for_each(|each| self.value(*item, each, current, depth + 1)),
            (Node::Union(branches), value) => self.union(branches, value, current, depth),
            (Node::All(parts), value) => parts
                .iter()
                .try_for_each(|part| self.value(*part, value, current, depth + 1)),
            (Node::Record(fields), value @ Value::Object(_)) => {
                // The fields' rules see it as it was.
                let message = self.shape.view_at(node, value).into_owned();
                self.record(fields, &message, value, depth)
            }
            // A value of another shape is for the serialiser to refuse.
            _ => Ok(()),
        }
    }

    fn record(
        &mut self,
        fields: &[Field],
        message: &Value,
        value: &mut Value,
        depth: usize,
    ) -> Result<(), RuleError> {
        let Value::Object(entries) = value else {
            return Ok(());
        };
        for field in fields {
            let Some((key, _)) = field.entry(entries) else {
                continue;
            };
            let mut tags = field.tags.clone();
            tags.extend(self.metadata_tags(&field.full_name));
            let current = Current {
                message,
                full_name: &field.full_name,
                name: &field.name,
                tags: &tags,
            };
            if let Some(value) = entries.get_mut(key) {
                self.value(field.node, value, Some(&current), depth + 1)?;
            }
        }
        Ok(())
    }

    /// The branch that fits.
    fn union(
        &mut self,
        branches: &[(String, NodeId)],
        value: &mut Value,
        current: Option<&Current<'_>>,
        depth: usize,
    ) -> Result<(), RuleError> {
        match self.shape.branch(branches, value) {
            Some((node, Some(name))) => match value.get_mut(name) {
                Some(inner) => self.value(node, inner, current, depth + 1),
                None => Ok(()),
            },
            Some((node, None)) => self.value(node, value, current, depth + 1),
            None => Ok(()),
        }
    }

    fn metadata_tags(&self, full_name: &str) -> BTreeSet<String> {
        let tags = self.metadata.and_then(|metadata| metadata.tags.as_ref());
        let matching = tags
            .into_iter()
            .flatten()
            .filter(|(path, _)| matches(path, full_name));
        matching
            .flat_map(|(_, tags)| tags.iter().cloned())
            .collect()
    }
}

/// Whether a path with wildcards means that name: `?` is a character, `*` any of one part, `**` any at all
/// (`WildcardMatcher`).
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let pattern = pattern.replace("**.*", "**");
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // reached[i]: what is read of the pattern matches the first i characters of the name.
    let mut reached = vec![false; name.len() + 1];
    if let Some(first) = reached.first_mut() {
        *first = true;
    }
    let mut at = 0;
    while let Some(sign) = pattern.get(at) {
        let double = *sign == '*' && pattern.get(at + 1) == Some(&'*');
        at += if double { 2 } else { 1 };
        let mut next = vec![false; name.len() + 1];
        let mut open = false;
        for index in 0..=name.len() {
            let here = reached.get(index).copied().unwrap_or_default();
            if *sign == '*' {
                let before = index.checked_sub(1).and_then(|before| name.get(before));
                open = here || (open && (double || before != Some(&'.')));
                set(&mut next, index, open);
            } else if here
                && name
                    .get(index)
                    .is_some_and(|letter| letter == sign || (*sign == '?' && *letter != '.'))
            {
                set(&mut next, index + 1, true);
            }
        }
        reached = next;
    }
    reached.last().copied().unwrap_or_default()
}

fn set(all: &mut [bool], index: usize, value: bool) {
    if let Some(place) = all.get_mut(index) {
        *place = value;
    }
}
