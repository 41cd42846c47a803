//! WriteShareGroupState (key 85, KIP-932): what has happened to share partitions.
//!
//! Brokers send it to each other in Apache Kafka; here the broker asks its own share coordinator without it.

use std::sync::Arc;

use base::Offset;
use coordinator::share_state::{self as state, WriteState};
use wire::messages::write_share_group_state_request::{PartitionData, StateBatch};
use wire::messages::write_share_group_state_response::{PartitionResult, WriteStateResult};
use wire::messages::{WriteShareGroupStateRequest, WriteShareGroupStateResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::state_requests::{Answered, each_partition};

/// Answers per partition, when what they wrote is durable. Who may ask, and for what: [`each_partition`].
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: WriteShareGroupStateRequest,
) -> WriteShareGroupStateResponse {
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
                .write_state(&server, key, to_write(&asked))
        },
    );
    let results = answers.await.into_iter();
    WriteShareGroupStateResponse {
        results: results
            .map(|(topic_id, partitions)| WriteStateResult {
                topic_id,
                partitions: partitions.into_iter().map(to_result).collect(),
            })
            .collect(),
    }
}

fn to_result(answered: Answered<()>) -> PartitionResult {
    let partition = answered.partition;
    let (error_code, error_message) = answered.error();
    PartitionResult {
        partition,
        error_code,
        error_message,
    }
}

fn to_write(asked: &PartitionData) -> WriteState {
    let batches = asked.state_batches.iter();
    WriteState {
        state_epoch: asked.state_epoch,
        leader_epoch: asked.leader_epoch,
        start_offset: Offset(asked.start_offset),
        delivery_complete_count: asked.delivery_complete_count,
        batches: batches.map(from_batch).collect(),
    }
}

fn from_batch(batch: &StateBatch) -> state::StateBatch {
    state::StateBatch {
        first_offset: Offset(batch.first_offset),
        last_offset: Offset(batch.last_offset),
        delivery_state: batch.delivery_state,
        delivery_count: batch.delivery_count,
    }
}
