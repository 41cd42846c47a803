//! Writes a data directory with a topic `fill` of one partition: small segments, an idempotent producer, an aborted and a
//! committed transaction. For tools that read Kafka's files, such as `kafka-dump-log.sh`.
//!
//! `cargo run -p storage --example fill <directory> [compact]`
//!
//! With `compact` the topic is a compacted one with tombstones, and is cleaned twice before the end: its segments hold
//! rebuilt batches, emptied batches and delete horizons.

use std::error::Error;
use std::sync::Arc;

use base::{LeaderEpoch, PartitionIndex, SystemClock, TopicId, Uuid};
use storage::{
    AppendBatch, AppendOrigin, CleanupPolicy, LogConfig, PartitionSpec, Storage, StorageOptions,
};
use wire::record_batch::{BatchHeader, Compression};
use wire::record_data::{BatchOptions, RecordBatchBuilder};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args()
        .nth(1)
        .ok_or("usage: fill <directory> [compact]")?;
    let compact = std::env::args().nth(2).is_some_and(|arg| arg == "compact");
    let config = LogConfig {
        segment_bytes: 20_000,
        index_interval_bytes: 1_000,
        cleanup_policy: CleanupPolicy {
            delete: !compact,
            compact,
        },
        min_cleanable_dirty_ratio: 0.0,
        ..LogConfig::default()
    };
    let spec = PartitionSpec {
        topic: "fill".to_owned(),
        topic_id: TopicId(Uuid::from_random([7; 16])),
        partition: PartitionIndex(0),
        config,
    };
    let clock = Arc::new(SystemClock::new());
    let (storage, _) = Storage::open(StorageOptions::new(dir), clock, vec![spec])?;
    if compact {
        fill_and_clean(&storage)
    } else {
        fill(&storage)
    }
}

/// An idempotent producer, an aborted and a committed transaction.
fn fill(storage: &Storage) -> Result<(), Box<dyn Error>> {
    let log = storage.partitions().remove(0);
    let append = |options: BatchOptions, key: &[u8], value: &[u8], origin| {
        let mut builder = RecordBatchBuilder::new(options);
        let time = 1_700_000_000_000 + log.log_end_offset().0;
        builder.append(time, Some(key), Some(value), &[])?;
        let bytes = builder.finish()?;
        let header = BatchHeader::parse(&bytes)?;
        let batch = AppendBatch {
            bytes,
            header,
            leader_epoch: LeaderEpoch(3),
            origin,
            write: storage::WhenToWrite::AtOnce,
        };
        log.append(batch, time)?;
        Ok::<(), Box<dyn Error>>(())
    };
    for sequence in 0..200 {
        let options = BatchOptions {
            producer_id: 1000,
            producer_epoch: 0,
            base_sequence: sequence,
            ..BatchOptions::default()
        };
        append(options, b"key", &[b'v'; 300], AppendOrigin::Client)?;
    }
    for (producer_id, commit) in [(2000, 0u8), (2001, 1)] {
        let txn = BatchOptions {
            producer_id,
            producer_epoch: 0,
            transactional: true,
            ..BatchOptions::default()
        };
        let data = BatchOptions {
            base_sequence: 0,
            ..txn.clone()
        };
        append(data, b"txn", b"value", AppendOrigin::Client)?;
        let marker = BatchOptions {
            control: true,
            ..txn
        };
        append(
            marker,
            &[0, 0, 0, commit],
            &[0, 0, 0, 0, 0, 5],
            AppendOrigin::Coordinator,
        )?;
    }
    storage.close()?;
    Ok(())
}

/// Keys that come again, tombstones, transactions of both kinds, in every codec; then two passes of the cleaner.
fn fill_and_clean(storage: &Storage) -> Result<(), Box<dyn Error>> {
    let log = storage.partitions().remove(0);
    let append = |options: BatchOptions, rows: &[(&[u8], Option<&[u8]>)]| {
        let control = options.control;
        let mut builder = RecordBatchBuilder::new(options);
        let time = 1_700_000_000_000 + log.log_end_offset().0;
        for (key, value) in rows {
            builder.append(time, Some(key), *value, &[])?;
        }
        let bytes = builder.finish()?;
        let header = BatchHeader::parse(&bytes)?;
        let origin = if control {
            AppendOrigin::Coordinator
        } else {
            AppendOrigin::Client
        };
        let batch = AppendBatch {
            bytes,
            header,
            leader_epoch: LeaderEpoch(3),
            origin,
            write: storage::WhenToWrite::AtOnce,
        };
        log.append(batch, time)?;
        Ok::<(), Box<dyn Error>>(())
    };
    for pass in 0..2 {
        for n in 0..300i32 {
            let sequence = pass * 300 + n;
            let plain = BatchOptions {
                compression: Compression::from_id((n % 5) as i16).ok_or("five codecs")?,
                producer_id: 1000,
                producer_epoch: 0,
                base_sequence: sequence * 2,
                ..BatchOptions::default()
            };
            let key = format!("key-{}", n % 40);
            let value = (n % 9 > 0).then_some(&[b'v'; 300][..]);
            let other = format!("once-{sequence}");
            append(
                plain,
                &[(key.as_bytes(), value), (other.as_bytes(), Some(b"1"))],
            )?;
            let txn = BatchOptions {
                producer_id: 2000 + i64::from(n % 2),
                producer_epoch: 0,
                base_sequence: sequence / 2,
                transactional: true,
                ..BatchOptions::default()
            };
            append(txn.clone(), &[(b"txn", Some(b"value"))])?;
            let marker = BatchOptions {
                control: true,
                base_sequence: -1,
                ..txn
            };
            append(
                marker,
                &[(&[0, 0, 0, (n % 2) as u8], Some(&[0, 0, 0, 0, 0, 5]))],
            )?;
        }
        storage.checkpoint()?;
        let report = storage.run_cleaner();
        if report.passes.is_empty() {
            return Err(format!("nothing was cleaned: {report:?}").into());
        }
    }
    storage.close()?;
    Ok(())
}
