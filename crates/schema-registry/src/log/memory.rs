//! A log that is a list: for tests of what stands on a log.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::replay::{Encoded, Replay};
use crate::error::RegistryError;
use crate::service::Log;
use crate::state::State;

/// The encoded records, and the state that they make.
#[derive(Debug, Default)]
pub struct MemoryLog<S = State> {
    state: Arc<RwLock<S>>,
    records: Mutex<Vec<Encoded>>,
}

impl<S: Replay> MemoryLog<S> {
    /// A log that applies what it is given to `state`.
    #[must_use]
    pub fn new(state: Arc<RwLock<S>>) -> Self {
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

impl<S: Replay> Log<S::Record> for MemoryLog<S> {
    fn ready(&self) -> BoxFuture<'_, Result<(), RegistryError>> {
        std::future::ready(Ok(())).boxed()
    }

    fn append(&self, records: Vec<S::Record>) -> BoxFuture<'_, Result<(), RegistryError>> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let mut kept = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            for (key, value) in state.encode(&record) {
                let offset = state.offset().saturating_add(1);
                let applied = state.replay(offset, &key, value.as_deref(), 1);
                debug_assert!(applied.is_ok(), "a record that we wrote can be read");
                kept.push((key, value));
            }
        }
        std::future::ready(Ok(())).boxed()
    }
}
