//! DescribeShareGroupOffsets (key 90, KIP-932; lag: KIP-1226): where share partitions start, and how far behind they are.

use std::sync::Arc;

use base::{PartitionIndex, TopicId, Uuid};
use coordinator::share_state::ShareKey;
use futures::future::join_all;
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use wire::messages::describe_share_group_offsets_response::{
    DescribeShareGroupOffsetsResponseGroup, DescribeShareGroupOffsetsResponsePartition,
    DescribeShareGroupOffsetsResponseTopic,
};
use wire::messages::{DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::is_enabled;
use crate::topics::Topic;

/// The start offset of a share partition without a state, and the lag of one whose lag is not known.
const UNKNOWN: i64 = -1;

/// Answers per group, in the order of the request. A group need not exist: its share partitions have no offset.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DescribeShareGroupOffsetsRequest,
) -> DescribeShareGroupOffsetsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        groups.push(describe(&server, &context, group).await);
    }
    DescribeShareGroupOffsetsResponse {
        groups,
        ..DescribeShareGroupOffsetsResponse::default()
    }
}

async fn describe(
    server: &Arc<Server>,
    context: &RequestContext,
    request: DescribeShareGroupOffsetsRequestGroup,
) -> DescribeShareGroupOffsetsResponseGroup {
    let group_id = request.group_id;
    let failed = |code: ErrorCode| DescribeShareGroupOffsetsResponseGroup {
        group_id: group_id.clone(),
        error_code: code.code(),
        ..DescribeShareGroupOffsetsResponseGroup::default()
    };
    if !is_enabled(server) {
        return failed(ErrorCode::UnsupportedVersion);
    }
    if !server.allows(context, Operation::Describe, ResourceType::Group, &group_id) {
        return failed(ErrorCode::GroupAuthorizationFailed);
    }
    let may_see =
        |topic: &str| server.allows(context, Operation::Describe, ResourceType::Topic, topic);
    let id: Arc<str> = group_id.as_str().into();
    let mut topics = Vec::new();
    match request.topics {
        Some(asked) => {
            for asked in asked {
                topics.push(if may_see(&asked.topic_name) {
                    named(server, &id, asked).await
                } else {
                    refused(asked)
                });
            }
        }
        None => {
            let asked = group_id.clone();
            let all = server
                .groups()
                .query(&group_id, move |shard| {
                    shard.initialized_share_partitions(&asked)
                })
                .await;
            let all = match all {
                Ok(all) => all,
                Err(code) => return failed(code),
            };
            for (topic_id, partitions) in all {
                let topic = server.topics().get_by_id(TopicId(topic_id));
                if let Some(topic) = topic.filter(|topic| may_see(&topic.name)) {
                    let partitions = partitions.into_iter();
                    topics.push(of_topic(server, &id, &topic, partitions).await);
                }
            }
        }
    }
    DescribeShareGroupOffsetsResponseGroup {
        group_id,
        topics,
        ..DescribeShareGroupOffsetsResponseGroup::default()
    }
}

async fn named(
    server: &Arc<Server>,
    group_id: &Arc<str>,
    asked: DescribeShareGroupOffsetsRequestTopic,
) -> DescribeShareGroupOffsetsResponseTopic {
    let partitions = asked.partitions.into_iter();
    match server.topics().get(&asked.topic_name) {
        Some(topic) => of_topic(server, group_id, &topic, partitions).await,
        None => DescribeShareGroupOffsetsResponseTopic {
            topic_name: asked.topic_name,
            topic_id: Uuid::ZERO,
            partitions: partitions.map(nothing).collect(),
        },
    }
}

async fn of_topic(
    server: &Arc<Server>,
    group_id: &Arc<str>,
    topic: &Topic,
    partitions: impl Iterator<Item = i32>,
) -> DescribeShareGroupOffsetsResponseTopic {
    let described = partitions.map(|index| async move {
        let key = ShareKey {
            group_id: Arc::clone(group_id),
            topic_id: topic.id.0,
            partition: PartitionIndex(index),
        };
        // As in Apache Kafka, a state that cannot be read looks like one that is not there.
        let Ok(summary) = server.persister().summary(server, key).await else {
            return nothing(index);
        };
        let partition = topic.partition(PartitionIndex(index));
        let end = partition.map(|partition| partition.log.high_watermark());
        let done = i64::from(summary.delivery_complete_count);
        let lag = match (summary.start_offset, end) {
            (Some(start), Some(end)) if done != UNKNOWN => end.0 - start.0 - done,
            _ => UNKNOWN,
        };
        DescribeShareGroupOffsetsResponsePartition {
            partition_index: index,
            start_offset: summary.start_offset.map_or(UNKNOWN, |offset| offset.0),
            leader_epoch: summary.leader_epoch,
            lag,
            ..DescribeShareGroupOffsetsResponsePartition::default()
        }
    });
    DescribeShareGroupOffsetsResponseTopic {
        topic_name: topic.name.clone(),
        topic_id: topic.id.0,
        partitions: join_all(described).await,
    }
}

fn nothing(partition_index: i32) -> DescribeShareGroupOffsetsResponsePartition {
    DescribeShareGroupOffsetsResponsePartition {
        partition_index,
        start_offset: UNKNOWN,
        lag: UNKNOWN,
        ..DescribeShareGroupOffsetsResponsePartition::default()
    }
}

fn refused(asked: DescribeShareGroupOffsetsRequestTopic) -> DescribeShareGroupOffsetsResponseTopic {
    let partitions = asked.partitions.into_iter();
    let partitions = partitions.map(
        |partition_index| DescribeShareGroupOffsetsResponsePartition {
            partition_index,
            error_code: ErrorCode::TopicAuthorizationFailed.code(),
            error_message: Some("Topic authorization failed.".to_owned()),
            ..DescribeShareGroupOffsetsResponsePartition::default()
        },
    );
    DescribeShareGroupOffsetsResponseTopic {
        topic_name: asked.topic_name,
        topic_id: Uuid::ZERO,
        partitions: partitions.collect(),
    }
}
