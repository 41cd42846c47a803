//! InitProducerId with a transactional id. Source: `TransactionCoordinator.handleInitProducerId`.

use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::InitProducerIdResponse;

use super::metadata::{ClientVersion, Metadata, TransactionState, is_epoch_exhausted};
use super::{Response, Transaction, TransactionCoordinator};
use crate::action::Token;
use crate::machine::Actions;

/// A producer that wants to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitProducerId {
    /// The transactional id; not empty.
    pub transactional_id: String,
    /// The longest its transactions may take, in milliseconds.
    pub timeout_ms: i32,
    /// The producer id and epoch it has, when it goes on after an error (KIP-360).
    pub expected: Option<(i64, i16)>,
    /// A producer id that nobody has, once [`Response::ProducerIdWanted`] asked for it.
    pub new_producer_id: Option<i64>,
}

impl TransactionCoordinator {
    /// InitProducerId, versions 0 to 5: fences earlier producers of the transactional id by a higher epoch.
    ///
    /// A transaction that is open is aborted first; the answer is CONCURRENT_TRANSACTIONS then, and the client
    /// comes back. A client whose `expected` producer is not the last one gets PRODUCER_FENCED.
    #[must_use]
    pub fn init_producer_id(&mut self, token: Token, request: InitProducerId) -> Actions<Self> {
        if let Err(error) = self.init(token, &request) {
            self.reply(token, Response::init_error(error));
        }
        self.finish()
    }

    fn init(&mut self, token: Token, request: &InitProducerId) -> Result<(), ErrorCode> {
        if let Some(error) = self.unavailable() {
            return Err(error);
        }
        let max_ms = self.config.max_timeout.as_millis();
        let in_range = u128::try_from(request.timeout_ms).is_ok_and(|ms| ms > 0 && ms <= max_ms);
        if !in_range {
            return Err(ErrorCode::InvalidTransactionTimeout);
        }
        let id: Arc<str> = request.transactional_id.as_str().into();
        let now_ms = self.clock.now_ms();
        let known = self.transactions.get(&id);
        if known.is_some_and(|transaction| transaction.pending.is_some()) {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        let metadata = match (known, request.new_producer_id) {
            (Some(transaction), _) => transaction.metadata.clone(),
            (None, Some(producer_id)) => Metadata::new(producer_id, request.timeout_ms, now_ms),
            (None, None) => {
                self.reply(token, Response::ProducerIdWanted);
                return Ok(());
            }
        };
        if !request
            .expected
            .is_none_or(|expected| is_known_producer(&metadata, expected))
        {
            return Err(ErrorCode::ProducerFenced);
        }
        match metadata.state {
            TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
                Err(ErrorCode::ConcurrentTransactions)
            }
            TransactionState::Ongoing => {
                let aborted = metadata.prepared(false, ClientVersion::V2, None, now_ms);
                let response = Response::init_error(ErrorCode::ConcurrentTransactions);
                self.append(&id, aborted, Some((token, response)));
                Ok(())
            }
            TransactionState::Empty
            | TransactionState::CompleteCommit
            | TransactionState::CompleteAbort => self.begin_producer(token, &id, metadata, request),
        }
    }

    fn begin_producer(
        &mut self,
        token: Token,
        id: &Arc<str>,
        metadata: Metadata,
        request: &InitProducerId,
    ) -> Result<(), ErrorCode> {
        let now_ms = self.clock.now_ms();
        let expected_epoch = request.expected.map(|(_, epoch)| epoch);
        let is_current = expected_epoch.is_none_or(|epoch| epoch == metadata.producer_epoch);
        let next = if metadata.is_epoch_exhausted() && is_current {
            let Some(producer_id) = request.new_producer_id else {
                self.reply(token, Response::ProducerIdWanted);
                return Ok(());
            };
            let keeps_last = request.expected.is_some();
            metadata.next_producer(producer_id, request.timeout_ms, keeps_last, now_ms)
        } else {
            metadata.next_epoch(request.timeout_ms, expected_epoch, now_ms)?
        };
        let response = Response::InitProducerId(InitProducerIdResponse {
            producer_id: next.producer_id,
            producer_epoch: next.producer_epoch,
            ..InitProducerIdResponse::default()
        });
        self.transactions
            .entry(Arc::clone(id))
            .or_insert(Transaction {
                metadata,
                pending: None,
            });
        self.append(id, next, Some((token, response)));
        Ok(())
    }
}

/// Whether a producer with this id and epoch may go on. The epoch itself is compared when it is bumped.
fn is_known_producer(metadata: &Metadata, (producer_id, epoch): (i64, i16)) -> bool {
    // A new transactional id: the producer recovers from its having been forgotten.
    metadata.is_new()
        || producer_id == metadata.producer_id
        // The retry of a bump that gave out a new producer id.
        || (producer_id == metadata.previous_producer_id && is_epoch_exhausted(epoch))
}
