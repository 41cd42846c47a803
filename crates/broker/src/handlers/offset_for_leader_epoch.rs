//! OffsetForLeaderEpoch (key 23, KIP-320): where an epoch of the log ends, for truncation detection.

use std::sync::Arc;

use base::{LeaderEpoch, PartitionIndex};
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use wire::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::Topic;

/// Answers per partition; an epoch the log does not know has epoch and offset -1.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request
        .topics
        .into_iter()
        .map(|asked| {
            let allowed = server.allows(
                &context,
                Operation::Describe,
                ResourceType::Topic,
                &asked.topic,
            );
            let topic = server.topics().get(&asked.topic);
            let partitions = asked
                .partitions
                .iter()
                .map(|partition| {
                    let found = if allowed {
                        look_up(topic.as_deref(), partition)
                    } else {
                        Err(ErrorCode::TopicAuthorizationFailed)
                    };
                    let (error, leader_epoch, end_offset) = match found {
                        Ok((epoch, offset)) => (ErrorCode::None, epoch, offset),
                        Err(error) => (error, -1, -1),
                    };
                    EpochEndOffset {
                        error_code: error.code(),
                        partition: partition.partition,
                        leader_epoch,
                        end_offset,
                    }
                })
                .collect();
            OffsetForLeaderTopicResult {
                topic: asked.topic,
                partitions,
            }
        })
        .collect();
    OffsetForLeaderEpochResponse {
        topics,
        ..OffsetForLeaderEpochResponse::default()
    }
}

fn look_up(
    topic: Option<&Topic>,
    asked: &OffsetForLeaderPartition,
) -> Result<(i32, i64), ErrorCode> {
    let partition = topic
        .and_then(|topic| topic.partition(PartitionIndex(asked.partition)))
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if !partition.is_online() {
        return Err(ErrorCode::KafkaStorageError);
    }
    partition.check_epoch(asked.current_leader_epoch)?;
    let end = partition
        .log
        .end_offset_for_epoch(LeaderEpoch(asked.leader_epoch));
    Ok((end.leader_epoch.0, end.end_offset.0))
}
