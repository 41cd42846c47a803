package affluent.compat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.requests.RequestUtils;

/**
 * Sends one request and prints its answer, both as the JSON of Apache Kafka's own message classes.
 *
 * <p>Arguments: {@code --bootstrap-server host:port Name version json}. No client decides what to ask and what to make of
 * the answer, so what is printed is the broker's word alone. In the request, <code>{id:topic}</code> stands for a topic's id,
 * and {@link Batches} says how records are written.
 */
public final class Ask {
    private static final int TIMEOUT_MS = 30_000;
    private static final int CORRELATION_ID = 7;
    private static final Pattern TOPIC_ID = Pattern.compile("\\{id:([^}]+)}");

    private Ask() {}

    public static void main(String[] args) throws Exception {
        String[] address = args[1].split(":");
        String name = args[2];
        short version = Short.parseShort(args[3]);
        ObjectMapper mapper = new ObjectMapper();
        JsonNode asked = mapper.readTree(withTopicIds(args[4], args[1]));
        Batches.build(asked);
        ApiMessage request = (ApiMessage) converter(name + "Request")
            .getMethod("read", JsonNode.class, short.class).invoke(null, asked, version);
        ApiKeys key = ApiKeys.forId(request.apiKey());
        RequestHeaderData header = new RequestHeaderData().setRequestApiKey(key.id).setRequestApiVersion(version)
            .setClientId("ask").setCorrelationId(CORRELATION_ID);
        ByteBuffer bytes = RequestUtils.serialize(header, key.requestHeaderVersion(version), request, version);
        ByteBuffer answer = ByteBuffer.wrap(exchange(address[0], Integer.parseInt(address[1]), bytes));
        ByteBufferAccessor readable = new ByteBufferAccessor(answer);
        int correlationId = new ResponseHeaderData(readable, key.responseHeaderVersion(version)).correlationId();
        ApiMessage response = key.messageType.newResponse();
        response.read(readable, version);
        JsonNode json = (JsonNode) converter(name + "Response")
            .getMethod("write", response.getClass(), short.class).invoke(null, response, version);
        sort(json);
        System.out.println(json);
        if (correlationId != CORRELATION_ID) {
            System.out.println("the correlation id is " + correlationId);
        }
        if (answer.hasRemaining()) {
            System.out.println(answer.remaining() + " bytes are left over");
        }
    }

    private static String withTopicIds(String json, String bootstrap) throws Exception {
        Matcher places = TOPIC_ID.matcher(json);
        if (!places.find()) {
            return json;
        }
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            StringBuilder text = new StringBuilder();
            do {
                String topic = places.group(1);
                String id = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).topicId().toString();
                places.appendReplacement(text, Matcher.quoteReplacement(id));
            } while (places.find());
            return places.appendTail(text).toString();
        }
    }

    /** Puts what is in arrays in an order of its own: that of topics and partitions in an answer means nothing. */
    private static void sort(JsonNode json) {
        json.forEach(Ask::sort);
        if (json instanceof ArrayNode array && array.size() > 1) {
            List<JsonNode> elements = new ArrayList<>();
            array.forEach(elements::add);
            elements.sort(Comparator.comparing(JsonNode::toString));
            array.removeAll();
            array.addAll(elements);
        }
    }

    private static Class<?> converter(String message) throws ClassNotFoundException {
        return Class.forName("org.apache.kafka.common.message." + message + "DataJsonConverter");
    }

    private static byte[] exchange(String host, int port, ByteBuffer request) throws Exception {
        try (Socket socket = new Socket(host, port)) {
            socket.setSoTimeout(TIMEOUT_MS);
            DataOutputStream output = new DataOutputStream(socket.getOutputStream());
            byte[] bytes = new byte[request.remaining()];
            request.get(bytes);
            output.writeInt(bytes.length);
            output.write(bytes);
            output.flush();
            DataInputStream input = new DataInputStream(socket.getInputStream());
            byte[] answer = new byte[input.readInt()];
            input.readFully(answer);
            return answer;
        }
    }
}
