//! The consumer protocol embedded in JoinGroup and SyncGroup: subscriptions that members send, assignments they
//! get. Source: `org.apache.kafka.clients.consumer.internals.ConsumerProtocol`.
//!
//! ```text
//! i16 version │ ConsumerProtocolSubscription or ConsumerProtocolAssignment in that version
//! ```

use std::collections::{BTreeMap, BTreeSet};

use base::Uuid;
use bytes::Bytes;
use wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use wire::messages::consumer_protocol_assignment::TopicPartition as AssignedPartitions;
use wire::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use wire::{Message, Reader, Writer};

use super::assignment::{Owned, Partitions};
use crate::cluster::ClusterView;

/// Reads a subscription; a version later than the last known is read as that.
pub(super) fn subscription(metadata: &Bytes) -> Option<ConsumerProtocolSubscription> {
    read(metadata)
}

/// The partitions of an assignment, and whether an assignor of the client put data of its own in it. No bytes
/// are no partitions: the member has not synced yet.
pub(super) fn assignment(cluster: &dyn ClusterView, bytes: &Bytes) -> Option<(Partitions, bool)> {
    if bytes.is_empty() {
        return Some((Partitions::new(), false));
    }
    let assignment: ConsumerProtocolAssignment = read(bytes)?;
    let mut partitions = Partitions::new();
    for assigned in assignment.assigned_partitions {
        if let Some(topic) = cluster.topic(&assigned.topic)
            && !assigned.partitions.is_empty()
        {
            let indexes: BTreeSet<i32> = assigned.partitions.into_iter().collect();
            partitions.insert(topic.id, indexes);
        }
    }
    let user_data = assignment.user_data.is_some_and(|data| !data.is_empty());
    Some((partitions, user_data))
}

/// Writes an assignment in the version of the member's subscription `metadata`.
pub(super) fn write_assignment(
    cluster: &dyn ClusterView,
    partitions: impl Iterator<Item = (Uuid, Vec<i32>)>,
    metadata: &Bytes,
) -> Bytes {
    let version = Reader::new(metadata.clone()).i16().unwrap_or(0);
    let version = version.clamp(0, ConsumerProtocolAssignment::MAX_VERSION);
    let assigned = partitions.filter_map(|(id, partitions)| {
        let topic = cluster.topic_by_id(id)?.name.to_string();
        Some(AssignedPartitions { topic, partitions })
    });
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: assigned.collect(),
        ..ConsumerProtocolAssignment::default()
    };
    let mut writer = Writer::with_capacity(64);
    writer.i16(version);
    // Fails only for a name longer than any topic's.
    match assignment.encode(&mut writer, version) {
        Ok(()) => writer.into_bytes().unwrap_or_default(),
        Err(error) => {
            tracing::error!(%error, "an assignment does not encode");
            Bytes::new()
        }
    }
}

/// Partitions as [`write_assignment`] takes them.
pub(super) fn of_owned(owned: &Owned) -> impl Iterator<Item = (Uuid, Vec<i32>)> + '_ {
    let indexes = |partitions: &BTreeMap<i32, i32>| partitions.keys().copied().collect();
    owned
        .iter()
        .map(move |(topic, partitions)| (*topic, indexes(partitions)))
}

/// As [`of_owned`].
pub(super) fn of_partitions(
    partitions: &Partitions,
) -> impl Iterator<Item = (Uuid, Vec<i32>)> + '_ {
    partitions
        .iter()
        .map(|(topic, partitions)| (*topic, partitions.iter().copied().collect()))
}

/// What a subscription says its member owns.
pub(super) fn owned_partitions(
    cluster: &dyn ClusterView,
    subscription: &ConsumerProtocolSubscription,
) -> Vec<TopicPartitions> {
    let owned = subscription.owned_partitions.iter();
    owned
        .filter_map(|owned| {
            let topic_id = cluster.topic(&owned.topic)?.id;
            Some(TopicPartitions {
                topic_id,
                partitions: owned.partitions.clone(),
            })
        })
        .collect()
}

fn read<T: Message>(bytes: &Bytes) -> Option<T> {
    let mut reader = Reader::new(bytes.clone());
    let version = reader.i16().ok().filter(|version| *version >= 0)?;
    T::decode(&mut reader, version.min(T::MAX_VERSION)).ok()
}
