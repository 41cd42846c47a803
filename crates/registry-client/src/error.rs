//! Why a question to a registry has no answer.

use crate::client::ANSWER_BYTES_MAX;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// An address is no URL.
    #[error("'{url}' is not the URL of a Schema Registry: {what}")]
    InvalidUrl {
        /// As given.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// A name cannot stand in a URL: `.` and `..` mean something else there.
    #[error("'{name}' cannot be named in a URL")]
    InvalidName {
        /// The name.
        name: String,
    },
    /// The client cannot be made: a certificate that is none, no TLS.
    #[error("the HTTP client cannot be made")]
    Setup(#[source] reqwest::Error),
    /// No address is known.
    #[error("no Schema Registry is known")]
    NoAddress,
    /// Nobody answers.
    #[error("the Schema Registry at {url} does not answer")]
    Unreachable {
        /// The last address tried.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The registry says no. The text is that of Confluent's client.
    #[error("{message}; error code: {code}")]
    Refused {
        /// Of HTTP.
        status: u16,
        /// Of the registry, as 40401; the status where it gives none.
        code: i64,
        /// Its words.
        message: String,
    },
    /// What came is not an answer of a registry.
    #[error("the answer of {url} is not that of a Schema Registry: {what}")]
    Answer {
        /// Who answered.
        url: String,
        /// What is wrong with it.
        what: String,
    },
    /// The answer is longer than any schema may be.
    #[error("the answer of {url} has more than {} bytes", ANSWER_BYTES_MAX)]
    TooLong {
        /// Who answered.
        url: String,
    },
    /// A schema of the registry cannot be read here.
    #[error("{what} cannot be read")]
    Schema {
        /// Which one.
        what: String,
        /// Why.
        #[source]
        source: schema::SchemaError,
    },
    /// More references than a schema may have.
    #[error("a schema refers to more than {max} others")]
    TooManyReferences {
        /// The limit.
        max: usize,
    },
}

impl ClientError {
    /// The registry's error code, where it answered with one.
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the registry answered that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}
