//! The contract every engine keeps. It is that of etcd's v3 API.
//!
//! A **revision** counts the transactions that changed something, from 1 for the first; all keys such a
//! transaction touches carry its revision. A key's **version** counts its changes since it was created. A
//! **lease** is a promise to come back within a time: when its holder does not, the keys attached to it are
//! deleted, in one transaction of their own.

use std::fmt;
use std::time::Duration;

use crate::error::MetaStoreError;

/// Limits on what one call may carry, within what etcd takes with `--max-txn-ops=1024` and
/// `--max-request-bytes=8388608`.
pub mod limits {
    /// The longest key, in bytes.
    pub const KEY_BYTES: usize = 4 * 1024;
    /// The largest value, in bytes.
    pub const VALUE_BYTES: usize = 1024 * 1024;
    /// The most operations of one transaction.
    pub const TXN_OPS: usize = 1024;
    /// The most bytes of keys and values of one transaction.
    pub const TXN_BYTES: usize = 8 * 1024 * 1024;
}

/// The number of a transaction that changed something; 0 before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl Revision {
    /// Before the first transaction. As a key's modification revision: the key does not exist.
    pub const ZERO: Revision = Revision(0);

    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Revision {
        Revision(self.0.saturating_add(1))
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of a lease; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key with its value and history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
    /// The transaction that created the key, since it was last deleted.
    pub create_revision: Revision,
    /// The transaction that changed it last.
    pub mod_revision: Revision,
    /// The number of changes since its creation, from 1.
    pub version: u64,
    /// The lease it is attached to.
    pub lease: Option<LeaseId>,
}

/// What a read of many keys saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The store's revision at that moment.
    pub revision: Revision,
    /// The keys in order.
    pub entries: Vec<KeyValue>,
}

/// A condition of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compare {
    /// The key was last changed at this revision; [`Revision::ZERO`]: it does not exist.
    ModRevision {
        /// The key.
        key: Vec<u8>,
        /// The revision.
        is: Revision,
    },
    /// The key has this version; 0: it does not exist.
    Version {
        /// The key.
        key: Vec<u8>,
        /// The version.
        is: u64,
    },
    /// The key exists and has this value.
    Value {
        /// The key.
        key: Vec<u8>,
        /// The value.
        is: Vec<u8>,
    },
}

impl Compare {
    /// The key was last changed at `revision`.
    #[must_use]
    pub fn unchanged_since(key: impl Into<Vec<u8>>, revision: Revision) -> Compare {
        Compare::ModRevision {
            key: key.into(),
            is: revision,
        }
    }

    /// The key does not exist.
    #[must_use]
    pub fn absent(key: impl Into<Vec<u8>>) -> Compare {
        Compare::ModRevision {
            key: key.into(),
            is: Revision::ZERO,
        }
    }

    /// The key it looks at.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        match self {
            Compare::ModRevision { key, .. }
            | Compare::Version { key, .. }
            | Compare::Value { key, .. } => key,
        }
    }

    /// Whether it holds for what its key is now.
    #[must_use]
    pub fn holds(&self, now: Option<&KeyValue>) -> bool {
        match self {
            Compare::ModRevision { is, .. } => {
                now.map_or(Revision::ZERO, |kv| kv.mod_revision) == *is
            }
            Compare::Version { is, .. } => now.map_or(0, |kv| kv.version) == *is,
            Compare::Value { is, .. } => now.is_some_and(|kv| kv.value == *is),
        }
    }
}

/// A change of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Sets a key. Without a lease the key loses the one it had.
    Put {
        /// The key.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
        /// The lease to attach it to.
        lease: Option<LeaseId>,
    },
    /// Removes a key; nothing happens when it does not exist.
    Delete {
        /// The key.
        key: Vec<u8>,
    },
    /// Removes every key that begins with `prefix`.
    DeletePrefix {
        /// The prefix.
        prefix: Vec<u8>,
    },
}

impl Op {
    /// Sets a key without a lease.
    #[must_use]
    pub fn put(key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Op {
        Op::Put {
            key: key.into(),
            value: value.into(),
            lease: None,
        }
    }

    /// Removes a key.
    #[must_use]
    pub fn delete(key: impl Into<Vec<u8>>) -> Op {
        Op::Delete { key: key.into() }
    }
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TxnOutcome {
    /// The store's revision after it.
    pub revision: Revision,
    /// Whether its conditions held and its changes were made.
    pub succeeded: bool,
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The key.
    pub key: Vec<u8>,
    /// The transaction.
    pub revision: Revision,
    /// What happened.
    pub kind: EventKind,
}

/// What happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It was set.
    Put(KeyValue),
    /// It was removed, by a transaction or with its lease.
    Delete,
}

/// A lease as its holder sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its identity.
    pub id: LeaseId,
    /// The time it was granted for.
    pub ttl: Duration,
    /// The time left.
    pub remaining: Duration,
}

/// A stream of changes below a prefix.
pub trait Watch: Send {
    /// The next changes, all of one or more whole transactions in order. Blocks until there are some or
    /// `timeout` passed; then the answer is empty.
    ///
    /// # Errors
    /// [`MetaStoreError::Compacted`] when the reader fell so far behind that changes it did not see are gone;
    /// it has to read everything again and watch from there.
    fn recv(&mut self, timeout: Duration) -> Result<Vec<Event>, MetaStoreError>;
}

/// An ordered map with revisions, transactions, watches and leases.
///
/// Reads are linearizable: each sees every transaction that was reported as succeeded before it began. All
/// functions block.
pub trait MetaStore: Send + Sync + fmt::Debug + 'static {
    /// The revision of the last transaction.
    ///
    /// # Errors
    /// When the engine cannot be reached.
    fn revision(&self) -> Result<Revision, MetaStoreError>;

    /// The value of a key; none when it does not exist.
    ///
    /// # Errors
    /// When the engine cannot be reached, or the value was damaged.
    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, MetaStoreError>;

    /// All keys that begin with `prefix`, at one revision.
    ///
    /// # Errors
    /// When the engine cannot be reached, or a value was damaged.
    fn range(&self, prefix: &[u8]) -> Result<Range, MetaStoreError>;

    /// Makes all of `ops` in one step if all of `compares` hold, else nothing. Durable when it returns.
    /// The revision grows by one if anything changed, whatever the number of operations.
    ///
    /// # Errors
    /// [`MetaStoreError::Invalid`] for a transaction over the [`limits`] or with two puts, or a put and a
    /// removal, of one key; [`MetaStoreError::LeaseNotFound`]. After [`MetaStoreError::DiskFull`] nothing
    /// changed. After any other error it may have been made or not: the caller reads to find out.
    fn txn(&self, compares: &[Compare], ops: &[Op]) -> Result<TxnOutcome, MetaStoreError>;

    /// The changes below `prefix` from `from` on, that revision included. The engine keeps a bounded history.
    ///
    /// # Errors
    /// [`MetaStoreError::Compacted`] when the history begins later than `from`.
    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Box<dyn Watch>, MetaStoreError>;

    /// Grants a lease for `ttl`, of at least one second.
    ///
    /// # Errors
    /// When the engine cannot be reached.
    fn lease_grant(&self, ttl: Duration) -> Result<Lease, MetaStoreError>;

    /// Starts a lease's time anew.
    ///
    /// # Errors
    /// [`MetaStoreError::LeaseNotFound`] when it expired or was revoked: its keys are gone.
    fn lease_keep_alive(&self, id: LeaseId) -> Result<Lease, MetaStoreError>;

    /// Ends a lease and deletes its keys.
    ///
    /// # Errors
    /// [`MetaStoreError::LeaseNotFound`].
    fn lease_revoke(&self, id: LeaseId) -> Result<(), MetaStoreError>;
}
