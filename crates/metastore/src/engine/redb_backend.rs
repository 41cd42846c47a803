//! Keys in one local file, through `redb`.
//!
//! Four tables: `entries` (key to envelope), `leases` (id to milliseconds), `meta` (`format`, `revision`).
//! Each batch is one redb transaction with two-phase commit and two syncs: with one phase, redb takes a damaged
//! last commit for a torn write and falls back to the commit before it, which would lose acknowledged changes
//! without a word. With two phases it refuses instead. What that leaves open is closed by
//! [`Acknowledged`].
//!
//! A new file is made under another name and renamed when it is whole, so an empty or half-made file under the
//! final name can only mean damage. Opening walks all of redb's checksums, then all entries.
//!
//! After a failed write redb refuses all further ones until the file is opened again. A full disk is worth that:
//! the backend opens it again and reads from the revision whether the batch was made. Any other failed write may
//! hide a failed sync, after which nothing the file says about itself can be trusted; that ends the backend.

use std::fs::{self, File};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
};

use super::acknowledged::{self, Acknowledged};
use super::{Backend, Batch, Contents, envelope};
use crate::error::MetaStoreError;
use crate::store::{KeyValue, LeaseId, Range, Revision};

const ENTRIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");
const LEASES: TableDefinition<'_, u64, u64> = TableDefinition::new("leases");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const FORMAT: u64 = 1;
/// Pages kept in memory; requests read the image, so there is no use for more.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// How the file is opened; a test puts a disk that fails underneath.
pub(super) type Opener = fn(&Path) -> Result<Database, DatabaseError>;

#[derive(Debug)]
pub(super) struct RedbBackend {
    path: PathBuf,
    opener: Opener,
    /// None between a full disk and the next successful opening.
    database: RwLock<Option<Database>>,
    acknowledged: Acknowledged,
    failed: Mutex<Option<String>>,
}

impl RedbBackend {
    /// Opens or creates the file, verifies it, and says what it holds.
    pub(super) fn open(path: &Path) -> Result<(RedbBackend, Contents), MetaStoreError> {
        RedbBackend::open_with(path, |path| {
            Database::builder().set_cache_size(CACHE_BYTES).open(path)
        })
    }

    pub(super) fn open_with(
        path: &Path,
        opener: Opener,
    ) -> Result<(RedbBackend, Contents), MetaStoreError> {
        let io_error = |action| {
            move |source| MetaStoreError::Io {
                action,
                path: path.to_path_buf(),
                source,
            }
        };
        match fs::metadata(path) {
            Ok(metadata) if metadata.len() == 0 => {
                return Err(corrupt(path, "it is empty"));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                refuse_lost_file(path)?;
                create(path)?;
            }
            Err(error) => return Err(io_error("open")(error)),
        }
        let (database, contents) = open_verified(path, opener)?;
        let acknowledged = open_acknowledged(path, contents.revision)?;
        let backend = RedbBackend {
            path: path.to_path_buf(),
            opener,
            database: RwLock::new(Some(database)),
            acknowledged,
            failed: Mutex::new(None),
        };
        Ok((backend, contents))
    }

    fn check_usable(&self) -> Result<(), MetaStoreError> {
        match &*self.failed.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(detail) => Err(MetaStoreError::Failed {
                path: self.path.clone(),
                detail: detail.clone(),
            }),
        }
    }

    fn fail(&self, error: MetaStoreError) -> MetaStoreError {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert_with(|| error.to_string());
        error
    }

    /// Runs `read` on the open database, which is opened again if a full disk closed it.
    fn with_database<T>(
        &self,
        action: &'static str,
        run: impl Fn(&Database) -> Result<T, Failure>,
    ) -> Result<T, MetaStoreError> {
        self.check_usable()?;
        loop {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(database) = &*database {
                return guarded(|| run(database)).map_err(|failure| {
                    match failure.over(action, &self.path) {
                        error @ MetaStoreError::Corrupt { .. } => self.fail(error),
                        error => error,
                    }
                });
            }
            drop(database);
            self.reopen()?;
        }
    }

    /// Opens the file again and returns the revision it holds.
    fn reopen(&self) -> Result<Revision, MetaStoreError> {
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *database = None;
        let (reopened, contents) = match open_verified(&self.path, self.opener) {
            Err(error @ MetaStoreError::Corrupt { .. }) => return Err(self.fail(error)),
            other => other?,
        };
        *database = Some(reopened);
        Ok(contents.revision)
    }
}

impl RedbBackend {
    /// Notes the revision of a batch that is durable. A full disk does not undo the batch; the note is then
    /// behind until the next one.
    fn acknowledge(&self, batch: &Batch) -> Result<(), MetaStoreError> {
        match self.acknowledged.note(batch.revision) {
            Ok(()) => Ok(()),
            Err(error) => match Failure::Io(error).over("write", &acknowledged::beside(&self.path))
            {
                MetaStoreError::DiskFull { .. } => Ok(()),
                error => Err(self.fail(error)),
            },
        }
    }
}

impl Backend for RedbBackend {
    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, MetaStoreError> {
        self.with_database("read", |database| {
            let table = database.begin_read()?.open_table(ENTRIES)?;
            let Some(bytes) = table.get(key)? else {
                return Ok(None);
            };
            envelope::decode(key, bytes.value())
                .map(Some)
                .map_err(Failure::Damaged)
        })
    }

    fn range(&self, prefix: &[u8]) -> Result<Range, MetaStoreError> {
        self.with_database("read", |database| {
            let snapshot = database.begin_read()?;
            let meta = snapshot.open_table(META)?;
            let revision = Revision(meta.get("revision")?.map_or(0, |value| value.value()));
            let table = snapshot.open_table(ENTRIES)?;
            let mut entries = Vec::new();
            for entry in table.range(prefix..)? {
                let (key, value) = entry?;
                if !key.value().starts_with(prefix) {
                    break;
                }
                let kv = envelope::decode(key.value(), value.value()).map_err(Failure::Damaged)?;
                entries.push(kv);
            }
            Ok(Range { revision, entries })
        })
    }

    fn commit(&self, batch: &Batch) -> Result<(), MetaStoreError> {
        let written = self.with_database("write", |database| write(database, batch));
        let error = match written {
            Ok(()) => return self.acknowledge(batch),
            Err(error) => error,
        };
        if !matches!(error, MetaStoreError::DiskFull { .. }) {
            return Err(self.fail(error));
        }
        // The batch was made as a whole or not at all; only the file knows.
        match self.reopen() {
            Ok(revision) if revision == batch.revision && !batch.changes.is_empty() => {
                self.acknowledge(batch)
            }
            Ok(_) => Err(error),
            Err(reopening) => Err(reopening),
        }
    }
}

fn write(database: &Database, batch: &Batch) -> Result<(), Failure> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    {
        let mut entries = transaction.open_table(ENTRIES)?;
        for (key, change) in &batch.changes {
            match change {
                Some(kv) => drop(entries.insert(key.as_slice(), envelope::encode(kv).as_slice())?),
                None => drop(entries.remove(key.as_slice())?),
            }
        }
        let mut leases = transaction.open_table(LEASES)?;
        for (id, ttl_ms) in &batch.leases {
            match ttl_ms {
                Some(ttl_ms) => drop(leases.insert(id.0, ttl_ms)?),
                None => drop(leases.remove(id.0)?),
            }
        }
        transaction
            .open_table(META)?
            .insert("revision", batch.revision.0)?;
    }
    transaction.commit()?;
    Ok(())
}

/// A file that was there once does not come back empty.
fn refuse_lost_file(path: &Path) -> Result<(), MetaStoreError> {
    let beside = acknowledged::beside(path);
    if !beside.exists() {
        return Ok(());
    }
    let io_error = |source| Failure::Io(source).over("open", &beside);
    match Acknowledged::open(path).map_err(io_error)?.1 {
        Some(Revision::ZERO) => Ok(()),
        Some(last) => Err(corrupt(
            path,
            &format!("it is missing, but revision {last} was acknowledged"),
        )),
        None => Err(corrupt(&beside, "neither of its records can be read")),
    }
}

/// Makes a whole file beside `path`, then gives it its name.
fn create(path: &Path) -> Result<(), MetaStoreError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let unfinished = path.with_extension("new");
    let io_error = |source: io::Error| Failure::Io(source).over("create", path);
    fs::create_dir_all(directory).map_err(io_error)?;
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(error)),
        _ => {}
    }
    let made = guarded(|| {
        let database = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(&unfinished)?;
        let mut transaction = database.begin_write()?;
        transaction.set_two_phase_commit(true);
        transaction.open_table(ENTRIES)?;
        transaction.open_table(LEASES)?;
        let mut meta = transaction.open_table(META)?;
        meta.insert("format", FORMAT)?;
        meta.insert("revision", 0)?;
        drop(meta);
        transaction.commit()?;
        Ok(())
    });
    made.map_err(|failure| failure.over("create", path))?;
    drop(Acknowledged::open(path).map_err(io_error)?);
    fs::rename(&unfinished, path).map_err(io_error)?;
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(io_error)
}

/// Opens the file and reads all of it once.
fn open_verified(path: &Path, opener: Opener) -> Result<(Database, Contents), MetaStoreError> {
    let opened = guarded(|| {
        let mut database = opener(path)?;
        if !database.check_integrity()? {
            return Err(Failure::Damaged("its integrity check failed".to_owned()));
        }
        let contents = read_contents(&database)?;
        Ok((database, contents))
    });
    opened.map_err(|failure| failure.over("open", path))
}

/// Compares what the file holds with what was acknowledged.
fn open_acknowledged(path: &Path, held: Revision) -> Result<Acknowledged, MetaStoreError> {
    let beside = acknowledged::beside(path);
    let known = beside.exists();
    let io_error = |source| Failure::Io(source).over("open", &beside);
    let (acknowledged, last) = Acknowledged::open(path).map_err(io_error)?;
    match last {
        None => Err(corrupt(&beside, "neither of its records can be read")),
        Some(last) if last > held => Err(corrupt(
            path,
            &format!(
                "it holds revision {held}, but revision {last} was acknowledged; remove '{}' to accept \
                 the loss",
                beside.display()
            ),
        )),
        Some(_) => {
            if !known {
                tracing::warn!(
                    path = %beside.display(),
                    revision = held.0,
                    "the note of the last acknowledged revision was missing: taking what the metadata holds"
                );
                acknowledged.note(held).map_err(io_error)?;
            }
            Ok(acknowledged)
        }
    }
}

fn read_contents(database: &Database) -> Result<Contents, Failure> {
    let damaged = |what: &str| Failure::Damaged(what.to_owned());
    let snapshot = database.begin_read()?;
    let meta = snapshot.open_table(META)?;
    let format = meta.get("format")?.map(|value| value.value());
    match format {
        Some(FORMAT) => {}
        Some(found) if found > FORMAT => return Err(Failure::NewerFormat(found)),
        _ => return Err(damaged("it does not say its format")),
    }
    let revision = meta.get("revision")?.map(|value| Revision(value.value()));
    let revision = revision.ok_or_else(|| damaged("it does not say its revision"))?;
    let mut contents = Contents {
        revision,
        ..Contents::default()
    };
    for lease in snapshot.open_table(LEASES)?.iter()? {
        let (id, ttl_ms) = lease?;
        contents.leases.push((LeaseId(id.value()), ttl_ms.value()));
    }
    for entry in snapshot.open_table(ENTRIES)?.iter()? {
        let (key, value) = entry?;
        let kv = envelope::decode(key.value(), value.value()).map_err(Failure::Damaged)?;
        if kv.mod_revision > revision {
            return Err(damaged("it holds a change later than its revision"));
        }
        if let Some(lease) = kv.lease {
            contents.attached.push((lease, kv.key));
        }
    }
    Ok(contents)
}

/// Runs something that reads the file. redb checks what it reads, yet a panic on bytes nobody foresaw must end
/// this call and not the process.
fn guarded<T>(run: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(Failure::Damaged(format!("reading it panicked: {what}")))
    })
}

fn corrupt(path: &Path, detail: &str) -> MetaStoreError {
    MetaStoreError::Corrupt {
        path: path.to_path_buf(),
        detail: detail.to_owned(),
    }
}

/// What went wrong, before it is known with which file and while doing what.
#[derive(Debug)]
enum Failure {
    Damaged(String),
    Io(io::Error),
    NewerFormat(u64),
    InUse,
    Other(String),
}

impl Failure {
    fn over(self, action: &'static str, path: &Path) -> MetaStoreError {
        let path = path.to_path_buf();
        match self {
            Failure::Damaged(detail) => MetaStoreError::Corrupt { path, detail },
            Failure::InUse => MetaStoreError::InUse { path },
            Failure::NewerFormat(found) => MetaStoreError::NewerFormat {
                path,
                found,
                supported: FORMAT,
            },
            Failure::Other(detail) => MetaStoreError::Failed { path, detail },
            Failure::Io(source) => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    MetaStoreError::DiskFull { path }
                }
                // redb's answer to a file that is none of its own, and to one that ends too early.
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
                    MetaStoreError::Corrupt {
                        path,
                        detail: source.to_string(),
                    }
                }
                _ => MetaStoreError::Io {
                    action,
                    path,
                    source,
                },
            },
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Failure {
        match error {
            StorageError::Io(source) => Failure::Io(source),
            StorageError::Corrupted(detail) => Failure::Damaged(detail),
            other => Failure::Other(other.to_string()),
        }
    }
}

impl From<DatabaseError> for Failure {
    fn from(error: DatabaseError) -> Failure {
        match error {
            DatabaseError::DatabaseAlreadyOpen => Failure::InUse,
            DatabaseError::Storage(error) => error.into(),
            // This version has only ever written redb's current format.
            error @ DatabaseError::UpgradeRequired(_) => Failure::Damaged(error.to_string()),
            DatabaseError::RepairAborted => Failure::Damaged("it could not be repaired".to_owned()),
            other => Failure::Other(other.to_string()),
        }
    }
}

impl From<redb::TransactionError> for Failure {
    fn from(error: redb::TransactionError) -> Failure {
        match error {
            redb::TransactionError::Storage(error) => error.into(),
            other => Failure::Other(other.to_string()),
        }
    }
}

impl From<redb::TableError> for Failure {
    fn from(error: redb::TableError) -> Failure {
        match error {
            redb::TableError::Storage(error) => error.into(),
            // Every file has all tables from its creation on.
            other => Failure::Damaged(other.to_string()),
        }
    }
}

impl From<redb::CommitError> for Failure {
    fn from(error: redb::CommitError) -> Failure {
        match error {
            redb::CommitError::Storage(error) => error.into(),
            other => Failure::Other(other.to_string()),
        }
    }
}
