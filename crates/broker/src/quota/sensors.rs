//! What is measured for each scope that has a limit; bounded, however many clients come and go.
//!
//! **Invariant:** at most [`SENSORS_MAX`] sensors. One that was not used for an hour goes (Kafka's
//! `INACTIVE_SENSOR_EXPIRATION_TIME_SECONDS`) when another is made; if all are in use, the half that was used
//! least recently goes. Whoever is forgotten starts with an empty window.

use std::collections::HashMap;

use super::limits::Scope;

/// The most scopes that are measured for one kind of quota.
pub(crate) const SENSORS_MAX: usize = 16_384;
/// How long a sensor may be idle, in milliseconds.
const IDLE_MS_MAX: u64 = 3_600_000;
/// How often idle sensors are looked for, in milliseconds.
const PURGE_INTERVAL_MS: u64 = 60_000;

#[derive(Debug)]
struct Used<S> {
    sensor: S,
    used_ms: u64,
}

/// Sensors by scope.
#[derive(Debug)]
pub(crate) struct Sensors<S> {
    // By user, then by client id, so that a look-up needs no key of its own.
    by_user: HashMap<Box<str>, HashMap<Box<str>, Used<S>>>,
    count: usize,
    purged_ms: u64,
}

impl<S> Default for Sensors<S> {
    fn default() -> Sensors<S> {
        Sensors {
            by_user: HashMap::new(),
            count: 0,
            purged_ms: 0,
        }
    }
}

impl<S> Sensors<S> {
    /// Does something with the sensor of a scope, which is made when there is none.
    pub(crate) fn with<R>(
        &mut self,
        scope: Scope<'_>,
        now_ms: u64,
        make: impl FnOnce() -> S,
        work: impl FnOnce(&mut S) -> R,
    ) -> R {
        let known = self
            .by_user
            .get_mut(scope.user)
            .and_then(|clients| clients.get_mut(scope.client_id));
        if let Some(used) = known {
            used.used_ms = now_ms;
            return work(&mut used.sensor);
        }
        self.make_room(now_ms);
        let mut used = Used {
            sensor: make(),
            used_ms: now_ms,
        };
        let result = work(&mut used.sensor);
        self.by_user
            .entry(scope.user.into())
            .or_default()
            .insert(scope.client_id.into(), used);
        self.count += 1;
        result
    }

    fn make_room(&mut self, now_ms: u64) {
        let is_full = self.count >= SENSORS_MAX;
        if !is_full && now_ms.saturating_sub(self.purged_ms) < PURGE_INTERVAL_MS {
            return;
        }
        self.purged_ms = now_ms;
        if let Some(idle_since_ms) = now_ms.checked_sub(IDLE_MS_MAX) {
            self.forget_unused_since(idle_since_ms);
        }
        if self.count < SENSORS_MAX {
            return;
        }
        let mut times: Vec<u64> = self
            .by_user
            .values()
            .flat_map(HashMap::values)
            .map(|used| used.used_ms)
            .collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        // All may carry the same time; then all go.
        let median = *median;
        self.forget_unused_since(median);
    }

    fn forget_unused_since(&mut self, time_ms: u64) {
        self.by_user.retain(|_, clients| {
            clients.retain(|_, used| used.used_ms > time_ms);
            !clients.is_empty()
        });
        self.count = self.by_user.values().map(HashMap::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(sensors: &mut Sensors<u32>, client: usize, now_ms: u64) -> u32 {
        let client_id = client.to_string();
        let scope = Scope {
            user: "u",
            client_id: &client_id,
        };
        sensors.with(
            scope,
            now_ms,
            || 0,
            |count| {
                *count += 1;
                *count
            },
        )
    }

    #[test]
    fn a_scope_keeps_its_sensor_until_it_was_idle_for_an_hour() {
        let mut sensors = Sensors::default();
        assert_eq!(touch(&mut sensors, 1, 0), 1);
        assert_eq!(touch(&mut sensors, 1, 3_600_001), 2);
        touch(&mut sensors, 2, 7_200_000);
        assert_eq!(touch(&mut sensors, 1, 7_200_000), 3);
        touch(&mut sensors, 3, 10_900_000);
        assert_eq!(sensors.count, 1, "both were idle");
    }

    #[test]
    fn a_flood_of_client_ids_is_bounded_and_spares_the_recent() {
        let mut sensors = Sensors::default();
        for client in 0..SENSORS_MAX * 2 {
            touch(&mut sensors, client, client as u64);
            assert!(sensors.count <= SENSORS_MAX);
        }
        assert_eq!(touch(&mut sensors, SENSORS_MAX * 2 - 1, u64::MAX), 2);
        // Even when the clock stands still.
        for client in 0..SENSORS_MAX + 10 {
            touch(&mut sensors, usize::MAX - client, u64::MAX);
            assert!(sensors.count <= SENSORS_MAX);
        }
    }
}
