//! ShareGroupDescribe (key 77): epochs, members and assignments of share groups (KIP-932).

use std::sync::Arc;

use wire::messages::share_group_describe_response::DescribedGroup;
use wire::messages::{ShareGroupDescribeRequest, ShareGroupDescribeResponse};

use crate::groups::describing::{Described, Head, describe_each};
use crate::request::RequestContext;
use crate::server::Server;
use crate::share::is_enabled;

/// Answers per group, in the order of the request.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ShareGroupDescribeRequest,
) -> ShareGroupDescribeResponse {
    let groups = describe_each(
        &server,
        &context,
        request.group_ids,
        request.include_authorized_operations,
        is_enabled(&server),
        |shard, id| shard.describe_share_group(id),
    );
    ShareGroupDescribeResponse {
        groups: groups.await,
        ..ShareGroupDescribeResponse::default()
    }
}

impl Described for DescribedGroup {
    fn head(&mut self) -> Head<'_> {
        Head {
            group_id: &mut self.group_id,
            error_code: &mut self.error_code,
            error_message: &mut self.error_message,
            authorized_operations: &mut self.authorized_operations,
        }
    }

    fn topics(&self) -> impl Iterator<Item = &str> {
        self.members.iter().flat_map(|member| {
            let assigned = member.assignment.topic_partitions.iter();
            let assigned = assigned.map(|topic| topic.topic_name.as_str());
            let subscribed = member.subscribed_topic_names.iter().map(String::as_str);
            subscribed.chain(assigned)
        })
    }
}
