//! The records of a streams group, as the state machine wants them and as the log holds them.
//!
//! | record | type | value |
//! |---|---|---|
//! | StreamsGroupMetadata | 17 | group epoch, metadata hash, epoch of the topology whose topics are there |
//! | StreamsGroupMemberMetadata | 19 | who a member is |
//! | StreamsGroupTargetAssignmentMetadata | 20 | the epoch of the target assignment, and when it was made |
//! | StreamsGroupTargetAssignmentMember | 21 | what a member shall have |
//! | StreamsGroupCurrentMemberAssignment | 22 | what a member has |
//! | StreamsGroupTopology | 23 | the topology |
//!
//! All values are of version 0. Source: `StreamsCoordinatorRecordHelpers`, Kafka 4.3.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use wire::coordinator_records::streams_group_current_member_assignment_value as current_value;
use wire::coordinator_records::streams_group_member_metadata_value as member_value;
use wire::coordinator_records::streams_group_metadata_value::LastAssignmentConfig;
use wire::coordinator_records::streams_group_target_assignment_member_value as target_value;
use wire::coordinator_records::{
    StreamsGroupCurrentMemberAssignmentKey as CurrentKey,
    StreamsGroupCurrentMemberAssignmentValue as CurrentValue,
    StreamsGroupMemberMetadataKey as MemberKey, StreamsGroupMemberMetadataValue as MemberValue,
    StreamsGroupMetadataKey as GroupKey, StreamsGroupMetadataValue as GroupValue,
    StreamsGroupTargetAssignmentMemberKey as TargetKey,
    StreamsGroupTargetAssignmentMemberValue as TargetValue,
    StreamsGroupTargetAssignmentMetadataKey as TargetEpochKey,
    StreamsGroupTargetAssignmentMetadataValue as TargetEpochValue,
    StreamsGroupTopologyKey as TopologyKey, StreamsGroupTopologyValue as TopologyValue,
};
use wire::{EncodeError, Reader};

use super::member::{CurrentAssignment, MemberMetadata, UserEndpoint};
use super::tasks::{OwnedTasks, TaskEpochs, TaskSet, Tasks};
use super::topology::Topology;
use crate::action::CoordinatorRecord;
use crate::consumer::member::MemberState;
use crate::partition_lists::{from_list_with_epochs, to_list, to_list_with_epochs};
use crate::record::{ReplayError, decode_pair as pair, group_record as put};

/// What the StreamsGroupMetadata record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupMetadata {
    /// Grows with each change that asks for a new assignment, from 1, of which no record tells.
    pub(crate) epoch: i32,
    /// Of the topics the topology requires.
    pub(crate) metadata_hash: i64,
    /// The epoch of the topology whose topics were all there and right; -1 for none.
    pub(crate) validated_topology_epoch: i32,
    /// What the assignor was told, by Kafka's names.
    pub(crate) assignment_configs: BTreeMap<String, String>,
    /// Which topology's description a plugin has stored, and which it could not (KIP-1331); kept for the broker that
    /// has a plugin.
    pub(crate) description_epochs: (i32, i32),
}

impl Default for GroupMetadata {
    fn default() -> GroupMetadata {
        GroupMetadata {
            epoch: 1,
            metadata_hash: 0,
            validated_topology_epoch: -1,
            assignment_configs: BTreeMap::new(),
            description_epochs: (-1, -1),
        }
    }
}

/// One record of a streams group; no value for a tombstone.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StreamsRecord {
    Group(Option<GroupMetadata>),
    Topology(Option<Arc<Topology>>),
    Member(Arc<str>, Option<MemberMetadata>),
    /// Epoch and wall-clock milliseconds.
    TargetEpoch(Option<(i32, i64)>),
    Target(Arc<str>, Option<Arc<Tasks>>),
    Current(Arc<str>, Option<CurrentAssignment>),
}

impl StreamsRecord {
    /// The tombstones of a member. The order matters to Kafka when it reads them.
    pub(crate) fn of_removed_member(id: &Arc<str>) -> [StreamsRecord; 3] {
        [
            StreamsRecord::Current(id.clone(), None),
            StreamsRecord::Target(id.clone(), None),
            StreamsRecord::Member(id.clone(), None),
        ]
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        match self {
            StreamsRecord::Group(value) => value.is_none(),
            StreamsRecord::Topology(value) => value.is_none(),
            StreamsRecord::Member(_, value) => value.is_none(),
            StreamsRecord::TargetEpoch(value) => value.is_none(),
            StreamsRecord::Target(_, value) => value.is_none(),
            StreamsRecord::Current(_, value) => value.is_none(),
        }
    }
}

/// The record as the log holds it.
pub(crate) fn encode(
    group: &str,
    change: &StreamsRecord,
) -> Result<CoordinatorRecord, EncodeError> {
    let group_id = group.to_owned();
    match change {
        StreamsRecord::Group(value) => {
            let key = GroupKey { group_id };
            put(GroupKey::RECORD_TYPE, &key, value.as_ref().map(to_group))
        }
        StreamsRecord::Topology(value) => {
            let value = value.as_ref().map(|topology| topology.to_value());
            put(TopologyKey::RECORD_TYPE, &TopologyKey { group_id }, value)
        }
        StreamsRecord::Member(member, value) => {
            let key = MemberKey {
                group_id,
                member_id: member.to_string(),
            };
            put(MemberKey::RECORD_TYPE, &key, value.as_ref().map(to_member))
        }
        StreamsRecord::TargetEpoch(value) => {
            let value = value.map(
                |(assignment_epoch, assignment_timestamp)| TargetEpochValue {
                    assignment_epoch,
                    assignment_timestamp,
                },
            );
            let key = TargetEpochKey { group_id };
            put(TargetEpochKey::RECORD_TYPE, &key, value)
        }
        StreamsRecord::Target(member, value) => {
            let key = TargetKey {
                group_id,
                member_id: member.to_string(),
            };
            let value = value.as_ref().map(|tasks| TargetValue {
                active_tasks: to_target(&tasks.active),
                standby_tasks: to_target(&tasks.standby),
                warmup_tasks: to_target(&tasks.warmup),
            });
            put(TargetKey::RECORD_TYPE, &key, value)
        }
        StreamsRecord::Current(member, value) => {
            let key = CurrentKey {
                group_id,
                member_id: member.to_string(),
            };
            let value = value.as_ref().map(to_current);
            put(CurrentKey::RECORD_TYPE, &key, value)
        }
    }
}

/// Reads a record of one of the types above: its group and what it says; none for another type.
pub(crate) fn decode(
    record_type: i16,
    key: &mut Reader,
    value: Option<&Bytes>,
) -> Result<Option<(String, StreamsRecord)>, ReplayError> {
    let decoded = match record_type {
        GroupKey::RECORD_TYPE => {
            let (key, value) = pair::<GroupKey, GroupValue>(record_type, key, value)?;
            (key.group_id, StreamsRecord::Group(value.map(from_group)))
        }
        TopologyKey::RECORD_TYPE => {
            let (key, value) = pair::<TopologyKey, TopologyValue>(record_type, key, value)?;
            let topology =
                value.map(|value| Arc::new(Topology::new(value.epoch, value.subtopologies)));
            (key.group_id, StreamsRecord::Topology(topology))
        }
        MemberKey::RECORD_TYPE => {
            let (key, value) = pair::<MemberKey, MemberValue>(record_type, key, value)?;
            let change = StreamsRecord::Member(key.member_id.into(), value.map(from_member));
            (key.group_id, change)
        }
        TargetEpochKey::RECORD_TYPE => {
            let (key, value) = pair::<TargetEpochKey, TargetEpochValue>(record_type, key, value)?;
            let value = value.map(|value| (value.assignment_epoch, value.assignment_timestamp));
            (key.group_id, StreamsRecord::TargetEpoch(value))
        }
        TargetKey::RECORD_TYPE => {
            let (key, value) = pair::<TargetKey, TargetValue>(record_type, key, value)?;
            let target = value.map(|value| {
                Arc::new(Tasks {
                    active: from_target(value.active_tasks),
                    standby: from_target(value.standby_tasks),
                    warmup: from_target(value.warmup_tasks),
                })
            });
            (
                key.group_id,
                StreamsRecord::Target(key.member_id.into(), target),
            )
        }
        CurrentKey::RECORD_TYPE => {
            let (key, value) = pair::<CurrentKey, CurrentValue>(record_type, key, value)?;
            let change = StreamsRecord::Current(key.member_id.into(), value.map(from_current));
            (key.group_id, change)
        }
        _ => return Ok(None),
    };
    Ok(Some(decoded))
}

fn to_group(metadata: &GroupMetadata) -> GroupValue {
    let configs = metadata.assignment_configs.iter();
    let (stored, failed) = metadata.description_epochs;
    GroupValue {
        epoch: metadata.epoch,
        metadata_hash: metadata.metadata_hash,
        validated_topology_epoch: metadata.validated_topology_epoch,
        last_assignment_configs: Some(
            configs
                .map(|(key, value)| LastAssignmentConfig {
                    key: key.clone(),
                    value: value.clone(),
                })
                .collect(),
        ),
        stored_description_topology_epoch: stored,
        failed_description_topology_epoch: failed,
    }
}

fn from_group(value: GroupValue) -> GroupMetadata {
    let configs = value.last_assignment_configs.unwrap_or_default();
    GroupMetadata {
        epoch: value.epoch,
        metadata_hash: value.metadata_hash,
        validated_topology_epoch: value.validated_topology_epoch,
        assignment_configs: configs
            .into_iter()
            .map(|config| (config.key, config.value))
            .collect(),
        description_epochs: (
            value.stored_description_topology_epoch,
            value.failed_description_topology_epoch,
        ),
    }
}

fn to_member(metadata: &MemberMetadata) -> MemberValue {
    let endpoint = metadata.user_endpoint.as_ref();
    let tags = metadata.client_tags.iter();
    MemberValue {
        instance_id: metadata.instance_id.as_deref().map(str::to_owned),
        rack_id: metadata.rack_id.clone(),
        client_id: metadata.client_id.clone(),
        client_host: metadata.client_host.clone(),
        rebalance_timeout_ms: metadata.rebalance_timeout_ms,
        topology_epoch: metadata.topology_epoch,
        process_id: metadata.process_id.to_string(),
        user_endpoint: endpoint.map(|endpoint| member_value::Endpoint {
            host: endpoint.host.clone(),
            port: endpoint.port,
        }),
        client_tags: tags
            .map(|(key, value)| member_value::KeyValue {
                key: key.clone(),
                value: value.clone(),
            })
            .collect(),
    }
}

fn from_member(value: MemberValue) -> MemberMetadata {
    let endpoint = value.user_endpoint;
    let tags = value.client_tags.into_iter();
    MemberMetadata {
        instance_id: value.instance_id.map(Into::into),
        rack_id: value.rack_id,
        client_id: value.client_id,
        client_host: value.client_host,
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        topology_epoch: value.topology_epoch,
        process_id: value.process_id.into(),
        user_endpoint: endpoint.map(|endpoint| UserEndpoint {
            host: endpoint.host,
            port: endpoint.port,
        }),
        client_tags: tags.map(|tag| (tag.key, tag.value)).collect(),
    }
}

fn to_target(tasks: &TaskSet) -> Vec<target_value::TaskIds> {
    to_list(tasks, |subtopology, partitions| target_value::TaskIds {
        subtopology_id: subtopology.to_string(),
        partitions,
    })
}

fn from_target(tasks: Vec<target_value::TaskIds>) -> TaskSet {
    let tasks = tasks.into_iter();
    tasks
        .map(|task| {
            let partitions = task.partitions.into_iter().collect();
            (task.subtopology_id.into(), partitions)
        })
        .collect()
}

fn to_current(current: &CurrentAssignment) -> CurrentValue {
    let (assigned, revoking) = (&current.assigned, &current.revoking);
    CurrentValue {
        member_epoch: current.epoch,
        previous_member_epoch: current.previous_epoch,
        state: current.state.code(),
        active_tasks: to_active(&assigned.active),
        standby_tasks: to_tasks(&assigned.standby),
        warmup_tasks: to_tasks(&assigned.warmup),
        active_tasks_pending_revocation: to_active(&revoking.active),
        standby_tasks_pending_revocation: to_tasks(&revoking.standby),
        warmup_tasks_pending_revocation: to_tasks(&revoking.warmup),
    }
}

fn to_active(tasks: &TaskEpochs) -> Vec<current_value::TaskIds> {
    to_list_with_epochs(tasks, |subtopology, partitions, epochs| {
        current_value::TaskIds {
            subtopology_id: subtopology.to_string(),
            partitions,
            assignment_epochs: Some(epochs),
        }
    })
}

fn to_tasks(tasks: &TaskSet) -> Vec<current_value::TaskIds> {
    to_list(tasks, |subtopology, partitions| current_value::TaskIds {
        subtopology_id: subtopology.to_string(),
        partitions,
        assignment_epochs: None,
    })
}

fn from_current(value: CurrentValue) -> CurrentAssignment {
    let epoch = value.member_epoch;
    CurrentAssignment {
        state: MemberState::from_code(value.state),
        epoch,
        previous_epoch: value.previous_member_epoch,
        assigned: OwnedTasks {
            active: from_active(value.active_tasks, epoch),
            standby: from_tasks(value.standby_tasks),
            warmup: from_tasks(value.warmup_tasks),
        },
        revoking: OwnedTasks {
            active: from_active(value.active_tasks_pending_revocation, epoch),
            standby: from_tasks(value.standby_tasks_pending_revocation),
            warmup: from_tasks(value.warmup_tasks_pending_revocation),
        },
    }
}

fn from_active(tasks: Vec<current_value::TaskIds>, epoch: i32) -> TaskEpochs {
    let tasks = tasks.into_iter();
    let tasks = tasks.map(|task| {
        let subtopology = task.subtopology_id.into();
        (subtopology, task.partitions, task.assignment_epochs)
    });
    from_list_with_epochs(tasks, epoch)
}

fn from_tasks(tasks: Vec<current_value::TaskIds>) -> TaskSet {
    let mut set = TaskSet::new();
    for task in tasks {
        let partitions = set.entry(task.subtopology_id.into()).or_default();
        partitions.extend(task.partitions);
    }
    set.retain(|_, partitions| !partitions.is_empty());
    set
}
