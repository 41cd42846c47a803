//! A process while its tasks are being assigned. Source: Kafka's `ProcessState`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::TaskId;
use crate::streams::tasks::Tasks;

/// Tasks for each member: compared as fractions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    tasks: u64,
    members: u64,
}

impl PartialEq for Load {
    fn eq(&self, other: &Load) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Load {}

impl Ord for Load {
    fn cmp(&self, other: &Load) -> Ordering {
        let left = self.tasks.saturating_mul(other.members);
        left.cmp(&other.tasks.saturating_mul(self.members))
    }
}

impl PartialOrd for Load {
    fn partial_cmp(&self, other: &Load) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The role in which a task is assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Of a task with state.
    Active,
    /// Of a task without.
    StatelessActive,
    Standby,
}

/// A process and its members.
#[derive(Debug, Default)]
pub(super) struct Process {
    counts: BTreeMap<Arc<str>, usize>,
    assigned: BTreeMap<Arc<str>, Tasks>,
    /// In any role: a process has a task once.
    tasks: BTreeSet<TaskId>,
    total: u64,
    /// Active tasks without state.
    stateless: u64,
}

impl Process {
    pub(super) fn add_member(&mut self, member: &Arc<str>) {
        self.counts.insert(member.clone(), 0);
    }

    pub(super) fn load(&self) -> Load {
        Load {
            tasks: self.total,
            members: self.counts.len() as u64,
        }
    }

    /// The load of active tasks without state alone.
    pub(super) fn stateless_load(&self) -> Load {
        Load {
            tasks: self.stateless,
            members: self.counts.len() as u64,
        }
    }

    /// Whether a member has fewer tasks than this.
    pub(super) fn has_room(&self, quota: usize) -> bool {
        self.counts.values().any(|count| *count < quota)
    }

    pub(super) fn has(&self, task: &TaskId) -> bool {
        self.tasks.contains(task)
    }

    /// How many tasks the member has so far.
    pub(super) fn count(&self, member: &str) -> usize {
        self.counts.get(member).copied().unwrap_or(0)
    }

    /// Gives the member a task; how many it has then.
    pub(super) fn add(&mut self, member: &Arc<str>, task: &TaskId, role: Role) -> usize {
        self.total += 1;
        self.stateless += u64::from(role == Role::StatelessActive);
        self.tasks.insert(task.clone());
        let assigned = self.assigned.entry(member.clone()).or_default();
        let tasks = match role {
            Role::Active | Role::StatelessActive => &mut assigned.active,
            Role::Standby => &mut assigned.standby,
        };
        tasks.entry(task.0.clone()).or_default().insert(task.1);
        let count = self.counts.entry(member.clone()).or_default();
        *count += 1;
        *count
    }

    /// The member with the fewest tasks, the first by id of those.
    pub(super) fn least_loaded(&self) -> Option<Arc<str>> {
        let least = self.counts.iter().min_by_key(|(_, count)| **count);
        least.map(|(member, _)| member.clone())
    }

    /// Gives the task to the member with the fewest; how many it has then.
    pub(super) fn add_to_least_loaded(&mut self, task: &TaskId, role: Role) -> Option<usize> {
        let member = self.least_loaded()?;
        Some(self.add(&member, task, role))
    }

    /// What each member has got.
    pub(super) fn into_assignment(self) -> impl Iterator<Item = (Arc<str>, Tasks)> {
        let mut assigned = self.assigned;
        self.counts.into_keys().map(move |member| {
            let tasks = assigned.remove(&member).unwrap_or_default();
            (member, tasks)
        })
    }
}
