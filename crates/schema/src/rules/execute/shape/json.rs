//! The shape of a JSON Schema. References within the document are followed; those to others describe no fields here.

use std::collections::HashMap;

use serde_json::Value;

use super::{Field, Node, NodeId, Nodes, Shape, inline_tags};
use crate::limits::DEPTH_MAX;

/// How many nodes a shape has at most: paths make one type several.
const NODES_MAX: usize = 100_000;

pub(super) fn shape(text: &str) -> Shape {
    let document = serde_json::from_str(text).unwrap_or(Value::Null);
    let mut reader = Reader {
        document: &document,
        nodes: Nodes::default(),
        open: HashMap::new(),
    };
    let root = reader.read(&document, "$", 0);
    reader.nodes.done(root)
}

struct Reader<'d> {
    document: &'d Value,
    nodes: Nodes,
    /// References that are being read, so that a type that contains itself ends.
    open: HashMap<String, NodeId>,
}

impl Reader<'_> {
    fn read(&mut self, schema: &Value, path: &str, depth: usize) -> NodeId {
        if depth > DEPTH_MAX || self.nodes.0.len() > NODES_MAX {
            return self.nodes.reserve();
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            return self.reference(reference, path, depth);
        }
        let mut parts = Vec::new();
        for (word, all) in [("allOf", true), ("oneOf", false), ("anyOf", false)] {
            let Some(inner) = schema.get(word).and_then(Value::as_array) else {
                continue;
            };
            let read = inner
                .iter()
                .map(|each| self.read(each, path, depth + 1))
                .collect::<Vec<_>>();
            if all {
                parts.extend(read);
            } else {
                let branches = read.into_iter().map(|node| (String::new(), node)).collect();
                parts.push(self.nodes.add(Node::Union(branches)));
            }
        }
        let own = self.own(schema, path, depth);
        if parts.is_empty() {
            return own;
        }
        parts.push(own);
        self.nodes.add(Node::All(parts))
    }

    fn reference(&mut self, reference: &str, path: &str, depth: usize) -> NodeId {
        if let Some(open) = self.open.get(reference) {
            return *open;
        }
        let target = reference
            .strip_prefix('#')
            .and_then(|pointer| self.document.pointer(pointer));
        let Some(target) = target.cloned() else {
            return self.nodes.reserve();
        };
        let place = self.nodes.reserve();
        self.open.insert(reference.to_owned(), place);
        let read = self.read(&target, path, depth + 1);
        self.open.remove(reference);
        self.nodes.fill(place, Node::All(vec![read]));
        place
    }

    /// What the schema says itself, without what it is combined of.
    fn own(&mut self, schema: &Value, path: &str, depth: usize) -> NodeId {
        if schema.get("enum").is_some() || schema.get("const").is_some() {
            return self.nodes.scalar("ENUM");
        }
        match schema.get("type") {
            Some(Value::String(kind)) => self.typed(kind, schema, path, depth),
            Some(Value::Array(kinds)) => {
                let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
                let branches = kinds
                    .into_iter()
                    .map(|kind| (String::new(), self.typed(kind, schema, path, depth)))
                    .collect();
                self.nodes.add(Node::Union(branches))
            }
            _ if schema.get("properties").is_some() => self.typed("object", schema, path, depth),
            _ if schema.get("items").is_some() => self.typed("array", schema, path, depth),
            _ => self.nodes.reserve(),
        }
    }

    fn typed(&mut self, kind: &str, schema: &Value, path: &str, depth: usize) -> NodeId {
        let type_name = match kind {
            "string" => "STRING",
            "integer" => "INT",
            "number" => "DOUBLE",
            "boolean" => "BOOLEAN",
            "null" => "NULL",
            "array" => {
                let item = schema.get("items").unwrap_or(&Value::Null);
                let item = self.read(item, path, depth + 1);
                return self.nodes.add(Node::List(item));
            }
            _ => {
                let mut fields = Vec::new();
                let properties = schema.get("properties").and_then(Value::as_object);
                for (name, property) in properties.into_iter().flatten() {
                    let full_name = format!("{path}.{name}");
                    fields.push(Field {
                        name: name.clone(),
                        other_name: None,
                        tags: inline_tags(property),
                        node: self.read(property, &full_name, depth + 1),
                        full_name,
                    });
                }
                return self.nodes.add(Node::Record(fields));
            }
        };
        self.nodes.scalar(type_name)
    }
}
