//! What each request does, and when it is refused. Source of the expectations: `ShareCoordinatorShard` of Apache
//! Kafka 4.3.1.

use base::Offset;
use coordinator::share_state::{Response, ShareStateConfig, StateError, StateSummary, WriteState};
use coordinator::{StateMachine, Token};
use wire::ErrorCode;

use crate::bench::{Bench, batch, done, key, write};

fn code<T: std::fmt::Debug>(answer: Result<T, StateError>) -> ErrorCode {
    answer.unwrap_err().code
}

#[test]
fn a_share_partition_is_initialized_written_and_read() {
    let mut bench = Bench::new(ShareStateConfig::default());
    let key = key("g", 1, 0);
    assert_eq!(code(bench.read(&key, 0)), ErrorCode::InvalidRequest);
    assert_eq!(
        code(bench.write(&key, &write(0, &[]))),
        ErrorCode::InvalidRequest
    );
    bench.initialize(&key, 5, -1).unwrap();
    let read = bench.read(&key, 0).unwrap();
    assert_eq!((read.state_epoch, read.start_offset), (5, None));
    bench
        .write(
            &key,
            &write(10, &[batch(10, 14, 2, 1), batch(15, 19, 0, 1)]),
        )
        .unwrap();
    bench
        .write(&key, &write(15, &[batch(15, 16, 0, 2)]))
        .unwrap();
    let read = bench.read(&key, 0).unwrap();
    assert_eq!(read.start_offset, Some(Offset(15)));
    assert_eq!(read.batches, [batch(15, 16, 0, 2), batch(17, 19, 0, 1)]);
}

#[test]
fn requests_of_an_earlier_leader_or_state_are_fenced() {
    let mut bench = Bench::new(ShareStateConfig::default());
    let key = key("g", 1, 1);
    bench.initialize(&key, 3, 0).unwrap();
    bench.read(&key, 7).unwrap();
    let of = |state_epoch, leader_epoch| WriteState {
        state_epoch,
        leader_epoch,
        ..write(1, &[])
    };
    assert_eq!(
        code(bench.write(&key, &of(3, 6))),
        ErrorCode::FencedLeaderEpoch
    );
    assert_eq!(code(bench.read(&key, 6)), ErrorCode::FencedLeaderEpoch);
    assert_eq!(
        code(bench.write(&key, &of(2, 7))),
        ErrorCode::FencedStateEpoch
    );
    assert_eq!(
        code(bench.initialize(&key, 2, 0)),
        ErrorCode::FencedStateEpoch
    );
    bench.write(&key, &of(3, 7)).unwrap();
    bench.crash();
    assert_eq!(code(bench.read(&key, 6)), ErrorCode::FencedLeaderEpoch);
    assert_eq!(
        code(bench.initialize(&key, 2, 0)),
        ErrorCode::FencedStateEpoch
    );
    // A reset fences whoever has read before it.
    bench.initialize(&key, 4, 100).unwrap();
    assert_eq!(
        code(bench.write(&key, &of(3, 7))),
        ErrorCode::FencedStateEpoch
    );
}

#[test]
fn an_initialization_without_an_epoch_is_not_fenced_and_fences_nothing() {
    let mut bench = Bench::new(ShareStateConfig::default());
    let key = key("g", 1, 1);
    bench.initialize(&key, 5, 0).unwrap();
    bench.initialize(&key, -1, 20).unwrap();
    for _ in 0..2 {
        let read = bench.read(&key, -1).unwrap();
        assert_eq!(
            (read.state_epoch, read.start_offset),
            (-1, Some(Offset(20)))
        );
        // Kafka fences this until it loads a log in which the first initialization is pruned.
        let late = WriteState {
            state_epoch: 4,
            leader_epoch: -1,
            ..write(20, &[])
        };
        bench.write(&key, &late).unwrap();
        bench.crash();
    }
    bench.initialize(&key, 2, 0).unwrap();
}

#[test]
fn partitions_that_do_not_exist_have_no_state() {
    let mut bench = Bench::new(ShareStateConfig::default());
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(code(bench.initialize(&key("g", 9, 0), 0, 0)), unknown);
    assert_eq!(code(bench.initialize(&key("g", 1, 2), 0, 0)), unknown);
    let negative = bench.initialize(&key("g", 1, -1), 0, 0);
    assert_eq!(code(negative), ErrorCode::InvalidRequest);
}

#[test]
fn a_deleted_share_partition_is_as_one_that_never_was() {
    let mut bench = Bench::new(ShareStateConfig::default());
    let key = key("g", 1, 0);
    bench.initialize(&key, 3, 50).unwrap();
    bench.read(&key, 7).unwrap();
    let delete = |bench: &mut Bench| done(bench.call(|machine, token| machine.delete(token, &key)));
    delete(&mut bench).unwrap();
    delete(&mut bench).unwrap();
    assert_eq!(code(bench.read(&key, 0)), ErrorCode::InvalidRequest);
    let summary = bench.call(|machine, token| machine.summary(token, &key));
    let none = StateSummary {
        state_epoch: 0,
        leader_epoch: 0,
        start_offset: None,
        delivery_complete_count: -1,
    };
    assert_eq!(summary, Response::Summary(Ok(none)));
    // Its epochs do not outlive it.
    bench.initialize(&key, 0, 0).unwrap();
}

/// KIP-1226: from a start that is known on nothing is delivered yet, and so the lag is known too.
#[test]
fn a_start_that_was_set_has_a_lag() {
    let mut bench = Bench::new(ShareStateConfig::default());
    for (partition, start, delivered) in [(0, -1, -1), (1, 7, 0)] {
        let key = key("g", 1, partition);
        bench.initialize(&key, 0, start).unwrap();
        match bench.call(|machine, token| machine.summary(token, &key)) {
            Response::Summary(Ok(summary)) => {
                assert_eq!(summary.delivery_complete_count, delivered);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_snapshot_follows_so_many_updates() {
    let config = ShareStateConfig {
        updates_per_snapshot: 3,
        ..ShareStateConfig::default()
    };
    let mut bench = Bench::new(config);
    let key = key("g", 1, 0);
    bench.initialize(&key, 0, 0).unwrap();
    for start in 1..=8 {
        bench.write(&key, &write(start, &[])).unwrap();
    }
    let kinds: Vec<u8> = bench.log.iter().map(|record| record.key[1]).collect();
    assert_eq!(kinds, [0, 1, 1, 1, 0, 1, 1, 1, 0]);
    // Everything before the last snapshot may go.
    bench.advance(5 * 60 * 1000);
    assert_eq!(bench.log_start, 8);
}

#[test]
fn a_snapshot_that_stands_in_the_way_of_pruning_is_renewed() {
    let config = ShareStateConfig {
        updates_per_snapshot: 0,
        ..ShareStateConfig::default()
    };
    let mut bench = Bench::new(config);
    let (cold, hot) = (key("cold", 1, 0), key("hot", 1, 0));
    bench.initialize(&cold, 0, 42).unwrap();
    bench.initialize(&hot, 0, 0).unwrap();
    bench.advance(4 * 60 * 1000);
    for start in 1..20 {
        bench.write(&hot, &write(start, &[])).unwrap();
    }
    bench.advance(60 * 1000);
    bench.settle();
    bench.advance(5 * 60 * 1000);
    assert!(bench.log_start >= 20, "{}", bench.log_start);
    bench.settle();
    bench.crash();
    assert_eq!(
        bench.read(&cold, -1).unwrap().start_offset,
        Some(Offset(42))
    );
    assert_eq!(bench.read(&hot, -1).unwrap().start_offset, Some(Offset(19)));
    // Once all are renewed nothing is written any more.
    let end = bench.log_start + bench.log.len() as i64;
    for _ in 0..5 {
        bench.advance(5 * 60 * 1000);
        bench.settle();
    }
    let later = bench.log_start + bench.log.len() as i64;
    assert!(later <= end + 2, "{end} {later}");
}

#[test]
fn no_answer_tells_of_what_is_not_durable() {
    let mut bench = Bench::new(ShareStateConfig::default());
    let key = key("g", 1, 0);
    bench.initialize(&key, 0, 0).unwrap();
    let write_token = bench.send(|machine, token| machine.write(token, &key, &write(5, &[])));
    let read_token = bench.send(|machine, token| machine.read(token, &key, -1));
    assert!(bench.answers.is_empty());
    bench.fail_last();
    for token in [write_token, read_token] {
        let answer = bench.answers.remove(&token).unwrap();
        let error = match answer {
            Response::Done(Err(error)) | Response::Read(Err(error)) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(error.code, ErrorCode::NotCoordinator);
    }
    assert_eq!(bench.read(&key, -1).unwrap().start_offset, Some(Offset(0)));
}

#[test]
fn share_partitions_of_deleted_topics_go() {
    let mut bench = Bench::new(ShareStateConfig::default());
    let (gone, stays) = (key("g", 1, 0), key("g", 2, 0));
    bench.initialize(&gone, 0, 0).unwrap();
    bench.initialize(&stays, 0, 0).unwrap();
    let actions = bench.machine.topics_deleted(&[gone.topic_id]);
    bench.take(actions);
    bench.settle();
    bench.crash();
    assert_eq!(code(bench.read(&gone, -1)), ErrorCode::InvalidRequest);
    bench.read(&stays, -1).unwrap();
}

#[test]
fn a_coordinator_that_ended_answers_everyone() {
    let mut bench = Bench::new(ShareStateConfig::default());
    let key = key("g", 1, 0);
    let waiting = bench.send(|machine, token| machine.initialize(token, &key, 0, Offset(0)));
    let actions = bench.machine.unload();
    bench.take(actions);
    let late = Token(99);
    let actions = bench.machine.read(late, &key, -1);
    bench.take(actions);
    let answer = done(bench.answers.remove(&waiting).unwrap());
    assert_eq!(code(answer), ErrorCode::NotCoordinator);
    let Some(Response::Read(answer)) = bench.answers.remove(&late) else {
        panic!("no answer")
    };
    assert_eq!(code(answer), ErrorCode::NotCoordinator);
}
