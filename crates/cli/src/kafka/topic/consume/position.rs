//! Where a consumer without a group begins.

use client::data::{BaseConsumer, Consumer, Offset, TopicPartitionList};

use super::ConsumeArgs;
use super::watch::Watch;
use crate::failure::Outcome;

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

/// Gives the consumer its partitions.
pub(super) fn assign(
    consumer: &BaseConsumer<Watch>,
    topic: &str,
    partitions: &[i32],
    start: Start,
) -> Outcome {
    let offset = match start {
        Start::Earliest => Offset::Beginning,
        Start::Latest => Offset::End,
        Start::At(offset) => Offset::Offset(offset),
    };
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition_offset(topic, *partition, offset)?;
    }
    consumer.assign(&list)?;
    consumer.context().assigned();
    Ok(())
}
