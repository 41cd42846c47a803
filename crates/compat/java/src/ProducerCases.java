package affluent.compat;

import static affluent.compat.Broker.check;
import static affluent.compat.Broker.equal;
import static affluent.compat.Broker.refused;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.record.TimestampType;

/** What the Java producer asks of a broker. */
final class ProducerCases {
    private ProducerCases() {}

    static Map<String, Broker.Case> all() {
        Map<String, Broker.Case> cases = new LinkedHashMap<>();
        cases.put("producer-idempotent-in-order", ProducerCases::idempotentInOrder);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            cases.put("producer-codec-" + codec, broker -> codec(broker, codec));
        }
        cases.put("producer-acks", ProducerCases::acks);
        cases.put("producer-nulls-and-headers", ProducerCases::nullsAndHeaders);
        cases.put("producer-record-too-large", ProducerCases::recordTooLarge);
        cases.put("producer-batch-is-split", ProducerCases::batchIsSplit);
        cases.put("producer-create-time", ProducerCases::createTime);
        cases.put("producer-log-append-time", ProducerCases::logAppendTime);
        cases.put("producer-timestamp-refused", ProducerCases::timestampRefused);
        cases.put("producer-compacted-needs-key", ProducerCases::compactedNeedsKey);
        cases.put("producer-auto-create", ProducerCases::autoCreate);
        cases.put("producer-unknown-partition", ProducerCases::unknownPartition);
        cases.put("producer-topic-recreated", ProducerCases::topicRecreated);
        cases.put("producer-two-interleaved", ProducerCases::twoInterleaved);
        cases.put("producer-transaction", ProducerCases::transaction);
        return cases;
    }

    /** Produces records with the given timestamps to partition 0, in one batch each. */
    static void produceAt(Broker broker, String topic, long... timestamps) throws Exception {
        try (KafkaProducer<String, String> producer = broker.producer()) {
            for (long timestamp : timestamps) {
                producer.send(new ProducerRecord<>(topic, 0, timestamp, "k", "at-" + timestamp)).get();
            }
        }
    }

    private static void idempotentInOrder(Broker broker) throws Exception {
        broker.createTopic("producer-idempotent", 1);
        int count = 20_000;
        // Small batches and five requests in flight: sequence numbers have work to do.
        try (KafkaProducer<String, String> producer = broker.producer("batch.size", "512", "linger.ms", "0")) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                sent.add(producer.send(new ProducerRecord<>("producer-idempotent", 0, null, "n-" + i)));
            }
            for (int i = 0; i < count; i++) {
                equal((long) i, sent.get(i).get().offset(), "the offset of record " + i);
            }
        }
        List<ConsumerRecord<String, String>> records = broker.readAll("producer-idempotent", 0, count);
        equal(count, records.size(), "the number of records");
        for (int i = 0; i < count; i++) {
            equal("n-" + i, records.get(i).value(), "record " + i);
        }
    }

    private static void codec(Broker broker, String codec) throws Exception {
        String topic = "producer-codec-" + codec;
        broker.createTopic(topic, 1);
        try (KafkaProducer<String, String> producer =
                broker.producer("compression.type", codec, "batch.size", "262144", "linger.ms", "20")) {
            for (int i = 0; i < 5000; i++) {
                producer.send(new ProducerRecord<>(topic, 0, "key-" + i, "compressible ".repeat(8) + i));
            }
        }
        List<ConsumerRecord<String, String>> records = broker.readAll(topic, 0, 5000);
        for (int i = 0; i < 5000; i++) {
            equal("compressible ".repeat(8) + i, records.get(i).value(), "record " + i);
        }
    }

    private static void acks(Broker broker) throws Exception {
        for (String acks : List.of("0", "1", "all")) {
            String topic = "producer-acks-" + acks;
            broker.createTopic(topic, 1);
            try (KafkaProducer<String, String> producer =
                    broker.producer("acks", acks, "enable.idempotence", "false")) {
                RecordMetadata metadata = producer.send(new ProducerRecord<>(topic, "value")).get();
                equal(!acks.equals("0"), metadata.hasOffset(), "acks=" + acks + ": the answer has an offset");
            }
            equal("value", broker.readAll(topic, 0, 1).get(0).value(), "the record");
        }
    }

    private static void nullsAndHeaders(Broker broker) throws Exception {
        String topic = "producer-headers";
        broker.createTopic(topic, 1);
        try (KafkaProducer<String, String> producer = broker.producer()) {
            ProducerRecord<String, String> record = new ProducerRecord<>(topic, 0, null, null);
            record.headers().add("twice", "one".getBytes(StandardCharsets.UTF_8));
            record.headers().add("twice", "two".getBytes(StandardCharsets.UTF_8));
            record.headers().add("empty", new byte[0]);
            record.headers().add("null", null);
            producer.send(record).get();
            producer.send(new ProducerRecord<>(topic, 0, "", "")).get();
        }
        List<ConsumerRecord<String, String>> records = broker.readAll(topic, 0, 2);
        ConsumerRecord<String, String> first = records.get(0);
        check(first.key() == null && first.value() == null, "nulls came back as " + first);
        equal(4, first.headers().toArray().length, "the number of headers");
        equal("two", new String(first.headers().lastHeader("twice").value(), StandardCharsets.UTF_8), "the header");
        equal(0, first.headers().lastHeader("empty").value().length, "the length of the empty header");
        check(first.headers().lastHeader("null").value() == null, "the null header is not null");
        equal("", records.get(1).key(), "the empty key");
        equal("", records.get(1).value(), "the empty value");
    }

    private static void recordTooLarge(Broker broker) throws Exception {
        String topic = "producer-large";
        broker.createTopic(topic, 1, "max.message.bytes", "10000");
        try (KafkaProducer<String, String> producer = broker.producer()) {
            refused(RecordTooLargeException.class,
                () -> producer.send(new ProducerRecord<>(topic, 0, null, "x".repeat(20_000))).get());
            producer.send(new ProducerRecord<>(topic, 0, null, "x".repeat(9_000))).get();
        }
        equal(9_000, broker.readAll(topic, 0, 1).get(0).value().length(), "the length of the record that fits");
    }

    /** MESSAGE_TOO_LARGE for a batch of several records makes the client split it and send the parts. */
    private static void batchIsSplit(Broker broker) throws Exception {
        String topic = "producer-split";
        broker.createTopic(topic, 1, "max.message.bytes", "10000");
        try (KafkaProducer<String, String> producer = broker.producer("batch.size", "200000", "linger.ms", "500")) {
            for (int i = 0; i < 100; i++) {
                producer.send(new ProducerRecord<>(topic, 0, null, i + "x".repeat(1000)));
            }
        }
        List<ConsumerRecord<String, String>> records = broker.readAll(topic, 0, 100);
        equal(100, records.size(), "the number of records");
        for (int i = 0; i < 100; i++) {
            check(records.get(i).value().startsWith(i + "x"), "record " + i + " is out of order");
        }
    }

    private static void createTime(Broker broker) throws Exception {
        String topic = "producer-create-time";
        broker.createTopic(topic, 1);
        produceAt(broker, topic, 1_600_000_000_000L);
        ConsumerRecord<String, String> record = broker.readAll(topic, 0, 1).get(0);
        equal(1_600_000_000_000L, record.timestamp(), "the timestamp");
        equal(TimestampType.CREATE_TIME, record.timestampType(), "the type of the timestamp");
    }

    private static void logAppendTime(Broker broker) throws Exception {
        String topic = "producer-append-time";
        broker.createTopic(topic, 1, "message.timestamp.type", "LogAppendTime");
        long before = System.currentTimeMillis();
        RecordMetadata metadata;
        try (KafkaProducer<String, String> producer = broker.producer()) {
            metadata = producer.send(new ProducerRecord<>(topic, 0, 5L, "k", "v")).get();
        }
        long after = System.currentTimeMillis();
        check(metadata.timestamp() >= before - 1000 && metadata.timestamp() <= after + 1000,
            "the acknowledged timestamp is " + metadata.timestamp());
        ConsumerRecord<String, String> record = broker.readAll(topic, 0, 1).get(0);
        equal(TimestampType.LOG_APPEND_TIME, record.timestampType(), "the type of the timestamp");
        equal(metadata.timestamp(), record.timestamp(), "the stored timestamp");
    }

    private static void timestampRefused(Broker broker) throws Exception {
        String topic = "producer-timestamps";
        broker.createTopic(topic, 1, "message.timestamp.before.max.ms", "60000", "message.timestamp.after.max.ms", "60000");
        long now = System.currentTimeMillis();
        refused(InvalidTimestampException.class, () -> produceAt(broker, topic, now - 3_600_000));
        refused(InvalidTimestampException.class, () -> produceAt(broker, topic, now + 3_600_000));
        produceAt(broker, topic, now);
        equal("at-" + now, broker.readAll(topic, 0, 1).get(0).value(), "the only record");
    }

    private static void compactedNeedsKey(Broker broker) throws Exception {
        String topic = "producer-compacted";
        broker.createTopic(topic, 1, "cleanup.policy", "compact");
        try (KafkaProducer<String, String> producer = broker.producer()) {
            refused(InvalidRecordException.class, () -> producer.send(new ProducerRecord<>(topic, 0, null, "v")).get());
            producer.send(new ProducerRecord<>(topic, 0, "k", "v")).get();
        }
    }

    private static void autoCreate(Broker broker) throws Exception {
        try (KafkaProducer<String, String> producer = broker.producer()) {
            RecordMetadata metadata = producer.send(new ProducerRecord<>("producer-auto-created", "v")).get();
            equal(0L, metadata.offset(), "the first offset");
            equal(4, producer.partitionsFor("producer-auto-created").size(), "the default number of partitions");
        }
    }

    private static void unknownPartition(Broker broker) throws Exception {
        broker.createTopic("producer-partitions", 2);
        try (KafkaProducer<String, String> producer = broker.producer("max.block.ms", "1500")) {
            refused(TimeoutException.class,
                () -> producer.send(new ProducerRecord<>("producer-partitions", 7, null, "v")).get());
        }
    }

    /** The name comes back with another topic id; a producer that knows the old one must get through. */
    private static void topicRecreated(Broker broker) throws Exception {
        String topic = "producer-recreated";
        broker.createTopic(topic, 1);
        try (KafkaProducer<String, String> producer = broker.producer()) {
            producer.send(new ProducerRecord<>(topic, 0, null, "old")).get();
            broker.deleteTopic(topic);
            broker.createTopic(topic, 1);
            RecordMetadata metadata = producer.send(new ProducerRecord<>(topic, 0, null, "new")).get();
            equal(0L, metadata.offset(), "the first offset of the new topic");
        }
        equal("new", broker.readAll(topic, 0, 1).get(0).value(), "the only record of the new topic");
    }

    private static void twoInterleaved(Broker broker) throws Exception {
        String topic = "producer-two";
        broker.createTopic(topic, 1);
        try (KafkaProducer<String, String> a = broker.producer("linger.ms", "0");
                KafkaProducer<String, String> b = broker.producer("linger.ms", "0")) {
            for (int i = 0; i < 1000; i++) {
                a.send(new ProducerRecord<>(topic, 0, "a", "" + i));
                b.send(new ProducerRecord<>(topic, 0, "b", "" + i));
            }
        }
        Map<String, Integer> next = new LinkedHashMap<>();
        for (ConsumerRecord<String, String> record : broker.readAll(topic, 0, 2000)) {
            int wanted = next.merge(record.key(), 1, Integer::sum) - 1;
            equal("" + wanted, record.value(), "the next record of producer " + record.key());
        }
    }

    private static void transaction(Broker broker) throws Exception {
        String topic = "producer-transaction";
        broker.createTopic(topic, 1);
        try (KafkaProducer<String, String> producer =
                broker.producer("transactional.id", "compat", "max.block.ms", "10000")) {
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, 0, null, "atomic"));
            producer.commitTransaction();
        }
        equal("atomic", broker.readAll(topic, 0, 1).get(0).value(), "the record");
    }
}
