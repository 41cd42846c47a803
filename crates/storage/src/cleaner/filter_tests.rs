//! Batches before and after a pass, one rule at a time.

use base::{Offset, ProducerId};
use wire::record_batch::verify_crc;
use wire::record_data::{BatchOptions, RecordBatchBuilder, records};

use super::*;
use crate::log::producer::AbortedTxn;

const NOW: i64 = 1_000_000;
const DAY: i64 = 86_400_000;

type Row<'a> = (&'a [u8], Option<&'a [u8]>);

fn batch(options: BatchOptions, rows: &[Row<'_>]) -> Vec<u8> {
    let mut builder = RecordBatchBuilder::new(options);
    for (index, (key, value)) in rows.iter().enumerate() {
        let key = (!key.is_empty()).then_some(*key);
        builder
            .append(500 + index as i64, key, *value, &[])
            .unwrap();
    }
    builder.finish().unwrap().to_vec()
}

fn at(base_offset: i64) -> BatchOptions {
    BatchOptions {
        base_offset,
        ..BatchOptions::default()
    }
}

fn marker(base_offset: i64, producer_id: i64, committed: u8) -> Vec<u8> {
    let options = BatchOptions {
        producer_id,
        producer_epoch: 2,
        transactional: true,
        control: true,
        ..at(base_offset)
    };
    batch(
        options,
        &[(&[0, 0, 0, committed], Some(&[0, 0, 0, 0, 0, 9]))],
    )
}

/// A map that knows everything up to offset 99, with these keys.
fn map(keys: &[(&[u8], i64)]) -> OffsetMap {
    let mut map = OffsetMap::new(1 << 20, 0.9, 100);
    for (key, offset) in keys {
        assert!(map.put(key, *offset));
    }
    map.advance(99);
    map
}

/// Filters one batch, and gives what is left of it.
fn filter(
    batch: &[u8],
    map: &OffsetMap,
    now_ms: i64,
    last: &[(i64, LastRecord)],
    transactions: &mut CleanedTransactions,
) -> Option<Vec<u8>> {
    let last_records = last.iter().copied().collect();
    let mut filter = Filter {
        map,
        now_ms,
        delete_retention_ms: DAY,
        round_end: 1_000,
        last_records: &last_records,
        whole: true,
        changed: false,
        counts: [0; 3],
    };
    let header = verify_crc(batch).unwrap();
    let mut out = Vec::new();
    let kept = filter
        .apply(batch, &header, transactions, &mut out)
        .unwrap();
    assert_eq!(kept.is_some(), !out.is_empty());
    assert_eq!(
        filter.changed,
        out != batch,
        "it says whether it changed anything"
    );
    kept.map(|kept| {
        assert_eq!(verify_crc(&out), Ok(kept));
        assert_eq!(kept.base_offset, header.base_offset);
        assert_eq!(kept.last_offset(), header.last_offset());
        assert_eq!(kept.base_sequence, header.base_sequence);
        out
    })
}

#[test]
fn behind_others_tombstones_and_markers_stay_as_they_are() {
    let known = map(&[(b"a", 3)]);
    let last_records = HashMap::new();
    let batches = [
        batch(at(3), &[(b"a", None)]),
        marker(4, 7, 1),
        // Past the horizon of an earlier pass.
        filter(
            &batch(at(3), &[(b"a", None)]),
            &known,
            NOW,
            &[],
            &mut CleanedTransactions::default(),
        )
        .unwrap(),
    ];
    for batch in batches {
        let mut filter = Filter {
            map: &known,
            now_ms: NOW + 2 * DAY,
            delete_retention_ms: DAY,
            round_end: 1_000,
            last_records: &last_records,
            whole: false,
            changed: false,
            counts: [0; 3],
        };
        let header = verify_crc(&batch).unwrap();
        let mut out = Vec::new();
        let walk = &mut CleanedTransactions::after_others(vec![]);
        filter.apply(&batch, &header, walk, &mut out).unwrap();
        assert_eq!((out == batch, filter.changed), (true, false));
    }
}

fn plain(batch: &[u8], map: &OffsetMap, now_ms: i64) -> Option<Vec<u8>> {
    filter(batch, map, now_ms, &[], &mut CleanedTransactions::default())
}

/// Offset, timestamp and whether there is a value.
fn rows(batch: &[u8]) -> Vec<(i64, i64, bool)> {
    records(&Bytes::copy_from_slice(batch), 1 << 20)
        .unwrap()
        .map(|record| {
            let record = record.unwrap();
            (record.offset, record.timestamp, record.value.is_some())
        })
        .collect()
}

#[test]
fn superseded_records_go_and_the_rest_keep_their_offsets() {
    for compression in [Compression::None, Compression::Lz4, Compression::Gzip] {
        let options = BatchOptions {
            compression,
            ..at(10)
        };
        let batch = batch(
            options,
            &[
                (b"a", Some(b"1")),
                (b"b", Some(b"2")),
                (b"a", Some(b"3")),
                (b"", Some(b"4")),
            ],
        );
        let kept = plain(&batch, &map(&[(b"b", 11), (b"a", 12)]), NOW).unwrap();
        assert_eq!(rows(&kept), [(11, 501, true), (12, 502, true)]);
        let header = BatchHeader::parse(&kept).unwrap();
        assert_eq!(header.attributes.compression(), Some(compression));
        assert_eq!((header.max_timestamp, header.last_offset_delta), (502, 3));
        assert_eq!(plain(&batch, &map(&[(b"b", 20), (b"a", 21)]), NOW), None);
    }
}

#[test]
fn a_batch_that_loses_nothing_stays_as_it_is() {
    let batch = batch(at(10), &[(b"a", Some(b"1")), (b"b", Some(b"2"))]);
    assert_eq!(
        plain(&batch, &map(&[(b"a", 10), (b"b", 11)]), NOW),
        Some(batch.clone())
    );
    // Beyond what the map knows everything stays, keyless records too.
    let mut small = OffsetMap::new(1 << 20, 0.9, 10);
    small.put(b"a", 9);
    let keyless = self::batch(at(10), &[(b"", Some(b"1")), (b"a", Some(b"2"))]);
    assert_eq!(plain(&keyless, &small, NOW), Some(keyless.clone()));
}

#[test]
fn a_tombstone_is_stamped_first_and_goes_at_its_horizon() {
    let batch = batch(at(10), &[(b"a", Some(b"1")), (b"b", None)]);
    let map = map(&[(b"a", 10), (b"b", 11)]);
    let stamped = plain(&batch, &map, NOW).unwrap();
    let header = BatchHeader::parse(&stamped).unwrap();
    assert!(header.attributes.has_delete_horizon());
    assert_eq!(
        (header.base_timestamp, header.max_timestamp),
        (NOW + DAY, 501)
    );
    assert_eq!(rows(&stamped), rows(&batch));
    // A later pass leaves the horizon where it is.
    assert_eq!(plain(&stamped, &map, NOW + DAY - 1), Some(stamped.clone()));
    let after = plain(&stamped, &map, NOW + DAY).unwrap();
    assert_eq!(rows(&after), [(10, 500, true)]);
    let header = BatchHeader::parse(&after).unwrap();
    assert_eq!(header.base_timestamp, NOW + DAY);
}

#[test]
fn the_last_batch_of_a_producer_and_of_the_round_keep_their_header() {
    let options = BatchOptions {
        producer_id: 7,
        producer_epoch: 2,
        base_sequence: 40,
        compression: Compression::Zstd,
        ..at(10)
    };
    let superseded = batch(options.clone(), &[(b"a", Some(b"1")), (b"a", Some(b"2"))]);
    let map = map(&[(b"a", 50)]);
    let last = LastRecord {
        last_data_offset: Some(11),
        producer_epoch: 2,
    };
    let none = &mut CleanedTransactions::default();
    let empty = filter(&superseded, &map, NOW, &[(7, last)], none).unwrap();
    assert_eq!(empty.len(), BATCH_HEADER_LEN);
    let header = BatchHeader::parse(&empty).unwrap();
    assert_eq!((header.record_count, header.last_sequence()), (0, 41));
    assert_eq!(
        filter(&empty, &map, NOW, &[(7, last)], none),
        Some(empty.clone())
    );
    // Another batch is the producer's last meanwhile.
    let other = LastRecord {
        last_data_offset: Some(30),
        ..last
    };
    assert_eq!(filter(&empty, &map, NOW, &[(7, other)], none), None);
    let end_of_round = batch(
        BatchOptions {
            base_offset: 998,
            ..options
        },
        &[(b"a", Some(b"1")), (b"a", Some(b"2"))],
    );
    let mut all = OffsetMap::new(1 << 20, 0.9, 10);
    all.put(b"a", 1_500);
    assert_eq!(
        filter(&end_of_round, &all, NOW, &[], none).unwrap().len(),
        BATCH_HEADER_LEN
    );
}

#[test]
fn aborted_records_go_and_markers_follow_at_their_horizon() {
    let txn = |base_offset, producer_id| {
        let options = BatchOptions {
            producer_id,
            producer_epoch: 2,
            base_sequence: 0,
            transactional: true,
            ..at(base_offset)
        };
        batch(options, &[(b"k", Some(b"v"))])
    };
    let aborted = AbortedTxn {
        producer_id: ProducerId(7),
        first_offset: Offset(10),
        last_offset: Offset(12),
        last_stable_offset: Offset(10),
    };
    let map = map(&[(b"k", 11)]);
    let walk = &mut CleanedTransactions::new(vec![aborted]);
    assert_eq!(filter(&txn(10, 7), &map, NOW, &[], walk), None);
    let committed = txn(11, 8);
    assert_eq!(filter(&committed, &map, NOW, &[], walk), Some(committed));
    // Something of each was met: both markers stay as they are.
    for one in [marker(12, 7, 0), marker(13, 8, 1)] {
        assert_eq!(filter(&one, &map, NOW, &[], walk), Some(one.clone()));
    }
    assert_eq!(walk.take_kept(), [aborted]);
    // The next pass meets nothing of the first one.
    let walk = &mut CleanedTransactions::new(vec![aborted]);
    let stamped = filter(&marker(12, 7, 0), &map, NOW, &[], walk).unwrap();
    let header = BatchHeader::parse(&stamped).unwrap();
    assert!(header.attributes.has_delete_horizon() && header.attributes.is_control());
    assert_eq!(walk.take_kept(), []);
    let none = &mut CleanedTransactions::default();
    assert_eq!(
        filter(&stamped, &map, NOW + DAY - 1, &[], none),
        Some(stamped.clone())
    );
    assert_eq!(filter(&stamped, &map, NOW + DAY, &[], none), None);
    // Unless it is all that tells the producer's epoch.
    let last = LastRecord {
        last_data_offset: None,
        producer_epoch: 2,
    };
    let empty = filter(&stamped, &map, NOW + DAY, &[(7, last)], none).unwrap();
    assert_eq!(empty.len(), BATCH_HEADER_LEN);
    assert!(BatchHeader::parse(&empty).unwrap().attributes.is_control());
}

#[test]
fn the_append_time_of_a_batch_stays_that_of_its_records() {
    let options = BatchOptions {
        log_append_time_ms: Some(9_000),
        ..at(10)
    };
    let batch = batch(
        options,
        &[(b"a", Some(b"1")), (b"b", None), (b"a", Some(b"2"))],
    );
    let kept = plain(&batch, &map(&[(b"b", 11), (b"a", 12)]), NOW).unwrap();
    assert_eq!(rows(&kept), [(11, 9_000, false), (12, 9_000, true)]);
}

#[test]
fn a_batch_that_is_superseded_whole_goes_without_a_look_at_its_records() {
    let mut map = OffsetMap::new(1 << 20, 0.9, 100);
    for (base, keys) in [(10, [b"a", b"b"]), (20, [b"b", b"c"]), (30, [b"a", b"d"])] {
        map.begin_batch(base);
        for (offset, key) in (base..).zip(keys) {
            assert!(map.put(key, offset));
        }
        map.end_batch();
    }
    let rows: [Row<'_>; 2] = [(b"a", Some(b"1")), (b"b", Some(b"2"))];
    let options = BatchOptions {
        producer_id: 7,
        producer_epoch: 0,
        base_sequence: 3,
        ..at(10)
    };
    let mut old = batch(options, &rows);
    // Records that nobody could read, under a CRC that is right.
    old[wire::record_batch::BATCH_HEADER_LEN..].fill(0xff);
    let header = BatchHeader::parse(&old).unwrap();
    let records = old[wire::record_batch::BATCH_HEADER_LEN..].to_vec();
    let mut sealed = Vec::new();
    wire::record_data::rebuild(&header, &records, &mut sealed).unwrap();
    let mut transactions = CleanedTransactions::new(Vec::new());
    assert_eq!(filter(&sealed, &map, NOW, &[], &mut transactions), None);
    // The last batch of a producer leaves its header.
    let last = LastRecord {
        last_data_offset: Some(11),
        producer_epoch: 0,
    };
    let left = filter(&sealed, &map, NOW, &[(7, last)], &mut transactions).unwrap();
    let left = BatchHeader::parse(&left).unwrap();
    assert_eq!((left.record_count, left.last_sequence()), (0, 4));
}
