//! DescribeTopicPartitions (key 75, KIP-966): topics page by page, with a cursor.

use std::collections::BTreeSet;
use std::sync::Arc;

use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use wire::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::{Topic, is_internal};

/// Answers for the topics named, or for all, in the order of their names, from the cursor on, with at most
/// `max.request.partition.size.limit` partitions.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    if request
        .cursor
        .as_ref()
        .is_some_and(|cursor| cursor.partition_index < 0)
    {
        return refused(request);
    }
    let (start_name, start_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index),
        None => ("", 0),
    };
    let all = request.topics.is_empty();
    let names: BTreeSet<String> = if all {
        server
            .topics()
            .all()
            .iter()
            .map(|topic| topic.name.clone())
            .collect()
    } else {
        request.topics.into_iter().map(|topic| topic.name).collect()
    };
    let limit = server.settings().max_request_partition_size_limit.min(
        usize::try_from(request.response_partition_limit)
            .unwrap_or(0)
            .max(1),
    );
    let mut left = limit;
    let mut response = DescribeTopicPartitionsResponse::default();
    for name in names.into_iter().filter(|name| name.as_str() >= start_name) {
        let first = if name == start_name {
            start_partition
        } else {
            0
        };
        if left == 0 {
            response.next_cursor = Some(Cursor {
                topic_name: name,
                partition_index: first,
            });
            break;
        }
        let allowed = server.allows(&context, Operation::Describe, ResourceType::Topic, &name);
        match server.topics().get(&name) {
            Some(topic) if allowed => {
                let (described, next) = page(&server, &context, &topic, first, left);
                left -= described.partitions.len().min(left);
                response.topics.push(described);
                if let Some(partition_index) = next {
                    response.next_cursor = Some(Cursor {
                        topic_name: name,
                        partition_index,
                    });
                    break;
                }
            }
            // Asked for all, a topic that may not be seen is not mentioned.
            _ if all => {}
            _ => response
                .topics
                .push(unknown(&server, &context, name, allowed)),
        }
    }
    response
}

/// The answer to a cursor that points before the first partition: INVALID_REQUEST for each topic.
fn refused(request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    let topics = request.topics.into_iter();
    DescribeTopicPartitionsResponse {
        topics: topics
            .map(|topic| DescribeTopicPartitionsResponseTopic {
                error_code: ErrorCode::InvalidRequest.code(),
                name: Some(topic.name),
                ..DescribeTopicPartitionsResponseTopic::default()
            })
            .collect(),
        ..DescribeTopicPartitionsResponse::default()
    }
}

fn unknown(
    server: &Server,
    context: &RequestContext,
    name: String,
    allowed: bool,
) -> DescribeTopicPartitionsResponseTopic {
    let code = if allowed {
        ErrorCode::UnknownTopicOrPartition
    } else {
        ErrorCode::TopicAuthorizationFailed
    };
    DescribeTopicPartitionsResponseTopic {
        error_code: code.code(),
        is_internal: is_internal(&name),
        topic_authorized_operations: server.authorizer().authorized_operations(
            context.requester(),
            ResourceType::Topic,
            &name,
        ),
        name: Some(name),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

/// Up to `limit` partitions of one topic from `first` on, and where the next page begins.
fn page(
    server: &Server,
    context: &RequestContext,
    topic: &Topic,
    first: i32,
    limit: usize,
) -> (DescribeTopicPartitionsResponseTopic, Option<i32>) {
    let node = server.node_id().0;
    let all = topic.partitions();
    let first = usize::try_from(first).unwrap_or(0);
    let partitions: Vec<_> = all
        .iter()
        .skip(first)
        .take(limit)
        .map(|partition| {
            let online = partition.is_online();
            DescribeTopicPartitionsResponsePartition {
                error_code: if online {
                    0
                } else {
                    ErrorCode::LeaderNotAvailable.code()
                },
                partition_index: partition.index.0,
                leader_id: if online { node } else { -1 },
                leader_epoch: partition.leader_epoch.0,
                replica_nodes: vec![node],
                isr_nodes: vec![node],
                eligible_leader_replicas: Some(Vec::new()),
                last_known_elr: Some(Vec::new()),
                offline_replicas: if online { Vec::new() } else { vec![node] },
            }
        })
        .collect();
    let end = first + partitions.len();
    let next = (end < all.len()).then(|| i32::try_from(end).unwrap_or(i32::MAX));
    let described = DescribeTopicPartitionsResponseTopic {
        error_code: 0,
        name: Some(topic.name.clone()),
        topic_id: topic.id.0,
        is_internal: is_internal(&topic.name),
        partitions,
        topic_authorized_operations: server.authorizer().authorized_operations(
            context.requester(),
            ResourceType::Topic,
            &topic.name,
        ),
    };
    (described, next)
}
