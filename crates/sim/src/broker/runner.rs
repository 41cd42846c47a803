//! One coordinator of the simulated broker: what the real broker's `coordination` task does, on one thread.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use base::{Clock, Offset};
use bytes::Bytes;
use coordinator::share_state::{Prune, ShareCoordinator};
use coordinator::transaction::{TransactionCoordinator, WriteMarkers};
use coordinator::{
    Action, Actions, AppendError, CommitId, CoordinatorRecord, Shard, StateMachine, Token,
    TransactionMarker,
};
use storage::{AppendOrigin, Appended, Lsn, PartitionLog, ReadLimit, VerificationGuard};
use wire::control_record::EndTxnMarker;
use wire::record_data::{BatchOptions, RecordBatchBuilder, batches, records};

use super::{Broker, in_memory};
use crate::plant::Plant;

type Continue<R> = Box<dyn FnOnce(&mut Broker, R)>;

/// A machine, its log, and what waits for it.
pub(crate) struct Runner<M: StateMachine> {
    pub(crate) machine: M,
    pub(crate) log: Arc<PartitionLog>,
    replies: BTreeMap<Token, Continue<M::Response>>,
    next_token: u64,
    appends: VecDeque<(CommitId, Lsn)>,
}

/// A machine that a broker hosts. A group protocol with a machine of its own needs an implementation of this.
pub(crate) trait Hosted: StateMachine {
    fn runner(broker: &mut Broker) -> &mut Runner<Self>
    where
        Self: Sized;

    /// Carries out what only this machine asks for.
    fn perform(broker: &mut Broker, effect: Self::Effect);
}

impl Hosted for Shard {
    fn runner(broker: &mut Broker) -> &mut Runner<Shard> {
        &mut broker.groups
    }

    fn perform(_: &mut Broker, effect: Self::Effect) {
        match effect {}
    }
}

impl Hosted for TransactionCoordinator {
    fn runner(broker: &mut Broker) -> &mut Runner<TransactionCoordinator> {
        &mut broker.transactions
    }

    fn perform(broker: &mut Broker, effect: WriteMarkers) {
        broker.write_markers(effect);
    }
}

impl Hosted for ShareCoordinator {
    fn runner(broker: &mut Broker) -> &mut Runner<ShareCoordinator> {
        &mut broker.share_states
    }

    /// What cannot be deleted now goes with what the next round deletes.
    fn perform(broker: &mut Broker, prune: Prune) {
        broker
            .share_states
            .log
            .delete_records(Some(prune.before))
            .ok();
    }
}

impl<M: StateMachine> Runner<M> {
    /// Loads the machine from its log, but for the last `skip_last` records.
    pub(crate) fn load(mut machine: M, log: Arc<PartitionLog>, skip_last: usize) -> Runner<M> {
        let all = read_log(&log);
        let kept = all.len().saturating_sub(skip_last);
        for entry in all.iter().take(kept) {
            entry.replay(&mut machine);
        }
        Runner {
            machine,
            log,
            replies: BTreeMap::new(),
            next_token: 0,
            appends: VecDeque::new(),
        }
    }
}

/// One record of a coordinator's log.
pub(crate) struct Entry {
    offset: Offset,
    producer_id: Option<i64>,
    marker: Option<bool>,
    key: Bytes,
    value: Option<Bytes>,
}

impl Entry {
    pub(crate) fn replay(&self, machine: &mut impl StateMachine) {
        let value = self.value.as_ref();
        let replayed = match (self.producer_id, self.marker) {
            (Some(producer), Some(committed)) => {
                machine.replay_end_txn(producer, committed);
                return;
            }
            (Some(producer), None) => machine.replay_transactional(producer, &self.key, value),
            (None, _) => machine.replay_at(self.offset, &self.key, value),
        };
        replayed.expect("a coordinator reads what it wrote");
    }
}

/// Every record below the high watermark.
pub(crate) fn read_log(log: &PartitionLog) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut offset = log.log_start_offset();
    while offset < log.high_watermark() {
        let read = log
            .read(offset, 1 << 20, ReadLimit::HighWatermark, true)
            .expect("a coordinator's log is readable");
        let bytes = in_memory(&read.records);
        for batch in batches(&bytes) {
            let (_, batch) = batch.expect("a log holds whole batches");
            let found = records(&batch, 1 << 24).expect("a batch of this broker decodes");
            let attributes = found.header().attributes;
            let producer_id = found.header().producer_id;
            for record in found {
                let record = record.expect("a record of this broker decodes");
                let Some(key) = record.key else { continue };
                let marker = attributes
                    .is_control()
                    .then(|| EndTxnMarker::decode(&key, record.value.as_ref()))
                    .flatten();
                entries.push(Entry {
                    offset: Offset(record.offset),
                    producer_id: attributes.is_transactional().then_some(producer_id),
                    marker: marker.map(|marker| marker.committed),
                    key,
                    value: record.value,
                });
            }
        }
        assert!(read.next_offset > offset, "a read goes forward");
        offset = read.next_offset;
    }
    entries
}

impl Broker {
    /// Hands a request to a machine; `reply` gets its answer.
    pub(crate) fn request<M: Hosted>(
        &mut self,
        run: impl FnOnce(&mut M, Token) -> Actions<M>,
        reply: impl FnOnce(&mut Broker, M::Response) + 'static,
    ) {
        let runner = M::runner(self);
        let token = Token(runner.next_token);
        runner.next_token += 1;
        runner.replies.insert(token, Box::new(reply));
        let actions = run(&mut runner.machine, token);
        self.perform::<M>(actions);
    }

    pub(crate) fn perform<M: Hosted>(&mut self, actions: Actions<M>) {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            let (commit, appended) = match action {
                Action::Reply { token, response } => {
                    if let Some(reply) = M::runner(self).replies.remove(&token) {
                        // Later: it may call the machine, whose other actions come first.
                        self.defer(move |broker| reply(broker, response));
                    }
                    continue;
                }
                Action::Effect(effect) => {
                    M::perform(self, effect);
                    continue;
                }
                Action::Append { commit, records } => (
                    commit,
                    self.append_records::<M>(BatchOptions::default(), None, &records),
                ),
                Action::AppendTransactional {
                    commit,
                    producer,
                    records,
                } => {
                    let is_early = self.plant == Some(Plant::OffsetsOutsideTransaction);
                    let options = BatchOptions {
                        producer_id: producer.producer_id,
                        producer_epoch: producer.producer_epoch,
                        transactional: true,
                        ..BatchOptions::default()
                    };
                    let options = if is_early {
                        BatchOptions::default()
                    } else {
                        options
                    };
                    let guard = VerificationGuard::from_raw(producer.verification);
                    let guard = (!is_early).then_some(guard);
                    (commit, self.append_records::<M>(options, guard, &records))
                }
                Action::AppendMarker { commit, marker } => {
                    let log = Arc::clone(&M::runner(self).log);
                    (commit, self.append_marker(&log, marker))
                }
            };
            let runner = M::runner(self);
            match appended {
                Ok(appended) => {
                    runner.machine.appended(commit, appended.base_offset);
                    runner.appends.push_back((commit, appended.lsn));
                }
                Err(error) => actions.extend(runner.machine.failed(commit, error)),
            }
        }
    }

    /// Tells a machine what is durable.
    pub(crate) fn settle<M: Hosted>(&mut self) {
        loop {
            let Some((commit, lsn)) = M::runner(self).appends.front().copied() else {
                return;
            };
            if !self.storage.is_durable(lsn) {
                return;
            }
            let runner = M::runner(self);
            runner.appends.pop_front();
            let actions = runner.machine.committed(commit);
            self.perform::<M>(actions);
        }
    }

    /// Runs what is due of a machine.
    pub(crate) fn tick<M: Hosted>(&mut self) {
        let now = self.core.clock.monotonic();
        let runner = M::runner(self);
        if runner.machine.next_deadline().is_some_and(|due| due <= now) {
            let actions = runner.machine.tick();
            self.perform::<M>(actions);
        }
    }

    fn append_records<M: Hosted>(
        &mut self,
        options: BatchOptions,
        guard: Option<VerificationGuard>,
        records: &[CoordinatorRecord],
    ) -> Result<Appended, AppendError> {
        let now_ms = self.core.clock.now_ms();
        let mut builder = RecordBatchBuilder::new(options);
        for record in records {
            builder
                .append(now_ms, Some(&record.key), record.value.as_deref(), &[])
                .map_err(|_| AppendError::TooLarge)?;
        }
        let batch = builder.finish().map_err(|_| AppendError::TooLarge)?;
        let origin = guard.map_or(AppendOrigin::Coordinator, AppendOrigin::VerifiedCoordinator);
        let log = Arc::clone(&M::runner(self).log);
        self.append_as_coordinator(&log, &batch, origin)
    }

    pub(crate) fn append_marker(
        &mut self,
        log: &Arc<PartitionLog>,
        marker: TransactionMarker,
    ) -> Result<Appended, AppendError> {
        let end = EndTxnMarker {
            committed: marker.committed,
            coordinator_epoch: marker.coordinator_epoch,
        };
        let now_ms = self.core.clock.now_ms();
        let batch = end
            .to_batch(marker.producer_id, marker.producer_epoch, now_ms)
            .map_err(|_| AppendError::Unknown)?;
        let origin = if marker.is_strict {
            AppendOrigin::Marker2
        } else {
            AppendOrigin::Coordinator
        };
        self.append_as_coordinator(log, &batch, origin)
    }

    fn append_as_coordinator(
        &mut self,
        log: &Arc<PartitionLog>,
        batch: &Bytes,
        origin: AppendOrigin,
    ) -> Result<Appended, AppendError> {
        match self.append(log, batch, origin) {
            Ok(appended) => Ok(appended),
            Err(storage::AppendError::InvalidTxnState { .. }) => Err(AppendError::InvalidTxnState),
            Err(storage::AppendError::InvalidProducerEpoch { .. }) => {
                Err(AppendError::InvalidProducerEpoch)
            }
            Err(storage::AppendError::CoordinatorFenced { .. }) => {
                Err(AppendError::CoordinatorFenced)
            }
            Err(_) => Err(AppendError::Storage),
        }
    }
}
