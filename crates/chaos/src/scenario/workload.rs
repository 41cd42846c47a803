//! Clients under load around a fault: started together, stopped together, their history checked at the end.

use std::collections::BTreeMap;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use testkit::calls::{self, Partition, ReadStop};
use testkit::wait::{retry, wait_for};
use testkit::{Connection, Server};

use crate::consumer::{self, MemberOptions};
use crate::history::{Commit, History, Observed, Poll, RecordId, Send, Violation, check};
use crate::producer::Signals;
use crate::producer::librdkafka::{self, LibrdkafkaOptions};
use crate::producer::raw::{self, RawOptions};

/// The topic the clients write to.
pub const TOPIC: &str = "history";
const GROUP: &str = "readers";
const COMMIT_GROUP: &str = "committers";
/// How long the clients may make no progress at all.
const PROGRESS_LIMIT: Duration = Duration::from_secs(60);
/// Violations that are quoted in a verdict; their number is always told.
const QUOTED: usize = 5;

/// Which clients run.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Partitions of the topic.
    pub partitions: i32,
    /// Producers over bare frames.
    pub raw_producers: u32,
    /// Producers of librdkafka.
    pub librdkafka_producers: u32,
    /// Members of one consumer group.
    pub members: u32,
    /// Whether a client commits offsets and reads them back.
    pub committer: bool,
}

impl Default for Load {
    fn default() -> Load {
        Load {
            partitions: 4,
            raw_producers: 2,
            librdkafka_producers: 2,
            members: 2,
            committer: true,
        }
    }
}

/// Clients at work.
#[derive(Debug)]
pub struct Workload {
    load: Load,
    port: u16,
    signals: Signals,
    producers: Vec<JoinHandle<Result<Vec<Send>>>>,
    members: Vec<JoinHandle<Result<Vec<Poll>>>>,
    committer: Option<JoinHandle<Result<Vec<Commit>>>>,
}

impl Workload {
    /// Creates the topic, with segments that roll often, and starts the clients.
    ///
    /// # Errors
    /// When the topic cannot be created.
    pub fn start(server: &Server, load: Load) -> Result<Workload> {
        let configs = [
            ("segment.bytes", "1048576"),
            ("index.interval.bytes", "1024"),
            // The clients' clock and the broker's may be far apart on purpose.
            ("message.timestamp.after.max.ms", "9223372036854775807"),
        ];
        calls::create_topic(&mut server.connect()?, TOPIC, load.partitions, &configs)?;
        let signals = Signals::default();
        let port = server.port();
        let mut producers = Vec::new();
        for producer in 0..load.raw_producers {
            let options = RawOptions {
                port,
                topic: TOPIC.to_owned(),
                partitions: load.partitions,
                producer,
                batch_records: 1 + u64::from(producer) * 3,
                value_bytes: 200,
            };
            let signals = signals.clone();
            producers.push(thread::spawn(move || raw::run(options, signals)));
        }
        for producer in 0..load.librdkafka_producers {
            let options = LibrdkafkaOptions {
                bootstrap: server.bootstrap(),
                topic: TOPIC.to_owned(),
                partitions: load.partitions,
                producer: load.raw_producers + producer,
                value_bytes: 200,
            };
            let signals = signals.clone();
            producers.push(thread::spawn(move || librdkafka::run(&options, signals)));
        }
        let mut members = Vec::new();
        for consumer in 0..load.members {
            let options = MemberOptions {
                bootstrap: server.bootstrap(),
                topic: TOPIC.to_owned(),
                group: GROUP.to_owned(),
                consumer,
            };
            let signals = signals.clone();
            members.push(thread::spawn(move || {
                consumer::run_member(&options, &signals)
            }));
        }
        let committer = load.committer.then(|| {
            let signals = signals.clone();
            thread::spawn(move || {
                let partition = Partition {
                    topic: TOPIC,
                    index: 0,
                };
                consumer::run_committer(port, COMMIT_GROUP, partition, &signals)
            })
        });
        Ok(Workload {
            load,
            port,
            signals,
            producers,
            members,
            committer,
        })
    }

    /// Waits until `records` more are acknowledged.
    ///
    /// # Errors
    /// When nothing moves for a minute, or a producer has given up.
    pub fn wait_for_progress(&self, records: u64) -> Result<()> {
        let goal = self.signals.acknowledged() + records;
        wait_for("more records to be acknowledged", PROGRESS_LIMIT, || {
            if self.producers.iter().any(JoinHandle::is_finished) {
                bail!("a producer has given up");
            }
            Ok((self.signals.acknowledged() >= goal).then_some(()))
        })
        .map_err(|error| self.why(error))
    }

    /// A producer that has given up knows more than we do.
    fn why(&self, error: anyhow::Error) -> anyhow::Error {
        error.context(format!(
            "after {} acknowledged records",
            self.signals.acknowledged()
        ))
    }

    /// Stops the clients, waits for their last answers, and reads the whole log.
    ///
    /// # Errors
    /// The first a client ended with, or when the log cannot be read.
    pub fn finish(self) -> Result<History> {
        self.signals.stop();
        let mut history = History::default();
        for producer in self.producers {
            history.sends.extend(join(producer)?);
        }
        for member in self.members {
            history.polls.extend(join(member)?);
        }
        if let Some(committer) = self.committer {
            history
                .commits
                .insert(COMMIT_GROUP.to_owned(), join(committer)?);
        }
        let mut connection = Connection::open(self.port)?;
        history.logs = read_logs(&mut connection, self.load.partitions)?;
        Ok(history)
    }

    /// As [`Workload::finish`], for a run that failed: the error a client ended with, if one did.
    #[must_use]
    pub fn give_up(self, error: anyhow::Error) -> anyhow::Error {
        self.signals.stop();
        for producer in self.producers {
            if producer.is_finished()
                && let Err(cause) = join(producer)
            {
                return cause.context(error.to_string());
            }
        }
        error
    }
}

fn join<T>(handle: JoinHandle<Result<T>>) -> Result<T> {
    handle
        .join()
        .map_err(|_| anyhow!("a client's thread panicked"))?
}

/// Every partition from its first record to its last.
fn read_logs(connection: &mut Connection, partitions: i32) -> Result<BTreeMap<i32, Vec<Observed>>> {
    (0..partitions)
        .map(|index| {
            let partition = Partition {
                topic: TOPIC,
                index,
            };
            let read = retry("the partition to be readable", PROGRESS_LIMIT, || {
                let read = calls::read_partition(connection, partition, 0)?;
                ensure!(
                    read.stop == ReadStop::Complete,
                    "{partition} stopped: {:?}",
                    read.stop
                );
                Ok(read)
            })?;
            let log = read.records.into_iter().map(|record| Observed {
                offset: record.offset,
                id: record.value.as_deref().and_then(RecordId::from_value),
            });
            Ok((index, log.collect()))
        })
        .collect()
}

/// Checks a history: a sentence of what was checked, or an error that quotes what was broken.
///
/// # Errors
/// When a rule was broken.
pub fn judge(history: &History) -> Result<String> {
    let violations = check(history);
    if !violations.is_empty() {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for violation in &violations {
            *counts.entry(violation.rule.name()).or_default() += 1;
        }
        let quoted: Vec<String> = violations
            .iter()
            .take(QUOTED)
            .map(Violation::to_string)
            .collect();
        bail!("{counts:?}; {}", quoted.join("; "));
    }
    let polled: usize = history.polls.iter().map(|poll| poll.records.len()).sum();
    let logged: usize = history.logs.values().map(Vec::len).sum();
    let commits: usize = history.commits.values().map(Vec::len).sum();
    let acknowledged = history.acknowledged();
    ensure!(
        acknowledged > 0,
        "nothing was acknowledged: the experiment showed nothing"
    );
    Ok(format!(
        "{} records sent, {acknowledged} acknowledged, {logged} in the log, {polled} polled by group members, \
         {commits} commit steps: none lost, duplicated, reordered or changed; no committed offset went back",
        history.sends.len()
    ))
}

/// Fails when the broker logged a panic, or an alarm that is not expected.
///
/// # Errors
/// One that quotes the lines.
pub fn quiet(server: &Server, expected: &[&str]) -> Result<()> {
    server
        .expect_quiet_log(expected)
        .context("the broker's log")
}
