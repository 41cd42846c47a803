//! A tiered topic from a client's side (KIP-405): records, offsets, times and errors are those of one log, wherever its segments are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use support::{Client, Running, topic};
use wire::messages::create_topics_request::CreatableTopicConfig;
use wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use wire::messages::delete_topics_request::DeleteTopicState;
use wire::messages::fetch_request::{FetchPartition, FetchTopic};
use wire::messages::fetch_response::PartitionData;
use wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use wire::messages::list_offsets_response::ListOffsetsPartitionResponse;
use wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use wire::messages::{
    CreateTopicsRequest, DeleteRecordsRequest, DeleteTopicsRequest, FetchRequest, FetchResponse,
    ListOffsetsRequest, ProduceRequest,
};
use wire::record_batch::BatchHeader;
use wire::record_data::{BatchOptions, RecordBatchBuilder};
use wire::{ErrorCode, Records, RecordsPart};

const NOW: i64 = 1_700_000_000_000;
const BATCHES: i64 = 60;
const EARLIEST: i64 = -2;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

fn start(data_dir: &Path, store: &Path) -> Running {
    let url = format!("file://{}", store.display());
    Running::start(
        data_dir,
        &[
            ("remote.log.storage.system.enable", "true"),
            ("remote.log.storage.url", &url),
            ("remote.log.manager.task.interval.ms", "50"),
            ("log.retention.check.interval.ms", "50"),
            ("journal.checkpoint.interval.ms", "100"),
        ],
    )
}

fn create(client: &mut Client, name: &str, tiered: bool) {
    let configs = [
        (
            "remote.storage.enable",
            if tiered { "true" } else { "false" },
        ),
        ("internal.segment.bytes", "2000"),
        ("local.retention.bytes", "1"),
        ("retention.ms", "-1"),
        ("file.delete.delay.ms", "0"),
    ];
    let mut one = topic(name, 1);
    one.configs = configs
        .map(|(name, value)| CreatableTopicConfig {
            name: name.to_owned(),
            value: Some(value.to_owned()),
        })
        .to_vec();
    let request = CreateTopicsRequest {
        topics: vec![one],
        timeout_ms: 10_000,
        validate_only: false,
    };
    let response = client.call(7, &request);
    assert_eq!(response.topics[0].error_code, 0, "{response:?}");
}

/// One record of 200 bytes, `index * 10` ms after the first.
fn put(client: &mut Client, name: &str, index: i64) {
    let mut batch = RecordBatchBuilder::new(BatchOptions::default());
    let value = vec![u8::try_from(index % 251).unwrap(); 200];
    batch
        .append(NOW + index * 10, None, Some(&value), &[])
        .unwrap();
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![TopicProduceData {
            name: name.to_owned(),
            partition_data: vec![PartitionProduceData {
                index: 0,
                records: Some(Records::from(batch.finish().unwrap())),
            }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    };
    let response = client.call(9, &request);
    let answer = &response.responses[0].partition_responses[0];
    assert_eq!((answer.error_code, answer.base_offset), (0, index));
}

fn list(client: &mut Client, name: &str, timestamp: i64) -> ListOffsetsPartitionResponse {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: name.to_owned(),
            partitions: vec![ListOffsetsPartition {
                partition_index: 0,
                current_leader_epoch: -1,
                timestamp,
            }],
        }],
        timeout_ms: 10_000,
        ..ListOffsetsRequest::default()
    };
    let mut response = client.call(11, &request);
    response.topics.remove(0).partitions.remove(0)
}

fn offset(client: &mut Client, name: &str, timestamp: i64) -> i64 {
    let answer = list(client, name, timestamp);
    assert_eq!(answer.error_code, 0, "{timestamp}: {answer:?}");
    answer.offset
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{what} did not come"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn fetch(client: &mut Client, session: (i32, i32), wanted: Option<(&str, i64)>) -> FetchResponse {
    let topics = wanted.iter().map(|(name, offset)| FetchTopic {
        topic: (*name).to_owned(),
        partitions: vec![FetchPartition {
            fetch_offset: *offset,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: 3_000,
            ..FetchPartition::default()
        }],
        ..FetchTopic::default()
    });
    let request = FetchRequest {
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: 1 << 20,
        session_id: session.0,
        session_epoch: session.1,
        topics: topics.collect(),
        ..FetchRequest::default()
    };
    client.call(12, &request)
}

fn fetch_one(client: &mut Client, name: &str, offset: i64) -> PartitionData {
    let mut response = fetch(client, (0, -1), Some((name, offset)));
    response.responses.remove(0).partitions.remove(0)
}

/// The offset behind the batches of a response, each of which is checked to be the one that was produced.
fn checked_end(data: &PartitionData) -> Option<i64> {
    let mut rest: Vec<u8> = Vec::new();
    for part in data.records.as_ref()?.parts() {
        let RecordsPart::Bytes(bytes) = part else {
            panic!("{part:?}")
        };
        rest.extend_from_slice(bytes);
    }
    let mut end = None;
    while !rest.is_empty() {
        let header = BatchHeader::parse(&rest).unwrap();
        let after = rest.split_off(header.size_in_bytes());
        wire::record_batch::verify_crc(&rest).unwrap();
        assert_eq!(header.max_timestamp, NOW + header.base_offset * 10);
        assert_eq!(header.base_offset, end.unwrap_or(header.base_offset));
        end = Some(header.next_offset());
        rest = after;
    }
    end
}

fn read_all(client: &mut Client, name: &str, from: i64) -> i64 {
    let mut at = from;
    loop {
        let data = fetch_one(client, name, at);
        assert_eq!(data.error_code, 0, "at {at}");
        match checked_end(&data) {
            Some(end) => at = end,
            None if at == data.high_watermark => return at,
            // The remote store had not answered in time.
            None => {}
        }
    }
}

fn files(dir: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    let count = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path) } else { 1 }
    };
    entries.map(count).sum()
}

fn tiered(client: &mut Client, name: &str) {
    create(client, name, true);
    for index in 0..BATCHES {
        put(client, name, index);
    }
    let gone = |client: &mut Client| offset(client, name, EARLIEST_LOCAL) >= BATCHES - 10;
    wait_until("local retention", || gone(client));
}

#[test]
fn a_tiered_topic_is_one_log() {
    let (data, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let running = start(data.path(), store.path());
    let mut client = running.connect("tiered");
    tiered(&mut client, "t");
    assert_eq!(offset(&mut client, "t", EARLIEST), 0);
    let local = offset(&mut client, "t", EARLIEST_LOCAL);
    assert_eq!(offset(&mut client, "t", LATEST_TIERED), local - 1);
    assert_eq!(offset(&mut client, "t", EARLIEST_PENDING_UPLOAD), local);
    assert_eq!(read_all(&mut client, "t", 0), BATCHES);
    for index in 0..BATCHES {
        let found = list(&mut client, "t", NOW + index * 10 - 5);
        assert_eq!(
            (found.offset, found.timestamp, found.leader_epoch),
            (index, NOW + index * 10, 0)
        );
    }
    assert_eq!(offset(&mut client, "t", NOW + BATCHES * 10), -1);
    assert_eq!(
        fetch_one(&mut client, "t", BATCHES + 1).error_code,
        ErrorCode::OffsetOutOfRange.code()
    );
    drop(client);
    running.stop();

    let running = start(data.path(), store.path());
    let mut client = running.connect("again");
    assert_eq!(offset(&mut client, "t", EARLIEST), 0);
    assert_eq!(read_all(&mut client, "t", 0), BATCHES);
    put(&mut client, "t", BATCHES);
    assert_eq!(read_all(&mut client, "t", local - 1), BATCHES + 1);
    running.stop();
}

#[test]
fn a_session_goes_over_the_seam() {
    let (data, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let running = start(data.path(), store.path());
    let mut client = running.connect("session");
    tiered(&mut client, "t");
    let first = fetch(&mut client, (0, 0), Some(("t", 0)));
    assert_ne!(first.session_id, 0);
    let mut at = checked_end(&first.responses[0].partitions[0]).unwrap();
    let mut epoch = 1;
    while at < BATCHES {
        let next = fetch(&mut client, (first.session_id, epoch), Some(("t", at)));
        assert_eq!(next.error_code, 0);
        epoch += 1;
        let data = next.responses.first().map(|topic| &topic.partitions[0]);
        at = data.and_then(checked_end).unwrap_or(at);
    }
    let idle = fetch(&mut client, (first.session_id, epoch), None);
    assert_eq!((idle.error_code, at), (0, BATCHES));
    running.stop();
}

#[test]
fn deleted_records_and_topics_leave_the_store() {
    let (data, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let running = start(data.path(), store.path());
    let mut client = running.connect("delete");
    tiered(&mut client, "t");
    create(&mut client, "plain", false);
    put(&mut client, "plain", 0);
    assert_eq!(offset(&mut client, "plain", LATEST_TIERED), -1);
    assert_eq!(offset(&mut client, "plain", EARLIEST_PENDING_UPLOAD), -1);
    let before = files(store.path());
    let request = DeleteRecordsRequest {
        topics: vec![DeleteRecordsTopic {
            name: "t".to_owned(),
            partitions: vec![DeleteRecordsPartition {
                partition_index: 0,
                offset: BATCHES / 2,
            }],
        }],
        timeout_ms: 10_000,
    };
    let response = client.call(2, &request);
    assert_eq!(response.topics[0].partitions[0].low_watermark, BATCHES / 2);
    assert_eq!(offset(&mut client, "t", EARLIEST), BATCHES / 2);
    assert_eq!(
        fetch_one(&mut client, "t", 3).error_code,
        ErrorCode::OffsetOutOfRange.code()
    );
    wait_until("deletion below the log start", || {
        files(store.path()) <= before / 2 + 2
    });
    assert_eq!(read_all(&mut client, "t", BATCHES / 2), BATCHES);

    let request = DeleteTopicsRequest {
        topics: vec![DeleteTopicState {
            name: Some("t".to_owned()),
            ..DeleteTopicState::default()
        }],
        timeout_ms: 10_000,
        ..DeleteTopicsRequest::default()
    };
    assert_eq!(client.call(6, &request).responses[0].error_code, 0);
    wait_until("deletion with the topic", || files(store.path()) == 0);
    running.stop();
}

#[test]
fn a_store_that_is_away_is_an_error_to_try_again() {
    let (data, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (here, away) = (store.path().join("here"), store.path().join("away"));
    let running = start(data.path(), &here);
    let mut client = running.connect("away");
    tiered(&mut client, "t");
    drop(client);
    running.stop();
    let running = start(data.path(), &here);
    let mut client = running.connect("away");
    std::fs::rename(&here, &away).unwrap();
    let failed = fetch_one(&mut client, "t", 0);
    assert_eq!(failed.error_code, ErrorCode::KafkaStorageError.code());
    let local = offset(&mut client, "t", EARLIEST_LOCAL);
    assert_eq!(
        read_all(&mut client, "t", local),
        BATCHES,
        "what is local is there"
    );
    assert_eq!(
        list(&mut client, "t", NOW).error_code,
        ErrorCode::KafkaStorageError.code()
    );
    // The broker may have made the directory again, for a file of its own.
    if here.exists() {
        std::fs::remove_dir_all(&here).unwrap();
    }
    std::fs::rename(&away, &here).unwrap();
    assert_eq!(read_all(&mut client, "t", 0), BATCHES);
    running.stop();
}

#[test]
fn without_a_store_the_broker_does_not_start() {
    let data = tempfile::tempdir().unwrap();
    for (url, reason) in [
        (None, "no remote store"),
        (Some("ftp://x"), "expected file://"),
    ] {
        let mut properties = vec![
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("remote.log.storage.system.enable", "true"),
        ];
        properties.extend(url.map(|url| ("remote.log.storage.url", url)));
        let error = support::start_error(data.path(), &properties);
        assert!(error.contains("remote.log.storage.url"), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}
