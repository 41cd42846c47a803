//! EndTxn of both protocols, its retries, and crashes on the way.

use coordinator::transaction::ClientVersion::{Classic, V2};
use coordinator::transaction::Response;
use wire::ErrorCode;

use crate::bench::{Bench, Producer};

const INVALID: Result<Producer, ErrorCode> = Err(ErrorCode::InvalidTxnState);
const FENCED: Result<Producer, ErrorCode> = Err(ErrorCode::ProducerFenced);
const CONCURRENT: Result<Producer, ErrorCode> = Err(ErrorCode::ConcurrentTransactions);

#[test]
fn a_classic_producer_keeps_its_epoch_and_may_repeat_the_end() {
    for commit in [true, false] {
        let mut bench = Bench::new();
        let producer = bench.init().unwrap();
        assert_eq!(
            bench.end(producer, Classic, commit),
            INVALID,
            "no transaction"
        );
        for _ in 0..3 {
            assert_eq!(bench.add(producer, Classic), ErrorCode::None);
            assert_eq!(bench.end(producer, Classic, commit), Ok(producer));
            assert_eq!(
                bench.end(producer, Classic, commit),
                Ok(producer),
                "a retry"
            );
            assert_eq!(bench.end(producer, Classic, !commit), INVALID);
        }
    }
}

#[test]
fn every_end_bumps_the_epoch_of_version_2() {
    let mut bench = Bench::new();
    let mut producer = bench.init().unwrap();
    for commit in [true, false, true] {
        assert_eq!(bench.add(producer, V2), ErrorCode::None);
        let next = bench.end(producer, V2, commit).unwrap();
        assert_eq!((next.id, next.epoch), (producer.id, producer.epoch + 1));
        assert_eq!(bench.end(producer, V2, commit), Ok(next), "a retry");
        assert_eq!(bench.end(producer, V2, !commit), INVALID);
        assert_eq!(bench.add(producer, V2), ErrorCode::ProducerFenced);
        producer = next;
    }
}

#[test]
fn version_2_without_a_transaction() {
    let mut bench = Bench::new();
    let empty = bench.init().unwrap();
    assert_eq!(bench.end(empty, V2, true), INVALID);
    let before = Producer {
        epoch: empty.epoch - 1,
        ..empty
    };
    assert_eq!(bench.end(before, V2, false), FENCED);
    let aborted = bench.end(empty, V2, false).unwrap();
    assert_eq!(aborted.epoch, empty.epoch + 1, "an empty abort bumps too");
    assert_eq!(bench.end(empty, V2, false), Ok(aborted), "a retry");
    assert_eq!(bench.end(aborted, V2, true), INVALID);
    let again = bench.end(aborted, V2, false).unwrap();
    assert_eq!(again.epoch, aborted.epoch + 1);
    assert_eq!(bench.end(empty, V2, false), FENCED, "two epochs ago");
    assert_eq!(bench.described(), format!("CompleteAbort {}/2 0", empty.id));
}

#[test]
fn an_answer_waits_for_the_decision_and_not_for_markers() {
    let mut bench = Bench::new();
    let producer = bench.init().unwrap();
    assert_eq!(bench.add(producer, V2), ErrorCode::None);
    bench.auto = false;
    let token = bench.send_end(producer, V2, true);
    assert!(bench.is_waiting(token) && bench.markers.is_empty());
    assert_eq!(bench.end(producer, V2, true), CONCURRENT);
    bench.commit_next();
    let next = bench.ended(token).unwrap();
    assert_eq!(bench.end(producer, V2, true), CONCURRENT, "a retry");
    assert_eq!(bench.add(next, V2), ErrorCode::ConcurrentTransactions);
    assert_eq!(
        bench.verify(next, &[0]),
        [ErrorCode::ConcurrentTransactions]
    );
    let markers = bench.write_next();
    assert!(markers.marker.committed && markers.marker.is_strict);
    assert_eq!(markers.marker.producer_epoch, next.epoch);
    bench.settle();
    bench.auto = true;
    assert_eq!(bench.end(producer, V2, true), Ok(next));
    assert_eq!(bench.add(next, V2), ErrorCode::None);
}

#[test]
fn whoever_waits_for_the_end_is_told_once() {
    let mut bench = Bench::new();
    let producer = bench.init().unwrap();
    assert!(bench.is_settled());
    assert_eq!(bench.add(producer, V2), ErrorCode::None);
    bench.auto = false;
    bench.send_end(producer, V2, true);
    let waiting = bench.send_await();
    bench.commit_next();
    assert!(bench.is_waiting(waiting), "markers are under way");
    bench.write_next();
    assert!(bench.is_waiting(waiting), "so is the completion");
    bench.commit_next();
    assert_eq!(bench.response(waiting), Response::Settled);
    assert!(bench.is_settled());
}

#[test]
fn no_more_than_so_many_wait_for_the_end() {
    let mut bench = Bench::new();
    let producer = bench.init().unwrap();
    assert_eq!(bench.add(producer, V2), ErrorCode::None);
    bench.auto = false;
    bench.send_end(producer, V2, true);
    let waiting: Vec<_> = (0..65).map(|_| bench.send_await()).collect();
    assert_eq!(bench.response(waiting[0]), Response::Settled, "told early");
    assert!(waiting[1..].iter().all(|token| bench.is_waiting(*token)));
    bench.commit_next();
    bench.write_next();
    bench.commit_next();
    for token in &waiting[1..] {
        assert_eq!(bench.response(*token), Response::Settled);
    }
}

#[test]
fn used_up_epochs_end_with_a_new_producer_id() {
    for commit in [true, false] {
        let mut bench = Bench::new();
        let mut producer = bench.init().unwrap();
        while producer.epoch < i16::MAX - 1 {
            producer = bench.init_again(producer).unwrap();
        }
        assert_eq!(bench.add(producer, V2), ErrorCode::None);
        bench.auto = false;
        let token = bench.send_end(producer, V2, commit);
        bench.commit_next();
        let next = bench.ended(token).unwrap();
        assert_ne!(next.id, producer.id);
        assert_eq!(next.epoch, 0);
        let mut bench = bench.crash();
        let markers = bench.write_next();
        assert_eq!(markers.marker.producer_id, producer.id);
        assert_eq!(markers.marker.producer_epoch, i16::MAX);
        bench.auto = true;
        bench.settle();
        assert_eq!(bench.end(producer, V2, commit), Ok(next), "a retry");
        assert_eq!(bench.add(next, V2), ErrorCode::None);
    }
}

#[test]
fn a_crash_loses_no_decision() {
    for (version, commit) in [(Classic, true), (Classic, false), (V2, true), (V2, false)] {
        let mut bench = Bench::new();
        let producer = bench.init().unwrap();
        assert_eq!(bench.add(producer, version), ErrorCode::None);
        bench.auto = false;
        let token = bench.send_end(producer, version, commit);
        // Not durable: it never happened.
        bench.in_flight.clear();
        let mut bench = bench.crash();
        assert!(bench.markers.is_empty() && bench.described().starts_with("Ongoing"));
        assert!(bench.is_waiting(token));
        let token = bench.send_end(producer, version, commit);
        bench.commit_next();
        let next = bench.ended(token).unwrap();
        // Durable: the markers are asked for again, as often as it takes.
        let mut bench = bench.crash().crash();
        let markers = bench.write_next();
        assert_eq!(markers.marker.committed, commit);
        assert_eq!(markers.marker.producer_epoch, next.epoch);
        let mut bench = bench.crash();
        assert_eq!(bench.write_next(), markers);
        bench.commit_next();
        assert_eq!(bench.end(producer, version, commit), Ok(next));
        assert!(bench.described().starts_with("Complete"));
        assert!(bench.crash().markers.is_empty());
    }
}

#[test]
fn a_completion_that_is_not_durable_is_tried_again() {
    let mut bench = Bench::new();
    let producer = bench.init().unwrap();
    assert_eq!(bench.add(producer, Classic), ErrorCode::None);
    bench.auto = false;
    let token = bench.send_end(producer, Classic, true);
    bench.commit_next();
    assert_eq!(bench.ended(token), Ok(producer));
    let markers = bench.write_next();
    bench.fail_next();
    assert_eq!(bench.end(producer, Classic, true), CONCURRENT);
    bench.advance(99);
    assert!(bench.in_flight.is_empty());
    bench.advance(1);
    bench.commit_next();
    assert_eq!(bench.end(producer, Classic, true), Ok(producer));
    let late = bench.machine.markers_written(&markers);
    assert!(late.is_empty(), "nothing waits for them");
}
