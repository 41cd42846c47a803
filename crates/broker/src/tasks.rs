//! Background tasks that somebody owns.
//!
//! Every task has a name, is waited for at shutdown, and a panic in one is logged with that name instead of
//! vanishing with its handle.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio_util::task::TaskTracker;

/// The broker's tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
}

impl Tasks {
    /// Runs `task` until it ends by itself.
    pub(crate) fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.tracker.spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                tracing::error!(
                    task = name,
                    "task panicked; this is a bug, please report it"
                );
            }
        });
    }

    /// Waits until all tasks have ended, or for `limit`. Returns how many are left.
    pub(crate) async fn finish(&self, limit: Duration) -> usize {
        self.tracker.close();
        if tokio::time::timeout(limit, self.tracker.wait())
            .await
            .is_err()
        {
            return self.tracker.len();
        }
        0
    }
}
