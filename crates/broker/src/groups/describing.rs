//! What the describe APIs of the group protocols have in common: who may see a group, and the topics it tells of.

use std::sync::Arc;

use coordinator::Shard;
use security::{Operation, ResourceType};
use wire::ErrorCode;

use crate::request::RequestContext;
use crate::server::Server;

/// A group as the API of its protocol answers it.
pub(crate) trait Described: Default + Send + 'static {
    /// What a group gets as message that tells of topics the requester may not see.
    const HIDDEN_TOPICS: &'static str =
        "The group has described topic(s) that the client is not authorized to describe.";

    /// The fields that every protocol's answer has.
    fn head(&mut self) -> Head<'_>;

    /// Every topic the description tells of.
    fn topics(&self) -> impl Iterator<Item = &str>;
}

/// The fields that every protocol's answer has.
pub(crate) struct Head<'a> {
    pub(crate) group_id: &'a mut String,
    pub(crate) error_code: &'a mut i16,
    pub(crate) error_message: &'a mut Option<String>,
    pub(crate) authorized_operations: &'a mut i32,
}

/// Describes groups, in the order of `group_ids`. `is_served` says whether the broker has their protocol, `ask` has the
/// group's coordinator describe one.
pub(crate) async fn describe_each<D: Described>(
    server: &Arc<Server>,
    context: &RequestContext,
    group_ids: Vec<String>,
    include_authorized_operations: bool,
    is_served: bool,
    ask: impl Fn(&Shard, &str) -> D + Copy + Send + 'static,
) -> Vec<D> {
    let mut groups = Vec::with_capacity(group_ids.len());
    for group_id in group_ids {
        let mut group = if is_served {
            describe(server, context, group_id, ask).await
        } else {
            failed(group_id, ErrorCode::UnsupportedVersion)
        };
        let head = group.head();
        if include_authorized_operations && *head.error_code == 0 {
            let authorizer = server.authorizer();
            *head.authorized_operations = authorizer.authorized_operations(
                context.requester(),
                ResourceType::Group,
                head.group_id,
            );
        }
        groups.push(group);
    }
    groups
}

async fn describe<D: Described>(
    server: &Arc<Server>,
    context: &RequestContext,
    group_id: String,
    ask: impl Fn(&Shard, &str) -> D + Send + 'static,
) -> D {
    if !server.allows(context, Operation::Describe, ResourceType::Group, &group_id) {
        return failed(group_id, ErrorCode::GroupAuthorizationFailed);
    }
    let id = group_id.clone();
    let described = server
        .groups()
        .query(&group_id, move |shard| ask(shard, &id))
        .await;
    let group = match described {
        Ok(group) => group,
        Err(code) => return failed(group_id, code),
    };
    let mut topics = group.topics();
    if topics.all(|topic| server.allows(context, Operation::Describe, ResourceType::Topic, topic)) {
        drop(topics);
        return group;
    }
    let mut hidden: D = failed(group_id, ErrorCode::TopicAuthorizationFailed);
    *hidden.head().error_message = Some(D::HIDDEN_TOPICS.to_owned());
    hidden
}

fn failed<D: Described>(group_id: String, code: ErrorCode) -> D {
    let mut group = D::default();
    let head = group.head();
    *head.group_id = group_id;
    *head.error_code = code.code();
    group
}
