//! The contract of [`MetaStore`] as a test suite. Each engine's tests call [`run`] with fresh, empty stores.
//!
//! A failure panics, as an assertion does, and says which rule was broken.

use std::time::Duration;

use base::ManualClock;

use crate::error::{ErrorKind, MetaStoreError};
use crate::store::{
    Compare, Event, EventKind, LeaseId, MetaStore, Op, Revision, TxnOutcome, limits,
};

/// What the suite needs of an engine.
pub trait Subject {
    /// A new, empty store.
    fn store(&self) -> Box<dyn MetaStore>;
    /// The clock its leases run by; none when it cannot be set, which leaves expiry untested.
    fn clock(&self) -> Option<&ManualClock>;
}

type Checked = Result<(), MetaStoreError>;
type Case = fn(&dyn MetaStore) -> Checked;

/// Runs every case against `subject`.
///
/// # Panics
/// When a rule is broken.
pub fn run(subject: &dyn Subject) {
    let cases: [(&str, Case); 10] = [
        ("an empty store", empty_store),
        ("revisions and versions", revisions_and_versions),
        ("compares", compares),
        ("a failed transaction", failed_transaction),
        ("ranges", ranges),
        ("deletions", deletions),
        ("limits", over_the_limits),
        ("a key changed twice", changed_twice),
        ("watches", watches),
        ("leases", leases),
    ];
    for (name, case) in cases {
        if let Err(error) = case(&*subject.store()) {
            panic!("{name}: {}", base::ErrorChain(&error));
        }
    }
    if let Some(clock) = subject.clock()
        && let Err(error) = lease_expiry(&*subject.store(), clock)
    {
        panic!("lease expiry: {}", base::ErrorChain(&error));
    }
}

fn put(key: &str, value: &str) -> Op {
    Op::put(key, value)
}

fn keys(store: &dyn MetaStore, prefix: &str) -> Result<Vec<String>, MetaStoreError> {
    let entries = store.range(prefix.as_bytes())?.entries;
    Ok(entries
        .iter()
        .map(|kv| String::from_utf8_lossy(&kv.key).into_owned())
        .collect())
}

fn value(store: &dyn MetaStore, key: &str) -> Result<Option<String>, MetaStoreError> {
    let found = store.get(key.as_bytes())?;
    Ok(found.map(|kv| String::from_utf8_lossy(&kv.value).into_owned()))
}

fn shown(events: &[Event]) -> Vec<String> {
    let show = |event: &Event| {
        let key = String::from_utf8_lossy(&event.key);
        match &event.kind {
            EventKind::Put(kv) => {
                format!(
                    "{} put {key} {}",
                    event.revision,
                    String::from_utf8_lossy(&kv.value)
                )
            }
            EventKind::Delete => format!("{} delete {key}", event.revision),
        }
    };
    events.iter().map(show).collect()
}

fn empty_store(store: &dyn MetaStore) -> Checked {
    assert_eq!(store.revision()?, Revision::ZERO);
    assert_eq!(store.get(b"a")?, None);
    assert_eq!(store.range(b"")?.entries, []);
    let nothing = store.txn(&[], &[])?;
    assert_eq!(
        nothing,
        TxnOutcome {
            revision: Revision::ZERO,
            succeeded: true
        }
    );
    Ok(())
}

fn revisions_and_versions(store: &dyn MetaStore) -> Checked {
    let first = store.txn(&[], &[put("a", "1"), put("b", "1")])?;
    assert_eq!(
        first,
        TxnOutcome {
            revision: Revision(1),
            succeeded: true
        }
    );
    store.txn(&[], &[put("a", "2")])?;
    let a = store
        .get(b"a")?
        .map(|kv| (kv.create_revision.0, kv.mod_revision.0, kv.version));
    assert_eq!(a, Some((1, 2, 2)), "a changed key");
    let b = store
        .get(b"b")?
        .map(|kv| (kv.create_revision.0, kv.mod_revision.0, kv.version));
    assert_eq!(b, Some((1, 1, 1)), "a key another transaction left alone");
    store.txn(&[], &[Op::delete("a")])?;
    store.txn(&[], &[put("a", "3")])?;
    let a = store
        .get(b"a")?
        .map(|kv| (kv.create_revision.0, kv.mod_revision.0, kv.version));
    assert_eq!(a, Some((4, 4, 1)), "a key created again");
    assert_eq!(store.revision()?, Revision(4));
    Ok(())
}

fn compares(store: &dyn MetaStore) -> Checked {
    store.txn(&[], &[put("a", "1")])?;
    let holds = |compare: Compare| -> Result<bool, MetaStoreError> {
        Ok(store.txn(&[compare], &[])?.succeeded)
    };
    assert!(holds(Compare::unchanged_since("a", Revision(1)))?);
    assert!(!holds(Compare::unchanged_since("a", Revision(2)))?);
    assert!(!holds(Compare::absent("a"))?);
    assert!(holds(Compare::absent("b"))?);
    assert!(holds(Compare::Version {
        key: b"a".to_vec(),
        is: 1
    })?);
    assert!(holds(Compare::Version {
        key: b"b".to_vec(),
        is: 0
    })?);
    assert!(holds(Compare::Value {
        key: b"a".to_vec(),
        is: b"1".to_vec()
    })?);
    assert!(!holds(Compare::Value {
        key: b"a".to_vec(),
        is: b"2".to_vec()
    })?);
    assert!(!holds(Compare::Value {
        key: b"b".to_vec(),
        is: Vec::new()
    })?);
    Ok(())
}

fn failed_transaction(store: &dyn MetaStore) -> Checked {
    store.txn(&[], &[put("a", "1")])?;
    let outcome = store.txn(
        &[Compare::absent("b"), Compare::absent("a")],
        &[put("b", "1"), Op::delete("a")],
    )?;
    assert_eq!(
        outcome,
        TxnOutcome {
            revision: Revision(1),
            succeeded: false
        }
    );
    assert_eq!(value(store, "a")?.as_deref(), Some("1"));
    assert_eq!(value(store, "b")?, None);
    Ok(())
}

fn ranges(store: &dyn MetaStore) -> Checked {
    store.txn(
        &[],
        &[
            put("t/b", "1"),
            put("t/a", "1"),
            put("t", "1"),
            put("u", "1"),
        ],
    )?;
    store.txn(&[], &[Op::put(vec![b't', b'/', 0xff], "1")])?;
    assert_eq!(store.range(b"t/")?.entries.len(), 3);
    assert_eq!(keys(store, "t/")?[..2], ["t/a", "t/b"], "in order");
    assert_eq!(keys(store, "")?.len(), 5);
    assert_eq!(keys(store, "v")?.len(), 0);
    assert_eq!(store.range(b"t/")?.revision, Revision(2));
    Ok(())
}

fn deletions(store: &dyn MetaStore) -> Checked {
    store.txn(&[], &[put("t/a", "1"), put("t/b", "1"), put("u", "1")])?;
    assert_eq!(
        store.txn(&[], &[Op::delete("zzz")])?.revision,
        Revision(1),
        "nothing to delete"
    );
    let outcome = store.txn(
        &[],
        &[Op::DeletePrefix {
            prefix: b"t/".to_vec(),
        }],
    )?;
    assert_eq!(outcome.revision, Revision(2));
    assert_eq!(keys(store, "")?, ["u"]);
    Ok(())
}

fn over_the_limits(store: &dyn MetaStore) -> Checked {
    let refused = |ops: &[Op]| match store.txn(&[], ops) {
        Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid),
        Ok(outcome) => panic!("over a limit, and taken: {outcome:?}"),
    };
    refused(&[Op::put(vec![b'k'; limits::KEY_BYTES + 1], "")]);
    refused(&[Op::put("k", vec![0; limits::VALUE_BYTES + 1])]);
    let many: Vec<Op> = (0..=limits::TXN_OPS)
        .map(|i| put(&i.to_string(), ""))
        .collect();
    refused(&many);
    let large: Vec<Op> = (0..=limits::TXN_BYTES / limits::VALUE_BYTES)
        .map(|i| Op::put(i.to_string(), vec![0; limits::VALUE_BYTES]))
        .collect();
    refused(&large);
    assert_eq!(store.revision()?, Revision::ZERO);
    let most = store.txn(
        &[],
        &[Op::put(
            vec![b'k'; limits::KEY_BYTES],
            vec![7; limits::VALUE_BYTES],
        )],
    )?;
    assert!(most.succeeded);
    Ok(())
}

fn changed_twice(store: &dyn MetaStore) -> Checked {
    for ops in [
        [put("t/a", "1"), put("t/a", "2")],
        [put("t/a", "1"), Op::delete("t/a")],
        [
            put("t/a", "1"),
            Op::DeletePrefix {
                prefix: b"t/".to_vec(),
            },
        ],
    ] {
        match store.txn(&[], &ops) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Invalid),
            Ok(outcome) => panic!("{ops:?} was taken: {outcome:?}"),
        }
    }
    assert_eq!(store.revision()?, Revision::ZERO);
    Ok(())
}

fn watches(store: &dyn MetaStore) -> Checked {
    let soon = Duration::from_secs(10);
    store.txn(&[], &[put("t/a", "1"), put("u", "1")])?;
    let mut from_start = store.watch(b"t/", Revision(1))?;
    let mut from_now = store.watch(b"t/", store.revision()?.next())?;
    assert_eq!(shown(&from_start.recv(soon)?), ["1 put t/a 1"]);
    assert_eq!(shown(&from_now.recv(Duration::ZERO)?), Vec::<String>::new());
    store.txn(&[], &[put("t/a", "2"), put("t/b", "1")])?;
    store.txn(&[], &[put("u", "2")])?;
    store.txn(&[], &[Op::delete("t/a")])?;
    let expected = ["2 put t/a 2", "2 put t/b 1", "4 delete t/a"];
    assert_eq!(shown(&from_start.recv(soon)?), expected);
    assert_eq!(shown(&from_now.recv(soon)?), expected);
    // A change wakes a reader that is already waiting.
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || from_now.recv(soon).map(|events| shown(&events)));
        store.txn(&[], &[put("t/c", "1")])?;
        match reader.join() {
            Ok(events) => assert_eq!(events?, ["5 put t/c 1"]),
            Err(_) => panic!("the waiting reader panicked"),
        }
        Ok(())
    })
}

fn leases(store: &dyn MetaStore) -> Checked {
    let attached = |key: &str, lease: LeaseId| Op::Put {
        key: key.into(),
        value: b"1".to_vec(),
        lease: Some(lease),
    };
    let ttl = Duration::from_secs(60);
    let (first, second) = (store.lease_grant(ttl)?, store.lease_grant(ttl)?);
    assert_ne!(first.id, second.id);
    assert_eq!(first.ttl, ttl);
    store.txn(
        &[],
        &[
            attached("a", first.id),
            attached("b", first.id),
            attached("c", first.id),
        ],
    )?;
    // A put without a lease detaches a key, one with another lease moves it.
    store.txn(&[], &[put("b", "2"), attached("c", second.id)])?;
    assert_eq!(store.lease_keep_alive(first.id)?.ttl, ttl);
    let before = store.revision()?;
    store.lease_revoke(first.id)?;
    assert_eq!(keys(store, "")?, ["b", "c"]);
    assert_eq!(
        store.revision()?,
        before.next(),
        "one transaction for all keys of a lease"
    );
    for gone in [
        store.lease_keep_alive(first.id).err(),
        store.lease_revoke(first.id).err(),
    ] {
        assert!(matches!(gone, Some(MetaStoreError::LeaseNotFound(id)) if id == first.id));
    }
    let refused = store.txn(&[], &[attached("d", first.id)]).err();
    assert!(
        matches!(refused, Some(MetaStoreError::LeaseNotFound(_))),
        "{refused:?}"
    );
    Ok(())
}

fn lease_expiry(store: &dyn MetaStore, clock: &ManualClock) -> Checked {
    let lease = store.lease_grant(Duration::from_secs(10))?;
    let member = Op::Put {
        key: b"member".to_vec(),
        value: b"1".to_vec(),
        lease: Some(lease.id),
    };
    store.txn(&[], &[member])?;
    let mut watch = store.watch(b"member", store.revision()?.next())?;
    clock.advance(Duration::from_secs(9));
    assert_eq!(
        store.lease_keep_alive(lease.id)?.remaining,
        Duration::from_secs(10)
    );
    clock.advance(Duration::from_secs(9));
    assert!(store.get(b"member")?.is_some(), "kept alive");
    // A wall clock that jumps ends no lease.
    clock.set_wall_ms(i64::MAX);
    assert!(store.get(b"member")?.is_some());
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        shown(&watch.recv(Duration::from_secs(10))?),
        ["2 delete member"]
    );
    assert_eq!(store.get(b"member")?, None);
    let gone = store.lease_keep_alive(lease.id).err();
    assert!(
        matches!(gone, Some(MetaStoreError::LeaseNotFound(_))),
        "{gone:?}"
    );
    Ok(())
}
