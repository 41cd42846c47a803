//! A shard as the runtime sees it.

use std::convert::Infallible;

use base::Timestamp;
use bytes::Bytes;

use super::{Replayed, Shard};
use crate::action::{Action, AppendError, CommitId, Response};
use crate::machine::StateMachine;
use crate::record::ReplayError;

impl StateMachine for Shard {
    type Response = Response;
    type Effect = Infallible;

    fn replay(&mut self, key: &Bytes, value: Option<&Bytes>) -> Result<Replayed, ReplayError> {
        Shard::replay(self, key, value)
    }

    fn replay_transactional(
        &mut self,
        producer_id: i64,
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<Replayed, ReplayError> {
        Shard::replay_transactional(self, producer_id, key, value)
    }

    fn replay_end_txn(&mut self, producer_id: i64, committed: bool) {
        self.end_open_transaction(producer_id, committed);
    }

    fn loaded(&mut self) -> Vec<Action> {
        Shard::loaded(self)
    }

    fn unload(&mut self) -> Vec<Action> {
        Shard::unload(self)
    }

    fn committed(&mut self, commit: CommitId) -> Vec<Action> {
        Shard::committed(self, commit)
    }

    fn failed(&mut self, commit: CommitId, error: AppendError) -> Vec<Action> {
        Shard::failed(self, commit, error)
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        Shard::next_deadline(self)
    }

    fn tick(&mut self) -> Vec<Action> {
        Shard::tick(self)
    }
}
