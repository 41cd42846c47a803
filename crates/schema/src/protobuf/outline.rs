//! The fields of a message, as rules on fields see them.

use std::collections::BTreeSet;

use super::ProtobufSchema;
use super::ast::{FieldType, Label, Scalar};
use super::names::{Declared, Names};
use super::print::map_entry;
use super::tags;

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TypeOutline {
    /// By the name that rules have for it (`RuleContext.Type`).
    Scalar(&'static str),
    /// The full name of a message.
    Message(String),
    Map,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldOutline {
    pub name: String,
    pub json_name: String,
    pub repeated: bool,
    pub kind: TypeOutline,
    pub tags: BTreeSet<String>,
}

impl ProtobufSchema {
    /// The fields of the message of that full name; none if there is no such message.
    pub(crate) fn outline(&self, full: &str) -> Vec<FieldOutline> {
        let names = self.names();
        let Some(named) = names.find(full) else {
            return Vec::new();
        };
        let Declared::Message(message) = named.declared else {
            return Vec::new();
        };
        let fields = message.all_fields().map(|field| FieldOutline {
            name: field.name.clone(),
            json_name: field.json_name(),
            repeated: field.label == Some(Label::Repeated),
            kind: kind(&names, &field.kind, full),
            tags: tags::field_tags(field),
        });
        fields.collect()
    }
}

fn kind(names: &Names<'_>, kind: &FieldType, scope: &str) -> TypeOutline {
    match kind {
        FieldType::Scalar(scalar) => TypeOutline::Scalar(scalar_name(*scalar)),
        FieldType::Map(..) => TypeOutline::Map,
        FieldType::Named(name) => match names.resolve(name, scope) {
            Some((_, named)) if matches!(named.declared, Declared::Enum(_)) => {
                TypeOutline::Scalar("ENUM")
            }
            Some((_, named)) if matches!(named.declared, Declared::Message(entry) if map_entry(entry).is_some()) => {
                TypeOutline::Map
            }
            Some((full, _)) => TypeOutline::Message(full),
            None => TypeOutline::Map,
        },
    }
}

fn scalar_name(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::Int32 | Scalar::Uint32 | Scalar::Sint32 | Scalar::Fixed32 | Scalar::Sfixed32 => {
            "INT"
        }
        Scalar::Int64 | Scalar::Uint64 | Scalar::Sint64 | Scalar::Fixed64 | Scalar::Sfixed64 => {
            "LONG"
        }
        Scalar::Float => "FLOAT",
        Scalar::Double => "DOUBLE",
        Scalar::Bool => "BOOLEAN",
        Scalar::String => "STRING",
        Scalar::Bytes => "BYTES",
    }
}
