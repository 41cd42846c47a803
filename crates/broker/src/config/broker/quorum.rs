//! The metadata quorum (`QuorumConfig`, `KRaftConfigs`, `MetadataLogConfig`).

use base::config::Rule;

use super::super::rules;

const METADATA_IS_KEPT_BY: &str =
    "metadata is kept by a store (embedded, or etcd), not by a Raft quorum of brokers";

base::config_keys! {
    /// Metadata quorum.
    pub(super) static QUORUM: "Metadata quorum",
        "Kafka's KRaft. Affluent keeps metadata in a store instead, and accepts these keys so that \
         a Kafka properties file starts it." => {
        LIST "controller.quorum.voters" = "" [
            rule(Rule::Custom { check: rules::quorum_voters, text: "id@host:port, ..." }),
            inert(METADATA_IS_KEPT_BY),
        ]
            "The voters, as `id@host:port`.";
        LIST "controller.quorum.bootstrap.servers" = "" [
            rule(Rule::Custom { check: rules::bootstrap_servers, text: "host:port, ..." }),
            inert(METADATA_IS_KEPT_BY),
        ]
            "Where the quorum is found, as `host:port`.";
        INT "controller.quorum.election.timeout.ms" = "1000" [
            at_least(0),
            inert(METADATA_IS_KEPT_BY),
        ]
            "How long a voter waits for a leader before it stands for election, in milliseconds.";
        INT "controller.quorum.election.backoff.max.ms" = "1000" [
            at_least(0),
            inert(METADATA_IS_KEPT_BY),
        ]
            "The longest wait between two elections, in milliseconds.";
        INT "controller.quorum.fetch.timeout.ms" = "2000" [at_least(0), inert(METADATA_IS_KEPT_BY)]
            "How long a voter waits for its leader before a new election, in milliseconds.";
        INT "controller.quorum.fetch.max.bytes" = "1048576" [
            at_least(1),
            inert(METADATA_IS_KEPT_BY),
        ]
            "Bytes of one fetch of the metadata log.";
        INT "controller.quorum.fetch.snapshot.max.bytes" = "1048576" [
            at_least(1),
            inert(METADATA_IS_KEPT_BY),
        ]
            "Bytes of one fetch of a metadata snapshot.";
        INT "controller.quorum.append.linger.ms" = "25" [at_least(0), inert(METADATA_IS_KEPT_BY)]
            "How long the leader collects changes before it writes them, in milliseconds.";
        INT "controller.quorum.request.timeout.ms" = "2000" [
            at_least(0),
            inert(METADATA_IS_KEPT_BY),
        ]
            "How long a voter waits for an answer, in milliseconds.";
        INT "controller.quorum.retry.backoff.ms" = "20" [at_least(0), inert(METADATA_IS_KEPT_BY)]
            "How long a voter waits before it asks again, in milliseconds.";
        BOOLEAN "controller.quorum.auto.join.enable" = "false" [inert(METADATA_IS_KEPT_BY)]
            "Whether a controller joins the voters by itself.";
        INT "initial.broker.registration.timeout.ms" = "60000" [inert(METADATA_IS_KEPT_BY)]
            "How long a starting broker tries to register, in milliseconds.";
        INT "broker.heartbeat.interval.ms" = "2000" [inert(METADATA_IS_KEPT_BY)]
            "How often a broker reports to the controller, in milliseconds.";
        INT "broker.session.timeout.ms" = "9000" [inert(METADATA_IS_KEPT_BY)]
            "How long a broker may stay silent before it is fenced, in milliseconds.";
        STRING "metadata.log.dir" = null [inert(METADATA_IS_KEPT_BY)]
            "The directory of the metadata log; null for the first of `log.dirs`.";
        INT "metadata.log.segment.bytes" = "1073741824" [
            at_least(8_388_608),
            inert(METADATA_IS_KEPT_BY),
        ]
            "The size at which a segment of the metadata log is closed, in bytes.";
        LONG "metadata.log.segment.ms" = "604800000" [inert(METADATA_IS_KEPT_BY)]
            "The age at which a segment of the metadata log is closed, in milliseconds.";
        LONG "metadata.log.max.record.bytes.between.snapshots" = "20971520" [
            at_least(1),
            inert(METADATA_IS_KEPT_BY),
        ]
            "Bytes of changes after which a metadata snapshot is taken.";
        LONG "metadata.log.max.snapshot.interval.ms" = "3600000" [
            at_least(0),
            inert(METADATA_IS_KEPT_BY),
        ]
            "The longest time between two metadata snapshots, in milliseconds; 0 for no limit.";
        LONG "metadata.max.retention.bytes" = "104857600" [inert(METADATA_IS_KEPT_BY)]
            "Bytes of old metadata logs and snapshots that are kept.";
        LONG "metadata.max.retention.ms" = "604800000" [inert(METADATA_IS_KEPT_BY)]
            "How long old metadata logs and snapshots are kept, in milliseconds.";
        INT "metadata.max.idle.interval.ms" = "500" [at_least(0), inert(METADATA_IS_KEPT_BY)]
            "How often an idle leader writes to the metadata log, in milliseconds; 0 for never.";
        LONG "internal.metadata.delete.delay.millis" = "60000" [
            internal,
            inert(METADATA_IS_KEPT_BY),
        ]
            "How long dropped metadata files stay on disk, in milliseconds.";
        INT "internal.metadata.log.segment.bytes" = null [internal, inert(METADATA_IS_KEPT_BY)]
            "As `metadata.log.segment.bytes`, without its lower bound.";
        INT "internal.metadata.max.batch.size.in.bytes" = "8388608" [
            internal,
            inert(METADATA_IS_KEPT_BY),
        ]
            "The largest batch of the metadata log, in bytes.";
        LONG "controller.performance.sample.period.ms" = "60000" [
            at_least(100),
            internal,
            inert(METADATA_IS_KEPT_BY),
        ]
            "How often the controller logs how long its events took, in milliseconds.";
        LONG "controller.performance.always.log.threshold.ms" = "2000" [
            at_least(0),
            internal,
            inert(METADATA_IS_KEPT_BY),
        ]
            "From how long on an event of the controller is always logged, in milliseconds.";
    }
}
