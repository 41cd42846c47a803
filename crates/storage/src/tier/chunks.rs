//! What was read of remote objects lately, and what is about to be asked for: a bounded cache of pieces with read-ahead.
//!
//! Objects are read in pieces of [`CHUNK_BYTES`]. Who goes on to the next piece is a sequential reader, for whom the following ones
//! are asked for at once, so that as many reads of the store run as it takes to keep its pipe full. A few threads do the
//! reads; whoever needs a piece waits for it until a deadline, and whoever needs the same piece waits for the same read, so that a
//! store that is slow or away is not asked again and again.
//!
//! **Bounds:** [`Limits`]: pieces kept, those asked for ahead, threads, reads waiting for a thread.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use base::{Timestamp, Uuid};
use bytes::Bytes;

use crate::cleaner::throttle::Throttle;
use crate::io::LockExt;
use crate::metrics::{StorageMetrics, add};
use crate::tier::kept::Kept;
use crate::tier::{RemoteError, RemoteStore, TierConfig};
use crate::wal::journal::spawn;

/// The size of a piece: large enough that the latency of a read is small beside its transfer, and what a server does for each range
/// as well. SeaweedFS keeps an object in chunks of some megabytes and took twice the CPU for ranges of 2 MiB.
pub(crate) const CHUNK_BYTES: u64 = 8 << 20;

/// What there is of everything, at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Reads at once.
    threads: usize,
    /// Reads that wait for a thread.
    pending: usize,
    /// Pieces kept.
    kept: usize,
    /// Pieces asked for ahead of one reader.
    ahead: usize,
}

impl Limits {
    pub(crate) fn of(config: &TierConfig) -> Limits {
        let pieces =
            |bytes: u64| usize::try_from(bytes.div_ceil(CHUNK_BYTES)).unwrap_or(usize::MAX);
        let kept = pieces(config.reader_cache_bytes).max(2);
        Limits {
            threads: config.reader_threads.max(1),
            pending: config.reader_pending_max.max(1),
            kept,
            ahead: pieces(config.reader_ahead_bytes).min(kept / 2),
        }
    }
}

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

impl Slot {
    /// Its read is over; what is on its way stays.
    fn may_go(self: &Arc<Slot>) -> bool {
        !matches!(*self.state.locked(), State::Waiting)
    }
}

#[derive(Debug)]
struct Inside {
    slots: Kept<Key, Arc<Slot>>,
    queue: VecDeque<(Wanted, Arc<Slot>)>,
    threads: usize,
    idle: usize,
    limits: Limits,
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
        limits: Limits,
    ) -> Chunks {
        let inside = Inside {
            slots: Kept::new(limits.kept),
            queue: VecDeque::new(),
            threads: 0,
            idle: 0,
            limits,
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

    pub(crate) fn set_limits(&self, limits: Limits) {
        let mut inside = self.shared.inside.locked();
        inside.slots.set_max(limits.kept);
        inside.limits = limits;
    }

    /// How many pieces are to be asked for ahead of a reader.
    pub(crate) fn ahead(&self) -> u64 {
        self.shared.inside.locked().limits.ahead as u64
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
        self.shared.inside.locked().slots.contains(&(id, piece))
    }

    /// Asks for a piece that is not needed yet; nothing happens while too much is waiting.
    pub(crate) fn prefetch(&self, wanted: Wanted) {
        let mut inside = self.shared.inside.locked();
        let full = inside.queue.len() >= inside.limits.pending || !inside.slots.has_room_ahead();
        if full || inside.slots.contains(&(wanted.id, wanted.piece)) {
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
            let full = inside.queue.len() >= inside.limits.pending;
            match inside.slots.used(&(wanted.id, wanted.piece)) {
                Some(slot) => {
                    now_needed(&mut inside.queue, &slot);
                    slot
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
        self.shared.inside.locked().slots.age(Slot::may_go);
    }

    /// Drops a piece that is kept elsewhere by now.
    pub(crate) fn forget(&self, id: Uuid, piece: Piece) {
        let mut inside = self.shared.inside.locked();
        inside.slots.remove_if(&(id, piece), |_| true);
    }

    fn enqueue(&self, inside: &mut Inside, wanted: Wanted, needed: bool) -> Arc<Slot> {
        let slot = Arc::new(Slot {
            state: Mutex::new(State::Waiting),
            done: Condvar::new(),
        });
        let key = (wanted.id, wanted.piece);
        let entry = Arc::clone(&slot);
        inside.slots.put(key, entry, !needed, Slot::may_go);
        let job = (wanted, Arc::clone(&slot));
        if needed {
            inside.queue.push_front(job);
        } else {
            inside.queue.push_back(job);
        }
        if inside.idle < inside.queue.len() && inside.threads < inside.limits.threads {
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

/// Somebody waits for what was asked for ahead: its turn comes before those of others that were.
fn now_needed(queue: &mut VecDeque<(Wanted, Arc<Slot>)>, slot: &Arc<Slot>) {
    let at = queue.iter().position(|(_, other)| Arc::ptr_eq(other, slot));
    if let Some(job) = at.and_then(|at| queue.remove(at)) {
        queue.push_front(job);
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
            if inside.stopped || inside.threads > inside.limits.threads {
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
        inside
            .slots
            .remove_if(&key, |there| Arc::ptr_eq(there, slot));
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

    /// Of so many threads, reads that wait, and pieces.
    fn limits(threads: usize, pending: usize, kept: usize) -> Limits {
        Limits {
            threads,
            pending,
            kept,
            ahead: kept / 2,
        }
    }

    fn chunks(tier: &Arc<MemoryTier>) -> Chunks {
        let store = Arc::clone(tier) as Arc<dyn RemoteStore>;
        Chunks::new(store, Arc::default(), limits(2, 100, 64))
    }

    #[test]
    fn bytes_of_the_settings_are_whole_pieces() {
        let of = |cache, ahead| {
            let limits = Limits::of(&TierConfig {
                reader_cache_bytes: cache,
                reader_ahead_bytes: ahead,
                ..TierConfig::default()
            });
            (limits.kept, limits.ahead)
        };
        let default = TierConfig::default();
        let by_default = of(default.reader_cache_bytes, default.reader_ahead_bytes);
        assert_eq!(by_default, (16, 4));
        assert_eq!(of(1, 0), (2, 0));
        assert_eq!(of(10 * CHUNK_BYTES, CHUNK_BYTES + 1), (10, 2));
        assert_eq!(of(10 * CHUNK_BYTES, u64::MAX), (10, 5), "half at most");
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
        assert!(chunks.shared.inside.locked().slots.len() <= 64);
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
            limits(1, 2, 64),
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
