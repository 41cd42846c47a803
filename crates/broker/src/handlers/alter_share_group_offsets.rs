//! AlterShareGroupOffsets (key 91, KIP-932): moves where the share partitions of a group without members start.

use std::sync::Arc;

use base::Uuid;
use coordinator::Response;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::alter_share_group_offsets_request::AlterShareGroupOffsetsRequestTopic;
use wire::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponsePartition, AlterShareGroupOffsetsResponseTopic,
};
use wire::messages::{AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::{group_states, is_enabled};

/// Answers per partition, when the new states are durable. Needs READ on the group and on its topics.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: AlterShareGroupOffsetsRequest,
) -> AlterShareGroupOffsetsResponse {
    if !is_enabled(&server) {
        return failed(ErrorCode::UnsupportedVersion, None);
    }
    let group_id: Arc<str> = request.group_id.as_str().into();
    if !server.allows(&context, Operation::Read, ResourceType::Group, &group_id) {
        return failed(ErrorCode::GroupAuthorizationFailed, None);
    }
    let mut responses = Vec::with_capacity(request.topics.len());
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = &topic.topic_name;
        if !server.allows(&context, Operation::Read, ResourceType::Topic, name) {
            let error = ErrorCode::TopicAuthorizationFailed;
            responses.push(refused(
                &server,
                topic,
                error,
                "Topic authorization failed.",
            ));
        } else if server.topics().get(name).is_none() {
            let message = "This server does not host this topic-partition.";
            let error = ErrorCode::UnknownTopicOrPartition;
            responses.push(refused(&server, topic, error, message));
        } else {
            topics.push(topic);
        }
    }
    let id = Arc::clone(&group_id);
    let run = move |shard: &mut coordinator::Shard, token| {
        shard.alter_share_group_offsets(token, &id, &topics)
    };
    let altered = match server.groups().request(&group_id, run).await {
        Ok(Response::AlterShareGroupOffsets(altered)) => *altered,
        Ok(_) => return failed(ErrorCode::UnknownServerError, None),
        Err(code) => return failed(code, None),
    };
    if let Some((code, message)) = altered.error {
        return failed(code, message);
    }
    let failures = group_states::initialize(&server, &group_id, altered.initialize).await;
    let mut altered = altered.topics;
    for topic in &mut altered {
        for partition in &mut topic.partitions {
            if let Some(error) = failures.get(&(topic.topic_id, partition.partition_index)) {
                partition.error_code = error.code.code();
                partition.error_message = Some(error.message.clone());
            }
        }
    }
    responses.append(&mut altered);
    AlterShareGroupOffsetsResponse {
        responses,
        ..AlterShareGroupOffsetsResponse::default()
    }
}

fn refused(
    server: &Server,
    topic: AlterShareGroupOffsetsRequestTopic,
    error: ErrorCode,
    message: &str,
) -> AlterShareGroupOffsetsResponseTopic {
    let found = server.topics().get(&topic.topic_name);
    let partitions = topic.partitions.into_iter();
    AlterShareGroupOffsetsResponseTopic {
        topic_name: topic.topic_name,
        topic_id: found.map_or(Uuid::ZERO, |topic| topic.id.0),
        partitions: partitions
            .map(|partition| AlterShareGroupOffsetsResponsePartition {
                partition_index: partition.partition_index,
                error_code: error.code(),
                error_message: Some(message.to_owned()),
            })
            .collect(),
    }
}

fn failed(code: ErrorCode, message: Option<String>) -> AlterShareGroupOffsetsResponse {
    let invalid_group = code == ErrorCode::InvalidGroupId;
    AlterShareGroupOffsetsResponse {
        error_code: code.code(),
        error_message: message
            .or_else(|| invalid_group.then(|| "The group id is invalid.".to_owned())),
        ..AlterShareGroupOffsetsResponse::default()
    }
}
