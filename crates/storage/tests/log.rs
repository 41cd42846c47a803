//! A log through its public methods: append, read, offsets, retention, restart.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use base::{LeaderEpoch, ManualClock, Offset, PartitionIndex};
use common::*;
use storage::{
    AppendError, CleanupPolicy, FlushPolicy, LogConfig, LogState, ReadError, ReadLimit, Storage,
    StorageError, StorageStatus,
};
use wire::record_batch::BatchHeader;

fn small_segments() -> LogConfig {
    LogConfig {
        segment_bytes: 4_000,
        index_interval_bytes: 300,
        ..LogConfig::default()
    }
}

/// 60 batches of 1 to 5 records; returns them as they must be read back.
fn fill(storage: &Storage, n: u8) -> Vec<Vec<u8>> {
    let log = storage.partition(topic_id(n), PartitionIndex(0)).unwrap();
    let mut expected = Vec::new();
    for index in 0..60usize {
        let bytes = batch(
            1 + index % 5,
            40 + index * 3,
            NOW + index as i64 * 10,
            NO_PRODUCER,
        );
        let appended = append(storage, &log, &bytes);
        let mut stamped = bytes.to_vec();
        stamped[..8].copy_from_slice(&appended.base_offset.0.to_be_bytes());
        stamped[12..16].copy_from_slice(&0i32.to_be_bytes());
        expected.push(stamped);
    }
    expected
}

#[test]
fn what_is_appended_is_read_back_before_and_after_a_restart() {
    for policy in [FlushPolicy::Ack, FlushPolicy::Os, FlushPolicy::Interval] {
        let dir = tempfile::tempdir().unwrap();
        let config = LogConfig {
            flush_policy: policy,
            ..small_segments()
        };
        let specs = vec![spec(1, 0, &config)];
        let (storage, report) = open(options(dir.path()), specs.clone());
        assert!(report.offline.is_empty() && !report.clean);
        let expected = fill(&storage, 1);
        let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
        for max_bytes in [1, 500, 1_000, 5_000, 1 << 20] {
            assert_eq!(
                read_all(&log, 0, max_bytes).unwrap(),
                expected,
                "{policy:?} {max_bytes}"
            );
        }
        wait_flushed(&log);
        for max_bytes in [1, 500, 1_000, 5_000, 1 << 20] {
            assert_eq!(
                read_all(&log, 0, max_bytes).unwrap(),
                expected,
                "{policy:?} {max_bytes}"
            );
        }
        assert!(log.segments().len() > 3);
        storage.close().unwrap();
        assert_eq!(storage.status(), StorageStatus::Closed);
        drop((log, storage));
        let (storage, report) = open(options(dir.path()), specs);
        assert!(report.clean && report.offline.is_empty(), "{report:?}");
        assert_eq!(
            (report.replayed_batches, report.scanned_bytes),
            (0, 0),
            "{policy:?}"
        );
        let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
        assert_eq!(read_all(&log, 0, 1_000).unwrap(), expected);
        assert_eq!(log.high_watermark(), log.log_end_offset());
        assert_eq!(
            storage
                .metrics()
                .index_rebuilds
                .load(std::sync::atomic::Ordering::Relaxed),
            0
        );
    }
}

#[test]
fn every_offset_finds_its_batch() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(options(dir.path()), vec![spec(1, 0, &small_segments())]);
    let expected = fill(&storage, 1);
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    for flushed in [false, true] {
        if flushed {
            wait_flushed(&log);
        }
        for batch in &expected {
            let header = BatchHeader::parse(batch).unwrap();
            for offset in header.base_offset..=header.last_offset() {
                let found = log
                    .read(Offset(offset), 1, ReadLimit::HighWatermark, true)
                    .unwrap();
                assert_eq!(&bytes_of(found.records.parts()), batch, "offset {offset}");
                let none = log
                    .read(Offset(offset), 1, ReadLimit::HighWatermark, false)
                    .unwrap();
                assert!(none.records.is_empty(), "one byte holds no batch");
            }
        }
    }
    let end = log.log_end_offset();
    let empty = log
        .read(end, 1_000, ReadLimit::HighWatermark, true)
        .unwrap();
    assert_eq!((empty.records.len(), empty.next_offset), (0, end));
    let beyond = log.read(Offset(end.0 + 1), 1_000, ReadLimit::HighWatermark, true);
    assert!(matches!(beyond, Err(ReadError::OffsetOutOfRange { .. })));
}

#[test]
fn offsets_are_found_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(options(dir.path()), vec![spec(1, 0, &small_segments())]);
    let expected = fill(&storage, 1);
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    for flushed in [false, true] {
        if flushed {
            wait_flushed(&log);
        }
        for batch in &expected {
            let header = BatchHeader::parse(batch).unwrap();
            for record in 0..=header.last_offset_delta {
                let time = header.base_timestamp + i64::from(record);
                let found = log
                    .offset_for_timestamp(time, ReadLimit::HighWatermark)
                    .unwrap()
                    .unwrap();
                assert_eq!(found.offset.0, header.base_offset + i64::from(record));
                assert_eq!(found.timestamp_ms, time);
                assert_eq!(found.leader_epoch, Some(LeaderEpoch(0)));
            }
            // Between two batches: the first record of the later one.
            let after = log
                .offset_for_timestamp(header.max_timestamp + 1, ReadLimit::HighWatermark)
                .unwrap();
            let next = (header.next_offset() < log.log_end_offset().0)
                .then_some(Offset(header.next_offset()));
            assert_eq!(after.map(|found| found.offset), next);
        }
        let last = BatchHeader::parse(expected.last().unwrap()).unwrap();
        let max = log.max_timestamp_offset().unwrap().unwrap();
        assert_eq!(
            (max.offset.0, max.timestamp_ms),
            (last.last_offset(), last.max_timestamp)
        );
        let first = log
            .offset_for_timestamp(-1, ReadLimit::HighWatermark)
            .unwrap()
            .unwrap();
        assert_eq!(first.offset, Offset(0));
    }
}

#[test]
fn damaged_indexes_are_rebuilt_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(options(dir.path()), vec![spec(1, 0, &small_segments())]);
    let expected = fill(&storage, 1);
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    wait_flushed(&log);
    storage.close().unwrap();
    let log_dir = log.dir();
    drop((log, storage));
    for entry in std::fs::read_dir(&log_dir).unwrap() {
        let path = entry.unwrap().path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("index") => {
                let mut bytes = std::fs::read(&path).unwrap();
                bytes.iter_mut().for_each(|byte| *byte ^= 0x11);
                std::fs::write(&path, bytes).unwrap();
            }
            Some("timeindex") => std::fs::remove_file(&path).unwrap(),
            _ => {}
        }
    }
    let (storage, report) = open(options(dir.path()), vec![spec(1, 0, &small_segments())]);
    assert!(report.offline.is_empty(), "{report:?}");
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    for batch in expected.iter().rev() {
        let header = BatchHeader::parse(batch).unwrap();
        let last = Offset(header.last_offset());
        let found = log.read(last, 1, ReadLimit::HighWatermark, true).unwrap();
        assert_eq!(&bytes_of(found.records.parts()), batch);
        let time = log.offset_for_timestamp(header.max_timestamp, ReadLimit::HighWatermark);
        assert_eq!(time.unwrap().unwrap().offset, last);
    }
    assert!(
        storage
            .metrics()
            .index_rebuilds
            .load(std::sync::atomic::Ordering::Relaxed)
            > 0
    );
}

#[test]
fn duplicates_are_answered_with_the_original_offset_after_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    let specs = vec![spec(1, 0, &LogConfig::default())];
    let (storage, _) = open(options(dir.path()), specs.clone());
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    let sent: Vec<_> = (0..5)
        .map(|i| {
            batch(
                2,
                10,
                NOW + i,
                Producer {
                    id: 7,
                    epoch: 1,
                    sequence: i as i32 * 2,
                },
            )
        })
        .collect();
    let first: Vec<_> = sent
        .iter()
        .map(|bytes| append(&storage, &log, bytes))
        .collect();
    let check = |storage: &Storage, log: &storage::PartitionLog| {
        for (bytes, original) in sent.iter().zip(&first) {
            let again = append(storage, log, bytes);
            assert!(again.duplicate);
            assert_eq!(again.base_offset, original.base_offset);
            // A duplicate is told by the original's time, though the topic keeps that of the producer.
            assert_eq!(original.log_append_time_ms, -1);
            assert!(again.log_append_time_ms >= NOW);
        }
        let gap = batch(
            1,
            10,
            NOW,
            Producer {
                id: 7,
                epoch: 1,
                sequence: 99,
            },
        );
        assert!(matches!(
            try_append(log, &gap),
            Err(AppendError::OutOfOrderSequence { .. })
        ));
        let old = batch(
            1,
            10,
            NOW,
            Producer {
                id: 7,
                epoch: 0,
                sequence: 10,
            },
        );
        assert!(matches!(
            try_append(log, &old),
            Err(AppendError::InvalidProducerEpoch { .. })
        ));
    };
    check(&storage, &log);
    let producers = log.active_producers();
    assert_eq!((producers.len(), producers[0].last_sequence), (1, 9));
    storage.close().unwrap();
    drop((log, storage));
    let (storage, _) = open(options(dir.path()), specs);
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    check(&storage, &log);
    assert_eq!(log.active_producers(), producers);
}

#[test]
fn deleted_records_stay_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let specs = vec![spec(1, 0, &small_segments())];
    let (storage, _) = open(options(dir.path()), specs.clone());
    fill(&storage, 1);
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    let end = log.high_watermark();
    let too_far = log.delete_records(Some(Offset(end.0 + 1)));
    assert!(matches!(too_far, Err(ReadError::OffsetOutOfRange { .. })));
    let deleted = log.delete_records(Some(Offset(50))).unwrap();
    assert_eq!(deleted.log_start_offset, Offset(50));
    block_on(storage.wait_durable(deleted.lsn)).unwrap();
    let again = log.delete_records(Some(Offset(20))).unwrap();
    assert_eq!(again.log_start_offset, Offset(50));
    let below = log.read(Offset(49), 100, ReadLimit::HighWatermark, true);
    assert!(matches!(below, Err(ReadError::OffsetOutOfRange { .. })));
    wait_flushed(&log);
    // As a kill leaves it, without a checkpoint: the journal brings the new start back.
    let image = tempfile::tempdir().unwrap();
    crash_image(dir.path(), image.path());
    let (crashed, report) = open(options(image.path()), specs.clone());
    assert!(report.offline.is_empty(), "{report:?}");
    let back = crashed.partition(topic_id(1), PartitionIndex(0)).unwrap();
    assert_eq!(
        (back.log_start_offset(), back.high_watermark()),
        (Offset(50), end)
    );
    let before = log.segments().len();
    let report = storage.run_retention();
    assert!(
        report.failures.is_empty() && report.segments > 0,
        "{report:?}"
    );
    assert_eq!(log.segments().len() as u64, before as u64 - report.segments);
    assert!(read_all(&log, 50, 1_000).unwrap().len() > 10);
    storage.close().unwrap();
    drop((log, storage));
    let (storage, report) = open(options(dir.path()), specs);
    assert!(report.offline.is_empty(), "{report:?}");
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    assert_eq!(
        (log.log_start_offset(), log.high_watermark()),
        (Offset(50), end)
    );
}

/// How many files in `dir` wait for `file.delete.delay.ms`.
fn delayed_deletions(dir: &std::path::Path) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            count += delayed_deletions(&entry.path());
        } else {
            count += usize::from(entry.path().extension().is_some_and(|e| e == "deleted"));
        }
    }
    count
}

#[test]
fn retention_by_time_and_size_deletes_whole_segments() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(NOW + 600));
    let by_time = LogConfig {
        retention_ms: 1_000,
        ..small_segments()
    };
    let by_size = LogConfig {
        retention_bytes: 9_000,
        ..small_segments()
    };
    let no_cleanup = LogConfig {
        cleanup_policy: CleanupPolicy {
            delete: false,
            compact: false,
        },
        ..by_time.clone()
    };
    let specs = vec![
        spec(1, 0, &by_time),
        spec(2, 0, &by_size),
        spec(3, 0, &no_cleanup),
    ];
    let (storage, _) = open_at(options(dir.path()), specs.clone(), &clock);
    for n in 1..=3 {
        fill(&storage, n);
    }
    let log = |n| storage.partition(topic_id(n), PartitionIndex(0)).unwrap();
    let end = log(1).high_watermark();
    storage.run_retention();
    assert_eq!(
        log(1).log_start_offset(),
        Offset(0),
        "nothing is a second old yet"
    );
    assert!(log(2).size_in_bytes() >= 9_000 && log(2).size_in_bytes() < 9_000 + 4_000);
    assert!(log(2).log_start_offset() > Offset(0));
    clock.advance(Duration::from_secs(3_600));
    let report = storage.run_retention();
    assert!(report.failures.is_empty(), "{report:?}");
    assert_eq!(
        (log(1).log_start_offset(), log(1).segments().len()),
        (end, 0)
    );
    assert_eq!(log(3).log_start_offset(), Offset(0));
    // The log goes on where it was.
    let appended = append(&storage, &log(1), &batch(1, 10, NOW, NO_PRODUCER));
    assert_eq!(appended.base_offset, end);
    wait_flushed(&log(1));
    let image = tempfile::tempdir().unwrap();
    crash_image(dir.path(), image.path());
    assert!(delayed_deletions(image.path()) > 0);
    let (crashed, report) = open_at(options(image.path()), specs, &clock);
    assert!(report.offline.is_empty(), "{report:?}");
    wait_for("the files whose deletion was delayed are gone", || {
        delayed_deletions(image.path()) == 0
    });
    for n in 1..=3 {
        let back = crashed.partition(topic_id(n), PartitionIndex(0)).unwrap();
        assert_eq!(back.log_start_offset(), log(n).log_start_offset());
        assert_eq!(back.high_watermark(), log(n).high_watermark());
        let start = back.log_start_offset().0;
        assert_eq!(
            read_all(&back, start, 999).unwrap(),
            read_all(&log(n), start, 999).unwrap()
        );
    }
}

#[test]
fn leader_epochs_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let specs = vec![spec(1, 0, &small_segments())];
    let (storage, _) = open(options(dir.path()), specs.clone());
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    for epoch in [0, 0, 3, 3, 7] {
        let bytes = batch(2, 10, NOW, NO_PRODUCER);
        let appended = try_append_epoch(&log, &bytes, LeaderEpoch(epoch)).unwrap();
        block_on(storage.wait_durable(appended.lsn)).unwrap();
    }
    let stale = try_append_epoch(&log, &batch(1, 1, NOW, NO_PRODUCER), LeaderEpoch(3));
    assert!(matches!(
        stale,
        Err(AppendError::FencedLeaderEpoch {
            epoch: 3,
            current: 7
        })
    ));
    let check = |log: &storage::PartitionLog| {
        let end = |epoch| log.end_offset_for_epoch(LeaderEpoch(epoch)).end_offset.0;
        assert_eq!([end(0), end(3), end(5), end(7), end(8)], [4, 8, 8, 10, -1]);
        assert_eq!(log.latest_epoch(), Some(LeaderEpoch(7)));
    };
    check(&log);
    wait_flushed(&log);
    let image = tempfile::tempdir().unwrap();
    crash_image(dir.path(), image.path());
    let (crashed, _) = open(options(image.path()), specs);
    check(&crashed.partition(topic_id(1), PartitionIndex(0)).unwrap());
}

#[test]
fn a_deleted_partition_is_gone_and_its_name_can_be_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = small_segments();
    let (storage, _) = open(options(dir.path()), vec![spec(1, 0, &config)]);
    fill(&storage, 1);
    let old = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    wait_flushed(&old);
    let exists = storage.create_partition(spec(1, 0, &config));
    assert!(matches!(exists, Err(StorageError::PartitionExists { .. })));
    let notify = Arc::new(tokio::sync::Notify::new());
    old.subscribe(&notify);
    storage
        .delete_partition(topic_id(1), PartitionIndex(0))
        .unwrap();
    block_on(notify.notified());
    assert_eq!(old.state(), LogState::Deleted);
    assert!(
        old.read(Offset(0), 1, ReadLimit::HighWatermark, true)
            .is_err()
    );
    assert!(try_append(&old, &batch(1, 1, NOW, NO_PRODUCER)).is_err());
    let mut again = spec(2, 0, &config);
    again.topic = "topic1".to_owned();
    let new = storage.create_partition(again.clone()).unwrap();
    assert_eq!(
        append(&storage, &new, &batch(1, 9, NOW, NO_PRODUCER)).base_offset,
        Offset(0)
    );
    // Frames of the old id are still in the journal.
    let image = tempfile::tempdir().unwrap();
    crash_image(dir.path(), image.path());
    let (crashed, report) = open(options(image.path()), vec![again]);
    assert!(report.offline.is_empty(), "{report:?}");
    let back = crashed.partition(topic_id(2), PartitionIndex(0)).unwrap();
    assert_eq!(read_all(&back, 0, 1_000).unwrap().len(), 1);
}

#[test]
fn the_flush_policy_can_change_while_appends_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let specs = vec![spec(1, 0, &small_segments())];
    let (storage, _) = open(options(dir.path()), specs.clone());
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    let mut expected = 0;
    for policy in [
        FlushPolicy::Os,
        FlushPolicy::Ack,
        FlushPolicy::Interval,
        FlushPolicy::Ack,
    ] {
        log.set_config(LogConfig {
            flush_policy: policy,
            flush_ms: 0,
            ..small_segments()
        });
        for _ in 0..20 {
            let appended = append(&storage, &log, &batch(1, 100, NOW, NO_PRODUCER));
            assert_eq!(appended.base_offset.0, expected);
            expected += 1;
        }
        let image = tempfile::tempdir().unwrap();
        crash_image(dir.path(), image.path());
        let (crashed, report) = open(options(image.path()), specs.clone());
        assert!(report.offline.is_empty(), "{policy:?} {report:?}");
        let back = crashed.partition(topic_id(1), PartitionIndex(0)).unwrap();
        assert_eq!(back.high_watermark().0, expected);
    }
}

#[test]
fn a_second_process_is_kept_out() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(options(dir.path()), vec![]);
    let clock = Arc::new(ManualClock::new(NOW));
    let second = Storage::open(options(dir.path()), clock, vec![]);
    assert!(matches!(second, Err(StorageError::Locked { .. })));
    drop(storage);
    open(options(dir.path()), vec![]);
}

#[test]
fn waiters_are_woken_when_records_become_visible_and_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open(options(dir.path()), vec![spec(1, 0, &LogConfig::default())]);
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    for _ in 0..10_000 {
        log.subscribe(&Arc::new(tokio::sync::Notify::new()));
    }
    let notify = Arc::new(tokio::sync::Notify::new());
    log.subscribe(&notify);
    assert_eq!(Arc::weak_count(&notify), 1);
    let appended = try_append(&log, &batch(1, 1, NOW, NO_PRODUCER)).unwrap();
    block_on(notify.notified());
    assert!(log.high_watermark() > appended.base_offset);
    // The thread that woke it lets go of it a moment later.
    let began = std::time::Instant::now();
    while Arc::weak_count(&notify) > 0 {
        assert!(
            began.elapsed().as_secs() < 60,
            "woken once, but not forgotten"
        );
        std::thread::yield_now();
    }
}

#[test]
fn a_log_start_within_a_batch_that_only_the_journal_has_survives_a_kill() {
    // Recovery once began such a log at its start offset and then refused the batch around it.
    let dir = tempfile::tempdir().unwrap();
    let specs = vec![spec(1, 0, &LogConfig::default())];
    let (storage, _) = open(options(dir.path()), specs.clone());
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    for _ in 0..3 {
        append(&storage, &log, &batch(4, 10, NOW, NO_PRODUCER));
    }
    let deleted = log.delete_records(Some(Offset(6))).unwrap();
    block_on(storage.wait_durable(deleted.lsn)).unwrap();
    let image = tempfile::tempdir().unwrap();
    crash_image(dir.path(), image.path());
    std::fs::remove_dir_all(image.path().join("logs")).unwrap();
    let (storage, report) = open(options(image.path()), specs);
    assert!(report.offline.is_empty(), "{report:?}");
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    assert_eq!(
        (log.log_start_offset(), log.high_watermark()),
        (Offset(6), Offset(12))
    );
    let bases: Vec<i64> = read_all(&log, 6, 1_000)
        .unwrap()
        .iter()
        .map(|batch| base_offset(batch))
        .collect();
    assert_eq!(bases, [4, 8]);
}

#[test]
fn a_checkpoint_of_many_logs_covers_each() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig::default();
    let specs: Vec<_> = (0..50)
        .map(|partition| spec(1, partition, &config))
        .collect();
    let (storage, _) = open(options(dir.path()), specs.clone());
    for log in storage.partitions() {
        let producer = Producer {
            id: 3,
            epoch: 0,
            sequence: 0,
        };
        append(&storage, &log, &batch(1, 10, NOW, producer));
    }
    storage.checkpoint().unwrap();
    let image = tempfile::tempdir().unwrap();
    crash_image(dir.path(), image.path());
    let (back, report) = open(options(image.path()), specs);
    assert_eq!(
        (report.journal_frames, report.offline.len()),
        (0, 0),
        "{report:?}"
    );
    for log in back.partitions() {
        assert_eq!(read_all(&log, 0, 1_000).unwrap().len(), 1);
        assert_eq!(log.active_producers().len(), 1);
    }
}

#[test]
fn idle_producers_are_forgotten_after_the_time_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(NOW));
    let specs = vec![spec(1, 0, &small_segments())];
    let (storage, _) = open_at(options(dir.path()), specs, &clock);
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    let producer = Producer {
        id: 7,
        epoch: 0,
        sequence: 0,
    };
    append(&storage, &log, &batch(1, 10, NOW, producer));
    clock.advance(Duration::from_secs(3_600));
    storage.run_retention();
    assert_eq!(log.active_producers().len(), 1, "a day is the default");
    storage.set_producer_id_expiration_ms(60_000);
    storage.run_retention();
    assert!(log.active_producers().is_empty());
}
