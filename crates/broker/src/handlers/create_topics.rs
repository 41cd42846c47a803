//! CreateTopics (key 19): new topics, with partitions, configs, or a manual assignment.

use std::collections::BTreeMap;
use std::sync::Arc;

use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::create_topics_request::CreatableTopic;
use wire::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use wire::messages::{CreateTopicsRequest, CreateTopicsResponse};

use crate::config::{DescribeOptions, describe_topic};
use crate::controller::{CheckedTopic, check_assignment};
use crate::quota::MutationQuota;
use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::{ApiError, NewTopic};

/// From this version on, a topic over the client's quota is refused; before, the client is held back (KIP-599).
const STRICT_QUOTA_FROM: i16 = 6;

/// The topic that stands for Kafka's metadata log, which no client creates.
const CLUSTER_METADATA: &str = "__cluster_metadata";

/// Answers one result per topic named, duplicates once.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    for topic in &request.topics {
        *named.entry(topic.name.clone()).or_default() += 1;
    }
    let may_create_any = server.allows(
        &context,
        Operation::Create,
        ResourceType::Cluster,
        CLUSTER_NAME,
    );
    let mut quota = server.quotas().mutations(&context, STRICT_QUOTA_FROM);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        match named.get(&topic.name) {
            Some(1) => {}
            Some(_) => {
                named.remove(&topic.name);
                let error = ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name.");
                topics.push(failed(topic.name, error));
                continue;
            }
            None => continue,
        }
        if topic.name == CLUSTER_METADATA {
            let message = format!("Creation of internal topic {CLUSTER_METADATA} is prohibited.");
            let error = ApiError::new(ErrorCode::InvalidRequest, message);
            topics.push(failed(topic.name, error));
            continue;
        }
        let allowed = may_create_any
            || server.allows(
                &context,
                Operation::Create,
                ResourceType::Topic,
                &topic.name,
            );
        topics.push(if allowed {
            let name = topic.name.clone();
            let created = create(&server, &context, topic, request.validate_only, &mut quota).await;
            created.unwrap_or_else(|error| failed(name, error))
        } else {
            let error = ApiError::new(ErrorCode::TopicAuthorizationFailed, "Authorization failed.");
            failed(topic.name, error)
        });
    }
    CreateTopicsResponse {
        throttle_time_ms: quota.throttle_time_ms(),
        topics,
    }
}

async fn create(
    server: &Arc<Server>,
    context: &RequestContext,
    topic: CreatableTopic,
    validate_only: bool,
    quota: &mut MutationQuota<'_>,
) -> Result<CreatableTopicResult, ApiError> {
    let new = requested(server, topic)?;
    let checked = server.check_topic(&new)?;
    quota.spend(usize::try_from(checked.partitions).unwrap_or(0))?;
    let (checked, topic_id) = if validate_only {
        (checked, base::Uuid::ZERO)
    } else {
        let created = server.create_topic(new).await?;
        (checked, created.id.0)
    };
    let may_describe = server.allows(
        context,
        Operation::DescribeConfigs,
        ResourceType::Topic,
        &checked.name,
    );
    let mut result = CreatableTopicResult {
        name: checked.name.clone(),
        topic_id,
        ..CreatableTopicResult::default()
    };
    if may_describe {
        result.num_partitions = checked.partitions;
        result.replication_factor = 1;
        result.configs = Some(effective_configs(server, &checked));
    } else {
        result.topic_config_error_code = ErrorCode::TopicAuthorizationFailed.code();
        result.configs = Some(Vec::new());
        result.num_partitions = -1;
        result.replication_factor = -1;
    }
    Ok(result)
}

/// What the request asks for, in the controller's terms; -1 means the default.
fn requested(server: &Server, topic: CreatableTopic) -> Result<NewTopic, ApiError> {
    let configs = topic
        .configs
        .into_iter()
        .map(|config| (config.name, config.value))
        .collect();
    let mut new = NewTopic {
        name: topic.name,
        partitions: (topic.num_partitions != -1).then_some(topic.num_partitions),
        replication_factor: (topic.replication_factor != -1).then_some(topic.replication_factor),
        configs,
    };
    if topic.assignments.is_empty() {
        return Ok(new);
    }
    if new.replication_factor.is_some() {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ));
    }
    if new.partitions.is_some() {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ));
    }
    let mut indexes: Vec<i32> = topic
        .assignments
        .iter()
        .map(|assignment| assignment.partition_index)
        .collect();
    indexes.sort_unstable();
    if !indexes
        .iter()
        .copied()
        .eq(0..i32::try_from(indexes.len()).unwrap_or(i32::MAX))
    {
        return Err(ApiError::new(
            ErrorCode::InvalidReplicaAssignment,
            "partitions should be a consecutive 0-based integer sequence",
        ));
    }
    for assignment in &topic.assignments {
        check_assignment(&assignment.broker_ids, server.node_id())?;
    }
    new.partitions = i32::try_from(indexes.len()).ok();
    new.replication_factor = Some(1);
    Ok(new)
}

fn effective_configs(server: &Server, checked: &CheckedTopic) -> Vec<CreatableTopicConfigs> {
    describe_topic(
        &server.configs(),
        &checked.overrides,
        DescribeOptions::default(),
    )
    .into_iter()
    .map(|entry| CreatableTopicConfigs {
        name: entry.name,
        value: entry.value,
        read_only: entry.read_only,
        config_source: entry.source.code(),
        is_sensitive: entry.is_sensitive,
    })
    .collect()
}

fn failed(name: String, error: ApiError) -> CreatableTopicResult {
    CreatableTopicResult {
        name,
        error_code: error.code.code(),
        error_message: Some(error.message),
        num_partitions: -1,
        replication_factor: -1,
        configs: Some(Vec::new()),
        ..CreatableTopicResult::default()
    }
}
