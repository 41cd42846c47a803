//! Time behind a trait: wall-clock milliseconds for what Kafka writes down, a monotonic instant for
//! everything that waits.
//!
//! A wall clock jumps (NTP, an operator, a virtual machine that was suspended); a timeout measured by it
//! fires early or never. So [`Clock::now_ms`] is only for timestamps that leave the process, and
//! [`Clock::monotonic`] for deadlines.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point of monotonic time, as the duration since the clock was made.
///
/// Unlike `std::time::Instant` it can be built by a simulated clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub Duration);

impl Timestamp {
    /// This point plus `duration`, saturating at the far end of time.
    #[must_use]
    pub fn after(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(duration))
    }

    /// How long from `earlier` to this point; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// A source of wall-clock and monotonic time.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// Milliseconds since the Unix epoch. May jump in either direction.
    fn now_ms(&self) -> i64;

    /// Monotonic time since this clock was made. Never goes back.
    fn monotonic(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now_ms(&self) -> i64 {
        (**self).now_ms()
    }

    fn monotonic(&self) -> Timestamp {
        (**self).monotonic()
    }
}

/// The operating system's clocks.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic zero is now.
    #[must_use]
    pub fn new() -> SystemClock {
        SystemClock {
            start: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(elapsed) => i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
        }
    }

    fn monotonic(&self) -> Timestamp {
        Timestamp(self.start.elapsed())
    }
}

/// A clock that moves only when told to; for tests and simulation.
#[derive(Debug, Default)]
pub struct ManualClock {
    wall_ms: AtomicI64,
    monotonic_ms: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `wall_ms` milliseconds since the Unix epoch.
    #[must_use]
    pub fn new(wall_ms: i64) -> ManualClock {
        ManualClock {
            wall_ms: AtomicI64::new(wall_ms),
            monotonic_ms: AtomicU64::new(0),
        }
    }

    /// Moves both clocks forward by `duration`, in whole milliseconds.
    pub fn advance(&self, duration: Duration) {
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.monotonic_ms.fetch_add(ms, Ordering::SeqCst);
        self.wall_ms
            .fetch_add(i64::try_from(ms).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Sets the wall clock alone, as an operator or NTP would.
    pub fn set_wall_ms(&self, wall_ms: i64) {
        self.wall_ms.store(wall_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.wall_ms.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Timestamp {
        Timestamp(Duration::from_millis(
            self.monotonic_ms.load(Ordering::SeqCst),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_jump_leaves_monotonic_time_alone() {
        let clock = ManualClock::new(1_000);
        clock.advance(Duration::from_millis(5));
        clock.set_wall_ms(-7);
        assert_eq!(clock.now_ms(), -7);
        assert_eq!(clock.monotonic(), Timestamp(Duration::from_millis(5)));
    }
}
