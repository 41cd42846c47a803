//! The oldest records of a topic's partitions, as JSON.
//!
//! A record that names a schema of the registry is decoded by it; another is JSON, or text where it is not. Where each
//! partition ends is looked up before anything is read, so that reading ends though others write on.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use client::admin::{OffsetSpec, TopicPartition};
use client::data::{self, BaseConsumer, Consumer, DataError, Message, Offset};
use client::data::{RDKafkaErrorCode, TopicPartitionList};
use client::{Admin, AdminOptions};
use schema::serde::framing::{KEY_HEADER, VALUE_HEADER};
use schema::serde::{Frame, SchemaId};
use schema::{RecordReader, SchemaType};
use serde_json::Value as Json;

use super::infer::InferArgs;
use crate::failure::{Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::progress::Progress;
use crate::registry::Context;

/// How long one wait may be before Ctrl-C is looked for.
const TICK: Duration = Duration::from_millis(100);
/// How long nothing may come before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many schemas are kept.
const SCHEMAS_MAX: usize = 1_000;

/// What was not looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sample {
    /// Records without a value (or a key, where keys are looked at).
    pub(super) nulls: u64,
    /// Records that name a schema and are not of it.
    pub(super) unreadable: u64,
}

/// The offsets to read of each partition: from the first, up to and without the second.
type Ranges = BTreeMap<i32, (i64, i64)>;

/// Gives every record of the sample to `take`.
pub(super) fn read(
    context: &Context,
    args: &InferArgs,
    take: &mut dyn FnMut(&Json),
) -> Outcome<Sample> {
    let (brokers, mut ranges) = context.wait_for(ranges(args))?;
    let interrupt = Interrupt::listen()?;
    let consumer = consumer(&brokers, &args.topic, &ranges)?;
    let progress = Progress::open_ended("records");
    let mut decoder = Decoder::default();
    let mut sample = Sample::default();
    let mut records = 0;
    let mut heard = Instant::now();
    while !ranges.is_empty() && !interrupt.is_asked() {
        let message = match consumer.poll(TICK) {
            None if heard.elapsed() > PATIENCE => {
                return Err(Failure::new(format!(
                    "topic '{}' has records that no broker gives",
                    args.topic
                )));
            }
            None => continue,
            Some(Ok(message)) => message,
            Some(Err(DataError::PartitionEOF(partition))) => {
                ranges.remove(&partition);
                continue;
            }
            Some(Err(error)) if is_passing(&error) => continue,
            Some(Err(error)) => return Err(error.into()),
        };
        heard = Instant::now();
        let Some(&(_, end)) = ranges.get(&message.partition()) else {
            continue;
        };
        if message.offset() + 1 >= end {
            ranges.remove(&message.partition());
            if message.offset() >= end {
                continue;
            }
        }
        records += 1;
        progress.set(records);
        match decoder.decode(context, &message, args.key)? {
            Decoded::Null => sample.nulls += 1,
            Decoded::Unreadable => sample.unreadable += 1,
            Decoded::Json(record) => take(&record),
        }
    }
    Ok(sample)
}

/// Brokers that are away may come back.
fn is_passing(error: &DataError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
        )
    )
}

/// The brokers, and which records are looked at.
async fn ranges(args: &InferArgs) -> Outcome<(String, Ranges)> {
    let admin = Admin::connect(&args.bootstrap, AdminOptions::default()).await?;
    let located = crate::kafka::locate(&admin, &args.topic).await?;
    let keys: Vec<TopicPartition> = located
        .partitions
        .iter()
        .map(|partition| TopicPartition {
            topic: args.topic.clone(),
            partition: *partition,
        })
        .collect();
    let starts = admin.list_offsets(&keys, OffsetSpec::Earliest).await?;
    let ends = admin.list_offsets(&keys, OffsetSpec::Latest).await?;
    let count = u64::try_from(keys.len().max(1)).unwrap_or(1);
    let share = i64::try_from(args.max_records.div_ceil(count)).unwrap_or(i64::MAX);
    let mut ranges = Ranges::new();
    for key in &keys {
        let start = starts.get(key).and_then(|found| found.offset).unwrap_or(0);
        let end = ends
            .get(key)
            .and_then(|found| found.offset)
            .unwrap_or(start);
        let end = end.min(start.saturating_add(share));
        if end > start {
            ranges.insert(key.partition, (start, end));
        }
    }
    Ok((located.brokers, ranges))
}

fn consumer(brokers: &str, topic: &str, ranges: &Ranges) -> Outcome<BaseConsumer> {
    let mut config = data::consumer_config(brokers, "affluent-cli", "affluent-cli");
    config
        .set("auto.offset.reset", "error")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create()?;
    let mut list = TopicPartitionList::with_capacity(ranges.len());
    for (partition, (start, _)) in ranges {
        list.add_partition_offset(topic, *partition, Offset::Offset(*start))?;
    }
    consumer.assign(&list)?;
    Ok(consumer)
}

enum Decoded {
    Null,
    Unreadable,
    Json(Json),
}

/// Decodes records, with the schemas it has met.
#[derive(Debug, Default)]
struct Decoder {
    schemas: HashMap<SchemaId, Option<RecordReader>>,
}

impl Decoder {
    fn decode(
        &mut self,
        context: &Context,
        message: &impl Message,
        of_key: bool,
    ) -> Outcome<Decoded> {
        use client::data::Headers;
        let bytes = if of_key {
            message.key()
        } else {
            message.payload()
        };
        let Some(bytes) = bytes else {
            return Ok(Decoded::Null);
        };
        let wanted = if of_key { KEY_HEADER } else { VALUE_HEADER };
        let header = message.headers().and_then(|headers| {
            // The last one counts, as for Confluent's deserialisers.
            let all = headers.iter();
            all.filter(|header| header.key == wanted).last()?.value
        });
        let framed = Frame::read_dual(header, bytes, SchemaType::Avro);
        if let Ok((frame, _)) = framed
            && let Some(reader) = self.reader(context, frame.schema)?
        {
            let read = Frame::read_dual(header, bytes, reader.schema().schema_type()).ok();
            let record = read
                .and_then(|(frame, payload)| reader.to_json(&frame.message_indexes, payload).ok());
            return Ok(record.map_or(Decoded::Unreadable, Decoded::Json));
        }
        Ok(match serde_json::from_slice(bytes) {
            Ok(json) => Decoded::Json(json),
            Err(_) => match std::str::from_utf8(bytes) {
                Ok(text) => Decoded::Json(Json::from(text)),
                Err(_) => Decoded::Unreadable,
            },
        })
    }

    /// What reads records of that schema; none if the registry does not know it.
    fn reader(&mut self, context: &Context, id: SchemaId) -> Outcome<Option<&RecordReader>> {
        if !self.schemas.contains_key(&id) {
            if self.schemas.len() >= SCHEMAS_MAX {
                self.schemas.clear();
            }
            let found = context.ask_for(async |client| {
                let number = match id {
                    SchemaId::Id(number) => number,
                    SchemaId::Guid(guid) => {
                        let ids = client.ids_of_guid(&guid.to_string()).await?;
                        ids.first().map(|found| found.id).unwrap_or_default()
                    }
                };
                let registered = client.schema_by_id(number).await?;
                client.parse(&registered).await
            })?;
            let reader = found.and_then(|schema| RecordReader::new(schema).ok());
            self.schemas.insert(id, reader);
        }
        Ok(self.schemas.get(&id).and_then(Option::as_ref))
    }
}
