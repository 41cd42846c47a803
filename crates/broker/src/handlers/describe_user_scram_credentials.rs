//! DescribeUserScramCredentials (key 50, KIP-554): which users have SCRAM credentials.
//!
//! Nobody authenticates in this release and no credential can be set, so no user has one. Kafka's tools ask
//! when they describe a user's quotas.

use std::collections::BTreeMap;
use std::sync::Arc;

use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResult;
use wire::messages::{DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// Answers RESOURCE_NOT_FOUND for each user named, and nobody when all are meant.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let operation = Operation::Describe;
    if !server.allows(&context, operation, ResourceType::Cluster, CLUSTER_NAME) {
        return DescribeUserScramCredentialsResponse {
            error_code: ErrorCode::ClusterAuthorizationFailed.code(),
            error_message: Some("Cluster authorization failed.".to_owned()),
            ..DescribeUserScramCredentialsResponse::default()
        };
    }
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    for user in request.users.into_iter().flatten() {
        *named.entry(user.name).or_default() += 1;
    }
    let results = named.into_iter().map(|(user, times)| {
        let (code, message) = if times > 1 {
            let message = format!(
                "Cannot describe SCRAM credentials for the same user twice in a single request: {user}"
            );
            (ErrorCode::DuplicateResource, message)
        } else {
            let message =
                format!("Attempt to describe a user credential that does not exist: {user}");
            (ErrorCode::ResourceNotFound, message)
        };
        DescribeUserScramCredentialsResult {
            user,
            error_code: code.code(),
            error_message: Some(message),
            credential_infos: Vec::new(),
        }
    });
    DescribeUserScramCredentialsResponse {
        error_message: Some(String::new()),
        results: results.collect(),
        ..DescribeUserScramCredentialsResponse::default()
    }
}
