//! What every coordinator's state machine has in common, so that one runtime gives all of them their I/O.
//!
//! A coordinator owns one partition of its topic. Its state is a function of that partition's records, its
//! methods do no I/O, and what it wants done it returns as [`Action`]s. The runtime (the broker's
//! `coordination` module) loads it, runs its requests one after the other, carries out its actions and tells
//! it what became durable.
//!
//! Lifecycle: made (requests get COORDINATOR_LOAD_IN_PROGRESS) → [`StateMachine::replay`] each record of the
//! partition, oldest first → [`StateMachine::loaded`] (serving) → [`StateMachine::unload`] (everything that
//! waits gets NOT_COORDINATOR).
//!
//! Source: the interfaces `CoordinatorShard` and `CoordinatorPlayback` of Kafka's coordinator runtime
//! (KIP-848).

use base::{Offset, Timestamp};
use bytes::Bytes;

use crate::action::{Action, AppendError, CommitId};
use crate::record::ReplayError;
use crate::shard::Replayed;

/// What a state machine wants done.
pub type Actions<M> = Vec<Action<<M as StateMachine>::Response, <M as StateMachine>::Effect>>;

/// A coordinator of one partition, without I/O.
///
/// Not `Sync` by design: one task at a time has a machine and calls it. No method blocks.
pub trait StateMachine: Send + 'static {
    /// What requests are answered with.
    type Response: Send + 'static;
    /// What the machine asks of the broker beside answers and appends; `Infallible` for nothing.
    type Effect: Send + 'static;

    /// Applies one record of the log, while loading; records come in log order.
    ///
    /// # Errors
    /// [`ReplayError`] when the record does not decode. The machine must then be dropped: what follows in the
    /// log cannot be trusted to mean what it says.
    fn replay(&mut self, key: &Bytes, value: Option<&Bytes>) -> Result<Replayed, ReplayError>;

    /// As [`StateMachine::replay`], with where the record is in the log, for machines that cut theirs.
    ///
    /// # Errors
    /// As [`StateMachine::replay`].
    fn replay_at(
        &mut self,
        offset: Offset,
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<Replayed, ReplayError> {
        let _ = offset;
        self.replay(key, value)
    }

    /// Applies one record that a transaction of `producer_id` wrote: it takes effect when
    /// [`StateMachine::replay_end_txn`] says that the transaction was committed.
    ///
    /// # Errors
    /// As [`StateMachine::replay`]; [`ReplayError::Transactional`] from a machine whose topic has no
    /// transactions.
    fn replay_transactional(
        &mut self,
        producer_id: i64,
        key: &Bytes,
        value: Option<&Bytes>,
    ) -> Result<Replayed, ReplayError> {
        let _ = (key, value);
        Err(ReplayError::Transactional { producer_id })
    }

    /// Applies the marker that ends the transaction of `producer_id`, while loading.
    fn replay_end_txn(&mut self, producer_id: i64, committed: bool) {
        let _ = (producer_id, committed);
    }

    /// Ends loading: requests are served from here on.
    #[must_use]
    fn loaded(&mut self) -> Actions<Self>;

    /// Ends the machine: everything that waits gets NOT_COORDINATOR, and so does every later request.
    /// Outcomes of appends need not be reported any more.
    #[must_use]
    fn unload(&mut self) -> Actions<Self>;

    /// The records of `commit` are in the log from `base_offset` on, though maybe not durable yet. Called once for
    /// an append that did not fail at once, before its outcome is reported.
    fn appended(&mut self, commit: CommitId, base_offset: Offset) {
        let _ = (commit, base_offset);
    }

    /// The append `commit` and every earlier one that was not reported as failed are durable. Ids that are
    /// not in flight are ignored.
    #[must_use]
    fn committed(&mut self, commit: CommitId) -> Actions<Self>;

    /// The records of `commit` are certainly not in the log, and never will be.
    #[must_use]
    fn failed(&mut self, commit: CommitId, error: AppendError) -> Actions<Self>;

    /// When [`StateMachine::tick`] is next to be called: when something is due, or before, if that was put off since. `None` while
    /// nothing waits. Asked again after every call.
    fn next_deadline(&self) -> Option<Timestamp>;

    /// Runs what is due.
    #[must_use]
    fn tick(&mut self) -> Actions<Self>;
}
