//! RenewDelegationToken (key 39, KIP-48): refused, because no connection here is authenticated.
//!
//! See [`super::create_delegation_token`] for why this is the whole answer.

use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::{RenewDelegationTokenRequest, RenewDelegationTokenResponse};

use super::create_delegation_token::NO_TIMESTAMP;
use crate::request::RequestContext;
use crate::server::Server;

/// Answers DELEGATION_TOKEN_REQUEST_NOT_ALLOWED.
pub(crate) async fn handle(
    _server: Arc<Server>,
    _context: RequestContext,
    _request: RenewDelegationTokenRequest,
) -> RenewDelegationTokenResponse {
    RenewDelegationTokenResponse {
        error_code: ErrorCode::DelegationTokenRequestNotAllowed.code(),
        expiry_timestamp_ms: NO_TIMESTAMP,
        ..RenewDelegationTokenResponse::default()
    }
}
