//! Idempotent producers that go on through every fault and write down what became of each record.
//!
//! Two of them, on purpose: [`raw`] speaks the protocol itself, keeps its producer id over every restart and
//! sends again exactly what was not answered; [`librdkafka`] is what a user runs, with its own ideas of retries.

pub mod librdkafka;
pub mod raw;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What the experiment and its clients share.
#[derive(Clone, Debug, Default)]
pub struct Signals {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
}

impl Signals {
    /// Tells every client to send nothing new and to finish what it began.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Whether the clients were told to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// How many records were acknowledged so far, over all producers.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    pub(crate) fn add_acknowledged(&self, records: u64) {
        self.acknowledged.fetch_add(records, Ordering::SeqCst);
    }
}
