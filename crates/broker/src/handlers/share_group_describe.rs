//! ShareGroupDescribe (key 77): epochs, members and assignments of share groups (KIP-932).

use std::sync::Arc;

use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::share_group_describe_response::DescribedGroup;
use wire::messages::{ShareGroupDescribeRequest, ShareGroupDescribeResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::share::is_enabled;

/// Answers per group, in the order of the request.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ShareGroupDescribeRequest,
) -> ShareGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    for group_id in request.group_ids {
        let mut group = if is_enabled(&server) {
            describe(&server, &context, group_id).await
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
    ShareGroupDescribeResponse {
        groups,
        ..ShareGroupDescribeResponse::default()
    }
}

async fn describe(
    server: &Arc<Server>,
    context: &RequestContext,
    group_id: String,
) -> DescribedGroup {
    if !server.allows(context, Operation::Describe, ResourceType::Group, &group_id) {
        return failed(group_id, ErrorCode::GroupAuthorizationFailed);
    }
    let id = group_id.clone();
    let described = server
        .groups()
        .query(&group_id, move |shard| shard.describe_share_group(&id))
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
            "The group has described topic(s) that the client is not authorized to describe."
                .to_owned(),
        ),
        ..failed(group_id, ErrorCode::TopicAuthorizationFailed)
    }
}

/// Every topic the description tells of.
fn topics_of(group: &DescribedGroup) -> impl Iterator<Item = &str> {
    group.members.iter().flat_map(|member| {
        let assigned = member.assignment.topic_partitions.iter();
        let assigned = assigned.map(|topic| topic.topic_name.as_str());
        let subscribed = member.subscribed_topic_names.iter().map(String::as_str);
        subscribed.chain(assigned)
    })
}

fn failed(group_id: String, code: ErrorCode) -> DescribedGroup {
    DescribedGroup {
        error_code: code.code(),
        group_id,
        ..DescribedGroup::default()
    }
}
