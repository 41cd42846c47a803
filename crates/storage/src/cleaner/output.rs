//! A segment in the making: written beside the log as `.cleaned` files, synced, then handed to [`swap`](super::swap).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use wire::record_batch::BatchHeader;

use crate::cleaner::CleanError;
use crate::config::LogConfig;
use crate::fault::IoOp;
use crate::io::LockExt;
use crate::log::index::{
    IndexBuilder, IndexEntries, OFFSET_ENTRY_LEN, SegmentView, TIME_ENTRY_LEN,
};
use crate::log::producer::AbortedTxn;
use crate::log::{LogState, PartitionLog, put_aborted};
use crate::store::{LocalDir, LogName, SegmentPart};

/// What the names of unfinished files end with.
pub(crate) const SUFFIX: &str = ".cleaned";

/// A segment that is written and synced, but not part of the log yet.
#[derive(Clone, Debug)]
pub(crate) struct Cleaned {
    pub(crate) view: SegmentView,
    pub(crate) has_txn_index: bool,
    /// The aborted transactions in its index.
    pub(crate) aborted: Vec<AbortedTxn>,
}

/// Where a part lies until it is swapped in.
pub(crate) fn aside(store: &LocalDir, name: &LogName, base: i64, part: SegmentPart) -> PathBuf {
    let mut path = store.path(name, base, part).into_os_string();
    path.push(SUFFIX);
    PathBuf::from(path)
}

/// Writes one segment. Dropped unfinished, it removes its files.
pub(crate) struct Output<'a> {
    log: &'a PartitionLog,
    file: File,
    view: SegmentView,
    builder: IndexBuilder,
    entries: IndexEntries,
    pending: Vec<u8>,
    written: u64,
    buffer_bytes: usize,
    finished: bool,
}

impl<'a> Output<'a> {
    /// Begins a segment at `base`, which takes the place of segments last written at `modified_ms`.
    pub(crate) fn create(
        log: &'a PartitionLog,
        base: i64,
        modified_ms: i64,
        config: &LogConfig,
        buffer_bytes: usize,
    ) -> Result<Output<'a>, CleanError> {
        // Under the lock that a deletion takes: the directory is this log's, not a later one's of the same name.
        let _io = log.io.locked();
        if log.state() != LogState::Online {
            return Err(CleanError::Aborted);
        }
        let path = aside(&log.context.store, &log.name, base, SegmentPart::Log);
        let file = log
            .context
            .faults
            .check(IoOp::CleanerWrite)
            .and_then(|()| File::create(path))
            .map_err(CleanError::io("create a cleaned segment"))?;
        Ok(Output {
            log,
            file,
            view: SegmentView::empty(base, modified_ms),
            builder: IndexBuilder::new(base, config.index_interval_bytes),
            entries: IndexEntries::default(),
            pending: Vec::with_capacity(buffer_bytes),
            written: 0,
            buffer_bytes,
            finished: false,
        })
    }

    /// Where the next batch is appended; [`Output::took`] must follow.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.pending
    }

    /// The batch of `header` was appended to the buffer.
    pub(crate) fn took(&mut self, header: &BatchHeader) -> Result<(), CleanError> {
        self.builder.push(header, self.view.size, &mut self.entries);
        self.view.size += header.size_in_bytes() as u64;
        self.view.next_offset = header.next_offset();
        if self.view.size > i32::MAX as u64 {
            // Delete horizons make batches a little longer.
            return Err(CleanError::Corrupt {
                reason: "its cleaned segments do not fit one segment any more".to_owned(),
            });
        }
        if self.pending.len() >= self.buffer_bytes {
            self.write()
                .map_err(CleanError::io("write a cleaned segment"))?;
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        self.log.context.faults.check(IoOp::CleanerWrite)?;
        self.file.write_all_at(&self.pending, self.written)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Writes the rest and the indexes, and syncs all of it.
    pub(crate) fn finish(mut self, aborted: Vec<AbortedTxn>) -> Result<Cleaned, CleanError> {
        self.builder.push_time(&mut self.entries);
        (self.view.max_timestamp, self.view.max_timestamp_offset) = self.builder.max_timestamp();
        self.view.offset_entries = (self.entries.offsets.len() / OFFSET_ENTRY_LEN) as u32;
        self.view.time_entries = (self.entries.times.len() / TIME_ENTRY_LEN) as u32;
        let mut transactions = Vec::new();
        for txn in &aborted {
            put_aborted(txn, &mut transactions);
        }
        self.write_all(&transactions)
            .map_err(CleanError::io("write a cleaned segment"))?;
        self.finished = true;
        Ok(Cleaned {
            view: self.view,
            has_txn_index: !aborted.is_empty(),
            aborted,
        })
    }

    fn write_all(&mut self, transactions: &[u8]) -> io::Result<()> {
        self.write()?;
        self.file.sync_all()?;
        let context = &self.log.context;
        let (store, name) = (&context.store, &self.log.name);
        let synced = |part| {
            let path = aside(store, name, self.view.base, part);
            context.faults.done(IoOp::CleanerWrite, &path);
        };
        synced(SegmentPart::Log);
        let parts = [
            (SegmentPart::OffsetIndex, self.entries.offsets.as_slice()),
            (SegmentPart::TimeIndex, &self.entries.times),
            (SegmentPart::TxnIndex, transactions),
        ];
        for (part, bytes) in parts {
            if part != SegmentPart::TxnIndex || !bytes.is_empty() {
                let file = File::create(aside(store, name, self.view.base, part))?;
                file.write_all_at(bytes, 0)?;
                file.sync_all()?;
                synced(part);
            }
        }
        Ok(())
    }
}

impl Drop for Output<'_> {
    fn drop(&mut self) {
        if !self.finished {
            discard(self.log, self.view.base);
        }
    }
}

/// Removes the files of a segment that will not be swapped in.
pub(crate) fn discard(log: &PartitionLog, base: i64) {
    let _io = log.io.locked();
    if log.state() == LogState::Deleted {
        // They went with the directory; what is there now is another log's.
        return;
    }
    for part in SegmentPart::ALL {
        let path = aside(&log.context.store, &log.name, base, part);
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove an unfinished segment");
        }
    }
}
