//! Schemas as the Schema Registry and its clients know them: Avro, JSON Schema and Protobuf.
//!
//! A schema comes in as a text with references to other schemas ([`model`]) and is parsed once; everything a
//! service asks of it is a method of [`Format`]: the canonical and the normalised text, the `resolved` and
//! `serialized` formats, field tags, and whether it can read what another version wrote ([`compatibility`]). Each
//! format has a folder of its own, because each has its own idea of a type.
//!
//! [`entity`] lists what a schema declares. Around that: [`serde`] is how records name their schema, [`rules`] what a data contract does with them,
//! [`encryption`] the keys that its rules encrypt with.
//!
//! **Invariants:** parsing loses nothing that printing needs. No input panics, recurses without a bound or costs more
//! than its bounds allow ([`limits`]). Nothing here does I/O: a reference is resolved by whoever holds the schemas, a
//! remote `$ref` is never fetched.
//!
//! **Not here:** HTTP, storage of schemas, ids.

pub mod avro;
pub mod compatibility;
pub mod encryption;
pub mod entity;
pub mod error;
pub mod format;
pub mod guid;
pub mod infer;
pub mod json;
mod json_text;
pub mod limits;
pub mod model;
pub mod outline;
pub mod parsed;
pub mod propose;
pub mod protobuf;
pub mod quality;
pub mod record;
pub mod rules;
pub mod serde;

pub use avro::AvroSchema;
pub use compatibility::{CompatibilityLevel, CompatibilityPolicy, Incompatibility};
pub use error::SchemaError;
pub use format::{FieldTags, Format, ParseOptions};
pub use guid::guid;
pub use json::JsonSchema;
pub use model::{Metadata, ResolvedReference, Rule, RuleSet, SchemaReference, SchemaType};
pub use parsed::ParsedSchema;
pub use propose::{Alteration, Compatible};
pub use protobuf::ProtobufSchema;
pub use record::RecordReader;
