//! Compaction through the storage's own doors: what stays, what goes and when, and that nobody who reads meanwhile
//! notices.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod common;
#[path = "common/keyed.rs"]
mod keyed;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base::Offset;
use common::*;
use keyed::*;
use proptest::prelude::*;
use storage::inspect::{Severity, check};
use storage::{CleanerConfig, CleanupPolicy, LogConfig, ReadLimit, StorageOptions};
use wire::record_batch::Compression;

#[derive(Clone, Debug)]
enum Step {
    Put {
        keys: Vec<(u16, bool)>,
        producer: i64,
        transactional: bool,
        codec: i16,
    },
    End {
        producer: i64,
        commit: bool,
    },
    Clean,
    /// Time goes by, so that delete horizons pass.
    Wait {
        hours: u64,
    },
    DeleteRecords {
        percent: i64,
    },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let keys = prop::collection::vec((0u16..40, prop::bool::weighted(0.8)), 1..9);
    prop_oneof![
        40 => (keys, -1i64..5, prop::bool::ANY, 0i16..5).prop_map(
            |(keys, producer, transactional, codec)| Step::Put {
                keys,
                producer,
                // Producers 3 and 4 have transactions, the others never.
                transactional: transactional && producer >= 3,
                codec,
            }
        ),
        6 => (3i64..5, prop::bool::ANY).prop_map(|(producer, commit)| Step::End { producer, commit }),
        4 => Just(Step::Clean),
        2 => (1u64..30).prop_map(|hours| Step::Wait { hours }),
        1 => (0i64..60).prop_map(|percent| Step::DeleteRecords { percent }),
        1 => Just(Step::Reopen),
    ]
}

/// A batch outside of a transaction is refused while its producer has one open.
fn run(keyed: &mut Keyed, dir: &std::path::Path, options: &StorageOptions, step: &Step) {
    match step {
        Step::Put {
            keys,
            producer,
            transactional,
            codec,
        } => {
            if *producer >= 3 && !transactional {
                keyed.end(*producer, true);
            }
            let codec = Compression::from_id(*codec).unwrap();
            keyed.put(keys, *producer, *transactional, codec);
        }
        Step::End { producer, commit } => keyed.end(*producer, *commit),
        Step::Clean => {
            let report = keyed.clean();
            let cleaned_to = report
                .passes
                .iter()
                .map(|pass| pass.next_dirty_offset.0)
                .max();
            keyed.check(&keyed.storage, cleaned_to.unwrap_or(0));
        }
        Step::Wait { hours } => keyed.clock.advance(Duration::from_secs(hours * 3_600)),
        Step::DeleteRecords { percent } => {
            let log = keyed.log();
            let target = log.last_stable_offset().0 * percent / 100;
            let deleted = log.delete_records(Some(Offset(target))).unwrap();
            block_on(keyed.storage.wait_durable(deleted.lsn)).unwrap();
            assert_eq!(keyed.storage.run_retention().failures, Vec::<String>::new());
        }
        Step::Reopen => {
            // A kill: nothing is closed.
            let image = tempfile::tempdir().unwrap();
            crash_image(dir, image.path());
            let options = StorageOptions {
                data_dir: image.path().to_owned(),
                ..options.clone()
            };
            let specs = vec![spec(1, 0, &keyed.config)];
            let (storage, report) = open_at(options, specs, &keyed.clock);
            assert!(report.offline.is_empty(), "{report:?}");
            keyed.check(&storage, 0);
            let log = log_of(&storage);
            for (bytes, base_offset) in keyed.last_batch.values() {
                let again = try_append(&log, bytes).unwrap();
                assert!(
                    again.duplicate,
                    "a retry is recognised though its batch may be gone"
                );
                assert_eq!(again.base_offset.0, *base_offset);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_cleaned_log_is_the_model(steps in prop::collection::vec(step(), 20..140), small in prop::bool::ANY) {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path());
        options.producer_id_expiration_ms = i64::MAX;
        if small {
            // A few keys at a time: many passes.
            options.cleaner.dedupe_buffer_bytes = 24 * 16;
            options.cleaner.io_buffer_bytes = 1;
        }
        let mut keyed = Keyed::new(options.clone(), &compacted());
        for step in steps.iter().chain([&Step::Clean, &Step::Reopen]) {
            run(&mut keyed, dir.path(), &options, step);
        }
        keyed.storage.close().unwrap();
        let storage = keyed.storage.clone();
        drop(keyed);
        drop(storage);
        let report = check(dir.path(), &mut |_| {}).unwrap();
        prop_assert!(report.worst().is_none_or(|worst| worst == Severity::Info), "{:?}", report);
    }
}

fn filled(keyed: &mut Keyed, rounds: u16) {
    for round in 0..rounds {
        for key in 0..20 {
            keyed.put(
                &[(key, true), (100 + round, true)],
                -1,
                false,
                Compression::None,
            );
        }
    }
}

#[test]
fn old_values_go_and_segments_join() {
    let dir = tempfile::tempdir().unwrap();
    let mut keyed = Keyed::new(options(dir.path()), &compacted());
    filled(&mut keyed, 12);
    wait_flushed(&keyed.log());
    let (before, size) = (keyed.log().segments().len(), keyed.log().size_in_bytes());
    let report = keyed.clean();
    assert_eq!(report.passes.len(), 1);
    let pass = &report.passes[0];
    assert_eq!(pass.segments_before as usize, before - 1);
    assert!(pass.bytes_after < pass.bytes_before / 2, "{pass:?}");
    assert!(keyed.log().size_in_bytes() < size / 2);
    assert!(pass.records_after < pass.records_before);
    keyed.check(&keyed.storage, pass.next_dirty_offset.0);
    // Full segments do not join before they are small.
    assert_eq!(pass.segments_after, pass.segments_before);
    filled(&mut keyed, 2);
    let report = keyed.clean();
    let second = &report.passes[0];
    assert!(
        second.segments_after < second.segments_before / 2,
        "{second:?}"
    );
    assert!(keyed.log().segments().len() < before);
    keyed.check(&keyed.storage, second.next_dirty_offset.0);
    // Nothing is dirty any more, and a restart knows.
    assert_eq!(keyed.clean().passes, vec![]);
    keyed.storage.close().unwrap();
    let image = tempfile::tempdir().unwrap();
    crash_image(dir.path(), image.path());
    let specs = vec![spec(1, 0, &compacted())];
    let (storage, _) = open_at(options(image.path()), specs, &keyed.clock);
    assert_eq!(storage.run_cleaner().passes, vec![]);
    keyed.check(&storage, second.next_dirty_offset.0);
    let metrics = storage.metrics();
    assert_eq!(metrics.cleaner_passes.load(Ordering::Relaxed), 0);
    let metrics = keyed.storage.metrics();
    assert_eq!(metrics.cleaner_passes.load(Ordering::Relaxed), 2);
    assert_eq!(
        metrics.cleaner_dropped_records.load(Ordering::Relaxed),
        pass.records_before - pass.records_after + second.records_before - second.records_after
    );
}

#[test]
fn nothing_is_cleaned_that_is_not_worth_it_or_not_allowed() {
    let lag = LogConfig {
        min_compaction_lag_ms: 86_400_000,
        ..compacted()
    };
    let dir = tempfile::tempdir().unwrap();
    let mut keyed = Keyed::new(options(dir.path()), &lag);
    filled(&mut keyed, 6);
    assert_eq!(keyed.clean().passes, vec![], "too young");
    keyed.clock.advance(Duration::from_secs(2 * 86_400));
    assert_eq!(keyed.clean().passes.len(), 1);

    let dir = tempfile::tempdir().unwrap();
    let ratio = LogConfig {
        min_cleanable_dirty_ratio: 0.6,
        ..compacted()
    };
    let mut keyed = Keyed::new(options(dir.path()), &ratio);
    filled(&mut keyed, 6);
    assert_eq!(keyed.clean().passes.len(), 1, "all of it is dirty");
    keyed.put(&[(1, true); 30], -1, false, Compression::None);
    keyed.put(&[(1, true); 30], -1, false, Compression::None);
    assert_eq!(keyed.clean().passes, vec![], "hardly any of it is");
    keyed.log().set_config(LogConfig {
        max_compaction_lag_ms: 86_400_000,
        ..ratio.clone()
    });
    assert_eq!(keyed.clean().passes, vec![], "nor is it old");
    keyed.clock.advance(Duration::from_secs(2 * 86_400));
    assert_eq!(keyed.clean().passes.len(), 1, "but now it must be");

    let dir = tempfile::tempdir().unwrap();
    let mut keyed = Keyed::new(options(dir.path()), &compacted());
    keyed.put(&[(1, true)], 3, true, Compression::None);
    filled(&mut keyed, 6);
    assert_eq!(keyed.clean().passes, vec![], "a transaction is open");
    keyed.end(3, true);
    assert_eq!(keyed.clean().passes.len(), 1);
    let delete_only = LogConfig {
        cleanup_policy: CleanupPolicy {
            delete: true,
            compact: false,
        },
        ..compacted()
    };
    filled(&mut keyed, 6);
    keyed.log().set_config(delete_only);
    assert_eq!(keyed.clean().passes, vec![], "the policy is another");
    assert_eq!(keyed.storage.uncleanable(), vec![]);
}

#[test]
fn without_a_checkpoint_nothing_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let mut keyed = Keyed::new(options(dir.path()), &compacted());
    filled(&mut keyed, 6);
    wait_flushed(&keyed.log());
    assert_eq!(keyed.storage.run_cleaner().passes, vec![]);
}

#[test]
fn a_tombstone_outlives_its_first_pass_by_delete_retention_ms() {
    let dir = tempfile::tempdir().unwrap();
    let mut keyed = Keyed::new(options(dir.path()), &compacted());
    keyed.put(&[(7, true), (8, true)], -1, false, Compression::Zstd);
    keyed.put(&[(7, false), (9, true)], -1, false, Compression::Zstd);
    let tombstone = |keyed: &Keyed| {
        let all = read_everything(&keyed.log());
        all.iter()
            .any(|(_, key, value, _)| *key == 7 && value.is_none())
    };
    let mut round = 0;
    let mut dirty = |keyed: &mut Keyed| {
        round += 1;
        for n in 0..60 {
            keyed.put(
                &[(1_000 + round, true), (20 + n % 2, true)],
                -1,
                false,
                Compression::None,
            );
        }
        keyed.clean()
    };
    assert_eq!(dirty(&mut keyed).passes.len(), 1);
    assert!(tombstone(&keyed));
    assert!(
        !read_everything(&keyed.log())
            .iter()
            .any(|row| row.1 == 7 && row.2.is_some())
    );
    keyed.clock.advance(Duration::from_secs(86_399));
    dirty(&mut keyed);
    assert!(tombstone(&keyed), "a reader has a day to see it");
    keyed.clock.advance(Duration::from_secs(1));
    dirty(&mut keyed);
    assert!(!tombstone(&keyed));
    keyed.check(&keyed.storage, 0);
}

#[test]
fn compaction_and_retention_share_a_log() {
    let both = LogConfig {
        cleanup_policy: CleanupPolicy {
            delete: true,
            compact: true,
        },
        retention_bytes: 3_000,
        ..compacted()
    };
    let dir = tempfile::tempdir().unwrap();
    let mut keyed = Keyed::new(options(dir.path()), &both);
    for round in 0..8 {
        filled(&mut keyed, 4);
        let report = keyed.clean();
        assert!(!report.passes.is_empty(), "round {round}");
        let retention = keyed.storage.run_retention();
        assert_eq!(retention.failures, Vec::<String>::new());
        keyed.check(&keyed.storage, 0);
    }
    assert!(keyed.log().log_start_offset().0 > 0);
    assert!(keyed.log().size_in_bytes() < 3_000 + 4_000 + 4_000);
    let image = tempfile::tempdir().unwrap();
    crash_image(dir.path(), image.path());
    let (storage, report) = open_at(options(image.path()), vec![spec(1, 0, &both)], &keyed.clock);
    assert!(report.offline.is_empty(), "{report:?}");
    keyed.check(&storage, 0);
}

#[test]
fn a_log_that_was_compacted_survives_the_loss_of_the_checkpoint() {
    for still_compacted in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let mut keyed = Keyed::new(options(dir.path()), &compacted());
        filled(&mut keyed, 12);
        // More than one pass may take at once, so that segments end before the next begins.
        keyed.clean();
        filled(&mut keyed, 2);
        keyed.clean();
        let image = tempfile::tempdir().unwrap();
        crash_image(dir.path(), image.path());
        std::fs::remove_file(image.path().join("checkpoint")).unwrap();
        let policy = CleanupPolicy {
            delete: !still_compacted,
            compact: still_compacted,
        };
        let config = LogConfig {
            cleanup_policy: policy,
            ..compacted()
        };
        let (storage, report) = open_at(
            options(image.path()),
            vec![spec(1, 0, &config)],
            &keyed.clock,
        );
        assert!(report.offline.is_empty(), "{report:?}");
        keyed.check(&storage, 0);
    }
}

#[test]
fn damaged_bytes_end_compaction_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut keyed = Keyed::new(options(dir.path()), &compacted());
    filled(&mut keyed, 6);
    wait_flushed(&keyed.log());
    keyed.storage.checkpoint().unwrap();
    let path = keyed.log().dir().join("00000000000000000000.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1_000] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let report = keyed.storage.run_cleaner();
    assert_eq!(report.passes, vec![]);
    assert!(
        report.failures[0].contains("segment 00000000000000000000.log"),
        "{report:?}"
    );
    assert_eq!(keyed.storage.uncleanable().len(), 1);
    assert_eq!(
        keyed.storage.run_cleaner(),
        storage::CleanerReport::default()
    );
    assert_eq!(
        std::fs::read(&path).unwrap(),
        bytes,
        "the damage is still there to be seen"
    );
    let names = std::fs::read_dir(keyed.log().dir()).unwrap();
    let left: Vec<_> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".cleaned"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn readers_do_not_notice() {
    let dir = tempfile::tempdir().unwrap();
    let mut keyed = Keyed::new(options(dir.path()), &compacted());
    filled(&mut keyed, 4);
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|n| {
            let (stop, log) = (Arc::clone(&stop), keyed.log());
            std::thread::spawn(move || {
                let mut rounds = 0;
                while !stop.load(Ordering::Relaxed) {
                    let end = log.high_watermark().0;
                    let rows = read_everything(&log);
                    assert!(rows.windows(2).all(|pair| pair[0].0 < pair[1].0));
                    assert!(
                        rows.iter().any(|row| row.0 + 1 >= end),
                        "the last record is there"
                    );
                    if n == 0 {
                        let found = log
                            .offset_for_timestamp(NOW + 30, ReadLimit::HighWatermark)
                            .unwrap();
                        assert!(found.unwrap().timestamp_ms >= NOW + 30);
                        log.max_timestamp_offset().unwrap().unwrap();
                    }
                    rounds += 1;
                }
                rounds
            })
        })
        .collect();
    let mut passes = 0;
    for _ in 0..15 {
        filled(&mut keyed, 1);
        passes += keyed.clean().passes.len();
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.join().unwrap() > 0);
    }
    assert!(passes >= 10, "{passes}");
    let metrics = keyed.storage.metrics();
    assert_eq!(metrics.index_rebuilds.load(Ordering::Relaxed), 0);
}

#[test]
fn a_region_handed_out_before_a_swap_stays_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut keyed = Keyed::new(options(dir.path()), &compacted());
    filled(&mut keyed, 6);
    wait_flushed(&keyed.log());
    let read = || {
        keyed
            .log()
            .read(Offset(0), 2_000, ReadLimit::HighWatermark, true)
            .unwrap()
    };
    let before = read();
    let bytes = bytes_of(before.records.parts());
    keyed.clean();
    assert_eq!(bytes_of(before.records.parts()), bytes);
    assert_ne!(bytes_of(read().records.parts()), bytes);
}

#[test]
fn the_threads_clean_by_themselves_and_follow_their_settings() {
    let dir = tempfile::tempdir().unwrap();
    let cleaner = CleanerConfig {
        backoff_ms: 5,
        threads: 2,
        ..CleanerConfig::default()
    };
    let options = StorageOptions {
        cleaner: cleaner.clone(),
        ..options(dir.path())
    };
    let mut keyed = Keyed::new(options, &compacted());
    let passes = |keyed: &Keyed| {
        keyed
            .storage
            .metrics()
            .cleaner_passes
            .load(Ordering::Relaxed)
    };
    let until = |what: &str, condition: &dyn Fn() -> bool| {
        let began = Instant::now();
        while !condition() {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "waited in vain: {what}"
            );
            std::thread::yield_now();
        }
    };
    filled(&mut keyed, 6);
    wait_flushed(&keyed.log());
    keyed.storage.checkpoint().unwrap();
    until("the first pass", &|| passes(&keyed) >= 1);
    keyed
        .storage
        .set_cleaner(CleanerConfig {
            threads: 0,
            ..cleaner.clone()
        })
        .unwrap();
    let before = passes(&keyed);
    filled(&mut keyed, 6);
    keyed.storage.set_cleaner(cleaner).unwrap();
    wait_flushed(&keyed.log());
    keyed.storage.checkpoint().unwrap();
    until("a pass of new threads", &|| passes(&keyed) > before);
    keyed.check(&keyed.storage, 0);
    keyed.storage.close().unwrap();
}

#[test]
fn a_deleted_partition_is_not_cleaned_and_its_successor_is_clean() {
    let dir = tempfile::tempdir().unwrap();
    let mut keyed = Keyed::new(options(dir.path()), &compacted());
    filled(&mut keyed, 6);
    keyed.clean();
    keyed
        .storage
        .delete_partition(topic_id(1), base::PartitionIndex(0))
        .unwrap();
    assert_eq!(
        keyed.storage.run_cleaner(),
        storage::CleanerReport::default()
    );
    let mut again = spec(1, 0, &compacted());
    again.topic_id = topic_id(9);
    let log = keyed.storage.create_partition(again).unwrap();
    append(&keyed.storage, &log, &batch(1, 10, NOW, NO_PRODUCER));
    wait_flushed(&log);
    keyed.storage.checkpoint().unwrap();
    assert_eq!(
        keyed.storage.run_cleaner(),
        storage::CleanerReport::default()
    );
    assert_eq!(read_all(&log, 0, 1_000).unwrap().len(), 1);
}
