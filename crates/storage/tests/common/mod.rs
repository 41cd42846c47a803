//! What the storage tests share: a data directory, batches, and ways to look at a log from outside.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::Path;
use std::sync::Arc;

use base::{LeaderEpoch, ManualClock, Offset, PartitionIndex, TopicId, Uuid};
use bytes::Bytes;
use storage::{
    AppendBatch, AppendError, AppendOrigin, Appended, LogConfig, PartitionLog, PartitionSpec,
    ReadLimit, RecoveryReport, Storage, StorageOptions,
};
use wire::RecordsPart;
use wire::record_batch::BatchHeader;
use wire::record_data::{BatchOptions, RecordBatchBuilder};

pub(crate) const NOW: i64 = 1_700_000_000_000;

pub(crate) fn topic_id(n: u8) -> TopicId {
    TopicId(Uuid([n; 16]))
}

pub(crate) fn spec(n: u8, partition: i32, config: &LogConfig) -> PartitionSpec {
    PartitionSpec {
        topic: format!("topic{n}"),
        topic_id: topic_id(n),
        partition: PartitionIndex(partition),
        config: config.clone(),
    }
}

const YEAR_MS: u64 = 365 * 24 * 3_600_000;

pub(crate) fn options(dir: &Path) -> StorageOptions {
    StorageOptions {
        journal_first_file_bytes: 1 << 20,
        journal_file_bytes: 2 << 20,
        journal_max_bytes: 64 << 20,
        headroom_bytes: 0,
        cleaner: storage::CleanerConfig {
            enable: false,
            ..storage::CleanerConfig::default()
        },
        // Tests copy the directory while it is open ([`crash_image`]) and move the clock by hours: what the
        // background would do by itself then would come in between, so they ask for it themselves.
        checkpoint_interval_ms: YEAR_MS,
        retention_check_interval_ms: YEAR_MS,
        ..StorageOptions::new(dir)
    }
}

pub(crate) fn open(
    options: StorageOptions,
    specs: Vec<PartitionSpec>,
) -> (Storage, RecoveryReport) {
    open_at(options, specs, &Arc::new(ManualClock::new(NOW)))
}

pub(crate) fn open_at(
    options: StorageOptions,
    specs: Vec<PartitionSpec>,
    clock: &Arc<ManualClock>,
) -> (Storage, RecoveryReport) {
    let clock = Arc::clone(clock) as Arc<dyn base::Clock>;
    Storage::open(options, clock, specs).expect("the data directory opens")
}

/// A producer's place in its sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
    pub(crate) sequence: i32,
}

pub(crate) const NO_PRODUCER: Producer = Producer {
    id: -1,
    epoch: -1,
    sequence: -1,
};

/// A batch of `records` records with `size` bytes of value each, a millisecond apart from `timestamp`.
pub(crate) fn batch(records: usize, size: usize, timestamp: i64, producer: Producer) -> Bytes {
    let options = BatchOptions {
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        base_sequence: producer.sequence,
        ..BatchOptions::default()
    };
    let mut builder = RecordBatchBuilder::new(options);
    for index in 0..records {
        let value: Vec<u8> = (0..size)
            .map(|i| (i as i64 * 31 + timestamp + index as i64) as u8)
            .collect();
        builder
            .append(timestamp + index as i64, Some(b"key"), Some(&value), &[])
            .unwrap();
    }
    builder.finish().unwrap()
}

pub(crate) fn try_append(log: &PartitionLog, bytes: &Bytes) -> Result<Appended, AppendError> {
    try_append_epoch(log, bytes, LeaderEpoch(0))
}

pub(crate) fn try_append_epoch(
    log: &PartitionLog,
    bytes: &Bytes,
    leader_epoch: LeaderEpoch,
) -> Result<Appended, AppendError> {
    let header = BatchHeader::parse(bytes).unwrap();
    let origin = AppendOrigin::Client;
    log.append(
        AppendBatch {
            bytes: bytes.clone(),
            header,
            leader_epoch,
            origin,
            write: storage::WhenToWrite::AtOnce,
        },
        NOW,
    )
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// Appends and waits until the batch is durable.
pub(crate) fn append(storage: &Storage, log: &PartitionLog, bytes: &Bytes) -> Appended {
    block_on(async {
        loop {
            storage
                .append_room(bytes.len())
                .await
                .expect("there is room");
            match try_append(log, bytes) {
                Ok(appended) => {
                    storage
                        .wait_durable(appended.lsn)
                        .await
                        .expect("it becomes durable");
                    return appended;
                }
                Err(AppendError::Backpressure) => {}
                Err(error) => panic!("append failed: {error}"),
            }
        }
    })
}

/// The bytes of a fetch.
pub(crate) fn bytes_of(parts: &[RecordsPart]) -> Vec<u8> {
    storage::bytes_of(parts).unwrap()
}

/// All batches from `from` on, each as its bytes, read in fetches of `max_bytes`.
pub(crate) fn read_all(
    log: &PartitionLog,
    from: i64,
    max_bytes: usize,
) -> Result<Vec<Vec<u8>>, storage::ReadError> {
    let mut offset = Offset(from);
    let mut batches = Vec::new();
    loop {
        let result = log.read(offset, max_bytes, ReadLimit::HighWatermark, true)?;
        if result.records.is_empty() {
            return Ok(batches);
        }
        let mut rest = bytes_of(result.records.parts());
        assert_eq!(rest.len(), result.records.len());
        while !rest.is_empty() {
            let header = BatchHeader::parse(&rest).expect("a fetch holds whole batches");
            let after = rest.split_off(header.size_in_bytes());
            offset = Offset(header.next_offset());
            batches.push(rest);
            rest = after;
        }
        assert_eq!(
            offset, result.next_offset,
            "next_offset follows the last batch"
        );
    }
}

pub(crate) fn base_offset(batch: &[u8]) -> i64 {
    BatchHeader::parse(batch).unwrap().base_offset
}

/// Copies a directory tree in which a process may be at work: what it removes or renames meanwhile was not there.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    let there = |error: std::io::Error| {
        assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
    };
    std::fs::create_dir_all(to).unwrap();
    let entries = match std::fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) => return there(error),
    };
    for entry in entries {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else if let Err(error) = std::fs::copy(entry.path(), target) {
            there(error);
        }
    }
}

/// Copies what a killed process leaves behind: the checkpoint first, as the others may run ahead of it.
pub(crate) fn crash_image(data_dir: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    if data_dir.join("checkpoint").exists() {
        std::fs::copy(data_dir.join("checkpoint"), to.join("checkpoint")).unwrap();
    }
    copy_tree(&data_dir.join("journal"), &to.join("journal"));
    copy_tree(&data_dir.join("logs"), &to.join("logs"));
}

/// Waits until `condition` holds.
pub(crate) fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !condition() {
        assert!(began.elapsed().as_secs() < 60, "{what}: not in a minute");
        std::thread::yield_now();
    }
}

/// Waits until everything appended is in segment files.
pub(crate) fn wait_flushed(log: &PartitionLog) {
    wait_for("the tail is flushed", || {
        let end = log.log_end_offset().0;
        let flushed = log.segments().last().map_or(0, |last| last.next_offset);
        flushed == end
    });
}
