//! A compacted log and what it must hold: keyed records, tombstones, transactions; and a consumer to read it.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use base::{ManualClock, Offset, PartitionIndex};
use bytes::Bytes;
use storage::{
    AppendBatch, AppendOrigin, CleanupPolicy, LogConfig, PartitionLog, ReadError, ReadLimit,
    ReadResult, Storage, StorageOptions,
};
use wire::record_batch::{BatchHeader, Compression, verify_crc};
use wire::record_data::{BatchOptions, RecordBatchBuilder, records};

use crate::common::*;

pub(crate) fn compacted() -> LogConfig {
    LogConfig {
        segment_bytes: 4_000,
        index_interval_bytes: 300,
        min_cleanable_dirty_ratio: 0.0,
        cleanup_policy: CleanupPolicy {
            delete: false,
            compact: true,
        },
        ..LogConfig::default()
    }
}

/// A record as it was appended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) key: u16,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) timestamp: i64,
    /// Its transaction, as a place in [`Keyed::committed`].
    pub(crate) txn: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Writer {
    sequence: i32,
    open: Option<usize>,
}

/// One partition with its model.
pub(crate) struct Keyed {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) storage: Storage,
    pub(crate) config: LogConfig,
    pub(crate) rows: BTreeMap<i64, Row>,
    /// Whether each transaction was committed; `None` while it is open.
    pub(crate) committed: Vec<Option<bool>>,
    writers: HashMap<i64, Writer>,
    pub(crate) last_batch: HashMap<i64, (Bytes, i64)>,
    count: i64,
}

impl Keyed {
    pub(crate) fn new(options: StorageOptions, config: &LogConfig) -> Keyed {
        let clock = Arc::new(ManualClock::new(NOW));
        let (storage, _) = open_at(options, vec![spec(1, 0, config)], &clock);
        Keyed {
            clock,
            storage,
            config: config.clone(),
            rows: BTreeMap::new(),
            committed: Vec::new(),
            writers: HashMap::new(),
            last_batch: HashMap::new(),
            count: 0,
        }
    }

    pub(crate) fn log(&self) -> Arc<PartitionLog> {
        log_of(&self.storage)
    }

    /// Appends records of these keys, a tombstone where there is no value; in a transaction of `producer`, or as an
    /// idempotent batch of it, or as nobody's when it is negative.
    pub(crate) fn put(
        &mut self,
        keys: &[(u16, bool)],
        producer: i64,
        transactional: bool,
        compression: Compression,
    ) {
        let writer = self.writers.entry(producer).or_default();
        if transactional && writer.open.is_none() {
            writer.open = Some(self.committed.len());
            self.committed.push(None);
        }
        let txn = writer.open.filter(|_| transactional);
        let options = BatchOptions {
            compression,
            producer_id: producer,
            producer_epoch: if producer < 0 { -1 } else { 0 },
            base_sequence: if producer < 0 { -1 } else { writer.sequence },
            transactional,
            ..BatchOptions::default()
        };
        writer.sequence += i32::try_from(keys.len()).unwrap();
        let mut builder = RecordBatchBuilder::new(options);
        let mut rows = Vec::new();
        for (key, has_value) in keys {
            self.count += 1;
            let timestamp = NOW + self.count;
            let value = has_value.then(|| format!("{key}:{}", self.count).repeat(9).into_bytes());
            builder
                .append(timestamp, Some(&key.to_be_bytes()), value.as_deref(), &[])
                .unwrap();
            rows.push(Row {
                key: *key,
                value,
                timestamp,
                txn,
            });
        }
        let bytes = builder.finish().unwrap();
        let appended = append(&self.storage, &self.log(), &bytes);
        let offsets = appended.base_offset.0..;
        self.rows.extend(offsets.zip(rows));
        if producer >= 0 {
            self.last_batch
                .insert(producer, (bytes, appended.base_offset.0));
        }
    }

    /// Ends the open transaction of `producer`, if it has one.
    pub(crate) fn end(&mut self, producer: i64, commit: bool) {
        let Some(writer) = self.writers.get_mut(&producer) else {
            return;
        };
        let Some(txn) = writer.open.take() else {
            return;
        };
        self.committed[txn] = Some(commit);
        let mut builder = RecordBatchBuilder::new(BatchOptions {
            producer_id: producer,
            producer_epoch: 0,
            transactional: true,
            control: true,
            ..BatchOptions::default()
        });
        let key = [0, 0, 0, u8::from(commit)];
        builder
            .append(NOW + self.count, Some(&key), Some(&[0, 0, 0, 0, 0, 1]), &[])
            .unwrap();
        let bytes = builder.finish().unwrap();
        let batch = AppendBatch {
            header: BatchHeader::parse(&bytes).unwrap(),
            bytes,
            leader_epoch: base::LeaderEpoch(0),
            origin: AppendOrigin::Coordinator,
            write: storage::WhenToWrite::AtOnce,
        };
        let appended = self.log().append(batch, NOW).unwrap();
        block_on(self.storage.wait_durable(appended.lsn)).unwrap();
    }

    /// Makes everything cleanable that can be, and cleans it.
    pub(crate) fn clean(&self) -> storage::CleanerReport {
        wait_flushed(&self.log());
        self.storage.checkpoint().unwrap();
        let report = self.storage.run_cleaner();
        assert_eq!(report.failures, Vec::<String>::new());
        report
    }

    /// What a reader of committed records ends up with: the last value of each key.
    pub(crate) fn expected(&self) -> BTreeMap<u16, Vec<u8>> {
        let log = self.log();
        let (start, end) = (log.log_start_offset().0, log.last_stable_offset().0);
        let mut table = BTreeMap::new();
        for row in self.rows.range(start..end.max(start)).map(|(_, row)| row) {
            if row.txn.is_some_and(|txn| self.committed[txn] != Some(true)) {
                continue;
            }
            match &row.value {
                Some(value) => table.insert(row.key, value.clone()),
                None => table.remove(&row.key),
            };
        }
        table
    }

    /// Compares a log with the model: each record is one that was written, at its offset, and a consumer ends up with
    /// the right table. `cleaned_to` says up to where nothing superseded or aborted may be left.
    pub(crate) fn check(&self, storage: &Storage, cleaned_to: i64) {
        let log = log_of(storage);
        assert_eq!(log.state(), storage::LogState::Online);
        assert_eq!(log.log_end_offset(), self.log().log_end_offset());
        let seen = read_everything(&log);
        let mut latest: HashMap<u16, i64> = HashMap::new();
        for (offset, row) in self.rows.range(..cleaned_to) {
            if row.txn.is_none_or(|txn| self.committed[txn] == Some(true)) {
                latest.insert(row.key, *offset);
            }
        }
        for (offset, key, value, timestamp) in &seen {
            let row = self
                .rows
                .get(offset)
                .expect("a record is where it was written");
            assert_eq!(
                (row.key, &row.value, row.timestamp),
                (*key, value, *timestamp)
            );
            // What the log start cut off of a batch is nobody's any more; it goes with the batch.
            if *offset < cleaned_to && *offset >= log.log_start_offset().0 {
                assert_eq!(
                    latest.get(key),
                    Some(offset),
                    "superseded, or aborted: {row:?}"
                );
            }
        }
        assert_eq!(consume(&log), self.expected());
    }
}

pub(crate) fn log_of(storage: &Storage) -> Arc<PartitionLog> {
    storage.partition(topic_id(1), PartitionIndex(0)).unwrap()
}

/// Reads from wherever the offset is.
fn read_either(
    log: &PartitionLog,
    offset: Offset,
    max_bytes: usize,
    limit: ReadLimit,
) -> ReadResult {
    match log.read(offset, max_bytes, limit, true) {
        Err(ReadError::Tiered(_)) => log.read_remote(offset, max_bytes, limit, true, None),
        other => other,
    }
    .unwrap()
}

/// All records of data batches: offset, key, value, timestamp. Reads little at a time.
pub(crate) fn read_everything(log: &PartitionLog) -> Vec<(i64, u16, Option<Vec<u8>>, i64)> {
    let mut all = Vec::new();
    let mut offset = log.log_start_offset();
    loop {
        let read = read_either(log, offset, 900, ReadLimit::HighWatermark);
        if read.records.is_empty() {
            return all;
        }
        let mut rest = Bytes::from(bytes_of(read.records.parts()));
        while !rest.is_empty() {
            let header = verify_crc(&rest).unwrap();
            let batch = rest.split_to(header.size_in_bytes());
            assert!(header.next_offset() > offset.0, "offsets go up");
            // As a consumer does: it asks for what follows the batch.
            offset = Offset(header.next_offset());
            if header.attributes.is_control() {
                continue;
            }
            for record in records(&batch, 1 << 20).unwrap() {
                let record = record.unwrap();
                let key = record.key.unwrap();
                let key = u16::from_be_bytes([key[0], key[1]]);
                let value = record.value.map(|value| value.to_vec());
                all.push((record.offset, key, value, record.timestamp));
            }
        }
    }
}

/// A consumer with `isolation.level=read_committed`, which builds a table.
pub(crate) fn consume(log: &PartitionLog) -> BTreeMap<u16, Vec<u8>> {
    let mut table = BTreeMap::new();
    let mut offset = log.log_start_offset();
    loop {
        let read = read_either(log, offset, 700, ReadLimit::LastStableOffset);
        if read.records.is_empty() {
            assert_eq!(
                offset,
                log.last_stable_offset(),
                "{:?} {:?}",
                log.log_end_offset(),
                log.segments()
            );
            return table;
        }
        let mut ahead = read.aborted_transactions.clone();
        let mut aborted: HashSet<i64> = HashSet::new();
        let mut rest = Bytes::from(bytes_of(read.records.parts()));
        while !rest.is_empty() {
            let header = BatchHeader::parse(&rest).unwrap();
            let batch = rest.split_to(header.size_in_bytes());
            let from = offset;
            offset = Offset(header.next_offset());
            ahead.retain(|txn| {
                let reached = txn.first_offset.0 <= header.last_offset();
                reached.then(|| aborted.insert(txn.producer_id.0));
                !reached
            });
            if header.attributes.is_control() {
                aborted.remove(&header.producer_id);
                continue;
            }
            let skip =
                header.attributes.is_transactional() && aborted.contains(&header.producer_id);
            for record in records(&batch, 1 << 20).unwrap() {
                let record = record.unwrap();
                if skip || record.offset < from.0 {
                    continue;
                }
                let key = record.key.unwrap();
                let key = u16::from_be_bytes([key[0], key[1]]);
                match record.value {
                    Some(value) => table.insert(key, value.to_vec()),
                    None => table.remove(&key),
                };
            }
        }
    }
}
