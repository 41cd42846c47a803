//! WriteShareGroupState (key 85, KIP-932): what has happened to share partitions.
//!
//! Brokers send it to each other in Apache Kafka; here the broker asks its own share coordinator without it.

use std::sync::Arc;

use base::{Offset, PartitionIndex};
use coordinator::share_state::{self as state, ShareKey, WriteState};
use futures::future::join_all;
use wire::messages::write_share_group_state_request::{PartitionData, StateBatch};
use wire::messages::write_share_group_state_response::{PartitionResult, WriteStateResult};
use wire::messages::{WriteShareGroupStateRequest, WriteShareGroupStateResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::state_requests::{may_ask, refused};

/// Answers per partition, when what they wrote is durable. Needs CLUSTER_ACTION on the cluster. Like Apache Kafka, a request without a
/// group or with a topic that names no partition gets an empty answer.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: WriteShareGroupStateRequest,
) -> WriteShareGroupStateResponse {
    let allowed = may_ask(&server, &context);
    let no_partitions = request
        .topics
        .iter()
        .any(|topic| topic.partitions.is_empty());
    if allowed && (request.group_id.is_empty() || no_partitions) {
        return WriteShareGroupStateResponse::default();
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
        results.push(WriteStateResult {
            topic_id: topic.topic_id,
            partitions: join_all(asked).await,
        });
    }
    WriteShareGroupStateResponse { results }
}

async fn one(
    server: &Arc<Server>,
    allowed: bool,
    key: ShareKey,
    asked: PartitionData,
) -> PartitionResult {
    let partition = key.partition.0;
    let done = if allowed {
        let batches = asked.state_batches.iter();
        let write = WriteState {
            state_epoch: asked.state_epoch,
            leader_epoch: asked.leader_epoch,
            start_offset: Offset(asked.start_offset),
            delivery_complete_count: asked.delivery_complete_count,
            batches: batches.map(from_batch).collect(),
        };
        server.persister().write_state(server, key, write).await
    } else {
        Err(refused())
    };
    let error = done.err();
    PartitionResult {
        partition,
        error_code: error.as_ref().map_or(0, |error| error.code.code()),
        error_message: error.map(|error| error.message),
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
