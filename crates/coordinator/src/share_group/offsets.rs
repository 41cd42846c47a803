//! The states of a share group's partitions over time: initialized, reset and deleted by administrators, and gone
//! with their topics.
//!
//! The shard keeps account; the share coordinator does it. So each of these takes two or three steps: write down
//! what is to be done, have it done, and write down that it is. Source: Kafka's
//! `GroupMetadataManager.{initialize,uninitialize}ShareGroupState`, `alterShareGroupOffsets`,
//! `sharePartitionsEligibleForOffsetDeletion`, `completeDeleteShareGroupOffsets`,
//! `shareGroupBuildPartitionDeleteRequest` and `maybeCleanupShareGroupState`, 4.3.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Offset, Uuid};
use wire::ErrorCode;
use wire::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequestTopic;
use wire::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponsePartition, AlterShareGroupOffsetsResponseTopic,
};
use wire::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic;

use super::group::ShareGroup;
use super::records::ShareRecord;
use super::states::{ByTopic, StatePartitions, TopicStates};
use super::{SharePartitions, ShareStates};
use crate::action::{Action, Response, Token};
use crate::cluster::ClusterView;
use crate::consumer::Failure;
use crate::shard::Shard;
use crate::shard::write::LogRecord;

const NON_EMPTY: &str = "The group is not empty.";
const UNKNOWN_PARTITION: &str = "This server does not host this topic-partition.";

/// The answer to [`Shard::alter_share_group_offsets`].
#[derive(Clone, Debug, PartialEq)]
pub struct AlteredShareOffsets {
    /// Why nothing is to be done, with Kafka's words.
    pub error: Option<(ErrorCode, Option<String>)>,
    /// The answer once `initialize` is done.
    pub topics: Vec<AlterShareGroupOffsetsResponseTopic>,
    /// What to have initialized.
    pub initialize: ShareStates,
}

/// The answer to [`Shard::delete_share_group_offsets`] and [`Shard::delete_share_group_states`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeletedShareOffsets {
    /// Why nothing is to be done, with Kafka's words.
    pub error: Option<(ErrorCode, Option<String>)>,
    /// The topics that have no states to delete.
    pub refused: Vec<DeleteShareGroupOffsetsResponseTopic>,
    /// What to have deleted.
    pub delete: SharePartitions,
}

impl Shard {
    /// The share coordinator has initialized these.
    #[must_use]
    pub fn share_states_initialized(
        &mut self,
        token: Token,
        group_id: &str,
        partitions: &SharePartitions,
    ) -> Vec<Action> {
        self.change_share_states(token, group_id, |states, cluster| {
            states.initialized(partitions, cluster);
        })
    }

    /// The share coordinator could not initialize these; the next heartbeat asks again.
    #[must_use]
    pub fn share_states_not_initialized(
        &mut self,
        token: Token,
        group_id: &str,
        partitions: &SharePartitions,
    ) -> Vec<Action> {
        self.change_share_states(token, group_id, |states, _| {
            states.remove_initializing(partitions);
        })
    }

    /// The share coordinator has deleted every state of these topics.
    #[must_use]
    pub fn share_offsets_deleted(
        &mut self,
        token: Token,
        group_id: &str,
        topics: &[Uuid],
    ) -> Vec<Action> {
        self.change_share_states(token, group_id, |states, _| {
            states.deleting.retain(|id, _| !topics.contains(id));
        })
    }

    /// Answers [`Response::ShareStatesWritten`] when the change is durable. A group that is gone changes nothing.
    fn change_share_states(
        &mut self,
        token: Token,
        group_id: &str,
        change: impl FnOnce(&mut StatePartitions, &dyn ClusterView),
    ) -> Vec<Action> {
        if let Some(error) = self.unavailable() {
            self.core.reply(token, Response::ShareStatesWritten(error));
            return self.finish();
        }
        let reply = (token, Response::ShareStatesWritten(ErrorCode::None));
        let Some(group) = self.share_group(group_id) else {
            let (token, response) = reply;
            self.core.reply(token, response);
            return self.finish();
        };
        let id = group.id.clone();
        let before = group.states.clone();
        let mut states = before.as_deref().cloned().unwrap_or_default();
        change(&mut states, &*self.cluster);
        let changed = before.as_deref() != Some(&states);
        let record = changed.then(|| states_record(states));
        self.write(&id, record.into_iter().collect(), Some(reply));
        self.finish()
    }

    /// AlterShareGroupOffsets, version 0: what has to be initialized for it, when that is written down. A group
    /// without members is reset; one that does not exist is made.
    #[must_use]
    pub fn alter_share_group_offsets(
        &mut self,
        token: Token,
        group_id: &str,
        topics: &[AlterShareGroupOffsetsRequestTopic],
    ) -> Vec<Action> {
        match self.begin_altering(group_id, topics) {
            Ok((records, answer)) => {
                let reply = (token, Response::AlterShareGroupOffsets(Box::new(answer)));
                self.write(&group_id.into(), records, Some(reply));
                if let Some((group, core)) = self.share_group_mut(group_id) {
                    group.initializing_since_ms = core.now_ms();
                }
            }
            Err(failure) => {
                let answer = AlteredShareOffsets {
                    error: Some((failure.code, failure.message)),
                    topics: Vec::new(),
                    initialize: ShareStates {
                        state_epoch: 0,
                        start_offsets: BTreeMap::new(),
                    },
                };
                let response = Response::AlterShareGroupOffsets(Box::new(answer));
                self.core.reply(token, response);
            }
        }
        self.finish()
    }

    fn begin_altering(
        &mut self,
        group_id: &str,
        topics: &[AlterShareGroupOffsetsRequestTopic],
    ) -> Result<(Vec<LogRecord>, AlteredShareOffsets), Failure> {
        if let Some(error) = self.unavailable() {
            return Err(error.into());
        }
        if group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId.into());
        }
        let made = match self.find_share_group(group_id, "Share group") {
            Ok(_) => None,
            Err(_) if self.any_group(group_id).is_none() => {
                Some(ShareGroup::new(group_id.into(), self.core.incarnation()))
            }
            Err(failure) => return Err(failure),
        };
        let group = made.as_ref().or_else(|| self.share_group(group_id));
        let group = group.ok_or(ErrorCode::UnknownServerError)?;
        if !group.members.is_empty() {
            return Err(Failure::new(ErrorCode::NonEmptyGroup, NON_EMPTY));
        }
        let mut initializing = ByTopic::new();
        let mut start_offsets: BTreeMap<Uuid, BTreeMap<i32, Offset>> = BTreeMap::new();
        let mut answers = Vec::with_capacity(topics.len());
        for topic in topics {
            let found = self.cluster.topic(&topic.topic_name);
            let count = found.as_ref().map_or(0, |found| found.partitions);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let index = partition.partition_index;
                let known = found.as_ref().filter(|_| (0..count).contains(&index));
                partitions.push(altered(index, known.is_some()));
                if let Some(found) = known {
                    let offsets = start_offsets.entry(found.id).or_default();
                    offsets.insert(index, Offset(partition.start_offset));
                    let states = initializing.entry(found.id).or_insert_with(|| TopicStates {
                        name: topic.topic_name.clone(),
                        partitions: Default::default(),
                    });
                    states.partitions.insert(index);
                }
            }
            answers.push(AlterShareGroupOffsetsResponseTopic {
                topic_name: topic.topic_name.clone(),
                topic_id: found.map_or(Uuid::ZERO, |found| found.id),
                partitions,
            });
        }
        let mut records = Vec::new();
        if !initializing.is_empty() {
            let mut states = group.states.as_deref().cloned().unwrap_or_default();
            states.begin(&initializing);
            records.push(states_record(states));
        }
        let answer = AlteredShareOffsets {
            error: None,
            topics: answers,
            initialize: ShareStates {
                state_epoch: group.epoch,
                start_offsets,
            },
        };
        Ok((records, answer))
    }

    /// DeleteShareGroupOffsets, version 0: what has to be deleted for it, when that is written down;
    /// [`Shard::share_offsets_deleted`] reports on it.
    #[must_use]
    pub fn delete_share_group_offsets(
        &mut self,
        token: Token,
        group_id: &str,
        topic_names: &[String],
    ) -> Vec<Action> {
        let begun = self.begin_deletion(group_id, |states, cluster| {
            let mut deletion = DeletedShareOffsets::default();
            for name in topic_names {
                let topic = cluster.topic(name);
                let partitions = topic
                    .as_ref()
                    .and_then(|topic| states.delete_topic(topic.id, cluster));
                match (topic, partitions) {
                    (Some(topic), Some(partitions)) => {
                        deletion.delete.insert(topic.id, partitions);
                    }
                    (topic, _) => deletion.refused.push(refused(name, topic.is_some())),
                }
            }
            deletion
        });
        self.answer_deletion(token, group_id, begun)
    }

    /// The first half of deleting a share group: what has to be deleted before the group itself is, when that is
    /// written down. Nothing for a group that is of another type or does not exist.
    #[must_use]
    pub fn delete_share_group_states(&mut self, token: Token, group_id: &str) -> Vec<Action> {
        let begun = match self.begin_deletion(group_id, |states, cluster| DeletedShareOffsets {
            delete: states.delete_all(cluster),
            ..DeletedShareOffsets::default()
        }) {
            Err(failure) if failure.code == ErrorCode::GroupIdNotFound => Ok(Default::default()),
            begun => begun,
        };
        self.answer_deletion(token, group_id, begun)
    }

    fn begin_deletion(
        &self,
        group_id: &str,
        choose: impl FnOnce(&mut StatePartitions, &dyn ClusterView) -> DeletedShareOffsets,
    ) -> Result<(Vec<LogRecord>, DeletedShareOffsets), Failure> {
        if let Some(error) = self.unavailable() {
            return Err(error.into());
        }
        if group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId.into());
        }
        let group = self.find_share_group(group_id, "Group")?;
        if !group.members.is_empty() {
            return Err(Failure::new(ErrorCode::NonEmptyGroup, NON_EMPTY));
        }
        let Some(before) = group.states.as_deref() else {
            return Ok(Default::default());
        };
        let mut states = before.clone();
        let deletion = choose(&mut states, &*self.cluster);
        let changed = states != *before;
        let records = changed.then(|| states_record(states));
        Ok((records.into_iter().collect(), deletion))
    }

    fn answer_deletion(
        &mut self,
        token: Token,
        group_id: &str,
        begun: Result<(Vec<LogRecord>, DeletedShareOffsets), Failure>,
    ) -> Vec<Action> {
        let (records, answer) = begun.unwrap_or_else(|failure| {
            let answer = DeletedShareOffsets {
                error: Some((failure.code, failure.message)),
                ..DeletedShareOffsets::default()
            };
            (Vec::new(), answer)
        });
        let reply = (token, Response::DeleteShareGroupOffsets(Box::new(answer)));
        self.write(&group_id.into(), records, Some(reply));
        self.finish()
    }

    /// The share partitions of a group whose states are initialized; none of a group that is no share group.
    #[must_use]
    pub fn initialized_share_partitions(&self, group_id: &str) -> SharePartitions {
        let group = self.share_group(group_id);
        let states = group.and_then(|group| group.states.as_deref());
        let topics = states.into_iter().flat_map(|states| &states.initialized);
        topics
            .map(|(id, states)| (*id, states.partitions.clone()))
            .collect()
    }

    /// Topics were deleted: share groups forget the states of their partitions.
    pub(crate) fn forget_share_states(&mut self, topics: &[Uuid]) {
        let groups: Vec<(Arc<str>, StatePartitions)> = self
            .groups
            .values()
            .filter_map(|group| {
                let group = group.as_share().filter(|group| !group.lifecycle.deleting)?;
                let mut states = group.states.as_deref()?.clone();
                states.forget(topics).then(|| (group.id.clone(), states))
            })
            .collect();
        for (id, states) in groups {
            self.write(&id, vec![states_record(states)], None);
        }
    }
}

fn states_record(states: StatePartitions) -> LogRecord {
    LogRecord::Share(ShareRecord::States(Some(Arc::new(states))))
}

fn altered(partition_index: i32, known: bool) -> AlterShareGroupOffsetsResponsePartition {
    let error = if known {
        ErrorCode::None
    } else {
        ErrorCode::UnknownTopicOrPartition
    };
    AlterShareGroupOffsetsResponsePartition {
        partition_index,
        error_code: error.code(),
        error_message: (!known).then(|| UNKNOWN_PARTITION.to_owned()),
    }
}

fn refused(name: &str, exists: bool) -> DeleteShareGroupOffsetsResponseTopic {
    let message = if exists {
        "There is no offset information to delete."
    } else {
        UNKNOWN_PARTITION
    };
    DeleteShareGroupOffsetsResponseTopic {
        topic_name: name.to_owned(),
        error_code: ErrorCode::UnknownTopicOrPartition.code(),
        error_message: Some(message.to_owned()),
        ..DeleteShareGroupOffsetsResponseTopic::default()
    }
}
