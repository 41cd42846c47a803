//! A group of 500 members of the consumer protocol (KIP-848): how soon each has its partitions, and what a heartbeat
//! costs the broker.
//!
//! One connection a member. The client sends the heartbeats of all members, then reads all answers, and goes on at
//! once: the time to a stable assignment is the coordinator's, not that of the clients' heartbeat interval.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testkit::Connection;
use testkit::calls::{self, Partition};
use testkit::connection::decode_response;
use testkit::wait::retry;
use wire::ErrorCode;
use wire::messages::ConsumerGroupHeartbeatRequest;
use wire::messages::ConsumerGroupHeartbeatResponse;
use wire::messages::consumer_group_heartbeat_request::TopicPartitions;

use crate::contender::{Contender, Hall, Running};
use crate::report::{Measurement, Sample, Target};

const TOPIC: &str = "measured";
const GROUP: &str = "bench";
const VERSION: i16 = 1;
const PATIENCE: Duration = Duration::from_secs(180);

/// Of [`run`].
pub(crate) const MEASUREMENTS: &[Measurement] = &[
    Measurement {
        id: "stable",
        what: "a group of 500 members (consumer protocol) on 500 partitions: until each has its own",
        unit: "s",
        targets: &[(Contender::Affluent, Target::RatioAtMost(0.5))],
    },
    Measurement {
        id: "heartbeats",
        what: "— heartbeats per CPU second of the broker",
        unit: "1/s",
        targets: &[(Contender::Affluent, Target::RatioAtLeast(5.0))],
    },
    Measurement {
        id: "rate",
        what: "— heartbeats a second",
        unit: "1/s",
        targets: &[],
    },
];

/// One member as its client sees it.
struct Member {
    connection: Connection,
    id: String,
    epoch: i32,
    owned: Vec<TopicPartitions>,
    /// The coordinator does not know yet that the assignment was taken.
    unconfirmed: bool,
}

impl Member {
    fn request(&self) -> ConsumerGroupHeartbeatRequest {
        let joins = self.epoch == 0;
        ConsumerGroupHeartbeatRequest {
            group_id: GROUP.to_owned(),
            member_id: self.id.clone(),
            member_epoch: self.epoch,
            rebalance_timeout_ms: if joins { 300_000 } else { -1 },
            subscribed_topic_names: joins.then(|| vec![TOPIC.to_owned()]),
            topic_partitions: (joins || self.unconfirmed).then(|| self.owned.clone()),
            ..Default::default()
        }
    }

    /// Returns whether the answer changed anything.
    fn take(&mut self, answer: ConsumerGroupHeartbeatResponse) -> Result<bool> {
        let error = calls::error_code(answer.error_code)?;
        ensure!(
            error == ErrorCode::None,
            "a heartbeat of {} answered {} {}",
            self.id,
            error.name(),
            answer.error_message.unwrap_or_default()
        );
        let moved = answer.member_epoch != self.epoch;
        self.epoch = answer.member_epoch;
        self.unconfirmed = false;
        if let Some(assignment) = answer.assignment {
            self.owned = assignment
                .topic_partitions
                .into_iter()
                .map(|topic| TopicPartitions {
                    topic_id: topic.topic_id,
                    partitions: topic.partitions,
                })
                .collect();
            self.unconfirmed = true;
        }
        Ok(moved || self.unconfirmed)
    }

    fn partitions(&self) -> usize {
        self.owned.iter().map(|topic| topic.partitions.len()).sum()
    }
}

/// One heartbeat of each member. Returns how many were changed by the answer.
fn round(members: &mut [Member]) -> Result<usize> {
    for member in members.iter_mut() {
        let request = member.request();
        member.connection.send(VERSION, &request)?;
    }
    let mut changed = 0;
    for member in members {
        let frame = member
            .connection
            .receive()?
            .context("the broker closed the connection of a member")?;
        let (_, answer) = decode_response::<ConsumerGroupHeartbeatRequest>(VERSION, frame)?;
        changed += usize::from(member.take(answer)?);
    }
    Ok(changed)
}

/// One round.
pub(crate) fn run(hall: &Hall, contender: Contender) -> Result<Vec<Sample>> {
    let size: usize = hall.size(500, 50);
    let broker = hall.start(contender, &[])?;
    let mut connection = broker.connect()?;
    connection.set_limit(PATIENCE)?;
    broker.create_topic(TOPIC, i32::try_from(size)?, &[])?;
    // The coordinator's topic is created by the first who asks for it, and then loaded.
    let first = Partition {
        topic: TOPIC,
        index: 0,
    };
    retry("the group's coordinator", Duration::from_secs(60), || {
        calls::find_coordinator(&mut connection, GROUP)?;
        let (error, _) = calls::committed_offset(&mut connection, GROUP, first)?;
        ensure!(
            error == ErrorCode::None,
            "OffsetFetch answered {}",
            error.name()
        );
        Ok(())
    })?;
    let mut members = members(&broker, size)?;
    let stable = until_stable(&mut members)?;
    // A JVM compiles its code while these run.
    heartbeats(
        &mut members,
        hall.size(Duration::from_secs(8), Duration::from_secs(1)),
    )?;
    let before = broker.usage()?;
    let begin = Instant::now();
    let count = heartbeats(
        &mut members,
        hall.size(Duration::from_secs(8), Duration::from_secs(1)),
    )?;
    let elapsed = begin.elapsed().as_secs_f64();
    let cpu = (broker.usage()?.cpu - before.cpu).as_secs_f64();
    Ok(vec![
        Sample::new("stable", stable.as_secs_f64()),
        Sample::new("heartbeats", count as f64 / cpu),
        Sample::new("rate", count as f64 / elapsed),
    ])
}

fn members(broker: &Running, size: usize) -> Result<Vec<Member>> {
    (0..size)
        .map(|index| {
            let connection = broker.connect()?;
            connection.set_limit(PATIENCE)?;
            Ok(Member {
                connection,
                id: format!("member-{index:04}"),
                epoch: 0,
                owned: Vec::new(),
                unconfirmed: false,
            })
        })
        .collect()
}

/// From the first join until every member has one partition, has said so, and nothing moves any more.
fn until_stable(members: &mut [Member]) -> Result<Duration> {
    let begin = Instant::now();
    loop {
        let changed = round(members)?;
        let elapsed = begin.elapsed();
        let epoch = members.first().context("a group without members")?.epoch;
        let settled = members
            .iter()
            .all(|member| member.partitions() == 1 && member.epoch == epoch);
        if changed == 0 && settled {
            return Ok(elapsed);
        }
        if elapsed > PATIENCE {
            bail!("the assignment is not stable after {elapsed:?}: {changed} members still change");
        }
    }
}

/// Heartbeats for a while; returns how many.
fn heartbeats(members: &mut [Member], time: Duration) -> Result<u64> {
    let begin = Instant::now();
    let mut count = 0;
    while begin.elapsed() < time {
        ensure!(
            round(members)? == 0,
            "a stable group was given another assignment"
        );
        count += members.len() as u64;
    }
    Ok(count)
}
