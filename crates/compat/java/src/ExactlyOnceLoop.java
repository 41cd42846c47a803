import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * How long a record takes through an exactly-once loop: sent to {@code loop-in}, moved to {@code loop-out} by a
 * transaction that commits its offset too, seen by a {@code read_committed} consumer. One process, so one clock.
 *
 * <p>Arguments: bootstrap servers, records to warm up, records to measure, records a second. The last line is
 * {@code records N p50-us A p99-us B}.
 */
public final class ExactlyOnceLoop {
    private static final String IN = "loop-in";
    private static final String OUT = "loop-out";

    private ExactlyOnceLoop() {}

    public static void main(String[] args) throws Exception {
        String bootstrap = args[0];
        int warmUp = Integer.parseInt(args[1]);
        int count = Integer.parseInt(args[2]);
        int perSecond = Integer.parseInt(args[3]);
        AtomicBoolean done = new AtomicBoolean();
        Thread mover = start("mover", () -> move(bootstrap, done));
        Map<String, Object> config = consumerConfig(bootstrap);
        config.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        try (KafkaConsumer<byte[], byte[]> reader = new KafkaConsumer<>(config)) {
            List<TopicPartition> all = new ArrayList<>();
            for (PartitionInfo info : reader.partitionsFor(OUT)) {
                all.add(new TopicPartition(OUT, info.partition()));
            }
            reader.assign(all);
            reader.seekToBeginning(all);
            Thread source = start("source", () -> send(bootstrap, warmUp + count, perSecond));
            long[] times = read(reader, warmUp, count);
            source.join();
            done.set(true);
            mover.join();
            Arrays.sort(times);
            System.out.printf(
                    "records %d p50-us %.1f p99-us %.1f%n",
                    count, percentile(times, 50) / 1e3, percentile(times, 99) / 1e3);
        }
    }

    private static long percentile(long[] sorted, int percent) {
        return sorted[Math.max(0, (int) Math.ceil(percent / 100.0 * sorted.length) - 1)];
    }

    private static Thread start(String name, Runnable body) {
        Thread thread = new Thread(body, name);
        thread.setUncaughtExceptionHandler(
                (failed, error) -> {
                    error.printStackTrace();
                    System.exit(1);
                });
        thread.start();
        return thread;
    }

    private static Map<String, Object> producerConfig(String bootstrap) {
        Map<String, Object> config = new HashMap<>();
        config.put(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        config.put(ProducerConfig.ACKS_CONFIG, "all");
        config.put(ProducerConfig.LINGER_MS_CONFIG, 0);
        config.put(ProducerConfig.KEY_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class);
        config.put(ProducerConfig.VALUE_SERIALIZER_CLASS_CONFIG, ByteArraySerializer.class);
        return config;
    }

    private static Map<String, Object> consumerConfig(String bootstrap) {
        Map<String, Object> config = new HashMap<>();
        config.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        config.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
        config.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        config.put(ConsumerConfig.KEY_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class);
        config.put(ConsumerConfig.VALUE_DESERIALIZER_CLASS_CONFIG, ByteArrayDeserializer.class);
        return config;
    }

    /** Sends the time at which each record was due to be sent. */
    private static void send(String bootstrap, int records, int perSecond) {
        long interval = 1_000_000_000L / perSecond;
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(producerConfig(bootstrap))) {
            int partitions = producer.partitionsFor(IN).size();
            long begin = System.nanoTime();
            for (int index = 0; index < records; index++) {
                long due = begin + index * interval;
                for (long rest = due - System.nanoTime(); rest > 0; rest = due - System.nanoTime()) {
                    LockSupport.parkNanos(rest);
                }
                byte[] value = ByteBuffer.allocate(100).putLong(due).array();
                producer.send(new ProducerRecord<>(IN, index % partitions, null, value));
            }
        }
    }

    private static void move(String bootstrap, AtomicBoolean done) {
        Map<String, Object> config = consumerConfig(bootstrap);
        config.put(ConsumerConfig.GROUP_ID_CONFIG, "loop");
        config.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        Map<String, Object> producing = producerConfig(bootstrap);
        producing.put(ProducerConfig.TRANSACTIONAL_ID_CONFIG, "loop");
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config);
                KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(producing)) {
            producer.initTransactions();
            consumer.subscribe(List.of(IN));
            while (!done.get()) {
                ConsumerRecords<byte[], byte[]> polled = consumer.poll(Duration.ofMillis(100));
                if (polled.isEmpty()) {
                    continue;
                }
                producer.beginTransaction();
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                for (ConsumerRecord<byte[], byte[]> record : polled) {
                    producer.send(new ProducerRecord<>(OUT, record.partition(), null, record.value()));
                    offsets.put(
                            new TopicPartition(IN, record.partition()),
                            new OffsetAndMetadata(record.offset() + 1));
                }
                producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
                producer.commitTransaction();
            }
        }
    }

    private static long[] read(KafkaConsumer<byte[], byte[]> reader, int warmUp, int count) {
        long[] times = new long[count];
        long limit = System.nanoTime() + 300_000_000_000L;
        int seen = 0;
        while (seen < warmUp + count) {
            for (ConsumerRecord<byte[], byte[]> record : reader.poll(Duration.ofMillis(100))) {
                long time = System.nanoTime() - ByteBuffer.wrap(record.value()).getLong();
                if (seen >= warmUp && seen < warmUp + count) {
                    times[seen - warmUp] = time;
                }
                seen++;
            }
            if (System.nanoTime() > limit) {
                throw new IllegalStateException(seen + " records came in five minutes");
            }
        }
        return times;
    }
}
