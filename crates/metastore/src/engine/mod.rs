//! The engines that run inside the process: one file, or memory.
//!
//! [`Engine`] holds what both share: the evaluation of transactions, revisions, leases, the history that
//! watches read. A [`Backend`] only keeps keys and applies a finished [`Batch`] in one step.
//!
//! Leases run by monotonic time. Nothing wakes up for them: each call that could see an expired lease's keys
//! expires it first, and a waiting watch waits no longer than to the next deadline. After a restart each lease
//! starts its full time anew, as in etcd after a change of leader.

mod acknowledged;
mod envelope;
mod memory;
mod redb_backend;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base::{Clock, SystemClock, Timestamp};

use crate::error::MetaStoreError;
use crate::store::{
    Compare, Event, EventKind, KeyValue, Lease, LeaseId, MetaStore, Op, Range, Revision,
    TxnOutcome, Watch, limits,
};
use memory::MemoryBackend;
use redb_backend::RedbBackend;
use watch::History;

/// What a transaction does to the keys, worked out.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The revision afterwards.
    pub(crate) revision: Revision,
    /// Each key that changes, with what it becomes; none: it goes.
    pub(crate) changes: BTreeMap<Vec<u8>, Option<KeyValue>>,
    /// Leases granted (with their time in milliseconds) or ended.
    pub(crate) leases: Vec<(LeaseId, Option<u64>)>,
}

/// What a backend holds at open.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) revision: Revision,
    /// Leases with their time in milliseconds.
    pub(crate) leases: Vec<(LeaseId, u64)>,
    /// Keys that are attached to one.
    pub(crate) attached: Vec<(LeaseId, Vec<u8>)>,
}

/// Keeps keys. Calls to `commit` never overlap.
pub(crate) trait Backend: Send + Sync + fmt::Debug + 'static {
    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, MetaStoreError>;
    /// All keys below `prefix` and the revision, as of one moment.
    fn range(&self, prefix: &[u8]) -> Result<Range, MetaStoreError>;
    /// Makes the batch durable, whole or not at all.
    fn commit(&self, batch: &Batch) -> Result<(), MetaStoreError>;
}

/// A store in one local file.
///
/// Opening verifies the whole file. The file is locked against other processes while it is open.
#[derive(Debug)]
pub struct EmbeddedStore(Engine<RedbBackend>);

/// A store in memory, for tests and simulations; it forgets everything when dropped.
#[derive(Debug)]
pub struct MemoryStore(Engine<MemoryBackend>);

impl EmbeddedStore {
    /// Opens the file at `path`, or creates it with its directory there.
    ///
    /// # Errors
    /// [`MetaStoreError::Corrupt`] for a damaged file, which is left as it is; [`MetaStoreError::InUse`],
    /// [`MetaStoreError::NewerFormat`], [`MetaStoreError::DiskFull`], [`MetaStoreError::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<EmbeddedStore, MetaStoreError> {
        EmbeddedStore::open_with_clock(path, Arc::new(SystemClock::new()))
    }

    /// As [`EmbeddedStore::open`], with the clock that leases run by.
    ///
    /// # Errors
    /// As [`EmbeddedStore::open`].
    pub fn open_with_clock(
        path: impl AsRef<Path>,
        clock: Arc<dyn Clock>,
    ) -> Result<EmbeddedStore, MetaStoreError> {
        let (backend, contents) = RedbBackend::open(path.as_ref())?;
        Ok(EmbeddedStore(Engine::new(backend, contents, clock)))
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> MemoryStore {
        MemoryStore(Engine::new(
            MemoryBackend::default(),
            Contents::default(),
            clock,
        ))
    }
}

impl Default for MemoryStore {
    fn default() -> MemoryStore {
        MemoryStore::new(Arc::new(SystemClock::new()))
    }
}

#[derive(Debug)]
struct HeldLease {
    ttl: Duration,
    deadline: Timestamp,
    keys: BTreeSet<Vec<u8>>,
}

/// What changes with each transaction, under one lock that is held while a batch is committed.
#[derive(Debug)]
struct State {
    revision: Revision,
    leases: BTreeMap<LeaseId, HeldLease>,
    next_lease: u64,
}

#[derive(Debug)]
struct Core<B> {
    backend: B,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    /// The earliest deadline of a lease in milliseconds, so that reads need not take the lock.
    next_deadline_ms: AtomicU64,
    history: Arc<History>,
}

/// The part of an engine that is the same over each backend.
#[derive(Debug)]
struct Engine<B>(Arc<Core<B>>);

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl<B: Backend> Engine<B> {
    fn new(backend: B, contents: Contents, clock: Arc<dyn Clock>) -> Engine<B> {
        let now = clock.monotonic();
        let mut leases = BTreeMap::new();
        for (id, ttl_ms) in contents.leases {
            let ttl = Duration::from_millis(ttl_ms);
            leases.insert(
                id,
                HeldLease {
                    ttl,
                    deadline: now.after(ttl),
                    keys: BTreeSet::new(),
                },
            );
        }
        for (id, key) in contents.attached {
            if let Some(lease) = leases.get_mut(&id) {
                lease.keys.insert(key);
            }
        }
        let next_lease = leases
            .keys()
            .next_back()
            .map_or(1, |id| id.0.saturating_add(1));
        let state = State {
            revision: contents.revision,
            leases,
            next_lease,
        };
        let core = Core {
            next_deadline_ms: AtomicU64::new(state.next_deadline_ms()),
            history: Arc::new(History::new(contents.revision)),
            state: Mutex::new(state),
            backend,
            clock,
        };
        Engine(Arc::new(core))
    }
}

impl State {
    fn next_deadline_ms(&self) -> u64 {
        self.leases
            .values()
            .map(|lease| millis(lease.deadline.0))
            .min()
            .unwrap_or(u64::MAX)
    }

    fn lease(&self, id: LeaseId, now: Timestamp) -> Option<Lease> {
        let lease = self.leases.get(&id)?;
        Some(Lease {
            id,
            ttl: lease.ttl,
            remaining: lease.deadline.since(now),
        })
    }
}

impl<B: Backend> Core<B> {
    /// The state, with every lease that is due expired. A panic while it was held cannot have left it half
    /// changed: it is only changed after a commit, by code that does not fail.
    fn lock(&self) -> Result<MutexGuard<'_, State>, MetaStoreError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = self.clock.monotonic();
            let due = state.leases.iter().find(|(_, lease)| lease.deadline <= now);
            let Some(id) = due.map(|(id, _)| *id) else {
                return Ok(state);
            };
            self.end_lease(&mut state, id)?;
        }
    }

    /// Expires what is due, without the lock when nothing is.
    fn settle(&self) -> Result<(), MetaStoreError> {
        if millis(self.clock.monotonic().0) >= self.next_deadline_ms.load(Ordering::Acquire) {
            drop(self.lock()?);
        }
        Ok(())
    }

    /// Deletes a lease and its keys.
    fn end_lease(&self, state: &mut State, id: LeaseId) -> Result<(), MetaStoreError> {
        let Some(lease) = state.leases.get(&id) else {
            return Ok(());
        };
        let mut batch = Batch {
            leases: vec![(id, None)],
            ..Batch::default()
        };
        batch.changes = lease.keys.iter().map(|key| (key.clone(), None)).collect();
        self.commit(state, batch)
    }

    /// Commits a batch and moves the state and the history along.
    fn commit(&self, state: &mut State, mut batch: Batch) -> Result<(), MetaStoreError> {
        batch.revision = if batch.changes.is_empty() {
            state.revision
        } else {
            state.revision.next()
        };
        for change in batch.changes.values_mut().flatten() {
            change.mod_revision = batch.revision;
            if change.version == 1 {
                change.create_revision = batch.revision;
            }
        }
        self.backend.commit(&batch)?;
        state.revision = batch.revision;
        let now = self.clock.monotonic();
        for (id, ttl_ms) in &batch.leases {
            match ttl_ms.map(Duration::from_millis) {
                None => drop(state.leases.remove(id)),
                Some(ttl) => {
                    let deadline = now.after(ttl);
                    let lease = HeldLease {
                        ttl,
                        deadline,
                        keys: BTreeSet::new(),
                    };
                    state.leases.insert(*id, lease);
                }
            }
        }
        for (key, change) in &batch.changes {
            let attached_to = change.as_ref().and_then(|kv| kv.lease);
            for (id, lease) in &mut state.leases {
                if Some(*id) == attached_to {
                    lease.keys.insert(key.clone());
                } else {
                    lease.keys.remove(key);
                }
            }
        }
        self.next_deadline_ms
            .store(state.next_deadline_ms(), Ordering::Release);
        let revision = batch.revision;
        let events = batch.changes.into_iter().map(|(key, change)| Event {
            key,
            revision,
            kind: change.map_or(EventKind::Delete, EventKind::Put),
        });
        self.history.push(revision, events.collect());
        Ok(())
    }

    /// What `ops` do to the keys as they are; nothing else changes while the state is locked.
    fn work_out(&self, state: &State, ops: &[Op]) -> Result<Batch, MetaStoreError> {
        let mut batch = Batch::default();
        let mut touched = BTreeSet::new();
        for op in ops {
            match op {
                Op::Put { key, value, lease } => {
                    if !touched.insert(key.clone()) || batch.changes.contains_key(key) {
                        return Err(duplicate(key));
                    }
                    if let Some(id) = lease.filter(|id| !state.leases.contains_key(id)) {
                        return Err(MetaStoreError::LeaseNotFound(id));
                    }
                    let now = self.backend.get(key)?;
                    let changed = KeyValue {
                        key: key.clone(),
                        value: value.clone(),
                        create_revision: now
                            .as_ref()
                            .map_or(Revision::ZERO, |kv| kv.create_revision),
                        mod_revision: Revision::ZERO,
                        version: now.as_ref().map_or(1, |kv| kv.version.saturating_add(1)),
                        lease: *lease,
                    };
                    batch.changes.insert(key.clone(), Some(changed));
                }
                Op::Delete { key } => {
                    if !touched.insert(key.clone()) || batch.changes.contains_key(key) {
                        return Err(duplicate(key));
                    }
                    if self.backend.get(key)?.is_some() {
                        batch.changes.insert(key.clone(), None);
                    }
                }
                Op::DeletePrefix { prefix } => {
                    if let Some(key) = touched.iter().find(|key| key.starts_with(prefix)) {
                        return Err(duplicate(key));
                    }
                    for entry in self.backend.range(prefix)?.entries {
                        batch.changes.insert(entry.key, None);
                    }
                }
            }
        }
        Ok(batch)
    }
}

fn duplicate(key: &[u8]) -> MetaStoreError {
    let key = String::from_utf8_lossy(key);
    MetaStoreError::Invalid(format!("the key '{key}' is changed more than once"))
}

/// Refuses what is over the limits.
fn check_limits(compares: &[Compare], ops: &[Op]) -> Result<(), MetaStoreError> {
    let count = compares.len().max(ops.len());
    if count > limits::TXN_OPS {
        return Err(MetaStoreError::Invalid(format!(
            "it has {count} operations or conditions, at most {} are taken",
            limits::TXN_OPS
        )));
    }
    let mut bytes = 0usize;
    let keys = compares
        .iter()
        .map(Compare::key)
        .chain(ops.iter().map(|op| match op {
            Op::Put { key, .. } | Op::Delete { key } => key.as_slice(),
            Op::DeletePrefix { prefix } => prefix.as_slice(),
        }));
    for key in keys {
        if key.len() > limits::KEY_BYTES {
            return Err(MetaStoreError::Invalid(format!(
                "a key has {} bytes, at most {} are taken",
                key.len(),
                limits::KEY_BYTES
            )));
        }
        bytes = bytes.saturating_add(key.len());
    }
    for op in ops {
        let Op::Put { key, value, .. } = op else {
            continue;
        };
        if value.len() > limits::VALUE_BYTES {
            return Err(MetaStoreError::Invalid(format!(
                "the value of '{}' has {} bytes, at most {} are taken",
                String::from_utf8_lossy(key),
                value.len(),
                limits::VALUE_BYTES
            )));
        }
        bytes = bytes.saturating_add(value.len());
    }
    if bytes > limits::TXN_BYTES {
        return Err(MetaStoreError::Invalid(format!(
            "it carries {bytes} bytes, at most {} are taken",
            limits::TXN_BYTES
        )));
    }
    Ok(())
}

impl<B: Backend> MetaStore for Engine<B> {
    fn revision(&self) -> Result<Revision, MetaStoreError> {
        Ok(self.0.lock()?.revision)
    }

    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, MetaStoreError> {
        self.0.settle()?;
        self.0.backend.get(key)
    }

    fn range(&self, prefix: &[u8]) -> Result<Range, MetaStoreError> {
        self.0.settle()?;
        self.0.backend.range(prefix)
    }

    fn txn(&self, compares: &[Compare], ops: &[Op]) -> Result<TxnOutcome, MetaStoreError> {
        check_limits(compares, ops)?;
        let core = &self.0;
        let mut state = core.lock()?;
        for compare in compares {
            if !compare.holds(core.backend.get(compare.key())?.as_ref()) {
                return Ok(TxnOutcome {
                    revision: state.revision,
                    succeeded: false,
                });
            }
        }
        let batch = core.work_out(&state, ops)?;
        if !batch.changes.is_empty() {
            core.commit(&mut state, batch)?;
        }
        Ok(TxnOutcome {
            revision: state.revision,
            succeeded: true,
        })
    }

    fn watch(&self, prefix: &[u8], from: Revision) -> Result<Box<dyn Watch>, MetaStoreError> {
        self.0.settle()?;
        let core = Arc::clone(&self.0);
        let settle = Box::new(move || {
            core.settle()?;
            let deadline_ms = core.next_deadline_ms.load(Ordering::Acquire);
            let now_ms = millis(core.clock.monotonic().0);
            Ok(Duration::from_millis(deadline_ms.saturating_sub(now_ms)))
        });
        Ok(Box::new(self.0.history.watch(prefix, from, settle)?))
    }

    fn lease_grant(&self, ttl: Duration) -> Result<Lease, MetaStoreError> {
        let ttl = ttl.max(Duration::from_secs(1));
        let mut state = self.0.lock()?;
        let id = LeaseId(state.next_lease);
        let batch = Batch {
            leases: vec![(id, Some(millis(ttl)))],
            ..Batch::default()
        };
        self.0.commit(&mut state, batch)?;
        state.next_lease = state.next_lease.saturating_add(1);
        Ok(Lease {
            id,
            ttl,
            remaining: ttl,
        })
    }

    fn lease_keep_alive(&self, id: LeaseId) -> Result<Lease, MetaStoreError> {
        let mut state = self.0.lock()?;
        let now = self.0.clock.monotonic();
        if let Some(lease) = state.leases.get_mut(&id) {
            lease.deadline = now.after(lease.ttl);
        }
        self.0
            .next_deadline_ms
            .store(state.next_deadline_ms(), Ordering::Release);
        state
            .lease(id, now)
            .ok_or(MetaStoreError::LeaseNotFound(id))
    }

    fn lease_revoke(&self, id: LeaseId) -> Result<(), MetaStoreError> {
        let mut state = self.0.lock()?;
        if !state.leases.contains_key(&id) {
            return Err(MetaStoreError::LeaseNotFound(id));
        }
        self.0.end_lease(&mut state, id)
    }
}

macro_rules! delegate {
    ($store:ty) => {
        impl MetaStore for $store {
            fn revision(&self) -> Result<Revision, MetaStoreError> {
                self.0.revision()
            }

            fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, MetaStoreError> {
                self.0.get(key)
            }

            fn range(&self, prefix: &[u8]) -> Result<Range, MetaStoreError> {
                self.0.range(prefix)
            }

            fn txn(&self, compares: &[Compare], ops: &[Op]) -> Result<TxnOutcome, MetaStoreError> {
                self.0.txn(compares, ops)
            }

            fn watch(
                &self,
                prefix: &[u8],
                from: Revision,
            ) -> Result<Box<dyn Watch>, MetaStoreError> {
                self.0.watch(prefix, from)
            }

            fn lease_grant(&self, ttl: Duration) -> Result<Lease, MetaStoreError> {
                self.0.lease_grant(ttl)
            }

            fn lease_keep_alive(&self, id: LeaseId) -> Result<Lease, MetaStoreError> {
                self.0.lease_keep_alive(id)
            }

            fn lease_revoke(&self, id: LeaseId) -> Result<(), MetaStoreError> {
                self.0.lease_revoke(id)
            }
        }
    };
}

delegate!(EmbeddedStore);
delegate!(MemoryStore);
