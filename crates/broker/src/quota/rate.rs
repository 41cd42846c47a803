//! The two ways in which an amount over time is measured. Sans-I/O: the caller brings the time.
//!
//! - [`Rate`] is Kafka's sampled rate (`org.apache.kafka.common.metrics.stats.Rate` over a `WindowedSum`, 4.3):
//!   sums of a few samples, divided by the time they span. Bytes, handler time and connections are measured so.
//! - [`TokenBucket`] is its token bucket (`TokenBucket`, KIP-599): amounts that come in bursts, such as the
//!   partitions of a topic.
//!
//! Both keep doing what Kafka's do in the corners: a rate counts samples it has not seen as empty, so that a
//! first burst is averaged over the whole window; a bucket starts full.

/// How many samples a rate keeps and how long each is: `quota.window.num` and `quota.window.size.seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QuotaWindow {
    /// Samples, the current one included; at least 1.
    pub(crate) samples: u32,
    /// The span of one sample, in milliseconds; at least 1.
    pub(crate) sample_ms: u64,
}

impl QuotaWindow {
    /// The span of all samples, in milliseconds.
    pub(crate) fn span_ms(self) -> u64 {
        self.sample_ms.saturating_mul(u64::from(self.samples))
    }

    /// The most that a rate of `bound` a second lets pass at once: all samples but the current one, filled
    /// (`ClientQuotaManager.maxValueInQuotaWindow`).
    pub(crate) fn burst_max(self, bound: f64) -> f64 {
        let whole_ms = self
            .sample_ms
            .saturating_mul(u64::from(self.samples.saturating_sub(1)));
        bound * seconds(whole_ms)
    }
}

fn seconds(ms: u64) -> f64 {
    // A window is far below 2^53 milliseconds, so the conversion is exact.
    ms as f64 / 1000.0
}

/// Rounds a time to wait to whole milliseconds. What is not finite or above `limit_ms` becomes the limit.
fn whole_ms(ms: f64, limit_ms: u64) -> u64 {
    if ms.is_finite() && ms < limit_ms as f64 {
        // Not negative: the callers divide what is positive.
        ms.round() as u64
    } else {
        limit_ms
    }
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    start_ms: u64,
    last_event_ms: u64,
    sum: f64,
}

impl Sample {
    fn new(now_ms: u64) -> Sample {
        Sample {
            start_ms: now_ms,
            last_event_ms: now_ms,
            sum: 0.0,
        }
    }
}

/// A rate over samples. Times are milliseconds of one monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    /// A ring of one sample more than the window has: the oldest may lie partly before the window.
    samples: Vec<Sample>,
    current: usize,
}

impl Rate {
    /// Adds an amount; a negative one takes back what was recorded.
    pub(crate) fn record(&mut self, window: QuotaWindow, amount: f64, now_ms: u64) {
        let ring = window.samples as usize + 1;
        match self.samples.get(self.current) {
            None => {
                self.samples.clear();
                self.samples.push(Sample::new(now_ms));
                self.current = 0;
            }
            Some(sample) if now_ms.saturating_sub(sample.start_ms) >= window.sample_ms => {
                self.current = (self.current + 1) % ring;
                match self.samples.get_mut(self.current) {
                    Some(oldest) => *oldest = Sample::new(now_ms),
                    None => self.samples.push(Sample::new(now_ms)),
                }
            }
            Some(_) => {}
        }
        if let Some(sample) = self.samples.get_mut(self.current) {
            sample.sum += amount;
            sample.last_event_ms = now_ms;
        }
    }

    /// The rate a second, and the time it was measured over in milliseconds.
    pub(crate) fn measure(&mut self, window: QuotaWindow, now_ms: u64) -> (f64, u64) {
        let span_ms = window.span_ms();
        for sample in &mut self.samples {
            if now_ms.saturating_sub(sample.last_event_ms) >= span_ms {
                *sample = Sample::new(now_ms);
            }
        }
        let sum: f64 = self.samples.iter().map(|sample| sample.sum).sum();
        let oldest_ms = self
            .samples
            .iter()
            .map(|sample| sample.start_ms)
            .min()
            .unwrap_or(now_ms);
        let elapsed_ms = now_ms.saturating_sub(oldest_ms);
        let full = elapsed_ms / window.sample_ms.max(1);
        let missing = u64::from(window.samples.saturating_sub(1)).saturating_sub(full);
        let elapsed_ms = elapsed_ms
            .saturating_add(missing.saturating_mul(window.sample_ms))
            .max(1);
        (sum / seconds(elapsed_ms), elapsed_ms)
    }

    /// How long it takes until the rate is at `bound` again, in milliseconds and at most `limit_ms`, if nothing
    /// is recorded meanwhile; 0 while it is not above (`QuotaUtils.throttleTime`).
    ///
    /// Differs: a bound of zero or less, of which Kafka's arithmetic makes no throttling at all, holds a client
    /// back for the whole window.
    pub(crate) fn throttle_ms(
        &mut self,
        window: QuotaWindow,
        bound: f64,
        limit_ms: u64,
        now_ms: u64,
    ) -> u64 {
        let (rate, measured_ms) = self.measure(window, now_ms);
        if rate <= bound {
            return 0;
        }
        if bound <= 0.0 {
            return window.span_ms().min(limit_ms);
        }
        whole_ms((rate - bound) / bound * measured_ms as f64, limit_ms)
    }
}

/// Tokens that refill at a rate and are spent at once.
#[derive(Debug)]
pub(crate) struct TokenBucket {
    tokens: f64,
    updated_ms: u64,
}

impl TokenBucket {
    /// A bucket full for `bound` a second.
    pub(crate) fn full(window: QuotaWindow, bound: f64, now_ms: u64) -> TokenBucket {
        TokenBucket {
            tokens: bound * seconds(window.span_ms()),
            updated_ms: now_ms,
        }
    }

    fn refill(&mut self, window: QuotaWindow, bound: f64, now_ms: u64) {
        let burst = bound * seconds(window.span_ms());
        let passed_ms = now_ms.saturating_sub(self.updated_ms);
        self.tokens = burst.min(self.tokens + bound * seconds(passed_ms));
        self.updated_ms = now_ms;
    }

    /// Spends tokens, though there may be fewer.
    pub(crate) fn spend(&mut self, window: QuotaWindow, bound: f64, tokens: f64, now_ms: u64) {
        self.refill(window, bound, now_ms);
        self.tokens -= tokens;
    }

    /// How long until the bucket is not overdrawn any more, in milliseconds; 0 when it is not
    /// (`ControllerMutationQuotaManager.throttleTimeMs`).
    pub(crate) fn throttle_ms(&mut self, window: QuotaWindow, bound: f64, now_ms: u64) -> u64 {
        self.refill(window, bound, now_ms);
        if self.tokens >= 0.0 {
            return 0;
        }
        if bound <= 0.0 {
            return window.span_ms();
        }
        whole_ms(
            -self.tokens / bound * 1000.0,
            u64::from(i32::MAX.unsigned_abs()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: QuotaWindow = QuotaWindow {
        samples: 11,
        sample_ms: 1000,
    };
    const NO_LIMIT: u64 = i32::MAX as u64;

    #[test]
    fn a_first_burst_is_averaged_over_the_window() {
        let mut rate = Rate::default();
        rate.record(WINDOW, 500.0, 5_000);
        assert_eq!(rate.measure(WINDOW, 5_000), (50.0, 10_000));
        // Half a sample later the span has grown by it.
        assert_eq!(rate.measure(WINDOW, 5_500).1, 10_500);
    }

    #[test]
    fn throttle_time_is_kafkas_formula_within_its_bound() {
        let mut rate = Rate::default();
        rate.record(WINDOW, 1500.0, 0);
        // 150 a second over 10 s, 100 allowed: (150 - 100) / 100 * 10 s.
        assert_eq!(rate.throttle_ms(WINDOW, 100.0, NO_LIMIT, 0), 5_000);
        assert_eq!(rate.throttle_ms(WINDOW, 150.0, NO_LIMIT, 0), 0);
        assert_eq!(rate.throttle_ms(WINDOW, 100.0, 1_000, 0), 1_000);
    }

    #[test]
    fn what_was_taken_back_never_happened() {
        let mut rate = Rate::default();
        rate.record(WINDOW, 300.0, 0);
        rate.record(WINDOW, 900.0, 400);
        rate.record(WINDOW, -900.0, 400);
        assert_eq!(rate.measure(WINDOW, 400).0, 300.0 / 10.4);
    }

    #[test]
    fn samples_expire_and_the_ring_stays_bounded() {
        let mut rate = Rate::default();
        for second in 0..100 {
            rate.record(WINDOW, 100.0, second * 1000);
            assert!(rate.samples.len() <= 12);
        }
        let (steady, measured_ms) = rate.measure(WINDOW, 99_999);
        assert!(
            (95.0..=110.0).contains(&steady),
            "{steady} over {measured_ms}"
        );
        assert_eq!(rate.measure(WINDOW, 99_000 + 11_000).0, 0.0);
    }

    #[test]
    fn a_steady_client_under_its_bound_is_never_held_back() {
        let mut rate = Rate::default();
        for step in 0..2_000_u64 {
            rate.record(WINDOW, 9.0, step * 100);
            assert_eq!(rate.throttle_ms(WINDOW, 100.0, NO_LIMIT, step * 100), 0);
        }
    }

    #[test]
    fn a_client_that_obeys_gets_its_bound() {
        let mut rate = Rate::default();
        let (mut now_ms, mut sent) = (0_u64, 0.0);
        while now_ms < 120_000 {
            rate.record(WINDOW, 1_000.0, now_ms);
            sent += 1_000.0;
            now_ms += 1 + rate.throttle_ms(WINDOW, 10_000.0, NO_LIMIT, now_ms);
        }
        let achieved = sent / seconds(now_ms);
        assert!((9_000.0..=11_500.0).contains(&achieved), "{achieved}");
    }

    /// Random windows, bounds and amounts: whoever waits as told stays within the bound over time.
    #[test]
    fn whoever_obeys_stays_within_the_bound() {
        use rand::rngs::SmallRng;
        use rand::{Rng, SeedableRng};

        for seed in 0..50 {
            let mut random = SmallRng::seed_from_u64(seed);
            let window = QuotaWindow {
                samples: random.random_range(2..20),
                sample_ms: random.random_range(100..3_000),
            };
            let bound = f64::from(random.random_range(1_000..1_000_000));
            let largest = window.burst_max(bound) / 2.0;
            let mut rate = Rate::default();
            let end_ms = window.span_ms() * 40;
            let (mut now_ms, mut used) = (0_u64, 0.0);
            while now_ms < end_ms {
                let amount = random.random_range(0.0..largest);
                rate.record(window, amount, now_ms);
                used += amount;
                let throttle_ms = rate.throttle_ms(window, bound, NO_LIMIT, now_ms);
                assert!(rate.measure(window, now_ms).0 >= 0.0);
                assert!(rate.samples.len() <= window.samples as usize + 1);
                now_ms += throttle_ms + random.random_range(1..window.sample_ms);
            }
            let achieved = used / seconds(now_ms);
            assert!(
                achieved <= bound * 1.15,
                "seed {seed}: {achieved} of {bound}"
            );
            // Quiet for a whole window, it is as new.
            assert_eq!(rate.measure(window, now_ms + window.span_ms()).0, 0.0);
        }
    }

    #[test]
    fn a_bound_of_zero_holds_back_for_the_window() {
        let mut rate = Rate::default();
        rate.record(WINDOW, 1.0, 0);
        assert_eq!(rate.throttle_ms(WINDOW, 0.0, NO_LIMIT, 0), 11_000);
        assert_eq!(rate.throttle_ms(WINDOW, -5.0, 1_000, 0), 1_000);
    }

    #[test]
    fn a_bucket_starts_full_and_is_paid_back() {
        // Kafka's own example: 5 a second, 100 samples, a burst of 560 costs 12 seconds.
        let window = QuotaWindow {
            samples: 100,
            sample_ms: 1000,
        };
        let mut bucket = TokenBucket::full(window, 5.0, 0);
        bucket.spend(window, 5.0, 560.0, 0);
        assert_eq!(bucket.throttle_ms(window, 5.0, 0), 12_000);
        assert_eq!(bucket.throttle_ms(window, 5.0, 11_999), 1);
        assert_eq!(bucket.throttle_ms(window, 5.0, 12_000), 0);
        // It does not grow beyond its size.
        bucket.spend(window, 5.0, 500.0, 10_000_000);
        assert_eq!(bucket.throttle_ms(window, 5.0, 10_000_000), 0);
        bucket.spend(window, 5.0, 5.0, 10_000_000);
        assert_eq!(bucket.throttle_ms(window, 5.0, 10_000_000), 1_000);
    }

    #[test]
    fn the_largest_burst_is_all_samples_but_one() {
        assert_eq!(WINDOW.burst_max(100.0), 1000.0);
    }
}
