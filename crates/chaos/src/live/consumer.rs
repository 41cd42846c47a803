//! Members of groups: readers that commit what they read, and exactly-once loops.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use client::data::{
    BaseConsumer, ClientContext, CommitMode, Consumer as _, ConsumerContext, Message as _, Offset,
    Rebalance, TopicPartitionList, consumer_config,
};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::producer::Transactional;
use super::{OUTPUT, Shared};
use crate::checker::{Event, Place, Seen, Source, TxnOutcome};

const CALL: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(90);

/// Which member.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) name: String,
    pub(super) group: &'static str,
    pub(super) protocol: &'static str,
    pub(super) topic: &'static str,
    pub(super) number: u32,
    pub(super) seed: u64,
}

/// Writes the moves of a group down.
#[derive(Debug)]
struct Context {
    shared: Shared,
    member: String,
    group: String,
    held: Arc<Mutex<BTreeSet<Place>>>,
}

fn places(list: &TopicPartitionList) -> Vec<Place> {
    let elements = list.elements();
    let place =
        |one: &client::data::TopicPartitionListElem<'_>| Place::new(one.topic(), one.partition());
    elements.iter().map(place).collect()
}

impl Context {
    fn revoke(&self, places: Vec<Place>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|place| !places.contains(place));
        self.shared.recorder.record(Event::Revoked {
            member: self.member.clone(),
            group: self.group.clone(),
            places,
        });
    }
}

impl ClientContext for Context {
    fn log(&self, _: client::data::RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: client::data::DataError, _: &str) {}
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        match rebalance {
            Rebalance::Assign(list) => {
                let places = places(list);
                self.shared.growth.assigned(&self.group, &places);
                let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
                held.extend(places.iter().cloned());
                self.shared.recorder.record(Event::Assigned {
                    member: self.member.clone(),
                    group: self.group.clone(),
                    generation: None,
                    places,
                });
            }
            Rebalance::Revoke(list) => self.revoke(places(list)),
            Rebalance::Error(_) => {}
        }
    }
}

fn create(shared: &Shared, options: &Options) -> Result<BaseConsumer<Context>> {
    let context = Context {
        shared: shared.clone(),
        member: options.name.clone(),
        group: options.group.to_owned(),
        held: Arc::default(),
    };
    let mut config = consumer_config(&shared.bootstrap, "chaos", options.group);
    config
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("group.protocol", options.protocol)
        .set("reconnect.backoff.ms", "5")
        .set("reconnect.backoff.max.ms", "50")
        // A classic group hears of new partitions from its members.
        .set("topic.metadata.refresh.interval.ms", "500");
    if options.protocol == "classic" {
        config.set("session.timeout.ms", "30000");
    }
    let consumer: BaseConsumer<Context> = config
        .create_with_context(context)
        .context("librdkafka refused its configuration")?;
    consumer.subscribe(&[options.topic])?;
    Ok(consumer)
}

/// Ends a member: it holds nothing any more before the group hears of it.
fn close(consumer: BaseConsumer<Context>) {
    let context = consumer.context();
    let held = context
        .held
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    if !held.is_empty() {
        context.revoke(held.into_iter().collect());
    }
    drop(consumer);
}

/// One record, written down as soon as it is there: a rebalance can only come with the next poll.
fn poll(
    consumer: &BaseConsumer<Context>,
    shared: &Shared,
    name: &str,
    txn: Option<u64>,
) -> Option<(Place, Seen)> {
    let message = consumer.poll(Duration::from_millis(50))?.ok()?;
    let value = std::str::from_utf8(message.payload()?).ok()?.parse().ok()?;
    let place = Place::new(message.topic(), message.partition());
    let seen = Seen {
        offset: message.offset(),
        value,
    };
    shared.recorder.record(Event::Poll {
        consumer: name.to_owned(),
        committed_only: true,
        txn,
        place: place.clone(),
        records: vec![seen],
    });
    Some((place, seen))
}

fn offsets(place: &Place, offset: i64) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&place.topic, place.partition, Offset::Offset(offset))?;
    Ok(list)
}

/// Reads, commits now and then, and restarts.
///
/// # Errors
/// When librdkafka cannot be set up.
pub(super) fn run_member(shared: &Shared, options: &Options) -> Result<()> {
    let mut random = SmallRng::seed_from_u64(options.seed ^ u64::from(options.number));
    let mut consumer = create(shared, options)?;
    while !shared.is_stopped() {
        if let Some((place, seen)) = poll(&consumer, shared, &options.name, None)
            && random.random_bool(0.05)
        {
            let (group, offset) = (options.group.to_owned(), seen.offset + 1);
            shared.recorder.record(Event::OffsetAsked {
                group: group.clone(),
                place: place.clone(),
                offset,
                txn: None,
            });
            let list = offsets(&place, offset)?;
            if consumer.commit(&list, CommitMode::Sync).is_ok() {
                shared.recorder.record(Event::OffsetCommitted {
                    group,
                    place,
                    offset,
                });
            }
        }
        if random.random_bool(0.0002) {
            close(consumer);
            consumer = create(shared, options)?;
        }
    }
    close(consumer);
    Ok(())
}

/// Consumes, transforms and produces, one record in a transaction.
///
/// # Errors
/// When a client cannot go on.
pub(super) fn run_loop(shared: &Shared, options: &Options) -> Result<()> {
    let mut random = SmallRng::seed_from_u64(options.seed ^ u64::from(options.number));
    let mut producer = Transactional::new(shared, options.number, options.seed)?;
    let mut consumer = create(shared, options)?;
    while !shared.is_stopped() {
        let Some((place, seen)) = poll(&consumer, shared, &options.name, None) else {
            continue;
        };
        let txn = producer.begin()?;
        let taken = producer.send(
            OUTPUT,
            Some(Source {
                group: options.group.to_owned(),
                place: place.clone(),
                offset: seen.offset,
            }),
        );
        let next = seen.offset + 1;
        shared.recorder.record(Event::OffsetAsked {
            group: options.group.to_owned(),
            place: place.clone(),
            offset: next,
            txn: Some(txn),
        });
        let metadata = consumer.group_metadata();
        let metadata = metadata.context("the consumer has no group")?;
        let sent = producer.send_offsets(&offsets(&place, next)?, &metadata);
        let commit = taken && sent.is_ok() && random.random_bool(0.95);
        match producer.end(commit)? {
            TxnOutcome::Committed => {}
            TxnOutcome::Aborted | TxnOutcome::Unknown => back(shared, &consumer, options, &place)?,
        }
        if random.random_bool(0.001) {
            close(consumer);
            consumer = create(shared, options)?;
        }
    }
    close(consumer);
    Ok(())
}

/// Goes back to what is committed, if the member still has the partition.
fn back(
    shared: &Shared,
    consumer: &BaseConsumer<Context>,
    options: &Options,
    place: &Place,
) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition(&place.topic, place.partition);
    let committed = loop {
        match consumer.committed_offsets(wanted.clone(), CALL) {
            Ok(list) => {
                break list
                    .find_partition(&place.topic, place.partition)
                    .map(|e| e.offset());
            }
            Err(_) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            Err(error) => bail!("{}: no committed offset: {error}", options.name),
        }
    };
    let to = match committed {
        Some(Offset::Offset(offset)) => Offset::Offset(offset),
        _ => Offset::Beginning,
    };
    shared.recorder.record(Event::Seek {
        consumer: options.name.clone(),
        place: place.clone(),
    });
    // Fails when the partition has been taken away meanwhile: then another member goes on with it.
    consumer.seek(&place.topic, place.partition, to, CALL).ok();
    Ok(())
}
