//! Access control lists: describe, create, delete (KIP-140, KIP-290).
//!
//! Codes on the wire are those of `ResourceType`, `PatternType`, `AclOperation` and `AclPermissionType` of the Java
//! client; the tables here give them names. A code of a newer Kafka is shown as `UNKNOWN`, as there.

use wire::messages::create_acls_request::AclCreation;
use wire::messages::delete_acls_request::DeleteAclsFilter;
use wire::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest};

use super::{Admin, Destination, check};
use crate::error::ClientError;

/// One family of codes, by number.
type Names = &'static [(i8, &'static str)];

/// `ResourceType`.
pub const RESOURCE_TYPES: Names = &[
    (0, "UNKNOWN"),
    (1, "ANY"),
    (2, "TOPIC"),
    (3, "GROUP"),
    (4, "CLUSTER"),
    (5, "TRANSACTIONAL_ID"),
    (6, "DELEGATION_TOKEN"),
    (7, "USER"),
];

/// `PatternType`.
pub const PATTERN_TYPES: Names = &[
    (0, "UNKNOWN"),
    (1, "ANY"),
    (2, "MATCH"),
    (3, "LITERAL"),
    (4, "PREFIXED"),
];

/// `AclOperation`.
pub const OPERATIONS: Names = &[
    (0, "UNKNOWN"),
    (1, "ANY"),
    (2, "ALL"),
    (3, "READ"),
    (4, "WRITE"),
    (5, "CREATE"),
    (6, "DELETE"),
    (7, "ALTER"),
    (8, "DESCRIBE"),
    (9, "CLUSTER_ACTION"),
    (10, "DESCRIBE_CONFIGS"),
    (11, "ALTER_CONFIGS"),
    (12, "IDEMPOTENT_WRITE"),
    (13, "CREATE_TOKENS"),
    (14, "DESCRIBE_TOKENS"),
    (15, "TWO_PHASE_COMMIT"),
];

/// `AclPermissionType`.
pub const PERMISSIONS: Names = &[(0, "UNKNOWN"), (1, "ANY"), (2, "DENY"), (3, "ALLOW")];

/// The name of a code; `UNKNOWN` for one of a newer Kafka.
#[must_use]
pub fn acl_name(names: Names, code: i8) -> &'static str {
    names
        .iter()
        .find(|(known, _)| *known == code)
        .map_or("UNKNOWN", |(_, name)| name)
}

/// The code of a name, whatever its case; none if there is no such name.
#[must_use]
pub fn acl_code(names: Names, name: &str) -> Option<i8> {
    names
        .iter()
        .find(|(_, known)| known.eq_ignore_ascii_case(name))
        .map(|(code, _)| *code)
}

/// One entry of an access control list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AclBinding {
    /// A code of [`RESOURCE_TYPES`].
    pub resource_type: i8,
    /// The name, or the prefix, of the resource.
    pub resource_name: String,
    /// A code of [`PATTERN_TYPES`].
    pub pattern_type: i8,
    /// `User:alice`.
    pub principal: String,
    /// An address, or `*`.
    pub host: String,
    /// A code of [`OPERATIONS`].
    pub operation: i8,
    /// A code of [`PERMISSIONS`].
    pub permission: i8,
}

/// Which entries are meant; `None` and the code of `ANY` match all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclFilter {
    /// A code of [`RESOURCE_TYPES`].
    pub resource_type: i8,
    /// The name of the resource.
    pub resource_name: Option<String>,
    /// A code of [`PATTERN_TYPES`].
    pub pattern_type: i8,
    /// `User:alice`.
    pub principal: Option<String>,
    /// An address, or `*`.
    pub host: Option<String>,
    /// A code of [`OPERATIONS`].
    pub operation: i8,
    /// A code of [`PERMISSIONS`].
    pub permission: i8,
}

impl Admin {
    /// The entries that `filter` matches, in order.
    ///
    /// # Errors
    /// `SECURITY_DISABLED` from a cluster without an authorizer.
    pub async fn describe_acls(&self, filter: &AclFilter) -> Result<Vec<AclBinding>, ClientError> {
        let request = DescribeAclsRequest {
            resource_type_filter: filter.resource_type,
            resource_name_filter: filter.resource_name.clone(),
            pattern_type_filter: filter.pattern_type,
            principal_filter: filter.principal.clone(),
            host_filter: filter.host.clone(),
            operation: filter.operation,
            permission_type: filter.permission,
        };
        self.call(Destination::Any, i16::MAX, &request, |response| {
            let message = response.error_message.as_deref();
            check("DescribeAcls", subject, response.error_code, message)?;
            let mut found: Vec<AclBinding> = response
                .resources
                .into_iter()
                .flat_map(|resource| {
                    let resource_name = resource.resource_name;
                    resource.acls.into_iter().map(move |acl| AclBinding {
                        resource_type: resource.resource_type,
                        resource_name: resource_name.clone(),
                        pattern_type: resource.pattern_type,
                        principal: acl.principal,
                        host: acl.host,
                        operation: acl.operation,
                        permission: acl.permission_type,
                    })
                })
                .collect();
            found.sort_unstable();
            Ok(found)
        })
        .await
    }

    /// Adds entries; the first that is refused is the error, the others may have been added.
    ///
    /// # Errors
    /// `SECURITY_DISABLED` from a cluster without an authorizer, `INVALID_REQUEST` for an entry that makes no sense.
    pub async fn create_acls(&self, acls: &[AclBinding]) -> Result<(), ClientError> {
        let request = CreateAclsRequest {
            creations: acls.iter().map(creation).collect(),
        };
        self.call(Destination::Controller, i16::MAX, &request, |response| {
            response.results.iter().try_for_each(|result| {
                let message = result.error_message.as_deref();
                check("CreateAcls", subject, result.error_code, message)
            })
        })
        .await
    }

    /// Removes the entries that `filter` matches, and says which they were.
    ///
    /// # Errors
    /// As [`Admin::create_acls`].
    pub async fn delete_acls(&self, filter: &AclFilter) -> Result<Vec<AclBinding>, ClientError> {
        let request = DeleteAclsRequest {
            filters: vec![DeleteAclsFilter {
                resource_type_filter: filter.resource_type,
                resource_name_filter: filter.resource_name.clone(),
                pattern_type_filter: filter.pattern_type,
                principal_filter: filter.principal.clone(),
                host_filter: filter.host.clone(),
                operation: filter.operation,
                permission_type: filter.permission,
            }],
        };
        self.call(Destination::Controller, i16::MAX, &request, |response| {
            let mut removed = Vec::new();
            for result in response.filter_results {
                let message = result.error_message.as_deref();
                check("DeleteAcls", subject, result.error_code, message)?;
                for acl in result.matching_acls {
                    let message = acl.error_message.as_deref();
                    check("DeleteAcls", subject, acl.error_code, message)?;
                    removed.push(AclBinding {
                        resource_type: acl.resource_type,
                        resource_name: acl.resource_name,
                        pattern_type: acl.pattern_type,
                        principal: acl.principal,
                        host: acl.host,
                        operation: acl.operation,
                        permission: acl.permission_type,
                    });
                }
            }
            removed.sort_unstable();
            Ok(removed)
        })
        .await
    }
}

fn subject() -> String {
    "the access control list".to_owned()
}

fn creation(acl: &AclBinding) -> AclCreation {
    AclCreation {
        resource_type: acl.resource_type,
        resource_name: acl.resource_name.clone(),
        resource_pattern_type: acl.pattern_type,
        principal: acl.principal.clone(),
        host: acl.host.clone(),
        operation: acl.operation,
        permission_type: acl.permission,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_go_both_ways() {
        for names in [RESOURCE_TYPES, PATTERN_TYPES, OPERATIONS, PERMISSIONS] {
            for (code, name) in names {
                assert_eq!(acl_code(names, &name.to_lowercase()), Some(*code));
                assert_eq!(acl_name(names, *code), *name);
            }
            assert_eq!(acl_name(names, 120), "UNKNOWN");
        }
    }
}
