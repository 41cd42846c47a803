//! A compacted log with a remote part: a consumer's table is right whatever is where, both parts are compacted, the remote one does
//! not grow for ever, and a kill at any point leaks nothing.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod common;
#[path = "common/keyed.rs"]
mod keyed;
#[path = "common/tiered.rs"]
mod tiered;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base::Offset;
use common::*;
use keyed::{Keyed, compacted, log_of};
use proptest::prelude::*;
use storage::tier::{MemoryTier, RemoteManifest, RemoteState};
use storage::{
    CleanupPolicy, FaultHook, IoOp, LogConfig, ReadLimit, RemoteLogConfig, Storage, StorageOptions,
};
use tiered::{ROOT, tiered_options};
use wire::record_batch::Compression;

const DAY: Duration = Duration::from_secs(86_400);

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 2_500,
        retention_ms: -1,
        file_delete_delay_ms: 0,
        remote: RemoteLogConfig {
            enabled: true,
            local_retention_bytes: 3_000,
            ..RemoteLogConfig::default()
        },
        ..compacted()
    }
}

struct Both {
    memory: Arc<MemoryTier>,
    keyed: Keyed,
    dir: PathBuf,
    /// Up to where a pass over the whole log has been.
    clean_to: i64,
}

impl Both {
    fn new(dir: &Path, config: &LogConfig) -> Both {
        let memory = Arc::new(MemoryTier::default());
        Both {
            keyed: Keyed::new(tiered_options(dir, &memory), config),
            memory,
            dir: dir.to_owned(),
            clean_to: 0,
        }
    }

    fn storage(&self) -> &Storage {
        &self.keyed.storage
    }

    /// Records of some of many keys, with a tombstone now and then.
    fn fill(&mut self, count: u16, seed: u16) {
        for n in 0..count {
            let key = (n.wrapping_mul(7).wrapping_add(seed)) % 23;
            let rows = [(key, n % 5 != seed % 5), (100 + key % 4, true)];
            self.keyed.put(&rows, 1, false, Compression::None);
        }
    }

    fn settle(&self) {
        let log = self.keyed.log();
        if !log.segments().is_empty() || log.size_in_bytes() > 0 {
            wait_flushed(&log);
        }
        self.storage().checkpoint().unwrap();
    }

    /// A round of everything. Failures are the remote side's.
    fn attempt(&mut self) {
        self.settle();
        for pass in self.storage().run_cleaner().passes {
            if pass.whole {
                self.clean_to = self.clean_to.max(pass.next_dirty_offset.0);
            }
        }
        self.settle();
        drop(self.storage().run_tiering());
        drop(self.storage().run_retention());
        drop(self.storage().run_tiering());
    }

    /// As [`Both::attempt`], and nothing fails.
    fn round(&mut self) -> storage::CleanerReport {
        self.settle();
        let report = self.storage().run_cleaner();
        assert_eq!(report.failures, Vec::<String>::new());
        for pass in report.passes.iter().filter(|pass| pass.whole) {
            self.clean_to = self.clean_to.max(pass.next_dirty_offset.0);
        }
        self.settle();
        loop {
            let report = self.storage().run_tiering();
            assert_eq!(report.failures, Vec::<String>::new());
            if !report.more {
                break;
            }
        }
        let report_of_retention = self.storage().run_retention();
        assert_eq!(report_of_retention.failures, Vec::<String>::new());
        report
    }

    fn check(&self, what: &str) {
        self.keyed.check(
            self.storage(),
            self.clean_to.min(self.keyed.log().log_end_offset().0),
        );
        let log = self.keyed.log();
        let remote = log.remote_segments();
        assert!(
            remote
                .windows(2)
                .all(|pair| pair[0].view.next_offset == pair[1].view.base),
            "{what}: no offset is in none of them, nor in two"
        );
    }

    /// Each object is named by one finished entry, each finished entry's objects are there, and nothing else is.
    fn check_objects(&self, what: &str) {
        let mut named = BTreeSet::new();
        for entry in self.memory.entries().unwrap() {
            assert_eq!(entry.state, RemoteState::Finished, "{what}: {entry:?}");
            named.insert(entry.log_object(ROOT));
            named.insert(entry.indexes_object(ROOT));
        }
        let objects: BTreeSet<String> = self.memory.objects().into_iter().collect();
        assert_eq!(objects, named, "{what}");
        let listed = self.keyed.log().remote_segments().len();
        assert_eq!(named.len(), listed * 2, "{what}");
    }

    fn remote_bytes(&self) -> u64 {
        let remote = self.keyed.log().remote_segments();
        remote.iter().map(|segment| segment.view.size).sum()
    }

    /// Opens what lies in `dir` as a new process would.
    fn reopen(&mut self, dir: &Path) {
        self.dir = dir.to_owned();
        let specs = vec![spec(1, 0, &self.keyed.config)];
        let options = tiered_options(dir, &self.memory);
        let (storage, report) = open_at(options, specs, &self.keyed.clock);
        assert!(report.offline.is_empty(), "{report:?}");
        self.keyed.storage = storage;
    }

    fn finish(&mut self, what: &str) {
        self.memory.stop_after(None, false);
        // Past the rest after a failure.
        self.keyed.clock.advance(Duration::from_secs(61));
        for _ in 0..3 {
            self.round();
        }
        assert_eq!(self.storage().run_tiering().failures, Vec::<String>::new());
        self.check(what);
        self.check_objects(what);
    }
}

#[test]
fn both_parts_are_compacted_and_the_remote_one_does_not_grow_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        min_cleanable_dirty_ratio: 0.5,
        ..config()
    };
    let mut both = Both::new(dir.path(), &config);
    let (mut whole, mut local, mut largest) = (0, 0, 0);
    for n in 0..40u16 {
        for index in 0..30 {
            let key = (n * 30 + index) * 7 % 150;
            both.keyed
                .put(&[(key, n % 9 > 0)], 1, false, Compression::None);
        }
        let remote = !both.keyed.log().remote_segments().is_empty();
        for pass in both.round().passes {
            whole += usize::from(pass.whole && pass.remote_segments_before > 0);
            local += usize::from(!pass.whole && remote);
        }
        both.check(&format!("round {n}"));
        largest = largest.max(both.remote_bytes());
    }
    assert!(whole > 1 && local > 3, "{whole} {local}");
    assert!(!both.keyed.log().remote_segments().is_empty());
    // 150 keys of some 140 bytes each: twice that for the dirty half, and as much again for segments that are copied in between. More
    // than twice as much was appended.
    assert!(largest < 63_000, "{largest}");
    both.finish("at the end");
    let log = both.keyed.log();
    assert!(log.local_log_start_offset() > Offset(0));
    let first = log.remote_segments()[0].view;
    assert_eq!(
        first.base, 0,
        "it stands for the offsets of all it was made of"
    );
    let image = tempfile::tempdir().unwrap();
    crash_image(dir.path(), image.path());
    both.reopen(image.path());
    both.check("after a kill");
}

#[test]
fn only_what_is_clean_and_due_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config();
    config.remote.local_retention_bytes = -2;
    let mut both = Both::new(dir.path(), &config);
    both.fill(100, 1);
    both.round();
    assert_eq!(
        both.keyed.log().remote_segments().len(),
        0,
        "it stays here for ever"
    );
    config.remote.local_retention_bytes = 0;
    config.min_compaction_lag_ms = 1_000;
    both.keyed.log().set_config(config.clone());
    both.fill(100, 2);
    both.settle();
    both.storage().run_tiering();
    let first_dirty = both.clean_to;
    let end = both.keyed.log().highest_remote_offset().unwrap();
    assert!(end.0 < first_dirty, "{end:?} {first_dirty}");
    both.storage().run_retention();
    both.check("half");
    both.keyed.clock.advance(Duration::from_secs(5));
    both.round();
    assert!(both.keyed.log().highest_remote_offset().unwrap() > end);
    both.check("all");
}

/// What compaction took from the end of a segment is a gap before the next one, and the copy stands for the offsets in it too.
#[test]
fn damaged_indexes_of_a_compacted_segment_are_built_anew_before_it_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config();
    config.remote.local_retention_bytes = 0;
    let mut both = Both::new(dir.path(), &config);
    both.fill(150, 1);
    both.settle();
    for pass in both.storage().run_cleaner().passes {
        both.clean_to = both.clean_to.max(pass.next_dirty_offset.0);
    }
    both.settle();
    let log = both.keyed.log();
    let segments = log.segments();
    let mut pairs = segments.windows(2);
    assert!(
        pairs.any(|pair| pair[0].next_offset < pair[1].base),
        "{segments:?}"
    );
    // Of one that is empty there is no index to be damaged.
    let closed = segments[..segments.len() - 1].iter();
    let damaged: Vec<i64> = closed
        .filter(|segment| segment.offset_entries > 0)
        .map(|segment| segment.base)
        .collect();
    assert!(!damaged.is_empty());
    for base in &damaged {
        let path = log.dir().join(format!("{base:020}.index"));
        let length = std::fs::metadata(&path).unwrap().len() as usize;
        std::fs::write(&path, vec![0; length]).unwrap();
    }
    loop {
        let report = both.storage().run_tiering();
        assert_eq!(report.failures, Vec::<String>::new());
        if !report.more {
            break;
        }
    }
    let rebuilt = &both.storage().metrics().index_rebuilds;
    let rebuilt = rebuilt.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(rebuilt, damaged.len() as u64, "rebuilt");
    for base in damaged {
        let remote = log.remote_segments();
        let copy = remote.iter().find(|one| one.view.base == base).unwrap();
        assert!(copy.view.offset_entries > 0, "{copy:?}");
    }
    both.round();
    both.finish("with rebuilt indexes");
}

fn tombstones(both: &Both) -> usize {
    let seen = keyed::read_everything(&both.keyed.log());
    seen.iter()
        .filter(|(_, key, value, _)| *key < 10 && value.is_none())
        .count()
}

/// Enough to close segments, of keys that nothing else uses.
fn others(both: &mut Both) {
    for n in 0..40u16 {
        both.keyed
            .put(&[(200 + n % 8, true)], 1, false, Compression::None);
    }
}

#[test]
fn a_remote_tombstone_is_kept_as_long_as_delete_retention_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config();
    config.delete_retention_ms = i64::try_from(DAY.as_millis()).unwrap();
    config.remote.local_retention_bytes = 0;
    let mut both = Both::new(dir.path(), &config);
    for key in 0..10 {
        both.keyed.put(&[(key, true)], 1, false, Compression::None);
    }
    others(&mut both);
    both.round();
    assert!(
        both.keyed.log().highest_remote_offset().unwrap().0 >= 10,
        "the values are remote"
    );
    for key in 0..10 {
        both.keyed.put(&[(key, false)], 1, false, Compression::None);
    }
    others(&mut both);
    // Where the values are remote, nothing but a pass over the whole log may put a horizon on the tombstones.
    let ratio = both.keyed.config.min_cleanable_dirty_ratio;
    both.memory.set_away(true);
    both.settle();
    both.storage().run_cleaner();
    both.keyed.clock.advance(Duration::from_secs(1));
    let local = both.storage().run_cleaner();
    assert!(
        local.passes.iter().all(|pass| !pass.whole) && !local.passes.is_empty(),
        "{local:?}"
    );
    both.memory.set_away(false);
    assert_eq!((tombstones(&both), ratio), (10, 0.0));
    both.keyed.clock.advance(2 * DAY);
    others(&mut both);
    let report = both.round();
    assert!(report.passes.iter().any(|pass| pass.whole), "{report:?}");
    assert_eq!(tombstones(&both), 10, "they have their horizon from now on");
    both.check("stamped");
    both.keyed.clock.advance(DAY / 2);
    others(&mut both);
    both.round();
    assert_eq!(tombstones(&both), 10);
    both.keyed.clock.advance(DAY);
    others(&mut both);
    both.round();
    assert_eq!(tombstones(&both), 0);
    both.check("gone");
    both.finish("gone");
}

#[test]
fn a_transaction_across_the_seam_ends_as_it_did() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config();
    config.remote.local_retention_bytes = 0;
    config.min_cleanable_dirty_ratio = 0.8;
    let mut both = Both::new(dir.path(), &config);
    for n in 0..24u16 {
        both.keyed.put(&[(n % 5, true)], 3, true, Compression::None);
        both.fill(12, n);
        both.keyed
            .put(&[(n % 7, n % 3 > 0)], 3, true, Compression::Lz4);
        if n % 3 == 2 {
            both.keyed.end(3, n % 2 == 0);
        }
        both.round();
        both.check(&format!("round {n}"));
    }
    both.keyed.end(3, false);
    both.fill(20, 1);
    both.finish("at the end");
}

#[test]
fn a_topic_that_deletes_as_well_forgets_the_oldest_wherever_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        cleanup_policy: CleanupPolicy {
            delete: true,
            compact: true,
        },
        retention_bytes: 9_000,
        ..config()
    };
    let mut both = Both::new(dir.path(), &config);
    let mut started = false;
    for n in 0..30u16 {
        // Keys that come once: compaction takes nothing.
        for key in 0..20 {
            both.keyed
                .put(&[(1_000 + n * 20 + key, true)], 1, false, Compression::None);
        }
        both.round();
        let log = both.keyed.log();
        started |= !log.remote_segments().is_empty() && log.log_start_offset().0 > 0;
        both.check(&format!("round {n}"));
        assert!(both.remote_bytes() < 14_000, "{}", both.remote_bytes());
    }
    assert!(started);
    both.finish("by size");
    let deleted = both.keyed.log().delete_records(None).unwrap();
    block_on(both.storage().wait_durable(deleted.lsn)).unwrap();
    both.finish("everything was deleted");
    assert_eq!(both.memory.objects(), Vec::<String>::new());
}

#[test]
fn a_topic_that_was_copied_at_once_becomes_a_compacted_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config();
    config.cleanup_policy = CleanupPolicy {
        delete: true,
        compact: false,
    };
    let mut both = Both::new(dir.path(), &config);
    both.fill(150, 3);
    both.round();
    let copied = both.remote_bytes();
    assert!(copied > 12_000, "{copied}");
    both.keyed.config = super_config(&config);
    both.keyed.log().set_config(both.keyed.config.clone());
    both.fill(10, 4);
    both.round();
    both.fill(10, 4);
    both.finish("compacted");
    assert!(both.remote_bytes() < copied / 2, "{}", both.remote_bytes());
    assert!(both.clean_to > 0);
}

fn super_config(config: &LogConfig) -> LogConfig {
    LogConfig {
        cleanup_policy: compacted().cleanup_policy,
        ..config.clone()
    }
}

#[test]
fn timestamps_are_found_in_what_was_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let mut both = Both::new(dir.path(), &config());
    for n in 0..6 {
        both.fill(40, n);
        both.round();
    }
    let log = both.keyed.log();
    assert!(log.remote_segments().len() > 1);
    for (offset, _, _, timestamp) in keyed::read_everything(&log) {
        let found = log.offset_for_timestamp(timestamp, ReadLimit::HighWatermark);
        assert_eq!(
            found.unwrap().unwrap().offset.0,
            offset,
            "each has a time of its own"
        );
    }
}

/// Small segments, so that few records are enough.
fn small() -> LogConfig {
    let mut config = LogConfig {
        segment_bytes: 1_000,
        ..config()
    };
    config.remote.local_retention_bytes = 1_000;
    config
}

/// Some remote segments with garbage in them, and a dirty local part.
fn prepare(both: &mut Both) {
    for n in 0..2 {
        both.fill(14, n);
        both.round();
    }
    assert!(both.keyed.log().remote_segments().len() > 1);
    both.keyed.put(&[(3, true)], 9, true, Compression::None);
    both.fill(10, 9);
    both.keyed.end(9, false);
    both.settle();
}

/// The remote side stops after 0, 1, 2, ... changes, the last of them told to have failed though it was made, or not.
#[test]
fn a_pass_can_be_killed_at_any_change_of_the_remote_side() {
    for made in [false, true] {
        for step in 0.. {
            let what = format!("{step} changes, the next one made: {made}");
            let dir = tempfile::tempdir().unwrap();
            let mut both = Both::new(dir.path(), &small());
            prepare(&mut both);
            both.memory.stop_after(Some(step), made);
            let before = both.memory.changes();
            both.attempt();
            let all = both.memory.changes() - before < step;
            both.check(&what);
            let image = tempfile::tempdir().unwrap();
            crash_image(dir.path(), image.path());
            // The process may go on as well.
            let memory = Arc::new(both.memory.copy());
            both.finish(&format!("{what}, goes on"));
            both.memory = memory;
            both.clean_to = 0;
            both.reopen(image.path());
            both.check(&what);
            both.fill(5, 5);
            both.finish(&what);
            if all {
                assert!(step > 8, "{step}");
                break;
            }
        }
    }
}

/// Copies both sides before each step, as a kill there would leave them.
#[derive(Debug)]
struct Camera {
    data_dir: PathBuf,
    images: PathBuf,
    memory: Arc<MemoryTier>,
    taken: Mutex<Vec<(IoOp, MemoryTier)>>,
    armed: Mutex<bool>,
}

impl FaultHook for Camera {
    fn before(&self, op: IoOp) -> Option<io::Error> {
        let step = matches!(
            op,
            IoOp::CleanerWrite | IoOp::CleanerSwap | IoOp::CheckpointWrite | IoOp::LocalRetention
        );
        if step && *self.armed.lock().unwrap() {
            let mut taken = self.taken.lock().unwrap();
            crash_image(&self.data_dir, &self.images.join(taken.len().to_string()));
            taken.push((op, self.memory.copy()));
        }
        None
    }
}

#[test]
fn a_pass_can_be_killed_at_any_local_step() {
    let dir = tempfile::tempdir().unwrap();
    let images = tempfile::tempdir().unwrap();
    let memory = Arc::new(MemoryTier::default());
    let camera = Arc::new(Camera {
        data_dir: dir.path().to_owned(),
        images: images.path().to_owned(),
        memory: Arc::clone(&memory),
        taken: Mutex::default(),
        armed: Mutex::default(),
    });
    let options = StorageOptions {
        fault_hook: Some(Arc::clone(&camera) as _),
        ..tiered_options(dir.path(), &memory)
    };
    let mut both = Both {
        keyed: Keyed::new(options, &small()),
        memory,
        dir: dir.path().to_owned(),
        clean_to: 0,
    };
    prepare(&mut both);
    *camera.armed.lock().unwrap() = true;
    both.round();
    *camera.armed.lock().unwrap() = false;
    let taken = std::mem::take(&mut *camera.taken.lock().unwrap());
    assert!(taken.len() > 10, "{}", taken.len());
    for (at, (op, memory)) in taken.into_iter().enumerate() {
        let what = format!("image {at}, before {op:?}");
        both.memory = Arc::new(memory);
        both.clean_to = 0;
        both.reopen(&images.path().join(at.to_string()));
        both.check(&what);
        both.finish(&what);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Fill(u16, u16),
    Transaction(u16, bool),
    Clean,
    Round,
    Retention,
    Delete(u8),
    Later(u8),
    /// The remote side fails after so many changes.
    Fail(usize, bool),
    Mend,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1u16..40, any::<u16>()).prop_map(|(count, seed)| Step::Fill(count, seed % 100)),
        2 => (any::<u16>(), any::<bool>()).prop_map(|(key, commit)| Step::Transaction(key % 30, commit)),
        5 => Just(Step::Clean),
        5 => Just(Step::Round),
        5 => Just(Step::Retention),
        1 => any::<u8>().prop_map(Step::Delete),
        2 => any::<u8>().prop_map(Step::Later),
        2 => (0usize..14, any::<bool>()).prop_map(|(changes, made)| Step::Fail(changes, made)),
        2 => Just(Step::Mend),
        1 => Just(Step::Kill),
    ]
}

fn run(steps: &[Step], ratio: f64) {
    let base = tempfile::tempdir().unwrap();
    let config = LogConfig {
        min_cleanable_dirty_ratio: ratio,
        delete_retention_ms: 1_000_000,
        ..config()
    };
    let mut both = Both::new(&base.path().join("0"), &config);
    for (n, step) in steps.iter().enumerate() {
        match step {
            Step::Fill(count, seed) => both.fill(*count, *seed),
            Step::Transaction(key, commit) => {
                both.keyed.put(&[(*key, true)], 5, true, Compression::None);
                both.fill(6, *key);
                both.keyed.end(5, *commit);
            }
            Step::Clean => {
                both.settle();
                drop(both.storage().run_cleaner());
            }
            Step::Round => {
                both.settle();
                drop(both.storage().run_tiering());
            }
            Step::Retention => {
                both.settle();
                assert_eq!(
                    both.storage().run_retention().failures,
                    Vec::<String>::new()
                );
            }
            Step::Delete(share) => {
                let log = both.keyed.log();
                let (start, end) = (log.log_start_offset().0, log.high_watermark().0);
                let to = start + (end - start) * i64::from(*share) / 512;
                let deleted = log.delete_records(Some(Offset(to))).unwrap();
                block_on(both.storage().wait_durable(deleted.lsn)).unwrap();
            }
            Step::Later(seconds) => both
                .keyed
                .clock
                .advance(Duration::from_secs((*seconds).into())),
            Step::Fail(changes, made) => both.memory.stop_after(Some(*changes), *made),
            Step::Mend => both.memory.stop_after(None, false),
            Step::Kill => {
                let image = base.path().join((n + 1).to_string());
                crash_image(&both.dir, &image);
                both.reopen(&image);
            }
        }
        both.check(&format!("{n}: {step:?}"));
    }
    both.finish("at the end");
    assert_eq!(log_of(both.storage()).state(), storage::LogState::Online);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_a_consumer_gets_the_right_table(
        steps in proptest::collection::vec(step(), 1..40),
        ratio in prop_oneof![Just(0.0), Just(0.5)],
    ) {
        run(&steps, ratio);
    }
}
