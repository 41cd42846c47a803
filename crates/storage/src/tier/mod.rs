//! Tiered storage (KIP-405): closed segments are copied to a remote store, the local ones may then go, and a read below the
//! local log start is answered from there.
//!
//! ```text
//!   closed, checkpointed segment                       fetch below the local log start
//!        │ copy                                                  │
//!        ▼                                                       ▼
//!   manifest: Started ─▶ objects .log, .indexes ─▶ manifest: Finished     RemoteReader
//!                                                       │            (index files, chunks, read-ahead)
//!                                                       ▼                │
//!                                                local retention        ▼
//!                                                may delete       RemoteStore::get
//! ```
//!
//! A *remote segment* ([`RemoteSegment`], Kafka's `RemoteLogSegmentMetadata`) is one copied segment: two objects of a [`RemoteStore`]
//! and one entry of a [`RemoteManifest`]. The two traits are the seam: this crate knows no network, engines implement them elsewhere,
//! [`conformance`] is their contract as a suite, [`MemoryTier`] is both in memory.
//!
//! **Invariants**
//! - *Only a finished entry is read or relied on.* Writing it is one change of the manifest, after both objects are whole: that
//!   commits the copy.
//! - *An object's entry is written before it and removed after it.* So whatever a kill leaves behind is named by an entry, and the
//!   next round deletes it. Ids are never used twice: an object whose id no entry has is garbage, whoever looks, and the sweep
//!   removes it. The sweep lists objects first and reads the manifest then; an object that was listed had its entry by that
//!   time, and lost it only by being deleted.
//! - *Local files go only below what is finished; remote objects go only below the log start of the last checkpoint*, or when
//!   another one has taken their place. Retention, `DeleteRecords` and switching off move the log start; nothing else deletes.
//! - *Compaction replaces remote segments in one change*: the new segment's entry becomes finished and the old ones' deleting. Whoever
//!   cannot tell whether that change was made asks for it to be impossible first, and only then takes either side for garbage.
//!
//! The manifest does not lie beside the objects: a store that lists late or renames in two steps could not commit a copy, and an
//! object store's conditional PUT alone does not fence an old leader. The broker keeps it in its metadata store.
//!
//! Differs: Apache Kafka keeps the manifest in the topic `__remote_log_metadata` and copies a producer snapshot with each segment, for
//! followers that build their state from the remote log. There are no followers here, and recovery has the snapshot of the last
//! checkpoint, so none is copied.

pub(crate) mod chunks;
pub mod conformance;
pub(crate) mod index_files;
mod kept;
mod memory;
pub(crate) mod reader;
pub mod segment;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;

use crate::io::LockExt;
use crate::metrics::StorageMetrics;
pub use memory::MemoryTier;
pub use segment::{ObjectName, RemoteSegment, RemoteState};

/// Why the remote store or the manifest did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// There is no such object.
    #[error("the remote store has no object '{name}'")]
    NotFound {
        /// Its name.
        name: String,
    },
    /// The store or the manifest cannot be reached or refused. Trying again may help; what was asked may have been done or not.
    #[error("the remote store cannot {action} '{name}'")]
    Unavailable {
        /// What was tried: `read`, `write`, ...
        action: &'static str,
        /// On which object or entry.
        name: String,
        /// Why not.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// What came back is not what was stored.
    #[error("the remote object '{name}' is damaged: {reason}")]
    Damaged {
        /// The object or entry.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl RemoteError {
    /// An [`RemoteError::Unavailable`].
    pub fn unavailable(
        action: &'static str,
        name: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> RemoteError {
        RemoteError::Unavailable {
            action,
            name: name.into(),
            source: Arc::new(source),
        }
    }

    pub(crate) fn into_io(self) -> io::Error {
        let kind = match &self {
            RemoteError::NotFound { .. } => io::ErrorKind::NotFound,
            RemoteError::Unavailable { .. } => io::ErrorKind::Other,
            RemoteError::Damaged { .. } => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, self)
    }
}

/// Objects by name, each written once and never changed.
///
/// **Contract** (checked by [`conformance`]): an object is there as a whole or not at all; who has written it reads it; deleting what
/// is not there succeeds. Names are paths of a few parts with `/` between them. Calls block, for a bounded time.
pub trait RemoteStore: Send + Sync + fmt::Debug {
    /// Writes the first `length` bytes of a file as an object.
    ///
    /// # Errors
    /// When the file cannot be read or the store does not take it; a later write of the same name may succeed.
    fn put_file(&self, name: &str, file: &Path, length: u64) -> Result<(), RemoteError>;

    /// Writes an object.
    ///
    /// # Errors
    /// When the store does not take it.
    fn put(&self, name: &str, bytes: Bytes) -> Result<(), RemoteError>;

    /// Reads `length` bytes of an object from `position`; fewer at its end.
    ///
    /// # Errors
    /// [`RemoteError::NotFound`], or when the store cannot be reached.
    fn get(&self, name: &str, position: u64, length: u64) -> Result<Bytes, RemoteError>;

    /// Deletes an object.
    ///
    /// # Errors
    /// When the store cannot be reached; the object may be gone all the same.
    fn delete(&self, name: &str) -> Result<(), RemoteError>;

    /// Calls `each` with the name of every object below `prefix`, a path without a `/` at its end, in any order.
    ///
    /// # Errors
    /// When the store cannot be reached; some names were given then.
    fn list(&self, prefix: &str, each: &mut dyn FnMut(&str)) -> Result<(), RemoteError>;

    /// The storage closes: calls in progress and later ones may fail at once rather than be waited for.
    fn close(&self) {}
}

/// What is in the remote store: one entry per remote segment, by its id.
///
/// **Contract** (checked by [`conformance`]): a change is durable and seen by every later read when the call returns; after an error it
/// was made or not. Calls block, for a bounded time.
pub trait RemoteManifest: Send + Sync + fmt::Debug {
    /// All entries, of all partitions, in any order.
    ///
    /// # Errors
    /// When the manifest cannot be read. An entry that does not parse is an error: to pass over it would make its objects garbage.
    fn entries(&self) -> Result<Vec<RemoteSegment>, RemoteError>;

    /// The entry with this segment's id, if there is one.
    ///
    /// # Errors
    /// As [`RemoteManifest::entries`].
    fn entry(&self, segment: &RemoteSegment) -> Result<Option<RemoteSegment>, RemoteError>;

    /// Writes the entry of a segment, in place of the one with its id.
    ///
    /// # Errors
    /// When the manifest cannot be written.
    fn put(&self, segment: &RemoteSegment) -> Result<(), RemoteError>;

    /// Writes all of `entries` in one change, if the entry of `unchanged` is still exactly that; false, and nothing written, when it
    /// is not. There are at most [`REPLACED_MAX`] entries and one.
    ///
    /// # Errors
    /// When the manifest cannot be read or written.
    fn replace(
        &self,
        unchanged: &RemoteSegment,
        entries: &[RemoteSegment],
    ) -> Result<bool, RemoteError>;

    /// Removes the entry of a segment; none is no error.
    ///
    /// # Errors
    /// When the manifest cannot be written.
    fn remove(&self, segment: &RemoteSegment) -> Result<(), RemoteError>;
}

/// The most segments that one takes the place of: an entry each in one change of the manifest.
pub const REPLACED_MAX: usize = 256;

/// The settings of tiered storage, all of them changeable while it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct TierConfig {
    /// `remote.log.manager.task.interval.ms`: how often logs are looked at.
    pub task_interval_ms: u64,
    /// `remote.log.manager.task.retry.backoff.ms`: how soon after a round with a failure the next one is, if that is sooner than
    /// the interval; twice as long after each further one.
    pub retry_backoff_ms: u64,
    /// `remote.log.manager.task.retry.backoff.max.ms`: the longest such wait.
    pub retry_backoff_max_ms: u64,
    /// `remote.log.manager.task.retry.jitter`: the share of it that is added or taken at random, 0 to 0.5.
    pub retry_jitter: f64,
    /// `remote.log.manager.copier.thread.pool.size`: how many logs are copied or deleted from at once.
    pub copier_threads: usize,
    /// `remote.log.reader.threads`: how many reads of the store run at once.
    pub reader_threads: usize,
    /// `remote.log.reader.max.pending.tasks`: how many may wait beside them.
    pub reader_pending_max: usize,
    /// `remote.log.reader.cache.bytes`: of remote segments, how much is kept in memory.
    pub reader_cache_bytes: u64,
    /// `remote.log.reader.ahead.bytes`: how much is asked for ahead of a reader; half of the cache at most.
    pub reader_ahead_bytes: u64,
    /// `remote.log.index.file.cache.total.size.bytes`.
    pub index_cache_bytes: u64,
    /// `remote.log.index.file.cache.ttl.ms`: how long indexes that nobody uses are kept; negative for ever.
    pub index_cache_ttl_ms: i64,
    /// `remote.log.manager.fetch.max.bytes.per.second`.
    pub fetch_bytes_per_second: u64,
    /// `remote.log.manager.copy.max.bytes.per.second`.
    pub copy_bytes_per_second: u64,
}

impl Default for TierConfig {
    fn default() -> TierConfig {
        TierConfig {
            task_interval_ms: 30_000,
            retry_backoff_ms: 500,
            retry_backoff_max_ms: 30_000,
            retry_jitter: 0.2,
            copier_threads: 10,
            reader_threads: 10,
            reader_pending_max: 100,
            reader_cache_bytes: 128 << 20,
            reader_ahead_bytes: 32 << 20,
            index_cache_bytes: 1 << 30,
            index_cache_ttl_ms: 900_000,
            fetch_bytes_per_second: u64::MAX,
            copy_bytes_per_second: u64::MAX,
        }
    }
}

/// Where the remote part of the logs is. Given to [`crate::Storage::open`] in [`crate::StorageOptions::tier`].
#[derive(Clone, Debug)]
pub struct TierOptions {
    /// The objects.
    pub store: Arc<dyn RemoteStore>,
    /// What is there.
    pub manifest: Arc<dyn RemoteManifest>,
    /// The first part of every object's name: the cluster's id, so that clusters can share a store.
    pub root: String,
    /// The settings.
    pub config: TierConfig,
}

/// The remote side of a data directory, as its logs share it.
#[derive(Debug)]
pub(crate) struct Tier {
    pub(crate) store: Arc<dyn RemoteStore>,
    pub(crate) manifest: Arc<dyn RemoteManifest>,
    pub(crate) root: String,
    pub(crate) chunks: chunks::Chunks,
    pub(crate) index_files: index_files::IndexFiles,
    pub(crate) metrics: Arc<StorageMetrics>,
    config: RwLock<Arc<TierConfig>>,
    /// Entries whose partitions are gone, or that no copy finished: to be deleted.
    garbage: Mutex<Vec<Arc<RemoteSegment>>>,
}

impl Tier {
    pub(crate) fn new(
        options: &TierOptions,
        cache_dir: &Path,
        metrics: &Arc<StorageMetrics>,
    ) -> io::Result<Tier> {
        let config = &options.config;
        let chunks = chunks::Chunks::new(
            Arc::clone(&options.store),
            Arc::clone(metrics),
            chunks::Limits::of(config),
        );
        chunks.set_rate(config.fetch_bytes_per_second);
        Ok(Tier {
            chunks,
            index_files: index_files::IndexFiles::open(cache_dir, config.index_cache_bytes)?,
            store: Arc::clone(&options.store),
            manifest: Arc::clone(&options.manifest),
            root: options.root.clone(),
            metrics: Arc::clone(metrics),
            config: RwLock::new(Arc::new(config.clone())),
            garbage: Mutex::default(),
        })
    }

    pub(crate) fn config(&self) -> Arc<TierConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_config(&self, config: TierConfig) {
        self.index_files.set_limit(config.index_cache_bytes);
        self.chunks.set_limits(chunks::Limits::of(&config));
        self.chunks.set_rate(config.fetch_bytes_per_second);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    pub(crate) fn discard(&self, segments: impl IntoIterator<Item = Arc<RemoteSegment>>) {
        self.garbage.locked().extend(segments);
    }

    pub(crate) fn take_garbage(&self) -> Vec<Arc<RemoteSegment>> {
        std::mem::take(&mut *self.garbage.locked())
    }
}
