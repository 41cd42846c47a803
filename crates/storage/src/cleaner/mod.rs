//! Compaction: for each key the last record stays, older ones go (`LogCleaner`, `LogCleanerManager`, `Cleaner`).
//!
//! A log is a *clean* part, which a *pass* has been over, and a *dirty* part behind it. A pass reads the dirty part into
//! an [`OffsetMap`](offset_map::OffsetMap), key to last offset, then writes every segment up to the map's end again
//! without the records that the map knows a later one of. Small segments that follow each other become one: a *group*.
//!
//! ```text
//!   clean                     dirty                        not cleanable: the active segment, open
//!  ┌────────┬────────┬ first ┬────────┬────────┬ first  ┬── transactions, min.compaction.lag.ms, what no
//!  └────────┴────────┘ dirty └────────┴────────┘ unclean└── checkpoint has synced yet
//!      read and written again       read twice
//! ```
//!
//! In a log with a remote part (`crate::tier`) passes over the local part alone go on as here, but drop nothing that an older remote
//! record may need, and now and then one is over the whole log: remote segments are read there, written again aside, uploaded, and
//! swapped in the manifest.
//!
//! - [`select`] decides what is worth a pass, [`filter`] what of a batch stays, [`transactions`] what was aborted and
//!   which markers are still needed. None of them does I/O.
//! - [`pass`] reads and writes; [`swap`] puts a written group in the place of the segments it was made of.
//! - The threads and the choice among logs are the manager's (`manager/cleaning.rs`).
//!
//! **Invariants**
//! - No record changes its offset, its bytes or its order. A batch keeps its base and last offset, so that sequences stay
//!   provable; what was a batch's last offset may only vanish together with the batch.
//! - Only segments that the last checkpoint holds as synced, with a later one behind them, are touched: recovery
//!   never compares a cleaned batch with a frame of the journal.
//! - A batch whose CRC is wrong ends the pass: compaction never gives damaged bytes a new CRC.
//! - Memory is bounded: `log.cleaner.dedupe.buffer.size` for keys, 4 MiB for batches, `log.cleaner.io.buffer.size` for bytes, and
//!   one batch.
//!
//! Differs: keys are told apart by a keyed 128-bit SipHash instead of MD5. Two keys that collide count as one there and
//! here, but here nobody can make up such keys.

pub(crate) mod batches;
pub(crate) mod filter;
pub(crate) mod offset_map;
pub(crate) mod output;
pub(crate) mod pass;
pub(crate) mod progress;
pub(crate) mod select;
pub(crate) mod swap;
pub(crate) mod throttle;
pub(crate) mod transactions;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base::{Offset, PartitionIndex};

/// The cleaner's own settings (`CleanerConfig`), the same for all logs.
#[derive(Clone, Debug, PartialEq)]
pub struct CleanerConfig {
    /// `log.cleaner.enable`: whether there are threads. [`crate::Storage::run_cleaner`] works without.
    pub enable: bool,
    /// `log.cleaner.threads`: logs cleaned at a time.
    pub threads: usize,
    /// `log.cleaner.dedupe.buffer.size`: bytes of all offset maps.
    pub dedupe_buffer_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`: how full an offset map may become.
    pub load_factor: f64,
    /// `log.cleaner.io.buffer.size`: bytes of all read and write buffers.
    pub io_buffer_bytes: usize,
    /// `log.cleaner.io.max.bytes.per.second`: read and written by all threads together.
    pub max_bytes_per_second: f64,
    /// `log.cleaner.backoff.ms`: how long a thread that found nothing waits.
    pub backoff_ms: u64,
}

impl Default for CleanerConfig {
    fn default() -> CleanerConfig {
        CleanerConfig {
            enable: true,
            threads: 1,
            dedupe_buffer_bytes: 128 << 20,
            load_factor: 0.9,
            io_buffer_bytes: 512 << 10,
            max_bytes_per_second: f64::MAX,
            backoff_ms: 15_000,
        }
    }
}

impl CleanerConfig {
    /// The share of one thread in the map's memory; Kafka's maps are at most 2 GiB.
    pub(crate) fn map_bytes(&self) -> usize {
        (self.dedupe_buffer_bytes / self.threads.max(1)).min(i32::MAX as usize)
    }

    /// One of a thread's two buffers.
    pub(crate) fn buffer_bytes(&self) -> usize {
        (self.io_buffer_bytes / self.threads.max(1) / 2).max(4 << 10)
    }
}

/// What one pass over a log did (`CleanerStats`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CleanReport {
    /// The topic's name.
    pub topic: String,
    /// The partition.
    pub partition: PartitionIndex,
    /// Whether it was over all of the log; without a remote part every pass is.
    pub whole: bool,
    /// Where the dirty part began.
    pub first_dirty_offset: Offset,
    /// Where it begins now.
    pub next_dirty_offset: Offset,
    /// Segments read and written again.
    pub segments_before: u64,
    /// How many of them were remote.
    pub remote_segments_before: u64,
    /// Segments written.
    pub segments_after: u64,
    /// Bytes of the segments read.
    pub bytes_before: u64,
    /// Bytes of the segments written.
    pub bytes_after: u64,
    /// Records looked at.
    pub records_before: u64,
    /// Records kept.
    pub records_after: u64,
    /// Records without a key, which a compacted topic does not keep.
    pub records_without_key: u64,
    /// Bytes read to find out the keys.
    pub map_bytes_read: u64,
    /// Keys in the map.
    pub map_keys: u64,
    /// How full the map became, of what it may hold; 0 to 1.
    pub map_utilization: f64,
    /// How long it took.
    pub elapsed: Duration,
}

/// What a round of the cleaner did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CleanerReport {
    /// The passes, in order.
    pub passes: Vec<CleanReport>,
    /// Logs that could not be cleaned, with the reason.
    pub failures: Vec<String>,
}

/// Why a pass ended early.
#[derive(Debug)]
pub(crate) enum CleanError {
    /// The log changed meanwhile (retention, deletion), or the storage stops. Nothing was lost; try again later.
    Aborted,
    /// The bytes are not batches, or their CRC is wrong. The partition is not cleaned any more.
    Corrupt { reason: String },
    /// Reading or writing failed; what was swapped in stays.
    Io {
        action: &'static str,
        source: io::Error,
    },
    /// The remote store or its manifest did not do what it was asked; what was replaced stays. Try again later.
    Remote { source: io::Error },
    /// The storage has failed, here or elsewhere.
    Storage(crate::error::StorageError),
}

impl CleanError {
    pub(crate) fn io(action: &'static str) -> impl FnOnce(io::Error) -> CleanError {
        move |source| CleanError::Io { action, source }
    }

    pub(crate) fn remote(source: io::Error) -> CleanError {
        CleanError::Remote { source }
    }

    /// For the operator's log.
    pub(crate) fn reason(&self) -> Arc<str> {
        match self {
            CleanError::Aborted => "it changed meanwhile".into(),
            CleanError::Corrupt { reason } => reason.as_str().into(),
            CleanError::Io { action, source } => format!("cannot {action}: {source}").into(),
            CleanError::Remote { source } => base::ErrorChain(source).to_string().into(),
            CleanError::Storage(error) => base::ErrorChain(error).to_string().into(),
        }
    }
}
