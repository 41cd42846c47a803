//! `/contexts`

use super::{App, Call, HttpError, Reply, forward};
use crate::subject;

/// `GET /contexts?contextPrefix=&offset=&limit=`
pub(super) fn list(app: &App, call: &Call) -> Result<Reply, HttpError> {
    let page = call.page(app.registry.config().context_limits)?;
    let prefix = call.text("contextPrefix").unwrap_or_default();
    let contexts = app.registry.contexts().into_iter();
    Reply::json(&page.cut(contexts.filter(|context| context.starts_with(prefix))))
}

/// `DELETE /contexts/{context}`
pub(super) async fn delete(app: &App, call: &Call, context: &str) -> Result<Reply, HttpError> {
    let context = subject::context_name(context).ok_or_else(HttpError::context_with_colon)?;
    if let Some(reply) = forward::to_leader(app, call, "Delete context").await? {
        return Ok(reply);
    }
    app.registry.delete_context(context).await?;
    Ok(Reply::nothing())
}
