//! DeleteRecords (key 21, KIP-107): moves a partition's log start offset up.

use std::sync::Arc;

use base::{Offset, PartitionIndex};
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use wire::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use crate::errors;
use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::Topic;

/// Up to the high watermark.
const HIGH_WATERMARK: i64 = -1;

/// Answers per partition with its new low watermark, once it is durable.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DeleteRecordsRequest,
) -> DeleteRecordsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let allowed = server.allows(
            &context,
            Operation::Delete,
            ResourceType::Topic,
            &asked.name,
        );
        let topic = server.topics().get(&asked.name);
        let mut partitions = Vec::with_capacity(asked.partitions.len());
        for partition in asked.partitions {
            let index = PartitionIndex(partition.partition_index);
            let deleted = match &topic {
                _ if !allowed => Err(ErrorCode::TopicAuthorizationFailed),
                None => Err(ErrorCode::UnknownTopicOrPartition),
                Some(topic) => delete(&server, topic, index, partition.offset).await,
            };
            let (error, low_watermark) = match deleted {
                Ok(offset) => (ErrorCode::None, offset.0),
                Err(error) => (error, -1),
            };
            partitions.push(DeleteRecordsPartitionResult {
                partition_index: index.0,
                low_watermark,
                error_code: error.code(),
            });
        }
        topics.push(DeleteRecordsTopicResult {
            name: asked.name,
            partitions,
        });
    }
    DeleteRecordsResponse {
        topics,
        ..DeleteRecordsResponse::default()
    }
}

async fn delete(
    server: &Server,
    topic: &Topic,
    index: PartitionIndex,
    offset: i64,
) -> Result<Offset, ErrorCode> {
    let partition = topic
        .partition(index)
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if !partition.is_online() {
        return Err(ErrorCode::KafkaStorageError);
    }
    // A compacted topic forgets by key, not by offset (`Partition.deleteRecordsOnLeader`).
    if !topic.settings().cleanup_delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let before = match offset {
        HIGH_WATERMARK => None,
        offset if offset < 0 => return Err(ErrorCode::OffsetOutOfRange),
        offset => Some(Offset(offset)),
    };
    let deleted = partition
        .log
        .delete_records(before)
        .map_err(|error| errors::of_read(&error))?;
    let durable = server.storage().wait_durable(deleted.lsn).await;
    durable.map_err(|error| errors::of_storage(&error))?;
    Ok(deleted.log_start_offset)
}
