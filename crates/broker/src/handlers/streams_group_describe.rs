//! StreamsGroupDescribe (key 89): topology, members and tasks of groups of the streams protocol (KIP-1071).

use std::sync::Arc;

use wire::messages::streams_group_describe_response::DescribedGroup;
use wire::messages::{StreamsGroupDescribeRequest, StreamsGroupDescribeResponse};

use super::streams_group_heartbeat::is_served;
use crate::groups::describing::{Described, Head, describe_each};
use crate::request::RequestContext;
use crate::server::Server;

/// Answers per group, in the order of the request.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: StreamsGroupDescribeRequest,
) -> StreamsGroupDescribeResponse {
    let include_description = request.include_topology_description;
    let groups = describe_each(
        &server,
        &context,
        request.group_ids,
        request.include_authorized_operations,
        is_served(&server),
        move |shard, id| shard.describe_streams_group(id, include_description),
    );
    StreamsGroupDescribeResponse {
        groups: groups.await,
        ..StreamsGroupDescribeResponse::default()
    }
}

impl Described for DescribedGroup {
    const HIDDEN_TOPICS: &'static str =
        "The described group uses topics that the client is not authorized to describe.";

    fn head(&mut self) -> Head<'_> {
        Head {
            group_id: &mut self.group_id,
            error_code: &mut self.error_code,
            error_message: &mut self.error_message,
            authorized_operations: &mut self.authorized_operations,
        }
    }

    fn topics(&self) -> impl Iterator<Item = &str> {
        let subtopologies = self
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
}
