//! DescribeProducers (key 61, KIP-664): the producers a partition remembers.

use std::sync::Arc;

use base::PartitionIndex;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use wire::messages::{DescribeProducersRequest, DescribeProducersResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::Topic;

/// What is said of a topic that there is not.
const UNKNOWN_TOPIC: &str = "This server does not host this topic-partition.";

/// Answers per partition with each producer's last batch.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DescribeProducersRequest,
) -> DescribeProducersResponse {
    let topics = request
        .topics
        .into_iter()
        .map(|asked| {
            let allowed =
                server.allows(&context, Operation::Read, ResourceType::Topic, &asked.name);
            let topic = server.topics().get(&asked.name);
            let partitions = asked
                .partition_indexes
                .into_iter()
                .map(|index| {
                    let described = if allowed {
                        describe(topic.as_deref(), PartitionIndex(index))
                    } else {
                        Err(ErrorCode::TopicAuthorizationFailed)
                    };
                    let (error, active_producers) = match described {
                        Ok(producers) => (ErrorCode::None, producers),
                        Err(error) => (error, Vec::new()),
                    };
                    PartitionResponse {
                        partition_index: index,
                        error_code: error.code(),
                        // Kafka's broker names a topic it does not know, its log manager no partition.
                        error_message: (topic.is_none()
                            && error == ErrorCode::UnknownTopicOrPartition)
                            .then(|| UNKNOWN_TOPIC.to_owned()),
                        active_producers,
                    }
                })
                .collect();
            TopicResponse {
                name: asked.name,
                partitions,
            }
        })
        .collect();
    DescribeProducersResponse {
        topics,
        ..DescribeProducersResponse::default()
    }
}

fn describe(topic: Option<&Topic>, index: PartitionIndex) -> Result<Vec<ProducerState>, ErrorCode> {
    let partition = topic
        .and_then(|topic| topic.partition(index))
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if !partition.is_online() {
        return Err(ErrorCode::KafkaStorageError);
    }
    Ok(partition
        .log
        .active_producers()
        .into_iter()
        .map(|producer| ProducerState {
            producer_id: producer.producer_id.0,
            producer_epoch: i32::from(producer.producer_epoch.0),
            last_sequence: producer.last_sequence,
            last_timestamp: producer.last_timestamp_ms,
            coordinator_epoch: producer.coordinator_epoch,
            current_txn_start_offset: producer.current_txn_start_offset.0,
        })
        .collect())
}
