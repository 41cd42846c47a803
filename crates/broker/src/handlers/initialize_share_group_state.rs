//! InitializeShareGroupState (key 83, KIP-932): makes or resets the state of share partitions.
//!
//! Brokers send it to each other in Apache Kafka; here the broker asks its own share coordinator without it.

use std::sync::Arc;

use base::Offset;
use wire::messages::initialize_share_group_state_response::{
    InitializeStateResult, PartitionResult,
};
use wire::messages::{InitializeShareGroupStateRequest, InitializeShareGroupStateResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::state_requests::{Answered, each_partition};

/// Answers per partition, when their states are durable. Who may ask, and for what: [`each_partition`].
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: InitializeShareGroupStateRequest,
) -> InitializeShareGroupStateResponse {
    let topics = request.topics.into_iter();
    let topics = topics.map(|topic| (topic.topic_id, topic.partitions));
    let answers = each_partition(
        &server,
        &context,
        request.group_id,
        topics.collect(),
        |asked| asked.partition,
        |key, asked| {
            let start_offset = Offset(asked.start_offset);
            let persister = server.persister();
            persister.initialize(&server, key, asked.state_epoch, start_offset)
        },
    );
    let results = answers.await.into_iter();
    InitializeShareGroupStateResponse {
        results: results
            .map(|(topic_id, partitions)| InitializeStateResult {
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
