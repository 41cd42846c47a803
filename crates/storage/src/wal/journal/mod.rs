//! The journal of one machine: a ring of recycled, pre-written files and one writer.
//!
//! **Natural group commit.** The writer takes whatever is queued, writes it as one group with `O_DIRECT | O_DSYNC`, tells the
//! listeners, publishes the watermark and takes what was queued meanwhile. There is no timer: the first
//! frame on an idle journal is written at once, by the thread that queued it if it asks for that and it is little.
//!
//! **Never full by surprise.** A frame is accepted only while the files that exist hold it and all that is queued,
//! however the groups fall (next-fit needs at most twice the bytes). Files are made by a second thread ahead of
//! need; when it cannot, [`WalError::DiskFull`] is answered before anything is enqueued.
//!
//! **A failed write is final.** The kernel may have dropped the pages whose sync failed, so a second try
//! proves nothing. The watermark stops, all waiters are told.
//!
//! The writer spends one memory copy per byte, into an aligned buffer; the batches themselves are shared with the
//! partitions' tails.

mod allocator;
mod writer;

use std::collections::VecDeque;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use rustix::fs::OFlags;
use tokio::sync::{Notify, watch};

use self::allocator::Pace;
use crate::io::{BLOCK, Faults, LockExt, sync_dir};
use crate::lsn::Lsn;
use crate::metrics::{StorageMetrics, add, sub};
use crate::wal::format::{FRAME_HEADER_LEN, GROUP_HEADER_LEN};
use crate::wal::scan::JournalScan;
use crate::wal::{BoxFuture, DurableListener, Wal, WalError, WalFrame, WalState, WhenToWrite};

/// The file's header block, and the block kept for the group that says the journal goes on elsewhere.
const FILE_OVERHEAD: u64 = 2 * BLOCK as u64;

/// The settings of a [`LocalJournal`].
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// The directory of the files; created when missing.
    pub dir: PathBuf,
    /// Size of the first file, which is made while opening.
    pub first_file_bytes: u64,
    /// Size of the others.
    pub file_bytes: u64,
    /// The most bytes of files.
    pub max_bytes: u64,
    /// The most bytes queued before [`Wal::room`] waits; twice this is refused.
    pub queue_bytes: usize,
    /// The most bytes in a group, unless one frame is larger.
    pub group_bytes: usize,
    /// Free space that making a file must leave on the volume.
    pub headroom_bytes: u64,
    /// No threads: the journal does what [`LocalJournal::step`] and [`LocalJournal::allocate_due`] are called for.
    pub driven: bool,
}

#[derive(Debug)]
struct RingFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    direct: bool,
}

impl RingFile {
    fn capacity(&self) -> u64 {
        self.bytes.saturating_sub(FILE_OVERHEAD)
    }
}

struct Pending {
    lsn: Lsn,
    frame: WalFrame,
    listener: Option<Arc<dyn DurableListener>>,
}

#[derive(Default)]
struct Queue {
    pending: VecDeque<Pending>,
    /// Worst-case bytes on disk of what is pending: each frame in a group of its own.
    pending_cost: u64,
    pending_bytes: usize,
    next_lsn: u64,
    /// What the active file still holds, the reserve for its last group set aside.
    remaining: u64,
    /// What the active file held when it was begun; zero before the first.
    capacity: u64,
    /// The allocator waits until the active file holds no more than this.
    allocate_at: Option<u64>,
    free: Vec<RingFile>,
    /// Files that are full, oldest first, with their last LSN.
    sealed: VecDeque<(Lsn, RingFile)>,
    trimmed: Lsn,
    total_bytes: u64,
    next_slot: u32,
    /// A larger file is wanted than those that are free.
    wanted: bool,
    at_limit: bool,
    /// Someone was refused since `room` was last notified.
    refused: bool,
    closed: bool,
    /// The first file of this process is wanted now, without waiting for a frame.
    begin: bool,
    /// Some of what is pending was queued without waking the writer thread.
    later: bool,
    /// When the last group with frames was written, if nothing was sealed since.
    unsealed_since: Option<std::time::Instant>,
    failed: Option<Arc<str>>,
}

struct Shared {
    options: JournalOptions,
    queue: Mutex<Queue>,
    /// Held by whoever writes; taken before `queue`.
    writer: Mutex<writer::Writer>,
    wake_writer: Condvar,
    wake_allocator: Condvar,
    begun: Condvar,
    room: Notify,
    state: watch::Sender<WalState>,
    disk_full: AtomicBool,
    /// Of the file begun last.
    incarnation: AtomicU64,
    faults: Faults,
    metrics: Arc<StorageMetrics>,
}

/// The journal engine of one machine.
pub struct LocalJournal {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for LocalJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalJournal")
            .field("dir", &self.shared.options.dir)
            .finish_non_exhaustive()
    }
}

fn frame_cost(payload: usize) -> u64 {
    ((GROUP_HEADER_LEN + FRAME_HEADER_LEN + payload) as u64).next_multiple_of(BLOCK as u64)
}

impl LocalJournal {
    /// Opens the journal behind what `scan` found: files whose frames are all at or below `trimmed` are
    /// reused, the others are kept until [`Wal::trim`] releases them. Makes at most one small file before it
    /// returns; when the disk is full for even that, the journal starts in [`WalError::DiskFull`].
    ///
    /// # Errors
    /// When the directory or an existing file cannot be opened.
    pub(crate) fn open(
        options: JournalOptions,
        scan: &JournalScan,
        trimmed: Lsn,
        faults: Faults,
        metrics: Arc<StorageMetrics>,
    ) -> io::Result<LocalJournal> {
        std::fs::create_dir_all(&options.dir)?;
        let mut queue = Queue {
            next_lsn: scan.next_lsn.0.max(trimmed.0 + 1),
            trimmed,
            ..Queue::default()
        };
        for file in &scan.files {
            let ring = open_ring_file(&file.path, file.size)?;
            queue.total_bytes += file.size;
            queue.next_slot = queue.next_slot.max(file.slot + 1);
            if file.last_lsn <= trimmed && file.size >= FILE_OVERHEAD + 2 * BLOCK as u64 {
                queue.free.push(ring);
            } else {
                queue.sealed.push_back((file.last_lsn, ring));
            }
        }
        // The small file that every start needs is used first; the larger ones follow.
        queue.free.sort_by_key(|file| std::cmp::Reverse(file.bytes));
        let (state, _) = watch::channel(WalState {
            durable: Lsn(queue.next_lsn - 1),
            ..WalState::default()
        });
        let shared = Arc::new(Shared {
            options,
            queue: Mutex::new(queue),
            writer: Mutex::new(writer::Writer::new(scan)),
            wake_writer: Condvar::new(),
            wake_allocator: Condvar::new(),
            begun: Condvar::new(),
            room: Notify::new(),
            state,
            disk_full: AtomicBool::new(false),
            incarnation: AtomicU64::new(scan.next_incarnation.saturating_sub(1)),
            faults,
            metrics,
        });
        if shared.queue.locked().free.is_empty() {
            shared.allocate(shared.options.first_file_bytes, Pace::AtOnce);
        }
        let writer = Arc::clone(&shared);
        let allocator = Arc::clone(&shared);
        let threads = if shared.options.driven {
            Vec::new()
        } else {
            vec![
                spawn("journal-writer", move || writer.run_writer())?,
                spawn("journal-allocator", move || allocator.allocate_ahead())?,
            ]
        };
        Ok(LocalJournal {
            shared,
            threads: Mutex::new(threads),
        })
    }

    /// The largest batch that fits a file.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.shared.max_payload()
    }

    /// Whether files cannot be made now.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        self.shared.disk_full.load(Ordering::Relaxed)
    }

    /// The directory of the files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.shared.options.dir
    }

    /// The incarnation of the file begun last; a file of it, or of a later one, is there.
    #[must_use]
    pub fn incarnation(&self) -> u64 {
        self.shared.incarnation.load(Ordering::Acquire)
    }

    /// Begins this process's first file, so that a checkpoint can name it before anything is appended. Does nothing when there is
    /// no free file; the first frame that is accepted begins one then.
    ///
    /// # Errors
    /// [`WalError::Failed`].
    pub(crate) fn begin(&self) -> Result<(), WalError> {
        let mut queue = self.shared.queue.locked();
        queue.begin = !queue.free.is_empty();
        self.shared.wake_writer.notify_one();
        while queue.begin && queue.failed.is_none() {
            if self.shared.options.driven {
                drop(queue);
                self.step();
                queue = self.shared.queue.locked();
                continue;
            }
            queue = self
                .shared
                .begun
                .wait(queue)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        match &queue.failed {
            Some(reason) => Err(WalError::Failed(Arc::clone(reason))),
            None => Ok(()),
        }
    }

    /// Moves the files of earlier processes that are not trimmed into `to`, so that their bytes are kept when the journal no
    /// longer needs them.
    ///
    /// # Errors
    /// When the directory cannot be made or a file not be moved.
    pub(crate) fn set_aside(&self, to: &Path) -> io::Result<()> {
        std::fs::create_dir_all(to)?;
        let mut queue = self.shared.queue.locked();
        while let Some((last, file)) = queue.sealed.pop_front() {
            let name = file.path.file_name().unwrap_or_default().to_owned();
            let mut target = to.join(&name);
            let mut count = 0;
            while target.exists() {
                count += 1;
                target = to.join(format!("{}.{count}", name.to_string_lossy()));
            }
            if let Err(error) = std::fs::rename(&file.path, &target) {
                queue.sealed.push_front((last, file));
                return Err(error);
            }
            queue.total_bytes = queue.total_bytes.saturating_sub(file.bytes);
        }
        drop(queue);
        sync_dir(to)?;
        sync_dir(&self.shared.options.dir)
    }

    /// One step of a driven journal's writer: a group, the next file, or the seal of the last group when nothing is queued.
    /// Returns whether more is queued that can be written now.
    pub(crate) fn step(&self) -> bool {
        self.shared.step()
    }

    /// Makes a file when one is missing and the limit allows it; a driven journal's allocator.
    pub(crate) fn allocate_due(&self) -> bool {
        let due = {
            let mut queue = self.shared.queue.locked();
            !queue.closed && queue.failed.is_none() && self.shared.is_file_due(&mut queue)
        };
        if due {
            self.shared
                .allocate(self.shared.options.file_bytes, Pace::AtOnce);
        }
        due
    }

    /// Has the writer thread look at the queue: what was queued for later may be all that stands in somebody's way.
    pub(crate) fn wake(&self) {
        self.shared.wake_writer.notify_one();
    }

    /// Whether the ring has reached its limit, so that only a checkpoint makes room.
    #[must_use]
    pub fn wants_trim(&self) -> bool {
        self.shared.queue.locked().at_limit
    }
}

pub(crate) fn spawn(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
}

impl Wal for LocalJournal {
    fn enqueue(
        &self,
        frame: WalFrame,
        listener: Option<Arc<dyn DurableListener>>,
        write: WhenToWrite,
    ) -> Result<Lsn, WalError> {
        let payload = frame.payload_len();
        let limit = self.shared.max_payload();
        if payload > limit {
            return Err(WalError::TooLarge {
                size: payload,
                limit,
            });
        }
        let cost = frame_cost(payload);
        let mut queue = self.shared.queue.locked();
        self.shared.admit(&mut queue, cost)?;
        let lsn = Lsn(queue.next_lsn);
        queue.next_lsn += 1;
        queue.pending_cost += cost;
        queue.pending_bytes += payload;
        add(&self.shared.metrics.journal_queue_bytes, payload);
        // Whoever queued before has woken the thread, unless it was for later.
        let wake = write == WhenToWrite::AtOnce && (queue.pending.is_empty() || queue.later);
        queue.later |= write == WhenToWrite::Later;
        queue.pending.push_back(Pending {
            lsn,
            frame,
            listener,
        });
        drop(queue);
        if wake {
            self.shared.wake_writer.notify_one();
        }
        Ok(lsn)
    }

    fn write_queued(&self) {
        self.shared.write_queued();
    }

    fn state(&self) -> watch::Receiver<WalState> {
        self.shared.state.subscribe()
    }

    fn room(&self, bytes: usize) -> BoxFuture<'_, Result<(), WalError>> {
        Box::pin(async move {
            loop {
                let notified = self.shared.room.notified();
                tokio::pin!(notified);
                notified.as_mut().enable();
                self.wake();
                let refused = {
                    let mut queue = self.shared.queue.locked();
                    if queue.pending_bytes >= self.shared.options.queue_bytes {
                        queue.refused = true;
                        Err(WalError::QueueFull)
                    } else {
                        self.shared.admit(&mut queue, frame_cost(bytes))
                    }
                };
                match refused {
                    Err(WalError::QueueFull) => notified.await,
                    other => return other,
                }
            }
        })
    }

    fn last_lsn(&self) -> Lsn {
        Lsn(self.shared.queue.locked().next_lsn - 1)
    }

    fn trim(&self, up_to: Lsn) {
        let mut queue = self.shared.queue.locked();
        queue.trimmed = queue.trimmed.max(up_to);
        while queue
            .sealed
            .front()
            .is_some_and(|(last, _)| *last <= queue.trimmed)
        {
            if let Some((_, file)) = queue.sealed.pop_front() {
                queue.free.push(file);
            }
        }
        queue.at_limit = false;
        drop(queue);
        self.shared.room.notify_waiters();
        self.shared.wake_allocator.notify_one();
        self.shared.wake_writer.notify_one();
    }

    fn close(&self) -> Result<(), WalError> {
        self.shared.queue.locked().closed = true;
        self.shared.wake_writer.notify_all();
        self.shared.wake_allocator.notify_all();
        self.shared.room.notify_waiters();
        while self.shared.options.driven && self.step() {}
        for thread in self.threads.locked().drain(..) {
            if thread.join().is_err() {
                return Err(WalError::Failed("a journal thread panicked".into()));
            }
        }
        match self.shared.queue.locked().failed.clone() {
            Some(reason) => Err(WalError::Failed(reason)),
            None => Ok(()),
        }
    }
}

impl Drop for LocalJournal {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::debug!(error = %error, "journal closed after a failure");
        }
    }
}

impl Shared {
    fn max_payload(&self) -> usize {
        let file = self
            .options
            .file_bytes
            .saturating_sub(FILE_OVERHEAD + BLOCK as u64);
        usize::try_from(file / 2).unwrap_or(usize::MAX)
    }

    /// Whether a frame of this cost may be queued; asks for a file when that is what is missing.
    fn admit(&self, queue: &mut Queue, cost: u64) -> Result<(), WalError> {
        if let Some(reason) = &queue.failed {
            return Err(WalError::Failed(Arc::clone(reason)));
        }
        if queue.closed {
            return Err(WalError::Closed);
        }
        if queue.pending_bytes >= 2 * self.options.queue_bytes {
            queue.refused = true;
            return Err(WalError::QueueFull);
        }
        let total = queue.pending_cost + cost;
        if total <= queue.remaining {
            return Ok(());
        }
        let fitting = |file: &&RingFile| file.capacity() >= cost;
        let free: u64 = queue
            .free
            .iter()
            .filter(fitting)
            .map(RingFile::capacity)
            .sum();
        if 2 * total <= free && queue.free.iter().all(|file| file.capacity() >= cost) {
            return Ok(());
        }
        if 2 * total <= free && queue.pending.is_empty() {
            return Ok(());
        }
        queue.wanted = true;
        self.wake_allocator.notify_one();
        if self.disk_full.load(Ordering::Relaxed) {
            add(&self.metrics.disk_full_refusals, 1);
            return Err(WalError::DiskFull);
        }
        queue.refused = true;
        Err(WalError::QueueFull)
    }

    fn fail(&self, reason: &str) {
        let reason: Arc<str> = reason.into();
        tracing::error!(%reason, "the journal failed; no more writes are taken");
        let mut queue = self.queue.locked();
        queue.failed = Some(Arc::clone(&reason));
        let dropped: Vec<Pending> = queue.pending.drain(..).collect();
        sub(&self.metrics.journal_queue_bytes, queue.pending_bytes);
        queue.pending_bytes = 0;
        queue.pending_cost = 0;
        drop(queue);
        drop(dropped);
        self.state.send_modify(|state| state.failed = Some(reason));
        self.room.notify_waiters();
        self.wake_writer.notify_all();
        self.wake_allocator.notify_all();
        self.begun.notify_all();
    }
}

fn open_ring_file(path: &Path, bytes: u64) -> io::Result<RingFile> {
    let direct = (OFlags::DIRECT | OFlags::DSYNC).bits() as i32;
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.clone().custom_flags(direct).open(path) {
        Ok(file) => Ok(RingFile {
            path: path.to_owned(),
            file,
            bytes,
            direct: true,
        }),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            let file = options.open(path)?;
            Ok(RingFile {
                path: path.to_owned(),
                file,
                bytes,
                direct: false,
            })
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
