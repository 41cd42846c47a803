//! OffsetCommit (key 8): a group's positions, kept in `__consumer_offsets`.

use std::sync::Arc;

use base::{PartitionIndex, TopicId, Uuid};
use coordinator::Response;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::offset_commit_request::OffsetCommitRequestTopic;
use wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use wire::messages::{OffsetCommitRequest, OffsetCommitResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::Topic;

/// Answers per partition, once the offsets are durable. What cannot be committed (a topic that does not exist
/// or may not be read) is answered here and does not reach the group.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    mut request: OffsetCommitRequest,
) -> OffsetCommitResponse {
    let group_id = request.group_id.clone();
    if !server.allows(&context, Operation::Read, ResourceType::Group, &group_id) {
        let topics = std::mem::take(&mut request.topics);
        return refuse_all(topics, ErrorCode::GroupAuthorizationFailed);
    }
    let mut response = OffsetCommitResponse::default();
    let mut accepted = Vec::with_capacity(request.topics.len());
    for topic in std::mem::take(&mut request.topics) {
        sort_out(
            &server,
            &context,
            topic,
            &mut accepted,
            &mut response.topics,
        );
    }
    if accepted.is_empty() {
        return response;
    }
    request.topics = accepted.clone();
    let member = context.for_coordinator();
    let run =
        move |shard: &mut coordinator::Shard, token| shard.offset_commit(token, &member, request);
    let committed = match server.groups().request(&group_id, run).await {
        Ok(Response::OffsetCommit(committed)) => committed,
        Ok(_) => refuse_all(accepted, ErrorCode::UnknownServerError),
        Err(code) => refuse_all(accepted, code),
    };
    merge(&mut response.topics, committed.topics);
    response
}

/// The topic that a commit names, by its id or by its name; the other of the two is filled in, for the coordinator and the
/// answer.
///
/// # Errors
/// TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION. A topic that only an unknown id names has
/// nothing to be authorised for.
pub(super) fn readable_topic(
    server: &Server,
    context: &RequestContext,
    by_id: bool,
    (name, id): (&mut String, &mut Uuid),
) -> Result<Arc<Topic>, ErrorCode> {
    let known = if by_id {
        server.topics().get_by_id(TopicId(*id))
    } else {
        server.topics().get(name)
    };
    if let Some(known) = &known {
        name.clone_from(&known.name);
        *id = known.id.0;
    }
    let nameless = by_id && known.is_none();
    if !nameless && !server.allows(context, Operation::Read, ResourceType::Topic, name) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    known.ok_or(if by_id {
        ErrorCode::UnknownTopicId
    } else {
        ErrorCode::UnknownTopicOrPartition
    })
}

/// Puts a topic's partitions either with those to commit or with those that are refused.
fn sort_out(
    server: &Server,
    context: &RequestContext,
    mut topic: OffsetCommitRequestTopic,
    accepted: &mut Vec<OffsetCommitRequestTopic>,
    refused: &mut Vec<OffsetCommitResponseTopic>,
) {
    let by_id = context.api_version >= 10;
    let place = (&mut topic.name, &mut topic.topic_id);
    let known = match readable_topic(server, context, by_id, place) {
        Ok(known) => known,
        Err(code) => {
            refused.push(refuse(&topic, code));
            return;
        }
    };
    let (exist, missing): (Vec<_>, Vec<_>) = std::mem::take(&mut topic.partitions)
        .into_iter()
        .partition(|partition| {
            known
                .partition(PartitionIndex(partition.partition_index))
                .is_some()
        });
    if !missing.is_empty() {
        let missing = OffsetCommitRequestTopic {
            partitions: missing,
            ..topic.clone()
        };
        refused.push(refuse(&missing, ErrorCode::UnknownTopicOrPartition));
    }
    if !exist.is_empty() {
        accepted.push(OffsetCommitRequestTopic {
            partitions: exist,
            ..topic
        });
    }
}

fn refuse(topic: &OffsetCommitRequestTopic, code: ErrorCode) -> OffsetCommitResponseTopic {
    OffsetCommitResponseTopic {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic
            .partitions
            .iter()
            .map(|partition| OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: code.code(),
            })
            .collect(),
    }
}

fn refuse_all(topics: Vec<OffsetCommitRequestTopic>, code: ErrorCode) -> OffsetCommitResponse {
    OffsetCommitResponse {
        topics: topics.iter().map(|topic| refuse(topic, code)).collect(),
        ..OffsetCommitResponse::default()
    }
}

fn merge(into: &mut Vec<OffsetCommitResponseTopic>, committed: Vec<OffsetCommitResponseTopic>) {
    for topic in committed {
        match into.iter_mut().find(|known| known.name == topic.name) {
            Some(known) => known.partitions.extend(topic.partitions),
            None => into.push(topic),
        }
    }
}
