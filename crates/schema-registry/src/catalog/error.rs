//! What can go wrong with the catalog, with the numbers and texts of Confluent's.
//!
//! Its catalog is one of Apache Atlas, whose errors have names such as `ATLAS-404-00-009`; the number answered is the status, four
//! digits long, and the last part of the name, read as hexadecimal (`AtlasErrorCode`): 4040009.

/// Why something about the catalog was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the words of the message")]
pub enum CatalogError {
    /// No definition of that name.
    #[error("Given typename {name} was invalid")]
    DefinitionNotFound { name: String },
    /// The entity has no such tag.
    #[error("Given classification {name} was invalid")]
    TagNotFound { name: String },
    /// The entity has no such business metadata.
    #[error("No result found for {name}")]
    BusinessMetadataNotFound { name: String },
    /// No entity of that type and name.
    #[error("Instance {entity_type} with unique attribute {{qualifiedName={name}}} does not exist")]
    EntityNotFound { entity_type: String, name: String },
    /// There is no such type of entities.
    #[error("Type ENTITY with name {name} does not exist")]
    UnknownEntityType { name: String },
    /// A definition of that name is there.
    #[error("Given type {name} already exists")]
    DefinitionExists { name: String },
    /// Entities, or other definitions, use it.
    #[error("Given type {name} has references")]
    DefinitionInUse { name: String },
    /// The entity has this business metadata already.
    #[error("failed to update entity: {name} is already there")]
    BusinessMetadataExists { name: String },
    /// The entity has this tag already.
    #[error("instance {guid} already is associated with classification {name}")]
    AlreadyTagged { guid: String, name: String },
    /// An update of a tag that the entity does not have.
    #[error("Classification {name} is not associated with entity")]
    NotTagged { name: String },
    /// The tag stands in the schema's own text.
    #[error(
        "Classification {name} is written in the schema, and is removed by a new version of it"
    )]
    InSchema { name: String },
    /// A tag on a type of entities that it is not for.
    #[error(
        "Entity (guid='{guid}',typename='{entity_type}') cannot be classified by Classification '{name}', because '{entity_type}' is not in the ClassificationDef's restrictions."
    )]
    NotForEntityType {
        guid: String,
        entity_type: String,
        name: String,
    },
    /// A definition's list of types has one that there is not.
    #[error("ClassificationDef '{name}' has invalid '{entity_type}' in entityTypes")]
    InvalidEntityTypes { name: String, entity_type: String },
    /// A definition allows what the one above it does not.
    #[error(
        "ClassificationDef '{name}' has entityTypes which are not subsets of its supertypes entityTypes"
    )]
    NotSubset { name: String },
    /// An update that takes types away.
    #[error("EntityTypes cannot be removed from ClassificationDef '{name}'")]
    EntityTypeRemoval { name: String },
    /// An update that takes a definition above it away.
    #[error("superType remove not supported")]
    SuperTypeRemoval,
    /// A definition above itself.
    #[error("{name}: invalid supertypes - circular reference back to self {super_type}")]
    CircularReference { name: String, super_type: String },
    /// No tag definition of that name.
    #[error("{name}: Unknown/invalid classification")]
    UnknownTag { name: String },
    /// What is no name.
    #[error(
        "{name}: invalid name for {category}.  Names must consist of a letter followed by a sequence of letter, number, space, or '_' characters, {max} at most"
    )]
    InvalidName {
        name: String,
        category: &'static str,
        max: usize,
    },
    /// An attribute of a type that there is not.
    #[error("Unknown type {type_name} for {name}.{attribute}")]
    UnknownAttributeType {
        type_name: String,
        name: String,
        attribute: String,
    },
    /// A list needs a list's type.
    #[error("Cardinality of attribute {name}.{attribute} requires a list or set type")]
    Cardinality { name: String, attribute: String },
    /// An attribute that those who have the tag cannot have.
    #[error("{name}.{attribute} : can not add mandatory attribute")]
    MandatoryAdded { name: String, attribute: String },
    /// An attribute that is missing in an update.
    #[error("{name}.{attribute} : attribute delete not supported")]
    AttributeRemoval { name: String, attribute: String },
    /// An attribute that may not be changed.
    #[error("{name}.{attribute} : attribute update not supported")]
    AttributeUpdate { name: String, attribute: String },
    /// The type has no such attribute.
    #[error("Attribute {attribute} not found for type {name}")]
    UnknownAttribute { name: String, attribute: String },
    /// A value that there has to be.
    #[error("Mandatory field {name}.{attribute} has empty/null value")]
    MissingAttribute { name: String, attribute: String },
    /// An entity without a name.
    #[error("Mandatory qualifiedName attribute is missing")]
    MissingQualifiedName,
    /// A value of another type, or too long.
    #[error("invalid value: {name}.{attribute} is no {type_name}")]
    InvalidValue {
        name: String,
        attribute: String,
        type_name: String,
    },
    /// A parameter of the query.
    #[error("invalid parameters: {message}")]
    InvalidParameters { message: String },
    /// What the body says cannot be.
    #[error("{message}")]
    BadRequest { message: String },
}

impl CatalogError {
    /// The `error_code` of the answer.
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Self::UnknownAttributeType { .. } => 4_000_001,
            Self::CircularReference { .. } => 4_000_002,
            Self::MandatoryAdded { .. } => 4_000_012,
            Self::AttributeRemoval { .. } => 4_000_013,
            Self::SuperTypeRemoval => 4_000_014,
            Self::Cardinality { .. } => 4_000_018,
            Self::UnknownEntityType { .. } => 4_000_020,
            Self::InvalidName { .. } => 4_000_025,
            Self::InvalidParameters { .. } => 4_000_026,
            Self::AlreadyTagged { .. } => 4_000_027,
            Self::UnknownAttribute { .. } => 4_000_035,
            Self::AttributeUpdate { .. } => 4_000_039,
            Self::InvalidValue { .. } => 4_000_040,
            Self::BadRequest { .. } => 4_000_041,
            Self::MissingAttribute { .. } => 4_000_043,
            Self::UnknownTag { .. } => 4_000_070,
            Self::EntityTypeRemoval { .. } => 4_000_081,
            Self::InvalidEntityTypes { .. } => 4_000_082,
            Self::NotSubset { .. } => 4_000_084,
            Self::NotForEntityType { .. } => 4_000_085,
            Self::InSchema { .. } => 4_000_108,
            Self::NotTagged { .. } => 4_000_109,
            Self::MissingQualifiedName => 4_000_115,
            Self::DefinitionNotFound { .. } => 4_040_001,
            Self::BusinessMetadataNotFound { .. } => 4_040_004,
            Self::TagNotFound { .. } => 4_040_008,
            Self::EntityNotFound { .. } => 4_040_009,
            Self::DefinitionExists { .. } => 4_090_001,
            Self::DefinitionInUse { .. } => 4_090_002,
            Self::BusinessMetadataExists { .. } => 4_090_003,
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::BadRequest {
            message: message.into(),
        }
    }

    pub(crate) fn invalid_parameters(message: impl Into<String>) -> Self {
        Self::InvalidParameters {
            message: message.into(),
        }
    }
}
