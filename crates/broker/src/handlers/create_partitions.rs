//! CreatePartitions (key 37): more partitions for a topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::create_partitions_request::CreatePartitionsTopic;
use wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use crate::controller::check_assignment;
use crate::quota::MutationQuota;
use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::ApiError;

/// From this version on, a topic over the client's quota is refused; before, the client is held back (KIP-599).
const STRICT_QUOTA_FROM: i16 = 3;

/// Answers one result per topic.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    for topic in &request.topics {
        *named.entry(topic.name.clone()).or_default() += 1;
    }
    let mut quota = server.quotas().mutations(&context, STRICT_QUOTA_FROM);
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let outcome = match named.get(&topic.name) {
            None => continue,
            Some(1) => add(&server, &context, &topic, request.validate_only, &mut quota).await,
            Some(_) => {
                named.remove(&topic.name);
                Err(ApiError::new(
                    ErrorCode::InvalidRequest,
                    "Duplicate topic name.",
                ))
            }
        };
        let (error_code, error_message) = match outcome {
            Ok(()) => (0, None),
            // Kafka has nothing to say of a topic it does not know.
            Err(error) if error.code == ErrorCode::UnknownTopicOrPartition => {
                (error.code.code(), None)
            }
            Err(error) => (error.code.code(), Some(error.message)),
        };
        results.push(CreatePartitionsTopicResult {
            name: topic.name,
            error_code,
            error_message,
        });
    }
    CreatePartitionsResponse {
        throttle_time_ms: quota.throttle_time_ms(),
        results,
    }
}

async fn add(
    server: &Arc<Server>,
    context: &RequestContext,
    wanted: &CreatePartitionsTopic,
    validate_only: bool,
    quota: &mut MutationQuota<'_>,
) -> Result<(), ApiError> {
    if !server.allows(context, Operation::Alter, ResourceType::Topic, &wanted.name) {
        return Err(ApiError::new(
            ErrorCode::TopicAuthorizationFailed,
            "Authorization failed.",
        ));
    }
    let topic = server.topics().get(&wanted.name).ok_or_else(|| {
        ApiError::new(
            ErrorCode::UnknownTopicOrPartition,
            "This server does not host this topic-partition.",
        )
    })?;
    let current = i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
    if wanted.count == current {
        let message = format!("Topic already has {current} partition(s).");
        return Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    }
    if wanted.count < current {
        let message = format!(
            "The topic {} currently has {current} partition(s); {} would not be an increase.",
            topic.name, wanted.count
        );
        return Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    }
    let added = wanted.count - current;
    quota.spend(usize::try_from(added).unwrap_or(0))?;
    if let Some(assignments) = &wanted.assignments {
        if i32::try_from(assignments.len()).ok() != Some(added) {
            let message = format!(
                "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            );
            return Err(ApiError::new(ErrorCode::InvalidReplicaAssignment, message));
        }
        for assignment in assignments {
            check_assignment(&assignment.broker_ids, server.node_id())?;
        }
    }
    if validate_only {
        return Ok(());
    }
    server.create_partitions(&topic, wanted.count).await
}
