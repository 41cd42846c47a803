//! Replication (`ReplicationConfigs`).

const REPLICAS_ARE_NOT_COPIED: &str = "replicas are not copied from broker to broker";
const THERE_IS_ONE_DATA: &str = "there is one data directory";
const A_SINGLE_BROKER_LEADS: &str = "a single broker leads every partition";

base::config_keys! {
    /// Replication.
    pub(super) static REPLICATION: "Replication",
        "Copying partitions from broker to broker, which Affluent leaves to its durable store." => {
        LONG "replica.lag.time.max.ms" = "30000" [inert(REPLICAS_ARE_NOT_COPIED)]
            "How long a replica may lag before it leaves the set in sync, in milliseconds.";
        INT "replica.socket.timeout.ms" = "30000" [inert(REPLICAS_ARE_NOT_COPIED)]
            "How long a replica waits for an answer, in milliseconds.";
        INT "replica.socket.receive.buffer.bytes" = "65536" [inert(REPLICAS_ARE_NOT_COPIED)]
            "The receive buffer of a replica's connection, in bytes.";
        INT "replica.fetch.max.bytes" = "1048576" [at_least(0), inert(REPLICAS_ARE_NOT_COPIED)]
            "Bytes of one partition a replica asks for at a time.";
        INT "replica.fetch.wait.max.ms" = "500" [inert(REPLICAS_ARE_NOT_COPIED)]
            "How long a leader may hold back a replica's fetch, in milliseconds.";
        INT "replica.fetch.backoff.ms" = "1000" [at_least(0), inert(REPLICAS_ARE_NOT_COPIED)]
            "How long a replica waits after an error, in milliseconds.";
        INT "replica.fetch.min.bytes" = "1" [inert(REPLICAS_ARE_NOT_COPIED)]
            "Bytes a leader collects before it answers a replica.";
        INT "replica.fetch.response.max.bytes" = "10485760" [
            at_least(0),
            inert(REPLICAS_ARE_NOT_COPIED),
        ]
            "Bytes of one answer to a replica.";
        INT "num.replica.fetchers" = "1" [at_least(1), cluster_wide, inert(REPLICAS_ARE_NOT_COPIED)]
            "Threads that fetch for replicas, per leader.";
        INT "num.replica.alter.log.dirs.threads" = null [inert(THERE_IS_ONE_DATA)]
            "Threads that move replicas between directories; null for one per directory.";
        LONG "replica.high.watermark.checkpoint.interval.ms" = "5000" [
            inert("everything in the durable log is below the high watermark after a restart"),
        ]
            "How often the high watermark is noted, in milliseconds.";
        STRING "replica.selector.class" = null [
            inert("a consumer reads from the leader of a partition"),
        ]
            "A class that picks the replica a consumer reads from; null for the leader.";
        BOOLEAN "follower.fetch.last.tiered.offset.enable" = "false" [
            cluster_wide,
            inert(REPLICAS_ARE_NOT_COPIED),
        ]
            "Whether a new replica starts behind what is tiered.";
        INT "controller.socket.timeout.ms" = "30000" [
            inert("no controller sends requests to brokers"),
        ]
            "How long the controller waits for a broker's answer, in milliseconds.";
        BOOLEAN "auto.leader.rebalance.enable" = "true" [inert(A_SINGLE_BROKER_LEADS)]
            "Whether leadership returns to the preferred replica by itself.";
        LONG "leader.imbalance.check.interval.seconds" = "300" [
            at_least(1),
            inert(A_SINGLE_BROKER_LEADS),
        ]
            "How often leadership is compared with the preferred replicas, in seconds.";
        LONG "unclean.leader.election.interval.ms" = "300000" [
            at_least(1),
            internal,
            inert("a new leader always starts from the durable log"),
        ]
            "How often unclean elections are looked for, in milliseconds.";
        LONG "leader.replication.throttled.rate" = "9223372036854775807" [
            at_least(0),
            cluster_wide,
            internal,
            inert(REPLICAS_ARE_NOT_COPIED),
        ]
            "Bytes per second that throttled replicas may be sent.";
        LONG "follower.replication.throttled.rate" = "9223372036854775807" [
            at_least(0),
            cluster_wide,
            internal,
            inert(REPLICAS_ARE_NOT_COPIED),
        ]
            "Bytes per second that throttled replicas may fetch.";
        LONG "replica.alter.log.dirs.io.max.bytes.per.second" = "9223372036854775807" [
            at_least(0),
            cluster_wide,
            internal,
            inert(THERE_IS_ONE_DATA),
        ]
            "Bytes per second for moving replicas between directories.";
    }
}
