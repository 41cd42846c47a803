//! Offsets that transactions commit: pending until the marker, in the order of the log.

use coordinator::AppendError;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use wire::ErrorCode;

use crate::bench::START_MS;
use crate::group_bench::{Entry, GroupBench};

const UNSTABLE: Result<i64, ErrorCode> = Err(ErrorCode::UnstableOffsetCommit);

#[test]
fn a_transactions_offsets_count_when_it_is_committed() {
    let mut bench = GroupBench::new();
    bench.send_commit(0, 5);
    bench.txn_commit(42, 0, 9);
    assert_eq!(bench.offset(), (5, UNSTABLE));
    assert_eq!(
        bench.reload().offset(),
        (5, UNSTABLE),
        "after a restart too"
    );
    bench.end(42, true);
    assert_eq!(bench.offset(), (9, Ok(9)));
    assert_eq!(bench.reload().offset(), (9, Ok(9)));
    bench.end(42, true);
    assert_eq!(bench.offset(), (9, Ok(9)), "a repeated marker ends nothing");
}

#[test]
fn an_aborted_transactions_offsets_never_count() {
    let mut bench = GroupBench::new();
    bench.txn_commit(42, 0, 9);
    bench.end(42, false);
    assert_eq!(bench.offset(), (-1, Ok(-1)));
    assert_eq!(bench.reload().offset(), (-1, Ok(-1)));
}

#[test]
fn the_later_commit_in_the_log_stands() {
    let mut bench = GroupBench::new();
    bench.txn_commit(42, 0, 9);
    bench.send_commit(0, 5);
    bench.end(42, true);
    assert_eq!(
        bench.offset(),
        (5, Ok(5)),
        "it came after the transaction's"
    );
    bench.txn_commit(1, 0, 11);
    bench.txn_commit(2, 0, 12);
    bench.end(2, true);
    bench.end(1, true);
    assert_eq!(bench.offset(), (12, Ok(12)), "whichever marker came first");
    bench.txn_commit(1, 0, 21);
    bench.txn_commit(1, 0, 22);
    bench.end(1, true);
    assert_eq!(bench.offset(), (22, Ok(22)), "of one transaction the last");
    assert_eq!(bench.reload().offset(), (22, Ok(22)));
}

#[test]
fn a_stable_fetch_waits_for_what_is_under_way() {
    let mut bench = GroupBench::new();
    bench.auto = false;
    let commit = bench.send_txn_commit(42, -1, 0, 9);
    let fetch = bench.send_fetch(&[0], true);
    assert!(bench.is_waiting(commit) && bench.is_waiting(fetch));
    bench.commit_next();
    assert_eq!(bench.txn_committed(commit), ErrorCode::None);
    assert_eq!(bench.fetched(fetch), [UNSTABLE]);
    let end = bench.send_end(42, true);
    let fetch = bench.send_fetch(&[0], true);
    assert!(bench.is_waiting(fetch), "the marker is under way");
    bench.commit_next();
    assert_eq!(bench.marker_written(end), ErrorCode::None);
    assert_eq!(bench.fetched(fetch), [Ok(9)]);
}

#[test]
fn a_marker_behind_offsets_that_are_not_durable_yet_ends_those_too() {
    let mut bench = GroupBench::new();
    bench.auto = false;
    bench.send_txn_commit(42, -1, 0, 9);
    bench.send_end(42, true);
    let fetch = bench.send_fetch(&[0], true);
    bench.commit_next();
    assert!(bench.is_waiting(fetch));
    bench.commit_next();
    assert_eq!(bench.fetched(fetch), [Ok(9)]);
}

#[test]
fn what_the_log_refused_is_told_and_forgotten() {
    let mut bench = GroupBench::new();
    bench.auto = false;
    for (error, code) in [
        (AppendError::InvalidTxnState, ErrorCode::InvalidTxnState),
        (
            AppendError::InvalidProducerEpoch,
            ErrorCode::InvalidProducerEpoch,
        ),
        (AppendError::Storage, ErrorCode::NotCoordinator),
    ] {
        let commit = bench.send_txn_commit(42, -1, 0, 9);
        bench.fail_next(error);
        assert_eq!(bench.txn_committed(commit), code);
        assert_eq!(bench.offset(), (-1, Ok(-1)));
    }
    let end = bench.send_end(42, true);
    bench.fail_next(AppendError::CoordinatorFenced);
    let fenced = ErrorCode::TransactionCoordinatorFenced;
    assert_eq!(bench.marker_written(end), fenced);
}

#[test]
fn deleting_an_offset_deletes_what_is_pending() {
    let mut bench = GroupBench::new();
    bench.send_commit(0, 5);
    bench.txn_commit(42, 0, 9);
    bench.txn_commit(42, 1, 3);
    bench.delete_offset(0);
    assert_eq!(bench.offset(), (-1, Ok(-1)));
    bench.end(42, true);
    assert_eq!(bench.offset(), (-1, Ok(-1)));
    assert_eq!(bench.visible()[0], [Ok(-1), Ok(3), Ok(-1)]);
    assert_eq!(bench.reload().visible(), bench.visible());
}

#[test]
fn a_generation_that_does_not_exist_is_refused() {
    let mut bench = GroupBench::new();
    let token = bench.send_txn_commit(42, 3, 0, 9);
    assert_eq!(bench.txn_committed(token), ErrorCode::IllegalGeneration);
    bench.send_commit(0, 1);
    let token = bench.send_txn_commit(42, 3, 0, 9);
    assert_eq!(bench.txn_committed(token), ErrorCode::UnknownMemberId);
    assert_eq!(bench.now_ms(), START_MS);
}

#[test]
fn records_carry_the_producer_and_the_brokers_proof() {
    let mut bench = GroupBench::new();
    bench.txn_commit(42, 0, 9);
    let Some(Entry::Transactional(producer, records)) = bench.log.last() else {
        panic!("the last entry is the transaction's")
    };
    assert_eq!((producer.producer_id, producer.verification), (42, 9));
    assert_eq!(records.len(), 1);
}

#[test]
fn live_offsets_are_what_a_replay_gives() {
    for seed in 0..300 {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut bench = GroupBench::new();
        bench.auto = false;
        for offset in 0..rng.random_range(5..60) {
            let partition = rng.random_range(0..3);
            let producer = rng.random_range(1..4);
            match rng.random_range(0..10) {
                0..=3 => {
                    bench.send_txn_commit(producer, -1, partition, offset);
                }
                4 | 5 => {
                    bench.send_end(producer, rng.random_bool(0.6));
                }
                6 | 7 => {
                    bench.send_commit(partition, offset);
                }
                8 => bench.delete_offset(partition),
                _ => {
                    bench.send_fetch(&[partition], true);
                }
            }
            while !bench.in_flight.is_empty() && rng.random_bool(0.5) {
                if rng.random_bool(0.1) {
                    bench.fail_next(AppendError::Storage);
                } else {
                    bench.commit_next();
                }
            }
        }
        while !bench.in_flight.is_empty() {
            bench.commit_next();
        }
        let live = bench.visible();
        assert_eq!(bench.reload().visible(), live, "seed {seed}");
    }
}
