package affluent.compat;

import static affluent.compat.World.expect;

import io.confluent.kafka.schemaregistry.avro.AvroSchema;
import io.confluent.kafka.schemaregistry.client.SchemaRegistryClient;
import io.confluent.kafka.schemaregistry.client.rest.entities.SchemaReference;
import io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import io.confluent.kafka.serializers.KafkaAvroDeserializer;
import io.confluent.kafka.serializers.KafkaAvroSerializer;
import io.confluent.kafka.serializers.subject.RecordNameStrategy;
import io.confluent.kafka.serializers.subject.TopicRecordNameStrategy;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.avro.Schema;
import org.apache.avro.SchemaBuilder;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.kafka.common.errors.SerializationException;

/** {@code KafkaAvroSerializer}, its deserialiser, and the registry's client. */
final class AvroCases {
    private static final Schema USER = SchemaBuilder.record("User").namespace("compat.java").fields()
            .requiredString("name").optionalString("mail").requiredInt("age").endRecord();
    private static final Schema WITH_CITY = SchemaBuilder.record("User").namespace("compat.java").fields()
            .requiredString("name").optionalString("mail").requiredInt("age")
            .name("city").type().stringType().stringDefault("nowhere").endRecord();
    private static final Schema WITHOUT_DEFAULT = SchemaBuilder.record("User").namespace("compat.java").fields()
            .requiredString("name").requiredString("country").endRecord();

    private AvroCases() {}

    static Map<String, SerdeCases.Case> all() {
        Map<String, SerdeCases.Case> cases = new LinkedHashMap<>();
        cases.put("avro-topic", world -> strategy(world, null, ""));
        cases.put("avro-record", world -> strategy(world, RecordNameStrategy.class.getName(), "compat.java.User"));
        cases.put("avro-topic-record",
                world -> strategy(world, TopicRecordNameStrategy.class.getName(), "-compat.java.User"));
        cases.put("avro-primitives", AvroCases::primitives);
        cases.put("avro-latest", AvroCases::latest);
        cases.put("avro-evolved", AvroCases::evolved);
        cases.put("avro-refused", AvroCases::refused);
        cases.put("avro-reference", AvroCases::reference);
        cases.put("avro-client", AvroCases::client);
        return cases;
    }

    private static GenericRecord user(Schema schema) {
        GenericRecordBuilder builder = new GenericRecordBuilder(schema).set("name", "Ada").set("age", 36);
        return builder.set("mail", "ada@example.com").build();
    }

    static KafkaAvroSerializer serializer(World world, Object... more) {
        KafkaAvroSerializer serializer = new KafkaAvroSerializer(world.newClient());
        serializer.configure(world.settings(more), false);
        return serializer;
    }

    static KafkaAvroDeserializer deserializer(World world, Object... more) {
        KafkaAvroDeserializer deserializer = new KafkaAvroDeserializer(world.newClient());
        deserializer.configure(world.settings(more), false);
        return deserializer;
    }

    private static void strategy(World world, String strategy, String suffix) throws Exception {
        String topic = world.topic();
        Object[] more = strategy == null ? new Object[0] : new Object[] {"value.subject.name.strategy", strategy};
        byte[] payload = world.through(topic, serializer(world, more), user(USER));
        String subject = strategy == null ? topic + "-value" : suffix.startsWith("-") ? topic + suffix : suffix;
        world.expectFrame(payload, subject, 1);
        Object read = deserializer(world, more).deserialize(topic, payload);
        expect(user(USER).toString(), read.toString());
        expect(USER, ((GenericRecord) read).getSchema());
    }

    private static void primitives(World world) throws Exception {
        ByteBuffer bytes = ByteBuffer.wrap(new byte[] {1, 2, 3});
        for (Object value : List.of("text", 7, 8L, 0.5f, 0.25, true, bytes)) {
            String topic = world.topic();
            Object given = value instanceof ByteBuffer ? ((ByteBuffer) value).array() : value;
            byte[] payload = world.through(topic, serializer(world), given);
            world.expectFrame(payload, topic + "-value", 1);
            Object read = deserializer(world).deserialize(topic, payload);
            expect(value, read instanceof byte[] ? ByteBuffer.wrap((byte[]) read) : read);
        }
    }

    /** The serialiser takes what is registered, and registers nothing. */
    private static void latest(World world) throws Exception {
        String topic = world.topic();
        Object[] more = {"auto.register.schemas", false, "use.latest.version", true};
        world.newClient().register(topic + "-value", new AvroSchema(WITH_CITY));
        byte[] payload = world.through(topic, serializer(world, more), new GenericRecordBuilder(WITH_CITY)
                .set("name", "Ada").set("age", 36).set("mail", null).build());
        world.expectFrame(payload, topic + "-value", 1);
        GenericRecord read = (GenericRecord) deserializer(world).deserialize(topic, payload);
        expect("nowhere", read.get("city").toString());
        String empty = world.topic();
        Object[] none = {"auto.register.schemas", false};
        try {
            serializer(world, none).serialize(empty, user(USER));
            throw new AssertionError("a schema that is not there was found");
        } catch (SerializationException error) {
            expect(40401, ((RestClientException) error.getCause()).getErrorCode());
        }
    }

    private static void evolved(World world) throws Exception {
        String topic = world.topic();
        KafkaAvroSerializer serializer = serializer(world);
        byte[] old = world.through(topic, serializer, user(USER));
        world.expectFrame(old, topic + "-value", 1);
        byte[] fresh = world.through(topic, serializer, user(WITH_CITY));
        world.expectFrame(fresh, topic + "-value", 2);
        Object[] more = {"use.latest.version", true};
        GenericRecord read = (GenericRecord) deserializer(world).deserialize(topic, old, WITH_CITY);
        expect("nowhere", read.get("city").toString());
        read = (GenericRecord) deserializer(world, more).deserialize(topic, fresh);
        expect("36", read.get("age").toString());
    }

    private static void refused(World world) throws Exception {
        String topic = world.topic();
        serializer(world).serialize(topic, user(USER));
        try {
            serializer(world).serialize(topic, new GenericRecordBuilder(WITHOUT_DEFAULT)
                    .set("name", "Ada").set("country", "here").build());
            throw new AssertionError("an incompatible schema was registered");
        } catch (org.apache.kafka.common.KafkaException error) {
            RestClientException cause = (RestClientException) error.getCause();
            expect(409, cause.getStatus());
        }
        expect(List.of(1), world.newClient().getAllVersions(topic + "-value"));
    }

    private static void reference(World world) throws Exception {
        String topic = world.topic();
        SchemaRegistryClient client = world.newClient();
        String user = topic + "-user";
        client.register(user, new AvroSchema(USER));
        String text = "{\"type\":\"record\",\"name\":\"Order\",\"fields\":[{\"name\":\"by\",\"type\":\"compat.java.User\"}]}";
        List<SchemaReference> references = List.of(new SchemaReference("compat.java.User", user, 1));
        AvroSchema order = new AvroSchema(text, references, Map.of("compat.java.User", USER.toString()), null);
        int id = client.register(topic + "-value", order);
        Object[] more = {"auto.register.schemas", false, "use.latest.version", true};
        GenericRecord value = new GenericRecordBuilder(order.rawSchema()).set("by", user(USER)).build();
        byte[] payload = world.through(topic, serializer(world, more), value);
        expect(id, world.expectFrame(payload, topic + "-value", 1).getId());
        expect(value.toString(), deserializer(world).deserialize(topic, payload).toString());
    }

    private static void client(World world) throws Exception {
        SchemaRegistryClient client = world.newClient();
        String subject = world.topic() + "-value";
        AvroSchema user = new AvroSchema(USER);
        int id = client.register(subject, user);
        // A client that remembers nothing asks for everything.
        client = world.newClient();
        expect(id, client.getId(subject, user));
        expect(1, client.getVersion(subject, user));
        expect(user, client.getSchemaById(id));
        expect(user, client.getSchemaBySubjectAndId(subject, id));
        expect(true, client.getAllSubjects().contains(subject));
        expect(true, client.getAllSubjectsById(id).contains(subject));
        expect(1, client.getByVersion(subject, 1, false).getVersion());
        expect(true, client.testCompatibility(subject, new AvroSchema(WITH_CITY)));
        expect(false, client.testCompatibility(subject, new AvroSchema(WITHOUT_DEFAULT)));
        expect("FULL", client.updateCompatibility(subject, "FULL"));
        expect("FULL", client.getCompatibility(subject));
        expect("READONLY", client.setMode("READONLY", subject));
        expect("READONLY", client.getMode(subject));
        expect("READWRITE", client.setMode("READWRITE", subject));
        expect(List.of(1), client.deleteSubject(subject));
        expect(List.of(1), client.deleteSubject(subject, true));
        try {
            client.getLatestSchemaMetadata(subject);
            throw new AssertionError("a deleted subject was found");
        } catch (RestClientException error) {
            expect(40401, error.getErrorCode());
            expect("Subject '" + subject + "' not found.; error code: 40401", error.getMessage());
        }
    }
}
