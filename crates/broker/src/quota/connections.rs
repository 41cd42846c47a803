//! How fast connections are taken (KIP-612; `kafka.network.ConnectionQuotas`).
//!
//! Three rates: of the broker and of each listener (`max.connection.creation.rate`, which a listener prefix
//! may set for one of them), which make the listener wait before it accepts the next connection; and of an
//! address, whose connection is closed once it has waited. A connection that its address's limit refuses does
//! not count for broker and listener.
//!
//! Sans-I/O: waiting is the listener's business.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::rate::{QuotaWindow, Rate};
use super::sensors::SENSORS_MAX;

/// New connections a second that are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    /// By the broker.
    pub(crate) broker: f64,
    /// By the listener.
    pub(crate) listener: f64,
}

#[derive(Debug, Default)]
struct Rates {
    broker: Rate,
    listeners: HashMap<String, Rate>,
    addresses: HashMap<IpAddr, (Rate, u64)>,
}

/// The rates at which connections come.
#[derive(Debug)]
pub(crate) struct ConnectionRates {
    window: QuotaWindow,
    rates: Mutex<Rates>,
}

impl ConnectionRates {
    pub(crate) fn new(window: QuotaWindow) -> ConnectionRates {
        ConnectionRates {
            window,
            rates: Mutex::default(),
        }
    }

    /// Counts a connection of a listener. Returns how long to wait before it is served, which is at most one
    /// sample.
    pub(crate) fn accepted(
        &self,
        listener: &str,
        limits: ConnectionLimits,
        now_ms: u64,
    ) -> Duration {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.broker.record(self.window, 1.0, now_ms);
        let broker_ms = self.throttle_ms(&mut rates.broker, limits.broker, now_ms);
        if !rates.listeners.contains_key(listener) {
            rates.listeners.insert(listener.to_owned(), Rate::default());
        }
        let listener_ms = rates.listeners.get_mut(listener).map_or(0, |rate| {
            rate.record(self.window, 1.0, now_ms);
            self.throttle_ms(rate, limits.listener, now_ms)
        });
        Duration::from_millis(broker_ms.max(listener_ms))
    }

    /// Counts a connection of an address that has a limit. Returns after how long to close it; none when it is
    /// to be served.
    pub(crate) fn taken_from(
        &self,
        listener: &str,
        address: IpAddr,
        limit: f64,
        now_ms: u64,
    ) -> Option<Duration> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if !rates.addresses.contains_key(&address) {
            self.make_room(&mut rates.addresses, now_ms);
        }
        let (rate, used_ms) = rates.addresses.entry(address).or_default();
        *used_ms = now_ms;
        rate.record(self.window, 1.0, now_ms);
        let throttle_ms = self.throttle_ms(rate, limit, now_ms);
        if throttle_ms == 0 {
            return None;
        }
        rate.record(self.window, -1.0, now_ms);
        rates.broker.record(self.window, -1.0, now_ms);
        if let Some(rate) = rates.listeners.get_mut(listener) {
            rate.record(self.window, -1.0, now_ms);
        }
        Some(Duration::from_millis(throttle_ms))
    }

    fn throttle_ms(&self, rate: &mut Rate, limit: f64, now_ms: u64) -> u64 {
        rate.throttle_ms(self.window, limit, self.window.sample_ms, now_ms)
    }

    /// An address that was quiet for a whole window has a rate of zero, so nothing is lost with it. When all
    /// are busy, all start anew.
    fn make_room(&self, addresses: &mut HashMap<IpAddr, (Rate, u64)>, now_ms: u64) {
        if addresses.len() < SENSORS_MAX {
            return;
        }
        let span_ms = self.window.span_ms();
        addresses.retain(|_, (_, used_ms)| now_ms.saturating_sub(*used_ms) < span_ms);
        if addresses.len() >= SENSORS_MAX {
            addresses.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: QuotaWindow = QuotaWindow {
        samples: 11,
        sample_ms: 1000,
    };
    const FREE: ConnectionLimits = ConnectionLimits {
        broker: f64::MAX,
        listener: f64::MAX,
    };

    #[test]
    fn broker_and_listener_wait_at_most_one_sample() {
        let rates = ConnectionRates::new(WINDOW);
        let limits = ConnectionLimits {
            broker: 10.0,
            listener: 1.0,
        };
        for _ in 0..10 {
            assert_eq!(rates.accepted("A", limits, 0), Duration::ZERO);
        }
        // 11 connections in 10 s, 1 a second allowed.
        assert_eq!(rates.accepted("A", limits, 0), Duration::from_secs(1));
        assert_eq!(rates.accepted("B", limits, 0), Duration::ZERO);
        for _ in 0..88 {
            rates.accepted("C", FREE, 0);
        }
        let limits = ConnectionLimits {
            listener: f64::MAX,
            ..limits
        };
        assert!(rates.accepted("D", limits, 0) > Duration::ZERO);
    }

    #[test]
    fn a_refused_address_counts_for_nobody() {
        let rates = ConnectionRates::new(WINDOW);
        let from = |last: u8, now_ms| {
            rates.accepted("A", FREE, now_ms);
            rates.taken_from("A", [192, 0, 2, last].into(), 1.0, now_ms)
        };
        for _ in 0..10 {
            assert_eq!(from(1, 0), None);
        }
        assert_eq!(from(1, 0), Some(Duration::from_secs(1)));
        assert_eq!(from(2, 0), None);
        let mut inner = rates.rates.lock().unwrap();
        assert_eq!(inner.broker.measure(WINDOW, 0).0, 1.1);
        drop(inner);
        assert_eq!(from(1, 12_000), None);
    }

    #[test]
    fn a_flood_of_addresses_is_bounded() {
        let rates = ConnectionRates::new(WINDOW);
        for number in 0..SENSORS_MAX as u32 + 100 {
            let address = IpAddr::from(number.to_be_bytes());
            rates.taken_from("A", address, 1.0, 0);
        }
        assert!(rates.rates.lock().unwrap().addresses.len() <= SENSORS_MAX);
    }
}
