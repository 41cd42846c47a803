//! ReadShareGroupStateSummary (key 87, KIP-932): where share partitions start.
//!
//! Brokers send it to each other in Apache Kafka; here the broker asks its own share coordinator without it.

use std::sync::Arc;

use base::PartitionIndex;
use coordinator::share_state::ShareKey;
use futures::future::join_all;
use wire::messages::read_share_group_state_summary_request::PartitionData;
use wire::messages::read_share_group_state_summary_response::{
    PartitionResult, ReadStateSummaryResult,
};
use wire::messages::{ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::state_requests::{may_ask, refused};

/// Answers per partition. Needs CLUSTER_ACTION on the cluster. Like Apache Kafka, a request without a
/// group or with a topic that names no partition gets an empty answer.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ReadShareGroupStateSummaryRequest,
) -> ReadShareGroupStateSummaryResponse {
    let allowed = may_ask(&server, &context);
    let no_partitions = request
        .topics
        .iter()
        .any(|topic| topic.partitions.is_empty());
    if allowed && (request.group_id.is_empty() || no_partitions) {
        return ReadShareGroupStateSummaryResponse::default();
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
        results.push(ReadStateSummaryResult {
            topic_id: topic.topic_id,
            partitions: join_all(asked).await,
        });
    }
    ReadShareGroupStateSummaryResponse { results }
}

async fn one(
    server: &Arc<Server>,
    allowed: bool,
    key: ShareKey,
    _: PartitionData,
) -> PartitionResult {
    let partition = key.partition.0;
    let done = if allowed {
        server.persister().summary(server, key).await
    } else {
        Err(refused())
    };
    match done {
        Ok(summary) => PartitionResult {
            partition,
            error_code: 0,
            error_message: None,
            state_epoch: summary.state_epoch,
            leader_epoch: summary.leader_epoch,
            start_offset: summary.start_offset.map_or(-1, |offset| offset.0),
            delivery_complete_count: summary.delivery_complete_count,
        },
        Err(error) => PartitionResult {
            partition,
            error_code: error.code.code(),
            error_message: Some(error.message),
            ..PartitionResult::default()
        },
    }
}
