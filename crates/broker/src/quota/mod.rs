//! Client quotas: who is limited to what, what was used, and how long to hold a client back.
//!
//! Words used here, in the order of the files:
//! - a **limit** is what was set for an entity, such as 1 MB/s for a user ([`limits`]);
//! - its **scope** is whoever shares it; a **sensor** measures what the scope used ([`sensors`], [`rate`]);
//! - the **throttle time** is how long until the scope is within its limit again. The client is told it in its
//!   answer, which goes out at once, and its connection is **muted** for that long ([`mute`], KIP-219);
//! - new **connections** have limits of their own ([`connections`], KIP-612).
//!
//! Semantics are those of Apache Kafka 4.3's `ClientQuotaManager`, `ClientRequestQuotaManager`,
//! `ControllerMutationQuotaManager` and `ConnectionQuotas`: precedence, formulas, bounds. Limits live in the
//! metadata store; [`QuotaManager::update`] puts a change in force at once.
//!
//! **Invariant:** while no limit of a kind is set, its check is one atomic load and allocates nothing.
//!
//! Differs: a connection takes up the next requests while earlier ones wait for the disk. Bytes of a produce
//! are therefore counted when it is taken up, so that its connection is muted before more of them come.

mod connections;
mod limits;
mod mutation;
mod mute;
mod rate;
mod request_time;
mod sensors;
mod throttled;
mod validate;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use base::Clock;
use metastore::quota::{QuotaEntity, QuotaValues};
use metrics::{Counter, Histogram};

use crate::config::BrokerSettings;
use crate::request::RequestContext;
use connections::{ConnectionLimits, ConnectionRates};
use limits::{Limits, QuotaKind};
use rate::{QuotaWindow, Rate, TokenBucket};
use sensors::Sensors;

pub(crate) use mutation::MutationQuota;
pub(crate) use mute::Mute;
pub(crate) use request_time::timed;
pub(crate) use throttled::Throttled;
pub(crate) use validate::{EntityPart, QuotaOp, entity_of, validated_change};

/// The longest a client is told to wait, in milliseconds: what the answer's field holds.
const THROTTLE_MS_MAX: u64 = i32::MAX as u64;

/// What is counted of one kind.
struct KindMetrics {
    throttled: Counter,
    seconds: Histogram,
}

impl KindMetrics {
    fn register(kind: &'static str) -> KindMetrics {
        KindMetrics {
            throttled: metrics::counter!("affluent_throttled_requests_total", "quota" => kind),
            seconds: metrics::histogram!("affluent_throttle_duration_seconds", "quota" => kind),
        }
    }
}

/// Limits, sensors, and the clock they are measured by.
pub(crate) struct QuotaManager {
    clock: Arc<dyn Clock>,
    window: QuotaWindow,
    mutation_window: QuotaWindow,
    /// Which kinds have a limit set, by [`QuotaKind::bit`].
    kinds_set: AtomicU8,
    limits: RwLock<Arc<Limits>>,
    rates: [Mutex<Sensors<Rate>>; 3],
    buckets: Mutex<Sensors<TokenBucket>>,
    connections: ConnectionRates,
    metrics: [KindMetrics; 4],
}

impl std::fmt::Debug for QuotaManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuotaManager").finish_non_exhaustive()
    }
}

impl QuotaManager {
    /// A manager without limits, with the windows that the broker's configs name.
    pub(crate) fn new(clock: Arc<dyn Clock>, settings: &BrokerSettings) -> QuotaManager {
        metrics::describe_counter!(
            "affluent_throttled_requests_total",
            "Answers whose client was held back, by quota"
        );
        metrics::describe_histogram!(
            "affluent_throttle_duration_seconds",
            metrics::Unit::Seconds,
            "For how long clients were held back, by quota"
        );
        let window = QuotaWindow {
            samples: settings.quota_window_num,
            sample_ms: milliseconds(settings.quota_window_size),
        };
        QuotaManager {
            clock,
            window,
            mutation_window: QuotaWindow {
                samples: settings.controller_quota_window_num,
                sample_ms: milliseconds(settings.controller_quota_window_size),
            },
            kinds_set: AtomicU8::new(0),
            limits: RwLock::default(),
            rates: Default::default(),
            buckets: Mutex::default(),
            connections: ConnectionRates::new(window),
            metrics: ["produce", "fetch", "request", "controller-mutation"]
                .map(KindMetrics::register),
        }
    }

    /// Puts limits in force. What was used so far counts against the new ones.
    pub(crate) fn update(&self, quotas: &BTreeMap<QuotaEntity, QuotaValues>) {
        let limits = Limits::new(quotas);
        let kinds = limits.kinds_set();
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limits);
        self.kinds_set.store(kinds, Ordering::Release);
    }

    fn limits(&self) -> Arc<Limits> {
        Arc::clone(&self.limits.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn is_set(&self, kind: QuotaKind) -> bool {
        self.kinds_set.load(Ordering::Acquire) & kind.bit() != 0
    }

    fn now_ms(&self) -> u64 {
        milliseconds(self.clock.monotonic().0)
    }

    /// Whether the time of request handlers has to be taken.
    pub(crate) fn limits_request_time(&self) -> bool {
        self.is_set(QuotaKind::Request)
    }

    /// Counts the bytes of a produce request. Returns the throttle time in milliseconds, 0 for none.
    pub(crate) fn produced(&self, context: &RequestContext, bytes: usize) -> i32 {
        self.record(QuotaKind::Produce, context, bytes as f64, THROTTLE_MS_MAX)
    }

    /// Counts the time that the handler of a request took. Returns the throttle time in milliseconds, which is
    /// at most one sample of the window.
    pub(crate) fn handled(&self, context: &RequestContext, busy: Duration) -> i32 {
        let percent = busy.as_secs_f64() * 100.0;
        self.record(QuotaKind::Request, context, percent, self.window.sample_ms)
    }

    /// Counts a fetch: its handler's time, and the bytes of its response, which are taken back when the client
    /// is throttled for either, since it is then sent an empty one. Returns the throttle time in milliseconds.
    pub(crate) fn fetched(&self, context: &RequestContext, bytes: usize, busy: Duration) -> i32 {
        let request_ms = if self.limits_request_time() {
            self.handled(context, busy)
        } else {
            0
        };
        let fetch_ms = self.record(QuotaKind::Fetch, context, bytes as f64, THROTTLE_MS_MAX);
        if request_ms.max(fetch_ms) > 0 {
            self.take_back(QuotaKind::Fetch, context, bytes as f64);
        }
        request_ms.max(fetch_ms)
    }

    /// Counts the bytes of a ShareFetch response, which goes out in any case: its records are acquired. Returns the
    /// throttle time in milliseconds.
    pub(crate) fn share_fetched(&self, context: &RequestContext, bytes: usize) -> i32 {
        self.record(QuotaKind::Fetch, context, bytes as f64, THROTTLE_MS_MAX)
    }

    /// Whether fetches are limited in bytes or time.
    pub(crate) fn limits_fetch(&self) -> bool {
        self.is_set(QuotaKind::Fetch) || self.limits_request_time()
    }

    /// The most bytes one fetch response may have: more would be throttled whatever was fetched before.
    pub(crate) fn fetch_bytes_max(&self, context: &RequestContext) -> usize {
        if !self.is_set(QuotaKind::Fetch) {
            return usize::MAX;
        }
        let (user, client_id) = names(context);
        match self.limits().find(QuotaKind::Fetch, user, client_id) {
            // Truncated as Kafka does; a negative limit lets nothing pass.
            Some((_, limit)) => self.window.burst_max(limit).max(0.0) as usize,
            None => usize::MAX,
        }
    }

    /// The quota on a request that creates or deletes partitions. From version `strict_from` on, a request
    /// over the limit is refused; an older one is taken and its client held back (KIP-599).
    pub(crate) fn mutations<'a>(
        &'a self,
        context: &'a RequestContext,
        strict_from: i16,
    ) -> MutationQuota<'a> {
        MutationQuota::new(self, context, context.api_version >= strict_from)
    }

    /// Counts a connection of a listener. Returns how long to wait before it is served.
    pub(crate) fn accepted(
        &self,
        listener: &str,
        broker_rate: u32,
        listener_rate: u32,
    ) -> Duration {
        let limits = ConnectionLimits {
            broker: f64::from(broker_rate),
            listener: f64::from(listener_rate),
        };
        self.connections.accepted(listener, limits, self.now_ms())
    }

    /// Counts a connection of an address. Returns after how long it is to be closed; none when it is served.
    pub(crate) fn connected_from(&self, listener: &str, address: IpAddr) -> Option<Duration> {
        let limit = self.limits().connections_from(address)?;
        let now_ms = self.now_ms();
        self.connections
            .taken_from(listener, address, limit, now_ms)
    }

    fn sensors(&self, kind: QuotaKind) -> Option<MutexGuard<'_, Sensors<Rate>>> {
        let sensors = self.rates.get(kind as usize)?;
        Some(sensors.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, kind: QuotaKind, context: &RequestContext, amount: f64, limit_ms: u64) -> i32 {
        if !self.is_set(kind) {
            return 0;
        }
        let (user, client_id) = names(context);
        let limits = self.limits();
        let Some((scope, bound)) = limits.find(kind, user, client_id) else {
            return 0;
        };
        let now_ms = self.now_ms();
        let Some(mut sensors) = self.sensors(kind) else {
            return 0;
        };
        let throttle_ms = sensors.with(scope, now_ms, Rate::default, |rate| {
            rate.record(self.window, amount, now_ms);
            rate.throttle_ms(self.window, bound, limit_ms, now_ms)
        });
        drop(sensors);
        self.count_throttle(kind, throttle_ms)
    }

    fn take_back(&self, kind: QuotaKind, context: &RequestContext, amount: f64) {
        let (user, client_id) = names(context);
        let limits = self.limits();
        let Some((scope, _)) = limits.find(kind, user, client_id) else {
            return;
        };
        let now_ms = self.now_ms();
        if let Some(mut sensors) = self.sensors(kind) {
            sensors.with(scope, now_ms, Rate::default, |rate| {
                rate.record(self.window, -amount, now_ms);
            });
        }
    }

    /// Does something with the token bucket of a client, when it has a limit.
    fn with_bucket<R>(
        &self,
        context: &RequestContext,
        work: impl FnOnce(&mut TokenBucket, QuotaWindow, f64, u64) -> R,
    ) -> Option<R> {
        if !self.is_set(QuotaKind::ControllerMutation) {
            return None;
        }
        let (user, client_id) = names(context);
        let limits = self.limits();
        let (scope, bound) = limits.find(QuotaKind::ControllerMutation, user, client_id)?;
        let (window, now_ms) = (self.mutation_window, self.now_ms());
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = || TokenBucket::full(window, bound, now_ms);
        Some(buckets.with(scope, now_ms, full, |bucket| {
            work(bucket, window, bound, now_ms)
        }))
    }

    fn count_throttle(&self, kind: QuotaKind, throttle_ms: u64) -> i32 {
        if throttle_ms > 0
            && let Some(metrics) = self.metrics.get(kind as usize)
        {
            metrics.throttled.increment(1);
            metrics
                .seconds
                .record(Duration::from_millis(throttle_ms).as_secs_f64());
        }
        i32::try_from(throttle_ms).unwrap_or(i32::MAX)
    }
}

/// By whom a request is limited: the user's name alone, as Kafka's quotas know no principal type.
fn names(context: &RequestContext) -> (&str, &str) {
    (&context.connection.principal.name, &context.client_id)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
