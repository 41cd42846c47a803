//! Sequence checks, duplicates and expiry of producers, as Kafka's `ProducerStateManager` has them.

use super::*;
use wire::record_batch::Attributes;

fn batch(pid: i64, epoch: i16, sequence: i32, records: i32, offset: i64) -> BatchHeader {
    BatchHeader {
        base_offset: offset,
        batch_length: 100,
        partition_leader_epoch: 0,
        magic: 2,
        crc: 0,
        attributes: Attributes(0),
        last_offset_delta: records - 1,
        base_timestamp: offset * 10,
        max_timestamp: offset * 10,
        producer_id: pid,
        producer_epoch: epoch,
        base_sequence: sequence,
        record_count: records,
    }
}

/// Appends as the log does and names the outcome.
fn send(states: &mut ProducerStates, header: &BatchHeader) -> String {
    match states.check(header, None, true) {
        Ok(Sequence::New) => {
            states.apply(header, None, Lsn(header.base_offset as u64 + 1));
            "new".to_owned()
        }
        Ok(Sequence::Duplicate(batch)) => format!("duplicate of {}", batch.first_offset()),
        Err(AppendError::OutOfOrderSequence { .. }) => "out of order".to_owned(),
        Err(AppendError::DuplicateSequence { .. }) => "old duplicate".to_owned(),
        Err(AppendError::InvalidProducerEpoch { .. }) => "old epoch".to_owned(),
        Err(AppendError::InvalidTxnState { .. }) => "outside of its transaction".to_owned(),
        Err(other) => other.to_string(),
    }
}

#[test]
fn sequences_are_checked_as_kafka_does() {
    let mut states = ProducerStates::default();
    let mut offset = 0;
    let mut go = |epoch, sequence, records| {
        let outcome = send(&mut states, &batch(1, epoch, sequence, records, offset));
        if outcome == "new" {
            offset += i64::from(records);
        }
        outcome
    };
    assert_eq!(go(0, 7, 3), "new", "an unknown producer may begin anywhere");
    assert_eq!(go(0, 7, 3), "duplicate of 0");
    assert_eq!(go(0, 7, 2), "out of order", "same begin, other length");
    assert_eq!(go(0, 11, 1), "out of order");
    assert_eq!(go(0, 10, 1), "new");
    for sequence in 11..15 {
        assert_eq!(go(0, sequence, 1), "new");
    }
    assert_eq!(
        go(0, 10, 1),
        "duplicate of 3",
        "five batches are remembered"
    );
    assert_eq!(go(0, 7, 3), "old duplicate");
    assert_eq!(
        go(0, 4, 3),
        "out of order",
        "never written, so never called a duplicate"
    );
    assert_eq!(go(1, 1, 1), "out of order", "a new epoch begins at 0");
    assert_eq!(go(1, 0, 1), "new");
    assert_eq!(go(0, 15, 1), "old epoch");
    assert_eq!(go(1, 0, 1), "duplicate of 8");
}

#[test]
fn the_sequence_wraps_to_zero() {
    let mut states = ProducerStates::default();
    assert_eq!(send(&mut states, &batch(1, 0, i32::MAX - 1, 2, 0)), "new");
    assert_eq!(send(&mut states, &batch(1, 0, 0, 1, 2)), "new");
    let mut states = ProducerStates::default();
    assert_eq!(send(&mut states, &batch(1, 0, i32::MAX, 3, 0)), "new");
    assert_eq!(
        send(&mut states, &batch(1, 0, i32::MAX, 3, 3)),
        "duplicate of 0"
    );
    assert_eq!(send(&mut states, &batch(1, 0, 2, 1, 3)), "new");
}

#[test]
fn transactions_bound_the_stable_offset() {
    let mut states = ProducerStates::default();
    let mut header = batch(5, 0, 0, 2, 10);
    header.attributes = Attributes(Attributes::TRANSACTIONAL);
    assert_eq!(send(&mut states, &header), "new");
    assert_eq!(
        send(&mut states, &batch(5, 0, 2, 1, 12)),
        "outside of its transaction"
    );
    assert_eq!(states.first_unstable(12), Some(10));
    let mut end = batch(5, 0, -1, 1, 12);
    end.attributes = Attributes(Attributes::TRANSACTIONAL | Attributes::CONTROL);
    let marker = EndTxnMarker {
        committed: false,
        coordinator_epoch: 3,
    };
    assert_eq!(
        states.check(&end, Some(marker), false).unwrap(),
        Sequence::New
    );
    let aborted = states.apply(&end, Some(marker), Lsn(9)).unwrap();
    assert_eq!(
        (aborted.first_offset, aborted.last_offset),
        (Offset(10), Offset(12))
    );
    assert_eq!(
        states.first_unstable(12),
        Some(10),
        "the marker is not visible yet"
    );
    assert_eq!(states.first_unstable(13), None);
    let stale = EndTxnMarker {
        committed: true,
        coordinator_epoch: 2,
    };
    assert!(matches!(
        states.check(&end, Some(stale), false),
        Err(AppendError::CoordinatorFenced {
            epoch: 2,
            current: 3
        })
    ));
}

#[test]
fn a_marker_of_version_2_is_above_the_epoch_it_ends() {
    let mut states = ProducerStates::default();
    let transactional = |epoch, sequence, offset| BatchHeader {
        attributes: Attributes(Attributes::TRANSACTIONAL),
        ..batch(5, epoch, sequence, 1, offset)
    };
    let end = |epoch, offset| BatchHeader {
        attributes: Attributes(Attributes::TRANSACTIONAL | Attributes::CONTROL),
        ..batch(5, epoch, -1, 1, offset)
    };
    let marker = EndTxnMarker {
        committed: true,
        coordinator_epoch: 0,
    };
    assert!(states.check_strict_marker(&end(0, 0)).is_ok(), "unknown");
    assert_eq!(send(&mut states, &transactional(3, 0, 0)), "new");
    for late in [2, 3] {
        assert!(states.check_strict_marker(&end(late, 1)).is_err(), "{late}");
    }
    assert!(states.check_strict_marker(&end(4, 1)).is_ok());
    states.apply(&end(4, 1), Some(marker), Lsn::ZERO);
    assert!(states.check_strict_marker(&end(4, 2)).is_ok(), "a retry");
    assert_eq!(send(&mut states, &transactional(3, 1, 2)), "old epoch");
    assert_eq!(send(&mut states, &transactional(4, 0, 2)), "new");
    assert!(states.has_open_txn(5, 4) && !states.has_open_txn(5, 3));
    assert!(states.check_strict_marker(&end(4, 3)).is_err(), "late");
    let outside = batch(5, 5, 0, 1, 3);
    assert_eq!(send(&mut states, &outside), "outside of its transaction");
}

#[test]
fn a_snapshot_brings_back_all_five_batches() {
    let mut states = ProducerStates::default();
    for sequence in 0..9 {
        send(&mut states, &batch(1, 2, sequence, 1, i64::from(sequence)));
    }
    send(&mut states, &batch(77, 0, 5, 4, 9));
    let bytes = states.to_snapshot();
    let mut back = ProducerStates::from_snapshot(&bytes).unwrap();
    for sequence in 4..9 {
        let again = send(&mut back, &batch(1, 2, sequence, 1, 13));
        assert_eq!(again, format!("duplicate of {sequence}"));
    }
    assert_eq!(back.to_snapshot(), bytes);
    assert_eq!(back.describe(), states.describe());
}

#[test]
fn kafkas_snapshot_without_the_tail_is_read_and_damage_is_seen() {
    let mut states = ProducerStates::default();
    send(&mut states, &batch(1, 2, 3, 4, 50));
    let bytes = states.to_snapshot();
    let mut plain = bytes[..bytes.len() - 5].to_vec();
    let crc = crc32c::crc32c(&plain[6..]);
    plain[2..6].copy_from_slice(&crc.to_be_bytes());
    let back = ProducerStates::from_snapshot(&plain).unwrap();
    assert_eq!(back.get(1).unwrap().batches[0].first_offset(), 50);
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x20;
        assert!(ProducerStates::from_snapshot(&bad).is_none(), "byte {at}");
        assert!(ProducerStates::from_snapshot(&bytes[..at]).is_none());
    }
}

#[test]
fn silent_producers_expire_unless_a_transaction_is_open() {
    let mut states = ProducerStates::default();
    send(&mut states, &batch(1, 0, 0, 1, 1));
    let mut open = batch(2, 0, 0, 1, 2);
    open.attributes = Attributes(Attributes::TRANSACTIONAL);
    send(&mut states, &open);
    assert_eq!(states.expire(10 + 99, 100), 0);
    assert_eq!(states.expire(10 + 100, 100), 1);
    assert!(states.get(1).is_none() && states.get(2).is_some());
}
