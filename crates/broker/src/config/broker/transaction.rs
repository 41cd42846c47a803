//! Transactions and idempotent producers (`TransactionLogConfig`, `TransactionStateManagerConfig`).

const NO_TWO_PHASE_COMMIT: &str = "two-phase commit is not part of Apache Kafka's releases";

base::config_keys! {
    /// Transactions.
    pub(super) static TRANSACTIONS: "Transactions",
        "Producers with a transactional id, and the topic that holds their state." => {
        INT "transaction.max.timeout.ms" = "900000" [at_least(1)]
            "The longest timeout a producer may ask for, in milliseconds. An open transaction \
             holds back readers of committed records for as long.";
        INT "transactional.id.expiration.ms" = "604800000" [at_least(1)]
            "How long a transactional id that no producer uses is remembered, in milliseconds.";
        INT "transaction.abort.timed.out.transaction.cleanup.interval.ms" = "10000" [at_least(1)]
            "How often transactions past their timeout are looked for, in milliseconds.";
        INT "transaction.remove.expired.transaction.cleanup.interval.ms" = "3600000" [at_least(1)]
            "How often expired transactional ids are looked for, in milliseconds.";
        BOOLEAN "transaction.two.phase.commit.enable" = "false" [inert(NO_TWO_PHASE_COMMIT)]
            "Whether producers may prepare a transaction and commit it as part of a larger one.";
        INT "transaction.state.log.num.partitions" = "50" [at_least(1)]
            "Partitions of the transaction state topic when it is created. It cannot be changed \
             afterwards.";
        SHORT "transaction.state.log.replication.factor" = "3" [
            at_least(1),
            differs(
                "with fewer brokers than this the topic gets one replica per broker, where Apache \
                 Kafka waits for more brokers.",
            ),
        ]
            "Replicas of the transaction state topic when it is created.";
        INT "transaction.state.log.min.isr" = "2" [
            at_least(1),
            differs("the topic never asks for more replicas in sync than there are brokers."),
        ]
            "In-sync replicas the transaction state topic needs.";
        INT "transaction.state.log.segment.bytes" = "104857600" [at_least(1)]
            "The size at which a segment of the transaction state topic is closed, in bytes.";
        INT "transaction.state.log.load.buffer.size" = "5242880" [
            at_least(1),
            inert("the log is read in pieces of its own size"),
        ]
            "Bytes read at a time when transaction state is loaded.";
        BOOLEAN "transaction.partition.verification.enable" = "true" [cluster_wide]
            "Whether a partition asks the coordinator if a transaction is open before it takes a \
             batch of it.";
        INT "add.partitions.to.txn.retry.backoff.ms" = "20" [at_least(1)]
            "The longest wait for the end of a producer's last transaction before the broker asks \
             about it again, in milliseconds.";
        INT "add.partitions.to.txn.retry.backoff.max.ms" = "100" [at_least(0)]
            "How long a request for a producer whose last transaction is still ending waits in all \
             before the producer is told to try again, in milliseconds; 0 for not at all. Not \
             longer than request.timeout.ms.";
    }
}

base::config_keys! {
    /// Idempotent producers.
    pub(super) static PRODUCERS: "Idempotent producers",
        "What partitions remember of producers that number their batches." => {
        INT "producer.id.expiration.ms" = "86400000" [at_least(1), cluster_wide]
            "How long a partition remembers a producer that stopped sending, in milliseconds. A \
             producer that returns later starts a new sequence; remembering costs memory per \
             producer and partition.";
        INT "producer.id.expiration.check.interval.ms" = "600000" [at_least(1), internal]
            "How often producers to forget are looked for, in milliseconds.";
    }
}
