//! The time of one durable request under a steady load, beside the raw write that is its floor.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::contender::{Contender, Hall};
use crate::disk;
use crate::latency::{self, Pace};
use crate::report::{Measurement, Sample, Target};
use crate::stats::percentile;

const PARTITIONS: i32 = 6;
const TOPIC: &str = "measured";

const HALF: &[(Contender, Target)] = &[(Contender::Affluent, Target::RatioAtMost(0.5))];
const TWICE_RAW: &[(Contender, Target)] = &[(Contender::Affluent, Target::AtMost(2.0))];

const fn micros(id: &'static str, what: &'static str) -> Measurement {
    Measurement {
        id,
        what,
        unit: "µs",
        targets: HALF,
    }
}

const RAW: Measurement = Measurement {
    id: "raw-p50",
    what: "— a raw journal write of that size at that pace, p50",
    unit: "µs",
    targets: &[],
};
const RAW_P99: Measurement = Measurement {
    id: "raw-p99",
    what: "— a raw journal write of that size at that pace, p99",
    unit: "µs",
    targets: &[],
};
const OVER_RAW: Measurement = Measurement {
    id: "over-raw-p50",
    what: "— p50 over the raw write's",
    unit: "times",
    targets: TWICE_RAW,
};
const OVER_RAW_P99: Measurement = Measurement {
    id: "over-raw-p99",
    what: "— p99 over the raw write's",
    unit: "times",
    targets: TWICE_RAW,
};

/// Of [`at_rate`].
pub(crate) const AT_RATE_MEASUREMENTS: &[Measurement] = &[
    micros(
        "p50",
        "produce latency at 20 MB/s (64 KiB batches, `acks=all`, 6 partitions), p50",
    ),
    micros("p99", "— p99"),
    micros("p99.9", "— p99.9"),
    RAW,
    RAW_P99,
    OVER_RAW,
    OVER_RAW_P99,
];

/// Of [`single`].
pub(crate) const SINGLE_MEASUREMENTS: &[Measurement] = &[
    micros(
        "p50",
        "produce latency at 1,000 single 100-byte records a second, p50",
    ),
    micros("p99", "— p99"),
    micros("p99.9", "— p99.9"),
    RAW,
    RAW_P99,
    OVER_RAW,
    OVER_RAW_P99,
];

/// 64 records of 1,000 bytes in a request, 312 requests a second.
pub(crate) fn at_rate(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    let pace = Pace {
        topic: TOPIC,
        partitions: PARTITIONS,
        records: 64,
        record_bytes: 1_000,
        interval: Duration::from_micros(3_200),
        warm_up: hall.size(3_000, 300),
        requests: hall.size(6_000, 900),
    };
    measure(hall, contender, pace)
}

/// One record of 100 bytes in a request, 1,000 requests a second.
pub(crate) fn single(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    let pace = Pace {
        topic: TOPIC,
        partitions: PARTITIONS,
        records: 1,
        record_bytes: 100,
        interval: Duration::from_millis(1),
        warm_up: hall.size(10_000, 1_000),
        requests: hall.size(20_000, 3_000),
    };
    measure(hall, contender, pace)
}

fn measure(hall: &Hall, contender: Contender, pace: Pace<'_>) -> Result<Vec<Sample>> {
    let broker = hall.start(contender, &[])?;
    broker.create_topic(TOPIC, PARTITIONS, contender.topic_configs())?;
    let times = latency::measure(broker.connect()?, pace)?;
    drop(broker);
    let micros = |sorted: &[u64], percent: f64| -> Result<f64> {
        Ok(percentile(sorted, percent).context("nothing was measured")? as f64 / 1e3)
    };
    let mut samples = Vec::new();
    for (id, percent) in [("p50", 50.0), ("p99", 99.0), ("p99.9", 99.9)] {
        samples.push(Sample::new(id, micros(&times, percent)?));
    }
    if contender == Contender::Affluent {
        let bytes = pace.records * pace.record_bytes + 256;
        let raw = disk::raw_write_times(&hall.directory, bytes, pace.interval, pace.requests / 2)?;
        for (id, over, percent) in [
            ("raw-p50", "over-raw-p50", 50.0),
            ("raw-p99", "over-raw-p99", 99.0),
        ] {
            let floor = micros(&raw, percent)?;
            samples.push(Sample::new(id, floor));
            samples.push(Sample::new(over, micros(&times, percent)? / floor));
        }
    }
    Ok(samples)
}
