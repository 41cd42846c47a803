//! `/subjects`: which there are, whether one has a schema, and its end.

use std::collections::BTreeMap;

use super::entities::RegisterSchemaRequest;
use super::{App, Call, HttpError, Reply, forward, versions};
use crate::state::Lookup;
use crate::subject::ALL_CONTEXTS;

/// `GET /subjects?subjectPrefix=&deleted=&deletedOnly=`
pub(super) fn list(app: &App, call: &Call) -> Result<Reply, HttpError> {
    let page = call.page(app.registry.config().subject_limits)?;
    let lookup = Lookup::of(call.flag("deleted"), call.flag("deletedOnly"));
    let prefix = call.subject_prefix(ALL_CONTEXTS);
    Reply::json(&app.registry.subjects(&prefix, lookup, page))
}

/// `POST /subjects/{subject}`: the version under which the schema is registered.
pub(super) async fn look_up(app: &App, call: &Call, subject: &str) -> Result<Reply, HttpError> {
    let request: RegisterSchemaRequest = call.json().map_err(versions::invalid)?;
    let normalize = call.flag("normalize");
    let deleted = call.flag("deleted");
    let subject = app.registry.unaliased(call.subject(subject));
    let (new, _) = request.into_parts(normalize)?;
    let found = app
        .registry
        .aside(move |registry| registry.look_up(&subject, &new, normalize, deleted))
        .await?;
    versions::reply(app, call, &found, Vec::new()).await
}

/// `DELETE /subjects/{subject}?permanent=`
pub(super) async fn delete(app: &App, call: &Call, subject: &str) -> Result<Reply, HttpError> {
    if let Some(reply) = forward::to_leader(app, call, "Delete subject").await? {
        return Ok(reply);
    }
    let subject = app.registry.unaliased(call.subject(subject));
    let versions = app
        .registry
        .delete_subject(subject, call.flag("permanent"))
        .await?;
    Reply::json(&versions)
}

/// `GET /subjects/{subject}/metadata?key=&value=`
///
/// Differs: without any key it is the latest version; Confluent's registry wants one that has metadata then.
pub(super) async fn with_metadata(
    app: &App,
    call: &Call,
    subject: &str,
) -> Result<Reply, HttpError> {
    let subject = app.registry.unaliased(call.subject(subject));
    let keys = call.all("key").map(str::to_owned);
    let wanted: BTreeMap<String, String> = keys.zip(call.all("value").map(str::to_owned)).collect();
    let deleted = call.flag("deleted");
    let Some(found) = app
        .registry
        .latest_with_metadata(&subject, &wanted, deleted)
    else {
        return Err(app.registry.not_found(&subject, deleted).into());
    };
    versions::reply(app, call, &found, Vec::new()).await
}
