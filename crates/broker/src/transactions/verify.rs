//! Asking the transaction coordinator whether partitions belong to a transaction, or adding them (KIP-890).
//!
//! Source: `AddPartitionsToTxnManager`.

use std::sync::Arc;

use coordinator::transaction::{AddPartitions, ClientVersion, PartitionsMode, TopicPartition};
use wire::ErrorCode;

use super::ask_once;
use super::settle::ask_until_settled;
use crate::server::Server;

/// What a request's version lets its client do (`TransactionSupportedOperation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SupportedOperation {
    /// It adds partitions by request and knows the old errors only.
    DefaultError,
    /// It adds partitions by request and knows TRANSACTION_ABORTABLE.
    GenericError,
    /// Writing adds the partition (transaction version 2).
    AddPartition,
}

impl SupportedOperation {
    /// Of a Produce.
    pub(crate) fn of_produce(version: i16) -> SupportedOperation {
        match version {
            12.. => SupportedOperation::AddPartition,
            11 => SupportedOperation::GenericError,
            _ => SupportedOperation::DefaultError,
        }
    }

    /// Of a TxnOffsetCommit.
    pub(crate) fn of_txn_offset_commit(version: i16) -> SupportedOperation {
        match version {
            5.. => SupportedOperation::AddPartition,
            4 => SupportedOperation::GenericError,
            _ => SupportedOperation::DefaultError,
        }
    }

    /// Whether the client's epoch grows with each transaction.
    pub(crate) fn supports_epoch_bump(self) -> bool {
        self == SupportedOperation::AddPartition
    }
}

/// A producer and its transactional id.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    pub(crate) transactional_id: String,
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
}

/// Verifies the partitions, or adds them. Answers a code for each, in their order; the codes are those that the
/// request's version knows.
///
/// While an earlier transaction of the producer ends, this asks again for a client of transaction version 2
/// ([`super::settle`]).
pub(crate) async fn verify(
    server: &Arc<Server>,
    producer: &Producer,
    operation: SupportedOperation,
    partitions: &[TopicPartition],
) -> Vec<ErrorCode> {
    let ask = || ask(server, producer, operation, partitions);
    let codes = ask_until_settled(server, &producer.transactional_id, ask, |codes| {
        operation.supports_epoch_bump() && codes.contains(&ErrorCode::ConcurrentTransactions)
    });
    let codes = codes.await.into_iter();
    codes.map(|code| translate(code, operation)).collect()
}

async fn ask(
    server: &Arc<Server>,
    producer: &Producer,
    operation: SupportedOperation,
    partitions: &[TopicPartition],
) -> Vec<ErrorCode> {
    let request = AddPartitions {
        transactional_id: producer.transactional_id.clone(),
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        mode: if operation.supports_epoch_bump() {
            PartitionsMode::Add(ClientVersion::V2)
        } else {
            PartitionsMode::Verify
        },
        partitions: partitions.to_vec(),
    };
    ask_once(server, request).await
}

fn translate(code: ErrorCode, operation: SupportedOperation) -> ErrorCode {
    match code {
        // Not fatal for a producer: it aborts its transaction and goes on.
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        ErrorCode::TransactionAbortable if operation == SupportedOperation::DefaultError => {
            ErrorCode::InvalidTxnState
        }
        other => other,
    }
}
