//! OffsetDelete (key 47, KIP-496): forgets a group's positions in some partitions.

use std::sync::Arc;

use base::PartitionIndex;
use coordinator::Response;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::offset_delete_request::OffsetDeleteRequestTopic;
use wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// Answers per partition, once the tombstones are durable.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    mut request: OffsetDeleteRequest,
) -> OffsetDeleteResponse {
    let group_id = request.group_id.clone();
    let failed = |code: ErrorCode| OffsetDeleteResponse {
        error_code: code.code(),
        ..OffsetDeleteResponse::default()
    };
    if !server.allows(&context, Operation::Delete, ResourceType::Group, &group_id) {
        return failed(ErrorCode::GroupAuthorizationFailed);
    }
    let mut refused = Vec::new();
    let mut accepted = Vec::new();
    for topic in std::mem::take(&mut request.topics) {
        if !server.allows(&context, Operation::Read, ResourceType::Topic, &topic.name) {
            refused.push(refuse(&topic, ErrorCode::TopicAuthorizationFailed));
            continue;
        }
        let known = server.topics().get(&topic.name);
        let (exist, missing): (Vec<_>, Vec<_>) = topic.partitions.into_iter().partition(|p| {
            let index = PartitionIndex(p.partition_index);
            known
                .as_ref()
                .is_some_and(|topic| topic.partition(index).is_some())
        });
        if !missing.is_empty() {
            let missing = OffsetDeleteRequestTopic {
                name: topic.name.clone(),
                partitions: missing,
            };
            refused.push(refuse(&missing, ErrorCode::UnknownTopicOrPartition));
        }
        if !exist.is_empty() {
            accepted.push(OffsetDeleteRequestTopic {
                name: topic.name,
                partitions: exist,
            });
        }
    }
    request.topics = accepted;
    let run = move |shard: &mut coordinator::Shard, token| shard.offset_delete(token, request);
    let mut response = match server.groups().request(&group_id, run).await {
        Ok(Response::OffsetDelete(response)) => response,
        Ok(_) => return failed(ErrorCode::UnknownServerError),
        Err(code) => return failed(code),
    };
    if response.error_code == 0 {
        for topic in refused {
            // A topic may have partitions of both sorts.
            match response.topics.iter_mut().find(|t| t.name == topic.name) {
                Some(known) => known.partitions.extend(topic.partitions),
                None => response.topics.push(topic),
            }
        }
    }
    response
}

fn refuse(topic: &OffsetDeleteRequestTopic, code: ErrorCode) -> OffsetDeleteResponseTopic {
    OffsetDeleteResponseTopic {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| OffsetDeleteResponsePartition {
                partition_index: partition.partition_index,
                error_code: code.code(),
            })
            .collect(),
    }
}
