//! Settings: plain data, with Kafka's names and defaults. Components (clock, fault hook) are passed apart.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cleaner::CleanerConfig;
use crate::fault::FaultHook;
use crate::tier::TierOptions;

/// How an append becomes durable (`flush.policy`, a config of Affluent; Apache Kafka behaves as `Os`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum FlushPolicy {
    /// Through the journal: acknowledged once it is on stable storage.
    #[default]
    Ack,
    /// Acknowledged when written to the segment (page cache); synced every `flush.ms` or `flush.messages`.
    /// Power loss loses what was acknowledged since.
    Interval,
    /// Acknowledged when written to the segment (page cache); the operating system decides when to sync.
    Os,
}

/// `cleanup.policy`, both flags possible, neither allowed (no cleanup).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CleanupPolicy {
    /// Segments are deleted by `retention.ms` and `retention.bytes`.
    pub delete: bool,
    /// The last record per key is kept; see [`crate::cleaner`].
    pub compact: bool,
}

/// The configs of one partition log (`org.apache.kafka.storage.internals.log.LogConfig`).
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`: a segment is closed before it would exceed this.
    pub segment_bytes: u32,
    /// `segment.ms`: a segment is closed when its first record is older than this.
    pub segment_ms: i64,
    /// `segment.jitter.ms`: up to this much is taken from `segment_ms`, at random for each segment.
    pub segment_jitter_ms: i64,
    /// `index.interval.bytes`: bytes of log between two index entries.
    pub index_interval_bytes: u32,
    /// `segment.index.bytes`: an offset index that reaches this closes its segment.
    pub segment_index_bytes: u32,
    /// `retention.ms`: -1 for no limit.
    pub retention_ms: i64,
    /// `retention.bytes`: -1 for no limit.
    pub retention_bytes: i64,
    /// `cleanup.policy`.
    pub cleanup_policy: CleanupPolicy,
    /// `delete.retention.ms`: how long a tombstone stays after the first pass that could drop it.
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`: a record younger than this is not dropped.
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`: a record does not wait longer than this for a pass.
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`: above this share of dirty bytes a log is worth a pass.
    pub min_cleanable_dirty_ratio: f64,
    /// `file.delete.delay.ms`: how long a deleted segment's files stay on disk as `.deleted`.
    pub file_delete_delay_ms: i64,
    /// `flush.policy`.
    pub flush_policy: FlushPolicy,
    /// `flush.messages`; only with [`FlushPolicy::Interval`].
    pub flush_messages: i64,
    /// `flush.ms`; only with [`FlushPolicy::Interval`].
    pub flush_ms: i64,
    /// Tiered storage.
    pub remote: RemoteLogConfig,
    /// `preallocate`: reserve `segment_bytes` on disk when a segment is created.
    pub preallocate: bool,
}

/// What a topic says of its remote part (KIP-405).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteLogConfig {
    /// `remote.storage.enable`.
    pub enabled: bool,
    /// `remote.log.copy.disable`: nothing more is copied, and local segments stay as long as the whole log says.
    pub copy_disabled: bool,
    /// `remote.log.delete.on.disable`: with `enabled` off, what is remote is deleted.
    pub delete_on_disable: bool,
    /// `local.retention.ms`; -2 follows `retention.ms`, -1 is no limit.
    pub local_retention_ms: i64,
    /// `local.retention.bytes`; -2 follows `retention.bytes`, -1 is no limit.
    pub local_retention_bytes: i64,
    /// `remote.copy.lag.ms`; -1 follows the local retention.
    pub copy_lag_ms: i64,
    /// `remote.copy.lag.bytes`; -1 follows the local retention.
    pub copy_lag_bytes: i64,
}

impl Default for RemoteLogConfig {
    fn default() -> RemoteLogConfig {
        RemoteLogConfig {
            enabled: false,
            copy_disabled: false,
            delete_on_disable: false,
            local_retention_ms: -2,
            local_retention_bytes: -2,
            copy_lag_ms: 0,
            copy_lag_bytes: -1,
        }
    }
}

impl Default for LogConfig {
    fn default() -> LogConfig {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_jitter_ms: 0,
            index_interval_bytes: 4096,
            segment_index_bytes: 10 << 20,
            retention_ms: 7 * 24 * 3_600_000,
            retention_bytes: -1,
            cleanup_policy: CleanupPolicy {
                delete: true,
                compact: false,
            },
            delete_retention_ms: 24 * 3_600_000,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_ratio: 0.5,
            file_delete_delay_ms: 60_000,
            flush_policy: FlushPolicy::Ack,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            remote: RemoteLogConfig::default(),
            preallocate: false,
        }
    }
}

impl LogConfig {
    /// Whether closed segments are copied to the remote store.
    #[must_use]
    pub fn copies_to_remote(&self) -> bool {
        self.remote.enabled && !self.remote.copy_disabled
    }

    /// `LogConfig.localRetentionMs`: -1 for no limit.
    #[must_use]
    pub fn local_retention_ms(&self) -> i64 {
        follow(self.remote.local_retention_ms, -2, self.retention_ms)
    }

    /// `LogConfig.localRetentionBytes`: -1 for no limit.
    #[must_use]
    pub fn local_retention_bytes(&self) -> i64 {
        follow(self.remote.local_retention_bytes, -2, self.retention_bytes)
    }

    /// `LogConfig.remoteCopyLagMs` (KIP-1241): 0 for none, negative for ever.
    #[must_use]
    pub fn copy_lag_ms(&self) -> i64 {
        follow(self.remote.copy_lag_ms, -1, self.local_retention_ms())
    }

    /// `LogConfig.remoteCopyLagBytes` (KIP-1241): 0 for none, negative for ever.
    #[must_use]
    pub fn copy_lag_bytes(&self) -> i64 {
        follow(self.remote.copy_lag_bytes, -1, self.local_retention_bytes())
    }

    /// The age at which a segment is closed (`LogConfig.maxSegmentMs`): records that must be compacted by
    /// `max.compaction.lag.ms` must not lie in the active segment for longer.
    #[must_use]
    pub fn segment_ms_max(&self) -> i64 {
        if self.cleanup_policy.compact && self.max_compaction_lag_ms > 0 {
            self.segment_ms.min(self.max_compaction_lag_ms)
        } else {
            self.segment_ms
        }
    }
}

/// The value, or the one it follows when it says so.
fn follow(value: i64, says_so: i64, followed: i64) -> i64 {
    if value == says_so { followed } else { value }
}

/// The settings of a data directory.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// The directory; created when missing.
    pub data_dir: PathBuf,
    /// Size of the journal's first file. Small, since it is written before the first answer.
    pub journal_first_file_bytes: u64,
    /// Size of each further journal file, pre-written in the background.
    pub journal_file_bytes: u64,
    /// At most this many bytes of journal are kept on disk; at that size appends wait for a checkpoint.
    pub journal_max_bytes: u64,
    /// Appends above this many bytes not yet written wait ([`crate::Storage::append_room`]).
    pub journal_queue_bytes: usize,
    /// At most this many bytes are written to the journal at once.
    pub journal_group_bytes: usize,
    /// A checkpoint is taken after this many bytes of journal.
    pub checkpoint_bytes: u64,
    /// A checkpoint is taken after this long, if anything was written.
    pub checkpoint_interval_ms: u64,
    /// Batches in memory that are not yet in a segment file, over all partitions.
    pub tail_bytes: usize,
    /// Free space kept in a ballast file, released when the disk is full.
    pub headroom_bytes: u64,
    /// `log.retention.check.interval.ms`; also when producers expire.
    pub retention_check_interval_ms: u64,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// Pipes for reads past the page cache ([`crate::cold`]), of [`crate::cold::PIECE_BYTES`] each.
    pub cold_read_pipes: usize,
    /// Compaction.
    pub cleaner: CleanerConfig,
    /// The remote store; none where `remote.log.storage.system.enable` is off.
    pub tier: Option<TierOptions>,
    /// Segment file handles kept open.
    pub open_files: usize,
    /// Bring partitions online even when a damaged journal leaves their completeness unproven. Loses what
    /// the damaged part held; an operator's last resort.
    pub allow_unclean_recovery: bool,
    /// For tests: makes chosen I/O fail.
    pub fault_hook: Option<Arc<dyn FaultHook>>,
    /// For simulation: no thread is started, and nothing is written but by [`crate::Storage::drive`] and by what is
    /// called by name. The same calls in the same order then do the same I/O in the same order.
    pub driven: bool,
}

impl StorageOptions {
    /// The defaults for a data directory.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> StorageOptions {
        StorageOptions {
            data_dir: data_dir.into(),
            journal_first_file_bytes: 8 << 20,
            journal_file_bytes: 64 << 20,
            journal_max_bytes: 2 << 30,
            journal_queue_bytes: 64 << 20,
            journal_group_bytes: 4 << 20,
            checkpoint_bytes: 256 << 20,
            checkpoint_interval_ms: 30_000,
            tail_bytes: 64 << 20,
            headroom_bytes: 16 << 20,
            retention_check_interval_ms: 300_000,
            producer_id_expiration_ms: 86_400_000,
            cold_read_pipes: 32,
            cleaner: CleanerConfig::default(),
            tier: None,
            open_files: 2_048,
            allow_unclean_recovery: false,
            fault_hook: None,
            driven: false,
        }
    }
}
