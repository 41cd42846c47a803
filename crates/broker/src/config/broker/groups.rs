//! Consumer, share and streams groups (`GroupCoordinatorConfig`, `ShareGroupConfig`,
//! `ShareCoordinatorConfig`).

use base::config::Rule;

const NO_SHARE_GROUPS: &str = "share groups (KIP-932) are not part of this release";
const NO_OTHER_ASSIGNOR: &str = "`sticky` is the only assignor there is";
const NO_OFFLOAD: &str = "an assignment is computed with the heartbeat that asks for it";
const NO_WARMUP: &str = "`sticky` moves tasks without warming them up first";
const NO_PLUGINS: &str = "there are no plugins";

base::config_keys! {
    /// Consumer groups (KIP-848).
    pub(super) static CONSUMER_GROUPS: "Consumer groups (KIP-848)",
        "Groups of the consumer protocol. The keys without `min` and `max` are defaults that a \
         group may override within these bounds." => {
        INT "group.consumer.session.timeout.ms" = "45000" [at_least(1)]
            "How long a member may stay silent before it is taken out, in milliseconds.";
        INT "group.consumer.min.session.timeout.ms" = "45000" [
            at_least(1),
        ]
            "The shortest session timeout a group may set, in milliseconds.";
        INT "group.consumer.max.session.timeout.ms" = "60000" [
            at_least(1),
        ]
            "The longest session timeout a group may set, in milliseconds.";
        INT "group.consumer.heartbeat.interval.ms" = "5000" [
            at_least(1),
        ]
            "How often members send heartbeats, in milliseconds.";
        INT "group.consumer.min.heartbeat.interval.ms" = "5000" [
            at_least(1),
        ]
            "The shortest heartbeat interval a group may set, in milliseconds.";
        INT "group.consumer.max.heartbeat.interval.ms" = "15000" [
            at_least(1),
        ]
            "The longest heartbeat interval a group may set, in milliseconds.";
        INT "group.consumer.max.size" = "2147483647" [at_least(1)]
            "Members one such group may have.";
        LIST "group.consumer.assignors" = "uniform,range" [
            list(false, false),
            differs(
                "there are these two; the class names Apache Kafka has for them stand for them, and any \
                 other class is passed over with a warning.",
            ),
        ]
            "The assignors on offer, the default one first.";
        STRING "group.consumer.migration.policy" = "bidirectional" [
            rule(Rule::OneOfIgnoreCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"])),
        ]
            "Which way a group may change between the classic and the consumer protocol while it \
             has members.";
        INT "group.consumer.assignment.interval.ms" = "100" [
            at_least(0),
            cluster_wide,
        ]
            "The least time between two computed assignments, in milliseconds. Differs: Apache Kafka's default is \
             1000; an assignment costs little here, and a large group is stable a second sooner.";
        INT "group.consumer.min.assignment.interval.ms" = "0" [
            at_least(0),
        ]
            "The shortest assignment interval a group may set, in milliseconds.";
        INT "group.consumer.max.assignment.interval.ms" = "15000" [
            at_least(0),
        ]
            "The longest assignment interval a group may set, in milliseconds.";
        BOOLEAN "group.consumer.assignor.offload.enable" = "true" [
            cluster_wide,
            internal,
            inert("an assignment is computed with the heartbeat that asks for it"),
        ]
            "Whether assignments are computed beside the coordinator's own thread.";
        INT "group.consumer.regex.refresh.interval.ms" = "600000" [
            at_least(10_000),
            internal,
        ]
            "How often subscribed patterns are matched against the topics anew, in milliseconds.";
    }
}

base::config_keys! {
    /// Share groups (KIP-932).
    pub(super) static SHARE_GROUPS: "Share groups (KIP-932)",
        "Groups whose members share partitions record by record." => {
        INT "group.share.session.timeout.ms" = "45000" [at_least(1)]
            "How long a member may stay silent before it is taken out, in milliseconds.";
        INT "group.share.min.session.timeout.ms" = "45000" [at_least(1)]
            "The shortest session timeout a group may set, in milliseconds.";
        INT "group.share.max.session.timeout.ms" = "60000" [at_least(1)]
            "The longest session timeout a group may set, in milliseconds.";
        INT "group.share.heartbeat.interval.ms" = "5000" [at_least(1)]
            "How often members send heartbeats, in milliseconds.";
        INT "group.share.min.heartbeat.interval.ms" = "5000" [at_least(1)]
            "The shortest heartbeat interval a group may set, in milliseconds.";
        INT "group.share.max.heartbeat.interval.ms" = "15000" [at_least(1)]
            "The longest heartbeat interval a group may set, in milliseconds.";
        INT "group.share.max.size" = "200" [between(1, 1000)]
            "Members one share group may have.";
        LIST "group.share.assignors" = "simple" [
            list(false, false),
            inert("there is the one assignor, and any other is never asked for"),
        ]
            "The assignors on offer, the default one first.";
        INT "group.share.assignment.interval.ms" = "1000" [
            at_least(0),
            cluster_wide,
        ]
            "The least time between two computed assignments, in milliseconds.";
        INT "group.share.min.assignment.interval.ms" = "0" [at_least(0)]
            "The shortest assignment interval a group may set, in milliseconds.";
        INT "group.share.max.assignment.interval.ms" = "15000" [at_least(0)]
            "The longest assignment interval a group may set, in milliseconds.";
        BOOLEAN "group.share.assignor.offload.enable" = "true" [
            cluster_wide,
            internal,
            inert("an assignment is computed with the heartbeat that asks for it"),
        ]
            "Whether assignments are computed beside the coordinator's own thread.";
        INT "group.share.initialize.retry.interval.ms" = "30000" [
            at_least(1),
            internal,
        ]
            "How long an initialization of share state that got no answer waits before it is tried \
             again, in milliseconds.";
        INT "group.share.delivery.count.limit" = "5" [between(2, 10)]
            "How many times a record is delivered before it is passed over.";
        INT "group.share.min.delivery.count.limit" = "2" [between(2, 5)]
            "The lowest delivery limit a group may set.";
        INT "group.share.max.delivery.count.limit" = "10" [between(5, 25)]
            "The highest delivery limit a group may set.";
        INT "group.share.record.lock.duration.ms" = "30000" [
            between(1000, 3_600_000),
        ]
            "How long a delivered record belongs to its receiver, in milliseconds.";
        INT "group.share.min.record.lock.duration.ms" = "15000" [
            between(1000, 30_000),
        ]
            "The shortest lock a group may set, in milliseconds.";
        INT "group.share.max.record.lock.duration.ms" = "60000" [
            between(30_000, 3_600_000),
        ]
            "The longest lock a group may set, in milliseconds.";
        INT "group.share.partition.max.record.locks" = "2000" [
            between(100, 10_000),
        ]
            "Records of one partition that may be delivered and unacknowledged at a time.";
        INT "group.share.min.partition.max.record.locks" = "100" [
            between(100, 2000),
        ]
            "The lowest number of locks a group may set.";
        INT "group.share.max.partition.max.record.locks" = "4000" [
            between(2000, 10_000),
        ]
            "The highest number of locks a group may set.";
        INT "group.share.max.share.sessions" = "2000" [at_least(1)]
            "Share sessions kept at a time; each member that fetches has one.";
        STRING "group.share.persister.class.name" =
            "org.apache.kafka.server.share.persister.DefaultStatePersister" [
            internal,
            inert(NO_SHARE_GROUPS),
        ]
            "The class that stores share state.";
        STRING "group.share.dlq.manager.class.name" =
            "org.apache.kafka.server.share.dlq.DefaultShareGroupDLQManager" [
            internal,
            inert(NO_SHARE_GROUPS),
        ]
            "The class that writes dead letters.";
        INT "share.fetch.purgatory.purge.interval.requests" = "1000" [inert(NO_SHARE_GROUPS)]
            "How often finished waiting share fetches are cleared away.";
        BOOLEAN "errors.deadletterqueue.auto.create.topics.enable" = "false" [
            cluster_wide,
            inert(NO_SHARE_GROUPS),
        ]
            "Whether a missing dead letter topic is created.";
        STRING "errors.deadletterqueue.topic.name.prefix" = "dlq." [
            cluster_wide,
            inert(NO_SHARE_GROUPS),
        ]
            "What the name of a dead letter topic has to begin with.";
    }
}

base::config_keys! {
    /// Share state.
    pub(super) static SHARE_STATE: "Share state",
        "The topic that holds how far share groups are." => {
        INT "share.coordinator.state.topic.num.partitions" = "50" [
            at_least(1),
        ]
            "Partitions of the share state topic when it is created.";
        SHORT "share.coordinator.state.topic.replication.factor" = "3" [
            at_least(1),
            inert("the topic has as many replicas as there are brokers, one"),
        ]
            "Replicas of the share state topic when it is created.";
        SHORT "share.coordinator.state.topic.min.isr" = "2" [
            at_least(1),
            inert("the topic asks for as many replicas in sync as there are brokers, one"),
        ]
            "In-sync replicas the share state topic needs.";
        INT "share.coordinator.state.topic.segment.bytes" = "104857600" [
            at_least(1),
        ]
            "The size at which a segment of the share state topic is closed, in bytes.";
        INT "share.coordinator.state.topic.compression.codec" = "0" [
            inert("records are written uncompressed; their batches are small"),
        ]
            "The compression of the share state topic, as a number.";
        INT "share.coordinator.state.topic.prune.interval.ms" = "300000" [
            at_least(1),
            internal,
        ]
            "How often share state that is no longer needed is deleted, in milliseconds.";
        INT "share.coordinator.threads" = "1" [
            at_least(1),
            inert("each partition of the topic has a task of its own"),
        ]
            "Threads of the share coordinator.";
        INT "share.coordinator.snapshot.update.records.per.snapshot" = "500" [
            between(0, 500),
        ]
            "Updates between two snapshots of a share partition's state.";
        INT "share.coordinator.load.buffer.size" = "5242880" [
            at_least(1),
            inert("five megabytes are read at a time"),
        ]
            "Bytes read at a time when share state is loaded.";
        INT "share.coordinator.append.linger.ms" = "-1" [
            at_least(-1),
            inert("the journal gathers what comes in while it writes"),
        ]
            "How long the share coordinator collects changes before it writes them, in \
             milliseconds; -1 as long as a write is under way.";
        INT "share.coordinator.write.timeout.ms" = "5000" [
            at_least(1),
            inert("a write is answered when it is known to be durable or lost"),
        ]
            "How long a write of share state may take, in milliseconds.";
        INT "share.coordinator.cold.partition.snapshot.interval.ms" = "300000" [
            at_least(1),
            internal,
        ]
            "How often share partitions that changed long ago get a snapshot, in milliseconds.";
        INT "share.coordinator.cached.buffer.max.bytes" = "1048588" [
            at_least(524_288),
            cluster_wide,
            inert("buffers are not kept for reuse"),
        ]
            "The largest write buffer the share coordinator keeps for reuse, in bytes.";
    }
}

base::config_keys! {
    /// Streams groups (KIP-1071).
    pub(super) static STREAMS_GROUPS: "Streams groups (KIP-1071)",
        "Kafka Streams applications that let the broker assign their tasks." => {
        INT "group.streams.session.timeout.ms" = "45000" [at_least(1)]
            "How long a member may stay silent before it is taken out, in milliseconds.";
        INT "group.streams.min.session.timeout.ms" = "45000" [at_least(1)]
            "The shortest session timeout a group may set, in milliseconds.";
        INT "group.streams.max.session.timeout.ms" = "60000" [at_least(1)]
            "The longest session timeout a group may set, in milliseconds.";
        INT "group.streams.heartbeat.interval.ms" = "5000" [at_least(1)]
            "How often members send heartbeats, in milliseconds.";
        INT "group.streams.min.heartbeat.interval.ms" = "5000" [
            at_least(1),
        ]
            "The shortest heartbeat interval a group may set, in milliseconds.";
        INT "group.streams.max.heartbeat.interval.ms" = "15000" [
            at_least(1),
        ]
            "The longest heartbeat interval a group may set, in milliseconds.";
        INT "group.streams.max.size" = "2147483647" [at_least(1)]
            "Members one streams group may have.";
        INT "group.streams.num.standby.replicas" = "0" [at_least(0)]
            "Members besides the active one that keep a copy of a task's state.";
        INT "group.streams.max.standby.replicas" = "2" [at_least(0)]
            "The most standby copies a group may ask for.";
        INT "group.streams.initial.rebalance.delay.ms" = "3000" [
            at_least(0),
        ]
            "How long the first assignment of a new group waits for more members, in milliseconds.";
        INT "group.streams.assignment.interval.ms" = "1000" [
            at_least(0),
            cluster_wide,
        ]
            "The least time between two computed assignments, in milliseconds.";
        INT "group.streams.min.assignment.interval.ms" = "0" [at_least(0)]
            "The shortest assignment interval a group may set, in milliseconds.";
        INT "group.streams.max.assignment.interval.ms" = "15000" [
            at_least(0),
        ]
            "The longest assignment interval a group may set, in milliseconds.";
        LIST "group.streams.assignors" = "sticky" [list(false, false), inert(NO_OTHER_ASSIGNOR)]
            "The task assignors on offer, the default one first.";
        BOOLEAN "group.streams.assignor.offload.enable" = "true" [
            cluster_wide,
            internal,
            inert(NO_OFFLOAD),
        ]
            "Whether assignments are computed beside the coordinator's own thread.";
        INT "group.streams.task.offset.interval.ms" = "60000" [
            at_least(1),
            internal,
        ]
            "How often members report the positions of their tasks, in milliseconds.";
        INT "group.streams.min.task.offset.interval.ms" = "15000" [
            at_least(1),
            internal,
        ]
            "The shortest such interval a group may set, in milliseconds.";
        INT "group.streams.num.warmup.replicas" = "2" [
            at_least(0),
            internal,
            inert(NO_WARMUP),
        ]
            "Tasks that may be warmed up on a new member at a time.";
        INT "group.streams.max.warmup.replicas" = "20" [
            at_least(0),
            internal,
            inert(NO_WARMUP),
        ]
            "The most warm-ups a group may ask for.";
        LIST "group.streams.rack.aware.assignment.tags" = "" [
            list(true, false),
        ]
            "Client tags by which standby tasks are spread over racks.";
        CLASS "group.streams.topology.description.plugin.class" = null [inert(NO_PLUGINS)]
            "A class that stores the descriptions of topologies.";
        LONG "group.streams.acceptable.recovery.lag" = "10000" [
            at_least(0),
            internal,
        ]
            "How far behind a copy of a task's state may be, in records, and still count as caught \
             up.";
    }
}
