//! The records of a consumer group, to the byte.

use super::{beat, enter};
use crate::harness::{Bench, START_MS, hex};

#[test]
fn a_join_writes_what_kafka_writes() {
    let mut bench = Bench::new();
    bench.topic("t", 1);
    let join = enter("g", "a", &["t"]).instance("i").assignor("uniform");
    bench.beat(&join);
    let id = hex(&bench.cluster.id("t").0);
    let now = hex(&START_MS.to_be_bytes());
    let expected = [
        // Version; instance, rack; client and host; names; regex; rebalance timeout; assignor; tag 0: no classic
        // metadata.
        "0005 0001 67 0001 61 = 0000 02 69 00 07 636c69656e74 0b 2f3132372e302e302e31 02 02 74 01 0000ea60 08 \
         756e69666f726d 01 00 01 00"
            .to_owned(),
        // Epoch; tag 0: metadata hash, whose value the unit tests check.
        "0003 0001 67 = 0000 00000002 01 00 08".to_owned(),
        // Topic id and partitions.
        format!("0007 0001 67 0001 61 = 0000 02 {id} 02 00000000 00 00"),
        // Epoch; tag 0: timestamp.
        format!("0006 0001 67 = 0000 00000002 01 00 08 {now}"),
        // Epoch, previous epoch, state; assigned with tag 0, the epochs of assignment; nothing to revoke.
        format!(
            "0008 0001 67 0001 61 = 0000 00000002 00000000 00 02 {id} 02 00000000 01 00 05 02 00000002 01 00"
        ),
    ];
    let written = bench.records();
    assert_eq!(written.len(), expected.len(), "{written:#?}");
    for (index, (written, expected)) in written.iter().zip(&expected).enumerate() {
        let plain = |text: &str| text.replace(' ', "");
        let (written, expected) = (plain(written), plain(expected));
        if index == 1 {
            assert!(written.starts_with(&expected), "{written}");
            assert_eq!(written.len(), expected.len() + 16);
        } else {
            assert_eq!(written, expected, "record {index}");
        }
    }
}

#[test]
fn a_member_that_leaves_leaves_three_tombstones_and_an_epoch() {
    let mut bench = Bench::new();
    bench.beat(&enter("g", "a", &["t"]));
    let before = bench.log.len();
    bench.beat(&beat("g", "a", -1));
    let written = bench.records();
    assert_eq!(
        written[before..],
        [
            "0008000167000161 -".to_owned(),
            "0007000167000161 -".into(),
            "0005000167000161 -".into(),
            // Without topics the hash is zero, the default, which is not written.
            "0003000167 = 00000000000300".into(),
        ]
    );
}

#[test]
fn nothing_new_writes_nothing() {
    let mut bench = Bench::new();
    bench.pair();
    let before = bench.log.len();
    bench.beat(&beat("g", "a", 3));
    bench.beat(&beat("g", "b", 3));
    assert_eq!(bench.log.len(), before);
}

#[test]
fn the_topic_metadata_of_older_versions_gets_a_tombstone() {
    let mut bench = Bench::new();
    bench.topic("t", 1);
    bench.beat(&enter("g", "a", &["t"]));
    // ConsumerGroupPartitionMetadata without topics, as Kafka 4.0 writes it.
    bench.log.push(coordinator::CoordinatorRecord {
        key: bytes::Bytes::from_static(&[0, 4, 0, 1, b'g']),
        value: Some(bytes::Bytes::from_static(&[0, 0, 1, 0])),
    });
    let mut bench = bench.reload();
    let before = bench.log.len();
    bench.beat(&beat("g", "a", 2));
    assert_eq!(bench.records()[before..], ["0004000167 -".to_owned()]);
}

#[test]
fn a_compacted_log_gives_the_same_group() {
    let mut bench = Bench::new();
    bench.pair();
    bench.beat(&beat("g", "a", -1));
    bench.beat(&beat("g", "b", 3));
    let live = bench.described("g");
    bench.compact();
    assert_eq!(bench.reload().described("g"), live);
    // Once the tombstones are gone too.
    bench.log.retain(|record| record.value.is_some());
    assert_eq!(bench.reload().described("g"), live);
}
