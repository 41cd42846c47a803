//! Asking the transaction coordinator whether partitions belong to a transaction, or adding them (KIP-890).
//!
//! Source: `AddPartitionsToTxnManager`.

use std::sync::Arc;

use coordinator::transaction::{
    AddPartitions, ClientVersion, PartitionsMode, Response, TopicPartition,
};
use wire::ErrorCode;

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
/// While an earlier transaction of the producer ends, this tries again for
/// `add.partitions.to.txn.retry.backoff.max.ms`, so that a client of transaction version 2 seldom sees
/// CONCURRENT_TRANSACTIONS.
///
/// Differs: Kafka sleeps for `add.partitions.to.txn.retry.backoff.ms` before each further attempt. Here the
/// coordinator says when the earlier transaction has ended; the backoff is the longest such wait.
pub(crate) async fn verify(
    server: &Arc<Server>,
    producer: &Producer,
    operation: SupportedOperation,
    partitions: &[TopicPartition],
) -> Vec<ErrorCode> {
    let settings = server.settings();
    let began = tokio::time::Instant::now();
    let give_up = began
        + settings
            .transactions
            .retry_backoff_max
            .min(settings.request_timeout);
    loop {
        let codes = ask(server, producer, operation, partitions).await;
        let is_ending =
            operation.supports_epoch_bump() && codes.contains(&ErrorCode::ConcurrentTransactions);
        let next = tokio::time::Instant::now() + settings.transactions.retry_backoff;
        if !is_ending || next > give_up {
            return codes
                .into_iter()
                .map(|code| translate(code, operation))
                .collect();
        }
        let id = producer.transactional_id.clone();
        let settled = server
            .transactions()
            .request(&producer.transactional_id, move |machine, token| {
                machine.await_settled(token, &id)
            });
        // Ended or not, and whether or not the coordinator is still there: the next attempt shows.
        drop(tokio::time::timeout_at(next, settled).await);
    }
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
    let asked = server
        .transactions()
        .request(&producer.transactional_id, move |machine, token| {
            machine.add_partitions(token, request)
        })
        .await;
    match asked {
        Ok(Response::Partitions(codes)) => codes,
        Ok(_) => vec![ErrorCode::UnknownServerError; partitions.len()],
        Err(code) => vec![code; partitions.len()],
    }
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
