//! Headers outside the CRC, in segments that an earlier process wrote and recovery does not read: a reader is told, and neither
//! compaction nor a new index hides it.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod common;

use std::path::{Path, PathBuf};

use base::{Offset, PartitionIndex};
use common::*;
use storage::{LogConfig, PartitionLog, PartitionSpec, ReadError, ReadLimit, Storage};
use wire::record_batch::BatchHeader;

/// Batches in the first segment, of three records each.
const BATCHES: usize = 6;

fn config(compact: bool) -> LogConfig {
    let mut config = LogConfig {
        segment_bytes: 4_096,
        index_interval_bytes: 1_000,
        ..LogConfig::default()
    };
    if compact {
        config.cleanup_policy.delete = false;
        config.cleanup_policy.compact = true;
        config.min_cleanable_dirty_ratio = 0.0;
    }
    config
}

fn specs(compact: bool) -> Vec<PartitionSpec> {
    vec![spec(1, 0, &config(compact))]
}

fn log(storage: &Storage) -> std::sync::Arc<PartitionLog> {
    storage.partition(topic_id(1), PartitionIndex(0)).unwrap()
}

fn first_segment(dir: &Path) -> PathBuf {
    dir.join("logs/topic1-0/00000000000000000000.log")
}

/// A data directory closed in order: a full first segment and more behind it.
fn written(dir: &Path) -> Vec<u8> {
    let (storage, _) = open(options(dir), specs(false));
    let log = log(&storage);
    for n in 0..3 * BATCHES as i64 {
        append(&storage, &log, &batch(3, 150, NOW + 10 * n, NO_PRODUCER));
    }
    wait_flushed(&log);
    assert!(log.segments().len() > 2, "{:?}", log.segments());
    storage.close().unwrap();
    std::fs::read(first_segment(dir)).unwrap()
}

/// Where each batch begins.
fn places(segment: &[u8]) -> Vec<(usize, BatchHeader)> {
    let mut places = Vec::new();
    let mut at = 0;
    while let Ok(header) = BatchHeader::parse(&segment[at..]) {
        places.push((at, header));
        at += header.size_in_bytes();
    }
    places
}

/// Reads from `offset` as a consumer does, and fails the test if something is passed over.
fn read_on(log: &PartitionLog, offset: i64, max_bytes: usize) -> Result<(), ReadError> {
    let mut next = offset;
    loop {
        let read = log.read(Offset(next), max_bytes, ReadLimit::HighWatermark, true)?;
        let bytes = bytes_of(read.records.parts());
        if bytes.is_empty() {
            assert_eq!(Offset(next), log.high_watermark());
            return Ok(());
        }
        let mut at = 0;
        while at < bytes.len() {
            let header = BatchHeader::parse(&bytes[at..]).unwrap();
            assert!(header.base_offset <= next && next <= header.last_offset());
            next = header.next_offset();
            at += header.size_in_bytes();
        }
    }
}

fn is_corrupt(result: &Result<(), ReadError>) -> bool {
    matches!(result, Err(ReadError::Corrupt { .. }))
}

#[test]
fn every_byte_before_the_crc_is_told_to_a_reader() {
    let image = tempfile::tempdir().unwrap();
    let segment = written(image.path());
    let places = places(&segment);
    assert!(places.len() >= BATCHES);
    for (index, (place, header)) in places.iter().enumerate() {
        // The base offset and the length; what follows is the leader epoch, which has a checkpoint of its own.
        for byte in 0..12 {
            let flip = if (index + byte) % 2 == 0 { 0x01 } else { 0x80 };
            let bad = tempfile::tempdir().unwrap();
            copy_tree(image.path(), bad.path());
            let mut bytes = segment.clone();
            bytes[place + byte] ^= flip;
            std::fs::write(first_segment(bad.path()), &bytes).unwrap();
            let (storage, report) = open(options(bad.path()), specs(false));
            assert!(report.offline.is_empty(), "{report:?}");
            let log = log(&storage);
            let what = format!("batch {index} byte {byte} flip {flip:#x}");
            // From the batch itself, from its middle, from the start in small steps, and all at once.
            let at = header.base_offset;
            assert!(is_corrupt(&read_on(&log, at, 700)), "{what}");
            assert!(is_corrupt(&read_on(&log, at + 1, 1 << 20)), "{what}");
            assert!(is_corrupt(&read_on(&log, 0, 700)), "{what}");
            assert!(is_corrupt(&read_on(&log, 0, 1 << 20)), "{what}");
            // What lies in other segments is served.
            let later = log.segments()[1].base;
            read_on(&log, later, 700).unwrap();
        }
    }
}

#[test]
fn an_intact_log_is_followed_once_and_read_from_anywhere() {
    let image = tempfile::tempdir().unwrap();
    let segment = written(image.path());
    let (storage, _) = open(options(image.path()), specs(false));
    let log = log(&storage);
    let mut offsets: Vec<i64> = (0..log.high_watermark().0).collect();
    offsets.reverse();
    for offset in offsets {
        read_on(&log, offset, 700).unwrap();
    }
    // It was followed: what changes under a running process is not looked for.
    let (place, header) = places(&segment)[2];
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(first_segment(image.path()))
        .unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0x7f], place as u64).unwrap();
    let before = header.base_offset - 3;
    let read = log.read(Offset(before), 1 << 20, ReadLimit::HighWatermark, true);
    read.unwrap();
}

#[test]
fn compaction_and_a_new_index_refuse_what_is_not_in_order() {
    for remove_index in [false, true] {
        let image = tempfile::tempdir().unwrap();
        let mut segment = written(image.path());
        let (place, _) = places(&segment)[3];
        segment[place + 7] ^= 0x40;
        std::fs::write(first_segment(image.path()), &segment).unwrap();
        if remove_index {
            std::fs::write(
                first_segment(image.path()).with_extension("index"),
                [0xff; 64],
            )
            .unwrap();
        }
        let (storage, _) = open(options(image.path()), specs(!remove_index));
        let log = log(&storage);
        if !remove_index {
            let report = storage.run_cleaner();
            assert!(!report.failures.is_empty(), "{report:?}");
        }
        assert!(is_corrupt(&read_on(&log, 0, 700)));
        assert_eq!(std::fs::read(first_segment(image.path())).unwrap(), segment);
    }
}
