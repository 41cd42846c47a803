//! Log compaction: what a megabyte of log costs to clean.
//!
//! The records are written to a topic that is not compacted, then `cleanup.policy` is changed: all CPU time from
//! there until the log has its final size is the cleaner's. Its threads and buffers are each broker's defaults; only
//! the pause between two looks at the logs is short.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use testkit::Connection;
use testkit::calls::{self, Partition};
use wire::ErrorCode;
use wire::messages::DescribeLogDirsRequest;
use wire::record_batch::Compression;
use wire::record_data::{BatchOptions, RecordBatchBuilder};

use crate::contender::{Contender, Hall, Running};
use crate::report::{Measurement, Sample, Target};

const TOPIC: Partition<'static> = Partition {
    topic: "measured",
    index: 0,
};
/// `ConfigResource.Type.TOPIC`.
const TOPIC_RESOURCE: i8 = 2;
const VALUE_BYTES: usize = 1_000;
const RECORDS_PER_BATCH: u64 = 16;
const SEGMENT_BYTES: u64 = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(300);

const TWICE: &[(Contender, Target)] = &[(Contender::Affluent, Target::RatioAtLeast(2.0))];

/// Of [`run`].
pub(crate) const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        id: "plain",
        what: "compaction of 1 KB records, one in ten kept: MB of log cleaned per CPU second",
        unit: "MB/s",
        targets: TWICE,
    },
    Measurement {
        id: "lz4",
        what: "— batches compressed with lz4",
        unit: "MB/s",
        targets: TWICE,
    },
];

/// One round.
pub(crate) fn run(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    Ok(vec![
        Sample::new("plain", clean(hall, contender, Compression::None)?),
        Sample::new("lz4", clean(hall, contender, Compression::Lz4)?),
    ])
}

/// Megabytes of log, uncompressed, that a second of the broker's CPU time cleans.
fn clean(hall: &Hall, contender: Contender, compression: Compression) -> Result<f64> {
    let backoff = ("log.cleaner.backoff.ms".to_owned(), "100".to_owned());
    let broker = hall.start(contender, &[backoff])?;
    let mut connection = broker.connect()?;
    let segment_bytes = SEGMENT_BYTES.to_string();
    let configs = [
        ("cleanup.policy", "delete"),
        ("segment.bytes", segment_bytes.as_str()),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    broker.create_topic(TOPIC.topic, 1, &configs)?;
    let records: u64 = hall.size(1_000_000, 200_000);
    let keys = records / 10;
    fill(&mut connection, records, keys, compression)?;
    let full = size(&mut connection)?;
    let before = settled_usage(&broker)?;
    let compact = ("cleanup.policy", "compact");
    let (error, message) =
        calls::set_config(&mut connection, (TOPIC_RESOURCE, TOPIC.topic), compact)?;
    ensure!(
        error == ErrorCode::None,
        "the policy was not changed: {} {message}",
        error.name()
    );
    // What is left are the last value of each key and the active segment.
    let per_record = full as f64 / records as f64;
    let enough = (per_record * keys as f64) as u64 * 11 / 10 + SEGMENT_BYTES;
    wait_until_cleaned(&mut connection, enough)?;
    let cpu = (settled_usage(&broker)? - before).as_secs_f64();
    let cleaned = (full.saturating_sub(SEGMENT_BYTES)) as f64 / full as f64;
    let megabytes = cleaned * records as f64 * (VALUE_BYTES + 24) as f64 / 1e6;
    Ok(megabytes / cpu)
}

/// Keys in turn, so that each segment holds values that later ones replace.
fn fill(
    connection: &mut Connection,
    records: u64,
    keys: u64,
    compression: Compression,
) -> Result<()> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = 0;
    while next < records {
        let count = RECORDS_PER_BATCH.min(records - next);
        let batch = batch(next, count, keys, compression, &mut seed)?;
        let produced = calls::produce(connection, TOPIC, batch)?;
        ensure!(
            produced.error == ErrorCode::None,
            "Produce answered {} {}",
            produced.error.name(),
            produced.message
        );
        next += count;
    }
    Ok(())
}

/// Values of letters: half of them random, so that a codec has something to do and something to gain.
fn batch(
    first: u64,
    count: u64,
    keys: u64,
    compression: Compression,
    seed: &mut u64,
) -> Result<Bytes> {
    let mut builder = RecordBatchBuilder::new(BatchOptions {
        compression,
        ..Default::default()
    });
    let mut value = [b'x'; VALUE_BYTES];
    for index in first..first + count {
        for byte in value.iter_mut().step_by(2) {
            *seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = b'a' + (*seed >> 60) as u8;
        }
        let key = format!("key-{:012}", index % keys);
        builder.append(1_700_000_000_000, Some(key.as_bytes()), Some(&value), &[])?;
    }
    Ok(builder.finish()?)
}

/// The size of the log, as the broker says.
fn size(connection: &mut Connection) -> Result<u64> {
    let answer = connection.call(4, &DescribeLogDirsRequest { topics: None })?;
    let partition = answer
        .results
        .iter()
        .flat_map(|directory| &directory.topics)
        .find(|topic| topic.name == TOPIC.topic)
        .and_then(|topic| topic.partitions.first())
        .context("DescribeLogDirs does not know the topic")?;
    Ok(u64::try_from(partition.partition_size)?)
}

/// CPU time once the broker is at rest: what was still going on in the background is over.
fn settled_usage(broker: &Running) -> Result<Duration> {
    let begin = Instant::now();
    let mut last = broker.usage()?.cpu;
    while begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_secs(1));
        let now = broker.usage()?.cpu;
        if now - last < Duration::from_millis(50) {
            return Ok(now);
        }
        last = now;
    }
    bail!("the broker is not at rest after {PATIENCE:?}")
}

fn wait_until_cleaned(connection: &mut Connection, enough: u64) -> Result<()> {
    let begin = Instant::now();
    loop {
        let now = size(connection)?;
        if now <= enough {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            bail!("the log has {now} bytes after {PATIENCE:?}, not {enough}");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}
