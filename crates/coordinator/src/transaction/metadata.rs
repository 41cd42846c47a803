//! What is known of one transactional id, and the transitions it can make.
//!
//! A transition is a function from what is durable to what the next record will say; it changes nothing. The
//! coordinator takes the result up when its record is durable.
//!
//! ```text
//!          InitProducerId                    AddPartitionsToTxn
//!   (new) ───────────────▶ Empty ───────────────────────────────▶ Ongoing
//!                            ▲                                    │     │ EndTxn, timeout, fencing
//!            InitProducerId  │                      PrepareCommit ▼     ▼ PrepareAbort
//!                            │                                    │     │ markers in all partitions
//!                            └──────────── CompleteCommit ◀───────┘     └──────▶ CompleteAbort
//! ```
//! From CompleteCommit and CompleteAbort the next transaction goes to Ongoing. With transaction version 2 an abort
//! is also accepted in Empty, CompleteCommit and CompleteAbort: it bumps the epoch.
//!
//! Source: `TransactionMetadata`, `TransactionState` of Kafka 4.4.

use std::collections::BTreeSet;
use std::sync::Arc;

use wire::ErrorCode;

/// "No producer id" and "no producer epoch" (`RecordBatch.NO_PRODUCER_ID`, `NO_PRODUCER_EPOCH`).
pub(crate) const NONE: i16 = -1;
/// The transaction's start time while there is none.
const NO_TIMESTAMP_MS: i64 = -1;

/// The state of a transactional id (`TransactionState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransactionState {
    /// No transaction since the producer was initialised.
    Empty,
    /// A transaction has partitions.
    Ongoing,
    /// It will be committed; markers are on their way.
    PrepareCommit,
    /// It will be aborted; markers are on their way.
    PrepareAbort,
    /// It was committed.
    CompleteCommit,
    /// It was aborted.
    CompleteAbort,
}

impl TransactionState {
    /// All of them.
    pub const ALL: [TransactionState; 6] = [
        TransactionState::Empty,
        TransactionState::Ongoing,
        TransactionState::PrepareCommit,
        TransactionState::PrepareAbort,
        TransactionState::CompleteCommit,
        TransactionState::CompleteAbort,
    ];

    /// The name in DescribeTransactions and ListTransactions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TransactionState::Empty => "Empty",
            TransactionState::Ongoing => "Ongoing",
            TransactionState::PrepareCommit => "PrepareCommit",
            TransactionState::PrepareAbort => "PrepareAbort",
            TransactionState::CompleteCommit => "CompleteCommit",
            TransactionState::CompleteAbort => "CompleteAbort",
        }
    }

    /// The number in the log.
    pub(crate) fn id(self) -> i8 {
        match self {
            TransactionState::Empty => 0,
            TransactionState::Ongoing => 1,
            TransactionState::PrepareCommit => 2,
            TransactionState::PrepareAbort => 3,
            TransactionState::CompleteCommit => 4,
            TransactionState::CompleteAbort => 5,
        }
    }

    pub(crate) fn from_id(id: i8) -> Option<TransactionState> {
        TransactionState::ALL
            .into_iter()
            .find(|state| state.id() == id)
    }

    /// Whether the outcome is decided but not in every partition.
    pub(crate) fn is_preparing(self) -> bool {
        matches!(
            self,
            TransactionState::PrepareCommit | TransactionState::PrepareAbort
        )
    }
}

/// Which protocol a client speaks (`TransactionVersion`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientVersion {
    /// Transaction versions 0 and 1: partitions are added by request, the epoch stays over transactions.
    Classic,
    /// Transaction version 2 (KIP-890): partitions are added as they are written to, every end bumps the epoch.
    V2,
}

impl ClientVersion {
    /// The number in the log; Kafka writes 0 for version 1 too.
    pub(crate) fn level(self) -> i16 {
        match self {
            ClientVersion::Classic => 0,
            ClientVersion::V2 => 2,
        }
    }

    pub(crate) fn from_level(level: i16) -> ClientVersion {
        if level >= 2 {
            ClientVersion::V2
        } else {
            ClientVersion::Classic
        }
    }
}

/// A partition of a transaction: topic and index.
pub type TopicPartition = (Arc<str>, i32);

/// What the log says of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) producer_id: i64,
    /// The producer id before this one; -1 for none.
    pub(crate) previous_producer_id: i64,
    /// The producer id after the transaction that is ending, when its epochs are used up; -1 for none.
    pub(crate) next_producer_id: i64,
    /// -1 until the first record.
    pub(crate) producer_epoch: i16,
    /// The epoch before this one, to recognise a retry; -1 for none. Not in the log, as in Kafka: a retry that
    /// spans a restart is answered PRODUCER_FENCED.
    pub(crate) last_producer_epoch: i16,
    pub(crate) timeout_ms: i32,
    pub(crate) state: TransactionState,
    pub(crate) partitions: BTreeSet<TopicPartition>,
    /// Wall-clock milliseconds; -1 without a transaction.
    pub(crate) started_ms: i64,
    /// Wall-clock milliseconds.
    pub(crate) updated_ms: i64,
    pub(crate) client_version: ClientVersion,
}

impl Metadata {
    /// A transactional id that was never seen.
    pub(crate) fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Metadata {
        Metadata {
            producer_id,
            previous_producer_id: i64::from(NONE),
            next_producer_id: i64::from(NONE),
            producer_epoch: NONE,
            last_producer_epoch: NONE,
            timeout_ms,
            state: TransactionState::Empty,
            partitions: BTreeSet::new(),
            started_ms: NO_TIMESTAMP_MS,
            updated_ms: now_ms,
            client_version: ClientVersion::Classic,
        }
    }

    /// Whether this transactional id was never written down.
    pub(crate) fn is_new(&self) -> bool {
        self.producer_epoch == NONE
    }

    /// The last epoch that a client may use is the one before the last, so that it can still be fenced.
    pub(crate) fn is_epoch_exhausted(&self) -> bool {
        is_epoch_exhausted(self.producer_epoch)
    }

    /// The producer begins anew under the next epoch. `expected` is the epoch it believes to have (KIP-360).
    ///
    /// # Errors
    /// PRODUCER_FENCED when another producer has begun since.
    pub(crate) fn next_epoch(
        &self,
        timeout_ms: i32,
        expected: Option<i16>,
        now_ms: i64,
    ) -> Result<Metadata, ErrorCode> {
        let bumped = self.producer_epoch.saturating_add(1);
        let (epoch, last) = match expected {
            None => (bumped, NONE),
            Some(epoch) if self.is_new() || epoch == self.producer_epoch => {
                (bumped, self.producer_epoch)
            }
            // The retry of a call that was carried out: another producer would have reset the last epoch.
            Some(epoch) if epoch == self.last_producer_epoch => (self.producer_epoch, epoch),
            Some(_) => return Err(ErrorCode::ProducerFenced),
        };
        Ok(Metadata {
            producer_epoch: epoch,
            last_producer_epoch: last,
            ..self.emptied(timeout_ms, now_ms)
        })
    }

    /// The producer begins anew under a new producer id, since its epochs are used up.
    pub(crate) fn next_producer(
        &self,
        producer_id: i64,
        timeout_ms: i32,
        keeps_last_epoch: bool,
        now_ms: i64,
    ) -> Metadata {
        let last = if keeps_last_epoch {
            self.producer_epoch
        } else {
            NONE
        };
        Metadata {
            producer_id,
            producer_epoch: 0,
            last_producer_epoch: last,
            ..self.emptied(timeout_ms, now_ms)
        }
    }

    fn emptied(&self, timeout_ms: i32, now_ms: i64) -> Metadata {
        Metadata {
            previous_producer_id: self.producer_id,
            timeout_ms,
            state: TransactionState::Empty,
            partitions: BTreeSet::new(),
            started_ms: NO_TIMESTAMP_MS,
            updated_ms: now_ms,
            ..self.clone()
        }
    }

    /// Partitions join the transaction, which begins with the first.
    pub(crate) fn with_partitions(
        &self,
        added: impl IntoIterator<Item = TopicPartition>,
        version: ClientVersion,
        now_ms: i64,
    ) -> Metadata {
        let begins = self.state != TransactionState::Ongoing;
        let mut partitions = self.partitions.clone();
        partitions.extend(added);
        Metadata {
            previous_producer_id: self.producer_id,
            state: TransactionState::Ongoing,
            partitions,
            started_ms: if begins { now_ms } else { self.started_ms },
            updated_ms: now_ms,
            client_version: version,
            ..self.clone()
        }
    }

    /// The outcome is decided. With version 2 the epoch is bumped: markers carry the new one, and nothing of the
    /// old epoch is accepted after them.
    pub(crate) fn prepared(
        &self,
        commit: bool,
        version: ClientVersion,
        next_producer_id: Option<i64>,
        now_ms: i64,
    ) -> Metadata {
        let (producer_epoch, last_producer_epoch) = match version {
            // The very last epoch stays, so that even a broken producer can be aborted.
            ClientVersion::V2 => (self.producer_epoch.saturating_add(1), self.producer_epoch),
            ClientVersion::Classic => (self.producer_epoch, self.last_producer_epoch),
        };
        let begun = self.state == TransactionState::Ongoing;
        Metadata {
            previous_producer_id: self.producer_id,
            next_producer_id: next_producer_id.unwrap_or(i64::from(NONE)),
            producer_epoch,
            last_producer_epoch,
            state: if commit {
                TransactionState::PrepareCommit
            } else {
                TransactionState::PrepareAbort
            },
            started_ms: if begun { self.started_ms } else { now_ms },
            updated_ms: now_ms,
            client_version: version,
            ..self.clone()
        }
    }

    /// Every partition has its marker.
    pub(crate) fn completed(&self, now_ms: i64) -> Metadata {
        let rotates =
            self.client_version == ClientVersion::V2 && self.next_producer_id != i64::from(NONE);
        let (producer_id, producer_epoch) = if rotates {
            (self.next_producer_id, 0)
        } else {
            (self.producer_id, self.producer_epoch)
        };
        Metadata {
            producer_id,
            previous_producer_id: self.producer_id,
            next_producer_id: i64::from(NONE),
            producer_epoch,
            state: if self.state == TransactionState::PrepareCommit {
                TransactionState::CompleteCommit
            } else {
                TransactionState::CompleteAbort
            },
            partitions: BTreeSet::new(),
            updated_ms: now_ms,
            ..self.clone()
        }
    }
}

/// `TransactionMetadata.isEpochExhausted`.
pub(crate) fn is_epoch_exhausted(epoch: i16) -> bool {
    epoch >= i16::MAX - 1
}
