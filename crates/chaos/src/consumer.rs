//! A member of a consumer group (librdkafka) that reads along while the broker is killed, and a client that
//! commits offsets and asks for them again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use client::data::{
    BaseConsumer, ClientContext, Consumer as _, ConsumerContext, Message as _, Rebalance,
    consumer_config,
};
use testkit::Connection;
use testkit::calls::{self, Partition};
use testkit::wait::retry;
use wire::ErrorCode;

use crate::history::{Commit, Observed, Poll, RecordId};
use crate::producer::Signals;

const RECONNECT_LIMIT: Duration = Duration::from_secs(60);

/// What a group member reads.
#[derive(Clone, Debug)]
pub struct MemberOptions {
    /// `host:port` of the broker.
    pub bootstrap: String,
    /// The topic.
    pub topic: String,
    /// The group.
    pub group: String,
    /// The consumer's number in the history.
    pub consumer: u32,
}

#[derive(Debug, Default)]
struct Context {
    assignments: Arc<AtomicU64>,
}

impl ClientContext for Context {
    fn log(&self, _: client::data::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: client::data::DataError, _: &str) {}
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.assignments.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls until `signals` say stop, and commits what it read every so often.
///
/// # Errors
/// When librdkafka cannot be set up.
pub fn run_member(options: &MemberOptions, signals: &Signals) -> Result<Vec<Poll>> {
    let context = Context::default();
    let assignments = Arc::clone(&context.assignments);
    let consumer: BaseConsumer<Context> =
        consumer_config(&options.bootstrap, "chaos", &options.group)
            .set("auto.offset.reset", "earliest")
            .set("auto.commit.interval.ms", "100")
            .set("session.timeout.ms", "30000")
            .set("reconnect.backoff.ms", "5")
            .set("reconnect.backoff.max.ms", "50")
            .create_with_context(context)
            .context("librdkafka refused its configuration")?;
    consumer.subscribe(&[&options.topic])?;
    let mut polls: Vec<Poll> = Vec::new();
    while !signals.is_stopped() {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) else {
            continue;
        };
        let seen = Observed {
            offset: message.offset(),
            id: message.payload().and_then(RecordId::from_value),
        };
        let assignment = assignments.load(Ordering::SeqCst);
        let partition = message.partition();
        match polls.last_mut() {
            Some(last) if last.assignment == assignment && last.partition == partition => {
                last.records.push(seen);
            }
            _ => polls.push(Poll {
                consumer: options.consumer,
                assignment,
                partition,
                records: vec![seen],
            }),
        }
    }
    Ok(polls)
}

/// Commits growing offsets for a group without members and, after each broken connection, asks what is
/// committed.
///
/// # Errors
/// When the broker stays away too long or answers nonsense.
pub fn run_committer(
    port: u16,
    group: &str,
    partition: Partition<'_>,
    signals: &Signals,
) -> Result<Vec<Commit>> {
    let mut commits = Vec::new();
    let mut next = 1;
    while !signals.is_stopped() {
        let (mut connection, read) = reconnect(port, group, partition)?;
        commits.push(Commit::Read(read));
        while !signals.is_stopped() {
            commits.push(Commit::Asked(next));
            let answer = calls::commit_offset(&mut connection, group, partition, next);
            match answer {
                Ok(ErrorCode::None) => commits.push(Commit::Acked(next)),
                Ok(error) if !error.is_retriable() => {
                    bail!("OffsetCommit answered {}", error.name())
                }
                Ok(_) | Err(_) => break,
            }
            next += 1;
        }
        next += 1;
    }
    let (_, read) = reconnect(port, group, partition)?;
    commits.push(Commit::Read(read));
    Ok(commits)
}

/// Connects and asks for the committed offset, however long the coordinator loads.
fn reconnect(port: u16, group: &str, partition: Partition<'_>) -> Result<(Connection, i64)> {
    retry("the group's coordinator", RECONNECT_LIMIT, || {
        let mut connection = Connection::open(port)?;
        let error = calls::find_coordinator(&mut connection, group)?;
        ensure!(
            error == ErrorCode::None,
            "FindCoordinator answered {}",
            error.name()
        );
        let (error, offset) = calls::committed_offset(&mut connection, group, partition)?;
        ensure!(
            error == ErrorCode::None,
            "OffsetFetch answered {}",
            error.name()
        );
        Ok((connection, offset))
    })
}
