//! The assignors of the broker: who of a group reads which partition (`group.consumer.assignors`).
//!
//! An assignor sees the members with the topics they want and what they shall have now, and says what they
//! shall have next. It knows nothing of epochs or of what members really hold: moving there is
//! [`super::reconcile`]'s. Assignors do not look at racks, as Kafka's have not since 4.0.

mod range;
mod uniform;
mod uniform_heterogeneous;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base::Uuid;

use super::assignment::Partitions;

/// An assignor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// `uniform`: as even as possible over all topics, and as few moves as that allows.
    Uniform,
    /// `range`: a range of each topic per member, the same of every topic where they allow it.
    Range,
}

impl Assignor {
    /// Every assignor there is.
    pub const ALL: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

    /// Its name in requests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// The assignor of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Assignor> {
        Assignor::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Assigns every partition of the wanted topics to one member that wants it.
    pub(super) fn assign(self, group: &Spec) -> BTreeMap<Arc<str>, Partitions> {
        match self {
            Assignor::Range => range::assign(group),
            Assignor::Uniform if group.homogeneous => uniform::assign(group),
            Assignor::Uniform => uniform_heterogeneous::assign(group),
        }
    }
}

/// A member as an assignor sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct MemberSpec {
    pub(super) instance_id: Option<Arc<str>>,
    /// The topics it wants; of those that exist.
    pub(super) topics: Arc<BTreeSet<Uuid>>,
    /// What it shall have by the last assignment.
    pub(super) assigned: Arc<Partitions>,
}

/// A group as an assignor sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Spec {
    pub(super) members: BTreeMap<Arc<str>, MemberSpec>,
    /// How many partitions each wanted topic has.
    pub(super) topics: BTreeMap<Uuid, i32>,
    /// All members want the same topics.
    pub(super) homogeneous: bool,
}

impl Spec {
    /// The partitions a member shall have by the last assignment, of topics it still wants and that still have
    /// them.
    fn retained<'a>(&'a self, member: &'a MemberSpec) -> impl Iterator<Item = (Uuid, i32)> + 'a {
        let wanted = member
            .assigned
            .iter()
            .filter(|(topic, _)| member.topics.contains(topic));
        wanted.flat_map(|(topic, partitions)| {
            let count = self.topics.get(topic).copied().unwrap_or(0);
            let there = partitions
                .iter()
                .filter(move |partition| (0..count).contains(*partition));
            there.map(|partition| (*topic, *partition))
        })
    }

    /// Every partition of every wanted topic.
    fn partitions(&self) -> impl Iterator<Item = (Uuid, i32)> + '_ {
        self.topics
            .iter()
            .flat_map(|(topic, count)| (0..*count).map(move |partition| (*topic, partition)))
    }
}
