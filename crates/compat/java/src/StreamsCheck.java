package affluent.compat;

import static affluent.compat.Broker.check;
import static affluent.compat.Broker.equal;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Feeds a {@link StreamsApp} and judges what it made of it.
 *
 * <p>{@code feed bootstrap topology applicationId records perSecond} creates the topics, feeds them at that pace and
 * reads the committed output meanwhile. It prints {@code total<tab>n}, the size of the output when all is done,
 * {@code progress<tab>n} as it grows, and {@code complete} when all of it is there and all input is committed.
 *
 * <p>{@code judge bootstrap topology records}, when the application has stopped, reads the whole output and fails
 * unless it is exact: nothing lost, nothing twice, and of each key in order.
 */
public final class StreamsCheck {
    private static final int PARTITIONS = 2;
    private static final int KEYS = 50;
    private static final int WORDS_PER_LINE = 4;

    /** Rounds lie further apart than the join's window, so that only the two records of one round meet. */
    private static final long ROUND_MS = 10_000;

    private StreamsCheck() {}

    public static void main(String[] args) throws Exception {
        Broker broker = new Broker(args[1]);
        Job job = Job.of(args[2]);
        if (args[0].equals("feed")) {
            feed(broker, job, args[3], Integer.parseInt(args[4]), Integer.parseInt(args[5]));
        } else {
            judge(broker, job, Integer.parseInt(args[3]));
            System.out.println("exact");
        }
        System.exit(0);
    }

    /** What is fed to a topology and what must come out. */
    private interface Job {
        List<String> inputs();

        String output();

        List<ProducerRecord<String, String>> records(int index);

        /** The values of each key in the order in which they must come. */
        Map<String, List<String>> wanted(int records);

        String text(byte[] value);

        static Job of(String topology) {
            return topology.equals("word-count") ? new WordCount() : new WindowedJoin();
        }
    }

    private static final class WordCount implements Job {
        @Override
        public List<String> inputs() {
            return List.of(StreamsApp.WORDS_IN);
        }

        @Override
        public String output() {
            return StreamsApp.WORDS_OUT;
        }

        private static List<String> line(int index) {
            List<String> words = new ArrayList<>();
            for (int i = 0; i < WORDS_PER_LINE; i++) {
                words.add("word-" + (index * 7 + i * 13) % KEYS);
            }
            return words;
        }

        @Override
        public List<ProducerRecord<String, String>> records(int index) {
            return List.of(new ProducerRecord<>(StreamsApp.WORDS_IN, index % PARTITIONS, null, String.join(" ", line(index))));
        }

        @Override
        public Map<String, List<String>> wanted(int records) {
            Map<String, List<String>> counts = new TreeMap<>();
            for (int i = 0; i < records; i++) {
                for (String word : line(i)) {
                    List<String> list = counts.computeIfAbsent(word, w -> new ArrayList<>());
                    list.add(Integer.toString(list.size() + 1));
                }
            }
            return counts;
        }

        @Override
        public String text(byte[] value) {
            return Long.toString(ByteBuffer.wrap(value).getLong());
        }
    }

    private static final class WindowedJoin implements Job {
        /** An hour ago: a broker may delete what is older than a week and refuse what lies ahead. */
        private static final long BASE_MS = System.currentTimeMillis() - 3_600_000;

        @Override
        public List<String> inputs() {
            return List.of(StreamsApp.LEFT_IN, StreamsApp.RIGHT_IN);
        }

        @Override
        public String output() {
            return StreamsApp.JOINED_OUT;
        }

        @Override
        public List<ProducerRecord<String, String>> records(int index) {
            String key = "key-" + index % KEYS;
            int round = index / KEYS;
            int partition = index % KEYS % PARTITIONS;
            long time = BASE_MS + round * ROUND_MS;
            long near = time + StreamsApp.JOIN_WINDOW.toMillis();
            return List.of(
                new ProducerRecord<>(StreamsApp.LEFT_IN, partition, time, key, "l" + round),
                new ProducerRecord<>(StreamsApp.RIGHT_IN, partition, near, key, "r" + round),
                new ProducerRecord<>(StreamsApp.RIGHT_IN, partition, near + 1, key, "beyond"));
        }

        @Override
        public Map<String, List<String>> wanted(int records) {
            Map<String, List<String>> pairs = new TreeMap<>();
            for (int i = 0; i < records; i++) {
                int round = i / KEYS;
                pairs.computeIfAbsent("key-" + i % KEYS, k -> new ArrayList<>()).add("l" + round + "+r" + round);
            }
            return pairs;
        }

        @Override
        public String text(byte[] value) {
            return new String(value, StandardCharsets.UTF_8);
        }
    }

    private static void feed(Broker broker, Job job, String application, int records, int perSecond) throws Exception {
        for (String topic : job.inputs()) {
            broker.createTopic(topic, PARTITIONS);
        }
        broker.createTopic(job.output(), PARTITIONS);
        long total = job.wanted(records).values().stream().mapToLong(List::size).sum();
        System.out.println("total\t" + total);
        AtomicReference<Exception> failure = new AtomicReference<>();
        Thread feeder = new Thread(() -> {
            try {
                produce(broker, job, records, perSecond);
            } catch (Exception error) {
                failure.set(error);
            }
        }, "feeder");
        feeder.start();
        try (KafkaConsumer<byte[], byte[]> consumer = reader(broker, "read_committed")) {
            consumer.assign(partitions(job.output()));
            consumer.seekToBeginning(partitions(job.output()));
            long seen = 0;
            while (seen < total) {
                int more = consumer.poll(Duration.ofMillis(100)).count();
                seen += more;
                if (more > 0) {
                    System.out.println("progress\t" + seen);
                }
                if (failure.get() != null) {
                    throw failure.get();
                }
            }
        }
        feeder.join();
        awaitCommits(broker, job, application);
        System.out.println("complete");
    }

    private static void produce(Broker broker, Job job, int records, int perSecond) throws Exception {
        AtomicReference<Exception> failure = new AtomicReference<>();
        try (KafkaProducer<String, String> producer = broker.producer("linger.ms", "5", "delivery.timeout.ms", "600000")) {
            long start = System.nanoTime();
            for (int i = 0; i < records; i++) {
                for (ProducerRecord<String, String> record : job.records(i)) {
                    producer.send(record, (metadata, error) -> {
                        if (error != null) {
                            failure.set(error);
                        }
                    });
                }
                long due = start + (i + 1) * 1_000_000_000L / perSecond;
                LockSupport.parkNanos(due - System.nanoTime());
            }
        }
        if (failure.get() != null) {
            throw failure.get();
        }
    }

    /** All input is processed when the application's offsets stand at its end. */
    private static void awaitCommits(Broker broker, Job job, String application) throws Exception {
        try (Admin admin = broker.admin(); KafkaConsumer<byte[], byte[]> consumer = reader(broker, "read_uncommitted")) {
            Map<TopicPartition, Long> ends = new HashMap<>();
            for (String topic : job.inputs()) {
                ends.putAll(consumer.endOffsets(partitions(topic)));
            }
            AtomicReference<Map<TopicPartition, Long>> found = new AtomicReference<>(Map.of());
            Broker.await("the commit of all input", () -> {
                try {
                    Map<TopicPartition, OffsetAndMetadata> committed =
                        admin.listConsumerGroupOffsets(application).partitionsToOffsetAndMetadata().get();
                    Map<TopicPartition, Long> offsets = new HashMap<>();
                    committed.forEach((partition, offset) -> offsets.put(partition, offset.offset()));
                    found.set(offsets);
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            }, () -> found.get().entrySet().containsAll(ends.entrySet()));
        }
    }

    private static KafkaConsumer<byte[], byte[]> reader(Broker broker, String isolation) {
        return new KafkaConsumer<>(broker.properties("isolation.level", isolation, "enable.auto.commit", "false"),
            new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static Set<TopicPartition> partitions(String topic) {
        Set<TopicPartition> all = new HashSet<>();
        for (int i = 0; i < PARTITIONS; i++) {
            all.add(new TopicPartition(topic, i));
        }
        return all;
    }

    private static void judge(Broker broker, Job job, int records) {
        Set<TopicPartition> output = partitions(job.output());
        Map<String, List<String>> found = new TreeMap<>();
        try (KafkaConsumer<byte[], byte[]> committed = reader(broker, "read_committed");
                KafkaConsumer<byte[], byte[]> all = reader(broker, "read_uncommitted")) {
            Map<TopicPartition, Long> stable = committed.endOffsets(output);
            equal(all.endOffsets(output), stable, "the last stable offsets when the application has stopped");
            committed.assign(output);
            committed.seekToBeginning(output);
            Broker.await("the output", () -> {
                for (ConsumerRecord<byte[], byte[]> record : committed.poll(Broker.POLL)) {
                    String key = new String(record.key(), StandardCharsets.UTF_8);
                    found.computeIfAbsent(key, k -> new ArrayList<>()).add(job.text(record.value()));
                }
            }, () -> output.stream().allMatch(partition -> committed.position(partition) == stable.get(partition)));
        }
        Map<String, List<String>> wanted = job.wanted(records);
        equal(wanted.keySet(), found.keySet(), "the set of keys");
        wanted.forEach((key, values) -> check(values.equals(found.get(key)), key + ": " + difference(values, found.get(key))));
    }

    /** The first place at which two lists part, with what lies around it. */
    private static String difference(List<String> wanted, List<String> found) {
        int at = 0;
        while (at < wanted.size() && at < found.size() && wanted.get(at).equals(found.get(at))) {
            at++;
        }
        int from = at;
        String around = found.stream().skip(Math.max(0, from - 2)).limit(6).collect(Collectors.joining(", "));
        return "value " + at + " of " + wanted.size() + " should be " + (at < wanted.size() ? wanted.get(at) : "the end")
            + ", there are " + found.size() + ", around it: " + around;
    }
}
