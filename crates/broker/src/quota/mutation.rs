//! The quota on requests that create or delete partitions (KIP-599).
//!
//! One [`MutationQuota`] goes with one request and is asked for each of its topics: a strict one refuses what is
//! over the limit (`StrictControllerMutationQuota`), a permissive one takes it and holds the client back
//! (`PermissiveControllerMutationQuota`).

use wire::ErrorCode;

use super::QuotaManager;
use super::limits::QuotaKind;
use crate::request::RequestContext;
use crate::topics::ApiError;

/// What one request may still change.
pub(crate) struct MutationQuota<'a> {
    manager: &'a QuotaManager,
    context: &'a RequestContext,
    strict: bool,
    /// The longest throttle time so far, and when it was found, in milliseconds.
    throttle_ms: u64,
    found_ms: u64,
}

impl<'a> MutationQuota<'a> {
    pub(super) fn new(
        manager: &'a QuotaManager,
        context: &'a RequestContext,
        strict: bool,
    ) -> MutationQuota<'a> {
        MutationQuota {
            manager,
            context,
            strict,
            throttle_ms: 0,
            found_ms: 0,
        }
    }

    /// Asks to create or delete so many partitions. What was granted is spent, whether or not the operation
    /// then succeeds.
    ///
    /// # Errors
    /// THROTTLING_QUOTA_EXCEEDED while earlier operations have overdrawn the quota.
    pub(crate) fn spend(&mut self, partitions: usize) -> Result<(), ApiError> {
        let amount = partitions as f64;
        let found = self
            .manager
            .with_bucket(self.context, |bucket, window, bound, now_ms| {
                if self.strict {
                    let throttle_ms = bucket.throttle_ms(window, bound, now_ms);
                    if throttle_ms == 0 {
                        bucket.spend(window, bound, amount, now_ms);
                    }
                    return (throttle_ms, now_ms);
                }
                bucket.spend(window, bound, amount, now_ms);
                (bucket.throttle_ms(window, bound, now_ms), now_ms)
            });
        let (throttle_ms, now_ms) = found.unwrap_or_default();
        if throttle_ms == 0 {
            return Ok(());
        }
        if throttle_ms > self.throttle_ms {
            (self.throttle_ms, self.found_ms) = (throttle_ms, now_ms);
        }
        if !self.strict {
            return Ok(());
        }
        Err(ApiError::new(
            ErrorCode::ThrottlingQuotaExceeded,
            "The throttling quota has been exceeded.",
        ))
    }

    /// The throttle time of the answer, in milliseconds: what is left of the longest that was found.
    pub(crate) fn throttle_time_ms(&self) -> i32 {
        if self.throttle_ms == 0 {
            return 0;
        }
        let passed_ms = self.manager.now_ms().saturating_sub(self.found_ms);
        let left_ms = self.throttle_ms.saturating_sub(passed_ms);
        self.manager
            .count_throttle(QuotaKind::ControllerMutation, left_ms)
    }
}
