//! How a member gets from what it has to what it shall have, one heartbeat at a time.
//!
//! A partition is given to its next owner only after its last one said that it has let go. So a member first
//! gives up what is not in its target (state UnrevokedPartitions, at its old epoch); then it moves to the
//! target's epoch and gets what is free; what others still hold comes as they let go (UnreleasedPartitions).
//! Source: Kafka's `CurrentAssignmentBuilder`.

use std::collections::{BTreeMap, BTreeSet};

use base::Uuid;
use wire::ErrorCode;

use super::Failure;
use super::assignment::{Owned, Partitions, Reported, may_hold, owns};
use super::group::ConsumerGroup;
use super::member::{CurrentAssignment, Member, MemberState};
use crate::cluster::ClusterView;

/// What a member is reconciled with.
pub(super) struct Reconciliation<'a> {
    pub(super) group: &'a ConsumerGroup,
    pub(super) cluster: &'a dyn ClusterView,
    pub(super) member: &'a Member,
    pub(super) target_epoch: i32,
    pub(super) target: &'a Partitions,
    /// The member wants other topics than before: what it does not want any more is taken at once.
    pub(super) subscription_changed: bool,
    /// What the member says it owns.
    pub(super) reported: Reported<'a>,
}

impl Reconciliation<'_> {
    /// The member's next assignment; none when it stays as it is.
    ///
    /// # Errors
    /// FENCED_MEMBER_EPOCH for a member in a state that only a later version knows.
    pub(super) fn run(&self) -> Result<Option<CurrentAssignment>, Failure> {
        let current = &self.member.current;
        if !self.subscription_changed && self.member.is_reconciled_to(self.target_epoch) {
            return Ok(None);
        }
        let next = match current.state {
            MemberState::Stable if current.epoch != self.target_epoch => self.next(current.epoch),
            MemberState::Stable if self.subscription_changed => return Ok(self.without_unwanted()),
            MemberState::Stable => return Ok(None),
            MemberState::UnrevokedPartitions if may_hold(self.reported, &current.revoking) => {
                return Ok(self
                    .subscription_changed
                    .then(|| self.without_unwanted())
                    .flatten());
            }
            MemberState::UnrevokedPartitions | MemberState::UnreleasedPartitions => {
                self.next(current.epoch)
            }
            MemberState::Unknown if self.reported.is_some_and(<[_]>::is_empty) => {
                self.next(self.target_epoch)
            }
            MemberState::Unknown => {
                return Err(Failure::new(
                    ErrorCode::FencedMemberEpoch,
                    "The consumer group member is in a unknown state. The member must abandon all its \
                     partitions and rejoin.",
                ));
            }
        };
        Ok((next != *current).then_some(next))
    }

    fn next(&self, epoch: i32) -> CurrentAssignment {
        let current = &self.member.current;
        let step = self.compare();
        if !step.revoking.is_empty() && may_hold(self.reported, &step.revoking) {
            return CurrentAssignment {
                assigned: step.kept,
                revoking: step.revoking,
                ..current.advanced(MemberState::UnrevokedPartitions, epoch)
            };
        }
        let state = if step.unreleased {
            MemberState::UnreleasedPartitions
        } else {
            MemberState::Stable
        };
        let mut assigned = step.kept;
        for (topic, partitions) in step.free {
            let partitions = partitions
                .into_iter()
                .map(|partition| (partition, self.target_epoch));
            assigned.entry(topic).or_default().extend(partitions);
        }
        CurrentAssignment {
            assigned,
            ..current.advanced(state, self.target_epoch)
        }
    }

    /// Sorts the partitions the member has and shall have.
    fn compare(&self) -> Step {
        let wanted = self.wanted_topics();
        let current = &self.member.current;
        let topics: BTreeSet<Uuid> = self
            .target
            .keys()
            .chain(current.assigned.keys())
            .copied()
            .collect();
        let (nothing, no_target) = (BTreeMap::new(), BTreeSet::new());
        let mut step = Step::default();
        for topic in topics {
            let has = current.assigned.get(&topic).unwrap_or(&nothing);
            let shall = match self.target.get(&topic) {
                Some(partitions) if wanted.contains(&topic) => partitions,
                _ => &no_target,
            };
            let (kept, revoking): (BTreeMap<i32, i32>, BTreeMap<i32, i32>) = has
                .iter()
                .partition(|(partition, _)| shall.contains(partition));
            let mut free = BTreeSet::new();
            for partition in shall
                .iter()
                .filter(|partition| !has.contains_key(partition))
            {
                // What the member itself is giving up is no one else's.
                let released = self.group.owner_epoch(topic, *partition).is_none()
                    || owns(&current.revoking, topic, *partition);
                if released {
                    free.insert(*partition);
                } else {
                    step.unreleased = true;
                }
            }
            put(&mut step.kept, topic, kept);
            put(&mut step.revoking, topic, revoking);
            if !free.is_empty() {
                step.free.insert(topic, free);
            }
        }
        step
    }

    /// Takes topics the member does not want any more, whatever its target says; none when there are none.
    fn without_unwanted(&self) -> Option<CurrentAssignment> {
        let wanted = self.wanted_topics();
        let current = &self.member.current;
        let mut next = current.clone();
        let mut revoking = current.revoking.clone();
        for (topic, partitions) in &current.assigned {
            if !wanted.contains(topic) {
                next.assigned.remove(topic);
                revoking.entry(*topic).or_default().extend(partitions);
            }
        }
        if next.assigned == current.assigned {
            return None;
        }
        next.previous_epoch = current.epoch;
        // What the member has let go already is not asked of it again.
        if may_hold(self.reported, &revoking) {
            next.state = MemberState::UnrevokedPartitions;
            next.revoking = revoking;
        }
        Some(next)
    }

    /// The ids of the topics the member is subscribed to. A regular expression that is not resolved matches
    /// none.
    fn wanted_topics(&self) -> BTreeSet<Uuid> {
        subscribed_ids(self.group, self.cluster, self.member)
    }
}

/// The ids of the topics a member is subscribed to, by name or by a resolved regular expression.
pub(super) fn subscribed_ids(
    group: &ConsumerGroup,
    cluster: &dyn ClusterView,
    member: &Member,
) -> BTreeSet<Uuid> {
    let metadata = &member.metadata;
    let resolved = group.regexes.get(&metadata.topic_regex);
    let by_regex = resolved.iter().flat_map(|resolved| &resolved.topics);
    metadata
        .topic_names
        .iter()
        .chain(by_regex)
        .filter_map(|name| cluster.topic(name))
        .map(|topic| topic.id)
        .collect()
}

#[derive(Default)]
struct Step {
    /// What the member has and keeps.
    kept: Owned,
    /// What it has to give up.
    revoking: Owned,
    /// What it can have now.
    free: Partitions,
    /// Whether others still hold some of its target.
    unreleased: bool,
}

fn put(owned: &mut Owned, topic: Uuid, partitions: BTreeMap<i32, i32>) {
    if !partitions.is_empty() {
        owned.insert(topic, partitions);
    }
}
