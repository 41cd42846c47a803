//! OffsetCommit. Source: Kafka's `OffsetMetadataManager.commitOffset` and
//! `ClassicGroup.validateOffsetCommit`.

use std::sync::Arc;

use base::Uuid;
use wire::ErrorCode;
use wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use wire::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::OffsetEntry;
use crate::action::{Action, RequestContext, Response, Token};
use crate::consumer::Committer;
use crate::group::{ClassicGroup, GroupState};
use crate::shard::Shard;
use crate::shard::effect::Change;

/// "The broker's retention applies" (`OffsetCommitRequest.DEFAULT_RETENTION_TIME`).
const DEFAULT_RETENTION_TIME_MS: i64 = -1;

impl Shard {
    /// OffsetCommit, versions 2 to 10. The reply waits until the offsets are durable.
    ///
    /// The broker has checked that the topics exist and may be read, and left out those that do not; for
    /// version 10 it has set each topic's `name`, and in any version its `topic_id` if it knows it. Names
    /// and ids come back in the response; the encoding of a version drops what that version does not have.
    #[must_use]
    pub fn offset_commit(
        &mut self,
        token: Token,
        context: &RequestContext,
        request: OffsetCommitRequest,
    ) -> Vec<Action> {
        let checked = match self.unavailable() {
            Some(error) => Err(error),
            None => self.check_commit(context.version, &request),
        };
        match checked {
            Ok(()) => self.commit_offsets(token, request),
            Err(error) => {
                let response = respond(&request.topics, |_| error);
                self.core.reply(token, Response::OffsetCommit(response));
            }
        }
        self.finish()
    }

    /// The empty group id is allowed: old consumers that manage no group commit under it (KAFKA-6773).
    fn check_commit(
        &mut self,
        version: i16,
        request: &OffsetCommitRequest,
    ) -> Result<(), ErrorCode> {
        if self.share_group(&request.group_id).is_some() {
            return Err(ErrorCode::GroupIdNotFound);
        }
        let committer = Committer {
            member_id: &request.member_id,
            instance_id: request.group_instance_id.as_deref(),
            epoch: request.generation_id_or_member_epoch,
            version: Some(version),
        };
        if let Some(group) = self.consumer(&request.group_id) {
            return group.validate_commit(committer, partitions(&request.topics));
        }
        if let Some(group) = self.streams(&request.group_id) {
            return group.validate_commit(committer, named_partitions(&request.topics));
        }
        let Some((group, core)) = self.group_mut(&request.group_id) else {
            // Without a generation it comes from an administrator or from a consumer that assigns its own
            // partitions: the commit makes a simple group.
            return match request.generation_id_or_member_epoch {
                ..0 => Ok(()),
                _ if version >= 9 => Err(ErrorCode::GroupIdNotFound),
                _ => Err(ErrorCode::IllegalGeneration),
            };
        };
        group.validate_commit(request)?;
        // A commit shows that the member is alive.
        if matches!(
            group.state,
            GroupState::Stable | GroupState::PreparingRebalance
        ) {
            group.extend_session(core, &request.member_id);
        }
        Ok(())
    }

    fn commit_offsets(&mut self, token: Token, request: OffsetCommitRequest) {
        let group: Arc<str> = request.group_id.into();
        let now_ms = self.core.now_ms();
        let expire_timestamp_ms = match request.retention_time_ms {
            DEFAULT_RETENTION_TIME_MS => None,
            retention_ms => Some(now_ms.saturating_add(retention_ms)),
        };
        let max_metadata = self.core.config.offset_metadata_max_bytes;
        let check = |partition: &OffsetCommitRequestPartition| {
            check_metadata(partition.committed_metadata.as_deref(), max_metadata)
        };
        let response = respond(&request.topics, check);
        let mut changes = Vec::new();
        for topic in request.topics {
            for partition in topic.partitions {
                if check(&partition).is_error() {
                    continue;
                }
                changes.push(Change::PutOffset {
                    group: group.clone(),
                    topic: topic.name.clone(),
                    partition: partition.partition_index,
                    entry: OffsetEntry {
                        offset: partition.committed_offset,
                        leader_epoch: partition.committed_leader_epoch,
                        metadata: partition.committed_metadata.unwrap_or_default(),
                        commit_timestamp_ms: now_ms,
                        expire_timestamp_ms,
                        topic_id: topic.topic_id,
                    },
                });
            }
        }
        self.append_changes(changes, Some((token, Response::OffsetCommit(response))));
    }
}

impl ClassicGroup {
    fn validate_commit(&self, request: &OffsetCommitRequest) -> Result<(), ErrorCode> {
        let generation = request.generation_id_or_member_epoch;
        let instance_id = request.group_instance_id.as_deref();
        if generation < 0 && self.state == GroupState::Empty {
            return Ok(());
        }
        if generation >= 0 || !request.member_id.is_empty() || instance_id.is_some() {
            self.validate_member(&request.member_id, instance_id)?;
            if generation != self.generation {
                return Err(ErrorCode::IllegalGeneration);
            }
        } else if self.state != GroupState::Empty {
            // A group with members is no place for commits from outside.
            return Err(ErrorCode::UnknownMemberId);
        }
        if self.state == GroupState::CompletingRebalance {
            // The member has the new generation but not its assignment: it cannot own what it commits.
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }
}

/// Whether the metadata of an offset is within `offset.metadata.max.bytes`, which Kafka counts by Java's `String.length()`: in
/// UTF-16 units.
pub(super) fn check_metadata(metadata: Option<&str>, max: usize) -> ErrorCode {
    if metadata.unwrap_or_default().encode_utf16().count() > max {
        ErrorCode::OffsetMetadataTooLarge
    } else {
        ErrorCode::None
    }
}

fn partitions(topics: &[OffsetCommitRequestTopic]) -> impl Iterator<Item = (Uuid, i32)> + '_ {
    topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(move |partition| (topic.topic_id, partition.partition_index))
    })
}

fn named_partitions(topics: &[OffsetCommitRequestTopic]) -> impl Iterator<Item = (&str, i32)> + '_ {
    topics.iter().flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(move |partition| (topic.name.as_str(), partition.partition_index))
    })
}

fn respond(
    topics: &[OffsetCommitRequestTopic],
    error_of: impl Fn(&OffsetCommitRequestPartition) -> ErrorCode,
) -> OffsetCommitResponse {
    let respond_partition =
        |partition: &OffsetCommitRequestPartition| OffsetCommitResponsePartition {
            partition_index: partition.partition_index,
            error_code: error_of(partition).code(),
        };
    let respond_topic = |topic: &OffsetCommitRequestTopic| OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(respond_partition).collect(),
    };
    OffsetCommitResponse {
        topics: topics.iter().map(respond_topic).collect(),
        ..OffsetCommitResponse::default()
    }
}
