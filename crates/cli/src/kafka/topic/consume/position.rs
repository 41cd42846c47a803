//! Where a consumer without a group begins.

use std::collections::BTreeMap;

use client::admin::{OffsetSpec, TopicPartition};
use client::data::{BaseConsumer, Consumer, Offset, TopicPartitionList};

use super::ConsumeArgs;
use super::watch::Watch;
use crate::failure::{Failure, Outcome};
use crate::kafka::Context;

/// The first record to read of each partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// The oldest there is.
    Earliest,
    /// The next one written.
    Latest,
    /// This offset.
    At(i64),
}

impl Start {
    pub(super) fn of(args: &ConsumeArgs) -> Start {
        match args.offset {
            Some(offset) => Start::At(offset),
            None if args.from_beginning => Start::Earliest,
            None => Start::Latest,
        }
    }
}

/// All of a topic's partitions, or the one asked for.
pub(super) fn select(topic: &str, all: Vec<i32>, only: Option<i32>) -> Outcome<Vec<i32>> {
    match only {
        None => Ok(all),
        Some(partition) if all.contains(&partition) => Ok(vec![partition]),
        Some(partition) => Err(Failure::new(format!(
            "topic '{topic}' has no partition {partition}: expected 0 to {}",
            all.len().saturating_sub(1)
        ))),
    }
}

/// Gives the consumer its partitions.
///
/// Beginning and end are looked up first: librdkafka would do it too, but tries again only after half a second
/// when it does not know the leaders yet, which it never does at the start.
pub(super) fn assign(
    context: &Context,
    consumer: &BaseConsumer<Watch>,
    topic: &str,
    partitions: &[i32],
    start: Start,
) -> Outcome {
    let spec = match start {
        Start::Earliest => Some(OffsetSpec::Earliest),
        Start::Latest => Some(OffsetSpec::Latest),
        Start::At(_) => None,
    };
    let found = match spec {
        None => BTreeMap::new(),
        Some(spec) => {
            let keys: Vec<TopicPartition> = partitions
                .iter()
                .map(|partition| key(topic, *partition))
                .collect();
            context.with_admin(async |admin| Ok(admin.list_offsets(&keys, spec).await?))?
        }
    };
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        let offset = match (
            start,
            found.get(&key(topic, *partition)).and_then(|at| at.offset),
        ) {
            (Start::At(offset), _) | (_, Some(offset)) => Offset::Offset(offset),
            (Start::Earliest, None) => Offset::Beginning,
            (Start::Latest, None) => Offset::End,
        };
        list.add_partition_offset(topic, *partition, offset)?;
    }
    consumer.assign(&list)?;
    consumer.context().assigned();
    Ok(())
}

fn key(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition {
        topic: topic.to_owned(),
        partition,
    }
}
