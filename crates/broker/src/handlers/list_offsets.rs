//! ListOffsets (key 2): the offset of a timestamp, or of one of the special ones below zero.

use std::sync::Arc;

use base::{LeaderEpoch, Offset, PartitionIndex};
use security::{Operation, ResourceType};
use storage::{ReadLimit, TimestampOffset};
use wire::ErrorCode;
use wire::messages::list_offsets_request::ListOffsetsPartition;
use wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use wire::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::errors;
use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::Partition;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
/// KIP-734, from version 7.
const MAX_TIMESTAMP: i64 = -3;
/// KIP-405, from version 8.
const EARLIEST_LOCAL: i64 = -4;
/// KIP-1005, from version 9.
const LATEST_TIERED: i64 = -5;
/// KIP-1023, from version 11.
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// Answers per partition; not found is offset -1 without an error.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ListOffsetsRequest,
) -> ListOffsetsResponse {
    let read_committed = request.isolation_level == 1;
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let allowed = server.allows(
            &context,
            Operation::Describe,
            ResourceType::Topic,
            &topic.name,
        );
        let known = server.topics().get(&topic.name);
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let partition = known
                .as_ref()
                .and_then(|t| t.partition(PartitionIndex(asked.partition_index)));
            let found = match partition {
                _ if !allowed => Err(ErrorCode::TopicAuthorizationFailed),
                None => Err(ErrorCode::UnknownTopicOrPartition),
                Some(partition) => {
                    look_up(&partition, &asked, context.api_version, read_committed).await
                }
            };
            partitions.push(answer(asked.partition_index, found));
        }
        topics.push(ListOffsetsTopicResponse {
            name: topic.name,
            partitions,
        });
    }
    ListOffsetsResponse {
        topics,
        ..ListOffsetsResponse::default()
    }
}

async fn look_up(
    partition: &Partition,
    asked: &ListOffsetsPartition,
    version: i16,
    read_committed: bool,
) -> Result<Option<TimestampOffset>, ErrorCode> {
    if !partition.is_online() {
        return Err(ErrorCode::KafkaStorageError);
    }
    partition.check_epoch(asked.current_leader_epoch)?;
    let log = Arc::clone(&partition.log);
    let timestamp = match asked.timestamp {
        LATEST => {
            // Apache Kafka's consumers with read_committed end at the last stable offset.
            let offset = if read_committed {
                log.last_stable_offset()
            } else {
                log.high_watermark()
            };
            let leader_epoch = Some(partition.leader_epoch);
            return Ok(Some(TimestampOffset {
                offset,
                timestamp_ms: -1,
                leader_epoch,
            }));
        }
        EARLIEST => return Ok(Some(earliest(partition))),
        EARLIEST_LOCAL if version >= 8 => return Ok(Some(earliest(partition))),
        MAX_TIMESTAMP if version >= 7 => MAX_TIMESTAMP,
        // Nothing is tiered: Kafka answers -1 with its own "none" timestamp.
        LATEST_TIERED if version >= 9 => return Ok(None),
        EARLIEST_PENDING_UPLOAD if version >= 11 => return Ok(None),
        timestamp if timestamp < 0 => return Err(ErrorCode::UnsupportedVersion),
        timestamp => timestamp,
    };
    let limit = if read_committed {
        ReadLimit::LastStableOffset
    } else {
        ReadLimit::HighWatermark
    };
    // A search by timestamp reads indexes and batches from disk.
    tokio::task::spawn_blocking(move || {
        if timestamp == MAX_TIMESTAMP {
            log.max_timestamp_offset()
        } else {
            log.offset_for_timestamp(timestamp, limit)
        }
    })
    .await
    .map_err(|_| ErrorCode::UnknownServerError)?
    .map_err(|error| errors::of_read(&error))
}

fn earliest(partition: &Partition) -> TimestampOffset {
    let offset = partition.log.log_start_offset();
    TimestampOffset {
        offset,
        timestamp_ms: -1,
        leader_epoch: partition.log.epoch_for_offset(offset),
    }
}

fn answer(
    partition_index: i32,
    found: Result<Option<TimestampOffset>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let none = TimestampOffset {
        offset: Offset(-1),
        timestamp_ms: -1,
        leader_epoch: None,
    };
    let (error, found) = match found {
        Ok(found) => (ErrorCode::None, found.unwrap_or(none)),
        Err(error) => (error, none),
    };
    ListOffsetsPartitionResponse {
        partition_index,
        error_code: error.code(),
        timestamp: found.timestamp_ms,
        offset: found.offset.0,
        leader_epoch: found.leader_epoch.unwrap_or(LeaderEpoch::UNKNOWN).0,
    }
}
