//! Batches and judgements of Apache Kafka 4.3.1, recorded by `cargo run -p wire --example java_records`.

use bytes::Bytes;
use wire::record_batch::Compression;
use wire::record_data::{BatchOptions, RecordBatchBuilder, records};

mod support;

use support::{Case, dump, unhex};

const BATCHES: &str = include_str!("golden/batches.txt");
const VALIDATE: &str = include_str!("golden/validate.txt");

#[test]
fn batches_of_both_writers_read_as_kafka_reads_them() {
    let mut codecs = Vec::new();
    for line in BATCHES.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [writer, bytes, "ok", read] = fields[..] else {
            panic!("not a batch: {line}")
        };
        assert_eq!(
            dump(&unhex(bytes).into()).unwrap(),
            read,
            "written by {writer}"
        );
        codecs.push((
            writer.to_owned(),
            read.split(' ').next().unwrap().to_owned(),
        ));
    }
    codecs.sort();
    codecs.dedup();
    assert!(
        codecs.len() >= 9,
        "every codec of Kafka and most of ours: {codecs:?}"
    );
}

#[test]
fn an_uncompressed_batch_is_kafkas_to_the_byte() {
    let kafka = BATCHES
        .lines()
        .filter(|line| line.starts_with("kafka\t") && line.contains("\tcodec=none "))
        .map(|line| Bytes::from(unhex(line.split('\t').nth(1).unwrap())));
    let mut compared = 0;
    for batch in kafka {
        let iter = records(&batch, 0).unwrap();
        let header = *iter.header();
        let mut builder = RecordBatchBuilder::new(BatchOptions {
            compression: Compression::None,
            level: None,
            base_offset: header.base_offset,
            partition_leader_epoch: header.partition_leader_epoch,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            transactional: header.attributes.is_transactional(),
            control: header.attributes.is_control(),
            log_append_time_ms: None,
        });
        for record in iter {
            let record = record.unwrap();
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            builder
                .append(record.timestamp, key, value, &record.headers)
                .unwrap();
        }
        assert_eq!(builder.finish().unwrap(), batch);
        compared += 1;
    }
    assert!(compared >= 3);
}

#[test]
fn produce_is_judged_as_kafka_judges_it() {
    let mut lines = VALIDATE.lines().filter(|line| !line.starts_with('#'));
    let mut judged = 0;
    while let (Some(request), Some(kafka)) = (lines.next(), lines.next()) {
        let case = Case::parse(request);
        assert_eq!(case.request(), request);
        let ours = case.answer();
        // What a codec's encoder makes of the same records may differ, but not the records: `dump` reads them.
        assert_eq!(ours, kafka, "{request}");
        judged += 1;
    }
    assert!(judged >= 50, "only {judged} cases");
}
