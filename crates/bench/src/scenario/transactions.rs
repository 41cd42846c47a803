//! Transactions: how much goes through them, what one costs, and how long a record takes through an exactly-once
//! loop.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testkit::Connection;
use testkit::calls::{self, PRODUCE_VERSION};
use testkit::wait::retry;
use wire::ErrorCode;
use wire::messages::{EndTxnRequest, InitProducerIdRequest};
use wire::record_data::BatchOptions;

use crate::contender::{Contender, Hall};
use crate::java::{self, ProduceLoad};
use crate::report::{Measurement, Sample, Target};
use crate::stats::percentile;

const PARTITIONS: i32 = 6;
const TOPIC: &str = "measured";
const WARM_UP_TOPIC: &str = "warm-up";
const TRANSACTIONAL_ID: &str = "bench";
/// EndTxn with the epoch bump of KIP-890.
const END_TXN_VERSION: i16 = 5;
const PATIENCE: Duration = Duration::from_secs(60);

const RATE: &[(Contender, Target)] = &[(Contender::Affluent, Target::RatioAtLeast(1.5))];
const HALF: &[(Contender, Target)] = &[(Contender::Affluent, Target::RatioAtMost(0.5))];

/// Of [`throughput`].
pub(crate) const THROUGHPUT_MEASUREMENTS: &[Measurement] = &[
    Measurement {
        id: "rate-100ms",
        what: "transactional produce, Java ProducerPerformance, 1 KiB records, 64 KiB batches, 6 partitions, \
               100 ms transactions",
        unit: "MiB/s",
        targets: RATE,
    },
    Measurement {
        id: "cpu-100ms",
        what: "— broker CPU per GB",
        unit: "s",
        targets: &[],
    },
    Measurement {
        id: "rate-10ms",
        what: "— 10 ms transactions",
        unit: "MiB/s",
        targets: RATE,
    },
    Measurement {
        id: "cpu-10ms",
        what: "— broker CPU per GB",
        unit: "s",
        targets: &[],
    },
];

const fn micros(id: &'static str, what: &'static str, half: bool) -> Measurement {
    Measurement {
        id,
        what,
        unit: "µs",
        targets: if half { HALF } else { &[] },
    }
}

/// Of [`commit_latency`].
pub(crate) const COMMIT_MEASUREMENTS: &[Measurement] = &[
    micros(
        "commit-p50",
        "commit of a transaction of one record, one producer at most 200 a second, EndTxn to its answer, p50",
        true,
    ),
    micros("commit-p99", "— p99", true),
    micros(
        "whole-p50",
        "— from the record's Produce to the answer of EndTxn, p50",
        false,
    ),
    micros("whole-p99", "— p99", false),
];

/// Of [`exactly_once`].
pub(crate) const LOOP_MEASUREMENTS: &[Measurement] = &[
    micros(
        "p50",
        "consume-transform-produce exactly once, Java, 500 records a second, a transaction for each poll: from send \
         to a read_committed consumer, p50",
        false,
    ),
    micros("p99", "— p99", true),
    Measurement {
        id: "cpu",
        what: "— broker CPU per thousand records",
        unit: "s",
        targets: &[],
    },
];

/// `ProducerPerformance` with transactions of 100 ms and of 10 ms.
pub(crate) fn throughput(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    let broker = hall.start(contender, &[])?;
    for topic in [WARM_UP_TOPIC, TOPIC] {
        let configs = contender.topic_configs();
        broker.create_topic(topic, PARTITIONS, configs)?;
    }
    let load = |topic, records, transaction_ms| ProduceLoad {
        topic,
        records,
        record_bytes: 1_024,
        batch_bytes: 65_536,
        transaction_ms: Some(transaction_ms),
    };
    java::produce(
        hall,
        &broker,
        load(WARM_UP_TOPIC, hall.size(300_000, 10_000), 20),
    )?;
    let mut samples = Vec::new();
    for (transaction_ms, records) in [(100, 1_000_000), (10, 500_000)] {
        let records = hall.size(records, 20_000);
        let before = broker.usage()?;
        let produced = java::produce(hall, &broker, load(TOPIC, records, transaction_ms))?;
        let cpu = (broker.usage()?.cpu - before.cpu).as_secs_f64();
        let gigabytes = records as f64 * 1_024.0 / 1e9;
        let rate = produced.figures.mib_per_second;
        samples.push(Sample::new(&format!("rate-{transaction_ms}ms"), rate));
        samples.push(Sample::new(
            &format!("cpu-{transaction_ms}ms"),
            cpu / gigabytes,
        ));
    }
    Ok(samples)
}

/// A transactional producer that waits for each answer, without the pauses of a client's library.
struct Producer {
    connection: Connection,
    id: i64,
    epoch: i16,
    sequence: i32,
}

/// The times of one transaction in nanoseconds.
struct Times {
    commit: u64,
    whole: u64,
}

impl Producer {
    fn open(mut connection: Connection) -> Result<Producer> {
        let request = InitProducerIdRequest {
            transactional_id: Some(TRANSACTIONAL_ID.to_owned()),
            transaction_timeout_ms: 60_000,
            ..Default::default()
        };
        // The coordinator's topic is created by the first who asks for it.
        let (id, epoch) = retry("a producer id", PATIENCE, || {
            calls::find_transaction_coordinator(&mut connection, TRANSACTIONAL_ID)?;
            let answer = connection.call(4, &request)?;
            let error = calls::error_code(answer.error_code)?;
            ensure!(
                error == ErrorCode::None,
                "InitProducerId answered {}",
                error.name()
            );
            Ok((answer.producer_id, answer.producer_epoch))
        })?;
        Ok(Producer {
            connection,
            id,
            epoch,
            sequence: 0,
        })
    }

    /// One record in one partition, committed.
    fn transaction(&mut self, partition: i32) -> Result<Times> {
        let begin = Instant::now();
        self.produce(partition)?;
        let committing = Instant::now();
        let request = EndTxnRequest {
            transactional_id: TRANSACTIONAL_ID.to_owned(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed: true,
        };
        let answer = self.connection.call(END_TXN_VERSION, &request)?;
        let done = Instant::now();
        let error = calls::error_code(answer.error_code)?;
        ensure!(error == ErrorCode::None, "EndTxn answered {}", error.name());
        (self.id, self.epoch, self.sequence) = (answer.producer_id, answer.producer_epoch, 0);
        Ok(Times {
            commit: u64::try_from((done - committing).as_nanos())?,
            whole: u64::try_from((done - begin).as_nanos())?,
        })
    }

    /// A partition joins the transaction with its first batch. While the markers of the transaction before are on
    /// their way the answer is CONCURRENT_TRANSACTIONS, and that wait is part of what a transaction takes.
    fn produce(&mut self, partition: i32) -> Result<()> {
        let options = BatchOptions {
            producer_id: self.id,
            producer_epoch: self.epoch,
            base_sequence: self.sequence,
            transactional: true,
            ..Default::default()
        };
        let batch = calls::batch_of(options, 1_700_000_000_000, &[&[b'x'; 100]])?;
        let mut request = calls::produce_request(TOPIC, vec![(partition, batch)]);
        request.transactional_id = Some(TRANSACTIONAL_ID.to_owned());
        let begin = Instant::now();
        loop {
            let answer = self.connection.call(PRODUCE_VERSION, &request)?;
            let produced = calls::produced(answer)?;
            let produced = produced.first().context("Produce answered nothing")?;
            match produced.error {
                ErrorCode::None => break,
                ErrorCode::ConcurrentTransactions if begin.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_micros(100));
                }
                error => bail!("Produce answered {} {}", error.name(), produced.message),
            }
        }
        self.sequence += 1;
        Ok(())
    }
}

/// Transactions one after another, at most 200 a second.
pub(crate) fn commit_latency(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    let broker = hall.start(contender, &[])?;
    let configs = contender.topic_configs();
    broker.create_topic(TOPIC, PARTITIONS, configs)?;
    let mut producer = Producer::open(broker.connect()?)?;
    let (warm_up, count) = (hall.size(2_000, 100), hall.size(4_000, 300));
    let interval = Duration::from_millis(5);
    let mut commits = Vec::with_capacity(count);
    let mut wholes = Vec::with_capacity(count);
    let mut due = Instant::now();
    for index in 0..warm_up + count {
        let times = producer.transaction(i32::try_from(index)? % PARTITIONS)?;
        if index >= warm_up {
            commits.push(times.commit);
            wholes.push(times.whole);
        }
        due = (due + interval).max(Instant::now());
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let mut samples = Vec::new();
    for (name, mut times) in [("commit", commits), ("whole", wholes)] {
        times.sort_unstable();
        for percent in [50.0, 99.0] {
            let value = percentile(&times, percent).context("nothing was measured")?;
            samples.push(Sample::new(
                &format!("{name}-p{percent}"),
                value as f64 / 1e3,
            ));
        }
    }
    Ok(samples)
}

/// A Java consumer, transactional producer and `read_committed` reader in one process.
pub(crate) fn exactly_once(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    let broker = hall.start(contender, &[])?;
    for topic in ["loop-in", "loop-out"] {
        let configs = contender.topic_configs();
        broker.create_topic(topic, PARTITIONS, configs)?;
    }
    let (warm_up, records) = (hall.size(5_000, 500), hall.size(15_000, 1_000));
    let before = broker.usage()?;
    let times = java::exactly_once_loop(hall, &broker, warm_up, records)?;
    let cpu = (broker.usage()?.cpu - before.cpu).as_secs_f64();
    Ok(vec![
        Sample::new("p50", times.p50_us),
        Sample::new("p99", times.p99_us),
        Sample::new("cpu", cpu / (f64::from(warm_up + records) / 1e3)),
    ])
}
