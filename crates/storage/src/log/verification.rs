//! Guards against records of a transaction that the coordinator does not know of (KIP-890).
//!
//! Before the first batch of a transaction is appended to a partition, the transaction coordinator is asked
//! whether the partition belongs to the transaction (or told to add it). Between that answer and the append the
//! transaction may end: its marker is then in the log already, and the batch would open a transaction that nobody
//! ends, so that the last stable offset stands still for ever. So a [`VerificationGuard`] is taken before the
//! question and shown with the append; a marker takes it away.
//!
//! Guards are not part of the log: after a restart the question is asked again. Source: `VerificationGuard`,
//! `VerificationStateEntry`, `UnifiedLog.maybeStartTransactionVerification`.

use std::collections::HashMap;

use wire::record_batch::BatchHeader;

use crate::error::AppendError;
use crate::io::LockExt;
use crate::log::PartitionLog;
use crate::log::producer::ProducerEntry;

/// Names one verification of one producer in one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VerificationGuard(u64);

impl VerificationGuard {
    /// No verification was made: the append is accepted only into a transaction that is open already
    /// (`VerificationGuard.SENTINEL`).
    pub const NONE: VerificationGuard = VerificationGuard(0);

    /// The guard as a number, for who passes it on without a look inside.
    #[must_use]
    pub fn to_raw(self) -> u64 {
        self.0
    }

    /// The guard of [`VerificationGuard::to_raw`].
    #[must_use]
    pub fn from_raw(raw: u64) -> VerificationGuard {
        VerificationGuard(raw)
    }
}

/// The first batch of a transaction, as it was before the coordinator was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationRequest {
    /// The producer.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// The sequence of the first record; 0 from a coordinator, whose records have none.
    pub base_sequence: i32,
    /// Whether the producer's epoch grows with each transaction (transaction version 2).
    pub supports_epoch_bump: bool,
}

#[derive(Clone, Copy, Debug)]
struct Verification {
    guard: VerificationGuard,
    lowest_sequence: i32,
    epoch: i16,
    supports_epoch_bump: bool,
    started_ms: i64,
}

/// The verifications of one log, by producer id.
#[derive(Debug, Default)]
pub(crate) struct Verifications {
    by_producer: HashMap<i64, Verification>,
    last: u64,
}

impl Verifications {
    fn begin(&mut self, request: &VerificationRequest, now_ms: i64) -> VerificationGuard {
        let last = &mut self.last;
        let verification = self
            .by_producer
            .entry(request.producer_id)
            .or_insert_with(|| {
                *last += 1;
                Verification {
                    guard: VerificationGuard(*last),
                    lowest_sequence: request.base_sequence,
                    epoch: request.producer_epoch,
                    supports_epoch_bump: request.supports_epoch_bump,
                    started_ms: now_ms,
                }
            });
        if request.producer_epoch > verification.epoch {
            verification.epoch = request.producer_epoch;
            verification.lowest_sequence = request.base_sequence;
        }
        if request.producer_epoch == verification.epoch {
            verification.lowest_sequence = verification.lowest_sequence.min(request.base_sequence);
        }
        verification.guard
    }

    /// A transactional batch was appended: its transaction has begun in the log, or has ended.
    ///
    /// Differs: Kafka drops the guard with every marker. A producer of version 2 begins its next transaction, under
    /// the epoch that the marker of the last one carries, while that marker is still on its way: its guard stays, as
    /// the marker of its own transaction will have the epoch after.
    pub(crate) fn end(&mut self, header: &BatchHeader) {
        if self.by_producer.is_empty() {
            return;
        }
        let is_of_last = self
            .by_producer
            .get(&header.producer_id)
            .is_some_and(|begun| {
                header.attributes.is_control()
                    && begun.supports_epoch_bump
                    && begun.epoch == header.producer_epoch
            });
        if !is_of_last {
            self.by_producer.remove(&header.producer_id);
        }
    }

    fn forget(&mut self, producer_id: i64) {
        self.by_producer.remove(&producer_id);
    }

    /// Forgets verifications that nothing was appended with for `expiration_ms`.
    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.by_producer.retain(|_, verification| {
            now_ms.saturating_sub(verification.started_ms) < expiration_ms
        });
    }

    /// Checks a batch of a transaction that begins with it. `entry` is what the log knows of the producer,
    /// `from_client` whether sequences count.
    pub(crate) fn check(
        &self,
        guard: VerificationGuard,
        header: &BatchHeader,
        entry: Option<&ProducerEntry>,
        from_client: bool,
    ) -> Result<(), AppendError> {
        let producer_id = header.producer_id;
        let begun = self
            .by_producer
            .get(&producer_id)
            .filter(|begun| begun.guard == guard)
            .ok_or(AppendError::InvalidTxnState { producer_id })?;
        if !from_client {
            return Ok(());
        }
        let sequence = header.base_sequence;
        let out_of_order = |expected| AppendError::OutOfOrderSequence {
            producer_id,
            sequence,
            expected,
        };
        let unknown = entry.is_none_or(|entry| entry.batches.is_empty());
        if begun.supports_epoch_bump && sequence != 0 && unknown {
            return Err(out_of_order(0));
        }
        if sequence > begun.lowest_sequence {
            return Err(out_of_order(begun.lowest_sequence));
        }
        Ok(())
    }
}

impl PartitionLog {
    /// Begins to verify that the partition belongs to a producer's transaction; `None` when the transaction is
    /// open in this log, so that there is nothing to verify. Several requests of one producer share a guard.
    pub fn begin_verification(&self, request: &VerificationRequest) -> Option<VerificationGuard> {
        let mut state = self.state.locked();
        let state = &mut *state;
        if state
            .producers
            .has_open_txn(request.producer_id, request.producer_epoch)
        {
            return None;
        }
        let now_ms = self.context.clock.now_ms();
        Some(state.verifications.begin(request, now_ms))
    }

    /// Forgets a verification whose producer the coordinator does not know: nobody is going to append with it, and
    /// producer ids that a client makes up must not fill the memory.
    pub fn drop_verification(&self, producer_id: i64) {
        self.state.locked().verifications.forget(producer_id);
    }
}

#[cfg(test)]
mod tests {
    use wire::record_batch::Attributes;

    use super::*;

    const NOW_MS: i64 = 1_700_000_000_000;

    fn request(base_sequence: i32, supports_epoch_bump: bool) -> VerificationRequest {
        VerificationRequest {
            producer_id: 7,
            producer_epoch: 1,
            base_sequence,
            supports_epoch_bump,
        }
    }

    fn header(base_sequence: i32) -> BatchHeader {
        BatchHeader {
            base_offset: 0,
            batch_length: 100,
            partition_leader_epoch: 0,
            magic: 2,
            crc: 0,
            attributes: Attributes(Attributes::TRANSACTIONAL),
            last_offset_delta: 0,
            base_timestamp: 0,
            max_timestamp: 0,
            producer_id: 7,
            producer_epoch: 1,
            base_sequence,
            record_count: 1,
        }
    }

    #[test]
    fn a_guard_holds_until_the_transaction_begins_or_ends() {
        let mut verifications = Verifications::default();
        let none = VerificationGuard::NONE;
        assert!(verifications.check(none, &header(0), None, true).is_err());
        let guard = verifications.begin(&request(0, false), NOW_MS);
        assert_eq!(verifications.begin(&request(1, false), NOW_MS), guard);
        assert!(verifications.check(none, &header(0), None, true).is_err());
        assert!(verifications.check(guard, &header(0), None, true).is_ok());
        verifications.end(&header(0));
        assert!(verifications.check(guard, &header(0), None, true).is_err());
        let next = verifications.begin(&request(0, false), NOW_MS);
        assert_ne!(
            next, guard,
            "an old answer does not count for a new question"
        );
        assert!(verifications.check(guard, &header(0), None, true).is_err());
    }

    #[test]
    fn the_first_sequence_asked_about_is_appended_first() {
        let mut verifications = Verifications::default();
        let guard = verifications.begin(&request(5, false), NOW_MS);
        assert!(verifications.check(guard, &header(5), None, true).is_ok());
        verifications.begin(&request(4, false), NOW_MS);
        let refused = verifications.check(guard, &header(5), None, true);
        assert!(matches!(
            refused,
            Err(AppendError::OutOfOrderSequence { expected: 4, .. })
        ));
        assert!(verifications.check(guard, &header(5), None, false).is_ok());
    }

    #[test]
    fn a_producer_of_version_2_that_is_not_known_begins_at_0() {
        let mut verifications = Verifications::default();
        let guard = verifications.begin(&request(3, true), NOW_MS);
        let refused = verifications.check(guard, &header(3), None, true);
        assert!(matches!(
            refused,
            Err(AppendError::OutOfOrderSequence { expected: 0, .. })
        ));
    }

    #[test]
    fn the_marker_of_the_last_transaction_leaves_the_guard_of_the_next() {
        let marker = |epoch| BatchHeader {
            attributes: Attributes(Attributes::TRANSACTIONAL | Attributes::CONTROL),
            producer_epoch: epoch,
            ..header(-1)
        };
        let mut verifications = Verifications::default();
        let guard = verifications.begin(&request(0, true), NOW_MS);
        verifications.end(&marker(1));
        assert!(verifications.check(guard, &header(0), None, true).is_ok());
        verifications.end(&marker(2));
        assert!(verifications.check(guard, &header(0), None, true).is_err());
        let classic = verifications.begin(&request(0, false), NOW_MS);
        verifications.end(&marker(1));
        assert!(
            verifications
                .check(classic, &header(0), None, true)
                .is_err()
        );
    }

    #[test]
    fn a_forgotten_verification_expires() {
        let mut verifications = Verifications::default();
        verifications.begin(&request(0, false), NOW_MS);
        verifications.forget(7);
        assert!(verifications.by_producer.is_empty());
        let guard = verifications.begin(&request(0, false), NOW_MS);
        verifications.expire(NOW_MS + 99, 100);
        assert!(verifications.check(guard, &header(0), None, true).is_ok());
        verifications.expire(NOW_MS + 100, 100);
        assert!(verifications.check(guard, &header(0), None, true).is_err());
    }
}
