//! Why a service did not encrypt or decrypt.

use schema::encryption::CipherError;

/// A key was not used. `kms_type` says which kind of service it is in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KmsError {
    /// No driver of that name.
    #[error(
        "there is no KMS of type '{kms_type}': use aws-kms, azure-kms, gcp-kms, hcvault or local-kms"
    )]
    UnknownType {
        /// As the KEK says.
        kms_type: String,
    },
    /// The id names no key.
    #[error("'{key_id}' is not the id of a key of {kms_type}: expected {expected}")]
    KeyId {
        /// Which service.
        kms_type: &'static str,
        /// As the KEK says.
        key_id: String,
        /// What it looks like.
        expected: &'static str,
    },
    /// Nobody said who asks.
    #[error("no credentials for {kms_type}: {remedy}")]
    NoCredentials {
        /// Which service.
        kms_type: &'static str,
        /// What to set.
        remedy: &'static str,
    },
    /// A chain of credentials came to nothing.
    #[error("no credentials for {kms_type} could be had")]
    Credentials {
        /// Which service.
        kms_type: &'static str,
        /// Why.
        #[source]
        source: Box<object_store::Error>,
    },
    /// Who asks may not use the key.
    #[error("{kms_type} denies access: {message}")]
    Denied {
        /// Which service.
        kms_type: &'static str,
        /// Its words.
        message: String,
    },
    /// The service does not do it, for another reason.
    #[error("{kms_type} answered with {status}: {message}")]
    Refused {
        /// Which service.
        kms_type: &'static str,
        /// Of HTTP.
        status: u16,
        /// Its words.
        message: String,
    },
    /// No answer.
    #[error("{kms_type} does not answer")]
    Unreachable {
        /// Which service.
        kms_type: &'static str,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// An answer that says nothing.
    #[error("the answer of {kms_type} is not what its documentation says: {what}")]
    Answer {
        /// Which service.
        kms_type: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// The local service's own arithmetic.
    #[error("local-kms does not decrypt it")]
    Cipher(#[from] CipherError),
    /// There is no HTTP client.
    #[error("no HTTP client can be made")]
    Client(#[source] reqwest::Error),
}

/// What of a request is at fault, rather than the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The kind of service.
    Type,
    /// The id of the key.
    KeyId,
    /// The properties, which have no credentials.
    Credentials,
    /// The bytes, or a key that the service does not know.
    Input,
}

impl KmsError {
    /// What of the request is at fault; `None` when it is the service, or whoever asks may not.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::UnknownType { .. } => Some(Fault::Type),
            Self::KeyId { .. } => Some(Fault::KeyId),
            Self::NoCredentials { .. } => Some(Fault::Credentials),
            Self::Cipher(_)
            | Self::Refused {
                status: 400 | 404 | 422,
                ..
            } => Some(Fault::Input),
            _ => None,
        }
    }

    /// Whether the credentials, rather than the service or the bytes, are at fault.
    #[must_use]
    pub fn is_access_denied(&self) -> bool {
        matches!(self, Self::Denied { .. })
    }
}
