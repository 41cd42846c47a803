//! What is there at the end: every partition as a reader of committed records sees it, and every committed offset.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use client::data::{
    BaseConsumer, Consumer as _, DataError, Message as _, Offset, TopicPartitionList,
    consumer_config,
};
use testkit::calls::{self, Partition};
use testkit::wait::retry;
use testkit::{Connection, Server};
use wire::ErrorCode;
use wire::messages::ListOffsetsRequest;
use wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};

use super::{GROUPS, Shared, TOPICS};
use crate::checker::{Event, Place, Seen};

/// Longer than the transactions' timeout and the broker's sweep for those that are over it.
const LIMIT: Duration = Duration::from_secs(60);
const READ_COMMITTED: i8 = 1;

/// Writes down what is there at the end.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(server: &Server, shared: &Shared) -> Result<()> {
    let mut connection = server.connect()?;
    for (group, _, topic) in GROUPS {
        for index in 0..shared.growth.partitions(topic) {
            let since = shared.recorder.count();
            let offset = retry("the committed offset", LIMIT, || {
                let partition = Partition { topic, index };
                let (error, offset) = calls::committed_offset(&mut connection, group, partition)?;
                ensure!(
                    error == ErrorCode::None,
                    "OffsetFetch answered {}",
                    error.name()
                );
                Ok(offset)
            })?;
            shared.recorder.record(Event::OffsetRead {
                group: (*group).to_owned(),
                place: Place::new(topic, index),
                offset,
                since,
            });
        }
    }
    for (topic, _) in TOPICS {
        for index in 0..shared.growth.partitions(topic) {
            let place = Place::new(topic, index);
            let (stable, end) = settled(&mut connection, &place)?;
            let records = records(shared, &place)?;
            shared.recorder.record(Event::Log {
                place,
                start: 0,
                stable,
                end,
                records,
            });
        }
    }
    Ok(())
}

/// The last stable offset and the high watermark, once they are the same; as they are when they never are.
fn settled(connection: &mut Connection, place: &Place) -> Result<(i64, i64)> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let stable = latest(connection, place, READ_COMMITTED)?;
        let end = latest(connection, place, 0)?;
        if stable == end || Instant::now() > deadline {
            return Ok((stable, end));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn latest(connection: &mut Connection, place: &Place, isolation_level: i8) -> Result<i64> {
    let request = ListOffsetsRequest {
        replica_id: -1,
        isolation_level,
        topics: vec![ListOffsetsTopic {
            name: place.topic.clone(),
            partitions: vec![ListOffsetsPartition {
                partition_index: place.partition,
                timestamp: -1,
                ..ListOffsetsPartition::default()
            }],
        }],
        ..ListOffsetsRequest::default()
    };
    let answer = connection.call(7, &request)?;
    let mut found = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let found = found.next().context("ListOffsets answered nothing")?;
    ensure!(
        found.error_code == 0,
        "ListOffsets answered {}",
        found.error_code
    );
    Ok(found.offset)
}

fn records(shared: &Shared, place: &Place) -> Result<Vec<Seen>> {
    let consumer: BaseConsumer = consumer_config(&shared.bootstrap, "chaos", "end")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()
        .context("librdkafka refused its configuration")?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&place.topic, place.partition, Offset::Beginning)?;
    consumer.assign(&list)?;
    let deadline = Instant::now() + LIMIT;
    let mut records = Vec::new();
    let mut seen = BTreeSet::new();
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let text = message.payload().and_then(|p| std::str::from_utf8(p).ok());
                let value = text.and_then(|text| text.parse().ok());
                let value = value.with_context(|| format!("{place} holds a stranger"))?;
                let offset = message.offset();
                ensure!(seen.insert(offset), "{place} gave offset {offset} twice");
                records.push(Seen { offset, value });
            }
            Some(Err(DataError::PartitionEOF(_))) => return Ok(records),
            Some(Err(_)) | None if Instant::now() < deadline => {}
            Some(Err(error)) => bail!("{place} cannot be read: {error}"),
            None => bail!("{place} cannot be read to its end"),
        }
    }
}
