//! The log and its cleaner (`ServerLogConfigs`, `CleanerConfig`).

use base::config::Rule;

base::config_keys! {
    /// Log.
    pub(super) static LOG: "Log",
        "Where and how partitions are stored; most keys are defaults of topics." => {
        LIST "log.dir" = "./affluent-data" [
            list(false, false),
            differs("Apache Kafka's default is a directory under /tmp."),
        ]
            "The directory of the data, when `log.dirs` is null.";
        LIST "log.dirs" = null [
            list(false, true),
            differs(
                "one directory is used; the journal writes for all partitions at once, so several \
                 disks belong behind one file system.",
            ),
        ]
            "The directory of the data. Null for `log.dir`.";
        LIST "cordoned.log.dirs" = "" [
            list(true, false),
            per_broker,
            inert("there is one data directory"),
        ]
            "Data directories that take no new partition.";
        LONG "log.dir.failure.timeout.ms" = "30000" [
            at_least(1),
            inert("there is one data directory, and a broken one takes the broker offline at once"),
        ]
            "How long a broker may fail to report a broken data directory before it stops, in \
             milliseconds.";
        INT "log.segment.bytes" = "1073741824" [at_least(1_048_576), cluster_wide]
            "The default of a topic's `segment.bytes`: the size at which a segment is closed.";
        LONG "log.roll.ms" = null [cluster_wide]
            "The default of a topic's `segment.ms`; null for `log.roll.hours`.";
        INT "log.roll.hours" = "168" [at_least(1)]
            "The default of a topic's `segment.ms`, in hours, when `log.roll.ms` is null.";
        LONG "log.roll.jitter.ms" = null [cluster_wide]
            "The default of a topic's `segment.jitter.ms`; null for `log.roll.jitter.hours`.";
        INT "log.roll.jitter.hours" = "0" [at_least(0)]
            "The default of a topic's `segment.jitter.ms`, in hours, when `log.roll.jitter.ms` is \
             null.";
        LONG "log.retention.ms" = null [cluster_wide]
            "The default of a topic's `retention.ms`: -1 for no limit, null for \
             `log.retention.minutes`.";
        INT "log.retention.minutes" = null []
            "The default of a topic's `retention.ms`, in minutes, when `log.retention.ms` is null; \
             null for `log.retention.hours`.";
        INT "log.retention.hours" = "168" []
            "The default of a topic's `retention.ms`, in hours, when neither milliseconds nor \
             minutes are given; negative for no limit.";
        LONG "log.retention.bytes" = "-1" [cluster_wide]
            "The default of a topic's `retention.bytes`, per partition; -1 for no limit.";
        LONG "log.retention.check.interval.ms" = "300000" [at_least(1)]
            "How often the broker looks for segments whose retention is over, in milliseconds. \
             Shorter frees space sooner and wakes up more often.";
        LIST "log.cleanup.policy" = "delete" [
            rule(Rule::EachOneOf { values: &["compact", "delete"], empty: true }),
            cluster_wide,
        ]
            "The default of a topic's `cleanup.policy`: `delete`, `compact`, or both.";
        INT "log.index.size.max.bytes" = "10485760" [at_least(4), cluster_wide]
            "The default of a topic's `segment.index.bytes`: the most bytes of an index file.";
        INT "log.index.interval.bytes" = "4096" [at_least(0), cluster_wide]
            "The default of a topic's `index.interval.bytes`: bytes between two index entries.";
        STRING "log.flush.policy" = "ack" [
            one_of(&["ack", "interval", "os"]),
            cluster_wide,
            differs("Apache Kafka has no such key and behaves like `os`."),
        ]
            "The default of a topic's `flush.policy`: whether an append is on the disk before it \
             is acknowledged (`ack`), at intervals (`interval`), or when the operating system sees \
             fit (`os`).";
        LONG "journal.file.bytes" = "67108864" [
            at_least(1_048_576),
            differs("Apache Kafka has no journal; the key is Affluent's."),
        ]
            "The size of one file of the journal, which is written beforehand and recycled. Larger \
             files change over less often; smaller ones suit small disks.";
        LONG "journal.max.bytes" = "2147483648" [
            at_least(2_097_152),
            differs("Apache Kafka has no journal; the key is Affluent's."),
        ]
            "The most bytes of journal kept on the disk: appends wait for a checkpoint beyond it.";
        LONG "journal.checkpoint.bytes" = "268435456" [
            at_least(1_048_576),
            differs("Apache Kafka has no journal; the key is Affluent's."),
        ]
            "A checkpoint is taken after this many bytes of journal. Fewer bytes restart faster \
             after a crash and sync segments more often.";
        LONG "journal.checkpoint.interval.ms" = "30000" [
            at_least(100),
            differs("Apache Kafka has no journal; the key is Affluent's."),
        ]
            "A checkpoint is taken after this long, if anything was written, in milliseconds.";
        LONG "log.flush.interval.messages" = "9223372036854775807" [at_least(1), cluster_wide]
            "The default of a topic's `flush.messages`: records between two flushes under \
             `flush.policy=interval`.";
        LONG "log.flush.interval.ms" = null [cluster_wide]
            "The default of a topic's `flush.ms`; null for `log.flush.scheduler.interval.ms`.";
        LONG "log.flush.scheduler.interval.ms" = "9223372036854775807" []
            "The default of a topic's `flush.ms` when `log.flush.interval.ms` is null.";
        INT "log.flush.offset.checkpoint.interval.ms" = "60000" [
            at_least(0),
            inert("the journal's own checkpoint bounds what a restart has to read again"),
        ]
            "How often the offset up to which data was flushed is noted, in milliseconds.";
        INT "log.flush.start.offset.checkpoint.interval.ms" = "60000" [
            at_least(0),
            inert("a moved log start offset is durable before it is answered"),
        ]
            "How often the first readable offset is noted, in milliseconds.";
        LONG "log.segment.delete.delay.ms" = "60000" [at_least(0), cluster_wide]
            "The default of a topic's `file.delete.delay.ms`: how long dropped files stay for \
             their readers.";
        BOOLEAN "log.preallocate" = "false" [cluster_wide]
            "The default of a topic's `preallocate`: whether a segment's room is reserved when it is \
             begun.";
        INT "num.recovery.threads.per.data.dir" = "2" [
            at_least(1),
            cluster_wide,
            inert("recovery reads the journal once, in order, for all partitions"),
        ]
            "Threads that read logs back after an unclean stop.";
        STRING "log.message.timestamp.type" = "CreateTime" [
            one_of(&["CreateTime", "LogAppendTime"]),
            cluster_wide,
        ]
            "The default of a topic's `message.timestamp.type`: the producer's clock or the \
             broker's.";
        LONG "log.message.timestamp.before.max.ms" = "9223372036854775807" [
            at_least(0),
            cluster_wide,
        ]
            "The default of a topic's `message.timestamp.before.max.ms`: how old a timestamp may \
             be.";
        LONG "log.message.timestamp.after.max.ms" = "3600000" [at_least(0), cluster_wide]
            "The default of a topic's `message.timestamp.after.max.ms`: how far ahead a timestamp \
             may be.";
        LONG "log.initial.task.delay.ms" = "30000" [
            at_least(0),
            internal,
            inert("retention keeps to its own interval from the start"),
        ]
            "How long after the start the first round of retention waits, in milliseconds.";
    }
}

base::config_keys! {
    /// Log cleaner.
    pub(super) static CLEANER: "Log cleaner",
        "Compaction: keeping the last record of each key." => {
        BOOLEAN "log.cleaner.enable" = "true" []
            "Whether partitions with `cleanup.policy=compact` are compacted. Off, they grow for \
             ever, the internal topics included.";
        INT "log.cleaner.threads" = "1" [at_least(0), cluster_wide]
            "Partitions compacted at a time.";
        DOUBLE "log.cleaner.io.max.bytes.per.second" = "1.7976931348623157E308" [cluster_wide]
            "Bytes that compaction may read and write per second over all threads. A limit leaves \
             the disk to the clients; too low a one lets compaction fall behind.";
        LONG "log.cleaner.dedupe.buffer.size" = "134217728" [cluster_wide]
            "Memory for the table of keys, in bytes over all threads. A larger one covers more \
             keys in one pass; each thread needs more than 1 MiB.";
        INT "log.cleaner.io.buffer.size" = "524288" [at_least(0), cluster_wide]
            "Memory for reading and writing, in bytes over all threads; a batch that is larger is \
             held whole all the same.";
        DOUBLE "log.cleaner.io.buffer.load.factor" = "0.9" [cluster_wide]
            "How full the table of keys may become. Fuller covers more keys in a pass with more \
             collisions.";
        LONG "log.cleaner.backoff.ms" = "15000" [at_least(0), cluster_wide]
            "How long a thread that found nothing to do waits before it looks again, in \
             milliseconds.";
        DOUBLE "log.cleaner.min.cleanable.ratio" = "0.5" [between(0, 1), cluster_wide]
            "The default of a topic's `min.cleanable.dirty.ratio`: the share of new bytes worth a \
             pass.";
        LONG "log.cleaner.delete.retention.ms" = "86400000" [at_least(0), cluster_wide]
            "The default of a topic's `delete.retention.ms`: how long a tombstone outlives \
             compaction.";
        LONG "log.cleaner.min.compaction.lag.ms" = "0" [at_least(0), cluster_wide]
            "The default of a topic's `min.compaction.lag.ms`: how long a record stays as written.";
        LONG "log.cleaner.max.compaction.lag.ms" = "9223372036854775807" [at_least(1), cluster_wide]
            "The default of a topic's `max.compaction.lag.ms`: how long a record may wait for \
             compaction.";
    }
}
