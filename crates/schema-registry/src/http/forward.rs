//! Orders to an instance that does not write go to the one that does, and its answer comes back.
//!
//! A forwarded request carries `X-Forward: true`. An instance that gets one and does not write does not forward it
//! again; it says that the leader is unknown, and the client asks again.

use std::time::Duration;

use axum::http::{HeaderName, StatusCode, header};

use tokio::time::Instant;

use super::{App, Call, HttpError, Reply};
use crate::error::RegistryError;
use crate::outgoing::body_of;
use crate::service::Leadership;

const X_FORWARD: HeaderName = HeaderName::from_static("x-forward");

/// Between two attempts to reach a leader that is gone.
const PAUSE: Duration = Duration::from_millis(200);

/// The leader's answer to `call`, or none where this instance is the leader.
///
/// # Errors
/// The leader's error; 50003 when it does not answer, 50004 when there is none.
pub(super) async fn to_leader(
    app: &App,
    call: &Call,
    operation: &'static str,
) -> Result<Option<Reply>, HttpError> {
    let deadline = Instant::now() + app.registry.config().timeout;
    let (url, response) = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let url = match app.registry.leadership_within(left).await {
            Leadership::Here => return Ok(None),
            Leadership::Unknown => return Err(RegistryError::UnknownLeader { operation }.into()),
            Leadership::At(_) if call.headers().contains_key(&X_FORWARD) => {
                return Err(RegistryError::UnknownLeader { operation }.into());
            }
            Leadership::At(url) => url,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        match request(app, call, &url, left).send().await {
            Ok(response) => break (url, response),
            // It took nothing: the next leader may, once there is one.
            Err(error) if error.is_connect() && Instant::now() < deadline => {
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(failed(&url, &error).into()),
        }
    };
    let status =
        StatusCode::from_u16(response.status().as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    let body = body_of(response).await;
    let body = body.map_err(|error| failed(&url, &error))?;
    if status.is_success() {
        Ok(Some(Reply::bytes(status, body)))
    } else {
        Err(HttpError::Forwarded(status, body))
    }
}

fn request(app: &App, call: &Call, url: &str, timeout: Duration) -> reqwest::RequestBuilder {
    let target = format!("{url}{}", call.path_and_query());
    let mut request = app
        .client
        .request(call.method().clone(), target)
        .header(X_FORWARD, "true")
        .timeout(timeout)
        .body(call.body().clone());
    for name in [header::CONTENT_TYPE, header::AUTHORIZATION] {
        if let Some(value) = call.headers().get(&name) {
            request = request.header(name, value.clone());
        }
    }
    request
}

fn failed(url: &str, error: &(dyn std::error::Error + 'static)) -> RegistryError {
    RegistryError::Forwarding {
        message: format!(
            "Unexpected error while forwarding the request to {url}: {}",
            base::ErrorChain(error)
        ),
    }
}
