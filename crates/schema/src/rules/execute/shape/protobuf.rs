//! The shape of a Protobuf message.

use super::{Field, Node, NodeId, Nodes, Shape};
use crate::protobuf::{FieldOutline, ProtobufSchema, TypeOutline};

pub(super) fn shape(schema: &ProtobufSchema, message: Option<&str>) -> Shape {
    let mut reader = Reader {
        nodes: Nodes::default(),
        named: std::collections::HashMap::new(),
        open: Vec::new(),
    };
    let first = message
        .map(str::to_owned)
        .or_else(|| crate::format::Format::name(schema));
    let root = reader.message(&first.unwrap_or_default());
    // Messages are read one after the other, however deep they point at each other.
    while let Some((name, node)) = reader.open.pop() {
        let fields = schema.outline(&name);
        let fields = fields
            .into_iter()
            .map(|field| reader.field(&name, field))
            .collect();
        reader.nodes.fill(node, Node::Record(fields));
    }
    reader.nodes.done(root)
}

struct Reader {
    nodes: Nodes,
    named: std::collections::HashMap<String, NodeId>,
    open: Vec<(String, NodeId)>,
}

impl Reader {
    fn message(&mut self, name: &str) -> NodeId {
        if let Some(node) = self.named.get(name) {
            return *node;
        }
        let node = self.nodes.reserve();
        self.named.insert(name.to_owned(), node);
        // Well-known types have a JSON form of their own, which is no record.
        if !name.starts_with("google.protobuf.") {
            self.open.push((name.to_owned(), node));
        }
        node
    }

    fn field(&mut self, message: &str, field: FieldOutline) -> Field {
        let inner = match field.kind {
            TypeOutline::Scalar(type_name) => self.nodes.scalar(type_name),
            TypeOutline::Message(name) => self.message(&name),
            // As in the counterpart, the entries of maps are not visited.
            TypeOutline::Map => self.nodes.reserve(),
        };
        let node = if field.repeated {
            self.nodes.add(Node::List(inner))
        } else {
            inner
        };
        let other_name = (field.json_name != field.name).then_some(field.json_name);
        Field {
            full_name: format!("{message}.{}", field.name),
            name: field.name,
            other_name,
            tags: field.tags,
            node,
        }
    }
}
