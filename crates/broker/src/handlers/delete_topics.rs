//! DeleteTopics (key 20): by name, or from version 6 by id.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{TopicId, Uuid};
use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::delete_topics_request::DeleteTopicState;
use wire::messages::delete_topics_response::DeletableTopicResult;
use wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use crate::quota::MutationQuota;
use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::ApiError;

/// From this version on, a topic over the client's quota is refused; before, the client is held back (KIP-599).
const STRICT_QUOTA_FROM: i16 = 5;

/// Answers one result per topic.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let by_name = request
        .topic_names
        .into_iter()
        .map(|name| DeleteTopicState {
            name: Some(name),
            topic_id: Uuid::ZERO,
        });
    let wanted: Vec<DeleteTopicState> = by_name.chain(request.topics).collect();
    let mut times: BTreeMap<(Option<String>, Uuid), usize> = BTreeMap::new();
    for state in &wanted {
        *times
            .entry((state.name.clone(), state.topic_id))
            .or_default() += 1;
    }
    let mut quota = server.quotas().mutations(&context, STRICT_QUOTA_FROM);
    let mut responses = Vec::with_capacity(wanted.len());
    for state in wanted {
        let key = (state.name.clone(), state.topic_id);
        let result = match times.get(&key) {
            None => continue,
            Some(1) => delete(&server, &context, &state, &mut quota).await,
            Some(_) => {
                times.remove(&key);
                let what = if state.name.is_some() {
                    "Duplicate topic name."
                } else {
                    "Duplicate topic id."
                };
                Err(ApiError::new(ErrorCode::InvalidRequest, what))
            }
        };
        responses.push(match result {
            Ok((name, id)) => DeletableTopicResult {
                name: Some(name),
                topic_id: id.0,
                ..DeletableTopicResult::default()
            },
            Err(error) => DeletableTopicResult {
                // The name was not nullable before version 6.
                name: state
                    .name
                    .or_else(|| (context.api_version < 6).then(String::new)),
                topic_id: state.topic_id,
                error_code: error.code.code(),
                error_message: Some(error.message),
            },
        });
    }
    DeleteTopicsResponse {
        throttle_time_ms: quota.throttle_time_ms(),
        responses,
    }
}

async fn delete(
    server: &Arc<Server>,
    context: &RequestContext,
    state: &DeleteTopicState,
    quota: &mut MutationQuota<'_>,
) -> Result<(String, TopicId), ApiError> {
    if !server.settings().delete_topic_enable {
        let code = if context.api_version < 3 {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::TopicDeletionDisabled
        };
        return Err(ApiError::new(code, "Topic deletion is disabled."));
    }
    let by_id = !state.topic_id.is_zero();
    let topic = match (&state.name, by_id) {
        (Some(_), true) => {
            return Err(ApiError::new(
                ErrorCode::InvalidRequest,
                "You may not specify both topic name and topic id.",
            ));
        }
        (None, false) => {
            return Err(ApiError::new(
                ErrorCode::InvalidRequest,
                "Neither topic name nor id were specified.",
            ));
        }
        (Some(name), false) => server.topics().get(name),
        (None, true) => server.topics().get_by_id(TopicId(state.topic_id)),
    };
    let name = topic
        .as_ref()
        .map(|topic| topic.name.clone())
        .or_else(|| state.name.clone());
    if let Some(name) = &name
        && !server.allows(context, Operation::Delete, ResourceType::Topic, name)
    {
        // An id must not betray the name of a topic that may not be described.
        let visible = server.allows(context, Operation::Describe, ResourceType::Topic, name);
        let code = if by_id && !visible {
            ErrorCode::UnknownTopicId
        } else {
            ErrorCode::TopicAuthorizationFailed
        };
        return Err(ApiError::new(code, "Authorization failed."));
    }
    let Some(topic) = topic else {
        return Err(if by_id {
            ApiError::new(
                ErrorCode::UnknownTopicId,
                "This server does not host this topic ID.",
            )
        } else {
            ApiError::new(
                ErrorCode::UnknownTopicOrPartition,
                "This server does not host this topic-partition.",
            )
        });
    };
    quota.spend(topic.partitions().len())?;
    server.delete_topic(&topic).await?;
    Ok((topic.name.clone(), topic.id))
}
