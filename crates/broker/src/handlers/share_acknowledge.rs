//! ShareAcknowledge (key 79): what a member of a share group did with the records it has (KIP-932, KIP-1222).

use std::sync::Arc;

use coordinator::share_partition::{AcknowledgeError, Acknowledgement};
use wire::ErrorCode;
use wire::messages::share_acknowledge_response::{
    LeaderIdAndEpoch, PartitionData, ShareAcknowledgeTopicResponse,
};
use wire::messages::{ShareAcknowledgeRequest, ShareAcknowledgeResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::acknowledging::{self, PartitionAcknowledgements, message};
use crate::share::leader::group_settings;
use crate::share::sessions::FINAL_EPOCH;

/// Answers once what was acknowledged is durable.
///
/// # Cancel safety
/// Cancel safe: what was begun is done all the same.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ShareAcknowledgeRequest,
) -> ShareAcknowledgeResponse {
    let (group_id, member_id) = (request.group_id, request.member_id);
    let key = match acknowledging::identify(&server, &context, group_id, member_id) {
        Ok(key) => key,
        Err(error) => return failed(&error),
    };
    let epoch = request.share_session_epoch;
    if let Err(code) = server.share_groups().sessions().acknowledged(&key, epoch) {
        return failed(&crate::share::leader::of_code(code));
    }
    let mut asked = Vec::new();
    for topic in request.topics {
        for partition in topic.partitions {
            let acknowledgements = partition.acknowledgement_batches.into_iter();
            asked.push(PartitionAcknowledgements {
                partition: (topic.topic_id, partition.partition_index),
                acknowledgements: acknowledgements
                    .map(|batch| Acknowledgement {
                        first_offset: batch.first_offset,
                        last_offset: batch.last_offset,
                        types: batch.acknowledge_types,
                    })
                    .collect(),
            });
        }
    }
    let begun = acknowledging::begin(&server, &context, &key, request.is_renew_ack, asked);
    let finished = begun.finish().await;
    if epoch == FINAL_EPOCH {
        // Its records are on their way back when this returns.
        server.share_groups().close(&server, &key, None);
    }
    let mut responses: Vec<ShareAcknowledgeTopicResponse> = Vec::new();
    for ((topic_id, partition_index), error) in finished {
        let data = PartitionData {
            partition_index,
            error_code: error.as_ref().map_or(0, |error| error.code.code()),
            error_message: error.as_ref().and_then(message),
            current_leader: LeaderIdAndEpoch::default(),
        };
        match responses
            .iter_mut()
            .find(|topic| topic.topic_id == topic_id)
        {
            Some(topic) => topic.partitions.push(data),
            None => responses.push(ShareAcknowledgeTopicResponse {
                topic_id,
                partitions: vec![data],
            }),
        }
    }
    let lock_duration = group_settings(&server, &key.group_id).record_lock_duration;
    ShareAcknowledgeResponse {
        acquisition_lock_timeout_ms: i32::try_from(lock_duration.as_millis()).unwrap_or(i32::MAX),
        responses,
        ..ShareAcknowledgeResponse::default()
    }
}

/// As in Kafka, the code says it all.
fn failed(error: &AcknowledgeError) -> ShareAcknowledgeResponse {
    debug_assert_ne!(error.code, ErrorCode::None);
    ShareAcknowledgeResponse {
        error_code: error.code.code(),
        ..ShareAcknowledgeResponse::default()
    }
}
