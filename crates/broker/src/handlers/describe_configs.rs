//! DescribeConfigs (key 32): every config of a resource, with where its value comes from.

use std::sync::Arc;

use security::Operation;
use wire::ErrorCode;
use wire::messages::describe_configs_request::DescribeConfigsResource;
use wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use wire::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use crate::config::{
    ConfigEntry, ConfigSource, DescribeOptions, describe_broker, describe_broker_default,
    describe_client_metrics, describe_group, describe_topic,
};
use crate::controller::ConfigResource;
use crate::request::{MALFORMED_REQUEST, RequestContext};
use crate::server::Server;
use crate::topics::{ApiError, validate_name};

/// Answers one result per resource.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let results = request
        .resources
        .into_iter()
        .map(|resource| {
            let options = DescribeOptions {
                names: resource.configuration_keys.as_deref(),
                synonyms: request.include_synonyms,
                documentation: request.include_documentation,
            };
            let described = describe(&server, &context, &resource, options);
            let (error, entries) = match described {
                Ok(entries) => (None, entries),
                Err(error) => (Some(error), Vec::new()),
            };
            DescribeConfigsResult {
                error_code: error.as_ref().map_or(0, |error| error.code.code()),
                error_message: Some(error.map(|error| error.message).unwrap_or_default()),
                resource_type: resource.resource_type,
                resource_name: resource.resource_name,
                configs: entries.into_iter().map(row).collect(),
            }
        })
        .collect();
    DescribeConfigsResponse {
        results,
        ..DescribeConfigsResponse::default()
    }
}

fn describe(
    server: &Server,
    context: &RequestContext,
    asked: &DescribeConfigsResource,
    options: DescribeOptions<'_>,
) -> Result<Vec<ConfigEntry>, ApiError> {
    let name = asked.resource_name.as_str();
    if !ConfigResource::is_type(asked.resource_type) {
        return Err(ApiError::new(ErrorCode::InvalidRequest, MALFORMED_REQUEST));
    }
    let resource = ConfigResource::from_wire(asked.resource_type, name, server.node_id())?;
    let (resource_type, resource_name, refused) = resource.guarded_by();
    if !server.allows(
        context,
        Operation::DescribeConfigs,
        resource_type,
        resource_name,
    ) {
        return Err(ApiError::new(refused, "Authorization failed."));
    }
    let nameless = |what: &str| {
        let message = format!("{what} must not be empty");
        Err(ApiError::new(ErrorCode::InvalidRequest, message))
    };
    let configs = server.configs();
    Ok(match resource {
        ConfigResource::Group(name) if name.is_empty() => return nameless("Group name"),
        ConfigResource::ClientMetrics(name) if name.is_empty() => {
            return nameless("Client metrics subscription name");
        }
        ConfigResource::Topic(name) => {
            validate_name(&name)
                .map_err(|message| ApiError::new(ErrorCode::InvalidTopicException, message))?;
            if server.topics().get(&name).is_none() {
                return Err(ApiError::new(ErrorCode::UnknownTopicOrPartition, ""));
            }
            describe_topic(&configs, &server.topic_overrides(&name), options)
        }
        ConfigResource::Broker => describe_broker(&configs, options),
        ConfigResource::BrokerDefault => describe_broker_default(&configs, options),
        ConfigResource::BrokerLogger => describe_loggers(server, options),
        ConfigResource::Group(name) => {
            describe_group(&configs, &server.group_overrides(&name), options)
        }
        ConfigResource::ClientMetrics(name) => {
            describe_client_metrics(&server.client_metrics_overrides(&name), options)
        }
    })
}

/// The loggers of this broker with their levels.
fn describe_loggers(server: &Server, options: DescribeOptions<'_>) -> Vec<ConfigEntry> {
    let wanted = |name: &str| {
        options
            .names
            .is_none_or(|names| names.is_empty() || names.iter().any(|known| known == name))
    };
    server
        .log_levels()
        .into_iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, level)| ConfigEntry {
            name,
            value: Some(level.name().to_owned()),
            source: ConfigSource::DynamicBrokerLogger,
            type_code: 0,
            read_only: false,
            is_sensitive: false,
            synonyms: Vec::new(),
            documentation: None,
        })
        .collect()
}

fn row(entry: ConfigEntry) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult {
        name: entry.name,
        value: entry.value,
        read_only: entry.read_only,
        config_source: entry.source.code(),
        is_sensitive: entry.is_sensitive,
        synonyms: entry
            .synonyms
            .into_iter()
            .map(|synonym| DescribeConfigsSynonym {
                name: synonym.name,
                value: synonym.value,
                source: synonym.source.code(),
            })
            .collect(),
        config_type: entry.type_code,
        documentation: entry.documentation,
    }
}
