//! IncrementalAlterConfigs (key 44, KIP-339): sets, removes, appends to and subtracts from configs.

use std::collections::BTreeMap;
use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::incremental_alter_configs_request::AlterConfigsResource;
use wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use crate::config::{AlterOp, Alteration, Change};
use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::ApiError;

/// Answers one result per resource; a resource that is named twice is altered by neither.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let mut named: BTreeMap<(i8, String), usize> = BTreeMap::new();
    for resource in &request.resources {
        *named
            .entry((resource.resource_type, resource.resource_name.clone()))
            .or_default() += 1;
    }
    let mut responses = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        let key = (resource.resource_type, resource.resource_name.clone());
        let altered = match named.get(&key) {
            None => continue,
            Some(1) => alter(&server, &context, &resource, request.validate_only).await,
            Some(_) => {
                named.remove(&key);
                Err(ApiError::new(
                    ErrorCode::InvalidRequest,
                    "Each resource must appear at most once.",
                ))
            }
        };
        let error = altered.err();
        responses.push(AlterConfigsResourceResponse {
            error_code: error.as_ref().map_or(0, |error| error.code.code()),
            error_message: error.map(|error| error.message),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
        });
    }
    IncrementalAlterConfigsResponse {
        responses,
        ..IncrementalAlterConfigsResponse::default()
    }
}

async fn alter(
    server: &Arc<Server>,
    context: &RequestContext,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), ApiError> {
    let alterations = resource
        .configs
        .iter()
        .map(|config| {
            Ok(Alteration {
                name: config.name.clone(),
                op: AlterOp::from_code(config.config_operation)?,
                value: config.value.clone(),
            })
        })
        .collect::<Result<Vec<Alteration>, ApiError>>()?;
    let target = (resource.resource_type, resource.resource_name.as_str());
    server
        .alter_configs(
            context,
            target,
            Change::Incremental(&alterations),
            validate_only,
        )
        .await
}
