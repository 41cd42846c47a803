//! AlterConfigs (key 33): replaces all of a resource's configs; kept for old clients (KIP-339).

use std::sync::Arc;

use wire::messages::alter_configs_response::AlterConfigsResourceResponse;
use wire::messages::{AlterConfigsRequest, AlterConfigsResponse};

use crate::config::Change;
use crate::request::RequestContext;
use crate::server::Server;

/// Answers one result per resource.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let values: Vec<(String, Option<String>)> = resource
            .configs
            .into_iter()
            .map(|config| (config.name, config.value))
            .collect();
        let target = (resource.resource_type, resource.resource_name.as_str());
        let altered = server
            .alter_configs(
                &context,
                target,
                Change::Replace(&values),
                request.validate_only,
            )
            .await;
        let error = altered.err();
        responses.push(AlterConfigsResourceResponse {
            error_code: error.as_ref().map_or(0, |error| error.code.code()),
            error_message: error.map(|error| error.message),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        });
    }
    AlterConfigsResponse {
        responses,
        ..AlterConfigsResponse::default()
    }
}
