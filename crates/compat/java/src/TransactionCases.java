package affluent.compat;

import static affluent.compat.Broker.await;
import static affluent.compat.Broker.check;
import static affluent.compat.Broker.equal;
import static affluent.compat.Broker.poll;
import static affluent.compat.Broker.refused;

import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.AbortTransactionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListTransactionsOptions;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionListing;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.TransactionalIdNotFoundException;

/** Transactions: what producers, consumers of both isolation levels, groups and administrators see of them. */
final class TransactionCases {
    private TransactionCases() {}

    static Map<String, Broker.Case> all() {
        Map<String, Broker.Case> cases = new LinkedHashMap<>();
        cases.put("txn-commit-and-abort", broker -> commitAndAbort(broker, "txn-ends"));
        cases.put("txn-many", TransactionCases::many);
        cases.put("txn-interleaved", TransactionCases::interleaved);
        cases.put("txn-fenced", broker -> fenced(broker, "txn-fenced"));
        cases.put("txn-timeout", TransactionCases::timeout);
        for (String protocol : List.of("classic", "consumer")) {
            cases.put("txn-offsets-" + protocol, broker -> offsets(broker, "txn-offsets-" + protocol, protocol));
            cases.put("txn-offsets-stale-" + protocol, broker -> staleMember(broker, protocol));
        }
        cases.put("txn-pending-offsets", TransactionCases::pendingOffsets);
        cases.put("txn-describe-and-list", TransactionCases::describeAndList);
        cases.put("txn-abort-by-admin", TransactionCases::abortByAdmin);
        cases.put("txn-fence-by-admin", TransactionCases::fenceByAdmin);
        cases.put("txn-terminate-by-admin", TransactionCases::terminateByAdmin);
        cases.put("txn-version-1", TransactionCases::version1);
        return cases;
    }

    private static TopicPartition partition(String topic) {
        return new TopicPartition(topic, 0);
    }

    private static KafkaProducer<String, String> begun(Broker broker, String id, String... pairs) {
        List<String> all = new ArrayList<>(List.of("transactional.id", id, "max.block.ms", "30000"));
        all.addAll(List.of(pairs));
        KafkaProducer<String, String> producer = broker.producer(all.toArray(new String[0]));
        producer.initTransactions();
        producer.beginTransaction();
        return producer;
    }

    private static void send(KafkaProducer<String, String> producer, String topic, String value) throws Exception {
        producer.send(new ProducerRecord<>(topic, 0, null, value)).get();
    }

    private static KafkaConsumer<String, String> reader(Broker broker, String topic, String isolation) {
        KafkaConsumer<String, String> consumer = broker.consumer("isolation.level", isolation);
        consumer.assign(List.of(partition(topic)));
        return consumer;
    }

    private static List<String> values(List<ConsumerRecord<String, String>> records) {
        return records.stream().map(ConsumerRecord::value).collect(Collectors.toList());
    }

    private static long end(Broker broker, String topic, String isolation) {
        try (KafkaConsumer<String, String> consumer = reader(broker, topic, isolation)) {
            return consumer.endOffsets(Set.of(partition(topic))).get(partition(topic));
        }
    }

    /** No transaction is open: what is stable reaches to the end. */
    private static void awaitStable(Broker broker, String topic) {
        await("the last stable offset of " + topic, () -> { },
            () -> end(broker, topic, "read_committed") == end(broker, topic, "read_uncommitted"));
    }

    /** The committed records of partition 0, as many as there are before the last stable offset. */
    private static List<String> committed(Broker broker, String topic) {
        List<String> found = new ArrayList<>();
        try (KafkaConsumer<String, String> consumer = reader(broker, topic, "read_committed")) {
            long stable = consumer.endOffsets(Set.of(partition(topic))).get(partition(topic));
            await("the offset " + stable, () -> consumer.poll(Broker.POLL).forEach(record -> found.add(record.value())),
                () -> consumer.position(partition(topic)) >= stable);
        }
        return found;
    }

    private static void commitAndAbort(Broker broker, String topic) throws Exception {
        broker.createTopic(topic, 1);
        try (KafkaProducer<String, String> producer = begun(broker, topic)) {
            send(producer, topic, "a");
            equal(0L, end(broker, topic, "read_committed"), "the last stable offset while a transaction is open");
            equal(1L, end(broker, topic, "read_uncommitted"), "the high watermark");
            producer.commitTransaction();
            producer.beginTransaction();
            send(producer, topic, "b");
            producer.abortTransaction();
            producer.beginTransaction();
            send(producer, topic, "c");
            producer.commitTransaction();
            // A transaction without a record leaves nothing behind.
            producer.beginTransaction();
            producer.commitTransaction();
        }
        awaitStable(broker, topic);
        equal(List.of("a", "c"), committed(broker, topic), "the committed records");
        try (KafkaConsumer<String, String> consumer = reader(broker, topic, "read_uncommitted")) {
            equal(List.of("a", "b", "c"), values(poll(consumer, 3)), "all records");
        }
        equal(6L, end(broker, topic, "read_uncommitted"), "the end: three records, three markers");
    }

    /** Two hundred transactions over three partitions, every third aborted. */
    private static void many(Broker broker) throws Exception {
        String topic = "txn-many";
        broker.createTopic(topic, 3);
        List<String> wanted = new ArrayList<>();
        try (KafkaProducer<String, String> producer = begun(broker, topic)) {
            for (int i = 0; i < 200; i++) {
                if (i > 0) {
                    producer.beginTransaction();
                }
                for (int p = 0; p < 3; p++) {
                    producer.send(new ProducerRecord<>(topic, p, null, "t-" + i));
                }
                if (i % 3 == 0) {
                    producer.flush();
                    producer.abortTransaction();
                } else {
                    producer.commitTransaction();
                    wanted.add("t-" + i);
                }
            }
        }
        awaitStable(broker, topic);
        for (int p = 0; p < 3; p++) {
            TopicPartition partition = new TopicPartition(topic, p);
            try (KafkaConsumer<String, String> consumer = broker.consumer("isolation.level", "read_committed")) {
                consumer.assign(List.of(partition));
                equal(wanted, values(poll(consumer, wanted.size())), "the committed records of " + partition);
            }
        }
    }

    /** The first transaction that is still open holds back all that came after it. */
    private static void interleaved(Broker broker) throws Exception {
        String topic = "txn-interleaved";
        broker.createTopic(topic, 1);
        try (KafkaProducer<String, String> first = begun(broker, topic + "-1");
                KafkaProducer<String, String> second = begun(broker, topic + "-2")) {
            send(first, topic, "first-0");
            send(second, topic, "second-0");
            broker.produce(topic, 0, 1);
            send(first, topic, "first-1");
            second.commitTransaction();
            equal(0L, end(broker, topic, "read_committed"), "the last stable offset behind an open transaction");
            first.abortTransaction();
        }
        awaitStable(broker, topic);
        equal(List.of("second-0", "n-0"), committed(broker, topic), "the committed records");
    }

    /** A second producer of the same transactional id takes over; the first can do nothing any more. */
    private static void fenced(Broker broker, String topic) throws Exception {
        broker.createTopic(topic, 1);
        try (KafkaProducer<String, String> first = begun(broker, topic)) {
            send(first, topic, "lost");
            try (KafkaProducer<String, String> second = begun(broker, topic)) {
                refusedAsFenced(() -> {
                    first.send(new ProducerRecord<>(topic, 0, null, "late"));
                    first.commitTransaction();
                });
                send(second, topic, "kept");
                second.commitTransaction();
            }
        }
        awaitStable(broker, topic);
        equal(List.of("kept"), committed(broker, topic), "the committed records");
    }

    /** The client says either, depending on which of its requests learns of it first. */
    private static void refusedAsFenced(Broker.Attempt attempt) throws Exception {
        try {
            attempt.run();
        } catch (KafkaException thrown) {
            for (Throwable cause = thrown; cause != null; cause = cause.getCause()) {
                if (cause instanceof ProducerFencedException || cause instanceof InvalidProducerEpochException) {
                    return;
                }
            }
            throw new AssertionError("refused with " + thrown + ", expected a fenced producer");
        }
        throw new AssertionError("a fenced producer was not refused");
    }

    /** The broker aborts what its producer has forgotten. */
    private static void timeout(Broker broker) throws Exception {
        String topic = "txn-timeout";
        broker.createTopic(topic, 1);
        try (KafkaProducer<String, String> producer = begun(broker, topic, "transaction.timeout.ms", "1000")) {
            send(producer, topic, "forgotten");
            awaitStable(broker, topic);
            refusedAsFenced(() -> {
                producer.send(new ProducerRecord<>(topic, 0, null, "late"));
                producer.commitTransaction();
            });
        }
        equal(List.of(), committed(broker, topic), "the committed records");
        equal(2L, end(broker, topic, "read_uncommitted"), "the end: one record, one marker");
    }

    private static OffsetAndMetadata committedOffset(Broker broker, String group, TopicPartition partition) throws Exception {
        try (Admin admin = broker.admin()) {
            return admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().get(partition);
        }
    }

    /** A consumer in its group, with its share of the topic. */
    private static KafkaConsumer<String, String> member(Broker broker, String topic, String protocol) {
        List<String> pairs = new ArrayList<>(List.of("group.id", topic, "group.protocol", protocol));
        if (protocol.equals("classic")) {
            pairs.addAll(List.of("session.timeout.ms", "10000", "heartbeat.interval.ms", "500"));
        }
        KafkaConsumer<String, String> consumer = broker.consumer(pairs.toArray(new String[0]));
        consumer.subscribe(List.of(topic));
        await("an assignment", () -> consumer.poll(Broker.POLL), () -> !consumer.assignment().isEmpty());
        return consumer;
    }

    /** Offsets are committed with the transaction, and not without it. */
    private static void offsets(Broker broker, String topic, String protocol) throws Exception {
        broker.createTopic(topic, 1);
        TopicPartition partition = partition(topic);
        try (KafkaConsumer<String, String> consumer = member(broker, topic, protocol);
                KafkaProducer<String, String> producer = begun(broker, topic)) {
            ConsumerGroupMetadata metadata = consumer.groupMetadata();
            send(producer, topic, "aborted");
            producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(5)), metadata);
            check(committedOffset(broker, topic, partition) == null, "an offset shows before its transaction ends");
            producer.abortTransaction();
            check(committedOffset(broker, topic, partition) == null, "an aborted offset shows");
            producer.beginTransaction();
            send(producer, topic, "committed");
            producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(7, "seven")), metadata);
            producer.commitTransaction();
            await("the committed offset", () -> { }, () -> {
                try {
                    OffsetAndMetadata found = committedOffset(broker, topic, partition);
                    return found != null && found.offset() == 7 && found.metadata().equals("seven");
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            });
            // Offsets alone make a transaction too.
            producer.beginTransaction();
            producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(8)), metadata);
            producer.commitTransaction();
            equal(8L, consumer.committed(Set.of(partition)).get(partition).offset(), "the offset committed alone");
        }
    }

    /** A member that the group knows no longer, or knows at a later epoch, commits nothing (KIP-447). */
    private static void staleMember(Broker broker, String protocol) throws Exception {
        String topic = "txn-stale-" + protocol;
        broker.createTopic(topic, 2);
        TopicPartition partition = partition(topic);
        ConsumerGroupMetadata gone;
        try (KafkaConsumer<String, String> consumer = member(broker, topic, protocol)) {
            gone = consumer.groupMetadata();
        }
        try (KafkaConsumer<String, String> consumer = member(broker, topic, protocol);
                KafkaProducer<String, String> producer = begun(broker, topic)) {
            send(producer, topic, "with a stale member");
            refused(CommitFailedException.class,
                () -> producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(1)), gone));
            producer.abortTransaction();
            producer.beginTransaction();
            producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(2)), consumer.groupMetadata());
            producer.commitTransaction();
            equal(2L, consumer.committed(Set.of(partition)).get(partition).offset(), "the offset of the member");
        }
    }

    /** Who asks for stable offsets waits for the transaction (UNSTABLE_OFFSET_COMMIT). */
    private static void pendingOffsets(Broker broker) throws Exception {
        String topic = "txn-pending";
        broker.createTopic(topic, 1);
        TopicPartition partition = partition(topic);
        try (KafkaConsumer<String, String> consumer = broker.consumer("group.id", topic);
                KafkaProducer<String, String> producer = begun(broker, topic)) {
            consumer.assign(List.of(partition));
            producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(3)), consumer.groupMetadata());
            refused(TimeoutException.class, () -> consumer.committed(Set.of(partition), Duration.ofSeconds(2)));
            producer.commitTransaction();
            equal(3L, consumer.committed(Set.of(partition)).get(partition).offset(), "the offset when its transaction has ended");
        }
    }

    private static void describeAndList(Broker broker) throws Exception {
        String topic = "txn-described";
        broker.createTopic(topic, 1);
        try (Admin admin = broker.admin(); KafkaProducer<String, String> producer = begun(broker, topic)) {
            equal(TransactionState.EMPTY, describe(admin, topic).state(), "the state before the first record");
            send(producer, topic, "open");
            TransactionDescription open = describe(admin, topic);
            equal(TransactionState.ONGOING, open.state(), "the state");
            equal(60_000L, open.transactionTimeoutMs(), "the timeout");
            equal(Set.of(partition(topic)), open.topicPartitions(), "the partitions");
            check(open.transactionStartTimeMs().isPresent(), "an open transaction has no start");
            ProducerState active = admin.describeProducers(List.of(partition(topic))).partitionResult(partition(topic)).get()
                .activeProducers().get(0);
            equal(open.producerId(), active.producerId(), "the producer id");
            equal(open.producerEpoch(), active.producerEpoch(), "the producer epoch");
            equal(0L, active.currentTransactionStartOffset().getAsLong(), "the start offset");
            check(listed(admin, new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING))).contains(topic), "the open transaction is not listed");
            check(listed(admin, new ListTransactionsOptions().filterProducerIds(Set.of(open.producerId()))).equals(Set.of(topic)), "the filter of producer ids");
            check(!listed(admin, new ListTransactionsOptions().filterOnDuration(3_600_000)).contains(topic), "a young transaction is listed as an old one");
            equal(Set.of(topic), listed(admin, new ListTransactionsOptions().filterOnTransactionalIdPattern("txn-descr.*")), "the filter by pattern");
            producer.commitTransaction();
            await("the end of the transaction", () -> { }, () -> {
                try {
                    return describe(admin, topic).state() == TransactionState.COMPLETE_COMMIT;
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            });
            refused(TransactionalIdNotFoundException.class, () -> describe(admin, "txn-nobody"));
        }
    }

    private static TransactionDescription describe(Admin admin, String id) throws Exception {
        return admin.describeTransactions(List.of(id)).description(id).get();
    }

    private static Set<String> listed(Admin admin, ListTransactionsOptions options) throws Exception {
        return admin.listTransactions(options).all().get().stream().map(TransactionListing::transactionalId).collect(Collectors.toSet());
    }

    /** Markers by hand end the transaction in one partition, as for a hanging one. */
    private static void abortByAdmin(Broker broker) throws Exception {
        String topic = "txn-aborted-by-admin";
        broker.createTopic(topic, 1);
        try (Admin admin = broker.admin(); KafkaProducer<String, String> producer = begun(broker, topic)) {
            send(producer, topic, "hangs");
            ProducerState active = admin.describeProducers(List.of(partition(topic))).partitionResult(partition(topic)).get()
                .activeProducers().get(0);
            admin.abortTransaction(new AbortTransactionSpec(partition(topic), active.producerId(), (short) active.producerEpoch(),
                active.coordinatorEpoch().orElse(0))).all().get();
            awaitStable(broker, topic);
            equal(List.of(), committed(broker, topic), "the committed records");
        }
    }

    private static void fenceByAdmin(Broker broker) throws Exception {
        String topic = "txn-fenced-by-admin";
        broker.createTopic(topic, 1);
        try (Admin admin = broker.admin(); KafkaProducer<String, String> producer = begun(broker, topic)) {
            send(producer, topic, "fenced");
            admin.fenceProducers(List.of(topic)).all().get();
            awaitStable(broker, topic);
            refusedAsFenced(() -> {
                producer.send(new ProducerRecord<>(topic, 0, null, "late"));
                producer.commitTransaction();
            });
        }
        equal(List.of(), committed(broker, topic), "the committed records");
    }

    private static void terminateByAdmin(Broker broker) throws Exception {
        String topic = "txn-terminated";
        broker.createTopic(topic, 1);
        try (Admin admin = broker.admin(); KafkaProducer<String, String> producer = begun(broker, topic)) {
            send(producer, topic, "terminated");
            admin.forceTerminateTransaction(topic).result().get();
            awaitStable(broker, topic);
            refusedAsFenced(() -> {
                producer.send(new ProducerRecord<>(topic, 0, null, "late"));
                producer.commitTransaction();
            });
        }
        equal(List.of(), committed(broker, topic), "the committed records");
    }

    /** The same client where the cluster is at transaction.version=1: partitions are added before they are written to. */
    private static void version1(Broker broker) throws Exception {
        try (Admin admin = broker.admin()) {
            transactionVersion(admin, (short) 1, FeatureUpdate.UpgradeType.SAFE_DOWNGRADE);
            try {
                commitAndAbort(broker, "txn-v1-ends");
                fenced(broker, "txn-v1-fenced");
                offsets(broker, "txn-v1-offsets", "consumer");
            } finally {
                transactionVersion(admin, (short) 2, FeatureUpdate.UpgradeType.UPGRADE);
            }
        }
    }

    private static void transactionVersion(Admin admin, short level, FeatureUpdate.UpgradeType type) throws Exception {
        admin.updateFeatures(Map.of("transaction.version", new FeatureUpdate(level, type)), new UpdateFeaturesOptions()).all().get();
        await("transaction.version " + level, () -> { }, () -> {
            try {
                return admin.describeFeatures().featureMetadata().get().finalizedFeatures()
                    .get("transaction.version").maxVersionLevel() == level;
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        });
    }
}
