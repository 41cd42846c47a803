//! DeleteShareGroupOffsets (key 92, KIP-932): forgets where a group without members is in some topics.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{TopicId, Uuid};
use coordinator::Response;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic;
use wire::messages::{DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::{group_states, is_enabled};

/// Answers per topic, when its states are deleted durably. Needs DELETE on the group and READ on its topics.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DeleteShareGroupOffsetsRequest,
) -> DeleteShareGroupOffsetsResponse {
    if !is_enabled(&server) {
        return failed(ErrorCode::UnsupportedVersion, None);
    }
    let group_id: Arc<str> = request.group_id.as_str().into();
    if !server.allows(&context, Operation::Delete, ResourceType::Group, &group_id) {
        return failed(ErrorCode::GroupAuthorizationFailed, None);
    }
    let mut responses = Vec::with_capacity(request.topics.len());
    let mut names = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = topic.topic_name;
        if server.allows(&context, Operation::Read, ResourceType::Topic, &name) {
            names.push(name);
        } else {
            responses.push(DeleteShareGroupOffsetsResponseTopic {
                topic_name: name,
                error_code: ErrorCode::TopicAuthorizationFailed.code(),
                error_message: Some("Topic authorization failed.".to_owned()),
                ..DeleteShareGroupOffsetsResponseTopic::default()
            });
        }
    }
    let id = Arc::clone(&group_id);
    let run = move |shard: &mut coordinator::Shard, token| {
        shard.delete_share_group_offsets(token, &id, &names)
    };
    let mut deletion = match server.groups().request(&group_id, run).await {
        Ok(Response::DeleteShareGroupOffsets(deletion)) => *deletion,
        Ok(_) => return failed(ErrorCode::UnknownServerError, None),
        Err(code) => return failed(code, None),
    };
    if let Some((code, message)) = deletion.error {
        return failed(code, message);
    }
    responses.append(&mut deletion.refused);
    let failures = group_states::delete(&server, &group_id, &deletion.delete).await;
    let by_topic: BTreeMap<Uuid, _> = failures
        .iter()
        .map(|((topic, _), error)| (*topic, error))
        .collect();
    let mut deleted = Vec::new();
    for topic_id in deletion.delete.into_keys() {
        let error = by_topic.get(&topic_id);
        if error.is_none() {
            deleted.push(topic_id);
        }
        let topic = server.topics().get_by_id(TopicId(topic_id));
        responses.push(DeleteShareGroupOffsetsResponseTopic {
            topic_name: topic.map(|topic| topic.name.clone()).unwrap_or_default(),
            topic_id,
            error_code: error.map_or(0, |error| error.code.code()),
            error_message: error.map(|error| error.message.clone()),
        });
    }
    if !deleted.is_empty() {
        group_states::report_deleted(&server, &group_id, deleted).await;
    }
    DeleteShareGroupOffsetsResponse {
        responses,
        ..DeleteShareGroupOffsetsResponse::default()
    }
}

fn failed(code: ErrorCode, message: Option<String>) -> DeleteShareGroupOffsetsResponse {
    DeleteShareGroupOffsetsResponse {
        error_code: code.code(),
        error_message: message,
        ..DeleteShareGroupOffsetsResponse::default()
    }
}
