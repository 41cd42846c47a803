//! What each fuzz target does with its input; shared by libFuzzer (`fuzz_targets/`) and by the replay of the
//! committed seeds in `tests/fuzz_corpus.rs`.
//!
//! A target must not panic, must not hang, and must not hold more memory than its limit allows. Beside that each
//! asserts a property that any input has to satisfy.

#![allow(
    unreachable_pub,
    reason = "the fuzz binaries and the replay test include this file as a module"
)]

use std::io::Read;

use bytes::Bytes;
use wire::codec::{Message, Reader, Writer};
use wire::compression::{Decoder, compress, decompress};
use wire::record_batch::{BatchError, BatchHeader, Compression, verify_crc};
use wire::record_data::{batches, records};
use wire::record_validate::{
    Origin, TargetCompression, TimestampRule, ValidationRules, validate_produce,
};

/// What a stream may unfold to in a target: enough for every format, little enough to be fast.
const LIMIT: usize = 1 << 20;

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// A target: a function of the input.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const TARGETS: [(&str, Target); 8] = [
    ("batch_header", batch_header),
    ("record_iteration", record_iteration),
    ("validate_produce", validate),
    ("frame_decode", frame_decode),
    ("decompress_gzip", decompress_gzip),
    ("decompress_snappy", decompress_snappy),
    ("decompress_lz4", decompress_lz4),
    ("decompress_zstd", decompress_zstd),
];

/// A header that parses is written back to the same bytes, and a batch is as long as it says.
pub fn batch_header(data: &[u8]) {
    if let Ok(header) = BatchHeader::parse(data) {
        assert_eq!(header.to_bytes().as_slice(), &data[..61]);
        assert!(header.last_sequence() >= -1);
        let checked = verify_crc(data);
        let is_cut = header.size_in_bytes() > data.len();
        assert_eq!(matches!(checked, Err(BatchError::Truncated { .. })), is_cut);
    }
    let bytes = Bytes::copy_from_slice(data);
    let walked: usize = batches(&bytes)
        .flatten()
        .map(|(_, batch)| batch.len())
        .sum();
    assert!(walked <= data.len());
}

/// Makes magic, length and CRC fit, so that the fuzzer need not find a CRC-32C.
fn repaired(data: &[u8]) -> Vec<u8> {
    let mut bytes = data.to_vec();
    if bytes.len() >= 61 {
        let length = i32::try_from(bytes.len() - 12).unwrap_or(i32::MAX);
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[16] = 2;
        let crc = crc32c::crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    }
    bytes
}

/// The first byte says whether the rest is repaired to be a batch.
fn batch_of(data: &[u8]) -> Option<(u8, Bytes)> {
    let (choice, rest) = data.split_first()?;
    let bytes = if choice & 1 == 0 {
        repaired(rest)
    } else {
        rest.to_vec()
    };
    Some((*choice, bytes.into()))
}

/// Records come out in no greater number than the batch says, and none after an error.
pub fn record_iteration(data: &[u8]) {
    let Some((_, batch)) = batch_of(data) else {
        return;
    };
    let Ok(iter) = records(&batch, LIMIT) else {
        return;
    };
    let count = usize::try_from(iter.header().record_count).unwrap_or(0);
    let mut good = 0;
    let mut failed = false;
    for record in iter {
        assert!(!failed, "a record after an error");
        match record {
            Ok(_) => good += 1,
            Err(_) => failed = true,
        }
    }
    assert!(good <= count);
}

/// What is accepted is one batch with a good CRC whose records can all be read, in the codec asked for.
pub fn validate(data: &[u8]) {
    let Some((choice, batch)) = batch_of(data) else {
        return;
    };
    let bit = |n: u8| choice & (1 << n) != 0;
    let codec = CODECS[usize::from(choice >> 5) % CODECS.len()];
    let compression = if bit(1) {
        TargetCompression::Codec(codec, None)
    } else {
        TargetCompression::Producer
    };
    let rules = ValidationRules {
        topic: "fuzz",
        partition: base::PartitionIndex(0),
        produce_version: 9,
        origin: if bit(2) {
            Origin::Client
        } else {
            Origin::Coordinator
        },
        max_message_bytes: LIMIT,
        timestamps: if bit(3) {
            TimestampRule::LogAppendTime
        } else {
            TimestampRule::CreateTime {
                before_max_ms: i64::MAX,
                after_max_ms: 3_600_000,
            }
        },
        compression,
        compacted: bit(4),
        now_ms: 1_700_000_000_000,
        decompressed_max_bytes: LIMIT,
    };
    match validate_produce(&batch, &rules) {
        Ok(valid) => {
            assert_eq!(verify_crc(&valid.bytes).as_ref(), Ok(&valid.header));
            assert!(valid.bytes.len() <= LIMIT);
            if bit(1) && !valid.header.attributes.is_control() {
                assert_eq!(valid.header.attributes.compression(), Some(codec));
            }
            let mut offset = valid.header.base_offset;
            for record in records(&valid.bytes, LIMIT).expect("a validated batch opens") {
                let record = record.expect("a validated record reads");
                assert_eq!(record.offset, offset);
                offset = offset.wrapping_add(1);
            }
        }
        Err(error) => assert_ne!(error.error_code().code(), 0),
    }
}

fn decompress_one(codec: Compression, data: &[u8]) {
    match decompress(codec, data, LIMIT) {
        Ok(out) => {
            assert!(out.len() <= LIMIT);
            let mut streamed = Vec::new();
            let mut decoder = Decoder::new(codec, data, LIMIT).expect("it opened before");
            decoder
                .read_to_end(&mut streamed)
                .expect("it decompressed before");
            assert_eq!(streamed, out);
            let packed = compress(codec, None, &out).expect("a Vec takes everything");
            assert_eq!(
                decompress(codec, &packed, LIMIT).expect("our own stream"),
                out
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// See [`TARGETS`].
pub fn decompress_gzip(data: &[u8]) {
    decompress_one(Compression::Gzip, data);
}

/// See [`TARGETS`].
pub fn decompress_snappy(data: &[u8]) {
    decompress_one(Compression::Snappy, data);
}

/// See [`TARGETS`].
pub fn decompress_lz4(data: &[u8]) {
    decompress_one(Compression::Lz4, data);
}

/// See [`TARGETS`].
pub fn decompress_zstd(data: &[u8]) {
    decompress_one(Compression::Zstd, data);
}

fn encoded<M: Message>(message: &M, version: i16) -> Vec<u8> {
    let mut writer = Writer::default();
    message
        .encode(&mut writer, version)
        .expect("what was decoded in a version is encoded in it");
    let mut out = Vec::new();
    for chunk in writer.finish() {
        match chunk {
            wire::Chunk::Bytes(bytes) => out.extend_from_slice(&bytes),
            wire::Chunk::File(_) => panic!("a decoded message names no file"),
        }
    }
    out
}

/// A message that decodes is written, read and written again to the same bytes.
fn message<M: Message>(data: &[u8], version: u8) {
    let span = i32::from(M::MAX_VERSION) - i32::from(M::MIN_VERSION) + 1;
    let version = M::MIN_VERSION + (i32::from(version) % span.max(1)) as i16;
    let mut reader = Reader::new(Bytes::copy_from_slice(data));
    let Ok(decoded) = M::decode(&mut reader, version) else {
        return;
    };
    let once = encoded(&decoded, version);
    let mut reader = Reader::new(once.clone().into());
    let again = M::decode(&mut reader, version).expect("our own encoding decodes");
    assert_eq!(reader.remaining(), 0, "{} version {version}", M::NAME);
    assert_eq!(
        encoded(&again, version),
        once,
        "{} version {version}",
        M::NAME
    );
}

macro_rules! dispatch {
    ($(($key:ident, $request:ident, $response:ident))*) => {
        fn dispatch(api: usize, version: u8, response: bool, data: &[u8]) {
            use wire::messages::*;
            let decoders: &[(fn(&[u8], u8), fn(&[u8], u8))] =
                &[$((message::<$request>, message::<$response>),)*];
            let (of_request, of_response) = decoders[api % decoders.len()];
            if response { of_response(data, version) } else { of_request(data, version) }
        }
    };
}
wire::for_each_api!(dispatch);

/// The first bytes choose API, version and direction; the rest is the message.
pub fn frame_decode(data: &[u8]) {
    if let [api, version, direction, body @ ..] = data {
        dispatch(usize::from(*api), *version, direction & 1 == 1, body);
    }
}
