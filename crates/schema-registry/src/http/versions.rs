//! `/subjects/{subject}/versions`: the versions of a subject, and new ones.

use super::entities::{RegisterSchemaRequest, SchemaEntity, SchemaTags, TagSchemaRequest};
use super::schemas::{formatted, found_tags, references};
use super::{App, Call, HttpError, Reply, forward};
use crate::dek::defaults;
use crate::error::RegistryError;
use crate::service::Found;
use crate::service::lookup::VersionId;
use crate::service::tags::TagChange;
use crate::state::Lookup;
use crate::subject;

/// A schema's request that is JSON and not what it should be is an invalid schema.
pub(super) fn invalid(error: HttpError) -> HttpError {
    match error {
        HttpError::Http(status, message, _) if status.as_u16() == 422 => {
            RegistryError::invalid_schema(message).into()
        }
        error => error,
    }
}

/// `GET /subjects/{subject}/versions?deleted=&deletedOnly=`
pub(super) fn list(app: &App, call: &Call, subject: &str) -> Result<Reply, HttpError> {
    let page = call.page(app.registry.config().subject_version_limits)?;
    let lookup = Lookup::of(call.flag("deleted"), call.flag("deletedOnly"));
    let subject = app.registry.unaliased(call.subject(subject));
    Reply::json(&app.registry.version_numbers(&subject, lookup, page)?)
}

/// `POST /subjects/{subject}/versions?normalize=`
pub(super) async fn register(app: &App, call: &Call, subject: &str) -> Result<Reply, HttpError> {
    let request: RegisterSchemaRequest = call.json().map_err(invalid)?;
    let subject = app.registry.unaliased(call.subject(subject));
    let (mut new, options) = request.into_parts(call.flag("normalize"))?;
    new.rule_set.iter_mut().for_each(defaults::fill);
    let known = {
        let (subject, new, options) = (subject.clone(), new.clone(), options.clone());
        app.registry
            .aside(move |registry| registry.registered(&subject, &new, &options))
            .await?
    };
    if let Some(found) = known {
        return registered(app, call, &found).await;
    }
    if let Some(reply) = forward::to_leader(app, call, "Register schema").await? {
        return Ok(reply);
    }
    let found = app.registry.register(subject, new, options).await?;
    registered(app, call, &found).await
}

async fn registered(app: &App, call: &Call, found: &Found) -> Result<Reply, HttpError> {
    let context = subject::context_of(&found.subject);
    let text = formatted(app, context, &found.body, call.text("format")).await?;
    let mut entity = SchemaEntity::of(found);
    entity.subject = None;
    entity.deleted = None;
    if let Some(text) = &text {
        entity.schema = text;
    }
    Reply::json(&entity)
}

fn version_of(app: &App, call: &Call, subject: &str, version: &str) -> Result<Found, HttpError> {
    let version = VersionId::parse(version)?;
    let subject = app.registry.unaliased(call.subject(subject));
    let deleted = call.flag("deleted");
    Ok(app.registry.version_anywhere(&subject, version, deleted)?)
}

/// `GET /subjects/{subject}/versions/{version}?deleted=&format=&findTags=`
pub(super) async fn get(
    app: &App,
    call: &Call,
    subject: &str,
    version: &str,
) -> Result<Reply, HttpError> {
    let found = version_of(app, call, subject, version)?;
    let context = subject::context_of(&found.subject);
    let tags = found_tags(app, call, context, &found.body).await?;
    reply(app, call, &found, tags).await
}

/// A version as the answer, its text in the format that `?format=` names.
pub(super) async fn reply(
    app: &App,
    call: &Call,
    found: &Found,
    schema_tags: Vec<SchemaTags>,
) -> Result<Reply, HttpError> {
    let context = subject::context_of(&found.subject);
    let text = formatted(app, context, &found.body, call.text("format")).await?;
    let mut entity = SchemaEntity::of(found);
    if let Some(text) = &text {
        entity.schema = text;
    }
    entity.schema_tags = schema_tags;
    entity.references = references(call, context, &found.body);
    Reply::json(&entity)
}

/// `GET /subjects/{subject}/versions/{version}/schema`
pub(super) async fn text(
    app: &App,
    call: &Call,
    subject: &str,
    version: &str,
) -> Result<Reply, HttpError> {
    let found = version_of(app, call, subject, version)?;
    let context = subject::context_of(&found.subject);
    let text = formatted(app, context, &found.body, call.text("format")).await?;
    Ok(Reply::text(
        text.unwrap_or_else(|| found.body.text.to_string()),
    ))
}

/// `GET /subjects/{subject}/versions/{version}/referencedby`
pub(super) fn referenced_by(
    app: &App,
    call: &Call,
    subject: &str,
    version: &str,
) -> Result<Reply, HttpError> {
    let page = call.page(app.registry.config().schema_limits)?;
    let version = VersionId::parse(version)?;
    let subject = app.registry.unaliased(call.subject(subject));
    let found = app.registry.version_anywhere(&subject, version, true)?;
    let ids = app.registry.referenced_by(&found.subject, found.version);
    Reply::json(&page.cut(ids.into_iter()))
}

/// `DELETE /subjects/{subject}/versions/{version}?permanent=`
pub(super) async fn delete(
    app: &App,
    call: &Call,
    subject: &str,
    version: &str,
) -> Result<Reply, HttpError> {
    let version = VersionId::parse(version)?;
    if let Some(reply) = forward::to_leader(app, call, "Delete schema version").await? {
        return Ok(reply);
    }
    let subject = app.registry.unaliased(call.subject(subject));
    let permanent = call.flag("permanent");
    let number = app
        .registry
        .delete_version(subject, version, permanent)
        .await?;
    Reply::json(&number)
}

/// `POST /subjects/{subject}/versions/{version}/tags`: the next version, with other tags, metadata or rules.
pub(super) async fn tags(
    app: &App,
    call: &Call,
    subject: &str,
    version: &str,
) -> Result<Reply, HttpError> {
    let version = VersionId::parse(version)?;
    let mut request: TagSchemaRequest = call.json().map_err(invalid)?;
    if let Some(reply) = forward::to_leader(app, call, "Modify schema tags").await? {
        return Ok(reply);
    }
    let subject = app.registry.unaliased(call.subject(subject));
    request.rule_set.iter_mut().for_each(defaults::fill);
    let (add, remove) = request.take_tags();
    let change = TagChange {
        new_version: request.new_version,
        add,
        remove,
        metadata: request.metadata,
        rule_set: request.rule_set,
        rules_to_merge: request.rules_to_merge,
        rules_to_remove: request.rules_to_remove,
    };
    let found = app.registry.modify_tags(subject, version, change).await?;
    registered(app, call, &found).await
}
