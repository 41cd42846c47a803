//! Share groups at the leader of a partition: ShareFetch and ShareAcknowledge against the state in `__share_group_state`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use support::{Client, Running, produce};
use wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use wire::messages::initialize_share_group_state_request::{InitializeStateData, PartitionData};
use wire::messages::share_fetch_request::{
    AcknowledgementBatch, FetchPartition, FetchTopic, ForgottenTopic,
};
use wire::messages::{
    AddPartitionsToTxnRequest, DeleteRecordsRequest, EndTxnRequest, FindCoordinatorRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, InitProducerIdResponse,
    InitializeShareGroupStateRequest, MetadataRequest, ShareAcknowledgeRequest,
    ShareAcknowledgeResponse, ShareFetchRequest, ShareFetchResponse,
};
use wire::record_data::{BatchOptions, RecordBatchBuilder};
use wire::{ErrorCode, Message, Records};

const GROUP: &str = "sharers";
const TOPIC: &str = "shared";
/// Nothing these tests wait for takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a fetch may wait for records that are on their way; less than its client waits for an answer.
const WAIT_MS: i32 = 20_000;

/// First and last offset, acknowledgement types.
type Said<'a> = (i64, i64, &'a [i8]);

/// A member of the group on a connection of its own.
struct Member {
    client: Client,
    id: String,
    topic_id: base::Uuid,
    epoch: i32,
}

impl Member {
    fn join(broker: &Running, id: &str, topic_id: base::Uuid) -> Member {
        Member {
            client: broker.connect(id),
            id: id.to_owned(),
            topic_id,
            epoch: 0,
        }
    }

    fn request(&self, said: &[Said<'_>]) -> ShareFetchRequest {
        ShareFetchRequest {
            group_id: Some(GROUP.to_owned()),
            member_id: Some(self.id.clone()),
            share_session_epoch: self.epoch,
            max_wait_ms: 0,
            min_bytes: 1,
            max_records: 500,
            batch_size: 500,
            topics: vec![FetchTopic {
                topic_id: self.topic_id,
                partitions: vec![FetchPartition {
                    partition_index: 0,
                    acknowledgement_batches: said
                        .iter()
                        .map(|(first_offset, last_offset, types)| AcknowledgementBatch {
                            first_offset: *first_offset,
                            last_offset: *last_offset,
                            acknowledge_types: types.to_vec(),
                        })
                        .collect(),
                }],
            }],
            ..ShareFetchRequest::default()
        }
    }

    fn call(&mut self, request: &ShareFetchRequest) -> ShareFetchResponse {
        let response = self.client.call(2, request);
        if response.error_code == 0 {
            self.epoch += 1;
        }
        response
    }

    /// Fetches, acknowledging on the way. Returns ranges with their delivery counts.
    fn fetch(&mut self, said: &[Said<'_>], max_wait_ms: i32) -> Vec<(i64, i64, i16)> {
        let request = ShareFetchRequest {
            max_wait_ms,
            ..self.request(said)
        };
        let response = self.call(&request);
        assert_eq!(response.error_code, 0, "{response:?}");
        assert_eq!(response.acquisition_lock_timeout_ms, 30_000);
        acquired(&response)
    }

    fn acknowledge(&mut self, said: &[Said<'_>]) -> ShareAcknowledgeResponse {
        use wire::messages::share_acknowledge_request::{
            AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch,
        };
        let request = ShareAcknowledgeRequest {
            group_id: Some(GROUP.to_owned()),
            member_id: Some(self.id.clone()),
            share_session_epoch: self.epoch,
            topics: vec![AcknowledgeTopic {
                topic_id: self.topic_id,
                partitions: vec![AcknowledgePartition {
                    partition_index: 0,
                    acknowledgement_batches: said
                        .iter()
                        .map(|(first_offset, last_offset, types)| AcknowledgementBatch {
                            first_offset: *first_offset,
                            last_offset: *last_offset,
                            acknowledge_types: types.to_vec(),
                        })
                        .collect(),
                }],
            }],
            ..ShareAcknowledgeRequest::default()
        };
        let response = self.client.call(2, &request);
        if response.error_code == 0 {
            self.epoch += 1;
        }
        response
    }
}

/// What a response acquired; its records must hold all of it.
fn acquired(response: &ShareFetchResponse) -> Vec<(i64, i64, i16)> {
    let mut ranges = Vec::new();
    for partition in response
        .responses
        .iter()
        .flat_map(|topic| &topic.partitions)
    {
        assert_eq!(partition.error_code, 0, "{response:?}");
        assert_eq!(partition.acknowledge_error_code, 0, "{response:?}");
        let bases = batches(&partition.records);
        for records in &partition.acquired_records {
            let (first, last) = (records.first_offset, records.last_offset);
            assert!(
                bases
                    .iter()
                    .any(|(base, end)| *base <= first && first <= *end)
            );
            assert!(
                bases
                    .iter()
                    .any(|(base, end)| *base <= last && last <= *end)
            );
            ranges.push((first, last, records.delivery_count));
        }
    }
    ranges
}

fn batches(records: &Records) -> Vec<(i64, i64)> {
    let bytes = records.to_bytes().unwrap();
    let mut batches = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let header = wire::record_batch::BatchHeader::parse(&bytes[at..]).unwrap();
        batches.push((header.base_offset, header.last_offset()));
        at += header.size_in_bytes();
    }
    batches
}

fn code_of(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap()
}

fn ack_code(response: &ShareAcknowledgeResponse) -> ErrorCode {
    assert_eq!(response.error_code, 0, "{response:?}");
    code_of(response.responses[0].partitions[0].error_code)
}

/// A broker with a topic of one partition, and a group that begins at offset 0. Returns the topic's id.
fn prepare(broker: &Running, records: usize) -> base::Uuid {
    let mut client = broker.connect("admin");
    client.create_topic(TOPIC, 1);
    let id = topic_id(&mut client);
    if records > 0 {
        write(&mut client, records);
    }
    initialize(&mut client, id, 1);
    id
}

fn topic_id(client: &mut Client) -> base::Uuid {
    let metadata = client.call(
        12,
        &MetadataRequest {
            topics: Some(vec![
                wire::messages::metadata_request::MetadataRequestTopic {
                    name: Some(TOPIC.to_owned()),
                    ..Default::default()
                },
            ]),
            ..MetadataRequest::default()
        },
    );
    metadata.topics[0].topic_id
}

/// As the group coordinator does it before it assigns a partition.
fn initialize(client: &mut Client, topic_id: base::Uuid, state_epoch: i32) {
    let request = InitializeShareGroupStateRequest {
        group_id: GROUP.to_owned(),
        topics: vec![InitializeStateData {
            topic_id,
            partitions: vec![PartitionData {
                partition: 0,
                state_epoch,
                start_offset: 0,
            }],
        }],
    };
    let until = Instant::now() + PATIENCE;
    loop {
        let response = client.call(0, &request);
        let code = response.results[0].partitions[0].error_code;
        if code == 0 {
            return;
        }
        let loading = [
            ErrorCode::CoordinatorLoadInProgress,
            ErrorCode::CoordinatorNotAvailable,
        ];
        assert!(loading.contains(&code_of(code)), "{response:?}");
        assert!(
            Instant::now() < until,
            "the share coordinator does not load"
        );
    }
}

/// Produces one batch.
fn write(client: &mut Client, records: usize) {
    let mut batch = RecordBatchBuilder::new(BatchOptions::default());
    for _ in 0..records {
        batch.append(0, None, Some(b"value"), &[]).unwrap();
    }
    let mut request = produce(TOPIC, 1, -1);
    request.topic_data[0].partition_data[0].records = Some(Records::from(batch.finish().unwrap()));
    let response = client.call(9, &request);
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, 0, "{response:?}");
}

fn set_on_group(client: &mut Client, name: &str, value: &str) {
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type: 32,
            resource_name: GROUP.to_owned(),
            configs: vec![AlterableConfig {
                name: name.to_owned(),
                config_operation: 0,
                value: Some(value.to_owned()),
            }],
        }],
        validate_only: false,
    };
    let response = client.call(1, &request);
    assert_eq!(response.responses[0].error_code, 0, "{response:?}");
}

fn start(directory: &Path, properties: &[(&str, &str)]) -> Running {
    let few = [("share.coordinator.state.topic.num.partitions", "2")];
    let all: Vec<(&str, &str)> = few.iter().chain(properties).copied().collect();
    Running::start(directory, &all)
}

#[test]
fn two_members_share_a_partition() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start(directory.path(), &[]);
    let topic = prepare(&broker, 3);
    let mut admin = broker.connect("producer");
    let mut a = Member::join(&broker, "a", topic);
    let mut b = Member::join(&broker, "b", topic);
    assert_eq!(a.fetch(&[], WAIT_MS), [(0, 2, 1)]);
    assert_eq!(b.fetch(&[], 0), []);
    write(&mut admin, 4);
    assert_eq!(b.fetch(&[], WAIT_MS), [(3, 6, 1)]);
    assert_eq!(ack_code(&a.acknowledge(&[(0, 2, &[1])])), ErrorCode::None);
    // What is another's cannot be acknowledged, nor what was.
    let response = a.acknowledge(&[(3, 6, &[1])]);
    assert_eq!(ack_code(&response), ErrorCode::InvalidRecordState);
    assert_eq!(
        response.responses[0].partitions[0].error_message.as_deref(),
        Some("Member is not the owner of batch record")
    );
    assert_eq!(ack_code(&a.acknowledge(&[(0, 2, &[1])])), ErrorCode::None);
    assert_eq!(
        ack_code(&b.acknowledge(&[(3, 9, &[1])])),
        ErrorCode::InvalidRequest
    );
    assert_eq!(a.fetch(&[], 0), []);
    broker.stop();
}

#[test]
fn a_fetch_waits_for_records_and_for_released_ones() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start(directory.path(), &[]);
    let topic = prepare(&broker, 2);
    let mut a = Member::join(&broker, "a", topic);
    let mut b = Member::join(&broker, "b", topic);
    assert_eq!(a.fetch(&[], WAIT_MS), [(0, 1, 1)]);
    let waiting = ShareFetchRequest {
        max_wait_ms: 20_000,
        ..b.request(&[])
    };
    b.client.send(2, &waiting);
    assert!(!b.client.has_answer(Duration::from_millis(100)));
    // Not with a fetch, which may get what it releases itself.
    assert_eq!(ack_code(&a.acknowledge(&[(1, 1, &[2])])), ErrorCode::None);
    let response = b.client.receive::<ShareFetchRequest>(2).unwrap();
    b.epoch += 1;
    assert_eq!(acquired(&response), [(1, 1, 2)]);
    broker.stop();
}

#[test]
fn what_is_released_comes_back_and_what_is_rejected_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start(directory.path(), &[]);
    let topic = prepare(&broker, 4);
    let mut a = Member::join(&broker, "a", topic);
    assert_eq!(a.fetch(&[], WAIT_MS), [(0, 3, 1)]);
    let said: &[i8] = &[1, 2, 3, 2];
    // Not with a fetch, which may get what it releases itself.
    assert_eq!(ack_code(&a.acknowledge(&[(0, 3, said)])), ErrorCode::None);
    assert_eq!(a.fetch(&[], WAIT_MS), [(1, 1, 2), (3, 3, 2)]);
    broker.stop();
}

#[test]
fn a_record_is_delivered_no_more_often_than_its_limit() {
    let directory = tempfile::tempdir().unwrap();
    let limit = [("group.share.delivery.count.limit", "2")];
    let broker = start(directory.path(), &limit);
    let topic = prepare(&broker, 1);
    let mut a = Member::join(&broker, "a", topic);
    assert_eq!(a.fetch(&[], WAIT_MS), [(0, 0, 1)]);
    a.acknowledge(&[(0, 0, &[2])]);
    assert_eq!(a.fetch(&[], WAIT_MS), [(0, 0, 2)]);
    a.acknowledge(&[(0, 0, &[2])]);
    assert_eq!(a.fetch(&[], 0), []);
    let mut admin = broker.connect("producer");
    write(&mut admin, 1);
    assert_eq!(a.fetch(&[], WAIT_MS), [(1, 1, 1)]);
    broker.stop();
}

#[test]
fn locks_run_out() {
    let directory = tempfile::tempdir().unwrap();
    let short = [
        ("group.share.record.lock.duration.ms", "1000"),
        ("group.share.min.record.lock.duration.ms", "1000"),
    ];
    let broker = start(directory.path(), &short);
    let topic = prepare(&broker, 2);
    let mut a = Member::join(&broker, "a", topic);
    let mut b = Member::join(&broker, "b", topic);
    let request = ShareFetchRequest {
        max_wait_ms: WAIT_MS,
        ..a.request(&[])
    };
    let response = a.call(&request);
    assert_eq!(response.acquisition_lock_timeout_ms, 1_000);
    assert_eq!(acquired(&response), [(0, 1, 1)]);
    let request = ShareFetchRequest {
        max_wait_ms: 15_000,
        ..b.request(&[])
    };
    assert_eq!(acquired(&b.call(&request)), [(0, 1, 2)]);
    let late = a.acknowledge(&[(0, 1, &[1])]);
    assert_eq!(ack_code(&late), ErrorCode::InvalidRecordState);
    broker.stop();
}

#[test]
fn a_restart_keeps_what_was_acknowledged_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start(directory.path(), &[]);
    let topic = prepare(&broker, 6);
    let mut a = Member::join(&broker, "a", topic);
    assert_eq!(a.fetch(&[], WAIT_MS), [(0, 5, 1)]);
    let said: &[i8] = &[1, 1, 2, 3, 1, 2];
    assert_eq!(ack_code(&a.acknowledge(&[(0, 5, said)])), ErrorCode::None);
    drop(a);
    broker.stop();

    let broker = start(directory.path(), &[]);
    let mut b = Member::join(&broker, "b", topic);
    assert_eq!(b.fetch(&[], 10_000), [(2, 2, 2), (5, 5, 2)]);
    broker.stop();
}

#[test]
fn a_session_that_ends_gives_its_records_back() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start(directory.path(), &[]);
    let topic = prepare(&broker, 2);
    let mut a = Member::join(&broker, "a", topic);
    let mut b = Member::join(&broker, "b", topic);
    assert_eq!(b.fetch(&[], 0), []);
    assert_eq!(a.fetch(&[], WAIT_MS), [(0, 1, 1)]);
    // The connection goes away.
    drop(a);
    assert_eq!(b.fetch(&[], 15_000), [(0, 1, 2)]);
    // The session is closed.
    b.epoch = -1;
    assert_eq!(ack_code(&b.acknowledge(&[(0, 0, &[1])])), ErrorCode::None);
    let mut c = Member::join(&broker, "c", topic);
    assert_eq!(c.fetch(&[], 15_000), [(1, 1, 3)]);
    broker.stop();
}

#[test]
fn sessions_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let one = [("group.share.max.share.sessions", "1")];
    let broker = start(directory.path(), &one);
    let topic = prepare(&broker, 1);
    let mut a = Member::join(&broker, "a", topic);
    let code = |response: &ShareFetchResponse| code_of(response.error_code);
    a.epoch = 3;
    let response = a.call(&a.request(&[]));
    assert_eq!(code(&response), ErrorCode::ShareSessionNotFound);
    a.epoch = 0;
    let response = a.call(&a.request(&[(0, 0, &[1])]));
    assert_eq!(code(&response), ErrorCode::InvalidRequest);
    assert_eq!(a.fetch(&[], WAIT_MS), [(0, 0, 1)]);
    a.epoch = 7;
    let response = a.call(&a.request(&[]));
    assert_eq!(code(&response), ErrorCode::InvalidShareSessionEpoch);
    let mut b = Member::join(&broker, "b", topic);
    let response = b.call(&b.request(&[]));
    assert_eq!(code(&response), ErrorCode::ShareSessionLimitReached);
    a.epoch = 1;
    let mut unknown = a.request(&[]);
    unknown.topics[0].topic_id = base::Uuid([9; 16]);
    unknown.forgotten_topics_data = vec![ForgottenTopic {
        topic_id: topic,
        partitions: vec![0],
    }];
    let response = a.call(&unknown);
    let partition = &response.responses[0].partitions[0];
    assert_eq!(response.responses.len(), 1);
    assert_eq!(partition.error_code, ErrorCode::UnknownTopicId.code());
    let mut renewing = a.request(&[]);
    renewing.is_renew_ack = true;
    let response = a.call(&renewing);
    assert_eq!(code(&response), ErrorCode::InvalidRequest);
    let mut nobody = a.request(&[]);
    nobody.member_id = Some(String::new());
    assert_eq!(code(&a.client.call(2, &nobody)), ErrorCode::InvalidRequest);
    broker.stop();
}

#[test]
fn a_state_that_was_set_anew_fences_its_leader() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start(directory.path(), &[]);
    let topic = prepare(&broker, 2);
    let mut admin = broker.connect("admin");
    let mut a = Member::join(&broker, "a", topic);
    assert_eq!(a.fetch(&[], WAIT_MS), [(0, 1, 1)]);
    initialize(&mut admin, topic, 2);
    let fenced = a.acknowledge(&[(0, 1, &[1])]);
    assert_eq!(ack_code(&fenced), ErrorCode::NotLeaderOrFollower);
    assert_eq!(a.fetch(&[], 10_000), [(0, 1, 1)]);
    assert_eq!(ack_code(&a.acknowledge(&[(0, 1, &[1])])), ErrorCode::None);
    broker.stop();
}

#[test]
fn deleted_records_are_dealt_with() {
    let directory = tempfile::tempdir().unwrap();
    let broker = start(directory.path(), &[]);
    let topic = prepare(&broker, 2);
    let mut admin = broker.connect("admin");
    write(&mut admin, 2);
    write(&mut admin, 2);
    let mut a = Member::join(&broker, "a", topic);
    let few = ShareFetchRequest {
        max_wait_ms: WAIT_MS,
        max_records: 2,
        ..a.request(&[])
    };
    assert_eq!(acquired(&a.call(&few)), [(0, 1, 1)]);
    let response = admin.call(
        2,
        &DeleteRecordsRequest {
            topics: vec![wire::messages::delete_records_request::DeleteRecordsTopic {
                name: TOPIC.to_owned(),
                partitions: vec![
                    wire::messages::delete_records_request::DeleteRecordsPartition {
                        partition_index: 0,
                        offset: 4,
                    },
                ],
            }],
            timeout_ms: 10_000,
        },
    );
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
    assert_eq!(a.fetch(&[], WAIT_MS), [(4, 5, 1)]);
    assert_eq!(ack_code(&a.acknowledge(&[(0, 1, &[1])])), ErrorCode::None);
    broker.stop();
}

const TRANSACTIONAL_ID: &str = "t";

/// A producer with transactions; waits until it has a coordinator.
fn transactional_producer(client: &mut Client) -> InitProducerIdResponse {
    // Makes the coordinator's topic.
    let find = FindCoordinatorRequest {
        key_type: 1,
        coordinator_keys: vec![TRANSACTIONAL_ID.to_owned()],
        ..FindCoordinatorRequest::default()
    };
    client.call(4, &find);
    let init = InitProducerIdRequest {
        transactional_id: Some(TRANSACTIONAL_ID.to_owned()),
        transaction_timeout_ms: 60_000,
        ..InitProducerIdRequest::default()
    };
    let until = Instant::now() + PATIENCE;
    loop {
        let response = client.call(4, &init);
        if response.error_code == 0 {
            return response;
        }
        assert!(Instant::now() < until, "{response:?}");
    }
}

/// Writes two records in a transaction of their own.
fn write_in_transaction(
    client: &mut Client,
    producer: &InitProducerIdResponse,
    sequence: i32,
    committed: bool,
) {
    let add = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: TRANSACTIONAL_ID.to_owned(),
        v3_and_below_producer_id: producer.producer_id,
        v3_and_below_producer_epoch: producer.producer_epoch,
        v3_and_below_topics: vec![AddPartitionsToTxnTopic {
            name: TOPIC.to_owned(),
            partitions: vec![0],
        }],
        ..AddPartitionsToTxnRequest::default()
    };
    let until = Instant::now() + PATIENCE;
    loop {
        let response = client.call(3, &add);
        let results = &response.results_by_topic_v3_and_below[0].results_by_partition;
        let code = results[0].partition_error_code;
        if code == 0 {
            break;
        }
        // The markers of the transaction before are still on their way.
        assert_eq!(code, ErrorCode::ConcurrentTransactions.code());
        assert!(Instant::now() < until, "{response:?}");
    }
    let mut batch = RecordBatchBuilder::new(BatchOptions {
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        base_sequence: sequence,
        transactional: true,
        ..BatchOptions::default()
    });
    for _ in 0..2 {
        batch.append(0, None, Some(b"value"), &[]).unwrap();
    }
    let mut request = produce(TOPIC, 1, -1);
    request.transactional_id = Some(TRANSACTIONAL_ID.to_owned());
    request.topic_data[0].partition_data[0].records = Some(Records::from(batch.finish().unwrap()));
    let response = client.call(9, &request);
    let written = response.responses[0].partition_responses[0].error_code;
    assert_eq!(written, 0, "{response:?}");
    let end = EndTxnRequest {
        transactional_id: TRANSACTIONAL_ID.to_owned(),
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        committed,
    };
    assert_eq!(client.call(3, &end).error_code, 0);
}

#[test]
fn groups_that_read_committed_get_no_aborted_records() {
    let directory = tempfile::tempdir().unwrap();
    let one_partition = [
        ("transaction.state.log.num.partitions", "1"),
        ("transaction.state.log.replication.factor", "1"),
    ];
    let broker = start(directory.path(), &one_partition);
    let topic = prepare(&broker, 1);
    let mut admin = broker.connect("admin");
    set_on_group(&mut admin, "share.isolation.level", "read_committed");
    let producer = transactional_producer(&mut admin);
    write_in_transaction(&mut admin, &producer, 0, false);
    write_in_transaction(&mut admin, &producer, 2, true);
    // Offsets: 0 plain, 1-2 aborted, 3 its marker, 4-5 committed, 6 its marker.
    let mut a = Member::join(&broker, "a", topic);
    let until = Instant::now() + PATIENCE;
    let mut got = Vec::new();
    while got.last().is_none_or(|(_, last, _)| *last < 6) {
        got.extend(a.fetch(&[], 1_000));
        assert!(Instant::now() < until, "{got:?}");
    }
    let offsets: Vec<i64> = got
        .iter()
        .flat_map(|(first, last, _)| *first..=*last)
        .collect();
    assert_eq!(offsets, [0, 3, 4, 5, 6]);
    // A consumer says of a marker that it is a gap.
    let said = [(0, 0, &[1_i8][..]), (3, 3, &[0]), (4, 6, &[1, 1, 0])];
    assert_eq!(ack_code(&a.acknowledge(&said)), ErrorCode::None);
    assert_eq!(a.fetch(&[], 0), []);
    broker.stop();
}

#[test]
fn requests_decode_in_both_versions() {
    assert_eq!(ShareFetchRequest::MIN_VERSION, 1);
    let directory = tempfile::tempdir().unwrap();
    let broker = start(directory.path(), &[]);
    let topic = prepare(&broker, 1);
    let mut a = Member::join(&broker, "a", topic);
    let request = ShareFetchRequest {
        max_wait_ms: WAIT_MS,
        ..a.request(&[])
    };
    assert_eq!(acquired(&a.client.call(1, &request)), [(0, 0, 1)]);
    broker.stop();
}

/// A tiered topic whose group begins where only the remote store has the records.
#[test]
fn what_is_remote_is_shared_as_well() {
    let (directory, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let url = format!("file://{}", store.path().display());
    let broker = start(
        directory.path(),
        &[
            ("remote.log.storage.system.enable", "true"),
            ("remote.log.storage.url", &url),
            ("remote.log.manager.task.interval.ms", "50"),
            ("log.retention.check.interval.ms", "50"),
            ("journal.checkpoint.interval.ms", "100"),
        ],
    );
    let mut client = broker.connect("admin");
    let configs = [
        ("remote.storage.enable", "true"),
        ("internal.segment.bytes", "1000"),
        ("local.retention.bytes", "1"),
        ("retention.ms", "-1"),
        ("file.delete.delay.ms", "0"),
    ];
    let mut one = support::topic(TOPIC, 1);
    one.configs = configs
        .map(
            |(name, value)| wire::messages::create_topics_request::CreatableTopicConfig {
                name: name.to_owned(),
                value: Some(value.to_owned()),
            },
        )
        .to_vec();
    let request = wire::messages::CreateTopicsRequest {
        topics: vec![one],
        timeout_ms: 10_000,
        validate_only: false,
    };
    assert_eq!(client.call(7, &request).topics[0].error_code, 0);
    let topic = topic_id(&mut client);
    for _ in 0..40 {
        write(&mut client, 5);
    }
    initialize(&mut client, topic, 1);
    let local_start = |client: &mut Client| {
        use wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
        let request = wire::messages::ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: TOPIC.to_owned(),
                partitions: vec![ListOffsetsPartition {
                    partition_index: 0,
                    current_leader_epoch: -1,
                    timestamp: -4,
                }],
            }],
            timeout_ms: 10_000,
            ..Default::default()
        };
        client.call(11, &request).topics[0].partitions[0].offset
    };
    let until = Instant::now() + PATIENCE;
    while local_start(&mut client) < 100 {
        assert!(Instant::now() < until, "local retention does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut member = Member::join(&broker, "a", topic);
    let (mut next, mut said) = (0, Vec::new());
    while next < 200 {
        assert!(Instant::now() < until, "stuck at {next}");
        let acknowledge: Vec<Said<'_>> = said
            .iter()
            .map(|(first, last)| (*first, *last, &[1][..]))
            .collect();
        let got = member.fetch(&acknowledge, 2_000);
        said.clear();
        for (first, last, count) in got {
            assert_eq!((first, count), (next, 1));
            next = last + 1;
            said.push((first, last));
        }
    }
    broker.stop();
}
