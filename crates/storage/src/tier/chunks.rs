//! What was read of remote objects lately, and what is about to be asked for: a bounded cache of pieces with read-ahead.
//!
//! Objects are read in pieces of [`CHUNK_BYTES`]. Who goes on to the next piece is a sequential reader, for whom the following
//! [`AHEAD`] are asked for at once, so that as many reads of the store run as it takes to keep its pipe full. A few threads do the
//! reads; whoever needs a piece waits for it until a deadline, and whoever needs the same piece waits for the same read, so that a
//! store that is slow or away is not asked again and again.
//!
//! **Bounds:** pieces kept, threads, reads waiting for a thread.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use base::{Timestamp, Uuid};
use bytes::Bytes;

use crate::cleaner::throttle::Throttle;
use crate::io::LockExt;
use crate::metrics::{StorageMetrics, add};
use crate::tier::{RemoteError, RemoteStore};
use crate::wal::journal::spawn;

/// The size of a piece: large enough that the latency of a read is small beside its transfer.
pub(crate) const CHUNK_BYTES: u64 = 2 << 20;
/// Pieces asked for ahead of a sequential reader.
pub(crate) const AHEAD: u64 = 4;
/// Pieces kept.
const KEPT: usize = 64;

/// Which piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Piece {
    /// The n-th of the records' object.
    Log(u64),
    /// All of the indexes' object.
    Indexes,
}

type Key = (Uuid, Piece);

/// A read of the store.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// The segment.
    pub(crate) id: Uuid,
    /// The piece of it.
    pub(crate) piece: Piece,
    /// The object.
    pub(crate) name: String,
    /// Where in it.
    pub(crate) position: u64,
    /// How much.
    pub(crate) length: u64,
}

#[derive(Debug)]
enum State {
    Waiting,
    Ready(Bytes),
    Failed(RemoteError),
}

#[derive(Debug)]
struct Slot {
    state: Mutex<State>,
    done: Condvar,
}

#[derive(Debug)]
struct Inside {
    slots: HashMap<Key, (Arc<Slot>, u64)>,
    queue: VecDeque<(Wanted, Arc<Slot>)>,
    tick: u64,
    /// The tick when pieces were last dropped for their age.
    aged: u64,
    threads: usize,
    idle: usize,
    threads_max: usize,
    pending_max: usize,
    /// Reads were too fast: none begins before.
    paused_until: Option<Instant>,
    stopped: bool,
}

#[derive(Debug)]
struct Shared {
    store: Arc<dyn RemoteStore>,
    metrics: Arc<StorageMetrics>,
    inside: Mutex<Inside>,
    work: Condvar,
    /// Told when it stops, for those that wait because they were too fast.
    paused: Condvar,
    bytes_per_second: AtomicU64,
    throttle: Throttle,
    began: Instant,
}

/// The cache with its threads; they end when it is dropped.
#[derive(Debug)]
pub(crate) struct Chunks {
    shared: Arc<Shared>,
}

impl Drop for Chunks {
    fn drop(&mut self) {
        self.shared.inside.locked().stopped = true;
        self.shared.work.notify_all();
        self.shared.paused.notify_all();
    }
}

impl Chunks {
    pub(crate) fn new(
        store: Arc<dyn RemoteStore>,
        metrics: Arc<StorageMetrics>,
        threads_max: usize,
        pending_max: usize,
    ) -> Chunks {
        let inside = Inside {
            slots: HashMap::new(),
            queue: VecDeque::new(),
            tick: 0,
            aged: 0,
            threads: 0,
            idle: 0,
            threads_max: threads_max.max(1),
            pending_max: pending_max.max(1),
            paused_until: None,
            stopped: false,
        };
        Chunks {
            shared: Arc::new(Shared {
                store,
                metrics,
                inside: Mutex::new(inside),
                work: Condvar::new(),
                paused: Condvar::new(),
                bytes_per_second: AtomicU64::new(u64::MAX),
                throttle: Throttle::default(),
                began: Instant::now(),
            }),
        }
    }

    pub(crate) fn set_limits(&self, threads_max: usize, pending_max: usize) {
        let mut inside = self.shared.inside.locked();
        inside.threads_max = threads_max.max(1);
        inside.pending_max = pending_max.max(1);
    }

    /// All reads together are no faster than this on average.
    pub(crate) fn set_rate(&self, bytes_per_second: u64) {
        let rate = &self.shared.bytes_per_second;
        if rate.swap(bytes_per_second, Ordering::Relaxed) != bytes_per_second {
            self.shared.inside.locked().paused_until = None;
            self.shared.paused.notify_all();
        }
    }

    /// Whether the piece is here or on its way.
    pub(crate) fn knows(&self, id: Uuid, piece: Piece) -> bool {
        self.shared.inside.locked().slots.contains_key(&(id, piece))
    }

    /// Asks for a piece that is not needed yet; nothing happens while too much is waiting.
    pub(crate) fn prefetch(&self, wanted: Wanted) {
        let mut inside = self.shared.inside.locked();
        let full = inside.queue.len() >= inside.pending_max.min(KEPT / 4);
        if full || inside.slots.contains_key(&(wanted.id, wanted.piece)) {
            return;
        }
        self.enqueue(&mut inside, wanted, false);
    }

    /// The bytes of a piece, read unless they are here.
    ///
    /// # Errors
    /// `TimedOut` after the deadline, or when too much is waiting; the read goes on then. What the store said.
    pub(crate) fn get(&self, wanted: Wanted, deadline: Option<Instant>) -> io::Result<Bytes> {
        let slot = {
            let mut inside = self.shared.inside.locked();
            inside.tick += 1;
            let tick = inside.tick;
            let full = inside.queue.len() >= inside.pending_max;
            match inside.slots.get_mut(&(wanted.id, wanted.piece)) {
                Some((slot, used)) => {
                    *used = tick;
                    Arc::clone(slot)
                }
                None if full => {
                    let reason = "too many reads of the remote store are waiting";
                    return Err(io::Error::new(io::ErrorKind::TimedOut, reason));
                }
                None => self.enqueue(&mut inside, wanted, true),
            }
        };
        wait(&slot, deadline)
    }

    /// Drops the pieces that nobody used since the last call: memory for readers that there no longer are.
    pub(crate) fn age(&self) {
        let mut inside = self.shared.inside.locked();
        let before = inside.aged;
        inside.slots.retain(|_, (slot, used)| {
            *used > before || matches!(*slot.state.locked(), State::Waiting)
        });
        inside.aged = inside.tick;
    }

    /// Drops a piece that is kept elsewhere by now.
    pub(crate) fn forget(&self, id: Uuid, piece: Piece) {
        self.shared.inside.locked().slots.remove(&(id, piece));
    }

    fn enqueue(&self, inside: &mut Inside, wanted: Wanted, needed: bool) -> Arc<Slot> {
        inside.tick += 1;
        let slot = Arc::new(Slot {
            state: Mutex::new(State::Waiting),
            done: Condvar::new(),
        });
        let entry = (Arc::clone(&slot), inside.tick);
        inside.slots.insert((wanted.id, wanted.piece), entry);
        let job = (wanted, Arc::clone(&slot));
        if needed {
            inside.queue.push_front(job);
        } else {
            inside.queue.push_back(job);
        }
        make_room(inside);
        if inside.idle < inside.queue.len() && inside.threads < inside.threads_max {
            let shared = Arc::clone(&self.shared);
            match spawn("remote-log-reader", move || run(&shared)) {
                Ok(_) => inside.threads += 1,
                Err(error) => tracing::warn!(%error, "cannot start a reader of the remote store"),
            }
        }
        self.shared.work.notify_one();
        slot
    }
}

/// Drops the pieces that were not used for longest; those on their way stay.
fn make_room(inside: &mut Inside) {
    while inside.slots.len() > KEPT {
        let ready = |slot: &Slot| !matches!(*slot.state.locked(), State::Waiting);
        let oldest = inside
            .slots
            .iter()
            .filter(|(_, (slot, _))| ready(slot))
            .min_by_key(|(_, (_, used))| *used)
            .map(|(key, _)| *key);
        let Some(oldest) = oldest else { return };
        inside.slots.remove(&oldest);
    }
}

fn wait(slot: &Slot, deadline: Option<Instant>) -> io::Result<Bytes> {
    let mut state = slot.state.locked();
    loop {
        match &*state {
            State::Ready(bytes) => return Ok(bytes.clone()),
            State::Failed(error) => return Err(error.clone().into_io()),
            State::Waiting => {}
        }
        state = match deadline {
            None => slot
                .done
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                let waited = slot.done.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

/// The body of a thread.
fn run(shared: &Shared) {
    loop {
        let (wanted, slot) = {
            let mut inside = shared.inside.locked();
            inside.idle += 1;
            let inside = shared
                .work
                .wait_while(inside, |inside| !inside.stopped && inside.queue.is_empty())
                .unwrap_or_else(PoisonError::into_inner);
            let mut inside = keep_to_rate(shared, inside);
            inside.idle -= 1;
            if inside.stopped || inside.threads > inside.threads_max {
                inside.threads -= 1;
                // Whoever waits must not wait for ever; nobody reads for them any more.
                let stopped = inside.stopped;
                for (_, slot) in inside.queue.drain(..).filter(|_| stopped) {
                    fail(&slot);
                }
                return;
            }
            match inside.queue.pop_front() {
                Some(job) => job,
                None => continue,
            }
        };
        read(shared, &wanted, &slot);
        let rate = shared.bytes_per_second.load(Ordering::Relaxed) as f64;
        let now = Timestamp(shared.began.elapsed());
        let pause = shared.throttle.note(wanted.length, rate, now);
        if !pause.is_zero() {
            let until = Instant::now() + pause;
            shared.inside.locked().paused_until = Some(until);
        }
    }
}

/// Waits as long as reads were too fast. All threads do: one that paused alone would leave the rate to the others.
fn keep_to_rate<'a>(
    shared: &'a Shared,
    mut inside: MutexGuard<'a, Inside>,
) -> MutexGuard<'a, Inside> {
    while let Some(until) = inside.paused_until.filter(|_| !inside.stopped) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            inside.paused_until = None;
            break;
        }
        let waited = shared.paused.wait_timeout(inside, left);
        inside = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
    inside
}

fn fail(slot: &Slot) {
    let closed = io::Error::other("the storage is closed");
    *slot.state.locked() = State::Failed(RemoteError::unavailable("read", "an object", closed));
    slot.done.notify_all();
}

fn read(shared: &Shared, wanted: &Wanted, slot: &Arc<Slot>) {
    let metrics = &shared.metrics;
    add(&metrics.remote_fetch_requests, 1);
    let outcome = shared
        .store
        .get(&wanted.name, wanted.position, wanted.length);
    let state = match outcome {
        Ok(bytes) if bytes.len() as u64 == wanted.length => {
            metrics
                .remote_fetch_bytes
                .fetch_add(wanted.length, Ordering::Relaxed);
            State::Ready(bytes)
        }
        Ok(bytes) => State::Failed(RemoteError::Damaged {
            name: wanted.name.clone(),
            reason: format!(
                "{} bytes from {} on where {} are expected",
                bytes.len(),
                wanted.position,
                wanted.length
            ),
        }),
        Err(error) => State::Failed(error),
    };
    if let State::Failed(error) = &state {
        add(&metrics.remote_fetch_errors, 1);
        tracing::warn!(object = wanted.name, error = %base::ErrorChain(error),
            "cannot read from the remote store");
        // The next who asks tries again.
        let mut inside = shared.inside.locked();
        let key = (wanted.id, wanted.piece);
        let same = inside.slots.get(&key);
        if same.is_some_and(|(there, _)| Arc::ptr_eq(there, slot)) {
            inside.slots.remove(&key);
        }
    }
    *slot.state.locked() = state;
    slot.done.notify_all();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tier::MemoryTier;
    use std::time::Duration;

    fn wanted(n: u64) -> Wanted {
        Wanted {
            id: Uuid([1; 16]),
            piece: Piece::Log(n),
            name: "o".to_owned(),
            position: n * 4,
            length: 4,
        }
    }

    fn chunks(tier: &Arc<MemoryTier>) -> Chunks {
        let store = Arc::clone(tier) as Arc<dyn RemoteStore>;
        Chunks::new(store, Arc::default(), 2, 100)
    }

    #[test]
    fn what_was_read_is_not_read_again_and_the_oldest_goes() {
        let tier = Arc::new(MemoryTier::default());
        let bytes: Vec<u8> = (0..4 * 100u32).map(|n| n as u8).collect();
        tier.plant("o", bytes.into());
        let chunks = chunks(&tier);
        for n in 0..100 {
            let got = chunks.get(wanted(n), None).unwrap();
            assert_eq!(got[0], (n * 4) as u8);
        }
        let reads = tier.reads();
        chunks.get(wanted(99), None).unwrap();
        assert_eq!(tier.reads(), reads);
        assert!(chunks.shared.inside.locked().slots.len() <= KEPT + 1);
        chunks.get(wanted(0), None).unwrap();
        assert_eq!(tier.reads(), reads + 1);
    }

    #[test]
    fn reads_keep_to_their_rate() {
        let tier = Arc::new(MemoryTier::default());
        tier.plant("o", vec![7; 400].into());
        let chunks = chunks(&tier);
        chunks.set_rate(250);
        for n in 0..50 {
            chunks.get(wanted(n), None).unwrap();
        }
        // Behind the period that a rate is measured over: 204 bytes were due in 0.8 s.
        std::thread::sleep(Duration::from_millis(310));
        let began = Instant::now();
        for n in 50..53 {
            chunks.get(wanted(n), None).unwrap();
        }
        assert!(
            began.elapsed() > Duration::from_millis(100),
            "{:?}",
            began.elapsed()
        );
    }

    #[test]
    fn a_failure_is_told_and_tried_again() {
        let tier = Arc::new(MemoryTier::default());
        tier.plant("o", Bytes::from_static(&[7; 8]));
        let chunks = chunks(&tier);
        tier.set_away(true);
        assert!(chunks.get(wanted(0), None).is_err());
        tier.set_away(false);
        assert_eq!(&chunks.get(wanted(0), None).unwrap()[..], [7; 4]);
        let short = chunks.get(wanted(2), None).unwrap_err();
        assert_eq!(short.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_store_that_hangs_holds_nobody_past_the_deadline() {
        #[derive(Debug)]
        struct Hangs(Mutex<()>);
        impl RemoteStore for Hangs {
            fn put_file(&self, _: &str, _: &std::path::Path, _: u64) -> Result<(), RemoteError> {
                Ok(())
            }
            fn put(&self, _: &str, _: Bytes) -> Result<(), RemoteError> {
                Ok(())
            }
            fn get(&self, _: &str, _: u64, length: u64) -> Result<Bytes, RemoteError> {
                drop(self.0.locked());
                Ok(vec![1; length as usize].into())
            }
            fn delete(&self, _: &str) -> Result<(), RemoteError> {
                Ok(())
            }
            fn list(&self, _: &str, _: &mut dyn FnMut(&str)) -> Result<(), RemoteError> {
                Ok(())
            }
        }
        let store = Arc::new(Hangs(Mutex::new(())));
        let held = store.0.locked();
        let chunks = Chunks::new(
            Arc::clone(&store) as Arc<dyn RemoteStore>,
            Arc::default(),
            1,
            2,
        );
        let soon = || Some(Instant::now() + Duration::from_millis(20));
        for n in 0..3 {
            let error = chunks.get(wanted(n), soon()).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{n}");
        }
        assert!(chunks.shared.inside.locked().queue.len() <= 2);
        drop(held);
        assert_eq!(chunks.get(wanted(0), None).unwrap().len(), 4);
    }
}
