//! Apache Kafka's own performance tools, run against every contender.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use compat::process;
use testkit::usage::children_cpu;

use crate::contender::{Hall, Running};

const TOOL_JVM: [&str; 2] = ["-Xms512M", "-Xmx1G"];
const TOOL_LIMIT: Duration = Duration::from_secs(900);

/// What `ProducerPerformance` is told to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProduceLoad<'a> {
    /// The topic.
    pub(crate) topic: &'a str,
    /// How many records.
    pub(crate) records: u64,
    /// The size of a record's value.
    pub(crate) record_bytes: u32,
    /// `batch.size`.
    pub(crate) batch_bytes: u32,
    /// How long each transaction lasts; none when `None`.
    pub(crate) transaction_ms: Option<u32>,
}

/// The last line of `ProducerPerformance`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ProduceFigures {
    /// Records a second.
    pub(crate) records_per_second: f64,
    /// MiB of values a second.
    pub(crate) mib_per_second: f64,
    /// Milliseconds from send to callback.
    pub(crate) p50_ms: f64,
    /// As above.
    pub(crate) p99_ms: f64,
}

/// The line of `ConsumerPerformance`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ConsumeFigures {
    /// MiB of values.
    pub(crate) mib: f64,
    /// MiB a second while fetching, the group's first rebalance left out.
    pub(crate) mib_per_second: f64,
}

/// What a tool said, and what it cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ran<T> {
    /// Its figures.
    pub(crate) figures: T,
    /// CPU time of the client, the start of its JVM included.
    pub(crate) client_cpu: Duration,
}

/// Runs `ProducerPerformance` with `acks=all`.
pub(crate) fn produce(
    hall: &Hall,
    broker: &Running,
    load: ProduceLoad<'_>,
) -> Result<Ran<ProduceFigures>> {
    let mut command = tool(hall, "org.apache.kafka.tools.ProducerPerformance", broker);
    command.args(["--topic", load.topic, "--throughput", "-1"]);
    command.arg("--num-records").arg(load.records.to_string());
    command
        .arg("--record-size")
        .arg(load.record_bytes.to_string());
    command.args(["--command-property", "acks=all"]);
    command
        .arg("--command-property")
        .arg(format!("batch.size={}", load.batch_bytes));
    if let Some(transaction_ms) = load.transaction_ms {
        command.args(["--transactional-id", "bench", "--transaction-duration-ms"]);
        command.arg(transaction_ms.to_string());
    }
    run(&mut command, parse_produce)
}

/// Runs `ConsumerPerformance` from the earliest offset.
pub(crate) fn consume(
    hall: &Hall,
    broker: &Running,
    topic: &str,
    records: u64,
) -> Result<Ran<ConsumeFigures>> {
    let mut command = tool(hall, "org.apache.kafka.tools.ConsumerPerformance", broker);
    command.args(["--topic", topic, "--timeout", "60000"]);
    command.arg("--num-records").arg(records.to_string());
    run(&mut command, parse_consume)
}

/// The time of a record through the loop, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LoopFigures {
    /// The median.
    pub(crate) p50_us: f64,
    /// The 99th percentile.
    pub(crate) p99_us: f64,
}

/// Runs `ExactlyOnceLoop`, which is our own, at 500 records a second.
pub(crate) fn exactly_once_loop(
    hall: &Hall,
    broker: &Running,
    warm_up: u32,
    records: u32,
) -> Result<LoopFigures> {
    let classes = hall.kafka.compile_runner()?;
    let mut command = hall.kafka.java_with(&[&classes], &TOOL_JVM);
    command.arg("ExactlyOnceLoop").arg(broker.bootstrap());
    command.args([warm_up.to_string(), records.to_string(), "500".to_owned()]);
    Ok(run(&mut command, parse_loop)?.figures)
}

/// Runs a tool and reads its last line of figures.
fn run<T>(command: &mut Command, parse: fn(&str) -> Option<T>) -> Result<Ran<T>> {
    let before = children_cpu()?;
    let output = process::run(command, b"", TOOL_LIMIT)?.ok()?.stdout_text();
    let client_cpu = children_cpu()?.saturating_sub(before);
    let figures = output.lines().rev().find_map(parse).with_context(|| {
        let tail = process::tail(&output, 4);
        format!("the tool wrote no figures: {tail}")
    })?;
    Ok(Ran {
        figures,
        client_cpu,
    })
}

fn tool(hall: &Hall, class: &str, broker: &Running) -> Command {
    let mut command = hall.kafka.java(&TOOL_JVM);
    command
        .arg(class)
        .arg("--bootstrap-server")
        .arg(broker.bootstrap());
    command
}

/// `2000000 records sent, 165000.0 records/sec (157.36 MB/sec), 12.3 ms avg latency, 345.00 ms max latency,
/// 1 ms 50th, 2 ms 95th, 3 ms 99th, 4 ms 99.9th.` Lines in between have no percentiles.
fn parse_produce(line: &str) -> Option<ProduceFigures> {
    let before = |what: &str| -> Option<f64> {
        let (head, _) = line.split_once(what)?;
        head.rsplit([' ', '(']).next()?.parse().ok()
    };
    Some(ProduceFigures {
        records_per_second: before(" records/sec")?,
        mib_per_second: before(" MB/sec")?,
        p50_ms: before(" ms 50th")?,
        p99_ms: before(" ms 99th")?,
    })
}

/// `start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, rebalance.time.ms,
/// fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec`
fn parse_consume(line: &str) -> Option<ConsumeFigures> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
    (fields.len() == 10)
        .then(|| {
            Some(ConsumeFigures {
                mib: number(2)?,
                mib_per_second: number(8)?,
            })
        })
        .flatten()
}

/// `records 15000 p50-us 4321.0 p99-us 9876.5`
fn parse_loop(line: &str) -> Option<LoopFigures> {
    let mut words = line.strip_prefix("records ")?.split(' ').skip(1);
    let mut figure = |name: &str| -> Option<f64> {
        (words.next()? == name).then_some(())?;
        words.next()?.parse().ok()
    };
    Some(LoopFigures {
        p50_us: figure("p50-us")?,
        p99_us: figure("p99-us")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_final_line_of_the_producer_is_told_from_the_others() {
        let progress = "824 records sent, 164.8 records/sec (0.16 MB/sec), 1.1 ms avg latency, 9.0 ms max latency.";
        assert_eq!(parse_produce(progress), None);
        let last = "2000000 records sent, 165000.5 records/sec (157.36 MB/sec), 12.30 ms avg latency, \
                    345.00 ms max latency, 1 ms 50th, 2 ms 95th, 3 ms 99th, 4 ms 99.9th.";
        let expected = ProduceFigures {
            records_per_second: 165_000.5,
            mib_per_second: 157.36,
            p50_ms: 1.0,
            p99_ms: 3.0,
        };
        assert_eq!(parse_produce(last), Some(expected));
    }

    #[test]
    fn the_line_of_the_loop_is_read() {
        let expected = LoopFigures {
            p50_us: 4_321.0,
            p99_us: 9_876.5,
        };
        let line = "records 15000 p50-us 4321.0 p99-us 9876.5";
        assert_eq!(parse_loop(line), Some(expected));
        assert_eq!(parse_loop("records 15000 p99-us 1.0 p50-us 2.0"), None);
    }

    #[test]
    fn the_figures_of_the_consumer_are_told_from_their_heading() {
        let heading = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, \
                       rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec";
        assert_eq!(parse_consume(heading), None);
        let line = "2026-01-01 10:00:00:123, 2026-01-01 10:00:09:123, 1953.1250, 217.0, 2000000, 222222.2, \
                    3100, 5900, 331.0381, 338983.0";
        let figures = parse_consume(line).unwrap();
        assert_eq!(
            figures,
            ConsumeFigures {
                mib: 1953.125,
                mib_per_second: 331.0381
            }
        );
    }
}
