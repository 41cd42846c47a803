//! The records of a streams group, to the byte.

use super::{beat, enter, prompt, word_count};
use crate::harness::{START_MS, hex};

#[test]
fn a_join_writes_what_kafka_writes() {
    let mut bench = prompt();
    bench.topic("t", 1);
    bench.topic("r", 1);
    bench.topic("c", 1);
    bench.streams(&enter("a", &word_count()));
    let now = hex(&START_MS.to_be_bytes());
    let config = "02 0f 636c65616e75702e706f6c696379 08 636f6d70616374 00";
    let expected = [
        // Version; no instance, no rack; client and host; rebalance timeout; topology epoch; process; no endpoint; no
        // tags.
        "0013 0001 67 0001 61 = 0000 00 00 07 636c69656e74 0b 2f3132372e302e302e31 0000ea60 00000000 04 702d61 ff 01 00"
            .to_owned(),
        // Epoch; subtopology 0: source t, no changelogs, sink r; subtopology 1: changelog c, repartition source r.
        format!(
            "0017 0001 67 = 0000 00000000 03 02 30 02 02 74 01 01 02 02 72 01 01 00 \
             02 31 01 01 02 02 63 00000000 0000 {config} 00 01 02 02 72 00000000 0000 {config} 00 01 00 00"
        ),
        // Epoch, metadata hash; tag 0: validated topology epoch; tag 1: num.standby.replicas=0.
        "0011 0001 67 = 0000 00000002 HASH 02 00 04 00000000 01 19 02 15 6e756d2e7374616e6462792e7265706c69636173 02 30 00"
            .into(),
        // Both tasks, no copies.
        "0015 0001 67 0001 61 = 0000 03 02 30 02 00000000 00 02 31 02 00000000 00 01 01 00".into(),
        // Epoch; tag 0: timestamp.
        format!("0014 0001 67 = 0000 00000002 01 00 08 {now}"),
        // Epoch, previous epoch, state; active tasks with tag 0, the epochs of assignment; nothing else.
        "0016 0001 67 0001 61 = 0000 00000002 00000000 00 \
         03 02 30 02 00000000 01 00 05 02 00000002 02 31 02 00000000 01 00 05 02 00000002 01 01 01 01 01 00"
            .into(),
    ];
    let written = bench.records();
    assert_eq!(written.len(), expected.len(), "{written:#?}");
    for (written, expected) in written.iter().zip(&expected) {
        let plain = |text: &str| text.replace(' ', "");
        let (written, expected) = (plain(written), plain(expected));
        match expected.split_once("HASH") {
            None => assert_eq!(written, expected),
            Some((before, after)) => {
                let rest = written.strip_prefix(before).unwrap_or_default();
                let rest: String = rest.chars().skip(16).collect();
                assert_eq!(rest, after, "{written}");
            }
        }
    }
}

#[test]
fn a_member_that_leaves_leaves_three_tombstones_and_an_epoch() {
    let mut bench = prompt();
    bench.streams(&enter("a", &word_count()));
    let before = bench.log.len();
    bench.streams(&beat("a", -1));
    let written = bench.records();
    assert_eq!(
        written[before..before + 3],
        [
            "0016000167000161 -".to_owned(),
            "0015000167000161 -".into(),
            "0013000167000161 -".into(),
        ]
    );
    assert!(written[before + 3].starts_with("0011000167 = 000000000003"));
}

#[test]
fn nothing_new_writes_nothing() {
    let mut bench = prompt();
    bench.streams_pair();
    let before = bench.log.len();
    assert_eq!(bench.streams(&beat("a", 3)), "3 -");
    assert_eq!(bench.log.len(), before);
}
