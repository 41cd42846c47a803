//! `log.cleaner.io.max.bytes.per.second`: all threads together keep to it (`Throttler`).

use std::sync::Mutex;
use std::time::Duration;

use base::Timestamp;

use crate::io::LockExt;

/// Over how long a rate is measured before anyone waits for it.
const PERIOD: Duration = Duration::from_millis(300);

#[derive(Debug, Default)]
struct Period {
    began: Timestamp,
    bytes: u64,
}

/// Counts bytes and says how long to wait.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    period: Mutex<Period>,
}

impl Throttle {
    /// `bytes` were read or written at `now`. Returns how long to pause, so that the period's rate is
    /// `bytes_per_second` at most.
    pub(crate) fn note(&self, bytes: u64, bytes_per_second: f64, now: Timestamp) -> Duration {
        let mut period = self.period.locked();
        period.bytes = period.bytes.saturating_add(bytes);
        let elapsed = now.since(period.began);
        if elapsed < PERIOD {
            return Duration::ZERO;
        }
        let due = period.bytes as f64 / bytes_per_second.max(1.0);
        // A year is as good as for ever, and no float is too large for it.
        let due = Duration::from_secs_f64(due.min(31_536_000.0));
        let pause = due.saturating_sub(elapsed);
        // The pause is part of the period it ends.
        *period = Period {
            began: now.after(pause),
            bytes: 0,
        };
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp(Duration::from_millis(ms))
    }

    #[test]
    fn who_is_too_fast_waits_until_the_rate_is_right() {
        let throttle = Throttle::default();
        assert_eq!(throttle.note(500, 1_000.0, at(100)), Duration::ZERO);
        // 2,000 bytes in 400 ms: 1.6 s too early.
        assert_eq!(
            throttle.note(1_500, 1_000.0, at(400)),
            Duration::from_millis(1_600)
        );
        assert_eq!(throttle.note(200, 1_000.0, at(2_400)), Duration::ZERO);
    }

    #[test]
    fn without_a_limit_nobody_waits() {
        let throttle = Throttle::default();
        assert_eq!(throttle.note(u64::MAX, f64::MAX, at(1_000)), Duration::ZERO);
    }
}
