//! The limits and periods of a transaction coordinator.

use std::time::Duration;

/// What Kafka's `TransactionStateManagerConfig` says. Defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionConfig {
    /// `transaction.max.timeout.ms`: InitProducerId with more gets INVALID_TRANSACTION_TIMEOUT.
    pub max_timeout: Duration,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`: how often open transactions are looked
    /// through for those past their timeout.
    pub abort_timed_out_interval: Duration,
    /// `transactional.id.expiration.ms`: how long a transactional id without a transaction is remembered.
    pub id_expiration: Duration,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`: how often expired ids are removed.
    pub remove_expired_interval: Duration,
    /// The epoch of this coordinator, which its markers carry: the leader epoch of its partition.
    pub coordinator_epoch: i32,
}

impl Default for TransactionConfig {
    fn default() -> TransactionConfig {
        TransactionConfig {
            max_timeout: Duration::from_secs(15 * 60),
            abort_timed_out_interval: Duration::from_secs(10),
            id_expiration: Duration::from_secs(7 * 24 * 60 * 60),
            remove_expired_interval: Duration::from_secs(60 * 60),
            coordinator_epoch: 0,
        }
    }
}
