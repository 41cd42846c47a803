package affluent.compat;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import java.util.function.Supplier;

import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.ObjectSerializationCache;

/**
 * Reads `name version hex` lines (crates/wire/tests/golden/messages.txt) with Apache Kafka's own message classes, writes
 * each message back, and compares the bytes. Prints one line per disagreement and a summary; a version that this
 * Kafka does not have is counted apart.
 */
public final class MessagesOracle {
    private record Schema(Supplier<ApiMessage> make, short highest) {}

    private MessagesOracle() {}

    public static void main(String[] args) throws Exception {
        Map<String, Schema> schemas = new HashMap<>();
        for (ApiMessageType type : ApiMessageType.values()) {
            if (type.lowestSupportedVersion() > type.highestSupportedVersion(true)) {
                continue; // A key that Kafka 4.0 removed.
            }
            short highest = type.highestSupportedVersion(true);
            schemas.put(type.newRequest().getClass().getSimpleName(), new Schema(type::newRequest, highest));
            schemas.put(type.newResponse().getClass().getSimpleName(), new Schema(type::newResponse, highest));
        }
        int same = 0;
        int newer = 0;
        int different = 0;
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] words = line.split(" ", -1);
            short version = Short.parseShort(words[1]);
            byte[] bytes = HexFormat.of().parseHex(words[2]);
            Schema schema = schemas.get(words[0] + "Data");
            if (schema == null || version > schema.highest()) {
                newer++;
                continue;
            }
            String problem = compare(schema.make().get(), bytes, version);
            if (problem == null) {
                same++;
            } else {
                different++;
                System.out.println("FAIL " + words[0] + " version " + version + ": " + problem);
            }
        }
        System.out.println("same " + same + ", not in this Kafka " + newer + ", different " + different);
        System.exit(different == 0 && same > 0 ? 0 : 1);
    }

    private static String compare(ApiMessage message, byte[] bytes, short version) {
        try {
            ByteBuffer input = ByteBuffer.wrap(bytes);
            message.read(new ByteBufferAccessor(input), version);
            if (input.hasRemaining()) {
                return input.remaining() + " bytes are left over";
            }
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer output = ByteBuffer.allocate(message.size(cache, version));
            message.write(new ByteBufferAccessor(output), cache, version);
            String written = HexFormat.of().formatHex(output.array());
            return written.equals(HexFormat.of().formatHex(bytes)) ? null : "written back as " + written;
        } catch (RuntimeException error) {
            return error.toString();
        }
    }
}
