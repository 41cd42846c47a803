//! `/schemas`: by id, by GUID, and all of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schema::SchemaReference;
use uuid::Uuid;

use super::associations::{self, AssociationEntity};
use super::entities::{ContextId, SchemaEntity, SchemaTags, SubjectVersion};
use super::{App, Call, HttpError, Reply};
use crate::error::RegistryError;
use crate::service::{Found, Registry};
use crate::state::{Association, AssociationFilter, IdEntry, Lookup, SchemaBody};
use crate::subject;

fn number(id: &str) -> Result<i32, HttpError> {
    id.parse().map_err(|_| HttpError::not_found())
}

/// The subject that the query names, by its alias or not.
fn asked_subject(app: &App, call: &Call) -> Option<String> {
    let subject = call.query_subject();
    subject.map(|subject| app.registry.unaliased(subject))
}

fn entry(app: &App, call: &Call, id: i32) -> Result<(String, IdEntry), HttpError> {
    let of = asked_subject(app, call).or_else(|| call.top());
    let found = app.registry.by_id(id, of.as_deref());
    found.ok_or_else(|| RegistryError::schema_not_found(id).into())
}

/// The text in the format of `?format=`; one that the type does not have is the canonical one, as clients of newer
/// registries ask for formats that older ones do not know.
pub(super) async fn formatted(
    app: &App,
    context: &str,
    body: &Arc<SchemaBody>,
    format: Option<&str>,
) -> Result<Option<String>, HttpError> {
    let Some(format) = format.map(str::trim).filter(|format| !format.is_empty()) else {
        return Ok(None);
    };
    let (format, context, body) = (format.to_owned(), context.to_owned(), Arc::clone(body));
    let text = app
        .registry
        .aside(move |registry| {
            let parsed = registry.parsed(&context, &body)?;
            Ok(parsed
                .formatted(&format)
                .unwrap_or_else(|_| parsed.canonical()))
        })
        .await?;
    Ok(Some(text))
}

/// The references of a schema, with `?referenceFormat=qualified` by the whole names of their subjects.
pub(super) fn references<'a>(
    call: &Call,
    context: &str,
    body: &'a SchemaBody,
) -> Cow<'a, [SchemaReference]> {
    let is_qualified = call
        .text("referenceFormat")
        .is_some_and(|format| format.eq_ignore_ascii_case("qualified"));
    if !is_qualified {
        return Cow::Borrowed(&body.references);
    }
    let qualified = body.references.iter().map(|reference| SchemaReference {
        subject: subject::in_context_of(context, &reference.subject),
        ..reference.clone()
    });
    Cow::Owned(qualified.collect())
}

/// The tags of `?findTags=`.
pub(super) async fn found_tags(
    app: &App,
    call: &Call,
    context: &str,
    body: &Arc<SchemaBody>,
) -> Result<Vec<SchemaTags>, HttpError> {
    let wanted: Vec<&str> = call.all("findTags").collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let (context, body) = (context.to_owned(), Arc::clone(body));
    let (tags, types) = app
        .registry
        .aside(move |registry| {
            let parsed = registry.parsed(&context, &body)?;
            Ok((parsed.inline_tags(), parsed.tagged_types()))
        })
        .await?;
    Ok(SchemaTags::wanted(tags, &types, &wanted))
}

/// `GET /schemas/ids/{id}`
pub(super) async fn by_id(app: &App, call: &Call, id: &str) -> Result<Reply, HttpError> {
    let id = number(id)?;
    let (context, entry) = entry(app, call, id)?;
    let body = &entry.body;
    let text = formatted(app, &context, body, call.text("format")).await?;
    let mut entity = SchemaEntity::of_body(body);
    if let Some(text) = &text {
        entity.schema = text;
    }
    entity.schema_tags = found_tags(app, call, &context, body).await?;
    entity.references = references(call, &context, body);
    if call.flag("fetchMaxId") {
        let state = app.registry.state();
        entity.max_id = state.index(&context).map(|index| index.max_id());
    }
    let subject = asked_subject(app, call);
    let (_, name) = subject.as_deref().map_or((".", ""), subject::split);
    let shown = if name.is_empty() {
        None
    } else {
        let qualified = subject::qualify(&context, name);
        let of = |(of, _): &&(Arc<str>, i32)| **of == *qualified;
        entry.versions.iter().rev().find(of)
    };
    if let Some((subject, version)) = shown {
        entity.subject = Some(subject);
        entity.version = Some(*version);
    }
    let told = shown.or(entry.versions.last());
    if let Some((subject, version)) = told {
        let state = app.registry.state();
        let version = state.version(subject, *version);
        entity.ts = version.map(|version| version.timestamp_ms);
        entity.deleted = version.map(|version| version.deleted);
    }
    Reply::json(&entity)
}

/// `GET /schemas/ids/{id}/schema`
pub(super) async fn text_by_id(app: &App, call: &Call, id: &str) -> Result<Reply, HttpError> {
    let (context, entry) = entry(app, call, number(id)?)?;
    let text = formatted(app, &context, &entry.body, call.text("format")).await?;
    Ok(Reply::text(
        text.unwrap_or_else(|| entry.body.text.to_string()),
    ))
}

fn versions_of(app: &App, call: &Call, id: &str) -> Result<Vec<(String, i32)>, HttpError> {
    let (_, entry) = entry(app, call, number(id)?)?;
    Ok(app.registry.versions_of_id(&entry, call.flag("deleted")))
}

/// `GET /schemas/ids/{id}/subjects`
pub(super) fn subjects(app: &App, call: &Call, id: &str) -> Result<Reply, HttpError> {
    let page = call.page(app.registry.config().subject_limits)?;
    let versions = versions_of(app, call, id)?;
    let subjects: BTreeSet<String> = versions.into_iter().map(|(subject, _)| subject).collect();
    Reply::json(&page.cut(subjects.into_iter()))
}

/// `GET /schemas/ids/{id}/versions`
pub(super) fn versions(app: &App, call: &Call, id: &str) -> Result<Reply, HttpError> {
    let page = call.page(app.registry.config().subject_version_limits)?;
    let versions = versions_of(app, call, id)?.into_iter();
    let entities = versions.map(|(subject, version)| SubjectVersion { subject, version });
    Reply::json(&page.cut(entities))
}

fn ids_of(registry: &Registry, guid: &str) -> Result<Vec<(String, i32)>, HttpError> {
    let not_found = || RegistryError::schema_not_found(guid);
    let parsed = Uuid::parse_str(guid).map_err(|_| not_found())?;
    let ids = registry.ids_of_guid(&parsed);
    if ids.is_empty() {
        return Err(not_found().into());
    }
    Ok(ids)
}

/// `GET /schemas/guids/{guid}`
pub(super) async fn by_guid(app: &App, call: &Call, guid: &str) -> Result<Reply, HttpError> {
    let ids = ids_of(&app.registry, guid)?;
    let found = ids.first().and_then(|(context, id)| {
        let top = subject::qualify(context, "");
        app.registry.by_id(*id, Some(&top))
    });
    let (context, entry) = found.ok_or_else(|| RegistryError::schema_not_found(guid))?;
    let text = formatted(app, &context, &entry.body, call.text("format")).await?;
    let mut entity = SchemaEntity::of_body(&entry.body);
    if let Some(text) = &text {
        entity.schema = text;
    }
    Reply::json(&entity)
}

/// `GET /schemas/guids/{guid}/ids`
pub(super) fn ids(app: &App, guid: &str) -> Result<Reply, HttpError> {
    let ids = ids_of(&app.registry, guid)?.into_iter();
    let entities: Vec<_> = ids.map(|(context, id)| ContextId { context, id }).collect();
    Reply::json(&entities)
}

/// `GET /schemas/types`
pub(super) fn types() -> Result<Reply, HttpError> {
    let names: Vec<&str> = schema::ParsedSchema::TYPES
        .iter()
        .map(|schema_type| schema_type.name())
        .collect();
    Reply::json(&names)
}

/// `GET /schemas?subjectPrefix=&deleted=&latestOnly=&ruleType=&aliases=&resourceType=&associationType=&lifecycle=`
pub(super) fn list(app: &App, call: &Call) -> Result<Reply, HttpError> {
    let registry = &app.registry;
    let used = Used::of(app, call)?;
    let page = call.page(registry.config().schema_limits)?;
    let prefix = call.subject_prefix("");
    let lookup = Lookup::of(call.flag("deleted"), call.flag("deletedOnly"));
    let latest_only = call.flag("latestOnly");
    let rule_type = call.text("ruleType").filter(|name| !name.is_empty());
    let wanted = |found: &Found| rule_type.is_none_or(|name| has_rule(&found.body, name));
    if !call.flag("aliases") {
        let found = registry.schemas(&prefix, lookup, latest_only, page, wanted);
        let entities: Vec<_> = found
            .iter()
            .map(|found| used.told(SchemaEntity::of(found)))
            .collect();
        return Reply::json(&entities);
    }
    let aliases = registry.aliases(&prefix);
    let everything = crate::service::listing::Page {
        offset: 0,
        limit: usize::MAX,
    };
    let mut found = registry.schemas(&prefix, lookup, latest_only, everything, wanted);
    for subject in aliases.keys() {
        if !found.iter().any(|found| found.subject == *subject) {
            let aliased = registry.schemas_of(subject, lookup, latest_only);
            found.extend(aliased.into_iter().filter(wanted));
        }
    }
    found.sort_by(|a, b| (&a.subject, a.version).cmp(&(&b.subject, b.version)));
    let entities = found.iter().map(|found| {
        let mut entity = SchemaEntity::of(found);
        entity.aliases = aliases.get(&found.subject).map(Vec::as_slice);
        used.told(entity)
    });
    Reply::json(&page.cut(entities))
}

/// What uses the subjects of a list, where the request asks for it.
struct Used(BTreeMap<String, Vec<Arc<Association>>>);

impl Used {
    fn of(app: &App, call: &Call) -> Result<Self, HttpError> {
        let given = |name: &str| call.text(name).filter(|value| !value.is_empty());
        let lifecycle = associations::lifecycle(call)?;
        let mut used = BTreeMap::new();
        if given("resourceType").is_none()
            && given("associationType").is_none()
            && lifecycle.is_none()
        {
            return Ok(Self(used));
        }
        let filter = AssociationFilter {
            resource_type: given("resourceType").map(str::to_owned),
            association_types: call.all("associationType").map(str::to_owned).collect(),
            lifecycle,
        };
        let state = app.registry.state();
        for (subject, _) in state.subjects_with_prefix(&call.subject_prefix("")) {
            let found = state.associations().of_subject(subject, &filter);
            if !found.is_empty() {
                used.insert(subject.to_string(), found);
            }
        }
        Ok(Self(used))
    }

    /// The entity of a version with what uses its subject.
    fn told<'a>(&'a self, mut entity: SchemaEntity<'a>) -> SchemaEntity<'a> {
        let found = entity.subject.and_then(|subject| self.0.get(subject));
        entity.associations = found
            .into_iter()
            .flatten()
            .map(|association| AssociationEntity::of(association))
            .collect();
        entity
    }
}

fn has_rule(body: &SchemaBody, rule_type: &str) -> bool {
    let Some(rules) = &body.rule_set else {
        return false;
    };
    [
        &rules.migration_rules,
        &rules.domain_rules,
        &rules.encoding_rules,
    ]
    .into_iter()
    .flatten()
    .flatten()
    .any(|rule| rule.rule_type.as_deref() == Some(rule_type))
}
