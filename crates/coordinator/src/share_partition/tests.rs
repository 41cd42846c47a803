//! The state machine by example. `tests/share_partition.rs` of the crate holds it against a model.

use std::sync::Arc;
use std::time::Duration;

use base::{Offset, Timestamp};
use wire::ErrorCode;

use super::*;

const LIMITS: Limits = Limits {
    delivery_count: 5,
    lock_duration: Duration::from_secs(30),
    record_locks: 100,
    renew: true,
};

fn at(seconds: u64) -> Timestamp {
    Timestamp(Duration::from_secs(seconds))
}

/// First and last offset, state, delivery count.
type Written = (i64, i64, i8, i16);

fn state(batches: &[Written]) -> ReadState {
    let batches = batches
        .iter()
        .map(
            |&(first, last, delivery_state, delivery_count)| StateBatch {
                first_offset: Offset(first),
                last_offset: Offset(last),
                delivery_state,
                delivery_count,
            },
        )
        .collect();
    ReadState {
        state_epoch: 3,
        start_offset: None,
        delivery_complete_count: -1,
        batches,
    }
}

fn load(start: i64, batches: &[Written]) -> SharePartition {
    SharePartition::load(&state(batches), Offset(start), 7).unwrap()
}

struct Fetch<'a> {
    member: &'a str,
    batches: &'a [(i64, i64)],
    records_max: i64,
    batch_size: i64,
    mode: AcquireMode,
    aborted: &'a [(i64, i64)],
    limits: Limits,
}

impl<'a> Fetch<'a> {
    fn of(member: &'a str, batches: &'a [(i64, i64)]) -> Fetch<'a> {
        Fetch {
            member,
            batches,
            records_max: 500,
            batch_size: 500,
            mode: AcquireMode::BatchOptimized,
            aborted: &[],
            limits: LIMITS,
        }
    }

    fn run(&self, partition: &mut SharePartition) -> Vec<(i64, i64, i16)> {
        let fetched: Vec<FetchedBatch> = self
            .batches
            .iter()
            .map(|&(base, last)| FetchedBatch {
                base_offset: Offset(base),
                last_offset: Offset(last),
            })
            .collect();
        let aborted: Vec<AbortedRange> = self
            .aborted
            .iter()
            .map(|&(first, last)| AbortedRange {
                first_offset: Offset(first),
                last_offset: Offset(last),
            })
            .collect();
        let request = Acquire {
            member: &Arc::from(self.member),
            mode: self.mode,
            batch_size: self.batch_size,
            records_max: self.records_max,
            fetch_offset: partition.next_fetch_offset(),
            fetched: &fetched,
            aborted: &aborted,
        };
        partition
            .acquire(&request, &self.limits, at(0))
            .into_iter()
            .map(|records| {
                (
                    records.first_offset.0,
                    records.last_offset.0,
                    records.delivery_count,
                )
            })
            .collect()
    }
}

fn fetch(
    partition: &mut SharePartition,
    member: &str,
    batches: &[(i64, i64)],
) -> Vec<(i64, i64, i16)> {
    Fetch::of(member, batches).run(partition)
}

fn says(first: i64, last: i64, types: &[i8]) -> Acknowledgement {
    Acknowledgement {
        first_offset: first,
        last_offset: last,
        types: types.to_vec(),
    }
}

fn acknowledge(
    partition: &mut SharePartition,
    member: &str,
    acknowledgements: &[Acknowledgement],
) -> Result<Vec<Written>, (ErrorCode, String)> {
    match partition.acknowledge(member, acknowledgements, &LIMITS, at(0)) {
        Err(error) => Err((error.code, error.message)),
        Ok(None) => Ok(Vec::new()),
        Ok(Some(write)) => {
            partition.written(write.id, true);
            Ok(batches(&write))
        }
    }
}

fn batches(write: &StateWrite) -> Vec<Written> {
    let batches = write.state.batches.iter();
    batches
        .map(|batch| {
            (
                batch.first_offset.0,
                batch.last_offset.0,
                batch.delivery_state,
                batch.delivery_count,
            )
        })
        .collect()
}

#[test]
fn records_are_acquired_once_and_accepted() {
    let mut partition = load(0, &[]);
    assert_eq!(fetch(&mut partition, "a", &[(0, 4), (5, 9)]), [(0, 9, 1)]);
    assert_eq!(partition.next_fetch_offset(), Offset(10));
    assert_eq!(fetch(&mut partition, "b", &[(10, 12)]), [(10, 12, 1)]);
    let written = acknowledge(&mut partition, "a", &[says(0, 9, &[1])]).unwrap();
    assert_eq!(written, [(0, 9, 2, 1)]);
    assert_eq!(partition.start_offset(), Offset(10));
    assert_eq!(partition.next_fetch_offset(), Offset(13));
    acknowledge(&mut partition, "b", &[says(10, 12, &[3])]).unwrap();
    assert_eq!(partition.start_offset(), Offset(13));
    assert_eq!(partition.next_fetch_offset(), Offset(13));
    assert_eq!(partition.delivery_complete_count(), 0);
}

#[test]
fn a_write_carries_epochs_and_counts() {
    let mut partition = load(0, &[]);
    fetch(&mut partition, "a", &[(0, 9)]);
    let write = partition
        .acknowledge("a", &[says(3, 6, &[1, 1, 3, 0])], &LIMITS, at(0))
        .unwrap()
        .unwrap();
    assert_eq!(batches(&write), [(3, 4, 2, 1), (5, 6, 4, 1)]);
    assert_eq!((write.state.state_epoch, write.state.leader_epoch), (3, 7));
    assert_eq!(write.state.start_offset, Offset(0));
    assert_eq!(write.state.delivery_complete_count, 4);
}

#[test]
fn what_is_released_is_delivered_again_with_a_higher_count() {
    let mut partition = load(0, &[]);
    fetch(&mut partition, "a", &[(0, 9)]);
    assert_eq!(
        acknowledge(&mut partition, "a", &[says(2, 3, &[2])]).unwrap(),
        [(2, 3, 0, 1)]
    );
    assert_eq!(partition.next_fetch_offset(), Offset(2));
    assert_eq!(fetch(&mut partition, "b", &[(0, 9)]), [(2, 3, 2)]);
    let (code, message) = acknowledge(&mut partition, "a", &[says(2, 3, &[1])]).unwrap_err();
    assert_eq!(code, ErrorCode::InvalidRecordState);
    assert_eq!(message, "Member is not the owner of offset");
}

#[test]
fn a_failed_write_puts_back_what_was() {
    let mut partition = load(0, &[]);
    fetch(&mut partition, "a", &[(0, 9)]);
    let write = partition
        .acknowledge("a", &[says(0, 9, &[1])], &LIMITS, at(0))
        .unwrap()
        .unwrap();
    assert_eq!(partition.start_offset(), Offset(0));
    let busy = partition.acknowledge("a", &[says(0, 9, &[1])], &LIMITS, at(0));
    assert_eq!(busy.unwrap_err().code, ErrorCode::InvalidRecordState);
    partition.written(write.id, false);
    assert_eq!(partition.delivery_complete_count(), 0);
    acknowledge(&mut partition, "a", &[says(0, 9, &[1])]).unwrap();
    assert_eq!(partition.start_offset(), Offset(10));
}

#[test]
fn a_refused_part_takes_back_the_others() {
    let mut partition = load(0, &[]);
    fetch(&mut partition, "a", &[(0, 9)]);
    let both = [says(0, 4, &[1]), says(5, 10, &[1])];
    let (code, message) = acknowledge(&mut partition, "a", &both).unwrap_err();
    assert_eq!(code, ErrorCode::InvalidRequest);
    assert!(message.contains("The last offset in request is past acquired records."));
    assert_eq!(partition.delivery_complete_count(), 0);
    let (_, message) = acknowledge(&mut partition, "a", &[says(0, 0, &[5])]).unwrap_err();
    assert_eq!(message, "Invalid acknowledge type: [5]");
    let (_, message) = acknowledge(&mut partition, "b", &[says(0, 9, &[1])]).unwrap_err();
    assert_eq!(message, "Member is not the owner of offset");
}

#[test]
fn locks_run_out_and_can_be_renewed() {
    let mut partition = load(0, &[]);
    fetch(&mut partition, "a", &[(0, 9)]);
    assert_eq!(partition.next_deadline(), Some(at(30)));
    let renewed = partition.acknowledge("a", &[says(0, 4, &[4])], &LIMITS, at(20));
    assert_eq!(renewed, Ok(None));
    assert!(partition.expire(&LIMITS, at(29)).is_none());
    let write = partition.expire(&LIMITS, at(30)).unwrap();
    assert_eq!(batches(&write), [(5, 9, 0, 1)]);
    assert_eq!(partition.next_deadline(), Some(at(50)));
    // Whatever becomes of the write, the lock is gone.
    partition.written(write.id, false);
    assert_eq!(partition.next_fetch_offset(), Offset(5));
    let limits = Limits {
        renew: false,
        ..LIMITS
    };
    let refused = partition.acknowledge("a", &[says(0, 4, &[4])], &limits, at(20));
    assert_eq!(
        refused.unwrap_err().message,
        "Renewing acquisition locks is not enabled for the group."
    );
}

#[test]
fn a_lock_that_ran_out_while_a_write_failed_is_released() {
    let mut partition = load(0, &[]);
    fetch(&mut partition, "a", &[(0, 9)]);
    let write = partition
        .acknowledge("a", &[says(0, 9, &[1])], &LIMITS, at(29))
        .unwrap()
        .unwrap();
    assert!(partition.expire(&LIMITS, at(31)).is_none());
    assert_eq!(partition.next_deadline(), None);
    partition.written(write.id, false);
    assert_eq!(
        batches(&partition.expire(&LIMITS, at(31)).unwrap()),
        [(0, 9, 0, 1)]
    );
}

#[test]
fn a_batch_that_fails_is_taken_apart_until_its_bad_record_is_archived() {
    let mut partition = load(0, &[]);
    let mut delivered = vec![fetch(&mut partition, "a", &[(0, 7)])];
    while partition.start_offset() == Offset(0) {
        for (first, last, _) in delivered.last().unwrap().clone() {
            acknowledge(&mut partition, "a", &[says(first, last, &[2])]).unwrap();
        }
        delivered.push(fetch(&mut partition, "a", &[(0, 7)]));
    }
    let first: Vec<_> = delivered.iter().map(|records| records[0]).collect();
    // Whole, whole, whole (5 / 2 rounded up), then by halves; the last delivery is a record alone.
    assert_eq!(
        first,
        [
            (0, 7, 1),
            (0, 7, 2),
            (0, 7, 3),
            (0, 3, 4),
            (0, 0, 5),
            (1, 1, 5)
        ]
    );
}

#[test]
fn no_more_than_the_locks_there_are() {
    let mut partition = load(0, &[]);
    let limits = Limits {
        record_locks: 10,
        ..LIMITS
    };
    let batches = [(0, 3), (4, 7), (8, 11), (12, 15)];
    let wide = Fetch {
        limits,
        ..Fetch::of("a", &batches)
    };
    // To the end of the batch that holds the tenth.
    assert_eq!(wide.run(&mut partition), [(0, 11, 1)]);
    assert!(!partition.can_acquire(&limits));
    acknowledge(&mut partition, "a", &[says(4, 7, &[2])]).unwrap();
    assert!(partition.can_acquire(&limits));
    let again = Fetch {
        batches: &[(4, 7), (8, 11), (12, 15)],
        ..wide
    };
    assert_eq!(again.run(&mut partition), [(4, 7, 2)]);
}

#[test]
fn a_batch_size_splits_at_batches_of_the_log_and_a_record_limit_within() {
    let mut partition = load(0, &[]);
    let batches = [(0, 2), (3, 5), (6, 8), (9, 11)];
    let small = Fetch {
        batch_size: 4,
        ..Fetch::of("a", &batches)
    };
    assert_eq!(small.run(&mut partition), [(0, 5, 1), (6, 11, 1)]);
    let strict = Fetch {
        mode: AcquireMode::RecordLimit,
        records_max: 2,
        ..Fetch::of("a", &[(12, 16)])
    };
    assert_eq!(strict.run(&mut partition), [(12, 13, 1)]);
    assert_eq!(partition.next_fetch_offset(), Offset(14));
    assert_eq!(strict.run(&mut partition), [(14, 15, 1)]);
    assert_eq!(strict.run(&mut partition), [(16, 16, 1)]);
    assert_eq!(partition.next_fetch_offset(), Offset(17));
}

#[test]
fn gaps_of_the_state_that_was_read_are_fetched_again() {
    let mut partition = load(10, &[(21, 30, 2, 1), (41, 50, 4, 2)]);
    assert_eq!(partition.start_offset(), Offset(10));
    assert_eq!(partition.next_fetch_offset(), Offset(10));
    assert_eq!(partition.delivery_complete_count(), 20);
    let log = [(10, 25), (26, 45), (46, 60)];
    assert_eq!(
        fetch(&mut partition, "a", &log),
        [(10, 20, 1), (31, 40, 1), (51, 60, 1)]
    );
    acknowledge(&mut partition, "a", &[says(10, 20, &[1])]).unwrap();
    assert_eq!(partition.start_offset(), Offset(31));
    acknowledge(
        &mut partition,
        "a",
        &[says(31, 40, &[1]), says(51, 60, &[1])],
    )
    .unwrap();
    assert_eq!(partition.start_offset(), Offset(61));
}

#[test]
fn a_gap_that_was_compacted_away_does_not_hold_up_the_start() {
    let mut partition = load(10, &[(21, 30, 2, 1), (41, 50, 0, 1)]);
    assert_eq!(partition.next_fetch_offset(), Offset(10));
    assert_eq!(fetch(&mut partition, "a", &[(41, 50)]), [(41, 50, 2)]);
    acknowledge(&mut partition, "a", &[says(41, 50, &[1])]).unwrap();
    assert_eq!(partition.start_offset(), Offset(51));
}

#[test]
fn states_that_make_no_sense_are_not_loaded() {
    for batches in [
        &[(3, 5, 0, 1)][..],
        &[(10, 20, 0, 1), (20, 30, 0, 1)],
        &[(15, 14, 0, 1)],
        &[(10, 20, 1, 1)],
        &[(10, i64::MAX, 0, 1)],
    ] {
        assert!(SharePartition::load(&state(batches), Offset(10), 0).is_err());
    }
}

#[test]
fn a_log_start_that_moves_on_takes_the_window_along() {
    let mut partition = load(0, &[]);
    fetch(&mut partition, "a", &[(0, 9)]);
    fetch(&mut partition, "a", &[(10, 19)]);
    partition.log_start_moved(Offset(5));
    assert_eq!(partition.start_offset(), Offset(5));
    // What is gone is acknowledged in silence.
    let written = acknowledge(&mut partition, "a", &[says(0, 9, &[1])]).unwrap();
    assert_eq!(written, [(5, 9, 2, 1)]);
    assert_eq!(
        acknowledge(&mut partition, "a", &[says(0, 3, &[1])]),
        Ok(vec![])
    );
    partition.log_start_moved(Offset(30));
    assert_eq!(partition.start_offset(), Offset(30));
    assert_eq!(partition.next_fetch_offset(), Offset(30));
    assert_eq!(fetch(&mut partition, "a", &[(30, 31)]), [(30, 31, 1)]);
}

#[test]
fn aborted_transactions_are_nobodys() {
    let mut partition = load(0, &[]);
    let batches = [(0, 3), (4, 7), (8, 8), (9, 11)];
    let committed = Fetch {
        aborted: &[(4, 7)],
        ..Fetch::of("a", &batches)
    };
    assert_eq!(committed.run(&mut partition), [(0, 3, 1), (8, 11, 1)]);
    assert_eq!(partition.delivery_complete_count(), 4);
    acknowledge(
        &mut partition,
        "a",
        &[says(0, 3, &[1]), says(8, 11, &[0, 1, 1, 1])],
    )
    .unwrap();
    assert_eq!(partition.start_offset(), Offset(12));
    // Nothing but aborted records: the window moves on without anybody's help.
    let only = Fetch {
        aborted: &[(12, 19)],
        ..Fetch::of("a", &[(12, 19)])
    };
    assert_eq!(only.run(&mut partition), []);
    assert_eq!(partition.start_offset(), Offset(20));
}

#[test]
fn a_session_that_closes_gives_its_records_back() {
    let mut partition = load(0, &[]);
    fetch(&mut partition, "a", &[(0, 3)]);
    fetch(&mut partition, "b", &[(4, 7)]);
    let write = partition.release("a", &LIMITS).unwrap();
    assert_eq!(batches(&write), [(0, 3, 0, 1)]);
    assert!(partition.release("a", &LIMITS).is_none());
    assert_eq!(partition.next_fetch_offset(), Offset(8));
    assert!(partition.written(write.id, true));
    assert_eq!(partition.next_fetch_offset(), Offset(0));
}

#[test]
fn compacted_batches_are_archived() {
    let mut partition = load(0, &[]);
    fetch(&mut partition, "a", &[(0, 3)]);
    fetch(&mut partition, "a", &[(4, 7)]);
    acknowledge(&mut partition, "a", &[says(0, 3, &[2]), says(4, 7, &[2])]).unwrap();
    assert_eq!(fetch(&mut partition, "a", &[(4, 7)]), [(4, 7, 2)]);
    assert_eq!(partition.start_offset(), Offset(4));
}

/// The start goes past the first gap and comes to the next one: that is where to read, not what lies before the start.
#[test]
fn a_gap_behind_the_start_is_not_read_again() {
    let batches = [(30, 33, 0, 1), (37, 54, 2, 1), (64, 71, 0, 1)];
    let mut partition = load(30, &batches);
    assert_eq!(partition.next_fetch_offset(), Offset(30));
    let fetch = Fetch {
        aborted: &[(34, 36)],
        ..Fetch::of("a", &[(30, 33), (34, 36)])
    };
    assert_eq!(fetch.run(&mut partition), [(30, 33, 2)]);
    let accepted = Acknowledgement {
        first_offset: 30,
        last_offset: 33,
        types: vec![1],
    };
    let write = partition.acknowledge("a", &[accepted], &LIMITS, at(1));
    let write = write.unwrap().unwrap();
    assert!(partition.written(write.id, true));
    assert_eq!(partition.start_offset(), Offset(55));
    assert_eq!(partition.next_fetch_offset(), Offset(55));
    let again = Fetch::of("b", &[(55, 63), (64, 71)]).run(&mut partition);
    assert_eq!(again, [(55, 63, 1), (64, 71, 2)]);
}
