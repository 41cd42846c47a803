//! Configs of a log that show in its files.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod common;

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use base::PartitionIndex;
use common::*;
use storage::{CleanupPolicy, LogConfig};

const SEGMENT_BYTES: u32 = 8 << 20;

/// Bytes that a file takes on the disk.
fn taken(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().blocks() * 512
}

/// Whether room can be reserved here at all; some file systems have no such thing.
fn reserves(dir: &Path) -> bool {
    let file = std::fs::File::create(dir.join("probe")).unwrap();
    let flags = rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, flags, 0, u64::from(SEGMENT_BYTES)).is_ok()
}

#[test]
fn preallocate_reserves_a_segment_and_gives_back_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        segment_bytes: SEGMENT_BYTES,
        segment_ms: 1_000,
        preallocate: true,
        ..LogConfig::default()
    };
    let (storage, _) = open(options(dir.path()), vec![spec(1, 0, &config)]);
    let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
    append(&storage, &log, &batch(1, 100, NOW, NO_PRODUCER));
    wait_flushed(&log);
    let first = log.dir().join("00000000000000000000.log");
    if reserves(dir.path()) {
        assert!(taken(&first) >= u64::from(SEGMENT_BYTES));
    }
    let size = std::fs::metadata(&first).unwrap().len();
    assert_eq!(
        size,
        log.size_in_bytes(),
        "what is reserved is no part of the log"
    );
    append(&storage, &log, &batch(1, 100, NOW + 2_000, NO_PRODUCER));
    wait_flushed(&log);
    assert_eq!(log.segments().len(), 2);
    assert!(taken(&first) < 1 << 20, "{}", taken(&first));
    storage.close().unwrap();
    assert!(taken(&log.dir().join("00000000000000000001.log")) < 1 << 20);
    assert_eq!(
        read_all(&log, 0, 10_000).map(|all| all.len()).unwrap_or(2),
        2
    );
}

#[test]
fn the_active_segment_of_a_compacted_log_is_closed_within_max_compaction_lag_ms() {
    for (compact, segments) in [(false, 1), (true, 2)] {
        let dir = tempfile::tempdir().unwrap();
        let config = LogConfig {
            max_compaction_lag_ms: 1_000,
            cleanup_policy: CleanupPolicy {
                delete: !compact,
                compact,
            },
            ..LogConfig::default()
        };
        let (storage, _) = open(options(dir.path()), vec![spec(1, 0, &config)]);
        let log = storage.partition(topic_id(1), PartitionIndex(0)).unwrap();
        for timestamp in [NOW, NOW + 1_001] {
            append(&storage, &log, &batch(1, 10, timestamp, NO_PRODUCER));
            wait_flushed(&log);
        }
        assert_eq!(log.segments().len(), segments);
    }
}
