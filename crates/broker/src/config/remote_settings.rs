//! Tiered storage's part of a broker's configuration (`RemoteLogManagerConfig`), resolved.

use std::time::Duration;

use base::config::ConfigValue;

use super::broker_settings::Reader;
use super::layers::BrokerConfigs;

/// The keys of tiered storage that have an effect. Each field names the key it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteLogSettings {
    /// `remote.log.index.file.cache.total.size.bytes`.
    pub index_cache_bytes: u64,
    /// `remote.log.index.file.cache.ttl.ms`; -1 for ever.
    pub index_cache_ttl_ms: i64,
    /// `remote.log.manager.task.interval.ms`.
    pub task_interval: Duration,
    /// `remote.log.manager.task.retry.backoff.ms`.
    pub retry_backoff: Duration,
    /// `remote.log.manager.task.retry.backoff.max.ms`.
    pub retry_backoff_max: Duration,
    /// `remote.log.manager.task.retry.jitter`.
    pub retry_jitter: f64,
    /// `remote.log.manager.fetch.max.bytes.per.second`.
    pub fetch_bytes_per_second: u64,
    /// `remote.log.manager.copier.thread.pool.size`.
    pub copier_threads: usize,
    /// `remote.log.manager.copy.max.bytes.per.second`.
    pub copy_bytes_per_second: u64,
    /// `remote.log.reader.threads`.
    pub reader_threads: usize,
    /// `remote.log.reader.max.pending.tasks`.
    pub reader_pending_max: usize,
    /// `remote.log.reader.cache.bytes`.
    pub reader_cache_bytes: u64,
    /// `remote.log.reader.ahead.bytes`.
    pub reader_ahead_bytes: u64,
    /// `remote.fetch.max.wait.ms`.
    pub fetch_max_wait: Duration,
    /// `remote.list.offsets.request.timeout.ms`.
    pub list_offsets_timeout: Duration,
}

impl RemoteLogSettings {
    pub(super) fn resolve(configs: &BrokerConfigs) -> RemoteLogSettings {
        let read = Reader(configs);
        RemoteLogSettings {
            index_cache_bytes: read.count("remote.log.index.file.cache.total.size.bytes") as u64,
            index_cache_ttl_ms: read.long("remote.log.index.file.cache.ttl.ms"),
            task_interval: read.ms("remote.log.manager.task.interval.ms"),
            retry_backoff: read.ms("remote.log.manager.task.retry.backoff.ms"),
            retry_backoff_max: read.ms("remote.log.manager.task.retry.backoff.max.ms"),
            retry_jitter: read.double("remote.log.manager.task.retry.jitter"),
            fetch_bytes_per_second: read.count("remote.log.manager.fetch.max.bytes.per.second")
                as u64,
            copier_threads: read.count("remote.log.manager.copier.thread.pool.size"),
            copy_bytes_per_second: read.count("remote.log.manager.copy.max.bytes.per.second")
                as u64,
            reader_threads: read.count("remote.log.reader.threads"),
            reader_pending_max: read.count("remote.log.reader.max.pending.tasks"),
            reader_cache_bytes: read.count("remote.log.reader.cache.bytes") as u64,
            reader_ahead_bytes: read.count("remote.log.reader.ahead.bytes") as u64,
            fetch_max_wait: read.ms("remote.fetch.max.wait.ms"),
            list_offsets_timeout: read.ms("remote.list.offsets.request.timeout.ms"),
        }
    }
}

/// Where the remote store is, as the broker starts with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemoteStoreSettings {
    /// `remote.log.storage.url`.
    pub url: Option<String>,
    /// `remote.log.storage.endpoint`.
    pub endpoint: Option<String>,
    /// `remote.log.storage.region`.
    pub region: Option<String>,
    /// `remote.log.storage.access.key`.
    pub access_key: Option<String>,
    /// `remote.log.storage.secret.key`.
    pub secret_key: Option<base::config::Secret>,
    /// `remote.log.storage.path.style.access`.
    pub path_style: bool,
}

impl RemoteStoreSettings {
    /// The store's settings; none while `remote.log.storage.system.enable` is off.
    #[must_use]
    pub fn resolve(configs: &BrokerConfigs) -> Option<RemoteStoreSettings> {
        if !configs.boolean("remote.log.storage.system.enable") {
            return None;
        }
        let secret_key = match configs.value("remote.log.storage.secret.key") {
            Some(ConfigValue::Password(secret)) => Some(secret),
            _ => None,
        };
        Some(RemoteStoreSettings {
            url: configs.text("remote.log.storage.url"),
            endpoint: configs.text("remote.log.storage.endpoint"),
            region: configs.text("remote.log.storage.region"),
            access_key: configs.text("remote.log.storage.access.key"),
            secret_key,
            path_style: configs.boolean("remote.log.storage.path.style.access"),
        })
    }
}
