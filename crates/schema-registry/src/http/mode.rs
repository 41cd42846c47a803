//! `/mode` and `/mode/{subject}`

use serde::Deserialize;

use super::entities::ModeEntity;
use super::{App, Call, HttpError, Reply, forward};
use crate::error::RegistryError;
use crate::service::check_settings_of;
use crate::state::Mode;

#[derive(Deserialize)]
struct ModeUpdateRequest {
    mode: Option<String>,
}

fn entity(mode: Option<Mode>) -> ModeEntity {
    ModeEntity {
        mode: mode.map(Mode::name),
    }
}

/// `GET`, with `?defaultToGlobal=true` what holds where nothing is set.
pub(super) fn get(app: &App, call: &Call, of: Option<String>) -> Result<Reply, HttpError> {
    let own = {
        let state = app.registry.state();
        let override_of_all = state
            .mode_of(None)
            .filter(|mode| *mode == Mode::ReadOnlyOverride);
        override_of_all.or_else(|| state.mode_of(of.as_deref()))
    };
    let mode = match (own, of) {
        (Some(mode), _) => mode,
        (None, Some(subject)) if !call.flag("defaultToGlobal") => {
            return Err(RegistryError::ModeNotConfigured { subject }.into());
        }
        (None, of) => app.registry.mode_in_scope(of.as_deref()),
    };
    Reply::json(&entity(Some(mode)))
}

/// `PUT`, with `?force=true` also where subjects are in the way.
pub(super) async fn put(app: &App, call: &Call, of: Option<String>) -> Result<Reply, HttpError> {
    let request: ModeUpdateRequest = call.json()?;
    check_settings_of(of.as_deref())?;
    let mode = match request.mode.as_deref() {
        None => None,
        Some(name) => Some(Mode::of(name).ok_or(RegistryError::InvalidMode)?),
    };
    if let Some(reply) = forward::to_leader(app, call, "Update mode").await? {
        return Ok(reply);
    }
    app.registry.set_mode(of, mode, call.flag("force")).await?;
    Reply::json(&entity(mode))
}

/// `DELETE`, with `?recursive=true` also what is set below.
pub(super) async fn delete(app: &App, call: &Call, of: Option<String>) -> Result<Reply, HttpError> {
    if let Some(reply) = forward::to_leader(app, call, "Delete mode").await? {
        return Ok(reply);
    }
    let old = app.registry.delete_mode(of, call.flag("recursive")).await?;
    Reply::json(&entity(old))
}
