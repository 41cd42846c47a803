//! ReadShareGroupStateSummary (key 87, KIP-932): where share partitions start.
//!
//! Brokers send it to each other in Apache Kafka; here the broker asks its own share coordinator without it.

use std::sync::Arc;

use coordinator::share_state::StateSummary;
use wire::messages::read_share_group_state_summary_response::{
    PartitionResult, ReadStateSummaryResult,
};
use wire::messages::{ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::state_requests::{Answered, each_partition};

/// Answers per partition. Who may ask, and for what: [`each_partition`].
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ReadShareGroupStateSummaryRequest,
) -> ReadShareGroupStateSummaryResponse {
    let topics = request.topics.into_iter();
    let topics = topics.map(|topic| (topic.topic_id, topic.partitions));
    let answers = each_partition(
        &server,
        &context,
        request.group_id,
        topics.collect(),
        |asked| asked.partition,
        |key, _| server.persister().summary(&server, key),
    );
    let results = answers.await.into_iter();
    ReadShareGroupStateSummaryResponse {
        results: results
            .map(|(topic_id, partitions)| ReadStateSummaryResult {
                topic_id,
                partitions: partitions.into_iter().map(to_result).collect(),
            })
            .collect(),
    }
}

fn to_result(answered: Answered<StateSummary>) -> PartitionResult {
    let partition = answered.partition;
    match answered.outcome {
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
