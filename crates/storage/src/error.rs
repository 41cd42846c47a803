//! What can go wrong, by operation; each variant is a condition that a caller acts on.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use base::{Offset, PartitionIndex, TopicId};

/// A failure of the data directory or of one of its partitions.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// Another process holds the directory.
    #[error("data directory '{}' is in use by another process", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A write or sync of the journal failed. Nothing is written any more until the process restarts;
    /// answer `KAFKA_STORAGE_ERROR`.
    #[error(
        "the journal failed and takes no more writes: {reason}; restart after repairing the disk"
    )]
    Failed {
        /// The first failure.
        reason: Arc<str>,
    },
    /// No journal file can be made, so nothing is appended until there is room again. Reads, deletion and
    /// retention go on; answer `KAFKA_STORAGE_ERROR`.
    #[error("the disk of the data directory is full; free space or lower retention")]
    DiskFull,
    /// The storage was closed.
    #[error("the storage is closed")]
    Closed,
    /// No such partition.
    #[error("partition {topic_id}-{partition} does not exist")]
    UnknownPartition {
        /// The topic.
        topic_id: TopicId,
        /// The partition.
        partition: PartitionIndex,
    },
    /// A partition of this id, or its directory, is already there.
    #[error("partition {topic}-{partition} exists already")]
    PartitionExists {
        /// The topic's name.
        topic: String,
        /// The partition.
        partition: PartitionIndex,
    },
    /// Corruption took the partition offline; its bytes are kept.
    #[error("partition is offline: {reason}")]
    Offline {
        /// What is wrong with it.
        reason: Arc<str>,
    },
    /// A file of the data directory holds what it must not.
    #[error("'{}' is corrupt: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: Arc<str>,
    },
    /// The operating system refused.
    #[error("cannot {action} '{}'", path.display())]
    Io {
        /// What was tried: `open`, `read`, ...
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Arc<io::Error>,
    },
}

impl StorageError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        StorageError::Io {
            action,
            path: path.into(),
            source: Arc::new(source),
        }
    }
}

/// Why a batch was not appended. Nothing was changed, whatever the variant.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// `OUT_OF_ORDER_SEQUENCE_NUMBER`.
    #[error("producer {producer_id} sent sequence {sequence}, expected {expected}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// The batch's first sequence.
        sequence: i32,
        /// The one that would follow; -1 when the partition knows none.
        expected: i32,
    },
    /// `DUPLICATE_SEQUENCE_NUMBER`: a repetition older than the five batches remembered.
    #[error("producer {producer_id} repeated sequence {sequence}, which is no longer remembered")]
    DuplicateSequence {
        /// The producer.
        producer_id: i64,
        /// The batch's first sequence.
        sequence: i32,
    },
    /// `INVALID_PRODUCER_EPOCH`.
    #[error("producer {producer_id} has epoch {epoch}, the partition has seen {current}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: i64,
        /// The batch's epoch.
        epoch: i16,
        /// The newest epoch seen.
        current: i16,
    },
    /// `INVALID_TXN_STATE`: a plain batch from a producer with an open transaction.
    #[error("producer {producer_id} has an open transaction and sent a batch outside of it")]
    InvalidTxnState {
        /// The producer.
        producer_id: i64,
    },
    /// `TRANSACTION_COORDINATOR_FENCED`: a marker of an older coordinator.
    #[error("coordinator epoch {epoch} is older than {current}")]
    CoordinatorFenced {
        /// The marker's epoch.
        epoch: i32,
        /// The newest seen.
        current: i32,
    },
    /// `FENCED_LEADER_EPOCH`: the caller is not the leader any more.
    #[error("leader epoch {epoch} is older than the log's {current}")]
    FencedLeaderEpoch {
        /// The caller's epoch.
        epoch: i32,
        /// The log's.
        current: i32,
    },
    /// `INVALID_RECORD`: the bytes are not one whole batch.
    #[error("not one whole record batch: {0}")]
    InvalidBatch(String),
    /// The batch alone exceeds what a segment or a journal file can hold (`RECORD_LIST_TOO_LARGE`).
    #[error("batch of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// The batch's size.
        size: usize,
        /// The smaller of segment and journal file.
        limit: usize,
    },
    /// Too much is queued. Await [`crate::Storage::append_room`] and try again.
    #[error("the journal's queue is full")]
    Backpressure,
    /// `KAFKA_STORAGE_ERROR`.
    #[error("the storage cannot append")]
    Storage(#[source] StorageError),
}

/// Why a read failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// `OFFSET_OUT_OF_RANGE`.
    #[error("offset {offset} is outside of {log_start_offset}..={limit}")]
    OffsetOutOfRange {
        /// What was asked for.
        offset: Offset,
        /// The first offset.
        log_start_offset: Offset,
        /// The last one allowed: the high watermark or the log end offset.
        limit: Offset,
    },
    /// `KAFKA_STORAGE_ERROR`: the bytes at this place are not a batch.
    #[error("segment '{}' is corrupt at byte {position}: {reason}", path.display())]
    Corrupt {
        /// The segment file.
        path: PathBuf,
        /// Where in it.
        position: u64,
        /// What is wrong.
        reason: String,
    },
    /// The offset lies below the local log start: read it with [`crate::PartitionLog::read_remote`].
    #[error("offset {} is in the remote store", .0.next_offset)]
    Tiered(Box<crate::ReadResult>),
    /// The remote store did not answer in time; what was asked of it goes on being read.
    #[error("the remote store has not answered in time")]
    RemotePending,
    /// The remote store cannot be read; trying again may help.
    #[error("the remote store cannot be read")]
    Remote(#[source] Arc<io::Error>),
    /// `KAFKA_STORAGE_ERROR`.
    #[error("the storage cannot read")]
    Storage(#[source] StorageError),
}
