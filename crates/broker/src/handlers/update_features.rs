//! UpdateFeatures (key 57, KIP-584): changes the finalized levels of features, all or none.

use std::sync::Arc;

use security::{CLUSTER_NAME, Operation, ResourceType};
use wire::ErrorCode;
use wire::messages::update_features_response::UpdatableFeatureResult;
use wire::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};

use crate::controller::{blocking, store_failed};
use crate::features::{FeatureUpdate, UpgradeType, updated};
use crate::request::RequestContext;
use crate::server::Server;
use crate::topics::ApiError;

/// Answers one error for all features; success names each of them up to version 1.
pub(crate) async fn handle(
    server: Arc<Server>,
    context: RequestContext,
    request: UpdateFeaturesRequest,
) -> UpdateFeaturesResponse {
    let named: Vec<String> = request
        .feature_updates
        .iter()
        .map(|update| update.feature.clone())
        .collect();
    if let Err(error) = update(&server, &context, request).await {
        return UpdateFeaturesResponse {
            error_code: error.code.code(),
            error_message: Some(error.message),
            ..UpdateFeaturesResponse::default()
        };
    }
    let results = if context.api_version < 2 {
        named
            .into_iter()
            .map(|feature| UpdatableFeatureResult {
                feature,
                error_code: 0,
                error_message: None,
            })
            .collect()
    } else {
        Vec::new()
    };
    UpdateFeaturesResponse {
        error_message: None,
        results,
        ..UpdateFeaturesResponse::default()
    }
}

async fn update(
    server: &Arc<Server>,
    context: &RequestContext,
    request: UpdateFeaturesRequest,
) -> Result<(), ApiError> {
    if !server.allows(
        context,
        Operation::Alter,
        ResourceType::Cluster,
        CLUSTER_NAME,
    ) {
        let code = ErrorCode::ClusterAuthorizationFailed;
        return Err(ApiError::new(code, "Cluster authorization failed."));
    }
    let version = context.api_version;
    let updates: Vec<FeatureUpdate> = request
        .feature_updates
        .into_iter()
        .map(|update| FeatureUpdate {
            name: update.feature,
            level: update.max_version_level,
            upgrade_type: match (version, update.allow_downgrade) {
                (0, true) => UpgradeType::SafeDowngrade,
                (0, false) => UpgradeType::Upgrade,
                _ => UpgradeType::from_code(update.upgrade_type),
            },
        })
        .collect();
    let _changing = server.changing.lock().await;
    let image = server.metadata().image();
    let before = &image.features().levels;
    let after = updated(before, &updates, server.node_id().0)?;
    if request.validate_only || after == *before {
        return Ok(());
    }
    let owned = Arc::clone(server);
    blocking(move || {
        let levels = |features: &metastore::resource::FeaturesResource| {
            metastore::resource::FeaturesResource {
                levels: after.clone(),
                ..features.clone()
            }
        };
        let stored = owned.metadata().update_features(levels);
        stored.map(drop).map_err(|error| store_failed(&error))
    })
    .await?;
    tracing::info!(levels = ?server.metadata().image().features().levels, "finalized features");
    Ok(())
}
