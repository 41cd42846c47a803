//! OffsetDelete (KIP-496) and the deletion of topics.

use std::collections::BTreeSet;

use base::{TopicId, Uuid};
use wire::ErrorCode;
use wire::messages::offset_delete_request::OffsetDeleteRequestTopic;
use wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::action::{Action, Response, Token};
use crate::shard::Shard;
use crate::shard::effect::Change;

/// The most tombstones of one append that no request asked for: keeps such batches far below
/// `max.message.bytes`.
pub(super) const TOMBSTONES_PER_APPEND: usize = 1_000;

impl Shard {
    /// OffsetDelete, version 0. Topics that the group is subscribed to get GROUP_SUBSCRIBED_TO_TOPIC; a
    /// partition without an offset is no error. The reply waits for the tombstones.
    #[must_use]
    pub fn offset_delete(&mut self, token: Token, request: OffsetDeleteRequest) -> Vec<Action> {
        if let Err(error) = self.delete_offsets(token, &request) {
            let error_code = error.code();
            let response = OffsetDeleteResponse {
                error_code,
                ..OffsetDeleteResponse::default()
            };
            self.core.reply(token, Response::OffsetDelete(response));
        }
        self.finish()
    }

    fn delete_offsets(
        &mut self,
        token: Token,
        request: &OffsetDeleteRequest,
    ) -> Result<(), ErrorCode> {
        if request.group_id.is_empty() {
            return Err(ErrorCode::InvalidGroupId);
        }
        if let Some(error) = self.unavailable() {
            return Err(error);
        }
        let group = self
            .any_group(&request.group_id)
            .filter(|group| group.as_share().is_none())
            .ok_or(ErrorCode::GroupIdNotFound)?;
        let classic = group.as_classic();
        if classic.is_some_and(|group| !group.is_empty() && !group.uses_consumer_protocol()) {
            // What members of another protocol are subscribed to is not known.
            return Err(ErrorCode::NonEmptyGroup);
        }
        let latest = self.latest_offsets(group.id());
        let mut changes = Vec::new();
        let mut topics = Vec::new();
        for topic in &request.topics {
            let subscribed = group.is_subscribed_to(&topic.name);
            topics.push(respond(topic, subscribed));
            if subscribed {
                continue;
            }
            for partition in &topic.partitions {
                let partition = partition.partition_index;
                let topic = topic.name.clone();
                if latest.contains(&(topic.clone(), partition)) {
                    let group = group.id().clone();
                    changes.push(Change::RemoveOffset {
                        group,
                        topic,
                        partition,
                    });
                }
            }
        }
        let response = OffsetDeleteResponse {
            topics,
            ..OffsetDeleteResponse::default()
        };
        self.append_changes(changes, Some((token, Response::OffsetDelete(response))));
        Ok(())
    }

    /// Topics were deleted: removes the offsets committed for them, those of a later topic of the same name
    /// excepted, and what share groups know of their partitions.
    #[must_use]
    pub fn topics_deleted(&mut self, deleted: &[(String, TopicId)]) -> Vec<Action> {
        if self.unavailable().is_some() {
            return Vec::new();
        }
        let mut changes = Vec::new();
        for group in self.offsets.groups() {
            for (topic, id) in deleted {
                for partition in self.offsets_of_topic(&group, topic, id.0) {
                    changes.push(Change::RemoveOffset {
                        group: group.clone(),
                        topic: topic.clone(),
                        partition,
                    });
                }
            }
        }
        self.append_in_batches(changes);
        let ids: Vec<Uuid> = deleted.iter().map(|(_, id)| id.0).collect();
        self.forget_share_states(&ids);
        self.finish()
    }

    /// The partitions of `topic` with an offset, durable or staged, of the topic with that id or of none.
    fn offsets_of_topic(&self, group: &str, topic: &str, topic_id: Uuid) -> BTreeSet<i32> {
        let matches = |committed: Uuid| committed.is_zero() || committed == topic_id;
        let durable = self
            .offsets
            .of_group(group)
            .and_then(|topics| topics.get(topic));
        let durable = durable.into_iter().flatten();
        let durable = durable
            .filter(|(_, entry)| matches(entry.topic_id))
            .map(|(index, _)| *index);
        let staged = self
            .staged_changes(group)
            .filter_map(|change| match change {
                Change::PutOffset {
                    topic: name,
                    partition,
                    entry,
                    ..
                } if name == topic && matches(entry.topic_id) => Some(*partition),
                _ => None,
            });
        let open = self.offsets.open.offsets_of_topic(group, topic, topic_id);
        durable.chain(staged).chain(open).collect()
    }

    /// Appends changes that no request waits for, in batches of bounded size.
    pub(super) fn append_in_batches(&mut self, mut changes: Vec<Change>) {
        while !changes.is_empty() {
            let rest = changes.split_off(changes.len().min(TOMBSTONES_PER_APPEND));
            self.append_changes(std::mem::replace(&mut changes, rest), None);
        }
    }
}

fn respond(topic: &OffsetDeleteRequestTopic, subscribed: bool) -> OffsetDeleteResponseTopic {
    let error = if subscribed {
        ErrorCode::GroupSubscribedToTopic
    } else {
        ErrorCode::None
    };
    let partitions = topic
        .partitions
        .iter()
        .map(|partition| OffsetDeleteResponsePartition {
            partition_index: partition.partition_index,
            error_code: error.code(),
        });
    OffsetDeleteResponseTopic {
        name: topic.name.clone(),
        partitions: partitions.collect(),
    }
}
