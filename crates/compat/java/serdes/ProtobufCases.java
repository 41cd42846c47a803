package affluent.compat;

import static affluent.compat.World.expect;

import com.google.protobuf.Any;
import com.google.protobuf.Descriptors.Descriptor;
import com.google.protobuf.DynamicMessage;
import com.google.protobuf.Message;
import com.google.protobuf.StringValue;
import com.google.rpc.Status;
import io.confluent.kafka.schemaregistry.client.rest.entities.SchemaReference;
import io.confluent.kafka.schemaregistry.client.rest.exceptions.RestClientException;
import io.confluent.kafka.schemaregistry.protobuf.ProtobufSchema;
import io.confluent.kafka.serializers.protobuf.KafkaProtobufDeserializer;
import io.confluent.kafka.serializers.protobuf.KafkaProtobufSerializer;
import io.confluent.kafka.serializers.subject.RecordNameStrategy;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** {@code KafkaProtobufSerializer} and its deserialiser. */
final class ProtobufCases {
    private static final String USER = "syntax = \"proto3\";\npackage compat.java.proto;\n\nmessage User {\n  string name = 1;\n"
            + "  repeated Mail mails = 2;\n  map<string, int32> marks = 3;\n\n  message Mail {\n    string at = 1;\n  }\n}\n";
    private static final String WITH_CITY = USER.replace("  repeated", "  string city = 4;\n  repeated");
    private static final String OTHER_TYPE = USER.replace("string name = 1", "bytes other = 1").replace("Mail mails", "int32 n");

    private ProtobufCases() {}

    static Map<String, SerdeCases.Case> all() {
        Map<String, SerdeCases.Case> cases = new LinkedHashMap<>();
        cases.put("protobuf-topic", world -> plain(world, false));
        cases.put("protobuf-record", world -> plain(world, true));
        cases.put("protobuf-nested", ProtobufCases::nested);
        cases.put("protobuf-import", ProtobufCases::imported);
        cases.put("protobuf-generated", ProtobufCases::generated);
        cases.put("protobuf-evolved", ProtobufCases::evolved);
        cases.put("protobuf-refused", ProtobufCases::refused);
        return cases;
    }

    private static DynamicMessage user(Descriptor type) {
        DynamicMessage.Builder builder = DynamicMessage.newBuilder(type);
        builder.setField(type.findFieldByName("name"), "Ada");
        Descriptor mail = type.findNestedTypeByName("Mail");
        builder.addRepeatedField(type.findFieldByName("mails"), mail(mail));
        return builder.build();
    }

    private static DynamicMessage mail(Descriptor type) {
        return DynamicMessage.newBuilder(type).setField(type.findFieldByName("at"), "ada@example.com").build();
    }

    private static KafkaProtobufSerializer<Message> serializer(World world, Object... more) {
        KafkaProtobufSerializer<Message> serializer = new KafkaProtobufSerializer<>(world.newClient());
        serializer.configure(world.settings(more), false);
        return serializer;
    }

    private static KafkaProtobufDeserializer<Message> deserializer(World world, Object... more) {
        KafkaProtobufDeserializer<Message> deserializer = new KafkaProtobufDeserializer<>(world.newClient());
        deserializer.configure(world.settings(more), false);
        return deserializer;
    }

    private static void plain(World world, boolean byRecord) throws Exception {
        String topic = world.topic();
        Object[] more = byRecord
                ? new Object[] {"value.subject.name.strategy", RecordNameStrategy.class.getName()}
                : new Object[0];
        DynamicMessage value = user(new ProtobufSchema(USER).toDescriptor());
        byte[] payload = world.through(topic, serializer(world, more), value);
        world.expectFrame(payload, byRecord ? "compat.java.proto.User" : topic + "-value", 1);
        // The first message of the file.
        expect((byte) 0, payload[5]);
        expect(value.toString(), deserializer(world, more).deserialize(topic, payload).toString());
    }

    private static void nested(World world) throws Exception {
        String topic = world.topic();
        Descriptor mail = new ProtobufSchema(USER).toDescriptor().findNestedTypeByName("Mail");
        byte[] payload = world.through(topic, serializer(world), mail(mail));
        world.expectFrame(payload, topic + "-value", 1);
        // Two indexes: the first message, and in it not its map's entry but its second.
        expect((byte) 4, payload[5]);
        Message read = deserializer(world).deserialize(topic, payload);
        expect("compat.java.proto.User.Mail", read.getDescriptorForType().getFullName());
        expect(mail(mail).toString(), read.toString());
    }

    /** The serialiser registers what the file imports first. */
    private static void imported(World world) throws Exception {
        String topic = world.topic();
        String name = topic + "/user.proto";
        String text = "syntax = \"proto3\";\npackage compat.java.proto;\n\nimport \"" + name + "\";\n"
                + "import \"google/protobuf/timestamp.proto\";\n\nmessage Order {\n  User by = 1;\n"
                + "  google.protobuf.Timestamp at = 2;\n}\n";
        List<SchemaReference> references = List.of(new SchemaReference(name, name, 1));
        Descriptor type = new ProtobufSchema(text, references, Map.of(name, USER), null, null).toDescriptor();
        DynamicMessage user = user(type.findFieldByName("by").getMessageType());
        DynamicMessage value = DynamicMessage.newBuilder(type).setField(type.findFieldByName("by"), user).build();
        byte[] payload = world.through(topic, serializer(world), value);
        world.expectFrame(payload, topic + "-value", 1);
        expect(List.of(1), world.newClient().getAllVersions(name));
        expect(references, world.newClient().getSchemaById(ByteBuffer.wrap(payload).getInt(1)).references());
        expect(value.toString(), deserializer(world).deserialize(topic, payload).toString());
    }

    /** A generated class, written and read as itself. */
    private static void generated(World world) throws Exception {
        String topic = world.topic();
        Any detail = Any.pack(StringValue.of("detail"));
        Status value = Status.newBuilder().setCode(3).setMessage("m").addDetails(detail).build();
        byte[] payload = world.through(topic, serializer(world), value);
        world.expectFrame(payload, topic + "-value", 1);
        Object[] more = {"specific.protobuf.value.type", Status.class};
        expect(value, deserializer(world, more).deserialize(topic, payload));
    }

    private static void evolved(World world) throws Exception {
        String topic = world.topic();
        KafkaProtobufSerializer<Message> serializer = serializer(world);
        byte[] old = world.through(topic, serializer, user(new ProtobufSchema(USER).toDescriptor()));
        world.expectFrame(old, topic + "-value", 1);
        byte[] fresh = world.through(topic, serializer, user(new ProtobufSchema(WITH_CITY).toDescriptor()));
        world.expectFrame(fresh, topic + "-value", 2);
        expect(deserializer(world).deserialize(topic, old).toString(),
                deserializer(world).deserialize(topic, fresh).toString());
    }

    private static void refused(World world) throws Exception {
        String topic = world.topic();
        serializer(world).serialize(topic, user(new ProtobufSchema(USER).toDescriptor()));
        try {
            Descriptor type = new ProtobufSchema(OTHER_TYPE).toDescriptor();
            serializer(world).serialize(topic, DynamicMessage.getDefaultInstance(type));
            throw new AssertionError("an incompatible schema was registered");
        } catch (org.apache.kafka.common.KafkaException error) {
            expect(409, ((RestClientException) error.getCause()).getStatus());
        }
    }
}
