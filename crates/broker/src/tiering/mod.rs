//! Tiered storage in the broker: the store that the configuration names, and the manifest in the metadata store.
//!
//! What is copied and deleted when is the storage's business ([`storage::tier`]); how objects are stored is `tier`'s. Fetches below the
//! local log start are in [`crate::fetch`].

mod manifest;
pub(crate) mod offline;

use std::sync::Arc;

use metastore::Metadata;
use storage::tier::RemoteStore;
use storage::{TierConfig, TierOptions};
use tier::{ObjectTier, OpenError, StoreOptions, StoreUrl};

use crate::config::{BrokerConfigs, BrokerSettings, RemoteStoreSettings};
use crate::tiering::manifest::StoredManifest;

/// The settings of tiered storage.
pub(crate) fn tier_config(settings: &BrokerSettings) -> TierConfig {
    let remote = &settings.remote_log;
    TierConfig {
        task_interval_ms: u64::try_from(remote.task_interval.as_millis()).unwrap_or(u64::MAX),
        retry_backoff_ms: u64::try_from(remote.retry_backoff.as_millis()).unwrap_or(u64::MAX),
        retry_backoff_max_ms: u64::try_from(remote.retry_backoff_max.as_millis())
            .unwrap_or(u64::MAX),
        retry_jitter: remote.retry_jitter,
        index_cache_ttl_ms: remote.index_cache_ttl_ms,
        fetch_bytes_per_second: remote.fetch_bytes_per_second,
        copier_threads: remote.copier_threads,
        reader_threads: remote.reader_threads,
        reader_pending_max: remote.reader_pending_max,
        reader_cache_bytes: remote.reader_cache_bytes,
        reader_ahead_bytes: remote.reader_ahead_bytes,
        index_cache_bytes: remote.index_cache_bytes,
        copy_bytes_per_second: remote.copy_bytes_per_second,
    }
}

/// The remote side of the storage; none while the configuration has it switched off.
///
/// # Errors
/// When the store cannot be used as it is configured. A store that is away is no error.
pub(crate) fn open(
    configs: &BrokerConfigs,
    settings: &BrokerSettings,
    metadata: &Metadata,
) -> Result<Option<TierOptions>, OpenError> {
    let Some(store) = RemoteStoreSettings::resolve(configs) else {
        return Ok(None);
    };
    let (opened, url) = open_store(store)?;
    tracing::info!(%url, "closed segments of tiered topics are copied to the remote store");
    let cluster_id = metadata.image().cluster_id().unwrap_or_default().to_owned();
    Ok(Some(TierOptions {
        store: opened,
        manifest: Arc::new(StoredManifest::new(Arc::clone(metadata.store()))),
        root: cluster_id,
        config: tier_config(settings),
    }))
}

fn open_store(
    settings: RemoteStoreSettings,
) -> Result<(Arc<dyn RemoteStore>, StoreUrl), OpenError> {
    let url = StoreUrl::parse(settings.url.as_deref().unwrap_or_default())?;
    let options = StoreOptions {
        endpoint: settings.endpoint,
        region: settings.region,
        access_key: settings.access_key,
        secret_key: settings.secret_key.map(|secret| secret.expose().to_owned()),
        path_style: settings.path_style,
    };
    Ok((Arc::new(ObjectTier::open(&url, &options)?), url))
}
