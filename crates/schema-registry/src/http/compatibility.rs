//! `/compatibility/subjects/{subject}/versions`

use super::entities::{CompatibilityCheckResponse, RegisterSchemaRequest};
use super::{App, Call, HttpError, Reply};
use crate::error::RegistryError;
use crate::service::compatibility::Against;
use crate::service::lookup::VersionId;

/// `POST .../versions`: against all that the level wants.
pub(super) async fn all(app: &App, call: &Call, subject: &str) -> Result<Reply, HttpError> {
    check(app, call, subject, Against::All).await
}

/// `POST .../versions/{version}`: against one.
pub(super) async fn one(
    app: &App,
    call: &Call,
    subject: &str,
    version: &str,
) -> Result<Reply, HttpError> {
    let version = VersionId::parse(version)?;
    check(app, call, subject, Against::Version(version)).await
}

async fn check(
    app: &App,
    call: &Call,
    subject: &str,
    against: Against,
) -> Result<Reply, HttpError> {
    let request: RegisterSchemaRequest = call.json().map_err(super::versions::invalid)?;
    let normalize = call.flag("normalize");
    let (new, _) = request.into_parts(normalize)?;
    if new.text.trim().is_empty() {
        return Err(RegistryError::invalid_schema("Empty schema").into());
    }
    let subject = app.registry.unaliased(call.subject(subject));
    let is_verbose = call.flag("verbose");
    let messages = app
        .registry
        .aside(move |registry| registry.check_compatibility(&subject, &new, against, normalize))
        .await;
    let messages = match messages {
        // Whoever wants to know why is told, rather than refused.
        Err(RegistryError::InvalidSchema { message }) if is_verbose => vec![message],
        messages => messages?,
    };
    Reply::json(&CompatibilityCheckResponse {
        is_compatible: messages.is_empty(),
        messages: is_verbose.then_some(messages),
    })
}
