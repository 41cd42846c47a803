package affluent.compat;

import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.StreamJoined;

/**
 * A Kafka Streams application that runs until it is told to stop, or killed.
 *
 * <p>Arguments: the broker's address, the topology, the application id, the state directory, then more settings as
 * {@code key=value}. Nothing is cached, so that each input shows in the output; and an error ends the application,
 * so that what a broker must not cause cannot pass for a hiccup.
 */
public final class StreamsApp {
    static final String WORDS_IN = "words-in";
    static final String WORDS_OUT = "words-out";
    static final String LEFT_IN = "left-in";
    static final String RIGHT_IN = "right-in";
    static final String JOINED_OUT = "joined-out";

    /** How far apart in time two records may lie that are joined. */
    static final Duration JOIN_WINDOW = Duration.ofSeconds(2);

    private StreamsApp() {}

    public static void main(String[] args) {
        KafkaStreams streams = new KafkaStreams(topology(args[1]), settings(args));
        streams.setStateListener((now, before) -> {
            System.out.println("state\t" + now);
            if (now == KafkaStreams.State.ERROR) {
                Runtime.getRuntime().halt(3);
            }
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(30)), "close"));
        streams.start();
    }

    private static Properties settings(String[] args) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, args[2]);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, args[3]);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "100");
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, "0");
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, "2");
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        for (int i = 4; i < args.length; i++) {
            int equals = args[i].indexOf('=');
            settings.put(args[i].substring(0, equals), args[i].substring(equals + 1));
        }
        return settings;
    }

    private static Topology topology(String name) {
        StreamsBuilder builder = new StreamsBuilder();
        Consumed<String, String> text = Consumed.with(Serdes.String(), Serdes.String());
        switch (name) {
            case "word-count" -> builder.stream(WORDS_IN, text)
                .flatMapValues(line -> List.of(line.split(" ")))
                .groupBy((key, word) -> word, Grouped.with("by-word", Serdes.String(), Serdes.String()))
                .count(Materialized.as("counts"))
                .toStream()
                .to(WORDS_OUT, Produced.with(Serdes.String(), Serdes.Long()));
            case "windowed-join" -> {
                KStream<String, String> right = builder.stream(RIGHT_IN, text);
                // A grace of a day: nothing is ever late, however long a restart takes.
                builder.stream(LEFT_IN, text)
                    .join(right, (one, other) -> one + "+" + other,
                        JoinWindows.ofTimeDifferenceAndGrace(JOIN_WINDOW, Duration.ofDays(1)),
                        StreamJoined.with(Serdes.String(), Serdes.String(), Serdes.String()).withName("pairs").withStoreName("pairs"))
                    .to(JOINED_OUT, Produced.with(Serdes.String(), Serdes.String()));
            }
            default -> throw new IllegalArgumentException("there is no topology " + name);
        }
        return builder.build();
    }
}
