//! AddPartitionsToTxn and AddOffsetsToTxn. Source: `TransactionCoordinator.handleAddPartitionsToTransaction`,
//! `handleVerifyPartitionsInTransaction`.

use std::sync::Arc;

use wire::ErrorCode;

use super::metadata::{ClientVersion, Metadata, TopicPartition, TransactionState};
use super::{Response, TransactionCoordinator};
use crate::action::Token;
use crate::machine::Actions;

/// What is to be done with the partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionsMode {
    /// Add them.
    Add(ClientVersion),
    /// Say whether they belong to the transaction already; change nothing.
    Verify,
}

/// Partitions that belong to a transaction, or shall.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitions {
    /// The transactional id.
    pub transactional_id: String,
    /// The producer's id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Add or verify.
    pub mode: PartitionsMode,
    /// The partitions.
    pub partitions: Vec<TopicPartition>,
}

impl TransactionCoordinator {
    /// Adds partitions to the transaction, which begins with the first, or verifies that they belong to it.
    ///
    /// Errors: INVALID_REQUEST for an empty transactional id, INVALID_PRODUCER_ID_MAPPING for one that is not known
    /// or has another producer id, PRODUCER_FENCED for another epoch, CONCURRENT_TRANSACTIONS while an earlier
    /// transaction ends; in a verification TRANSACTION_ABORTABLE for a partition that does not belong to it.
    #[must_use]
    pub fn add_partitions(&mut self, token: Token, request: AddPartitions) -> Actions<Self> {
        let count = request.partitions.len();
        let answered = match request.mode {
            PartitionsMode::Verify => self.verify(&request).map(Some),
            PartitionsMode::Add(version) => self.add(token, request, version),
        };
        match answered {
            Ok(Some(codes)) => self.reply(token, Response::Partitions(codes)),
            Ok(None) => {}
            Err(error) => self.reply(token, Response::Partitions(vec![error; count])),
        }
        self.finish()
    }

    fn add(
        &mut self,
        token: Token,
        request: AddPartitions,
        version: ClientVersion,
    ) -> Result<Option<Vec<ErrorCode>>, ErrorCode> {
        let metadata = self.transaction_of(&request, true)?;
        let codes = vec![ErrorCode::None; request.partitions.len()];
        let known = |partition| metadata.partitions.contains(partition);
        if metadata.state == TransactionState::Ongoing && request.partitions.iter().all(known) {
            return Ok(Some(codes));
        }
        let next = metadata.with_partitions(request.partitions, version, self.clock.now_ms());
        let id: Arc<str> = request.transactional_id.into();
        self.append(&id, next, Some((token, Response::Partitions(codes))));
        Ok(None)
    }

    fn verify(&self, request: &AddPartitions) -> Result<Vec<ErrorCode>, ErrorCode> {
        let metadata = self.transaction_of(request, false)?;
        let code = |partition| {
            if metadata.partitions.contains(partition) {
                ErrorCode::None
            } else {
                ErrorCode::TransactionAbortable
            }
        };
        Ok(request.partitions.iter().map(code).collect())
    }

    /// The transaction that the request is about. `changes` says whether a transition in flight is in its way.
    fn transaction_of(
        &self,
        request: &AddPartitions,
        changes: bool,
    ) -> Result<&Metadata, ErrorCode> {
        if let Some(error) = self.unavailable() {
            return Err(error);
        }
        if request.transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let transaction = self
            .transactions
            .get(request.transactional_id.as_str())
            .ok_or(ErrorCode::InvalidProducerIdMapping)?;
        let metadata = &transaction.metadata;
        // First: with version 2 the producer may have an id that is only on its way.
        if changes && transaction.pending.is_some() {
            Err(ErrorCode::ConcurrentTransactions)
        } else if metadata.producer_id != request.producer_id {
            Err(ErrorCode::InvalidProducerIdMapping)
        } else if metadata.producer_epoch != request.producer_epoch {
            Err(ErrorCode::ProducerFenced)
        } else if metadata.state.is_preparing() {
            Err(ErrorCode::ConcurrentTransactions)
        } else {
            Ok(metadata)
        }
    }
}
