//! UnregisterBroker (key 64, KIP-500): takes a broker that is gone for good out of the cluster.
//!
//! Differs: Kafka also forgets a broker that still runs, which registers anew when it restarts. The one broker
//! there is here holds all partitions, so it refuses.

use std::sync::Arc;

use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// Answers that the broker is unknown, or that it cannot be spared.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: UnregisterBrokerRequest,
) -> UnregisterBrokerResponse {
    let id = request.broker_id;
    let operation = Operation::Alter;
    let (code, message) =
        if !server.allows(&context, operation, ResourceType::Cluster, CLUSTER_NAME) {
            let message = "Cluster authorization failed.".to_owned();
            (ErrorCode::ClusterAuthorizationFailed, message)
        } else if id == server.node_id().0 {
            let message = format!("Broker ID {id} is the only broker of the cluster");
            (ErrorCode::InvalidRequest, message)
        } else {
            let message = format!("Broker ID {id} is not currently registered");
            (ErrorCode::BrokerIdNotRegistered, message)
        };
    UnregisterBrokerResponse {
        error_code: code.code(),
        error_message: Some(message),
        ..UnregisterBrokerResponse::default()
    }
}
