//! Tiered storage (`RemoteLogManagerConfig`).

use base::config::Rule;

base::config_keys! {
    /// Tiered storage.
    pub(super) static REMOTE: "Tiered storage",
        "Keeping old segments in an object store (KIP-405)." => {
        BOOLEAN "remote.log.storage.system.enable" = "false" [
            differs(
                "the store is built in: `remote.log.storage.url` names it where Apache Kafka asks for a \
                 class.",
            ),
        ]
            "Whether topics may keep closed segments in the remote store.";
        STRING "remote.log.storage.url" = null [
            rule(Rule::NonEmptyString),
            differs("Apache Kafka has no store of its own; the key is Affluent's."),
        ]
            "The remote store: `file:///dir`, `s3://bucket/prefix`, `gs://bucket/prefix` or \
             `az://container/prefix`. Needed once `remote.log.storage.system.enable` is on.";
        STRING "remote.log.storage.endpoint" = null [
            rule(Rule::NonEmptyString),
            differs("Apache Kafka has no store of its own; the key is Affluent's."),
        ]
            "The URL of the store's server, where it is not the vendor's own: `http://host:8333`.";
        STRING "remote.log.storage.region" = null [
            rule(Rule::NonEmptyString),
            differs("Apache Kafka has no store of its own; the key is Affluent's."),
        ]
            "The region of an S3 bucket. Without it the environment says (`AWS_REGION`).";
        STRING "remote.log.storage.access.key" = null [
            rule(Rule::NonEmptyString),
            differs("Apache Kafka has no store of its own; the key is Affluent's."),
        ]
            "The access key id of S3, or the account of Azure. Without it the environment says \
             (`AWS_ACCESS_KEY_ID`, `AZURE_STORAGE_ACCOUNT_NAME`), or the machine's own identity does.";
        PASSWORD "remote.log.storage.secret.key" = null [
            differs("Apache Kafka has no store of its own; the key is Affluent's."),
        ]
            "The secret key of S3, the account's key of Azure, or the service account's key of Google as \
             JSON. Without it the environment says (`AWS_SECRET_ACCESS_KEY`, ...).";
        BOOLEAN "remote.log.storage.path.style.access" = "true" [
            differs("Apache Kafka has no store of its own; the key is Affluent's."),
        ]
            "Whether the bucket of S3 is the first part of the path. Off, it is part of the host's name, which \
             servers of one's own often do not know.";
        STRING "remote.log.storage.manager.class.name" = null [
            rule(Rule::NonEmptyString),
            inert("the store is built in and chosen by `remote.log.storage.url`"),
        ]
            "The class that stores segments remotely.";
        STRING "remote.log.storage.manager.class.path" = null [inert("the store is built in and chosen by `remote.log.storage.url`")]
            "Where this class is loaded from.";
        STRING "remote.log.storage.manager.impl.prefix" = "rsm.config." [
            rule(Rule::NonEmptyString),
            inert("the store is built in and chosen by `remote.log.storage.url`"),
        ]
            "The prefix of the keys handed to this class.";
        STRING "remote.log.metadata.manager.class.name" =
            "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager" [
            rule(Rule::NonEmptyString),
            inert("what is remote is remembered in the metadata store"),
        ]
            "The class that remembers what is stored remotely.";
        STRING "remote.log.metadata.manager.class.path" = null [inert("what is remote is remembered in the metadata store")]
            "Where this class is loaded from.";
        STRING "remote.log.metadata.manager.impl.prefix" = "rlmm.config." [
            rule(Rule::NonEmptyString),
            inert("what is remote is remembered in the metadata store"),
        ]
            "The prefix of the keys handed to this class.";
        STRING "remote.log.metadata.manager.listener.name" = null [
            rule(Rule::NonEmptyString),
            inert("what is remote is remembered in the metadata store"),
        ]
            "The listener this class connects to.";
        INT "remote.log.metadata.custom.metadata.max.bytes" = "128" [
            at_least(0),
            inert("what is remote is remembered in the metadata store"),
        ]
            "Bytes of metadata that the remote store may add to a segment.";
        LONG "remote.log.index.file.cache.total.size.bytes" = "1073741824" [
            at_least(1),
            cluster_wide
        ]
            "Bytes of remote indexes kept on the local disk.";
        LONG "remote.log.index.file.cache.ttl.ms" = "900000" [
            at_least(-1),
            internal,
        ]
            "How long an unused remote index is kept locally, in milliseconds; -1 for ever.";
        INT "remote.log.manager.thread.pool.size" = "2" [at_least(1), inert("copies have threads of their own")]
            "Threads that serve remote segments.";
        INT "remote.log.manager.copier.thread.pool.size" = "10" [
            at_least(1),
            cluster_wide
        ]
            "Threads that copy segments to the remote store.";
        INT "remote.log.manager.expiration.thread.pool.size" = "10" [
            at_least(1),
            cluster_wide,
            inert("deletions run in the round that also copies"),
        ]
            "Threads that delete remote segments whose retention is over.";
        INT "remote.log.manager.follower.thread.pool.size" = "2" [
            at_least(1),
            cluster_wide,
            inert("one node has no followers"),
        ]
            "Threads that follow what leaders copied.";
        LONG "remote.log.manager.task.interval.ms" = "30000" [at_least(1)]
            "How often segments to copy are looked for, in milliseconds.";
        LONG "remote.log.manager.task.retry.backoff.ms" = "500" [
            at_least(1),
            internal,
        ]
            "How long a round of copies and deletions that failed first waits before the next one, in milliseconds; \
             never longer than `remote.log.manager.task.interval.ms`.";
        LONG "remote.log.manager.task.retry.backoff.max.ms" = "30000" [
            at_least(1),
            internal,
        ]
            "The longest such wait, in milliseconds.";
        DOUBLE "remote.log.manager.task.retry.jitter" = "0.2" [
            rule(Rule::BetweenDoubles(0.0, 0.5)),
            internal,
        ]
            "The share of random time added to it.";
        INT "remote.log.reader.threads" = "10" [at_least(1), cluster_wide]
            "Threads that read remote segments.";
        INT "remote.log.reader.max.pending.tasks" = "100" [at_least(1)]
            "Remote reads that may wait for a thread.";
        LONG "remote.log.reader.cache.bytes" = "134217728" [
            at_least(16_777_216),
            cluster_wide,
            differs("what is read ahead of consumers has to be somewhere; the key is Affluent's."),
        ]
            "Bytes of remote segments kept in memory: what was read lately, and up to a half of it what is asked for \
             ahead of readers. More serves more consumers that catch up at the same time.";
        LONG "remote.log.reader.ahead.bytes" = "33554432" [
            at_least(0),
            cluster_wide,
            differs("Apache Kafka reads what a fetch asks for and nothing ahead; the key is Affluent's."),
        ]
            "How far ahead of a consumer that goes through a remote log the store is asked, in reads of 8 MiB that run \
             at the same time; 0 for not at all. A store that takes long to answer needs more; `remote.log.reader.threads` \
             bounds how many run at once.";
        LONG "remote.log.manager.copy.max.bytes.per.second" = "9223372036854775807" [
            at_least(1),
            cluster_wide
        ]
            "Bytes copied to the remote store per second.";
        INT "remote.log.manager.copy.quota.window.num" = "11" [
            at_least(1),
            inert("the rate of copies is measured over a third of a second"),
        ]
            "Samples kept to measure copying.";
        INT "remote.log.manager.copy.quota.window.size.seconds" = "1" [
            at_least(1),
            inert("the rate of copies is measured over a third of a second"),
        ]
            "The span of one sample of copying, in seconds.";
        LONG "remote.log.manager.fetch.max.bytes.per.second" = "9223372036854775807" [
            at_least(1),
            cluster_wide,
        ]
            "Bytes read from the remote store per second; compaction's own reads are not counted.";
        INT "remote.log.manager.fetch.quota.window.num" = "11" [
            at_least(1),
            inert("the rate of reads is measured over a third of a second"),
        ]
            "Samples kept to measure remote reading.";
        INT "remote.log.manager.fetch.quota.window.size.seconds" = "1" [
            at_least(1),
            inert("the rate of reads is measured over a third of a second"),
        ]
            "The span of one sample of remote reading, in seconds.";
        INT "remote.fetch.max.wait.ms" = "500" [at_least(1), cluster_wide]
            "How long a fetch waits for the remote store, in milliseconds.";
        LONG "remote.list.offsets.request.timeout.ms" = "30000" [
            at_least(1),
            cluster_wide
        ]
            "How long a lookup by time waits for the remote store, in milliseconds.";
        LONG "log.local.retention.ms" = "-2" [at_least(-2), cluster_wide]
            "The default of a topic's `local.retention.ms`; -2 for as long as the whole retention.";
        LONG "log.local.retention.bytes" = "-2" [
            at_least(-2),
            cluster_wide
        ]
            "The default of a topic's `local.retention.bytes`; -2 for as many as the whole \
             retention.";
        LONG "log.remote.copy.lag.ms" = "0" [at_least(-1), cluster_wide]
            "The default of a topic's `remote.copy.lag.ms`.";
        LONG "log.remote.copy.lag.bytes" = "-1" [
            at_least(-1),
            cluster_wide
        ]
            "The default of a topic's `remote.copy.lag.bytes`.";
    }
}
