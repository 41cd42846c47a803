//! From a serialised `FileDescriptorProto` to declarations.
//!
//! The counterpart takes a schema in this form as well as a text (`ProtobufSchema.toProtoFile`), and clients that have
//! no text send it. What comes out has no places, and the entries of maps as messages, as the descriptor has them.

use prost_reflect::{DescriptorPool, DynamicMessage, Value as Data};

use super::{FILE_MESSAGE, options, pool_of_all};
use crate::protobuf::ast::{
    Constant, Enum, Extend, Extensions, Field, FieldType, File, Group, Import, ImportKind, Label,
    Message, Oneof, OptionDecl, Place, Reserved, Rpc, Scalar, Service, Span, Syntax, Type, Value,
    messages,
};
use crate::protobuf::lexer::{Lexer, Token};
use crate::protobuf::names::{Names, Source};
use crate::protobuf::parser::{self, FIELD_NUMBER_MAX, NESTING_MAX};
use crate::protobuf::print::{self, Style};

/// The file; `references` declare its custom options. None if the bytes are no file descriptor, or one that no text
/// could have.
///
/// What was read is printed and parsed, so that nothing is let in that a text could not say, and has places. The
/// library that knows descriptors is never given the bytes as a file: it panics on some.
pub(crate) fn from_bytes(bytes: &[u8], references: &[Source]) -> Option<File> {
    let pool = pool_of_all(references, &Names::of(references)).ok()?;
    let mut file = read(&pool, bytes)?;
    if declares_extensions(&file) {
        // Options that the file itself declares are known once it is in the pool.
        let mut sources = references.to_vec();
        sources.push(Source {
            path: String::new(),
            file: parsed(&file, references)?,
        });
        if let Ok(pool) = pool_of_all(&sources, &Names::of(&sources)) {
            file = read(&pool, bytes)?;
        }
    }
    parsed(&file, references)
}

fn parsed(file: &File, references: &[Source]) -> Option<File> {
    let text = print::print(file, &Names::of(references), Style::default());
    parser::parse(&text).ok()
}

fn declares_extensions(file: &File) -> bool {
    fn within(types: &[Type]) -> bool {
        messages(types).any(|message| !message.extends.is_empty() || within(&message.types))
    }
    !file.extends.is_empty() || within(&file.types)
}

fn read(pool: &DescriptorPool, bytes: &[u8]) -> Option<File> {
    let descriptor = pool.get_message_by_name(FILE_MESSAGE)?;
    let message = DynamicMessage::decode(descriptor, bytes).ok()?;
    let file = Node(&message);
    let empty = ["message_type", "enum_type", "extension", "service"]
        .iter()
        .all(|part| file.list(part).is_empty());
    if empty {
        return None;
    }
    let reader = Reader {
        proto3: file.text("syntax") == "proto3",
        edition: file.text("syntax") == "editions",
    };
    reader.file(file)
}

/// A message of `descriptor.proto`, read by the names of its fields.
#[derive(Clone, Copy)]
struct Node<'a>(&'a DynamicMessage);

impl<'a> Node<'a> {
    fn get(&self, name: &str) -> Option<&'a Data> {
        let found = self.0.fields().find(|(field, _)| field.name() == name);
        found.map(|(_, data)| data)
    }

    fn text(&self, name: &str) -> String {
        self.get(name)
            .and_then(Data::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn number(&self, name: &str) -> i32 {
        match self.get(name) {
            Some(Data::I32(number) | Data::EnumNumber(number)) => *number,
            _ => 0,
        }
    }

    fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(Data::as_bool).unwrap_or_default()
    }

    fn list(&self, name: &str) -> Vec<Node<'a>> {
        let list = self.get(name).and_then(Data::as_list).unwrap_or_default();
        list.iter().filter_map(Data::as_message).map(Node).collect()
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let list = self.get(name).and_then(Data::as_list).unwrap_or_default();
        list.iter()
            .filter_map(Data::as_str)
            .map(str::to_owned)
            .collect()
    }

    fn numbers(&self, name: &str) -> Vec<i32> {
        let list = self.get(name).and_then(Data::as_list).unwrap_or_default();
        list.iter().filter_map(Data::as_i32).collect()
    }

    fn options(&self) -> Vec<OptionDecl> {
        let set = self.get("options").and_then(Data::as_message);
        set.map(options::written).unwrap_or_default()
    }
}

struct Reader {
    proto3: bool,
    edition: bool,
}

impl Reader {
    fn file(&self, node: Node<'_>) -> Option<File> {
        let syntax = match node.text("syntax").as_str() {
            "proto3" => Some(Syntax::Proto3),
            "proto2" => Some(Syntax::Proto2),
            "editions" => {
                let year = node
                    .number("edition")
                    .checked_sub(1000)?
                    .checked_add(2023)?;
                Some(Syntax::Edition(
                    u16::try_from(year)
                        .ok()
                        .filter(|year| (2023..=2024).contains(year))?,
                ))
            }
            _ => None,
        };
        let (public, weak) = (
            node.numbers("public_dependency"),
            node.numbers("weak_dependency"),
        );
        let imports = node
            .texts("dependency")
            .into_iter()
            .enumerate()
            .map(|(index, path)| {
                let index = i32::try_from(index).unwrap_or(i32::MAX);
                let kind = if public.contains(&index) {
                    ImportKind::Public
                } else if weak.contains(&index) {
                    ImportKind::Weak
                } else {
                    ImportKind::Plain
                };
                Import {
                    kind,
                    path,
                    at: Place::default(),
                }
            });
        let mut types = Vec::new();
        let groups = group_names(&node.list("extension"));
        for message in node.list("message_type") {
            if !groups.contains(&message.text("name")) {
                types.push(Type::Message(self.message(message, 0)?));
            }
        }
        types.extend(
            node.list("enum_type")
                .into_iter()
                .map(|each| Type::Enum(self.enumeration(each))),
        );
        Some(File {
            syntax,
            package: Some(node.text("package")).filter(|package| !package.is_empty()),
            imports: imports.collect(),
            options: node.options(),
            types,
            extends: self.extends(node, "message_type", 0)?,
            services: node.list("service").into_iter().map(service).collect(),
        })
    }

    fn message(&self, node: Node<'_>, depth: usize) -> Option<Message> {
        if depth > NESTING_MAX {
            return None;
        }
        let mut message = Message {
            name: node.text("name"),
            options: node.options(),
            ..Message::default()
        };
        let fields = node.list("field");
        let mut groups = group_names(&fields);
        groups.extend(group_names(&node.list("extension")));
        for nested in node.list("nested_type") {
            if !groups.contains(&nested.text("name")) {
                message
                    .types
                    .push(Type::Message(self.message(nested, depth + 1)?));
            }
        }
        let enums = node.list("enum_type").into_iter();
        message
            .types
            .extend(enums.map(|each| Type::Enum(self.enumeration(each))));
        message.oneofs = node
            .list("oneof_decl")
            .into_iter()
            .map(|oneof| Oneof {
                name: oneof.text("name"),
                options: oneof.options(),
                fields: Vec::new(),
                groups: Vec::new(),
                at: Place::default(),
            })
            .collect();
        for field in fields {
            let in_oneof = field.has("oneof_index") && !field.flag("proto3_optional");
            let index = usize::try_from(field.number("oneof_index")).ok();
            let oneof = index
                .filter(|_| in_oneof)
                .and_then(|index| message.oneofs.get_mut(index));
            let (fields, into) = match oneof {
                Some(oneof) => (&mut oneof.fields, &mut oneof.groups),
                None => (&mut message.fields, &mut message.groups),
            };
            if self.is_group(field) {
                into.push(self.group(field, node, "nested_type", in_oneof, depth)?);
            } else {
                fields.push(self.field(field, in_oneof)?);
            }
        }
        // The oneofs that stand for `optional` have no fields of their own.
        message
            .oneofs
            .retain(|oneof| !(oneof.fields.is_empty() && oneof.groups.is_empty()));
        message.extends = self.extends(node, "nested_type", depth)?;
        message.reserved = reserved(node, true);
        message.extensions = node
            .list("extension_range")
            .into_iter()
            .map(extension_range)
            .collect();
        Some(message)
    }

    fn is_group(&self, field: Node<'_>) -> bool {
        field.number("type") == 10 && !self.edition
    }

    fn group(
        &self,
        field: Node<'_>,
        parent: Node<'_>,
        types: &str,
        in_oneof: bool,
        depth: usize,
    ) -> Option<Group> {
        let name = last_part(&field.text("type_name")).to_owned();
        let body = parent
            .list(types)
            .into_iter()
            .find(|each| each.text("name") == name)?;
        Some(Group {
            label: self.label(field, in_oneof),
            number: field.number("number"),
            options: field.options(),
            body: self.message(body, depth + 1)?,
            at: Place::default(),
        })
    }

    fn label(&self, field: Node<'_>, in_oneof: bool) -> Option<Label> {
        match field.number("label") {
            3 => Some(Label::Repeated),
            2 if !self.edition => Some(Label::Required),
            _ if in_oneof || self.edition => None,
            _ if self.proto3 && !field.flag("proto3_optional") => None,
            _ => Some(Label::Optional),
        }
    }

    fn field(&self, node: Node<'_>, in_oneof: bool) -> Option<Field> {
        let kind = match scalar(node.number("type")) {
            Some(scalar) => FieldType::Scalar(scalar),
            None => FieldType::Named(Some(node.text("type_name")).filter(|name| !name.is_empty())?),
        };
        let mut options = node.options();
        let mut special = |name: &str, value| {
            options.push(OptionDecl {
                name: vec![crate::protobuf::ast::NamePart {
                    name: name.to_owned(),
                    extension: false,
                }],
                value,
                at: Place::default(),
            });
        };
        if node.has("default_value") {
            special("default", default_value(node.text("default_value"), &kind));
        }
        if node.has("json_name") {
            special("json_name", Value::Str(node.text("json_name").into_bytes()));
        }
        Some(Field {
            name: node.text("name"),
            number: node.number("number"),
            label: self.label(node, in_oneof),
            kind,
            options,
            at: Place::default(),
        })
    }

    /// Extensions side by side of one message are one block.
    fn extends(&self, node: Node<'_>, types: &str, depth: usize) -> Option<Vec<Extend>> {
        let mut extends: Vec<Extend> = Vec::new();
        for field in node.list("extension") {
            let name = field.text("extendee");
            if extends.last().is_none_or(|last| last.name != name) {
                extends.push(Extend {
                    name,
                    fields: Vec::new(),
                    groups: Vec::new(),
                    at: Place::default(),
                });
            }
            let last = extends.last_mut()?;
            if self.is_group(field) {
                last.groups
                    .push(self.group(field, node, types, false, depth)?);
            } else {
                last.fields.push(self.field(field, false)?);
            }
        }
        Some(extends)
    }

    fn enumeration(&self, node: Node<'_>) -> Enum {
        let constants = node.list("value").into_iter().map(|value| Constant {
            name: value.text("name"),
            number: value.number("number"),
            options: value.options(),
            at: Place::default(),
        });
        Enum {
            name: node.text("name"),
            at: Place::default(),
            visibility: None,
            options: node.options(),
            constants: constants.collect(),
            reserved: reserved(node, false),
        }
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, last)| last)
}

/// The messages that are the bodies of groups.
fn group_names(fields: &[Node<'_>]) -> Vec<String> {
    fields
        .iter()
        .filter(|field| field.number("type") == 10)
        .filter(|field| {
            // A field of an edition with delimited encoding has the type of a group and a name of its own.
            last_part(&field.text("type_name")).to_ascii_lowercase() == field.text("name")
        })
        .map(|field| last_part(&field.text("type_name")).to_owned())
        .collect()
}

fn reserved(node: Node<'_>, exclusive: bool) -> Vec<Reserved> {
    let ranges = node.list("reserved_range").into_iter().map(|range| {
        let end = range.number("end");
        span(
            range.number("start"),
            if exclusive {
                end.saturating_sub(1)
            } else {
                end
            },
        )
    });
    let names = node.texts("reserved_name").into_iter().map(Span::Name);
    ranges
        .chain(names)
        .map(|span| Reserved {
            spans: vec![span],
            at: Place::default(),
        })
        .collect()
}

fn span(start: i32, end: i32) -> Span {
    if start == end {
        Span::Number(start)
    } else {
        Span::Range(start, end)
    }
}

fn extension_range(range: Node<'_>) -> Extensions {
    let end = range.number("end").saturating_sub(1).min(FIELD_NUMBER_MAX);
    Extensions {
        spans: vec![span(range.number("start"), end)],
        options: range.options(),
        at: Place::default(),
    }
}

fn service(node: Node<'_>) -> Service {
    let rpcs = node.list("method").into_iter().map(|method| Rpc {
        name: method.text("name"),
        request: method.text("input_type"),
        request_streams: method.flag("client_streaming"),
        response: method.text("output_type"),
        response_streams: method.flag("server_streaming"),
        options: method.options(),
        at: Place::default(),
    });
    Service {
        name: node.text("name"),
        options: node.options(),
        rpcs: rpcs.collect(),
        at: Place::default(),
    }
}

/// The scalars by `FieldDescriptorProto.Type`.
fn scalar(kind: i32) -> Option<Scalar> {
    Some(match kind {
        1 => Scalar::Double,
        2 => Scalar::Float,
        3 => Scalar::Int64,
        4 => Scalar::Uint64,
        5 => Scalar::Int32,
        6 => Scalar::Fixed64,
        7 => Scalar::Fixed32,
        8 => Scalar::Bool,
        9 => Scalar::String,
        12 => Scalar::Bytes,
        13 => Scalar::Uint32,
        15 => Scalar::Sfixed32,
        16 => Scalar::Sfixed64,
        17 => Scalar::Sint32,
        18 => Scalar::Sint64,
        _ => return None,
    })
}

fn default_value(text: String, kind: &FieldType) -> Value {
    match kind {
        FieldType::Scalar(Scalar::String) => Value::Str(text.into_bytes()),
        FieldType::Scalar(Scalar::Bytes) => Value::Str(unescaped(&text)),
        FieldType::Scalar(Scalar::Bool) => Value::Bool(text == "true"),
        FieldType::Scalar(_) if !matches!(text.as_str(), "inf" | "nan") => Value::Number(text),
        _ => Value::Word(text),
    }
}

/// The bytes of a default value, which a descriptor spells with C's escapes.
fn unescaped(text: &str) -> Vec<u8> {
    let quoted = format!("\"{text}\"");
    let mut lexer = Lexer::new(&quoted);
    match (lexer.next(), lexer.next()) {
        (Ok((Token::Str(bytes), _)), Ok((Token::End, _))) => bytes,
        _ => text.as_bytes().to_vec(),
    }
}
