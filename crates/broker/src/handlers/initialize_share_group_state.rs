//! InitializeShareGroupState (key 83, KIP-932): makes or resets the state of share partitions.
//!
//! Brokers send it to each other in Apache Kafka; here the broker asks its own share coordinator without it.

use std::sync::Arc;

use base::{Offset, PartitionIndex};
use coordinator::share_state::ShareKey;
use futures::future::join_all;
use wire::messages::initialize_share_group_state_request::PartitionData;
use wire::messages::initialize_share_group_state_response::{
    InitializeStateResult, PartitionResult,
};
use wire::messages::{InitializeShareGroupStateRequest, InitializeShareGroupStateResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::state_requests::{may_ask, refused};

/// Answers per partition, when their states are durable. Needs CLUSTER_ACTION on the cluster. Like Apache Kafka, a request without a
/// group or with a topic that names no partition gets an empty answer.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: InitializeShareGroupStateRequest,
) -> InitializeShareGroupStateResponse {
    let allowed = may_ask(&server, &context);
    let no_partitions = request
        .topics
        .iter()
        .any(|topic| topic.partitions.is_empty());
    if allowed && (request.group_id.is_empty() || no_partitions) {
        return InitializeShareGroupStateResponse::default();
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
        results.push(InitializeStateResult {
            topic_id: topic.topic_id,
            partitions: join_all(asked).await,
        });
    }
    InitializeShareGroupStateResponse { results }
}

async fn one(
    server: &Arc<Server>,
    allowed: bool,
    key: ShareKey,
    asked: PartitionData,
) -> PartitionResult {
    let partition = key.partition.0;
    let done = if allowed {
        let start_offset = Offset(asked.start_offset);
        let persister = server.persister();
        persister
            .initialize(server, key, asked.state_epoch, start_offset)
            .await
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
