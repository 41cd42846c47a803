//! What is left after a kill, a power loss, a torn write or a flipped bit: acknowledged batches are there, or the
//! partition says that it is not.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base::PartitionIndex;
use bytes::Bytes;
use common::*;
use proptest::prelude::*;
use storage::{LogConfig, LogState, PartitionSpec, ReadError, RecoveryReport, Storage};
use wire::record_batch::{BatchHeader, verify_crc};

const PARTITIONS: u8 = 3;

/// One step of a workload.
#[derive(Clone, Debug)]
enum Step {
    /// One batch, with the next sequence of the partition's producer.
    Append {
        n: u8,
        records: usize,
        size: usize,
    },
    /// Several at once, so that they share a group.
    Burst {
        n: u8,
        count: usize,
    },
    Checkpoint,
    /// Wait for the segment writer.
    Flush,
    DeleteRecords {
        n: u8,
        percent: i64,
    },
    Retention,
    /// Close and open again.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..PARTITIONS;
    prop_oneof![
        8 => (n.clone(), 1usize..5, 1usize..3_000)
            .prop_map(|(n, records, size)| Step::Append { n, records, size }),
        4 => (n.clone(), 2usize..12).prop_map(|(n, count)| Step::Burst { n, count }),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Flush),
        1 => (n, 0i64..100).prop_map(|(n, percent)| Step::DeleteRecords { n, percent }),
        1 => Just(Step::Retention),
        1 => Just(Step::Restart),
    ]
}

/// What was acknowledged, per partition.
#[derive(Default)]
struct Model {
    batches: BTreeMap<i64, Vec<u8>>,
    next_sequence: i32,
    log_start: i64,
    last: Vec<(Bytes, i64)>,
}

struct World {
    dir: tempfile::TempDir,
    storage: Option<Storage>,
    models: Vec<Model>,
}

fn specs() -> Vec<PartitionSpec> {
    let config = LogConfig {
        segment_bytes: 20_000,
        index_interval_bytes: 1_000,
        retention_bytes: 120_000,
        file_delete_delay_ms: 0,
        ..LogConfig::default()
    };
    (0..PARTITIONS).map(|n| spec(n, 0, &config)).collect()
}

fn log(storage: &Storage, n: u8) -> std::sync::Arc<storage::PartitionLog> {
    storage.partition(topic_id(n), PartitionIndex(0)).unwrap()
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let (storage, _) = open(options(dir.path()), specs());
        let models = (0..PARTITIONS).map(|_| Model::default()).collect();
        World {
            dir,
            storage: Some(storage),
            models,
        }
    }

    fn storage(&self) -> &Storage {
        self.storage.as_ref().unwrap()
    }

    fn next_batch(&mut self, n: u8, records: usize, size: usize) -> Bytes {
        let model = &mut self.models[usize::from(n)];
        let producer = Producer {
            id: 100 + i64::from(n),
            epoch: 0,
            sequence: model.next_sequence,
        };
        model.next_sequence += records as i32;
        batch(
            records,
            size,
            NOW + i64::from(model.next_sequence),
            producer,
        )
    }

    fn acked(&mut self, n: u8, bytes: &Bytes, base: i64) {
        let mut stamped = bytes.to_vec();
        stamped[..8].copy_from_slice(&base.to_be_bytes());
        stamped[12..16].copy_from_slice(&0i32.to_be_bytes());
        let model = &mut self.models[usize::from(n)];
        model.batches.insert(base, stamped);
        model.last.push((bytes.clone(), base));
        if model.last.len() > 5 {
            model.last.remove(0);
        }
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Append { n, records, size } => {
                let bytes = self.next_batch(n, records, size);
                let appended = append(self.storage(), &log(self.storage(), n), &bytes);
                self.acked(n, &bytes, appended.base_offset.0);
            }
            Step::Burst { n, count } => {
                let all: Vec<Bytes> = (0..count).map(|_| self.next_batch(n, 1, 700)).collect();
                let log = log(self.storage(), n);
                let appended: Vec<_> = all
                    .iter()
                    .map(|bytes| try_append(&log, bytes).unwrap())
                    .collect();
                block_on(self.storage().wait_durable(appended.last().unwrap().lsn)).unwrap();
                for (bytes, appended) in all.iter().zip(appended) {
                    self.acked(n, bytes, appended.base_offset.0);
                }
            }
            Step::Checkpoint => self.storage().checkpoint().unwrap(),
            Step::Flush => (0..PARTITIONS).for_each(|n| wait_flushed(&log(self.storage(), n))),
            Step::DeleteRecords { n, percent } => {
                let log = log(self.storage(), n);
                let target = log.high_watermark().0 * percent / 100;
                let deleted = log.delete_records(Some(base::Offset(target))).unwrap();
                block_on(self.storage().wait_durable(deleted.lsn)).unwrap();
            }
            Step::Retention => {
                let report = self.storage().run_retention();
                assert!(report.failures.is_empty(), "{report:?}");
            }
            Step::Restart => {
                self.storage().close().unwrap();
                self.storage = None;
                let (storage, report) = open(options(self.dir.path()), specs());
                assert!(report.clean && report.offline.is_empty(), "{report:?}");
                self.storage = Some(storage);
            }
        }
        for n in 0..PARTITIONS {
            self.models[usize::from(n)].log_start = log(self.storage(), n).log_start_offset().0;
        }
    }

    /// The recovered storage must have everything; its producers must know their last five batches.
    fn check_whole(&self, storage: &Storage, report: &RecoveryReport) {
        assert!(report.offline.is_empty(), "{report:?}");
        for n in 0..PARTITIONS {
            let model = &self.models[usize::from(n)];
            let log = log(storage, n);
            assert_eq!(log.log_start_offset().0, model.log_start, "partition {n}");
            let found = read_all(&log, model.log_start, 7_000).unwrap();
            let expected: Vec<&Vec<u8>> = model
                .batches
                .values()
                .filter(|batch| BatchHeader::parse(batch).unwrap().next_offset() > model.log_start)
                .collect();
            assert_eq!(found.len(), expected.len(), "partition {n}: {report:?}");
            for (found, expected) in found.iter().zip(expected) {
                assert_eq!(found, expected, "partition {n}");
            }
            let live = log_states(&log);
            assert_eq!(
                live,
                log_states(&self::log(self.storage(), n)),
                "live state == replayed"
            );
            for (bytes, base) in &model.last {
                let again = try_append(&log, bytes).unwrap();
                assert!(again.duplicate, "a retry after the crash is recognised");
                assert_eq!(again.base_offset.0, *base);
            }
        }
    }

    /// Whatever was acknowledged is served with its true bytes, or something says that it is not: an offline
    /// partition, a read error, a CRC that the client checks.
    fn check_honest(&self, storage: &Storage, what: &str) {
        for n in 0..PARTITIONS {
            let model = &self.models[usize::from(n)];
            let log = log(storage, n);
            if log.state() != LogState::Online {
                continue;
            }
            assert!(
                log.log_start_offset().0 <= model.log_start,
                "{what}: {n} starts too late"
            );
            let found = match read_all(&log, model.log_start, 7_000) {
                Ok(found) => found,
                Err(ReadError::Corrupt { .. }) => continue,
                Err(error) => panic!("{what}: {error}"),
            };
            let by_base: BTreeMap<i64, &Vec<u8>> = found
                .iter()
                .map(|batch| (base_offset(batch), batch))
                .collect();
            let due = model.batches.iter().filter(|(_, batch)| {
                BatchHeader::parse(batch).unwrap().next_offset() > model.log_start
            });
            for (base, expected) in due {
                let Some(batch) = by_base.get(base) else {
                    panic!("{what}: partition {n} silently lost the batch at {base}");
                };
                let told = verify_crc(batch).is_err();
                assert!(
                    told || batch[16..] == expected[16..],
                    "{what}: {n} serves other bytes"
                );
            }
        }
    }
}

/// Producer state without the LSNs, which only the process that appended has.
fn log_states(log: &storage::PartitionLog) -> Vec<u8> {
    log.producer_states().to_snapshot()
}

fn all_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(all_files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn world_after(steps: &[Step]) -> World {
    let mut world = World::new();
    for step in steps {
        world.run(step);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_killed_process_loses_nothing(steps in prop::collection::vec(step(), 1..25)) {
        let world = world_after(&steps);
        let image = tempfile::tempdir().unwrap();
        crash_image(world.dir.path(), image.path());
        let (storage, report) = open(options(image.path()), specs());
        world.check_whole(&storage, &report);
        // Killed again at once, with the first recovery's journal file in place.
        let second = tempfile::tempdir().unwrap();
        crash_image(image.path(), second.path());
        let (storage, report) = open(options(second.path()), specs());
        world.check_whole(&storage, &report);
    }

    #[test]
    fn power_loss_takes_unsynced_segments_and_the_journal_brings_them_back(
        before in prop::collection::vec(step(), 0..12),
        after in prop::collection::vec(step(), 1..12),
    ) {
        let mut world = world_after(&before);
        world.storage().checkpoint().unwrap();
        let image = tempfile::tempdir().unwrap();
        copy_tree(&world.dir.path().join("logs"), &image.path().join("logs"));
        // No further checkpoint, and nothing that removes what the copy has.
        for step in after.iter().filter(|step| {
            matches!(step, Step::Append { .. } | Step::Burst { .. } | Step::Flush)
        }) {
            world.run(step);
        }
        std::fs::copy(world.dir.path().join("checkpoint"), image.path().join("checkpoint")).unwrap();
        copy_tree(&world.dir.path().join("journal"), &image.path().join("journal"));
        let (storage, report) = open(options(image.path()), specs());
        world.check_whole(&storage, &report);
    }

    #[test]
    fn a_torn_last_group_costs_only_what_was_never_acknowledged(
        steps in prop::collection::vec(step(), 1..10),
        cut in 0.0f64..1.0,
        garbage in any::<u8>(),
    ) {
        let mut world = world_after(&steps);
        let before = tempfile::tempdir().unwrap();
        crash_image(world.dir.path(), before.path());
        let bytes = world.next_batch(1, 3, 6_000);
        let appended = append(world.storage(), &log(world.storage(), 1), &bytes);
        let torn = tempfile::tempdir().unwrap();
        // Of the last group only a part reached the disk: blocks that it changed are put back.
        copy_tree(before.path(), torn.path());
        let mut changed = 0;
        for file in all_files(&world.dir.path().join("journal")) {
            let old = before.path().join("journal").join(file.file_name().unwrap());
            let now = std::fs::read(&file).unwrap();
            let mut mixed = std::fs::read(&old).unwrap_or_else(|_| vec![0; now.len()]);
            let differing: Vec<usize> = (0..now.len() / 4096)
                .filter(|block| now[block * 4096..][..4096] != mixed[block * 4096..][..4096])
                .collect();
            let keep = (differing.len() as f64 * cut) as usize;
            changed += differing.len() - keep;
            for block in &differing[..keep] {
                mixed[block * 4096..][..4096].copy_from_slice(&now[block * 4096..][..4096]);
            }
            if let Some(block) = differing.get(keep) {
                mixed[block * 4096 + 100..block * 4096 + 200].fill(garbage);
            }
            std::fs::write(torn.path().join("journal").join(file.file_name().unwrap()), mixed)
                .unwrap();
        }
        prop_assert!(changed > 0);
        let (storage, report) = open(options(torn.path()), specs());
        prop_assert!(report.offline.is_empty(), "{:?}", report);
        // The torn batch may be there or not; nothing else may differ.
        let recovered = log(&storage, 1);
        let end = recovered.high_watermark();
        prop_assert!(end == appended.base_offset || end.0 == appended.last_offset.0 + 1);
        world.check_honest(&storage, "torn");
        let again = append(&storage, &recovered, &bytes);
        prop_assert_eq!(again.base_offset, appended.base_offset);
        prop_assert_eq!(again.duplicate, end != appended.base_offset);
    }

    #[test]
    fn a_flipped_byte_is_never_silent(
        steps in prop::collection::vec(step(), 3..15),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1u8..), 12),
    ) {
        let world = world_after(&steps);
        // The seal behind the last group tells a flipped byte from a torn write.
        let sealed = std::time::Instant::now();
        while sealed.elapsed().as_millis() < 60 {
            std::thread::yield_now();
        }
        let image = tempfile::tempdir().unwrap();
        crash_image(world.dir.path(), image.path());
        for (file, place, flip) in flips {
            let bad = tempfile::tempdir().unwrap();
            copy_tree(image.path(), bad.path());
            let files = all_files(bad.path());
            let path = file.get(&files);
            let mut bytes = std::fs::read(path).unwrap();
            // The used part: most of a journal file is zeros.
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            if used == 0 {
                continue;
            }
            let at = place.index(used);
            bytes[at] ^= flip;
            std::fs::write(path, bytes).unwrap();
            let what = format!("{} byte {at}", path.display());
            let (storage, report) = open(options(bad.path()), specs());
            world.check_honest(&storage, &format!("{what} {report:?}"));
        }
    }
}

#[test]
fn a_cut_or_missing_file_is_never_silent() {
    let mut steps: Vec<Step> = (0..40)
        .map(|i| Step::Append {
            n: i % PARTITIONS,
            records: 2,
            size: 900,
        })
        .collect();
    steps.insert(20, Step::Checkpoint);
    steps.push(Step::Flush);
    let world = world_after(&steps);
    let image = tempfile::tempdir().unwrap();
    crash_image(world.dir.path(), image.path());
    let names: Vec<PathBuf> = all_files(image.path())
        .iter()
        .map(|path| path.strip_prefix(image.path()).unwrap().to_owned())
        .collect();
    assert!(names.len() > 10);
    for name in names {
        for keep in [None, Some(0.0), Some(0.3), Some(0.8)] {
            let bad = tempfile::tempdir().unwrap();
            copy_tree(image.path(), bad.path());
            let path = bad.path().join(&name);
            match keep {
                None => std::fs::remove_file(&path).unwrap(),
                Some(part) => {
                    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                    let length = file.metadata().unwrap().len();
                    file.set_len((length as f64 * part) as u64).unwrap();
                }
            }
            let (storage, _) = open(options(bad.path()), specs());
            world.check_honest(&storage, &format!("{} cut to {keep:?}", name.display()));
        }
    }
}

/// The indexes of an active segment are not synced, and those of a short one hold nothing: they may be gone.
#[test]
fn an_empty_index_may_be_missing() {
    let world = world_after(&[
        Step::Append {
            n: 0,
            records: 1,
            size: 10,
        },
        Step::Checkpoint,
    ]);
    let image = tempfile::tempdir().unwrap();
    crash_image(world.dir.path(), image.path());
    for name in ["index", "timeindex"] {
        let path = format!("logs/topic0-0/00000000000000000000.{name}");
        let path = image.path().join(path);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        std::fs::remove_file(path).unwrap();
    }
    let (storage, report) = open(options(image.path()), specs());
    world.check_whole(&storage, &report);
}

#[test]
fn an_offline_partition_stays_so_until_told_otherwise() {
    let world = world_after(&[
        Step::Burst { n: 0, count: 30 },
        Step::Append {
            n: 1,
            records: 1,
            size: 10,
        },
        Step::Checkpoint,
    ]);
    let image = tempfile::tempdir().unwrap();
    crash_image(world.dir.path(), image.path());
    let segment = all_files(&image.path().join("logs/topic0-0"))
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "log"))
        .unwrap();
    let kept = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &kept[..kept.len() / 2]).unwrap();
    for _ in 0..2 {
        let (storage, report) = open(options(image.path()), specs());
        assert_eq!(report.offline.len(), 1, "{report:?}");
        assert_eq!(report.offline[0].topic, "topic0");
        assert!(report.offline[0].reason.contains("bytes of"), "{report:?}");
        let bad = log(&storage, 0);
        assert!(matches!(bad.state(), LogState::Offline(_)));
        assert!(try_append(&bad, &batch(1, 1, NOW, NO_PRODUCER)).is_err());
        append(&storage, &log(&storage, 1), &batch(1, 1, NOW, NO_PRODUCER));
        assert_eq!(
            std::fs::metadata(&segment).unwrap().len() as usize,
            kept.len() / 2
        );
        storage.close().unwrap();
    }
    let unclean = storage::StorageOptions {
        allow_unclean_recovery: true,
        ..options(image.path())
    };
    let (storage, report) = open(unclean, specs());
    assert!(report.offline.is_empty(), "{report:?}");
    assert!(!read_all(&log(&storage, 0), 0, 1_000).unwrap().is_empty());
}
