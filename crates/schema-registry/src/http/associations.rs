//! `/associations`: which subjects resources use.

use axum::http::StatusCode;
use serde::{Deserialize, Serialize};

use super::entities::{RegisterSchemaRequest, SchemaEntity};
use super::{App, Call, HttpError, Reply, forward};
use crate::error::RegistryError;
use crate::service::associations::{
    Made, Order, Removal, Resource, TOPIC, Wanted, association_type,
};
use crate::service::lookup::VersionId;
use crate::state::associations::Lifecycle;
use crate::state::{Association, AssociationFilter};
use crate::subject::{self, DEFAULT_CONTEXT};

/// The most resources of a batch.
const BATCH_MAX: usize = 1_000;

/// `AssociationCreateOrUpdateRequest`, and `AssociationOpRequest` with operations in place of what is to be.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceRequest {
    resource_name: Option<String>,
    resource_namespace: Option<String>,
    resource_id: Option<String>,
    resource_type: Option<String>,
    associations: Option<Vec<AssociationRequest>>,
}

/// `AssociationCreateOrUpdateInfo` and `AssociationOp`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AssociationRequest {
    op_type: Option<OpType>,
    subject: Option<String>,
    association_type: Option<String>,
    lifecycle: Option<Lifecycle>,
    frozen: Option<bool>,
    schema: Option<RegisterSchemaRequest>,
    normalize: Option<bool>,
    cascade_lifecycle: Option<bool>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum OpType {
    Create,
    Upsert,
    Delete,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BatchRequest {
    requests: Option<Vec<ResourceRequest>>,
}

/// `AssociationGetRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GetRequest {
    resource_name: Option<String>,
    resource_namespace: Option<String>,
    resource_id: Option<String>,
    resource_type: Option<String>,
    association_types: Option<Vec<String>>,
    lifecycle: Option<Lifecycle>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct BatchGetRequest {
    requests: Option<Vec<GetRequest>>,
}

/// An association of a list (`Association`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AssociationEntity<'a> {
    subject: &'a str,
    guid: &'a str,
    resource_name: &'a str,
    resource_namespace: &'a str,
    resource_id: &'a str,
    resource_type: &'a str,
    association_type: &'a str,
    lifecycle: Lifecycle,
    frozen: bool,
    create_ts: i64,
    update_ts: i64,
}

impl<'a> AssociationEntity<'a> {
    pub(super) fn of(association: &'a Association) -> Self {
        let value = &association.value;
        Self {
            subject: &value.subject,
            guid: &value.guid,
            resource_name: &value.resource_name,
            resource_namespace: &value.resource_namespace,
            resource_id: &value.resource_id,
            resource_type: &value.resource_type,
            association_type: &value.association_type,
            lifecycle: value.lifecycle,
            frozen: value.frozen,
            create_ts: association.created_ms,
            update_ts: association.updated_ms,
        }
    }
}

/// What became of a resource (`AssociationResponse`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceAnswer<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    resource_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    resource_namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    resource_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    resource_type: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    associations: &'a [serde_json::Value],
}

/// One association of an answer (`AssociationInfo`).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AssociationAnswer<'a> {
    subject: &'a str,
    association_type: &'a str,
    lifecycle: Lifecycle,
    frozen: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<SchemaEntity<'a>>,
}

fn shown(association: &AssociationAnswer<'_>) -> Result<serde_json::Value, HttpError> {
    serde_json::to_value(association).map_err(|error| {
        HttpError::Registry(RegistryError::Store {
            message: format!("the answer cannot be written: {error}"),
        })
    })
}

/// What the answer is about.
fn answer(resource: &Resource, associations: &[serde_json::Value]) -> Result<Reply, HttpError> {
    Reply::json(&ResourceAnswer {
        resource_name: &resource.name,
        resource_namespace: &resource.namespace,
        resource_id: &resource.id,
        resource_type: &resource.resource_type,
        associations,
    })
}

fn made(all: &[Made]) -> Result<Vec<serde_json::Value>, HttpError> {
    let entities = all.iter().map(|made| {
        shown(&AssociationAnswer {
            subject: &made.value.subject,
            association_type: &made.value.association_type,
            lifecycle: made.value.lifecycle,
            frozen: made.value.frozen,
            schema: made.schema.as_ref().map(SchemaEntity::of),
        })
    });
    entities.collect()
}

/// A body that is JSON and not what it should be has a property that cannot be.
fn invalid(error: HttpError) -> HttpError {
    match error {
        HttpError::Http(status, message, _) if status == StatusCode::UNPROCESSABLE_ENTITY => {
            RegistryError::InvalidAssociation {
                property: "request".to_owned(),
                reason: message,
            }
            .into()
        }
        error => error,
    }
}

/// The context of subjects that name none: the query's, or that before the path.
fn context(call: &Call) -> Result<String, HttpError> {
    match call.text("context").filter(|context| !context.is_empty()) {
        Some(context) => subject::context_name(context).ok_or_else(HttpError::context_with_colon),
        None => Ok(call.context().unwrap_or(DEFAULT_CONTEXT).to_owned()),
    }
}

impl AssociationRequest {
    fn into_wanted(self) -> Result<Wanted, RegistryError> {
        let normalize = self.normalize.unwrap_or(false);
        let schema = match self.schema {
            Some(schema) => Some(schema.into_parts(normalize)?),
            None => None,
        };
        Ok(Wanted {
            subject: self.subject,
            association_type: self.association_type,
            lifecycle: self.lifecycle,
            frozen: self.frozen,
            schema,
        })
    }
}

impl ResourceRequest {
    fn resource(&self) -> Resource {
        Resource {
            name: self.resource_name.clone().unwrap_or_default(),
            namespace: self.resource_namespace.clone().unwrap_or_default(),
            id: self.resource_id.clone().unwrap_or_default(),
            resource_type: self.resource_type.clone().unwrap_or_default(),
        }
    }
}

/// `POST /associations?context=&dryRun=`
pub(super) async fn create(app: &App, call: &Call) -> Result<Reply, HttpError> {
    let request: ResourceRequest = call.json().map_err(invalid)?;
    put_in_place(app, call, request, true).await
}

/// `PUT /associations/resources/{resourceId}?context=&dryRun=`
pub(super) async fn upsert(app: &App, call: &Call, id: &str) -> Result<Reply, HttpError> {
    let mut request: ResourceRequest = call.json().map_err(invalid)?;
    match &request.resource_id {
        None => request.resource_id = Some(id.to_owned()),
        Some(said) if said == id => {}
        Some(_) => {
            return Err(RegistryError::InvalidAssociation {
                property: "resourceId".to_owned(),
                reason: "Resource ID in the path parameter does not match the resource ID in the request body"
                    .to_owned(),
            }
            .into());
        }
    }
    put_in_place(app, call, request, false).await
}

async fn put_in_place(
    app: &App,
    call: &Call,
    request: ResourceRequest,
    create_only: bool,
) -> Result<Reply, HttpError> {
    let resource = request.resource();
    let wanted = request.associations.unwrap_or_default().into_iter();
    let wanted: Result<Vec<Wanted>, _> = wanted.map(AssociationRequest::into_wanted).collect();
    let mut order = Order {
        resource,
        associations: wanted?,
        context: context(call)?,
        create_only,
        dry_run: call.flag("dryRun"),
    };
    order.validate()?;
    if let Some(reply) = forward::to_leader(app, call, "Create association").await? {
        return Ok(reply);
    }
    let resource = order.resource.clone();
    let done = app.registry.associate(order).await?;
    answer(&resource, &made(&done)?)
}

/// `DELETE /associations/resources/{resourceId}?resourceType=&associationType=&cascadeLifecycle=&dryRun=`
pub(super) async fn delete(app: &App, call: &Call, id: &str) -> Result<Reply, HttpError> {
    if let Some(reply) = forward::to_leader(app, call, "Delete association").await? {
        return Ok(reply);
    }
    let removal = Removal {
        resource_id: id.to_owned(),
        resource_type: resource_type(call),
        association_types: call.all("associationType").map(str::to_owned).collect(),
        cascade: call.flag("cascadeLifecycle"),
        dry_run: call.flag("dryRun"),
    };
    app.registry.dissociate(removal).await?;
    Ok(Reply::nothing())
}

fn resource_type(call: &Call) -> String {
    let asked = call.text("resourceType").filter(|name| !name.is_empty());
    asked.unwrap_or(TOPIC).to_owned()
}

/// A name of a query that is none is answered as Jersey does: there is no such resource.
pub(super) fn lifecycle(call: &Call) -> Result<Option<Lifecycle>, HttpError> {
    match call.text("lifecycle").filter(|name| !name.is_empty()) {
        None => Ok(None),
        Some(name) => Lifecycle::of(name)
            .map(Some)
            .ok_or_else(HttpError::not_found),
    }
}

fn filter(call: &Call) -> Result<AssociationFilter, HttpError> {
    Ok(AssociationFilter {
        resource_type: Some(resource_type(call)),
        association_types: call.all("associationType").map(str::to_owned).collect(),
        lifecycle: lifecycle(call)?,
    })
}

/// `GET /associations/subjects/{subject}`
pub(super) fn of_subject(app: &App, call: &Call, subject: &str) -> Result<Reply, HttpError> {
    let subject = call.subject(subject);
    let filter = filter(call)?;
    let found = app
        .registry
        .state()
        .associations()
        .of_subject(&subject, &filter);
    listed(app, call, &found)
}

/// `GET /associations/resources/{resourceId}`
pub(super) fn of_resource(app: &App, call: &Call, id: &str) -> Result<Reply, HttpError> {
    let filter = filter(call)?;
    let found = app.registry.state().associations().of_resource(id, &filter);
    listed(app, call, &found)
}

/// `GET /associations/resources/{resourceNamespace}/{resourceName}`
pub(super) fn of_name(
    app: &App,
    call: &Call,
    namespace: &str,
    name: &str,
) -> Result<Reply, HttpError> {
    let filter = filter(call)?;
    let found = app
        .registry
        .state()
        .associations()
        .of_name(namespace, name, &filter);
    listed(app, call, &found)
}

fn listed(
    app: &App,
    call: &Call,
    found: &[std::sync::Arc<Association>],
) -> Result<Reply, HttpError> {
    let page = call.page(app.registry.config().schema_limits)?;
    Reply::json(&page.cut(found.iter().map(|found| AssociationEntity::of(found))))
}

#[derive(Debug, Serialize)]
struct ErrorEntity {
    error_code: u32,
    message: String,
}

/// `AssociationResult`
#[derive(Debug, Serialize)]
struct BatchResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorEntity>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<serde_json::Value>,
}

fn batch<T>(requests: Option<Vec<T>>) -> Result<Vec<T>, HttpError> {
    let refuse = |reason: &str| {
        HttpError::from(RegistryError::InvalidAssociation {
            property: "requests".to_owned(),
            reason: reason.to_owned(),
        })
    };
    match requests {
        Some(requests) if requests.len() > BATCH_MAX => {
            Err(refuse(&format!("are more than {BATCH_MAX}")))
        }
        Some(requests) if !requests.is_empty() => Ok(requests),
        _ => Err(refuse("cannot be null or empty")),
    }
}

fn batched(results: Vec<Result<serde_json::Value, RegistryError>>) -> Result<Reply, HttpError> {
    let results: Vec<BatchResult> = results
        .into_iter()
        .map(|result| match result {
            Ok(result) => BatchResult {
                error: None,
                result: Some(result),
            },
            Err(error) => BatchResult {
                error: Some(ErrorEntity {
                    error_code: error.code(),
                    message: error.to_string(),
                }),
                result: None,
            },
        })
        .collect();
    let reply = Reply::json(&serde_json::json!({ "results": results }))?;
    Ok(reply.with_status(StatusCode::MULTI_STATUS))
}

/// `POST /associations:batch?context=&dryRun=`: operations on resources, each resource for itself.
pub(super) async fn mutate(app: &App, call: &Call) -> Result<Reply, HttpError> {
    let request: BatchRequest = call.json().map_err(invalid)?;
    let requests = batch(request.requests)?;
    if let Some(reply) = forward::to_leader(app, call, "Create associations").await? {
        return Ok(reply);
    }
    let context = context(call)?;
    let mut results = Vec::with_capacity(requests.len());
    for request in requests {
        results.push(mutate_one(app, call, &context, request).await);
    }
    batched(results)
}

async fn mutate_one(
    app: &App,
    call: &Call,
    context: &str,
    mut request: ResourceRequest,
) -> Result<serde_json::Value, RegistryError> {
    let mut resource = request.resource();
    let dry_run = call.flag("dryRun");
    let operations = request.associations.take().unwrap_or_default();
    if operations.is_empty() {
        return Err(RegistryError::InvalidAssociation {
            property: "associations".to_owned(),
            reason: "cannot be null or empty".to_owned(),
        });
    }
    let mut schemas = Vec::new();
    for operation in operations {
        let create_only = match operation.op_type {
            Some(OpType::Create) => true,
            Some(OpType::Upsert) => false,
            Some(OpType::Delete) => {
                delete_one(app, &resource, &operation, dry_run).await?;
                continue;
            }
            None => {
                return Err(RegistryError::InvalidAssociation {
                    property: "opType".to_owned(),
                    reason: "must be CREATE, UPSERT or DELETE".to_owned(),
                });
            }
        };
        let mut order = Order {
            resource: resource.clone(),
            associations: vec![operation.into_wanted()?],
            context: context.to_owned(),
            create_only,
            dry_run,
        };
        order.validate()?;
        resource = order.resource.clone();
        schemas.extend(app.registry.associate(order).await?);
    }
    if resource.resource_type.is_empty() {
        TOPIC.clone_into(&mut resource.resource_type);
    }
    let filter = AssociationFilter {
        resource_type: Some(resource.resource_type.clone()),
        ..AssociationFilter::default()
    };
    let found = match dry_run {
        true => Vec::new(),
        false => {
            let state = app.registry.state();
            state.associations().of_resource(&resource.id, &filter)
        }
    };
    let all: Vec<Made> = found
        .into_iter()
        .map(|association| Made {
            schema: schemas
                .iter()
                .find(|made| made.value.association_type == association.value.association_type)
                .and_then(|made| made.schema.clone()),
            value: association.value.clone(),
        })
        .collect();
    entity(&resource, &all)
}

async fn delete_one(
    app: &App,
    resource: &Resource,
    operation: &AssociationRequest,
    dry_run: bool,
) -> Result<(), RegistryError> {
    let removal = Removal {
        resource_id: resource.id.clone(),
        resource_type: Some(resource.resource_type.clone())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| TOPIC.to_owned()),
        association_types: vec![association_type(operation.association_type.as_deref())?],
        cascade: operation.cascade_lifecycle.unwrap_or(false),
        dry_run,
    };
    match app.registry.dissociate(removal).await {
        // In a batch, what is not there is deleted.
        Err(RegistryError::AssociationNotFound { .. }) => Ok(()),
        done => done,
    }
}

/// A resource with associations as JSON.
fn entity(resource: &Resource, all: &[Made]) -> Result<serde_json::Value, RegistryError> {
    let cannot = |error: String| RegistryError::Store {
        message: format!("the answer cannot be written: {error}"),
    };
    let associations = made(all).map_err(|error| cannot(format!("{error:?}")))?;
    serde_json::to_value(ResourceAnswer {
        resource_name: &resource.name,
        resource_namespace: &resource.namespace,
        resource_id: &resource.id,
        resource_type: &resource.resource_type,
        associations: &associations,
    })
    .map_err(|error| cannot(error.to_string()))
}

/// `POST /associations:batchGet?includeSchemas=`
pub(super) fn get_batch(app: &App, call: &Call) -> Result<Reply, HttpError> {
    let request: BatchGetRequest = call.json().map_err(invalid)?;
    let requests = batch(request.requests)?;
    let with_schemas = call.flag("includeSchemas");
    let results = requests
        .into_iter()
        .map(|request| get_one(app, request, with_schemas));
    batched(results.collect())
}

fn get_one(
    app: &App,
    request: GetRequest,
    with_schemas: bool,
) -> Result<serde_json::Value, RegistryError> {
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let resource_type = given(request.resource_type).unwrap_or_else(|| TOPIC.to_owned());
    let filter = AssociationFilter {
        resource_type: Some(resource_type.clone()),
        association_types: request.association_types.unwrap_or_default(),
        lifecycle: request.lifecycle,
    };
    let (id, name) = (given(request.resource_id), given(request.resource_name));
    let namespace = given(request.resource_namespace);
    let found = {
        let state = app.registry.state();
        let associations = state.associations();
        match (&id, &name) {
            (Some(id), _) => associations.of_resource(id, &filter),
            (None, Some(name)) => {
                associations.of_name(namespace.as_deref().unwrap_or("-"), name, &filter)
            }
            (None, None) => {
                return Err(RegistryError::InvalidAssociation {
                    property: "resourceId".to_owned(),
                    reason: "cannot be null or empty when there is no resourceName".to_owned(),
                });
            }
        }
    };
    let first = found.first().map(|found| &found.value);
    let resource = Resource {
        name: name
            .or_else(|| Some(first?.resource_name.clone()))
            .unwrap_or_default(),
        namespace: namespace
            .or_else(|| Some(first?.resource_namespace.clone()))
            .unwrap_or_default(),
        id: id
            .or_else(|| Some(first?.resource_id.clone()))
            .unwrap_or_default(),
        resource_type,
    };
    let all: Vec<Made> = found
        .iter()
        .map(|association| Made {
            schema: with_schemas
                .then(|| {
                    let subject = &association.value.subject;
                    app.registry.version(subject, VersionId::Latest, false)
                })
                .flatten(),
            value: association.value.clone(),
        })
        .collect();
    entity(&resource, &all)
}
