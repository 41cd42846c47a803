//! The thread that moves tails to segments: woken by size, or every so often.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::StorageError;
use crate::io::LockExt;
use crate::log::PartitionLog;

/// How long a batch stays only in memory and journal on a quiet broker.
const INTERVAL: Duration = Duration::from_millis(100);
/// Tails of this size are moved at once.
const WAKE_BYTES: usize = 4 << 20;

#[derive(Debug, Default)]
struct Queue {
    logs: Vec<Arc<PartitionLog>>,
    woken: bool,
    stopped: bool,
}

/// The logs with something to flush.
#[derive(Debug, Default)]
pub(crate) struct Flusher {
    queue: Mutex<Queue>,
    wake: Condvar,
    armed: AtomicBool,
}

impl Flusher {
    /// A log has something to flush; the caller has set its `queued`.
    pub(crate) fn push(&self, log: Arc<PartitionLog>) {
        let mut queue = self.queue.locked();
        if queue.stopped {
            return;
        }
        queue.logs.push(log);
        if queue.logs.len() == 1 {
            self.wake.notify_one();
        }
    }

    /// The tails hold this much.
    pub(crate) fn note(&self, tail_bytes: usize) {
        if tail_bytes >= WAKE_BYTES && !self.armed.swap(true, Ordering::AcqRel) {
            self.queue.locked().woken = true;
            self.wake.notify_one();
        }
    }

    /// Ends [`Flusher::run`], and lets go of the logs: each holds the flusher, and with it all of them their open files.
    pub(crate) fn stop(&self) {
        let mut queue = self.queue.locked();
        queue.stopped = true;
        let logs = std::mem::take(&mut queue.logs);
        drop(queue);
        drop(logs);
        self.wake.notify_one();
    }

    /// The thread's body. `flushed` is told of each round's outcome.
    pub(crate) fn run(&self, flushed: impl Fn(Result<(), StorageError>)) {
        loop {
            let Some(logs) = self.next() else { return };
            flushed(self.flush(logs));
        }
    }

    /// One round on the calling thread, without waiting; `None` when there is nothing to flush.
    pub(crate) fn round(&self) -> Option<Result<(), StorageError>> {
        let logs = std::mem::take(&mut self.queue.locked().logs);
        (!logs.is_empty()).then(|| self.flush(logs))
    }

    fn flush(&self, logs: Vec<Arc<PartitionLog>>) -> Result<(), StorageError> {
        self.armed.store(false, Ordering::Release);
        let mut outcome = Ok(());
        for log in logs {
            // Cleared first: an append from now on queues the log again.
            log.queued.store(false, Ordering::Release);
            let more = match log
                .flush_tail()
                .and_then(|more| Ok(more | log.sync_by_interval()?))
            {
                Ok(more) => more,
                Err(error) => {
                    let retry = matches!(error, StorageError::DiskFull);
                    outcome = Err(error);
                    retry
                }
            };
            if more && !log.queued.swap(true, Ordering::AcqRel) {
                self.queue.locked().logs.push(log);
            }
        }
        outcome
    }

    fn next(&self) -> Option<Vec<Arc<PartitionLog>>> {
        let mut queue = self.queue.locked();
        while queue.logs.is_empty() && !queue.stopped {
            queue = self
                .wake
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let (mut queue, _) = self
            .wake
            .wait_timeout_while(queue, INTERVAL, |queue| !queue.woken && !queue.stopped)
            .unwrap_or_else(PoisonError::into_inner);
        queue.woken = false;
        if queue.stopped {
            return None;
        }
        Some(std::mem::take(&mut queue.logs))
    }
}
