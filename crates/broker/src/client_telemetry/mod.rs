//! Client telemetry (KIP-714): clients ask which of their metrics are wanted, and push them.
//!
//! Words used here:
//! - a **subscription** is a `client-metrics` config resource: which metrics, how often, of which clients
//!   ([`subscription`]);
//! - an **instance** is one client, by an id that this broker gave it ([`instance`]); what it is asked for is put
//!   together from the subscriptions it matches, and has a **subscription id** that changes when that does;
//! - a **push** is metrics in OpenTelemetry's protocol ([`otlp`]); the last values of each instance are kept and
//!   exported ([`export`]).
//!
//! The order of the checks, error codes and texts are those of Kafka's `ClientMetricsManager`.
//!
//! **Invariants:** at most [`INSTANCES_MAX`] instances and the series that [`export`] allows; a push unfolds to
//! `telemetry.max.bytes` at most, and two are decoded at a time.

mod export;
mod instance;
mod otlp;
mod subscription;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{Clock, Uuid};
use bytes::Bytes;
use metastore::resource::Configs;
use tokio::sync::Semaphore;
use wire::ErrorCode;
use wire::compression::{CompressionError, decompress};
use wire::record_batch::Compression;

use crate::topics::ApiError;
pub use export::ClientMetrics;
pub(crate) use instance::ClientIdentity;
use instance::Instance;
use subscription::Subscription;
pub(crate) use subscription::parse_match;

/// Instances that are remembered (`ClientMetricsManager.CACHE_MAX_SIZE`).
const INSTANCES_MAX: usize = 16_384;
/// How often instances that were not heard of are looked for, in milliseconds.
const PURGE_INTERVAL_MS: u64 = 60_000;
/// Pushes that are decoded at a time: a hostile one unfolds to a multiple of its size in memory.
const DECODERS: usize = 2;
/// The codecs a client may push with, the preferred one first (zstd, LZ4, gzip, snappy).
pub(crate) const ACCEPTED_COMPRESSION_TYPES: [i8; 4] = [4, 3, 1, 2];

#[derive(Debug, Default)]
struct State {
    subscriptions: Vec<Subscription>,
    /// Grows when the subscriptions change.
    version: u64,
    instances: HashMap<Uuid, Instance>,
    purged_ms: u64,
}

/// What an instance is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The instance, named by the broker if the client had no name.
    pub(crate) client_instance_id: Uuid,
    /// What a push has to repeat.
    pub(crate) subscription_id: i32,
    /// How often to push, in milliseconds.
    pub(crate) push_interval_ms: i32,
    /// Prefixes of the metrics.
    pub(crate) metrics: Vec<String>,
}

/// A push, before it is checked.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) client_instance_id: Uuid,
    pub(crate) subscription_id: i32,
    pub(crate) terminating: bool,
    pub(crate) compression_type: i8,
    pub(crate) metrics: Bytes,
}

/// Subscriptions, instances and what they pushed.
#[derive(Debug)]
pub(crate) struct ClientTelemetry {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    decoders: Semaphore,
    exported: Arc<ClientMetrics>,
}

impl ClientTelemetry {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> ClientTelemetry {
        ClientTelemetry {
            exported: Arc::new(ClientMetrics::new(Arc::clone(&clock))),
            clock,
            state: Mutex::default(),
            decoders: Semaphore::new(DECODERS),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.monotonic().0.as_millis()).unwrap_or(u64::MAX)
    }

    /// What was pushed, for export.
    pub(crate) fn exported(&self) -> &Arc<ClientMetrics> {
        &self.exported
    }

    /// Puts the subscriptions in force; instances learn of it with their next request.
    pub(crate) fn update(&self, resources: &BTreeMap<String, Configs>) {
        let mut state = self.lock();
        state.subscriptions = resources.values().map(Subscription::resolve).collect();
        state.version += 1;
    }

    /// Answers what a client is asked for (`processGetTelemetrySubscriptionRequest`).
    ///
    /// # Errors
    /// THROTTLING_QUOTA_EXCEEDED when it asks again before its push interval is over.
    pub(crate) fn subscriptions(
        &self,
        client_instance_id: Uuid,
        client: &ClientIdentity,
    ) -> Result<Wanted, ApiError> {
        let now_ms = self.now_ms();
        let mut state = self.lock();
        let id = if client_instance_id.is_zero() {
            Uuid::from_random(rand::random())
        } else {
            client_instance_id
        };
        let instance = state.instance(id, client, now_ms);
        if !instance.may_get(now_ms) {
            return Err(too_early(client_instance_id));
        }
        instance.last_error = ErrorCode::None;
        Ok(Wanted {
            client_instance_id: id,
            subscription_id: instance.subscription_id,
            push_interval_ms: instance.push_interval_ms,
            metrics: instance.metrics.clone(),
        })
    }

    /// Takes a client's metrics (`processPushTelemetryRequest`).
    ///
    /// # Errors
    /// INVALID_REQUEST, THROTTLING_QUOTA_EXCEEDED, UNKNOWN_SUBSCRIPTION_ID, UNSUPPORTED_COMPRESSION_TYPE,
    /// TELEMETRY_TOO_LARGE, or INVALID_RECORD for what is no OpenTelemetry.
    ///
    /// # Cancel safety
    /// Cancel safe; a push that was checked may be exported all the same.
    pub(crate) async fn push(
        &self,
        push: Push,
        client: &ClientIdentity,
        max_bytes: usize,
    ) -> Result<(), ApiError> {
        let id = push.client_instance_id;
        if is_reserved(id) {
            return Err(ApiError::new(
                ErrorCode::InvalidRequest,
                format!("Invalid request from the client [{id}], invalid client instance id"),
            ));
        }
        let result = match self.check(&push, client, max_bytes) {
            Ok(expires_ms) => self.take(push, client, max_bytes, expires_ms).await,
            Err(error) => Err(error),
        };
        if let Some(instance) = self.lock().instances.get_mut(&id) {
            instance.last_error = result.as_ref().err().map_or(ErrorCode::None, |e| e.code);
        }
        result
    }

    /// Checks a push; returns how long its values stay when no other follows, in milliseconds.
    fn check(
        &self,
        push: &Push,
        client: &ClientIdentity,
        max_bytes: usize,
    ) -> Result<u64, ApiError> {
        let now_ms = self.now_ms();
        let mut state = self.lock();
        let instance = state.instance(push.client_instance_id, client, now_ms);
        let checked = instance.check_push(push, max_bytes, now_ms);
        instance.terminating = push.terminating;
        checked.map(|()| instance.idle_ms_max())
    }

    async fn take(
        &self,
        push: Push,
        client: &ClientIdentity,
        max_bytes: usize,
        expires_ms: u64,
    ) -> Result<(), ApiError> {
        if push.metrics.is_empty() {
            return Ok(());
        }
        // The semaphore is never closed.
        let _permit = self.decoders.acquire().await;
        let (exported, client) = (Arc::clone(&self.exported), client.clone());
        tokio::task::spawn_blocking(move || {
            let bytes = unfold(&push, max_bytes)?;
            let metrics = otlp::decode(&bytes).map_err(|error| {
                ApiError::new(
                    ErrorCode::InvalidRecord,
                    format!("Not OpenTelemetry: {error}"),
                )
            })?;
            exported.take(push.client_instance_id, &client, &metrics, expires_ms);
            Ok(())
        })
        .await
        .unwrap_or_else(|_| {
            let message = "The metrics could not be taken.";
            Err(ApiError::new(ErrorCode::UnknownServerError, message))
        })
    }

    /// Forgets the instance of a connection that was closed. What it pushed stays until it expires.
    pub(crate) fn disconnected(&self, client_instance_id: Uuid) {
        self.lock().instances.remove(&client_instance_id);
    }
}

/// Kafka's `Uuid.RESERVED`: zero and one.
fn is_reserved(id: Uuid) -> bool {
    let [rest @ .., last] = id.0;
    rest == [0; 15] && last <= 1
}

fn too_early(client_instance_id: Uuid) -> ApiError {
    ApiError::new(
        ErrorCode::ThrottlingQuotaExceeded,
        format!(
            "Request from the client [{client_instance_id}] arrived before the next push interval time"
        ),
    )
}

fn unfold(push: &Push, max_bytes: usize) -> Result<Bytes, ApiError> {
    let codec = Compression::from_id(i16::from(push.compression_type)).ok_or_else(|| {
        let message = "Unknown compression type";
        ApiError::new(ErrorCode::UnsupportedCompressionType, message)
    })?;
    decompress(codec, &push.metrics, max_bytes).map_err(|error| {
        let code = match &error {
            CompressionError::LimitExceeded { .. } => ErrorCode::TelemetryTooLarge,
            _ => ErrorCode::InvalidRecord,
        };
        ApiError::new(code, error.to_string())
    })
}

impl State {
    /// The instance, made or made anew when its subscriptions have changed.
    fn instance(&mut self, id: Uuid, client: &ClientIdentity, now_ms: u64) -> &mut Instance {
        let version = self.version;
        let is_current = self
            .instances
            .get(&id)
            .is_some_and(|known| known.version == version && !known.is_expired(now_ms));
        if !is_current {
            self.make_room(now_ms);
            let instance = Instance::new(id, client, &self.subscriptions, version);
            self.instances.insert(id, instance);
        }
        let instance = self
            .instances
            .entry(id)
            .or_insert_with(|| Instance::new(id, client, &[], version));
        instance.used_ms = now_ms;
        instance
    }

    fn make_room(&mut self, now_ms: u64) {
        let is_full = self.instances.len() >= INSTANCES_MAX;
        if !is_full && now_ms.saturating_sub(self.purged_ms) < PURGE_INTERVAL_MS {
            return;
        }
        self.purged_ms = now_ms;
        self.instances
            .retain(|_, instance| !instance.is_expired(now_ms));
        if self.instances.len() < INSTANCES_MAX {
            return;
        }
        let mut times: Vec<u64> = self.instances.values().map(|i| i.used_ms).collect();
        let middle = times.len() / 2;
        let median = *times.select_nth_unstable(middle).1;
        // The half used least recently goes; all of it, should all carry the same time.
        self.instances
            .retain(|_, instance| instance.used_ms > median);
    }
}

#[cfg(test)]
mod tests;
