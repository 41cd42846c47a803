//! DescribeClientQuotas (key 48, KIP-546): the quotas whose entities match a filter.
//!
//! Matching and texts follow Kafka's `ClientQuotasImage`: every component has to match one part of an entity;
//! a strict filter also wants that there is no other part.

use std::sync::Arc;

use metastore::quota::{QuotaEntity, QuotaName, QuotaValues};
use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::describe_client_quotas_request::ComponentData;
use wire::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use wire::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};

use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::ApiError;

/// `match_type` of the request.
const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

/// Answers the entities that match, with what was set on them.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DescribeClientQuotasRequest,
) -> DescribeClientQuotasResponse {
    let described = describe(&server, &context, &request);
    match described {
        Ok(entries) => DescribeClientQuotasResponse {
            entries: Some(entries),
            ..DescribeClientQuotasResponse::default()
        },
        Err(error) => DescribeClientQuotasResponse {
            error_code: error.code.code(),
            error_message: Some(error.message),
            entries: None,
            ..DescribeClientQuotasResponse::default()
        },
    }
}

fn describe(
    server: &Server,
    context: &RequestContext,
    request: &DescribeClientQuotasRequest,
) -> Result<Vec<EntryData>, ApiError> {
    let operation = Operation::DescribeConfigs;
    if !server.allows(context, operation, ResourceType::Cluster, CLUSTER_NAME) {
        return Err(ApiError::new(
            ErrorCode::ClusterAuthorizationFailed,
            "Cluster authorization failed.",
        ));
    }
    let filter = Filter::new(&request.components, request.strict)?;
    let quotas = Arc::clone(server.metadata().image().client_quotas());
    Ok(quotas
        .iter()
        .filter(|(entity, _)| filter.matches(entity))
        .map(|(entity, values)| entry(entity, values))
        .collect())
}

/// What one part of an entity has to be.
#[derive(Debug, PartialEq)]
enum Wanted {
    /// This name, or the default.
    Exactly(QuotaName),
    /// Anything.
    Anything,
}

#[derive(Debug)]
struct Filter {
    components: Vec<(String, Wanted)>,
    strict: bool,
}

impl Filter {
    fn new(components: &[ComponentData], strict: bool) -> Result<Filter, ApiError> {
        let invalid = |message: String| Err(ApiError::new(ErrorCode::InvalidRequest, message));
        let mut wanted: Vec<(String, Wanted)> = Vec::new();
        for component in components {
            let kind = component.entity_type.as_str();
            if kind.is_empty() {
                return invalid("Invalid empty entity type.".to_owned());
            }
            if wanted.iter().any(|(known, _)| known == kind) {
                return invalid(format!(
                    "Entity type {kind} cannot appear more than once in the filter."
                ));
            }
            if QuotaEntity::default().part_mut(kind).is_none() {
                return Err(ApiError::new(
                    ErrorCode::UnsupportedVersion,
                    format!("Unsupported entity type {kind}"),
                ));
            }
            let what = match (component.match_type, component.r#match.clone()) {
                (EXACT, Some(name)) => Wanted::Exactly(QuotaName::Named(name)),
                (EXACT, None) => {
                    return invalid(
                        "Request specified MATCH_TYPE_EXACT, but set match string to null."
                            .to_owned(),
                    );
                }
                (DEFAULT, None) => Wanted::Exactly(QuotaName::Default),
                (SPECIFIED, None) => Wanted::Anything,
                (DEFAULT | SPECIFIED, Some(_)) => {
                    let name = if component.match_type == DEFAULT {
                        "DEFAULT"
                    } else {
                        "SPECIFIED"
                    };
                    return invalid(format!(
                        "Request specified MATCH_TYPE_{name}, but also specified a match string."
                    ));
                }
                (other, _) => return invalid(format!("Unknown match type {other}")),
            };
            wanted.push((kind.to_owned(), what));
        }
        let named = |kind: &str| wanted.iter().any(|(known, _)| known == kind);
        if named("ip") && (named("user") || named("client-id")) {
            return invalid(
                "Invalid entity filter component combination. IP filter component should not be \
                 used with user or clientId filter component."
                    .to_owned(),
            );
        }
        Ok(Filter {
            components: wanted,
            strict,
        })
    }

    fn matches(&self, entity: &QuotaEntity) -> bool {
        let fits = |(kind, wanted): &(String, Wanted)| {
            entity.parts().any(|(part, name)| {
                part == kind
                    && match wanted {
                        Wanted::Exactly(exact) => exact == name,
                        Wanted::Anything => true,
                    }
            })
        };
        self.components.iter().all(fits)
            && (!self.strict || entity.parts().count() == self.components.len())
    }
}

fn entry(entity: &QuotaEntity, values: &QuotaValues) -> EntryData {
    EntryData {
        entity: entity
            .parts()
            .map(|(kind, name)| EntityData {
                entity_type: kind.to_owned(),
                entity_name: name.as_option().map(str::to_owned),
            })
            .collect(),
        values: values
            .0
            .iter()
            .map(|(key, value)| ValueData {
                key: key.clone(),
                value: *value,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(kind: &str, match_type: i8, name: Option<&str>) -> ComponentData {
        ComponentData {
            entity_type: kind.to_owned(),
            match_type,
            r#match: name.map(str::to_owned),
        }
    }

    fn refusal(components: &[ComponentData]) -> ApiError {
        Filter::new(components, false).unwrap_err()
    }

    #[test]
    fn a_filter_that_says_nothing_sensible_is_refused() {
        let error = refusal(&[component("", EXACT, Some("a"))]);
        assert_eq!(error.message, "Invalid empty entity type.");
        let error = refusal(&[component("group", EXACT, Some("a"))]);
        assert_eq!(error.code, ErrorCode::UnsupportedVersion);
        for components in [
            vec![component("user", EXACT, None)],
            vec![component("user", DEFAULT, Some("a"))],
            vec![component("user", SPECIFIED, Some("a"))],
            vec![component("user", 7, None)],
            vec![
                component("user", SPECIFIED, None),
                component("user", DEFAULT, None),
            ],
            vec![
                component("ip", DEFAULT, None),
                component("user", DEFAULT, None),
            ],
        ] {
            assert_eq!(refusal(&components).code, ErrorCode::InvalidRequest);
        }
    }

    #[test]
    fn entities_match_by_their_parts() {
        let name = |text: &str| Some(QuotaName::Named(text.to_owned()));
        let user = QuotaEntity {
            user: name("alice"),
            ..QuotaEntity::default()
        };
        let both = QuotaEntity {
            client_id: Some(QuotaName::Default),
            ..user.clone()
        };
        let matches = |components: &[ComponentData], strict: bool| {
            let filter = Filter::new(components, strict).unwrap();
            (filter.matches(&user), filter.matches(&both))
        };
        let alice = component("user", EXACT, Some("alice"));
        assert_eq!(matches(&[], false), (true, true));
        assert_eq!(matches(&[], true), (false, false));
        assert_eq!(matches(std::slice::from_ref(&alice), false), (true, true));
        assert_eq!(matches(std::slice::from_ref(&alice), true), (true, false));
        let any_client = component("client-id", SPECIFIED, None);
        assert_eq!(matches(&[alice.clone(), any_client], true), (false, true));
        let default_client = component("client-id", DEFAULT, None);
        assert_eq!(matches(&[default_client], false), (false, true));
        let other = component("user", EXACT, Some("bob"));
        assert_eq!(matches(&[other], false), (false, false));
        let default_user = component("user", DEFAULT, None);
        assert_eq!(matches(&[default_user], false), (false, false));
    }
}
