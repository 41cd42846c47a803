//! What can go wrong with a request, with the numbers and texts of Confluent's registry.
//!
//! A variant is a condition that a caller can act on; [`RegistryError::code`] is the one place that knows its
//! number, whose first three digits are the HTTP status (`Errors`, 8.2). The text is the message of the answer.

use schema::CompatibilityLevel;

use crate::catalog::CatalogError;
use crate::dek::KeyError;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the words of the message")]
pub enum RegistryError {
    /// No version of the subject.
    #[error("Subject '{subject}' not found.")]
    SubjectNotFound { subject: String },
    /// The subject has other versions.
    #[error("Version {version} not found.")]
    VersionNotFound { version: i32 },
    /// An id, a GUID or a text that nothing is registered under.
    #[error("Schema{} not found", .id.as_deref().map(|id| format!(" {id}")).unwrap_or_default())]
    SchemaNotFound { id: Option<String> },
    /// A soft delete of what is soft deleted.
    #[error("Subject '{subject}' was soft deleted.Set permanent=true to delete permanently")]
    SubjectSoftDeleted { subject: String },
    /// A hard delete of what is not soft deleted.
    #[error("Subject '{subject}' was not deleted first before being permanently deleted")]
    SubjectNotSoftDeleted { subject: String },
    /// A soft delete of what is soft deleted.
    #[error(
        "Subject '{subject}' Version {version} was soft deleted.Set permanent=true to delete permanently"
    )]
    VersionSoftDeleted { subject: String, version: i32 },
    /// A hard delete of what is not soft deleted.
    #[error(
        "Subject '{subject}' Version {version} was not deleted first before being permanently deleted"
    )]
    VersionNotSoftDeleted { subject: String, version: i32 },
    /// The subject has no config of its own.
    #[error("Subject '{subject}' does not have subject-level compatibility configured")]
    ConfigNotConfigured { subject: String },
    /// The subject has no mode of its own.
    #[error("Subject '{subject}' does not have subject-level mode configured")]
    ModeNotConfigured { subject: String },
    /// The new schema may not follow the old ones.
    #[error(
        "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{}]",
        .messages.join(", ")
    )]
    Incompatible {
        subject: String,
        messages: Vec<String>,
        /// 409 as until 8.1, or 40901 as since 8.2.
        code: u32,
    },
    /// The schema is none, or breaks a rule.
    #[error("{message}")]
    InvalidSchema { message: String },
    /// Neither a number from 1 on nor `latest`.
    #[error(
        "The specified version '{version}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\""
    )]
    InvalidVersion { version: String },
    /// No level of that name.
    #[error(
        "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive"
    )]
    InvalidCompatibilityLevel,
    /// A policy that no such level can keep.
    #[error(
        "compatibilityPolicy=LOGICAL cannot be combined with compatibilityLevel={}: Iceberg only supports backward-compatible schema evolution",
        .level.name()
    )]
    LogicalForward { level: CompatibilityLevel },
    /// No mode of that name.
    #[error(
        "Invalid mode. Valid values are READWRITE, READONLY, READONLY_OVERRIDE, IMPORT, and FORWARD."
    )]
    InvalidMode,
    /// The mode, or a promise about ids, is against it.
    #[error("{message}")]
    NotPermitted { message: String },
    /// Other schemas refer to it.
    #[error(
        "One or more references exist to the schema {{magic=1,keytype=SCHEMA,subject={subject},version={version}}}."
    )]
    ReferenceExists { subject: String, version: i32 },
    /// The name of a subject that cannot be one.
    #[error("The specified subject '{subject}' is not a valid.")]
    InvalidSubject { subject: String },
    /// More bytes than the broker takes.
    #[error("Write failed because schema is too large")]
    TooLarge,
    /// A rule set that breaks a rule for rule sets.
    #[error("{message}")]
    InvalidRuleSet { message: String },
    /// A context with subjects is not deleted.
    #[error("The specified context '{context}' is not empty.")]
    ContextNotEmpty { context: String },
    /// The resource has no such association.
    #[error("Association for '{resource}' not found.")]
    AssociationNotFound { resource: String },
    /// The resource uses another subject, or this one otherwise.
    #[error("An association of type '{association_type}' already exists for resource '{resource}'")]
    AssociationForResourceExists {
        association_type: String,
        resource: String,
    },
    /// The subject is to be a resource's alone, and is not free.
    #[error("An association already exists for subject '{subject}'")]
    AssociationForSubjectExists { subject: String },
    /// The subject is another resource's alone.
    #[error("A strong association already exists for subject '{subject}'")]
    StrongAssociationExists { subject: String },
    /// An association without a schema, with a subject without one.
    #[error("No active (non-deleted) version exists for subject '{subject}'")]
    NoActiveSubjectVersion { subject: String },
    /// It may not be changed.
    #[error("The association of type  '{association_type}' is frozen for subject '{subject}'")]
    AssociationFrozen {
        association_type: String,
        subject: String,
    },
    /// What is said of an association cannot be.
    #[error(
        "The association specified an invalid value for property: '{property}', reason: {reason}"
    )]
    InvalidAssociation { property: String, reason: String },
    /// No exporter of that name.
    #[error("Exporter '{name}' not found.")]
    ExporterNotFound { name: String },
    /// None, or one that cannot be in a path.
    #[error("Missing or invalid exporter name: {reason}")]
    InvalidExporterName { reason: String },
    /// Without it, nothing can be exported.
    #[error("Missing or invalid exporter config: {reason}")]
    InvalidExporterConfig { reason: String },
    /// What is no name and no prefix of subjects.
    #[error("Invalid exporter subjects: {reason}")]
    InvalidExporterSubjects { reason: String },
    /// There is one of that name.
    #[error("Exporter '{name}' already exists.")]
    ExporterExists { name: String },
    /// It does not rest.
    #[error("Exporter '{name}' is already running.")]
    ExporterRunning { name: String },
    /// It has to rest for that.
    #[error("Exporter '{name}' is not paused: pause it first.")]
    ExporterNotPaused { name: String },
    /// As many as there may be.
    #[error("There are {max} exporters already.")]
    TooManyExporters { max: usize },
    /// A body that is not what the operation takes.
    #[error("{message}")]
    Unreadable { message: String },
    /// No answer from the log in time. Whether the write took effect is unknown.
    #[error("Write to the Kafka store timed out")]
    Timeout,
    /// The log cannot be written or read.
    #[error("{message}")]
    Store { message: String },
    /// The leader did not answer.
    #[error("{message}")]
    Forwarding { message: String },
    /// About keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// About the catalog.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// No leader is known; ask again.
    #[error("{operation} request failed since leader is unknown")]
    UnknownLeader { operation: &'static str },
}

impl RegistryError {
    /// The `error_code` of the answer.
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Self::SubjectNotFound { .. } => 40401,
            Self::VersionNotFound { .. } => 40402,
            Self::SchemaNotFound { .. } => 40403,
            Self::SubjectSoftDeleted { .. } => 40404,
            Self::SubjectNotSoftDeleted { .. } => 40405,
            Self::VersionSoftDeleted { .. } => 40406,
            Self::VersionNotSoftDeleted { .. } => 40407,
            Self::ConfigNotConfigured { .. } => 40408,
            Self::ModeNotConfigured { .. } => 40409,
            Self::Incompatible { code, .. } => *code,
            Self::InvalidSchema { .. } => 42201,
            Self::InvalidVersion { .. } => 42202,
            Self::InvalidCompatibilityLevel | Self::LogicalForward { .. } => 42203,
            Self::InvalidMode => 42204,
            Self::NotPermitted { .. } => 42205,
            Self::ReferenceExists { .. } => 42206,
            Self::InvalidSubject { .. } => 42208,
            Self::TooLarge => 42209,
            Self::InvalidRuleSet { .. } => 42210,
            Self::ContextNotEmpty { .. } => 42211,
            Self::AssociationNotFound { .. } => 40410,
            Self::AssociationForResourceExists { .. } => 40903,
            Self::AssociationForSubjectExists { .. } => 40904,
            Self::StrongAssociationExists { .. } => 40905,
            Self::NoActiveSubjectVersion { .. } => 40907,
            Self::AssociationFrozen { .. } => 40908,
            Self::InvalidAssociation { .. } => 42212,
            Self::ExporterNotFound { .. } => 40450,
            Self::InvalidExporterName { .. } => 40950,
            Self::InvalidExporterConfig { .. } => 40951,
            Self::InvalidExporterSubjects { .. } => 40952,
            Self::ExporterExists { .. } => 40960,
            Self::ExporterRunning { .. } => 40961,
            Self::ExporterNotPaused { .. } => 40963,
            Self::TooManyExporters { .. } => 40964,
            Self::Key(error) => error.code(),
            Self::Catalog(error) => error.code(),
            Self::Unreadable { .. } => 400,
            Self::Store { .. } => 50001,
            Self::Timeout => 50002,
            Self::Forwarding { .. } => 50003,
            Self::UnknownLeader { .. } => 50004,
        }
    }

    /// The HTTP status: the first three digits of the code.
    #[must_use]
    pub fn status(&self) -> u16 {
        let code = self.code();
        let status = match code {
            0..=999 => code,
            1_000..=99_999 => code / 100,
            _ => code / 10_000,
        };
        u16::try_from(status).unwrap_or(500)
    }

    pub(crate) fn subject_not_found(subject: &str) -> Self {
        Self::SubjectNotFound {
            subject: subject.to_owned(),
        }
    }

    pub(crate) fn schema_not_found(id: impl ToString) -> Self {
        Self::SchemaNotFound {
            id: Some(id.to_string()),
        }
    }

    pub(crate) fn invalid_schema(message: impl Into<String>) -> Self {
        Self::InvalidSchema {
            message: message.into(),
        }
    }

    pub(crate) fn not_permitted(message: impl Into<String>) -> Self {
        Self::NotPermitted {
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_head_of_the_code() {
        let not_found = RegistryError::schema_not_found(7);
        assert_eq!((not_found.code(), not_found.status()), (40403, 404));
        assert_eq!(not_found.to_string(), "Schema 7 not found");
        let old = RegistryError::Incompatible {
            subject: "s".to_owned(),
            messages: vec!["a".to_owned(), "b".to_owned()],
            code: 409,
        };
        assert_eq!(old.status(), 409);
        assert!(old.to_string().ends_with("details: [a, b]"), "{old}");
        assert_eq!(
            RegistryError::SchemaNotFound { id: None }.to_string(),
            "Schema not found"
        );
    }
}
