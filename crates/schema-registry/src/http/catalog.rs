//! `/catalog/v1`: definitions of tags and business metadata, what entities have of them, and searches.
//!
//! A list of changes is answered with 200 and one entry for each item; one that failed comes back as it was sent, with an `error`. What is
//! null is left out.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::{App, Call, HttpError, Reply, forward, methods};
use crate::catalog::definitions::ShownDefinition;
use crate::catalog::model::{AttributeDef, Cardinality, DefinitionKind, Tag, TimeBoundary};
use crate::catalog::search::{LIMIT_DEFAULT, Search};
use crate::catalog::tags::{FoundTag, Intent};
use crate::catalog::{
    CatalogError, Entity, Found, ITEMS_MAX, NewBusinessMetadata, NewDefinition, NewTag, Outcomes,
    Related,
};

/// The paths below `/catalog/v1`.
pub(super) async fn route(app: &App, call: &Call, rest: &[&str]) -> Result<Reply, HttpError> {
    match rest {
        ["types", "tagdefs", rest @ ..] => {
            definition_routes(app, call, DefinitionKind::Tag, rest).await
        }
        ["types", "businessmetadatadefs", rest @ ..] => {
            definition_routes(app, call, DefinitionKind::BusinessMetadata, rest).await
        }
        ["entity"] => methods!(call, PUT => set_attributes(app, call).await),
        ["entity", "tags"] => methods!(call,
            POST => set_tags(app, call, Intent::Create).await,
            PUT => set_tags(app, call, Intent::Update).await,
        ),
        ["entity", "businessmetadata"] => methods!(call,
            POST => set_business_metadata(app, call, Intent::Create).await,
            PUT => set_business_metadata(app, call, Intent::Update).await,
        ),
        ["entity", "type", of, "name", name] => {
            methods!(call, GET => get_entity(app, call, of, name).await)
        }
        ["entity", "type", of, "name", name, "tags"] => {
            methods!(call, GET => get_tags(app, of, name).await)
        }
        ["entity", "type", of, "name", name, "tags", tag] => {
            methods!(call, DELETE => delete_tag(app, call, of, name, tag).await)
        }
        ["entity", "type", of, "name", name, "businessmetadata"] => {
            methods!(call, GET => get_business_metadata(app, of, name).await)
        }
        [
            "entity",
            "type",
            of,
            "name",
            name,
            "businessmetadata",
            metadata,
        ] => methods!(call,
            DELETE => delete_business_metadata(app, call, of, name, metadata).await,
        ),
        ["search", "basic"] => methods!(call, GET => search(app, call, Vec::new()).await),
        ["search", "attribute"] => {
            methods!(call, GET => search(app, call, prefixes(call)?).await)
        }
        _ => Err(HttpError::not_found()),
    }
}

async fn definition_routes(
    app: &App,
    call: &Call,
    kind: DefinitionKind,
    rest: &[&str],
) -> Result<Reply, HttpError> {
    match rest {
        [] => methods!(call,
            GET => list_definitions(app, call, kind),
            POST => put_definitions(app, call, kind, Intent::Create).await,
            PUT => put_definitions(app, call, kind, Intent::Update).await,
        ),
        [name] => methods!(call,
            GET => Reply::json(&definition_value(&app.catalog.definition(kind, name)?)),
            DELETE => delete_definition(app, call, kind, name).await,
        ),
        _ => Err(HttpError::not_found()),
    }
}

/// A flag, which some clients send as a text.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    use serde::de::Error;
    match Option::<Value>::deserialize(deserializer)? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(Value::String(text)) if text == "true" || text == "false" => Ok(Some(text == "true")),
        Some(other) => Err(D::Error::custom(format!(
            "{other} is neither true nor false"
        ))),
    }
}

/// Texts by name, which some clients send as numbers.
fn options<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    use serde::de::Error;
    let options = Option::<Map<String, Value>>::deserialize(deserializer)?.unwrap_or_default();
    let options = options.into_iter().filter(|(_, value)| !value.is_null());
    options
        .map(|(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Bool(_) | Value::Number(_) => Ok((name, value.to_string())),
            other => Err(D::Error::custom(format!("{other} is no text"))),
        })
        .collect()
}

/// An attribute of a definition (`AttributeDef`).
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AttributeRequest {
    name: Option<String>,
    type_name: Option<String>,
    #[serde(deserialize_with = "flag")]
    is_optional: Option<bool>,
    cardinality: Option<Cardinality>,
    values_min_count: Option<i32>,
    values_max_count: Option<i32>,
    #[serde(deserialize_with = "flag")]
    is_unique: Option<bool>,
    #[serde(deserialize_with = "flag")]
    is_indexable: Option<bool>,
    #[serde(deserialize_with = "flag")]
    include_in_notification: Option<bool>,
    default_value: Option<String>,
    description: Option<String>,
    search_weight: Option<i32>,
    index_type: Option<String>,
    constraints: Option<Vec<Value>>,
    #[serde(deserialize_with = "options")]
    options: BTreeMap<String, String>,
    display_name: Option<String>,
}

impl AttributeRequest {
    fn into_definition(self) -> Result<AttributeDef, HttpError> {
        if self
            .constraints
            .is_some_and(|constraints| !constraints.is_empty())
        {
            let message =
                "constraints are of attributes that name entities, which there are none of here";
            return Err(CatalogError::bad_request(message).into());
        }
        let is_optional = self.is_optional.unwrap_or_default();
        let cardinality = self.cardinality.unwrap_or_default();
        let most = match cardinality {
            Cardinality::Single => 1,
            Cardinality::List | Cardinality::Set => i32::MAX,
        };
        Ok(AttributeDef {
            name: self.name.unwrap_or_default(),
            type_name: self.type_name.unwrap_or_default(),
            is_optional,
            cardinality,
            values_min_count: self.values_min_count.unwrap_or(i32::from(!is_optional)),
            values_max_count: self.values_max_count.unwrap_or(most),
            is_unique: self.is_unique.unwrap_or_default(),
            is_indexable: self.is_indexable.unwrap_or_default(),
            include_in_notification: self.include_in_notification.unwrap_or_default(),
            default_value: self.default_value,
            description: self.description,
            search_weight: self.search_weight.unwrap_or(-1),
            index_type: self.index_type,
            options: self.options,
            display_name: self.display_name,
        })
    }
}

/// A definition (`TagDef`, `BusinessMetadataDef`). What the catalog says of one itself is passed over.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct DefinitionRequest {
    name: Option<String>,
    description: Option<String>,
    type_version: Option<String>,
    service_type: Option<String>,
    #[serde(deserialize_with = "options")]
    options: BTreeMap<String, String>,
    attribute_defs: Option<Vec<AttributeRequest>>,
    super_types: Option<Vec<String>>,
    entity_types: Option<Vec<String>>,
    color: Option<String>,
}

impl DefinitionRequest {
    fn into_new(self, kind: DefinitionKind) -> Result<NewDefinition, HttpError> {
        let attributes = self.attribute_defs.unwrap_or_default().into_iter();
        let of_tags = |list: Option<Vec<String>>| match kind {
            DefinitionKind::Tag => list.unwrap_or_default(),
            DefinitionKind::BusinessMetadata => Vec::new(),
        };
        Ok(NewDefinition {
            name: self.name.unwrap_or_default(),
            description: self.description,
            type_version: self.type_version,
            service_type: self.service_type,
            options: self.options,
            attribute_defs: attributes
                .map(AttributeRequest::into_definition)
                .collect::<Result<_, _>>()?,
            super_types: of_tags(self.super_types),
            entity_types: of_tags(self.entity_types),
            color: self.color,
        })
    }
}

/// A tag of an entity (`Tag`).
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TagRequest {
    type_name: Option<String>,
    attributes: Option<Map<String, Value>>,
    entity_type: Option<String>,
    entity_name: Option<String>,
    #[serde(deserialize_with = "flag")]
    propagate: Option<bool>,
    validity_periods: Option<Vec<TimeBoundary>>,
    #[serde(deserialize_with = "flag")]
    remove_propagations_on_entity_delete: Option<bool>,
}

/// Business metadata of an entity (`BusinessMetadata`).
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BusinessMetadataRequest {
    type_name: Option<String>,
    attributes: Option<Map<String, Value>>,
    entity_type: Option<String>,
    entity_name: Option<String>,
}

/// An entity with attributes to set (`EntityWithExtInfo`).
#[derive(Deserialize)]
struct EntityRequest {
    entity: Option<EntityPart>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EntityPart {
    type_name: Option<String>,
    attributes: Option<Map<String, Value>>,
}

/// What Confluent's catalog calls what is missing.
fn or_null(name: Option<String>) -> String {
    name.unwrap_or_else(|| "null".to_owned())
}

fn unreadable(message: impl Into<String>) -> HttpError {
    HttpError::Http(StatusCode::BAD_REQUEST, message.into(), Vec::new())
}

/// The body; one that is not what the operation takes is answered with 400.
fn body<T: DeserializeOwned>(call: &Call) -> Result<T, HttpError> {
    serde_json::from_slice(call.body()).map_err(|error| unreadable(error.to_string()))
}

/// An item as it came.
type Given = Map<String, Value>;

/// The items of a list, each as it came and as it is understood.
fn items<T: DeserializeOwned>(call: &Call) -> Result<(Vec<Given>, Vec<T>), HttpError> {
    let given: Vec<Given> = body(call)?;
    if given.len() > ITEMS_MAX {
        let message = format!("a list has {ITEMS_MAX} items at most");
        return Err(CatalogError::bad_request(message).into());
    }
    let understood = given
        .iter()
        .map(|item| serde_json::from_value(Value::Object(item.clone())));
    let understood = understood.collect::<Result<Vec<T>, _>>();
    let understood = understood.map_err(|error| unreadable(error.to_string()))?;
    Ok((given, understood))
}

/// One answer for each item: what became of it, or it and why it failed.
fn answers<T>(
    given: Vec<Given>,
    outcomes: Outcomes<T>,
    shown: impl Fn(T) -> Value,
) -> Result<Reply, HttpError> {
    let answers = given.into_iter().zip(outcomes);
    let answers: Vec<Value> = answers
        .map(|(mut item, outcome)| match outcome {
            Ok(done) => shown(done),
            Err(error) => {
                item.retain(|_, value| !value.is_null());
                let error = json!({"error_code": error.code(), "message": error.to_string()});
                item.insert("error".to_owned(), error);
                Value::Object(item)
            }
        })
        .collect();
    Reply::json(&answers)
}

fn put(into: &mut Map<String, Value>, name: &str, value: impl Into<Value>) {
    into.insert(name.to_owned(), value.into());
}

fn put_some(into: &mut Map<String, Value>, name: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        put(into, name, value);
    }
}

/// A definition (`TagDefResponse`, `BusinessMetadataDefResponse`).
fn definition_value(shown: &ShownDefinition) -> Value {
    let (kind, definition) = (shown.kind, &shown.definition);
    let mut value = Map::new();
    put(&mut value, "category", kind.category());
    let guid = schema::guid::of_name(kind.category(), &definition.name);
    put(&mut value, "guid", guid.to_string());
    let created = definition.create_time.unwrap_or(definition.update_time);
    put(&mut value, "createTime", created);
    put(&mut value, "updateTime", definition.update_time);
    put(&mut value, "version", definition.version);
    put(&mut value, "name", definition.name.as_str());
    put_some(&mut value, "description", definition.description.as_deref());
    put(&mut value, "typeVersion", definition.type_version.as_str());
    put_some(
        &mut value,
        "serviceType",
        definition.service_type.as_deref(),
    );
    if !definition.options.is_empty() {
        put(&mut value, "options", json!(definition.options));
    }
    put(
        &mut value,
        "attributeDefs",
        json!(definition.attribute_defs),
    );
    if kind == DefinitionKind::Tag {
        put(&mut value, "superTypes", json!(definition.super_types));
        put(&mut value, "entityTypes", json!(definition.entity_types));
        put(&mut value, "subTypes", json!(shown.sub_types));
    }
    put_some(&mut value, "color", definition.color.as_deref());
    Value::Object(value)
}

/// `GET /catalog/v1/types/tagdefs?prefix=`, `GET /catalog/v1/types/businessmetadatadefs?prefix=`
fn list_definitions(app: &App, call: &Call, kind: DefinitionKind) -> Result<Reply, HttpError> {
    let prefix = call.text("prefix").unwrap_or_default();
    let found = app.catalog.definitions(kind, prefix);
    let found: Vec<Value> = found.iter().map(definition_value).collect();
    Reply::json(&found)
}

/// `POST` and `PUT /catalog/v1/types/tagdefs`, `/catalog/v1/types/businessmetadatadefs`
async fn put_definitions(
    app: &App,
    call: &Call,
    kind: DefinitionKind,
    intent: Intent,
) -> Result<Reply, HttpError> {
    let (given, requests) = items::<DefinitionRequest>(call)?;
    let requests = requests.into_iter().map(|request| request.into_new(kind));
    let new = requests.collect::<Result<Vec<_>, _>>()?;
    if let Some(reply) = forward::to_leader(app, call, "Write definitions").await? {
        return Ok(reply);
    }
    let outcomes = match intent {
        Intent::Create => app.catalog.create_definitions(kind, new).await?,
        Intent::Update => app.catalog.update_definitions(kind, new).await?,
    };
    answers(given, outcomes, |shown| definition_value(&shown))
}

/// `DELETE /catalog/v1/types/tagdefs/{tagName}`, `/catalog/v1/types/businessmetadatadefs/{bmName}`
async fn delete_definition(
    app: &App,
    call: &Call,
    kind: DefinitionKind,
    name: &str,
) -> Result<Reply, HttpError> {
    if let Some(reply) = forward::to_leader(app, call, "Delete definition").await? {
        return Ok(reply);
    }
    app.catalog.delete_definition(kind, name).await?;
    Ok(Reply::nothing())
}

/// A tag of an entity (`Classification`).
fn tag_value(name: &str, tag: &Tag, entity: &Entity) -> Map<String, Value> {
    let mut value = Map::new();
    put(&mut value, "typeName", name);
    if !tag.attributes.is_empty() {
        put(&mut value, "attributes", tag.attributes.clone());
    }
    put(&mut value, "entityGuid", entity.id.guid());
    put(&mut value, "entityStatus", status(entity));
    put(&mut value, "propagate", tag.propagate);
    if !tag.validity_periods.is_empty() {
        put(&mut value, "validityPeriods", json!(tag.validity_periods));
    }
    let removes = tag.remove_propagations_on_entity_delete;
    put(&mut value, "removePropagationsOnEntityDelete", removes);
    value
}

fn status(entity: &Entity) -> &'static str {
    if entity.is_deleted {
        "DELETED"
    } else {
        "ACTIVE"
    }
}

/// The tags of an entity, those that its schema gives it too.
fn tag_values(found: &Found) -> Vec<Map<String, Value>> {
    let names = found.entity.tag_names(Some(&found.overlay)).into_iter();
    let of_schema = Tag::default();
    names
        .map(|name| {
            let tag = found.overlay.tags.get(&name).unwrap_or(&of_schema);
            tag_value(&name, tag, &found.entity)
        })
        .collect()
}

fn with_entity(mut value: Map<String, Value>, entity_type: &str, name: &str) -> Value {
    put(&mut value, "entityType", entity_type);
    put(&mut value, "entityName", name);
    Value::Object(value)
}

/// `GET /catalog/v1/entity/type/{typeName}/name/{qualifiedName}/tags`
async fn get_tags(app: &App, of: &str, name: &str) -> Result<Reply, HttpError> {
    let found = app.catalog.found(of, name).await?;
    let id = &found.entity.id;
    let tags = tag_values(&found).into_iter();
    let tags: Vec<Value> = tags
        .map(|tag| with_entity(tag, id.entity_type.name(), &id.name))
        .collect();
    Reply::json(&tags)
}

/// `POST` and `PUT /catalog/v1/entity/tags`
async fn set_tags(app: &App, call: &Call, intent: Intent) -> Result<Reply, HttpError> {
    let (given, requests) = items::<TagRequest>(call)?;
    if let Some(reply) = forward::to_leader(app, call, "Set tags").await? {
        return Ok(reply);
    }
    let new = requests.into_iter().map(|request| NewTag {
        name: or_null(request.type_name),
        entity_type: or_null(request.entity_type),
        entity_name: or_null(request.entity_name),
        attributes: request.attributes.unwrap_or_default(),
        propagate: request.propagate.unwrap_or_default(),
        validity_periods: request.validity_periods.unwrap_or_default(),
        remove_propagations_on_entity_delete: request
            .remove_propagations_on_entity_delete
            .unwrap_or_default(),
    });
    let outcomes = app.catalog.set_tags(intent, new.collect()).await?;
    answers(given, outcomes, |FoundTag { name, tag, entity }| {
        let value = tag_value(&name, &tag, &entity);
        with_entity(value, entity.id.entity_type.name(), &entity.id.name)
    })
}

/// `DELETE /catalog/v1/entity/type/{typeName}/name/{qualifiedName}/tags/{tagName}`
async fn delete_tag(
    app: &App,
    call: &Call,
    of: &str,
    name: &str,
    tag: &str,
) -> Result<Reply, HttpError> {
    if let Some(reply) = forward::to_leader(app, call, "Delete tag").await? {
        return Ok(reply);
    }
    app.catalog.delete_tag(of, name, tag).await?;
    Ok(Reply::nothing())
}

/// Business metadata of an entity (`BusinessMetadataResponse`).
fn metadata_value(name: &str, attributes: &Map<String, Value>, entity: &Entity) -> Value {
    let mut value = Map::new();
    put(&mut value, "typeName", name);
    put(&mut value, "attributes", attributes.clone());
    with_entity(value, entity.id.entity_type.name(), &entity.id.name)
}

/// `GET /catalog/v1/entity/type/{typeName}/name/{qualifiedName}/businessmetadata`
async fn get_business_metadata(app: &App, of: &str, name: &str) -> Result<Reply, HttpError> {
    let found = app.catalog.found(of, name).await?;
    let metadata = found.overlay.business_metadata.iter();
    let metadata: Vec<Value> = metadata
        .map(|(name, attributes)| metadata_value(name, attributes, &found.entity))
        .collect();
    Reply::json(&metadata)
}

/// `POST` and `PUT /catalog/v1/entity/businessmetadata`
async fn set_business_metadata(app: &App, call: &Call, intent: Intent) -> Result<Reply, HttpError> {
    let (given, requests) = items::<BusinessMetadataRequest>(call)?;
    if let Some(reply) = forward::to_leader(app, call, "Set business metadata").await? {
        return Ok(reply);
    }
    let new = requests.into_iter().map(|request| NewBusinessMetadata {
        name: or_null(request.type_name),
        entity_type: or_null(request.entity_type),
        entity_name: or_null(request.entity_name),
        attributes: request.attributes.unwrap_or_default(),
    });
    let outcomes = app
        .catalog
        .set_business_metadata(intent, new.collect())
        .await?;
    answers(given, outcomes, |found| {
        metadata_value(&found.name, &found.attributes, &found.entity)
    })
}

/// `DELETE /catalog/v1/entity/type/{typeName}/name/{qualifiedName}/businessmetadata/{bmName}`
async fn delete_business_metadata(
    app: &App,
    call: &Call,
    of: &str,
    name: &str,
    metadata: &str,
) -> Result<Reply, HttpError> {
    if let Some(reply) = forward::to_leader(app, call, "Delete business metadata").await? {
        return Ok(reply);
    }
    app.catalog
        .delete_business_metadata(of, name, metadata)
        .await?;
    Ok(Reply::nothing())
}

/// What an entity is related to, as another names it.
fn reference_value(entity: &Entity) -> Value {
    json!({
        "guid": entity.id.guid(),
        "typeName": entity.id.entity_type.name(),
        "entityStatus": status(entity),
        "displayText": entity.name,
    })
}

/// `GET /catalog/v1/entity/type/{typeName}/name/{qualifiedName}?minExtInfo=&ignoreRelationships=`
async fn get_entity(app: &App, call: &Call, of: &str, name: &str) -> Result<Reply, HttpError> {
    let ignores = query_flag(call, "ignoreRelationships")?;
    // No entity is within another here, so there is nothing to say more or less of.
    query_flag(call, "minExtInfo")?;
    let found = app.catalog.found(of, name).await?;
    let (entity, overlay) = (&found.entity, &found.overlay);
    let mut value = Map::new();
    put(&mut value, "typeName", entity.id.entity_type.name());
    put(&mut value, "attributes", entity.attributes(Some(overlay)));
    put(&mut value, "guid", entity.id.guid());
    put(&mut value, "isIncomplete", false);
    put(&mut value, "status", status(entity));
    put_some(&mut value, "createTime", entity.created_ms());
    let updated = (overlay.update_time > 0).then_some(overlay.update_time);
    put_some(&mut value, "updateTime", updated.or(entity.created_ms()));
    put(&mut value, "version", 0);
    if !ignores {
        let related = app.catalog.related(entity).await?.into_iter();
        let related: Map<String, Value> = related
            .map(|(name, related)| {
                let value = match related {
                    Related::One(entity) => reference_value(&entity),
                    Related::Many(entities) => entities.iter().map(reference_value).collect(),
                };
                (name.to_owned(), value)
            })
            .collect();
        put(&mut value, "relationshipAttributes", related);
    }
    put(&mut value, "classifications", json!(tag_values(&found)));
    if !overlay.business_metadata.is_empty() {
        put(
            &mut value,
            "businessAttributes",
            json!(overlay.business_metadata),
        );
    }
    put(&mut value, "labels", json!([]));
    Reply::json(&json!({"referredEntities": {}, "entity": value}))
}

/// `PUT /catalog/v1/entity`
async fn set_attributes(app: &App, call: &Call) -> Result<Reply, HttpError> {
    let request: EntityRequest = body(call)?;
    let Some(part) = request.entity else {
        return Err(CatalogError::bad_request("no entity is given").into());
    };
    if let Some(reply) = forward::to_leader(app, call, "Update entity").await? {
        return Ok(reply);
    }
    let attributes = part.attributes.unwrap_or_default();
    let found = app
        .catalog
        .set_attributes(&or_null(part.type_name), attributes)
        .await?;
    let entity = &found.entity;
    let tags = entity.tag_names(Some(&found.overlay));
    let updated = json!({
        "typeName": entity.id.entity_type.name(),
        "attributes": entity.attributes(Some(&found.overlay)),
        "guid": entity.id.guid(),
        "status": status(entity),
        "classificationNames": tags,
        "classifications": tag_values(&found),
        "isIncomplete": false,
    });
    Reply::json(&json!({"mutatedEntities": {"UPDATE": [updated]}}))
}

/// A flag of the query; one that is none is 400.
fn query_flag(call: &Call, name: &str) -> Result<bool, CatalogError> {
    match call.text(name) {
        None | Some("" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(CatalogError::invalid_parameters(format!(
            "{name} is '{other:.100}', expected true or false"
        ))),
    }
}

fn query_number(call: &Call, name: &str, default: usize) -> Result<usize, CatalogError> {
    match call.text(name) {
        None | Some("") => Ok(default),
        Some(text) => text.parse().map_err(|_| {
            let message = format!("{name} is '{text:.100}', expected a number from 0 on");
            CatalogError::invalid_parameters(message)
        }),
    }
}

/// `attrName` and `attrValuePrefix`, one beside the other.
fn prefixes(call: &Call) -> Result<Vec<(String, String)>, CatalogError> {
    let names: Vec<&str> = call.all("attrName").collect();
    let prefixes: Vec<&str> = call.all("attrValuePrefix").collect();
    if names.len() != prefixes.len() {
        let message = "attrName and attrValuePrefix have to come as often as each other";
        return Err(CatalogError::invalid_parameters(message));
    }
    let pairs = names.into_iter().zip(prefixes);
    Ok(pairs
        .map(|(name, prefix)| (name.to_owned(), prefix.to_owned()))
        .collect())
}

/// `GET /catalog/v1/search/basic?query=&type=&attr=&tag=&sortBy=&sortOrder=&deleted=&limit=&offset=`,
/// `GET /catalog/v1/search/attribute?attrName=&attrValuePrefix=&type=..`
///
/// `types` is the older name of `type`, which Confluent's own clients still use.
async fn search(
    app: &App,
    call: &Call,
    prefixes: Vec<(String, String)>,
) -> Result<Reply, HttpError> {
    let owned = |text: &str| text.to_owned();
    let types = call.all("type").chain(call.all("types"));
    let types: Vec<String> = types.filter(|name| !name.is_empty()).map(owned).collect();
    let descending = match call.text("sortOrder") {
        None | Some("" | "ASCENDING") => false,
        Some("DESCENDING") => true,
        Some(other) => {
            let message = format!("sortOrder is '{other:.100}', expected ASCENDING or DESCENDING");
            return Err(CatalogError::invalid_parameters(message).into());
        }
    };
    let search = Search {
        query: call
            .text("query")
            .filter(|_| prefixes.is_empty())
            .map(owned),
        types: types.clone(),
        prefixes,
        tag: call.text("tag").map(owned),
        sort_by: call
            .text("sortBy")
            .filter(|name| !name.is_empty())
            .map(owned),
        descending,
        deleted: query_flag(call, "deleted")?,
        limit: query_number(call, "limit", LIMIT_DEFAULT)?,
        offset: query_number(call, "offset", 0)?,
    };
    let parameters = json!({
        "includeDeleted": search.deleted,
        "limit": search.limit,
        "offset": search.offset,
    });
    let asked: Vec<&str> = call.all("attr").take(ITEMS_MAX).collect();
    let found = app.catalog.search(search).await?;
    let entities = found.iter().map(|found| header_value(found, &asked));
    Reply::json(&json!({
        "searchParameters": parameters,
        "types": types,
        "entities": entities.collect::<Vec<_>>(),
        "referredEntities": {},
    }))
}

/// An entity of a search (`EntityHeader`), with the attributes that were asked for.
fn header_value(found: &Found, asked: &[&str]) -> Value {
    const ALWAYS: [&str; 7] = [
        "qualifiedName",
        "name",
        "nameLower",
        "createTime",
        "description",
        "owner",
        "ownerEmail",
    ];
    let (entity, overlay) = (&found.entity, &found.overlay);
    let names = ALWAYS.iter().chain(asked);
    let attributes: Map<String, Value> = names
        .filter_map(|name| Some(((*name).to_owned(), entity.attribute(name, Some(overlay))?)))
        .collect();
    json!({
        "typeName": entity.id.entity_type.name(),
        "attributes": attributes,
        "guid": entity.id.guid(),
        "status": status(entity),
        "displayText": entity.name,
        "classificationNames": entity.tag_names(Some(overlay)),
        "classifications": tag_values(found),
        "meaningNames": [],
        "meanings": [],
        "isIncomplete": false,
        "labels": [],
    })
}
