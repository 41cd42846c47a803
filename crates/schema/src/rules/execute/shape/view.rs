//! A record as expressions see it, without what the JSON of its format adds.
//!
//! Avro's JSON wraps a value of a union in the name of its branch; Protobuf's has other names for fields than the schema, and
//! numbers of 64 bits as texts. Confluent's clients give expressions the objects themselves, which have none of that.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{BytesForm, Field, Node, NodeId, Shape};
use crate::parsed::ParsedSchema;

/// Deeper than any expression is let run on.
const DEPTH_MAX: usize = 250;

/// A field's value as expressions see it.
pub(in crate::rules::execute) fn scalar_view<'v>(
    type_name: &str,
    value: &'v Value,
) -> Cow<'v, Value> {
    let Value::String(text) = value else {
        return Cow::Borrowed(value);
    };
    if type_name != "LONG" {
        return Cow::Borrowed(value);
    }
    let signed = text.parse::<i64>().ok().map(Value::from);
    let number = signed.or_else(|| text.parse::<u64>().ok().map(Value::from));
    number.map_or(Cow::Borrowed(value), Cow::Owned)
}

impl Shape {
    /// Whether a record of the schema can look otherwise to expressions than it does in JSON.
    pub(super) fn has_view(&self, schema: &ParsedSchema) -> bool {
        match schema {
            ParsedSchema::Json(_) => false,
            ParsedSchema::Avro(_) => {
                let is_union = |node: &Node| matches!(node, Node::Union(_));
                self.nodes.iter().any(is_union)
            }
            ParsedSchema::Protobuf(_) => true,
        }
    }

    /// The record as expressions see it.
    pub(in crate::rules::execute) fn view<'v>(&self, record: &'v Value) -> Cow<'v, Value> {
        self.view_at(self.root, record)
    }

    /// A part of the record, which is of that node, as expressions see it.
    pub(in crate::rules::execute) fn view_at<'v>(
        &self,
        id: NodeId,
        value: &'v Value,
    ) -> Cow<'v, Value> {
        if self.is_viewed {
            Cow::Owned(self.viewed(id, value, 0))
        } else {
            Cow::Borrowed(value)
        }
    }

    fn viewed(&self, id: NodeId, value: &Value, depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return value.clone();
        }
        match (self.node(id), value) {
            (Node::Record(fields), Value::Object(entries)) => {
                Value::Object(self.viewed_record(fields, entries, depth))
            }
            (Node::List(item), Value::Array(items)) => {
                let items = items.iter().map(|each| self.viewed(*item, each, depth + 1));
                Value::Array(items.collect())
            }
            (Node::Map(item), Value::Object(entries)) => {
                let view = |(key, each): (&String, &Value)| {
                    (key.clone(), self.viewed(*item, each, depth + 1))
                };
                Value::Object(entries.iter().map(view).collect())
            }
            (Node::Union(branches), value) => match self.branch(branches, value) {
                Some((node, Some(name))) => {
                    self.viewed(node, value.get(name).unwrap_or(value), depth + 1)
                }
                Some((node, None)) => self.viewed(node, value, depth + 1),
                None => value.clone(),
            },
            (Node::Scalar { type_name, .. }, value) if self.bytes_form == BytesForm::Base64 => {
                scalar_view(type_name, value).into_owned()
            }
            (_, value) => value.clone(),
        }
    }

    fn viewed_record(
        &self,
        fields: &[Field],
        entries: &Map<String, Value>,
        depth: usize,
    ) -> Map<String, Value> {
        let mut view = Map::new();
        let mut seen = 0;
        for field in fields {
            let Some((_, value)) = field.entry(entries) else {
                continue;
            };
            seen += 1;
            let value = self.viewed(field.node, value, depth + 1);
            view.insert(field.name.clone(), value);
        }
        if seen < entries.len() {
            // What the schema does not know is for the serialiser to refuse.
            for (name, value) in entries {
                let is_known = fields.iter().any(|field| field.has_name(name));
                if !is_known {
                    view.insert(name.clone(), value.clone());
                }
            }
        }
        view
    }

    /// The branch of a union that a value is of, with its name where the value is wrapped in it, as Avro's JSON does:
    /// `{"string": "x"}`.
    pub(in crate::rules::execute) fn branch<'b>(
        &self,
        branches: &'b [(String, NodeId)],
        value: &Value,
    ) -> Option<(NodeId, Option<&'b str>)> {
        if let Value::Object(entries) = value
            && entries.len() == 1
            && let Some(name) = entries.keys().next()
            && let Some((name, node)) = branches.iter().find(|(branch, _)| branch == name)
        {
            return Some((*node, Some(name)));
        }
        let fitting = branches.iter().find(|(_, node)| self.fits(*node, value));
        fitting.map(|(_, node)| (*node, None))
    }
}

impl Field {
    /// Whether JSON may have the field by this name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.name == name || self.other_name.as_deref() == Some(name)
    }

    /// The name by which a record has the field, and its value.
    pub(in crate::rules::execute) fn entry<'f, 'v>(
        &'f self,
        entries: &'v Map<String, Value>,
    ) -> Option<(&'f str, &'v Value)> {
        let names = [Some(&self.name), self.other_name.as_ref()];
        let mut names = names.into_iter().flatten();
        names.find_map(|name| Some((name.as_str(), entries.get(name)?)))
    }
}
