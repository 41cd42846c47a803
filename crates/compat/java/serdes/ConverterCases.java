package affluent.compat;

import static affluent.compat.World.expect;

import io.confluent.connect.avro.AvroConverter;
import io.confluent.connect.protobuf.ProtobufConverter;
import java.io.File;
import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.connect.data.Date;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Timestamp;
import org.apache.kafka.connect.storage.Converter;

/** {@code AvroConverter} and {@code ProtobufConverter}, by themselves and in a worker of Connect. */
final class ConverterCases {
    private static final long WORKER_LIMIT_MS = 120_000;
    private static final List<String> LINES = List.of("one", "two", "three");

    private ConverterCases() {}

    static Map<String, SerdeCases.Case> all() {
        Map<String, SerdeCases.Case> cases = new LinkedHashMap<>();
        for (Class<? extends Converter> converter : List.of(AvroConverter.class, ProtobufConverter.class)) {
            String name = converter == AvroConverter.class ? "avro" : "protobuf";
            cases.put(name + "-converter", world -> everyType(world, converter));
            cases.put(name + "-converter-key", world -> key(world, converter));
            cases.put(name + "-converter-evolved", world -> evolved(world, converter));
            cases.put(name + "-converter-null", world -> nothing(world, converter));
            cases.put(name + "-worker", world -> worker(world, converter, name));
        }
        return cases;
    }

    private static Converter converter(World world, Class<? extends Converter> type, boolean isKey) throws Exception {
        Converter converter = type.getConstructor().newInstance();
        // Only so does a field of Protobuf know that it is not there.
        converter.configure(world.settings("optional.for.nullables", true), isKey);
        return converter;
    }

    private static SchemaBuilder user() {
        return SchemaBuilder.struct().name("compat.connect.User")
                .field("name", Schema.STRING_SCHEMA)
                .field("age", Schema.INT32_SCHEMA);
    }

    /** One field of each type of Connect's. */
    private static void everyType(World world, Class<? extends Converter> type) throws Exception {
        Schema nested = SchemaBuilder.struct().name("compat.connect.Nested").field("at", Schema.STRING_SCHEMA).build();
        Schema schema = user()
                .field("small", Schema.INT8_SCHEMA)
                .field("short", Schema.INT16_SCHEMA)
                .field("long", Schema.INT64_SCHEMA)
                .field("float", Schema.FLOAT32_SCHEMA)
                .field("double", Schema.FLOAT64_SCHEMA)
                .field("flag", Schema.BOOLEAN_SCHEMA)
                .field("maybe", Schema.OPTIONAL_STRING_SCHEMA)
                .field("tags", SchemaBuilder.array(Schema.STRING_SCHEMA).build())
                .field("marks", SchemaBuilder.map(Schema.STRING_SCHEMA, Schema.INT32_SCHEMA).build())
                .field("nested", nested)
                .field("price", Decimal.schema(2))
                .field("day", Date.SCHEMA)
                .field("moment", Timestamp.SCHEMA)
                .build();
        Struct value = new Struct(schema).put("name", "Ada").put("age", 36).put("small", (byte) 1).put("short", (short) 2)
                .put("long", 3L).put("float", 0.5f).put("double", 0.25).put("flag", true).put("tags", List.of("a", "b"))
                .put("marks", Map.of("x", 1)).put("nested", new Struct(nested).put("at", "here"))
                .put("price", new BigDecimal("12.34")).put("day", new java.util.Date(86_400_000L * 365))
                .put("moment", new java.util.Date(1_700_000_000_123L));
        String topic = world.topic();
        byte[] payload = converter(world, type, false).fromConnectData(topic, schema, value);
        byte[] fetched = world.sendAndFetch(topic, null, payload).value();
        world.expectFrame(fetched, topic + "-value", 1);
        Struct read = (Struct) converter(world, type, false).toConnectData(topic, fetched).value();
        for (org.apache.kafka.connect.data.Field field : schema.fields()) {
            expect(field.name() + " " + plain(value.get(field)), field.name() + " " + plain(read.get(field.name())));
        }
    }

    private static Object plain(Object value) {
        return value instanceof Struct ? ((Struct) value).get("at") : value;
    }

    private static void key(World world, Class<? extends Converter> type) throws Exception {
        String topic = world.topic();
        Schema schema = user().build();
        Struct value = new Struct(schema).put("name", "Ada").put("age", 36);
        byte[] key = converter(world, type, true).fromConnectData(topic, schema, value);
        byte[] payload = converter(world, type, false).fromConnectData(topic, schema, value);
        ConsumerRecord<byte[], byte[]> record = world.sendAndFetch(topic, key, payload);
        // One schema, two subjects, one id.
        expect(world.expectFrame(record.key(), topic + "-key", 1).getId(),
                world.expectFrame(record.value(), topic + "-value", 1).getId());
        expect("Ada", ((Struct) converter(world, type, true).toConnectData(topic, record.key()).value()).get("name"));
    }

    private static void evolved(World world, Class<? extends Converter> type) throws Exception {
        String topic = world.topic();
        Converter writer = converter(world, type, false);
        Schema first = user().version(1).build();
        byte[] old = writer.fromConnectData(topic, first, new Struct(first).put("name", "Ada").put("age", 36));
        world.expectFrame(world.sendAndFetch(topic, null, old).value(), topic + "-value", 1);
        Schema second = user().version(2).field("city", Schema.OPTIONAL_STRING_SCHEMA).build();
        Struct value = new Struct(second).put("name", "Ada").put("age", 36).put("city", "London");
        byte[] fresh = world.sendAndFetch(topic, null, writer.fromConnectData(topic, second, value)).value();
        world.expectFrame(fresh, topic + "-value", 2);
        SchemaAndValue read = converter(world, type, false).toConnectData(topic, fresh);
        expect("London", ((Struct) read.value()).get("city"));
        expect(2, read.schema().version());
        expect(1, converter(world, type, false).toConnectData(topic, old).schema().version());
    }

    private static void nothing(World world, Class<? extends Converter> type) throws Exception {
        String topic = world.topic();
        Converter converter = converter(world, type, false);
        byte[] payload = converter.fromConnectData(topic, null, null);
        expect(null, payload);
        expect(SchemaAndValue.NULL, converter.toConnectData(topic, world.sendAndFetch(topic, null, payload).value()));
    }

    /** Lines of a file go into a topic as records with a schema, and out of it into another file. */
    private static void worker(World world, Class<? extends Converter> type, String name) throws Exception {
        String topic = world.topic();
        Path folder = Files.createDirectory(world.scratch.resolve("worker-" + name));
        Path source = Files.write(folder.resolve("source.txt"), LINES);
        Path sink = folder.resolve("sink.txt");
        Files.writeString(folder.resolve("worker.properties"), String.join("\n",
                "bootstrap.servers=" + world.bootstrap,
                "key.converter=" + type.getName(),
                "key.converter.schema.registry.url=" + world.registry,
                "value.converter=" + type.getName(),
                "value.converter.schema.registry.url=" + world.registry,
                "offset.storage.file.filename=" + folder.resolve("offsets"),
                "listeners=http://127.0.0.1:0",
                "plugin.discovery=service_load",
                "consumer.auto.offset.reset=earliest", ""));
        Files.writeString(folder.resolve("source.properties"), String.join("\n",
                "name=source", "connector.class=org.apache.kafka.connect.file.FileStreamSourceConnector",
                "tasks.max=1", "file=" + source, "topic=" + topic,
                "transforms=hoist,name",
                "transforms.hoist.type=org.apache.kafka.connect.transforms.HoistField$Value",
                "transforms.hoist.field=line",
                "transforms.name.type=org.apache.kafka.connect.transforms.SetSchemaMetadata$Value",
                "transforms.name.schema.name=compat.connect.Line", ""));
        Files.writeString(folder.resolve("sink.properties"), String.join("\n",
                "name=sink", "connector.class=org.apache.kafka.connect.file.FileStreamSinkConnector",
                "tasks.max=1", "file=" + sink, "topics=" + topic,
                "transforms=extract",
                "transforms.extract.type=org.apache.kafka.connect.transforms.ExtractField$Value",
                "transforms.extract.field=line", ""));
        File log = folder.resolve("log").toFile();
        Process worker = new ProcessBuilder(List.of("java", "-Xmx384M", "-XX:TieredStopAtLevel=1",
                        "-cp", System.getProperty("java.class.path"), "org.apache.kafka.connect.cli.ConnectStandalone",
                        folder.resolve("worker.properties").toString(), folder.resolve("source.properties").toString(),
                        folder.resolve("sink.properties").toString()))
                .redirectErrorStream(true).redirectOutput(log).start();
        try {
            awaitLines(worker, sink, log);
        } finally {
            worker.destroy();
            if (!worker.waitFor(30, TimeUnit.SECONDS)) {
                worker.destroyForcibly().waitFor();
            }
        }
        expect(List.of(1), world.newClient().getAllVersions(topic + "-value"));
        String text = world.newClient().getLatestSchemaMetadata(topic + "-value").getSchema();
        expect(true, text.contains("Line"));
    }

    private static void awaitLines(Process worker, Path sink, File log) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(WORKER_LIMIT_MS);
        while (!Files.exists(sink) || !Files.readAllLines(sink).equals(LINES)) {
            if (System.nanoTime() > deadline || !worker.isAlive()) {
                List<String> said = Files.readAllLines(log.toPath());
                String tail = String.join("\n", said.subList(Math.max(0, said.size() - 20), said.size()));
                throw new AssertionError("the worker brought no lines: " + tail);
            }
            // A file does not tell when it has changed.
            Thread.sleep(50);
        }
    }
}
