//! ReadShareGroupState (key 84, KIP-932): where share partitions are, for the leaders of their partitions.
//!
//! Brokers send it to each other in Apache Kafka; here the broker asks its own share coordinator without it.

use std::sync::Arc;

use base::PartitionIndex;
use coordinator::share_state::{self as state, ShareKey};
use futures::future::join_all;
use wire::messages::read_share_group_state_request::PartitionData;
use wire::messages::read_share_group_state_response::{
    PartitionResult, ReadStateResult, StateBatch,
};
use wire::messages::{ReadShareGroupStateRequest, ReadShareGroupStateResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::state_requests::{may_ask, refused};

/// Answers per partition. Needs CLUSTER_ACTION on the cluster. Like Apache Kafka, a request without a
/// group or with a topic that names no partition gets an empty answer.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ReadShareGroupStateRequest,
) -> ReadShareGroupStateResponse {
    let allowed = may_ask(&server, &context);
    let no_partitions = request
        .topics
        .iter()
        .any(|topic| topic.partitions.is_empty());
    if allowed && (request.group_id.is_empty() || no_partitions) {
        return ReadShareGroupStateResponse::default();
    }
    let group_id: Arc<str> = request.group_id.into();
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let asked = topic.partitions.into_iter().map(|partition| {
            let key = ShareKey {
                group_id: Arc::clone(&group_id),
                topic_id: topic.topic_id,
                partition: PartitionIndex(partition.partition),
            };
            one(&server, allowed, key, partition)
        });
        results.push(ReadStateResult {
            topic_id: topic.topic_id,
            partitions: join_all(asked).await,
        });
    }
    ReadShareGroupStateResponse { results }
}

async fn one(
    server: &Arc<Server>,
    allowed: bool,
    key: ShareKey,
    asked: PartitionData,
) -> PartitionResult {
    let partition = key.partition.0;
    let done = if allowed {
        let persister = server.persister();
        persister.read_state(server, key, asked.leader_epoch).await
    } else {
        Err(refused())
    };
    match done {
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
