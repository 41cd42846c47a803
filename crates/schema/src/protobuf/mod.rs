//! Protobuf: proto2, proto3 and editions, as Confluent's registry knows them.
//!
//! A text is parsed into declarations ([`ast`]) that lose nothing but comments; from those come the canonical and the
//! normalised text ([`print`]), what changed between two versions ([`compare`]), tags ([`tags`]) and the descriptors
//! ([`descriptor`]) with which data is read and written ([`ProtobufCodec`]). A reference is a file that is imported by the
//! reference's name; Google's well-known types and Confluent's own files ([`known`]) need none.
//!
//! **Invariants:** canonical text parses to the same declarations again; normalising twice changes nothing. A message's
//! place among its siblings, which clients write into records, is the same in every form.
//!
//! Differs: what the compiler `protoc` refuses is refused at registration (`validate_new`), with line and column:
//! the counterpart lets in much of it, and its clients fail later.

mod ast;
mod compare;
mod data;
mod descriptor;
mod known;
mod lexer;
mod names;
pub(crate) mod outline;
mod parser;
mod print;
mod propose;
mod tags;
mod validate;

use ast::{File, Message, messages};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
pub use data::{DataError, ProtobufCodec};
use lexer::Fault;
use names::{Names, Source};
pub(crate) use outline::{FieldOutline, TypeOutline};
use print::Style;

use crate::compatibility::{CompatibilityPolicy, Incompatibility};
use crate::entity::SchemaEntity;
use crate::error::SchemaError;
use crate::format::{FieldTags, Format, ParseOptions};
use crate::limits::{REFERENCES_MAX, SCHEMA_BYTES_MAX};
use crate::model::{ResolvedReference, SchemaType};
use std::collections::BTreeSet;

/// As errors name this format.
const FORMAT: &str = "Protobuf";

/// A parsed .proto file with the files it refers to.
#[derive(Debug, Clone)]
pub struct ProtobufSchema {
    /// The references, then the schema itself; never empty.
    sources: Vec<Source>,
}

impl ProtobufSchema {
    /// The package of the file; empty where it has none.
    pub(crate) fn package(&self) -> &str {
        self.file().package()
    }

    /// Its messages and their fields.
    pub(crate) fn entities(&self) -> Vec<SchemaEntity> {
        tags::entities(self.file())
    }

    fn file(&self) -> &File {
        static EMPTY: std::sync::LazyLock<File> = std::sync::LazyLock::new(File::default);
        self.sources.last().map_or(&EMPTY, |source| &source.file)
    }

    fn names(&self) -> Names<'_> {
        Names::of(&self.sources)
    }

    fn text(&self, style: Style) -> String {
        print::print(self.file(), &self.names(), style)
    }

    /// The place of the message of that full name: its index among the messages of the file, then among those nested
    /// in that, and so on (`ProtobufSchema.toMessageIndexes`). None if there is no such message.
    pub fn message_indexes(&self, full_name: &str) -> Option<Vec<i32>> {
        let package = self.file().package();
        let local = if package.is_empty() {
            full_name
        } else {
            full_name.strip_prefix(package)?.strip_prefix('.')?
        };
        let mut indexes = Vec::new();
        let mut types = &self.file().types;
        for part in local.split('.') {
            let (index, message) = messages(types)
                .enumerate()
                .find(|(_, message)| message.name == part)?;
            indexes.push(i32::try_from(index).ok()?);
            types = &message.types;
        }
        Some(indexes)
    }

    /// The full name of the message at that place (`ProtobufSchema.toMessageName`); none if nothing is there, or
    /// `indexes` is empty.
    pub fn message_name(&self, indexes: &[i32]) -> Option<String> {
        let mut name = self.file().package().to_owned();
        let mut types = &self.file().types;
        for index in indexes {
            let message = messages(types).nth(usize::try_from(*index).ok()?)?;
            name = names::join(&name, &message.name);
            types = &message.types;
        }
        (!indexes.is_empty()).then_some(name)
    }

    /// What reads and writes data of this schema; worth keeping, for it takes the whole schema apart.
    ///
    /// # Errors
    /// [`SchemaError::Invalid`] when the schema and its references do not make descriptors together.
    pub fn codec(&self) -> Result<ProtobufCodec, SchemaError> {
        let pool = descriptor::pool(&self.sources, &self.names())?;
        Ok(ProtobufCodec::new(pool))
    }

    fn first_message(&self) -> Option<&Message> {
        self.file().messages().next()
    }
}

fn syntax_error(prefix: &str, fault: Fault) -> SchemaError {
    SchemaError::Syntax {
        format: FORMAT,
        place: format!("{prefix}{}", fault.at),
        what: fault.what,
    }
}

/// A .proto text, or base64 of a serialised `FileDescriptorProto`; the fault is that of the text.
fn read(text: &str, references: &[Source]) -> Result<File, Fault> {
    parser::parse(text).or_else(|fault| {
        let bytes = STANDARD.decode(text.trim()).ok();
        bytes
            .and_then(|bytes| descriptor::read::from_bytes(&bytes, references))
            .ok_or(fault)
    })
}

impl Format for ProtobufSchema {
    const TYPE: SchemaType = SchemaType::Protobuf;

    fn parse(
        text: &str,
        references: &[ResolvedReference],
        options: ParseOptions,
    ) -> Result<Self, SchemaError> {
        let bytes = references
            .iter()
            .map(|each| each.schema.len())
            .sum::<usize>()
            + text.len();
        if bytes > SCHEMA_BYTES_MAX {
            return Err(SchemaError::TooLarge {
                bytes,
                max: SCHEMA_BYTES_MAX,
            });
        }
        if references.len() > REFERENCES_MAX {
            return Err(SchemaError::TooComplex {
                what: "it refers to too many schemas",
                max: REFERENCES_MAX,
            });
        }
        let mut sources = Vec::with_capacity(references.len() + 1);
        for reference in references {
            let file = read(&reference.schema, &sources)
                .map_err(|fault| syntax_error(&format!("{}:", reference.name), fault))?;
            sources.push(Source {
                path: reference.name.clone(),
                file,
            });
        }
        let file = read(text, &sources).map_err(|fault| syntax_error("", fault))?;
        sources.push(Source {
            path: String::new(),
            file,
        });
        let schema = Self { sources };
        validate::resolve(&schema.sources, &schema.names())?;
        if options.validate_new {
            validate::check(&schema.sources, &schema.names())?;
        }
        Ok(schema)
    }

    fn canonical(&self) -> String {
        self.text(Style::default())
    }

    fn normalized(&self) -> String {
        self.text(Style {
            normalize: true,
            ..Style::default()
        })
    }

    fn formatted(&self, format: &str) -> Result<String, SchemaError> {
        match format.trim() {
            "ignore_extensions" => Ok(self.text(Style {
                ignore_extensions: true,
                ..Style::default()
            })),
            "serialized" => {
                let bytes = descriptor::serialized(&self.sources, &self.names())?;
                Ok(STANDARD.encode(bytes))
            }
            // As in the counterpart, a format that it does not know gives the text as it is.
            _ => Ok(self.canonical()),
        }
    }

    fn name(&self) -> Option<String> {
        let types = &self.file().types;
        let first = messages(types).map(|message| message.name.as_str()).next();
        let first = first.or_else(|| types.first().map(ast::Type::name))?;
        Some(names::join(self.file().package(), first))
    }

    fn reading(
        &self,
        writer: &Self,
        _policy: CompatibilityPolicy,
    ) -> Result<Vec<Incompatibility>, SchemaError> {
        let found = compare::differences(&writer.sources, &self.sources)?;
        let incompatible = found
            .into_iter()
            .filter(|each| !each.change.is_compatible());
        Ok(incompatible
            .map(|each| Incompatibility {
                rule: each.change.name(),
                description: each.change.description(&each.path),
                path: each.path,
                additional_info: String::new(),
                remedy: each.change.remedy().to_owned(),
            })
            .collect())
    }

    fn inline_tags(&self) -> FieldTags {
        tags::inline(self.file())
    }

    fn tagged_types(&self) -> BTreeSet<String> {
        tags::tagged_types(self.file())
    }

    fn with_tags(&self, add: &FieldTags, remove: &FieldTags) -> Result<String, SchemaError> {
        let mut file = self.file().clone();
        tags::change(&mut file, add, remove)?;
        Ok(print::print(&file, &self.names(), Style::default()))
    }

    fn top_level_fields(&self) -> Vec<String> {
        let fields = self
            .first_message()
            .into_iter()
            .flat_map(Message::all_fields);
        fields.map(|field| field.name.clone()).collect()
    }
}

#[cfg(test)]
mod tests;
