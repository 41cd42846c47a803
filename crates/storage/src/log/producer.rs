//! What a partition knows of its idempotent and transactional producers
//! (`ProducerStateManager`, `ProducerAppendInfo`, KIP-98, KIP-360).
//!
//! For each producer id: its epoch, its last five batches (so that a repetition is answered with the original offset), its
//! open transaction. The state is a function of the log: replaying the batches in order gives it back.
//!
//! **Invariant:** [`ProducerStates::check`] changes nothing; [`ProducerStates::apply`] is called exactly for what was
//! appended, in offset order.

use std::collections::{BTreeMap, HashMap, VecDeque};

use base::{Offset, ProducerEpoch, ProducerId};
use wire::control_record::EndTxnMarker;
use wire::record_batch::{BatchHeader, add_sequence};

use crate::error::AppendError;
use crate::log::snapshot;
use crate::lsn::Lsn;

/// `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`.
pub const BATCHES_REMEMBERED: usize = 5;

/// A batch that was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchMetadata {
    /// The sequence of its last record.
    pub last_sequence: i32,
    /// The offset of its last record.
    pub last_offset: i64,
    /// Records less one.
    pub offset_delta: i32,
    /// Its largest timestamp.
    pub timestamp: i64,
    /// When it is durable; [`Lsn::ZERO`] once it was read back.
    pub lsn: Lsn,
}

impl BatchMetadata {
    /// The sequence of its first record.
    #[must_use]
    pub fn first_sequence(&self) -> i32 {
        add_sequence(self.last_sequence, self.offset_delta.saturating_neg())
    }

    /// The offset of its first record.
    #[must_use]
    pub fn first_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }
}

/// One producer id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerEntry {
    /// The newest epoch seen.
    pub epoch: i16,
    /// The coordinator's epoch of the last marker, -1 before one.
    pub coordinator_epoch: i32,
    /// The largest timestamp of the last batch.
    pub last_timestamp: i64,
    /// Where the open transaction begins.
    pub txn_first_offset: Option<i64>,
    /// The last batches of this epoch, oldest first.
    pub batches: VecDeque<BatchMetadata>,
    /// The first sequence accepted in this epoch since the process began: what lies between it and the remembered
    /// batches was certainly written.
    pub(crate) lowest_sequence: Option<i32>,
}

impl ProducerEntry {
    pub(crate) fn empty(epoch: i16) -> ProducerEntry {
        ProducerEntry {
            epoch,
            coordinator_epoch: -1,
            last_timestamp: -1,
            txn_first_offset: None,
            batches: VecDeque::new(),
            lowest_sequence: None,
        }
    }

    fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(-1, |batch| batch.last_sequence)
    }

    fn find(&self, header: &BatchHeader) -> Option<BatchMetadata> {
        if header.producer_epoch != self.epoch {
            return None;
        }
        self.batches
            .iter()
            .find(|batch| {
                batch.first_sequence() == header.base_sequence
                    && batch.last_sequence == header.last_sequence()
            })
            .copied()
    }

    /// Whether the batch was written, but is no longer remembered. True only when every sequence since
    /// `lowest_sequence` was accepted one after the other.
    fn wrote_long_ago(&self, header: &BatchHeader) -> bool {
        let oldest = self.batches.front().map(BatchMetadata::first_sequence);
        match (self.lowest_sequence, oldest) {
            (Some(lowest), Some(oldest)) => {
                // What is remembered must not span the wrap to 0, or "below" means nothing.
                oldest <= self.last_sequence()
                    && lowest <= header.base_sequence
                    && header.base_sequence <= header.last_sequence()
                    && header.last_sequence() < oldest
            }
            _ => false,
        }
    }
}

/// A transaction that was aborted (`AbortedTxn`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTxn {
    /// The producer.
    pub producer_id: ProducerId,
    /// Its first offset.
    pub first_offset: Offset,
    /// The marker's offset.
    pub last_offset: Offset,
    /// The last stable offset once the marker is replicated.
    pub last_stable_offset: Offset,
}

/// One producer, for `DescribeProducers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerDescription {
    /// The producer id.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// The sequence of its last record, -1 for none.
    pub last_sequence: i32,
    /// The timestamp of its last batch, -1 for none.
    pub last_timestamp_ms: i64,
    /// The epoch of the coordinator that wrote its last marker, -1 for none.
    pub coordinator_epoch: i32,
    /// Where its open transaction begins, -1 for none.
    pub current_txn_start_offset: Offset,
}

/// What a check says about a batch that may be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sequence {
    /// It is new.
    New,
    /// It was appended before, as this.
    Duplicate(BatchMetadata),
}

/// The producers of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerStates {
    pub(crate) entries: HashMap<i64, ProducerEntry>,
    /// First offset and producer of each open transaction.
    open_txns: BTreeMap<i64, i64>,
    /// Ended transactions, first offset to marker offset, whose marker may not be visible yet.
    ended_txns: BTreeMap<i64, i64>,
}

impl ProducerStates {
    /// Whether no producer is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One producer.
    #[must_use]
    pub fn get(&self, producer_id: i64) -> Option<&ProducerEntry> {
        self.entries.get(&producer_id)
    }

    /// Decides about a batch. `marker` is its control record, `from_client` whether sequences are checked.
    pub(crate) fn check(
        &self,
        header: &BatchHeader,
        marker: Option<EndTxnMarker>,
        from_client: bool,
    ) -> Result<Sequence, AppendError> {
        if !header.has_producer_id() {
            return Ok(Sequence::New);
        }
        let producer_id = header.producer_id;
        let Some(entry) = self.entries.get(&producer_id) else {
            return Ok(Sequence::New);
        };
        if from_client && let Some(duplicate) = entry.find(header) {
            return Ok(Sequence::Duplicate(duplicate));
        }
        if header.producer_epoch < entry.epoch {
            return Err(AppendError::InvalidProducerEpoch {
                producer_id,
                epoch: header.producer_epoch,
                current: entry.epoch,
            });
        }
        if let Some(marker) = marker {
            if marker.coordinator_epoch < entry.coordinator_epoch {
                return Err(AppendError::CoordinatorFenced {
                    epoch: marker.coordinator_epoch,
                    current: entry.coordinator_epoch,
                });
            }
            return Ok(Sequence::New);
        }
        if from_client {
            check_sequence(entry, header)?;
        }
        // A transaction is open: whatever the producer writes, under this epoch or a later one, belongs to it.
        if entry.txn_first_offset.is_some() && !header.attributes.is_transactional() {
            return Err(AppendError::InvalidTxnState { producer_id });
        }
        Ok(Sequence::New)
    }

    /// Whether a transaction of the producer in this epoch is open (`UnifiedLog.hasOngoingTransaction`).
    pub(crate) fn has_open_txn(&self, producer_id: i64, epoch: i16) -> bool {
        self.entries
            .get(&producer_id)
            .is_some_and(|entry| entry.txn_first_offset.is_some() && entry.epoch == epoch)
    }

    /// Decides about a marker of transaction version 2: its epoch is above the producer's, but for the repetition
    /// of one that was written (`ProducerAppendInfo.checkProducerEpoch`, KAFKA-19999).
    pub(crate) fn check_strict_marker(&self, header: &BatchHeader) -> Result<(), AppendError> {
        let Some(entry) = self.entries.get(&header.producer_id) else {
            return Ok(());
        };
        let repeated = header.producer_epoch == entry.epoch && entry.txn_first_offset.is_none();
        if header.producer_epoch > entry.epoch || repeated {
            return Ok(());
        }
        Err(AppendError::InvalidProducerEpoch {
            producer_id: header.producer_id,
            epoch: header.producer_epoch,
            current: entry.epoch,
        })
    }

    /// Takes up a batch that was appended at `header.base_offset`. Returns the transaction that its marker
    /// aborted.
    pub(crate) fn apply(
        &mut self,
        header: &BatchHeader,
        marker: Option<EndTxnMarker>,
        lsn: Lsn,
    ) -> Option<AbortedTxn> {
        if !header.has_producer_id() {
            return None;
        }
        let producer_id = header.producer_id;
        let entry = self
            .entries
            .entry(producer_id)
            .or_insert_with(|| ProducerEntry::empty(header.producer_epoch));
        if entry.epoch != header.producer_epoch {
            entry.epoch = header.producer_epoch;
            entry.batches.clear();
            entry.lowest_sequence = None;
        }
        if let Some(marker) = marker {
            return self.end_txn(producer_id, header, marker);
        }
        if header.attributes.is_control() {
            // Compaction emptied it to keep the epoch known (`ProducerAppendInfo.append`).
            entry.last_timestamp = header.max_timestamp;
            return None;
        }
        entry.last_timestamp = header.max_timestamp;
        if header.base_sequence >= 0 {
            if entry.batches.is_empty() {
                entry.lowest_sequence = Some(header.base_sequence);
            }
            if header.last_sequence() < header.base_sequence || header.base_sequence == 0 {
                entry.lowest_sequence = (header.base_sequence == 0).then_some(0);
            }
            if entry.batches.len() == BATCHES_REMEMBERED {
                entry.batches.pop_front();
            }
            entry.batches.push_back(BatchMetadata {
                last_sequence: header.last_sequence(),
                last_offset: header.last_offset(),
                offset_delta: header.last_offset_delta,
                timestamp: header.max_timestamp,
                lsn,
            });
        }
        if header.attributes.is_transactional() && entry.txn_first_offset.is_none() {
            entry.txn_first_offset = Some(header.base_offset);
            self.open_txns.insert(header.base_offset, producer_id);
        }
        None
    }

    fn end_txn(
        &mut self,
        producer_id: i64,
        header: &BatchHeader,
        marker: EndTxnMarker,
    ) -> Option<AbortedTxn> {
        let entry = self.entries.get_mut(&producer_id)?;
        entry.coordinator_epoch = marker.coordinator_epoch;
        entry.last_timestamp = header.max_timestamp;
        let first = entry.txn_first_offset.take()?;
        self.open_txns.remove(&first);
        self.ended_txns.insert(first, header.last_offset());
        let next_open = self.open_txns.keys().next().copied();
        (!marker.committed).then_some(AbortedTxn {
            producer_id: ProducerId(producer_id),
            first_offset: Offset(first),
            last_offset: Offset(header.last_offset()),
            last_stable_offset: Offset(next_open.unwrap_or(header.last_offset() + 1)),
        })
    }

    /// `ProducerStateManager.firstUnstableOffset`: the first offset that a read of committed records may not pass, given
    /// the high watermark. `None` when there is none below it.
    pub(crate) fn first_unstable(&mut self, high_watermark: i64) -> Option<i64> {
        while let Some((first, marker)) = self.ended_txns.first_key_value() {
            if *marker >= high_watermark {
                break;
            }
            let first = *first;
            self.ended_txns.remove(&first);
        }
        let ended = self.ended_txns.keys().next();
        let open = self.open_txns.keys().next();
        match (ended, open) {
            (Some(ended), Some(open)) => Some(*ended.min(open)),
            (some, None) | (None, some) => some.copied(),
        }
    }

    /// Whether any transaction is open or ended out of sight.
    pub(crate) fn has_txns(&self) -> bool {
        !self.open_txns.is_empty() || !self.ended_txns.is_empty()
    }

    /// Forgets producers that have been silent for `expiration_ms`, unless a transaction of theirs is open.
    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) -> usize {
        let before = self.entries.len();
        self.entries.retain(|_, entry| {
            entry.txn_first_offset.is_some()
                || now_ms.saturating_sub(entry.last_timestamp) < expiration_ms
        });
        before - self.entries.len()
    }

    /// The state as Kafka's snapshot file (see [`snapshot`]).
    #[must_use]
    pub fn to_snapshot(&self) -> Vec<u8> {
        snapshot::encode(&self.entries)
    }

    /// Reads a snapshot file; `None` when it is damaged.
    #[must_use]
    pub fn from_snapshot(bytes: &[u8]) -> Option<ProducerStates> {
        let entries = snapshot::decode(bytes)?;
        let open_txns = entries
            .iter()
            .filter_map(|(id, entry)| Some((entry.txn_first_offset?, *id)))
            .collect();
        Some(ProducerStates {
            entries,
            open_txns,
            ended_txns: BTreeMap::new(),
        })
    }

    /// All producers, by id.
    #[must_use]
    pub fn describe(&self) -> Vec<ProducerDescription> {
        let mut all: Vec<ProducerDescription> = self
            .entries
            .iter()
            .map(|(id, entry)| ProducerDescription {
                producer_id: ProducerId(*id),
                producer_epoch: ProducerEpoch(entry.epoch),
                last_sequence: entry.last_sequence(),
                last_timestamp_ms: entry.last_timestamp,
                coordinator_epoch: entry.coordinator_epoch,
                current_txn_start_offset: Offset(entry.txn_first_offset.unwrap_or(-1)),
            })
            .collect();
        all.sort_by_key(|producer| producer.producer_id);
        all
    }
}

/// `ProducerAppendInfo.checkSequence`.
fn check_sequence(entry: &ProducerEntry, header: &BatchHeader) -> Result<(), AppendError> {
    let (producer_id, sequence) = (header.producer_id, header.base_sequence);
    if header.producer_epoch != entry.epoch {
        if sequence == 0 {
            return Ok(());
        }
        return Err(AppendError::OutOfOrderSequence {
            producer_id,
            sequence,
            expected: 0,
        });
    }
    let last = entry.last_sequence();
    // A marker alone leaves no sequence behind: -1, after which 0 follows.
    let expected = if last == i32::MAX { 0 } else { last + 1 };
    if sequence == expected {
        return Ok(());
    }
    if entry.wrote_long_ago(header) {
        return Err(AppendError::DuplicateSequence {
            producer_id,
            sequence,
        });
    }
    Err(AppendError::OutOfOrderSequence {
        producer_id,
        sequence,
        expected,
    })
}

#[cfg(test)]
#[path = "producer_tests.rs"]
mod tests;
