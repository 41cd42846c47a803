//! The journal's writer: takes frames from the queue, writes them as groups, tells who waits.
//!
//! One writer, two drivers. The *writer thread* waits for work and does it. A thread that has just queued a little on an
//! idle journal drives the writer itself ([`Shared::write_queued`]), which spares a single record the two changes of thread
//! that cost as much as its write. Whoever holds the writer's lock writes; the other finds the lock taken and leaves the
//! work to the thread.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Pending, Queue, RingFile, Shared, frame_cost};
use crate::aligned::AlignedBuf;
use crate::fault::IoOp;
use crate::io::{BLOCK, Faults, LockExt};
use crate::lsn::Lsn;
use crate::metrics::{add, sub};
use crate::wal::FrameBody;
use crate::wal::format::{
    FRAME_HEADER_LEN, FileHeader, GROUP_HEADER_LEN, GroupHeader, frame_header,
};
use crate::wal::scan::JournalScan;

/// An idle journal seals its last group after this long.
const SEAL_AFTER: Duration = Duration::from_millis(20);
/// How long the writer waits for work when there is nothing to seal; it is woken for any.
const IDLE: Duration = Duration::from_secs(3_600);
/// The most bytes that a thread which queued them writes itself: what a disk takes at once.
const DRIVEN_BYTES_MAX: usize = 64 << 10;
/// The most frames in a group.
const GROUP_FRAMES: usize = 8_192;

struct Active {
    ring: RingFile,
    position: u64,
    incarnation: u64,
}

pub(super) struct Writer {
    active: Option<Active>,
    buffer: AlignedBuf,
    group: Vec<Pending>,
    next_sequence: u64,
    next_incarnation: u64,
    /// Whether this process has begun a file.
    opened: bool,
}

enum Step {
    Nothing,
    Write,
    Rotate(RingFile),
    Seal,
    Stop,
}

impl Writer {
    pub(super) fn new(scan: &JournalScan) -> Writer {
        Writer {
            active: None,
            buffer: AlignedBuf::with_capacity(256 << 10),
            group: Vec::new(),
            next_sequence: scan.next_sequence,
            next_incarnation: scan.next_incarnation,
            opened: false,
        }
    }

    /// Does what there is to do now. `false` when the journal is closed and nothing is left, or has failed.
    fn step(&mut self, shared: &Shared) -> bool {
        let done = match self.next_step(shared) {
            Step::Nothing => return true,
            Step::Write => self.write_group(shared),
            Step::Rotate(file) => self.rotate(shared, file),
            Step::Seal => self.seal(shared),
            Step::Stop => return false,
        };
        self.settle(shared, done)
    }

    /// A failed write ends the journal.
    fn settle(&mut self, shared: &Shared, done: io::Result<()>) -> bool {
        let Err(error) = done else { return true };
        let path = self
            .active
            .as_ref()
            .map(|a| a.ring.path.display().to_string());
        let path = path.unwrap_or_default();
        self.group.clear();
        shared.fail(&format!("cannot write '{path}': {error}"));
        false
    }

    /// Takes work from the queue.
    fn next_step(&mut self, shared: &Shared) -> Step {
        let mut queue = shared.queue.locked();
        if queue.failed.is_some() {
            return Step::Stop;
        }
        if let Some(first) = queue.pending.front() {
            let cost = frame_cost(first.frame.payload_len());
            if cost <= queue.remaining {
                self.take_group(shared, &mut queue);
                return Step::Write;
            }
            if let Some(at) = queue.free.iter().rposition(|file| file.capacity() >= cost) {
                let file = queue.free.remove(at);
                queue.begin_file(&file);
                shared.wake_allocator.notify_one();
                return Step::Rotate(file);
            }
            // Admission keeps this from happening; if it does, a new file is what is missing.
            if queue.closed {
                return Step::Stop;
            }
            queue.wanted = true;
            shared.wake_allocator.notify_one();
            return Step::Nothing;
        }
        if queue.closed {
            return Step::Stop;
        }
        if queue.begin {
            if self.active.is_none()
                && let Some(file) = queue.free.pop()
            {
                queue.begin_file(&file);
                shared.wake_allocator.notify_one();
                return Step::Rotate(file);
            }
            queue.begin = false;
            shared.begun.notify_all();
        }
        let driven = shared.options.driven;
        let idle = |written: Instant| driven || written.elapsed() >= SEAL_AFTER;
        if queue.unsealed_since.is_some_and(idle) {
            queue.unsealed_since = None;
            if queue.remaining >= BLOCK as u64 {
                queue.remaining -= BLOCK as u64;
                return Step::Seal;
            }
        }
        Step::Nothing
    }

    /// Moves frames from the queue to `self.group`, as many as one group and the active file take.
    fn take_group(&mut self, shared: &Shared, queue: &mut Queue) {
        let limit = queue.remaining.min(shared.options.group_bytes as u64);
        let mut size = GROUP_HEADER_LEN as u64;
        let mut payload = 0;
        while let Some(next) = queue.pending.front() {
            let frame = (FRAME_HEADER_LEN + next.frame.payload_len()) as u64;
            let padded = (size + frame).next_multiple_of(BLOCK as u64);
            if !self.group.is_empty() && (padded > limit || self.group.len() >= GROUP_FRAMES) {
                break;
            }
            size += frame;
            payload += next.frame.payload_len();
            queue.pending_cost -= frame_cost(next.frame.payload_len());
            self.group.extend(queue.pending.pop_front());
        }
        queue.remaining -= size.next_multiple_of(BLOCK as u64);
        if queue.allocate_at.is_some_and(|at| queue.remaining <= at) {
            queue.allocate_at = None;
            shared.wake_allocator.notify_one();
        }
        queue.later &= !queue.pending.is_empty();
        queue.pending_bytes -= payload;
        sub(&shared.metrics.journal_queue_bytes, payload);
        if queue.refused && queue.pending_bytes < shared.options.queue_bytes {
            queue.refused = false;
            shared.room.notify_waiters();
        }
    }

    fn write_group(&mut self, shared: &Shared) -> io::Result<()> {
        let Some(first_lsn) = self.group.first().map(|pending| pending.lsn) else {
            return Ok(());
        };
        let incarnation = self.active.as_ref().map_or(0, |active| active.incarnation);
        let payload: usize = self
            .group
            .iter()
            .map(|p| FRAME_HEADER_LEN + p.frame.payload_len())
            .sum();
        self.buffer
            .clear_for((GROUP_HEADER_LEN + payload).next_multiple_of(BLOCK));
        self.buffer.extend(&[0; GROUP_HEADER_LEN]);
        for pending in &self.group {
            self.buffer
                .extend(&frame_header(&pending.frame, incarnation, pending.lsn));
            if let FrameBody::Batch(batch) = &pending.frame.body {
                self.buffer.extend(&batch.head);
                self.buffer.extend(&batch.body);
            }
        }
        let header = GroupHeader {
            rotates: false,
            incarnation,
            sequence: self.next_sequence,
            first_lsn,
            payload_length: u32::try_from(payload).map_err(io::Error::other)?,
            frame_count: u32::try_from(self.group.len()).map_err(io::Error::other)?,
        };
        let began = Instant::now();
        let written = self.put(shared, header)?;
        let metrics = &shared.metrics;
        metrics.journal_write_latency.record(began.elapsed());
        add(&metrics.journal_groups, 1);
        add(&metrics.journal_frames, self.group.len());
        add(&metrics.journal_bytes, written);
        self.publish(shared, header.next_lsn());
        if self.buffer.capacity() > 2 * shared.options.group_bytes {
            self.buffer = AlignedBuf::with_capacity(shared.options.group_bytes);
        }
        let first = shared.queue.locked().unsealed_since.replace(Instant::now());
        if first.is_none() {
            // The thread may be waiting for work alone; from now on it waits to seal too.
            shared.wake_writer.notify_one();
        }
        Ok(())
    }

    fn publish(&mut self, shared: &Shared, next_lsn: Lsn) {
        for pending in self.group.drain(..) {
            if let Some(listener) = pending.listener {
                listener.on_durable(pending.lsn, pending.frame.next_offset);
            }
        }
        let durable = Lsn(next_lsn.0 - 1);
        shared.state.send_modify(|state| state.durable = durable);
    }

    /// Writes the buffer as a group at the end of the active file.
    fn put(&mut self, shared: &Shared, header: GroupHeader) -> io::Result<usize> {
        self.buffer.patch(0, &header.to_bytes());
        self.buffer.pad_to_block();
        let Some(active) = self.active.as_mut() else {
            return Err(io::Error::other("no active journal file"));
        };
        write_block(
            &shared.faults,
            &active.ring,
            self.buffer.as_slice(),
            active.position,
        )?;
        active.position += self.buffer.len() as u64;
        self.next_sequence += 1;
        Ok(self.buffer.len())
    }

    /// A group without frames.
    fn put_empty(&mut self, shared: &Shared, rotates: bool, first_lsn: Lsn) -> io::Result<()> {
        let incarnation = self.active.as_ref().map_or(0, |active| active.incarnation);
        self.buffer.clear_for(BLOCK);
        self.buffer.extend(&[0; GROUP_HEADER_LEN]);
        let sequence = self.next_sequence;
        let (payload_length, frame_count) = (0, 0);
        let header = GroupHeader {
            rotates,
            incarnation,
            sequence,
            first_lsn,
            payload_length,
            frame_count,
        };
        self.put(shared, header)?;
        Ok(())
    }

    fn seal(&mut self, shared: &Shared) -> io::Result<()> {
        // Frames enqueued meanwhile are numbered after the durable ones, as the next group's are.
        let durable = shared.state.borrow().durable;
        add(&shared.metrics.journal_seals, 1);
        self.put_empty(shared, false, Lsn(durable.0 + 1))
    }

    fn rotate(&mut self, shared: &Shared, ring: RingFile) -> io::Result<()> {
        let first_lsn = shared.next_to_write();
        let follows = self.active.is_some();
        let header = FileHeader {
            opened: !self.opened,
            incarnation: self.next_incarnation,
            file_bytes: ring.bytes,
            first_sequence: self.next_sequence + u64::from(follows),
            first_lsn,
        };
        self.buffer.clear_for(BLOCK);
        self.buffer.extend(&header.to_block());
        write_block(&shared.faults, &ring, self.buffer.as_slice(), 0)?;
        if follows {
            // Only now: a group that says that the journal goes on is a promise that the next file is there.
            self.put_empty(shared, true, first_lsn)?;
        }
        self.opened = true;
        shared
            .incarnation
            .store(header.incarnation, Ordering::Release);
        self.next_incarnation += 1;
        let active = Active {
            ring,
            position: BLOCK as u64,
            incarnation: header.incarnation,
        };
        let full = self.active.replace(active);
        let mut queue = shared.queue.locked();
        if let Some(full) = full {
            queue.sealed.push_back((Lsn(first_lsn.0 - 1), full.ring));
        }
        queue.begin = false;
        shared.begun.notify_all();
        Ok(())
    }
}

impl Shared {
    /// The writer thread's body.
    pub(super) fn run_writer(&self) {
        loop {
            self.wait_for_work();
            if !self.writer.locked().step(self) {
                return;
            }
        }
    }

    /// Returns when there may be something to do: frames, a file to begin, a group to seal, the end.
    fn wait_for_work(&self) {
        let queue = self.queue.locked();
        let wait = match queue.unsealed_since {
            Some(written) if queue.pending.is_empty() => {
                SEAL_AFTER.saturating_sub(written.elapsed())
            }
            _ => IDLE,
        };
        let busy = |queue: &Queue| {
            let room_for_first = queue.pending.front().is_some_and(|first| {
                let cost = frame_cost(first.frame.payload_len());
                cost <= queue.remaining || queue.free.iter().any(|file| file.capacity() >= cost)
            });
            room_for_first || queue.closed || queue.begin || queue.failed.is_some()
        };
        if busy(&queue) || wait.is_zero() {
            return;
        }
        // Woken for anything: what there is to do is decided by who takes it.
        drop(
            self.wake_writer
                .wait_timeout(queue, wait)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// Sees to it that what is queued is written: on this thread when the journal is idle and it is little, by the writer
    /// thread otherwise. Blocks for one small write at most.
    pub(super) fn write_queued(&self) {
        let little = |queue: &Queue| {
            let pending = queue.pending_bytes;
            pending <= DRIVEN_BYTES_MAX && queue.pending_cost <= queue.remaining && !queue.closed
        };
        if self.options.driven || self.queue.locked().pending.is_empty() {
            return;
        }
        match self.writer.try_lock() {
            Ok(mut writer) if little(&self.queue.locked()) => {
                writer.step(self);
                drop(writer);
                if self.queue.locked().pending.is_empty() {
                    return;
                }
            }
            _ => {}
        }
        self.wake_writer.notify_one();
    }

    /// One step on the calling thread. Returns whether frames are queued that can be written now.
    pub(super) fn step(&self) -> bool {
        if !self.writer.locked().step(self) {
            return false;
        }
        let queue = self.queue.locked();
        queue.pending.front().is_some_and(|first| {
            let cost = frame_cost(first.frame.payload_len());
            cost <= queue.remaining || queue.free.iter().any(|file| file.capacity() >= cost)
        })
    }

    /// The number of the next frame that is written.
    fn next_to_write(&self) -> Lsn {
        let queue = self.queue.locked();
        queue
            .pending
            .front()
            .map_or(Lsn(queue.next_lsn), |pending| pending.lsn)
    }
}

fn write_block(faults: &Faults, ring: &RingFile, bytes: &[u8], position: u64) -> io::Result<()> {
    faults.check(IoOp::JournalWrite)?;
    ring.file.write_all_at(bytes, position)?;
    if !ring.direct {
        faults.check(IoOp::JournalSync)?;
        ring.file.sync_data()?;
    }
    faults.done(IoOp::JournalWrite, &ring.path);
    Ok(())
}
