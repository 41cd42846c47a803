import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.function.Supplier;

import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.InvalidRecordException;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.compress.GzipCompression;
import org.apache.kafka.common.compress.Lz4Compression;
import org.apache.kafka.common.compress.ZstdCompression;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.errors.CorruptRecordException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.requests.ProduceResponse.RecordError;
import org.apache.kafka.common.utils.BufferSupplier;
import org.apache.kafka.common.utils.ByteBufferOutputStream;
import org.apache.kafka.common.utils.PrimitiveRef;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.storage.internals.log.AppendOrigin;
import org.apache.kafka.storage.internals.log.LogValidator;
import org.apache.kafka.storage.internals.log.RecordValidationException;

/**
 * Apache Kafka's own reader, writer and validator of record batches behind a line protocol, so that another
 * implementation can be compared with them. One request a line on stdin, one answer a line on stdout, fields
 * separated by tabs:
 *
 * <pre>
 * read      HEX                            ok DUMP | error CLASS MESSAGE
 * rewrite   CODEC LEVEL HEX                ok HEX  (the same records, written by MemoryRecordsBuilder)
 * validate  VERSION MAX_BYTES TARGET TIMESTAMPS COMPACTED NOW HEX
 *                                          ok CONVERTED DUMP | error CODE MESSAGE COUNT (INDEX MESSAGE)*
 * </pre>
 *
 * LEVEL is "-" for the default; TARGET is "producer" or a codec; TIMESTAMPS is "append" or "create:BEFORE:AFTER".
 * Runs without a build: {@code java -cp 'kafka/libs/*' RecordsOracle.java}; {@code -Dtrace=true} prints why a
 * batch was refused.
 */
public class RecordsOracle {
    private static final HexFormat HEX = HexFormat.of();
    private static final TopicPartition PARTITION = new TopicPartition("topic", 3);

    public static void main(String[] args) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(String.join("\t", answer(line.split("\t"))).replace('\n', ' '));
            out.flush();
        }
    }

    private static List<String> answer(String[] request) {
        try {
            switch (request[0]) {
                case "read":
                    return List.of("ok", dump(onlyBatch(ByteBuffer.wrap(HEX.parseHex(request[1])))));
                case "rewrite":
                    return List.of("ok", rewrite(request[1], request[2], HEX.parseHex(request[3])));
                case "validate":
                    return validate(request);
                default:
                    throw new IllegalArgumentException("unknown request " + request[0]);
            }
        } catch (Throwable e) {
            return List.of("error", e.getClass().getSimpleName(), String.valueOf(e.getMessage()));
        }
    }

    private static MutableRecordBatch onlyBatch(ByteBuffer bytes) {
        var batches = MemoryRecords.readableRecords(bytes).batches().iterator();
        MutableRecordBatch batch = batches.next();
        if (batches.hasNext())
            throw new IllegalArgumentException("more than one batch");
        batch.ensureValid();
        return batch;
    }

    private static String dump(MutableRecordBatch batch) {
        StringBuilder text = new StringBuilder();
        text.append(String.format("codec=%s base=%d last=%d count=%d type=%s max=%d", batch.compressionType().name,
            batch.baseOffset(), batch.lastOffset(), batch.countOrNull(), batch.timestampType(), batch.maxTimestamp()));
        text.append(String.format(" pid=%d epoch=%d seq=%d..%d txn=%s control=%s leader=%d", batch.producerId(),
            batch.producerEpoch(), batch.baseSequence(), batch.lastSequence(), batch.isTransactional(),
            batch.isControlBatch(), batch.partitionLeaderEpoch()));
        for (Record record : batch) {
            text.append(String.format(" | %d %d %s %s", record.offset(), record.timestamp(), hex(record.key()),
                hex(record.value())));
            for (Header header : record.headers())
                text.append(' ').append(HEX.formatHex(header.key().getBytes(StandardCharsets.UTF_8))).append('=')
                    .append(header.value() == null ? "null" : HEX.formatHex(header.value()));
        }
        return text.toString();
    }

    private static String hex(ByteBuffer bytes) {
        if (bytes == null)
            return "null";
        byte[] copy = new byte[bytes.remaining()];
        bytes.duplicate().get(copy);
        return "'" + HEX.formatHex(copy);
    }

    private static Compression compression(String codec, String level) {
        if (level.equals("-"))
            return Compression.of(codec).build();
        int number = Integer.parseInt(level);
        switch (CompressionType.forName(codec)) {
            case GZIP:
                return new GzipCompression.Builder().level(number).build();
            case LZ4:
                return new Lz4Compression.Builder().level(number).build();
            case ZSTD:
                return new ZstdCompression.Builder().level(number).build();
            default:
                throw new IllegalArgumentException(codec + " has no levels");
        }
    }

    private static String rewrite(String codec, String level, byte[] bytes) {
        MutableRecordBatch batch = onlyBatch(ByteBuffer.wrap(bytes));
        ByteBufferOutputStream out = new ByteBufferOutputStream(bytes.length + 1024);
        MemoryRecordsBuilder builder = new MemoryRecordsBuilder(out, batch.magic(), compression(codec, level),
            batch.timestampType(), batch.baseOffset(), batch.maxTimestamp(), batch.producerId(), batch.producerEpoch(),
            batch.baseSequence(), batch.isTransactional(), batch.isControlBatch(), batch.partitionLeaderEpoch(),
            Integer.MAX_VALUE);
        for (Record record : batch)
            builder.appendWithOffset(record.offset(), record);
        ByteBuffer built = builder.build().buffer();
        byte[] copy = new byte[built.remaining()];
        built.duplicate().get(copy);
        return HEX.formatHex(copy);
    }

    private static List<String> validate(String[] request) {
        try {
            return judge(Short.parseShort(request[1]), Integer.parseInt(request[2]), request[3],
                request[4].split(":"), request[5].equals("true"), Long.parseLong(request[6]),
                HEX.parseHex(request[7]));
        } catch (RecordValidationException e) {
            List<String> answer = new ArrayList<>(List.of("error", Errors.forException(e.invalidException()).name(),
                e.invalidException().getMessage(), String.valueOf(e.recordErrors().size())));
            for (RecordError error : e.recordErrors()) {
                answer.add(String.valueOf(error.batchIndex));
                answer.add(error.message);
            }
            return answer;
        } catch (Throwable e) {
            if (Boolean.getBoolean("trace"))
                e.printStackTrace();
            return List.of("error", Errors.forException(e).name(), "-", "0");
        }
    }

    /** What KafkaApis, UnifiedLog and LogValidator do with the records of one partition, in their order. */
    private static List<String> judge(short version, int maxBytes, String target, String[] timestamps,
                                      boolean compacted, long now, byte[] bytes) {
        MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(bytes));
        // KafkaApis asks whether the first batch is transactional, and what that throws is answered in its words.
        try {
            records.batches().iterator().hasNext();
        } catch (ApiException e) {
            return List.of("error", Errors.forException(e).name(), e.getMessage(), "0");
        }
        ProduceRequest.validateRecords(version, records);
        MutableRecordBatch batch = records.batches().iterator().next();
        if (batch.baseOffset() != 0)
            throw new InvalidRecordException("base offset");
        if (batch.sizeInBytes() > maxBytes)
            throw new RecordTooLargeException("too large");
        if (!batch.isValid())
            throw new CorruptRecordException("crc");
        CompressionType source = batch.compressionType();
        int size = batch.sizeInBytes();
        MemoryRecords trimmed = MemoryRecords.readableRecords(ByteBuffer.wrap(bytes, 0, size).slice());
        boolean create = timestamps[0].equals("create");
        LogValidator validator = new LogValidator(trimmed, PARTITION, new FixedTime(now), source,
            target.equals("producer") ? Compression.of(source).build() : Compression.of(target).build(), compacted,
            (byte) 2, create ? TimestampType.CREATE_TIME : TimestampType.LOG_APPEND_TIME,
            create ? Long.parseLong(timestamps[1]) : Long.MAX_VALUE,
            create ? Long.parseLong(timestamps[2]) : Long.MAX_VALUE, batch.partitionLeaderEpoch(),
            AppendOrigin.CLIENT);
        LogValidator.ValidationResult result = validator.validateMessagesAndAssignOffsets(PrimitiveRef.ofLong(0),
            new NoMetrics(), BufferSupplier.NO_CACHING);
        MutableRecordBatch validated = result.validatedRecords().batches().iterator().next();
        if (result.messageSizeMaybeChanged() && validated.sizeInBytes() > maxBytes)
            throw new RecordTooLargeException("too large");
        validated.ensureValid();
        return List.of("ok", String.valueOf(result.messageSizeMaybeChanged()), dump(validated));
    }

    private record FixedTime(long now) implements Time {
        @Override
        public long milliseconds() {
            return now;
        }

        @Override
        public long nanoseconds() {
            return 0;
        }

        @Override
        public void sleep(long ms) {
        }

        @Override
        public void waitObject(Object object, Supplier<Boolean> condition, long deadlineMs) {
        }
    }

    private static final class NoMetrics implements LogValidator.MetricsRecorder {
        @Override
        public void recordInvalidMagic() {
        }

        @Override
        public void recordInvalidOffset() {
        }

        @Override
        public void recordInvalidSequence() {
        }

        @Override
        public void recordInvalidChecksums() {
        }

        @Override
        public void recordNoKeyCompactedTopic() {
        }
    }
}
