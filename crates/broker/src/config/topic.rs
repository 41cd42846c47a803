//! The keys of a topic (`org.apache.kafka.storage.internals.log.LogConfig`, Apache Kafka 4.4).

use base::config::{ConfigSection, Rule, Synonym};

use super::rules;
use super::schema_validation;

/// The sections in the order of the reference page.
pub(super) fn sections() -> Vec<&'static ConfigSection> {
    vec![
        &CLEANUP,
        &SEGMENTS,
        &DURABILITY,
        &MESSAGES,
        &REPLICATION,
        &TIERING,
        &SCHEMAS,
    ]
}

base::config_keys! {
    /// Retention and compaction.
    static CLEANUP: "Retention and compaction",
        "How long records are kept, and what happens to the old ones." => {
        LIST "cleanup.policy" = "delete" [
            rule(Rule::EachOneOf { values: &["compact", "delete"], empty: true }),
            synonyms(&[Synonym::same("log.cleanup.policy")]),
        ]
            "What happens to old records: `delete` drops whole segments once `retention.ms` or \
             `retention.bytes` says so, `compact` keeps the last record of each key, and `compact,delete` \
             does both. An empty list keeps everything for ever. Compaction needs a key on each record, so \
             a compacted topic refuses records without one.";
        LONG "retention.ms" = "604800000" [
            at_least(-1),
            synonyms(&[
                Synonym::same("log.retention.ms"),
                Synonym::minutes("log.retention.minutes"),
                Synonym::hours("log.retention.hours"),
            ]),
        ]
            "How long a record stays readable under the `delete` policy, in milliseconds; -1 for no \
             limit. A segment goes when its youngest record is older than this, so records live up to \
             `segment.ms` longer.";
        LONG "retention.bytes" = "-1" [synonyms(&[Synonym::same("log.retention.bytes")])]
            "How many bytes one partition may hold before its oldest segments go; -1 for no limit. It \
             counts per partition: the topic as a whole holds as many times more as it has partitions.";
        LONG "delete.retention.ms" = "86400000" [
            at_least(0),
            synonyms(&[Synonym::same("log.cleaner.delete.retention.ms")]),
        ]
            "How long a tombstone (a key with a null value) outlives its compaction, in milliseconds. It \
             is also the time a consumer that reads a compacted topic from the start has to reach the end \
             without missing a deletion.";
        LONG "min.compaction.lag.ms" = "0" [
            at_least(0),
            synonyms(&[Synonym::same("log.cleaner.min.compaction.lag.ms")]),
        ]
            "How long a record stays as written before compaction may drop it, in milliseconds. Readers \
             within that time of the end see each update, not only the last one.";
        LONG "max.compaction.lag.ms" = "9223372036854775807" [
            at_least(1),
            synonyms(&[Synonym::same("log.cleaner.max.compaction.lag.ms")]),
        ]
            "How long a record may wait for compaction, in milliseconds, whatever \
             `min.cleanable.dirty.ratio` says. A bound makes deletions certain by a date, at the price of \
             compacting partitions that changed little; the default sets none.";
        DOUBLE "min.cleanable.dirty.ratio" = "0.5" [
            between(0, 1),
            synonyms(&[Synonym::same("log.cleaner.min.cleanable.ratio")]),
        ]
            "The share of not yet compacted bytes from which a partition is worth compacting. A lower \
             ratio keeps less garbage on disk and rewrites the same records more often.";
        LONG "file.delete.delay.ms" = "60000" [
            at_least(0),
            synonyms(&[Synonym::same("log.segment.delete.delay.ms")]),
        ]
            "How long the file of a dropped segment stays on disk, in milliseconds, so that readers that \
             were given its bytes can finish.";
    }
}

base::config_keys! {
    /// Segment files and their indexes.
    static SEGMENTS: "Segments and indexes",
        "How a partition is cut into files." => {
        INT "segment.bytes" = "1073741824" [
            at_least(1_048_576),
            synonyms(&[Synonym::same("log.segment.bytes")]),
        ]
            "The size at which a segment is closed and a new one begun, in bytes. Retention and \
             compaction work on closed segments: smaller ones follow the retention more closely and cost \
             more files.";
        INT "internal.segment.bytes" = null [internal]
            "As `segment.bytes`, without its lower bound; for tests alone.";
        LONG "segment.ms" = "604800000" [
            at_least(1),
            synonyms(&[Synonym::same("log.roll.ms"), Synonym::hours("log.roll.hours")]),
        ]
            "The age at which a segment is closed though it is not full, in milliseconds, so that \
             retention and compaction reach the records of a slow topic.";
        LONG "segment.jitter.ms" = "0" [
            at_least(0),
            synonyms(&[Synonym::same("log.roll.jitter.ms"), Synonym::hours("log.roll.jitter.hours")]),
        ]
            "The most by which `segment.ms` is shortened at random, in milliseconds, so that partitions \
             created together do not close their segments together.";
        INT "segment.index.bytes" = "10485760" [
            at_least(4),
            synonyms(&[Synonym::same("log.index.size.max.bytes")]),
        ]
            "The most bytes an index file may take. A full index closes its segment early.";
        INT "index.interval.bytes" = "4096" [
            at_least(0),
            synonyms(&[Synonym::same("log.index.interval.bytes")]),
        ]
            "How many bytes lie between two entries of an index. Closer entries make a read seek less and \
             the index larger.";
        BOOLEAN "preallocate" = "false" [synonyms(&[Synonym::same("log.preallocate")])]
            "Whether `segment.bytes` are reserved on the disk when a segment is begun; what it did not \
             need is given back when it is closed. It keeps the file in one piece and costs the room \
             of a whole segment per partition.";
    }
}

base::config_keys! {
    /// When data is forced to the disk.
    static DURABILITY: "Durability",
        "What an acknowledgement promises." => {
        STRING "flush.policy" = "ack" [
            one_of(&["ack", "interval", "os"]),
            synonyms(&[Synonym::same("log.flush.policy")]),
            differs("Apache Kafka has no such key and behaves like `os`."),
        ]
            "When an append is forced to the disk. `ack` does so before it is acknowledged, many appends \
             in one write, so that an acknowledged record survives a power cut. `interval` acknowledges \
             from memory and flushes after `flush.messages` records or `flush.ms`; a power cut loses what \
             came since. `os` leaves it to the operating system: the fastest, and safe against the death \
             of the process alone.";
        LONG "flush.messages" = "9223372036854775807" [
            at_least(1),
            synonyms(&[Synonym::same("log.flush.interval.messages")]),
        ]
            "With `flush.policy=interval`: how many records may be appended before a flush. The default \
             leaves it to `flush.ms`.";
        LONG "flush.ms" = "9223372036854775807" [
            at_least(0),
            synonyms(&[
                Synonym::same("log.flush.interval.ms"),
                Synonym::same("log.flush.scheduler.interval.ms"),
            ]),
        ]
            "With `flush.policy=interval`: how long an append may wait for a flush, in milliseconds. The \
             default leaves it to `flush.messages`.";
    }
}

base::config_keys! {
    /// What a batch must look like.
    static MESSAGES: "Messages",
        "What producers may send and how it is kept." => {
        INT "max.message.bytes" = "1048588" [
            at_least(0),
            synonyms(&[Synonym::same("message.max.bytes")]),
        ]
            "The largest record batch taken, in bytes, after compression. A larger one is refused with \
             MESSAGE_TOO_LARGE. Consumers receive at least one whole batch whatever their own limits are, \
             so raising it raises what each of them may have to hold in memory.";
        STRING "compression.type" = "producer" [
            one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
            synonyms(&[Synonym::same("compression.type")]),
        ]
            "How batches are compressed on disk and towards consumers. `producer` keeps each as it came \
             and costs nothing; any other value makes the broker decompress and compress again what came \
             otherwise.";
        INT "compression.gzip.level" = "-1" [
            rule(Rule::Custom { check: rules::gzip_level, text: "[1,...,9] or -1" }),
            synonyms(&[Synonym::same("compression.gzip.level")]),
        ]
            "The gzip level when `compression.type` is `gzip`; -1 is the library's balance of speed and \
             size.";
        INT "compression.lz4.level" = "9" [
            between(1, 17),
            synonyms(&[Synonym::same("compression.lz4.level")]),
            differs("every level compresses as fast and as well as LZ4's fast mode."),
        ]
            "The LZ4 level when `compression.type` is `lz4`.";
        INT "compression.zstd.level" = "3" [
            between(-131_072, 22),
            synonyms(&[Synonym::same("compression.zstd.level")]),
        ]
            "The Zstandard level when `compression.type` is `zstd`; negative levels trade size for speed.";
        STRING "message.timestamp.type" = "CreateTime" [
            one_of(&["CreateTime", "LogAppendTime"]),
            synonyms(&[Synonym::same("log.message.timestamp.type")]),
        ]
            "Whose clock stamps records: `CreateTime` keeps the producer's timestamps, `LogAppendTime` \
             overwrites them with the time of the append. Retention and lookups by time go by the result.";
        LONG "message.timestamp.before.max.ms" = "9223372036854775807" [
            at_least(0),
            synonyms(&[Synonym::same("log.message.timestamp.before.max.ms")]),
        ]
            "How far a producer's timestamp may lie before the broker's clock, in milliseconds; an older \
             one is refused with INVALID_TIMESTAMP. Only for `CreateTime`.";
        LONG "message.timestamp.after.max.ms" = "3600000" [
            at_least(0),
            synonyms(&[Synonym::same("log.message.timestamp.after.max.ms")]),
        ]
            "How far a producer's timestamp may lie ahead of the broker's clock, in milliseconds; one \
             further ahead is refused with INVALID_TIMESTAMP, because it would keep its segment from ever \
             expiring. Only for `CreateTime`.";
        BOOLEAN "errors.deadletterqueue.group.enable" = "false" [
            inert("share groups are not part of this release"),
        ]
            "Whether share groups may use the topic as a dead letter queue (KIP-1191).";
    }
}

base::config_keys! {
    /// Replicas.
    static REPLICATION: "Replication",
        "How the topic behaves with more than one replica." => {
        INT "min.insync.replicas" = "1" [
            at_least(1),
            synonyms(&[Synonym::same("min.insync.replicas")]),
        ]
            "How many replicas have to be in sync for a produce with `acks=all` to be taken; with fewer \
             it is refused with NOT_ENOUGH_REPLICAS. Affluent's replicas share one durable store, so each \
             partition counts as having all of its replicas in sync.";
        BOOLEAN "unclean.leader.election.enable" = "false" [
            synonyms(&[Synonym::same("unclean.leader.election.enable")]),
            inert("a new leader always starts from the durable log and loses nothing"),
        ]
            "Whether a replica that lags behind may become leader.";
        LIST "leader.replication.throttled.replicas" = "" [
            rule(Rule::Custom {
                check: rules::throttled_replicas,
                text: "[partitionId]:[brokerId],[partitionId]:[brokerId],... or *",
            }),
            inert("replicas are not copied from broker to broker"),
        ]
            "The replicas whose outgoing replication is throttled: partition and broker pairs, or `*` \
             for all.";
        LIST "follower.replication.throttled.replicas" = "" [
            rule(Rule::Custom {
                check: rules::throttled_replicas,
                text: "[partitionId]:[brokerId],[partitionId]:[brokerId],... or *",
            }),
            inert("replicas are not copied from broker to broker"),
        ]
            "The replicas whose incoming replication is throttled: partition and broker pairs, or `*` \
             for all.";
    }
}

base::config_keys! {
    /// Tiered storage.
    static TIERING: "Tiered storage",
        "Keeping old segments in an object store (KIP-405)." => {
        BOOLEAN "remote.storage.enable" = "false" []
            "Whether closed segments are copied to the remote store. It can be switched on only where \
             `remote.log.storage.system.enable` is on.";
        LONG "local.retention.ms" = "-2" [
            at_least(-2),
            synonyms(&[Synonym::same("log.local.retention.ms")]),
        ]
            "How long copied segments also stay on the local disk, in milliseconds; -2 for as long as \
             `retention.ms`, -1 for no limit.";
        LONG "local.retention.bytes" = "-2" [
            at_least(-2),
            synonyms(&[Synonym::same("log.local.retention.bytes")]),
        ]
            "How many bytes of a partition stay on the local disk beside the remote copy; -2 for as many \
             as `retention.bytes`, -1 for no limit.";
        BOOLEAN "remote.log.copy.disable" = "false" []
            "Whether a tiered topic stops copying and its remote part becomes read-only.";
        BOOLEAN "remote.log.delete.on.disable" = "false" []
            "Whether switching `remote.storage.enable` off deletes the remote part. Without it, \
             switching off is refused.";
        LONG "remote.copy.lag.ms" = "0" [
            at_least(-1),
            synonyms(&[Synonym::same("log.remote.copy.lag.ms")]),
        ]
            "How long a closed segment waits before it is copied, in milliseconds; -1 for as long as it \
             stays local.";
        LONG "remote.copy.lag.bytes" = "-1" [
            at_least(-1),
            synonyms(&[Synonym::same("log.remote.copy.lag.bytes")]),
        ]
            "How many bytes behind the end a closed segment has to lie before it is copied; -1 for as \
             many as stay local.";
    }
}

base::config_keys! {
    /// Schemas of records.
    static SCHEMAS: "Schema validation",
        "Refusing records that name no schema of their subject, by the Schema Registry." => {
        BOOLEAN "confluent.key.schema.validation" = "false" [
            differs("Apache Kafka has no such key; it is Confluent Server's."),
        ]
            "Whether a key has to begin with the id of a schema that the registry has under the subject of the topic's keys, \
             or name it in the header `__key_schema_id`. A batch with one that does not is refused with INVALID_RECORD. \
             A null key passes.";
        BOOLEAN "confluent.value.schema.validation" = "false" [
            differs("Apache Kafka has no such key; it is Confluent Server's."),
        ]
            "Whether a value has to begin with the id of a schema that the registry has under the subject of the topic's \
             values, or name it in the header `__value_schema_id`. A batch with one that does not is refused with \
             INVALID_RECORD. A null value passes.";
        STRING "confluent.key.subject.name.strategy" = "io.confluent.kafka.serializers.subject.TopicNameStrategy" [
            rule(Rule::Custom {
                check: schema_validation::subject_name_strategy,
                text: "io.confluent.kafka.serializers.subject.{TopicNameStrategy, RecordNameStrategy, TopicRecordNameStrategy}",
            }),
            differs("Apache Kafka has no such key; it is Confluent Server's."),
        ]
            "How the subject of the topic's keys is named; as producers have it.";
        STRING "confluent.value.subject.name.strategy" = "io.confluent.kafka.serializers.subject.TopicNameStrategy" [
            rule(Rule::Custom {
                check: schema_validation::subject_name_strategy,
                text: "io.confluent.kafka.serializers.subject.{TopicNameStrategy, RecordNameStrategy, TopicRecordNameStrategy}",
            }),
            differs("Apache Kafka has no such key; it is Confluent Server's."),
        ]
            "How the subject of the topic's values is named; as producers have it.";
        BOOLEAN "schema.rules.validation" = "false" [
            differs("neither Apache Kafka nor Confluent Server has such a key; the key is Affluent's."),
        ]
            "Whether the domain rules that a schema has for writing (CEL conditions) are run on records too, where their \
             schemas are validated; a record that breaks one is refused. The broker then decodes every record of the \
             topic, which costs far more than looking at an id.";
    }
}
