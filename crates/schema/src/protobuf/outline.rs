//! The fields of a message, as rules on fields see them; all declarations of a file, as people see them.

use std::collections::BTreeSet;

use super::ProtobufSchema;
use super::ast::{Field, FieldType, Label, Message, Scalar, Syntax, Type};
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

/// A declaration of a file with what is said of it, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declaration {
    /// The names that lead to it, within the package.
    pub path: Vec<String>,
    pub traits: Vec<(&'static str, String)>,
}

impl ProtobufSchema {
    /// Every message, field, enum, value and call, in the order of the file.
    pub(crate) fn declarations(&self) -> Vec<Declaration> {
        let file = self.file();
        let syntax = match file.syntax() {
            Syntax::Proto2 => "proto2".to_owned(),
            Syntax::Proto3 => "proto3".to_owned(),
            Syntax::Edition(year) => format!("edition {year}"),
        };
        let mut traits = vec![("syntax", syntax), ("package", file.package().to_owned())];
        let imports: Vec<&str> = file.imports.iter().map(|each| each.path.as_str()).collect();
        traits.push(("imports", imports.join(", ")));
        traits.retain(|(_, value)| !value.is_empty());
        let mut out = vec![Declaration {
            path: Vec::new(),
            traits,
        }];
        declare_types(&file.types, &[], &mut out);
        for service in &file.services {
            for rpc in &service.rpcs {
                let stream = |streams| if streams { "stream " } else { "" };
                let call = format!(
                    "({}{}) returns ({}{})",
                    stream(rpc.request_streams),
                    rpc.request,
                    stream(rpc.response_streams),
                    rpc.response
                );
                out.push(Declaration {
                    path: vec![service.name.clone(), rpc.name.clone()],
                    traits: vec![("type", call)],
                });
            }
        }
        out
    }
}

fn declare_types(types: &[Type], path: &[String], out: &mut Vec<Declaration>) {
    for each in types {
        let path = below(path, each.name());
        match each {
            Type::Message(message) if message.is_map_entry() => {}
            Type::Message(message) => {
                out.push(Declaration {
                    path: path.clone(),
                    traits: vec![("type", "message".to_owned())],
                });
                declare_fields(message, &path, out);
                declare_types(&message.types, &path, out);
            }
            Type::Enum(each) => {
                out.push(Declaration {
                    path: path.clone(),
                    traits: vec![("type", "enum".to_owned())],
                });
                for constant in &each.constants {
                    out.push(Declaration {
                        path: below(&path, &constant.name),
                        traits: vec![("number", constant.number.to_string())],
                    });
                }
            }
        }
    }
}

fn declare_fields(message: &Message, path: &[String], out: &mut Vec<Declaration>) {
    let mut declare = |field: &Field, oneof: Option<&str>| {
        let label = field.label.map(|label| format!("{} ", label.name()));
        let mut traits = vec![
            (
                "type",
                format!("{}{}", label.unwrap_or_default(), field.kind),
            ),
            ("number", field.number.to_string()),
        ];
        traits.extend(oneof.map(|oneof| ("oneof", oneof.to_owned())));
        let tags: Vec<String> = tags::field_tags(field).into_iter().collect();
        if !tags.is_empty() {
            traits.push(("tags", tags.join(", ")));
        }
        out.push(Declaration {
            path: below(path, &field.name),
            traits,
        });
    };
    message.fields.iter().for_each(|field| declare(field, None));
    for oneof in &message.oneofs {
        oneof
            .fields
            .iter()
            .for_each(|field| declare(field, Some(&oneof.name)));
    }
    for group in message.all_groups() {
        let path = below(path, &group.body.name);
        out.push(Declaration {
            path: path.clone(),
            traits: vec![
                ("type", "group".to_owned()),
                ("number", group.number.to_string()),
            ],
        });
        declare_fields(&group.body, &path, out);
        declare_types(&group.body.types, &path, out);
    }
}

fn below(path: &[String], name: &str) -> Vec<String> {
    let mut path = path.to_vec();
    path.push(name.to_owned());
    path
}
