//! The assignor of streams groups: which member has which task (`group.streams.assignors`).
//!
//! An assignor sees the members with what they shall have now, and the subtopologies with their tasks, and says what
//! members shall have next. It knows nothing of epochs or of what members really hold: moving there is
//! [`super::reconcile`]'s. Kafka has one, `sticky`.

mod process;
mod racks;
mod sticky;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::group::TaskOffsets;
use super::tasks::Tasks;

pub(super) use sticky::assign;

/// The name of the one assignor (`StickyTaskAssignor`).
pub(crate) const STICKY: &str = "sticky";

/// A task: a partition of a subtopology.
pub(super) type TaskId = (Arc<str>, i32);

/// A member as an assignor sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct MemberSpec {
    pub(super) process_id: Arc<str>,
    /// What it shall have now.
    pub(super) assigned: Arc<Tasks>,
    /// How far the copies of state are that its process has on disk, also of tasks it shall not have.
    pub(super) offsets: Arc<TaskOffsets>,
    /// The tags of its process.
    pub(super) client_tags: BTreeMap<String, String>,
}

/// A subtopology as an assignor sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubtopologySpec {
    pub(super) tasks: i32,
    /// Whether its tasks have state, of which there can be copies.
    pub(super) stateful: bool,
}

/// A group as an assignor sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Spec {
    pub(super) members: BTreeMap<Arc<str>, MemberSpec>,
    pub(super) subtopologies: BTreeMap<Arc<str>, SubtopologySpec>,
    /// How many copies of a task's state there shall be besides the active task's.
    pub(super) standby_replicas: usize,
    /// The client tags whose values the copies of a task shall differ in, the most important first.
    pub(super) rack_aware_tags: Arc<[String]>,
}
