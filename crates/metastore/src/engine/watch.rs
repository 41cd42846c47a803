//! The history of changes, and the watches that read it.
//!
//! The last changes are kept once, for all watches; each watch only knows how far it has read. A watch that
//! falls behind the kept history is told so, and neither it nor the store holds more memory for it.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::MetaStoreError;
use crate::store::{Event, EventKind, Revision, Watch};

/// The most changes that are kept.
const HISTORY_EVENTS: usize = 65_536;
/// The most bytes of keys and values that are kept.
const HISTORY_BYTES: usize = 16 * 1024 * 1024;

/// Expires due leases and says how long until the next one is.
pub(super) type Settle = Box<dyn Fn() -> Result<Duration, MetaStoreError> + Send>;

#[derive(Debug)]
pub(super) struct History {
    kept: Mutex<Kept>,
    grown: Condvar,
}

#[derive(Debug)]
struct Kept {
    events: VecDeque<Event>,
    bytes: usize,
    /// The first revision all of whose changes are kept.
    oldest: Revision,
    newest: Revision,
}

fn size(event: &Event) -> usize {
    match &event.kind {
        EventKind::Put(kv) => event.key.len() + kv.key.len() + kv.value.len(),
        EventKind::Delete => event.key.len(),
    }
}

impl History {
    /// A history that begins after `revision`.
    pub(super) fn new(revision: Revision) -> History {
        let kept = Kept {
            events: VecDeque::new(),
            bytes: 0,
            oldest: revision.next(),
            newest: revision,
        };
        History {
            kept: Mutex::new(kept),
            grown: Condvar::new(),
        }
    }

    /// Adds the changes of one transaction.
    pub(super) fn push(&self, revision: Revision, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.newest = revision;
        kept.bytes += events.iter().map(size).sum::<usize>();
        kept.events.extend(events);
        // Whole transactions go; the last one stays whatever its size, so that it can be seen at all.
        while kept.events.len() > HISTORY_EVENTS || kept.bytes > HISTORY_BYTES {
            let oldest = match kept.events.front() {
                Some(event) if event.revision < revision => event.revision,
                _ => break,
            };
            while kept
                .events
                .front()
                .is_some_and(|event| event.revision == oldest)
            {
                if let Some(gone) = kept.events.pop_front() {
                    kept.bytes -= size(&gone);
                }
            }
            kept.oldest = oldest.next();
        }
        drop(kept);
        self.grown.notify_all();
    }

    pub(super) fn watch(
        self: &Arc<History>,
        prefix: &[u8],
        from: Revision,
        settle: Settle,
    ) -> Result<HistoryWatch, MetaStoreError> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        check_kept(&kept, from)?;
        drop(kept);
        Ok(HistoryWatch {
            history: Arc::clone(self),
            prefix: prefix.to_vec(),
            next: from,
            settle,
        })
    }
}

fn check_kept(kept: &Kept, from: Revision) -> Result<(), MetaStoreError> {
    if from < kept.oldest {
        return Err(MetaStoreError::Compacted {
            requested: from,
            oldest: kept.oldest,
        });
    }
    Ok(())
}

pub(super) struct HistoryWatch {
    history: Arc<History>,
    prefix: Vec<u8>,
    next: Revision,
    settle: Settle,
}

impl Watch for HistoryWatch {
    fn recv(&mut self, timeout: Duration) -> Result<Vec<Event>, MetaStoreError> {
        let end = Instant::now().checked_add(timeout);
        loop {
            // Before the lock: expiring a lease adds to the history.
            let until_expiry = (self.settle)()?;
            let mut kept = self
                .history
                .kept
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            check_kept(&kept, self.next)?;
            let first = kept
                .events
                .partition_point(|event| event.revision < self.next);
            let seen = kept.events.range(first..);
            let events: Vec<Event> = seen
                .filter(|event| event.key.starts_with(&self.prefix))
                .cloned()
                .collect();
            self.next = self.next.max(kept.newest.next());
            if !events.is_empty() {
                return Ok(events);
            }
            let left = end.map_or(timeout, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(Vec::new());
            }
            let wait = left.min(until_expiry.max(Duration::from_millis(1)));
            kept = self
                .history
                .grown
                .wait_timeout(kept, wait)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
            drop(kept);
        }
    }
}
