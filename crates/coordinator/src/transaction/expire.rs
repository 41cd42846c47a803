//! What time does: transactions past their timeout are aborted, transactional ids that nobody uses are removed, requests
//! that wait for a slow log are answered.
//! Source: `TransactionCoordinator.abortTimedOutTransactions`,
//! `TransactionStateManager.removeExpiredTransactionalIds`.

use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;

use super::TransactionCoordinator;
use super::metadata::{ClientVersion, TransactionState};

/// The most tombstones of one append: keeps such batches far below `max.message.bytes`.
const TOMBSTONES_PER_APPEND: usize = 1_000;

impl TransactionCoordinator {
    /// When [`TransactionCoordinator::run_due`] has something to do; `None` without transactional ids.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        if self.transactions.is_empty() {
            return None;
        }
        let sweep = self.timeouts_due.min(self.expiration_due);
        let retry = self.retries.first().map(|(at, _)| *at);
        let reply = self.reply_due.first().map(|(until, _)| *until);
        [retry, reply].into_iter().flatten().chain([sweep]).min()
    }

    pub(super) fn run_due(&mut self) {
        let now = self.clock.monotonic();
        self.answer_overdue(now);
        while self.retries.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, id)) = self.retries.pop_first() {
                self.complete(&id);
            }
        }
        if now >= self.timeouts_due {
            self.timeouts_due = now.after(self.config.abort_timed_out_interval);
            self.abort_timed_out();
        }
        if now >= self.expiration_due {
            self.expiration_due = now.after(self.config.remove_expired_interval);
            self.remove_expired();
        }
    }

    /// Aborts under the next epoch, so that the producer is fenced.
    fn abort_timed_out(&mut self) {
        let now_ms = self.clock.now_ms();
        let mut timed_out = Vec::new();
        for (id, transaction) in &self.transactions {
            let metadata = &transaction.metadata;
            let deadline_ms = metadata
                .started_ms
                .saturating_add(i64::from(metadata.timeout_ms));
            let is_open =
                transaction.pending.is_none() && metadata.state == TransactionState::Ongoing;
            if is_open && deadline_ms < now_ms {
                let aborted = metadata.prepared(false, ClientVersion::V2, None, now_ms);
                timed_out.push((Arc::clone(id), aborted));
            }
        }
        for (id, aborted) in timed_out {
            tracing::info!(
                transactional_id = &*id,
                producer_id = aborted.producer_id,
                timeout_ms = aborted.timeout_ms,
                "aborting a transaction that took too long"
            );
            self.append(&id, aborted, None);
        }
    }

    fn remove_expired(&mut self) {
        let now_ms = self.clock.now_ms();
        let expiration_ms = milliseconds(self.config.id_expiration);
        let expired: Vec<Arc<str>> = self
            .transactions
            .iter()
            .filter(|(_, transaction)| {
                let metadata = &transaction.metadata;
                transaction.pending.is_none()
                    && !metadata.state.is_preparing()
                    && metadata.state != TransactionState::Ongoing
                    && now_ms.saturating_sub(metadata.updated_ms) >= expiration_ms
            })
            .map(|(id, _)| Arc::clone(id))
            .collect();
        for ids in expired.chunks(TOMBSTONES_PER_APPEND) {
            let tombstones = ids.iter().map(|id| (Arc::clone(id), None)).collect();
            self.append_all(tombstones, None);
        }
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
