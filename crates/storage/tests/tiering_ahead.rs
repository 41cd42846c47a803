//! How the remote store is read for those that go through a log: ahead of them, across segments, and each object once.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod common;
#[path = "common/tiered.rs"]
mod tiered;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::PartitionIndex;
use common::*;
use storage::tier::MemoryTier;
use storage::{PartitionLog, ReadLimit, Storage, TierConfig};
use tiered::*;
use wire::record_batch::BatchHeader;

const LIMIT: Duration = Duration::from_secs(20);
const PIECE_BYTES: u64 = 8 << 20;

/// As many logs as `partitions`, of some 25 segments each, all but the active one only in the store.
fn open(dir: &Path, partitions: i32, config: TierConfig) -> (Storage, Reads) {
    let memory = Arc::new(MemoryTier::default());
    let mut options = tiered_options(dir, &memory);
    let tier = options.tier.as_mut().unwrap();
    tier.config = TierConfig {
        task_interval_ms: tier.config.task_interval_ms,
        ..config
    };
    let clock = Arc::new(base::ManualClock::new(NOW));
    let specs = (0..partitions).map(|index| spec(1, index, &tiered()));
    let (storage, _) = open_at(options, specs.collect(), &clock);
    for index in 0..partitions {
        let log = log(&storage, index);
        for n in 0..250 {
            append(&storage, &log, &batch(3, 40, NOW + n, NO_PRODUCER));
        }
        wait_flushed(&log);
    }
    loop {
        let report = storage.run_tiering();
        assert_eq!(report.failures, Vec::<String>::new());
        if !report.more {
            break;
        }
    }
    assert_eq!(storage.run_retention().failures, Vec::<String>::new());
    for index in 0..partitions {
        let log = log(&storage, index);
        assert_eq!(log.segments().len(), 1);
        assert!(log.remote_segments().len() > 20);
    }
    let reads = Reads {
        before: memory.reads(),
        memory,
    };
    (storage, reads)
}

/// How many reads of the store there were since the logs were copied.
struct Reads {
    before: usize,
    memory: Arc<MemoryTier>,
}

impl Reads {
    fn count(&self) -> usize {
        self.memory.reads() - self.before
    }

    fn wait_for(&self, reads: usize) {
        let until = Instant::now() + LIMIT;
        while self.count() < reads {
            assert!(Instant::now() < until, "{} reads of {reads}", self.count());
            std::thread::yield_now();
        }
        // One too many that comes late is counted by what waits next.
        assert_eq!(self.count(), reads);
    }
}

fn log(storage: &Storage, index: i32) -> Arc<PartitionLog> {
    let partition = storage.partition(topic_id(1), PartitionIndex(index));
    partition.unwrap()
}

/// One fetch; the offset to go on from.
fn fetch(log: &PartitionLog, offset: i64) -> i64 {
    let read = read_anywhere(log, offset, 700, ReadLimit::HighWatermark).unwrap();
    let bytes = bytes_of(read.records.parts());
    let header = BatchHeader::parse(&bytes).unwrap();
    assert!(header.base_offset <= offset && read.next_offset.0 > offset);
    read.next_offset.0
}

#[test]
fn who_goes_through_has_the_next_segments_asked_for_and_who_looks_in_has_not() {
    let dir = tempfile::tempdir().unwrap();
    let config = TierConfig {
        reader_cache_bytes: 64 * PIECE_BYTES,
        reader_ahead_bytes: 8 * PIECE_BYTES,
        ..TierConfig::default()
    };
    let (storage, reads) = open(dir.path(), 1, config);
    let log = log(&storage, 0);
    let segments = log.remote_segments();
    fetch(&log, segments[9].view.base);
    // Its own two objects, and those of the next.
    reads.wait_for(4);
    let mut offset = segments[10].view.base;
    while offset < segments[11].view.base {
        offset = fetch(&log, offset);
    }
    // And those of the eight behind it: each of these segments is one piece.
    reads.wait_for(4 + 2 * 8);
    while offset < log.local_log_start_offset().0 {
        offset = fetch(&log, offset);
    }
    reads.wait_for(2 * (segments.len() - 9));
}

#[test]
fn readers_of_many_logs_do_not_read_anything_twice() {
    let dir = tempfile::tempdir().unwrap();
    let config = TierConfig {
        reader_cache_bytes: 16 * PIECE_BYTES,
        reader_ahead_bytes: 8 * PIECE_BYTES,
        ..TierConfig::default()
    };
    let (storage, reads) = open(dir.path(), 8, config);
    let logs: Vec<Arc<PartitionLog>> = (0..8).map(|index| log(&storage, index)).collect();
    let mut offsets = [0; 8];
    loop {
        let mut done = true;
        for (log, offset) in logs.iter().zip(&mut offsets) {
            if *offset < log.local_log_start_offset().0 {
                *offset = fetch(log, *offset);
                done = false;
            }
        }
        if done {
            break;
        }
    }
    let objects = logs.iter().map(|log| 2 * log.remote_segments().len());
    assert_eq!(reads.count(), objects.sum::<usize>());
}

#[test]
fn nothing_is_asked_for_ahead_when_that_is_switched_off() {
    let dir = tempfile::tempdir().unwrap();
    let config = TierConfig {
        reader_ahead_bytes: 0,
        ..TierConfig::default()
    };
    let (storage, reads) = open(dir.path(), 1, config);
    let log = log(&storage, 0);
    let segments = log.remote_segments();
    let mut offset = 0;
    while offset < segments[4].view.next_offset {
        offset = fetch(&log, offset);
    }
    assert_eq!(reads.count(), 2 * 5);
}
