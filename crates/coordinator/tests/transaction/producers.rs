//! InitProducerId and partitions: who may use a transactional id.

use coordinator::transaction::ClientVersion::{Classic, V2};
use coordinator::transaction::PartitionsMode;
use wire::ErrorCode;

use crate::bench::{Bench, Producer, TIMEOUT_MS};

#[test]
fn a_new_producer_fences_the_last_one() {
    let mut bench = Bench::new();
    let first = bench.init().unwrap();
    assert_eq!(first.epoch, 0);
    let second = bench.init().unwrap();
    assert_eq!((second.id, second.epoch), (first.id, 1));
    assert_eq!(bench.add(first, Classic), ErrorCode::ProducerFenced);
    assert_eq!(bench.init_again(first), Err(ErrorCode::ProducerFenced));
    assert_eq!(bench.add(second, Classic), ErrorCode::None);
    assert_eq!(bench.described(), format!("Ongoing {}/1 2", first.id));
}

#[test]
fn a_producer_that_goes_on_gets_the_next_epoch_and_may_repeat_the_question() {
    let mut bench = Bench::new();
    let first = bench.init().unwrap();
    let second = bench.init_again(first).unwrap();
    assert_eq!(second.epoch, 1);
    assert_eq!(bench.init_again(first).unwrap(), second, "the same answer");
    let other = bench.init().unwrap();
    assert_eq!(other.epoch, 2);
    assert_eq!(bench.init_again(second), Err(ErrorCode::ProducerFenced));
}

#[test]
fn a_stranger_is_refused() {
    let mut bench = Bench::new();
    let stranger = Producer { id: 5, epoch: 0 };
    let error = ErrorCode::InvalidProducerIdMapping;
    assert_eq!(bench.add(stranger, V2), error);
    assert_eq!(bench.end(stranger, V2, true), Err(error));
    assert_eq!(bench.described(), "TRANSACTIONAL_ID_NOT_FOUND");
    bench.init().unwrap();
    assert_eq!(bench.add(stranger, V2), error);
    assert_eq!(bench.verify(stranger, &[0]), [error]);
    assert_eq!(bench.init_again(stranger), Err(ErrorCode::ProducerFenced));
}

#[test]
fn timeouts_have_bounds() {
    let mut bench = Bench::new();
    for bad in [0, -1, 900_001] {
        let token = bench.send_init(None, bad);
        let error = Err(ErrorCode::InvalidTransactionTimeout);
        assert_eq!(bench.initialised(token), error, "{bad}");
    }
    let token = bench.send_init(None, 900_000);
    assert!(bench.initialised(token).is_ok());
}

#[test]
fn an_open_transaction_is_aborted_first() {
    let mut bench = Bench::new();
    let first = bench.init().unwrap();
    assert_eq!(bench.add(first, Classic), ErrorCode::None);
    bench.auto = false;
    let token = bench.send_init(None, TIMEOUT_MS);
    assert!(bench.is_waiting(token), "until the abort is durable");
    bench.commit_next();
    let concurrent = Err(ErrorCode::ConcurrentTransactions);
    assert_eq!(bench.initialised(token), concurrent);
    let token = bench.send_init(None, TIMEOUT_MS);
    assert_eq!(
        bench.initialised(token),
        concurrent,
        "markers are under way"
    );
    let markers = bench.write_next();
    assert!(!markers.marker.committed && markers.marker.is_strict);
    assert_eq!(markers.marker.producer_epoch, first.epoch + 1);
    assert_eq!(markers.marker.coordinator_epoch, 4);
    assert_eq!(markers.partitions.len(), 2);
    bench.settle();
    bench.auto = true;
    let second = bench.init().unwrap();
    assert_eq!((second.id, second.epoch), (first.id, 2));
    assert_eq!(
        bench.end(first, Classic, true),
        Err(ErrorCode::ProducerFenced)
    );
}

#[test]
fn used_up_epochs_lead_to_a_new_producer_id() {
    let mut bench = Bench::new();
    let mut producer = bench.init().unwrap();
    let first = producer;
    while producer.epoch < i16::MAX - 1 {
        producer = bench.init_again(producer).unwrap();
    }
    assert_eq!(producer.id, first.id);
    let next = bench.init_again(producer).unwrap();
    assert_ne!(next.id, first.id);
    assert_eq!(next.epoch, 0);
    // A retry that did not hear the answer is no stranger.
    let retried = bench.init_again(producer).unwrap();
    assert_eq!(retried, next);
    assert_eq!(bench.init_again(first), Err(ErrorCode::ProducerFenced));
}

#[test]
fn a_transaction_knows_its_partitions() {
    let mut bench = Bench::new();
    let producer = bench.init().unwrap();
    let abortable = ErrorCode::TransactionAbortable;
    assert_eq!(bench.verify(producer, &[0]), [abortable]);
    assert_eq!(bench.add(producer, Classic), ErrorCode::None);
    assert_eq!(
        bench.verify(producer, &[0, 7]),
        [ErrorCode::None, abortable]
    );
    let appended = bench.log.len();
    assert_eq!(bench.add(producer, Classic), ErrorCode::None);
    assert_eq!(bench.log.len(), appended, "nothing new to write down");
    bench.auto = false;
    let more = bench.send_partitions(producer, PartitionsMode::Add(Classic), &[7]);
    let other = bench.send_partitions(producer, PartitionsMode::Add(Classic), &[8]);
    assert_eq!(bench.partitions(other), [ErrorCode::ConcurrentTransactions]);
    assert_eq!(bench.verify(producer, &[7]), [abortable], "not durable yet");
    bench.commit_next();
    assert_eq!(bench.partitions(more), [ErrorCode::None]);
    assert_eq!(bench.verify(producer, &[7]), [ErrorCode::None]);
}

#[test]
fn what_is_not_durable_did_not_happen() {
    let mut bench = Bench::new();
    bench.auto = false;
    let token = bench.send_init(None, TIMEOUT_MS);
    bench.fail_next();
    assert_eq!(bench.initialised(token), Err(ErrorCode::NotCoordinator));
    assert_eq!(bench.described(), "TRANSACTIONAL_ID_NOT_FOUND");
    bench.auto = true;
    let producer = bench.init().unwrap();
    assert_eq!(producer.epoch, 0);
    bench.auto = false;
    let token = bench.send_partitions(producer, PartitionsMode::Add(V2), &[0]);
    bench.fail_next();
    assert_eq!(bench.partitions(token), [ErrorCode::NotCoordinator]);
    assert_eq!(bench.described(), format!("Empty {}/0 0", producer.id));
}
