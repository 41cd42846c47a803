//! The requests of a share coordinator, each about one share partition: InitializeShareGroupState,
//! ReadShareGroupState, WriteShareGroupState, DeleteShareGroupState and ReadShareGroupStateSummary.
//!
//! The order of the checks is Kafka's (`ShareCoordinatorShard.maybeGet*Error`).

use std::sync::Arc;

use base::{Offset, Uuid};
use wire::ErrorCode;

use super::batches::combine;
use super::state::{Change, NONE, PartitionState, Snapshot, UNINITIALIZED, Update, or_keep};
use super::{
    Phase, ReadState, Response, ShareCoordinator, ShareKey, StateError, StateSummary, WriteState,
};
use crate::action::Token;
use crate::machine::Actions;

/// The most tombstones of one append: keeps such batches far below `max.message.bytes`.
const TOMBSTONES_PER_APPEND: usize = 1_000;

/// The error of any request while the coordinator does not serve.
pub(super) fn unavailable_error(code: ErrorCode) -> StateError {
    let message = match code {
        ErrorCode::CoordinatorLoadInProgress => {
            "The coordinator is loading and hence can't process requests."
        }
        _ => "This is not the correct coordinator.",
    };
    StateError {
        code,
        message: message.to_owned(),
    }
}

impl ShareCoordinator {
    /// Makes the state of a share partition, or resets it: from here on it starts at `start_offset`, and writes of
    /// an earlier state epoch are fenced. A `start_offset` of -1 leaves it to the first write.
    #[must_use]
    pub fn initialize(
        &mut self,
        token: Token,
        key: &ShareKey,
        state_epoch: i32,
        start_offset: Offset,
    ) -> Actions<Self> {
        let current = self.current(key).cloned();
        let checked = self
            .check_available()
            .and_then(|()| check_partition(key))
            .and_then(|()| check_state_epoch(current.as_deref(), state_epoch))
            .and_then(|()| self.check_topic(key));
        if let Err(error) = checked {
            self.reply(token, Response::Done(Err(error)));
            return self.finish();
        }
        let now_ms = self.clock.now_ms();
        let next = |state: &PartitionState| state.snapshot.snapshot_epoch.saturating_add(1);
        let snapshot = Snapshot {
            snapshot_epoch: current.as_deref().map_or(0, next),
            state_epoch,
            leader_epoch: 0,
            start_offset,
            // From a start that is known on nothing is delivered yet, so the lag is known too (KIP-1226).
            delivery_complete_count: known(start_offset).map_or(NONE, |_| 0),
            create_timestamp_ms: now_ms,
            write_timestamp_ms: now_ms,
            batches: Vec::new(),
        };
        let changes = vec![(key.clone(), Change::Snapshot(snapshot))];
        self.append(changes, Some((token, Response::Done(Ok(())))));
        self.finish()
    }

    /// Tells where a share partition is. A leader epoch above the last one is written down, so that writes of
    /// earlier leaders are fenced when this is answered; -1 is not checked.
    #[must_use]
    pub fn read(&mut self, token: Token, key: &ShareKey, leader_epoch: i32) -> Actions<Self> {
        let state = match self.check_read(key, leader_epoch) {
            Ok(state) => state,
            Err(error) => {
                self.reply(token, Response::Read(Err(error)));
                return self.finish();
            }
        };
        let snapshot = &state.snapshot;
        let answer = Response::Read(Ok(ReadState {
            state_epoch: snapshot.state_epoch,
            start_offset: known(snapshot.start_offset),
            delivery_complete_count: snapshot.delivery_complete_count,
            batches: snapshot.batches.clone(),
        }));
        if leader_epoch == NONE || state.snapshot.leader_epoch == leader_epoch {
            self.reply_durable(key, token, answer);
            return self.finish();
        }
        let write = WriteState {
            state_epoch: snapshot.state_epoch,
            leader_epoch,
            start_offset: snapshot.start_offset,
            delivery_complete_count: snapshot.delivery_complete_count,
            batches: Vec::new(),
        };
        let change = self.change(&state, &write, leader_epoch);
        self.append(vec![(key.clone(), change)], Some((token, answer)));
        self.finish()
    }

    /// Writes down what has happened to a share partition.
    #[must_use]
    pub fn write(&mut self, token: Token, key: &ShareKey, write: &WriteState) -> Actions<Self> {
        let checked = self.check_read(key, write.leader_epoch);
        let checked = checked.map_err(|mut error| {
            if error.code == ErrorCode::InvalidRequest && key.partition.0 >= 0 {
                "Write operation on uninitialized share partition not allowed."
                    .clone_into(&mut error.message);
            }
            error
        });
        let checked = checked.and_then(|state| {
            check_state_epoch(Some(&*state), write.state_epoch)?;
            Ok(state)
        });
        match checked {
            Ok(state) => {
                let change = self.change(&state, write, state.snapshot.leader_epoch);
                let reply = (token, Response::Done(Ok(())));
                self.append(vec![(key.clone(), change)], Some(reply));
            }
            Err(error) => self.reply(token, Response::Done(Err(error))),
        }
        self.finish()
    }

    /// Forgets a share partition; one that is not known is forgotten already.
    #[must_use]
    pub fn delete(&mut self, token: Token, key: &ShareKey) -> Actions<Self> {
        let checked = self
            .check_available()
            .and_then(|()| check_partition(key))
            .and_then(|()| self.check_topic(key));
        let answer = Response::Done(checked.clone());
        if checked.is_ok() && self.current(key).is_some() {
            self.append(vec![(key.clone(), Change::Delete)], Some((token, answer)));
        } else {
            self.reply_durable(key, token, answer);
        }
        self.finish()
    }

    /// Tells the outline of where a share partition is; of one that is not known, that.
    #[must_use]
    pub fn summary(&mut self, token: Token, key: &ShareKey) -> Actions<Self> {
        let checked = self
            .check_available()
            .and_then(|()| check_partition(key))
            .and_then(|()| self.check_topic(key));
        let answer = checked.map(|()| match self.current(key) {
            Some(state) => StateSummary {
                state_epoch: state.snapshot.state_epoch,
                leader_epoch: state.snapshot.leader_epoch,
                start_offset: known(state.snapshot.start_offset),
                delivery_complete_count: state.snapshot.delivery_complete_count,
            },
            None => StateSummary {
                state_epoch: 0,
                leader_epoch: 0,
                start_offset: None,
                delivery_complete_count: NONE,
            },
        });
        self.reply_durable(key, token, Response::Summary(answer));
        self.finish()
    }

    /// Topics were deleted: their share partitions are forgotten.
    #[must_use]
    pub fn topics_deleted(&mut self, topic_ids: &[Uuid]) -> Actions<Self> {
        if self.phase != Phase::Active {
            return self.finish();
        }
        let of_deleted: Vec<ShareKey> = self
            .entries
            .iter()
            .filter(|(key, entry)| entry.current.is_some() && topic_ids.contains(&key.topic_id))
            .map(|(key, _)| key.clone())
            .collect();
        for keys in of_deleted.chunks(TOMBSTONES_PER_APPEND) {
            let tombstones = keys.iter().map(|key| (key.clone(), Change::Delete));
            self.append(tombstones.collect(), None);
        }
        self.finish()
    }

    /// The record of a write: an update, or a snapshot when there were enough of those.
    fn change(&self, state: &PartitionState, write: &WriteState, leader_epoch: i32) -> Change {
        let old = &state.snapshot;
        if state.updates < self.config.updates_per_snapshot {
            return Change::Update(Update {
                snapshot_epoch: old.snapshot_epoch,
                leader_epoch,
                start_offset: write.start_offset,
                delivery_complete_count: write.delivery_complete_count,
                batches: combine(&[], &write.batches, write.start_offset),
            });
        }
        let start_offset = or_keep(write.start_offset, UNINITIALIZED, old.start_offset);
        let now_ms = self.clock.now_ms();
        Change::Snapshot(Snapshot {
            snapshot_epoch: old.snapshot_epoch.saturating_add(1),
            state_epoch: old.state_epoch,
            leader_epoch,
            start_offset,
            delivery_complete_count: write.delivery_complete_count,
            create_timestamp_ms: now_ms,
            write_timestamp_ms: now_ms,
            batches: combine(&old.batches, &write.batches, start_offset),
        })
    }

    fn check_available(&self) -> Result<(), StateError> {
        match self.phase {
            Phase::Loading => Err(unavailable_error(ErrorCode::CoordinatorLoadInProgress)),
            Phase::Active => Ok(()),
            Phase::Unloaded => Err(unavailable_error(ErrorCode::NotCoordinator)),
        }
    }

    fn check_topic(&self, key: &ShareKey) -> Result<(), StateError> {
        let topic = self.cluster.topic_by_id(key.topic_id);
        if topic.is_some_and(|topic| key.partition.0 < topic.partitions) {
            return Ok(());
        }
        Err(StateError {
            code: ErrorCode::UnknownTopicOrPartition,
            message: "This server does not host this topic-partition.".to_owned(),
        })
    }

    fn check_read(
        &self,
        key: &ShareKey,
        leader_epoch: i32,
    ) -> Result<Arc<PartitionState>, StateError> {
        self.check_available()?;
        check_partition(key)?;
        let state = self.current(key).ok_or_else(|| StateError {
            code: ErrorCode::InvalidRequest,
            message: "Read operation on uninitialized share partition not allowed.".to_owned(),
        })?;
        if leader_epoch != NONE && state.snapshot.leader_epoch > leader_epoch {
            return Err(StateError {
                code: ErrorCode::FencedLeaderEpoch,
                message: "The leader epoch in the request is older than the epoch on the broker."
                    .to_owned(),
            });
        }
        let state = Arc::clone(state);
        self.check_topic(key)?;
        Ok(state)
    }
}

fn check_partition(key: &ShareKey) -> Result<(), StateError> {
    if key.partition.0 >= 0 {
        return Ok(());
    }
    Err(StateError {
        code: ErrorCode::InvalidRequest,
        message: "The partition id cannot be a negative number.".to_owned(),
    })
}

fn check_state_epoch(state: Option<&PartitionState>, state_epoch: i32) -> Result<(), StateError> {
    let fence = state.map_or(NONE, |state| state.snapshot.state_epoch);
    if state_epoch == NONE || fence <= state_epoch {
        return Ok(());
    }
    Err(StateError {
        code: ErrorCode::FencedStateEpoch,
        message: "The share coordinator rejected the request because the share-group state epoch \
                  did not match."
            .to_owned(),
    })
}

fn known(start_offset: Offset) -> Option<Offset> {
    (start_offset.0 >= 0).then_some(start_offset)
}
