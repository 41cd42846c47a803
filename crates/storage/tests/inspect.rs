//! The offline tools.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod common;

use base::PartitionIndex;
use common::*;
use storage::inspect::{Severity, check, inspect};
use storage::{LogConfig, StorageError};

fn filled(dir: &std::path::Path) -> storage::Storage {
    let config = LogConfig {
        segment_bytes: 3_000,
        index_interval_bytes: 200,
        ..LogConfig::default()
    };
    let (storage, _) = open(options(dir), vec![spec(1, 0, &config), spec(2, 0, &config)]);
    for n in 1..=2 {
        let log = storage.partition(topic_id(n), PartitionIndex(0)).unwrap();
        for i in 0..30 {
            let producer = Producer {
                id: 4,
                epoch: 0,
                sequence: i,
            };
            append(&storage, &log, &batch(1, 200, NOW + i64::from(i), producer));
        }
        wait_flushed(&log);
    }
    storage
}

#[test]
fn a_closed_directory_is_sound_and_listed() {
    let dir = tempfile::tempdir().unwrap();
    let storage = filled(dir.path());
    assert!(matches!(
        inspect(dir.path()),
        Err(StorageError::Locked { .. })
    ));
    storage.close().unwrap();
    drop(storage);
    let info = inspect(dir.path()).unwrap();
    assert_eq!(info.clean, Some(true));
    assert_eq!(info.partitions.len(), 2);
    let first = &info.partitions[0];
    assert_eq!(
        (first.topic.as_str(), first.topic_id),
        ("topic1", Some(topic_id(1)))
    );
    assert!(first.segments.len() > 2);
    assert_eq!(
        (first.recovery_point, first.snapshots.as_slice()),
        (Some(30), &[30][..])
    );
    assert!(first.segments[0].index_entries > 0 && first.segments[0].time_index_entries > 0);
    let mut last = None;
    let report = check(dir.path(), &mut |progress| last = Some(progress)).unwrap();
    assert_eq!(report.findings, vec![]);
    assert_eq!((report.partitions, report.batches), (2, 60));
    assert_eq!(last.unwrap().total_bytes, report.bytes);
}

#[test]
fn each_kind_of_damage_is_found_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let storage = filled(dir.path());
    storage.close().unwrap();
    drop(storage);
    let log_dir = dir.path().join("logs/topic1-0");
    let cases = [
        ("00000000000000000000.log", 100, Severity::Error),
        ("00000000000000000000.index", 3, Severity::Warning),
        ("00000000000000000000.timeindex", 7, Severity::Warning),
        ("00000000000000000030.snapshot", 20, Severity::Warning),
        ("leader-epoch-checkpoint", 0, Severity::Warning),
    ];
    for (name, at, severity) in cases {
        let path = log_dir.join(name);
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        std::fs::write(&path, bad).unwrap();
        let report = check(dir.path(), &mut |_| {}).unwrap();
        assert_eq!(report.worst(), Some(severity), "{name}: {report:?}");
        assert!(
            report.findings.iter().any(|finding| finding.path == path),
            "{name}: {report:?}"
        );
        std::fs::write(&path, good).unwrap();
    }
    assert_eq!(check(dir.path(), &mut |_| {}).unwrap().findings, vec![]);
    std::fs::remove_file(log_dir.join("00000000000000000000.log")).unwrap();
    assert_eq!(
        check(dir.path(), &mut |_| {}).unwrap().worst(),
        Some(Severity::Error)
    );
}
