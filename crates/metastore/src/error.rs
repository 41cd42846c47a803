//! What can go wrong with a store.

use std::io;
use std::path::PathBuf;

use crate::store::{LeaseId, Revision};

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call itself is wrong; it will fail again.
    Invalid,
    /// There is no room; it may succeed once there is.
    NoSpace,
    /// The caller's view is too old; it has to read again.
    Stale,
    /// The stored data is damaged; nothing can be trusted until an operator acts.
    Corrupt,
    /// The store cannot be used; an operator has to look.
    Unavailable,
}

/// An error of a [`MetaStore`](crate::MetaStore).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetaStoreError {
    /// The call breaks a limit or contradicts itself.
    #[error("the metadata transaction is not valid: {0}")]
    Invalid(String),
    /// The history begins later than asked for.
    #[error(
        "the metadata history begins at revision {oldest}, but {requested} was asked for: read again"
    )]
    Compacted {
        /// What was asked for.
        requested: Revision,
        /// What there is.
        oldest: Revision,
    },
    /// The lease expired or was revoked.
    #[error("the lease {0} does not exist: it expired or was revoked")]
    LeaseNotFound(LeaseId),
    /// There is no room to write; nothing was changed.
    #[error(
        "no space left to write metadata to '{}': free some space on its file system; nothing was changed",
        path.display()
    )]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// The file does not hold what was written.
    #[error(
        "the metadata file '{}' is damaged ({detail}): restore it from a backup, or move it and the \
         '.acknowledged' file beside it away to start with no topics",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Another process has it open.
    #[error("the metadata file '{}' is in use by another process: stop that one first", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// A later version wrote it.
    #[error(
        "the metadata file '{}' has format {found}, but this version reads up to {supported}: use the version \
         that wrote it, or a later one",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The latest format that is known.
        supported: u64,
    },
    /// The operating system refused.
    #[error("cannot {action} the metadata file '{}'", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An earlier error ended this store.
    #[error("the metadata file '{}' failed earlier ({detail}): restart to open it again", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What happened then.
        detail: String,
    },
}

impl MetaStoreError {
    /// What a caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            MetaStoreError::Invalid(_) => ErrorKind::Invalid,
            MetaStoreError::DiskFull { .. } => ErrorKind::NoSpace,
            MetaStoreError::Compacted { .. } | MetaStoreError::LeaseNotFound(_) => ErrorKind::Stale,
            MetaStoreError::Corrupt { .. } => ErrorKind::Corrupt,
            MetaStoreError::InUse { .. }
            | MetaStoreError::NewerFormat { .. }
            | MetaStoreError::Io { .. }
            | MetaStoreError::Failed { .. } => ErrorKind::Unavailable,
        }
    }
}
