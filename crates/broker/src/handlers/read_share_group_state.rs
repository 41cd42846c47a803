//! ReadShareGroupState (key 84, KIP-932): where share partitions are, for the leaders of their partitions.
//!
//! Brokers send it to each other in Apache Kafka; here the broker asks its own share coordinator without it.

use std::sync::Arc;

use coordinator::share_state::{self as state, ReadState};
use wire::messages::read_share_group_state_response::{
    PartitionResult, ReadStateResult, StateBatch,
};
use wire::messages::{ReadShareGroupStateRequest, ReadShareGroupStateResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::state_requests::{Answered, each_partition};

/// Answers per partition. Who may ask, and for what: [`each_partition`].
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ReadShareGroupStateRequest,
) -> ReadShareGroupStateResponse {
    let topics = request.topics.into_iter();
    let topics = topics.map(|topic| (topic.topic_id, topic.partitions));
    let answers = each_partition(
        &server,
        &context,
        request.group_id,
        topics.collect(),
        |asked| asked.partition,
        |key, asked| {
            server
                .persister()
                .read_state(&server, key, asked.leader_epoch)
        },
    );
    let results = answers.await.into_iter();
    ReadShareGroupStateResponse {
        results: results
            .map(|(topic_id, partitions)| ReadStateResult {
                topic_id,
                partitions: partitions.into_iter().map(to_result).collect(),
            })
            .collect(),
    }
}

fn to_result(answered: Answered<ReadState>) -> PartitionResult {
    let partition = answered.partition;
    match answered.outcome {
        Ok(state) => PartitionResult {
            partition,
            error_code: 0,
            error_message: None,
            state_epoch: state.state_epoch,
            start_offset: state.start_offset.map_or(-1, |offset| offset.0),
            state_batches: state.batches.iter().map(to_batch).collect(),
        },
        Err(error) => PartitionResult {
            partition,
            error_code: error.code.code(),
            error_message: Some(error.message),
            ..PartitionResult::default()
        },
    }
}

fn to_batch(batch: &state::StateBatch) -> StateBatch {
    StateBatch {
        first_offset: batch.first_offset.0,
        last_offset: batch.last_offset.0,
        delivery_state: batch.delivery_state,
        delivery_count: batch.delivery_count,
    }
}
