//! Kafka's transaction coordinator as a sans-I/O state machine (KIP-98, KIP-360, KIP-890).
//!
//! A [`TransactionCoordinator`] is the coordinator of one partition of `__transaction_state`: every transactional
//! id that hashes to it, with its producer id and epoch, its state and the partitions of its transaction.
//!
//! ```text
//!              requests, committed / failed, markers_written, tick
//!   broker  ──────────────────────────────────────────────────────▶  TransactionCoordinator
//!           ◀──────────────────────────────────────────────────────
//!              Reply, Append, Effect(WriteMarkers)
//! ```
//!
//! The end of a transaction has three steps. Its outcome is appended (PrepareCommit, PrepareAbort); once that is
//! durable the client has its answer and the outcome cannot change. Then [`WriteMarkers`] asks the broker for a
//! control batch in each partition, and [`TransactionCoordinator::markers_written`] says that all are durable. Last
//! the completion is appended. A coordinator that loads a log with a decided transaction takes up at the second
//! step, so that a crash at any point leaves no transaction half ended.
//!
//! # Invariants
//!
//! - **State is a function of the log**, but for the last epoch (see [`metadata`]).
//! - **One transition at a time.** While a record of a transactional id is on its way, or its markers are, every
//!   other request for it gets CONCURRENT_TRANSACTIONS.
//! - **Every request gets exactly one reply.**
//! - **Deterministic**: time comes from the clock, new producer ids from the broker.
//!
//! Deadlines of transactions are wall-clock times, since they must hold over a restart; a wall clock that jumps
//! ahead ends transactions early. Kafka does the same.
//!
//! # Memory
//!
//! About 300 bytes per transactional id and 60 per partition of an open transaction.
//! `transactional.id.expiration.ms` bounds what idle producers keep.

mod config;
mod describe;
mod end;
mod expire;
mod init;
mod metadata;
mod partitions;
mod record;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Timestamp};
use bytes::Bytes;
use wire::ErrorCode;
use wire::messages::{EndTxnResponse, InitProducerIdResponse};

use crate::action::{Action, AppendError, CommitId, Token, TransactionMarker};
use crate::machine::{Actions, StateMachine};
use crate::record::ReplayError;
use crate::shard::Replayed;
pub use config::TransactionConfig;
pub use describe::ListFilter;
pub use end::EndTxn;
pub use init::InitProducerId;
use metadata::Metadata;
pub use metadata::{ClientVersion, TopicPartition, TransactionState};
pub use partitions::{AddPartitions, PartitionsMode};
use record::Decoded;

/// How long after a failed append the completion of a transaction is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// How many may wait for one transactional id. Who waits for a transaction that cannot end comes back again and again.
const WAITING_MAX: usize = 64;
/// The least time that a request waits for its append.
const REPLY_TIMEOUT_MIN: Duration = Duration::from_secs(1);

/// The answer to one request. Responses are complete but for `throttle_time_ms`.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// To [`TransactionCoordinator::init_producer_id`].
    InitProducerId(InitProducerIdResponse),
    /// To [`TransactionCoordinator::add_partitions`]: a code for each partition, in the order of the request.
    Partitions(Vec<ErrorCode>),
    /// To [`TransactionCoordinator::end_txn`].
    EndTxn(EndTxnResponse),
    /// A new producer id is needed: ask again with one.
    ProducerIdWanted,
    /// To [`TransactionCoordinator::await_settled`].
    Settled,
}

impl Response {
    /// This answer turned into one that says only `error`.
    fn into_error(self, error: ErrorCode) -> Response {
        match self {
            Response::InitProducerId(_) => Response::init_error(error),
            Response::Partitions(codes) => Response::Partitions(vec![error; codes.len()]),
            Response::EndTxn(_) => Response::end_error(error),
            Response::ProducerIdWanted | Response::Settled => self,
        }
    }

    fn init_error(error: ErrorCode) -> Response {
        Response::InitProducerId(InitProducerIdResponse {
            error_code: error.code(),
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        })
    }

    fn end_error(error: ErrorCode) -> Response {
        Response::EndTxn(EndTxnResponse {
            error_code: error.code(),
            producer_id: -1,
            producer_epoch: -1,
            ..EndTxnResponse::default()
        })
    }
}

/// A decided transaction whose partitions need their markers. The broker writes them, as often as it takes, and
/// then calls [`TransactionCoordinator::markers_written`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteMarkers {
    /// The transactional id.
    pub transactional_id: Arc<str>,
    /// What to write.
    pub marker: TransactionMarker,
    /// Where. Never empty; a partition that does not exist any more needs no marker.
    pub partitions: Vec<TopicPartition>,
}

/// One transactional id.
#[derive(Clone, Debug)]
struct Transaction {
    /// What is durable.
    metadata: Metadata,
    pending: Option<Pending>,
}

/// Why a transactional id takes no other request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    /// A record is on its way.
    Append,
    /// Markers are.
    Markers,
    /// The record of its completion failed and is tried again later.
    Retry,
}

/// An append whose outcome is not known yet.
#[derive(Debug)]
struct PendingCommit {
    changes: Vec<(Arc<str>, Option<Metadata>)>,
    /// The request that waits for it.
    reply: Option<(Token, Response)>,
    /// Until when it waits.
    reply_until: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Loading,
    Active,
    Unloaded,
}

/// The transactional ids of one partition of `__transaction_state`. See the module's documentation.
#[derive(Debug)]
pub struct TransactionCoordinator {
    config: TransactionConfig,
    clock: Arc<dyn Clock>,
    phase: Phase,
    transactions: BTreeMap<Arc<str>, Transaction>,
    commits: BTreeMap<CommitId, PendingCommit>,
    next_commit: u64,
    /// When open transactions are next looked through.
    timeouts_due: Timestamp,
    /// When expired ids are next removed.
    expiration_due: Timestamp,
    /// Who wants to know when a transactional id takes requests again.
    waiting: BTreeMap<Arc<str>, VecDeque<Token>>,
    /// Completions whose record failed, by when they are tried again.
    retries: BTreeSet<(Timestamp, Arc<str>)>,
    /// Appends that requests wait for, by until when.
    reply_due: BTreeSet<(Timestamp, CommitId)>,
    /// Appends whose records could not be encoded.
    unencodable: Vec<CommitId>,
    out: Actions<TransactionCoordinator>,
}

impl TransactionCoordinator {
    /// A coordinator that waits for its log.
    ///
    /// `clock` gives wall-clock milliseconds for what is written down and monotonic time for the sweeps.
    #[must_use]
    pub fn new(config: TransactionConfig, clock: Arc<dyn Clock>) -> TransactionCoordinator {
        let now = clock.monotonic();
        TransactionCoordinator {
            timeouts_due: now.after(config.abort_timed_out_interval),
            expiration_due: now.after(config.remove_expired_interval),
            config,
            clock,
            phase: Phase::Loading,
            transactions: BTreeMap::new(),
            commits: BTreeMap::new(),
            next_commit: 0,
            waiting: BTreeMap::new(),
            retries: BTreeSet::new(),
            reply_due: BTreeSet::new(),
            unencodable: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Every partition of a [`WriteMarkers`] has its marker, durably, or does not exist any more. Reports of
    /// markers that nothing waits for are ignored.
    #[must_use]
    pub fn markers_written(&mut self, markers: &WriteMarkers) -> Actions<Self> {
        let waiting = self
            .transactions
            .get(&markers.transactional_id)
            .is_some_and(|transaction| {
                transaction.pending == Some(Pending::Markers)
                    && transaction.metadata.producer_id == markers.marker.producer_id
                    && transaction.metadata.producer_epoch == markers.marker.producer_epoch
            });
        if waiting {
            self.complete(&markers.transactional_id);
        }
        self.finish()
    }

    /// Answers [`Response::Settled`] once no transition of the transactional id is in flight, at once if none is:
    /// whoever got CONCURRENT_TRANSACTIONS may ask again then. Of more than 64 who wait, the first is told early.
    #[must_use]
    pub fn await_settled(&mut self, token: Token, transactional_id: &str) -> Actions<Self> {
        let pending = self
            .transactions
            .get_key_value(transactional_id)
            .filter(|(_, transaction)| transaction.pending.is_some());
        match pending {
            Some((id, _)) => {
                let waiting = self.waiting.entry(Arc::clone(id)).or_default();
                waiting.push_back(token);
                if waiting.len() > WAITING_MAX
                    && let Some(first) = waiting.pop_front()
                {
                    self.reply(first, Response::Settled);
                }
            }
            None => self.reply(token, Response::Settled),
        }
        self.finish()
    }

    /// Tells who waits for a transactional id, if it takes requests again.
    fn release(&mut self, id: &str) {
        if self.waiting.is_empty() {
            return;
        }
        let transaction = self.transactions.get(id);
        if transaction.is_none_or(|transaction| transaction.pending.is_none()) {
            for token in self.waiting.remove(id).unwrap_or_default() {
                self.reply(token, Response::Settled);
            }
        }
    }

    fn unavailable(&self) -> Option<ErrorCode> {
        match self.phase {
            Phase::Loading => Some(ErrorCode::CoordinatorLoadInProgress),
            Phase::Active => None,
            Phase::Unloaded => Some(ErrorCode::NotCoordinator),
        }
    }

    fn reply(&mut self, token: Token, response: Response) {
        self.out.push(Action::Reply { token, response });
    }

    /// Appends what `metadata` says of a transactional id. `reply` is sent when it is durable, or as an error when
    /// it is not, or when that is not known after the transaction's timeout
    /// (`TransactionStateManager.appendTransactionToLog`).
    ///
    /// Differs: a request waits for a second at least, since a log with one replica has no other delay in Kafka than
    /// its page cache; and a transition that takes longer is not given up, so that a retry gets
    /// CONCURRENT_TRANSACTIONS until it is known what became of it.
    fn append(&mut self, id: &Arc<str>, metadata: Metadata, reply: Option<(Token, Response)>) {
        self.append_all(vec![(Arc::clone(id), Some(metadata))], reply);
    }

    fn append_all(
        &mut self,
        changes: Vec<(Arc<str>, Option<Metadata>)>,
        reply: Option<(Token, Response)>,
    ) {
        let commit = CommitId(self.next_commit);
        self.next_commit += 1;
        for (id, _) in &changes {
            if let Some(transaction) = self.transactions.get_mut(id) {
                transaction.pending = Some(Pending::Append);
            }
        }
        let records: Result<Vec<_>, _> = changes
            .iter()
            .map(|(id, metadata)| record::encode(id, metadata.as_ref()))
            .collect();
        let timeout = changes
            .iter()
            .filter_map(|(_, metadata)| metadata.as_ref())
            .map(|metadata| Duration::from_millis(u64::try_from(metadata.timeout_ms).unwrap_or(0)))
            .max()
            .map(|timeout| timeout.max(REPLY_TIMEOUT_MIN));
        let timeout = timeout.filter(|_| reply.is_some());
        let reply_until = timeout.map(|timeout| self.clock.monotonic().after(timeout));
        self.reply_due
            .extend(reply_until.map(|until| (until, commit)));
        let pending = PendingCommit {
            changes,
            reply,
            reply_until,
        };
        self.commits.insert(commit, pending);
        match records {
            Ok(records) => self.out.push(Action::Append { commit, records }),
            Err(error) => {
                tracing::warn!(%error, commit = commit.0, "transaction records do not encode");
                self.unencodable.push(commit);
            }
        }
    }

    /// Takes out an append whose outcome is known.
    fn take_commit(&mut self, commit: CommitId) -> Option<PendingCommit> {
        let pending = self.commits.remove(&commit)?;
        if let Some(until) = pending.reply_until {
            self.reply_due.remove(&(until, commit));
        }
        Some(pending)
    }

    /// Answers who has waited for too long. What they asked for may still become durable, and then holds.
    fn answer_overdue(&mut self, now: Timestamp) {
        while let Some((_, commit)) = self.reply_due.first().filter(|(until, _)| *until <= now) {
            let commit = *commit;
            self.reply_due.pop_first();
            let pending = self.commits.get_mut(&commit);
            if let Some((token, response)) = pending.and_then(|pending| pending.reply.take()) {
                let error = AppendError::TimedOut.to_error_code();
                self.reply(token, response.into_error(error));
            }
        }
    }

    fn on_durable(&mut self, pending: PendingCommit) {
        if let Some((token, response)) = pending.reply {
            self.reply(token, response);
        }
        for (id, metadata) in pending.changes {
            let Some(metadata) = metadata else {
                self.transactions.remove(&id);
                self.release(&id);
                continue;
            };
            let preparing = metadata.state.is_preparing();
            let transaction = Transaction {
                metadata,
                pending: None,
            };
            self.transactions.insert(Arc::clone(&id), transaction);
            if preparing {
                self.write_markers(&id);
            } else {
                self.release(&id);
            }
        }
    }

    fn on_failed(&mut self, pending: PendingCommit, error: AppendError) {
        for (id, metadata) in &pending.changes {
            let Some(transaction) = self.transactions.get_mut(id) else {
                continue;
            };
            transaction.pending = None;
            if transaction.metadata.is_new() {
                self.transactions.remove(id);
            } else if metadata.is_some() && transaction.metadata.state.is_preparing() {
                // The markers are written, only the record of it is missing.
                let at = self.clock.monotonic().after(RETRY_DELAY);
                transaction.pending = Some(Pending::Retry);
                self.retries.insert((at, Arc::clone(id)));
            }
        }
        for (id, _) in &pending.changes {
            self.release(id);
        }
        if let Some((token, response)) = pending.reply {
            self.reply(token, response.into_error(error.to_error_code()));
        }
    }

    /// Asks for the markers of a decided transaction; one without partitions is complete at once.
    fn write_markers(&mut self, id: &Arc<str>) {
        let Some(transaction) = self.transactions.get_mut(id) else {
            return;
        };
        let metadata = &transaction.metadata;
        if metadata.partitions.is_empty() {
            self.complete(id);
            return;
        }
        let markers = WriteMarkers {
            transactional_id: Arc::clone(id),
            marker: TransactionMarker {
                producer_id: metadata.producer_id,
                producer_epoch: metadata.producer_epoch,
                coordinator_epoch: self.config.coordinator_epoch,
                committed: metadata.state == TransactionState::PrepareCommit,
                is_strict: metadata.client_version == ClientVersion::V2,
            },
            partitions: metadata.partitions.iter().cloned().collect(),
        };
        transaction.pending = Some(Pending::Markers);
        self.out.push(Action::Effect(markers));
    }

    fn complete(&mut self, id: &Arc<str>) {
        let Some(transaction) = self.transactions.get(id) else {
            return;
        };
        let completed = transaction.metadata.completed(self.clock.now_ms());
        self.append(id, completed, None);
    }

    fn finish(&mut self) -> Actions<Self> {
        while let Some(commit) = self.unencodable.pop() {
            if let Some(pending) = self.take_commit(commit) {
                self.on_failed(pending, AppendError::TooLarge);
            }
        }
        std::mem::take(&mut self.out)
    }
}

impl StateMachine for TransactionCoordinator {
    type Response = Response;
    type Effect = WriteMarkers;

    fn replay(&mut self, key: &Bytes, value: Option<&Bytes>) -> Result<Replayed, ReplayError> {
        debug_assert_eq!(self.phase, Phase::Loading, "replay after loaded");
        match record::decode(key, value)? {
            Decoded::Transaction(id, Some(metadata)) => {
                let transaction = Transaction {
                    metadata,
                    pending: None,
                };
                self.transactions.insert(id, transaction);
            }
            Decoded::Transaction(id, None) => {
                self.transactions.remove(&id);
            }
            Decoded::Unknown(record_type) => return Ok(Replayed::UnknownType(record_type)),
        }
        Ok(Replayed::Applied)
    }

    fn loaded(&mut self) -> Actions<Self> {
        self.phase = Phase::Active;
        let decided: Vec<Arc<str>> = self
            .transactions
            .iter()
            .filter(|(_, transaction)| transaction.metadata.state.is_preparing())
            .map(|(id, _)| Arc::clone(id))
            .collect();
        for id in decided {
            self.write_markers(&id);
        }
        self.finish()
    }

    fn unload(&mut self) -> Actions<Self> {
        self.phase = Phase::Unloaded;
        self.unencodable.clear();
        self.retries.clear();
        self.reply_due.clear();
        for pending in std::mem::take(&mut self.commits).into_values() {
            if let Some((token, response)) = pending.reply {
                self.reply(token, response.into_error(ErrorCode::NotCoordinator));
            }
        }
        for token in std::mem::take(&mut self.waiting).into_values().flatten() {
            self.reply(token, Response::Settled);
        }
        self.transactions.clear();
        self.finish()
    }

    fn committed(&mut self, commit: CommitId) -> Actions<Self> {
        while let Some(first) = self.commits.keys().next().copied() {
            if first > commit {
                break;
            }
            if let Some(pending) = self.take_commit(first) {
                self.on_durable(pending);
            }
        }
        self.finish()
    }

    fn failed(&mut self, commit: CommitId, error: AppendError) -> Actions<Self> {
        if let Some(pending) = self.take_commit(commit) {
            self.on_failed(pending, error);
        }
        self.finish()
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.next_due()
    }

    fn tick(&mut self) -> Actions<Self> {
        self.run_due();
        self.finish()
    }
}
