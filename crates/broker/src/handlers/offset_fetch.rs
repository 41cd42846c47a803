//! OffsetFetch (key 9): the positions that groups committed.

use std::sync::Arc;

use base::TopicId;
use coordinator::{Response, from_grouped_fetch, to_grouped_fetch};
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use wire::messages::{OffsetFetchRequest, OffsetFetchResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// Answers for one group, or for several from version 8 (KIP-709).
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    if context.api_version < 8 {
        let group = to_grouped_fetch(&request);
        let fetched = fetch(&server, &context, group, request.require_stable).await;
        return from_grouped_fetch(context.api_version, &request, fetched);
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        groups.push(fetch(&server, &context, group, request.require_stable).await);
    }
    OffsetFetchResponse {
        groups,
        ..OffsetFetchResponse::default()
    }
}

async fn fetch(
    server: &Arc<Server>,
    context: &RequestContext,
    mut group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let group_id = group.group_id.clone();
    let failed = |code: ErrorCode| OffsetFetchResponseGroup {
        group_id: group_id.clone(),
        error_code: code.code(),
        ..OffsetFetchResponseGroup::default()
    };
    if !server.allows(context, Operation::Describe, ResourceType::Group, &group_id) {
        return failed(ErrorCode::GroupAuthorizationFailed);
    }
    let all = group.topics.is_none();
    let mut refused = Vec::new();
    if let Some(topics) = group.topics.take() {
        let mut accepted = Vec::with_capacity(topics.len());
        for topic in topics {
            match resolve(server, context, topic) {
                Ok(topic) => accepted.push(topic),
                Err(response) => refused.push(response),
            }
        }
        group.topics = Some(accepted);
    }
    let run = move |shard: &mut coordinator::Shard, token| {
        shard.offset_fetch(token, group, require_stable)
    };
    let mut fetched = match server.groups().request(&group_id, run).await {
        Ok(Response::OffsetFetch(fetched)) => fetched,
        Ok(_) => return failed(ErrorCode::UnknownServerError),
        Err(code) => return failed(code),
    };
    if fetched.error_code != 0 {
        return fetched;
    }
    if all {
        fetched.topics.retain(|topic| {
            server.allows(
                context,
                Operation::Describe,
                ResourceType::Topic,
                &topic.name,
            )
        });
        if context.api_version >= 10 {
            name_by_id(server, &mut fetched);
        }
    }
    fetched.topics.extend(refused);
    fetched
}

/// Gives topics their ids; one that was deleted since has none and cannot be named in version 10.
fn name_by_id(server: &Server, fetched: &mut OffsetFetchResponseGroup) {
    fetched
        .topics
        .retain_mut(|topic| match server.topics().get(&topic.name) {
            Some(known) => {
                topic.topic_id = known.id.0;
                true
            }
            None => false,
        });
}

fn resolve(
    server: &Server,
    context: &RequestContext,
    mut topic: OffsetFetchRequestTopics,
) -> Result<OffsetFetchRequestTopics, OffsetFetchResponseTopics> {
    if context.api_version >= 10 {
        match server.topics().get_by_id(TopicId(topic.topic_id)) {
            Some(known) => topic.name.clone_from(&known.name),
            None => return Err(refuse(&topic, ErrorCode::UnknownTopicId)),
        }
    }
    if !server.allows(
        context,
        Operation::Describe,
        ResourceType::Topic,
        &topic.name,
    ) {
        return Err(refuse(&topic, ErrorCode::TopicAuthorizationFailed));
    }
    Ok(topic)
}

fn refuse(topic: &OffsetFetchRequestTopics, code: ErrorCode) -> OffsetFetchResponseTopics {
    OffsetFetchResponseTopics {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partition_indexes
            .iter()
            .map(|index| OffsetFetchResponsePartitions {
                partition_index: *index,
                committed_offset: -1,
                committed_leader_epoch: -1,
                metadata: Some(String::new()),
                error_code: code.code(),
            })
            .collect(),
    }
}
