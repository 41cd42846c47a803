package affluent.compat;

import io.confluent.kafka.schemaregistry.avro.AvroSchemaProvider;
import io.confluent.kafka.schemaregistry.client.CachedSchemaRegistryClient;
import io.confluent.kafka.schemaregistry.client.SchemaMetadata;
import io.confluent.kafka.schemaregistry.client.SchemaRegistryClient;
import io.confluent.kafka.schemaregistry.protobuf.ProtobufSchemaProvider;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serializer;

/** What all cases share: a broker, a registry, and a folder. */
final class World implements AutoCloseable {
    private static final Duration LIMIT = Duration.ofSeconds(60);

    final String bootstrap;
    final String registry;
    final Path scratch;
    final SchemaRegistryClient client;
    private final Admin admin;
    private final KafkaProducer<byte[], byte[]> producer;

    World(String bootstrap, String registry, String scratch) {
        this.bootstrap = bootstrap;
        this.registry = registry;
        this.scratch = Path.of(scratch);
        client = newClient();
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
        producer = new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** A client that remembers nothing yet. */
    SchemaRegistryClient newClient() {
        return new CachedSchemaRegistryClient(
                List.of(registry), 100, List.of(new AvroSchemaProvider(), new ProtobufSchemaProvider()), Map.of());
    }

    /** The settings of a serialiser, a deserialiser or a converter. */
    Map<String, Object> settings(Object... more) {
        Map<String, Object> settings = new HashMap<>();
        settings.put("schema.registry.url", registry);
        for (int i = 0; i < more.length; i += 2) {
            settings.put((String) more[i], more[i + 1]);
        }
        return settings;
    }

    /** A new topic of one partition. */
    String topic() throws Exception {
        String topic = "serdes-java-" + UUID.randomUUID().toString().substring(0, 13);
        admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all().get();
        return topic;
    }

    /** Writes bytes to the topic and reads its last record back. */
    ConsumerRecord<byte[], byte[]> sendAndFetch(String topic, byte[] key, byte[] value) throws Exception {
        long offset = producer.send(new ProducerRecord<>(topic, 0, key, value)).get().offset();
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
        try (KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            TopicPartition partition = new TopicPartition(topic, 0);
            consumer.assign(List.of(partition));
            consumer.seek(partition, offset);
            long deadline = System.nanoTime() + LIMIT.toNanos();
            while (System.nanoTime() < deadline) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                    return record;
                }
            }
        }
        throw new AssertionError("the record did not come back");
    }

    /** The value as a serialiser makes it, sent and fetched. */
    <T> byte[] through(String topic, Serializer<T> serializer, T value) throws Exception {
        return sendAndFetch(topic, null, serializer.serialize(topic, value)).value();
    }

    /** Fails unless the frame's id is that of the subject's newest version, which is this one. */
    SchemaMetadata expectFrame(byte[] payload, String subject, int version) throws Exception {
        SchemaMetadata newest = newClient().getLatestSchemaMetadata(subject);
        expect(version, newest.getVersion());
        expect((byte) 0, payload[0]);
        expect(newest.getId(), ByteBuffer.wrap(payload).getInt(1));
        return newest;
    }

    static void expect(Object wanted, Object found) {
        if (!Objects.equals(wanted, found)) {
            throw new AssertionError("expected " + wanted + ", found " + found);
        }
    }

    @Override
    public void close() {
        producer.close(LIMIT);
        admin.close(LIMIT);
    }
}
