//! What librdkafka calls back, and how far the client has come.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::ErrorChain;
use client::data::{
    BaseConsumer, ClientContext, Consumer as _, ConsumerContext, DataError, Offset, RDKafkaRespErr,
    RebalanceProtocol, TopicPartitionList, TopicPartitionListElem,
};

use super::record::{Interest, Place, Positions};

/// What requests and the thread both know.
#[derive(Debug, Default)]
pub(super) struct Shared {
    progress: Mutex<Progress>,
    /// Another owner has the member.
    is_lost: AtomicBool,
}

/// How far the client has come.
#[derive(Debug, Default, Clone)]
pub(super) struct Progress {
    pub(super) interest: Interest,
    /// As of the client's last request.
    pub(super) positions: Positions,
    /// What was sent since.
    pub(super) sent: Positions,
}

impl Shared {
    /// Whether another owner has the member.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    /// Another owner has it.
    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::Release);
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        // Each change is whole by itself.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What librdkafka calls back.
pub(super) struct Context {
    shared: Arc<Shared>,
    /// Where to go on in partitions that come, once.
    resume: Mutex<Positions>,
    revoked: Mutex<BTreeSet<Place>>,
}

impl ClientContext for Context {
    fn error(&self, error: DataError, reason: &str) {
        tracing::debug!(error = %ErrorChain(&error), reason, "a consumer instance");
    }
}

impl ConsumerContext for Context {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let is_assignment = matches!(event, RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS);
        let is_cooperative = matches!(
            consumer.rebalance_protocol(),
            RebalanceProtocol::Cooperative
        );
        let done = match (is_assignment, is_cooperative) {
            (true, cooperative) => {
                self.resume(list);
                if cooperative {
                    consumer.incremental_assign(list)
                } else {
                    consumer.assign(list)
                }
            }
            (false, cooperative) => {
                self.revoke(list);
                if cooperative {
                    consumer.incremental_unassign(list)
                } else {
                    consumer.unassign()
                }
            }
        };
        if let Err(error) = done {
            tracing::warn!(error = %ErrorChain(&error), "a consumer instance cannot follow its group");
        }
    }
}

impl Context {
    /// `resume` is where to go on in the partitions of the first assignment.
    pub(super) fn new(shared: Arc<Shared>, resume: Positions) -> Self {
        Self {
            shared,
            resume: Mutex::new(resume),
            revoked: Mutex::default(),
        }
    }

    /// The partitions that went since this was last asked.
    pub(super) fn take_revoked(&self) -> BTreeSet<Place> {
        let mut revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *revoked)
    }

    fn resume(&self, list: &mut TopicPartitionList) {
        let resume =
            std::mem::take(&mut *self.resume.lock().unwrap_or_else(PoisonError::into_inner));
        let held = places(list);
        // Before the first assignment nobody knows what the group has given.
        self.shared
            .progress()
            .positions
            .retain(|place, _| held.contains(place));
        for (place, offset) in &resume {
            if !held.contains(place) {
                continue;
            }
            let offset = Offset::Offset(*offset);
            if let Err(error) = list.set_partition_offset(&place.topic, place.partition, offset) {
                tracing::warn!(error = %ErrorChain(&error), "a position is not taken over");
            }
        }
    }

    fn revoke(&self, list: &TopicPartitionList) {
        let places = places(list);
        let mut progress = self.shared.progress();
        progress
            .positions
            .retain(|place, _| !places.contains(place));
        progress.sent.retain(|place, _| !places.contains(place));
        let mut revoked = self.revoked.lock().unwrap_or_else(PoisonError::into_inner);
        revoked.extend(places);
    }
}

pub(super) fn places(list: &TopicPartitionList) -> BTreeSet<Place> {
    let place = |element: &TopicPartitionListElem<'_>| Place {
        topic: element.topic().to_owned(),
        partition: element.partition(),
    };
    list.elements().iter().map(place).collect()
}
