//! The journal's writer thread: takes frames from the queue, writes them as groups, tells who waits.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
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
/// The most frames in a group.
const GROUP_FRAMES: usize = 8_192;

struct Active {
    ring: RingFile,
    position: u64,
    incarnation: u64,
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    active: Option<Active>,
    buffer: AlignedBuf,
    group: Vec<Pending>,
    next_sequence: u64,
    next_incarnation: u64,
    /// Whether this process has begun a file.
    opened: bool,
    /// Whether a group with frames was written since the last seal.
    unsealed: bool,
}

enum Step {
    Write,
    Rotate(RingFile),
    Seal,
    Stop,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, scan: &JournalScan) -> Writer {
        Writer {
            shared,
            active: None,
            buffer: AlignedBuf::with_capacity(256 << 10),
            group: Vec::new(),
            next_sequence: scan.next_sequence,
            next_incarnation: scan.next_incarnation,
            opened: false,
            unsealed: false,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let done = match self.next_step() {
                Step::Write => self.write_group(),
                Step::Rotate(file) => self.rotate(file),
                Step::Seal => self.seal(),
                Step::Stop => return,
            };
            if let Err(error) = done {
                let path = self
                    .active
                    .as_ref()
                    .map(|a| a.ring.path.display().to_string());
                let path = path.unwrap_or_default();
                self.group.clear();
                self.shared.fail(&format!("cannot write '{path}': {error}"));
                return;
            }
        }
    }

    /// Waits for work and takes it from the queue.
    fn next_step(&mut self) -> Step {
        let shared = Arc::clone(&self.shared);
        let mut queue = shared.queue.locked();
        loop {
            if let Some(first) = queue.pending.front() {
                let cost = frame_cost(first.frame.payload_len());
                if cost <= queue.remaining {
                    self.take_group(&mut queue);
                    return Step::Write;
                }
                if let Some(at) = queue.free.iter().rposition(|file| file.capacity() >= cost) {
                    let file = queue.free.remove(at);
                    queue.remaining = file.capacity();
                    self.shared.wake_allocator.notify_one();
                    return Step::Rotate(file);
                }
                // Admission keeps this from happening; if it does, a new file is what is missing.
                if queue.closed {
                    return Step::Stop;
                }
                queue.wanted = true;
                self.shared.wake_allocator.notify_one();
            } else if queue.closed {
                return Step::Stop;
            } else if queue.begin {
                match queue.free.pop().filter(|_| self.active.is_none()) {
                    Some(file) => {
                        queue.remaining = file.capacity();
                        self.shared.wake_allocator.notify_one();
                        return Step::Rotate(file);
                    }
                    None => {
                        queue.begin = false;
                        self.shared.begun.notify_all();
                    }
                }
            }
            let wait = if self.unsealed { SEAL_AFTER } else { IDLE };
            let (guard, timeout) = shared
                .wake_writer
                .wait_timeout(queue, wait)
                .unwrap_or_else(PoisonError::into_inner);
            queue = guard;
            if timeout.timed_out() && self.unsealed && queue.pending.is_empty() {
                self.unsealed = false;
                if queue.remaining >= BLOCK as u64 {
                    queue.remaining -= BLOCK as u64;
                    return Step::Seal;
                }
            }
        }
    }

    /// Moves frames from the queue to `self.group`, as many as one group and the active file take.
    fn take_group(&mut self, queue: &mut Queue) {
        let limit = queue.remaining.min(self.shared.options.group_bytes as u64);
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
        queue.pending_bytes -= payload;
        sub(&self.shared.metrics.journal_queue_bytes, payload);
        if queue.refused && queue.pending_bytes < self.shared.options.queue_bytes {
            queue.refused = false;
            self.shared.room.notify_waiters();
        }
    }

    fn write_group(&mut self) -> io::Result<()> {
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
        let written = self.put(header)?;
        let metrics = &self.shared.metrics;
        metrics.journal_write_latency.record(began.elapsed());
        add(&metrics.journal_groups, 1);
        add(&metrics.journal_frames, self.group.len());
        add(&metrics.journal_bytes, written);
        self.unsealed = true;
        self.publish(header.next_lsn());
        if self.buffer.capacity() > 2 * self.shared.options.group_bytes {
            self.buffer = AlignedBuf::with_capacity(self.shared.options.group_bytes);
        }
        Ok(())
    }

    fn publish(&mut self, next_lsn: Lsn) {
        for pending in self.group.drain(..) {
            if let Some(listener) = pending.listener {
                listener.on_durable(pending.lsn, pending.frame.next_offset);
            }
        }
        let durable = Lsn(next_lsn.0 - 1);
        self.shared
            .state
            .send_modify(|state| state.durable = durable);
    }

    /// Writes the buffer as a group at the end of the active file.
    fn put(&mut self, header: GroupHeader) -> io::Result<usize> {
        self.buffer.patch(0, &header.to_bytes());
        self.buffer.pad_to_block();
        let Some(active) = self.active.as_mut() else {
            return Err(io::Error::other("no active journal file"));
        };
        write_block(
            &self.shared.faults,
            &active.ring,
            self.buffer.as_slice(),
            active.position,
        )?;
        active.position += self.buffer.len() as u64;
        self.next_sequence += 1;
        Ok(self.buffer.len())
    }

    /// A group without frames.
    fn put_empty(&mut self, rotates: bool, first_lsn: Lsn) -> io::Result<()> {
        let incarnation = self.active.as_ref().map_or(0, |active| active.incarnation);
        self.buffer.clear_for(BLOCK);
        self.buffer.extend(&[0; GROUP_HEADER_LEN]);
        let sequence = self.next_sequence;
        let (payload_length, frame_count) = (0, 0);
        self.put(GroupHeader {
            rotates,
            incarnation,
            sequence,
            first_lsn,
            payload_length,
            frame_count,
        })?;
        Ok(())
    }

    fn next_lsn(&self) -> Lsn {
        let queue = self.shared.queue.locked();
        queue
            .pending
            .front()
            .map_or(Lsn(queue.next_lsn), |pending| pending.lsn)
    }

    fn seal(&mut self) -> io::Result<()> {
        // Frames enqueued meanwhile are numbered after the durable ones, as the next group's are.
        let durable = self.shared.state.borrow().durable;
        add(&self.shared.metrics.journal_seals, 1);
        self.put_empty(false, Lsn(durable.0 + 1))
    }

    fn rotate(&mut self, ring: RingFile) -> io::Result<()> {
        let first_lsn = self.next_lsn();
        if self.active.is_some() {
            self.put_empty(true, first_lsn)?;
        }
        let header = FileHeader {
            opened: !self.opened,
            incarnation: self.next_incarnation,
            file_bytes: ring.bytes,
            first_sequence: self.next_sequence,
            first_lsn,
        };
        self.buffer.clear_for(BLOCK);
        self.buffer.extend(&header.to_block());
        write_block(&self.shared.faults, &ring, self.buffer.as_slice(), 0)?;
        self.opened = true;
        self.shared
            .incarnation
            .store(header.incarnation, Ordering::Release);
        self.next_incarnation += 1;
        let active = Active {
            ring,
            position: BLOCK as u64,
            incarnation: header.incarnation,
        };
        let full = self.active.replace(active);
        let mut queue = self.shared.queue.locked();
        if let Some(full) = full {
            queue.sealed.push_back((Lsn(first_lsn.0 - 1), full.ring));
        }
        queue.begin = false;
        self.shared.begun.notify_all();
        Ok(())
    }
}

fn write_block(faults: &Faults, ring: &RingFile, bytes: &[u8], position: u64) -> io::Result<()> {
    faults.check(IoOp::JournalWrite)?;
    ring.file.write_all_at(bytes, position)?;
    if !ring.direct {
        faults.check(IoOp::JournalSync)?;
        ring.file.sync_data()?;
    }
    Ok(())
}
