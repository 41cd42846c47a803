//! The experiments, one file a kind.

mod compaction;
mod connections;
mod group;
mod lifecycle;
mod partitions;
mod registry;
mod request_latency;
mod rest_produce;
mod throughput;
mod tiered_fetch;
mod transactions;

use anyhow::{Context, Result};

use crate::contender::{Contender, Hall};
use crate::report::{Measurement, Sample};

/// One experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// 1 KiB records in 64 KiB batches on 6 partitions, then reading them back from disk.
    Throughput,
    /// 100-byte records in 16 KiB batches: how many requests and batches.
    SmallBatches,
    /// The time of one request at 20 MB/s in 64 KiB batches.
    LatencyAtRate,
    /// The time of one request at 1,000 single records a second.
    LatencySingle,
    /// From an empty directory to the first answer, and memory at rest.
    Start,
    /// After kill -9 with 1 GiB written.
    Restart,
    /// 10,000 partitions.
    Partitions,
    /// 2,000 idle connections.
    Connections,
    /// `ProducerPerformance` with transactions of 100 ms and 10 ms.
    Transactions,
    /// One producer that commits transactions of one record.
    CommitLatency,
    /// Consume, transform and produce, exactly once.
    ExactlyOnce,
    /// A group of 500 members.
    Group,
    /// What the log cleaner costs.
    Compaction,
    /// Reads, registrations, checks and a start of the Schema Registry.
    Registry,
    /// Records that are only in an S3 server, through the broker and without it.
    TieredFetch,
    /// One HTTP connection that streams records to the REST Proxy.
    RestProduce,
}

/// Every scenario, in the order of the table.
pub(crate) const ALL: &[Scenario] = &[
    Scenario::Throughput,
    Scenario::SmallBatches,
    Scenario::LatencyAtRate,
    Scenario::LatencySingle,
    Scenario::Start,
    Scenario::Restart,
    Scenario::Partitions,
    Scenario::Connections,
    Scenario::Transactions,
    Scenario::CommitLatency,
    Scenario::ExactlyOnce,
    Scenario::Group,
    Scenario::Compaction,
    Scenario::Registry,
    Scenario::TieredFetch,
    Scenario::RestProduce,
];

const BOTH: &[Contender] = &[Contender::Kafka, Contender::Affluent];
const AFFLUENT: &[Contender] = &[Contender::Affluent];
const ALL_THREE: &[Contender] = &[Contender::Kafka, Contender::Affluent, Contender::AffluentOs];

/// The scenarios with these names; `all` is every one.
pub(crate) fn select(names: &[String]) -> Result<Vec<Scenario>> {
    if names.iter().any(|name| name == "all") {
        return Ok(ALL.to_vec());
    }
    let known = || {
        ALL.iter()
            .map(|scenario| scenario.name())
            .collect::<Vec<_>>()
            .join(", ")
    };
    names
        .iter()
        .map(|name| {
            ALL.iter()
                .find(|scenario| scenario.name() == name)
                .copied()
                .with_context(|| {
                    format!(
                        "there is no scenario '{name}': use `all` or some of {}",
                        known()
                    )
                })
        })
        .collect()
}

impl Scenario {
    /// The name on the command line and in the ledger.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scenario::Throughput => "throughput",
            Scenario::SmallBatches => "small-batches",
            Scenario::LatencyAtRate => "latency-20mb",
            Scenario::LatencySingle => "latency-1k",
            Scenario::Start => "start",
            Scenario::Restart => "restart",
            Scenario::Partitions => "partitions",
            Scenario::Connections => "connections",
            Scenario::Transactions => "transactions",
            Scenario::CommitLatency => "commit-latency",
            Scenario::ExactlyOnce => "exactly-once",
            Scenario::Group => "group-500",
            Scenario::Compaction => "compaction",
            Scenario::Registry => "registry",
            Scenario::TieredFetch => "tiered-fetch",
            Scenario::RestProduce => "rest-produce",
        }
    }

    /// The brokers that take turns.
    pub(crate) fn contenders(self) -> &'static [Contender] {
        match self {
            Scenario::Throughput
            | Scenario::SmallBatches
            | Scenario::LatencyAtRate
            | Scenario::LatencySingle
            | Scenario::Transactions
            | Scenario::RestProduce => ALL_THREE,
            Scenario::Start
            | Scenario::Restart
            | Scenario::Partitions
            | Scenario::Connections
            | Scenario::CommitLatency
            | Scenario::ExactlyOnce
            | Scenario::Group
            | Scenario::Compaction => BOTH,
            // Apache Kafka brings neither a registry nor a remote store.
            Scenario::Registry | Scenario::TieredFetch => AFFLUENT,
        }
    }

    /// What it measures.
    pub(crate) fn measurements(self) -> &'static [Measurement] {
        match self {
            Scenario::Throughput => throughput::LARGE_MEASUREMENTS,
            Scenario::SmallBatches => throughput::SMALL_MEASUREMENTS,
            Scenario::LatencyAtRate => request_latency::AT_RATE_MEASUREMENTS,
            Scenario::LatencySingle => request_latency::SINGLE_MEASUREMENTS,
            Scenario::Start => lifecycle::START_MEASUREMENTS,
            Scenario::Restart => lifecycle::RESTART_MEASUREMENTS,
            Scenario::Partitions => partitions::MEASUREMENTS,
            Scenario::Connections => connections::MEASUREMENTS,
            Scenario::Transactions => transactions::THROUGHPUT_MEASUREMENTS,
            Scenario::CommitLatency => transactions::COMMIT_MEASUREMENTS,
            Scenario::ExactlyOnce => transactions::LOOP_MEASUREMENTS,
            Scenario::Group => group::MEASUREMENTS,
            Scenario::Compaction => compaction::MEASUREMENTS,
            Scenario::Registry => registry::MEASUREMENTS,
            Scenario::TieredFetch => tiered_fetch::MEASUREMENTS,
            Scenario::RestProduce => rest_produce::MEASUREMENTS,
        }
    }

    /// One round with one contender.
    pub(crate) fn run(self, hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
        match self {
            Scenario::Throughput => throughput::large(hall, contender),
            Scenario::SmallBatches => throughput::small(hall, contender),
            Scenario::LatencyAtRate => request_latency::at_rate(hall, contender),
            Scenario::LatencySingle => request_latency::single(hall, contender),
            Scenario::Start => lifecycle::start(hall, contender),
            Scenario::Restart => lifecycle::restart(hall, contender),
            Scenario::Partitions => partitions::run(hall, contender),
            Scenario::Connections => connections::run(hall, contender),
            Scenario::Transactions => transactions::throughput(hall, contender),
            Scenario::CommitLatency => transactions::commit_latency(hall, contender),
            Scenario::ExactlyOnce => transactions::exactly_once(hall, contender),
            Scenario::Group => group::run(hall, contender),
            Scenario::Compaction => compaction::run(hall, contender),
            Scenario::Registry => registry::run(hall, contender),
            Scenario::TieredFetch => tiered_fetch::run(hall, contender),
            Scenario::RestProduce => rest_produce::run(hall, contender),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_found_by_name_and_an_unknown_one_is_told_the_names() {
        assert_eq!(select(&["all".to_owned()]).unwrap().len(), ALL.len());
        assert_eq!(select(&["start".to_owned()]).unwrap(), [Scenario::Start]);
        let error = select(&["speed".to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("'speed'") && error.contains("latency-1k"),
            "{error}"
        );
    }

    #[test]
    fn measurement_ids_are_unique_within_a_scenario() {
        for scenario in ALL {
            let mut ids: Vec<&str> = scenario.measurements().iter().map(|m| m.id).collect();
            ids.sort_unstable();
            let count = ids.len();
            ids.dedup();
            assert_eq!(ids.len(), count, "{}", scenario.name());
        }
    }
}
