//! A connection that is held back (KIP-219): it was answered, and is not read from for a while.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Until when a connection is not read from.
#[derive(Debug)]
pub(crate) struct Mute {
    opened: Instant,
    /// Milliseconds since `opened`; 0 when it may be read.
    until_ms: AtomicU64,
}

impl Default for Mute {
    fn default() -> Mute {
        Mute {
            opened: Instant::now(),
            until_ms: AtomicU64::new(0),
        }
    }
}

impl Mute {
    /// Holds the connection back for this long from now, unless it is held back longer anyway.
    pub(crate) fn hold(&self, throttle_ms: u64) {
        let now_ms = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let until_ms = now_ms.saturating_add(throttle_ms);
        self.until_ms.fetch_max(until_ms, Ordering::Relaxed);
    }

    /// When the connection may be read again; none when it may be now.
    pub(crate) fn ends(&self) -> Option<Instant> {
        let until_ms = self.until_ms.load(Ordering::Relaxed);
        if until_ms == 0 {
            return None;
        }
        let ends = self.opened + Duration::from_millis(until_ms);
        if ends > Instant::now() {
            return Some(ends);
        }
        // Only the connection's own task asks, so nobody has held it back again in between.
        self.until_ms.store(0, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_longest_hold_counts_and_ends() {
        let mute = Mute::default();
        assert_eq!(mute.ends(), None);
        tokio::time::advance(Duration::from_millis(50)).await;
        mute.hold(100);
        mute.hold(20);
        let ends = mute.ends().unwrap();
        assert_eq!(ends - Instant::now(), Duration::from_millis(100));
        tokio::time::sleep_until(ends).await;
        assert_eq!(mute.ends(), None);
    }
}
