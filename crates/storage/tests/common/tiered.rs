//! A log with a remote part and what it must hold: batches, transactions, a store that can stop at any change.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use base::{LeaderEpoch, ManualClock, Offset, PartitionIndex};
use storage::tier::{MemoryTier, RemoteManifest, RemoteState};
use storage::{
    AppendBatch, AppendOrigin, LogConfig, PartitionLog, ReadError, ReadLimit, ReadResult,
    RemoteLogConfig, Storage, StorageOptions, TierConfig, TierOptions,
};
use wire::record_batch::BatchHeader;
use wire::record_data::{BatchOptions, RecordBatchBuilder};

use crate::common::*;

pub(crate) const ROOT: &str = "cluster";

pub(crate) fn tiered() -> LogConfig {
    LogConfig {
        segment_bytes: 2_000,
        index_interval_bytes: 300,
        retention_ms: -1,
        file_delete_delay_ms: 0,
        remote: RemoteLogConfig {
            enabled: true,
            local_retention_bytes: 0,
            ..RemoteLogConfig::default()
        },
        ..LogConfig::default()
    }
}

pub(crate) fn tiered_options(dir: &Path, memory: &Arc<MemoryTier>) -> StorageOptions {
    StorageOptions {
        tier: Some(TierOptions {
            store: Arc::clone(memory) as _,
            manifest: Arc::clone(memory) as _,
            root: ROOT.to_owned(),
            config: TierConfig {
                // The tests ask for each round themselves.
                task_interval_ms: u64::MAX / 2_000_000,
                copier_threads: 1,
                ..TierConfig::default()
            },
        }),
        ..options(dir)
    }
}

/// One partition, its remote side and its model.
pub(crate) struct Tiered {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) memory: Arc<MemoryTier>,
    storage: Option<Storage>,
    pub(crate) config: LogConfig,
    /// Every batch that was acknowledged, as it is read.
    pub(crate) batches: Vec<Vec<u8>>,
    /// Below it records were deleted on purpose.
    pub(crate) deleted_to: i64,
    /// First offset and marker of each aborted transaction.
    pub(crate) aborted: Vec<(i64, i64, i64)>,
    open: Vec<(i64, i64, i32)>,
    count: i64,
}

impl Tiered {
    pub(crate) fn new(dir: &Path, config: &LogConfig) -> Tiered {
        let clock = Arc::new(ManualClock::new(NOW));
        let memory = Arc::new(MemoryTier::default());
        let options = tiered_options(dir, &memory);
        let (storage, _) = open_at(options, vec![spec(1, 0, config)], &clock);
        Tiered {
            clock,
            memory,
            storage: Some(storage),
            config: config.clone(),
            batches: Vec::new(),
            deleted_to: 0,
            aborted: Vec::new(),
            open: Vec::new(),
            count: 0,
        }
    }

    pub(crate) fn storage(&self) -> &Storage {
        self.storage.as_ref().expect("the log is open")
    }

    /// Closes the data directory; returns what of it is needed to open it otherwise.
    pub(crate) fn close(&mut self) {
        self.storage().close().unwrap();
        self.storage = None;
    }

    /// Opens the data directory with options of one's own.
    pub(crate) fn open(&mut self, options: StorageOptions) {
        let (storage, _) = open_at(options, vec![spec(1, 0, &self.config)], &self.clock);
        self.storage = Some(storage);
    }

    /// Waits until everything appended is in segments.
    pub(crate) fn settle(&self) {
        if !self.log().segments().is_empty() || self.log().size_in_bytes() > 0 {
            wait_flushed(&self.log());
        }
    }

    pub(crate) fn log(&self) -> Arc<PartitionLog> {
        log_of(self.storage())
    }

    /// Appends `count` batches of three records.
    pub(crate) fn fill(&mut self, count: usize) {
        for _ in 0..count {
            self.count += 1;
            let bytes = batch(3, 40, NOW + self.count * 10, NO_PRODUCER);
            let appended = append(self.storage(), &self.log(), &bytes);
            self.remember(appended.base_offset.0);
        }
    }

    /// A batch of `producer`'s open transaction, which it begins if there is none.
    pub(crate) fn transactional(&mut self, producer: i64) {
        self.count += 1;
        let sequence = self
            .open
            .iter()
            .find(|one| one.0 == producer)
            .map_or(0, |one| one.2);
        let mut builder = RecordBatchBuilder::new(BatchOptions {
            producer_id: producer,
            producer_epoch: 0,
            base_sequence: sequence,
            transactional: true,
            ..BatchOptions::default()
        });
        let value = [7; 60];
        builder
            .append(NOW + self.count * 10, Some(b"k"), Some(&value), &[])
            .unwrap();
        let bytes = builder.finish().unwrap();
        let appended = append(self.storage(), &self.log(), &bytes);
        match self.open.iter_mut().find(|one| one.0 == producer) {
            Some(one) if one.1 >= 0 => one.2 += 1,
            Some(one) => (one.1, one.2) = (appended.base_offset.0, one.2 + 1),
            None => self.open.push((producer, appended.base_offset.0, 1)),
        }
        self.remember(appended.base_offset.0);
    }

    pub(crate) fn end(&mut self, producer: i64, commit: bool) {
        self.count += 1;
        let mut builder = RecordBatchBuilder::new(BatchOptions {
            producer_id: producer,
            producer_epoch: 0,
            transactional: true,
            control: true,
            ..BatchOptions::default()
        });
        let key = [0, 0, 0, u8::from(commit)];
        let value = [0, 0, 0, 0, 0, 1];
        builder
            .append(NOW + self.count * 10, Some(&key), Some(&value), &[])
            .unwrap();
        let bytes = builder.finish().unwrap();
        let batch = AppendBatch {
            header: BatchHeader::parse(&bytes).unwrap(),
            bytes,
            leader_epoch: LeaderEpoch(0),
            origin: AppendOrigin::Coordinator,
            write: storage::WhenToWrite::AtOnce,
        };
        let appended = self.log().append(batch, NOW).unwrap();
        block_on(self.storage().wait_durable(appended.lsn)).unwrap();
        let one = self.open.iter_mut().find(|one| one.0 == producer).unwrap();
        if !commit {
            self.aborted.push((producer, one.1, appended.base_offset.0));
        }
        one.1 = -1;
        self.remember(appended.base_offset.0);
    }

    fn remember(&mut self, base: i64) {
        let read = self
            .log()
            .read(Offset(base), 1, ReadLimit::HighWatermark, true);
        let bytes = bytes_of(read.unwrap().records.parts());
        assert_eq!(base_offset(&bytes), base);
        self.batches.push(bytes);
    }

    /// Copies everything that can be, then lets local retention take it.
    pub(crate) fn tier(&self) {
        self.copy();
        let report = self.storage().run_retention();
        assert_eq!(report.failures, Vec::<String>::new());
    }

    pub(crate) fn copy(&self) {
        loop {
            self.settle();
            let report = self.storage().run_tiering();
            assert_eq!(report.failures, Vec::<String>::new());
            if !report.more {
                return;
            }
        }
    }

    /// Deletes records up to the base offset of the batch that holds `offset`.
    pub(crate) fn delete_to(&mut self, offset: i64) {
        let deleted = self.log().delete_records(Some(Offset(offset))).unwrap();
        block_on(self.storage().wait_durable(deleted.lsn)).unwrap();
        self.deleted_to = self.deleted_to.max(offset);
    }

    /// Opens what lies in `dir` as a new process would.
    pub(crate) fn reopen(&mut self, dir: &Path) {
        self.storage = None;
        let options = tiered_options(dir, &self.memory);
        let specs = vec![spec(1, 0, &self.config)];
        let (storage, report) = open_at(options, specs, &self.clock);
        assert!(report.offline.is_empty(), "{report:?}");
        self.storage = Some(storage);
    }

    /// Every record that was acknowledged and not deleted is read, as it was, from wherever it is.
    pub(crate) fn check(&self, what: &str) {
        let log = self.log();
        let start = log.log_start_offset().0;
        assert_eq!(start, self.deleted_to, "{what}: log start");
        for max_bytes in [1, 700, 100_000] {
            let found = read_everywhere(&log, start, max_bytes).unwrap();
            let expected: Vec<&Vec<u8>> = self
                .batches
                .iter()
                .filter(|bytes| BatchHeader::parse(bytes).unwrap().last_offset() >= start)
                .collect();
            assert_eq!(found.len(), expected.len(), "{what}: batches");
            assert!(found.iter().eq(expected), "{what}: other bytes");
        }
    }

    /// Each object is named by one finished entry, each finished entry's objects are there, and nothing else is.
    pub(crate) fn check_objects(&self, what: &str) {
        let entries = self.memory.entries().unwrap();
        let mut named = BTreeSet::new();
        for entry in &entries {
            assert_eq!(entry.state, RemoteState::Finished, "{what}: {entry:?}");
            named.insert(entry.log_object(ROOT));
            named.insert(entry.indexes_object(ROOT));
        }
        let objects: BTreeSet<String> = self.memory.objects().into_iter().collect();
        assert_eq!(objects, named, "{what}");
        let start = self.log().log_start_offset().0;
        assert!(
            entries.iter().all(|entry| entry.view.next_offset > start),
            "{what}"
        );
    }
}

pub(crate) fn log_of(storage: &Storage) -> Arc<PartitionLog> {
    storage.partition(topic_id(1), PartitionIndex(0)).unwrap()
}

/// A read that goes to the remote store when it must, as a fetch does.
pub(crate) fn read_anywhere(
    log: &PartitionLog,
    offset: i64,
    max_bytes: usize,
    limit: ReadLimit,
) -> Result<ReadResult, ReadError> {
    match log.read(Offset(offset), max_bytes, limit, true) {
        Err(ReadError::Tiered(_)) => log.read_remote(Offset(offset), max_bytes, limit, true, None),
        other => other,
    }
}

/// All batches from `from` on, each as its bytes.
pub(crate) fn read_everywhere(
    log: &PartitionLog,
    from: i64,
    max_bytes: usize,
) -> Result<Vec<Vec<u8>>, ReadError> {
    let mut offset = from;
    let mut batches = Vec::new();
    loop {
        let result = read_anywhere(log, offset, max_bytes, ReadLimit::HighWatermark)?;
        if result.records.is_empty() {
            return Ok(batches);
        }
        let mut rest = bytes_of(result.records.parts());
        while !rest.is_empty() {
            let header = BatchHeader::parse(&rest).expect("a fetch holds whole batches");
            let after = rest.split_off(header.size_in_bytes());
            offset = header.next_offset();
            batches.push(rest);
            rest = after;
        }
        assert_eq!(offset, result.next_offset.0);
    }
}
