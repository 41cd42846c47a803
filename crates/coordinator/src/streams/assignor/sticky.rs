//! `sticky`: tasks stay where they are or where their state is, as far as an even load allows; the rest goes to the
//! process with the least. Source: Kafka's `StickyTaskAssignor`, 4.4.
//!
//! Active tasks with state are spread first, then those without, each evenly on its own. An active task goes to the
//! member that has it, else to one that has its state (a standby, or a copy on disk that was reported; the most
//! caught-up first), else to the least loaded process. Nobody gets more than an even share: when a member is full, the
//! others share what is left. Standby tasks follow: first where they make the task more diverse over racks, if the group
//! has tags for that, then in the same way as active ones, to processes that do not have the task.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::process::{Load, Process, Role};
use super::racks::{Diversity, ProcessTags};
use super::{MemberSpec, Spec, TaskId};
use crate::streams::tasks::{Tasks, contains, each};

/// Assigns every task to one member, and copies of those with state to others.
pub(in crate::streams) fn assign(spec: &Spec) -> BTreeMap<Arc<str>, Tasks> {
    if spec.members.is_empty() {
        return BTreeMap::new();
    }
    let mut assignment = Assignment::new(spec);
    let (stateful, stateless) = task_ids(spec);
    assignment.assign_active(stateful.clone(), Role::Active);
    assignment.assign_active(stateless, Role::StatelessActive);
    if spec.standby_replicas > 0 {
        assignment.assign_standby(stateful);
    }
    let processes = assignment.processes.into_values();
    processes.flat_map(Process::into_assignment).collect()
}

/// The tasks with state, and those without.
fn task_ids(spec: &Spec) -> (Vec<TaskId>, Vec<TaskId>) {
    let (mut stateful, mut stateless) = (Vec::new(), Vec::new());
    for (id, subtopology) in &spec.subtopologies {
        let tasks = match subtopology.stateful {
            true => &mut stateful,
            false => &mut stateless,
        };
        tasks.extend((0..subtopology.tasks).map(|partition| (id.clone(), partition)));
    }
    (stateful, stateless)
}

/// A member and its process.
#[derive(Clone, Debug)]
struct Holder {
    process: Arc<str>,
    member: Arc<str>,
}

/// How good a member is for a copy of a task; the least is best: whether it has none by assignment, then how far its
/// copy is, backwards.
type Freshness = (bool, Reverse<i64>);

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

struct Assignment<'a> {
    spec: &'a Spec,
    processes: BTreeMap<Arc<str>, Process>,
    tags: ProcessTags,
    had_active: BTreeMap<TaskId, Holder>,
    /// Who has the task's state, the best first.
    had_state: BTreeMap<TaskId, Vec<Holder>>,
    /// The process of each active task with state.
    owners: BTreeMap<TaskId, Arc<str>>,
    stateful: Quota,
    active: Quota,
    total: Quota,
}

impl<'a> Assignment<'a> {
    fn new(spec: &'a Spec) -> Assignment<'a> {
        let (mut stateful, mut active) = (0_usize, 0_usize);
        for subtopology in spec.subtopologies.values() {
            let tasks = usize::try_from(subtopology.tasks).unwrap_or(0);
            active = active.saturating_add(tasks);
            if subtopology.stateful {
                stateful = stateful.saturating_add(tasks);
            }
        }
        let copies = stateful.saturating_mul(spec.standby_replicas);
        let members = spec.members.len();
        let mut assignment = Assignment {
            spec,
            processes: BTreeMap::new(),
            tags: ProcessTags::new(),
            had_active: BTreeMap::new(),
            had_state: BTreeMap::new(),
            owners: BTreeMap::new(),
            stateful: Quota::new(stateful, members),
            active: Quota::new(active, members),
            total: Quota::new(active.saturating_add(copies), members),
        };
        assignment.look_at_members();
        assignment
    }

    fn look_at_members(&mut self) {
        let mut candidates: BTreeMap<TaskId, Vec<(Freshness, Holder)>> = BTreeMap::new();
        for (id, member) in &self.spec.members {
            let process = member.process_id.clone();
            let known = self.processes.entry(process.clone()).or_default();
            known.add_member(id);
            // All members of a process have the same tags.
            let tags = self.tags.entry(process.clone());
            tags.or_insert_with(|| member.client_tags.clone());
            let holder = Holder {
                process,
                member: id.clone(),
            };
            for (subtopology, partition) in each(&member.assigned.active) {
                let task = (subtopology.clone(), partition);
                self.had_active.insert(task, holder.clone());
            }
            for (task, freshness) in copies_of(member) {
                let of_task = candidates.entry(task).or_default();
                of_task.push((freshness, holder.clone()));
            }
        }
        for (task, mut holders) in candidates {
            holders.sort_by_key(|(freshness, _)| *freshness);
            let holders = holders.into_iter().map(|(_, holder)| holder).collect();
            self.had_state.insert(task, holders);
        }
    }

    fn assign_active(&mut self, mut tasks: Vec<TaskId>, role: Role) {
        // A member over its share keeps some of each subtopology.
        tasks.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
        tasks.retain(|task| {
            let holder = self.had_active.get(task).cloned();
            !holder.is_some_and(|holder| self.keep_active(&holder, task, role))
        });
        tasks.retain(|task| {
            let holder = self.least_loaded_with_state(task, false);
            !holder.is_some_and(|holder| self.keep_active(&holder, task, role))
        });
        // What is left is spread, so that one process does not get all of a subtopology.
        tasks.sort();
        let mut by_load = self.by_load();
        for task in tasks {
            let Some((_, _, id)) = by_load.pop_first() else {
                return;
            };
            let Some(process) = self.processes.get_mut(&id) else {
                continue;
            };
            let count = process.add_to_least_loaded(&task, role);
            by_load.insert((process.load(), process.stateless_load(), id.clone()));
            if let Some(count) = count {
                // The share of tasks with state is looked at only above.
                self.active.taken(count);
                self.total.taken(count);
                self.own(&task, &id, role);
            }
        }
    }

    /// While tasks with state are assigned nothing else is yet, so that a member's tasks are its tasks with state.
    fn keep_active(&mut self, holder: &Holder, task: &TaskId, role: Role) -> bool {
        let is_stateful = role == Role::Active;
        let quota = match is_stateful {
            true => self.stateful.each,
            false => self.active.each,
        };
        let Some(process) = self.processes.get_mut(&holder.process) else {
            return false;
        };
        if process.count(&holder.member) >= quota {
            return false;
        }
        let count = process.add(&holder.member, task, role);
        if is_stateful {
            self.stateful.taken(count);
        }
        self.active.taken(count);
        self.total.taken(count);
        self.own(task, &holder.process, role);
        true
    }

    fn own(&mut self, task: &TaskId, process: &Arc<str>, role: Role) {
        if role == Role::Active {
            self.owners.insert(task.clone(), process.clone());
        }
    }

    /// Of those that have the task's state, the first, unless a later one has less to do. With `without`, of those
    /// whose process does not have the task by now.
    fn least_loaded_with_state(&self, task: &TaskId, without: bool) -> Option<Holder> {
        let mut least: Option<(Load, usize, &Holder)> = None;
        for holder in self.had_state.get(task)? {
            let process = self.processes.get(&holder.process)?;
            if without && process.has(task) {
                continue;
            }
            let (load, count) = (process.load(), process.count(&holder.member));
            let better = least.as_ref().is_none_or(|(least_load, least_count, _)| {
                load < *least_load && count < *least_count
            });
            if better {
                least = Some((load, count, holder));
            }
        }
        least.map(|(_, _, holder)| holder.clone())
    }

    /// Least loaded first; of equals, the one with fewer tasks without state.
    fn by_load(&self) -> BTreeSet<(Load, Load, Arc<str>)> {
        let processes = self.processes.iter();
        processes
            .map(|(id, process)| (process.load(), process.stateless_load(), id.clone()))
            .collect()
    }

    fn assign_standby(&mut self, mut tasks: Vec<TaskId>) {
        tasks.sort_by(|a, b| (b.1, &b.0).cmp(&(a.1, &a.0)));
        let replicas = self.spec.standby_replicas;
        let mut left: Vec<(TaskId, usize)> = Vec::new();
        for task in tasks {
            let mut placed = self.spread_over_racks(&task);
            while placed < replicas && self.keep_standby(&task) {
                placed += 1;
            }
            if placed < replicas {
                left.push((task, replicas - placed));
            }
        }
        left.sort_by(|a, b| b.0.cmp(&a.0));
        let mut by_load = self.by_load();
        for (task, replicas) in left {
            for missing in (1..=replicas).rev() {
                if !self.add_standby(&mut by_load, &task) {
                    tracing::warn!(
                        subtopology = %task.0, partition = task.1, missing,
                        replicas = self.spec.standby_replicas,
                        "too few processes for the standby replicas of a task"
                    );
                    break;
                }
            }
        }
    }

    /// Gives copies to processes with room, as long as each makes the task more diverse; how many there were. Of those
    /// that do so equally, who had the task before comes first, then who has less to do.
    fn spread_over_racks(&mut self, task: &TaskId) -> usize {
        if self.spec.rack_aware_tags.is_empty() {
            return 0;
        }
        let before = self.holders_before(task);
        let owner = self.owners.get(task).map(|owner| &**owner);
        let tags = std::mem::take(&mut self.tags);
        let mut diversity = Diversity::new(&self.spec.rack_aware_tags, &tags, owner);
        let mut placed = 0;
        while placed < self.spec.standby_replicas {
            let quota = self.total.each;
            let processes = &self.processes;
            let eligible = |id: &str| {
                let process = processes.get(id);
                process.is_some_and(|process| !process.has(task) && process.has_room(quota))
            };
            let rank = |id: &Arc<str>| {
                let rank = before.get(id).map_or(usize::MAX, |(rank, _)| *rank);
                (rank, processes.get(id).map(Process::load))
            };
            let best = diversity.candidates(eligible);
            let Some(winner) = best.into_iter().min_by_key(rank) else {
                break;
            };
            let Some(process) = self.processes.get_mut(&winner) else {
                break;
            };
            let returning = before
                .get(&winner)
                .map(|(_, member)| member.clone())
                .filter(|member| process.count(member) < quota);
            let Some(member) = returning.or_else(|| process.least_loaded()) else {
                break;
            };
            let count = process.add(&member, task, Role::Standby);
            self.total.taken(count);
            diversity.hold(&winner);
            placed += 1;
        }
        self.tags = tags;
        placed
    }

    /// The processes that had the task, with their rank and the member: the active one first, then the best copies.
    fn holders_before(&self, task: &TaskId) -> BTreeMap<Arc<str>, (usize, Arc<str>)> {
        let copies = self.had_state.get(task).into_iter().flatten();
        let mut holders = BTreeMap::new();
        for (rank, holder) in copies.enumerate() {
            holders
                .entry(holder.process.clone())
                .or_insert((rank + 1, holder.member.clone()));
        }
        if let Some(active) = self.had_active.get(task) {
            holders.insert(active.process.clone(), (0, active.member.clone()));
        }
        holders
    }

    /// Gives a copy to who had the task before, active or standby.
    fn keep_standby(&mut self, task: &TaskId) -> bool {
        let active = self.had_active.get(task).cloned();
        if active.is_some_and(|holder| self.keep_copy(&holder, task)) {
            return true;
        }
        let standby = self.least_loaded_with_state(task, true);
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
    fn add_standby(
        &mut self,
        by_load: &mut BTreeSet<(Load, Load, Arc<str>)>,
        task: &TaskId,
    ) -> bool {
        let without = |(_, _, id): &&(Load, Load, Arc<str>)| {
            let process = self.processes.get(id);
            process.is_some_and(|process| !process.has(task))
        };
        let Some(entry) = by_load.iter().find(without).cloned() else {
            return false;
        };
        by_load.remove(&entry);
        let (_, _, id) = entry;
        let Some(process) = self.processes.get_mut(&id) else {
            return false;
        };
        let count = process.add_to_least_loaded(task, Role::Standby);
        by_load.insert((process.load(), process.stateless_load(), id));
        if let Some(count) = count {
            self.total.taken(count);
        }
        count.is_some()
    }
}

/// The tasks whose state a member has: by assignment, and on disk by what it reports. A copy of which nothing is
/// reported may be as far behind as can be.
fn copies_of(member: &MemberSpec) -> impl Iterator<Item = (TaskId, Freshness)> + '_ {
    let assigned = &member.assigned;
    let positions = &member.offsets.positions;
    let by_assignment = each(&assigned.standby).chain(each(&assigned.warmup));
    let by_assignment = by_assignment.map(|(subtopology, partition)| {
        let task: TaskId = (subtopology.clone(), partition);
        let offset = positions.get(&task).copied().unwrap_or(0);
        (task, (false, Reverse(offset)))
    });
    let on_disk = positions.iter().filter(|((subtopology, partition), _)| {
        let task = (subtopology, *partition);
        !contains(&assigned.standby, task) && !contains(&assigned.warmup, task)
    });
    by_assignment.chain(on_disk.map(|(task, offset)| (task.clone(), (true, Reverse(*offset)))))
}
