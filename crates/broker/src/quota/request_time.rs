//! How long a request's handler worked, for the quota on request time.
//!
//! Kafka takes the time a request spends on a handler thread. Here that is the time in which its future is
//! polled: waiting for the disk or for records costs a client nothing, decoding and copying do.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::time::{Duration, Instant};

/// Runs a handler and takes the time it worked.
///
/// # Cancel safety
/// As the future's own.
pub(crate) async fn timed<T>(handler: impl Future<Output = T>) -> (T, Duration) {
    let mut handler = pin!(handler);
    let mut busy = Duration::ZERO;
    let output = poll_fn(|context| {
        let begun = Instant::now();
        let polled = handler.as_mut().poll(context);
        busy += begun.elapsed();
        polled
    })
    .await;
    (output, busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_counts_and_waiting_does_not() {
        let work = Duration::from_millis(20);
        let (output, busy) = timed(async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let begun = Instant::now();
            while begun.elapsed() < work {
                std::hint::spin_loop();
            }
            7
        })
        .await;
        assert_eq!(output, 7);
        assert!(
            busy >= work && busy < Duration::from_millis(250),
            "{busy:?}"
        );
    }
}
