//! The share coordinator over sockets: state that outlives the broker, and who coordinates it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use base::Uuid;
use support::{Client, Running};
use wire::ErrorCode;
use wire::messages::metadata_request::MetadataRequestTopic;
use wire::messages::{
    DeleteTopicsRequest, FindCoordinatorRequest, InitializeShareGroupStateRequest, MetadataRequest,
    ReadShareGroupStateRequest, ReadShareGroupStateSummaryRequest, WriteShareGroupStateRequest,
};
use wire::messages::{
    delete_topics_request, initialize_share_group_state_request as initialize,
    read_share_group_state_request as read, read_share_group_state_response::PartitionResult,
    read_share_group_state_summary_request as summary, write_share_group_state_request as write,
};

const LIMIT: Duration = Duration::from_secs(30);

fn topic_id(client: &mut Client, topic: &str) -> Uuid {
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic {
            name: Some(topic.to_owned()),
            ..MetadataRequestTopic::default()
        }]),
        ..MetadataRequest::default()
    };
    client.call(12, &request).topics[0].topic_id
}

/// Waits until the coordinator is loaded and has no other answer than that.
fn settled<T>(mut ask: impl FnMut() -> (i16, T)) -> (ErrorCode, T) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let (code, answer) = ask();
        let error = ErrorCode::from_code(code).unwrap();
        if error != ErrorCode::CoordinatorLoadInProgress {
            return (error, answer);
        }
        assert!(Instant::now() < deadline, "the coordinator does not come");
        std::thread::yield_now();
    }
}

fn initialize_state(client: &mut Client, topic_id: Uuid, partition: i32) -> ErrorCode {
    let request = InitializeShareGroupStateRequest {
        group_id: "g".to_owned(),
        topics: vec![initialize::InitializeStateData {
            topic_id,
            partitions: vec![initialize::PartitionData {
                partition,
                state_epoch: 3,
                start_offset: -1,
            }],
        }],
    };
    settled(|| {
        let results = client.call(0, &request).results;
        (results[0].partitions[0].error_code, ())
    })
    .0
}

fn write_state(client: &mut Client, topic_id: Uuid, leader_epoch: i32) -> ErrorCode {
    let batch = write::StateBatch {
        first_offset: 10,
        last_offset: 14,
        delivery_state: 2,
        delivery_count: 1,
    };
    let request = WriteShareGroupStateRequest {
        group_id: "g".to_owned(),
        topics: vec![write::WriteStateData {
            topic_id,
            partitions: vec![write::PartitionData {
                partition: 0,
                state_epoch: 3,
                leader_epoch,
                start_offset: 10,
                delivery_complete_count: 5,
                state_batches: vec![batch],
            }],
        }],
    };
    settled(|| {
        let results = client.call(1, &request).results;
        (results[0].partitions[0].error_code, ())
    })
    .0
}

fn read_state(client: &mut Client, topic_id: Uuid, leader_epoch: i32) -> PartitionResult {
    let request = ReadShareGroupStateRequest {
        group_id: "g".to_owned(),
        topics: vec![read::ReadStateData {
            topic_id,
            partitions: vec![read::PartitionData {
                partition: 0,
                leader_epoch,
            }],
        }],
    };
    settled(|| {
        let mut results = client.call(0, &request).results;
        let result = results.remove(0).partitions.remove(0);
        (result.error_code, result)
    })
    .1
}

#[test]
fn share_state_outlives_the_broker() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Running::start(directory.path(), &[]);
    let mut client = broker.connect("c");
    client.create_topic("t", 1);
    let id = topic_id(&mut client, "t");
    assert_eq!(initialize_state(&mut client, id, 0), ErrorCode::None);
    assert_eq!(
        initialize_state(&mut client, id, 1),
        ErrorCode::UnknownTopicOrPartition
    );
    assert_eq!(read_state(&mut client, id, 4).state_epoch, 3);
    assert_eq!(
        write_state(&mut client, id, 3),
        ErrorCode::FencedLeaderEpoch
    );
    assert_eq!(write_state(&mut client, id, 4), ErrorCode::None);
    broker.stop();

    let broker = Running::start(directory.path(), &[]);
    let mut client = broker.connect("c");
    let state = read_state(&mut client, id, 4);
    assert_eq!((state.error_code, state.start_offset), (0, 10));
    assert_eq!(state.state_batches.len(), 1);
    assert_eq!(
        write_state(&mut client, id, 3),
        ErrorCode::FencedLeaderEpoch
    );

    let delete = DeleteTopicsRequest {
        topics: vec![delete_topics_request::DeleteTopicState {
            name: Some("t".to_owned()),
            ..Default::default()
        }],
        timeout_ms: 10_000,
        ..DeleteTopicsRequest::default()
    };
    assert_eq!(client.call(6, &delete).responses[0].error_code, 0);
    let state = read_state(&mut client, id, 4);
    let gone = [
        ErrorCode::InvalidRequest.code(),
        ErrorCode::UnknownTopicOrPartition.code(),
    ];
    assert!(gone.contains(&state.error_code), "{state:?}");
    broker.stop();
}

#[test]
fn a_summary_tells_of_share_partitions_without_state_too() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Running::start(directory.path(), &[]);
    let mut client = broker.connect("c");
    client.create_topic("t", 2);
    let id = topic_id(&mut client, "t");
    initialize_state(&mut client, id, 0);
    write_state(&mut client, id, 0);
    let request = ReadShareGroupStateSummaryRequest {
        group_id: "g".to_owned(),
        topics: vec![summary::ReadStateSummaryData {
            topic_id: id,
            partitions: [0, 1]
                .map(|partition| summary::PartitionData {
                    partition,
                    leader_epoch: 0,
                })
                .to_vec(),
        }],
    };
    let (_, partitions) = settled(|| {
        let mut results = client.call(1, &request).results;
        let partitions = results.remove(0).partitions;
        let codes = partitions.iter().map(|partition| partition.error_code);
        (codes.max().unwrap(), partitions)
    });
    let told: Vec<(i32, i64, i32, i32)> = partitions
        .iter()
        .map(|p| {
            (
                p.partition,
                p.start_offset,
                p.delivery_complete_count,
                p.state_epoch,
            )
        })
        .collect();
    assert_eq!(told, [(0, 10, 5, 3), (1, -1, -1, 0)]);
    broker.stop();
}

#[test]
fn share_partitions_have_a_coordinator() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Running::start(directory.path(), &[]);
    let mut client = broker.connect("c");
    let mut find = |version, key: &str| {
        let request = FindCoordinatorRequest {
            key_type: 2,
            coordinator_keys: vec![key.to_owned()],
            ..FindCoordinatorRequest::default()
        };
        let found = client.call(version, &request).coordinators.remove(0);
        ErrorCode::from_code(found.error_code).unwrap()
    };
    let invalid = ErrorCode::InvalidRequest;
    assert_eq!(find(6, "g:AAAAAAAAAAAAAAAAAAAAAQ:0"), ErrorCode::None);
    assert_eq!(find(6, "a:g:AAAAAAAAAAAAAAAAAAAAAQ:0"), ErrorCode::None);
    assert_eq!(find(5, "g:AAAAAAAAAAAAAAAAAAAAAQ:0"), invalid);
    assert_eq!(find(6, "g:AAAAAAAAAAAAAAAAAAAAAQ:x"), invalid);
    assert_eq!(find(6, "g:0"), invalid);
    assert_eq!(find(6, " :AAAAAAAAAAAAAAAAAAAAAQ:0"), invalid);
    broker.stop();
}

/// As `ShareCoordinatorService` of Apache Kafka 4.3.1 answers: it asks for each and keeps the last answer of a partition.
#[test]
fn a_share_partition_that_is_named_twice_is_answered_once() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Running::start(directory.path(), &[]);
    let mut client = broker.connect("c");
    client.create_topic("t", 2);
    let id = topic_id(&mut client, "t");
    let asked = |partition, state_epoch, start_offset| initialize::PartitionData {
        partition,
        state_epoch,
        start_offset,
    };
    let of = |partitions| initialize::InitializeStateData {
        topic_id: id,
        partitions,
    };
    let request = InitializeShareGroupStateRequest {
        group_id: "g".to_owned(),
        topics: vec![
            of(vec![asked(1, 1, 7), asked(0, 5, 50), asked(0, 3, 30)]),
            of(vec![asked(1, 2, 8)]),
        ],
    };
    assert_eq!(initialize_state(&mut client, id, 1), ErrorCode::None);
    let results = client.call(0, &request).results;
    let [topic] = results.as_slice() else {
        panic!("{results:?}");
    };
    let answers = topic.partitions.iter();
    let answers: Vec<(i32, i16)> = answers
        .map(|answer| (answer.partition, answer.error_code))
        .collect();
    let fenced = ErrorCode::FencedStateEpoch.code();
    assert_eq!(answers, [(0, fenced), (1, fenced)]);
    // The first of the two was done all the same.
    let state = read_state(&mut client, id, -1);
    assert_eq!((state.state_epoch, state.start_offset), (5, 50));
    broker.stop();
}
