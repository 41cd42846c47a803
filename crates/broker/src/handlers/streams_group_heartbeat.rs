//! StreamsGroupHeartbeat (key 88): membership and tasks of the streams protocol (KIP-1071), and the internal topics that
//! an application needs.

use std::collections::BTreeSet;
use std::sync::Arc;

use coordinator::{InternalTopic, Response, StreamsHeartbeat};
use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::streams_group_heartbeat_request::Topology;
use wire::messages::streams_group_heartbeat_response::Status;
use wire::messages::{StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse};

use crate::features::STREAMS_VERSION;
use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::{NewTopic, is_internal, validate_name};

/// The name of the protocol in `group.coordinator.rebalance.protocols`.
const PROTOCOL: &str = "streams";

/// The status that a topic is missing (`StreamsGroupHeartbeatResponse.Status.MISSING_INTERNAL_TOPICS`).
const MISSING_INTERNAL_TOPICS: i8 = 3;

/// How many topics that could not be created a status names.
const NAMED_FAILURES_MAX: usize = 3;

/// Answers when what the heartbeat changes is durable, and after the topics that were missing have been created: the
/// next heartbeat finds them.
///
/// Differs: Kafka creates the topics beside the heartbeat and tells of failures with a later one.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: StreamsGroupHeartbeatRequest,
) -> StreamsGroupHeartbeatResponse {
    if !is_served(&server) {
        return failed(ErrorCode::UnsupportedVersion, None);
    }
    let group_id = request.group_id.clone();
    if !server.allows(&context, Operation::Read, ResourceType::Group, &group_id) {
        return failed(ErrorCode::GroupAuthorizationFailed, None);
    }
    if let Some(topology) = &request.topology
        && let Some(refused) = check_topics(&server, &context, topology)
    {
        return refused;
    }
    let member = context.for_coordinator();
    let run = move |shard: &mut coordinator::Shard, token| {
        shard.streams_group_heartbeat(token, &member, &request)
    };
    match server.groups().request(&group_id, run).await {
        Ok(Response::StreamsGroupHeartbeat(answer)) => {
            let StreamsHeartbeat {
                mut response,
                missing_topics,
            } = *answer;
            create_topics(&server, &context, missing_topics, &mut response).await;
            response
        }
        Ok(_) => failed(ErrorCode::UnknownServerError, None),
        Err(code) => failed(code, None),
    }
}

/// Whether `group.coordinator.rebalance.protocols` has the streams protocol, and the feature `streams.version` is on.
pub(crate) fn is_served(server: &Server) -> bool {
    let image = server.metadata().image();
    let level = image.features().levels.get(STREAMS_VERSION).copied();
    if level.unwrap_or(0) < 1 {
        return false;
    }
    let settings = server.settings();
    let mut served = settings.group_consumer.rebalance_protocols.iter();
    served.any(|protocol| protocol == PROTOCOL)
}

/// Refuses a topology whose topics nobody may use, or this requester may not see.
fn check_topics(
    server: &Server,
    context: &RequestContext,
    topology: &Topology,
) -> Option<StreamsGroupHeartbeatResponse> {
    let topics = topics_of(topology);
    let select = |wanted: &dyn Fn(&str) -> bool| -> Vec<&str> {
        topics
            .iter()
            .copied()
            .filter(|topic| wanted(topic))
            .collect()
    };
    let prohibited = select(&is_internal);
    if !prohibited.is_empty() {
        let topics = prohibited.join(",");
        return Some(failed(
            ErrorCode::StreamsInvalidTopology,
            Some(format!(
                "Use of Kafka internal topics {topics} in a Kafka Streams topology is prohibited."
            )),
        ));
    }
    let invalid = select(&|topic| validate_name(topic).is_err());
    if !invalid.is_empty() {
        let topics = invalid.join(",");
        return Some(failed(
            ErrorCode::StreamsInvalidTopology,
            Some(format!("Topic names {topics} are not valid topic names.")),
        ));
    }
    let hidden =
        select(&|topic| !server.allows(context, Operation::Describe, ResourceType::Topic, topic));
    (!hidden.is_empty()).then(|| failed(ErrorCode::TopicAuthorizationFailed, None))
}

/// Every topic that a topology names.
fn topics_of(topology: &Topology) -> BTreeSet<&str> {
    let subtopologies = topology.subtopologies.iter();
    subtopologies
        .flat_map(|subtopology| {
            let named = subtopology.source_topics.iter();
            let named = named.chain(&subtopology.repartition_sink_topics);
            let internal = subtopology.repartition_source_topics.iter();
            let internal = internal.chain(&subtopology.state_changelog_topics);
            named.chain(internal.map(|topic| &topic.name))
        })
        .map(String::as_str)
        .collect()
}

/// Creates what is missing, and says in the answer what could not be created.
async fn create_topics(
    server: &Arc<Server>,
    context: &RequestContext,
    topics: Vec<InternalTopic>,
    response: &mut StreamsGroupHeartbeatResponse,
) {
    if topics.is_empty() {
        return;
    }
    let may_create =
        |kind: ResourceType, name: &str| server.allows(context, Operation::Create, kind, name);
    if !may_create(ResourceType::Cluster, CLUSTER_NAME) {
        let topics = topics.iter().map(|topic| topic.name.as_str());
        let refused: Vec<&str> = topics
            .filter(|topic| !may_create(ResourceType::Topic, topic))
            .collect();
        if !refused.is_empty() {
            let topics = refused.join(",");
            explain(
                response,
                &format!("Unauthorized to CREATE on topics {topics}."),
            );
            return;
        }
    }
    let mut quota = server.quotas().mutations(context, 0);
    let mut failures = Vec::new();
    for topic in topics {
        let name = topic.name.clone();
        let partitions = usize::try_from(topic.partitions).unwrap_or(0);
        let new = to_new_topic(topic);
        // A member of the same group may have been first.
        if server.topics().get(&name).is_some() {
            continue;
        }
        let created = match server
            .check_topic(&new)
            .and_then(|_| quota.spend(partitions))
        {
            Ok(()) => server.create_topic(new).await.map(drop),
            Err(error) => Err(error),
        };
        match created {
            Ok(()) => tracing::info!(
                topic = name,
                partitions,
                "created an internal topic of a streams group"
            ),
            Err(error) if error.code == ErrorCode::TopicAlreadyExists => {}
            Err(error) => {
                tracing::warn!(topic = name, %error, "cannot create an internal topic of a streams group");
                failures.push(format!("{name} ({})", error.message));
            }
        }
    }
    if failures.is_empty() {
        return;
    }
    let named = failures.iter().take(NAMED_FAILURES_MAX).cloned();
    let mut text = named.collect::<Vec<String>>().join(", ");
    if let Some(rest) = failures.len().checked_sub(NAMED_FAILURES_MAX)
        && rest > 0
    {
        text = format!("{text} and {rest} more");
    }
    explain(response, &format!("Creation failed: {text}."));
}

/// -1 replicas mean the broker's default.
fn to_new_topic(topic: InternalTopic) -> NewTopic {
    let configs = topic.configs.into_iter();
    NewTopic {
        name: topic.name,
        partitions: Some(topic.partitions),
        replication_factor: topic.replication_factor.filter(|replicas| *replicas != -1),
        configs: configs.map(|(name, value)| (name, Some(value))).collect(),
    }
}

/// Adds to the status that internal topics are missing.
fn explain(response: &mut StreamsGroupHeartbeatResponse, what: &str) {
    let status = response.status.get_or_insert_default();
    let missing = status
        .iter_mut()
        .find(|status| status.status_code == MISSING_INTERNAL_TOPICS);
    match missing {
        Some(status) => status.status_detail = format!("{}; {what}", status.status_detail),
        None => status.push(Status {
            status_code: MISSING_INTERNAL_TOPICS,
            status_detail: what.to_owned(),
        }),
    }
}

fn failed(code: ErrorCode, message: Option<String>) -> StreamsGroupHeartbeatResponse {
    StreamsGroupHeartbeatResponse {
        error_code: code.code(),
        error_message: message,
        ..StreamsGroupHeartbeatResponse::default()
    }
}
