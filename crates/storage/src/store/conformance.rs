//! What every [`SegmentStore`] must do. An engine's tests call [`check`] with an empty store.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use base::{PartitionIndex, TopicId, Uuid};
use wire::RecordsPart;

use crate::store::{LogName, SegmentPart, SegmentStore};

fn log(topic: &str, uid: u64) -> LogName {
    LogName {
        topic: topic.into(),
        topic_id: TopicId(Uuid([7; 16])),
        partition: PartitionIndex(3),
        uid,
    }
}

fn bytes_of(part: &RecordsPart) -> Vec<u8> {
    match part {
        RecordsPart::Bytes(bytes) => bytes.to_vec(),
        RecordsPart::Stamped(batch) => [&batch.head[..], &batch.body[..]].concat(),
        RecordsPart::File(region) => {
            let mut bytes = vec![0; region.length as usize];
            region
                .file
                .read_exact_at(&mut bytes, region.position)
                .expect("a region is readable");
            bytes
        }
    }
}

/// Runs the whole suite.
///
/// # Panics
/// When the engine breaks the contract; the message says which clause.
pub fn check(store: &dyn SegmentStore) {
    let (a, b) = (log("conformance.a", 1), log("conformance-b", 2));
    check_nothing_there(store, &a);
    check_parts(store, &a, &b);
}

fn check_nothing_there(store: &dyn SegmentStore, a: &LogName) {
    assert_eq!(
        store.list(a).expect("list succeeds"),
        Vec::<i64>::new(),
        "a log without segments lists none"
    );
    assert_eq!(
        store
            .length(a, 0, SegmentPart::Log)
            .expect("length of nothing succeeds"),
        None,
        "a part that is not there has no length"
    );
    assert!(
        store.read_at(a, 0, SegmentPart::Log, 0, &mut [0]).is_err(),
        "reading a part that is not there fails"
    );
}

fn check_parts(store: &dyn SegmentStore, a: &LogName, b: &LogName) {
    let put = |log: &LogName, base, part, bytes: &[u8]| {
        store.put(log, base, part, bytes).expect("put succeeds");
    };
    let list = |log: &LogName| store.list(log).expect("list succeeds");
    put(a, 100, SegmentPart::Log, b"0123456789");
    put(a, 0, SegmentPart::Log, b"abc");
    put(a, 0, SegmentPart::OffsetIndex, &[1; 8]);
    put(b, 7, SegmentPart::Log, b"other");
    assert_eq!(
        list(a),
        vec![0, 100],
        "segments are listed in order, per log"
    );
    assert_eq!(list(b), vec![7], "logs do not see each other");

    let mut buf = [0; 8];
    let read = store
        .read_at(a, 100, SegmentPart::Log, 6, &mut buf)
        .expect("read succeeds");
    assert_eq!(&buf[..read], b"6789", "a read ends with the part");
    let region = store.region(a, 100, 2, 5).expect("region succeeds");
    assert_eq!(
        bytes_of(&region),
        b"23456",
        "a region is the range asked for"
    );

    put(a, 0, SegmentPart::OffsetIndex, &[2; 4]);
    assert_eq!(
        store
            .length(a, 0, SegmentPart::OffsetIndex)
            .expect("length succeeds"),
        Some(4),
        "put replaces the whole part"
    );
    let read = store
        .read_at(a, 0, SegmentPart::OffsetIndex, 0, &mut buf)
        .expect("read succeeds");
    assert_eq!(&buf[..read], [2; 4], "put replaces the content");

    store
        .remove(a, 100, Duration::from_secs(60))
        .expect("remove succeeds");
    assert_eq!(list(a), vec![0], "a removed segment is not listed");
    assert_eq!(bytes_of(&region), b"23456", "a region outlives its segment");
    store
        .remove(a, 100, Duration::ZERO)
        .expect("removing twice is no error");
    store.remove(b, 7, Duration::ZERO).expect("remove succeeds");
    store.remove(a, 0, Duration::ZERO).expect("remove succeeds");
    assert_eq!((list(a), list(b)), (vec![], vec![]), "nothing is left");
}
