//! The shape of an Avro schema, from its resolved text.

use std::collections::HashMap;

use serde_json::Value;

use super::{Field, Node, NodeId, Nodes, Shape, inline_tags};
use crate::limits::DEPTH_MAX;

pub(super) fn shape(text: &str) -> Shape {
    let schema = serde_json::from_str(text).unwrap_or(Value::Null);
    let mut reader = Reader {
        nodes: Nodes::default(),
        named: HashMap::new(),
    };
    let root = reader.read(&schema, "", 0).1;
    reader.nodes.done(root)
}

struct Reader {
    nodes: Nodes,
    named: HashMap<String, NodeId>,
}

impl Reader {
    /// The node of a type, and the name of its branch in a union.
    fn read(&mut self, schema: &Value, namespace: &str, depth: usize) -> (String, NodeId) {
        if depth > DEPTH_MAX {
            return (String::new(), self.nodes.reserve());
        }
        match schema {
            Value::String(name) => self.by_name(name, namespace),
            Value::Array(branches) => {
                let branches = branches
                    .iter()
                    .map(|branch| self.read(branch, namespace, depth + 1))
                    .collect();
                (String::new(), self.nodes.add(Node::Union(branches)))
            }
            Value::Object(object) => match object.get("type") {
                Some(Value::String(kind)) => self.complex(kind, schema, namespace, depth),
                Some(inner) => self.read(inner, namespace, depth + 1),
                None => (String::new(), self.nodes.reserve()),
            },
            _ => (String::new(), self.nodes.reserve()),
        }
    }

    fn by_name(&mut self, name: &str, namespace: &str) -> (String, NodeId) {
        let type_name = match name {
            "null" => "NULL",
            "boolean" => "BOOLEAN",
            "int" => "INT",
            "long" => "LONG",
            "float" => "FLOAT",
            "double" => "DOUBLE",
            "bytes" => "BYTES",
            "string" => "STRING",
            _ => {
                let full = full_name(name, namespace);
                let found = self
                    .named
                    .get(&full)
                    .or_else(|| self.named.get(name))
                    .copied();
                let node = found.unwrap_or_else(|| self.nodes.reserve());
                return (full, node);
            }
        };
        (name.to_owned(), self.nodes.scalar(type_name))
    }

    fn complex(
        &mut self,
        kind: &str,
        schema: &Value,
        namespace: &str,
        depth: usize,
    ) -> (String, NodeId) {
        let inner = |key: &str| schema.get(key).cloned().unwrap_or(Value::Null);
        let name = schema
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let own = schema
            .get("namespace")
            .and_then(Value::as_str)
            .unwrap_or(namespace);
        let full = full_name(name, own);
        match kind {
            "array" => {
                let item = self.read(&inner("items"), namespace, depth + 1).1;
                ("array".to_owned(), self.nodes.add(Node::List(item)))
            }
            "map" => {
                let item = self.read(&inner("values"), namespace, depth + 1).1;
                ("map".to_owned(), self.nodes.add(Node::Map(item)))
            }
            "enum" | "fixed" => {
                let node = self
                    .nodes
                    .scalar(if kind == "enum" { "ENUM" } else { "FIXED" });
                self.named.insert(full.clone(), node);
                (full, node)
            }
            "record" | "error" => {
                let node = self.nodes.reserve();
                self.named.insert(full.clone(), node);
                let within = full
                    .rsplit_once('.')
                    .map_or("", |(namespace, _)| namespace)
                    .to_owned();
                let mut fields = Vec::new();
                for field in schema
                    .get("fields")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                {
                    let name = field
                        .get("name")
                        .and_then(Value::as_str)
                        .unwrap_or_default();
                    let kind = field.get("type").unwrap_or(&Value::Null);
                    fields.push(Field {
                        name: name.to_owned(),
                        other_name: None,
                        full_name: format!("{full}.{name}"),
                        tags: inline_tags(field),
                        node: self.read(kind, &within, depth + 1).1,
                    });
                }
                self.nodes.fill(node, Node::Record(fields));
                (full, node)
            }
            name => self.by_name(name, namespace),
        }
    }
}

fn full_name(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}
