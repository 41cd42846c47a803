//! ExpireDelegationToken (key 40, KIP-48): refused, because no connection here is authenticated.
//!
//! See [`super::create_delegation_token`] for why this is the whole answer.

use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::{ExpireDelegationTokenRequest, ExpireDelegationTokenResponse};

use super::create_delegation_token::NO_TIMESTAMP;
use crate::request::RequestContext;
use crate::server::Server;

/// Answers DELEGATION_TOKEN_REQUEST_NOT_ALLOWED.
pub(crate) async fn handle(
    _server: Arc<Server>,
    _context: RequestContext,
    _request: ExpireDelegationTokenRequest,
) -> ExpireDelegationTokenResponse {
    ExpireDelegationTokenResponse {
        error_code: ErrorCode::DelegationTokenRequestNotAllowed.code(),
        expiry_timestamp_ms: NO_TIMESTAMP,
        ..ExpireDelegationTokenResponse::default()
    }
}
