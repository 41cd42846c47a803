//! Starting on nothing, and starting again after kill -9.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use testkit::calls::{self, LATEST, Partition};
use wire::ErrorCode;

use crate::contender::{Contender, Hall, Running};
use crate::java::{self, ProduceLoad};
use crate::report::{Measurement, Sample, Target};

const TOPIC: &str = "measured";
const PARTITIONS: i32 = 6;

/// Of [`start`].
pub(crate) const START_MEASUREMENTS: &[Measurement] = &[
    Measurement {
        id: "time",
        what: "start on an empty directory, to the first answer to Metadata",
        unit: "ms",
        targets: &[(Contender::Affluent, Target::AtMost(150.0))],
    },
    Measurement {
        id: "rss",
        what: "— memory at rest",
        unit: "MB",
        targets: &[(Contender::Affluent, Target::AtMost(50.0))],
    },
];

/// Of [`restart`].
pub(crate) const RESTART_MEASUREMENTS: &[Measurement] = &[
    Measurement {
        id: "time",
        what: "restart after kill -9 with 1 GiB not yet checkpointed, to the first answer",
        unit: "s",
        targets: &[(Contender::Affluent, Target::AtMost(2.0))],
    },
    Measurement {
        id: "served",
        what: "— until every partition answers with its end offset",
        unit: "s",
        targets: &[],
    },
];

/// Starts on an empty directory and looks at the memory when nothing happens.
pub(crate) fn start(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    let broker = hall.start(contender, &[])?;
    // What is measured is rest: background work of the start is to be over.
    thread::sleep(Duration::from_secs(3));
    let usage = broker.usage()?;
    Ok(vec![
        Sample::new("time", broker.start_time().as_secs_f64() * 1e3),
        Sample::new("rss", usage.rss_bytes as f64 / 1e6),
    ])
}

/// Writes 1 GiB with checkpoints put off, kills the broker, and starts it again.
pub(crate) fn restart(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    let records: u64 = hall.size(1 << 20, 1 << 16);
    let mut broker = hall.start(contender, &no_checkpoint(contender))?;
    broker.create_topic(TOPIC, PARTITIONS, contender.topic_configs())?;
    let load = ProduceLoad {
        topic: TOPIC,
        records,
        record_bytes: 1_024,
        batch_bytes: 65_536,
        transaction_ms: None,
    };
    java::produce(hall, &broker, load)?;
    let begin = std::time::Instant::now();
    broker.kill_and_restart()?;
    let time = broker.start_time();
    let stopping = begin.elapsed().saturating_sub(time);
    let found = end_offsets(&broker)?;
    let served = begin.elapsed().saturating_sub(stopping);
    ensure!(
        found >= i64::try_from(records)?,
        "{found} records are left of {records}"
    );
    Ok(vec![
        Sample::new("time", time.as_secs_f64()),
        Sample::new("served", served.as_secs_f64()),
    ])
}

/// Apache Kafka checkpoints nothing that would matter here: it re-reads the segments after its recovery point.
fn no_checkpoint(contender: Contender) -> Vec<(String, String)> {
    if contender == Contender::Kafka {
        return Vec::new();
    }
    [
        ("journal.checkpoint.bytes", "2147483648"),
        ("journal.checkpoint.interval.ms", "3600000"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .to_vec()
}

/// The sum of the end offsets, once every partition answers.
fn end_offsets(broker: &Running) -> Result<i64> {
    let mut connection = broker.connect()?;
    let mut sum = 0;
    for index in 0..PARTITIONS {
        let limit = Duration::from_secs(60);
        sum += testkit::wait::retry("an end offset", limit, || {
            let partition = Partition {
                topic: TOPIC,
                index,
            };
            let (error, offset) = calls::list_offset(&mut connection, partition, LATEST)?;
            ensure!(
                error == ErrorCode::None,
                "{partition} answers {}",
                error.name()
            );
            Ok(offset)
        })?;
    }
    Ok(sum)
}
