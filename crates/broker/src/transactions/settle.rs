//! Requests that come while the last transaction of their transactional id is ending.
//!
//! EndTxn is answered when the outcome is durable; the markers and the record that says "complete" follow within
//! milliseconds, and until then the coordinator answers CONCURRENT_TRANSACTIONS. A producer that goes on at once meets
//! that window, and its client then pauses: librdkafka for 20 ms before AddPartitionsToTxn, Java's for
//! `retry.backoff.ms`, 100 ms. So the broker asks again on the client's behalf as soon as the coordinator says that the
//! transaction has ended, and answers CONCURRENT_TRANSACTIONS only when that takes longer than
//! `add.partitions.to.txn.retry.backoff.max.ms`, as when a partition cannot take its marker.
//!
//! Source: `AddPartitionsToTxnManager`, which does so for Produce and TxnOffsetCommit of transaction version 2.
//!
//! Differs: Kafka sleeps for `add.partitions.to.txn.retry.backoff.ms` before each further attempt; here that is the
//! longest such wait. And Kafka asks again for transaction version 2 only. A classic AddPartitionsToTxn or
//! AddOffsetsToTxn, and InitProducerId, are answered here with what the client's own retry would get.

use std::sync::Arc;

use crate::server::Server;

/// Asks the transaction coordinator with `ask`, and again while `is_concurrent` of the answer, for as long as the settings
/// allow.
///
/// # Cancel safety
/// As that of `ask`, which has been called any number of times.
pub(crate) async fn ask_until_settled<T, F>(
    server: &Arc<Server>,
    transactional_id: &str,
    ask: impl Fn() -> F,
    is_concurrent: impl Fn(&T) -> bool,
) -> T
where
    F: Future<Output = T>,
{
    let settings = server.settings();
    let patience = settings
        .transactions
        .retry_backoff_max
        .min(settings.request_timeout);
    let give_up = tokio::time::Instant::now() + patience;
    loop {
        let answer = ask().await;
        let next = tokio::time::Instant::now() + settings.transactions.retry_backoff;
        if !is_concurrent(&answer) || next > give_up {
            return answer;
        }
        let id = transactional_id.to_owned();
        let settled = server
            .transactions()
            .request(transactional_id, move |machine, token| {
                machine.await_settled(token, &id)
            });
        // Ended or not, and whether or not the coordinator is still there: the next attempt shows.
        drop(tokio::time::timeout_at(next, settled).await);
    }
}
