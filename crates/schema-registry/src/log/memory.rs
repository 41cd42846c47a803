//! A log that is a list: for tests of what stands on a log.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::error::RegistryError;
use crate::service::Log;
use crate::state::{Record, State};

/// A record's key and value, encoded.
pub type Encoded = (Vec<u8>, Option<Vec<u8>>);

/// The encoded records, and the state that they make.
#[derive(Debug, Default)]
pub struct MemoryLog {
    state: Arc<RwLock<State>>,
    records: Mutex<Vec<Encoded>>,
}

impl MemoryLog {
    /// A log that applies what it is given to `state`.
    #[must_use]
    pub fn new(state: Arc<RwLock<State>>) -> Self {
        Self {
            state,
            records: Mutex::default(),
        }
    }

    /// All records so far, as key and value.
    #[must_use]
    pub fn records(&self) -> Vec<Encoded> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.clone()
    }
}

impl Log for MemoryLog {
    fn ready(&self) -> BoxFuture<'_, Result<(), RegistryError>> {
        std::future::ready(Ok(())).boxed()
    }

    fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Result<(), RegistryError>> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut kept = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            let (key, value) = (record.key.encode(), record.encode_value());
            let applied = state.apply_raw(&key, value.as_deref(), 1);
            debug_assert!(applied.is_ok(), "a record that we wrote can be read");
            kept.push((key, value));
        }
        std::future::ready(Ok(())).boxed()
    }
}
