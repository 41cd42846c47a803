//! EndTxn. Source: `TransactionCoordinator.endTransaction` and `endTransactionWithTV1`.
//!
//! What a producer of transaction version 2 gets in the states without an open transaction, where *retry* is a
//! request with the epoch before the current one:
//!
//! | state | abort, retry | abort | commit, retry | commit |
//! |---|---|---|---|---|
//! | Empty | PRODUCER_FENCED | epoch bump | PRODUCER_FENCED | INVALID_TXN_STATE |
//! | CompleteAbort | success | epoch bump | INVALID_TXN_STATE | INVALID_TXN_STATE |
//! | CompleteCommit | INVALID_TXN_STATE | epoch bump | success | INVALID_TXN_STATE |
//!
//! A classic producer may repeat the end of its last transaction, and gets INVALID_TXN_STATE otherwise.

use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::EndTxnResponse;

use super::metadata::{ClientVersion, Metadata, TransactionState};
use super::{Response, TransactionCoordinator};
use crate::action::Token;
use crate::machine::Actions;

/// A producer that ends its transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndTxn {
    /// The transactional id.
    pub transactional_id: String,
    /// The producer's id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Commit or abort.
    pub commit: bool,
    /// Its protocol: version 5 of EndTxn and later is version 2.
    pub version: ClientVersion,
    /// A producer id that nobody has, once [`Response::ProducerIdWanted`] asked for it.
    pub new_producer_id: Option<i64>,
}

/// What to do with an EndTxn that is in order.
enum Verdict {
    /// It was done before.
    Done,
    /// Decide the transaction.
    Prepare,
}

impl TransactionCoordinator {
    /// EndTxn, versions 0 to 5. Answered when the outcome is durable; markers follow. The answer holds the
    /// producer id and epoch of the next transaction, which only version 5 can say.
    ///
    /// Errors: INVALID_REQUEST for an empty transactional id, INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED,
    /// CONCURRENT_TRANSACTIONS while the transaction ends, INVALID_TXN_STATE when it ended the other way or there
    /// is none.
    #[must_use]
    pub fn end_txn(&mut self, token: Token, request: EndTxn) -> Actions<Self> {
        if let Err(error) = self.end(token, &request) {
            self.reply(token, Response::end_error(error));
        }
        self.finish()
    }

    fn end(&mut self, token: Token, request: &EndTxn) -> Result<(), ErrorCode> {
        if let Some(error) = self.unavailable() {
            return Err(error);
        }
        if request.transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let id: Arc<str> = request.transactional_id.as_str().into();
        let transaction = self
            .transactions
            .get(&id)
            .ok_or(ErrorCode::InvalidProducerIdMapping)?;
        let is_pending = transaction.pending.is_some();
        let metadata = transaction.metadata.clone();
        let verdict = match request.version {
            ClientVersion::V2 => judge_v2(&metadata, request, is_pending)?,
            ClientVersion::Classic => judge_classic(&metadata, request, is_pending)?,
        };
        match verdict {
            Verdict::Done => {
                let response = response(metadata.producer_id, metadata.producer_epoch);
                self.reply(token, response);
                Ok(())
            }
            Verdict::Prepare => {
                self.prepare(token, &id, &metadata, request);
                Ok(())
            }
        }
    }

    fn prepare(&mut self, token: Token, id: &Arc<str>, metadata: &Metadata, request: &EndTxn) {
        let exhausted = request.version == ClientVersion::V2 && metadata.is_epoch_exhausted();
        if exhausted && request.new_producer_id.is_none() {
            self.reply(token, Response::ProducerIdWanted);
            return;
        }
        let next_producer_id = request.new_producer_id.filter(|_| exhausted);
        let now_ms = self.clock.now_ms();
        let next = metadata.prepared(request.commit, request.version, next_producer_id, now_ms);
        // What the producer has once the transaction is complete; the client need not wait for that.
        let after = next.completed(now_ms);
        let response = response(after.producer_id, after.producer_epoch);
        self.append(id, next, Some((token, response)));
    }
}

fn response(producer_id: i64, producer_epoch: i16) -> Response {
    Response::EndTxn(EndTxnResponse {
        producer_id,
        producer_epoch,
        ..EndTxnResponse::default()
    })
}

fn judge_classic(
    metadata: &Metadata,
    request: &EndTxn,
    is_pending: bool,
) -> Result<Verdict, ErrorCode> {
    if metadata.producer_id != request.producer_id {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    if metadata.producer_epoch != request.producer_epoch {
        return Err(ErrorCode::ProducerFenced);
    }
    if is_pending {
        return Err(ErrorCode::ConcurrentTransactions);
    }
    match (metadata.state, request.commit) {
        (TransactionState::Ongoing, _) => Ok(Verdict::Prepare),
        (TransactionState::CompleteCommit, true) | (TransactionState::CompleteAbort, false) => {
            Ok(Verdict::Done)
        }
        (TransactionState::PrepareCommit, true) | (TransactionState::PrepareAbort, false) => {
            Err(ErrorCode::ConcurrentTransactions)
        }
        (
            TransactionState::Empty
            | TransactionState::PrepareCommit
            | TransactionState::PrepareAbort
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort,
            _,
        ) => Err(ErrorCode::InvalidTxnState),
    }
}

fn judge_v2(metadata: &Metadata, request: &EndTxn, is_pending: bool) -> Result<Verdict, ErrorCode> {
    // First: the producer may have an id that is only on its way.
    if is_pending {
        return Err(ErrorCode::ConcurrentTransactions);
    }
    // The same epoch is the next end of a transaction; the retry of the last one has the epoch before.
    let is_current = request.producer_epoch == metadata.producer_epoch;
    let after_overflow = metadata.previous_producer_id == request.producer_id
        && request.producer_epoch == i16::MAX - 1
        && metadata.producer_epoch == 0;
    let is_bump_retry = i32::from(metadata.producer_epoch) == i32::from(request.producer_epoch) + 1;
    let is_retry = is_bump_retry || after_overflow;
    if metadata.producer_id != request.producer_id && !after_overflow {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    let is_valid_epoch = match metadata.state {
        TransactionState::Empty | TransactionState::Ongoing => is_current,
        TransactionState::PrepareCommit | TransactionState::PrepareAbort => is_bump_retry,
        TransactionState::CompleteCommit | TransactionState::CompleteAbort => {
            is_retry || is_current
        }
    };
    if !is_valid_epoch {
        return Err(ErrorCode::ProducerFenced);
    }
    match (metadata.state, request.commit) {
        (TransactionState::Ongoing, _) | (TransactionState::Empty, false) => Ok(Verdict::Prepare),
        (TransactionState::CompleteCommit, true) | (TransactionState::CompleteAbort, false)
            if is_retry =>
        {
            Ok(Verdict::Done)
        }
        (TransactionState::CompleteCommit | TransactionState::CompleteAbort, false)
            if !is_retry =>
        {
            Ok(Verdict::Prepare)
        }
        (TransactionState::PrepareCommit, true) | (TransactionState::PrepareAbort, false) => {
            Err(ErrorCode::ConcurrentTransactions)
        }
        (
            TransactionState::Empty
            | TransactionState::PrepareCommit
            | TransactionState::PrepareAbort
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort,
            _,
        ) => Err(ErrorCode::InvalidTxnState),
    }
}
