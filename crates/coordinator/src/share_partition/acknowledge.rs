//! Acknowledging what a member has, and releasing it when the member goes (`SharePartition.acknowledge`,
//! `releaseAcquiredRecords`).

use base::Timestamp;
use wire::ErrorCode;

use super::batch::{InFlightBatch, RecordState};
use super::window::overlapping;
use super::{Limits, SharePartition, StateWrite, WriteId, state_batch};
use crate::share_state::StateBatch;

const GAP: i8 = 0;
const ACCEPT: i8 = 1;
const RELEASE: i8 = 2;
const REJECT: i8 = 3;
/// KIP-1222.
const RENEW: i8 = 4;

const BUSY: &str =
    "The record state is invalid. The acknowledgement of delivery could not be completed.";
const NOT_ACQUIRED: &str =
    "The batch cannot be acknowledged. The batch is not in the acquired state.";

/// What a member says of a range of offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The first.
    pub first_offset: i64,
    /// The last.
    pub last_offset: i64,
    /// 0 gap, 1 accept, 2 release, 3 reject, 4 renew: one for all, or one for each.
    pub types: Vec<i8>,
}

impl Acknowledgement {
    fn kind(&self, offset: i64) -> i8 {
        let place = match self.types.len() {
            1 => Some(0),
            _ => usize::try_from(offset - self.first_offset).ok(),
        };
        place
            .and_then(|place| self.types.get(place))
            .copied()
            .unwrap_or(GAP)
    }

    /// The last offset from `offset` on of which it says the same.
    fn same_until(&self, offset: i64, last: i64) -> i64 {
        if self.types.len() == 1 {
            return last;
        }
        let kind = self.kind(offset);
        let mut until = offset;
        while until < last && self.kind(until + 1) == kind {
            until += 1;
        }
        until
    }
}

/// Why an acknowledgement is refused; none of it holds then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct AcknowledgeError {
    /// INVALID_REQUEST or INVALID_RECORD_STATE.
    pub code: ErrorCode,
    /// Kafka's words.
    pub message: String,
}

fn refused(code: ErrorCode, message: &str) -> AcknowledgeError {
    AcknowledgeError {
        code,
        message: message.to_owned(),
    }
}

fn invalid_state(message: &str) -> AcknowledgeError {
    refused(ErrorCode::InvalidRecordState, message)
}

/// Who acknowledges, and under what rules.
struct By<'a> {
    member: &'a str,
    limits: &'a Limits,
    lock_until: Timestamp,
    write: WriteId,
}

impl SharePartition {
    /// Takes a member's acknowledgements, all or none. Returns what is to be written; nothing when locks were renewed
    /// and no more.
    ///
    /// Locks that were renewed stay so when a later part is refused, as in Kafka.
    ///
    /// # Errors
    /// INVALID_REQUEST for an unknown type or offsets past what was acquired, INVALID_RECORD_STATE for records that are
    /// not the member's.
    pub fn acknowledge(
        &mut self,
        member: &str,
        acknowledgements: &[Acknowledgement],
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Option<StateWrite>, AcknowledgeError> {
        let by = By {
            member,
            limits,
            lock_until: now.after(limits.lock_duration),
            write: self.next_write(),
        };
        let mut changed = Vec::new();
        for acknowledgement in acknowledgements {
            if let Err(error) = self.acknowledge_one(acknowledgement, &by, &mut changed) {
                self.written(by.write, false);
                return Err(error);
            }
        }
        Ok(self.state_write(by.write, changed))
    }

    fn acknowledge_one(
        &mut self,
        acknowledgement: &Acknowledgement,
        by: &By<'_>,
        changed: &mut Vec<StateBatch>,
    ) -> Result<(), AcknowledgeError> {
        let types = &acknowledgement.types;
        if types.is_empty() || types.iter().any(|kind| !(GAP..=RENEW).contains(kind)) {
            let message = format!("Invalid acknowledge type: {types:?}");
            return Err(refused(ErrorCode::InvalidRequest, &message));
        }
        if acknowledgement.last_offset < self.start {
            return Ok(());
        }
        let first = self.acknowledged_from(acknowledgement)?;
        for batch in overlapping(&mut self.batches, first, acknowledgement.last_offset) {
            acknowledge_batch(batch, acknowledgement, by, changed)?;
        }
        Ok(())
    }

    /// Checks that the offsets are in flight (`SharePartition.fetchSubMapForAcknowledgementBatch`). Returns the first
    /// that is not dealt with.
    fn acknowledged_from(
        &self,
        acknowledgement: &Acknowledgement,
    ) -> Result<i64, AcknowledgeError> {
        let (first, last) = (acknowledgement.first_offset, acknowledgement.last_offset);
        let first = if first < self.start {
            self.start
        } else {
            first
        };
        if self.batches.range(..=first).next_back().is_none() {
            return Err(invalid_state(
                "Batch record not found. The request batch offsets are not found in the cache.",
            ));
        }
        let known_to = self
            .batches
            .range(..=last)
            .next_back()
            .map_or(i64::MIN, |(_, batch)| batch.last);
        if known_to < first {
            return Err(refused(
                ErrorCode::InvalidRequest,
                "Batch record not found. The first offset in request is past acquired records.",
            ));
        }
        if last > known_to {
            return Err(refused(
                ErrorCode::InvalidRequest,
                "Batch record not found. The last offset in request is past acquired records.",
            ));
        }
        Ok(first)
    }

    /// Takes back all that a member has: its session is over.
    pub fn release(&mut self, member: &str, limits: &Limits) -> Option<StateWrite> {
        let write = self.next_write();
        let mut changed = Vec::new();
        for batch in self.batches.values_mut() {
            for run in &mut batch.runs {
                if run.is_acquired() && run.delivery.member.as_deref() == Some(member) {
                    let ended = run
                        .delivery
                        .ended(RecordState::Available, limits.delivery_count);
                    run.change(write, ended);
                    changed.push(state_batch(run));
                }
            }
            batch.join();
        }
        self.state_write(write, changed)
    }
}

fn acknowledge_batch(
    batch: &mut InFlightBatch,
    acknowledgement: &Acknowledgement,
    by: &By<'_>,
    changed: &mut Vec<StateBatch>,
) -> Result<(), AcknowledgeError> {
    let first = batch.first.max(acknowledgement.first_offset);
    let last = batch.last.min(acknowledgement.last_offset);
    if let Some(run) = batch.whole() {
        match run.delivery.member.as_deref() {
            None => return Err(invalid_state(NOT_ACQUIRED)),
            Some(owner) if owner != by.member => {
                return Err(invalid_state("Member is not the owner of batch record"));
            }
            Some(_) if run.pending.is_some() => return Err(invalid_state(BUSY)),
            Some(_) if !run.is_acquired() => return Err(invalid_state(NOT_ACQUIRED)),
            Some(_) => {}
        }
    }
    let mut from = first;
    while from <= last {
        let to = acknowledgement.same_until(from, last);
        acknowledge_range(batch, (from, to), acknowledgement.kind(from), by, changed)?;
        from = to + 1;
    }
    batch.join();
    Ok(())
}

fn acknowledge_range(
    batch: &mut InFlightBatch,
    (first, last): (i64, i64),
    kind: i8,
    by: &By<'_>,
    changed: &mut Vec<StateBatch>,
) -> Result<(), AcknowledgeError> {
    for run in batch.runs_of(first, last) {
        if run.delivery.state != RecordState::Acquired {
            return Err(invalid_state(
                "The offset cannot be acknowledged. The offset is not acquired.",
            ));
        }
        if run.pending.is_some() {
            return Err(invalid_state(BUSY));
        }
        if run.delivery.member.as_deref() != Some(by.member) {
            return Err(invalid_state("Member is not the owner of offset"));
        }
        if kind == RENEW {
            if !by.limits.renew {
                return Err(invalid_state(
                    "Renewing acquisition locks is not enabled for the group.",
                ));
            }
            run.delivery.lock_until = Some(by.lock_until);
            continue;
        }
        let state = match kind {
            ACCEPT => RecordState::Acknowledged,
            RELEASE => RecordState::Available,
            GAP | REJECT => RecordState::Archived,
            _ => return Err(invalid_state("Unable to acknowledge records for the batch")),
        };
        let ended = run.delivery.ended(state, by.limits.delivery_count);
        run.change(by.write, ended);
        changed.push(state_batch(run));
    }
    Ok(())
}
