//! What every format answers about one of its schemas.
//!
//! Avro, JSON Schema and Protobuf each implement [`Format`] in a folder of their own; [`crate::parsed`] makes one
//! type of them. A service never asks which format it holds, but for what only one has.

use std::collections::{BTreeMap, BTreeSet};

use crate::compatibility::{CompatibilityPolicy, Incompatibility};
use crate::error::SchemaError;
use crate::model::{ResolvedReference, SchemaType};

/// How a text is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ParseOptions {
    /// The schema is about to be registered: what was let in once and would not be any more is refused
    /// (`schema.validate.new.schemas`, Avro: names, defaults).
    pub validate_new: bool,
}

/// Tags of fields by the path of the field: `TypeName.field`, as in `schemaTags` and `Metadata.tags`.
pub type FieldTags = BTreeMap<String, BTreeSet<String>>;

/// A parsed schema of one format.
pub trait Format: Sized {
    /// Which format this is.
    const TYPE: SchemaType;

    /// Reads `text`; `references` hold every schema it refers to, those that others need first.
    ///
    /// # Errors
    /// The text is not a schema of this format, names what nothing defines, or exceeds [`crate::limits`].
    fn parse(
        text: &str,
        references: &[ResolvedReference],
        options: ParseOptions,
    ) -> Result<Self, SchemaError>;

    /// The text under which the registry keeps and compares the schema without `normalize`
    /// (`ParsedSchema.canonicalString()`): for Avro the schema without white space, for JSON Schema the
    /// text as it came, for Protobuf the declarations printed again, without comments.
    fn canonical(&self) -> String;

    /// The text with `normalize=true`: what means the same is written the same.
    fn normalized(&self) -> String;

    /// The text in a format that `?format=` names; the empty name is [`Format::canonical`].
    ///
    /// # Errors
    /// [`SchemaError::UnknownFormat`].
    fn formatted(&self, format: &str) -> Result<String, SchemaError>;

    /// The full name of the (first) type, as `RecordNameStrategy` uses it: a JSON Schema's `title`, none if it has none.
    fn name(&self) -> Option<String>;

    /// What stands in the way of reading, with this schema, data that was written with `writer`. Empty: nothing.
    ///
    /// # Errors
    /// [`SchemaError::TooComplex`] when the comparison would take too long.
    fn reading(
        &self,
        writer: &Self,
        policy: CompatibilityPolicy,
    ) -> Result<Vec<Incompatibility>, SchemaError>;

    /// The tags written into the schema itself (`confluent:tags`, `confluent.field_meta` tags).
    fn inline_tags(&self) -> FieldTags;

    /// Those paths of [`Format::inline_tags`] that name a type, such as a record or a message, and not a field of one
    /// (`SchemaEntity.EntityType.SR_RECORD`).
    fn tagged_types(&self) -> BTreeSet<String>;

    /// The text with tags added to and removed from fields and types, the rest as it is.
    ///
    /// # Errors
    /// [`SchemaError::Invalid`] when a path names no field.
    fn with_tags(&self, add: &FieldTags, remove: &FieldTags) -> Result<String, SchemaError>;

    /// The names of the fields at the top level, for the check of reserved fields (`validateFields`,
    /// `confluent:reserved`).
    fn top_level_fields(&self) -> Vec<String>;
}
