//! What can go wrong with keys, with the numbers and texts of Confluent's registry (`DekRegistryErrors`, 8.2).
//!
//! Differs: Confluent's registry answers 500/50070 whenever a key management service does not do what it is asked. Here
//! that is for a service that fails; a KEK of no kind of service, without credentials, or material that is not of its
//! key are 422/42271, for a client tries a 5xx again, and the next try would fail in the same way.

/// Why a request about keys was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the words of the message")]
pub enum KeyError {
    /// No KEK of that name, or no DEK for that subject.
    #[error("Key '{name}' not found")]
    NotFound { name: String },
    /// A hard delete of what is not soft deleted.
    #[error("Key '{name}' was not deleted first before being permanently deleted")]
    NotSoftDeleted { name: String },
    /// The KEK of a DEK is soft deleted.
    #[error("Key '{name}' must be undeleted first")]
    SoftDeleted { name: String },
    /// There is such a key, and it is another one.
    #[error("Key '{name}' already exists; use a different value")]
    Exists { name: String },
    /// `dek.registry.max.keys`.
    #[error("A maximum of {max} keys already exist")]
    TooMany { max: usize },
    /// A field of the request that is missing, or is not what it should be.
    #[error("Invalid or missing value for field '{field}' of key")]
    Invalid { field: &'static str },
    /// A field of the key by which its service cannot do what it is asked.
    #[error("Invalid or missing value for field '{field}' of key. {message}")]
    Unusable {
        field: &'static str,
        message: String,
    },
    /// A KEK with DEKs.
    #[error("One or more references exist to the key '{name}'")]
    ReferenceExists { name: String },
    /// The key management service did not do its part.
    #[error("{message}")]
    Generation { message: String },
    /// The key management service does not let the registry use the key.
    #[error("{message}")]
    GenerationForbidden { message: String },
}

impl KeyError {
    /// The `error_code` of the answer.
    #[must_use]
    pub fn code(&self) -> u32 {
        match self {
            Self::GenerationForbidden { .. } => 40370,
            Self::NotFound { .. } => 40470,
            Self::NotSoftDeleted { .. } => 40471,
            Self::SoftDeleted { .. } => 40472,
            Self::Exists { .. } => 40971,
            Self::TooMany { .. } => 40972,
            Self::Invalid { .. } | Self::Unusable { .. } => 42271,
            Self::ReferenceExists { .. } => 42272,
            Self::Generation { .. } => 50070,
        }
    }

    pub(crate) fn not_found(name: &str) -> Self {
        Self::NotFound {
            name: name.to_owned(),
        }
    }

    pub(crate) fn exists(name: &str) -> Self {
        Self::Exists {
            name: name.to_owned(),
        }
    }
}
