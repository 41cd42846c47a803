//! Compaction killed at each of its steps, and on disks that fail or are full: the log is the old one or the new one,
//! a consumer's table is the same, and the next pass does what this one did not.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod common;
#[path = "common/keyed.rs"]
mod keyed;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::*;
use keyed::*;
use storage::inspect::{Severity, check};
use storage::{FaultHook, IoOp, Storage, StorageError, StorageOptions, StorageStatus};
use wire::record_batch::Compression;

fn is_step(op: IoOp) -> bool {
    matches!(
        op,
        IoOp::CleanerWrite | IoOp::CleanerSwap | IoOp::CheckpointWrite
    )
}

/// Copies the directory before each step, as a kill there would leave it.
#[derive(Debug)]
struct Camera {
    data_dir: PathBuf,
    images: PathBuf,
    armed: Mutex<bool>,
    taken: Mutex<Vec<(IoOp, PathBuf)>>,
}

impl FaultHook for Camera {
    fn before(&self, op: IoOp) -> Option<io::Error> {
        if is_step(op) && *self.armed.lock().unwrap() {
            let mut taken = self.taken.lock().unwrap();
            let image = self.images.join(taken.len().to_string());
            crash_image(&self.data_dir, &image);
            taken.push((op, image));
        }
        None
    }
}

/// Fails one of the steps.
#[derive(Debug)]
struct Breaker {
    step: usize,
    kind: io::ErrorKind,
    passed: AtomicUsize,
    /// The directory, and where to put copies of it, once the fault is over.
    images: Mutex<Option<(PathBuf, PathBuf)>>,
}

impl FaultHook for Breaker {
    fn before(&self, op: IoOp) -> Option<io::Error> {
        let at = if is_step(op) {
            self.passed.fetch_add(1, Ordering::SeqCst)
        } else {
            return None;
        };
        if let Some((data_dir, images)) = &*self.images.lock().unwrap() {
            crash_image(data_dir, &images.join(at.to_string()));
        }
        (at == self.step).then(|| io::Error::new(self.kind, "injected"))
    }
}

/// Several groups, an aborted transaction and an open end.
fn fill(keyed: &mut Keyed) {
    for round in 0..2u16 {
        for n in 0..30u16 {
            keyed.put(
                &[(n % 9, n % 7 > 0), (100 + n + 30 * round, true)],
                1,
                false,
                Compression::Lz4,
            );
            keyed.put(&[(200 + n % 3, true)], 3, true, Compression::None);
            if n % 10 == 5 {
                keyed.end(3, n % 20 == 5);
            }
        }
        keyed.end(3, round == 1);
    }
}

/// A log that was cleaned before, so that segments are small enough to join, and is dirty again.
fn fill_twice(keyed: &mut Keyed) {
    fill(keyed);
    assert_eq!(keyed.clean().passes.len(), 1);
    fill(keyed);
    wait_flushed(&keyed.log());
    keyed.storage.checkpoint().unwrap();
}

/// Opens what is left and holds it against the model; then cleans it, and again.
fn check_image(keyed: &Keyed, image: &Path, what: &str) {
    let open_image = || {
        let specs = vec![spec(1, 0, &keyed.config)];
        open_at(options(image), specs, &keyed.clock)
    };
    let report = check(image, &mut |_| {}).unwrap();
    let worst = report.worst();
    assert!(
        worst.is_none_or(|worst| worst == Severity::Info),
        "{what}: {report:?}"
    );
    let (storage, report) = open_image();
    assert!(report.offline.is_empty(), "{what}: {report:?}");
    keyed.check(&storage, 0);
    let log = log_of(&storage);
    for (bytes, base_offset) in keyed.last_batch.values() {
        let again = try_append(&log, bytes).unwrap();
        assert_eq!(
            (again.duplicate, again.base_offset.0),
            (true, *base_offset),
            "{what}"
        );
    }
    let left: Vec<String> = std::fs::read_dir(log.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".cleaned") || name == "cleaner-swap")
        .collect();
    assert_eq!(left, Vec::<String>::new(), "{what}");
    storage.checkpoint().unwrap();
    let cleaned = storage.run_cleaner();
    assert_eq!(cleaned.failures, Vec::<String>::new(), "{what}");
    let cleaned_to = cleaned
        .passes
        .iter()
        .map(|pass| pass.next_dirty_offset.0)
        .max();
    keyed.check(&storage, cleaned_to.unwrap_or(0));
    drop((log, storage));
    let (storage, report) = open_image();
    assert!(report.offline.is_empty(), "{what}: {report:?}");
    keyed.check(&storage, cleaned_to.unwrap_or(0));
}

/// A log, and the directory as it was before each step of a pass over it.
struct Album {
    _dir: tempfile::TempDir,
    _images: tempfile::TempDir,
    keyed: Keyed,
    report: storage::CleanerReport,
    taken: Vec<(IoOp, PathBuf)>,
}

fn album() -> Album {
    let dir = tempfile::tempdir().unwrap();
    let images = tempfile::tempdir().unwrap();
    let camera = Arc::new(Camera {
        data_dir: dir.path().to_owned(),
        images: images.path().to_owned(),
        armed: Mutex::new(false),
        taken: Mutex::default(),
    });
    let options = StorageOptions {
        fault_hook: Some(Arc::clone(&camera) as Arc<dyn FaultHook>),
        ..options(dir.path())
    };
    let mut keyed = Keyed::new(options, &compacted());
    fill_twice(&mut keyed);
    *camera.armed.lock().unwrap() = true;
    let report = keyed.storage.run_cleaner();
    *camera.armed.lock().unwrap() = false;
    assert_eq!(report.failures, Vec::<String>::new());
    let taken = std::mem::take(&mut *camera.taken.lock().unwrap());
    Album {
        _dir: dir,
        _images: images,
        keyed,
        report,
        taken,
    }
}

#[test]
fn a_kill_at_any_step_leaves_the_old_log_or_the_new_one() {
    let album = album();
    let (keyed, pass) = (&album.keyed, &album.report.passes[0]);
    let groups = pass.segments_after;
    assert!(groups >= 2 && pass.segments_before > groups, "{pass:?}");
    keyed.check(&keyed.storage, pass.next_dirty_offset.0);
    let swaps = album
        .taken
        .iter()
        .filter(|(op, _)| *op == IoOp::CleanerSwap);
    assert_eq!(swaps.count() as u64, 5 * groups, "every step of every swap");
    for (at, (op, image)) in album.taken.iter().enumerate() {
        check_image(keyed, image, &format!("step {at}, before {op:?}"));
    }
}

#[test]
fn renames_cut_short_are_finished_at_the_next_start() {
    let album = album();
    let mut images = album.taken.iter().map(|(_, image)| image);
    let committed = images
        .find(|image| image.join("logs/topic1-0/cleaner-swap").exists())
        .unwrap();
    // Between any two of the renames that one step makes.
    let parts = ["log", "index", "timeindex", "txnindex"];
    for done in 0..=parts.len() {
        let copy = tempfile::tempdir().unwrap();
        crash_image(committed, copy.path());
        for part in parts.iter().take(done) {
            let to = copy.path().join(format!("logs/topic1-0/{:020}.{part}", 0));
            let from = to.with_extension(format!("{part}.cleaned"));
            if from.exists() {
                std::fs::rename(from, to).unwrap();
            }
        }
        check_image(&album.keyed, copy.path(), &format!("{done} renamed"));
    }
}

#[test]
fn a_disk_that_fails_or_is_full_costs_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut keyed = Keyed::new(options(dir.path()), &compacted());
    fill(&mut keyed);
    wait_flushed(&keyed.log());
    keyed.storage.checkpoint().unwrap();
    // One kind at even steps, the other at odd ones: the steps of two swaps are alike.
    let kinds = [io::ErrorKind::Other, io::ErrorKind::StorageFull];
    let mut step = 0;
    while broken_at(&keyed, dir.path(), kinds[step % 2], step) {
        step += 1;
    }
    assert!(step > 20, "{step}");
}

/// The next pass in the same process does what the failed one did not, and a kill at any of its steps is none the worse
/// for what that one left.
fn again(keyed: &Keyed, storage: &Storage, breaker: &Breaker, what: &str) {
    let images = tempfile::tempdir().unwrap();
    *breaker.images.lock().unwrap() =
        Some((storage.data_dir().to_owned(), images.path().to_owned()));
    let report = storage.run_cleaner();
    *breaker.images.lock().unwrap() = None;
    assert_eq!(report.failures, Vec::<String>::new(), "{what}");
    keyed.check(storage, 0);
    // One of them: each image takes a while to check.
    for entry in std::fs::read_dir(images.path()).unwrap().take(1) {
        let image = entry.unwrap().path();
        check_image(
            keyed,
            &image,
            &format!("{what}, again: {}", image.display()),
        );
    }
}

/// Fails one step of a pass; false when there are fewer.
fn broken_at(keyed: &Keyed, dir: &Path, kind: io::ErrorKind, step: usize) -> bool {
    let image = tempfile::tempdir().unwrap();
    crash_image(dir, image.path());
    let breaker = Arc::new(Breaker {
        // The start writes the checkpoint once.
        step: step + 1,
        kind,
        passed: AtomicUsize::new(0),
        images: Mutex::default(),
    });
    let options = StorageOptions {
        fault_hook: Some(Arc::clone(&breaker) as Arc<dyn FaultHook>),
        ..options(image.path())
    };
    let (storage, _) = open_at(options, vec![spec(1, 0, &compacted())], &keyed.clock);
    let report = storage.run_cleaner();
    if breaker.passed.load(Ordering::SeqCst) <= step + 1 {
        assert_eq!(report.failures, Vec::<String>::new());
        return false;
    }
    let what = format!("{kind:?} at step {step}: {report:?}");
    assert_eq!(report.failures.len(), 1, "{what}");
    match storage.status() {
        // Nobody reads a log whose files may be either.
        StorageStatus::Failed(_) => {}
        StorageStatus::Online => {
            keyed.check(&storage, 0);
            again(keyed, &storage, &breaker, &what);
        }
        other => panic!("{what}: {other:?}"),
    }
    let closed = storage.close();
    assert!(
        matches!(closed, Ok(()) | Err(StorageError::Failed { .. })),
        "{what}"
    );
    drop(storage);
    check_image(keyed, image.path(), &what);
    true
}

/// The power goes, and with it one of several segments that were never synced. The ones behind it are there, so that in a
/// compacted log it could be taken for a segment of which compaction left nothing; the journal knows better.
#[test]
fn a_segment_that_was_lost_behind_the_checkpoint_comes_from_the_journal() {
    for checkpointed in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut keyed = Keyed::new(options(dir.path()), &compacted());
        keyed.put(&[(1, true), (2, true)], 1, false, Compression::None);
        if checkpointed {
            wait_flushed(&keyed.log());
            keyed.storage.checkpoint().unwrap();
        }
        for n in 0..90u16 {
            keyed.put(
                &[(n % 9, true), (100 + n, true)],
                1,
                false,
                Compression::None,
            );
        }
        wait_flushed(&keyed.log());
        let image = tempfile::tempdir().unwrap();
        crash_image(dir.path(), image.path());
        let bases: Vec<i64> = keyed.log().segments().iter().map(|one| one.base).collect();
        assert!(bases.len() > 4, "{bases:?}");
        let lost = keyed.log().dir().join(format!("{:020}.log", bases[2]));
        let lost = image.path().join(lost.strip_prefix(dir.path()).unwrap());
        std::fs::remove_file(lost).unwrap();
        let specs = vec![spec(1, 0, &compacted())];
        let (storage, report) = open_at(options(image.path()), specs, &keyed.clock);
        assert!(report.offline.is_empty(), "{report:?}");
        keyed.check(&storage, 0);
    }
}
