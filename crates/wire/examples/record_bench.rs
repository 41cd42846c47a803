//! What it costs to judge a produced batch and to read its records:
//!
//! ```text
//! cargo run --release -p wire --example record_bench
//! ```
//!
//! Each figure is the best of several rounds, since other work on the machine only ever adds time.

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;
use wire::record_batch::{Compression, verify_crc};
use wire::record_data::{BatchOptions, RecordBatchBuilder, records};
use wire::record_validate::{
    DECOMPRESSED_MAX_BYTES_DEFAULT, Origin, TargetCompression, TimestampRule, ValidationRules,
    validate_produce,
};

const ROUNDS: usize = 300;
/// Short enough for some rounds to run undisturbed on a busy machine.
const ROUND_MIN: Duration = Duration::from_micros(300);

/// The least time one call takes, in nanoseconds.
fn best_ns(mut call: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let (start, mut calls) = (Instant::now(), 0u32);
        while start.elapsed() < ROUND_MIN {
            call();
            calls += 1;
        }
        best = best.min(start.elapsed().as_nanos() as f64 / f64::from(calls));
    }
    best
}

/// A batch of about `batch_len` bytes of records with values of `value_len` bytes that compress to about half.
fn batch(codec: Compression, batch_len: usize, value_len: usize) -> (Bytes, usize) {
    let options = BatchOptions {
        compression: codec,
        ..BatchOptions::default()
    };
    let mut builder = RecordBatchBuilder::new(options);
    let mut state = 1u64;
    let mut value = vec![0; value_len];
    while builder.uncompressed_size() < batch_len {
        for byte in &mut value {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            *byte = b'a' + ((state >> 33) % 16) as u8;
        }
        let key = builder.len().to_be_bytes();
        let timestamp = 1_700_000_000_000 + builder.len() as i64;
        builder
            .append(timestamp, Some(&key), Some(&value), &[])
            .expect("a small record");
    }
    let count = builder.len();
    (builder.finish().expect("a batch with records"), count)
}

fn rules() -> ValidationRules<'static> {
    ValidationRules {
        topic: "bench",
        partition: base::PartitionIndex(0),
        produce_version: 12,
        origin: Origin::Client,
        max_message_bytes: 1_048_588,
        timestamps: TimestampRule::CreateTime {
            before_max_ms: i64::MAX,
            after_max_ms: 3_600_000,
        },
        compression: TargetCompression::Producer,
        compacted: false,
        now_ms: 1_700_000_000_000,
        decompressed_max_bytes: DECOMPRESSED_MAX_BYTES_DEFAULT,
    }
}

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "codec   batch bytes  records  crc GB/s  validate ns/record  us/batch  iterate ns/record"
    )?;
    for (batch_len, value_len) in [(16 << 10, 100), (64 << 10, 100), (64 << 10, 1024)] {
        for codec in [
            Compression::None,
            Compression::Gzip,
            Compression::Snappy,
            Compression::Lz4,
            Compression::Zstd,
        ] {
            let (batch, count) = batch(codec, batch_len, value_len);
            let crc = best_ns(|| assert!(black_box(verify_crc(black_box(&batch))).is_ok()));
            let whole = best_ns(|| {
                assert!(black_box(validate_produce(black_box(&batch), &rules())).is_ok());
            });
            let iterate = best_ns(|| {
                let records = records(black_box(&batch), 1 << 20).expect("a good batch");
                assert_eq!(records.flatten().count(), count);
            });
            writeln!(
                out,
                "{:7} {:11} {count:8} {:9.1} {:19.1} {:9.2} {:18.1}",
                codec.name(),
                batch.len(),
                batch.len() as f64 / crc,
                (whole - crc) / count as f64,
                whole / 1_000.0,
                iterate / count as f64
            )?;
        }
    }
    Ok(())
}
