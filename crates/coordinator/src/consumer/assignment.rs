//! Sets of partitions, by topic id.

use std::collections::{BTreeMap, BTreeSet};

use base::Uuid;
use wire::messages::consumer_group_heartbeat_request::TopicPartitions;

/// Partitions of several topics. No topic is without partitions.
pub(crate) type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// Partitions a member has, each with the epoch at which it was assigned (KIP-1251).
pub(crate) type Owned = BTreeMap<Uuid, BTreeMap<i32, i32>>;

/// What a heartbeat says the member owns.
pub(crate) type Reported<'a> = Option<&'a [TopicPartitions]>;

/// Whether `owned` has this partition.
pub(crate) fn owns(owned: &Owned, topic: Uuid, partition: i32) -> bool {
    assignment_epoch(owned, topic, partition).is_some()
}

/// The epoch at which the partition was assigned, if `owned` has it.
pub(crate) fn assignment_epoch(owned: &Owned, topic: Uuid, partition: i32) -> Option<i32> {
    owned.get(&topic)?.get(&partition).copied()
}

/// Every partition of `owned`.
pub(crate) fn each(owned: &Owned) -> impl Iterator<Item = (Uuid, i32)> + '_ {
    owned
        .iter()
        .flat_map(|(topic, partitions)| partitions.keys().map(move |index| (*topic, *index)))
}

/// The same partitions, all assigned at `epoch`.
pub(crate) fn assigned_at(partitions: &Partitions, epoch: i32) -> Owned {
    let with_epoch =
        |indexes: &BTreeSet<i32>| indexes.iter().map(|index| (*index, epoch)).collect();
    partitions
        .iter()
        .map(|(topic, indexes)| (*topic, with_epoch(indexes)))
        .collect()
}

/// Whether what the member reports is part of `owned`; not reporting anything is no answer.
pub(crate) fn is_subset(reported: Reported<'_>, owned: &Owned) -> bool {
    reported.is_some_and(|reported| {
        each_reported(reported).all(|(topic, partition)| owns(owned, topic, partition))
    })
}

/// Whether the member may still hold a partition of `owned`: it reports one, or does not report.
pub(crate) fn may_hold(reported: Reported<'_>, owned: &Owned) -> bool {
    reported.is_none_or(|reported| {
        each_reported(reported).any(|(topic, partition)| owns(owned, topic, partition))
    })
}

fn each_reported(reported: &[TopicPartitions]) -> impl Iterator<Item = (Uuid, i32)> + '_ {
    reported.iter().flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(move |partition| (topic.topic_id, *partition))
    })
}
