//! What each fuzz target does with its input; shared by libFuzzer (`fuzz_targets/`) and by the replay in
//! `tests/fuzz_corpus.rs`.
//!
//! A target must not panic, must not hang, and must not hold more memory than its limit allows. Beside that each
//! asserts a property that any input has to satisfy.

#![allow(
    unreachable_pub,
    dead_code,
    reason = "the fuzz binaries and the replay test include this file as a module"
)]

use prost::Message;
use wire::compression::decompress;
use wire::record_batch::Compression;

/// The decoder as the broker has it; it knows nothing of the rest of the broker.
#[path = "../src/client_telemetry/otlp.rs"]
mod otlp;

/// `telemetry.max.bytes`.
const LIMIT: usize = 1 << 20;

/// A push of client telemetry (KIP-714): the first byte names the codec, the rest unfolds to OpenTelemetry's protocol.
///
/// What decodes is written and read again to the same bytes, and every value and label can be had.
pub fn telemetry_push(data: &[u8]) {
    let Some((codec, rest)) = data.split_first() else {
        return;
    };
    let Some(codec) = Compression::from_id(i16::from(codec % 5)) else {
        return;
    };
    let Ok(bytes) = decompress(codec, rest, LIMIT) else {
        return;
    };
    assert!(bytes.len() <= LIMIT);
    let Ok(metrics) = otlp::decode(&bytes) else {
        return;
    };
    look_at(&metrics);
    let once = metrics.encode_to_vec();
    let again = otlp::decode(&once).expect("our own encoding decodes");
    assert_eq!(again.encode_to_vec(), once);
}

fn look_at(metrics: &otlp::MetricsData) {
    for resource in &metrics.resource_metrics {
        let of_resource = resource.resource.iter();
        for label in of_resource.flat_map(|resource| &resource.attributes) {
            label.text();
        }
        let scopes = resource.scope_metrics.iter();
        for metric in scopes.flat_map(|scope| &scope.metrics) {
            let points = match &metric.data {
                Some(otlp::Data::Gauge(gauge)) => &gauge.data_points,
                Some(otlp::Data::Sum(sum)) => &sum.data_points,
                None => continue,
            };
            for point in points {
                point.attributes.iter().for_each(|label| {
                    label.text();
                });
                if let Some(value) = point.value {
                    value.as_f64();
                }
            }
        }
    }
}

/// What [`telemetry_push`] starts from: a push with a metric of each kind, labels of each type, in every codec; and
/// messages that lie about their lengths or nest without end.
pub fn telemetry_seeds() -> Vec<Vec<u8>> {
    let label = |key: &str, value| otlp::KeyValue {
        key: key.to_owned(),
        value: Some(otlp::AnyValue { value: Some(value) }),
    };
    let labels = vec![
        label("client_rack", otlp::Scalar::Text("a".repeat(40))),
        label("is", otlp::Scalar::Boolean(true)),
        label("count", otlp::Scalar::Integer(i64::MIN)),
        label("share", otlp::Scalar::Double(f64::NAN)),
    ];
    let point = |value| otlp::NumberDataPoint {
        attributes: labels.clone(),
        value: Some(value),
    };
    let points = vec![
        point(otlp::Number::Double(1.5)),
        point(otlp::Number::Integer(i64::MAX)),
    ];
    let metric = |name: &str, data| otlp::Metric {
        name: name.to_owned(),
        data: Some(data),
    };
    let sum = otlp::Sum {
        data_points: points.clone(),
        aggregation_temporality: otlp::DELTA,
        is_monotonic: true,
    };
    let gauge = otlp::Gauge {
        data_points: points,
    };
    let push = otlp::MetricsData {
        resource_metrics: vec![otlp::ResourceMetrics {
            resource: Some(otlp::Resource { attributes: labels }),
            scope_metrics: vec![otlp::ScopeMetrics {
                metrics: vec![
                    metric("org.apache.kafka.producer.sent", otlp::Data::Sum(sum)),
                    metric("org.apache.kafka.consumer.lag", otlp::Data::Gauge(gauge)),
                ],
            }],
        }],
    };
    let push = push.encode_to_vec();
    let mut nested = Vec::new();
    for _ in 0..200 {
        let mut outer = vec![0x0a];
        prost::encode_length_delimiter(nested.len(), &mut outer).expect("a Vec takes everything");
        outer.extend(nested);
        nested = outer;
    }
    let plain = [
        push.clone(),
        nested,
        vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
        vec![0x0a, 0x02, 0x12, 0x7f],
        Vec::new(),
    ];
    let mut seeds: Vec<Vec<u8>> = plain
        .iter()
        .map(|bytes| [&[0], bytes.as_slice()].concat())
        .collect();
    for id in 1..5 {
        let codec = Compression::from_id(i16::from(id)).expect("there are four");
        let packed = wire::compression::compress(codec, None, &push);
        seeds.push([&[id], packed.expect("a Vec takes everything").as_slice()].concat());
    }
    seeds
}
