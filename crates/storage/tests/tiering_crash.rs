//! Tiered storage killed at each of its steps, on either side: no record is lost, no object is leaked, and the next process does
//! what this one did not.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod common;
#[path = "common/tiered.rs"]
mod tiered;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use common::*;
use proptest::prelude::*;
use storage::tier::MemoryTier;
use storage::{FaultHook, IoOp, StorageOptions};
use tiered::*;

/// Runs `scenario` with the remote side stopped after 0, 1, 2, ... changes, the last of them told to have failed though it was
/// made, or not; then opens what a kill leaves and finishes.
fn kill_at_each_change(prepare: &dyn Fn(&mut Tiered), scenario: &dyn Fn(&mut Tiered)) -> usize {
    for made in [false, true] {
        for step in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let mut log = Tiered::new(dir.path(), &tiered());
            prepare(&mut log);
            log.memory.stop_after(Some(step), made);
            let before = log.memory.changes();
            scenario(&mut log);
            let all = log.memory.changes() - before < step;
            let what = format!("{step} changes, the next one made: {made}");
            log.check(&what);
            let image = tempfile::tempdir().unwrap();
            crash_image(dir.path(), image.path());
            log.memory.stop_after(None, false);
            log.reopen(image.path());
            log.check(&what);
            log.tier();
            log.tier();
            log.check(&what);
            log.check_objects(&what);
            assert_eq!(log.log().segments().len(), 1, "{what}");
            if all {
                assert!(step > 4, "{step}");
                if made {
                    return step;
                }
                break;
            }
        }
    }
    unreachable!("the scenario has an end")
}

fn attempt(log: &Tiered) {
    log.settle();
    drop(log.storage().run_tiering());
    drop(log.storage().run_retention());
    drop(log.storage().run_tiering());
    drop(log.storage().run_retention());
}

#[test]
fn copying_can_be_killed_at_any_change() {
    kill_at_each_change(&|log| log.fill(20), &|log| attempt(log));
}

#[test]
fn deleting_can_be_killed_at_any_change() {
    let prepare = |log: &mut Tiered| {
        log.fill(40);
        log.tier();
    };
    kill_at_each_change(&prepare, &|log| {
        let middle = log.log().remote_segments()[3].view.base + 1;
        log.delete_to(middle);
        attempt(log);
    });
}

/// Copies the directory before each step, as a kill there would leave it.
#[derive(Debug)]
struct Camera {
    data_dir: PathBuf,
    images: PathBuf,
    taken: Mutex<usize>,
    armed: Mutex<bool>,
}

impl FaultHook for Camera {
    fn before(&self, op: IoOp) -> Option<io::Error> {
        let step = matches!(op, IoOp::LocalRetention | IoOp::CheckpointWrite);
        if step && *self.armed.lock().unwrap() {
            let mut taken = self.taken.lock().unwrap();
            crash_image(&self.data_dir, &self.images.join(taken.to_string()));
            *taken += 1;
        }
        None
    }
}

#[test]
fn local_retention_can_be_killed_at_any_step() {
    let dir = tempfile::tempdir().unwrap();
    let images = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    let camera = Arc::new(Camera {
        data_dir: dir.path().to_owned(),
        images: images.path().to_owned(),
        taken: Mutex::new(0),
        armed: Mutex::new(false),
    });
    log.close();
    let options = StorageOptions {
        fault_hook: Some(Arc::clone(&camera) as _),
        ..tiered_options(dir.path(), &log.memory)
    };
    log.open(options);
    log.fill(40);
    log.copy();
    *camera.armed.lock().unwrap() = true;
    log.tier();
    let taken = *camera.taken.lock().unwrap();
    assert!(taken > 5, "{taken}");
    crash_image(dir.path(), &images.path().join(taken.to_string()));
    let segments = log.log().segments();
    log.close();
    for n in 0..=taken {
        let what = format!("image {n}");
        log.reopen(&images.path().join(n.to_string()));
        log.check(&what);
        log.tier();
        log.check(&what);
        log.check_objects(&what);
        assert_eq!(log.log().segments(), segments, "{what}");
        let left = std::fs::read_dir(log.log().dir()).unwrap();
        let logs = left.filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_string_lossy().ends_with(".log")
        });
        assert_eq!(logs.count(), 1, "{what}: files of segments that are gone");
        log.close();
    }
}

#[derive(Clone, Debug)]
enum Step {
    Fill(usize),
    Transaction(bool),
    Round,
    Retention,
    Delete(u8),
    /// The remote side fails after so many changes.
    Fail(usize, bool),
    Mend,
    Kill,
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1usize..12).prop_map(Step::Fill),
        2 => any::<bool>().prop_map(Step::Transaction),
        5 => Just(Step::Round),
        4 => Just(Step::Retention),
        1 => any::<u8>().prop_map(Step::Delete),
        3 => (0usize..9, any::<bool>()).prop_map(|(changes, made)| Step::Fail(changes, made)),
        2 => Just(Step::Mend),
        2 => Just(Step::Kill),
        1 => Just(Step::Close),
    ]
}

fn run(steps: &[Step]) {
    let base = tempfile::tempdir().unwrap();
    let mut dir = base.path().join("0");
    let mut log = Tiered::new(&dir, &tiered());
    log.memory = Arc::clone(&log.memory) as Arc<MemoryTier>;
    for (n, step) in steps.iter().enumerate() {
        match step {
            Step::Fill(count) => log.fill(*count),
            Step::Transaction(commit) => {
                log.transactional(5);
                log.fill(1);
                log.end(5, *commit);
            }
            Step::Round => {
                log.settle();
                drop(log.storage().run_tiering());
            }
            Step::Retention => {
                log.settle();
                assert_eq!(log.storage().run_retention().failures, Vec::<String>::new());
            }
            Step::Delete(share) => {
                let (start, end) = (log.log().log_start_offset().0, log.log().high_watermark().0);
                log.delete_to(start + (end - start) * i64::from(*share) / 512);
            }
            Step::Fail(changes, made) => log.memory.stop_after(Some(*changes), *made),
            Step::Mend => log.memory.stop_after(None, false),
            Step::Kill => {
                let image = base.path().join((n + 1).to_string());
                crash_image(&dir, &image);
                dir = image;
                log.reopen(&dir);
            }
            Step::Close => {
                log.close();
                log.reopen(&dir);
            }
        }
        log.check(&format!("{n}: {step:?}"));
    }
    log.memory.stop_after(None, false);
    log.tier();
    log.tier();
    log.check("at the end");
    log.check_objects("at the end");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_the_log_is_whole(steps in proptest::collection::vec(step(), 1..30)) {
        run(&steps);
    }
}

/// The time index of a segment that was closed with its storage and then went on had fewer entries than its view said.
#[test]
fn a_segment_that_went_on_after_a_restart_is_copied() {
    use Step::{Close, Fill, Round};
    run(&[Fill(20), Round, Close, Fill(8), Close]);
}
