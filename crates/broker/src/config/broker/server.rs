//! Topic defaults and the process itself (`ServerConfigs`).

use base::config::Rule;

use super::super::rules;

base::config_keys! {
    /// Topics.
    pub(super) static TOPICS: "Topics",
        "What topics are made of when a client does not say." => {
        BOOLEAN "auto.create.topics.enable" = "true" []
            "Whether a topic that a client asks metadata of is created when there is none. \
             Convenient in development; in production a misspelt name becomes a topic.";
        INT "num.partitions" = "1" [at_least(1)]
            "Partitions of a topic created without a number. More of them let more consumers of a \
             group share the work; each costs some memory and a directory.";
        INT "default.replication.factor" = "1" []
            "Replicas of a topic created without a number.";
        BOOLEAN "delete.topic.enable" = "true" []
            "Whether topics can be deleted. Off, the request is refused with \
             TOPIC_DELETION_DISABLED.";
        INT "min.insync.replicas" = "1" [at_least(1), cluster_wide]
            "The default of a topic's `min.insync.replicas`: replicas that have to be in sync for \
             a produce with `acks=all`.";
        INT "message.max.bytes" = "1048588" [at_least(0), cluster_wide]
            "The default of a topic's `max.message.bytes`: the largest record batch taken, in \
             bytes after compression.";
        STRING "compression.type" = "producer" [
            one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
            cluster_wide,
        ]
            "The default of a topic's `compression.type`; `producer` keeps batches as they come.";
        INT "compression.gzip.level" = "-1" [
            rule(Rule::Custom { check: rules::gzip_level, text: "[1,...,9] or -1" }),
            cluster_wide,
        ]
            "The default of a topic's `compression.gzip.level`; -1 is the library's balance of \
             speed and size.";
        INT "compression.lz4.level" = "9" [between(1, 17), cluster_wide]
            "The default of a topic's `compression.lz4.level`, from 1 (fast) to 17 (small).";
        INT "compression.zstd.level" = "3" [between(-131_072, 22), cluster_wide]
            "The default of a topic's `compression.zstd.level`; negative levels trade size for \
             speed.";
        BOOLEAN "unclean.leader.election.enable" = "false" [
            cluster_wide,
            inert("a new leader always starts from the durable log"),
        ]
            "The default of a topic's `unclean.leader.election.enable`.";
        CLASS "create.topic.policy.class.name" = null [
            inert(
                "there is no Java class loader; access control lists decide who may create topics",
            ),
        ]
            "A class that may refuse the creation of a topic.";
        CLASS "alter.config.policy.class.name" = null [
            inert(
                "there is no Java class loader; access control lists decide who may alter \
                 configurations",
            ),
        ]
            "A class that may refuse a change of configuration.";
    }
}

base::config_keys! {
    /// Server.
    pub(super) static SERVER: "Server",
        "The broker as a process." => {
        INT "node.id" = "1" [at_least(0), differs("Apache Kafka has no default.")]
            "The number of this node in its cluster. It is written into the data directory and \
             stays the same for the node's life.";
        INT "broker.id" = "-1" []
            "The older name of `node.id`; when both are given they have to be equal.";
        LIST "process.roles" = "broker,controller" [
            rule(Rule::EachOneOf { values: &["broker", "controller"], empty: false }),
            inert("every node serves clients and takes part in its cluster's metadata"),
            differs("Apache Kafka requires it."),
        ]
            "The roles of this process.";
        STRING "broker.rack" = null []
            "The rack, data centre or availability zone of this broker, as clients see it in the \
             metadata. Consumers that name the same rack may be sent to read there; null for \
             none.";
        INT "background.threads" = "10" [
            at_least(1),
            cluster_wide,
            inert("such work runs on the runtime's own pool of blocking threads"),
        ]
            "Threads for work behind the requests, such as retention.";
        BOOLEAN "controlled.shutdown.enable" = "true" [
            inert("a stopping broker always finishes its requests and closes its logs in order"),
        ]
            "Whether a broker hands over its partitions before it stops.";
        INT "max.incremental.fetch.session.cache.slots" = "1000" [at_least(0)]
            "Fetch sessions kept at a time (KIP-227). A consumer without one sends all of its \
             partitions with each fetch; each session costs memory for its partitions. 0 keeps \
             none.";
        INT "fetch.max.bytes" = "57671680" [at_least(1024)]
            "The most bytes one Fetch response carries, whatever the client asks for. The first \
             batch is always sent whole.";
        INT "max.request.partition.size.limit" = "2000" [at_least(1)]
            "The most partitions one answer to DescribeTopicPartitions carries.";
        INT "fetch.purgatory.purge.interval.requests" = "1000" [
            inert("a waiting fetch frees its memory as soon as it is answered"),
        ]
            "How often finished waiting fetches are cleared away.";
        INT "producer.purgatory.purge.interval.requests" = "1000" [
            inert("a waiting produce frees its memory as soon as it is answered"),
        ]
            "How often finished waiting produces are cleared away.";
        INT "delete.records.purgatory.purge.interval.requests" = "1" [
            inert("nothing waits for replicas to delete records"),
        ]
            "How often finished waiting deletions of records are cleared away.";
        LIST "config.providers" = "" [
            list(true, false),
            cluster_wide,
            inert(
                "there is no Java class loader; environment variables `AFFLUENT_*` set single keys",
            ),
        ]
            "Names of providers that replace references such as `${file:...}` in values.";
        STRING "authorizer.class.name" = "" [
            rule(Rule::Custom { check: rules::authorizer, text: "empty or org.apache.kafka.metadata.authorizer.StandardAuthorizer" }),
        ]
            "The authorizer: empty for none, or Kafka's StandardAuthorizer, whose rules Affluent \
             follows. Without one every client may do everything.";
        BOOLEAN "unstable.api.versions.enable" = "false" [
            internal,
            inert("only stable versions are offered"),
        ]
            "Whether versions of requests that are still in development are offered.";
        BOOLEAN "unstable.feature.versions.enable" = "false" [
            internal,
            inert("only stable feature levels are known"),
        ]
            "Whether feature levels that are still in development can be used.";
        LONG "server.max.startup.time.ms" = "9223372036854775807" [
            at_least(0),
            internal,
            inert("the start reads the local disk only and reports its progress"),
        ]
            "How long the start may take before the process gives up, in milliseconds.";
        LIST "confluent.schema.registry.url" = "" [
            list(true, false),
            differs("Apache Kafka has no such key; it is Confluent Server's."),
        ]
            "The Schema Registry by which topics with `confluent.value.schema.validation` have their \
             records validated: URLs of its instances. Empty: the one in the same process, if \
             there is one.";
        INT "telemetry.max.bytes" = "1048576" [at_least(1)]
            "The most bytes of metrics one client may push at a time (KIP-714).";
    }
}
