//! What every [`RemoteStore`] and every [`RemoteManifest`] must do. An engine's tests call these with an empty one.

use base::{PartitionIndex, TopicId, Uuid};
use bytes::Bytes;

use crate::log::epoch::EpochEntry;
use crate::log::index::SegmentView;
use crate::tier::{RemoteError, RemoteManifest, RemoteSegment, RemoteState, RemoteStore};

/// Runs the suite of a store; `root` is a prefix that nothing lies below.
///
/// # Panics
/// When the engine breaks the contract; the message says which clause.
pub fn check_store(store: &dyn RemoteStore, root: &str) {
    let name = |last: &str| format!("{root}/topic/0/{last}");
    let get = |last: &str, position, length| store.get(&name(last), position, length);
    assert!(
        matches!(get("a.log", 0, 1), Err(RemoteError::NotFound { .. })),
        "reading what is not there says so"
    );
    store
        .delete(&name("a.log"))
        .expect("deleting nothing succeeds");
    assert_eq!(
        names(store, root),
        Vec::<String>::new(),
        "nothing is listed"
    );

    store
        .put(&name("a.log"), Bytes::from_static(b"0123456789"))
        .expect("put succeeds");
    assert_eq!(&get("a.log", 2, 3).expect("get succeeds")[..], b"234");
    assert_eq!(
        &get("a.log", 8, 10).expect("get succeeds")[..],
        b"89",
        "a read ends with the object"
    );
    let file = std::env::temp_dir().join(format!("remote-conformance-{}", std::process::id()));
    let long: Vec<u8> = (0..20_000_000u32).map(|i| (i ^ (i >> 8)) as u8).collect();
    std::fs::write(&file, &long).expect("a temporary file");
    let length = long.len() as u64 - 7;
    let put = store.put_file(&name("b.log"), &file, length);
    std::fs::remove_file(&file).expect("the temporary file is there");
    put.expect("put_file succeeds");
    let all = get("b.log", 0, u64::MAX).expect("get succeeds");
    assert_eq!(
        all[..],
        long[..long.len() - 7],
        "a file is stored up to the length given"
    );
    let middle = get("b.log", 10_000_001, 5).expect("get succeeds");
    assert_eq!(middle[..], long[10_000_001..10_000_006]);

    store
        .put(&name("c"), Bytes::new())
        .expect("an empty object is one");
    store
        .put(&format!("{root}x/other"), Bytes::from_static(b"x"))
        .expect("put succeeds");
    assert_eq!(
        names(store, root),
        vec![name("a.log"), name("b.log"), name("c")],
        "what is below the prefix is listed, and nothing else"
    );
    for last in ["a.log", "b.log", "c"] {
        store.delete(&name(last)).expect("delete succeeds");
        store.delete(&name(last)).expect("deleting again succeeds");
    }
    store
        .delete(&format!("{root}x/other"))
        .expect("delete succeeds");
    assert!(
        matches!(get("b.log", 0, 1), Err(RemoteError::NotFound { .. })),
        "what was deleted is gone"
    );
    assert_eq!(names(store, root), Vec::<String>::new());
}

fn names(store: &dyn RemoteStore, root: &str) -> Vec<String> {
    let mut names = Vec::new();
    store
        .list(root, &mut |name| names.push(name.to_owned()))
        .expect("list succeeds");
    names.sort();
    names
}

/// Runs the suite of a manifest.
///
/// # Panics
/// When the engine breaks the contract; the message says which clause.
pub fn check_manifest(manifest: &dyn RemoteManifest) {
    let segment = |n: u8, base| RemoteSegment {
        state: RemoteState::Started,
        topic_id: TopicId(Uuid([n; 16])),
        partition: PartitionIndex(i32::from(n)),
        id: Uuid([n.wrapping_add(base as u8); 16]),
        view: SegmentView::empty(base, 7),
        txn_entries: 1,
        indexes_crc: 2,
        epochs: vec![EpochEntry {
            epoch: 3,
            start_offset: base,
        }],
    };
    let (a, b, c) = (segment(1, 0), segment(1, 10), segment(9, 0));
    assert_eq!(manifest.entry(&a).expect("entry succeeds"), None);
    manifest.remove(&a).expect("removing nothing succeeds");
    for entry in [&a, &b, &c] {
        manifest.put(entry).expect("put succeeds");
    }
    let finished = a.in_state(RemoteState::Finished);
    manifest.put(&finished).expect("put succeeds");
    assert_eq!(
        manifest.entry(&a).expect("entry succeeds"),
        Some(finished.clone()),
        "put replaces the entry of the same segment"
    );
    let mut all = manifest.entries().expect("entries succeeds");
    all.sort_by_key(|entry| (entry.topic_id, entry.view.base));
    assert_eq!(all, vec![finished.clone(), b.clone(), c.clone()]);
    let merged = segment(1, 5);
    manifest.put(&merged).expect("put succeeds");
    let changes = [
        merged.in_state(RemoteState::Finished),
        a.in_state(RemoteState::Deleting),
        b.in_state(RemoteState::Deleting),
    ];
    let replace = |unchanged: &RemoteSegment| {
        let replaced = manifest.replace(unchanged, &changes);
        let entries = [&merged, &a, &b].map(|one| manifest.entry(one).expect("entry succeeds"));
        (
            replaced.expect("replace succeeds"),
            entries.map(|entry| entry.map(|one| one.state)),
        )
    };
    let (started, done, going) = (
        Some(RemoteState::Started),
        Some(RemoteState::Finished),
        Some(RemoteState::Deleting),
    );
    assert_eq!(
        replace(&merged.in_state(RemoteState::Deleting)),
        (false, [started, done, started]),
        "an entry that is another one stops all of it"
    );
    assert_eq!(replace(&merged), (true, [done, going, going]));
    assert_eq!(
        replace(&merged),
        (false, [done, going, going]),
        "it is not what it was"
    );
    manifest.remove(&merged).expect("remove succeeds");
    assert!(!replace(&merged).0, "nor is an entry that there is not");
    manifest.remove(&b).expect("remove succeeds");
    manifest.remove(&b).expect("removing again succeeds");
    let left = manifest.entries().expect("entries succeeds");
    assert_eq!(left.len(), 2, "what was removed is gone");
    manifest.remove(&a).expect("remove succeeds");
    manifest.remove(&c).expect("remove succeeds");
}
