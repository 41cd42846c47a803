//! DescribeCluster (key 60, KIP-700): the brokers, as the listener advertises them.

use std::sync::Arc;

use security::{CLUSTER_NAME, ResourceType};
use wire::ErrorCode;
use wire::messages::describe_cluster_response::DescribeClusterBroker;
use wire::messages::{DescribeClusterRequest, DescribeClusterResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// `EndpointType.BROKER` of KIP-919.
const BROKER_ENDPOINT: i8 = 1;

/// Answers with this one broker. Controllers cannot be asked for: their endpoints are not on this listener.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    if request.endpoint_type != BROKER_ENDPOINT {
        let known = request.endpoint_type == 2;
        let code = if known {
            ErrorCode::MismatchedEndpointType
        } else {
            ErrorCode::UnsupportedEndpointType
        };
        return DescribeClusterResponse {
            error_code: code.code(),
            error_message: Some(if known {
                "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
                    .to_owned()
            } else {
                format!("Unsupported endpoint type {}", request.endpoint_type)
            }),
            ..DescribeClusterResponse::default()
        };
    }
    let operations = if request.include_cluster_authorized_operations {
        server.authorizer().authorized_operations(
            context.requester(),
            ResourceType::Cluster,
            CLUSTER_NAME,
        )
    } else {
        i32::MIN
    };
    let listener = &context.connection.listener;
    DescribeClusterResponse {
        endpoint_type: BROKER_ENDPOINT,
        cluster_id: server.cluster_id().to_owned(),
        controller_id: server.node_id().0,
        brokers: vec![DescribeClusterBroker {
            broker_id: server.node_id().0,
            host: listener.advertised_host.clone(),
            port: i32::from(listener.advertised_port),
            rack: server.settings().broker_rack.clone(),
            is_fenced: false,
        }],
        cluster_authorized_operations: operations,
        ..DescribeClusterResponse::default()
    }
}
