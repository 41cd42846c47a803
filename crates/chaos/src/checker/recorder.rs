//! The one list that all clients of an experiment write to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::events::{Event, History};

/// Numbers events as they come. Clones write to the same list.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    events: Arc<Mutex<Vec<Event>>>,
}

impl Recorder {
    /// Writes an event down.
    pub fn record(&self, event: Event) {
        self.locked().push(event);
    }

    /// How many events there are now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.locked().len()
    }

    /// Takes the history out; what is recorded later begins another one.
    #[must_use]
    pub fn take(&self) -> History {
        History {
            events: std::mem::take(&mut *self.locked()),
        }
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Event>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
