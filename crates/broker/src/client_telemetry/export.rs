//! What clients pushed, as Prometheus metrics.
//!
//! ```text
//! kafka_client_producer_record_queue_time_avg{client_instance_id="…",client_id="app",…} 12.5
//! ```
//!
//! A metric `org.apache.kafka.x.y` becomes `kafka_client_x_y`, a monotonic sum gets `_total`, and a change since
//! the last push is added to the total so far. Labels are the instance, its client id and software, and what the
//! client labelled its resource and points with.
//!
//! **Invariant:** bounded, whatever clients push: [`INSTANCES_MAX`] instances, [`SERIES_PER_INSTANCE_MAX`] series
//! of each and [`SERIES_MAX`] of all, [`LABELS_MAX`] labels a series, [`TEXT_BYTES_MAX`] bytes a name or value.
//! What is beyond is counted and dropped. An instance's series go when it was not heard of for three intervals.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base::{Clock, Uuid};

use super::instance::ClientIdentity;
use super::otlp::{DELTA, Data, KeyValue, Metric, MetricsData, NumberDataPoint};

const INSTANCES_MAX: usize = 1_000;
const SERIES_PER_INSTANCE_MAX: usize = 1_000;
const SERIES_MAX: usize = 20_000;
const LABELS_MAX: usize = 8;
const TEXT_BYTES_MAX: usize = 128;
const KAFKA_PREFIX: &str = "org.apache.kafka.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Counter,
    Gauge,
}

/// A metric of an instance: its name and labels, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SeriesKey {
    name: String,
    kind: Kind,
    labels: String,
}

#[derive(Debug, Default)]
struct InstanceSeries {
    labels: String,
    series: BTreeMap<SeriesKey, f64>,
    expires_ms: u64,
}

#[derive(Debug, Default)]
struct Exported {
    instances: HashMap<Uuid, InstanceSeries>,
    pushes: u64,
    dropped: u64,
}

/// Labels of the instance, labels of the series, value.
type Row<'a> = (&'a str, &'a str, f64);

/// The last values of each client. Shared between the broker, which takes them, and whoever serves `/metrics`.
#[derive(Debug)]
pub struct ClientMetrics {
    clock: Arc<dyn Clock>,
    exported: Mutex<Exported>,
}

impl ClientMetrics {
    pub(super) fn new(clock: Arc<dyn Clock>) -> ClientMetrics {
        ClientMetrics {
            clock,
            exported: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Exported> {
        self.exported.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.monotonic().0.as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes what an instance pushed. It stays for `idle_ms_max` milliseconds.
    pub(super) fn take(
        &self,
        id: Uuid,
        client: &ClientIdentity,
        data: &MetricsData,
        idle_ms_max: u64,
    ) {
        let now_ms = self.now_ms();
        let mut exported = self.lock();
        exported.pushes += 1;
        exported.forget_expired(now_ms);
        let of_others: usize = exported
            .instances
            .iter()
            .filter(|(other, _)| **other != id)
            .map(|(_, instance)| instance.series.len())
            .sum();
        let is_known = exported.instances.contains_key(&id);
        if !is_known && exported.instances.len() >= INSTANCES_MAX {
            exported.dropped += 1;
            return;
        }
        let room = SERIES_MAX
            .saturating_sub(of_others)
            .min(SERIES_PER_INSTANCE_MAX);
        let instance = exported.instances.entry(id).or_default();
        instance.expires_ms = now_ms.saturating_add(idle_ms_max);
        instance.labels = identity_labels(id, client);
        let dropped = instance.take(data, room);
        exported.dropped += dropped;
    }

    /// Appends everything in Prometheus' text format (version 0.0.4).
    pub fn render(&self, text: &mut String) {
        let now_ms = self.now_ms();
        let mut exported = self.lock();
        exported.forget_expired(now_ms);
        for (name, help, value) in [
            (
                "affluent_client_metrics_pushes_total",
                "Pushes of client metrics taken",
                exported.pushes,
            ),
            (
                "affluent_client_metrics_dropped_total",
                "Client metrics beyond a limit that were dropped",
                exported.dropped,
            ),
        ] {
            push_line(text, format_args!("# HELP {name} {help}"));
            push_line(text, format_args!("# TYPE {name} counter"));
            push_line(text, format_args!("{name} {value}"));
        }
        let mut families: BTreeMap<(&str, Kind), Vec<Row<'_>>> = BTreeMap::new();
        for instance in exported.instances.values() {
            for (key, value) in &instance.series {
                families.entry((&key.name, key.kind)).or_default().push((
                    &instance.labels,
                    &key.labels,
                    *value,
                ));
            }
        }
        for ((name, kind), series) in families {
            let kind = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            };
            push_line(
                text,
                format_args!("# HELP {name} Pushed by clients (KIP-714)"),
            );
            push_line(text, format_args!("# TYPE {name} {kind}"));
            for (identity, labels, value) in series {
                push_line(text, format_args!("{name}{{{identity}{labels}}} {value}"));
            }
        }
    }
}

fn push_line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.push_str(&std::fmt::format(arguments));
    text.push('\n');
}

impl Exported {
    fn forget_expired(&mut self, now_ms: u64) {
        self.instances
            .retain(|_, instance| instance.expires_ms > now_ms);
    }
}

impl InstanceSeries {
    /// Takes the points of a push; returns how many found no room.
    fn take(&mut self, data: &MetricsData, room: usize) -> u64 {
        let mut dropped = 0;
        for of_resource in &data.resource_metrics {
            let resource: &[KeyValue] = of_resource
                .resource
                .as_ref()
                .map_or(&[], |resource| &resource.attributes);
            for metric in of_resource.scope_metrics.iter().flat_map(|s| &s.metrics) {
                let (points, kind, is_delta) = match &metric.data {
                    Some(Data::Gauge(gauge)) => (&gauge.data_points, Kind::Gauge, false),
                    Some(Data::Sum(sum)) => {
                        let is_delta = sum.aggregation_temporality == DELTA;
                        let counts = sum.is_monotonic || is_delta;
                        let kind = if counts { Kind::Counter } else { Kind::Gauge };
                        (&sum.data_points, kind, is_delta)
                    }
                    None => {
                        dropped += 1;
                        continue;
                    }
                };
                for point in points {
                    let taken = self.take_point((metric, kind), point, resource, is_delta, room);
                    dropped += u64::from(!taken);
                }
            }
        }
        dropped
    }

    fn take_point(
        &mut self,
        (metric, kind): (&Metric, Kind),
        point: &NumberDataPoint,
        resource: &[KeyValue],
        is_delta: bool,
        room: usize,
    ) -> bool {
        let Some(value) = point.value else {
            return true;
        };
        let key = SeriesKey {
            name: metric_name(&metric.name, kind),
            kind,
            labels: labels(resource.iter().chain(&point.attributes)),
        };
        if let Some(known) = self.series.get_mut(&key) {
            *known = if is_delta {
                *known + value.as_f64()
            } else {
                value.as_f64()
            };
            return true;
        }
        if self.series.len() >= room {
            return false;
        }
        self.series.insert(key, value.as_f64());
        true
    }
}

fn metric_name(name: &str, kind: Kind) -> String {
    let name = name.strip_prefix(KAFKA_PREFIX).unwrap_or(name);
    let mut out = format!("kafka_client_{}", identifier(name));
    if kind == Kind::Counter && !out.ends_with("_total") {
        out.push_str("_total");
    }
    out
}

/// A name as Prometheus takes it.
fn identifier(name: &str) -> String {
    name.chars()
        .take(TEXT_BYTES_MAX)
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

fn identity_labels(id: Uuid, client: &ClientIdentity) -> String {
    let mut text = format!("client_instance_id=\"{id}\"");
    for (name, value) in [
        ("client_id", &client.client_id),
        ("client_software_name", &client.software_name),
        ("client_software_version", &client.software_version),
    ] {
        push_label(&mut text, name, value);
    }
    text
}

/// The labels of a series, in the order of their names.
fn labels<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> String {
    const IDENTITY: [&str; 4] = [
        "client_instance_id",
        "client_id",
        "client_software_name",
        "client_software_version",
    ];
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    for attribute in attributes {
        let name = identifier(&attribute.key);
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic());
        if !is_name || IDENTITY.contains(&name.as_str()) {
            continue;
        }
        if labels.len() >= LABELS_MAX && !labels.contains_key(&name) {
            continue;
        }
        if let Some(value) = attribute.text() {
            labels.insert(name, value);
        }
    }
    let mut text = String::new();
    for (name, value) in labels {
        push_label(&mut text, &name, &value);
    }
    text
}

fn push_label(text: &mut String, name: &str, value: &str) {
    let mut escaped = String::new();
    for character in value.chars() {
        if escaped.len() >= TEXT_BYTES_MAX {
            break;
        }
        match character {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            other => escaped.push(other),
        }
    }
    // Writing to a text cannot fail.
    write!(text, ",{name}=\"{escaped}\"").ok();
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base::ManualClock;

    use super::super::otlp::{
        AnyValue, Gauge, Number, Resource, ResourceMetrics, Scalar, ScopeMetrics, Sum,
    };
    use super::*;

    fn attribute(key: &str, value: &str) -> KeyValue {
        KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue {
                value: Some(Scalar::Text(value.to_owned())),
            }),
        }
    }

    fn point(value: f64, attributes: Vec<KeyValue>) -> NumberDataPoint {
        NumberDataPoint {
            attributes,
            value: Some(Number::Double(value)),
        }
    }

    fn push(metrics: Vec<Metric>) -> MetricsData {
        MetricsData {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(Resource {
                    attributes: vec![attribute("client_rack", "r1")],
                }),
                scope_metrics: vec![ScopeMetrics { metrics }],
            }],
        }
    }

    fn gauge(name: &str, points: Vec<NumberDataPoint>) -> Metric {
        Metric {
            name: name.to_owned(),
            data: Some(Data::Gauge(Gauge {
                data_points: points,
            })),
        }
    }

    fn delta(name: &str, value: i64) -> Metric {
        Metric {
            name: name.to_owned(),
            data: Some(Data::Sum(Sum {
                data_points: vec![NumberDataPoint {
                    attributes: Vec::new(),
                    value: Some(Number::Integer(value)),
                }],
                aggregation_temporality: DELTA,
                is_monotonic: true,
            })),
        }
    }

    fn metrics() -> (ClientMetrics, Arc<ManualClock>, ClientIdentity) {
        let clock = Arc::new(ManualClock::new(0));
        let client = ClientIdentity {
            client_id: "a \"quoted\" id".to_owned(),
            ..ClientIdentity::default()
        };
        let metrics = ClientMetrics::new(Arc::clone(&clock) as Arc<dyn Clock>);
        (metrics, clock, client)
    }

    fn rendered(metrics: &ClientMetrics) -> String {
        let mut text = String::new();
        metrics.render(&mut text);
        text
    }

    #[test]
    fn last_values_and_totals_are_exported_until_they_expire() {
        let (metrics, clock, client) = metrics();
        let id = Uuid::from_random([7; 16]);
        for value in [3, 4] {
            let metrics_of = vec![
                gauge(
                    "org.apache.kafka.producer.record.queue.time.avg",
                    vec![point(value as f64 / 2.0, vec![attribute("topic", "t\n1")])],
                ),
                delta("org.apache.kafka.producer.connection.creation.total", value),
            ];
            metrics.take(id, &client, &push(metrics_of), 60_000);
        }
        let text = rendered(&metrics);
        for expected in [
            "# TYPE kafka_client_producer_record_queue_time_avg gauge\n",
            "client_id=\"a \\\"quoted\\\" id\"",
            ",client_rack=\"r1\",topic=\"t\\n1\"} 2\n",
            "# TYPE kafka_client_producer_connection_creation_total counter\n",
            ",client_rack=\"r1\"} 7\n",
            "affluent_client_metrics_pushes_total 2\n",
            "affluent_client_metrics_dropped_total 0\n",
        ] {
            assert!(text.contains(expected), "{expected} is missing in\n{text}");
        }
        clock.advance(Duration::from_secs(61));
        assert!(!rendered(&metrics).contains("kafka_client_"));
    }

    #[test]
    fn hostile_pushes_are_bounded_and_counted() {
        let (metrics, _clock, client) = metrics();
        let many = |prefix: &str| {
            let labels = (0..50).map(|i| attribute(&format!("l{i}"), &"x".repeat(1_000)));
            let labels: Vec<KeyValue> = labels.collect();
            (0..SERIES_PER_INSTANCE_MAX + 5)
                .map(|i| gauge(&format!("{prefix}{i}"), vec![point(1.0, labels.clone())]))
                .collect::<Vec<_>>()
        };
        let flood = push(many("m"));
        for number in 0..INSTANCES_MAX as u16 + 10 {
            let mut random = [0; 16];
            random[..2].copy_from_slice(&number.to_be_bytes());
            let id = Uuid::from_random(random);
            let data = if number < 25 {
                flood.clone()
            } else {
                push(vec![delta("d", 1)])
            };
            metrics.take(id, &client, &data, 60_000);
        }
        let exported = metrics.lock();
        let series: usize = exported.instances.values().map(|i| i.series.len()).sum();
        assert!(series <= SERIES_MAX, "{series}");
        assert!(exported.instances.len() <= INSTANCES_MAX);
        assert!(exported.dropped > 0);
        let longest = exported
            .instances
            .values()
            .flat_map(|i| i.series.keys())
            .map(|key| key.labels.len())
            .max();
        assert!(longest <= Some(LABELS_MAX * (TEXT_BYTES_MAX + 10)));
    }
}
