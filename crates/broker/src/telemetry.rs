//! What the broker counts. Names are `affluent_<area>_<what>_<unit>[_total]`; labels are bounded: an API has
//! one of Kafka's names, and a topic's own label goes when the topic goes.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use wire::{API_SPECS, ApiKey};

/// Counters of one API.
struct ApiMetrics {
    requests: Counter,
    bytes: Counter,
    seconds: Histogram,
}

/// Counters per API, looked up once.
pub(crate) struct RequestMetrics {
    by_key: Vec<Option<ApiMetrics>>,
    connections: Gauge,
}

impl std::fmt::Debug for RequestMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestMetrics").finish_non_exhaustive()
    }
}

impl RequestMetrics {
    /// Registers the counters with the recorder that is installed now.
    pub(crate) fn register() -> RequestMetrics {
        metrics::describe_counter!(
            "affluent_requests_total",
            "Requests taken up, by API; a request that is not answered counts too"
        );
        metrics::describe_counter!(
            "affluent_request_bytes_total",
            metrics::Unit::Bytes,
            "Bytes of requests taken up, by API"
        );
        metrics::describe_histogram!(
            "affluent_request_duration_seconds",
            metrics::Unit::Seconds,
            "From the request's last byte to its answer, by API; waiting is part of it"
        );
        metrics::describe_gauge!("affluent_connections", "Open connections");
        let mut by_key = Vec::new();
        for spec in &API_SPECS {
            let at = usize::try_from(spec.key as i16).unwrap_or_default();
            by_key.resize_with(at + 1, || None);
            by_key[at] = Some(ApiMetrics {
                requests: metrics::counter!("affluent_requests_total", "api" => spec.name),
                bytes: metrics::counter!("affluent_request_bytes_total", "api" => spec.name),
                seconds: metrics::histogram!("affluent_request_duration_seconds", "api" => spec.name),
            });
        }
        RequestMetrics {
            by_key,
            connections: metrics::gauge!("affluent_connections"),
        }
    }

    fn of(&self, key: ApiKey) -> Option<&ApiMetrics> {
        self.by_key.get(usize::try_from(key as i16).ok()?)?.as_ref()
    }

    /// A request was read.
    pub(crate) fn received(&self, key: ApiKey, bytes: usize) {
        if let Some(api) = self.of(key) {
            api.requests.increment(1);
            api.bytes.increment(bytes as u64);
        }
    }

    /// A request has its answer.
    pub(crate) fn answered(&self, key: ApiKey, took: Duration) {
        if let Some(api) = self.of(key) {
            api.seconds.record(took.as_secs_f64());
        }
    }

    /// A connection was opened.
    pub(crate) fn connected(&self) {
        self.connections.increment(1.0);
    }

    /// A connection was closed.
    pub(crate) fn disconnected(&self) {
        self.connections.decrement(1.0);
    }
}
