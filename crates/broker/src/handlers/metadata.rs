//! Metadata (key 3): brokers, topics, partitions; creates a missing topic when asked to and allowed.

use std::sync::Arc;

use base::{TopicId, Uuid};
use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use wire::messages::{MetadataRequest, MetadataResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::{NewTopic, Topic, is_internal};

/// `authorized_operations` when they were not asked for.
const NO_OPERATIONS: i32 = i32::MIN;

/// Answers for the topics named, or for all: null from version 1, an empty list in version 0.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: MetadataRequest,
) -> MetadataResponse {
    let all = match &request.topics {
        None => true,
        Some(topics) => topics.is_empty() && context.api_version == 0,
    };
    let auto_create = context.api_version < 4 || request.allow_auto_topic_creation;
    let mut topics = Vec::new();
    if all {
        for topic in server.topics().all() {
            if server.allows(
                &context,
                Operation::Describe,
                ResourceType::Topic,
                &topic.name,
            ) {
                topics.push(describe(&server, &context, &topic));
            }
        }
    } else {
        for requested in request.topics.unwrap_or_default() {
            let by_id = !requested.topic_id.is_zero();
            let by_id_allowed = context.api_version >= 12;
            topics.push(match requested.name {
                // Ids are in requests from version 10, but Kafka takes them from version 12 only.
                name if !by_id_allowed && (by_id || name.is_none()) => {
                    let name = name.unwrap_or_default();
                    failed(Some(name), Uuid::ZERO, ErrorCode::InvalidRequest)
                }
                Some(name) if !by_id => named(&server, &context, name, auto_create).await,
                _ if by_id => identified(&server, &context, requested.topic_id),
                _ => failed(None, Uuid::ZERO, ErrorCode::InvalidRequest),
            });
        }
    }
    if request.include_topic_authorized_operations {
        add_topic_operations(&server, &context, &mut topics);
    }
    let cluster_operations = if request.include_cluster_authorized_operations {
        server.authorizer().authorized_operations(
            context.requester(),
            ResourceType::Cluster,
            CLUSTER_NAME,
        )
    } else {
        NO_OPERATIONS
    };
    let listener = &context.connection.listener;
    MetadataResponse {
        brokers: vec![MetadataResponseBroker {
            node_id: server.node_id().0,
            host: listener.advertised_host.clone(),
            port: i32::from(listener.advertised_port),
            rack: server.settings().broker_rack.clone(),
        }],
        cluster_id: Some(server.cluster_id().to_owned()),
        controller_id: server.node_id().0,
        topics,
        cluster_authorized_operations: cluster_operations,
        ..MetadataResponse::default()
    }
}

fn add_topic_operations(
    server: &Server,
    context: &RequestContext,
    topics: &mut [MetadataResponseTopic],
) {
    for topic in topics.iter_mut().filter(|topic| topic.error_code == 0) {
        let name = topic.name.as_deref().unwrap_or_default();
        topic.topic_authorized_operations = server.authorizer().authorized_operations(
            context.requester(),
            ResourceType::Topic,
            name,
        );
    }
}

async fn named(
    server: &Arc<Server>,
    context: &RequestContext,
    name: String,
    auto_create: bool,
) -> MetadataResponseTopic {
    if !server.allows(context, Operation::Describe, ResourceType::Topic, &name) {
        return failed(Some(name), Uuid::ZERO, ErrorCode::TopicAuthorizationFailed);
    }
    if let Some(topic) = server.topics().get(&name) {
        return describe(server, context, &topic);
    }
    if !auto_create || !server.settings().auto_create_topics_enable {
        let code = if crate::topics::validate_name(&name).is_err() {
            ErrorCode::InvalidTopicException
        } else {
            ErrorCode::UnknownTopicOrPartition
        };
        return failed(Some(name), Uuid::ZERO, code);
    }
    let may_create = server.allows(
        context,
        Operation::Create,
        ResourceType::Cluster,
        CLUSTER_NAME,
    ) || server.allows(context, Operation::Create, ResourceType::Topic, &name);
    if !may_create {
        return failed(Some(name), Uuid::ZERO, ErrorCode::TopicAuthorizationFailed);
    }
    // As Kafka's `AutoTopicCreationManager`: over the quota the topic is not there yet, and the client asks again.
    let partitions = usize::try_from(server.settings().num_partitions).unwrap_or(0);
    let mut quota = server.quotas().mutations(context, i16::MIN);
    if quota.spend(partitions).is_err() {
        let code = ErrorCode::UnknownTopicOrPartition;
        return failed(Some(name), Uuid::ZERO, code);
    }
    match server
        .create_topic(NewTopic::with_defaults(name.clone()))
        .await
    {
        Ok(topic) => describe(server, context, &topic),
        Err(error) if error.code == ErrorCode::TopicAlreadyExists => {
            match server.topics().get(&name) {
                Some(topic) => describe(server, context, &topic),
                None => failed(Some(name), Uuid::ZERO, ErrorCode::LeaderNotAvailable),
            }
        }
        Err(error) => failed(Some(name), Uuid::ZERO, error.code),
    }
}

fn identified(server: &Server, context: &RequestContext, id: Uuid) -> MetadataResponseTopic {
    match server.topics().get_by_id(TopicId(id)) {
        // A topic that may not be described must look like one that does not exist.
        Some(topic)
            if server.allows(
                context,
                Operation::Describe,
                ResourceType::Topic,
                &topic.name,
            ) =>
        {
            describe(server, context, &topic)
        }
        Some(_) => failed(None, id, ErrorCode::TopicAuthorizationFailed),
        None => failed(None, id, ErrorCode::UnknownTopicId),
    }
}

fn failed(name: Option<String>, topic_id: Uuid, code: ErrorCode) -> MetadataResponseTopic {
    let is_internal = name.as_deref().is_some_and(is_internal);
    MetadataResponseTopic {
        error_code: code.code(),
        name,
        topic_id,
        is_internal,
        topic_authorized_operations: NO_OPERATIONS,
        ..MetadataResponseTopic::default()
    }
}

fn describe(server: &Server, context: &RequestContext, topic: &Topic) -> MetadataResponseTopic {
    let node = server.node_id().0;
    // Version 0 knows no offline replica: it was told that the leader is not available.
    let partitions = topic
        .partitions()
        .iter()
        .map(|partition| {
            let online = partition.is_online();
            MetadataResponsePartition {
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
                offline_replicas: if online || context.api_version < 5 {
                    vec![]
                } else {
                    vec![node]
                },
            }
        })
        .collect();
    MetadataResponseTopic {
        error_code: 0,
        name: Some(topic.name.clone()),
        topic_id: topic.id.0,
        is_internal: is_internal(&topic.name),
        partitions,
        topic_authorized_operations: NO_OPERATIONS,
    }
}
