//! CreateDelegationToken (key 38, KIP-48): refused, because no connection here is authenticated.
//!
//! Kafka takes requests for tokens only over SASL and mutual TLS (`KafkaApis.allowTokenRequests`); to everyone else it
//! answers DELEGATION_TOKEN_REQUEST_NOT_ALLOWED before it looks at the request. Every listener here is PLAINTEXT, so that
//! is its whole answer.

use std::sync::Arc;

use security::KafkaPrincipal;
use wire::ErrorCode;
use wire::messages::{CreateDelegationTokenRequest, CreateDelegationTokenResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// What stands for a time in an answer without a token (`DelegationTokenManager.ErrorTimestamp`).
pub(super) const NO_TIMESTAMP: i64 = -1;

/// Answers with the error, and who would have owned the token.
pub(crate) async fn handle(
    _server: Arc<Server>,
    context: RequestContext,
    request: CreateDelegationTokenRequest,
) -> CreateDelegationTokenResponse {
    refusal(&context.connection.principal, request)
}

fn refusal(
    requester: &KafkaPrincipal,
    request: CreateDelegationTokenRequest,
) -> CreateDelegationTokenResponse {
    let own = || {
        (
            requester.principal_type.to_string(),
            requester.name.to_string(),
        )
    };
    let (principal_type, principal_name) = match request.owner_principal_name {
        Some(name) if !name.is_empty() => (request.owner_principal_type.unwrap_or_default(), name),
        _ => own(),
    };
    let (token_requester_principal_type, token_requester_principal_name) = own();
    CreateDelegationTokenResponse {
        error_code: ErrorCode::DelegationTokenRequestNotAllowed.code(),
        principal_type,
        principal_name,
        token_requester_principal_type,
        token_requester_principal_name,
        issue_timestamp_ms: NO_TIMESTAMP,
        expiry_timestamp_ms: NO_TIMESTAMP,
        max_timestamp_ms: NO_TIMESTAMP,
        ..CreateDelegationTokenResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_the_owner_and_the_requester() {
        let requester = KafkaPrincipal::anonymous();
        let own = refusal(&requester, CreateDelegationTokenRequest::default());
        assert_eq!(own.error_code, 64);
        assert_eq!(
            (own.principal_name.as_str(), own.expiry_timestamp_ms),
            ("ANONYMOUS", -1)
        );
        let request = CreateDelegationTokenRequest {
            owner_principal_type: Some("User".to_owned()),
            owner_principal_name: Some("alice".to_owned()),
            ..CreateDelegationTokenRequest::default()
        };
        let others = refusal(&requester, request);
        assert_eq!(others.principal_name, "alice");
        assert_eq!(others.token_requester_principal_name, "ANONYMOUS");
    }
}
