//! How much goes through: Apache Kafka's own producer and consumer tools, CPU time beside the rate.

use anyhow::Result;

use crate::contender::{Contender, Hall};
use crate::disk;
use crate::java::{self, ProduceLoad};
use crate::report::{Measurement, Sample, Target};

const PARTITIONS: i32 = 6;
const TOPIC: &str = "measured";
const WARM_UP_TOPIC: &str = "warm-up";

/// Of [`large`].
pub(crate) const LARGE_MEASUREMENTS: &[Measurement] = &[
    Measurement {
        id: "produce-rate",
        what: "produce, Java ProducerPerformance, 1 KiB records, 64 KiB batches, `acks=all`, 6 partitions",
        unit: "MiB/s",
        targets: &[
            (Contender::Affluent, Target::RatioAtLeast(1.0)),
            (Contender::AffluentOs, Target::RatioAtLeast(1.5)),
        ],
    },
    Measurement {
        id: "produce-p50",
        what: "— its latency, p50",
        unit: "ms",
        targets: &[],
    },
    Measurement {
        id: "produce-p99",
        what: "— its latency, p99",
        unit: "ms",
        targets: &[],
    },
    Measurement {
        id: "produce-cpu",
        what: "— broker CPU per GB produced",
        unit: "s",
        targets: &[(Contender::Affluent, Target::RatioAtMost(0.4))],
    },
    Measurement {
        id: "produce-client-cpu",
        what: "— client CPU per GB produced",
        unit: "s",
        targets: &[],
    },
    Measurement {
        id: "produce-rss",
        what: "— broker memory, peak",
        unit: "MB",
        targets: &[],
    },
    Measurement {
        id: "consume-rate",
        what: "consume from disk, Java ConsumerPerformance, 6 partitions",
        unit: "MiB/s",
        targets: &[(Contender::Affluent, Target::RatioAtLeast(1.5))],
    },
    Measurement {
        id: "consume-cpu",
        what: "— broker CPU per GB consumed",
        unit: "s",
        targets: &[(Contender::Affluent, Target::RatioAtMost(0.3))],
    },
    Measurement {
        id: "consume-client-cpu",
        what: "— client CPU per GB consumed",
        unit: "s",
        targets: &[],
    },
];

/// Of [`small`].
pub(crate) const SMALL_MEASUREMENTS: &[Measurement] = &[
    Measurement {
        id: "rate",
        what: "produce, 100-byte records, 16 KiB batches, `acks=all`, 6 partitions",
        unit: "records/s",
        targets: &[(Contender::Affluent, Target::RatioAtLeast(1.5))],
    },
    Measurement {
        id: "p99",
        what: "— its latency, p99",
        unit: "ms",
        targets: &[],
    },
    Measurement {
        id: "cpu",
        what: "— broker CPU per million records",
        unit: "s",
        targets: &[],
    },
    Measurement {
        id: "client-cpu",
        what: "— client CPU per million records",
        unit: "s",
        targets: &[],
    },
];

/// 1 KiB records in 64 KiB batches, then the same records read back with the page cache emptied.
pub(crate) fn large(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    let load = ProduceLoad {
        topic: TOPIC,
        records: hall.size(2_000_000, 100_000),
        record_bytes: 1_024,
        batch_bytes: 65_536,
        transaction_ms: None,
    };
    let warm_up = ProduceLoad {
        topic: WARM_UP_TOPIC,
        records: hall.size(400_000, 20_000),
        ..load
    };
    let gigabytes = load.records as f64 * f64::from(load.record_bytes) / 1e9;
    let broker = hall.start(contender, &[])?;
    for topic in [WARM_UP_TOPIC, TOPIC] {
        broker.create_topic(topic, PARTITIONS, contender.topic_configs())?;
    }
    java::produce(hall, &broker, warm_up)?;
    let before = broker.usage()?;
    let produced = java::produce(hall, &broker, load)?;
    let figures = produced.figures;
    let after = broker.usage()?;
    let mut samples = vec![
        Sample::new("produce-rate", figures.mib_per_second),
        Sample::new("produce-p50", figures.p50_ms),
        Sample::new("produce-p99", figures.p99_ms),
        Sample::new(
            "produce-cpu",
            (after.cpu - before.cpu).as_secs_f64() / gigabytes,
        ),
        Sample::new(
            "produce-client-cpu",
            produced.client_cpu.as_secs_f64() / gigabytes,
        ),
        Sample::new("produce-rss", after.rss_peak_bytes as f64 / 1e6),
    ];
    java::consume(hall, &broker, WARM_UP_TOPIC, warm_up.records)?;
    disk::evict(broker.directory())?;
    let before = broker.usage()?;
    let ran = java::consume(hall, &broker, TOPIC, load.records)?;
    let figures = ran.figures;
    let after = broker.usage()?;
    let consumed = figures.mib * 1_048_576.0 / 1e9;
    samples.push(Sample::new("consume-rate", figures.mib_per_second));
    samples.push(Sample::new(
        "consume-cpu",
        (after.cpu - before.cpu).as_secs_f64() / consumed,
    ));
    samples.push(Sample::new(
        "consume-client-cpu",
        ran.client_cpu.as_secs_f64() / consumed,
    ));
    Ok(samples)
}

/// 100-byte records in 16 KiB batches: what each request and each batch costs.
pub(crate) fn small(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    let load = ProduceLoad {
        topic: TOPIC,
        records: hall.size(6_000_000, 400_000),
        record_bytes: 100,
        batch_bytes: 16_384,
        transaction_ms: None,
    };
    let warm_up = ProduceLoad {
        topic: WARM_UP_TOPIC,
        records: hall.size(1_500_000, 100_000),
        ..load
    };
    let broker = hall.start(contender, &[])?;
    for topic in [WARM_UP_TOPIC, TOPIC] {
        broker.create_topic(topic, PARTITIONS, contender.topic_configs())?;
    }
    java::produce(hall, &broker, warm_up)?;
    let before = broker.usage()?;
    let produced = java::produce(hall, &broker, load)?;
    let figures = produced.figures;
    let after = broker.usage()?;
    Ok(vec![
        Sample::new("rate", figures.records_per_second),
        Sample::new("p99", figures.p99_ms),
        Sample::new(
            "cpu",
            (after.cpu - before.cpu).as_secs_f64() / (load.records as f64 / 1e6),
        ),
        Sample::new(
            "client-cpu",
            produced.client_cpu.as_secs_f64() / (load.records as f64 / 1e6),
        ),
    ])
}
