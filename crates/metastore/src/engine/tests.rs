//! The engines against the contract, and the file against damage, crashes and full disks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::ManualClock;
use redb::{Database, DatabaseError, StorageBackend};
use tempfile::TempDir;

use super::*;
use crate::conformance::{self, Subject};
use crate::error::ErrorKind;

struct Memory(Arc<ManualClock>);

impl Subject for Memory {
    fn store(&self) -> Box<dyn MetaStore> {
        Box::new(MemoryStore::new(Arc::clone(&self.0) as Arc<dyn Clock>))
    }

    fn clock(&self) -> Option<&ManualClock> {
        Some(&self.0)
    }
}

struct Embedded {
    directory: TempDir,
    clock: Arc<ManualClock>,
    made: AtomicU64,
}

impl Subject for Embedded {
    fn store(&self) -> Box<dyn MetaStore> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self
            .directory
            .path()
            .join(number.to_string())
            .join("metadata");
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        Box::new(EmbeddedStore::open_with_clock(path, clock).unwrap())
    }

    fn clock(&self) -> Option<&ManualClock> {
        Some(&self.clock)
    }
}

#[test]
fn the_memory_engine_keeps_the_contract() {
    conformance::run(&Memory(Arc::new(ManualClock::new(0))));
}

#[test]
fn the_embedded_engine_keeps_the_contract() {
    conformance::run(&Embedded {
        directory: TempDir::new().unwrap(),
        clock: Arc::new(ManualClock::new(0)),
        made: AtomicU64::new(0),
    });
}

fn everything(store: &EmbeddedStore) -> Range {
    store.range(b"").unwrap()
}

/// A closed file with a few transactions in it, and what it holds.
fn filled(directory: &Path) -> (PathBuf, Range) {
    let path = directory.join("metadata");
    let store = EmbeddedStore::open(&path).unwrap();
    for round in 0..20u32 {
        let ops: Vec<Op> = (0..5)
            .map(|i| Op::put(format!("key/{round}/{i}"), vec![round as u8; 40 * i]))
            .collect();
        store.txn(&[], &ops).unwrap();
    }
    store.txn(&[], &[Op::delete("key/3/1")]).unwrap();
    let contents = everything(&store);
    (path, contents)
}

#[test]
fn a_file_keeps_everything_when_closed() {
    let directory = TempDir::new().unwrap();
    let (path, before) = filled(directory.path());
    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(everything(&store), before);
    assert_eq!(store.revision().unwrap(), Revision(21));
    let outcome = store
        .txn(&[Compare::unchanged_since("key/0/0", Revision(1))], &[])
        .unwrap();
    assert!(outcome.succeeded);
    assert_eq!(
        store.txn(&[], &[Op::put("a", "b")]).unwrap().revision,
        Revision(22)
    );
}

#[test]
fn leases_start_anew_when_a_file_is_opened() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("metadata");
    let clock = Arc::new(ManualClock::new(0));
    let open =
        || EmbeddedStore::open_with_clock(&path, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    let store = open();
    let lease = store.lease_grant(Duration::from_secs(10)).unwrap();
    let put = Op::Put {
        key: b"member".to_vec(),
        value: Vec::new(),
        lease: Some(lease.id),
    };
    store.txn(&[], &[put]).unwrap();
    clock.advance(Duration::from_secs(9));
    drop(store);
    let store = open();
    clock.advance(Duration::from_secs(9));
    assert!(store.get(b"member").unwrap().is_some());
    let next = store.lease_grant(Duration::from_secs(10)).unwrap();
    assert_ne!(next.id, lease.id);
    clock.advance(Duration::from_secs(1));
    assert!(store.get(b"member").unwrap().is_none());
}

#[test]
fn each_acknowledged_transaction_survives_a_kill() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("metadata");
    let store = EmbeddedStore::open(&path).unwrap();
    for round in 1..=25u64 {
        store
            .txn(
                &[],
                &[
                    Op::put("counter", round.to_string()),
                    Op::put(round.to_string(), vec![7; 900]),
                ],
            )
            .unwrap();
        // What a killed process leaves behind: the file as it is, never closed.
        let copy = directory.path().join(format!("killed-{round}"));
        fs::copy(&path, &copy).unwrap();
        fs::copy(acknowledged::beside(&path), acknowledged::beside(&copy)).unwrap();
        let recovered = EmbeddedStore::open(&copy).unwrap();
        assert_eq!(everything(&recovered), everything(&store));
        assert_eq!(recovered.revision().unwrap(), Revision(round));
    }
}

/// Opens a damaged copy: either it is refused with an error that names it, or it holds exactly what it did.
fn check_damaged(path: &Path, bytes: &[u8], expected: &Range, what: &str) -> bool {
    fs::write(path, bytes).unwrap();
    let noted = path.with_file_name("metadata");
    fs::copy(acknowledged::beside(&noted), acknowledged::beside(path)).unwrap();
    match EmbeddedStore::open(path) {
        Ok(store) => {
            assert!(&everything(&store) == expected, "{what} went unnoticed");
            false
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
            let text = error.to_string();
            assert!(text.contains(&*path.to_string_lossy()), "{what}: {text}");
            assert!(text.contains("restore it from a backup"), "{what}: {text}");
            true
        }
    }
}

#[test]
fn flipped_bytes_are_never_taken_for_data() {
    let directory = TempDir::new().unwrap();
    let (path, expected) = filled(directory.path());
    let sound = fs::read(&path).unwrap();
    let damaged = directory.path().join("damaged");
    let mut found = 0;
    // The file begins with redb's header of 320 bytes: each of them; then samples of the rest.
    let places = (0..330).chain((330..sound.len()).step_by(sound.len() / 150));
    for place in places {
        let mut bytes = sound.clone();
        bytes[place] ^= 0x10;
        found += usize::from(check_damaged(
            &damaged,
            &bytes,
            &expected,
            &format!("byte {place}"),
        ));
    }
    assert!(found > 10, "only {found} damages were found");
}

#[test]
fn flipped_bytes_of_a_killed_process_are_never_taken_for_data() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("metadata");
    let store = EmbeddedStore::open(&path).unwrap();
    for round in 0..10u64 {
        store
            .txn(
                &[],
                &[Op::put("a", vec![round as u8; 3000]), Op::put("b", "1")],
            )
            .unwrap();
    }
    let expected = everything(&store);
    let sound = fs::read(&path).unwrap();
    let damaged = directory.path().join("damaged");
    let mut found = 0;
    let places = (0..330).chain((330..sound.len()).step_by(sound.len() / 150));
    for place in places {
        let mut bytes = sound.clone();
        bytes[place] ^= 0x01;
        found += usize::from(check_damaged(
            &damaged,
            &bytes,
            &expected,
            &format!("byte {place}"),
        ));
    }
    assert!(found > 5, "only {found} damages were found");
}

#[test]
fn cut_empty_and_foreign_files_are_refused() {
    let directory = TempDir::new().unwrap();
    let (path, expected) = filled(directory.path());
    let sound = fs::read(&path).unwrap();
    let damaged = directory.path().join("damaged");
    for length in [
        0,
        1,
        64,
        320,
        4096,
        5000,
        sound.len() / 2,
        sound.len() - 4096,
        sound.len() - 1,
    ] {
        let what = format!("cut to {length} bytes");
        let refused = check_damaged(&damaged, &sound[..length], &expected, &what);
        assert!(refused || length > sound.len() / 2, "{what} was taken");
    }
    assert!(check_damaged(
        &damaged,
        &[b'x'; 20_000],
        &expected,
        "a file of another kind"
    ));
}

#[test]
fn a_loss_can_be_accepted_on_purpose() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("metadata");
    let store = EmbeddedStore::open(&path).unwrap();
    store.txn(&[], &[Op::put("a", "1")]).unwrap();
    let backup = directory.path().join("backup");
    fs::copy(&path, &backup).unwrap();
    store.txn(&[], &[Op::put("a", "2")]).unwrap();
    drop(store);
    fs::copy(&backup, &path).unwrap();
    let error = EmbeddedStore::open(&path).unwrap_err().to_string();
    assert!(
        error.contains("it holds revision 1, but revision 2 was acknowledged"),
        "{error}"
    );
    fs::remove_file(acknowledged::beside(&path)).unwrap();
    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(store.get(b"a").unwrap().unwrap().value, b"1");
}

#[test]
fn a_lost_file_does_not_come_back_empty() {
    let directory = TempDir::new().unwrap();
    let (path, _) = filled(directory.path());
    fs::remove_file(&path).unwrap();
    let error = EmbeddedStore::open(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error
            .to_string()
            .contains("it is missing, but revision 21 was acknowledged"),
        "{error}"
    );
    fs::remove_file(acknowledged::beside(&path)).unwrap();
    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(store.revision().unwrap(), Revision::ZERO);
}

#[test]
fn a_file_in_use_is_refused() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("metadata");
    let _store = EmbeddedStore::open(&path).unwrap();
    let error = EmbeddedStore::open(&path).unwrap_err();
    assert!(matches!(error, MetaStoreError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("in use by another process"));
}

#[test]
fn a_file_of_a_later_format_is_refused() {
    let directory = TempDir::new().unwrap();
    let (path, _) = filled(directory.path());
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    transaction
        .open_table(meta)
        .unwrap()
        .insert("format", 2)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = EmbeddedStore::open(&path).unwrap_err();
    assert!(
        matches!(
            error,
            MetaStoreError::NewerFormat {
                found: 2,
                supported: 1,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn an_unfinished_creation_is_begun_again() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("metadata");
    fs::write(path.with_extension("new"), b"half a fi").unwrap();
    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(store.revision().unwrap(), Revision::ZERO);
    assert!(!path.with_extension("new").exists());
}

static FULL: AtomicBool = AtomicBool::new(false);

/// A disk that refuses every write while [`FULL`] says so.
#[derive(Debug)]
struct FullDisk(redb::backends::FileBackend);

type BackendResult<T> = std::io::Result<T>;

fn room() -> BackendResult<()> {
    if FULL.load(Ordering::SeqCst) {
        return Err(std::io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

impl StorageBackend for FullDisk {
    fn len(&self) -> BackendResult<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> BackendResult<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> BackendResult<()> {
        room()?;
        self.0.set_len(len)
    }

    fn sync_data(&self) -> BackendResult<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> BackendResult<()> {
        room()?;
        self.0.write(offset, data)
    }
}

fn open_on_full_disk(path: &Path) -> Result<Database, DatabaseError> {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(redb::StorageError::Io)?;
    Database::builder().create_with_backend(FullDisk(redb::backends::FileBackend::new(file)?))
}

#[test]
fn a_full_disk_refuses_changes_until_there_is_room() {
    let directory = TempDir::new().unwrap();
    let (path, _) = filled(directory.path());
    let (backend, contents) = RedbBackend::open_with(&path, open_on_full_disk).unwrap();
    let store = Engine::new(backend, contents, Arc::new(SystemClock::new()));
    let before = store.range(b"").unwrap();
    FULL.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        let error = store
            .txn(&[], &[Op::put("a", vec![1; 100_000])])
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
        assert!(error.to_string().contains("free some space"));
    }
    FULL.store(false, Ordering::SeqCst);
    assert_eq!(store.range(b"").unwrap(), before);
    let outcome = store.txn(&[], &[Op::put("a", vec![1; 100_000])]).unwrap();
    assert_eq!(outcome.revision, before.revision.next());
    drop(store);
    let store = EmbeddedStore::open(&path).unwrap();
    assert_eq!(store.revision().unwrap(), outcome.revision);
}

#[test]
fn a_watch_that_falls_behind_is_told() {
    let store = MemoryStore::default();
    let mut watch = store.watch(b"", Revision(1)).unwrap();
    let ops: Vec<Op> = (0..1000).map(|i| Op::put(format!("{i}"), "")).collect();
    for _ in 0..70 {
        store.txn(&[], &ops).unwrap();
    }
    let error = watch.recv(Duration::ZERO).unwrap_err();
    let MetaStoreError::Compacted {
        requested: Revision(1),
        oldest,
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(oldest, Revision(6));
    assert!(store.watch(b"", Revision(5)).is_err());
    let mut watch = store.watch(b"", oldest).unwrap();
    assert_eq!(watch.recv(Duration::ZERO).unwrap().len(), 65_000);
}
