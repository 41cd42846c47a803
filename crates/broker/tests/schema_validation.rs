//! Topics that ask for the schemas of their records, judged by a validator of the test.

#![expect(
    clippy::unwrap_used,
    reason = "a failure in a test's support is the test's failure"
)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use broker::config::SchemaValidation;
use broker::{RecordValidator, RefusedRecord, ValidatorUnavailable, Verdict};
use support::{Client, Running, topic};
use wire::messages::create_topics_request::CreatableTopicConfig;
use wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use wire::messages::produce_response::PartitionProduceResponse;
use wire::messages::{CreateTopicsRequest, ProduceRequest};
use wire::record_batch::Compression;
use wire::record_data::{BatchOptions, Record, RecordBatchBuilder};
use wire::{ErrorCode, Records};

/// Refuses values that begin with `bad`; can be away.
#[derive(Debug, Default)]
struct Fake {
    asked: AtomicUsize,
    is_away: AtomicBool,
}

impl RecordValidator for Fake {
    fn validate<'a>(
        &'a self,
        topic: &'a str,
        asked: &'a SchemaValidation,
        records: &'a [Record],
    ) -> Verdict<'a> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert_eq!(topic, "asking");
        assert_eq!(
            asked.value_strategy.as_deref(),
            Some("io.confluent.kafka.serializers.subject.TopicNameStrategy")
        );
        assert_eq!(asked.key_strategy, None);
        Box::pin(async move {
            // As one that goes over the network.
            tokio::task::yield_now().await;
            if self.is_away.load(Ordering::Relaxed) {
                return Err(ValidatorUnavailable("nobody there".to_owned()));
            }
            let refused = (0..).zip(records).filter(|(_, record)| {
                let value = record.value.as_deref().unwrap_or_default();
                value.starts_with(b"bad")
            });
            Ok(refused
                .map(|(batch_index, _)| RefusedRecord {
                    batch_index,
                    reason: "it is bad".to_owned(),
                })
                .collect())
        })
    }
}

fn create(client: &mut Client, name: &str, configs: &[(&str, &str)]) -> (i16, Option<String>) {
    let mut topic = topic(name, 1);
    topic.configs = configs
        .iter()
        .map(|(name, value)| CreatableTopicConfig {
            name: (*name).to_owned(),
            value: Some((*value).to_owned()),
        })
        .collect();
    let request = CreateTopicsRequest {
        topics: vec![topic],
        timeout_ms: 10_000,
        validate_only: false,
    };
    let mut response = client.call(7, &request);
    let topic = response.topics.remove(0);
    (topic.error_code, topic.error_message)
}

fn batch(values: &[Option<&[u8]>], compression: Compression) -> bytes::Bytes {
    let options = BatchOptions {
        compression,
        ..BatchOptions::default()
    };
    let mut batch = RecordBatchBuilder::new(options);
    let now = base::Clock::now_ms(&base::SystemClock::new());
    for value in values {
        batch.append(now, Some(b"k"), *value, &[]).unwrap();
    }
    batch.finish().unwrap()
}

fn produce(client: &mut Client, topic: &str, batch: bytes::Bytes) -> PartitionProduceResponse {
    produce_all(client, topic, vec![batch]).remove(0)
}

/// Produces batches, all of them to partition 0, in one request.
fn produce_all(
    client: &mut Client,
    topic: &str,
    batches: Vec<bytes::Bytes>,
) -> Vec<PartitionProduceResponse> {
    let partition_data = batches.into_iter().map(|batch| PartitionProduceData {
        index: 0,
        records: Some(Records::from(batch)),
    });
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            partition_data: partition_data.collect(),
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    };
    let mut response = client.call(9, &request);
    response.responses.remove(0).partition_responses
}

const ASKING: (&str, &str) = ("confluent.value.schema.validation", "true");

#[test]
fn a_batch_with_a_refused_record_is_refused_and_the_record_named() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Arc::new(Fake::default());
    let broker = Running::start_with(directory.path(), &[], Some(fake.clone()));
    let mut client = broker.connect("producer");
    assert_eq!(create(&mut client, "asking", &[ASKING]).0, 0);
    assert_eq!(create(&mut client, "other", &[]).0, 0);

    for compression in [Compression::None, Compression::Zstd] {
        let mixed: [Option<&[u8]>; 4] = [Some(b"good"), Some(b"bad1"), None, Some(b"bad")];
        let answer = produce(&mut client, "asking", batch(&mixed, compression));
        assert_eq!(answer.error_code, ErrorCode::InvalidRecord.code());
        assert_eq!(answer.base_offset, -1);
        let message = answer.error_message.unwrap();
        assert!(
            message.starts_with("One or more records have been rejected due to 2 record errors"),
            "{message}"
        );
        let errors: Vec<i32> = answer
            .record_errors
            .iter()
            .map(|error| error.batch_index)
            .collect();
        assert_eq!(errors, [1, 3]);
        let text = answer.record_errors[0]
            .batch_index_error_message
            .as_deref()
            .unwrap();
        assert!(
            text.starts_with("Log record DefaultRecord(offset=1, timestamp="),
            "{text}"
        );
        assert!(
            text.ends_with(
                "key=1 bytes, value=4 bytes) is rejected by the record interceptor \
                 io.confluent.kafka.schemaregistry.validator.RecordSchemaValidator"
            ),
            "{text}"
        );
    }
    let good = produce(
        &mut client,
        "asking",
        batch(&[Some(b"good"), None], Compression::Lz4),
    );
    // Nothing of what was refused is there.
    assert_eq!((good.error_code, good.base_offset), (0, 0));
    let asked = fake.asked.load(Ordering::Relaxed);
    let other = produce(
        &mut client,
        "other",
        batch(&[Some(b"bad")], Compression::None),
    );
    assert_eq!((other.error_code, other.base_offset), (0, 0));
    assert_eq!(
        fake.asked.load(Ordering::Relaxed),
        asked,
        "nobody asked for it"
    );
    broker.stop();
}

#[test]
fn a_validator_that_is_away_is_waited_for_by_the_client() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Arc::new(Fake::default());
    let broker = Running::start_with(directory.path(), &[], Some(fake.clone()));
    let mut client = broker.connect("producer");
    create(&mut client, "asking", &[ASKING]);
    fake.is_away.store(true, Ordering::Relaxed);
    let answer = produce(
        &mut client,
        "asking",
        batch(&[Some(b"good")], Compression::None),
    );
    assert_eq!(answer.error_code, ErrorCode::RequestTimedOut.code());
    assert_eq!(
        answer.error_message.as_deref(),
        Some("The records cannot be validated now: nobody there")
    );
    fake.is_away.store(false, Ordering::Relaxed);
    let answer = produce(
        &mut client,
        "asking",
        batch(&[Some(b"good")], Compression::None),
    );
    assert_eq!((answer.error_code, answer.base_offset), (0, 0));
    broker.stop();
}

#[test]
fn each_batch_of_a_request_is_judged_for_itself() {
    let directory = tempfile::tempdir().unwrap();
    let fake = Arc::new(Fake::default());
    let broker = Running::start_with(directory.path(), &[], Some(fake.clone()));
    let mut client = broker.connect("producer");
    create(&mut client, "asking", &[ASKING]);
    let batch = |value: &[u8]| batch(&[Some(value)], Compression::None);
    // A partition that is named twice: what is said of one batch says nothing of the other.
    let batches = vec![batch(b"good"), batch(b"bad"), batch(b"good")];
    let answers = produce_all(&mut client, "asking", batches);
    let codes: Vec<i16> = answers.iter().map(|answer| answer.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::InvalidRecord.code(), 0]);
    let offsets: Vec<i64> = answers.iter().map(|answer| answer.base_offset).collect();
    assert_eq!(offsets, [0, -1, 1]);
    // A validator that is away is asked once for all of them.
    fake.is_away.store(true, Ordering::Relaxed);
    let asked = fake.asked.load(Ordering::Relaxed);
    let batches = vec![batch(b"good"), batch(b"bad"), batch(b"good")];
    for answer in produce_all(&mut client, "asking", batches) {
        assert_eq!(answer.error_code, ErrorCode::RequestTimedOut.code());
    }
    assert_eq!(fake.asked.load(Ordering::Relaxed), asked + 1);
    broker.stop();
}

#[test]
fn what_is_wrong_with_the_batch_itself_comes_first() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Running::start_with(directory.path(), &[], Some(Arc::new(Fake::default())));
    let mut client = broker.connect("producer");
    create(&mut client, "asking", &[ASKING]);
    let mut bytes = batch(&[Some(b"bad")], Compression::None).to_vec();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let answer = produce(&mut client, "asking", bytes.into());
    assert_eq!(answer.error_code, ErrorCode::CorruptMessage.code());
    broker.stop();
}

#[test]
fn without_a_registry_nothing_is_taken_unjudged() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Running::start(directory.path(), &[]);
    let mut client = broker.connect("producer");
    create(&mut client, "asking", &[ASKING]);
    let answer = produce(
        &mut client,
        "asking",
        batch(&[Some(b"good")], Compression::None),
    );
    assert_eq!(answer.error_code, ErrorCode::RequestTimedOut.code());
    let message = answer.error_message.unwrap();
    assert!(
        message.contains("confluent.schema.registry.url"),
        "{message}"
    );
    broker.stop();
}

#[test]
fn a_strategy_that_nobody_knows_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Running::start(directory.path(), &[]);
    let mut client = broker.connect("admin");
    let name = "confluent.value.subject.name.strategy";
    let known = "io.confluent.kafka.serializers.subject.RecordNameStrategy";
    assert_eq!(create(&mut client, "known", &[(name, known)]).0, 0);
    let (code, message) = create(&mut client, "unknown", &[(name, "com.example.Mine")]);
    assert_eq!(code, ErrorCode::InvalidConfig.code());
    let message = message.unwrap();
    assert!(
        message.contains("Class com.example.Mine could not be found"),
        "{message}"
    );
    broker.stop();
}
