//! The group coordinator and committed offsets (`GroupCoordinatorConfig`).

use base::config::Rule;

const GROUP_STATE_IS_WRITTEN: &str =
    "group state is written through the partition log like any produce";

base::config_keys! {
    /// Group coordinator.
    pub(super) static CLASSIC: "Group coordinator",
        "Groups of the classic protocol, and what is common to all." => {
        INT "group.min.session.timeout.ms" = "6000" []
            "The shortest session timeout a member may ask for, in milliseconds. A short one \
             notices a dead member sooner and takes a slow one for dead.";
        INT "group.max.session.timeout.ms" = "1800000" []
            "The longest session timeout a member may ask for, in milliseconds.";
        INT "group.initial.rebalance.delay.ms" = "3000" []
            "How long the first rebalance of an empty group waits for more members, in \
             milliseconds. It saves rebalances when consumers start together; tests set it to 0.";
        INT "group.max.size" = "2147483647" [at_least(1)]
            "Members one group may have; further ones are refused with GROUP_MAX_SIZE_REACHED.";
        LIST "group.coordinator.rebalance.protocols" = "classic,consumer,streams" [
            rule(Rule::EachOneOf { values: &["consumer", "classic", "share", "streams"], empty: false }),
            differs("the classic protocol is always served."),
        ]
            "The group protocols the broker serves.";
        INT "group.coordinator.threads" = "4" [
            at_least(1),
            inert("each partition of the offsets topic has its own task"),
        ]
            "Threads of the group coordinator.";
        INT "group.coordinator.background.threads" = "2" [
            at_least(1),
            inert("such work runs on the runtime's own threads"),
        ]
            "Threads of the coordinator's work behind requests.";
        INT "group.coordinator.append.linger.ms" = "-1" [
            at_least(-1),
            inert(GROUP_STATE_IS_WRITTEN),
        ]
            "How long the coordinator collects changes before it writes them, in milliseconds; -1 \
             as long as a write is under way.";
        INT "group.coordinator.cached.buffer.max.bytes" = "1048588" [
            at_least(524_288),
            cluster_wide,
            inert(GROUP_STATE_IS_WRITTEN),
        ]
            "The largest write buffer the coordinator keeps for reuse, in bytes.";
    }
}

base::config_keys! {
    /// Offsets.
    pub(super) static OFFSETS: "Offsets",
        "Committed offsets and the topic that holds them." => {
        INT "offset.metadata.max.bytes" = "4096" []
            "The longest text a client may store beside a committed offset, in bytes; a longer one \
             is refused with OFFSET_METADATA_TOO_LARGE.";
        INT "offsets.retention.minutes" = "10080" [at_least(1)]
            "How long the offsets of a group without members are kept, in minutes; also how long \
             an offset of a topic nobody subscribes to any more is kept.";
        LONG "offsets.retention.check.interval.ms" = "600000" [at_least(1)]
            "How often expired offsets are looked for, in milliseconds.";
        INT "offsets.commit.timeout.ms" = "5000" [at_least(1)]
            "How long a commit may wait to become durable before it is answered with an error, in \
             milliseconds.";
        INT "offsets.load.buffer.size" = "5242880" [
            at_least(1),
            inert("the log is read in pieces of its own size"),
        ]
            "Bytes read at a time when the offsets topic is loaded.";
        INT "offsets.topic.num.partitions" = "50" [at_least(1)]
            "Partitions of the offsets topic when it is created. It cannot be changed afterwards: \
             the partition of a group depends on it.";
        SHORT "offsets.topic.replication.factor" = "3" [
            at_least(1),
            differs(
                "with fewer brokers than this the topic gets one replica per broker, where Apache \
                 Kafka waits for more brokers.",
            ),
        ]
            "Replicas of the offsets topic when it is created.";
        INT "offsets.topic.segment.bytes" = "104857600" [at_least(1)]
            "The size at which a segment of the offsets topic is closed, in bytes. Smaller ones \
             are compacted sooner and load faster.";
        INT "offsets.topic.compression.codec" = "0" [
            inert("its batches are small and are written as they are"),
        ]
            "The compression of the offsets topic: 0 none, 1 gzip, 2 Snappy, 3 LZ4, 4 Zstandard.";
    }
}
