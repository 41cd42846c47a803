//! What is wrong with a schema, told so that its author can mend it.
//!
//! A registry answers all of these with 422 and the error code 42201 (invalid schema), but for
//! [`SchemaError::TooLarge`], which has its own, 42209.

/// Why a text is not a schema of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The text does not follow the syntax of its format.
    #[error("{format} schema cannot be parsed at {place}: {what}")]
    Syntax {
        /// Avro, JSON Schema or Protobuf.
        format: &'static str,
        /// Line and column, or the path in the document.
        place: String,
        /// What was found, and what was expected.
        what: String,
    },
    /// The text parses, but breaks a rule of its format.
    #[error("{format} schema is invalid at {path}: {rule}")]
    Invalid {
        /// Avro, JSON Schema or Protobuf.
        format: &'static str,
        /// The path of the type or field, such as `/fields/0/type`.
        path: String,
        /// The rule that is broken, with the value and what would be right.
        rule: String,
    },
    /// A name that neither the schema nor its references define.
    #[error(
        "{format} schema names {name:?} at {path}, which neither it nor its references define: add a reference whose name is {name:?}"
    )]
    Unresolved {
        /// Avro, JSON Schema or Protobuf.
        format: &'static str,
        /// Where it is used.
        path: String,
        /// The name as written.
        name: String,
    },
    /// More bytes than [`crate::limits::SCHEMA_BYTES_MAX`].
    #[error("the schema has {bytes} bytes, the limit is {max}")]
    TooLarge {
        /// Of the text.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Types nest deeper than [`crate::limits::DEPTH_MAX`], or a comparison takes more than
    /// [`crate::limits::COMPARISONS_MAX`] steps.
    #[error("the schema exceeds a limit: {what} (limit {max})")]
    TooComplex {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        max: usize,
    },
    /// A format was asked for that the schema type does not have.
    #[error("a {schema_type} schema has no format {format:?}; it has {known}")]
    UnknownFormat {
        /// The type of the schema.
        schema_type: &'static str,
        /// As asked.
        format: String,
        /// The formats there are.
        known: &'static str,
    },
    /// A schema type that this build does not read.
    #[error("Invalid schema type {name}")]
    UnknownType {
        /// As asked.
        name: &'static str,
    },
}
