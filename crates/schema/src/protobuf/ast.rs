//! A .proto file as it was written: every declaration, with what of its spelling a printer needs.
//!
//! Names of types are kept as written (`Status`, `.a.b.Status`) and resolved by [`super::names`], numbers in options
//! keep their spelling, and each declaration keeps its place, so that the order in the file can be had again. Comments
//! and white space are not kept: no form of a Protobuf schema that a registry hands out has them.

use std::fmt;

/// Where in the text: both count from one, columns in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Which language the file is written in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// `syntax = "proto2"`; also what a file without a declaration is.
    #[default]
    Proto2,
    /// `syntax = "proto3"`.
    Proto3,
    /// `edition = "2023"`, `"2024"`.
    Edition(u16),
}

/// How a file is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImportKind {
    Plain,
    Public,
    Weak,
    /// `import option`, edition 2024: for custom options only.
    Option,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Import {
    pub kind: ImportKind,
    pub path: String,
    pub at: Place,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct File {
    /// None: the file says nothing, which means proto2.
    pub syntax: Option<Syntax>,
    pub package: Option<String>,
    pub imports: Vec<Import>,
    pub options: Vec<OptionDecl>,
    pub types: Vec<Type>,
    pub extends: Vec<Extend>,
    pub services: Vec<Service>,
}

impl File {
    pub(crate) fn syntax(&self) -> Syntax {
        self.syntax.clone().unwrap_or_default()
    }

    pub(crate) fn package(&self) -> &str {
        self.package.as_deref().unwrap_or_default()
    }

    /// The messages at the top level, in order: what a message index counts.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &Message> {
        messages(&self.types)
    }
}

/// The messages among types, in order.
pub(crate) fn messages(types: &[Type]) -> impl Iterator<Item = &Message> {
    types.iter().filter_map(|each| match each {
        Type::Message(message) => Some(message),
        Type::Enum(_) => None,
    })
}

/// The enums among types, in order.
pub(crate) fn enums(types: &[Type]) -> impl Iterator<Item = &Enum> {
    types.iter().filter_map(|each| match each {
        Type::Message(_) => None,
        Type::Enum(each) => Some(each),
    })
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    Message(Message),
    Enum(Enum),
}

impl Type {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Message(message) => &message.name,
            Self::Enum(each) => &each.name,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Message {
    pub name: String,
    pub at: Place,
    /// `export` or `local` (edition 2024).
    pub visibility: Option<&'static str>,
    pub options: Vec<OptionDecl>,
    pub fields: Vec<Field>,
    pub oneofs: Vec<Oneof>,
    pub groups: Vec<Group>,
    pub reserved: Vec<Reserved>,
    pub extensions: Vec<Extensions>,
    pub extends: Vec<Extend>,
    pub types: Vec<Type>,
}

impl Message {
    /// Whether it is the entry of a map, written out (`option map_entry = true`).
    pub(crate) fn is_map_entry(&self) -> bool {
        self.options
            .iter()
            .any(|option| option.is_plain("map_entry") && option.value == Value::Bool(true))
    }

    /// All fields that are no groups, those of oneofs too.
    pub(crate) fn all_fields(&self) -> impl Iterator<Item = &Field> {
        let of_oneofs = self.oneofs.iter().flat_map(|oneof| oneof.fields.iter());
        self.fields.iter().chain(of_oneofs)
    }

    /// All groups, those of oneofs too.
    pub(crate) fn all_groups(&self) -> impl Iterator<Item = &Group> {
        let of_oneofs = self.oneofs.iter().flat_map(|oneof| oneof.groups.iter());
        self.groups.iter().chain(of_oneofs)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    Optional,
    Required,
    Repeated,
}

impl Label {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Optional => "optional",
            Self::Required => "required",
            Self::Repeated => "repeated",
        }
    }
}

/// What a field holds, as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FieldType {
    Scalar(Scalar),
    /// `map<key, value>`; the value is a scalar or a name.
    Map(Scalar, Box<FieldType>),
    /// The name of a message or an enum.
    Named(String),
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(scalar) => f.write_str(scalar.name()),
            Self::Map(key, value) => write!(f, "map<{}, {value}>", key.name()),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// The fifteen scalar types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
}

impl Scalar {
    const ALL: [Self; 15] = [
        Self::Double,
        Self::Float,
        Self::Int32,
        Self::Int64,
        Self::Uint32,
        Self::Uint64,
        Self::Sint32,
        Self::Sint64,
        Self::Fixed32,
        Self::Fixed64,
        Self::Sfixed32,
        Self::Sfixed64,
        Self::Bool,
        Self::String,
        Self::Bytes,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Double => "double",
            Self::Float => "float",
            Self::Int32 => "int32",
            Self::Int64 => "int64",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
            Self::Sint32 => "sint32",
            Self::Sint64 => "sint64",
            Self::Fixed32 => "fixed32",
            Self::Fixed64 => "fixed64",
            Self::Sfixed32 => "sfixed32",
            Self::Sfixed64 => "sfixed64",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Bytes => "bytes",
        }
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scalar| scalar.name() == name)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub name: String,
    pub number: i32,
    pub label: Option<Label>,
    pub kind: FieldType,
    /// `default` and `json_name` among them, in the order written.
    pub options: Vec<OptionDecl>,
    pub at: Place,
}

impl Field {
    pub(crate) fn option(&self, name: &str) -> Option<&OptionDecl> {
        self.options.iter().find(|option| option.is_plain(name))
    }

    /// The name in JSON: `json_name`, or the name in lower camel case.
    pub(crate) fn json_name(&self) -> String {
        match self.option("json_name").map(|option| &option.value) {
            Some(Value::Str(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            _ => default_json_name(&self.name),
        }
    }
}

/// What protoc makes of a name without `json_name`: an underscore goes, the letter after it is large.
pub(crate) fn default_json_name(name: &str) -> String {
    let mut json = String::with_capacity(name.len());
    let mut large = false;
    for each in name.chars() {
        if each == '_' {
            large = true;
        } else if large {
            json.push(each.to_ascii_uppercase());
            large = false;
        } else {
            json.push(each);
        }
    }
    json
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Oneof {
    pub name: String,
    pub options: Vec<OptionDecl>,
    pub fields: Vec<Field>,
    pub groups: Vec<Group>,
    pub at: Place,
}

/// A field and its message in one; the field's name is the message's in small letters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub label: Option<Label>,
    pub number: i32,
    pub options: Vec<OptionDecl>,
    /// Its name is the group's.
    pub body: Message,
    pub at: Place,
}

/// One entry of `reserved` or `extensions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Span {
    Number(i32),
    /// Both ends belong to it; `max` is the largest number there is.
    Range(i32, i32),
    Name(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reserved {
    pub spans: Vec<Span>,
    pub at: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Extensions {
    pub spans: Vec<Span>,
    pub options: Vec<OptionDecl>,
    pub at: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Extend {
    /// The message that is extended, as written.
    pub name: String,
    pub fields: Vec<Field>,
    pub groups: Vec<Group>,
    pub at: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Enum {
    pub name: String,
    pub at: Place,
    pub visibility: Option<&'static str>,
    pub options: Vec<OptionDecl>,
    pub constants: Vec<Constant>,
    pub reserved: Vec<Reserved>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Constant {
    pub name: String,
    pub number: i32,
    pub options: Vec<OptionDecl>,
    pub at: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Service {
    pub name: String,
    pub options: Vec<OptionDecl>,
    pub rpcs: Vec<Rpc>,
    pub at: Place,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rpc {
    pub name: String,
    pub request: String,
    pub request_streams: bool,
    pub response: String,
    pub response_streams: bool,
    pub options: Vec<OptionDecl>,
    pub at: Place,
}

/// One part of an option's name: `(a.b)` is an extension, `c` a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamePart {
    pub name: String,
    pub extension: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OptionDecl {
    /// Never empty.
    pub name: Vec<NamePart>,
    pub value: Value,
    pub at: Place,
}

impl OptionDecl {
    /// Whether it is the option of that name, which is none of the custom ones.
    pub(crate) fn is_plain(&self, name: &str) -> bool {
        matches!(self.name.as_slice(), [part] if !part.extension && part.name == name)
    }

    /// The extension it sets, or sets a field of; none for a built-in option.
    pub(crate) fn extension(&self) -> Option<&str> {
        self.name
            .first()
            .filter(|part| part.extension)
            .map(|part| part.name.as_str())
    }
}

/// What a feature of editions is set to: `features.name = WORD` or `features = { name: WORD }`, the last one counts.
pub(crate) fn feature<'o>(options: &'o [OptionDecl], name: &str) -> Option<&'o str> {
    let word = |value: &'o Value| match value {
        Value::Word(word) => Some(word.as_str()),
        _ => None,
    };
    options.iter().rev().find_map(|option| {
        let (first, rest) = option.name.split_first()?;
        if first.extension || first.name != "features" {
            return None;
        }
        match (rest, &option.value) {
            ([part], value) if part.name == name => word(value),
            ([], Value::Map(entries)) => {
                let set = entries.iter().rev().find(|(key, _)| key == name);
                set.and_then(|(_, value)| word(value))
            }
            _ => None,
        }
    })
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// The bytes after unescaping; adjacent literals are one.
    Str(Vec<u8>),
    Bool(bool),
    /// As written, with its sign.
    Number(String),
    /// A word: an enum value, `inf`, `nan`.
    Word(String),
    /// Text format between braces; a key is a field's name or `[extension]`.
    Map(Vec<(String, Value)>),
    List(Vec<Value>),
}
