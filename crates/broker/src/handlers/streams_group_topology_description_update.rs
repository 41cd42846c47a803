//! StreamsGroupTopologyDescriptionUpdate (key 93, KIP-1331): a member hands in the description of its topology, for a
//! plugin of the broker to store.
//!
//! There are no plugins here, as in a Kafka broker without `group.streams.topology.description.plugin.class`: heartbeats
//! ask for no description, and one that comes nevertheless is answered UNSUPPORTED_VERSION
//! (`GroupCoordinatorService.streamsGroupTopologyDescriptionUpdate`, 4.4).

use std::sync::Arc;

use security::{Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{
    StreamsGroupTopologyDescriptionUpdateRequest, StreamsGroupTopologyDescriptionUpdateResponse,
};

use crate::request::RequestContext;
use crate::server::Server;

/// Refuses the description.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: StreamsGroupTopologyDescriptionUpdateRequest,
) -> StreamsGroupTopologyDescriptionUpdateResponse {
    let group_id = &request.group_id;
    let code = if server.allows(&context, Operation::Read, ResourceType::Group, group_id) {
        ErrorCode::UnsupportedVersion
    } else {
        ErrorCode::GroupAuthorizationFailed
    };
    StreamsGroupTopologyDescriptionUpdateResponse {
        error_code: code.code(),
        ..StreamsGroupTopologyDescriptionUpdateResponse::default()
    }
}
