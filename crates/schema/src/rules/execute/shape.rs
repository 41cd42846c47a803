//! What of a schema a rule of fields needs: which fields a record has, of which type, with which tags.
//!
//! One form for the three formats. A type that contains itself is there once and pointed at, so that any schema has a
//! finite shape; how deep a record goes is for the walk to bound.

mod avro;
mod json;
mod protobuf;
mod view;

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::Value;

pub(super) use view::scalar_view;

use crate::error::SchemaError;
use crate::limits::DEPTH_MAX;
use crate::parsed::ParsedSchema;

/// Where a node is in its [`Shape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(usize);

#[derive(Debug, Clone)]
pub(super) enum Node {
    Record(Vec<Field>),
    List(NodeId),
    Map(NodeId),
    /// Branches by the names that Avro's JSON gives them.
    Union(Vec<(String, NodeId)>),
    /// All of them describe the value (JSON Schema's `allOf`).
    All(Vec<NodeId>),
    /// `primitive`: rules of fields see it.
    Scalar {
        type_name: &'static str,
        primitive: bool,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Field {
    /// As JSON has it.
    pub name: String,
    /// Another name by which JSON may have it.
    pub other_name: Option<String>,
    pub full_name: String,
    pub tags: BTreeSet<String>,
    pub node: NodeId,
}

/// How a format's JSON has bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum BytesForm {
    /// Protobuf's: base 64.
    #[default]
    Base64,
    /// Avro's: a character for each byte.
    Characters,
}

impl BytesForm {
    pub(super) fn read(self, text: &str) -> Result<Vec<u8>, String> {
        match self {
            Self::Base64 => BASE64.decode(text).map_err(|error| error.to_string()),
            Self::Characters => text
                .chars()
                .map(|letter| u8::try_from(letter).map_err(|_| format!("{letter:?} is no byte")))
                .collect(),
        }
    }

    pub(super) fn write(self, bytes: &[u8]) -> String {
        match self {
            Self::Base64 => BASE64.encode(bytes),
            Self::Characters => bytes.iter().map(|byte| char::from(*byte)).collect(),
        }
    }
}

/// The shape of a schema.
#[derive(Debug, Clone)]
pub struct Shape {
    nodes: Vec<Node>,
    root: NodeId,
    bytes_form: BytesForm,
    /// Whether expressions see a record otherwise than JSON has it.
    is_viewed: bool,
}

impl Shape {
    /// The shape of `schema`; of Protobuf that of the message of that full name, or of the first.
    ///
    /// # Errors
    /// As [`crate::Format::formatted`].
    pub fn of(schema: &ParsedSchema, message: Option<&str>) -> Result<Self, SchemaError> {
        let mut shape = match schema {
            ParsedSchema::Avro(_) => Self {
                bytes_form: BytesForm::Characters,
                ..avro::shape(&schema.formatted("resolved")?)
            },
            ParsedSchema::Json(_) => json::shape(&schema.canonical()),
            ParsedSchema::Protobuf(schema) => protobuf::shape(schema, message),
        };
        shape.is_viewed = shape.has_view(schema);
        Ok(shape)
    }

    pub(super) fn bytes_form(&self) -> BytesForm {
        self.bytes_form
    }

    pub(super) fn root(&self) -> NodeId {
        self.root
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        const NOTHING: &Node = &Node::Scalar {
            type_name: "NULL",
            primitive: false,
        };
        self.nodes.get(id.0).unwrap_or(NOTHING)
    }

    /// Whether a record can have a value at this path of names (`home.zip`). Behind a list, and behind what has no shape
    /// here, such as Protobuf's maps, anything may be.
    pub(crate) fn has_path(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('.').collect();
        self.leads(self.root, &names, DEPTH_MAX)
    }

    fn leads(&self, from: NodeId, names: &[&str], depth: usize) -> bool {
        let Some((name, rest)) = names.split_first() else {
            return true;
        };
        // A schema that goes deeper than that says nothing against the path.
        let Some(depth) = depth.checked_sub(1) else {
            return true;
        };
        match self.node(from) {
            Node::Record(fields) => fields
                .iter()
                .filter(|field| field.name == *name || field.other_name.as_deref() == Some(*name))
                .any(|field| self.leads(field.node, rest, depth)),
            Node::Map(value) => self.leads(*value, rest, depth),
            Node::Union(branches) => branches
                .iter()
                .filter(|(_, branch)| !self.is_nothing(*branch))
                .any(|(_, branch)| self.leads(*branch, names, depth)),
            Node::All(parts) => parts.iter().any(|part| self.leads(*part, names, depth)),
            Node::List(_) => true,
            Node::Scalar { .. } => self.is_nothing(from),
        }
    }

    /// Whether a node is null, or was left out of the shape.
    fn is_nothing(&self, id: NodeId) -> bool {
        matches!(self.node(id), Node::Scalar { type_name, .. } if *type_name == "NULL")
    }

    /// Whether the value can be of that node, by its kind and the fields it has.
    pub(super) fn fits(&self, id: NodeId, value: &Value) -> bool {
        match (self.node(id), value) {
            (Node::Record(fields), Value::Object(entries)) => entries
                .keys()
                .all(|key| fields.iter().any(|field| field.name == *key)),
            (Node::Map(_), Value::Object(_)) | (Node::List(_), Value::Array(_)) => true,
            (Node::Scalar { type_name, .. }, value) => match *type_name {
                "NULL" => value.is_null(),
                "BOOLEAN" => value.is_boolean(),
                "INT" | "LONG" => value.is_i64() || value.is_u64(),
                "FLOAT" | "DOUBLE" => value.is_number(),
                _ => value.is_string(),
            },
            (Node::Union(_) | Node::All(_), _) => true,
            _ => false,
        }
    }
}

/// A shape that is being built.
#[derive(Debug, Default)]
struct Nodes(Vec<Node>);

impl Nodes {
    fn add(&mut self, node: Node) -> NodeId {
        self.0.push(node);
        NodeId(self.0.len() - 1)
    }

    /// A place that is filled later, for a type that may contain itself.
    fn reserve(&mut self) -> NodeId {
        self.add(Node::Scalar {
            type_name: "NULL",
            primitive: false,
        })
    }

    fn fill(&mut self, id: NodeId, node: Node) {
        if let Some(place) = self.0.get_mut(id.0) {
            *place = node;
        }
    }

    fn scalar(&mut self, type_name: &'static str) -> NodeId {
        let primitive = !matches!(type_name, "ENUM" | "FIXED" | "RECORD");
        self.add(Node::Scalar {
            type_name,
            primitive,
        })
    }

    fn done(self, root: NodeId) -> Shape {
        Shape {
            nodes: self.0,
            root,
            bytes_form: BytesForm::default(),
            is_viewed: false,
        }
    }
}

/// `confluent:tags` of a field.
fn inline_tags(schema: &Value) -> BTreeSet<String> {
    let tags = schema.get("confluent:tags").and_then(Value::as_array);
    tags.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}
