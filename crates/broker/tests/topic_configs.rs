//! Every config of a topic does what it says, from a client's side: taken at creation, changed while records flow,
//! seen in what comes back or in the files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use support::{Client, Running, topic};
use wire::ErrorCode;
use wire::Records;
use wire::messages::create_topics_request::CreatableTopicConfig;
use wire::messages::fetch_request::{FetchPartition, FetchTopic};
use wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use wire::messages::offset_fetch_request::OffsetFetchRequestTopic;
use wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use wire::messages::produce_response::PartitionProduceResponse;
use wire::messages::{
    CreateTopicsRequest, FetchRequest, FindCoordinatorRequest, IncrementalAlterConfigsRequest,
    OffsetCommitRequest, OffsetFetchRequest, ProduceRequest,
};
use wire::record_batch::{BatchHeader, Compression};
use wire::record_data::{BatchOptions, RecordBatchBuilder, batches, records};

const TOPIC_RESOURCE: i8 = 2;
const SET: i8 = 0;

fn create(client: &mut Client, name: &str, configs: &[(&str, &str)]) {
    let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
        name: (*name).to_owned(),
        value: Some((*value).to_owned()),
    });
    let mut one = topic(name, 1);
    one.configs = configs.collect();
    let request = CreateTopicsRequest {
        topics: vec![one],
        timeout_ms: 10_000,
        validate_only: false,
    };
    let response = client.call(7, &request);
    assert_eq!(response.topics[0].error_code, 0, "{response:?}");
}

fn alter(client: &mut Client, name: &str, key: &str, value: &str) {
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: TOPIC_RESOURCE,
            resource_name: name.to_owned(),
            configs: vec![AlterableConfig {
                name: key.to_owned(),
                config_operation: SET,
                value: Some(value.to_owned()),
            }],
        }],
        validate_only: false,
    };
    let response = client.call(1, &request);
    assert_eq!(response.responses[0].error_code, 0, "{response:?}");
}

fn now_ms() -> i64 {
    base::Clock::now_ms(&base::SystemClock::new())
}

/// Key, value and timestamp of a record.
type Row<'a> = (Option<&'a [u8]>, &'a [u8], i64);

fn batch(compression: Compression, rows: &[Row<'_>]) -> Bytes {
    let mut builder = RecordBatchBuilder::new(BatchOptions {
        compression,
        ..BatchOptions::default()
    });
    for (key, value, timestamp) in rows {
        builder.append(*timestamp, *key, Some(value), &[]).unwrap();
    }
    builder.finish().unwrap()
}

fn send(client: &mut Client, name: &str, acks: i16, batch: Bytes) -> PartitionProduceResponse {
    let request = ProduceRequest {
        acks,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: name.to_owned(),
            partition_data: vec![PartitionProduceData {
                index: 0,
                records: Some(Records::from(batch)),
            }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    };
    let mut response = client.call(9, &request);
    response.responses.remove(0).partition_responses.remove(0)
}

fn code_of(response: &PartitionProduceResponse) -> ErrorCode {
    ErrorCode::from_code(response.error_code).unwrap()
}

fn put(client: &mut Client, name: &str, batch: Bytes) -> PartitionProduceResponse {
    let response = send(client, name, -1, batch);
    assert_eq!(code_of(&response), ErrorCode::None, "{response:?}");
    response
}

/// Every batch of partition 0.
fn fetch(client: &mut Client, name: &str) -> Vec<(BatchHeader, Bytes)> {
    let mut all = Vec::new();
    let mut fetch_offset = 0;
    loop {
        let request = FetchRequest {
            replica_id: -1,
            max_bytes: 1 << 20,
            session_epoch: -1,
            topics: vec![FetchTopic {
                topic: name.to_owned(),
                partitions: vec![FetchPartition {
                    current_leader_epoch: -1,
                    last_fetched_epoch: -1,
                    log_start_offset: -1,
                    fetch_offset,
                    partition_max_bytes: 1 << 20,
                    ..FetchPartition::default()
                }],
                ..FetchTopic::default()
            }],
            ..FetchRequest::default()
        };
        let response = client.call(12, &request);
        let partition = &response.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0, "{partition:?}");
        let bytes = partition
            .records
            .as_ref()
            .map(|records| records.as_bytes().unwrap());
        let bytes = bytes.unwrap_or_default();
        if bytes.is_empty() {
            return all;
        }
        for batch in batches(&bytes) {
            let (header, batch) = batch.unwrap();
            fetch_offset = header.next_offset();
            all.push((header, batch));
        }
    }
}

fn last(client: &mut Client, name: &str) -> (BatchHeader, Bytes) {
    fetch(client, name).pop().unwrap()
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "waited in vain: {what}"
        );
        std::thread::yield_now();
    }
}

fn log_bytes(data_dir: &Path, partition: &str) -> u64 {
    let files = std::fs::read_dir(data_dir.join("logs").join(partition)).unwrap();
    files
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".log"))
        // A segment that goes between the two calls counts as gone.
        .filter_map(|entry| Some(entry.metadata().ok()?.len()))
        .sum()
}

#[test]
fn timestamps_are_whose_the_topic_says_and_within_its_limits() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[]);
    let mut client = running.connect("configs");
    create(
        &mut client,
        "mine",
        &[("message.timestamp.type", "LogAppendTime")],
    );
    let before = now_ms();
    let answer = put(
        &mut client,
        "mine",
        batch(Compression::None, &[(None, b"v", 5)]),
    );
    assert!((before..=now_ms()).contains(&answer.log_append_time_ms));
    let (header, bytes) = last(&mut client, "mine");
    assert!(header.attributes.is_log_append_time());
    let record = records(&bytes, 1_000).unwrap().next().unwrap().unwrap();
    assert_eq!(record.timestamp, answer.log_append_time_ms);

    create(&mut client, "theirs", &[]);
    let send_at = |client: &mut Client, timestamp| {
        let response = send(
            client,
            "theirs",
            -1,
            batch(Compression::None, &[(None, b"v", timestamp)]),
        );
        (code_of(&response), response.log_append_time_ms)
    };
    let hour = 3_600_000;
    assert_eq!(send_at(&mut client, 5), (ErrorCode::None, -1));
    assert_eq!(
        send_at(&mut client, now_ms() + 2 * hour).0,
        ErrorCode::InvalidTimestamp
    );
    alter(
        &mut client,
        "theirs",
        "message.timestamp.after.max.ms",
        "86400000",
    );
    assert_eq!(send_at(&mut client, now_ms() + 2 * hour).0, ErrorCode::None);
    alter(
        &mut client,
        "theirs",
        "message.timestamp.before.max.ms",
        "60000",
    );
    assert_eq!(
        send_at(&mut client, now_ms() - hour).0,
        ErrorCode::InvalidTimestamp
    );
    assert_eq!(send_at(&mut client, now_ms() - 1_000).0, ErrorCode::None);
    // The limits are no limits of the broker's own clock.
    alter(
        &mut client,
        "theirs",
        "message.timestamp.type",
        "LogAppendTime",
    );
    assert_eq!(send_at(&mut client, 5).0, ErrorCode::None);
    running.stop();
}

#[test]
fn sizes_and_replicas_are_limited() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[]);
    let mut client = running.connect("configs");
    create(&mut client, "small", &[("max.message.bytes", "1000")]);
    let large = || batch(Compression::None, &[(None, &[b'x'; 2_000], now_ms())]);
    assert_eq!(
        code_of(&send(&mut client, "small", -1, large())),
        ErrorCode::MessageTooLarge
    );
    alter(&mut client, "small", "max.message.bytes", "4000");
    put(&mut client, "small", large());

    create(&mut client, "safe", &[("min.insync.replicas", "2")]);
    let one = || batch(Compression::None, &[(None, b"v", now_ms())]);
    assert_eq!(
        code_of(&send(&mut client, "safe", -1, one())),
        ErrorCode::NotEnoughReplicas
    );
    assert_eq!(
        code_of(&send(&mut client, "safe", 1, one())),
        ErrorCode::None
    );
    alter(&mut client, "safe", "min.insync.replicas", "1");
    put(&mut client, "safe", one());
    running.stop();
}

#[test]
fn batches_are_kept_in_the_codec_and_level_of_the_topic() {
    let directory = tempfile::tempdir().unwrap();
    let running = Running::start(directory.path(), &[]);
    let mut client = running.connect("configs");
    create(&mut client, "codec", &[]);
    // Words that a better level compresses better.
    let words: Vec<u8> = (0..40_000u32)
        .flat_map(|n| [b"alpha ", b"bravo ", b"delta "][(n * n / 7 % 3) as usize].to_vec())
        .collect();
    let mut stored = |key: &str, value: &str, sent: Compression| {
        alter(&mut client, "codec", key, value);
        put(
            &mut client,
            "codec",
            batch(sent, &[(Some(b"k"), &words, now_ms())]),
        );
        let (header, bytes) = last(&mut client, "codec");
        let record = records(&bytes, 1 << 20).unwrap().next().unwrap().unwrap();
        assert_eq!(record.value.unwrap(), words);
        (header.attributes.compression().unwrap(), bytes.len())
    };
    let (codec, _) = stored("compression.type", "producer", Compression::Snappy);
    assert_eq!(codec, Compression::Snappy);
    for (name, codec) in [
        ("uncompressed", Compression::None),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ] {
        for sent in [Compression::None, Compression::Lz4] {
            assert_eq!(stored("compression.type", name, sent).0, codec, "{name}");
        }
    }
    let fast = stored("compression.zstd.level", "-50", Compression::None).1;
    let best = stored("compression.zstd.level", "19", Compression::None).1;
    assert!(best < fast, "zstd: {best} of {fast}");
    stored("compression.type", "gzip", Compression::None);
    let fast = stored("compression.gzip.level", "1", Compression::None).1;
    let best = stored("compression.gzip.level", "9", Compression::None).1;
    assert!(best < fast, "gzip: {best} of {fast}");
    running.stop();
}

#[test]
fn a_compacted_topic_wants_keys_and_keeps_the_last_record_of_each() {
    let directory = tempfile::tempdir().unwrap();
    let quick = [
        ("log.cleaner.backoff.ms", "20"),
        ("journal.checkpoint.interval.ms", "100"),
    ];
    let running = Running::start(directory.path(), &quick);
    let mut client = running.connect("configs");
    let configs = [
        ("cleanup.policy", "compact"),
        ("internal.segment.bytes", "4000"),
        ("min.cleanable.dirty.ratio", "0.01"),
    ];
    create(&mut client, "table", &configs);
    let keyless = batch(Compression::None, &[(None, b"v", now_ms())]);
    let refused = send(&mut client, "table", -1, keyless);
    assert_eq!(code_of(&refused), ErrorCode::InvalidRecord);
    assert_eq!(refused.record_errors[0].batch_index, 0);
    let mut expected = BTreeMap::new();
    let mut write = |client: &mut Client, round: u8| {
        for key in 0..20u8 {
            let value = [round; 100];
            let rows = [(Some(&[key][..]), &value[..], now_ms())];
            let answer = put(client, "table", batch(Compression::Gzip, &rows));
            expected.insert(key, (answer.base_offset, round));
        }
        expected.clone()
    };
    let mut table = BTreeMap::new();
    for round in 0..10 {
        table = write(&mut client, round);
    }
    let newest = |client: &mut Client| {
        let all = fetch(client, "table");
        let mut found = BTreeMap::new();
        for (_, batch) in &all {
            for record in records(batch, 10_000).unwrap() {
                let record = record.unwrap();
                found.insert(
                    record.key.unwrap()[0],
                    (record.offset, record.value.unwrap()[0]),
                );
            }
        }
        (all.len(), found)
    };
    assert_eq!(newest(&mut client).1, table);
    until("superseded records go", || newest(&mut client).0 < 100);
    assert_eq!(
        newest(&mut client).1,
        table,
        "each at the offset it was given"
    );
    running.stop();
    // What was compacted is there after a restart, and is compacted further.
    let running = Running::start(directory.path(), &quick);
    let mut client = running.connect("configs");
    assert_eq!(newest(&mut client).1, table);
    for round in 10..20 {
        table = write(&mut client, round);
    }
    until("superseded records go", || newest(&mut client).0 < 100);
    assert_eq!(newest(&mut client).1, table);
    running.stop();
}

#[test]
fn committed_offsets_are_compacted_and_survive_it() {
    let directory = tempfile::tempdir().unwrap();
    let quick = [
        ("log.cleaner.backoff.ms", "20"),
        ("journal.checkpoint.interval.ms", "100"),
        ("offsets.topic.num.partitions", "1"),
        ("offsets.topic.segment.bytes", "1048576"),
    ];
    let running = Running::start(directory.path(), &quick);
    let mut client = running.connect("configs");
    client.create_topic("orders", 1);
    let find = FindCoordinatorRequest {
        key: "group".to_owned(),
        ..FindCoordinatorRequest::default()
    };
    until("the topic is made", || {
        client.call(3, &find).error_code == 0
    });
    let commit = |client: &mut Client, offset: i64| {
        let request = OffsetCommitRequest {
            group_id: "group".to_owned(),
            generation_id_or_member_epoch: -1,
            topics: vec![OffsetCommitRequestTopic {
                name: "orders".to_owned(),
                partitions: vec![OffsetCommitRequestPartition {
                    committed_offset: offset,
                    committed_leader_epoch: -1,
                    committed_metadata: Some("m".repeat(4_000)),
                    ..OffsetCommitRequestPartition::default()
                }],
                ..OffsetCommitRequestTopic::default()
            }],
            ..OffsetCommitRequest::default()
        };
        let response = client.call(8, &request);
        ErrorCode::from_code(response.topics[0].partitions[0].error_code).unwrap()
    };
    until("the coordinator is there", || {
        commit(&mut client, 0) == ErrorCode::None
    });
    for offset in 1..=800 {
        assert_eq!(commit(&mut client, offset), ErrorCode::None);
    }
    until("old commits go", || {
        log_bytes(directory.path(), "__consumer_offsets-0") < 1_600_000
    });
    running.stop();
    let running = Running::start(directory.path(), &quick);
    let mut client = running.connect("configs");
    let request = OffsetFetchRequest {
        group_id: "group".to_owned(),
        topics: Some(vec![OffsetFetchRequestTopic {
            name: "orders".to_owned(),
            partition_indexes: vec![0],
        }]),
        ..OffsetFetchRequest::default()
    };
    until("the group is loaded", || {
        client.call(7, &request).error_code == 0
    });
    let response = client.call(7, &request);
    assert_eq!(response.topics[0].partitions[0].committed_offset, 800);
    running.stop();
}
