//! `sticky`: tasks stay where they are or where their state is, as far as an even load allows; the rest goes to the
//! process with the least. Source: Kafka's `StickyTaskAssignor`, 4.3.
//!
//! An active task goes to the member that has it, else to one that has a standby of it, else to the least loaded
//! process. Nobody gets more than an even share: when a member is full, the others share what is left. Standby tasks
//! follow in the same way, to processes that do not have the task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::process::{Load, Process, Role};
use super::{Spec, TaskId};
use crate::streams::tasks::{Tasks, each};

/// Assigns every task to one member, and copies of those with state to others.
pub(in crate::streams) fn assign(spec: &Spec) -> BTreeMap<Arc<str>, Tasks> {
    if spec.members.is_empty() {
        return BTreeMap::new();
    }
    let mut assignment = Assignment::new(spec);
    let (active, stateful) = task_ids(spec);
    assignment.assign_active(active);
    if spec.standby_replicas > 0 {
        assignment.assign_standby(stateful);
    }
    let processes = assignment.processes.into_values();
    processes.flat_map(Process::into_assignment).collect()
}

/// All tasks, and those with state.
fn task_ids(spec: &Spec) -> (Vec<TaskId>, Vec<TaskId>) {
    let (mut active, mut stateful) = (Vec::new(), Vec::new());
    for (id, subtopology) in &spec.subtopologies {
        for partition in 0..subtopology.tasks {
            let task: TaskId = (id.clone(), partition);
            if subtopology.stateful {
                stateful.push(task.clone());
            }
            active.push(task);
        }
    }
    (active, stateful)
}

/// A member and its process.
#[derive(Clone, Debug)]
struct Holder {
    process: Arc<str>,
    member: Arc<str>,
}

/// An even share of tasks that are left among members that are not full.
#[derive(Debug)]
struct Quota {
    tasks: usize,
    members: usize,
    each: usize,
}

impl Quota {
    fn new(tasks: usize, members: usize) -> Quota {
        let each = if members == 0 {
            0
        } else {
            tasks.div_ceil(members)
        };
        Quota {
            tasks,
            members,
            each,
        }
    }

    /// A member has this many tasks now: when that is its share, the others share the rest.
    fn taken(&mut self, count: usize) {
        if count == self.each && self.members > 0 {
            *self = Quota::new(self.tasks.saturating_sub(count), self.members - 1);
        }
    }
}

struct Assignment {
    processes: BTreeMap<Arc<str>, Process>,
    had_active: BTreeMap<TaskId, Holder>,
    had_standby: BTreeMap<TaskId, Vec<Holder>>,
    active: Quota,
    total: Quota,
    replicas: usize,
}

impl Assignment {
    fn new(spec: &Spec) -> Assignment {
        let tasks =
            |subtopology: &super::SubtopologySpec| usize::try_from(subtopology.tasks).unwrap_or(0);
        let active: usize = spec.subtopologies.values().map(tasks).sum();
        let stateful = spec.subtopologies.values();
        let stateful = stateful.filter(|subtopology| subtopology.stateful);
        let standby = stateful
            .map(tasks)
            .sum::<usize>()
            .saturating_mul(spec.standby_replicas);
        let members = spec.members.len();
        let mut assignment = Assignment {
            processes: BTreeMap::new(),
            had_active: BTreeMap::new(),
            had_standby: BTreeMap::new(),
            active: Quota::new(active, members),
            total: Quota::new(active.saturating_add(standby), members),
            replicas: spec.standby_replicas,
        };
        for (id, member) in &spec.members {
            let process = assignment.processes.entry(member.process_id.clone());
            process.or_default().add_member(id);
            let holder = Holder {
                process: member.process_id.clone(),
                member: id.clone(),
            };
            for (subtopology, partition) in each(&member.assigned.active) {
                let task = (subtopology.clone(), partition);
                assignment.had_active.insert(task, holder.clone());
            }
            for (subtopology, partition) in each(&member.assigned.standby) {
                let holders = assignment
                    .had_standby
                    .entry((subtopology.clone(), partition));
                holders.or_default().push(holder.clone());
            }
        }
        assignment
    }

    fn assign_active(&mut self, mut tasks: Vec<TaskId>) {
        // A member over its share keeps some of each subtopology.
        tasks.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        tasks.retain(|task| {
            let holder = self.had_active.get(task).cloned();
            !holder.is_some_and(|holder| self.keep_active(&holder, task))
        });
        tasks.retain(|task| {
            let holder = self.least_loaded_standby(task, false);
            !holder.is_some_and(|holder| self.keep_active(&holder, task))
        });
        // What is left is spread, so that one process does not get all of a subtopology.
        tasks.sort();
        let mut by_load = self.by_load();
        for task in tasks {
            let Some((_, id)) = by_load.pop_first() else {
                return;
            };
            if let Some(process) = self.processes.get_mut(&id) {
                if let Some(count) = process.add_to_least_loaded(&task, Role::Active) {
                    self.active.taken(count);
                    self.total.taken(count);
                }
                by_load.insert((process.load(), id));
            }
        }
    }

    fn keep_active(&mut self, holder: &Holder, task: &TaskId) -> bool {
        let quota = self.active.each;
        let Some(process) = self.processes.get_mut(&holder.process) else {
            return false;
        };
        if process.count(&holder.member) >= quota {
            return false;
        }
        let count = process.add(&holder.member, task, Role::Active);
        self.active.taken(count);
        self.total.taken(count);
        true
    }

    /// Of those that had a standby of the task, the first, unless a later one has less to do. With `without`, none
    /// when the first one's process has the task by now.
    fn least_loaded_standby(&self, task: &TaskId, without: bool) -> Option<Holder> {
        let holders = self.had_standby.get(task)?;
        let (first, rest) = holders.split_first()?;
        let load = |holder: &Holder| {
            let process = self.processes.get(&holder.process)?;
            Some((
                process.load(),
                process.count(&holder.member),
                process.has(task),
            ))
        };
        let (mut least_load, mut least_count, has) = load(first)?;
        let mut least = first;
        for holder in rest {
            let (new_load, new_count, has) = load(holder)?;
            if new_load < least_load && !(without && has) && new_count < least_count {
                (least_load, least_count) = (new_load, new_count);
                least = holder;
            }
        }
        (!(without && has)).then(|| least.clone())
    }

    fn by_load(&self) -> BTreeSet<(Load, Arc<str>)> {
        let processes = self.processes.iter();
        processes
            .map(|(id, process)| (process.load(), id.clone()))
            .collect()
    }

    fn assign_standby(&mut self, mut tasks: Vec<TaskId>) {
        tasks.sort_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
        let mut left: Vec<(TaskId, usize)> = Vec::new();
        for task in tasks {
            let kept = (0..self.replicas)
                .take_while(|_| self.keep_standby(&task))
                .count();
            if kept < self.replicas {
                left.push((task, self.replicas - kept));
            }
        }
        left.sort_by(|a, b| b.0.cmp(&a.0));
        let mut by_load = self.by_load();
        for (task, replicas) in left {
            for missing in (1..=replicas).rev() {
                if !self.add_standby(&mut by_load, &task) {
                    tracing::warn!(
                        subtopology = %task.0, partition = task.1, missing, replicas = self.replicas,
                        "too few processes for the standby replicas of a task"
                    );
                    break;
                }
            }
        }
    }

    /// Gives a copy to who had the task before, active or standby.
    fn keep_standby(&mut self, task: &TaskId) -> bool {
        let active = self.had_active.get(task).cloned();
        if active.is_some_and(|holder| self.keep_copy(&holder, task)) {
            return true;
        }
        let standby = self.least_loaded_standby(task, true);
        standby.is_some_and(|holder| self.keep_copy(&holder, task))
    }

    fn keep_copy(&mut self, holder: &Holder, task: &TaskId) -> bool {
        let quota = self.total.each;
        let Some(process) = self.processes.get_mut(&holder.process) else {
            return false;
        };
        if process.has(task) || process.count(&holder.member) >= quota {
            return false;
        }
        let count = process.add(&holder.member, task, Role::Standby);
        self.total.taken(count);
        true
    }

    /// Gives a copy to the least loaded process that does not have the task; whether there is one.
    fn add_standby(&mut self, by_load: &mut BTreeSet<(Load, Arc<str>)>, task: &TaskId) -> bool {
        let without = |(_, id): &&(Load, Arc<str>)| {
            let process = self.processes.get(id);
            process.is_some_and(|process| !process.has(task))
        };
        let Some(entry) = by_load.iter().find(without).cloned() else {
            return false;
        };
        by_load.remove(&entry);
        let (_, id) = entry;
        let Some(process) = self.processes.get_mut(&id) else {
            return false;
        };
        let count = process.add_to_least_loaded(task, Role::Standby);
        by_load.insert((process.load(), id));
        if let Some(count) = count {
            self.total.taken(count);
        }
        count.is_some()
    }
}
