//! DescribeDelegationToken (key 41, KIP-48): refused, because no connection here is authenticated.
//!
//! See [`super::create_delegation_token`] for why this is the whole answer.

use std::sync::Arc;

use wire::ErrorCode;
use wire::messages::{DescribeDelegationTokenRequest, DescribeDelegationTokenResponse};

use crate::request::RequestContext;
use crate::server::Server;

/// Answers DELEGATION_TOKEN_REQUEST_NOT_ALLOWED and no token.
pub(crate) async fn handle(
    _server: Arc<Server>,
    _context: RequestContext,
    _request: DescribeDelegationTokenRequest,
) -> DescribeDelegationTokenResponse {
    DescribeDelegationTokenResponse {
        error_code: ErrorCode::DelegationTokenRequestNotAllowed.code(),
        ..DescribeDelegationTokenResponse::default()
    }
}
