//! ListConfigResources (key 74, KIP-1142): which resources have configs. Version 0, once
//! ListClientMetricsResources, knows client metrics subscriptions alone.

use std::sync::Arc;

use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::list_config_resources_response::ConfigResource;
use wire::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// `org.apache.kafka.common.config.ConfigResource.Type`.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
/// What version 1 can ask for; all of them when it asks for none.
const TYPES: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

/// Answers the resources of the types asked for. Topics and brokers are listed whether or not something was set
/// on them, groups and subscriptions when something was.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: ListConfigResourcesRequest,
) -> ListConfigResourcesResponse {
    let failed = |code: ErrorCode| ListConfigResourcesResponse {
        error_code: code.code(),
        ..ListConfigResourcesResponse::default()
    };
    let operation = Operation::DescribeConfigs;
    if !server.allows(&context, operation, ResourceType::Cluster, CLUSTER_NAME) {
        return failed(ErrorCode::ClusterAuthorizationFailed);
    }
    let mut types = if context.api_version == 0 {
        vec![CLIENT_METRICS]
    } else if request.resource_types.is_empty() {
        TYPES.to_vec()
    } else {
        request.resource_types
    };
    if types.iter().any(|kind| !TYPES.contains(kind)) {
        return failed(ErrorCode::UnsupportedVersion);
    }
    types.sort_unstable();
    types.dedup();
    let mut config_resources = Vec::new();
    for resource_type in types {
        let names = names(&server, resource_type).into_iter();
        config_resources.extend(names.map(|resource_name| ConfigResource {
            resource_name,
            resource_type,
        }));
    }
    ListConfigResourcesResponse {
        config_resources,
        ..ListConfigResourcesResponse::default()
    }
}

fn names(server: &Server, resource_type: i8) -> Vec<String> {
    let image = server.metadata().image();
    match resource_type {
        TOPIC => image.topics().map(|topic| topic.name.to_string()).collect(),
        BROKER | BROKER_LOGGER => vec![server.node_id().to_string()],
        CLIENT_METRICS => image.client_metrics().keys().cloned().collect(),
        GROUP => image.group_configs().keys().cloned().collect(),
        _ => Vec::new(),
    }
}
