//! Fetching what is only in the remote store, beside reading the same objects from the same S3 server without a broker.
//!
//! The topic has one partition, so that one reader goes through one log: several would hide the latency of the store behind each
//! other. Everything is read a few times in turns, directly in two ways and through the broker with two clients; what is read again is
//! more than the broker keeps in memory.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use compat::cache::Cache;
use compat::object_server::ObjectServer;
use compat::seaweedfs::{self, SeaweedFs};
use compat::suite::Tier;
use testkit::calls::{self, FetchLimit, Partition};
use testkit::{Connection, Usage};
use wire::ErrorCode;
use wire::record_data::{BatchOptions, RecordBatchBuilder, batches};

use crate::contender::{Contender, Hall, Running};
use crate::direct::Direct;
use crate::java;
use crate::report::{Measurement, Sample, Target};
use crate::stats::median;

const TOPIC: Partition<'static> = Partition {
    topic: "measured",
    index: 0,
};
const PREFIX: &str = "bench";
const VALUE_BYTES: usize = 1_000;
const RECORDS_PER_BATCH: u64 = 64;
const SEGMENT_BYTES: u64 = 64 << 20;
/// What the broker reads at once, and how many of these reads it has on their way for one reader: its defaults.
const RANGE_BYTES: u64 = 8 << 20;
const RANGES_AT_ONCE: usize = 4;
/// `max.partition.fetch.bytes` of Java's consumer.
const FETCH_BYTES: i32 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(300);

/// Of [`run`].
pub(crate) const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        id: "direct-ranges",
        what: "objects of a tiered topic read from the S3 server without a broker, 4 ranges of 8 MiB at once",
        unit: "MB/s",
        targets: &[],
    },
    Measurement {
        id: "direct-whole",
        what: "— whole objects, one after the other",
        unit: "MB/s",
        targets: &[],
    },
    Measurement {
        id: "fetch",
        what: "the same records fetched from the broker, which has none of them locally, 1 MiB at a time",
        unit: "MB/s",
        targets: &[],
    },
    Measurement {
        id: "share",
        what: "— of the faster direct read",
        unit: "x",
        targets: &[(Contender::Affluent, Target::AtLeast(0.8))],
    },
    Measurement {
        id: "java",
        what: "— with Java ConsumerPerformance",
        unit: "MB/s",
        targets: &[],
    },
    Measurement {
        id: "direct-server-cpu",
        what: "CPU of the S3 server per GB read in ranges without a broker",
        unit: "s",
        targets: &[],
    },
    Measurement {
        id: "server-cpu",
        what: "— per GB fetched through the broker",
        unit: "s",
        targets: &[],
    },
    Measurement {
        id: "broker-cpu",
        what: "CPU of the broker per GB fetched",
        unit: "s",
        targets: &[],
    },
];

/// One round.
pub(crate) fn run(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    let scratch = tempfile::Builder::new()
        .prefix("bench-s3-")
        .tempdir_in(&hall.directory)?;
    let cache = Cache::from_env()?;
    seaweedfs::prepare(&cache, Tier::Full)?;
    let server = SeaweedFs::start(&cache, scratch.path())?;
    let mut properties = server.properties(PREFIX);
    for key in [
        "remote.log.manager.task.interval.ms",
        "log.retention.check.interval.ms",
    ] {
        properties.push((key.to_owned(), "200".to_owned()));
    }
    let broker = hall.start(contender, &properties)?;
    let end = fill(&broker, hall.size(3 << 30, 512 << 20))?;
    let direct = Direct::open(&server, PREFIX, ".log")?;
    let place = Place {
        hall,
        broker,
        server,
        direct,
        end,
    };
    let turns = (0..hall.size(3, 1)).map(|_| place.turn());
    summary(&turns.collect::<Result<Vec<Turn>>>()?)
}

/// What takes part.
struct Place<'a> {
    hall: &'a Hall,
    broker: Running,
    server: SeaweedFs,
    direct: Direct,
    /// The first offset that is local.
    end: i64,
}

/// The figures of one turn, by the measurement's id.
type Turn = Vec<(&'static str, f64)>;

impl Place<'_> {
    fn turn(&self) -> Result<Turn> {
        let megabytes = self.direct.bytes() as f64 / 1e6;
        let rate = |took: Duration| megabytes / took.as_secs_f64();
        let per_gb = |before: Usage, after: Usage| {
            (after.cpu - before.cpu).as_secs_f64() / (megabytes / 1e3)
        };
        let server = || Usage::of(self.server.pid());
        let before = server()?;
        let ranges = rate(self.direct.ranges(RANGE_BYTES, RANGES_AT_ONCE)?);
        let direct_server_cpu = per_gb(before, server()?);
        let before = (server()?, self.broker.usage()?);
        let fetch = rate(self.fetch_all()?);
        let server_cpu = per_gb(before.0, server()?);
        let broker_cpu = per_gb(before.1, self.broker.usage()?);
        let whole = rate(self.direct.whole()?);
        let records = u64::try_from(self.end)?;
        let java = java::consume(self.hall, &self.broker, TOPIC.topic, records)?;
        Ok(vec![
            ("direct-ranges", ranges),
            ("direct-whole", whole),
            ("fetch", fetch),
            ("share", fetch / ranges.max(whole)),
            ("java", java.figures.mib_per_second * 1.048_576),
            ("direct-server-cpu", direct_server_cpu),
            ("server-cpu", server_cpu),
            ("broker-cpu", broker_cpu),
        ])
    }

    /// Fetches all that is remote, one answer after the other, as a consumer does; how long it took.
    fn fetch_all(&self) -> Result<Duration> {
        let mut connection = self.broker.connect()?;
        let limit = FetchLimit {
            wait_ms: 500,
            bytes: FETCH_BYTES,
        };
        let begin = Instant::now();
        let (mut offset, mut bytes) = (0, 0);
        while offset < self.end {
            let fetched = calls::fetch(&mut connection, TOPIC, offset, limit)?;
            ensure!(
                fetched.error == ErrorCode::None,
                "Fetch answered {}",
                fetched.error.name()
            );
            ensure!(
                begin.elapsed() < PATIENCE,
                "offset {offset} does not come from the remote store"
            );
            for batch in batches(&fetched.records) {
                let (header, _) = batch?;
                offset = header.last_offset() + 1;
                bytes += header.size_in_bytes() as u64;
            }
        }
        let took = begin.elapsed();
        ensure!(
            bytes == self.direct.bytes(),
            "{bytes} bytes were fetched; the objects have {}",
            self.direct.bytes()
        );
        Ok(took)
    }
}

/// The median of each figure over the turns.
fn summary(turns: &[Turn]) -> Result<Vec<Sample>> {
    MEASUREMENTS
        .iter()
        .map(|measurement| {
            let figures = turns.iter().flatten();
            let values: Vec<f64> = figures
                .filter(|(id, _)| *id == measurement.id)
                .map(|(_, value)| *value)
                .collect();
            let middle = median(&values).context("nothing was measured")?;
            Ok(Sample::new(measurement.id, middle))
        })
        .collect()
}

/// Produces as many bytes and waits until only the active segment is local. Returns the first local offset.
fn fill(broker: &Running, bytes: u64) -> Result<i64> {
    let mut connection = broker.connect()?;
    let segment_bytes = SEGMENT_BYTES.to_string();
    let configs = [
        ("remote.storage.enable", "true"),
        ("segment.bytes", segment_bytes.as_str()),
        ("retention.ms", "-1"),
        ("local.retention.bytes", "1"),
        ("file.delete.delay.ms", "0"),
    ];
    calls::create_topic(&mut connection, TOPIC.topic, 1, &configs)?;
    let mut builder = RecordBatchBuilder::new(BatchOptions::default());
    for index in 0..RECORDS_PER_BATCH {
        let value = [b'a' + (index % 26) as u8; VALUE_BYTES];
        builder.append(1_700_000_000_000, None, Some(&value), &[])?;
    }
    let batch = builder.finish()?;
    let count = bytes / batch.len() as u64;
    for _ in 0..count {
        let produced = calls::produce(&mut connection, TOPIC, batch.clone())?;
        ensure!(
            produced.error == ErrorCode::None,
            "Produce answered {} {}",
            produced.error.name(),
            produced.message
        );
    }
    let in_segment = (SEGMENT_BYTES / batch.len() as u64 + 1) * RECORDS_PER_BATCH;
    let in_segment = i64::try_from(in_segment)?;
    wait_until_remote(&mut connection, in_segment)
}

fn wait_until_remote(connection: &mut Connection, local_records: i64) -> Result<i64> {
    let begin = Instant::now();
    let mut offset = |which| -> Result<i64> {
        let (error, offset) = calls::list_offset(connection, TOPIC, which)?;
        ensure!(error == ErrorCode::None, "ListOffsets: {}", error.name());
        Ok(offset)
    };
    loop {
        let local = offset(calls::EARLIEST_LOCAL)?;
        if offset(calls::LATEST)? - local <= local_records {
            return Ok(local);
        }
        if begin.elapsed() > PATIENCE {
            bail!("offset {local} is still local after {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
