//! Batches read back what was built, and damaged records are errors, never panics.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::record_batch::{Compression, verify_crc};

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];
const LIMIT: usize = 1 << 20;

fn build(options: BatchOptions, records: &[Record]) -> Bytes {
    let mut builder = RecordBatchBuilder::new(options);
    for record in records {
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        builder
            .append(record.timestamp, key, value, &record.headers)
            .unwrap();
    }
    builder.finish().unwrap()
}

fn read(batch: &Bytes) -> Vec<Record> {
    records(batch, LIMIT)
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
}

fn nullable() -> impl Strategy<Value = Option<Bytes>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300).prop_map(Bytes::from))
}

prop_compose! {
    fn header()(key in "[a-c]{0,2}", value in nullable()) -> RecordHeader {
        RecordHeader { key: key.into(), value }
    }
}

prop_compose! {
    fn record()(
        timestamp in prop_oneof![Just(-1), any::<i64>(), 1_600_000_000_000i64..1_700_000_000_000],
        key in nullable(),
        value in nullable(),
        headers in proptest::collection::vec(header(), 0..4),
    ) -> Record {
        Record { attributes: 0, timestamp, offset: 0, key, value, headers }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_built_is_read(
        mut written in proptest::collection::vec(record(), 1..40),
        codec in proptest::sample::select(CODECS.to_vec()),
        base_offset in 0..i64::MAX / 2,
        transactional in any::<bool>(),
    ) {
        for (delta, record) in written.iter_mut().enumerate() {
            record.offset = base_offset + delta as i64;
        }
        let options = BatchOptions {
            compression: codec, base_offset, transactional,
            producer_id: 7, producer_epoch: 3, base_sequence: 11, partition_leader_epoch: 5,
            ..BatchOptions::default()
        };
        let batch = build(options, &written);
        let header = verify_crc(&batch).unwrap();
        prop_assert_eq!(header.record_count as usize, written.len());
        prop_assert_eq!(header.last_offset_delta as usize, written.len() - 1);
        prop_assert_eq!(header.size_in_bytes(), batch.len());
        prop_assert_eq!(header.attributes.compression(), Some(codec));
        prop_assert_eq!(header.attributes.is_transactional(), transactional);
        let max = written.iter().map(|record| record.timestamp).max().unwrap().max(-1);
        prop_assert_eq!(header.max_timestamp, max);
        prop_assert_eq!(read(&batch), written);
    }

    #[test]
    fn any_byte_may_be_wrong(
        written in proptest::collection::vec(record(), 1..5),
        codec in proptest::sample::select(CODECS.to_vec()),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let batch = build(BatchOptions { compression: codec, ..BatchOptions::default() }, &written);
        let mut bytes = batch.to_vec();
        for (at, byte) in flips {
            bytes[at.index(batch.len())] = byte;
        }
        // Ends, whatever was flipped, and gives no more records than bytes.
        if let Ok(iter) = records(&Bytes::from(bytes), LIMIT) {
            prop_assert!(iter.count() <= LIMIT);
        }
    }
}

fn simple(codec: Compression) -> Bytes {
    let mut builder = RecordBatchBuilder::new(BatchOptions {
        compression: codec,
        ..BatchOptions::default()
    });
    builder
        .append(1_000, Some(b"key"), Some(b"value"), &[])
        .unwrap();
    builder
        .append(1_005, None, None, &[RecordHeader::new("h", None)])
        .unwrap();
    builder.finish().unwrap()
}

#[test]
fn an_uncompressed_record_shares_the_memory_of_its_batch() {
    let batch = simple(Compression::None);
    let key = read(&batch)[0].key.clone().unwrap();
    let batch_range = batch.as_ptr_range();
    assert!(batch_range.contains(&key.as_ptr()));
}

#[test]
fn header_keys_repeat_in_order() {
    let headers: Vec<RecordHeader> = [("a", Some(b"1".as_slice())), ("b", None), ("a", Some(b"2"))]
        .map(|(key, value)| RecordHeader::new(key, value))
        .into();
    let mut builder = RecordBatchBuilder::new(BatchOptions::default());
    builder.append(0, None, None, &headers).unwrap();
    assert_eq!(read(&builder.finish().unwrap())[0].headers, headers);
}

#[test]
fn log_append_time_stands_for_every_record() {
    let options = BatchOptions {
        log_append_time_ms: Some(777),
        ..BatchOptions::default()
    };
    let mut builder = RecordBatchBuilder::new(options);
    builder.append(1, None, Some(b"a"), &[]).unwrap();
    builder.append(2, None, Some(b"b"), &[]).unwrap();
    let batch = builder.finish().unwrap();
    assert_eq!(
        read(&batch)
            .iter()
            .map(|record| record.timestamp)
            .collect::<Vec<_>>(),
        [777, 777]
    );
}

#[test]
fn offset_deltas_only_grow() {
    let mut builder = RecordBatchBuilder::new(BatchOptions::default());
    builder.append_at(4, 0, None, None, &[]).unwrap();
    let error = builder.append_at(4, 0, None, None, &[]).unwrap_err();
    assert!(matches!(
        error,
        BuildError::OffsetOrder { delta: 4, last: 4 }
    ));
    builder.append(0, None, None, &[]).unwrap();
    let batch = builder.finish().unwrap();
    assert_eq!(
        read(&batch)
            .iter()
            .map(|record| record.offset)
            .collect::<Vec<_>>(),
        [4, 5]
    );
    assert!(matches!(
        RecordBatchBuilder::new(BatchOptions::default()).finish(),
        Err(BuildError::Empty)
    ));
}

fn defect(batch: Vec<u8>) -> RecordDefect {
    let error = records(&Bytes::from(batch), LIMIT)
        .unwrap()
        .find_map(Result::err);
    match error {
        Some(RecordDataError::Malformed { defect, .. }) => defect,
        other => panic!("expected a malformed record, found {other:?}"),
    }
}

/// A batch whose record section is `data` and whose header counts `count` records.
fn raw_batch(data: &[u8], count: i32) -> Vec<u8> {
    let mut batch = simple(Compression::None)[..61].to_vec();
    batch.extend_from_slice(data);
    let length = (batch.len() - 12) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    batch
}

#[test]
fn each_defect_is_named() {
    // length 6, attributes, timestamp delta, offset delta, null key, null value, no headers
    let good = [12, 0, 0, 0, 1, 1, 0];
    let with = |at: usize, byte: u8| {
        let mut record = good;
        record[at] = byte;
        record.to_vec()
    };
    assert_eq!(defect(raw_batch(&good, 2)), RecordDefect::PrematureEnd);
    assert_eq!(defect(raw_batch(&good[..6], 1)), RecordDefect::PrematureEnd);
    assert_eq!(
        defect(raw_batch(&[good, good].concat(), 1)),
        RecordDefect::TrailingBytes
    );
    assert_eq!(
        defect(raw_batch(&with(0, 14), 1)),
        RecordDefect::SizeMismatch {
            expected: 7,
            read: 6
        }
    );
    assert_eq!(
        defect(raw_batch(&with(0, 1), 1)),
        RecordDefect::NegativeSize(-1)
    );
    assert_eq!(
        defect(raw_batch(&with(4, 20), 1)),
        RecordDefect::FieldTooLong {
            length: 10,
            remaining: 2
        }
    );
    assert_eq!(
        defect(raw_batch(&with(6, 1), 1)),
        RecordDefect::HeaderCount(-1)
    );
    assert_eq!(
        defect(raw_batch(&with(6, 100), 1)),
        RecordDefect::HeaderCount(50)
    );
    assert_eq!(
        defect(raw_batch(&[0xff; 7], 1)),
        RecordDefect::VarintTooLong
    );
    let null_header_key = [16, 0, 0, 0, 1, 1, 2, 1, 1];
    assert_eq!(
        defect(raw_batch(&null_header_key, 1)),
        RecordDefect::HeaderKeyLength(-1)
    );
}

#[test]
fn an_iterator_ends_after_its_error() {
    let mut iter = records(&raw_batch(&[0xff; 7], i32::MAX).into(), LIMIT).unwrap();
    assert!(iter.next().unwrap().is_err());
    assert!(iter.next().is_none());
}

#[test]
fn a_bomb_of_records_is_refused() {
    let mut builder = RecordBatchBuilder::new(BatchOptions {
        compression: Compression::Zstd,
        ..BatchOptions::default()
    });
    builder
        .append(0, None, Some(&vec![0; 8 << 20]), &[])
        .unwrap();
    let batch = builder.finish().unwrap();
    assert!(batch.len() < 10_000);
    let error = records(&batch, LIMIT).unwrap_err();
    assert!(matches!(
        error,
        RecordDataError::Compression(CompressionError::LimitExceeded { limit: LIMIT, .. })
    ));
}

#[test]
fn unknown_codecs_and_short_batches_are_errors() {
    let batch = simple(Compression::None);
    let mut codec = batch.to_vec();
    codec[22] = 5;
    assert!(matches!(
        records(&codec.into(), LIMIT),
        Err(RecordDataError::UnknownCodec(5))
    ));
    let short = batch.slice(..batch.len() - 1);
    assert!(matches!(
        records(&short, LIMIT),
        Err(RecordDataError::Batch(BatchError::Truncated { .. }))
    ));
}

#[test]
fn batches_walks_to_the_last_whole_batch() {
    let (one, two) = (simple(Compression::None), simple(Compression::Zstd));
    let both = Bytes::from([one.as_ref(), two.as_ref()].concat());
    let sizes = |bytes: Bytes| -> Vec<usize> {
        batches(&bytes)
            .map(|batch| batch.unwrap().1.len())
            .collect()
    };
    assert_eq!(sizes(both.clone()), [one.len(), two.len()]);
    assert_eq!(sizes(both.slice(..both.len() - 1)), [one.len()]);
    assert_eq!(sizes(Bytes::new()), [0; 0]);
    let mut broken = both.to_vec();
    broken[one.len() + 16] = 1;
    let found: Vec<_> = batches(&Bytes::from(broken)).collect();
    assert!(found[0].is_ok() && found[1].is_err() && found.len() == 2);
}
