//! From a topic's settings to what storage and validation want to know.

use base::PartitionIndex;
use storage::{CleanerConfig, CleanupPolicy, LogConfig, RemoteLogConfig};
use wire::record_batch::Compression;
use wire::record_validate::{
    DECOMPRESSED_MAX_BYTES_DEFAULT, Origin, TargetCompression, TimestampRule, ValidationRules,
};

use crate::config::{
    BrokerSettings, CompressionSetting, FlushPolicy, TimestampType, TopicSettings,
};
use crate::topics::is_internal;

/// The configs of a topic's logs.
///
/// Topics of the broker's own are never tiered, whatever their configs say (`UnifiedLog.isRemoteLogEnabled`): a coordinator reads
/// its log from the local disk.
pub(crate) fn log_config(topic: &str, settings: &TopicSettings) -> LogConfig {
    // The declarations keep these within an i32 above zero.
    let bytes = |value: i32| u32::try_from(value).unwrap_or_default();
    LogConfig {
        segment_bytes: bytes(settings.segment_bytes),
        segment_ms: settings.segment_ms,
        segment_jitter_ms: settings.segment_jitter_ms,
        index_interval_bytes: bytes(settings.index_interval_bytes),
        segment_index_bytes: bytes(settings.segment_index_bytes),
        retention_ms: settings.retention_ms,
        retention_bytes: settings.retention_bytes,
        cleanup_policy: CleanupPolicy {
            delete: settings.cleanup_delete,
            compact: settings.cleanup_compact,
        },
        delete_retention_ms: settings.delete_retention_ms,
        min_compaction_lag_ms: settings.min_compaction_lag_ms,
        max_compaction_lag_ms: settings.max_compaction_lag_ms,
        min_cleanable_dirty_ratio: settings.min_cleanable_dirty_ratio,
        file_delete_delay_ms: settings.file_delete_delay_ms,
        flush_policy: match settings.flush_policy {
            FlushPolicy::Ack => storage::FlushPolicy::Ack,
            FlushPolicy::Interval => storage::FlushPolicy::Interval,
            FlushPolicy::Os => storage::FlushPolicy::Os,
        },
        flush_messages: settings.flush_messages,
        flush_ms: settings.flush_ms,
        remote: RemoteLogConfig {
            enabled: settings.remote.enabled && !is_internal(topic),
            copy_disabled: settings.remote.copy_disabled,
            delete_on_disable: settings.remote.delete_on_disable,
            local_retention_ms: settings.remote.local_retention_ms,
            local_retention_bytes: settings.remote.local_retention_bytes,
            copy_lag_ms: settings.remote.copy_lag_ms,
            copy_lag_bytes: settings.remote.copy_lag_bytes,
        },
        preallocate: settings.preallocate,
    }
}

/// The settings of the log cleaner.
pub(crate) fn cleaner_config(settings: &BrokerSettings) -> CleanerConfig {
    CleanerConfig {
        enable: settings.log_cleaner_enable,
        threads: settings.log_cleaner_threads,
        dedupe_buffer_bytes: settings.log_cleaner_dedupe_buffer_bytes,
        load_factor: settings.log_cleaner_io_buffer_load_factor,
        io_buffer_bytes: settings.log_cleaner_io_buffer_bytes,
        max_bytes_per_second: settings.log_cleaner_io_max_bytes_per_second,
        backoff_ms: u64::try_from(settings.log_cleaner_backoff.as_millis()).unwrap_or(u64::MAX),
    }
}

/// What a producer's batches for the topic are judged by, in the newest version of Produce.
pub(crate) fn validation_rules<'a>(
    settings: &TopicSettings,
    topic: &'a str,
    partition: PartitionIndex,
    now_ms: i64,
) -> ValidationRules<'a> {
    let codec = |codec, level| TargetCompression::Codec(codec, level);
    ValidationRules {
        topic,
        partition,
        produce_version: i16::MAX,
        origin: Origin::Client,
        max_message_bytes: usize::try_from(settings.max_message_bytes).unwrap_or_default(),
        timestamps: match settings.timestamp_type {
            TimestampType::CreateTime => TimestampRule::CreateTime {
                before_max_ms: settings.timestamp_before_max_ms,
                after_max_ms: settings.timestamp_after_max_ms,
            },
            TimestampType::LogAppendTime => TimestampRule::LogAppendTime,
        },
        compression: match settings.compression {
            CompressionSetting::Producer => TargetCompression::Producer,
            CompressionSetting::Uncompressed => codec(Compression::None, None),
            CompressionSetting::Gzip(level) => codec(Compression::Gzip, Some(level)),
            CompressionSetting::Snappy => codec(Compression::Snappy, None),
            CompressionSetting::Lz4(level) => codec(Compression::Lz4, Some(level)),
            CompressionSetting::Zstd(level) => codec(Compression::Zstd, Some(level)),
        },
        compacted: settings.cleanup_compact,
        now_ms,
        decompressed_max_bytes: DECOMPRESSED_MAX_BYTES_DEFAULT,
    }
}
