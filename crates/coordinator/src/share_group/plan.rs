//! A heartbeat's change of a share group in the making: from a member and what it wants to the records that say so.
//!
//! A plan reads the group and collects records; nothing changes before those are written. Source: Kafka's
//! `GroupMetadataManager.shareGroupHeartbeat` and `ShareGroupAssignmentBuilder`, 4.3.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use base::{Offset, Uuid};

use super::ShareStates;
use super::assignor::{self, MemberSpec};
use super::group::ShareGroup;
use super::member::{CurrentAssignment, Member};
use super::records::ShareRecord;
use super::states::{ByTopic, StatePartitions, TopicStates};
use crate::cluster::{ClusterView, ShareSettings};
use crate::consumer::assignment::Partitions;
use crate::consumer::metadata_hash;

/// The start offset of a state that the first read decides about.
const UNDECIDED: Offset = Offset(-1);

pub(super) struct Plan<'a> {
    pub(super) group: &'a ShareGroup,
    pub(super) cluster: &'a dyn ClusterView,
    pub(super) settings: ShareSettings,
    pub(super) now_ms: i64,
    pub(super) records: Vec<ShareRecord>,
    /// The group's epoch as it will be.
    pub(super) epoch: i32,
    /// The metadata hash was computed anew.
    pub(super) refreshed: bool,
}

impl Plan<'_> {
    /// Writes down what changed about a member, and the group's next epoch if that, or what has become of topics
    /// and their states, asks for another assignment. Whether it does.
    pub(super) fn update(&mut self, old: Option<&Member>, updated: &Member) -> bool {
        let before = old.map(|old| &old.metadata);
        if before != Some(&updated.metadata) {
            self.records.push(ShareRecord::Member(
                updated.id.clone(),
                Some(updated.metadata.clone()),
            ));
        }
        let names_before = before.map(|metadata| &metadata.topic_names);
        let names = &updated.metadata.topic_names;
        let mut bump = match names_before {
            Some(before) => before != names,
            None => !names.is_empty(),
        };
        if self.group.assignment_epoch >= self.epoch {
            bump |= self.has_unassigned();
        }
        if !bump && !self.group.refresh_due {
            return false;
        }
        let topics = self.group.topics_after(old, Some(updated));
        let hash = metadata_hash::of_topics(self.cluster, topics.iter().map(String::as_str));
        bump |= hash != self.group.metadata_hash;
        if bump {
            self.push_epoch(hash);
        }
        self.refreshed = true;
        bump
    }

    /// Whether a topic that members want has assignable partitions which are not those that are assigned.
    fn has_unassigned(&self) -> bool {
        if self.group.members.is_empty() {
            return false;
        }
        let mut assigned = Partitions::new();
        for (topic, partitions) in self.group.target.values().flat_map(|target| target.iter()) {
            assigned.entry(*topic).or_default().extend(partitions);
        }
        let assignable = self.assignable();
        let mut wanted = assignable.iter().filter(|(id, _)| {
            let topic = self.cluster.topic_by_id(**id);
            topic.is_some_and(|topic| self.group.is_subscribed_to(&topic.name))
        });
        wanted.any(|(id, partitions)| assigned.get(id) != Some(partitions))
    }

    /// Writes down the group's next epoch.
    pub(super) fn push_epoch(&mut self, hash: i64) {
        self.epoch = self.epoch.saturating_add(1);
        let epoch = self.epoch;
        tracing::info!(group_id = %self.group.id, epoch, metadata_hash = hash, "share group epoch");
        self.records.push(ShareRecord::Group(Some((epoch, hash))));
    }

    /// The target assignment that `updated` is taken to, with its epoch: a new one when the group is at a later
    /// epoch than the last, unless that is younger than the assignment interval.
    pub(super) fn target(&mut self, updated: &Member) -> (i32, Arc<Partitions>) {
        let group = self.group;
        if self.epoch <= group.assignment_epoch || self.is_assignment_delayed() {
            let target = group.target.get(&updated.id).cloned();
            return (group.assignment_epoch, target.unwrap_or_default());
        }
        let members = self.members(updated);
        let mut assignment = assignor::assign(&members, &self.assignable());
        let mut own = Arc::default();
        let before = self.records.len();
        for id in members.keys() {
            let new = Arc::new(assignment.remove(id).unwrap_or_default());
            if *id == updated.id {
                own = Arc::clone(&new);
            }
            if group.target.get(id) != Some(&new) {
                self.records
                    .push(ShareRecord::Target(id.clone(), Some(new)));
            }
        }
        let changed = self.records.len() - before;
        let made = (self.epoch, self.now_ms);
        self.records.push(ShareRecord::TargetEpoch(Some(made)));
        tracing::info!(
            group_id = %group.id, epoch = self.epoch, assignor = assignor::SIMPLE,
            members = members.len(), changed, "computed a target assignment"
        );
        (self.epoch, own)
    }

    fn is_assignment_delayed(&self) -> bool {
        let age_ms = self
            .now_ms
            .saturating_sub(self.group.assignment_timestamp_ms);
        (0..milliseconds(self.settings.assignment_interval)).contains(&age_ms)
    }

    fn members(&self, updated: &Member) -> BTreeMap<Arc<str>, MemberSpec> {
        let mut by_subscription: BTreeMap<&BTreeSet<String>, BTreeSet<Uuid>> = BTreeMap::new();
        let others = self.group.members.values().map(|member| &**member);
        let others = others.filter(|member| member.id != updated.id);
        let mut members = BTreeMap::new();
        for member in others.chain([updated]) {
            let names = &member.metadata.topic_names;
            let topics = by_subscription
                .entry(names)
                .or_insert_with(|| topic_ids(self.cluster, names));
            let spec = MemberSpec {
                topics: topics.clone(),
                assigned: self
                    .group
                    .target
                    .get(&member.id)
                    .cloned()
                    .unwrap_or_default(),
            };
            members.insert(member.id.clone(), spec);
        }
        members
    }

    /// Initialized share partitions of topics that exist.
    fn assignable(&self) -> Partitions {
        let states = self.group.states.as_deref();
        let initialized = states.into_iter().flat_map(|states| &states.initialized);
        initialized
            .filter_map(|(id, states)| {
                let topic = self.cluster.topic_by_id(*id)?;
                let mut partitions = states.partitions.clone();
                partitions.retain(|index| *index < topic.partitions);
                (!partitions.is_empty()).then_some((*id, partitions))
            })
            .collect()
    }

    /// Takes `member` to the target. `changed` says that the group's epoch was raised by this heartbeat.
    pub(super) fn reconcile(
        &mut self,
        member: &mut Member,
        (target_epoch, target): (i32, &Partitions),
        changed: bool,
    ) {
        let current = &member.current;
        if !changed && current.epoch == target_epoch {
            return;
        }
        // What the member has stopped wanting is not given to it by an assignment from before.
        let wanted = topic_ids(self.cluster, &member.metadata.topic_names);
        let mut assigned = target.clone();
        assigned.retain(|id, _| wanted.contains(id));
        let next = if current.epoch == target_epoch {
            CurrentAssignment {
                assigned,
                ..current.clone()
            }
        } else {
            CurrentAssignment {
                epoch: target_epoch,
                previous_epoch: current.epoch,
                assigned,
            }
        };
        if next != *current {
            self.records
                .push(ShareRecord::Current(member.id.clone(), Some(next.clone())));
            member.current = next;
        }
    }

    /// Has the share partitions initialized that are wanted and have no state, if there are any. Those that are
    /// being initialized are asked for again after `retry_interval`.
    pub(super) fn initialize(
        &mut self,
        old: Option<&Member>,
        updated: &Member,
        retry_interval: Duration,
    ) -> Option<ShareStates> {
        let states = self.group.states.as_deref();
        let age_ms = self.now_ms.saturating_sub(self.group.initializing_since_ms);
        let is_waited_for = age_ms < milliseconds(retry_interval);
        let mut missing = ByTopic::new();
        for name in self.group.topics_after(old, Some(updated)) {
            let Some(topic) = self.cluster.topic(&name) else {
                continue;
            };
            let known = |topics: &ByTopic, index: &i32| {
                let states = topics.get(&topic.id);
                states.is_some_and(|states| states.partitions.contains(index))
            };
            let is_known = |index: &i32| {
                states.is_some_and(|states| {
                    known(&states.initialized, index)
                        || (is_waited_for && known(&states.initializing, index))
                })
            };
            let partitions: BTreeSet<i32> = (0..topic.partitions)
                .filter(|index| !is_known(index))
                .collect();
            if !partitions.is_empty() {
                missing.insert(topic.id, TopicStates { name, partitions });
            }
        }
        if missing.is_empty() {
            return None;
        }
        let mut states: StatePartitions = states.cloned().unwrap_or_default();
        states.begin(&missing);
        self.records
            .push(ShareRecord::States(Some(Arc::new(states))));
        let start_offsets = missing.into_iter().map(|(id, states)| {
            let partitions = states.partitions.into_iter();
            (id, partitions.map(|index| (index, UNDECIDED)).collect())
        });
        Some(ShareStates {
            state_epoch: self.epoch,
            start_offsets: start_offsets.collect(),
        })
    }
}

/// The ids of the topics that exist.
fn topic_ids(cluster: &dyn ClusterView, names: &BTreeSet<String>) -> BTreeSet<Uuid> {
    let topics = names.iter().filter_map(|name| cluster.topic(name));
    topics.map(|topic| topic.id).collect()
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
