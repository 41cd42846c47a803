//! One client (`ClientMetricsInstance`): what it is asked for, and when it was last heard of.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::PoisonError;

use base::Uuid;
use wire::ErrorCode;
use wire::record_batch::Compression;

use super::subscription::Subscription;
use super::{Push, too_early};
use crate::request::RequestContext;
use crate::topics::ApiError;

/// How often a client that no subscription matches asks again, in milliseconds
/// (`ClientMetricsConfigs.INTERVAL_MS_DEFAULT`).
pub(super) const DEFAULT_INTERVAL_MS: i32 = 300_000;
/// The least time an instance is remembered, in milliseconds.
const IDLE_MS_MIN: u64 = 60_000;
/// Every metric.
const ALL_METRICS: &str = "*";

/// What a subscription can match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ClientIdentity {
    pub(crate) client_id: String,
    pub(crate) software_name: String,
    pub(crate) software_version: String,
    pub(crate) source_address: String,
    pub(crate) source_port: String,
}

impl ClientIdentity {
    /// The client of a request. One that did not say what software it is counts as `unknown`, as in Kafka.
    pub(crate) fn of(context: &RequestContext) -> ClientIdentity {
        let unknown = || ("unknown".to_owned(), "unknown".to_owned());
        let connection = &context.connection;
        let software = connection.software.read();
        let software = software.unwrap_or_else(PoisonError::into_inner);
        let (software_name, software_version) = software.clone().unwrap_or_else(unknown);
        ClientIdentity {
            client_id: context.client_id.clone(),
            software_name,
            software_version,
            source_address: connection.peer.ip().to_string(),
            source_port: connection.peer.port().to_string(),
        }
    }
}

/// A client.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) subscription_id: i32,
    pub(super) push_interval_ms: i32,
    pub(super) metrics: Vec<String>,
    /// The version of the subscriptions it was made from.
    pub(super) version: u64,
    pub(super) terminating: bool,
    pub(super) last_error: ErrorCode,
    pub(super) used_ms: u64,
    last_get_ms: Option<u64>,
    last_push_ms: Option<u64>,
}

impl Instance {
    /// Puts together what the matching subscriptions want: all their metrics, at the shortest interval.
    pub(super) fn new(
        id: Uuid,
        client: &ClientIdentity,
        subscriptions: &[Subscription],
        version: u64,
    ) -> Instance {
        let id_text = id.to_string();
        let mut metrics: BTreeSet<&str> = BTreeSet::new();
        let mut push_interval_ms = DEFAULT_INTERVAL_MS;
        for subscription in subscriptions {
            if subscription.matches(&id_text, client) {
                metrics.extend(subscription.metrics.iter().map(String::as_str));
                push_interval_ms = push_interval_ms.min(subscription.interval_ms);
            }
        }
        if metrics.contains(ALL_METRICS) {
            metrics = BTreeSet::from([ALL_METRICS]);
        }
        Instance {
            subscription_id: subscription_id(id, &metrics, push_interval_ms),
            push_interval_ms,
            metrics: metrics.into_iter().map(str::to_owned).collect(),
            version,
            terminating: false,
            last_error: ErrorCode::None,
            used_ms: 0,
            last_get_ms: None,
            last_push_ms: None,
        }
    }

    fn interval_ms(&self) -> u64 {
        u64::try_from(self.push_interval_ms).unwrap_or(0)
    }

    /// How long it is remembered without being heard of, in milliseconds.
    pub(super) fn idle_ms_max(&self) -> u64 {
        IDLE_MS_MIN.max(self.interval_ms().saturating_mul(3))
    }

    /// Whether it was not heard of for too long.
    pub(super) fn is_expired(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.used_ms) > self.idle_ms_max()
    }

    fn is_due(&self, last_ms: Option<u64>, now_ms: u64) -> bool {
        last_ms.is_none_or(|last_ms| now_ms.saturating_sub(last_ms) >= self.interval_ms())
    }

    /// Whether it may ask what is wanted: once an interval, or after an error that tells it to ask.
    pub(super) fn may_get(&mut self, now_ms: u64) -> bool {
        if self.is_due(self.last_get_ms.max(self.last_push_ms), now_ms) {
            self.last_get_ms = Some(now_ms);
            return true;
        }
        matches!(
            self.last_error,
            ErrorCode::UnknownSubscriptionId | ErrorCode::UnsupportedCompressionType
        )
    }

    /// Whether it may push: right after it asked, since clients spread their first push, or once an interval.
    fn may_push(&mut self, now_ms: u64) -> bool {
        let may = self.last_get_ms > self.last_push_ms || self.is_due(self.last_push_ms, now_ms);
        if may {
            self.last_push_ms = Some(now_ms);
        }
        may
    }

    /// Checks a push in Kafka's order.
    pub(super) fn check_push(
        &mut self,
        push: &Push,
        max_bytes: usize,
        now_ms: u64,
    ) -> Result<(), ApiError> {
        let id = push.client_instance_id;
        let refuse = |code: ErrorCode, message: String| Err(ApiError::new(code, message));
        if self.terminating {
            return refuse(
                ErrorCode::InvalidRequest,
                format!(
                    "Client [{id}] sent the previous request with state terminating to TRUE, can not \
                     accept any requests after that"
                ),
            );
        }
        if !self.may_push(now_ms) && !push.terminating {
            return Err(too_early(id));
        }
        if push.subscription_id != self.subscription_id {
            return refuse(
                ErrorCode::UnknownSubscriptionId,
                format!("Unknown client subscription id for the client [{id}]"),
            );
        }
        if Compression::from_id(i16::from(push.compression_type)).is_none() {
            return refuse(
                ErrorCode::UnsupportedCompressionType,
                format!(
                    "Unknown compression type [{}] is received in telemetry request from [{id}]",
                    push.compression_type
                ),
            );
        }
        if push.metrics.len() > max_bytes {
            return refuse(
                ErrorCode::TelemetryTooLarge,
                format!(
                    "Telemetry request from [{id}] is larger than the maximum allowed size [{max_bytes}]"
                ),
            );
        }
        Ok(())
    }
}

/// A number that differs when the instance or what it is asked for does. The same subscriptions give it again
/// after a restart, so clients need not ask anew.
fn subscription_id(id: Uuid, metrics: &BTreeSet<&str>, push_interval_ms: i32) -> i32 {
    let mut hasher = DefaultHasher::new();
    (id.0, metrics, push_interval_ms).hash(&mut hasher);
    let hash = hasher.finish();
    let [_, _, _, _, low @ ..] = hash.to_be_bytes();
    i32::from_be_bytes(low)
}
