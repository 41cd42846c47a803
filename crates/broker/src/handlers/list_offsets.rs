//! ListOffsets (key 2): the offset of a timestamp, or of one of the special ones below zero.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{LeaderEpoch, Offset, PartitionIndex};
use security::{Operation, ResourceType};
use storage::{PartitionLog, ReadLimit, TimestampOffset};
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

/// `ListOffsetsRequest.CONSUMER_REPLICA_ID`.
const CONSUMER: i32 = -1;

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
    // What a broker asks for, or one that debugs, is where the log ends.
    let read_committed = request.isolation_level == 1 && request.replica_id == CONSUMER;
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
                    let timeout = server.settings().remote_log.list_offsets_timeout;
                    let how = (context.api_version, read_committed, timeout);
                    look_up(&partition, &asked, how).await
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
    (version, read_committed, remote_timeout): (i16, bool, Duration),
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
        EARLIEST_LOCAL if version >= 8 => {
            let offset = log.local_log_start_offset();
            return Ok(Some(at(&log, offset)));
        }
        MAX_TIMESTAMP if version >= 7 => MAX_TIMESTAMP,
        LATEST_TIERED if version >= 9 => return Ok(latest_tiered(&log)),
        EARLIEST_PENDING_UPLOAD if version >= 11 => return Ok(earliest_pending_upload(&log)),
        timestamp if timestamp < 0 => return Err(ErrorCode::UnsupportedVersion),
        timestamp => timestamp,
    };
    let limit = if read_committed {
        ReadLimit::LastStableOffset
    } else {
        ReadLimit::HighWatermark
    };
    // A search by timestamp reads indexes and batches from disk, or from the remote store.
    tokio::task::spawn_blocking(move || {
        let deadline = Some(Instant::now() + remote_timeout);
        if timestamp == MAX_TIMESTAMP {
            log.max_timestamp_offset_by(deadline)
        } else {
            log.offset_for_timestamp_by(timestamp, limit, deadline)
        }
    })
    .await
    .map_err(|_| ErrorCode::UnknownServerError)?
    .map_err(|error| errors::of_read(&error))
}

fn earliest(partition: &Partition) -> TimestampOffset {
    at(&partition.log, partition.log.log_start_offset())
}

fn at(log: &PartitionLog, offset: Offset) -> TimestampOffset {
    TimestampOffset {
        offset,
        timestamp_ms: -1,
        leader_epoch: log.epoch_for_offset(offset),
    }
}

/// The last offset in the remote store (`UnifiedLog.highestOffsetInRemoteStorage`); none where nothing is, and for a topic that is
/// not tiered.
fn latest_tiered(log: &PartitionLog) -> Option<TimestampOffset> {
    let is_tiered = log.config().remote.enabled;
    let offset = log.highest_remote_offset().filter(|_| is_tiered)?;
    Some(at(log, offset))
}

/// The first offset that is not in the remote store (`UnifiedLog.fetchEarliestPendingUploadOffset`, KIP-1023); none for a topic that
/// is not tiered.
fn earliest_pending_upload(log: &PartitionLog) -> Option<TimestampOffset> {
    if !log.config().remote.enabled {
        return None;
    }
    let start = log.log_start_offset();
    let offset = match log.highest_remote_offset() {
        Some(last) => Offset(last.0 + 1).max(start),
        None => start,
    };
    Some(at(log, offset))
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
