package affluent.compat;

import static affluent.compat.Broker.check;
import static affluent.compat.Broker.equal;
import static affluent.compat.Broker.poll;
import static affluent.compat.Broker.refused;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.NoOffsetForPartitionException;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.Metric;
import org.apache.kafka.common.TopicPartition;

/** What the Java consumer asks of a broker, groups left out. */
final class ConsumerCases {
    private ConsumerCases() {}

    static Map<String, Broker.Case> all() {
        Map<String, Broker.Case> cases = new LinkedHashMap<>();
        cases.put("consumer-seek", ConsumerCases::seek);
        cases.put("consumer-offsets-for-times", ConsumerCases::offsetsForTimes);
        cases.put("consumer-pause-resume", ConsumerCases::pauseResume);
        cases.put("consumer-fetch-session", ConsumerCases::fetchSession);
        cases.put("consumer-small-fetches", ConsumerCases::smallFetches);
        cases.put("consumer-record-over-limit", ConsumerCases::recordOverLimit);
        cases.put("consumer-long-poll", ConsumerCases::longPoll);
        cases.put("consumer-fetch-min-bytes", ConsumerCases::fetchMinBytes);
        cases.put("consumer-offset-in-batch", ConsumerCases::offsetInBatch);
        cases.put("consumer-read-committed", ConsumerCases::readCommitted);
        cases.put("consumer-reset-none", ConsumerCases::resetNone);
        cases.put("consumer-reset-by-duration", ConsumerCases::resetByDuration);
        cases.put("consumer-out-of-range", ConsumerCases::outOfRange);
        cases.put("consumer-pattern", ConsumerCases::pattern);
        cases.put("consumer-topic-recreated", ConsumerCases::topicRecreated);
        cases.put("consumer-lag", ConsumerCases::lag);
        return cases;
    }

    private static TopicPartition partition(String topic) {
        return new TopicPartition(topic, 0);
    }

    private static KafkaConsumer<String, String> assigned(Broker broker, String topic, String... pairs) {
        KafkaConsumer<String, String> consumer = broker.consumer(pairs);
        consumer.assign(List.of(partition(topic)));
        return consumer;
    }

    private static void seek(Broker broker) throws Exception {
        String topic = "consumer-seek";
        broker.createTopic(topic, 1);
        broker.produce(topic, 0, 100);
        TopicPartition partition = partition(topic);
        try (KafkaConsumer<String, String> consumer = assigned(broker, topic)) {
            equal(100L, consumer.endOffsets(Set.of(partition)).get(partition), "the end offset");
            equal(0L, consumer.beginningOffsets(Set.of(partition)).get(partition), "the beginning offset");
            consumer.seek(partition, 42);
            equal(42L, poll(consumer, 1).get(0).offset(), "the offset after a seek");
            consumer.seekToBeginning(Set.of(partition));
            equal(0L, poll(consumer, 1).get(0).offset(), "the offset after a seek to the beginning");
            consumer.seekToEnd(Set.of(partition));
            equal(100L, consumer.position(partition), "the position at the end");
            equal(1, consumer.partitionsFor(topic).size(), "the number of partitions");
            check(consumer.listTopics().containsKey(topic), "the topic is not listed");
        }
    }

    private static void offsetsForTimes(Broker broker) throws Exception {
        String topic = "consumer-times";
        broker.createTopic(topic, 1);
        ProducerCases.produceAt(broker, topic, 1000L, 2000L, 3000L);
        // One batch of three records: the offset looked for may lie inside it.
        try (KafkaProducer<String, String> producer = broker.producer("linger.ms", "1000")) {
            for (long time : new long[] {4000L, 5000L, 6000L}) {
                producer.send(new ProducerRecord<>(topic, 0, time, "k", "at-" + time));
            }
        }
        TopicPartition partition = partition(topic);
        try (KafkaConsumer<String, String> consumer = assigned(broker, topic)) {
            long[][] wanted = {{0, 0, 1000}, {1000, 0, 1000}, {1001, 1, 2000}, {3000, 2, 3000}, {4500, 4, 5000}, {6000, 5, 6000}};
            for (long[] row : wanted) {
                OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, row[0])).get(partition);
                equal(row[1], found.offset(), "the offset for " + row[0]);
                equal(row[2], found.timestamp(), "the timestamp for " + row[0]);
            }
            check(consumer.offsetsForTimes(Map.of(partition, 6001L)).get(partition) == null, "an offset after the end");
        }
    }

    private static void pauseResume(Broker broker) throws Exception {
        String topic = "consumer-pause";
        broker.createTopic(topic, 2);
        broker.produce(topic, 0, 50);
        broker.produce(topic, 1, 50);
        try (KafkaConsumer<String, String> consumer = broker.consumer()) {
            TopicPartition paused = new TopicPartition(topic, 1);
            consumer.assign(List.of(partition(topic), paused));
            consumer.pause(Set.of(paused));
            for (ConsumerRecord<String, String> record : poll(consumer, 50)) {
                equal(0, record.partition(), "the partition of a record while 1 is paused");
            }
            equal(0, consumer.poll(Broker.POLL).count(), "the records while all is read or paused");
            consumer.resume(Set.of(paused));
            equal(1, poll(consumer, 50).get(0).partition(), "the partition of a record after resuming");
        }
    }

    /** Over sixty partitions the client fetches in a session and names only what changed (KIP-227). */
    private static void fetchSession(Broker broker) throws Exception {
        String topic = "consumer-session";
        int partitions = 60;
        broker.createTopic(topic, partitions);
        try (KafkaConsumer<String, String> consumer = broker.consumer();
                KafkaProducer<String, String> producer = broker.producer()) {
            List<TopicPartition> all = new ArrayList<>();
            for (int i = 0; i < partitions; i++) {
                all.add(new TopicPartition(topic, i));
            }
            consumer.assign(all);
            Map<Integer, Long> next = new HashMap<>();
            for (int round = 0; round < 5; round++) {
                for (int i = 0; i < partitions; i++) {
                    producer.send(new ProducerRecord<>(topic, i, null, "r-" + round));
                }
                producer.flush();
                for (ConsumerRecord<String, String> record : poll(consumer, partitions)) {
                    long wanted = next.merge(record.partition(), 1L, Long::sum) - 1;
                    equal(wanted, record.offset(), "the next offset of partition " + record.partition());
                }
                // A smaller set of partitions in the same session.
                consumer.assign(round % 2 == 0 ? all.subList(0, 30) : all);
                consumer.poll(Duration.ofMillis(50));
                consumer.assign(all);
                next.forEach((partition, offset) -> consumer.seek(new TopicPartition(topic, partition), offset));
            }
            equal(partitions, next.size(), "the number of partitions seen");
            next.forEach((partition, count) -> equal(5L, count, "the records of partition " + partition));
        }
    }

    private static void smallFetches(Broker broker) throws Exception {
        String topic = "consumer-small";
        broker.createTopic(topic, 3);
        for (int i = 0; i < 3; i++) {
            broker.produce(topic, i, 2000);
        }
        try (KafkaConsumer<String, String> consumer =
                broker.consumer("fetch.max.bytes", "2000", "max.partition.fetch.bytes", "1000", "max.poll.records", "100")) {
            List<TopicPartition> all = List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1), new TopicPartition(topic, 2));
            consumer.assign(all);
            Map<Integer, Long> next = new HashMap<>();
            for (ConsumerRecord<String, String> record : poll(consumer, 6000)) {
                long wanted = next.merge(record.partition(), 1L, Long::sum) - 1;
                equal(wanted, record.offset(), "the next offset of partition " + record.partition());
            }
        }
    }

    /** A batch larger than all limits comes nevertheless, alone, or the consumer could never go on (KIP-74). */
    private static void recordOverLimit(Broker broker) throws Exception {
        String topic = "consumer-over-limit";
        broker.createTopic(topic, 1);
        try (KafkaProducer<String, String> producer = broker.producer()) {
            producer.send(new ProducerRecord<>(topic, 0, null, "x".repeat(500_000))).get();
            producer.send(new ProducerRecord<>(topic, 0, null, "small")).get();
        }
        try (KafkaConsumer<String, String> consumer =
                assigned(broker, topic, "fetch.max.bytes", "1000", "max.partition.fetch.bytes", "1000")) {
            List<ConsumerRecord<String, String>> records = poll(consumer, 2);
            equal(500_000, records.get(0).value().length(), "the length of the large record");
            equal("small", records.get(1).value(), "the record behind it");
        }
    }

    /** A waiting fetch answers when a record arrives, not when its time is up. */
    private static void longPoll(Broker broker) throws Exception {
        String topic = "consumer-long-poll";
        broker.createTopic(topic, 1);
        try (KafkaConsumer<String, String> consumer = assigned(broker, topic, "fetch.max.wait.ms", "8000")) {
            consumer.poll(Duration.ofMillis(500));
            Thread producing = new Thread(() -> {
                try {
                    broker.produce(topic, 0, 1);
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            });
            long start = System.nanoTime();
            producing.start();
            poll(consumer, 1);
            producing.join();
            long elapsed = (System.nanoTime() - start) / 1_000_000;
            check(elapsed < 5_000, "the record took " + elapsed + " ms to reach a waiting consumer");
        }
    }

    /** Too few bytes wait for fetch.max.wait.ms and come then. */
    private static void fetchMinBytes(Broker broker) throws Exception {
        String topic = "consumer-min-bytes";
        broker.createTopic(topic, 1);
        broker.produce(topic, 0, 1);
        try (KafkaConsumer<String, String> consumer =
                assigned(broker, topic, "fetch.min.bytes", "100000", "fetch.max.wait.ms", "1500")) {
            // The position is looked up first, so that only the fetch is measured.
            consumer.seek(partition(topic), 0);
            long start = System.nanoTime();
            poll(consumer, 1);
            long elapsed = (System.nanoTime() - start) / 1_000_000;
            check(elapsed >= 1000, "the fetch came back after " + elapsed + " ms, it should have waited 1500");
        }
    }

    private static void offsetInBatch(Broker broker) throws Exception {
        String topic = "consumer-in-batch";
        broker.createTopic(topic, 1);
        try (KafkaProducer<String, String> producer = broker.producer("linger.ms", "1000", "compression.type", "lz4")) {
            for (int i = 0; i < 100; i++) {
                producer.send(new ProducerRecord<>(topic, 0, null, "n-" + i));
            }
        }
        try (KafkaConsumer<String, String> consumer = assigned(broker, topic)) {
            consumer.seek(partition(topic), 57);
            equal("n-57", poll(consumer, 43).get(0).value(), "the first record");
        }
    }

    private static void readCommitted(Broker broker) throws Exception {
        String topic = "consumer-committed";
        broker.createTopic(topic, 1);
        broker.produce(topic, 0, 20);
        try (KafkaConsumer<String, String> consumer = assigned(broker, topic, "isolation.level", "read_committed")) {
            equal(20, poll(consumer, 20).size(), "the records outside of transactions");
            equal(20L, consumer.endOffsets(Set.of(partition(topic))).get(partition(topic)), "the last stable offset");
        }
    }

    private static void resetNone(Broker broker) throws Exception {
        String topic = "consumer-none";
        broker.createTopic(topic, 1);
        try (KafkaConsumer<String, String> consumer =
                assigned(broker, topic, "auto.offset.reset", "none", "group.id", "consumer-none")) {
            refused(NoOffsetForPartitionException.class, () -> poll(consumer, 1));
        }
    }

    /** KIP-1106: start at the records of the last hour. */
    private static void resetByDuration(Broker broker) throws Exception {
        String topic = "consumer-duration";
        broker.createTopic(topic, 1);
        long now = System.currentTimeMillis();
        ProducerCases.produceAt(broker, topic, now - 7_200_000, now - 60_000, now);
        try (KafkaConsumer<String, String> consumer =
                assigned(broker, topic, "auto.offset.reset", "by_duration:PT1H")) {
            equal(1L, poll(consumer, 2).get(0).offset(), "the first offset of the last hour");
        }
    }

    private static void outOfRange(Broker broker) throws Exception {
        String topic = "consumer-range";
        broker.createTopic(topic, 1);
        broker.produce(topic, 0, 10);
        try (KafkaConsumer<String, String> consumer = assigned(broker, topic, "auto.offset.reset", "none")) {
            consumer.seek(partition(topic), 1000);
            refused(OffsetOutOfRangeException.class, () -> poll(consumer, 1));
        }
        try (KafkaConsumer<String, String> consumer = assigned(broker, topic)) {
            consumer.seek(partition(topic), 1000);
            equal(0L, poll(consumer, 10).get(0).offset(), "the offset after a reset to the earliest");
        }
    }

    private static void pattern(Broker broker) throws Exception {
        broker.createTopic("consumer-pattern-a", 1);
        broker.produce("consumer-pattern-a", 0, 5);
        try (KafkaConsumer<String, String> consumer =
                broker.consumer("group.id", "consumer-pattern", "metadata.max.age.ms", "500")) {
            consumer.subscribe(Pattern.compile("consumer-pattern-.*"));
            equal(5, poll(consumer, 5).size(), "the records of the first topic");
            broker.createTopic("consumer-pattern-b", 1);
            broker.produce("consumer-pattern-b", 0, 7);
            equal("consumer-pattern-b", poll(consumer, 7).get(0).topic(), "the topic of the new records");
        }
    }

    private static void topicRecreated(Broker broker) throws Exception {
        String topic = "consumer-recreated";
        broker.createTopic(topic, 1);
        broker.produce(topic, 0, 10);
        try (KafkaConsumer<String, String> consumer = assigned(broker, topic, "metadata.max.age.ms", "500")) {
            poll(consumer, 10);
            broker.deleteTopic(topic);
            broker.createTopic(topic, 1);
            broker.produce(topic, 0, 3);
            // Position 10 lies beyond the new topic's end: the client resets to its beginning.
            equal("n-0", poll(consumer, 3).get(0).value(), "the first record of the new topic");
        }
    }

    private static void lag(Broker broker) throws Exception {
        String topic = "consumer-lag";
        broker.createTopic(topic, 1);
        broker.produce(topic, 0, 30);
        try (KafkaConsumer<String, String> consumer = assigned(broker, topic, "max.poll.records", "10")) {
            poll(consumer, 10);
            equal(20L, consumer.currentLag(partition(topic)).getAsLong(), "the lag after ten of thirty records");
            double lead = Double.NaN;
            for (Metric metric : consumer.metrics().values()) {
                if (metric.metricName().name().equals("records-lead-min")) {
                    lead = Math.min(Double.isNaN(lead) ? Double.MAX_VALUE : lead, (Double) metric.metricValue());
                }
            }
            check(lead >= 0, "the lead over the log start offset is " + lead);
        }
    }
}
