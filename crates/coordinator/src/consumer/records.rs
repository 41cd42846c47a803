//! The records of a consumer group, as the state machine wants them and as the log holds them.
//!
//! | record | type | value |
//! |---|---|---|
//! | ConsumerGroupMetadata | 3 | group epoch and metadata hash |
//! | ConsumerGroupPartitionMetadata | 4 | of Kafka before 4.1; only its tombstone is written |
//! | ConsumerGroupMemberMetadata | 5 | a member's subscription |
//! | ConsumerGroupTargetAssignmentMetadata | 6 | the epoch of the target assignment, and when it was made |
//! | ConsumerGroupTargetAssignmentMember | 7 | what a member shall have |
//! | ConsumerGroupCurrentMemberAssignment | 8 | what a member has |
//! | ConsumerGroupRegularExpression | 16 | the topics a pattern matches |
//!
//! All values are of version 0. Source: `GroupCoordinatorRecordHelpers`, Kafka 4.3.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use wire::coordinator_records::consumer_group_current_member_assignment_value as current_value;
use wire::coordinator_records::consumer_group_member_metadata_value as member_value;
use wire::coordinator_records::consumer_group_target_assignment_member_value as target_value;
use wire::coordinator_records::{
    ConsumerGroupCurrentMemberAssignmentKey as CurrentKey,
    ConsumerGroupCurrentMemberAssignmentValue as CurrentValue,
    ConsumerGroupMemberMetadataKey as MemberKey, ConsumerGroupMemberMetadataValue as MemberValue,
    ConsumerGroupMetadataKey as GroupKey, ConsumerGroupMetadataValue as GroupValue,
    ConsumerGroupPartitionMetadataKey as PartitionMetadataKey,
    ConsumerGroupPartitionMetadataValue as PartitionMetadataValue,
    ConsumerGroupRegularExpressionKey as RegexKey,
    ConsumerGroupRegularExpressionValue as RegexValue,
    ConsumerGroupTargetAssignmentMemberKey as TargetKey,
    ConsumerGroupTargetAssignmentMemberValue as TargetValue,
    ConsumerGroupTargetAssignmentMetadataKey as TargetEpochKey,
    ConsumerGroupTargetAssignmentMetadataValue as TargetEpochValue,
};
use wire::{EncodeError, Reader};

use super::assignment::{Owned, Partitions};
use super::member::{ClassicMetadata, CurrentAssignment, MemberMetadata, MemberState};
use crate::action::CoordinatorRecord;
use crate::partition_lists::{from_list_with_epochs, to_list, to_list_with_epochs};
use crate::record::{ReplayError, decode_key, decode_pair as pair, group_record as put};

/// The topics that a regular expression matched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResolvedRegex {
    pub(crate) topics: BTreeSet<String>,
    /// [`ClusterView::version`](crate::ClusterView::version) at the time.
    pub(crate) version: i64,
    pub(crate) timestamp_ms: i64,
}

/// One record of a consumer group; no value for a tombstone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ConsumerRecord {
    /// Group epoch and metadata hash.
    Group(Option<(i32, i64)>),
    /// Whether the record of the old topic metadata is there.
    PartitionMetadata(bool),
    Member(Arc<str>, Option<MemberMetadata>),
    /// Epoch and wall-clock milliseconds.
    TargetEpoch(Option<(i32, i64)>),
    Target(Arc<str>, Option<Arc<Partitions>>),
    Current(Arc<str>, Option<CurrentAssignment>),
    Regex(Arc<str>, Option<Arc<ResolvedRegex>>),
}

impl ConsumerRecord {
    /// The tombstones of a member. The order matters to Kafka when it reads them.
    pub(crate) fn of_removed_member(id: &Arc<str>) -> [ConsumerRecord; 3] {
        [
            ConsumerRecord::Current(id.clone(), None),
            ConsumerRecord::Target(id.clone(), None),
            ConsumerRecord::Member(id.clone(), None),
        ]
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        match self {
            ConsumerRecord::Group(value) | ConsumerRecord::TargetEpoch(value) => value.is_none(),
            ConsumerRecord::PartitionMetadata(present) => !present,
            ConsumerRecord::Member(_, value) => value.is_none(),
            ConsumerRecord::Target(_, value) => value.is_none(),
            ConsumerRecord::Current(_, value) => value.is_none(),
            ConsumerRecord::Regex(_, value) => value.is_none(),
        }
    }
}

/// The record as the log holds it.
pub(crate) fn encode(
    group: &str,
    change: &ConsumerRecord,
) -> Result<CoordinatorRecord, EncodeError> {
    let group_id = group.to_owned();
    let with_member = |member: &Arc<str>| (group_id.clone(), member.to_string());
    match change {
        ConsumerRecord::Group(value) => {
            let value = value.map(|(epoch, metadata_hash)| GroupValue {
                epoch,
                metadata_hash,
            });
            put(GroupKey::RECORD_TYPE, &GroupKey { group_id }, value)
        }
        ConsumerRecord::PartitionMetadata(present) => {
            let value = present.then(PartitionMetadataValue::default);
            let key = PartitionMetadataKey { group_id };
            put(PartitionMetadataKey::RECORD_TYPE, &key, value)
        }
        ConsumerRecord::Member(member, value) => {
            let (group_id, member_id) = with_member(member);
            let key = MemberKey {
                group_id,
                member_id,
            };
            put(MemberKey::RECORD_TYPE, &key, value.as_ref().map(to_member))
        }
        ConsumerRecord::TargetEpoch(value) => {
            let value = value.map(
                |(assignment_epoch, assignment_timestamp)| TargetEpochValue {
                    assignment_epoch,
                    assignment_timestamp,
                },
            );
            let key = TargetEpochKey { group_id };
            put(TargetEpochKey::RECORD_TYPE, &key, value)
        }
        ConsumerRecord::Target(member, value) => {
            let (group_id, member_id) = with_member(member);
            let key = TargetKey {
                group_id,
                member_id,
            };
            let value = value.as_ref().map(|partitions| to_target(partitions));
            put(TargetKey::RECORD_TYPE, &key, value)
        }
        ConsumerRecord::Current(member, value) => {
            let (group_id, member_id) = with_member(member);
            let key = CurrentKey {
                group_id,
                member_id,
            };
            put(
                CurrentKey::RECORD_TYPE,
                &key,
                value.as_ref().map(to_current),
            )
        }
        ConsumerRecord::Regex(regex, value) => {
            let key = RegexKey {
                group_id,
                regular_expression: regex.to_string(),
            };
            let value = value.as_ref().map(|resolved| to_regex(resolved));
            put(RegexKey::RECORD_TYPE, &key, value)
        }
    }
}

/// Reads a record of one of the types above: its group and what it says; none for another type.
pub(crate) fn decode(
    record_type: i16,
    key: &mut Reader,
    value: Option<&Bytes>,
) -> Result<Option<(String, ConsumerRecord)>, ReplayError> {
    let decoded = match record_type {
        GroupKey::RECORD_TYPE => {
            let (key, value) = pair::<GroupKey, GroupValue>(record_type, key, value)?;
            let value = value.map(|value| (value.epoch, value.metadata_hash));
            (key.group_id, ConsumerRecord::Group(value))
        }
        PartitionMetadataKey::RECORD_TYPE => {
            let key: PartitionMetadataKey = decode_key(record_type, key)?;
            let present = value.is_some();
            (key.group_id, ConsumerRecord::PartitionMetadata(present))
        }
        MemberKey::RECORD_TYPE => {
            let (key, value) = pair::<MemberKey, MemberValue>(record_type, key, value)?;
            let change = ConsumerRecord::Member(key.member_id.into(), value.map(from_member));
            (key.group_id, change)
        }
        TargetEpochKey::RECORD_TYPE => {
            let (key, value) = pair::<TargetEpochKey, TargetEpochValue>(record_type, key, value)?;
            let value = value.map(|value| (value.assignment_epoch, value.assignment_timestamp));
            (key.group_id, ConsumerRecord::TargetEpoch(value))
        }
        TargetKey::RECORD_TYPE => {
            let (key, value) = pair::<TargetKey, TargetValue>(record_type, key, value)?;
            let target = value.map(|value| Arc::new(from_target(value)));
            let change = ConsumerRecord::Target(key.member_id.into(), target);
            (key.group_id, change)
        }
        CurrentKey::RECORD_TYPE => {
            let (key, value) = pair::<CurrentKey, CurrentValue>(record_type, key, value)?;
            let change = ConsumerRecord::Current(key.member_id.into(), value.map(from_current));
            (key.group_id, change)
        }
        RegexKey::RECORD_TYPE => {
            let (key, value) = pair::<RegexKey, RegexValue>(record_type, key, value)?;
            let resolved = value.map(|value| {
                Arc::new(ResolvedRegex {
                    topics: value.topics.into_iter().collect(),
                    version: value.version,
                    timestamp_ms: value.timestamp,
                })
            });
            let change = ConsumerRecord::Regex(key.regular_expression.into(), resolved);
            (key.group_id, change)
        }
        _ => return Ok(None),
    };
    Ok(Some(decoded))
}

fn to_member(metadata: &MemberMetadata) -> MemberValue {
    let classic = metadata.classic.as_ref();
    MemberValue {
        instance_id: metadata.instance_id.as_deref().map(str::to_owned),
        rack_id: metadata.rack_id.clone(),
        client_id: metadata.client_id.clone(),
        client_host: metadata.client_host.clone(),
        subscribed_topic_names: metadata.topic_names.iter().cloned().collect(),
        subscribed_topic_regex: Some(metadata.topic_regex.to_string()),
        rebalance_timeout_ms: metadata.rebalance_timeout_ms,
        server_assignor: metadata.assignor.clone(),
        classic_member_metadata: classic.map(|classic| member_value::ClassicMemberMetadata {
            session_timeout_ms: classic.session_timeout_ms,
            supported_protocols: classic
                .protocols
                .iter()
                .map(|(name, metadata)| member_value::ClassicProtocol {
                    name: name.clone(),
                    metadata: metadata.clone(),
                })
                .collect(),
        }),
    }
}

fn from_member(value: MemberValue) -> MemberMetadata {
    let classic = value
        .classic_member_metadata
        .map(|classic| ClassicMetadata {
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic
                .supported_protocols
                .into_iter()
                .map(|protocol| (protocol.name, protocol.metadata))
                .collect(),
        });
    MemberMetadata {
        instance_id: value.instance_id.map(Into::into),
        rack_id: value.rack_id,
        client_id: value.client_id,
        client_host: value.client_host,
        topic_names: value.subscribed_topic_names.into_iter().collect(),
        topic_regex: value.subscribed_topic_regex.unwrap_or_default().into(),
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        assignor: value.server_assignor,
        // The schema's default of the absent field has no protocols; JoinGroup never leaves it so.
        classic: classic.filter(|classic| !classic.protocols.is_empty()),
    }
}

fn to_target(partitions: &Partitions) -> TargetValue {
    TargetValue {
        topic_partitions: to_list(partitions, |id, partitions| target_value::TopicPartition {
            topic_id: *id,
            partitions,
        }),
    }
}

fn from_target(value: TargetValue) -> Partitions {
    let topics = value.topic_partitions.into_iter();
    topics
        .map(|topic| (topic.topic_id, topic.partitions.into_iter().collect()))
        .collect()
}

fn to_regex(resolved: &ResolvedRegex) -> RegexValue {
    RegexValue {
        topics: resolved.topics.iter().cloned().collect(),
        version: resolved.version,
        timestamp: resolved.timestamp_ms,
    }
}

fn to_current(current: &CurrentAssignment) -> CurrentValue {
    CurrentValue {
        member_epoch: current.epoch,
        previous_member_epoch: current.previous_epoch,
        state: current.state.code(),
        assigned_partitions: to_owned_partitions(&current.assigned),
        partitions_pending_revocation: to_owned_partitions(&current.revoking),
    }
}

fn to_owned_partitions(owned: &Owned) -> Vec<current_value::TopicPartitions> {
    to_list_with_epochs(owned, |id, partitions, epochs| {
        current_value::TopicPartitions {
            topic_id: *id,
            partitions,
            assignment_epochs: Some(epochs),
        }
    })
}

fn from_current(value: CurrentValue) -> CurrentAssignment {
    let epoch = value.member_epoch;
    CurrentAssignment {
        state: MemberState::from_code(value.state),
        epoch,
        previous_epoch: value.previous_member_epoch,
        assigned: from_owned_partitions(value.assigned_partitions, epoch),
        revoking: from_owned_partitions(value.partitions_pending_revocation, epoch),
    }
}

fn from_owned_partitions(topics: Vec<current_value::TopicPartitions>, epoch: i32) -> Owned {
    let topics = topics.into_iter();
    let topics = topics.map(|topic| (topic.topic_id, topic.partitions, topic.assignment_epochs));
    from_list_with_epochs(topics, epoch)
}
