//! Disks that fail or are full.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base::{ManualClock, PartitionIndex};
use common::*;
use storage::{
    AppendError, FaultHook, IoOp, LogConfig, Storage, StorageError, StorageOptions, StorageStatus,
};

/// Fails one kind of I/O while it is armed.
#[derive(Debug)]
struct Fault {
    op: IoOp,
    kind: io::ErrorKind,
    armed: AtomicBool,
    hits: AtomicU64,
}

impl Fault {
    fn new(op: IoOp, kind: io::ErrorKind) -> Arc<Fault> {
        Arc::new(Fault {
            op,
            kind,
            armed: AtomicBool::new(false),
            hits: AtomicU64::new(0),
        })
    }

    fn arm(&self, armed: bool) {
        self.armed.store(armed, Ordering::SeqCst);
    }
}

impl FaultHook for Fault {
    fn before(&self, op: IoOp) -> Option<io::Error> {
        if op != self.op || !self.armed.load(Ordering::SeqCst) {
            return None;
        }
        self.hits.fetch_add(1, Ordering::SeqCst);
        Some(io::Error::new(self.kind, "injected"))
    }
}

/// Fails every journal write from the one after `left` more on: as if the process had been killed before it.
#[derive(Debug)]
struct KillAt {
    left: AtomicU64,
}

impl FaultHook for KillAt {
    fn before(&self, op: IoOp) -> Option<io::Error> {
        if op != IoOp::JournalWrite {
            return None;
        }
        let left = self.left.load(Ordering::SeqCst);
        if left == 0 {
            return Some(io::Error::other("killed"));
        }
        self.left.store(left - 1, Ordering::SeqCst);
        None
    }
}

fn open_with(dir: &std::path::Path, fault: &Arc<Fault>) -> Storage {
    let hook = Some(Arc::clone(fault) as Arc<dyn FaultHook>);
    let options = StorageOptions {
        fault_hook: hook,
        ..options(dir)
    };
    open(options, vec![spec(1, 0, &LogConfig::default())]).0
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "waited in vain: {what}"
        );
        std::thread::yield_now();
    }
}

#[test]
fn a_failed_journal_write_fails_every_waiter_and_a_restart_has_what_was_acknowledged() {
    for kind in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
        let dir = tempfile::tempdir().unwrap();
        let fault = Fault::new(IoOp::JournalWrite, kind);
        let storage = open_with(dir.path(), &fault);
        let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
        for _ in 0..3 {
            append(&storage, &log, &batch(1, 100, NOW, NO_PRODUCER));
        }
        fault.arm(true);
        let producer = Producer {
            id: 5,
            epoch: 0,
            sequence: 0,
        };
        let lost = batch(1, 100, NOW, producer);
        let appended = try_append(&log, &lost).unwrap();
        let error = block_on(storage.wait_durable(appended.lsn)).unwrap_err();
        assert!(matches!(error, StorageError::Failed { .. }), "{error}");
        // The retry of what failed must not be told that it is a duplicate on disk.
        match try_append(&log, &lost) {
            Ok(again) => assert!(block_on(storage.wait_durable(again.lsn)).is_err()),
            Err(AppendError::Storage(StorageError::Failed { .. })) => {}
            Err(other) => panic!("{other}"),
        }
        fault.arm(false);
        let refused = try_append(&log, &batch(1, 1, NOW, NO_PRODUCER));
        assert!(matches!(
            refused,
            Err(AppendError::Storage(StorageError::Failed { .. }))
        ));
        assert!(block_on(storage.append_room(1)).is_err());
        assert!(matches!(storage.status(), StorageStatus::Failed(_)));
        // What is durable can still be read.
        assert_eq!(read_all(&log, 0, 1_000).unwrap().len(), 3);
        assert!(storage.close().is_err());
        drop((log, storage));
        let (storage, report) = open(options(dir.path()), vec![spec(1, 0, &LogConfig::default())]);
        assert!(report.offline.is_empty(), "{report:?}");
        let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
        assert_eq!(read_all(&log, 0, 1_000).unwrap().len(), 3);
    }
}

/// The group that says that the journal goes on was written before the header of the file it goes on in: a kill between
/// the two left a journal whose next file was missing, and took every partition offline.
#[test]
fn a_kill_between_any_two_journal_writes_is_no_damage() {
    for left in 1..24 {
        let dir = tempfile::tempdir().unwrap();
        let hook = Arc::new(KillAt {
            left: AtomicU64::new(left),
        });
        let small = StorageOptions {
            journal_first_file_bytes: 64 << 10,
            journal_file_bytes: 64 << 10,
            ..options(dir.path())
        };
        let killed = StorageOptions {
            fault_hook: Some(hook),
            ..small.clone()
        };
        let specs = || vec![spec(1, 0, &LogConfig::default())];
        let mut durable = 0;
        {
            let (storage, _) = open(killed, specs());
            let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
            // A journal that had to wait for a file is tried again.
            while let Ok(()) = block_on(storage.append_room(20_000)) {
                match try_append(&log, &batch(1, 20_000, NOW, NO_PRODUCER)) {
                    Ok(appended) => match block_on(storage.wait_durable(appended.lsn)) {
                        Ok(()) => durable += 1,
                        Err(_) => break,
                    },
                    Err(AppendError::Backpressure) => {}
                    Err(_) => break,
                }
            }
        }
        let (storage, report) = open(small, specs());
        assert!(
            report.offline.is_empty(),
            "killed at write {left}: {report:?}"
        );
        let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
        let found = read_all(&log, 0, 1 << 20).unwrap().len();
        assert_eq!(found, durable, "killed at write {left}: {report:?}");
    }
}

#[test]
fn a_failed_segment_sync_fails_the_storage_and_keeps_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let fault = Fault::new(IoOp::SegmentSync, io::ErrorKind::Other);
    let storage = open_with(dir.path(), &fault);
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    append(&storage, &log, &batch(1, 100, NOW, NO_PRODUCER));
    fault.arm(true);
    assert!(storage.checkpoint().is_err());
    fault.arm(false);
    assert!(
        storage.checkpoint().is_err(),
        "a failed sync is never tried again"
    );
    assert!(matches!(storage.status(), StorageStatus::Failed(_)));
    assert!(try_append(&log, &batch(1, 1, NOW, NO_PRODUCER)).is_err());
    // Power goes, and with it the segments' pages; the journal was not trimmed.
    drop((log, storage));
    std::fs::remove_dir_all(dir.path().join("logs")).unwrap();
    let (storage, report) = open(options(dir.path()), vec![spec(1, 0, &LogConfig::default())]);
    assert_eq!(report.replayed_batches, 1, "{report:?}");
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    assert_eq!(read_all(&log, 0, 1_000).unwrap().len(), 1);
}

#[test]
fn a_full_disk_for_segments_refuses_appends_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let fault = Fault::new(IoOp::SegmentWrite, io::ErrorKind::StorageFull);
    let storage = open_with(dir.path(), &fault);
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    fault.arm(true);
    append(&storage, &log, &batch(1, 100, NOW, NO_PRODUCER));
    until("the segment writer meets the full disk", || {
        storage.status() == StorageStatus::DiskFull
    });
    let refused = try_append(&log, &batch(1, 1, NOW, NO_PRODUCER));
    assert!(matches!(
        refused,
        Err(AppendError::Storage(StorageError::DiskFull))
    ));
    assert!(matches!(
        block_on(storage.append_room(1)),
        Err(StorageError::DiskFull)
    ));
    // Acknowledged records are served from memory, and records can be deleted.
    assert_eq!(read_all(&log, 0, 1_000).unwrap().len(), 1);
    assert_eq!(log.delete_records(None).unwrap().log_start_offset.0, 1);
    fault.arm(false);
    until("there is room again", || {
        storage.status() == StorageStatus::Online
    });
    append(&storage, &log, &batch(1, 100, NOW, NO_PRODUCER));
    wait_flushed(&log);
}

#[test]
fn a_journal_that_cannot_grow_refuses_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let fault = Fault::new(IoOp::JournalAllocate, io::ErrorKind::StorageFull);
    fault.arm(true);
    // Not even the first file can be made: the directory opens all the same.
    let storage = open_with(dir.path(), &fault);
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    let refused = try_append(&log, &batch(1, 1, NOW, NO_PRODUCER));
    assert!(matches!(
        refused,
        Err(AppendError::Storage(StorageError::DiskFull))
    ));
    assert_eq!(storage.status(), StorageStatus::DiskFull);
    assert_eq!(log.log_end_offset().0, 0, "nothing was reserved");
    fault.arm(false);
    until("a file can be made", || {
        block_on(storage.append_room(100)).is_ok()
    });
    append(&storage, &log, &batch(1, 100, NOW, NO_PRODUCER));
}

#[test]
fn a_failed_checkpoint_is_tried_again_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let fault = Fault::new(IoOp::CheckpointWrite, io::ErrorKind::Other);
    let storage = open_with(dir.path(), &fault);
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    append(&storage, &log, &batch(1, 100, NOW, NO_PRODUCER));
    fault.arm(true);
    assert!(storage.checkpoint().is_err());
    append(&storage, &log, &batch(1, 100, NOW, NO_PRODUCER));
    fault.arm(false);
    storage.checkpoint().unwrap();
    let image = tempfile::tempdir().unwrap();
    crash_image(dir.path(), image.path());
    let (back, report) = open(
        options(image.path()),
        vec![spec(1, 0, &LogConfig::default())],
    );
    assert_eq!(report.journal_frames, 0, "{report:?}");
    let log = back.partition(topic_id(1), PartitionIndex(0)).unwrap();
    assert_eq!(read_all(&log, 0, 1_000).unwrap().len(), 2);
}

#[test]
fn headroom_stops_appends_before_the_disk_is_full_and_retention_frees_it() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let free = {
        let (storage, _) = open(options(dir.path()), vec![]);
        storage.volume().unwrap().usable_bytes
    };
    std::fs::remove_dir_all(dir.path()).unwrap();
    // More than the volume has: it counts as full from the start.
    let clock = Arc::new(ManualClock::new(NOW));
    let full = StorageOptions {
        headroom_bytes: free * 4,
        ..options(dir.path())
    };
    let (storage, _) = open_at(full, vec![spec(1, 0, &LogConfig::default())], &clock);
    until("it is found to be full", || {
        storage.status() == StorageStatus::DiskFull
    });
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    assert!(try_append(&log, &batch(1, 1, NOW, NO_PRODUCER)).is_err());
    assert!(storage.run_retention().failures.is_empty());
    storage.close().unwrap();
}

#[test]
fn retention_frees_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let fault = Fault::new(IoOp::SegmentWrite, io::ErrorKind::StorageFull);
    let hook = Some(Arc::clone(&fault) as Arc<dyn FaultHook>);
    let options = StorageOptions {
        fault_hook: hook,
        ..options(dir.path())
    };
    let config = LogConfig {
        segment_bytes: 2_000,
        ..LogConfig::default()
    };
    let (storage, _) = open(options, vec![spec(1, 0, &config)]);
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    for _ in 0..20 {
        append(&storage, &log, &batch(1, 500, NOW, NO_PRODUCER));
    }
    wait_flushed(&log);
    fault.arm(true);
    append(&storage, &log, &batch(1, 500, NOW, NO_PRODUCER));
    until("the disk is full", || {
        storage.status() == StorageStatus::DiskFull
    });
    log.set_config(LogConfig {
        retention_bytes: 2_000,
        file_delete_delay_ms: 0,
        ..config
    });
    let report = storage.run_retention();
    assert!(
        report.failures.is_empty() && report.segments > 2,
        "{report:?}"
    );
    let start = log.log_start_offset();
    assert!(start.0 > 5);
    fault.arm(false);
    until("there is room again", || {
        storage.status() == StorageStatus::Online
    });
    wait_flushed(&log);
    assert_eq!(log.high_watermark().0, 21);
    assert_eq!(
        read_all(&log, start.0, 1_000).unwrap().len() as i64,
        21 - start.0
    );
}
