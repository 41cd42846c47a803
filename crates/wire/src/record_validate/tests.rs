//! What is appended and what is refused, in the words and codes of Apache Kafka.

use bytes::Bytes;

use super::*;
use crate::compression::CompressionError;
use crate::error_code::ErrorCode;
use crate::record_batch::Attributes;
use crate::record_data::{BatchOptions, Record, RecordBatchBuilder, RecordDefect, records};

const NOW: i64 = 1_700_000_000_000;
const FOREVER: TimestampRule = TimestampRule::CreateTime {
    before_max_ms: i64::MAX,
    after_max_ms: i64::MAX,
};

fn rules() -> ValidationRules<'static> {
    ValidationRules {
        topic: "orders",
        partition: base::PartitionIndex(2),
        produce_version: 9,
        origin: Origin::Client,
        max_message_bytes: 1_048_588,
        timestamps: FOREVER,
        compression: TargetCompression::Producer,
        compacted: false,
        now_ms: NOW,
        decompressed_max_bytes: DECOMPRESSED_MAX_BYTES_DEFAULT,
    }
}

fn build(options: BatchOptions, records: &[(i64, Option<&[u8]>)]) -> Bytes {
    let mut builder = RecordBatchBuilder::new(options);
    for (timestamp, key) in records {
        builder
            .append(*timestamp, *key, Some(b"some value"), &[])
            .unwrap();
    }
    builder.finish().unwrap()
}

fn batch(codec: Compression) -> Bytes {
    let options = BatchOptions {
        compression: codec,
        ..BatchOptions::default()
    };
    build(
        options,
        &[
            (NOW - 5, Some(b"a")),
            (NOW + 7, Some(b"b")),
            (NOW, Some(b"c")),
        ],
    )
}

/// `batch` after `change`, with a CRC that fits.
fn changed(batch: &Bytes, change: impl FnOnce(&mut [u8])) -> Bytes {
    let mut bytes = batch.to_vec();
    change(&mut bytes);
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

fn code(records: &Bytes, rules: &ValidationRules<'_>) -> ErrorCode {
    match validate_produce(records, rules) {
        Ok(valid) => panic!("accepted as {:?}", valid.header),
        Err(error) => error.error_code(),
    }
}

fn read(batch: &Bytes) -> Vec<Record> {
    records(batch, 1 << 20)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

#[test]
fn a_good_batch_passes_in_the_producers_own_memory() {
    for codec in CODECS {
        let sent = batch(codec);
        let valid = validate_produce(&sent, &rules()).unwrap();
        assert_eq!(valid.bytes.as_ptr(), sent.as_ptr(), "{codec:?}");
        assert_eq!(valid.bytes, sent);
        assert_eq!(
            (valid.max_timestamp, valid.max_timestamp_offset_delta),
            (NOW + 7, 1)
        );
        assert_eq!((valid.source_compression, valid.converted), (codec, false));
        assert_eq!(valid.log_append_time_ms, -1);
    }
}

#[test]
fn log_append_time_rewrites_the_header_alone() {
    for codec in CODECS {
        let sent = batch(codec);
        let rules = ValidationRules {
            timestamps: TimestampRule::LogAppendTime,
            ..rules()
        };
        let valid = validate_produce(&sent, &rules).unwrap();
        assert_eq!(verify_crc(&valid.bytes).unwrap(), valid.header);
        assert_eq!(valid.bytes[61..], sent[61..]);
        assert_eq!(valid.header.max_timestamp, NOW);
        assert!(valid.header.attributes.is_log_append_time());
        assert_eq!(
            (valid.log_append_time_ms, valid.max_timestamp_offset_delta),
            (NOW, 0)
        );
        assert!(
            read(&valid.bytes)
                .iter()
                .all(|record| record.timestamp == NOW)
        );
    }
}

#[test]
fn a_max_timestamp_that_is_not_true_is_made_true() {
    let sent = changed(&batch(Compression::None), |bytes| {
        bytes[35..43].copy_from_slice(&i64::MAX.to_be_bytes());
    });
    let valid = validate_produce(&sent, &rules()).unwrap();
    assert_eq!(verify_crc(&valid.bytes).unwrap().max_timestamp, NOW + 7);
    assert!(!valid.converted);
}

#[test]
fn every_codec_becomes_every_other() {
    for source in CODECS {
        for target in CODECS {
            let sent = batch(source);
            let compression = TargetCompression::Codec(target, None);
            let valid = validate_produce(
                &sent,
                &ValidationRules {
                    compression,
                    ..rules()
                },
            )
            .unwrap();
            assert_eq!(verify_crc(&valid.bytes).unwrap(), valid.header);
            assert_eq!(valid.header.attributes.compression(), Some(target));
            assert_eq!(valid.source_compression, source);
            assert_eq!(valid.converted, source != target);
            assert_eq!(read(&valid.bytes), read(&sent));
        }
    }
}

#[test]
fn a_batch_that_grows_beyond_the_limit_by_conversion_is_too_large() {
    let options = BatchOptions {
        compression: Compression::Zstd,
        ..BatchOptions::default()
    };
    let mut builder = RecordBatchBuilder::new(options);
    builder
        .append(NOW, None, Some(&vec![0; 1 << 20]), &[])
        .unwrap();
    let sent = builder.finish().unwrap();
    let compression = TargetCompression::Codec(Compression::None, None);
    let rules = ValidationRules {
        compression,
        max_message_bytes: 500_000,
        ..rules()
    };
    match validate_produce(&sent, &rules) {
        Err(ValidationError::TooLarge {
            size,
            limit: 500_000,
        }) => assert!(size > 1 << 20),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_number_of_batches_is_one() {
    let one = batch(Compression::None);
    assert_eq!(code(&Bytes::new(), &rules()), ErrorCode::InvalidRecord);
    assert_eq!(
        code(&one.slice(..one.len() - 1), &rules()),
        ErrorCode::InvalidRecord
    );
    let two = Bytes::from([one.as_ref(), one.as_ref()].concat());
    assert_eq!(code(&two, &rules()), ErrorCode::InvalidRecord);
    // A second batch that is cut short is trimmed, as Kafka does.
    let valid = validate_produce(&two.slice(..two.len() - 1), &rules()).unwrap();
    assert_eq!(valid.bytes, one);
}

#[test]
fn old_magic_is_an_invalid_record_and_unknown_magic_is_corrupt() {
    for (magic, expected) in [
        (0, ErrorCode::InvalidRecord),
        (1, ErrorCode::InvalidRecord),
        (3, ErrorCode::CorruptMessage),
        (0xff, ErrorCode::CorruptMessage),
    ] {
        let sent = changed(&batch(Compression::None), |bytes| bytes[16] = magic);
        assert_eq!(code(&sent, &rules()), expected, "magic {magic}");
    }
}

/// What is no batch is told in words and not looked at by the log; what a log refuses is told by the code alone.
#[test]
fn only_what_is_no_batch_is_told_in_words() {
    let sent = batch(Compression::None);
    for (at, byte, told) in [
        (
            11,
            5,
            Some("Record size 5 is less than the minimum record overhead (14)"),
        ),
        (16, 3, Some("Invalid magic found in record: 3")),
        (17, sent[17] ^ 1, None),
        (7, 9, None),
    ] {
        let mut bytes = sent.to_vec();
        bytes[at] = byte;
        let behind = [&sent[..], &bytes[..]].concat();
        let error = validate_produce(&bytes.into(), &rules()).unwrap_err();
        assert_eq!(error.error_message().as_deref(), told);
        assert_eq!(error.is_by_log(), at == 7, "{error}");
        // Behind a batch that is one, nothing is told in words.
        let error = validate_produce(&behind.into(), &rules()).unwrap_err();
        assert_eq!(error.error_message(), None);
    }
}

#[test]
fn a_flipped_bit_anywhere_behind_the_magic_is_corrupt() {
    let sent = batch(Compression::None);
    for at in 17..sent.len() {
        let mut bytes = sent.to_vec();
        bytes[at] ^= 0x40;
        assert_eq!(
            code(&bytes.into(), &rules()),
            ErrorCode::CorruptMessage,
            "byte {at}"
        );
    }
}

#[test]
fn each_rule_about_the_header_has_its_error() {
    let sent = batch(Compression::None);
    let mut offset = sent.to_vec();
    offset[7] = 1;
    assert_eq!(code(&offset.into(), &rules()), ErrorCode::InvalidRecord);

    let put = |at: usize, value: i32| {
        changed(&sent, |bytes| {
            bytes[at..at + 4].copy_from_slice(&value.to_be_bytes())
        })
    };
    for (count, name) in [(0, "zero"), (-1, "negative"), (2, "low"), (4, "high")] {
        assert_eq!(
            code(&put(57, count), &rules()),
            ErrorCode::InvalidRecord,
            "{name} count"
        );
    }
    for delta in [-1, 1, 3, i32::MAX, i32::MIN] {
        assert_eq!(
            code(&put(23, delta), &rules()),
            ErrorCode::InvalidRecord,
            "delta {delta}"
        );
    }
    let control = changed(&sent, |bytes| bytes[22] |= Attributes::CONTROL as u8);
    assert!(matches!(
        validate_produce(&control, &rules()),
        Err(ValidationError::ControlBatch)
    ));
    let ours = ValidationRules {
        origin: Origin::Coordinator,
        ..rules()
    };
    assert!(validate_produce(&control, &ours).is_ok());

    let producer = BatchOptions {
        producer_id: 9,
        producer_epoch: 0,
        ..BatchOptions::default()
    };
    let unsequenced = build(producer, &[(NOW, None)]);
    assert!(matches!(
        validate_produce(&unsequenced, &rules()),
        Err(ValidationError::Sequence {
            base_sequence: -1,
            ..
        })
    ));

    let small = ValidationRules {
        max_message_bytes: sent.len() - 1,
        ..rules()
    };
    assert_eq!(code(&sent, &small), ErrorCode::MessageTooLarge);
    let exact = ValidationRules {
        max_message_bytes: sent.len(),
        ..rules()
    };
    assert!(validate_produce(&sent, &exact).is_ok());
}

#[test]
fn zstd_needs_produce_seven() {
    let sent = batch(Compression::Zstd);
    let old = ValidationRules {
        produce_version: 6,
        ..rules()
    };
    assert_eq!(code(&sent, &old), ErrorCode::UnsupportedCompressionType);
    assert!(
        validate_produce(
            &sent,
            &ValidationRules {
                produce_version: 7,
                ..rules()
            }
        )
        .is_ok()
    );
}

#[test]
fn a_codec_that_does_not_exist_is_unsupported() {
    let sent = changed(&batch(Compression::None), |bytes| bytes[22] |= 5);
    assert_eq!(code(&sent, &rules()), ErrorCode::UnsupportedCompressionType);
}

#[test]
fn gzip_with_reserved_flags_is_refused() {
    let sent = batch(Compression::Gzip);
    let flags_at = BATCH_HEADER_LEN + 3;
    assert!(validate_produce(&sent, &rules()).is_ok());
    for flag in [0x20, 0x40, 0x80] {
        let reserved = changed(&sent, |bytes| bytes[flags_at] |= flag);
        assert_eq!(code(&reserved, &rules()), ErrorCode::InvalidRecord);
    }
}

#[test]
fn a_compacted_topic_names_each_record_without_a_key() {
    for codec in CODECS {
        let options = BatchOptions {
            compression: codec,
            ..BatchOptions::default()
        };
        let sent = build(options, &[(NOW, None), (NOW, Some(b"k")), (NOW, None)]);
        let compacted = ValidationRules {
            compacted: true,
            ..rules()
        };
        let error = validate_produce(&sent, &compacted).unwrap_err();
        assert_eq!(error.error_code(), ErrorCode::InvalidRecord);
        let text = "Compacted topic cannot accept message without key in topic partition orders-2";
        let expected: Vec<RecordError> = [0, 2]
            .map(|batch_index| RecordError {
                batch_index,
                message: text.to_owned(),
            })
            .into();
        assert_eq!(error.record_errors(), expected);
        assert_eq!(
            error.error_message().unwrap(),
            format!(
                "One or more records have been rejected due to 2 record errors in total, and only \
                 showing the first three errors at most: [RecordError(batchIndex=0, message='{text}'), \
                 RecordError(batchIndex=2, message='{text}')]"
            )
        );
        assert!(validate_produce(&sent, &rules()).is_ok());
    }
}

#[test]
fn timestamps_are_judged_at_both_ends_inclusively() {
    let timestamps = TimestampRule::CreateTime {
        before_max_ms: 100,
        after_max_ms: 50,
    };
    let window = ValidationRules {
        timestamps,
        ..rules()
    };
    for (timestamp, allowed) in [
        (NOW - 100, true),
        (NOW - 101, false),
        (NOW + 50, true),
        (NOW + 51, false),
        (-1, true),
        (0, false),
        (i64::MAX, false),
        (i64::MIN, false),
    ] {
        let sent = build(BatchOptions::default(), &[(timestamp, None)]);
        match validate_produce(&sent, &window) {
            Ok(_) => assert!(allowed, "{timestamp}"),
            Err(error) => {
                assert!(!allowed, "{timestamp}: {error}");
                assert_eq!(error.error_code(), ErrorCode::InvalidTimestamp);
                assert_eq!(
                    error.record_errors()[0].message,
                    format!(
                        "Timestamp {timestamp} of message with offset 0 is out of range. The \
                         timestamp should be within [{}, {}]",
                        NOW - 100,
                        NOW + 50
                    )
                );
            }
        }
    }
}

#[test]
fn every_error_is_counted_and_a_thousand_are_told() {
    let options = BatchOptions {
        compression: Compression::Gzip,
        ..BatchOptions::default()
    };
    let sent = build(options, &vec![(NOW, None); 5_000]);
    let error = validate_produce(
        &sent,
        &ValidationRules {
            compacted: true,
            ..rules()
        },
    )
    .unwrap_err();
    assert_eq!(error.record_errors().len(), RECORD_ERRORS_MAX);
    assert!(
        error.to_string().contains("due to 5000 record errors"),
        "{error}"
    );
}

#[test]
fn wrong_offset_deltas_are_refused() {
    for codec in CODECS {
        let options = BatchOptions {
            compression: codec,
            ..BatchOptions::default()
        };
        let mut builder = RecordBatchBuilder::new(options);
        builder.append_at(0, NOW, None, None, &[]).unwrap();
        builder.append_at(2, NOW, None, None, &[]).unwrap();
        let gap = builder.finish().unwrap();
        let hidden = changed(&gap, |bytes| bytes[26] = 1);
        assert!(matches!(
            validate_produce(&hidden, &rules()),
            Err(ValidationError::OffsetDelta {
                index: 1,
                offset_delta: 2
            })
        ));
        assert_eq!(code(&gap, &rules()), ErrorCode::InvalidRecord);
    }
}

#[test]
fn malformed_records_are_refused_with_a_good_crc() {
    let sent = batch(Compression::None);
    // The length of the first record.
    let longer = changed(&sent, |bytes| bytes[61] += 2);
    assert!(matches!(
        validate_produce(&longer, &rules()),
        Err(ValidationError::Malformed {
            index: 0,
            defect: RecordDefect::SizeMismatch { .. },
            ..
        })
    ));
    let fewer = changed(&sent, |bytes| {
        bytes[26] = 1;
        bytes[60] = 2;
    });
    assert!(matches!(
        validate_produce(&fewer, &rules()),
        Err(ValidationError::Malformed {
            defect: RecordDefect::TrailingBytes,
            ..
        })
    ));
}

#[test]
fn a_bomb_is_refused_within_its_limit() {
    for codec in [Compression::Gzip, Compression::Lz4, Compression::Zstd] {
        let options = BatchOptions {
            compression: codec,
            ..BatchOptions::default()
        };
        let mut builder = RecordBatchBuilder::new(options);
        builder
            .append(NOW, None, Some(&vec![0; 4 << 20]), &[])
            .unwrap();
        let sent = builder.finish().unwrap();
        let tight = ValidationRules {
            decompressed_max_bytes: 1 << 20,
            ..rules()
        };
        let error = validate_produce(&sent, &tight).unwrap_err();
        assert_eq!(error.error_code(), ErrorCode::InvalidRecord);
        assert!(matches!(
            error,
            ValidationError::Decompression(CompressionError::LimitExceeded { .. })
        ));
        assert!(validate_produce(&sent, &rules()).is_ok());
    }
}

#[test]
fn garbage_behind_a_codec_is_an_invalid_record() {
    for codec in [1, 2, 3, 4] {
        let sent = changed(&batch(Compression::None), |bytes| bytes[22] |= codec);
        assert_eq!(
            code(&sent, &rules()),
            ErrorCode::InvalidRecord,
            "codec {codec}"
        );
    }
}

#[test]
fn a_clients_log_append_time_is_refused_or_taken_away() {
    let options = BatchOptions {
        log_append_time_ms: Some(3),
        ..BatchOptions::default()
    };
    let sent = build(options, &[(NOW, None)]);
    let append = ValidationRules {
        timestamps: TimestampRule::LogAppendTime,
        ..rules()
    };
    assert_eq!(code(&sent, &append), ErrorCode::InvalidTimestamp);
    let valid = validate_produce(&sent, &rules()).unwrap();
    assert_eq!(verify_crc(&valid.bytes).unwrap(), valid.header);
    assert!(!valid.header.attributes.is_log_append_time());
    assert_eq!(read(&valid.bytes)[0].timestamp, NOW);
}
