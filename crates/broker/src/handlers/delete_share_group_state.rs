//! DeleteShareGroupState (key 86, KIP-932): forgets share partitions.
//!
//! Brokers send it to each other in Apache Kafka; here the broker asks its own share coordinator without it.

use std::sync::Arc;

use wire::messages::delete_share_group_state_response::{DeleteStateResult, PartitionResult};
use wire::messages::{DeleteShareGroupStateRequest, DeleteShareGroupStateResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::state_requests::{Answered, each_partition};

/// Answers per partition, when that is durable. Who may ask, and for what: [`each_partition`].
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DeleteShareGroupStateRequest,
) -> DeleteShareGroupStateResponse {
    let topics = request.topics.into_iter();
    let topics = topics.map(|topic| (topic.topic_id, topic.partitions));
    let answers = each_partition(
        &server,
        &context,
        request.group_id,
        topics.collect(),
        |asked| asked.partition,
        |key, _| server.persister().delete(&server, key),
    );
    let results = answers.await.into_iter();
    DeleteShareGroupStateResponse {
        results: results
            .map(|(topic_id, partitions)| DeleteStateResult {
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
