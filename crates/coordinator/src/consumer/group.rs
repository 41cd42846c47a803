//! The state of a consumer group: a function of its records. Source: Kafka's `ConsumerGroup`.
//!
//! [`ConsumerGroup::apply`] is the one way the state changes, when a record is written and when it is read, and
//! gives back the record that takes the change back. What follows from the records (who owns which partition,
//! how many members want a topic) is kept beside them, so that a heartbeat does not walk over all members.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Uuid;

use super::assignment::{Partitions, each};
use super::member::{CurrentAssignment, LEAVE_EPOCH, Member, MemberState};
use super::records::{ConsumerRecord, ResolvedRegex};
use crate::revocation::Revocations;
use crate::shard::groups::Lifecycle;

/// The epoch of a group that nothing has changed yet, and of its target assignment, which is empty.
const FIRST_EPOCH: i32 = 1;

/// How many members want a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SubscriptionCount {
    /// By its name.
    pub(crate) by_name: usize,
    /// Regular expressions, not members, that match it.
    pub(crate) by_regex: usize,
}

impl SubscriptionCount {
    fn is_zero(self) -> bool {
        self == SubscriptionCount::default()
    }
}

/// The state as DescribeGroups names it (`ConsumerGroupState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConsumerGroupState {
    Empty,
    /// A change of the group waits for its assignment.
    Assigning,
    /// Members are on their way to the assignment.
    Reconciling,
    Stable,
}

impl ConsumerGroupState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            ConsumerGroupState::Empty => "Empty",
            ConsumerGroupState::Assigning => "Assigning",
            ConsumerGroupState::Reconciling => "Reconciling",
            ConsumerGroupState::Stable => "Stable",
        }
    }
}

/// A consumer group.
#[derive(Clone, Debug)]
pub(crate) struct ConsumerGroup {
    pub(crate) id: Arc<str>,
    pub(crate) lifecycle: Lifecycle,

    /// Grows with each change that asks for a new assignment, from [`FIRST_EPOCH`], of which no record tells.
    pub(crate) epoch: i32,
    pub(crate) metadata_hash: i64,
    /// The epoch of the target assignment; -1 when there is none.
    pub(crate) assignment_epoch: i32,
    /// When the target assignment was made, in wall-clock milliseconds; 0 when that is not known.
    pub(crate) assignment_timestamp_ms: i64,
    pub(crate) members: BTreeMap<Arc<str>, Arc<Member>>,
    pub(crate) target: BTreeMap<Arc<str>, Arc<Partitions>>,
    pub(crate) regexes: BTreeMap<Arc<str>, Arc<ResolvedRegex>>,
    /// The log holds the topic metadata that Kafka before 4.1 wrote; it gets a tombstone at the next chance.
    pub(crate) has_partition_metadata: bool,

    /// Member id by instance id.
    pub(crate) static_members: BTreeMap<Arc<str>, Arc<str>>,
    /// The epoch of each owned partition's owner.
    owners: BTreeMap<Uuid, BTreeMap<i32, i32>>,
    topics: BTreeMap<String, SubscriptionCount>,
    /// Members by regular expression.
    regex_members: BTreeMap<Arc<str>, usize>,
    assignors: BTreeMap<String, usize>,
    /// Members that use the classic protocol, and how many of them support each of its assignors.
    pub(crate) classic_members: usize,
    classic_protocols: BTreeMap<String, usize>,

    /// Topics may have changed since the metadata hash was computed. Not in the log: a loaded group looks.
    pub(crate) refresh_due: bool,
    /// Topics may have come since the regular expressions were resolved. Not in the log, as above.
    pub(crate) regex_refresh_due: bool,
    pub(crate) revocations: Revocations,
}

impl ConsumerGroup {
    /// A group without members that no record tells of yet.
    pub(crate) fn new(id: Arc<str>, incarnation: u64) -> ConsumerGroup {
        ConsumerGroup {
            id,
            lifecycle: Lifecycle::new(incarnation),
            epoch: FIRST_EPOCH,
            metadata_hash: 0,
            assignment_epoch: FIRST_EPOCH,
            assignment_timestamp_ms: 0,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            regexes: BTreeMap::new(),
            has_partition_metadata: false,
            static_members: BTreeMap::new(),
            owners: BTreeMap::new(),
            topics: BTreeMap::new(),
            regex_members: BTreeMap::new(),
            assignors: BTreeMap::new(),
            classic_members: 0,
            classic_protocols: BTreeMap::new(),
            refresh_due: true,
            regex_refresh_due: true,
            revocations: Revocations::default(),
        }
    }

    /// Applies a record, and returns the one that would take it back. The tombstone of the group itself
    /// removes the group from its shard and does not come here.
    pub(crate) fn apply(&mut self, change: ConsumerRecord) -> ConsumerRecord {
        match change {
            ConsumerRecord::Group(value) => {
                let before = (self.epoch, self.metadata_hash);
                (self.epoch, self.metadata_hash) = value.unwrap_or((FIRST_EPOCH, 0));
                ConsumerRecord::Group(Some(before))
            }
            ConsumerRecord::PartitionMetadata(present) => ConsumerRecord::PartitionMetadata(
                std::mem::replace(&mut self.has_partition_metadata, present),
            ),
            ConsumerRecord::TargetEpoch(value) => {
                let before = (self.assignment_epoch, self.assignment_timestamp_ms);
                (self.assignment_epoch, self.assignment_timestamp_ms) = value.unwrap_or((-1, 0));
                ConsumerRecord::TargetEpoch(Some(before))
            }
            ConsumerRecord::Target(id, target) => {
                let before = match target {
                    Some(target) => self.target.insert(id.clone(), target),
                    None => self.target.remove(&id),
                };
                ConsumerRecord::Target(id, before)
            }
            ConsumerRecord::Regex(regex, resolved) => self.apply_regex(regex, resolved),
            ConsumerRecord::Member(id, metadata) => {
                let old = self.members.get(&id).cloned();
                let before = old.as_ref().map(|member| member.metadata.clone());
                let new = metadata.map(|metadata| Member {
                    metadata,
                    ..Member::known(&id, old.as_deref())
                });
                self.replace_member(old.as_deref(), new);
                ConsumerRecord::Member(id, before)
            }
            ConsumerRecord::Current(id, current) => self.apply_current(id, current),
        }
    }

    fn apply_current(
        &mut self,
        id: Arc<str>,
        current: Option<CurrentAssignment>,
    ) -> ConsumerRecord {
        let old = self.members.get(&id).cloned();
        let before = old.as_ref().map(|member| member.current.clone());
        let current = match (current, &old) {
            (Some(current), _) => current,
            // A member that is about to go has nothing.
            (None, Some(_)) => CurrentAssignment {
                epoch: LEAVE_EPOCH,
                ..CurrentAssignment::default()
            },
            (None, None) => return ConsumerRecord::Current(id, None),
        };
        let new = Member {
            current,
            ..Member::known(&id, old.as_deref())
        };
        self.replace_member(old.as_deref(), Some(new));
        ConsumerRecord::Current(id, before)
    }

    fn apply_regex(
        &mut self,
        regex: Arc<str>,
        resolved: Option<Arc<ResolvedRegex>>,
    ) -> ConsumerRecord {
        let before = match resolved {
            Some(resolved) => {
                for topic in &resolved.topics {
                    count(&mut self.topics, topic, |count| count.by_regex += 1);
                }
                self.regexes.insert(regex.clone(), resolved)
            }
            None => self.regexes.remove(&regex),
        };
        for topic in before.iter().flat_map(|before| &before.topics) {
            count(&mut self.topics, topic, |count| {
                count.by_regex = count.by_regex.saturating_sub(1);
            });
        }
        ConsumerRecord::Regex(regex, before)
    }

    /// Puts `new` in the place of `old`, with all that is counted by member.
    fn replace_member(&mut self, old: Option<&Member>, new: Option<Member>) {
        if let Some(old) = old {
            self.count_member(old, false);
            self.disown(&old.current);
            if let Some(instance) = &old.metadata.instance_id
                && self.static_members.get(instance) == Some(&old.id)
            {
                self.static_members.remove(instance);
            }
            if new.is_none() {
                self.members.remove(&old.id);
                self.revocations.forget(&old.id);
            }
        }
        if let Some(new) = new {
            self.count_member(&new, true);
            for (topic, partition) in each(&new.current.assigned).chain(each(&new.current.revoking))
            {
                let partitions = self.owners.entry(topic).or_default();
                partitions.insert(partition, new.current.epoch);
            }
            if let Some(instance) = &new.metadata.instance_id {
                self.static_members.insert(instance.clone(), new.id.clone());
            }
            self.members.insert(new.id.clone(), Arc::new(new));
        }
    }

    /// Kafka stops the coordinator when a partition turns out to have another owner at another epoch; here the
    /// newer owner keeps it.
    fn disown(&mut self, current: &CurrentAssignment) {
        for (topic, partition) in each(&current.assigned).chain(each(&current.revoking)) {
            let Some(partitions) = self.owners.get_mut(&topic) else {
                continue;
            };
            if partitions.get(&partition) == Some(&current.epoch) {
                partitions.remove(&partition);
            }
            if partitions.is_empty() {
                self.owners.remove(&topic);
            }
        }
    }

    fn count_member(&mut self, member: &Member, add: bool) {
        let metadata = &member.metadata;
        for topic in &metadata.topic_names {
            count(&mut self.topics, topic, |count| {
                step(&mut count.by_name, add)
            });
        }
        if !metadata.topic_regex.is_empty() {
            tally(&mut self.regex_members, metadata.topic_regex.clone(), add);
        }
        if let Some(assignor) = &metadata.assignor {
            tally(&mut self.assignors, assignor.clone(), add);
        }
        if let Some(classic) = &metadata.classic {
            step(&mut self.classic_members, add);
            for (name, _) in &classic.protocols {
                tally(&mut self.classic_protocols, name.clone(), add);
            }
        }
    }

    /// The epoch of the partition's owner, if it has one.
    pub(crate) fn owner_epoch(&self, topic: Uuid, partition: i32) -> Option<i32> {
        self.owners.get(&topic)?.get(&partition).copied()
    }

    /// The topics the group is subscribed to, by name or by a resolved regular expression.
    pub(crate) fn topics(&self) -> &BTreeMap<String, SubscriptionCount> {
        &self.topics
    }

    /// Members by regular expression.
    pub(crate) fn regex_members(&self) -> &BTreeMap<Arc<str>, usize> {
        &self.regex_members
    }

    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// How many members subscribe by `regex`.
    pub(crate) fn regex_subscribers(&self, regex: &str) -> usize {
        self.regex_members.get(regex).copied().unwrap_or(0)
    }

    /// The member with this instance id.
    pub(crate) fn static_member(&self, instance_id: &str) -> Option<&Arc<Member>> {
        self.members.get(self.static_members.get(instance_id)?)
    }

    /// What the member, or the one whose place it takes, shall have.
    pub(crate) fn target_of(&self, member: &str, instance_id: Option<&str>) -> Arc<Partitions> {
        let current = instance_id.and_then(|instance| self.static_members.get(instance));
        let id = current.map_or(member, |id| id);
        self.target.get(id).cloned().unwrap_or_default()
    }

    /// The assignor most members ask for once `updated` is in the place of `old`; a tie goes to the first by
    /// name (Kafka: to any).
    pub(crate) fn preferred_assignor(&self, old: &Member, updated: &Member) -> Option<String> {
        let mut votes = self.assignors.clone();
        if let Some(assignor) = &old.metadata.assignor {
            tally(&mut votes, assignor.clone(), false);
        }
        if let Some(assignor) = &updated.metadata.assignor {
            tally(&mut votes, assignor.clone(), true);
        }
        most_wanted(&votes)
    }

    /// The assignor most members ask for.
    pub(crate) fn assignor(&self) -> Option<String> {
        most_wanted(&self.assignors)
    }

    pub(crate) fn state(&self) -> ConsumerGroupState {
        if self.members.is_empty() {
            ConsumerGroupState::Empty
        } else if self.epoch > self.assignment_epoch {
            ConsumerGroupState::Assigning
        } else if self
            .members
            .values()
            .all(|member| member.is_reconciled_to(self.assignment_epoch))
        {
            ConsumerGroupState::Stable
        } else {
            ConsumerGroupState::Reconciling
        }
    }

    /// Whether a classic member with these protocols fits in: all classic members support one of them.
    pub(crate) fn supports_classic(
        &self,
        protocol_type: &str,
        mut names: impl Iterator<Item = String>,
    ) -> bool {
        if protocol_type != crate::group::CONSUMER_PROTOCOL_TYPE {
            return false;
        }
        if self.members.is_empty() {
            return names.next().is_some();
        }
        names.any(|name| {
            self.classic_protocols.get(&name).copied().unwrap_or(0) == self.classic_members
        })
    }

    /// Whether the member waits for partitions that others still have.
    pub(crate) fn waits_for_release(&self, member: &Member) -> bool {
        member.current.state == MemberState::UnreleasedPartitions
            && self.target.get(&member.id).is_some_and(|target| {
                target.iter().any(|(topic, partitions)| {
                    partitions.iter().any(|partition| {
                        !super::assignment::owns(&member.current.assigned, *topic, *partition)
                            && self.owner_epoch(*topic, *partition).is_some()
                    })
                })
            })
    }

    /// The tombstones that remove the group with all its members. `renamed` gives a member another id: that
    /// of the static member which takes its place in the same batch.
    pub(crate) fn tombstones(&self, renamed: Option<(&str, &Arc<str>)>) -> Vec<ConsumerRecord> {
        let ids: Vec<Arc<str>> = self
            .members
            .keys()
            .map(|id| match renamed {
                Some((old, new)) if **id == *old => new.clone(),
                _ => id.clone(),
            })
            .collect();
        let mut records = Vec::with_capacity(ids.len() * 3 + 4);
        records.extend(
            ids.iter()
                .map(|id| ConsumerRecord::Current(id.clone(), None)),
        );
        records.extend(
            ids.iter()
                .map(|id| ConsumerRecord::Target(id.clone(), None)),
        );
        records.push(ConsumerRecord::TargetEpoch(None));
        records.extend(
            ids.iter()
                .map(|id| ConsumerRecord::Member(id.clone(), None)),
        );
        let regexes = self.regexes.keys();
        records.extend(regexes.map(|regex| ConsumerRecord::Regex(regex.clone(), None)));
        records.push(ConsumerRecord::PartitionMetadata(false));
        records.push(ConsumerRecord::Group(None));
        records
    }

    /// The records that make the group, which was put together without any.
    pub(crate) fn creation(&self) -> Vec<ConsumerRecord> {
        let members = || self.members.values();
        let mut records = Vec::with_capacity(self.members.len() * 3 + 2);
        records.extend(members().map(|member| {
            ConsumerRecord::Member(member.id.clone(), Some(member.metadata.clone()))
        }));
        records.push(ConsumerRecord::Group(Some((
            self.epoch,
            self.metadata_hash,
        ))));
        records.extend(members().map(|member| {
            let target = self.target.get(&member.id).cloned().unwrap_or_default();
            ConsumerRecord::Target(member.id.clone(), Some(target))
        }));
        records.push(ConsumerRecord::TargetEpoch(Some((
            self.assignment_epoch,
            self.assignment_timestamp_ms,
        ))));
        records.extend(members().map(|member| {
            ConsumerRecord::Current(member.id.clone(), Some(member.current.clone()))
        }));
        records
    }
}

fn most_wanted(votes: &BTreeMap<String, usize>) -> Option<String> {
    let most = votes.values().max()?;
    let first = votes.iter().find(|(_, count)| *count == most);
    first.map(|(name, _)| name.clone())
}

fn step(count: &mut usize, add: bool) {
    *count = if add {
        *count + 1
    } else {
        count.saturating_sub(1)
    };
}

/// Counts one more or one less of `key`; what is counted down to zero goes.
pub(crate) fn tally<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K, add: bool) {
    if add {
        *counts.entry(key).or_default() += 1;
    } else if let Some(count) = counts.get_mut(&key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

/// Changes the count of a topic; one that is zero goes.
pub(super) fn count(
    topics: &mut BTreeMap<String, SubscriptionCount>,
    topic: &str,
    change: impl FnOnce(&mut SubscriptionCount),
) {
    let mut counted = topics.get(topic).copied().unwrap_or_default();
    change(&mut counted);
    if counted.is_zero() {
        topics.remove(topic);
    } else {
        topics.insert(topic.to_owned(), counted);
    }
}
