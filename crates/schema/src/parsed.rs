//! One schema of whichever format.
//!
//! A service parses by the type that a request names and asks the answer without looking which it is. Each method is
//! that of [`Format`], whose docs say what it means.

use std::collections::BTreeSet;

use crate::avro::AvroSchema;
use crate::compatibility::{CompatibilityPolicy, Incompatibility};
use crate::error::SchemaError;
use crate::format::{FieldTags, Format, ParseOptions};
use crate::json::JsonSchema;
use crate::model::{ResolvedReference, SchemaType};
use crate::protobuf::ProtobufSchema;

/// A parsed schema.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ParsedSchema {
    /// Avro.
    Avro(AvroSchema),
    /// JSON Schema.
    Json(JsonSchema),
    /// Protobuf.
    Protobuf(ProtobufSchema),
}

/// The same expression for every format.
macro_rules! each {
    ($parsed:expr, $schema:ident => $answer:expr) => {
        match $parsed {
            ParsedSchema::Avro($schema) => $answer,
            ParsedSchema::Json($schema) => $answer,
            ParsedSchema::Protobuf($schema) => $answer,
        }
    };
}

impl ParsedSchema {
    /// The types that [`ParsedSchema::parse`] knows, in the order in which a registry lists them.
    pub const TYPES: &'static [SchemaType] =
        &[SchemaType::Json, SchemaType::Protobuf, SchemaType::Avro];

    /// Reads `text` as a schema of that type; [`Format::parse`].
    ///
    /// # Errors
    /// As [`Format::parse`].
    pub fn parse(
        schema_type: SchemaType,
        text: &str,
        references: &[ResolvedReference],
        options: ParseOptions,
    ) -> Result<Self, SchemaError> {
        match schema_type {
            SchemaType::Avro => AvroSchema::parse(text, references, options).map(Self::Avro),
            SchemaType::Json => JsonSchema::parse(text, references, options).map(Self::Json),
            SchemaType::Protobuf => {
                ProtobufSchema::parse(text, references, options).map(Self::Protobuf)
            }
        }
    }

    /// Which format it is.
    pub fn schema_type(&self) -> SchemaType {
        match self {
            Self::Avro(_) => SchemaType::Avro,
            Self::Json(_) => SchemaType::Json,
            Self::Protobuf(_) => SchemaType::Protobuf,
        }
    }

    /// [`Format::canonical`].
    pub fn canonical(&self) -> String {
        each!(self, schema => schema.canonical())
    }

    /// [`Format::normalized`].
    pub fn normalized(&self) -> String {
        each!(self, schema => schema.normalized())
    }

    /// [`Format::formatted`].
    ///
    /// # Errors
    /// As there.
    pub fn formatted(&self, format: &str) -> Result<String, SchemaError> {
        each!(self, schema => schema.formatted(format))
    }

    /// [`Format::name`].
    pub fn name(&self) -> Option<String> {
        each!(self, schema => schema.name())
    }

    /// [`Format::reading`]; a writer of another type is one incompatibility.
    ///
    /// # Errors
    /// As there.
    pub fn reading(
        &self,
        writer: &Self,
        policy: CompatibilityPolicy,
    ) -> Result<Vec<Incompatibility>, SchemaError> {
        match (self, writer) {
            (Self::Avro(reader), Self::Avro(writer)) => reader.reading(writer, policy),
            (Self::Json(reader), Self::Json(writer)) => reader.reading(writer, policy),
            (Self::Protobuf(reader), Self::Protobuf(writer)) => reader.reading(writer, policy),
            _ => Ok(vec![Incompatibility::different_type()]),
        }
    }

    /// [`Format::inline_tags`].
    pub fn inline_tags(&self) -> FieldTags {
        each!(self, schema => schema.inline_tags())
    }

    /// [`Format::tagged_types`].
    pub fn tagged_types(&self) -> BTreeSet<String> {
        each!(self, schema => schema.tagged_types())
    }

    /// [`Format::with_tags`].
    ///
    /// # Errors
    /// As there.
    pub fn with_tags(&self, add: &FieldTags, remove: &FieldTags) -> Result<String, SchemaError> {
        each!(self, schema => schema.with_tags(add, remove))
    }

    /// [`Format::top_level_fields`].
    pub fn top_level_fields(&self) -> Vec<String> {
        each!(self, schema => schema.top_level_fields())
    }
}
