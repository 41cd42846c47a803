//! Where records live: one journal for durability, Kafka-layout segments for everything else.
//!
//! ```text
//!            append                                  wait_durable(lsn)
//!              │                                            ▲
//!              ▼                                            │
//!   PartitionLog (state lock) ──frame──▶ Wal (LocalJournal: one group write for all partitions)
//!     tail: stamped batches                                 │ durable watermark
//!              │  segment writer, later                     ▼
//!              ▼                                   high watermark, waiting fetches
//!   00000000000000000000.log/.index/.timeindex  ──▶ checkpoint ──▶ journal files are recycled
//! ```
//!
//! - [`Storage`] owns a data directory: opens and recovers it, creates and deletes partitions, checkpoints.
//! - [`PartitionLog`] is Apache Kafka's `UnifiedLog`: append, read, list offsets, retention, producer state.
//! - [`cleaner`] is compaction: Apache Kafka's `LogCleaner`.
//! - [`wal::Wal`] and [`store::SegmentStore`] are the two seams that a cluster engine implements
//!   differently; each comes with a conformance suite.
//! - [`cold`] reads what lies in segments but not in the page cache.
//! - [`tier`] copies closed segments to a remote store and reads them there (KIP-405).
//! - [`inspect`] reads a data directory offline.
//!
//! **Invariants**
//! - *Reserve is not publish.* An append reserves offsets and producer sequences at once; they become
//!   visible (high watermark, reads, duplicate answers) only when the journal has made them durable.
//! - *Corruption stops a partition, it never truncates one.* Only a torn tail that no acknowledgement can
//!   have covered is cut.
//! - *A failed sync ends the journal.* It is never retried; the storage answers [`StorageError::Failed`].
//!
//! **API boundary:** nothing here knows requests, groups, replication or a network: [`tier::RemoteStore`] and
//! [`tier::RemoteManifest`] are given from outside.

mod aligned;
pub mod cleaner;
pub mod cold;
pub mod config;
pub mod error;
pub mod fault;
mod flusher;
pub mod inspect;
mod io;
pub mod log;
pub mod lsn;
mod manager;
pub mod metrics;
pub mod store;
pub mod tier;
pub mod wal;

pub use cleaner::{CleanReport, CleanerConfig, CleanerReport};
pub use cold::{ColdPipe, ColdReads};
pub use config::{CleanupPolicy, FlushPolicy, LogConfig, RemoteLogConfig, StorageOptions};
pub use error::{AppendError, ReadError, StorageError};
pub use fault::{FaultHook, IoOp};
pub use log::epoch::EpochEndOffset;
pub use log::producer::{AbortedTxn, ProducerDescription};
pub use log::read::bytes_of;
pub use log::{
    AppendBatch, AppendOrigin, Appended, DeletedRecords, LogState, PartitionLog, ReadLimit,
    ReadResult, TimestampOffset, VerificationGuard, VerificationRequest,
};
pub use lsn::Lsn;
pub use manager::{
    Duty, OfflinePartition, PartitionSpec, QueuedWrites, RecoveryReport, RetentionReport, Storage,
    StorageStatus, TierReport, Volume,
};
pub use metrics::StorageMetrics;
pub use tier::{TierConfig, TierOptions};
pub use wal::WhenToWrite;
