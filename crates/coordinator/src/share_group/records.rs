//! The records of a share group, as the state machine wants them and as the log holds them.
//!
//! | record | type | value |
//! |---|---|---|
//! | ShareGroupMemberMetadata | 10 | a member's subscription |
//! | ShareGroupMetadata | 11 | group epoch and metadata hash |
//! | ShareGroupTargetAssignmentMetadata | 12 | the epoch of the target assignment, and when it was made |
//! | ShareGroupTargetAssignmentMember | 13 | what a member shall have |
//! | ShareGroupCurrentMemberAssignment | 14 | what a member has |
//! | ShareGroupStatePartitionMetadata | 15 | which share partitions have a state |
//!
//! All values are of version 0. Source: `GroupCoordinatorRecordHelpers`, Kafka 4.3.

use std::sync::Arc;

use bytes::Bytes;
use wire::coordinator_records::share_group_current_member_assignment_value as current_value;
use wire::coordinator_records::share_group_state_partition_metadata_value as states_value;
use wire::coordinator_records::share_group_target_assignment_member_value as target_value;
use wire::coordinator_records::{
    ShareGroupCurrentMemberAssignmentKey as CurrentKey,
    ShareGroupCurrentMemberAssignmentValue as CurrentValue,
    ShareGroupMemberMetadataKey as MemberKey, ShareGroupMemberMetadataValue as MemberValue,
    ShareGroupMetadataKey as GroupKey, ShareGroupMetadataValue as GroupValue,
    ShareGroupStatePartitionMetadataKey as StatesKey,
    ShareGroupStatePartitionMetadataValue as StatesValue,
    ShareGroupTargetAssignmentMemberKey as TargetKey,
    ShareGroupTargetAssignmentMemberValue as TargetValue,
    ShareGroupTargetAssignmentMetadataKey as TargetEpochKey,
    ShareGroupTargetAssignmentMetadataValue as TargetEpochValue,
};
use wire::{EncodeError, Reader};

use super::member::{CurrentAssignment, MemberMetadata};
use super::states::{ByTopic, StatePartitions, TopicStates};
use crate::action::CoordinatorRecord;
use crate::consumer::assignment::Partitions;
use crate::partition_lists::to_list;
use crate::record::{ReplayError, decode_pair as pair, group_record as put};

/// `MemberState.STABLE`, the only state a member of a share group is in.
const STABLE: i8 = 0;

/// One record of a share group; no value for a tombstone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ShareRecord {
    /// Group epoch and metadata hash.
    Group(Option<(i32, i64)>),
    Member(Arc<str>, Option<MemberMetadata>),
    /// Epoch and wall-clock milliseconds.
    TargetEpoch(Option<(i32, i64)>),
    Target(Arc<str>, Option<Arc<Partitions>>),
    Current(Arc<str>, Option<CurrentAssignment>),
    States(Option<Arc<StatePartitions>>),
}

impl ShareRecord {
    /// The tombstones of a member. The order matters to Kafka when it reads them.
    pub(crate) fn of_removed_member(id: &Arc<str>) -> [ShareRecord; 3] {
        [
            ShareRecord::Current(id.clone(), None),
            ShareRecord::Target(id.clone(), None),
            ShareRecord::Member(id.clone(), None),
        ]
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        match self {
            ShareRecord::Group(value) | ShareRecord::TargetEpoch(value) => value.is_none(),
            ShareRecord::Member(_, value) => value.is_none(),
            ShareRecord::Target(_, value) => value.is_none(),
            ShareRecord::Current(_, value) => value.is_none(),
            ShareRecord::States(value) => value.is_none(),
        }
    }
}

/// The record as the log holds it.
pub(crate) fn encode(group: &str, change: &ShareRecord) -> Result<CoordinatorRecord, EncodeError> {
    let group_id = group.to_owned();
    match change {
        ShareRecord::Group(value) => {
            let value = value.map(|(epoch, metadata_hash)| GroupValue {
                epoch,
                metadata_hash,
            });
            put(GroupKey::RECORD_TYPE, &GroupKey { group_id }, value)
        }
        ShareRecord::Member(member, value) => {
            let key = MemberKey {
                group_id,
                member_id: member.to_string(),
            };
            put(MemberKey::RECORD_TYPE, &key, value.as_ref().map(to_member))
        }
        ShareRecord::TargetEpoch(value) => {
            let value = value.map(
                |(assignment_epoch, assignment_timestamp)| TargetEpochValue {
                    assignment_epoch,
                    assignment_timestamp,
                },
            );
            let key = TargetEpochKey { group_id };
            put(TargetEpochKey::RECORD_TYPE, &key, value)
        }
        ShareRecord::Target(member, value) => {
            let key = TargetKey {
                group_id,
                member_id: member.to_string(),
            };
            let value = value.as_ref().map(|partitions| to_target(partitions));
            put(TargetKey::RECORD_TYPE, &key, value)
        }
        ShareRecord::Current(member, value) => {
            let key = CurrentKey {
                group_id,
                member_id: member.to_string(),
            };
            put(
                CurrentKey::RECORD_TYPE,
                &key,
                value.as_ref().map(to_current),
            )
        }
        ShareRecord::States(value) => {
            let key = StatesKey { group_id };
            let value = value.as_ref().map(|states| to_states(states));
            put(StatesKey::RECORD_TYPE, &key, value)
        }
    }
}

/// Reads a record of one of the types above: its group and what it says; none for another type.
pub(crate) fn decode(
    record_type: i16,
    key: &mut Reader,
    value: Option<&Bytes>,
) -> Result<Option<(String, ShareRecord)>, ReplayError> {
    let decoded = match record_type {
        GroupKey::RECORD_TYPE => {
            let (key, value) = pair::<GroupKey, GroupValue>(record_type, key, value)?;
            let value = value.map(|value| (value.epoch, value.metadata_hash));
            (key.group_id, ShareRecord::Group(value))
        }
        MemberKey::RECORD_TYPE => {
            let (key, value) = pair::<MemberKey, MemberValue>(record_type, key, value)?;
            let change = ShareRecord::Member(key.member_id.into(), value.map(from_member));
            (key.group_id, change)
        }
        TargetEpochKey::RECORD_TYPE => {
            let (key, value) = pair::<TargetEpochKey, TargetEpochValue>(record_type, key, value)?;
            let value = value.map(|value| (value.assignment_epoch, value.assignment_timestamp));
            (key.group_id, ShareRecord::TargetEpoch(value))
        }
        TargetKey::RECORD_TYPE => {
            let (key, value) = pair::<TargetKey, TargetValue>(record_type, key, value)?;
            let target = value.map(|value| Arc::new(from_target(value)));
            (
                key.group_id,
                ShareRecord::Target(key.member_id.into(), target),
            )
        }
        CurrentKey::RECORD_TYPE => {
            let (key, value) = pair::<CurrentKey, CurrentValue>(record_type, key, value)?;
            let change = ShareRecord::Current(key.member_id.into(), value.map(from_current));
            (key.group_id, change)
        }
        StatesKey::RECORD_TYPE => {
            let (key, value) = pair::<StatesKey, StatesValue>(record_type, key, value)?;
            let states = value.map(|value| Arc::new(from_states(value)));
            (key.group_id, ShareRecord::States(states))
        }
        _ => return Ok(None),
    };
    Ok(Some(decoded))
}

fn to_member(metadata: &MemberMetadata) -> MemberValue {
    MemberValue {
        rack_id: metadata.rack_id.clone(),
        client_id: metadata.client_id.clone(),
        client_host: metadata.client_host.clone(),
        subscribed_topic_names: metadata.topic_names.iter().cloned().collect(),
    }
}

fn from_member(value: MemberValue) -> MemberMetadata {
    MemberMetadata {
        rack_id: value.rack_id,
        client_id: value.client_id,
        client_host: value.client_host,
        topic_names: value.subscribed_topic_names.into_iter().collect(),
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

fn to_current(current: &CurrentAssignment) -> CurrentValue {
    CurrentValue {
        member_epoch: current.epoch,
        previous_member_epoch: current.previous_epoch,
        state: STABLE,
        assigned_partitions: to_list(&current.assigned, |id, partitions| {
            current_value::TopicPartitions {
                topic_id: *id,
                partitions,
            }
        }),
    }
}

fn from_current(value: CurrentValue) -> CurrentAssignment {
    let topics = value.assigned_partitions.into_iter();
    CurrentAssignment {
        epoch: value.member_epoch,
        previous_epoch: value.previous_member_epoch,
        assigned: topics
            .map(|topic| (topic.topic_id, topic.partitions.into_iter().collect()))
            .collect(),
    }
}

fn to_states(states: &StatePartitions) -> StatesValue {
    let infos = |topics: &ByTopic| {
        let topics = topics.iter();
        topics
            .map(|(id, states)| states_value::TopicPartitionsInfo {
                topic_id: *id,
                topic_name: states.name.clone(),
                partitions: states.partitions.iter().copied().collect(),
            })
            .collect()
    };
    let deleting = states.deleting.iter();
    StatesValue {
        initializing_topics: infos(&states.initializing),
        initialized_topics: infos(&states.initialized),
        deleting_topics: deleting
            .map(|(id, name)| states_value::TopicInfo {
                topic_id: *id,
                topic_name: name.clone(),
            })
            .collect(),
    }
}

fn from_states(value: StatesValue) -> StatePartitions {
    let by_topic = |infos: Vec<states_value::TopicPartitionsInfo>| {
        let infos = infos.into_iter();
        infos
            .map(|info| {
                let states = TopicStates {
                    name: info.topic_name,
                    partitions: info.partitions.into_iter().collect(),
                };
                (info.topic_id, states)
            })
            .collect()
    };
    let deleting = value.deleting_topics.into_iter();
    StatePartitions {
        initializing: by_topic(value.initializing_topics),
        initialized: by_topic(value.initialized_topics),
        deleting: deleting
            .map(|topic| (topic.topic_id, topic.topic_name))
            .collect(),
    }
}
