//! Routes of the APIs of share groups.

use std::sync::Arc;

use wire::ApiKey;
use wire::Reader;
use wire::messages::*;

use super::{answer, streams};
use crate::connection::ReplyFuture;
use crate::handlers;
use crate::request::RequestContext;
use crate::server::Server;

/// Takes up a request of an API of share groups; one of another API goes on to streams groups.
///
/// # Errors
/// The reason to close the connection.
pub(super) fn route_to_share_groups(
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
        ApiKey::ShareGroupHeartbeat => {
            to!(
                ShareGroupHeartbeatRequest,
                handlers::share_group_heartbeat::handle
            )
        }
        ApiKey::ShareGroupDescribe => {
            to!(
                ShareGroupDescribeRequest,
                handlers::share_group_describe::handle
            )
        }
        ApiKey::DescribeShareGroupOffsets => {
            to!(
                DescribeShareGroupOffsetsRequest,
                handlers::describe_share_group_offsets::handle
            )
        }
        ApiKey::AlterShareGroupOffsets => {
            to!(
                AlterShareGroupOffsetsRequest,
                handlers::alter_share_group_offsets::handle
            )
        }
        ApiKey::DeleteShareGroupOffsets => {
            to!(
                DeleteShareGroupOffsetsRequest,
                handlers::delete_share_group_offsets::handle
            )
        }
        _ => route_to_share_states(server, context, reader),
    }
}

/// The APIs of the share coordinator.
fn route_to_share_states(
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
        ApiKey::InitializeShareGroupState => {
            to!(
                InitializeShareGroupStateRequest,
                handlers::initialize_share_group_state::handle
            )
        }
        ApiKey::ReadShareGroupState => {
            to!(
                ReadShareGroupStateRequest,
                handlers::read_share_group_state::handle
            )
        }
        ApiKey::WriteShareGroupState => {
            to!(
                WriteShareGroupStateRequest,
                handlers::write_share_group_state::handle
            )
        }
        ApiKey::DeleteShareGroupState => {
            to!(
                DeleteShareGroupStateRequest,
                handlers::delete_share_group_state::handle
            )
        }
        ApiKey::ReadShareGroupStateSummary => {
            to!(
                ReadShareGroupStateSummaryRequest,
                handlers::read_share_group_state_summary::handle
            )
        }
        ApiKey::ShareFetch => to!(ShareFetchRequest, handlers::share_fetch::handle),
        ApiKey::ShareAcknowledge => {
            to!(ShareAcknowledgeRequest, handlers::share_acknowledge::handle)
        }
        _ => streams::route_to_streams(server, context, reader),
    }
}
