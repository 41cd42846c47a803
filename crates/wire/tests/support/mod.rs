//! What the tests about records and the comparison with Apache Kafka share: one text form of a batch, seeded
//! random batches, and damage done to them.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each user of this module uses a part of it"
)]
#![allow(
    clippy::unwrap_used,
    reason = "tests alone use this module, and golden text is well formed"
)]

pub mod fuzz_seeds;

use std::fmt::Write as _;

use bytes::Bytes;
use wire::record_batch::{BatchHeader, Compression};
use wire::record_data::{BatchOptions, Record, RecordBatchBuilder, RecordHeader, records};
use wire::record_validate::{
    DECOMPRESSED_MAX_BYTES_DEFAULT, Origin, TargetCompression, TimestampRule, ValidationRules,
    validate_produce,
};

pub const LIMIT: usize = 64 << 20;

pub const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// A small seeded generator (xorshift64*): the same seed gives the same inputs on every machine.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Rng {
        Rng(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 11) as usize % bound.max(1)
    }

    pub fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub fn bytes(&mut self, length_max: usize) -> Vec<u8> {
        let length = self.below(length_max + 1);
        let alphabet = self.pick(&[1, 4, 256]);
        (0..length).map(|_| self.below(alphabet) as u8).collect()
    }
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

pub fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The text that `RecordsOracle.java` gives for a batch.
pub fn dump(batch: &Bytes) -> Result<String, Box<dyn std::error::Error>> {
    let header = wire::record_batch::verify_crc(batch)?;
    let a = header.attributes;
    let timestamp_type = if a.is_log_append_time() {
        "LogAppendTime"
    } else {
        "CreateTime"
    };
    let mut text = format!(
        "codec={} base={} last={} count={} type={timestamp_type} max={}",
        a.compression().ok_or("unknown codec")?.name(),
        header.base_offset,
        header.last_offset(),
        header.record_count,
        header.max_timestamp
    );
    write!(
        text,
        " pid={} epoch={} seq={}..{} txn={} control={} leader={}",
        header.producer_id,
        header.producer_epoch,
        header.base_sequence,
        header.last_sequence(),
        a.is_transactional(),
        a.is_control(),
        header.partition_leader_epoch
    )?;
    let nullable =
        |bytes: Option<&[u8]>| bytes.map_or("null".to_owned(), |b| format!("'{}", hex(b)));
    for record in records(batch, LIMIT)? {
        let record = record?;
        let (key, value) = (
            nullable(record.key.as_deref()),
            nullable(record.value.as_deref()),
        );
        write!(
            text,
            " | {} {} {key} {value}",
            record.offset, record.timestamp
        )?;
        for header in &record.headers {
            let value = header.value.as_deref().map_or("null".to_owned(), hex);
            // Java holds the key as a string, so bytes that are no UTF-8 were replaced.
            let key = String::from_utf8_lossy(&header.key);
            write!(text, " {}={value}", hex(key.as_bytes()))?;
        }
    }
    Ok(text)
}

/// A random record whose header keys are text, as the Java client demands.
pub fn random_record(rng: &mut Rng, around_ms: i64) -> Record {
    let headers = if rng.one_in(3) { rng.below(4) } else { 0 };
    let nullable = |rng: &mut Rng, max| (!rng.one_in(5)).then(|| Bytes::from(rng.bytes(max)));
    Record {
        attributes: 0,
        timestamp: match rng.below(8) {
            0 => -1,
            1 => around_ms + rng.below(10_000_000) as i64 - 5_000_000,
            _ => around_ms + rng.below(1_000) as i64,
        },
        offset: 0,
        key: nullable(rng, 20),
        value: nullable(rng, 200),
        headers: (0..headers)
            .map(|_| RecordHeader {
                key: Bytes::copy_from_slice(rng.pick(&["", "a", "trace-id", "ключ"]).as_bytes()),
                value: nullable(rng, 10),
            })
            .collect(),
    }
}

pub fn random_batch(rng: &mut Rng, now_ms: i64) -> Bytes {
    let idempotent = rng.one_in(2);
    let compression = rng.pick(&CODECS);
    let options = BatchOptions {
        compression,
        partition_leader_epoch: rng.below(9) as i32 - 1,
        producer_id: if idempotent {
            rng.below(1_000) as i64
        } else {
            -1
        },
        producer_epoch: if idempotent { rng.below(5) as i16 } else { -1 },
        base_sequence: match (idempotent, rng.one_in(4)) {
            (true, true) => i32::MAX - rng.below(3) as i32,
            (true, false) => rng.below(100) as i32,
            _ => -1,
        },
        transactional: idempotent && rng.one_in(2),
        ..BatchOptions::default()
    };
    let mut builder = RecordBatchBuilder::new(options);
    let count = 1 + if rng.one_in(6) {
        rng.below(300)
    } else {
        rng.below(8)
    };
    for _ in 0..count {
        let record = random_record(rng, now_ms);
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder
            .append(record.timestamp, key, value, &record.headers)
            .unwrap();
    }
    builder.finish().unwrap()
}

/// Makes the CRC fit again.
pub fn fix_crc(batch: &mut [u8]) {
    if batch.len() >= 21 {
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
    }
}

/// Makes length and CRC fit again.
pub fn fix_length(batch: &mut [u8]) {
    let length = batch.len() as i32 - 12;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    fix_crc(batch);
}

/// Changes a batch in one of the ways a careless or hostile producer might.
pub fn damage(rng: &mut Rng, batch: &Bytes) -> Vec<u8> {
    let mut bytes = batch.to_vec();
    match rng.below(14) {
        0 => {
            let at = rng.below(bytes.len());
            bytes[at] ^= 1 << rng.below(8);
        }
        1 => bytes.truncate(rng.below(bytes.len() + 1)),
        2 => {
            let count = rng.pick(&[-1, 0, 1, 2, 3, 1_000_000]);
            bytes[57..61].copy_from_slice(&i32::to_be_bytes(count));
            fix_crc(&mut bytes);
        }
        3 => {
            let count = rng.pick(&[-1, 0, 1, 2, 3, 400]);
            bytes[57..61].copy_from_slice(&i32::to_be_bytes(count));
            bytes[23..27].copy_from_slice(&i32::to_be_bytes(count - 1));
            fix_crc(&mut bytes);
        }
        4 => {
            bytes[22] ^= rng.pick(&[0x08, 0x10, 0x20, 0x40]);
            fix_crc(&mut bytes);
        }
        5 => {
            let max = rng.pick(&[-1, 0, i64::MAX, i64::MIN, 1_700_000_000_000]);
            bytes[35..43].copy_from_slice(&max.to_be_bytes());
            fix_crc(&mut bytes);
        }
        6 => {
            let base = rng.pick(&[-1, 0, i64::MAX, i64::MIN, 1_700_000_000_000]);
            bytes[27..35].copy_from_slice(&base.to_be_bytes());
            fix_crc(&mut bytes);
        }
        7 => {
            bytes[53..57].copy_from_slice(&i32::to_be_bytes(rng.pick(&[-1, 0, i32::MAX])));
            fix_crc(&mut bytes);
        }
        8 => bytes[0..8].copy_from_slice(&rng.pick(&[-1i64, 1, i64::MAX]).to_be_bytes()),
        9 => bytes[16] = rng.pick(&[0, 1, 3, 255]),
        10 => bytes.extend_from_slice(batch),
        11 => bytes.extend(rng.bytes(100)),
        12 => {
            let at = 61 + rng.below(bytes.len() - 61);
            bytes[at] ^= 1 << rng.below(8);
            fix_crc(&mut bytes);
        }
        _ => {
            let length = rng.pick(&[i32::MIN, -1, 0, 13, 14, 48, 49, i32::MAX]);
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
        }
    }
    bytes
}

/// One question to a validator, in the words of `RecordsOracle.java`.
#[derive(Clone, Debug)]
pub struct Case {
    pub produce_version: i16,
    pub max_message_bytes: usize,
    pub target: Option<Compression>,
    pub timestamps: TimestampRule,
    pub compacted: bool,
    pub now_ms: i64,
    pub bytes: Bytes,
}

impl Case {
    pub fn random(rng: &mut Rng) -> Case {
        let now_ms = 1_700_000_000_000;
        let batch = random_batch(rng, now_ms);
        let bytes = if rng.one_in(2) {
            batch
        } else {
            damage(rng, &batch).into()
        };
        Case {
            produce_version: rng.pick(&[3, 6, 7, 9, 13]),
            max_message_bytes: rng.pick(&[100, 2_000, 1_048_588, 1_048_588, 1_048_588]),
            target: rng.pick(&[
                None,
                None,
                None,
                Some(Compression::None),
                Some(Compression::Gzip),
                Some(Compression::Snappy),
                Some(Compression::Lz4),
                Some(Compression::Zstd),
            ]),
            timestamps: match rng.below(4) {
                0 => TimestampRule::LogAppendTime,
                1 => TimestampRule::CreateTime {
                    before_max_ms: 1_000,
                    after_max_ms: 500,
                },
                _ => TimestampRule::CreateTime {
                    before_max_ms: i64::MAX,
                    after_max_ms: 3_600_000,
                },
            },
            compacted: rng.one_in(4),
            now_ms,
            bytes,
        }
    }

    pub fn request(&self) -> String {
        let timestamps = match self.timestamps {
            TimestampRule::LogAppendTime => "append".to_owned(),
            TimestampRule::CreateTime {
                before_max_ms,
                after_max_ms,
            } => {
                format!("create:{before_max_ms}:{after_max_ms}")
            }
        };
        let target = self.target.map_or("producer", Compression::name);
        format!(
            "validate\t{}\t{}\t{target}\t{timestamps}\t{}\t{}\t{}",
            self.produce_version,
            self.max_message_bytes,
            self.compacted,
            self.now_ms,
            hex(&self.bytes)
        )
    }

    pub fn parse(request: &str) -> Case {
        let fields: Vec<&str> = request.split('\t').collect();
        let timestamps: Vec<&str> = fields[4].split(':').collect();
        Case {
            produce_version: fields[1].parse().unwrap(),
            max_message_bytes: fields[2].parse().unwrap(),
            target: CODECS.into_iter().find(|codec| codec.name() == fields[3]),
            timestamps: match timestamps[0] {
                "append" => TimestampRule::LogAppendTime,
                _ => TimestampRule::CreateTime {
                    before_max_ms: timestamps[1].parse().unwrap(),
                    after_max_ms: timestamps[2].parse().unwrap(),
                },
            },
            compacted: fields[5] == "true",
            now_ms: fields[6].parse().unwrap(),
            bytes: unhex(fields[7]).into(),
        }
    }

    pub fn rules(&self) -> ValidationRules<'_> {
        ValidationRules {
            topic: "topic",
            partition: base::PartitionIndex(3),
            produce_version: self.produce_version,
            origin: Origin::Client,
            max_message_bytes: self.max_message_bytes,
            timestamps: self.timestamps,
            compression: match self.target {
                None => TargetCompression::Producer,
                Some(codec) => TargetCompression::Codec(codec, None),
            },
            compacted: self.compacted,
            now_ms: self.now_ms,
            decompressed_max_bytes: DECOMPRESSED_MAX_BYTES_DEFAULT,
        }
    }

    /// Our answer, in the words of `RecordsOracle.java`.
    pub fn answer(&self) -> String {
        match validate_produce(&self.bytes, &self.rules()) {
            Ok(valid) => format!("ok\t{}\t{}", valid.converted, dump(&valid.bytes).unwrap()),
            Err(error) => {
                let message = error.error_message().unwrap_or_else(|| "-".to_owned());
                let errors = error.record_errors();
                let mut text = format!(
                    "error\t{}\t{message}\t{}",
                    error.error_code().name(),
                    errors.len()
                );
                for error in errors {
                    write!(text, "\t{}\t{}", error.batch_index, error.message).unwrap();
                }
                text
            }
        }
    }

    pub fn header(&self) -> Option<BatchHeader> {
        BatchHeader::parse(&self.bytes).ok()
    }
}
