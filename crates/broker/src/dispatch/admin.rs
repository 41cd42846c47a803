//! Routes of the APIs that administrators call, and of client telemetry.

use std::sync::Arc;

use wire::ApiKey;
use wire::Reader;
use wire::messages::*;

use super::{answer, route_to_coordinator};
use crate::connection::ReplyFuture;
use crate::handlers;
use crate::request::RequestContext;
use crate::server::Server;

/// Takes up a request of an administrator's API; one of another API goes on to the coordinators.
///
/// # Errors
/// The reason to close the connection.
pub(super) fn route_to_admin(
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
        ApiKey::DescribeClientQuotas => {
            to!(
                DescribeClientQuotasRequest,
                handlers::describe_client_quotas::handle
            )
        }
        ApiKey::AlterClientQuotas => {
            to!(
                AlterClientQuotasRequest,
                handlers::alter_client_quotas::handle
            )
        }
        ApiKey::AlterReplicaLogDirs => {
            to!(
                AlterReplicaLogDirsRequest,
                handlers::alter_replica_log_dirs::handle
            )
        }
        ApiKey::AlterPartitionReassignments => {
            to!(
                AlterPartitionReassignmentsRequest,
                handlers::alter_partition_reassignments::handle
            )
        }
        ApiKey::DescribeUserScramCredentials => {
            to!(
                DescribeUserScramCredentialsRequest,
                handlers::describe_user_scram_credentials::handle
            )
        }
        ApiKey::DescribeQuorum => to!(DescribeQuorumRequest, handlers::describe_quorum::handle),
        ApiKey::UpdateFeatures => to!(UpdateFeaturesRequest, handlers::update_features::handle),
        ApiKey::UnregisterBroker => {
            to!(UnregisterBrokerRequest, handlers::unregister_broker::handle)
        }
        ApiKey::ListConfigResources => {
            to!(
                ListConfigResourcesRequest,
                handlers::list_config_resources::handle
            )
        }
        ApiKey::GetTelemetrySubscriptions => {
            to!(
                GetTelemetrySubscriptionsRequest,
                handlers::get_telemetry_subscriptions::handle
            )
        }
        ApiKey::PushTelemetry => to!(PushTelemetryRequest, handlers::push_telemetry::handle),
        _ => route_to_coordinator(server, context, reader),
    }
}
