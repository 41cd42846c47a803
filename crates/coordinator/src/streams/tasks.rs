//! Sets of tasks, by subtopology and partition, in their three roles. Source: Kafka's `TasksTuple` and
//! `TasksTupleWithEpochs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wire::messages::streams_group_heartbeat_request::TaskIds;

/// Partitions by subtopology. No subtopology is without partitions.
pub(crate) type TaskSet = BTreeMap<Arc<str>, BTreeSet<i32>>;

/// As [`TaskSet`], each partition with the epoch at which it was assigned (KIP-1251).
pub(crate) type TaskEpochs = BTreeMap<Arc<str>, BTreeMap<i32, i32>>;

/// What a member shall have, or says it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tasks {
    pub(crate) active: TaskSet,
    pub(crate) standby: TaskSet,
    pub(crate) warmup: TaskSet,
}

impl Tasks {
    /// What a heartbeat says the member has; none when it leaves out one of the roles.
    pub(crate) fn reported(
        active: Option<&[TaskIds]>,
        standby: Option<&[TaskIds]>,
        warmup: Option<&[TaskIds]>,
    ) -> Option<Tasks> {
        Some(Tasks {
            active: from_request(active?),
            standby: from_request(standby?),
            warmup: from_request(warmup?),
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.active.is_empty() && self.standby.is_empty() && self.warmup.is_empty()
    }

    /// Whether any of these tasks is among `owned`, in the same role.
    pub(crate) fn overlaps(&self, owned: &OwnedTasks) -> bool {
        each(&self.active).any(|(subtopology, partition)| {
            assignment_epoch(&owned.active, subtopology, partition).is_some()
        }) || each(&self.standby).any(|task| contains(&owned.standby, task))
            || each(&self.warmup).any(|task| contains(&owned.warmup, task))
    }

    /// Whether all of these tasks are among `owned`, in the same role.
    pub(crate) fn is_within(&self, owned: &OwnedTasks) -> bool {
        each(&self.active).all(|(subtopology, partition)| {
            assignment_epoch(&owned.active, subtopology, partition).is_some()
        }) && each(&self.standby).all(|task| contains(&owned.standby, task))
            && each(&self.warmup).all(|task| contains(&owned.warmup, task))
    }
}

/// What a member has, or has to give up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnedTasks {
    pub(crate) active: TaskEpochs,
    pub(crate) standby: TaskSet,
    pub(crate) warmup: TaskSet,
}

impl OwnedTasks {
    pub(crate) fn is_empty(&self) -> bool {
        self.active.is_empty() && self.standby.is_empty() && self.warmup.is_empty()
    }

    /// Adds what `other` has.
    pub(crate) fn merge(&mut self, other: OwnedTasks) {
        for (subtopology, partitions) in other.active {
            self.active
                .entry(subtopology)
                .or_default()
                .extend(partitions);
        }
        merge(&mut self.standby, other.standby);
        merge(&mut self.warmup, other.warmup);
    }
}

fn merge(into: &mut TaskSet, other: TaskSet) {
    for (subtopology, partitions) in other {
        into.entry(subtopology).or_default().extend(partitions);
    }
}

/// The epoch at which an active task was assigned, if it is among `tasks`.
pub(crate) fn assignment_epoch(
    tasks: &TaskEpochs,
    subtopology: &str,
    partition: i32,
) -> Option<i32> {
    tasks.get(subtopology)?.get(&partition).copied()
}

/// Every task of a set.
pub(crate) fn each(tasks: &TaskSet) -> impl Iterator<Item = (&Arc<str>, i32)> {
    tasks.iter().flat_map(|(subtopology, partitions)| {
        partitions
            .iter()
            .map(move |partition| (subtopology, *partition))
    })
}

/// Every task of a set with epochs.
pub(crate) fn each_active(tasks: &TaskEpochs) -> impl Iterator<Item = (&Arc<str>, i32)> {
    tasks.iter().flat_map(|(subtopology, partitions)| {
        partitions
            .keys()
            .map(move |partition| (subtopology, *partition))
    })
}

/// The same tasks without epochs.
pub(crate) fn without_epochs(tasks: &TaskEpochs) -> TaskSet {
    tasks
        .iter()
        .map(|(subtopology, partitions)| {
            (subtopology.clone(), partitions.keys().copied().collect())
        })
        .collect()
}

pub(crate) fn contains(tasks: &TaskSet, (subtopology, partition): (&Arc<str>, i32)) -> bool {
    tasks
        .get(subtopology)
        .is_some_and(|partitions| partitions.contains(&partition))
}

fn from_request(tasks: &[TaskIds]) -> TaskSet {
    let mut set = TaskSet::new();
    for task in tasks {
        set.entry(task.subtopology_id.as_str().into())
            .or_default()
            .extend(&task.partitions);
    }
    set.retain(|_, partitions| !partitions.is_empty());
    set
}
