//! `/config` and `/config/{subject}`

use schema::CompatibilityLevel;
use serde::Serialize;

use super::entities::ConfigUpdateRequest;
use super::{App, Call, HttpError, Reply, forward};
use crate::error::RegistryError;
use crate::service::config::ConfigChange;
use crate::state::Config;

/// `GET`, with `?defaultToGlobal=true` what holds where nothing is set.
pub(super) fn get(app: &App, call: &Call, of: Option<String>) -> Result<Reply, HttpError> {
    let own = app.registry.state().config_of(of.as_deref()).cloned();
    let config = match (own, of) {
        (Some(config), Some(_)) if !call.flag("defaultToGlobal") => config,
        (None, Some(subject)) if !call.flag("defaultToGlobal") => {
            return Err(RegistryError::ConfigNotConfigured { subject }.into());
        }
        (_, of) => app.registry.config_in_scope(of.as_deref()),
    };
    Reply::json(&config)
}

/// `PUT`: the answer is what is set then, in the words of a request.
pub(super) async fn put(app: &App, call: &Call, of: Option<String>) -> Result<Reply, HttpError> {
    let request: ConfigUpdateRequest = call.json().map_err(invalid)?;
    let change = ConfigChange::try_from(request)?;
    if let Some(reply) = forward::to_leader(app, call, "Update config").await? {
        return Ok(reply);
    }
    let config = app.registry.update_config(of, change).await?;
    Reply::json(&ConfigAnswer {
        compatibility: config.compatibility_level,
        rest: Config {
            compatibility_level: None,
            ..config
        },
    })
}

#[derive(Serialize)]
struct ConfigAnswer {
    #[serde(skip_serializing_if = "Option::is_none")]
    compatibility: Option<CompatibilityLevel>,
    #[serde(flatten)]
    rest: Config,
}

/// `DELETE`: the answer is what was set.
pub(super) async fn delete(app: &App, call: &Call, of: Option<String>) -> Result<Reply, HttpError> {
    if let Some(reply) = forward::to_leader(app, call, "Delete config").await? {
        return Ok(reply);
    }
    let old: Config = app.registry.delete_config(of).await?;
    Reply::json(&old)
}

/// What is in a config and cannot be read is a rule or metadata.
fn invalid(error: HttpError) -> HttpError {
    super::versions::invalid(error)
}
