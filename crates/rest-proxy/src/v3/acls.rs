//! `/clusters/{cluster_id}/acls`: search, create, delete.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use client::admin::{
    AclBinding, AclFilter, OPERATIONS, PATTERN_TYPES, PERMISSIONS, RESOURCE_TYPES, acl_code,
    acl_name,
};
use serde::{Deserialize, Serialize};

use super::resource::{List, Resource, list as list_of, resource as resource_of};
use crate::error::RestError;
use crate::json::{Body, scalar};
use crate::links::{Links, Place, search as searched};
use crate::path::Path;
use crate::proxy::Proxy;

/// The code of `UNKNOWN` in every family.
const UNKNOWN: i8 = 0;
/// That of `ANY`.
const ANY: i8 = 1;
/// The one name a resource of type `CLUSTER` has.
const CLUSTER_NAME: &str = "kafka-cluster";

/// `AclData`.
#[derive(Debug, Serialize)]
pub(super) struct AclData {
    cluster_id: String,
    resource_type: &'static str,
    resource_name: String,
    pattern_type: &'static str,
    principal: String,
    host: String,
    operation: &'static str,
    permission: &'static str,
}

/// `CreateAclRequestData`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateAcl {
    resource_type: String,
    #[serde(deserialize_with = "scalar")]
    resource_name: String,
    pattern_type: String,
    #[serde(deserialize_with = "scalar")]
    principal: String,
    #[serde(deserialize_with = "scalar")]
    host: String,
    operation: String,
    permission: String,
}

/// `CreateAclRequestDataList`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateAcls {
    data: Vec<CreateAcl>,
}

/// The query of a search or a deletion.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Search {
    resource_type: Option<String>,
    resource_name: Option<String>,
    pattern_type: Option<String>,
    principal: Option<String>,
    host: Option<String>,
    operation: Option<String>,
    permission: Option<String>,
}

/// Entries that were removed.
#[derive(Debug, Serialize)]
pub(super) struct Deleted {
    data: Vec<Resource<AclData>>,
}

impl Search {
    fn filter(&self) -> Result<AclFilter, RestError> {
        // A broker closes the connection on which it is asked for the unknown; its own client does not ask (`KafkaAdminClient.describeAcls`).
        let wanted = |name, names, text: &Option<String>| match code(
            name,
            names,
            text.as_deref().unwrap_or("ANY"),
        )? {
            UNKNOWN => Err(RestError::kafka(
                wire::ErrorCode::InvalidRequest,
                Some("The AclBindingFilter must not contain UNKNOWN elements."),
            )),
            known => Ok(known),
        };
        Ok(AclFilter {
            resource_type: wanted("resource_type", RESOURCE_TYPES, &self.resource_type)?,
            resource_name: self.resource_name.clone(),
            pattern_type: wanted("pattern_type", PATTERN_TYPES, &self.pattern_type)?,
            principal: self.principal.clone(),
            host: self.host.clone(),
            operation: wanted("operation", OPERATIONS, &self.operation)?,
            permission: wanted("permission", PERMISSIONS, &self.permission)?,
        })
    }
}

/// `GET .../acls`.
pub(super) async fn search(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    links: Links,
    query: Result<Query<Search>, QueryRejection>,
) -> Result<Json<List<AclData>>, RestError> {
    let Query(query) = query?;
    let filter = query.filter()?;
    let admin = proxy.check_cluster(&cluster_id).await?;
    let found = admin.describe_acls(&filter).await?;
    let cluster = proxy.place(&links, &cluster_id);
    let place = with_query(
        &cluster,
        &[
            ("resource_type", query.resource_type.as_deref()),
            ("resource_name", query.resource_name.as_deref()),
            ("pattern_type", query.pattern_type.as_deref()),
            ("principal", query.principal.as_deref()),
            ("host", query.host.as_deref()),
            ("operation", query.operation.as_deref()),
            ("permission", query.permission.as_deref()),
        ],
    );
    Ok(Json(list_of(
        "KafkaAclList",
        place,
        found
            .into_iter()
            .map(|acl| resource(&cluster, &cluster_id, acl))
            .collect(),
    )))
}

/// `POST .../acls`.
pub(super) async fn create(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    links: Links,
    Body(request): Body<CreateAcl>,
) -> Result<Response, RestError> {
    let acl = request.binding()?;
    let admin = proxy.check_cluster(&cluster_id).await?;
    admin.create_acls(std::slice::from_ref(&acl)).await?;
    let location = place_of(&proxy.place(&links, &cluster_id), &acl).into_address();
    Ok((StatusCode::CREATED, [(header::LOCATION, location)]).into_response())
}

/// `POST .../acls:batch`.
pub(super) async fn create_batch(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    Body(request): Body<CreateAcls>,
) -> Result<StatusCode, RestError> {
    let acls: Vec<AclBinding> = request
        .data
        .into_iter()
        .map(CreateAcl::binding)
        .collect::<Result<_, _>>()?;
    let admin = proxy.check_cluster(&cluster_id).await?;
    admin.create_acls(&acls).await?;
    Ok(StatusCode::CREATED)
}

/// `DELETE .../acls`. What to delete has to be said: a type of resource, of pattern, and an operation.
pub(super) async fn delete(
    State(proxy): State<Arc<Proxy>>,
    Path(cluster_id): Path<String>,
    links: Links,
    query: Result<Query<Search>, QueryRejection>,
) -> Result<Json<Deleted>, RestError> {
    let Query(query) = query?;
    for (name, value) in [
        ("resource_type", &query.resource_type),
        ("pattern_type", &query.pattern_type),
        ("operation", &query.operation),
    ] {
        let unspecified = value
            .as_deref()
            .is_none_or(|value| value.eq_ignore_ascii_case("UNKNOWN"));
        if unspecified {
            return Err(RestError::bad_request(format!(
                "{name} cannot be unspecified or UNKNOWN"
            )));
        }
    }
    let filter = query.filter()?;
    let admin = proxy.check_cluster(&cluster_id).await?;
    let removed = admin.delete_acls(&filter).await?;
    let cluster = proxy.place(&links, &cluster_id);
    Ok(Json(Deleted {
        data: removed
            .into_iter()
            .map(|acl| resource(&cluster, &cluster_id, acl))
            .collect(),
    }))
}

impl CreateAcl {
    /// The entry; `ANY` and `UNKNOWN` are for searches.
    fn binding(self) -> Result<AclBinding, RestError> {
        let exact = |name: &str, names, value: &str| match code(name, names, value)? {
            found if found > ANY => Ok(found),
            _ => Err(RestError::bad_request(format!(
                "{name} cannot be unspecified or {value}"
            ))),
        };
        let acl = AclBinding {
            resource_type: exact("resource_type", RESOURCE_TYPES, &self.resource_type)?,
            pattern_type: exact("pattern_type", PATTERN_TYPES, &self.pattern_type)?,
            operation: exact("operation", OPERATIONS, &self.operation)?,
            permission: exact("permission", PERMISSIONS, &self.permission)?,
            resource_name: self.resource_name,
            principal: self.principal,
            host: self.host,
        };
        if self.resource_type.eq_ignore_ascii_case("CLUSTER") && acl.resource_name != CLUSTER_NAME {
            return Err(RestError::kafka(
                wire::ErrorCode::InvalidRequest,
                Some("The only valid name for the CLUSTER resource is kafka-cluster"),
            ));
        }
        Ok(acl)
    }
}

fn code(name: &str, names: &'static [(i8, &'static str)], value: &str) -> Result<i8, RestError> {
    let known = || {
        let known: Vec<&str> = names.iter().map(|(_, name)| *name).collect();
        known.join(", ")
    };
    acl_code(names, value)
        .ok_or_else(|| RestError::bad_request(format!("{name} {value:?} is none of {}", known())))
}

/// The place of the list, with a query.
fn with_query(cluster: &Place, query: &[(&str, Option<&str>)]) -> Place {
    let list = cluster.below(&[&"acls"]);
    list.map_address(|address| searched(address, query))
}

fn place_of(cluster: &Place, acl: &AclBinding) -> Place {
    with_query(
        cluster,
        &[
            (
                "resource_type",
                Some(acl_name(RESOURCE_TYPES, acl.resource_type)),
            ),
            ("resource_name", Some(&acl.resource_name)),
            (
                "pattern_type",
                Some(acl_name(PATTERN_TYPES, acl.pattern_type)),
            ),
            ("principal", Some(&acl.principal)),
            ("host", Some(&acl.host)),
            ("operation", Some(acl_name(OPERATIONS, acl.operation))),
            ("permission", Some(acl_name(PERMISSIONS, acl.permission))),
        ],
    )
}

fn resource(cluster: &Place, cluster_id: &str, acl: AclBinding) -> Resource<AclData> {
    let place = place_of(cluster, &acl);
    let body = AclData {
        cluster_id: cluster_id.to_owned(),
        resource_type: acl_name(RESOURCE_TYPES, acl.resource_type),
        resource_name: acl.resource_name,
        pattern_type: acl_name(PATTERN_TYPES, acl.pattern_type),
        principal: acl.principal,
        host: acl.host,
        operation: acl_name(OPERATIONS, acl.operation),
        permission: acl_name(PERMISSIONS, acl.permission),
    };
    resource_of("KafkaAcl", place, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(resource_type: &str, resource_name: &str) -> Result<AclBinding, RestError> {
        CreateAcl {
            resource_type: resource_type.to_owned(),
            resource_name: resource_name.to_owned(),
            pattern_type: "LITERAL".to_owned(),
            principal: "User:alice".to_owned(),
            host: "*".to_owned(),
            operation: "ALL".to_owned(),
            permission: "ALLOW".to_owned(),
        }
        .binding()
    }

    #[test]
    fn a_search_is_for_something_known() {
        let search = |operation: &str| {
            Search {
                resource_type: None,
                resource_name: None,
                pattern_type: None,
                principal: None,
                host: None,
                operation: Some(operation.to_owned()),
                permission: None,
            }
            .filter()
        };
        assert_eq!(search("READ").unwrap().resource_type, ANY);
        let refused = search("unknown").unwrap_err();
        assert_eq!(refused.code, 40002);
        assert!(refused.message.contains("UNKNOWN"), "{}", refused.message);
    }

    #[test]
    fn an_entry_names_one_thing() {
        assert_eq!(acl("TOPIC", "a").unwrap().resource_type, 2);
        assert!(acl("ANY", "a").unwrap_err().message.contains("ANY"));
        assert!(acl("TABLE", "a").unwrap_err().message.contains("TOPIC"));
        assert_eq!(acl("CLUSTER", "a").unwrap_err().code, 40002);
        assert!(acl("CLUSTER", "kafka-cluster").is_ok());
    }
}
