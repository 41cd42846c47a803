//! Writes a data directory with a topic `fill` of one partition: small segments, an idempotent producer, an aborted and a
//! committed transaction. For tools that read Kafka's files, such as `kafka-dump-log.sh`.
//!
//! `cargo run -p storage --example fill <directory>`

use std::error::Error;
use std::sync::Arc;

use base::{LeaderEpoch, PartitionIndex, SystemClock, TopicId, Uuid};
use storage::{AppendBatch, AppendOrigin, LogConfig, PartitionSpec, Storage, StorageOptions};
use wire::record_batch::BatchHeader;
use wire::record_data::{BatchOptions, RecordBatchBuilder};

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).ok_or("usage: fill <directory>")?;
    let config = LogConfig {
        segment_bytes: 20_000,
        index_interval_bytes: 1_000,
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
