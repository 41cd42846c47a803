//! `/exporters`: what is mirrored to other registries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, Call, HttpError, Reply, forward};
use crate::error::RegistryError;
use crate::exporter::destination::{HIDDEN, is_secret};
use crate::service::exporters::ExporterChange;
use crate::state::exporters::ExporterValue;

/// `ExporterReference` and `ExporterUpdateRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ExporterRequest {
    name: Option<String>,
    context_type: Option<String>,
    context: Option<String>,
    subjects: Option<Vec<String>>,
    subject_rename_format: Option<String>,
    kek_rename_format: Option<String>,
    config: Option<BTreeMap<String, String>>,
}

/// The settings, alone or under the name `config`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ConfigRequest {
    Named { config: BTreeMap<String, String> },
    Alone(BTreeMap<String, String>),
}

/// `ExporterReference`; secrets are not shown.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ExporterEntity<'a> {
    name: &'a str,
    context_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a str>,
    subjects: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_rename_format: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kek_rename_format: Option<&'a str>,
    config: BTreeMap<&'a str, &'a str>,
}

fn shown(config: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    config
        .iter()
        .map(|(name, value)| (name.as_str(), if is_secret(name) { HIDDEN } else { value }))
        .collect()
}

impl<'a> ExporterEntity<'a> {
    fn of(value: &'a ExporterValue) -> Self {
        Self {
            name: &value.name,
            context_type: value.context_type.name(),
            // Requests name contexts without their dot.
            context: value
                .context
                .as_deref()
                .map(|context| context.strip_prefix('.').unwrap_or(context)),
            subjects: &value.subjects,
            subject_rename_format: value.subject_rename_format.as_deref(),
            kek_rename_format: value.kek_rename_format.as_deref(),
            config: shown(&value.config),
        }
    }
}

impl From<ExporterRequest> for ExporterChange {
    fn from(request: ExporterRequest) -> Self {
        Self {
            context_type: request.context_type,
            context: request.context,
            subjects: request.subjects,
            subject_rename_format: request.subject_rename_format,
            kek_rename_format: request.kek_rename_format,
            config: request.config,
        }
    }
}

fn named(name: &str) -> Result<Reply, HttpError> {
    Reply::json(&json!({ "name": name }))
}

/// JSON that is not what it should be is an invalid config.
fn invalid(error: HttpError) -> HttpError {
    match error {
        HttpError::Http(status, reason, _) if status.as_u16() == 422 => {
            RegistryError::InvalidExporterConfig { reason }.into()
        }
        error => error,
    }
}

/// `GET /exporters`
pub(super) fn list(app: &App) -> Result<Reply, HttpError> {
    Reply::json(&app.registry.exporter_names())
}

/// `POST /exporters`
pub(super) async fn create(app: &App, call: &Call) -> Result<Reply, HttpError> {
    let mut request: ExporterRequest = call.json().map_err(invalid)?;
    if let Some(reply) = forward::to_leader(app, call, "Create exporter").await? {
        return Ok(reply);
    }
    let name = request.name.take().unwrap_or_default();
    app.registry
        .create_exporter(name.clone(), request.into())
        .await?;
    named(&name)
}

/// `GET /exporters/{name}`
pub(super) fn get(app: &App, name: &str) -> Result<Reply, HttpError> {
    let exporter = app.registry.exporter(name)?;
    Reply::json(&ExporterEntity::of(&exporter.value))
}

/// `PUT /exporters/{name}`
pub(super) async fn update(app: &App, call: &Call, name: &str) -> Result<Reply, HttpError> {
    let request: ExporterRequest = call.json().map_err(invalid)?;
    change(app, call, name, request.into()).await
}

async fn change(
    app: &App,
    call: &Call,
    name: &str,
    change: ExporterChange,
) -> Result<Reply, HttpError> {
    if let Some(reply) = forward::to_leader(app, call, "Update exporter").await? {
        return Ok(reply);
    }
    app.registry
        .update_exporter(name.to_owned(), change)
        .await?;
    named(name)
}

/// `DELETE /exporters/{name}`
pub(super) async fn delete(app: &App, call: &Call, name: &str) -> Result<Reply, HttpError> {
    if let Some(reply) = forward::to_leader(app, call, "Delete exporter").await? {
        return Ok(reply);
    }
    app.registry.delete_exporter(name.to_owned()).await?;
    Ok(Reply::nothing())
}

/// `GET /exporters/{name}/config`
pub(super) fn get_config(app: &App, name: &str) -> Result<Reply, HttpError> {
    let exporter = app.registry.exporter(name)?;
    Reply::json(&shown(&exporter.value.config))
}

/// `PUT /exporters/{name}/config`
pub(super) async fn put_config(app: &App, call: &Call, name: &str) -> Result<Reply, HttpError> {
    let request: ConfigRequest = call.json().map_err(invalid)?;
    let config = match request {
        ConfigRequest::Named { config } | ConfigRequest::Alone(config) => config,
    };
    let with_config = ExporterChange {
        config: Some(config),
        ..ExporterChange::default()
    };
    change(app, call, name, with_config).await
}

/// `GET /exporters/{name}/status`
pub(super) fn status(app: &App, name: &str) -> Result<Reply, HttpError> {
    let status = app.registry.exporter_status(name)?;
    let progress = status.progress.unwrap_or_default();
    Reply::json(&json!({
        "name": name,
        "state": status.state.name(),
        "offset": progress.offset.max(0),
        "ts": progress.ts,
        "trace": progress.trace,
    }))
}

/// `PUT /exporters/{name}/pause`
pub(super) async fn pause(app: &App, call: &Call, name: &str) -> Result<Reply, HttpError> {
    if let Some(reply) = forward::to_leader(app, call, "Pause exporter").await? {
        return Ok(reply);
    }
    app.registry.pause_exporter(name.to_owned()).await?;
    named(name)
}

/// `PUT /exporters/{name}/resume`
pub(super) async fn resume(app: &App, call: &Call, name: &str) -> Result<Reply, HttpError> {
    if let Some(reply) = forward::to_leader(app, call, "Resume exporter").await? {
        return Ok(reply);
    }
    app.registry.resume_exporter(name.to_owned()).await?;
    named(name)
}

/// `PUT /exporters/{name}/reset`
pub(super) async fn reset(app: &App, call: &Call, name: &str) -> Result<Reply, HttpError> {
    if let Some(reply) = forward::to_leader(app, call, "Reset exporter").await? {
        return Ok(reply);
    }
    app.registry.reset_exporter(name.to_owned()).await?;
    named(name)
}
