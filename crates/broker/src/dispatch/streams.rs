//! Routes of the APIs of streams groups.

use std::sync::Arc;

use wire::ApiKey;
use wire::Reader;
use wire::messages::*;

use super::{answer, transactions};
use crate::connection::ReplyFuture;
use crate::handlers;
use crate::request::RequestContext;
use crate::server::Server;

/// Takes up a request of an API of streams groups; one of another API goes on to transactions.
///
/// # Errors
/// The reason to close the connection.
pub(super) fn route_to_streams(
    server: &Arc<Server>,
    context: RequestContext,
    reader: &mut Reader,
) -> Result<ReplyFuture, String> {
    macro_rules! to {
        ($request:ty, $handler:path) => {
            answer::<$request, _>(server, context, reader, $handler)
        };
    }
    match context.api_key {
        ApiKey::StreamsGroupHeartbeat => {
            to!(
                StreamsGroupHeartbeatRequest,
                handlers::streams_group_heartbeat::handle
            )
        }
        ApiKey::StreamsGroupDescribe => {
            to!(
                StreamsGroupDescribeRequest,
                handlers::streams_group_describe::handle
            )
        }
        ApiKey::StreamsGroupTopologyDescriptionUpdate => {
            to!(
                StreamsGroupTopologyDescriptionUpdateRequest,
                handlers::streams_group_topology_description_update::handle
            )
        }
        _ => transactions::route_to_transactions(server, context, reader),
    }
}
