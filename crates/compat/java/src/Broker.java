package affluent.compat;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** The broker under test, and what the cases do to it again and again. */
final class Broker {
    static final Duration POLL = Duration.ofMillis(200);
    private static final Duration PATIENCE = Duration.ofSeconds(45);
    private final String bootstrap;

    Broker(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    /** What a case body is: it throws when the broker does not do what it should. */
    @FunctionalInterface
    interface Case {
        void run(Broker broker) throws Exception;
    }

    /** Code that must fail. */
    @FunctionalInterface
    interface Attempt {
        void run() throws Exception;
    }

    Properties properties(String... pairs) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2) {
            properties.put(pairs[i], pairs[i + 1]);
        }
        return properties;
    }

    Admin admin() {
        return Admin.create(properties());
    }

    KafkaProducer<String, String> producer(String... pairs) {
        return new KafkaProducer<>(properties(pairs), new StringSerializer(), new StringSerializer());
    }

    /** A consumer that starts at the beginning and commits only when told, unless the pairs say otherwise. */
    KafkaConsumer<String, String> consumer(String... pairs) {
        Properties properties = properties("auto.offset.reset", "earliest", "enable.auto.commit", "false");
        properties.putAll(properties(pairs));
        return new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
    }

    /** Creates a topic and waits until the broker serves each of its partitions. */
    void createTopic(String name, int partitions, String... configs) throws Exception {
        Map<String, String> map = new HashMap<>();
        for (int i = 0; i < configs.length; i += 2) {
            map.put(configs[i], configs[i + 1]);
        }
        try (Admin admin = admin()) {
            admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(map))).all().get();
            awaitListing(admin, name, true);
            // Listed is not yet led; the client asks again until each partition answers.
            Map<TopicPartition, OffsetSpec> latest = new HashMap<>();
            for (int i = 0; i < partitions; i++) {
                latest.put(new TopicPartition(name, i), OffsetSpec.latest());
            }
            admin.listOffsets(latest).all().get();
        }
    }

    void deleteTopic(String name) throws Exception {
        try (Admin admin = admin()) {
            admin.deleteTopics(List.of(name)).all().get();
            awaitListing(admin, name, false);
        }
    }

    /** The controller has agreed; the broker follows as soon as it hears of it. */
    static void awaitListing(Admin admin, String topic, boolean listed) {
        await((listed ? "the listing of " : "the end of ") + topic, () -> { }, () -> {
            try {
                return admin.listTopics().names().get().contains(topic) == listed;
            } catch (InterruptedException | ExecutionException error) {
                throw new IllegalStateException(error);
            }
        });
    }

    /** Produces {@code n-0} to {@code n-(count-1)} to one partition. */
    void produce(String topic, int partition, int count) throws Exception {
        try (KafkaProducer<String, String> producer = producer()) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                sent.add(producer.send(new ProducerRecord<>(topic, partition, "k-" + i, "n-" + i)));
            }
            producer.flush();
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
        }
    }

    /** Polls until at least {@code count} records came; an error names how many did. */
    static <K, V> List<ConsumerRecord<K, V>> poll(KafkaConsumer<K, V> consumer, int count) {
        List<ConsumerRecord<K, V>> records = new ArrayList<>();
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (records.size() < count) {
            consumer.poll(POLL).forEach(records::add);
            check(System.nanoTime() < deadline, "consumed " + records.size() + " of " + count + " records in time");
        }
        return records;
    }

    /** All records of one partition from its beginning. */
    List<ConsumerRecord<String, String>> readAll(String topic, int partition, int count) {
        try (KafkaConsumer<String, String> consumer = consumer()) {
            consumer.assign(List.of(new TopicPartition(topic, partition)));
            return poll(consumer, count);
        }
    }

    /** Calls {@code step} until {@code done}; an error says what did not come. */
    static void await(String what, Runnable step, BooleanSupplier done) {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (!done.getAsBoolean()) {
            check(System.nanoTime() < deadline, what + " did not come in time");
            step.run();
        }
    }

    static void check(boolean condition, String message) {
        if (!condition) {
            throw new AssertionError(message);
        }
    }

    static void equal(Object wanted, Object found, String what) {
        check(wanted.equals(found), what + " is " + found + ", expected " + wanted);
    }

    /** The attempt must fail with this exception, itself or as the cause of an {@link ExecutionException}. */
    static void refused(Class<? extends Exception> wanted, Attempt attempt) throws Exception {
        try {
            attempt.run();
        } catch (Exception thrown) {
            Throwable cause = thrown instanceof ExecutionException ? thrown.getCause() : thrown;
            check(wanted.isInstance(cause), "refused with " + cause + ", expected " + wanted.getSimpleName());
            return;
        }
        throw new AssertionError("not refused, expected " + wanted.getSimpleName());
    }
}
