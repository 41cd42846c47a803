//! Timeouts of transactions and expiry of transactional ids; requests while loading and after the end.

use coordinator::StateMachine;
use coordinator::transaction::ClientVersion::{Classic, V2};
use coordinator::transaction::{ListFilter, TransactionState};
use wire::ErrorCode;

use crate::bench::{Bench, TIMEOUT_MS};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

#[test]
fn a_transaction_past_its_timeout_is_aborted_and_its_producer_fenced() {
    for version in [Classic, V2] {
        let mut bench = Bench::new();
        let producer = bench.init().unwrap();
        assert_eq!(bench.add(producer, version), ErrorCode::None);
        bench.advance(60_000);
        assert!(bench.described().starts_with("Ongoing"), "not past it yet");
        bench.advance(10_000);
        let after = format!("CompleteAbort {}/1 0", producer.id);
        assert_eq!(bench.described(), after);
        assert_eq!(bench.add(producer, version), ErrorCode::ProducerFenced);
        let next = bench.init_again(producer);
        assert_eq!(next.unwrap().epoch, 1, "KIP-360: it may go on");
    }
}

/// A log that does not answer: the client hears of it in time, and what was written holds all the same.
#[test]
fn a_request_does_not_wait_for_its_append_for_ever() {
    let mut bench = Bench::new();
    bench.auto = false;
    let token = bench.send_init(None, TIMEOUT_MS);
    bench.advance(59_999);
    assert!(bench.is_waiting(token));
    bench.advance(1);
    let answer = bench.initialised(token);
    assert_eq!(answer, Err(ErrorCode::CoordinatorNotAvailable));
    let again = bench.send_init(None, TIMEOUT_MS);
    let answer = bench.initialised(again);
    assert_eq!(answer, Err(ErrorCode::ConcurrentTransactions));
    bench.settle();
    assert!(bench.described().starts_with("Empty"));
    bench.auto = true;
    assert_eq!(bench.init().unwrap().epoch, 1, "the first one has epoch 0");
    // With a timeout of next to nothing it is a second.
    bench.auto = false;
    let token = bench.send_init(None, 1);
    bench.advance(999);
    assert!(bench.is_waiting(token));
    bench.settle();
    assert_eq!(bench.initialised(token).unwrap().epoch, 2);
}

#[test]
fn a_timeout_holds_over_a_restart() {
    let mut bench = Bench::new();
    let producer = bench.init().unwrap();
    assert_eq!(bench.add(producer, V2), ErrorCode::None);
    bench.advance(50_000);
    let mut bench = bench.crash();
    bench.advance(20_000);
    assert!(bench.described().starts_with("CompleteAbort"));
}

#[test]
fn an_idle_transactional_id_is_forgotten() {
    let mut bench = Bench::new();
    bench.init().unwrap();
    bench.advance(6 * DAY_MS);
    assert!(bench.described().starts_with("Empty"));
    bench.advance(DAY_MS + 60 * 60 * 1_000);
    assert_eq!(bench.described(), "TRANSACTIONAL_ID_NOT_FOUND");
    let tombstone = bench.log.last().unwrap();
    assert_eq!(tombstone.value, None);
    let bench = bench.crash();
    assert_eq!(bench.described(), "TRANSACTIONAL_ID_NOT_FOUND");
    assert_eq!(
        bench.machine.next_deadline(),
        None,
        "nothing to wake up for"
    );
}

#[test]
fn an_open_transaction_does_not_expire() {
    let mut bench = Bench::new();
    let producer = bench.init().unwrap();
    assert_eq!(bench.add(producer, Classic), ErrorCode::None);
    bench.auto = false;
    let token = bench.send_end(producer, Classic, true);
    bench.commit_next();
    bench.ended(token).unwrap();
    bench.advance(9 * DAY_MS);
    assert!(bench.described().starts_with("PrepareCommit"));
}

#[test]
fn lists_are_filtered() {
    let mut bench = Bench::new();
    let producer = bench.init().unwrap();
    assert_eq!(bench.add(producer, Classic), ErrorCode::None);
    bench.advance(5_000);
    let count = |filter: ListFilter| bench.machine.list(&filter).unwrap().len();
    let all = ListFilter {
        duration_ms: -1,
        ..ListFilter::default()
    };
    assert_eq!(count(all.clone()), 1);
    for (states, found) in [
        (vec![TransactionState::Ongoing], 1),
        (vec![TransactionState::Empty], 0),
    ] {
        let filter = ListFilter {
            states,
            ..all.clone()
        };
        assert_eq!(count(filter), found);
    }
    for (producer_id, found) in [(producer.id, 1), (producer.id + 1, 0)] {
        let filter = ListFilter {
            producer_ids: vec![producer_id],
            ..all.clone()
        };
        assert_eq!(count(filter), found);
    }
    for (duration_ms, found) in [(4_999, 1), (5_000, 0)] {
        let filter = ListFilter {
            duration_ms,
            ..all.clone()
        };
        assert_eq!(count(filter), found);
    }
}

#[test]
fn an_ended_coordinator_answers_whoever_waits() {
    let mut bench = Bench::new();
    let producer = bench.init().unwrap();
    assert_eq!(bench.add(producer, V2), ErrorCode::None);
    bench.auto = false;
    let waiting = bench.send_end(producer, V2, true);
    let actions = bench.machine.unload();
    bench.run(actions);
    assert_eq!(bench.ended(waiting), Err(ErrorCode::NotCoordinator));
    let token = bench.send_init(None, TIMEOUT_MS);
    assert_eq!(bench.initialised(token), Err(ErrorCode::NotCoordinator));
    assert_eq!(bench.add(producer, V2), ErrorCode::NotCoordinator);
}
