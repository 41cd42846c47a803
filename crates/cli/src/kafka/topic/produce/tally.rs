//! What became of the records: counted where librdkafka reports it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use client::data::{ClientContext, DataError, DeliveryResult, ProducerContext};

use crate::failure::{Failure, Outcome};
use crate::numbers;

/// Counts of delivered and lost records.
#[derive(Debug, Default)]
pub(super) struct Tally {
    delivered: AtomicU64,
    bytes: AtomicU64,
    lost: AtomicU64,
    first_loss: Mutex<Option<String>>,
}

impl Tally {
    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Bytes of the delivered keys and values.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// An error when a record was lost.
    pub(super) fn outcome(&self) -> Outcome {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost == 0 {
            return Ok(());
        }
        let first = self
            .first_loss
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let reason = first.as_deref().unwrap_or("no reason was given");
        let lost = numbers::counted(lost, "record");
        let delivered = numbers::counted(self.delivered(), "record");
        Err(Failure::new(format!(
            "{lost} could not be delivered ({delivered} could); the first: {reason}"
        )))
    }

    fn count(&self, bytes: usize) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn lose(&self, error: &DataError) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        let mut first = self
            .first_loss
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| error.to_string());
    }
}

/// The producer's callbacks.
#[derive(Debug, Clone)]
pub(super) struct Shared(pub(super) Arc<Tally>);

impl ClientContext for Shared {
    /// A broker that is away is met by waiting; what comes of it shows in the deliveries.
    fn error(&self, _error: DataError, _reason: &str) {}
}

impl ProducerContext for Shared {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        match result {
            Ok(message) => self.0.count(message.key_len() + message.payload_len()),
            Err((error, _)) => self.0.lose(error),
        }
    }
}
