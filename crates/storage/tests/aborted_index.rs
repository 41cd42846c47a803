//! The index of aborted transactions: whatever ends the process, readers of committed records do not get aborted ones.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod common;
#[path = "common/keyed.rs"]
mod keyed;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use keyed::*;
use storage::{FaultHook, IoOp, LogConfig, Storage, StorageOptions, StorageStatus};
use wire::record_batch::Compression;

/// The index of aborted transactions cannot be written while this is armed.
#[derive(Debug, Default)]
struct NoRoom(AtomicBool);

impl FaultHook for NoRoom {
    fn before(&self, op: IoOp) -> Option<io::Error> {
        let is_hit = op == IoOp::TxnIndexWrite && self.0.load(Ordering::SeqCst);
        is_hit.then(|| io::ErrorKind::StorageFull.into())
    }
}

/// One transaction that is aborted, and one that is committed.
fn fill(keyed: &mut Keyed) {
    keyed.put(&[(1, true), (2, true)], 3, true, Compression::None);
    keyed.put(&[(2, true), (3, true)], 4, true, Compression::None);
    keyed.end(3, false);
    keyed.end(4, true);
    keyed.put(&[(4, true)], -1, false, Compression::None);
}

fn reopen(keyed: &Keyed, image: &Path) -> Storage {
    let specs = vec![spec(1, 0, &keyed.config)];
    let (storage, report) = open_at(options(image), specs, &keyed.clock);
    assert!(report.offline.is_empty(), "{report:?}");
    storage
}

/// A kill between the write of a marker to its segment and that of its entry in the index: the scan of the segment must
/// bring the entry back, for the next start too.
#[test]
fn an_entry_that_was_not_written_comes_back_with_the_scan() {
    let dir = tempfile::tempdir().unwrap();
    let mut keyed = Keyed::new(options(dir.path()), &LogConfig::default());
    fill(&mut keyed);
    wait_flushed(&keyed.log());
    let index = keyed.log().dir().join("00000000000000000000.txnindex");
    wait_for("the index is written", || index.exists());
    let image = tempfile::tempdir().unwrap();
    crash_image(dir.path(), image.path());
    let index = image.path().join(index.strip_prefix(dir.path()).unwrap());
    std::fs::remove_file(&index).unwrap();
    let storage = reopen(&keyed, image.path());
    keyed.check(&storage, 0);
    storage.checkpoint().unwrap();
    let again = tempfile::tempdir().unwrap();
    crash_image(image.path(), again.path());
    keyed.check(&reopen(&keyed, again.path()), 0);
}

/// The disk is full just when an entry is to be written: it must not be forgotten, or the checkpoint that follows says that
/// nothing need be scanned.
#[test]
fn an_entry_for_which_there_was_no_room_is_written_later() {
    let dir = tempfile::tempdir().unwrap();
    let hook = Arc::new(NoRoom::default());
    let with_hook = StorageOptions {
        fault_hook: Some(Arc::clone(&hook) as Arc<dyn FaultHook>),
        ..options(dir.path())
    };
    let mut keyed = Keyed::new(with_hook, &LogConfig::default());
    hook.0.store(true, Ordering::SeqCst);
    fill(&mut keyed);
    wait_for("the disk is found full", || {
        keyed.storage.status() == StorageStatus::DiskFull
    });
    hook.0.store(false, Ordering::SeqCst);
    wait_for("there is room again", || {
        keyed.storage.status() == StorageStatus::Online
    });
    keyed.put(&[(5, true)], -1, false, Compression::None);
    wait_flushed(&keyed.log());
    keyed.storage.checkpoint().unwrap();
    let image = tempfile::tempdir().unwrap();
    crash_image(dir.path(), image.path());
    keyed.check(&reopen(&keyed, image.path()), 0);
}
