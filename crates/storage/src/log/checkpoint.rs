//! One log's part of a checkpoint: its segments synced, its producer state saved, and what recovery may rely on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use base::{PartitionIndex, TopicId};

use crate::error::StorageError;
use crate::fault::IoOp;
use crate::io::{LockExt, write_atomic};
use crate::log::index::SegmentView;
use crate::log::{LogState, PartitionLog};

/// What a checkpoint says about one log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogCheckpoint {
    pub(crate) topic: String,
    pub(crate) topic_id: TopicId,
    pub(crate) partition: PartitionIndex,
    pub(crate) log_start: i64,
    /// Producer state is saved as of this offset, and segments are scanned from it.
    pub(crate) recovery_point: i64,
    /// Whether a snapshot file goes with `recovery_point`; there were no producers otherwise.
    pub(crate) has_snapshot: bool,
    /// The segments as they were synced.
    pub(crate) segments: Vec<SegmentView>,
    /// Why the partition is offline.
    pub(crate) offline: Option<String>,
}

/// How a checkpoint makes a log's files durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncMode {
    /// Each file by itself.
    Each,
    /// Not at all: the caller syncs the whole file system once, which is cheaper for many logs.
    Later,
}

impl PartitionLog {
    /// Syncs everything appended before this call and saves the producer state. Blocks, for as long as it takes the
    /// journal to make those appends durable.
    ///
    /// # Errors
    /// When the journal or the disk fails, or the disk is full.
    pub(crate) fn checkpoint(&self, mode: SyncMode) -> Result<LogCheckpoint, StorageError> {
        // Cleared first: whatever changes from now on is the next checkpoint's.
        self.changed.store(false, Ordering::Release);
        let done = self.try_checkpoint(mode);
        if done.is_err() {
            self.changed.store(true, Ordering::Release);
        }
        done
    }

    fn try_checkpoint(&self, mode: SyncMode) -> Result<LogCheckpoint, StorageError> {
        let (target, producers, offline) = {
            let state = self.state.locked();
            let offline = match &state.status {
                LogState::Offline(reason) => Some(reason.to_string()),
                LogState::Online | LogState::Deleted => None,
            };
            (state.log_end, state.producers.clone(), offline)
        };
        self.flush_up_to(target)?;
        let (dirty, active, new_names, segments, log_start) = {
            let mut io = self.io.locked();
            let active = io.active.as_ref().map(|active| active.view.base);
            let dirty = std::mem::take(&mut io.dirty);
            let new_names = std::mem::take(&mut io.new_names);
            io.unsynced_records = 0;
            io.unsynced_since = None;
            let segments = self.state.locked().segments.clone();
            (
                dirty,
                active,
                new_names,
                segments,
                self.log_start_offset().0,
            )
        };
        if offline.is_none() && mode == SyncMode::Each {
            self.sync_files(&dirty, active, new_names)?;
        }
        let has_snapshot = !producers.is_empty() && offline.is_none();
        if has_snapshot {
            let path = self.snapshot_path(target);
            let saved = std::fs::create_dir_all(self.dir()).and_then(|()| {
                write_atomic(&path, &producers.to_snapshot(), mode == SyncMode::Each)
            });
            saved.map_err(|error| StorageError::io("write", &path, error))?;
            if mode == SyncMode::Each {
                self.context.faults.done(IoOp::SegmentSync, &path);
            }
        }
        Ok(LogCheckpoint {
            topic: self.topic().to_owned(),
            topic_id: self.name.topic_id,
            partition: self.name.partition,
            log_start,
            recovery_point: target,
            has_snapshot,
            segments,
            offline,
        })
    }

    fn flush_up_to(&self, target: i64) -> Result<(), StorageError> {
        loop {
            self.flush_tail()?;
            {
                let state = self.state.locked();
                if state.flushed >= target || state.status != LogState::Online {
                    return Ok(());
                }
            }
            self.context.check()?;
            if let Some(reason) = self.context.wal.state().borrow().failed.clone() {
                return Err(StorageError::Failed { reason });
            }
            // The frames are being written: a matter of a millisecond.
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub(crate) fn snapshot_path(&self, offset: i64) -> std::path::PathBuf {
        self.dir().join(format!("{offset:020}.snapshot"))
    }

    /// A checkpoint that refers to the snapshot at `keep` is durable: older snapshots go.
    pub(crate) fn drop_snapshots(&self, keep: Option<i64>) {
        let Ok(entries) = std::fs::read_dir(self.dir()) else {
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let offset = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.strip_suffix(".snapshot"))
                .and_then(|stem| stem.parse::<i64>().ok());
            if offset.is_some_and(|offset| Some(offset) != keep)
                && let Err(error) = std::fs::remove_file(&path)
            {
                tracing::warn!(path = %path.display(), %error, "cannot remove an old snapshot");
            }
        }
    }
}
