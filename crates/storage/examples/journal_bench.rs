//! Measures what a durable append costs, how long recovery takes and what ten thousand partitions weigh.
//!
//! `cargo run --release -p storage --example journal_bench [directory]`
#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base::{LeaderEpoch, PartitionIndex, SystemClock, TopicId, Uuid};
use bytes::Bytes;
use storage::{
    AppendBatch, AppendError, AppendOrigin, FlushPolicy, LogConfig, Lsn, PartitionLog,
    PartitionSpec, Storage, StorageOptions,
};
use wire::record_batch::BatchHeader;
use wire::record_data::{BatchOptions, RecordBatchBuilder};

type Outcome = Result<(), Box<dyn Error>>;

const PARTITIONS: i32 = 6;

fn main() -> Outcome {
    let root = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "target/journal_bench".to_owned());
    let root = Path::new(&root);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        single_appends(&root.join("single")).await?;
        throughput(&root.join("ack"), FlushPolicy::Ack).await?;
        throughput(&root.join("os"), FlushPolicy::Os).await?;
        restart(&root.join("restart")).await
    })?;
    many_partitions(&root.join("many"))
}

fn spec(partition: i32, policy: FlushPolicy) -> PartitionSpec {
    PartitionSpec {
        topic: "bench".to_owned(),
        topic_id: TopicId(Uuid([1; 16])),
        partition: PartitionIndex(partition),
        config: LogConfig {
            flush_policy: policy,
            ..LogConfig::default()
        },
    }
}

fn open(
    dir: &Path,
    change: impl FnOnce(&mut StorageOptions),
    specs: Vec<PartitionSpec>,
) -> Result<(Storage, storage::RecoveryReport), Box<dyn Error>> {
    let mut options = StorageOptions::new(dir);
    change(&mut options);
    Ok(Storage::open(options, Arc::new(SystemClock::new()), specs)?)
}

fn fresh(dir: &Path) -> Outcome {
    if dir.exists() {
        std::fs::remove_dir_all(dir)?;
    }
    Ok(())
}

fn batch(value_bytes: usize) -> Result<Bytes, Box<dyn Error>> {
    let mut builder = RecordBatchBuilder::new(BatchOptions::default());
    builder.append(1_700_000_000_000, None, Some(&vec![7; value_bytes]), &[])?;
    Ok(builder.finish()?)
}

async fn append(
    storage: &Storage,
    log: &PartitionLog,
    bytes: &Bytes,
) -> Result<Lsn, Box<dyn Error>> {
    let header = BatchHeader::parse(bytes)?;
    loop {
        storage.append_room(bytes.len()).await?;
        let (leader_epoch, origin) = (LeaderEpoch(0), AppendOrigin::Client);
        let batch = AppendBatch {
            bytes: bytes.clone(),
            header,
            leader_epoch,
            origin,
            write: storage::WhenToWrite::AtOnce,
        };
        match log.append(batch, 1_700_000_000_000) {
            Ok(appended) => return Ok(appended.lsn),
            Err(AppendError::Backpressure) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn logs(storage: &Storage) -> Vec<Arc<PartitionLog>> {
    storage.partitions()
}

fn percentile(sorted: &[Duration], per_mille: usize) -> Duration {
    sorted
        .get(sorted.len() * per_mille / 1000)
        .copied()
        .unwrap_or_default()
}

async fn single_appends(dir: &Path) -> Outcome {
    fresh(dir)?;
    let began = Instant::now();
    let (storage, _) = open(dir, |_| {}, vec![spec(0, FlushPolicy::Ack)])?;
    println!("open an empty directory: {:?}", began.elapsed());
    let bytes = batch(1024)?;
    let log = logs(&storage).remove(0);
    // The next journal file is being written meanwhile; it would share the disk.
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let mut times = Vec::new();
    for _ in 0..5_000 {
        let began = Instant::now();
        let lsn = append(&storage, &log, &bytes).await?;
        storage.wait_durable(lsn).await?;
        times.push(began.elapsed());
    }
    times.sort();
    let [p50, p99, p999] = [500, 990, 999].map(|p| percentile(&times, p));
    println!("1 KiB appends, one at a time: p50 {p50:?} p99 {p99:?} p99.9 {p999:?}");
    storage.close()?;
    Ok(())
}

async fn throughput(dir: &Path, policy: FlushPolicy) -> Outcome {
    fresh(dir)?;
    let specs = (0..PARTITIONS).map(|p| spec(p, policy)).collect();
    let (storage, _) = open(dir, |_| {}, specs)?;
    let bytes = batch(64 << 10)?;
    let logs = logs(&storage);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let total = 2usize << 30;
    let began = Instant::now();
    let mut last = Lsn::ZERO;
    for index in 0..total / bytes.len() {
        last = append(&storage, &logs[index % logs.len()], &bytes).await?;
    }
    storage.wait_durable(last).await?;
    let seconds = began.elapsed().as_secs_f64();
    let metrics = storage.metrics();
    let load =
        |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    println!(
        "64 KiB appends, {policy:?}: {:.0} MB/s, {} groups, {} frames, {} checkpoints",
        total as f64 / 1e6 / seconds,
        load(&metrics.journal_groups),
        load(&metrics.journal_frames),
        load(&metrics.checkpoints),
    );
    let began = Instant::now();
    storage.close()?;
    println!("close: {:?}", began.elapsed());
    Ok(())
}

async fn restart(dir: &Path) -> Outcome {
    for value_bytes in [64 << 10, 1 << 10] {
        fresh(dir)?;
        let specs: Vec<PartitionSpec> =
            (0..PARTITIONS).map(|p| spec(p, FlushPolicy::Ack)).collect();
        let change = |options: &mut StorageOptions| {
            options.checkpoint_bytes = u64::MAX;
            options.checkpoint_interval_ms = u64::MAX;
        };
        let (storage, _) = open(dir, change, specs.clone())?;
        let bytes = batch(value_bytes)?;
        let logs = logs(&storage);
        let mut last = Lsn::ZERO;
        for index in 0..(1usize << 30) / bytes.len() {
            last = append(&storage, &logs[index % logs.len()], &bytes).await?;
        }
        storage.wait_durable(last).await?;
        // Dropped, not closed: no checkpoint, as after a kill.
        drop((logs, storage));
        let began = Instant::now();
        let (storage, report) = open(dir, change, specs)?;
        println!(
            "restart with 1 GiB of journal in {} byte batches: {:?} ({} frames, {} MB scanned, {} replayed)",
            bytes.len(),
            began.elapsed(),
            report.journal_frames,
            report.scanned_bytes / 1_000_000,
            report.replayed_batches,
        );
        drop(storage);
    }
    fresh(dir)
}

fn resident_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap_or_default();
    Ok(line.split_whitespace().nth(1).unwrap_or("0").parse()?)
}

fn many_partitions(dir: &Path) -> Outcome {
    const COUNT: i32 = 10_000;
    fresh(dir)?;
    let (storage, _) = open(dir, |_| {}, vec![])?;
    let before = resident_kib()?;
    let began = Instant::now();
    for partition in 0..COUNT {
        storage.create_partition(spec(partition, FlushPolicy::Ack))?;
    }
    println!(
        "create {COUNT} partitions: {:?}, {} KiB of RSS",
        began.elapsed(),
        resident_kib()?.saturating_sub(before)
    );
    let bytes = batch(100)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let began = Instant::now();
    runtime.block_on(async {
        let mut last = Lsn::ZERO;
        for log in storage.partitions() {
            last = append(&storage, &log, &bytes).await?;
        }
        storage.wait_durable(last).await?;
        Ok::<(), Box<dyn Error>>(())
    })?;
    println!("one record to each: {:?}", began.elapsed());
    let began = Instant::now();
    storage.checkpoint()?;
    println!(
        "checkpoint: {:?}, {} KiB of RSS",
        began.elapsed(),
        resident_kib()?.saturating_sub(before)
    );
    drop(storage);
    let began = Instant::now();
    let specs = (0..COUNT)
        .map(|partition| spec(partition, FlushPolicy::Ack))
        .collect();
    let (storage, report) = open(dir, |_| {}, specs)?;
    println!(
        "restart with {COUNT} partitions: {:?} ({} offline)",
        began.elapsed(),
        report.offline.len()
    );
    storage.close()?;
    drop(storage);
    fresh(dir)
}
