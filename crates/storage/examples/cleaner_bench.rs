//! Measures compaction: MB of log cleaned per second of processor time.
//!
//! `cargo run --release -p storage --example cleaner_bench [directory] [mb] [keys] [value bytes] [codec] [fill]`
//!
//! Fills one partition with keyed records in batches of about 16 KiB, then runs one pass over all of it. Processor time
//! is the process's, user and system, over the pass alone. With `fill` it stops before the pass: another cleaner can be
//! run over the partition's directory.
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{LeaderEpoch, PartitionIndex, SystemClock, TopicId, Uuid};
use storage::{
    AppendBatch, AppendError, AppendOrigin, CleanerConfig, CleanupPolicy, LogConfig, PartitionSpec,
    Storage, StorageOptions,
};
use wire::record_batch::{BatchHeader, Compression};
use wire::record_data::{BatchOptions, RecordBatchBuilder};

const BATCH_BYTES: usize = 16 << 10;

struct Load {
    bytes: u64,
    keys: u64,
    value_bytes: usize,
    compression: Compression,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u64| args.get(at).map_or(Ok(default), |text| text.parse());
    let dir = args.first().map_or("target/cleaner_bench", String::as_str);
    let load = Load {
        bytes: number(1, 1_000)? * 1_000_000,
        keys: number(2, 1_000_000)?,
        value_bytes: usize::try_from(number(3, 100)?)?,
        compression: match args.get(4).map(String::as_str) {
            Some("lz4") => Compression::Lz4,
            Some("zstd") => Compression::Zstd,
            Some("snappy") => Compression::Snappy,
            Some("gzip") => Compression::Gzip,
            _ => Compression::None,
        },
    };
    let storage = fill(Path::new(dir), &load)?;
    storage.checkpoint()?;
    if args.get(5).is_some_and(|arg| arg == "fill") {
        return Ok(storage.close()?);
    }
    let (began, cpu) = (Instant::now(), cpu_time()?);
    let report = storage.run_cleaner();
    let (wall, cpu) = (began.elapsed(), cpu_time()? - cpu);
    let pass = report.passes.first().ok_or("nothing was cleaned")?;
    let mb = pass.bytes_before as f64 / 1e6;
    println!("{pass:#?}");
    println!(
        "cleaned {mb:.0} MB to {:.0} MB",
        pass.bytes_after as f64 / 1e6
    );
    println!(
        "wall {:.2} s, {:.0} MB/s",
        wall.as_secs_f64(),
        mb / wall.as_secs_f64()
    );
    println!(
        "cpu {:.2} s, {:.0} MB per CPU second",
        cpu.as_secs_f64(),
        mb / cpu.as_secs_f64()
    );
    storage.close()?;
    Ok(())
}

fn fill(dir: &Path, load: &Load) -> Result<Storage, Box<dyn Error>> {
    let spec = PartitionSpec {
        topic: "bench".to_owned(),
        topic_id: TopicId(Uuid::from_random([8; 16])),
        partition: PartitionIndex(0),
        config: LogConfig {
            cleanup_policy: CleanupPolicy {
                delete: false,
                compact: true,
            },
            segment_bytes: 100 << 20,
            ..LogConfig::default()
        },
    };
    let mut options = StorageOptions::new(dir);
    options.cleaner = CleanerConfig {
        enable: false,
        ..CleanerConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (storage, _) = Storage::open(options, Arc::new(SystemClock::new()), vec![spec])?;
    let log = storage.partitions().remove(0);
    let mut state = 1u64;
    while log.size_in_bytes() < load.bytes {
        let mut builder = RecordBatchBuilder::new(BatchOptions {
            compression: load.compression,
            ..BatchOptions::default()
        });
        while builder.uncompressed_size() < BATCH_BYTES {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let key = format!("key-{:012}", (state >> 33) % load.keys);
            let value: Vec<u8> = (0..load.value_bytes)
                .map(|i| (state >> (i % 57)) as u8)
                .collect();
            builder.append(1_700_000_000_000, Some(key.as_bytes()), Some(&value), &[])?;
        }
        let bytes = builder.finish()?;
        let header = BatchHeader::parse(&bytes)?;
        runtime.block_on(storage.append_room(bytes.len()))?;
        let batch = AppendBatch {
            bytes,
            header,
            leader_epoch: LeaderEpoch(0),
            origin: AppendOrigin::Client,
            write: storage::WhenToWrite::AtOnce,
        };
        match log.append(batch, 0) {
            Ok(_) | Err(AppendError::Backpressure) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(storage)
}

/// User and system time of this process so far.
fn cpu_time() -> Result<Duration, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').ok_or("no process name")?.1;
    let ticks = |at: usize| -> Result<u64, Box<dyn Error>> {
        Ok(fields
            .split_whitespace()
            .nth(at)
            .ok_or("too few fields")?
            .parse()?)
    };
    // Fields 14 and 15 of the whole line; clock ticks are 10 ms on Linux.
    Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
}
