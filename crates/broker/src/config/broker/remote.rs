//! Tiered storage (`RemoteLogManagerConfig`).

use base::config::Rule;

const NO_TIERED_STORAGE: &str = "tiered storage is not part of this release";

base::config_keys! {
    /// Tiered storage.
    pub(super) static REMOTE: "Tiered storage",
        "Keeping old segments in an object store (KIP-405)." => {
        BOOLEAN "remote.log.storage.system.enable" = "false" [
            differs(
                "no remote store is built in yet, so topics that ask for one gain nothing by \
                 switching this on.",
            ),
        ]
            "Whether topics may keep closed segments in the remote store.";
        STRING "remote.log.storage.manager.class.name" = null [
            rule(Rule::NonEmptyString),
            inert(NO_TIERED_STORAGE),
        ]
            "The class that stores segments remotely.";
        STRING "remote.log.storage.manager.class.path" = null [inert(NO_TIERED_STORAGE)]
            "Where this class is loaded from.";
        STRING "remote.log.storage.manager.impl.prefix" = "rsm.config." [
            rule(Rule::NonEmptyString),
            inert(NO_TIERED_STORAGE),
        ]
            "The prefix of the keys handed to this class.";
        STRING "remote.log.metadata.manager.class.name" =
            "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager" [
            rule(Rule::NonEmptyString),
            inert(NO_TIERED_STORAGE),
        ]
            "The class that remembers what is stored remotely.";
        STRING "remote.log.metadata.manager.class.path" = null [inert(NO_TIERED_STORAGE)]
            "Where this class is loaded from.";
        STRING "remote.log.metadata.manager.impl.prefix" = "rlmm.config." [
            rule(Rule::NonEmptyString),
            inert(NO_TIERED_STORAGE),
        ]
            "The prefix of the keys handed to this class.";
        STRING "remote.log.metadata.manager.listener.name" = null [
            rule(Rule::NonEmptyString),
            inert(NO_TIERED_STORAGE),
        ]
            "The listener this class connects to.";
        INT "remote.log.metadata.custom.metadata.max.bytes" = "128" [
            at_least(0),
            inert(NO_TIERED_STORAGE),
        ]
            "Bytes of metadata that the remote store may add to a segment.";
        LONG "remote.log.index.file.cache.total.size.bytes" = "1073741824" [
            at_least(1),
            cluster_wide,
            inert(NO_TIERED_STORAGE),
        ]
            "Bytes of remote indexes kept on the local disk.";
        LONG "remote.log.index.file.cache.ttl.ms" = "900000" [
            at_least(-1),
            internal,
            inert(NO_TIERED_STORAGE),
        ]
            "How long an unused remote index is kept locally, in milliseconds; -1 for ever.";
        INT "remote.log.manager.thread.pool.size" = "2" [at_least(1), inert(NO_TIERED_STORAGE)]
            "Threads that serve remote segments.";
        INT "remote.log.manager.copier.thread.pool.size" = "10" [
            at_least(1),
            cluster_wide,
            inert(NO_TIERED_STORAGE),
        ]
            "Threads that copy segments to the remote store.";
        INT "remote.log.manager.expiration.thread.pool.size" = "10" [
            at_least(1),
            cluster_wide,
            inert(NO_TIERED_STORAGE),
        ]
            "Threads that delete remote segments whose retention is over.";
        INT "remote.log.manager.follower.thread.pool.size" = "2" [
            at_least(1),
            cluster_wide,
            inert(NO_TIERED_STORAGE),
        ]
            "Threads that follow what leaders copied.";
        LONG "remote.log.manager.task.interval.ms" = "30000" [at_least(1), inert(NO_TIERED_STORAGE)]
            "How often segments to copy are looked for, in milliseconds.";
        LONG "remote.log.manager.task.retry.backoff.ms" = "500" [
            at_least(1),
            internal,
            inert(NO_TIERED_STORAGE),
        ]
            "How long a failed task first waits before it is tried again, in milliseconds.";
        LONG "remote.log.manager.task.retry.backoff.max.ms" = "30000" [
            at_least(1),
            internal,
            inert(NO_TIERED_STORAGE),
        ]
            "The longest such wait, in milliseconds.";
        DOUBLE "remote.log.manager.task.retry.jitter" = "0.2" [
            rule(Rule::BetweenDoubles(0.0, 0.5)),
            internal,
            inert(NO_TIERED_STORAGE),
        ]
            "The share of random time added to it.";
        INT "remote.log.reader.threads" = "10" [at_least(1), cluster_wide, inert(NO_TIERED_STORAGE)]
            "Threads that read remote segments.";
        INT "remote.log.reader.max.pending.tasks" = "100" [at_least(1), inert(NO_TIERED_STORAGE)]
            "Remote reads that may wait for a thread.";
        LONG "remote.log.manager.copy.max.bytes.per.second" = "9223372036854775807" [
            at_least(1),
            cluster_wide,
            inert(NO_TIERED_STORAGE),
        ]
            "Bytes copied to the remote store per second.";
        INT "remote.log.manager.copy.quota.window.num" = "11" [
            at_least(1),
            inert(NO_TIERED_STORAGE),
        ]
            "Samples kept to measure copying.";
        INT "remote.log.manager.copy.quota.window.size.seconds" = "1" [
            at_least(1),
            inert(NO_TIERED_STORAGE),
        ]
            "The span of one sample of copying, in seconds.";
        LONG "remote.log.manager.fetch.max.bytes.per.second" = "9223372036854775807" [
            at_least(1),
            cluster_wide,
            inert(NO_TIERED_STORAGE),
        ]
            "Bytes read from the remote store per second.";
        INT "remote.log.manager.fetch.quota.window.num" = "11" [
            at_least(1),
            inert(NO_TIERED_STORAGE),
        ]
            "Samples kept to measure remote reading.";
        INT "remote.log.manager.fetch.quota.window.size.seconds" = "1" [
            at_least(1),
            inert(NO_TIERED_STORAGE),
        ]
            "The span of one sample of remote reading, in seconds.";
        INT "remote.fetch.max.wait.ms" = "500" [at_least(1), cluster_wide, inert(NO_TIERED_STORAGE)]
            "How long a fetch waits for the remote store, in milliseconds.";
        LONG "remote.list.offsets.request.timeout.ms" = "30000" [
            at_least(1),
            cluster_wide,
            inert(NO_TIERED_STORAGE),
        ]
            "How long a lookup by time waits for the remote store, in milliseconds.";
        LONG "log.local.retention.ms" = "-2" [at_least(-2), cluster_wide, inert(NO_TIERED_STORAGE)]
            "The default of a topic's `local.retention.ms`; -2 for as long as the whole retention.";
        LONG "log.local.retention.bytes" = "-2" [
            at_least(-2),
            cluster_wide,
            inert(NO_TIERED_STORAGE),
        ]
            "The default of a topic's `local.retention.bytes`; -2 for as many as the whole \
             retention.";
        LONG "log.remote.copy.lag.ms" = "0" [at_least(-1), cluster_wide, inert(NO_TIERED_STORAGE)]
            "The default of a topic's `remote.copy.lag.ms`.";
        LONG "log.remote.copy.lag.bytes" = "-1" [
            at_least(-1),
            cluster_wide,
            inert(NO_TIERED_STORAGE),
        ]
            "The default of a topic's `remote.copy.lag.bytes`.";
    }
}
