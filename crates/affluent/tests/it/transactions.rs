//! Transactions, over the wire: both protocols, readers of committed records, fencing, kill -9.

use std::time::Duration;

use base::Uuid;
use testkit::calls::{
    FetchLimit, Partition, batch_of, committed_offset, create_topic, error_code, fetch_request,
    produce_request,
};
use testkit::connection::Connection;
use testkit::server::{Server, ServerOptions};
use testkit::wait::wait_for;
use wire::ErrorCode;
use wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use wire::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest,
    FindCoordinatorRequest, InitProducerIdRequest, ListOffsetsRequest, ListTransactionsRequest,
    TxnOffsetCommitRequest, WriteTxnMarkersRequest,
};
use wire::record_data::{BatchOptions, batches, records};

const LIMIT: Duration = Duration::from_secs(60);
const TOPIC: &str = "orders";

/// A transactional producer that sends what it is told.
struct Producer {
    connection: Connection,
    transactional_id: String,
    id: i64,
    epoch: i16,
    sequence: i32,
}

impl Producer {
    fn start(server: &Server, transactional_id: &str, timeout_ms: i32) -> Producer {
        let mut producer = Producer {
            connection: server.connect().unwrap(),
            transactional_id: transactional_id.to_owned(),
            id: -1,
            epoch: -1,
            sequence: 0,
        };
        let find = FindCoordinatorRequest {
            key_type: 1,
            coordinator_keys: vec![transactional_id.to_owned()],
            ..FindCoordinatorRequest::default()
        };
        wait_for("a transaction coordinator", LIMIT, || {
            let found = producer.connection.call(4, &find)?;
            Ok((found.coordinators[0].error_code == 0).then_some(()))
        })
        .unwrap();
        producer.init(timeout_ms);
        producer
    }

    /// InitProducerId until no earlier transaction is in its way.
    fn init(&mut self, timeout_ms: i32) {
        wait_for("an answer to InitProducerId", LIMIT, || {
            match self.try_init(timeout_ms) {
                ErrorCode::None => Ok(Some(())),
                ErrorCode::ConcurrentTransactions | ErrorCode::CoordinatorLoadInProgress => {
                    Ok(None)
                }
                other => anyhow::bail!("InitProducerId answered {}", other.name()),
            }
        })
        .unwrap();
    }

    /// InitProducerId once.
    fn try_init(&mut self, timeout_ms: i32) -> ErrorCode {
        let request = InitProducerIdRequest {
            transactional_id: Some(self.transactional_id.clone()),
            transaction_timeout_ms: timeout_ms,
            ..InitProducerIdRequest::default()
        };
        let answer = self.connection.call(5, &request).unwrap();
        let code = error_code(answer.error_code).unwrap();
        if code == ErrorCode::None {
            (self.id, self.epoch) = (answer.producer_id, answer.producer_epoch);
            self.sequence = 0;
        }
        code
    }

    /// AddOffsetsToTxn once.
    fn try_add_offsets(&mut self, group: &str) -> ErrorCode {
        let request = AddOffsetsToTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            group_id: group.to_owned(),
        };
        let answer = self.connection.call(3, &request).unwrap();
        error_code(answer.error_code).unwrap()
    }

    fn add_partitions(&mut self, partitions: &[i32]) -> ErrorCode {
        let code = wait_for("partitions to be added", LIMIT, || {
            let code = self.try_add_partitions(partitions);
            Ok((code != ErrorCode::ConcurrentTransactions).then_some(code))
        });
        code.unwrap()
    }

    /// AddPartitionsToTxn once.
    fn try_add_partitions(&mut self, partitions: &[i32]) -> ErrorCode {
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.transactional_id.clone(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![AddPartitionsToTxnTopic {
                name: TOPIC.to_owned(),
                partitions: partitions.to_vec(),
            }],
            ..AddPartitionsToTxnRequest::default()
        };
        let answer = self.connection.call(3, &request).unwrap();
        let topic = &answer.results_by_topic_v3_and_below[0];
        error_code(topic.results_by_partition[0].partition_error_code).unwrap()
    }

    /// Sends one record to partition 0 with a version of Produce.
    fn send(&mut self, version: i16, value: &str) -> ErrorCode {
        let options = BatchOptions {
            producer_id: self.id,
            producer_epoch: self.epoch,
            base_sequence: self.sequence,
            transactional: true,
            ..BatchOptions::default()
        };
        let now_ms = 1_700_000_000_000;
        let batch = batch_of(options, now_ms, &[value.as_bytes()]).unwrap();
        let mut request = produce_request(TOPIC, vec![(0, batch)]);
        request.transactional_id = Some(self.transactional_id.clone());
        let code = wait_for("an answer to Produce", LIMIT, || {
            let answer = self.connection.call(version, &request)?;
            let partition = &answer.responses[0].partition_responses[0];
            let code = error_code(partition.error_code)?;
            let again = [
                ErrorCode::ConcurrentTransactions,
                ErrorCode::NotEnoughReplicas,
            ];
            Ok((!again.contains(&code)).then_some(code))
        });
        let code = code.unwrap();
        if code == ErrorCode::None {
            self.sequence += 1;
        }
        code
    }

    /// EndTxn once: the code, and the producer of the next transaction in version 5.
    fn try_end(&mut self, version: i16, committed: bool) -> (ErrorCode, i64, i16) {
        let request = EndTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
        };
        let answer = self.connection.call(version, &request).unwrap();
        let code = error_code(answer.error_code).unwrap();
        (code, answer.producer_id, answer.producer_epoch)
    }

    /// EndTxn, asked for until the coordinator has loaded its log and is done with what it was at.
    fn settled_end(&mut self, version: i16, committed: bool) -> (ErrorCode, i64, i16) {
        wait_for("an answer to EndTxn", LIMIT, || {
            let answer = self.try_end(version, committed);
            let waits = [
                ErrorCode::ConcurrentTransactions,
                ErrorCode::CoordinatorLoadInProgress,
            ];
            Ok((!waits.contains(&answer.0)).then_some(answer))
        })
        .unwrap()
    }

    /// EndTxn, which must succeed.
    fn end(&mut self, version: i16, committed: bool) {
        let (code, id, epoch) = self.try_end(version, committed);
        assert_eq!(code, ErrorCode::None);
        if version >= 5 {
            (self.id, self.epoch) = (id, epoch);
            self.sequence = 0;
        }
    }

    fn described(&mut self) -> String {
        let request = DescribeTransactionsRequest {
            transactional_ids: vec![self.transactional_id.clone()],
        };
        let answer = self.connection.call(0, &request).unwrap();
        answer.transaction_states[0].transaction_state.clone()
    }
}

fn options() -> ServerOptions {
    ServerOptions::default()
        .with("transaction.state.log.num.partitions", 2)
        .with("offsets.topic.num.partitions", 2)
        .with("group.initial.rebalance.delay.ms", 0)
}

fn start(options: ServerOptions) -> Server {
    let server = Server::start(options).unwrap();
    let mut connection = server.connect().unwrap();
    create_topic(&mut connection, TOPIC, 2, &[]).unwrap();
    server
}

/// What a reader of committed records sees of partition 0 from the beginning, and the last stable offset.
fn committed(connection: &mut Connection) -> (Vec<String>, i64) {
    let partition = Partition {
        topic: TOPIC,
        index: 0,
    };
    let mut values = Vec::new();
    let mut offset = 0;
    loop {
        let mut request = fetch_request(partition, offset, FetchLimit::default());
        request.isolation_level = 1;
        request.max_wait_ms = 0;
        let answer = connection.call(12, &request).unwrap();
        let data = &answer.responses[0].partitions[0];
        assert_eq!(data.error_code, 0);
        let mut aborted: Vec<(i64, i64)> = data
            .aborted_transactions
            .iter()
            .flatten()
            .map(|aborted| (aborted.first_offset, aborted.producer_id))
            .collect();
        let bytes = data.records.as_ref().unwrap().to_bytes().unwrap();
        if bytes.is_empty() {
            return (values, data.last_stable_offset);
        }
        let mut skipping: Vec<i64> = Vec::new();
        for batch in batches(&bytes) {
            let (_, batch) = batch.unwrap();
            let batch = records(&batch, 1 << 20).unwrap();
            let header = *batch.header();
            offset = header.next_offset();
            aborted.retain(|(first, producer)| {
                let begins = *first <= header.last_offset();
                if begins {
                    skipping.push(*producer);
                }
                !begins
            });
            if header.attributes.is_control() {
                skipping.retain(|producer| *producer != header.producer_id);
                continue;
            }
            if skipping.contains(&header.producer_id) && header.attributes.is_transactional() {
                continue;
            }
            for record in batch {
                let value = record.unwrap().value.unwrap();
                values.push(String::from_utf8(value.to_vec()).unwrap());
            }
        }
    }
}

/// Waits until a reader of committed records sees exactly `values`.
fn wait_committed(connection: &mut Connection, values: &[&str]) {
    let mut last = (Vec::new(), 0);
    let seen = wait_for("committed records", LIMIT, || {
        last = committed(connection);
        Ok((last.0 == values).then_some(()))
    });
    assert!(seen.is_ok(), "{last:?} instead of {values:?}");
}

#[test]
fn committed_records_are_read_and_aborted_ones_are_not() {
    // The last version that each protocol knows: produce, end.
    for (produce, end) in [(9, 3), (11, 4), (12, 5)] {
        let server = start(options());
        let mut reader = server.connect().unwrap();
        let mut producer = Producer::start(&server, "tx", 60_000);
        let mut expected = Vec::new();
        for (round, commit) in [true, false, true, false, false, true]
            .into_iter()
            .enumerate()
        {
            if end < 5 {
                assert_eq!(producer.add_partitions(&[0, 1]), ErrorCode::None);
            }
            for part in ["a", "b"] {
                let value = format!("{round}{part}");
                assert_eq!(producer.send(produce, &value), ErrorCode::None);
                if commit {
                    expected.push(value);
                }
            }
            let open = committed(&mut reader);
            assert!(
                !open.0.contains(&format!("{round}a")),
                "{open:?} while open"
            );
            producer.end(end, commit);
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            wait_committed(&mut reader, &expected);
        }
        server.expect_quiet_log(&[]).unwrap();
    }
}

#[test]
fn a_producer_that_goes_on_at_once_is_not_told_to_wait() {
    let server = start(options());
    let mut producer = Producer::start(&server, "tx", 60_000);
    let mut expected = Vec::new();
    for round in 0..40 {
        // Whatever the transaction before still lacks, the first attempt is taken.
        let added = match round % 4 {
            0 => {
                let code = producer.try_init(60_000);
                assert_eq!(code, ErrorCode::None, "InitProducerId of round {round}");
                producer.try_add_partitions(&[0, 1])
            }
            1 => producer.try_add_offsets("readers"),
            _ => producer.try_add_partitions(&[0, 1]),
        };
        assert_eq!(added, ErrorCode::None, "round {round}");
        assert_eq!(producer.add_partitions(&[0]), ErrorCode::None);
        let value = round.to_string();
        assert_eq!(producer.send(9, &value), ErrorCode::None);
        expected.push(value);
        producer.end(3, true);
    }
    // One that is open is aborted, and the next producer need not come back for its epoch.
    assert_eq!(producer.add_partitions(&[0]), ErrorCode::None);
    assert_eq!(producer.send(9, "lost"), ErrorCode::None);
    let epoch = producer.epoch;
    assert_eq!(producer.try_init(60_000), ErrorCode::None);
    assert_eq!(producer.epoch, epoch + 2, "fenced, then bumped");
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    wait_committed(&mut server.connect().unwrap(), &expected);
}

#[test]
fn records_outside_of_a_transaction_are_refused() {
    let server = start(options());
    let mut producer = Producer::start(&server, "tx", 60_000);
    // A classic producer that forgot to add its partition, in the error each version knows.
    assert_eq!(producer.send(9, "lost"), ErrorCode::InvalidTxnState);
    assert_eq!(producer.send(11, "lost"), ErrorCode::TransactionAbortable);
    assert_eq!(producer.add_partitions(&[0]), ErrorCode::None);
    assert_eq!(producer.send(9, "kept"), ErrorCode::None);
    producer.end(3, true);
    // A delayed request after the end does not open a transaction that nobody ends.
    assert_eq!(producer.settled_end(3, true).0, ErrorCode::None);
    let mut reader = server.connect().unwrap();
    wait_committed(&mut reader, &["kept"]);
    assert_eq!(producer.send(9, "late"), ErrorCode::InvalidTxnState);
    let (values, stable) = committed(&mut reader);
    assert_eq!((values.len(), stable), (1, 2));
}

#[test]
fn a_made_up_producer_is_refused() {
    let server = start(options());
    let mut producer = Producer::start(&server, "tx", 60_000);
    producer.id += 1_000;
    let unknown = ErrorCode::InvalidProducerIdMapping;
    assert_eq!(producer.send(12, "lost"), unknown);
    assert_eq!(producer.send(9, "lost"), unknown);
    assert_eq!(producer.add_partitions(&[0]), unknown);
    assert_eq!(producer.try_end(5, true).0, unknown);
    assert_eq!(producer.try_end(3, false).0, unknown);
    producer.id -= 1_000;
    assert_eq!(producer.send(12, "kept"), ErrorCode::None);
    producer.end(5, true);
    wait_committed(&mut server.connect().unwrap(), &["kept"]);
}

#[test]
fn the_next_producer_fences_the_last_one() {
    let server = start(options());
    let mut first = Producer::start(&server, "tx", 60_000);
    assert_eq!(first.send(12, "lost"), ErrorCode::None);
    let mut second = Producer::start(&server, "tx", 60_000);
    assert_eq!((second.id, second.epoch), (first.id, first.epoch + 2));
    assert_eq!(first.send(12, "late"), ErrorCode::InvalidProducerEpoch);
    assert_eq!(first.add_partitions(&[0]), ErrorCode::ProducerFenced);
    let (error, _, _) = first.try_end(5, true);
    assert_eq!(error, ErrorCode::ProducerFenced);
    let (error, _, _) = first.try_end(1, true);
    assert_eq!(
        error,
        ErrorCode::InvalidProducerEpoch,
        "as old clients know it"
    );
    assert_eq!(second.send(12, "kept"), ErrorCode::None);
    second.end(5, true);
    wait_committed(&mut server.connect().unwrap(), &["kept"]);
}

/// As `ReplicaManager.fetchOffset` of Apache Kafka 4.3.1 has it: to a broker, or to one that debugs, the log ends where it does.
#[test]
fn only_consumers_are_told_the_last_stable_offset() {
    let server = start(options());
    let mut producer = Producer::start(&server, "tx", 60_000);
    assert_eq!(producer.send(12, "open"), ErrorCode::None);
    let mut connection = server.connect().unwrap();
    let mut latest = |replica_id| {
        let request = ListOffsetsRequest {
            replica_id,
            isolation_level: 1,
            topics: vec![ListOffsetsTopic {
                name: TOPIC.to_owned(),
                partitions: vec![ListOffsetsPartition {
                    timestamp: -1,
                    ..ListOffsetsPartition::default()
                }],
            }],
            ..ListOffsetsRequest::default()
        };
        let answer = connection.call(9, &request).unwrap();
        answer.topics[0].partitions[0].offset
    };
    assert_eq!([-1, -2, 5].map(&mut latest), [0, 1, 1]);
}

#[test]
fn a_transaction_past_its_timeout_is_aborted() {
    let interval = "transaction.abort.timed.out.transaction.cleanup.interval.ms";
    let server = start(options().with(interval, 50));
    let mut producer = Producer::start(&server, "tx", 100);
    assert_eq!(producer.send(12, "lost"), ErrorCode::None);
    wait_for("the abort", LIMIT, || {
        Ok((producer.described() == "CompleteAbort").then_some(()))
    })
    .unwrap();
    let mut reader = server.connect().unwrap();
    let (values, stable) = committed(&mut reader);
    assert_eq!((values.len(), stable), (0, 2), "the record and its marker");
    assert_eq!(producer.send(12, "late"), ErrorCode::InvalidProducerEpoch);
}

#[test]
fn a_kill_at_any_point_leaves_no_transaction_half_ended() {
    let mut server = start(options());
    let mut producer = Producer::start(&server, "tx", 60_000);
    assert_eq!(producer.send(12, "first"), ErrorCode::None);
    server.kill().unwrap();
    server.restart().unwrap();
    // Open before, open after: the producer goes on.
    producer.connection = server.connect().unwrap();
    assert_eq!(producer.send(12, "second"), ErrorCode::None);
    let (epoch, before) = (producer.epoch, producer.settled_end(5, true));
    assert_eq!((before.0, before.2), (ErrorCode::None, epoch + 1));
    server.kill().unwrap();
    server.restart().unwrap();
    // Decided before: committed after, and the retry says so.
    producer.connection = server.connect().unwrap();
    assert_eq!(producer.settled_end(5, true), before);
    (producer.id, producer.epoch, producer.sequence) = (before.1, before.2, 0);
    wait_committed(&mut server.connect().unwrap(), &["first", "second"]);
    assert_eq!(producer.send(12, "third"), ErrorCode::None);
    producer.end(5, false);
    wait_for("the abort's marker", LIMIT, || {
        Ok((producer.described() == "CompleteAbort").then_some(()))
    })
    .unwrap();
    let (values, stable) = committed(&mut server.connect().unwrap());
    assert_eq!(values, ["first", "second"]);
    // Three records and two markers, of which the kill may have doubled the first.
    assert!((5..=6).contains(&stable), "{stable}");
}

fn txn_offset_commit(producer: &mut Producer, version: i16, offset: i64) -> ErrorCode {
    let request = TxnOffsetCommitRequest {
        transactional_id: producer.transactional_id.clone(),
        group_id: "readers".to_owned(),
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        generation_id_or_member_epoch: -1,
        topics: vec![TxnOffsetCommitRequestTopic {
            name: TOPIC.to_owned(),
            topic_id: Uuid::ZERO,
            partitions: vec![TxnOffsetCommitRequestPartition {
                committed_offset: offset,
                ..TxnOffsetCommitRequestPartition::default()
            }],
        }],
        ..TxnOffsetCommitRequest::default()
    };
    let code = wait_for("an answer to TxnOffsetCommit", LIMIT, || {
        let answer = producer.connection.call(version, &request)?;
        let code = error_code(answer.topics[0].partitions[0].error_code)?;
        let waits = [
            ErrorCode::ConcurrentTransactions,
            ErrorCode::CoordinatorLoadInProgress,
        ];
        Ok((!waits.contains(&code)).then_some(code))
    });
    code.unwrap()
}

#[test]
fn offsets_are_committed_with_the_transaction() {
    let mut server = start(options());
    let mut producer = Producer::start(&server, "tx", 60_000);
    let find = FindCoordinatorRequest {
        coordinator_keys: vec!["readers".to_owned()],
        ..FindCoordinatorRequest::default()
    };
    producer.connection.call(4, &find).unwrap();
    let partition = Partition {
        topic: TOPIC,
        index: 0,
    };
    let offset_is = |server: &Server, expected: i64| {
        let mut connection = server.connect().unwrap();
        wait_for("the committed offset", LIMIT, || {
            let offset = committed_offset(&mut connection, "readers", partition)?;
            Ok((offset == (ErrorCode::None, expected)).then_some(()))
        })
        .unwrap();
    };
    // Without AddOffsetsToTxn a classic producer is refused.
    let refused = txn_offset_commit(&mut producer, 3, 7);
    assert_eq!(refused, ErrorCode::InvalidTxnState);
    assert_eq!(producer.try_add_offsets("readers"), ErrorCode::None);
    assert_eq!(txn_offset_commit(&mut producer, 3, 7), ErrorCode::None);
    offset_is(&server, -1);
    producer.end(3, true);
    offset_is(&server, 7);
    // Version 5 adds the group by itself. An abort leaves the last offset, also over a kill.
    assert_eq!(txn_offset_commit(&mut producer, 5, 8), ErrorCode::None);
    producer.end(5, false);
    assert_eq!(txn_offset_commit(&mut producer, 5, 9), ErrorCode::None);
    server.kill().unwrap();
    server.restart().unwrap();
    offset_is(&server, 7);
    producer.connection = server.connect().unwrap();
    assert_eq!(producer.settled_end(5, true).0, ErrorCode::None);
    offset_is(&server, 9);
    server.stop().unwrap();
    server.restart().unwrap();
    offset_is(&server, 9);
}

#[test]
fn an_administrator_sees_transactions_and_ends_a_hanging_one() {
    let server = start(options());
    let mut producer = Producer::start(&server, "tx", 60_000);
    assert_eq!(producer.send(12, "lost"), ErrorCode::None);
    assert_eq!(producer.described(), "Ongoing");
    let mut admin = server.connect().unwrap();
    let mut listed = |states: &[&str], pattern: Option<&str>| {
        let request = ListTransactionsRequest {
            state_filters: states.iter().map(|state| (*state).to_owned()).collect(),
            duration_filter: -1,
            transactional_id_pattern: pattern.map(str::to_owned),
            ..ListTransactionsRequest::default()
        };
        let answer = admin.call(2, &request).unwrap();
        let code = error_code(answer.error_code).unwrap();
        (
            code,
            answer.transaction_states.len(),
            answer.unknown_state_filters,
        )
    };
    let none = ErrorCode::None;
    assert_eq!(listed(&[], None), (none, 1, vec![]));
    assert_eq!(listed(&["Ongoing"], Some("t.")), (none, 1, vec![]));
    assert_eq!(listed(&["Empty"], None), (none, 0, vec![]));
    assert_eq!(listed(&[], Some("t")), (none, 0, vec![]));
    let odd = vec!["Odd".to_owned()];
    assert_eq!(listed(&["Odd"], None), (none, 0, odd));
    let invalid = ErrorCode::InvalidRegularExpression;
    assert_eq!(listed(&[], Some("(")), (invalid, 0, vec![]));
    // `kafka-transactions.sh abort` writes the marker past the coordinator.
    let mut write = |epoch: i16, coordinator_epoch: i32, partition: i32| {
        let request = WriteTxnMarkersRequest {
            markers: vec![WritableTxnMarker {
                producer_id: producer.id,
                producer_epoch: epoch,
                transaction_result: false,
                topics: vec![WritableTxnMarkerTopic {
                    name: TOPIC.to_owned(),
                    partition_indexes: vec![partition],
                }],
                coordinator_epoch,
                ..WritableTxnMarker::default()
            }],
        };
        let answer = admin.call(1, &request).unwrap();
        error_code(answer.markers[0].topics[0].partitions[0].error_code).unwrap()
    };
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(write(producer.epoch, 0, 7), unknown);
    let stale = ErrorCode::InvalidProducerEpoch;
    assert_eq!(write(producer.epoch - 1, 0, 0), stale);
    assert_eq!(write(producer.epoch, 5, 0), none);
    let fenced = ErrorCode::TransactionCoordinatorFenced;
    assert_eq!(write(producer.epoch, 4, 0), fenced);
    let (values, stable) = committed(&mut server.connect().unwrap());
    assert_eq!((values.len(), stable), (0, 2));
}

#[test]
fn a_deleted_topic_holds_back_no_transaction() {
    let server = start(options());
    let mut producer = Producer::start(&server, "tx", 60_000);
    assert_eq!(producer.send(12, "gone"), ErrorCode::None);
    let mut admin = server.connect().unwrap();
    let deleted = testkit::calls::delete_topic(&mut admin, TOPIC).unwrap();
    assert_eq!(deleted, ErrorCode::None);
    producer.end(5, true);
    wait_for("the commit", LIMIT, || {
        Ok((producer.described() == "CompleteCommit").then_some(()))
    })
    .unwrap();
}
