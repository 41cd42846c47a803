//! StreamsGroupDescribe (key 89): topology, members and tasks of groups of the streams protocol (KIP-1071).

use std::sync::Arc;

use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::streams_group_describe_response::DescribedGroup;
use wire::messages::{StreamsGroupDescribeRequest, StreamsGroupDescribeResponse};

use super::streams_group_heartbeat::is_served;
use crate::request::RequestContext;
use crate::server::Server;

/// Answers per group, in the order of the request.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: StreamsGroupDescribeRequest,
) -> StreamsGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    for group_id in request.group_ids {
        let mut group = if is_served(&server) {
            let include = request.include_topology_description;
            describe(&server, &context, group_id, include).await
        } else {
            failed(group_id, ErrorCode::UnsupportedVersion)
        };
        if request.include_authorized_operations && group.error_code == 0 {
            group.authorized_operations = server.authorizer().authorized_operations(
                context.requester(),
                ResourceType::Group,
                &group.group_id,
            );
        }
        groups.push(group);
    }
    StreamsGroupDescribeResponse {
        groups,
        ..StreamsGroupDescribeResponse::default()
    }
}

async fn describe(
    server: &Arc<Server>,
    context: &RequestContext,
    group_id: String,
    include_description: bool,
) -> DescribedGroup {
    if !server.allows(context, Operation::Describe, ResourceType::Group, &group_id) {
        return failed(group_id, ErrorCode::GroupAuthorizationFailed);
    }
    let id = group_id.clone();
    let described = server
        .groups()
        .query(&group_id, move |shard| {
            shard.describe_streams_group(&id, include_description)
        })
        .await;
    let group = match described {
        Ok(group) => group,
        Err(code) => return failed(group_id, code),
    };
    if topics_of(&group)
        .all(|topic| server.allows(context, Operation::Describe, ResourceType::Topic, topic))
    {
        return group;
    }
    DescribedGroup {
        error_message: Some(
            "The described group uses topics that the client is not authorized to describe."
                .to_owned(),
        ),
        ..failed(group_id, ErrorCode::TopicAuthorizationFailed)
    }
}

/// Every topic the description tells of.
fn topics_of(group: &DescribedGroup) -> impl Iterator<Item = &str> {
    let subtopologies = group
        .topology
        .iter()
        .flat_map(|topology| topology.subtopologies.iter().flatten());
    subtopologies.flat_map(|subtopology| {
        let named = subtopology.source_topics.iter();
        let named = named.chain(&subtopology.repartition_sink_topics);
        let internal = subtopology.repartition_source_topics.iter();
        let internal = internal.chain(&subtopology.state_changelog_topics);
        named
            .map(String::as_str)
            .chain(internal.map(|topic| topic.name.as_str()))
    })
}

fn failed(group_id: String, code: ErrorCode) -> DescribedGroup {
    DescribedGroup {
        error_code: code.code(),
        group_id,
        ..DescribedGroup::default()
    }
}
