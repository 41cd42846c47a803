//! Laying the journal's frames over a log whose segments were scanned.
//!
//! Replay is an append without its checks: the batch was accepted once, and its offset is given. It goes through the tail and
//! the segment writer like any other, a few MiB at a time.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use wire::record_batch::{BatchError, BatchHeader, StampedBatch};

use crate::error::StorageError;
use crate::io::LockExt;
use crate::log::append::marker_of;
use crate::log::{LogState, PartitionLog, TailBatch};
use crate::lsn::Lsn;
use crate::metrics::add;
use crate::wal::scan::{JournalScan, ScannedFrame};

/// Frames are laid over in steps of this many bytes.
const REPLAY_BYTES: usize = 8 << 20;

/// How laying the journal over a log went.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// Batches appended.
    pub(crate) batches: u64,
    pub(crate) bytes: u64,
    /// Frames of a torn group that were dropped.
    pub(crate) dropped: u64,
    /// The LSN of the last frame that fits.
    pub(crate) last_lsn: Lsn,
}

impl PartitionLog {
    /// Lays the journal's frames over the log; `found` is what `recover` said. Takes the partition offline when they do not fit.
    pub(crate) fn replay(
        &self,
        frames: &[ScannedFrame],
        journal: &JournalScan,
        scanned: &[(i64, u32)],
        scan_from: i64,
    ) -> Result<Replayed, StorageError> {
        let mut replayed = Replayed::default();
        let mut pending = 0;
        for frame in frames.iter().filter(|frame| frame.is_batch) {
            let log_end = self.state.locked().log_end;
            let start = self.log_start_offset().0;
            if frame.next_offset <= log_end {
                let compare = frame.offset >= scan_from.max(start);
                let at = scanned.binary_search_by_key(&frame.offset, |batch| batch.0);
                let same = at.is_ok_and(|at| scanned[at].1 == frame.batch_crc);
                if compare && !same && !frame.tentative {
                    self.offline(format!(
                        "the journal's batch at offset {} is not the one in the segment",
                        frame.offset
                    ));
                    return Ok(replayed);
                }
                replayed.last_lsn = frame.lsn;
                continue;
            }
            if frame.offset != log_end {
                if frame.tentative {
                    replayed.dropped += 1;
                    continue;
                }
                self.offline(format!(
                    "the journal goes on at offset {}, but the log ends at {log_end}",
                    frame.offset
                ));
                return Ok(replayed);
            }
            let bytes = match journal.read_batch(frame.location) {
                Ok(bytes) => Bytes::from(bytes),
                Err(error) => {
                    self.offline(format!(
                        "the journal's batch at offset {} cannot be read: {error}",
                        frame.offset
                    ));
                    return Ok(replayed);
                }
            };
            pending += bytes.len();
            replayed.batches += 1;
            replayed.bytes += bytes.len() as u64;
            replayed.last_lsn = frame.lsn;
            self.replay_batch(bytes)?;
            if pending >= REPLAY_BYTES {
                self.flush_tail()?;
                pending = 0;
            }
        }
        self.flush_tail()?;
        let mut state = self.state.locked();
        state.epochs.truncate_from_start(self.log_start_offset().0);
        Ok(replayed)
    }

    fn replay_batch(&self, bytes: Bytes) -> Result<(), StorageError> {
        let corrupt = |error: BatchError| StorageError::Corrupt {
            path: self.dir(),
            reason: error.to_string().into(),
        };
        let header = BatchHeader::parse(&bytes).map_err(corrupt)?;
        let marker = if header.attributes.is_control() {
            marker_of(&bytes)
        } else {
            None
        };
        let epoch = base::LeaderEpoch(header.partition_leader_epoch);
        let batch =
            StampedBatch::new(&bytes, base::Offset(header.base_offset), epoch).map_err(corrupt)?;
        let mut state = self.state.locked();
        let aborted = state.producers.apply(&header, marker, Lsn::ZERO);
        state.aborted.extend(aborted);
        state
            .epochs
            .assign(header.partition_leader_epoch, header.base_offset);
        state.log_end = header.next_offset();
        self.context
            .tail_bytes
            .fetch_add(batch.len(), Ordering::Relaxed);
        add(&self.context.metrics.tail_bytes, batch.len());
        state.tail.push_back(TailBatch {
            header,
            batch,
            aborted,
        });
        drop(state);
        self.changed.store(true, Ordering::Release);
        self.advance(header.next_offset());
        Ok(())
    }

    /// Takes the partition offline; its files stay as they are.
    pub(crate) fn offline(&self, reason: String) {
        tracing::error!(topic = self.topic(), partition = %self.name.partition, reason,
            "partition is offline; its bytes are kept");
        self.changed.store(true, Ordering::Release);
        self.set_status(LogState::Offline(reason.into()));
    }
}
