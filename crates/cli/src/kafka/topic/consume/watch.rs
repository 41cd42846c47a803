//! What librdkafka tells a consumer beside records: rebalances, and brokers that are away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use client::data::{BaseConsumer, ClientContext, Consumer, ConsumerContext, DataError};
use client::data::{RDKafkaErrorCode, Rebalance};

use crate::failure::{Failure, Outcome, note};

/// How long the brokers may be away before the user hears of it.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a broker may take to say that it is there after all.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// The consumer's callbacks.
#[derive(Debug, Default)]
pub(super) struct Watch {
    assigned: AtomicBool,
    rebalanced: AtomicBool,
    brokers: Mutex<Brokers>,
}

#[derive(Debug, Default)]
enum Brokers {
    #[default]
    Up,
    DownSince(Instant),
    Reported,
}

impl Watch {
    /// The partitions were given by hand.
    pub(super) fn assigned(&self) {
        self.assigned.store(true, Ordering::Relaxed);
    }

    /// Whether the partitions are known, be it none of them.
    pub(super) fn is_assigned(&self) -> bool {
        self.assigned.load(Ordering::Relaxed)
    }

    /// Whether the assignment changed since the last call.
    pub(super) fn take_rebalanced(&self) -> bool {
        self.rebalanced.swap(false, Ordering::Relaxed)
    }

    /// A broker answered.
    pub(super) fn is_up(&self) {
        let mut brokers = self.brokers.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*brokers, Brokers::Reported) {
            note("The connection is back.");
        }
        *brokers = Brokers::Up;
    }

    fn is_down(&self) {
        let mut brokers = self.brokers.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*brokers, Brokers::Up) {
            *brokers = Brokers::DownSince(Instant::now());
        }
    }

    /// Tells the user when the brokers have been away for a while. librdkafka calls a host with two
    /// addresses down when only the first is, so a broker is asked before anything is said.
    pub(super) fn check_brokers(&self, consumer: &BaseConsumer<Watch>, topic: &str) {
        let since = match &*self.brokers.lock().unwrap_or_else(PoisonError::into_inner) {
            Brokers::DownSince(since) => *since,
            Brokers::Up | Brokers::Reported => return,
        };
        if since.elapsed() < PATIENCE {
            return;
        }
        if consumer.fetch_metadata(Some(topic), PROBE_LIMIT).is_ok() {
            self.is_up();
            return;
        }
        note("No broker answers; waiting for one to come back. Use Ctrl-C to exit.");
        *self.brokers.lock().unwrap_or_else(PoisonError::into_inner) = Brokers::Reported;
    }

    /// Tells errors that pass from those that end the command.
    pub(super) fn judge(&self, error: DataError, topic: &str) -> Outcome {
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut,
            ) => {
                self.is_down();
                Ok(())
            }
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => Err(Failure::new(format!(
                "topic '{topic}' does not exist any more"
            ))),
            Some(RDKafkaErrorCode::AutoOffsetReset) => Err(Failure::new(format!(
                "topic '{topic}' has no record at that offset"
            ))
            .remedy("`affluent kafka topic describe` shows the offsets there are")),
            _ => Err(error.into()),
        }
    }
}

impl ClientContext for Watch {
    fn error(&self, error: DataError, _reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.is_down();
        }
    }
}

impl ConsumerContext for Watch {
    fn post_rebalance(&self, _consumer: &BaseConsumer<Watch>, rebalance: &Rebalance<'_>) {
        self.rebalanced.store(true, Ordering::Relaxed);
        let assigned = matches!(rebalance, Rebalance::Assign(_));
        self.assigned.store(assigned, Ordering::Relaxed);
    }
}
