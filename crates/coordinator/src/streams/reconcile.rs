//! How a member gets from the tasks it has to those it shall have, one heartbeat at a time.
//!
//! A process must not have a task twice, since the copies would fight for one state directory, and nobody processes a
//! task that someone else does. So a member first gives up what is not in its target (at its old epoch), then it moves
//! to the target's epoch and gets what is free; what others still hold comes as they let go. Source: Kafka's
//! `CurrentAssignmentBuilder`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wire::ErrorCode;

use super::group::StreamsGroup;
use super::member::{CurrentAssignment, Member};
use super::tasks::{OwnedTasks, TaskSet, Tasks};
use crate::consumer::Failure;
use crate::consumer::member::MemberState;

/// What a member is reconciled with.
pub(super) struct Reconciliation<'a> {
    pub(super) group: &'a StreamsGroup,
    pub(super) member: &'a Member,
    pub(super) target_epoch: i32,
    pub(super) target: &'a Tasks,
    /// What the member says it has.
    pub(super) reported: Option<&'a Tasks>,
}

impl Reconciliation<'_> {
    /// The member's next assignment; none when it stays as it is.
    ///
    /// # Errors
    /// FENCED_MEMBER_EPOCH for a member in a state that only a later version knows.
    pub(super) fn run(&self) -> Result<Option<CurrentAssignment>, Failure> {
        let current = &self.member.current;
        let next = match current.state {
            MemberState::Stable if current.epoch != self.target_epoch => self.next(current.epoch),
            MemberState::Stable => return Ok(None),
            MemberState::UnrevokedPartitions if self.may_hold(&current.revoking) => {
                return Ok(None);
            }
            MemberState::UnrevokedPartitions => self.next(current.epoch.saturating_add(1)),
            MemberState::UnreleasedPartitions => self.next(current.epoch),
            MemberState::Unknown if self.reported.is_some_and(Tasks::is_empty) => {
                self.next(self.target_epoch)
            }
            MemberState::Unknown => {
                return Err(Failure::new(
                    ErrorCode::FencedMemberEpoch,
                    "The streams group member is in a unknown state. The member must abandon all its tasks and \
                     rejoin.",
                ));
            }
        };
        Ok((next != *current).then_some(next))
    }

    /// Whether the member may still have one of these: it reports one, or does not report.
    fn may_hold(&self, tasks: &OwnedTasks) -> bool {
        self.reported
            .is_none_or(|reported| reported.overlaps(tasks))
    }

    fn next(&self, epoch: i32) -> CurrentAssignment {
        let mut step = self.compare();
        if !step.revoking.is_empty() && self.may_hold(&step.revoking) {
            return CurrentAssignment {
                state: MemberState::UnrevokedPartitions,
                epoch,
                previous_epoch: self.member.current.epoch,
                assigned: step.kept,
                revoking: step.revoking,
            };
        }
        step.kept.merge(step.free);
        CurrentAssignment {
            state: if step.unreleased {
                MemberState::UnreleasedPartitions
            } else {
                MemberState::Stable
            },
            epoch: self.target_epoch,
            previous_epoch: self.member.current.epoch,
            assigned: step.kept,
            revoking: OwnedTasks::default(),
        }
    }

    /// Sorts the tasks the member has and shall have.
    fn compare(&self) -> Step {
        let assigned = &self.member.current.assigned;
        let process = &*self.member.metadata.process_id;
        let mut step = Step::default();
        self.compare_active(&mut step, process);
        // A copy of the state may be in other processes at the same time, but in this one only once.
        let taken = |subtopology: &str, partition: i32| {
            self.group.is_active_in(subtopology, partition, process)
                || self.group.is_copied_in(subtopology, partition, process)
        };
        let standby = Copies::compare(&assigned.standby, &self.target.standby, taken);
        let warmup = Copies::compare(&assigned.warmup, &self.target.warmup, taken);
        step.unreleased |= standby.unreleased || warmup.unreleased;
        (step.kept.standby, step.kept.warmup) = (standby.kept, warmup.kept);
        (step.revoking.standby, step.revoking.warmup) = (standby.revoking, warmup.revoking);
        (step.free.standby, step.free.warmup) = (standby.free, warmup.free);
        step
    }

    fn compare_active(&self, step: &mut Step, process: &str) {
        let has = &self.member.current.assigned.active;
        let shall = &self.target.active;
        let nothing = BTreeSet::new();
        for (subtopology, partitions) in has {
            let wanted = shall.get(subtopology).unwrap_or(&nothing);
            let (kept, revoking): (BTreeMap<i32, i32>, BTreeMap<i32, i32>) = partitions
                .iter()
                .partition(|(partition, _)| wanted.contains(partition));
            if !kept.is_empty() {
                step.kept.active.insert(subtopology.clone(), kept);
            }
            if !revoking.is_empty() {
                step.revoking.active.insert(subtopology.clone(), revoking);
            }
        }
        for (subtopology, partitions) in shall {
            let known = has.get(subtopology);
            let mut free = BTreeMap::new();
            for partition in partitions {
                if known.is_some_and(|known| known.contains_key(partition)) {
                    continue;
                }
                let taken = self.group.is_active_anywhere(subtopology, *partition)
                    || self.group.is_copied_in(subtopology, *partition, process);
                if taken {
                    step.unreleased = true;
                } else {
                    free.insert(*partition, self.target_epoch);
                }
            }
            if !free.is_empty() {
                step.free.active.insert(subtopology.clone(), free);
            }
        }
    }
}

#[derive(Default)]
struct Step {
    /// What the member has and keeps.
    kept: OwnedTasks,
    /// What it has to give up.
    revoking: OwnedTasks,
    /// What it can have now.
    free: OwnedTasks,
    /// Whether some of its target is still held elsewhere.
    unreleased: bool,
}

/// The same of one role that only keeps state.
#[derive(Default)]
struct Copies {
    kept: TaskSet,
    revoking: TaskSet,
    free: TaskSet,
    unreleased: bool,
}

impl Copies {
    fn compare(has: &TaskSet, shall: &TaskSet, taken: impl Fn(&str, i32) -> bool) -> Copies {
        let mut copies = Copies::default();
        let nothing = BTreeSet::new();
        for (subtopology, partitions) in has {
            let wanted = shall.get(subtopology).unwrap_or(&nothing);
            put(&mut copies.kept, subtopology, partitions & wanted);
            put(&mut copies.revoking, subtopology, partitions - wanted);
        }
        for (subtopology, partitions) in shall {
            let new = partitions - has.get(subtopology).unwrap_or(&nothing);
            let (unreleased, free): (BTreeSet<i32>, BTreeSet<i32>) = new
                .into_iter()
                .partition(|partition| taken(subtopology, *partition));
            copies.unreleased |= !unreleased.is_empty();
            put(&mut copies.free, subtopology, free);
        }
        copies
    }
}

fn put(tasks: &mut TaskSet, subtopology: &Arc<str>, partitions: BTreeSet<i32>) {
    if !partitions.is_empty() {
        tasks.insert(subtopology.clone(), partitions);
    }
}
