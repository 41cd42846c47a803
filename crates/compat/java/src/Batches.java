package affluent.compat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.BinaryNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.zip.GZIPOutputStream;
import org.apache.kafka.common.utils.ByteUtils;
import org.apache.kafka.common.utils.Crc32C;

/**
 * Record batches, whole ones and broken ones, out of a description in JSON.
 *
 * <p>{@code {"values": ["a", "b"]}} is a batch of two records without keys that is as it should be. Any number in it can be
 * given another value: {@code baseOffset}, {@code length}, {@code leaderEpoch}, {@code magic}, {@code crc},
 * {@code attributes}, {@code lastOffsetDelta}, {@code timestamp}, {@code maxTimestamp}, {@code producerId},
 * {@code producerEpoch}, {@code sequence}, {@code count}. In the place of {@code values} stand {@code records}, whose
 * {@code length}, {@code attributes}, {@code timestampDelta}, {@code offsetDelta}, {@code key}, {@code value},
 * {@code headers} (their number) and {@code rest} (what follows them) are given. {@code gzip} compresses, and {@code keep}
 * leaves so many bytes of the batch. An array is as many batches in a row.
 */
final class Batches {
    /** In November 2023: answers that name it are the same in every run. */
    private static final long TIMESTAMP = 1_700_000_000_000L;

    /** Bytes before the batch's length counts, and before its checksum does. */
    private static final int LENGTH_ENDS = 12;

    private static final int CRC_ENDS = 21;

    private Batches() {}

    /** Replaces each description in a request, a field called {@code records}, by the bytes it describes. */
    static void build(JsonNode request) throws IOException {
        if (request instanceof ObjectNode object) {
            for (Map.Entry<String, JsonNode> field : object.properties()) {
                if (field.getKey().equals("records") && field.getValue().isContainerNode()) {
                    field.setValue(BinaryNode.valueOf(bytes(field.getValue())));
                }
            }
        }
        for (JsonNode child : request) {
            build(child);
        }
    }

    private static byte[] bytes(JsonNode described) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        if (described.isArray()) {
            for (JsonNode one : described) {
                all.write(batch(one));
            }
        } else {
            all.write(batch(described));
        }
        return all.toByteArray();
    }

    private static byte[] batch(JsonNode batch) throws IOException {
        int count = Math.max(batch.path("values").size(), batch.path("records").size());
        if (count == 0) {
            count = 1;
        }
        ByteArrayOutputStream checked = new ByteArrayOutputStream();
        DataOutputStream output = new DataOutputStream(checked);
        long timestamp = batch.path("timestamp").asLong(TIMESTAMP);
        output.writeShort(batch.path("attributes").asInt(batch.has("gzip") ? 1 : 0));
        output.writeInt(batch.path("lastOffsetDelta").asInt(count - 1));
        output.writeLong(timestamp);
        output.writeLong(batch.path("maxTimestamp").asLong(timestamp));
        output.writeLong(batch.path("producerId").asLong(-1));
        output.writeShort(batch.path("producerEpoch").asInt(-1));
        output.writeInt(batch.path("sequence").asInt(-1));
        output.writeInt(batch.path("count").asInt(count));
        output.write(payload(batch));
        byte[] body = checked.toByteArray();
        ByteArrayOutputStream whole = new ByteArrayOutputStream();
        output = new DataOutputStream(whole);
        output.writeLong(batch.path("baseOffset").asLong(0));
        output.writeInt(batch.path("length").asInt(body.length + CRC_ENDS - LENGTH_ENDS));
        output.writeInt(batch.path("leaderEpoch").asInt(-1));
        output.writeByte(batch.path("magic").asInt(2));
        output.writeInt((int) batch.path("crc").asLong(Crc32C.compute(body, 0, body.length)));
        output.write(body);
        return Arrays.copyOf(whole.toByteArray(), batch.path("keep").asInt(whole.size()));
    }

    private static byte[] payload(JsonNode batch) throws IOException {
        ByteArrayOutputStream records = new ByteArrayOutputStream();
        int delta = 0;
        for (JsonNode value : batch.path("values")) {
            records.write(record(batch, value, delta++));
        }
        for (JsonNode record : batch.path("records")) {
            records.write(record(record, record.path("value"), delta++));
        }
        if (!batch.has("gzip")) {
            return records.toByteArray();
        }
        ByteArrayOutputStream compressed = new ByteArrayOutputStream();
        try (GZIPOutputStream gzip = new GZIPOutputStream(compressed)) {
            gzip.write(records.toByteArray());
        }
        return compressed.toByteArray();
    }

    /** The record of a batch of values has of its batch nothing but the key. */
    private static byte[] record(JsonNode record, JsonNode value, int delta) throws IOException {
        boolean own = record.has("value");
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        DataOutputStream output = new DataOutputStream(body);
        output.writeByte(own ? record.path("attributes").asInt(0) : 0);
        ByteUtils.writeVarlong(record.path("timestampDelta").asLong(0), output);
        ByteUtils.writeVarint(record.path("offsetDelta").asInt(delta), output);
        field(record.path("key"), output);
        field(value, output);
        ByteUtils.writeVarint(record.path("headers").asInt(0), output);
        output.write(text(record.path("rest")));
        ByteArrayOutputStream whole = new ByteArrayOutputStream();
        output = new DataOutputStream(whole);
        ByteUtils.writeVarint(own ? record.path("length").asInt(body.size()) : body.size(), output);
        output.write(body.toByteArray());
        return whole.toByteArray();
    }

    private static void field(JsonNode node, DataOutputStream output) throws IOException {
        if (node.isTextual()) {
            ByteUtils.writeVarint(text(node).length, output);
            output.write(text(node));
        } else {
            ByteUtils.writeVarint(-1, output);
        }
    }

    private static byte[] text(JsonNode node) {
        return node.asText("").getBytes(StandardCharsets.UTF_8);
    }
}
