//! The keys of a group (`GroupConfig`) and of a client metrics subscription (`ClientMetricsConfigs`), Apache
//! Kafka 4.4.

use base::config::{ConfigSection, Rule, Synonym};

use super::rules;

const NO_SHARE: &str = "share groups (KIP-932) are not part of this release";
const NO_OTHER_ASSIGNOR: &str = "`sticky` is the only assignor there is";
const NO_OFFLOAD: &str = "an assignment is computed with the heartbeat that asks for it";
const NO_WARMUP: &str = "`sticky` moves tasks without warming them up first";

/// The sections of a group's keys.
pub(super) fn sections() -> Vec<&'static ConfigSection> {
    vec![&CONSUMER, &SHARE, &STREAMS]
}

/// The section of a client metrics subscription's keys.
pub(super) fn client_metrics_sections() -> Vec<&'static ConfigSection> {
    vec![&CLIENT_METRICS]
}

base::config_keys! {
    /// Consumer groups of the KIP-848 protocol.
    static CONSUMER: "Consumer groups",
        "For groups whose members use the consumer protocol (`group.protocol=consumer`)." => {
        INT "consumer.session.timeout.ms" = "45000" [
            at_least(1), synonyms(&[Synonym::same("group.consumer.session.timeout.ms")]),
        ]
            "How long a member may stay silent before it is taken out, in milliseconds.";
        INT "consumer.heartbeat.interval.ms" = "5000" [
            at_least(1), synonyms(&[Synonym::same("group.consumer.heartbeat.interval.ms")]),
        ]
            "How often members are told to send a heartbeat, in milliseconds. It bounds how fast a new \
             assignment reaches them.";
        INT "consumer.assignment.interval.ms" = "100" [
            at_least(0), synonyms(&[Synonym::same("group.consumer.assignment.interval.ms")]),
        ]
            "The least time between two computed assignments, in milliseconds; changes in between are \
             taken together.";
        BOOLEAN "consumer.assignor.offload.enable" = "true" [
            internal, synonyms(&[Synonym::same("group.consumer.assignor.offload.enable")]),
            inert("an assignment is computed with the heartbeat that asks for it"),
        ]
            "Whether assignments are computed beside the coordinator's own thread.";
    }
}

base::config_keys! {
    /// Share groups (KIP-932).
    static SHARE: "Share groups",
        "For groups whose members share partitions record by record." => {
        INT "share.session.timeout.ms" = "45000" [
            at_least(1), synonyms(&[Synonym::same("group.share.session.timeout.ms")]),
        ]
            "How long a member may stay silent before it is taken out, in milliseconds.";
        INT "share.heartbeat.interval.ms" = "5000" [
            at_least(1), synonyms(&[Synonym::same("group.share.heartbeat.interval.ms")]),
        ]
            "How often members are told to send a heartbeat, in milliseconds.";
        INT "share.record.lock.duration.ms" = "30000" [
            at_least(1000), synonyms(&[Synonym::same("group.share.record.lock.duration.ms")]),
        ]
            "How long a delivered record belongs to its receiver, in milliseconds. Unacknowledged by \
             then, it goes to another.";
        INT "share.delivery.count.limit" = "5" [
            at_least(2), synonyms(&[Synonym::same("group.share.delivery.count.limit")]),
        ]
            "How many times a record is delivered before it counts as poisoned and is passed over.";
        INT "share.partition.max.record.locks" = "2000" [
            at_least(100), synonyms(&[Synonym::same("group.share.partition.max.record.locks")]),
        ]
            "How many records of one partition may be delivered and unacknowledged at a time. More keep \
             slow members busier and cost memory.";
        STRING "share.auto.offset.reset" = "latest" [
            rule(Rule::Custom {
                check: rules::share_auto_offset_reset,
                text: "[latest, earliest, by_duration:PnDTnHnMn.nS]",
            }),
        ]
            "Where a new group begins: at the `latest` record, at the `earliest`, or `by_duration:` this \
             long ago (ISO 8601, such as `by_duration:PT1H`).";
        STRING "share.isolation.level" = "read_uncommitted" [
            one_of(&["read_committed", "read_uncommitted"]),
        ]
            "Whether members receive records of transactions that are open or were aborted \
             (`read_uncommitted`) or only committed ones (`read_committed`).";
        BOOLEAN "share.renew.acknowledge.enable" = "true" []
            "Whether members may prolong the time they hold a record.";
        INT "share.assignment.interval.ms" = "1000" [
            at_least(0), synonyms(&[Synonym::same("group.share.assignment.interval.ms")]),
        ]
            "The least time between two computed assignments, in milliseconds.";
        BOOLEAN "share.assignor.offload.enable" = "true" [
            internal, synonyms(&[Synonym::same("group.share.assignor.offload.enable")]),
            inert("an assignment is computed with the heartbeat that asks for it"),
        ]
            "Whether assignments are computed beside the coordinator's own thread.";
        STRING "errors.deadletterqueue.topic.name" = "" [inert(NO_SHARE)]
            "The topic that records nobody could process are copied to; empty for none.";
        BOOLEAN "errors.deadletterqueue.copy.record.enable" = "false" [inert(NO_SHARE)]
            "Whether a dead letter carries the record's key and value or only where it lies.";
    }
}

base::config_keys! {
    /// Streams groups (KIP-1071).
    static STREAMS: "Streams groups",
        "For Kafka Streams applications that let the broker assign their tasks." => {
        INT "streams.session.timeout.ms" = "45000" [
            at_least(1), synonyms(&[Synonym::same("group.streams.session.timeout.ms")]),
        ]
            "How long a member may stay silent before it is taken out, in milliseconds.";
        INT "streams.heartbeat.interval.ms" = "5000" [
            at_least(1), synonyms(&[Synonym::same("group.streams.heartbeat.interval.ms")]),
        ]
            "How often members are told to send a heartbeat, in milliseconds.";
        INT "streams.num.standby.replicas" = "0" [
            at_least(0), synonyms(&[Synonym::same("group.streams.num.standby.replicas")]),
        ]
            "How many members besides the active one keep a copy of a task's state.";
        INT "streams.initial.rebalance.delay.ms" = "3000" [
            at_least(0), synonyms(&[Synonym::same("group.streams.initial.rebalance.delay.ms")]),
        ]
            "How long the first assignment of a new group waits for more members, in milliseconds.";
        INT "streams.assignment.interval.ms" = "1000" [
            at_least(0), synonyms(&[Synonym::same("group.streams.assignment.interval.ms")]),
        ]
            "The least time between two computed assignments, in milliseconds.";
        BOOLEAN "streams.assignor.offload.enable" = "true" [
            internal, synonyms(&[Synonym::same("group.streams.assignor.offload.enable")]),
            inert(NO_OFFLOAD),
        ]
            "Whether assignments are computed beside the coordinator's own thread.";
        STRING "streams.assignor.name" = null [inert(NO_OTHER_ASSIGNOR)]
            "The assignor of this group; null for the first of `group.streams.assignors`.";
        LIST "streams.rack.aware.assignment.tags" = "" [
            list(true, false), synonyms(&[Synonym::same("group.streams.rack.aware.assignment.tags")]),
        ]
            "The client tags by which standby tasks are spread over racks.";
        INT "streams.task.offset.interval.ms" = "60000" [
            internal, at_least(1), synonyms(&[Synonym::same("group.streams.task.offset.interval.ms")]),
        ]
            "How often members report the positions of their tasks, in milliseconds.";
        INT "streams.num.warmup.replicas" = "2" [
            internal, at_least(0), synonyms(&[Synonym::same("group.streams.num.warmup.replicas")]),
            inert(NO_WARMUP),
        ]
            "How many tasks may be warmed up on a new member at a time.";
        LONG "streams.acceptable.recovery.lag" = "10000" [
            internal, at_least(0), synonyms(&[Synonym::same("group.streams.acceptable.recovery.lag")]),
        ]
            "How far behind a copy of a task's state may be, in records, and still count as caught up.";
    }
}

base::config_keys! {
    /// Client metrics subscriptions (KIP-714).
    static CLIENT_METRICS: "Client metrics",
        "Which clients push which of their metrics, and how often." => {
        LIST "metrics" = "" [list(true, false)]
            "Prefixes of the metrics that clients push; `*` for all, empty for none.";
        INT "interval.ms" = "300000" []
            "How often clients push, in milliseconds; from 100 to 3600000.";
        LIST "match" = "" [list(true, false)]
            "Which clients: `name=pattern` pairs over `client_id`, `client_instance_id`, \
             `client_software_name`, `client_software_version`, `client_source_address` and \
             `client_source_port`; empty for all.";
    }
}
