//! A log with a remote part: copied, read across the seam, shortened at either end, switched off, gone.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod common;
#[path = "common/tiered.rs"]
mod tiered;

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{LeaderEpoch, Offset, PartitionIndex};
use bytes::Bytes;
use common::*;
use storage::tier::RemoteManifest;
use storage::{LogConfig, ReadError, ReadLimit};
use tiered::*;

#[test]
fn a_log_is_one_whether_its_segments_are_here_or_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    log.fill(40);
    log.check("before");
    log.copy();
    let segments = log.log().segments();
    assert!(segments.len() > 4);
    let copied = log.log().remote_segments();
    assert_eq!(copied.len(), segments.len() - 1, "all but the active one");
    let reads = log.memory.reads();
    log.check("copied");
    assert_eq!(log.memory.reads(), reads, "nothing was read from there");

    log.tier();
    let partition = log.log();
    assert_eq!(partition.segments().len(), 1);
    assert_eq!(partition.log_start_offset(), Offset(0));
    let local = partition.local_log_start_offset();
    assert_eq!(local.0, segments.last().unwrap().base);
    assert_eq!(partition.highest_remote_offset(), Some(Offset(local.0 - 1)));
    log.check("tiered");
    log.check_objects("tiered");

    log.fill(20);
    log.check("grown");
    log.close();
    log.reopen(dir.path());
    log.check("opened again");
    log.tier();
    log.check("grown and tiered");
    let image = tempfile::tempdir().unwrap();
    crash_image(dir.path(), image.path());
    log.reopen(image.path());
    log.check("after a kill");
    assert_eq!(
        log.log().end_offset_for_epoch(LeaderEpoch(0)).end_offset.0,
        180
    );
}

#[test]
fn the_epochs_of_the_remote_part_outlive_their_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    for epoch in 0..3 {
        log.log().begin_epoch(LeaderEpoch(epoch));
        for n in 0..8 {
            let bytes = batch(3, 60, NOW + n, NO_PRODUCER);
            let appended = try_append_epoch(&log.log(), &bytes, LeaderEpoch(epoch)).unwrap();
            block_on(log.storage().wait_durable(appended.lsn)).unwrap();
        }
    }
    log.tier();
    assert!(log.log().segments().len() == 1);
    let ends =
        |log: &Tiered| [0, 1, 2].map(|epoch| log.log().end_offset_for_epoch(LeaderEpoch(epoch)));
    let known = ends(&log);
    let file = log.log().dir().join("leader-epoch-checkpoint");
    log.close();
    std::fs::remove_file(file).unwrap();
    log.reopen(dir.path());
    assert_eq!(ends(&log), known);
}

#[test]
fn timestamps_are_found_across_the_seam() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    log.fill(30);
    log.tier();
    let partition = log.log();
    let find = |timestamp| {
        let found = partition.offset_for_timestamp(timestamp, ReadLimit::HighWatermark);
        found
            .unwrap()
            .map(|found| (found.offset.0, found.timestamp_ms, found.leader_epoch))
    };
    let epoch = Some(LeaderEpoch(0));
    for n in 0..30 {
        let first = NOW + (n + 1) * 10;
        assert_eq!(find(first), Some((n * 3, first, epoch)), "batch {n}");
        assert_eq!(find(first + 2), Some((n * 3 + 2, first + 2, epoch)));
        assert_eq!(find(first - 1), Some((n * 3, first, epoch)));
    }
    assert_eq!(find(NOW + 10_000), None);
    assert_eq!(
        partition.max_timestamp_offset().unwrap().unwrap().offset.0,
        89
    );
}

#[test]
fn a_reader_of_committed_records_is_told_of_aborts_in_either_part() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    for round in 0..12 {
        log.transactional(1);
        log.transactional(2);
        log.fill(2);
        log.end(1, round % 3 == 0);
        if round % 4 == 3 {
            log.end(2, round % 8 == 3);
        }
    }
    log.transactional(3);
    let open_from = log.batches.len();
    log.fill(30);
    log.copy();
    let stable = log.log().last_stable_offset();
    assert!(
        log.log().highest_remote_offset().unwrap() < stable,
        "nothing of an open transaction"
    );
    log.end(3, false);
    log.fill(1);
    assert!(open_from > 0);
    let aborted = |log: &Tiered| {
        let partition = log.log();
        let mut all = Vec::new();
        for max_bytes in [1, 800, 100_000] {
            let mut offset = 0;
            loop {
                let read =
                    read_anywhere(&partition, offset, max_bytes, ReadLimit::LastStableOffset);
                let read = read.unwrap();
                if read.records.is_empty() {
                    break;
                }
                let upper = read.next_offset.0;
                let found: Vec<(i64, i64)> = read
                    .aborted_transactions
                    .iter()
                    .map(|txn| (txn.producer_id.0, txn.first_offset.0))
                    .collect();
                let mut expected: Vec<(i64, i64)> = log
                    .aborted
                    .iter()
                    .filter(|(_, first, last)| *first < upper && *last >= offset)
                    .map(|(producer, first, _)| (*producer, *first))
                    .collect();
                expected.sort_by_key(|(_, first)| *first);
                assert_eq!(found, expected, "from {offset} to {upper}");
                all.push((offset, upper));
                offset = upper;
            }
        }
        all.len()
    };
    assert!(aborted(&log) > 20);
    log.tier();
    assert!(log.log().local_log_start_offset().0 > 0);
    aborted(&log);
    log.close();
    log.reopen(dir.path());
    aborted(&log);
    log.check("transactions");
}

#[test]
fn deleting_records_deletes_remote_segments_below() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    log.fill(40);
    log.tier();
    let remote = log.log().remote_segments();
    let middle = remote[2].view.base + 3;
    log.delete_to(middle);
    log.check("deleted");
    log.copy();
    assert_eq!(log.log().remote_segments().len(), remote.len() - 2);
    log.check("deleted there");
    log.check_objects("deleted there");
    let below = log
        .log()
        .read(Offset(middle - 1), 1, ReadLimit::HighWatermark, true);
    assert!(matches!(below, Err(ReadError::OffsetOutOfRange { .. })));
    // Past the remote part.
    let end = log.log().high_watermark().0;
    log.delete_to(end);
    log.copy();
    assert_eq!(log.log().remote_segments().len(), 0);
    log.check_objects("all deleted");
    log.fill(30);
    log.tier();
    log.check("goes on");
    log.check_objects("goes on");
}

#[test]
fn the_whole_retention_counts_both_parts() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        retention_bytes: 9_000,
        ..tiered()
    };
    let mut log = Tiered::new(dir.path(), &config);
    log.fill(60);
    log.copy();
    log.storage().run_retention();
    let partition = log.log();
    let remote: u64 = partition
        .remote_segments()
        .iter()
        .map(|one| one.view.size)
        .sum();
    assert_eq!(partition.segments().len(), 1);
    let start = partition.log_start_offset().0;
    assert!(
        start > 0 && start < partition.local_log_start_offset().0,
        "{start}"
    );
    log.deleted_to = start;
    log.check("by size");
    log.copy();
    let left: u64 = partition
        .remote_segments()
        .iter()
        .map(|one| one.view.size)
        .sum();
    assert!(left < remote && left + partition.size_in_bytes() >= 9_000);
    log.check_objects("by size");

    let config = LogConfig {
        retention_ms: 1_000,
        ..tiered()
    };
    partition.set_config(config);
    log.clock.advance(Duration::from_secs(3_600));
    log.storage().run_retention();
    log.copy();
    assert_eq!(partition.log_start_offset(), partition.high_watermark());
    assert_eq!(log.memory.objects(), Vec::<String>::new());
}

#[test]
fn local_segments_stay_until_they_are_copied() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    log.fill(40);
    log.settle();
    log.memory.set_away(true);
    let report = log.storage().run_tiering();
    assert!(!report.failures.is_empty());
    let segments = log.log().segments().len();
    log.storage().run_retention();
    assert_eq!(log.log().segments().len(), segments);
    log.memory.set_away(false);
    log.tier();
    assert_eq!(log.log().segments().len(), 1);
    log.check("copied after all");
    log.check_objects("copied after all");
}

#[test]
fn a_topic_keeps_what_its_local_retention_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = tiered();
    config.remote.local_retention_bytes = 5_000;
    let mut log = Tiered::new(dir.path(), &config);
    log.fill(40);
    log.tier();
    let size = log.log().size_in_bytes();
    assert!((5_000..7_500).contains(&size), "{size}");
    config.remote.local_retention_bytes = -2;
    config.remote.local_retention_ms = 500;
    log.log().set_config(config.clone());
    log.clock.advance(Duration::from_secs(60));
    config.remote.copy_disabled = true;
    log.log().set_config(config.clone());
    log.storage().run_retention();
    assert_eq!(
        log.log().size_in_bytes(),
        size,
        "no copies: as long as the whole log says"
    );
    config.remote.copy_disabled = false;
    log.log().set_config(config);
    log.storage().run_retention();
    assert_eq!(log.log().segments().len(), 1);
    log.check("local retention");
}

#[test]
fn switched_off_with_deletion_the_local_part_is_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    log.fill(40);
    log.tier();
    log.config.remote.enabled = false;
    log.log().set_config(log.config.clone());
    log.copy();
    log.check("off, and nobody said to delete");
    log.config.remote.delete_on_disable = true;
    log.log().set_config(log.config.clone());
    log.copy();
    log.deleted_to = log.log().local_log_start_offset().0;
    log.copy();
    assert_eq!(log.memory.objects(), Vec::<String>::new());
    log.check("off");
    log.close();
    log.reopen(dir.path());
    log.check("off, opened again");
}

#[test]
fn a_deleted_partition_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    log.fill(30);
    log.tier();
    log.storage()
        .delete_partition(topic_id(1), PartitionIndex(0))
        .unwrap();
    assert!(!log.memory.objects().is_empty());
    // Killed before it was done: the next process knows that there is no such partition.
    log.close();
    let (storage, _) = open_at(tiered_options(dir.path(), &log.memory), vec![], &log.clock);
    assert_eq!(storage.run_tiering().failures, Vec::<String>::new());
    assert_eq!(log.memory.objects(), Vec::<String>::new());
    assert_eq!(log.memory.entries().unwrap(), vec![]);
}

#[test]
fn the_sweep_takes_what_nothing_refers_to_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    log.fill(30);
    log.tier();
    let objects = log.memory.objects();
    let orphan = objects[0].replace("0.log", "0.indexes");
    let stranger = format!("{ROOT}/notes.txt");
    let mut lost = log.memory.entries().unwrap()[0].clone();
    lost.id = base::Uuid([9; 16]);
    for name in [
        lost.log_object(ROOT),
        lost.indexes_object(ROOT),
        stranger.clone(),
    ] {
        log.memory.plant(&name, Bytes::from_static(b"x"));
    }
    let report = log.storage().run_tiering();
    assert_eq!((report.swept, report.failures.len()), (2, 0), "{orphan}");
    let mut left = log.memory.objects();
    left.retain(|name| *name != stranger);
    assert_eq!(left, objects);
    assert!(log.memory.objects().contains(&stranger), "it is not ours");
    log.check("swept");
}

#[test]
fn a_store_that_is_away_is_an_error_for_a_bounded_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    log.fill(30);
    log.tier();
    log.close();
    log.reopen(dir.path());
    log.memory.set_away(true);
    let soon = || Some(Instant::now() + Duration::from_secs(60));
    let read = |offset| {
        log.log().read_remote(
            Offset(offset),
            1_000,
            ReadLimit::HighWatermark,
            true,
            soon(),
        )
    };
    assert!(
        matches!(read(0), Err(ReadError::Remote(_))),
        "{:?}",
        read(0)
    );
    let local = log.log().local_log_start_offset().0;
    assert!(
        !read(local).unwrap().records.is_empty(),
        "the local part is there"
    );
    log.memory.set_away(false);
    assert!(!read(0).unwrap().records.is_empty());
    log.check("back");
}

#[test]
fn damaged_remote_indexes_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    log.fill(30);
    log.tier();
    let entry = log.log().remote_segments()[0].clone();
    let name = entry.indexes_object(ROOT);
    log.memory.plant(
        &name,
        vec![0xff; usize::try_from(entry.indexes_bytes()).unwrap()].into(),
    );
    let found = log
        .log()
        .read_remote(Offset(3), 100, ReadLimit::HighWatermark, true, None);
    assert!(matches!(found, Err(ReadError::Remote(_))), "{found:?}");
}

#[test]
fn a_check_of_the_store_finds_what_is_missing_damaged_or_nobodys() {
    use storage::inspect::{Severity, check_manifest, check_remote};
    let dir = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    log.fill(70);
    log.tier();
    let entries = log.memory.entries().unwrap();
    let store = Arc::clone(&log.memory) as Arc<dyn storage::tier::RemoteStore>;
    let check = || check_remote(&store, ROOT, &entries, &mut |_| {}).unwrap();
    let sound = check();
    assert_eq!(
        (sound.worst(), sound.segments),
        (None, entries.len() as u64)
    );
    assert_eq!(sound.objects, 2 * sound.segments);
    let bytes = log
        .log()
        .remote_segments()
        .iter()
        .map(|one| one.view.size)
        .sum::<u64>();
    assert_eq!((sound.bytes, sound.batches > 20), (bytes, true));

    let mut findings = Vec::new();
    let mut lost = entries[0].clone();
    lost.id = base::Uuid([9; 16]);
    log.memory
        .plant(&lost.log_object(ROOT), Bytes::from_static(b"x"));
    findings.push((Severity::Info, lost.log_object(ROOT)));
    let flipped = entries[1].log_object(ROOT);
    let size = usize::try_from(entries[1].view.size).unwrap();
    let mut bytes = store.get(&flipped, 0, size as u64).unwrap().to_vec();
    bytes[size - 3] ^= 1;
    log.memory.plant(&flipped, bytes.into());
    findings.push((Severity::Error, flipped));
    let missing = entries[2].log_object(ROOT);
    store.delete(&missing).unwrap();
    findings.push((Severity::Error, missing));
    let indexes = entries[3].indexes_object(ROOT);
    log.memory.plant(&indexes, Bytes::from_static(b"no"));
    findings.push((Severity::Error, indexes));
    let cut = entries[4].log_object(ROOT);
    log.memory
        .plant(&cut, store.get(&cut, 0, entries[4].view.size - 1).unwrap());
    findings.push((Severity::Error, cut));
    let report = check();
    let mut found: Vec<_> = report
        .findings
        .iter()
        .map(|finding| (finding.severity, finding.path.display().to_string()))
        .collect();
    found.sort();
    findings.sort();
    assert_eq!(found, findings, "{report:?}");

    // Without the store, what the manifest says of itself.
    assert_eq!(check_manifest(ROOT, &entries).worst(), None);
    let mut by_base = entries.clone();
    by_base.sort_by_key(|entry| entry.view.base);
    by_base.remove(2);
    by_base[3].state = storage::tier::RemoteState::Deleting;
    let report = check_manifest(ROOT, &by_base);
    let severities: Vec<Severity> = report.findings.iter().map(|one| one.severity).collect();
    assert_eq!(
        severities,
        [Severity::Info, Severity::Error, Severity::Error],
        "{report:?}"
    );
}

#[test]
fn a_log_that_lost_its_files_does_not_give_offsets_away_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Tiered::new(dir.path(), &tiered());
    log.fill(30);
    log.tier();
    log.close();
    std::fs::remove_dir_all(dir.path().join("logs")).unwrap();
    for file in ["checkpoint", "journal"] {
        let path = dir.path().join(file);
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
    let specs = vec![spec(1, 0, &log.config)];
    let (_storage, report) = open_at(tiered_options(dir.path(), &log.memory), specs, &log.clock);
    assert_eq!(report.offline.len(), 1, "{report:?}");
    assert!(
        report.offline[0].reason.contains("remote store"),
        "{report:?}"
    );
}
