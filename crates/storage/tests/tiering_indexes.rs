//! Indexes that a power loss, a disk or a copy of them damaged: no record becomes unreadable for it, here or in the remote store.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod common;
#[path = "common/tiered.rs"]
mod tiered;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use common::*;
use storage::tier::{RemoteManifest, RemoteSegment};
use storage::{FaultHook, IoOp, ReadLimit, StorageOptions};
use tiered::*;

/// What each file held when it was synced last; a power loss may leave zeros of the rest.
#[derive(Debug, Default)]
struct Synced(Mutex<HashMap<PathBuf, Vec<u8>>>);

impl FaultHook for Synced {
    fn before(&self, _: IoOp) -> Option<io::Error> {
        None
    }

    fn after(&self, op: IoOp, path: &Path) {
        if op == IoOp::SegmentSync && path.is_file() {
            let bytes = std::fs::read(path).unwrap();
            self.0.lock().unwrap().insert(path.to_owned(), bytes);
        }
    }
}

impl Synced {
    /// Bytes of a file that a power loss cannot take.
    fn durable(&self, path: &Path) -> Vec<u8> {
        let left = self.0.lock().unwrap().get(path).cloned();
        let length = std::fs::metadata(path).unwrap().len() as usize;
        let mut left = left.unwrap_or_default();
        left.resize(length, 0);
        left
    }

    /// Takes from the indexes in a copy of `log_dir` what was not synced.
    fn lose_indexes(&self, log_dir: &Path, copy: &Path) {
        for path in files(log_dir, &["index", "timeindex"]) {
            let left = self.durable(&path);
            std::fs::write(copy.join(path.file_name().unwrap()), left).unwrap();
        }
    }
}

fn files(dir: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| extensions.contains(&extension))
    });
    files.sort();
    files
}

/// A log whose syncs are told of.
fn watched(dir: &Path) -> (Tiered, Arc<Synced>) {
    let mut log = Tiered::new(dir, &tiered());
    log.close();
    let synced = Arc::new(Synced::default());
    let options = StorageOptions {
        fault_hook: Some(Arc::clone(&synced) as _),
        ..tiered_options(dir, &log.memory)
    };
    log.open(options);
    (log, synced)
}

fn times_are_found(log: &Tiered, what: &str) {
    for offset in [0, 30, 99] {
        let timestamp_ms = NOW + (offset / 3 + 1) * 10;
        let log = log.log();
        let found = log.offset_for_timestamp(timestamp_ms, ReadLimit::HighWatermark);
        assert_eq!(found.unwrap().unwrap().offset.0, offset, "{what}");
    }
}

/// Its last record was synced while it was active: only the roll changed it since.
#[test]
fn the_indexes_of_a_segment_that_was_closed_after_its_last_sync_are_synced() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, synced) = watched(dir.path());
    for _ in 0..40 {
        log.fill(1);
        log.settle();
        log.storage().checkpoint().unwrap();
    }
    let closed = log.log().segments().len() - 1;
    assert!(closed > 3, "{closed}");
    for path in files(&log.log().dir(), &["index", "timeindex"])
        .into_iter()
        .take(2 * closed)
    {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.is_empty());
        assert_eq!(synced.durable(&path), bytes, "{}", path.display());
    }
    let image = tempfile::tempdir().unwrap();
    crash_image(dir.path(), image.path());
    let copy = image
        .path()
        .join(log.log().dir().strip_prefix(dir.path()).unwrap());
    synced.lose_indexes(&log.log().dir(), &copy);
    log.reopen(image.path());
    log.tier();
    log.check("after the power loss");
}

/// What a process wrote and did not sync before it was killed is in the page cache alone, and the next one's checkpoint gives up
/// the journal that has it as well.
#[test]
fn what_a_killed_process_wrote_is_synced_by_the_next_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    log.fill(40);
    log.settle();
    let image = tempfile::tempdir().unwrap();
    crash_image(dir.path(), image.path());
    log.close();
    let synced = Arc::new(Synced::default());
    log.open(StorageOptions {
        fault_hook: Some(Arc::clone(&synced) as _),
        ..tiered_options(image.path(), &log.memory)
    });
    log.storage().checkpoint().unwrap();
    let logs = files(&log.log().dir(), &["log"]);
    assert!(logs.len() > 3, "{logs:?}");
    for path in logs {
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(synced.durable(&path), bytes, "{}", path.display());
    }
}

#[test]
fn damaged_indexes_are_built_anew_before_they_are_copied() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 4] = [
        ("zeros", |path| {
            let length = std::fs::metadata(path).unwrap().len() as usize;
            std::fs::write(path, vec![0; length]).unwrap();
        }),
        ("one bit", |path| {
            let mut bytes = std::fs::read(path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(path, bytes).unwrap();
        }),
        ("cut", |path| std::fs::write(path, []).unwrap()),
        ("gone", |path| std::fs::remove_file(path).unwrap()),
    ];
    for (what, damage) in damages {
        for extension in ["index", "timeindex"] {
            let dir = tempfile::tempdir().unwrap();
            let mut log = Tiered::new(dir.path(), &tiered());
            log.fill(40);
            log.settle();
            log.storage().checkpoint().unwrap();
            let log_dir = log.log().dir();
            let image = tempfile::tempdir().unwrap();
            crash_image(dir.path(), image.path());
            let image_dir = image.path().join(log_dir.strip_prefix(dir.path()).unwrap());
            let closed = log.log().segments().len() - 1;
            for path in files(&image_dir, &[extension]).iter().take(closed) {
                damage(path);
            }
            log.close();
            log.reopen(image.path());
            log.tier();
            let what = format!("{what} in .{extension}");
            assert_eq!(log.log().segments().len(), 1, "{what}: not all was copied");
            log.check(&what);
            times_are_found(&log, &what);
            let rebuilt = &log.storage().metrics().index_rebuilds;
            let rebuilt = rebuilt.load(Ordering::Relaxed);
            assert_eq!(rebuilt, closed as u64, "{what}: rebuilt");
        }
    }
}

/// Sound records whose indexes were damaged before they were copied.
#[test]
fn a_remote_segment_is_read_whatever_its_indexes_say() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    log.fill(40);
    log.tier();
    log.close();
    let entries = log.memory.entries().unwrap();
    assert!(entries.len() > 3);
    for entry in &entries {
        let zeros = vec![0; entry.indexes_bytes() as usize];
        let indexes_crc = crc32c::crc32c(&zeros);
        log.memory.plant(&entry.indexes_object(ROOT), zeros.into());
        log.memory
            .put(&RemoteSegment {
                indexes_crc,
                ..entry.clone()
            })
            .unwrap();
    }
    log.reopen(dir.path());
    log.check("with damaged indexes");
    times_are_found(&log, "with damaged indexes");
}
