//! The leaders of share partitions, as the real broker's `share::leader` has them: a state machine for each group and
//! partition, loaded from the share coordinator, whose writes go there one at a time and in order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::{Clock, Offset, PartitionIndex, Uuid};
use chaos::checker::{Delivered, Event, Place};
use coordinator::share_group::{SharePartitions, ShareStates};
use coordinator::share_partition::{
    AbortedRange, Acknowledgement, Acquire, AcquireMode, FetchedBatch, Limits, SharePartition,
    StateWrite, WriteId,
};
use coordinator::share_state::{self, ReadState, ShareCoordinator, ShareKey};
use coordinator::{Response, Shard};
use storage::{ReadLimit, ReadResult};
use wire::ErrorCode;
use wire::messages::ShareGroupHeartbeatResponse;
use wire::record_data::batches;

use super::requests::{Answer, is_aborted};
use super::{Broker, in_memory};
use crate::clients::Reply;
use crate::plant::Plant;

/// For how long a record is one member's.
const LOCK_US: u64 = 2_000_000;
/// How often a record may be delivered.
const DELIVERIES: i16 = 5;
/// Records of one answer, more or less.
const RECORDS: i64 = 12;
/// What the leader's epoch is: there is one broker.
const LEADER_EPOCH: i32 = 0;

/// Whether a group reads the records of committed transactions only.
fn is_committed_only(group: &str) -> bool {
    group.ends_with("committed")
}

#[derive(Debug)]
enum Phase {
    Loading,
    Ready(SharePartition),
}

/// One share partition at its leader.
#[derive(Debug)]
pub(crate) struct Leader {
    phase: Phase,
    place: Place,
    queue: VecDeque<(StateWrite, Option<Reply<Answer<()>>>)>,
    writing: bool,
}

/// All of them.
pub(crate) type Leaders = BTreeMap<ShareKey, Leader>;

impl Broker {
    fn share_key(&self, group: &str, place: &Place) -> Option<ShareKey> {
        use coordinator::ClusterView;
        let topic = self.topics.topic(&place.topic)?;
        Some(key(group, topic.id, place.partition))
    }

    fn share_limits(&self) -> Limits {
        // The planted fault: what is locked is free again almost at once.
        let is_short = self.plant == Some(Plant::ShareLocksIgnored);
        let lock_us = if is_short { 1_000 } else { LOCK_US };
        Limits {
            delivery_count: DELIVERIES,
            lock_duration: Duration::from_micros(lock_us),
            record_locks: 200,
            renew: true,
        }
    }

    /// ShareGroupHeartbeat, and what its answer has the share coordinator do.
    pub(crate) fn share_heartbeat(
        &mut self,
        request: wire::messages::ShareGroupHeartbeatRequest,
        reply: Reply<ShareGroupHeartbeatResponse>,
    ) {
        let group: Arc<str> = request.group_id.as_str().into();
        self.request::<Shard>(
            move |shard, token| {
                shard.share_group_heartbeat(token, &crate::clients::group::context(1), &request)
            },
            move |broker, response| {
                let Response::ShareGroupHeartbeat(beat) = response else {
                    return;
                };
                reply.send(beat.response);
                if let Some(states) = beat.initialize {
                    broker.initialize_share_states(&group, &states);
                }
            },
        );
    }

    fn initialize_share_states(&mut self, group: &Arc<str>, states: &ShareStates) {
        for (topic, offsets) in &states.start_offsets {
            for (partition, offset) in offsets {
                let (topic, partition, offset) = (*topic, *partition, *offset);
                let (group, epoch) = (Arc::clone(group), states.state_epoch);
                let share = key(&group, topic, partition);
                self.request::<ShareCoordinator>(
                    move |machine, token| machine.initialize(token, &share, epoch, offset),
                    move |broker, response| {
                        let one = SharePartitions::from([(topic, [partition].into())]);
                        let is_done = matches!(response, share_state::Response::Done(Ok(())));
                        broker.request::<Shard>(
                            move |shard, token| match is_done {
                                true => shard.share_states_initialized(token, &group, &one),
                                false => shard.share_states_not_initialized(token, &group, &one),
                            },
                            |_, _| {},
                        );
                    },
                );
            }
        }
    }

    /// ShareFetch of one partition: what the member has now. COORDINATOR_LOAD_IN_PROGRESS while the leader loads.
    pub(crate) fn share_fetch(
        &mut self,
        group: &str,
        member: &str,
        place: &Place,
        reply: Reply<Answer<Vec<Delivered>>>,
    ) {
        let Some(share) = self.share_key(group, place) else {
            reply.send(Err(ErrorCode::UnknownTopicOrPartition));
            return;
        };
        let Some(leader) = self.shares.get(&share) else {
            self.load_share(share, place);
            reply.send(Err(ErrorCode::CoordinatorLoadInProgress));
            return;
        };
        if matches!(leader.phase, Phase::Loading) {
            reply.send(Err(ErrorCode::CoordinatorLoadInProgress));
            return;
        }
        reply.send(self.share_acquire(&share, member, place));
    }

    fn load_share(&mut self, share: ShareKey, place: &Place) {
        let leader = Leader {
            phase: Phase::Loading,
            place: place.clone(),
            queue: VecDeque::new(),
            writing: false,
        };
        self.shares.insert(share.clone(), leader);
        let asked = share.clone();
        self.request::<ShareCoordinator>(
            move |machine, token| machine.read(token, &asked, LEADER_EPOCH),
            move |broker, response| {
                let share_state::Response::Read(Ok(read)) = response else {
                    broker.shares.remove(&share);
                    return;
                };
                broker.share_loaded(&share, &read);
            },
        );
    }

    fn share_loaded(&mut self, share: &ShareKey, read: &ReadState) {
        let Some(place) = self.shares.get(share).map(|leader| leader.place.clone()) else {
            return;
        };
        let Some(log) = self.log(&place.topic, place.partition) else {
            return;
        };
        let start = match read.start_offset {
            Some(start) => start,
            // The planted fault: the group begins at the end, and was told to begin at the beginning.
            None if self.plant == Some(Plant::ShareBeginsAtTheEnd) => log.high_watermark(),
            None => log.log_start_offset(),
        };
        let loaded = SharePartition::load(read, start, LEADER_EPOCH);
        let loaded = loaded.expect("a share partition reads what it wrote");
        if let Some(leader) = self.shares.get_mut(share) {
            leader.phase = Phase::Ready(loaded);
        }
    }

    fn share_acquire(
        &mut self,
        share: &ShareKey,
        member: &str,
        place: &Place,
    ) -> Answer<Vec<Delivered>> {
        let limits = self.share_limits();
        let now = self.core.clock.monotonic();
        let log = self.log(&place.topic, place.partition);
        let log = log.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let committed_only = is_committed_only(&share.group_id);
        let Some(Leader {
            phase: Phase::Ready(partition),
            ..
        }) = self.shares.get_mut(share)
        else {
            return Err(ErrorCode::CoordinatorLoadInProgress);
        };
        partition.log_start_moved(log.log_start_offset());
        if !partition.can_acquire(&limits) {
            return Ok(Vec::new());
        }
        let from = partition.next_fetch_offset();
        let up_to = if committed_only {
            ReadLimit::LastStableOffset
        } else {
            ReadLimit::HighWatermark
        };
        let read = log.read(from, 4 << 10, up_to, true);
        let read = read.map_err(|_| ErrorCode::OffsetOutOfRange)?;
        let (fetched, aborted) = batches_of(&read, committed_only)?;
        let member_id: Arc<str> = member.into();
        let request = Acquire {
            member: &member_id,
            mode: AcquireMode::BatchOptimized,
            batch_size: RECORDS,
            records_max: RECORDS,
            fetch_offset: from,
            fetched: &fetched,
            aborted: &aborted,
        };
        let acquired = partition.acquire(&request, &limits, now);
        let at_us = self.core.now_us();
        let delivered: Vec<Delivered> = acquired
            .iter()
            .map(|one| Delivered {
                group: share.group_id.to_string(),
                member: member.to_owned(),
                place: place.clone(),
                first: one.first_offset.0,
                last: one.last_offset.0,
                count: one.delivery_count,
            })
            .collect();
        for one in &delivered {
            self.recorder.record(Event::ShareAcquired {
                delivered: one.clone(),
                limit: DELIVERIES,
                at_us,
                until_us: at_us + LOCK_US,
            });
        }
        Ok(delivered)
    }

    /// ShareAcknowledge of one partition; the answer comes when it is durable.
    pub(crate) fn share_acknowledge(
        &mut self,
        group: &str,
        member: &str,
        place: &Place,
        acknowledgements: &[Acknowledgement],
        reply: Reply<Answer<()>>,
    ) {
        let limits = self.share_limits();
        let now = self.core.clock.monotonic();
        let share = self.share_key(group, place);
        let leader = share.as_ref().and_then(|share| self.shares.get_mut(share));
        let Some(Leader {
            phase: Phase::Ready(partition),
            ..
        }) = leader
        else {
            reply.send(Err(ErrorCode::NotLeaderOrFollower));
            return;
        };
        match partition.acknowledge(member, acknowledgements, &limits, now) {
            Err(error) => reply.send(Err(error.code)),
            Ok(None) => reply.send(Ok(())),
            Ok(Some(write)) => {
                if let Some(share) = share {
                    self.share_enqueue(&share, write, Some(reply));
                }
            }
        }
    }

    /// The member's session is over.
    pub(crate) fn share_release(&mut self, group: &str, member: &str) {
        self.recorder.record(Event::ShareReleased {
            group: group.to_owned(),
            member: member.to_owned(),
        });
        let limits = self.share_limits();
        let mut writes = Vec::new();
        for (share, leader) in &mut self.shares {
            if let Phase::Ready(partition) = &mut leader.phase
                && *share.group_id == *group
                && let Some(write) = partition.release(member, &limits)
            {
                writes.push((share.clone(), write));
            }
        }
        for (share, write) in writes {
            self.share_enqueue(&share, write, None);
        }
    }

    /// Locks that run out.
    pub(super) fn share_tick(&mut self) {
        let limits = self.share_limits();
        let now = self.core.clock.monotonic();
        let mut writes = Vec::new();
        for (share, leader) in &mut self.shares {
            if let Phase::Ready(partition) = &mut leader.phase
                && partition.next_deadline().is_some_and(|due| due <= now)
                && let Some(write) = partition.expire(&limits, now)
            {
                writes.push((share.clone(), write));
            }
        }
        for (share, write) in writes {
            self.share_enqueue(&share, write, None);
        }
    }

    fn share_enqueue(
        &mut self,
        share: &ShareKey,
        mut write: StateWrite,
        reply: Option<Reply<Answer<()>>>,
    ) {
        if self.plant == Some(Plant::ShareCountForgotten) {
            for batch in &mut write.state.batches {
                batch.delivery_count = 1;
            }
        }
        if let Some(leader) = self.shares.get_mut(share) {
            leader.queue.push_back((write, reply));
            if !leader.writing {
                self.share_write_next(share.clone());
            }
        }
    }

    fn share_write_next(&mut self, share: ShareKey) {
        let Some(leader) = self.shares.get_mut(&share) else {
            return;
        };
        let Some((write, reply)) = leader.queue.pop_front() else {
            leader.writing = false;
            return;
        };
        leader.writing = true;
        let id = write.id;
        if self.plant == Some(Plant::ShareAckNotWritten) && self.core.chance(0.1) {
            self.share_written(&share, id, Ok(()), reply);
            return;
        }
        let (asked, state) = (share.clone(), write.state);
        self.request::<ShareCoordinator>(
            move |machine, token| machine.write(token, &asked, &state),
            move |broker, response| {
                let outcome = match response {
                    share_state::Response::Done(Ok(())) => Ok(()),
                    share_state::Response::Done(Err(error)) => Err(error.code),
                    _ => Err(ErrorCode::UnknownServerError),
                };
                broker.share_written(&share, id, outcome, reply);
            },
        );
    }

    fn share_written(
        &mut self,
        share: &ShareKey,
        id: WriteId,
        outcome: Answer<()>,
        reply: Option<Reply<Answer<()>>>,
    ) {
        if let Some(Leader {
            phase: Phase::Ready(partition),
            ..
        }) = self.shares.get_mut(share)
        {
            partition.written(id, outcome.is_ok());
        }
        if let Some(reply) = reply {
            reply.send(outcome);
        }
        let share = share.clone();
        // Later: a queue of writes that are done at once must not be a recursion.
        self.defer(move |broker| broker.share_write_next(share));
    }

    /// Where a share partition starts, once its group has dealt with all there is to read.
    pub(crate) fn share_done(&self, group: &str, place: &Place) -> Option<i64> {
        let leader = self.shares.get(&self.share_key(group, place)?)?;
        let Phase::Ready(partition) = &leader.phase else {
            return None;
        };
        let log = self.log(&place.topic, place.partition)?;
        let end = match is_committed_only(group) {
            true => log.last_stable_offset(),
            false => log.high_watermark(),
        };
        let is_idle = leader.queue.is_empty() && !leader.writing;
        let start = partition.start_offset();
        (is_idle && start >= end).then_some(start.0)
    }
}

/// The batches of a read, and those of aborted transactions.
fn batches_of(
    read: &ReadResult,
    committed_only: bool,
) -> Answer<(Vec<FetchedBatch>, Vec<AbortedRange>)> {
    let bytes = in_memory(&read.records);
    let (mut fetched, mut aborted) = (Vec::new(), Vec::new());
    for batch in batches(&bytes) {
        let (header, _) = batch.map_err(|_| ErrorCode::CorruptMessage)?;
        let (first, last) = (Offset(header.base_offset), Offset(header.last_offset()));
        fetched.push(FetchedBatch {
            base_offset: first,
            last_offset: last,
        });
        let is_gone = is_aborted(&header, &read.aborted_transactions, committed_only);
        if is_gone && !header.attributes.is_control() {
            aborted.push(AbortedRange {
                first_offset: first,
                last_offset: last,
            });
        }
    }
    Ok((fetched, aborted))
}

fn key(group: &str, topic_id: Uuid, partition: i32) -> ShareKey {
    ShareKey {
        group_id: group.into(),
        topic_id,
        partition: PartitionIndex(partition),
    }
}
