//! From declarations to a `FileDescriptorProto`.

use prost_types::field_descriptor_proto::{Label as ProtoLabel, Type as ProtoType};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, EnumValueDescriptorProto,
    FieldDescriptorProto, FieldOptions, FileDescriptorProto, MessageOptions, MethodDescriptorProto,
    OneofDescriptorProto, ServiceDescriptorProto, descriptor_proto, enum_descriptor_proto,
};

use super::OWN_FILE;
use crate::protobuf::ast::{
    Enum, Extend, Field, FieldType, Group, ImportKind, Label, Message, OptionDecl, Place, Reserved,
    Scalar, Span, Syntax, Type, Value, default_json_name, enums, feature, messages,
};
use crate::protobuf::lexer::integer;
use crate::protobuf::names::{Declared, Names, Source, join};

/// Options that are still to be put in their place.
pub(super) struct Pending {
    /// Field numbers and indexes from the file to what has the options.
    pub path: Vec<i32>,
    pub options: Vec<OptionDecl>,
    pub scope: String,
}

pub(super) struct Built {
    pub file: FileDescriptorProto,
    pub options: Vec<Pending>,
}

/// Numbers of fields in `descriptor.proto`.
mod tag {
    pub(super) const FILE_MESSAGE: i32 = 4;
    pub(super) const FILE_ENUM: i32 = 5;
    pub(super) const FILE_SERVICE: i32 = 6;
    pub(super) const FILE_EXTENSION: i32 = 7;
    pub(super) const MESSAGE_FIELD: i32 = 2;
    pub(super) const MESSAGE_NESTED: i32 = 3;
    pub(super) const MESSAGE_ENUM: i32 = 4;
    pub(super) const MESSAGE_RANGE: i32 = 5;
    pub(super) const MESSAGE_EXTENSION: i32 = 6;
    pub(super) const MESSAGE_ONEOF: i32 = 8;
    pub(super) const ENUM_VALUE: i32 = 2;
    pub(super) const SERVICE_METHOD: i32 = 2;
}

/// The descriptor of one file. `lowered`: editions become proto3, and files whose types are used are imported.
pub(super) fn file(source: &Source, names: &Names<'_>, lowered: bool) -> Built {
    let file = &source.file;
    let mut builder = Builder {
        names,
        source,
        syntax: file.syntax(),
        lowered,
        to_proto2: lowered && starts_above_zero(&file.types),
        options: Vec::new(),
        dependencies: file
            .imports
            .iter()
            .map(|import| import.path.clone())
            .collect(),
    };
    let scope = file.package().to_owned();
    builder.pend(&[], &file.options, &scope);
    let features = Features::default().with(&file.options);
    let mut proto = FileDescriptorProto {
        name: Some(if source.path.is_empty() {
            OWN_FILE.to_owned()
        } else {
            source.path.clone()
        }),
        package: file.package.clone(),
        syntax: match builder.syntax {
            Syntax::Proto2 => None,
            Syntax::Edition(_) if builder.to_proto2 => None,
            Syntax::Proto3 | Syntax::Edition(_) => Some("proto3".to_owned()),
        },
        ..FileDescriptorProto::default()
    };
    for (index, message) in file.messages().enumerate() {
        let path = [tag::FILE_MESSAGE, number(index)];
        proto
            .message_type
            .push(builder.message(message, &scope, &path, features));
    }
    for (index, each) in enums(&file.types).enumerate() {
        let path = [tag::FILE_ENUM, number(index)];
        proto
            .enum_type
            .push(builder.enumeration(each, &scope, &path));
    }
    for (index, service) in file.services.iter().enumerate() {
        let path = [tag::FILE_SERVICE, number(index)];
        proto.service.push(builder.service(service, &scope, &path));
    }
    let at = &[][..];
    let mut nested = Vec::new();
    let extensions = (
        tag::FILE_EXTENSION,
        tag::FILE_MESSAGE,
        proto.message_type.len(),
    );
    proto.extension = builder.extends(&file.extends, &scope, at, extensions, features, &mut nested);
    proto.message_type.append(&mut nested);
    proto.dependency = builder.dependencies;
    for (index, import) in file.imports.iter().enumerate() {
        match import.kind {
            ImportKind::Public => proto.public_dependency.push(number(index)),
            ImportKind::Weak => proto.weak_dependency.push(number(index)),
            ImportKind::Plain | ImportKind::Option => {}
        }
    }
    Built {
        file: proto,
        options: builder.options,
    }
}

/// Whether an enum among them, however deep, has a first value other than zero.
fn starts_above_zero(types: &[Type]) -> bool {
    types.iter().any(|each| match each {
        Type::Message(message) => starts_above_zero(&message.types),
        Type::Enum(each) => each
            .constants
            .first()
            .is_some_and(|first| first.number != 0),
    })
}

fn number(index: usize) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

/// The features of editions that decide how data is written; the default is that of editions 2023 and 2024.
#[derive(Debug, Clone, Copy, Default)]
struct Features {
    implicit: bool,
    expanded: bool,
    delimited: bool,
}

impl Features {
    fn with(mut self, options: &[OptionDecl]) -> Self {
        if let Some(word) = feature(options, "field_presence") {
            self.implicit = word == "IMPLICIT";
        }
        if let Some(word) = feature(options, "repeated_field_encoding") {
            self.expanded = word == "EXPANDED";
        }
        if let Some(word) = feature(options, "message_encoding") {
            self.delimited = word == "DELIMITED";
        }
        self
    }
}

struct Builder<'a> {
    names: &'a Names<'a>,
    source: &'a Source,
    syntax: Syntax,
    lowered: bool,
    /// An edition whose enums do not start with zero, which proto3 cannot have: all fields get presence then.
    to_proto2: bool,
    options: Vec<Pending>,
    dependencies: Vec<String>,
}

/// A field or a group, to be put in the order written.
enum Member<'a> {
    Field(&'a Field),
    Group(&'a Group),
}

impl Builder<'_> {
    fn pend(&mut self, path: &[i32], options: &[OptionDecl], scope: &str) {
        let special =
            |option: &OptionDecl| option.is_plain("default") || option.is_plain("json_name");
        let options: Vec<OptionDecl> = options
            .iter()
            .filter(|option| !special(option))
            .cloned()
            .collect();
        if !options.is_empty() {
            self.options.push(Pending {
                path: path.to_vec(),
                options,
                scope: scope.to_owned(),
            });
        }
    }

    fn message(
        &mut self,
        message: &Message,
        scope: &str,
        path: &[i32],
        features: Features,
    ) -> DescriptorProto {
        let full = join(scope, &message.name);
        let features = features.with(&message.options);
        self.pend(path, &message.options, &full);
        let mut proto = DescriptorProto {
            name: Some(message.name.clone()),
            ..DescriptorProto::default()
        };
        if is_sound_entry(message) {
            let options = MessageOptions {
                map_entry: Some(true),
                ..MessageOptions::default()
            };
            proto.options = Some(options);
        }
        for (index, nested) in messages(&message.types).enumerate() {
            let path = [path, &[tag::MESSAGE_NESTED, number(index)]].concat();
            proto
                .nested_type
                .push(self.message(nested, &full, &path, features));
        }
        for (index, each) in enums(&message.types).enumerate() {
            let path = [path, &[tag::MESSAGE_ENUM, number(index)]].concat();
            proto.enum_type.push(self.enumeration(each, &full, &path));
        }
        self.oneofs(message, &full, path, &mut proto);
        self.members(message, &full, path, features, &mut proto);
        let mut nested = Vec::new();
        let places = (
            tag::MESSAGE_EXTENSION,
            tag::MESSAGE_NESTED,
            proto.nested_type.len(),
        );
        proto.extension =
            self.extends(&message.extends, &full, path, places, features, &mut nested);
        proto.nested_type.append(&mut nested);
        self.ranges(message, &full, path, &mut proto);
        proto
    }

    fn oneofs(
        &mut self,
        message: &Message,
        scope: &str,
        path: &[i32],
        proto: &mut DescriptorProto,
    ) {
        for (index, oneof) in message.oneofs.iter().enumerate() {
            let path = [path, &[tag::MESSAGE_ONEOF, number(index)]].concat();
            self.pend(&path, &oneof.options, scope);
            proto.oneof_decl.push(OneofDescriptorProto {
                name: Some(oneof.name.clone()),
                options: None,
            });
        }
    }

    fn members(
        &mut self,
        message: &Message,
        scope: &str,
        path: &[i32],
        features: Features,
        proto: &mut DescriptorProto,
    ) {
        let mut members: Vec<(Place, Member<'_>, Option<i32>)> = Vec::new();
        let own = (&message.fields, &message.groups, None);
        let of_oneofs = message
            .oneofs
            .iter()
            .enumerate()
            .map(|(index, oneof)| (&oneof.fields, &oneof.groups, Some(number(index))));
        for (fields, groups, oneof) in std::iter::once(own).chain(of_oneofs) {
            members.extend(
                fields
                    .iter()
                    .map(|field| (field.at, Member::Field(field), oneof)),
            );
            members.extend(
                groups
                    .iter()
                    .map(|group| (group.at, Member::Group(group), oneof)),
            );
        }
        members.sort_by_key(|(at, _, _)| *at);
        for (index, (_, member, oneof)) in members.into_iter().enumerate() {
            let field_path = [path, &[tag::MESSAGE_FIELD, number(index)]].concat();
            let mut field = match member {
                Member::Field(field) => {
                    if let FieldType::Map(key, value) = &field.kind {
                        proto
                            .nested_type
                            .push(self.entry(field, *key, value, scope));
                    }
                    self.field(field, scope, &field_path, features)
                }
                Member::Group(group) => {
                    let place = [tag::MESSAGE_NESTED, number(proto.nested_type.len())];
                    let group_path = [path, &place].concat();
                    proto
                        .nested_type
                        .push(self.message(&group.body, scope, &group_path, features));
                    self.group(group, scope, &field_path)
                }
            };
            field.oneof_index = oneof;
            if oneof.is_none() && self.is_optional(&field, features) {
                field.proto3_optional = Some(true);
                field.oneof_index = Some(number(proto.oneof_decl.len()));
                proto.oneof_decl.push(OneofDescriptorProto {
                    name: Some(format!("_{}", field.name())),
                    options: None,
                });
            } else {
                field.proto3_optional = None;
            }
            proto.field.push(field);
        }
    }

    /// Whether presence has to be told with proto3's own means.
    fn is_optional(&self, field: &FieldDescriptorProto, features: Features) -> bool {
        match self.syntax {
            Syntax::Proto2 => false,
            Syntax::Proto3 => field.proto3_optional == Some(true),
            Syntax::Edition(_) if !self.lowered || self.to_proto2 => false,
            Syntax::Edition(_) => {
                let implicit = field
                    .proto3_optional
                    .map_or(features.implicit, |explicit| !explicit);
                field.label() != ProtoLabel::Repeated
                    && !implicit
                    && !matches!(field.r#type(), ProtoType::Message | ProtoType::Group)
            }
        }
    }

    fn entry(
        &mut self,
        field: &Field,
        key: Scalar,
        value: &FieldType,
        scope: &str,
    ) -> DescriptorProto {
        let name = entry_name(&field.name);
        let scope = join(scope, &name);
        let lowered = self.lowered;
        let mut part = |name: &str, number: i32, kind: &FieldType| {
            let (kind, type_name) = self.kind(kind, &scope);
            FieldDescriptorProto {
                name: Some(name.to_owned()),
                number: Some(number),
                label: Some(ProtoLabel::Optional.into()),
                r#type: Some(kind.into()),
                type_name,
                json_name: lowered.then(|| name.to_owned()),
                ..FieldDescriptorProto::default()
            }
        };
        let key = part("key", 1, &FieldType::Scalar(key));
        let value = part("value", 2, value);
        DescriptorProto {
            name: Some(name),
            field: vec![key, value],
            options: Some(MessageOptions {
                map_entry: Some(true),
                ..MessageOptions::default()
            }),
            ..DescriptorProto::default()
        }
    }

    /// The type, and the full name of one that has a name.
    fn kind(&mut self, kind: &FieldType, scope: &str) -> (ProtoType, Option<String>) {
        match kind {
            FieldType::Scalar(scalar) => (scalar_type(*scalar), None),
            FieldType::Map(..) => (ProtoType::Message, None),
            FieldType::Named(name) => {
                let full = self.full(name, scope);
                let kind = match self.names.find(full.trim_start_matches('.')) {
                    Some(named) if matches!(named.declared, Declared::Enum(_)) => ProtoType::Enum,
                    _ => ProtoType::Message,
                };
                (kind, Some(full))
            }
        }
    }

    /// `.full.name`; the file that defines it becomes a dependency when the descriptor is for reading data.
    fn full(&mut self, name: &str, scope: &str) -> String {
        let Some((full, named)) = self.names.resolve(name, scope) else {
            return name.to_owned();
        };
        let path = &named.source.path;
        if self.lowered && *path != self.source.path && !self.dependencies.contains(path) {
            self.dependencies.push(path.clone());
        }
        format!(".{full}")
    }

    fn field(
        &mut self,
        field: &Field,
        scope: &str,
        path: &[i32],
        features: Features,
    ) -> FieldDescriptorProto {
        self.pend(path, &field.options, scope);
        let edition = matches!(self.syntax, Syntax::Edition(_));
        let own = features.with(&field.options);
        let (mut kind, mut type_name) = self.kind(&field.kind, scope);
        let mut label = match field.label {
            Some(Label::Repeated) => ProtoLabel::Repeated,
            Some(Label::Required) => ProtoLabel::Required,
            Some(Label::Optional) | None => ProtoLabel::Optional,
        };
        if let FieldType::Map(..) = field.kind {
            label = ProtoLabel::Repeated;
            type_name = Some(format!(".{}", join(scope, &entry_name(&field.name))));
        } else if edition && self.lowered && own.delimited && kind == ProtoType::Message {
            kind = ProtoType::Group;
        }
        let packed = field
            .option("packed")
            .map(|option| option.value == Value::Bool(true));
        let repeated_number = label == ProtoLabel::Repeated
            && !matches!(
                kind,
                ProtoType::String | ProtoType::Bytes | ProtoType::Message | ProtoType::Group
            );
        let packed =
            packed.or((edition && self.lowered && repeated_number).then_some(!own.expanded));
        FieldDescriptorProto {
            name: Some(field.name.clone()),
            number: Some(field.number),
            label: Some(label.into()),
            r#type: Some(kind.into()),
            type_name,
            default_value: field
                .option("default")
                .map(|option| default_text(&option.value, kind)),
            json_name: (self.lowered || field.option("json_name").is_some())
                .then(|| field.json_name()),
            options: packed.map(|packed| FieldOptions {
                packed: Some(packed),
                ..FieldOptions::default()
            }),
            // In editions: whether presence is explicit, until the caller decides.
            proto3_optional: if edition {
                Some(!own.implicit)
            } else {
                Some(field.label == Some(Label::Optional) && self.syntax == Syntax::Proto3)
            },
            ..FieldDescriptorProto::default()
        }
    }

    fn group(&mut self, group: &Group, scope: &str, path: &[i32]) -> FieldDescriptorProto {
        self.pend(path, &group.options, scope);
        let label = match group.label {
            Some(Label::Repeated) => ProtoLabel::Repeated,
            Some(Label::Required) => ProtoLabel::Required,
            Some(Label::Optional) | None => ProtoLabel::Optional,
        };
        let name = group.body.name.to_ascii_lowercase();
        FieldDescriptorProto {
            json_name: self.lowered.then(|| default_json_name(&name)),
            name: Some(name),
            number: Some(group.number),
            label: Some(label.into()),
            r#type: Some(ProtoType::Group.into()),
            type_name: Some(format!(".{}", join(scope, &group.body.name))),
            ..FieldDescriptorProto::default()
        }
    }

    /// Extensions, and the messages of those that are groups. `places`: the tags of extensions and of nested
    /// messages, and how many of these there are.
    fn extends(
        &mut self,
        extends: &[Extend],
        scope: &str,
        path: &[i32],
        (extension_tag, nested_tag, mut count): (i32, i32, usize),
        features: Features,
        nested: &mut Vec<DescriptorProto>,
    ) -> Vec<FieldDescriptorProto> {
        let mut all = Vec::new();
        for extend in extends {
            let extendee = self.full(&extend.name, scope);
            for field in &extend.fields {
                let path = [path, &[extension_tag, number(all.len())]].concat();
                let mut proto = self.field(field, scope, &path, features);
                proto.extendee = Some(extendee.clone());
                let optional = proto.proto3_optional == Some(true) && self.syntax == Syntax::Proto3;
                proto.proto3_optional = optional.then_some(true);
                all.push(proto);
            }
            for group in &extend.groups {
                let group_path = [path, &[nested_tag, number(count)]].concat();
                nested.push(self.message(&group.body, scope, &group_path, features));
                count += 1;
                let path = [path, &[extension_tag, number(all.len())]].concat();
                let mut proto = self.group(group, scope, &path);
                proto.extendee = Some(extendee.clone());
                all.push(proto);
            }
        }
        all
    }

    fn ranges(
        &mut self,
        message: &Message,
        scope: &str,
        path: &[i32],
        proto: &mut DescriptorProto,
    ) {
        for extensions in &message.extensions {
            for span in &extensions.spans {
                let Some((start, end)) = bounds(span) else {
                    continue;
                };
                let place = [tag::MESSAGE_RANGE, number(proto.extension_range.len())];
                self.pend(&[path, &place].concat(), &extensions.options, scope);
                proto
                    .extension_range
                    .push(descriptor_proto::ExtensionRange {
                        start: Some(start),
                        end: Some(end.saturating_add(1)),
                        options: None,
                    });
            }
        }
        let (ranges, names) = reserved(&message.reserved);
        proto.reserved_range = ranges
            .into_iter()
            .map(|(start, end)| descriptor_proto::ReservedRange {
                start: Some(start),
                end: Some(end.saturating_add(1)),
            })
            .collect();
        proto.reserved_name = names;
    }

    fn enumeration(&mut self, each: &Enum, scope: &str, path: &[i32]) -> EnumDescriptorProto {
        self.pend(path, &each.options, scope);
        let mut value = Vec::new();
        for (index, constant) in each.constants.iter().enumerate() {
            let path = [path, &[tag::ENUM_VALUE, number(index)]].concat();
            self.pend(&path, &constant.options, scope);
            value.push(EnumValueDescriptorProto {
                name: Some(constant.name.clone()),
                number: Some(constant.number),
                options: None,
            });
        }
        let aliases = each
            .options
            .iter()
            .any(|option| option.is_plain("allow_alias") && option.value == Value::Bool(true));
        let (ranges, reserved_name) = reserved(&each.reserved);
        EnumDescriptorProto {
            name: Some(each.name.clone()),
            value,
            options: aliases.then(|| EnumOptions {
                allow_alias: Some(true),
                ..EnumOptions::default()
            }),
            reserved_range: ranges
                .into_iter()
                .map(|(start, end)| enum_descriptor_proto::EnumReservedRange {
                    start: Some(start),
                    end: Some(end),
                })
                .collect(),
            reserved_name,
        }
    }

    fn service(
        &mut self,
        service: &crate::protobuf::ast::Service,
        scope: &str,
        path: &[i32],
    ) -> ServiceDescriptorProto {
        self.pend(path, &service.options, scope);
        let mut method = Vec::new();
        for (index, rpc) in service.rpcs.iter().enumerate() {
            let path = [path, &[tag::SERVICE_METHOD, number(index)]].concat();
            self.pend(&path, &rpc.options, scope);
            method.push(MethodDescriptorProto {
                name: Some(rpc.name.clone()),
                input_type: Some(self.full(&rpc.request, scope)),
                output_type: Some(self.full(&rpc.response, scope)),
                options: None,
                client_streaming: rpc.request_streams.then_some(true),
                server_streaming: rpc.response_streams.then_some(true),
            });
        }
        ServiceDescriptorProto {
            name: Some(service.name.clone()),
            method,
            options: None,
        }
    }
}

fn bounds(span: &Span) -> Option<(i32, i32)> {
    match span {
        Span::Number(number) => Some((*number, *number)),
        Span::Range(start, end) => Some((*start, *end)),
        Span::Name(_) => None,
    }
}

fn reserved(all: &[Reserved]) -> (Vec<(i32, i32)>, Vec<String>) {
    let spans = || all.iter().flat_map(|each| &each.spans);
    let names = spans().filter_map(|span| match span {
        Span::Name(name) => Some(name.clone()),
        _ => None,
    });
    (spans().filter_map(bounds).collect(), names.collect())
}

/// protoc's name of the message that a map's entries are.
fn entry_name(field: &str) -> String {
    let mut name = String::with_capacity(field.len() + 5);
    let mut large = true;
    for each in field.chars() {
        if each == '_' {
            large = true;
        } else if large {
            name.push(each.to_ascii_uppercase());
            large = false;
        } else {
            name.push(each);
        }
    }
    name.push_str("Entry");
    name
}

fn scalar_type(scalar: Scalar) -> ProtoType {
    match scalar {
        Scalar::Double => ProtoType::Double,
        Scalar::Float => ProtoType::Float,
        Scalar::Int32 => ProtoType::Int32,
        Scalar::Int64 => ProtoType::Int64,
        Scalar::Uint32 => ProtoType::Uint32,
        Scalar::Uint64 => ProtoType::Uint64,
        Scalar::Sint32 => ProtoType::Sint32,
        Scalar::Sint64 => ProtoType::Sint64,
        Scalar::Fixed32 => ProtoType::Fixed32,
        Scalar::Fixed64 => ProtoType::Fixed64,
        Scalar::Sfixed32 => ProtoType::Sfixed32,
        Scalar::Sfixed64 => ProtoType::Sfixed64,
        Scalar::Bool => ProtoType::Bool,
        Scalar::String => ProtoType::String,
        Scalar::Bytes => ProtoType::Bytes,
    }
}

/// An entry that the library can read: it counts on a key and a value.
fn is_sound_entry(message: &Message) -> bool {
    let plain = |name: &str, number: i32| {
        let found = message.fields.iter().find(|field| field.name == name);
        found.filter(|field| field.number == number && field.label != Some(Label::Repeated))
    };
    let key = plain("key", 1).map(|field| &field.kind);
    let is_key = |scalar: Scalar| !matches!(scalar, Scalar::Float | Scalar::Double | Scalar::Bytes);
    message.is_map_entry()
        && message.oneofs.is_empty()
        && matches!(key, Some(FieldType::Scalar(scalar)) if is_key(*scalar))
        && plain("value", 2).is_some_and(|field| !matches!(field.kind, FieldType::Map(..)))
}

/// As C writes it, octal where it is not printable, which is how protoc spells default values of bytes.
fn escaped_byte(byte: u8) -> String {
    match byte {
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        b'\t' => "\\t".to_owned(),
        b'"' | b'\'' | b'\\' => format!("\\{}", char::from(byte)),
        0x20..=0x7E => char::from(byte).to_string(),
        other => format!("\\{other:03o}"),
    }
}

/// A default value as `FieldDescriptorProto.default_value` spells it.
fn default_text(value: &Value, kind: ProtoType) -> String {
    match value {
        Value::Str(bytes) if kind == ProtoType::Bytes => {
            bytes.iter().map(|byte| escaped_byte(*byte)).collect()
        }
        Value::Str(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(text) => {
            let (sign, digits) = match text.strip_prefix('-') {
                Some(digits) => ("-", digits),
                None => ("", text.as_str()),
            };
            match integer(digits) {
                Some(number) => format!("{sign}{number}"),
                None => text.clone(),
            }
        }
        Value::Word(word) => word.clone(),
        Value::Map(_) | Value::List(_) => String::new(),
    }
}
