//! From the storage's errors to Kafka's: one exhaustive match each, in this one file.

use storage::{AppendError, ReadError, StorageError};
use wire::ErrorCode;

/// The code for a storage that cannot serve.
pub(crate) fn of_storage(error: &StorageError) -> ErrorCode {
    match error {
        StorageError::UnknownPartition { .. } => ErrorCode::UnknownTopicOrPartition,
        StorageError::Locked { .. }
        | StorageError::Failed { .. }
        | StorageError::DiskFull
        | StorageError::Closed
        | StorageError::PartitionExists { .. }
        | StorageError::Offline { .. }
        | StorageError::Corrupt { .. }
        | StorageError::Io { .. } => ErrorCode::KafkaStorageError,
        // The enum may grow; whatever it is, the storage could not serve.
        _ => ErrorCode::KafkaStorageError,
    }
}

/// The code for a batch that was not appended.
pub(crate) fn of_append(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        AppendError::DuplicateSequence { .. } => ErrorCode::DuplicateSequenceNumber,
        AppendError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::InvalidTxnState { .. } => ErrorCode::InvalidTxnState,
        AppendError::CoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        AppendError::FencedLeaderEpoch { .. } => ErrorCode::NotLeaderOrFollower,
        AppendError::InvalidBatch(_) => ErrorCode::InvalidRecord,
        AppendError::TooLarge { .. } => ErrorCode::RecordListTooLarge,
        // The caller waits for room and tries again; a client that still sees it does the same.
        AppendError::Backpressure => ErrorCode::RequestTimedOut,
        AppendError::Storage(error) => of_storage(error),
        _ => ErrorCode::UnknownServerError,
    }
}

/// The code for a read that failed.
pub(crate) fn of_read(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Corrupt { .. } => ErrorCode::KafkaStorageError,
        ReadError::Storage(error) => of_storage(error),
        ReadError::RemotePending => ErrorCode::RequestTimedOut,
        // Clients try again, after having looked for another leader.
        ReadError::Tiered(_) | ReadError::Remote(_) => ErrorCode::KafkaStorageError,
        _ => ErrorCode::UnknownServerError,
    }
}
