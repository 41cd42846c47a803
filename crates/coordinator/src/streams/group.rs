//! The state of a streams group: a function of its records. Source: Kafka's `StreamsGroup`.
//!
//! [`StreamsGroup::apply`] is the one way the state changes, when a record is written and when it is read, and gives
//! back the record that takes the change back. Which process has which task is kept beside the records, so that a
//! heartbeat does not walk over all members.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::configured::ConfiguredTopology;
use super::member::{CurrentAssignment, Member};
use super::records::{GroupMetadata, StreamsRecord};
use super::tasks::{OwnedTasks, Tasks, each, each_active};
use super::topology::Topology;
use crate::consumer::group::tally;
use crate::consumer::member::LEAVE_EPOCH;
use crate::revocation::Revocations;
use crate::shard::groups::Lifecycle;

/// The epoch of the empty target assignment that a group begins with.
const FIRST_EPOCH: i32 = 1;

/// The state as ListGroups and StreamsGroupDescribe name it (`StreamsGroupState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamsGroupState {
    Empty,
    /// Topics are missing or have the wrong partitions.
    NotReady,
    /// A change of the group waits for its assignment.
    Assigning,
    /// Members are on their way to the assignment.
    Reconciling,
    Stable,
}

impl StreamsGroupState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            StreamsGroupState::Empty => "Empty",
            StreamsGroupState::NotReady => "NotReady",
            StreamsGroupState::Assigning => "Assigning",
            StreamsGroupState::Reconciling => "Reconciling",
            StreamsGroupState::Stable => "Stable",
        }
    }
}

/// How many members of a process have a task, by process.
type Processes = BTreeMap<Arc<str>, usize>;

/// The processes that have each task of a role.
#[derive(Clone, Debug, Default)]
struct Holders(BTreeMap<Arc<str>, BTreeMap<i32, Processes>>);

impl Holders {
    fn change(
        &mut self,
        (subtopology, partition): (&Arc<str>, i32),
        process: &Arc<str>,
        add: bool,
    ) {
        let partitions = self.0.entry(subtopology.clone()).or_default();
        let processes = partitions.entry(partition).or_default();
        tally(processes, process.clone(), add);
        if processes.is_empty() {
            partitions.remove(&partition);
        }
        if partitions.is_empty() {
            self.0.remove(subtopology);
        }
    }

    fn of(&self, subtopology: &str, partition: i32) -> Option<&Processes> {
        self.0.get(subtopology)?.get(&partition)
    }

    fn has(&self, subtopology: &str, partition: i32, process: &str) -> bool {
        self.of(subtopology, partition)
            .is_some_and(|processes| processes.contains_key(process))
    }
}

/// What members report of their tasks' state. Not in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TaskOffsets {
    /// Where the member's copy is, by subtopology and partition.
    pub(crate) positions: BTreeMap<(Arc<str>, i32), i64>,
    /// Where the changelogs end.
    pub(crate) ends: BTreeMap<(Arc<str>, i32), i64>,
}

/// A streams group.
#[derive(Clone, Debug)]
pub(crate) struct StreamsGroup {
    pub(crate) id: Arc<str>,
    pub(crate) lifecycle: Lifecycle,

    pub(crate) metadata: GroupMetadata,
    pub(crate) topology: Option<Arc<Topology>>,
    /// The epoch of the target assignment; -1 when there is none.
    pub(crate) assignment_epoch: i32,
    /// When the target assignment was made, in wall-clock milliseconds; 0 when that is not known.
    pub(crate) assignment_timestamp_ms: i64,
    pub(crate) members: BTreeMap<Arc<str>, Arc<Member>>,
    pub(crate) target: BTreeMap<Arc<str>, Arc<Tasks>>,

    /// Member id by instance id.
    pub(super) static_members: BTreeMap<Arc<str>, Arc<str>>,
    active: Holders,
    standby: Holders,
    warmup: Holders,

    /// The topology with the topics there were when it was looked at. Not in the log: a loaded group looks.
    pub(super) configured: Option<Arc<ConfiguredTopology>>,
    /// Topics may have changed since the metadata hash was computed. Not in the log, as above.
    pub(crate) refresh_due: bool,
    /// The member that asked for the whole application to be shut down. Not in the log: it is best effort.
    pub(super) shutdown_requested_by: Option<Arc<str>>,
    /// Grows when a member with an endpoint gets other tasks. Not in the log: members compare it for equality.
    pub(super) endpoint_epoch: i32,
    /// What members report, by member.
    pub(super) task_offsets: BTreeMap<Arc<str>, Arc<TaskOffsets>>,
    pub(super) revocations: Revocations,
}

impl StreamsGroup {
    /// A group without members that no record tells of yet.
    pub(crate) fn new(id: Arc<str>, incarnation: u64) -> StreamsGroup {
        StreamsGroup {
            id,
            lifecycle: Lifecycle::new(incarnation),
            metadata: GroupMetadata::default(),
            topology: None,
            assignment_epoch: FIRST_EPOCH,
            assignment_timestamp_ms: 0,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            static_members: BTreeMap::new(),
            active: Holders::default(),
            standby: Holders::default(),
            warmup: Holders::default(),
            configured: None,
            refresh_due: true,
            shutdown_requested_by: None,
            endpoint_epoch: 0,
            task_offsets: BTreeMap::new(),
            revocations: Revocations::default(),
        }
    }

    /// Applies a record, and returns the one that would take it back. The tombstone of the group itself removes the
    /// group from its shard and does not come here.
    pub(crate) fn apply(&mut self, change: StreamsRecord) -> StreamsRecord {
        match change {
            StreamsRecord::Group(value) => {
                let new = value.unwrap_or_default();
                StreamsRecord::Group(Some(std::mem::replace(&mut self.metadata, new)))
            }
            StreamsRecord::Topology(topology) => {
                self.configured = None;
                StreamsRecord::Topology(std::mem::replace(&mut self.topology, topology))
            }
            StreamsRecord::TargetEpoch(value) => {
                let before = (self.assignment_epoch, self.assignment_timestamp_ms);
                (self.assignment_epoch, self.assignment_timestamp_ms) = value.unwrap_or((-1, 0));
                StreamsRecord::TargetEpoch(Some(before))
            }
            StreamsRecord::Target(id, target) => {
                let before = match target {
                    Some(target) => self.target.insert(id.clone(), target),
                    None => self.target.remove(&id),
                };
                StreamsRecord::Target(id, before)
            }
            StreamsRecord::Member(id, metadata) => {
                let old = self.members.get(&id).cloned();
                let before = old.as_ref().map(|member| member.metadata.clone());
                let new = metadata.map(|metadata| Member {
                    metadata,
                    ..Member::known(&id, old.as_deref())
                });
                self.replace_member(old.as_deref(), new);
                StreamsRecord::Member(id, before)
            }
            StreamsRecord::Current(id, current) => self.apply_current(id, current),
        }
    }

    fn apply_current(&mut self, id: Arc<str>, current: Option<CurrentAssignment>) -> StreamsRecord {
        let old = self.members.get(&id).cloned();
        let before = old.as_ref().map(|member| member.current.clone());
        let current = match (current, &old) {
            (Some(current), _) => current,
            // A member that is about to go has nothing.
            (None, Some(_)) => CurrentAssignment {
                epoch: LEAVE_EPOCH,
                previous_epoch: LEAVE_EPOCH,
                ..CurrentAssignment::default()
            },
            (None, None) => return StreamsRecord::Current(id, None),
        };
        let new = Member {
            current,
            ..Member::known(&id, old.as_deref())
        };
        self.replace_member(old.as_deref(), Some(new));
        StreamsRecord::Current(id, before)
    }

    /// Puts `new` in the place of `old`, with all that is kept by member.
    fn replace_member(&mut self, old: Option<&Member>, new: Option<Member>) {
        if let Some(old) = old {
            self.hold(old, false);
            if let Some(instance) = &old.metadata.instance_id
                && self.static_members.get(instance) == Some(&old.id)
            {
                self.static_members.remove(instance);
            }
            if new.is_none() {
                self.members.remove(&old.id);
                self.revocations.forget(&old.id);
                self.task_offsets.remove(&old.id);
            }
        }
        if let Some(new) = new {
            self.hold(&new, true);
            if let Some(instance) = &new.metadata.instance_id {
                self.static_members.insert(instance.clone(), new.id.clone());
            }
            self.members.insert(new.id.clone(), Arc::new(new));
        }
        if self.members.is_empty() {
            self.shutdown_requested_by = None;
        }
    }

    fn hold(&mut self, member: &Member, add: bool) {
        let process = &member.metadata.process_id;
        for tasks in [&member.current.assigned, &member.current.revoking] {
            let OwnedTasks {
                active,
                standby,
                warmup,
            } = tasks;
            each_active(active).for_each(|task| self.active.change(task, process, add));
            each(standby).for_each(|task| self.standby.change(task, process, add));
            each(warmup).for_each(|task| self.warmup.change(task, process, add));
        }
    }

    /// Whether any process has the active task.
    pub(super) fn is_active_anywhere(&self, subtopology: &str, partition: i32) -> bool {
        self.active.of(subtopology, partition).is_some()
    }

    /// Whether the process has the task in the active role.
    pub(super) fn is_active_in(&self, subtopology: &str, partition: i32, process: &str) -> bool {
        self.active.has(subtopology, partition, process)
    }

    /// Whether the process has a copy of the task's state, standby or warmup.
    pub(super) fn is_copied_in(&self, subtopology: &str, partition: i32, process: &str) -> bool {
        self.standby.has(subtopology, partition, process)
            || self.warmup.has(subtopology, partition, process)
    }

    /// Whether the application reads `topic`.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        let topology = self.topology.as_ref();
        !self.members.is_empty() && topology.is_some_and(|topology| topology.reads(topic))
    }

    /// Whether the application needs `topic` to be there.
    pub(crate) fn requires(&self, topic: &str) -> bool {
        let topology = self.topology.as_ref();
        topology.is_some_and(|topology| topology.requires(topic))
    }

    /// The member with this instance id.
    pub(super) fn static_member(&self, instance_id: &str) -> Option<&Arc<Member>> {
        self.members.get(self.static_members.get(instance_id)?)
    }

    /// What the member, or the one whose place it takes, shall have.
    pub(super) fn target_of(&self, member: &str, instance_id: Option<&str>) -> Arc<Tasks> {
        let current = instance_id.and_then(|instance| self.static_members.get(instance));
        let id = current.map_or(member, |id| id);
        self.target.get(id).cloned().unwrap_or_default()
    }

    pub(crate) fn state(&self) -> StreamsGroupState {
        let validated = self
            .topology
            .as_ref()
            .is_some_and(|topology| topology.epoch == self.metadata.validated_topology_epoch);
        if self.members.is_empty() {
            StreamsGroupState::Empty
        } else if !validated {
            StreamsGroupState::NotReady
        } else if self.metadata.epoch > self.assignment_epoch {
            StreamsGroupState::Assigning
        } else if self
            .members
            .values()
            .all(|member| member.is_reconciled_to(self.assignment_epoch))
        {
            StreamsGroupState::Stable
        } else {
            StreamsGroupState::Reconciling
        }
    }

    /// The tombstones that remove the group with all its members.
    pub(crate) fn tombstones(&self) -> Vec<StreamsRecord> {
        let ids = || self.members.keys().cloned();
        let mut records = Vec::with_capacity(self.members.len() * 3 + 3);
        records.extend(ids().map(|id| StreamsRecord::Current(id, None)));
        records.extend(ids().map(|id| StreamsRecord::Target(id, None)));
        records.push(StreamsRecord::TargetEpoch(None));
        records.extend(ids().map(|id| StreamsRecord::Member(id, None)));
        records.push(StreamsRecord::Group(None));
        records.push(StreamsRecord::Topology(None));
        records
    }
}
