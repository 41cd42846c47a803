package affluent.compat;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Confluent's serialisers and converters for Java, through a registry and a broker: one line of JSON a case.
 *
 * <p>{@code SerdeCases BOOTSTRAP REGISTRY SCRATCH [CASE ...]}. Without names all cases run; with {@code --list} as the only
 * argument they are listed.
 */
public final class SerdeCases {
    private SerdeCases() {}

    /** What a case does. */
    @FunctionalInterface
    interface Case {
        void run(World world) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        Map<String, Case> cases = new LinkedHashMap<>();
        cases.putAll(AvroCases.all());
        cases.putAll(ProtobufCases.all());
        cases.putAll(ConverterCases.all());
        ObjectMapper json = new ObjectMapper();
        if (args.length == 1 && args[0].equals("--list")) {
            System.out.println(json.writeValueAsString(cases.keySet()));
            return;
        }
        List<String> wanted = new ArrayList<>(List.of(args).subList(3, args.length));
        if (wanted.isEmpty()) {
            wanted.addAll(cases.keySet());
        }
        try (World world = new World(args[0], args[1], args[2])) {
            for (String name : wanted) {
                Map<String, Object> line = new LinkedHashMap<>();
                line.put("case", name);
                long began = System.nanoTime();
                line.put("failure", failure(cases.get(name), world));
                line.put("seconds", (System.nanoTime() - began) / 10_000_000 / 100.0);
                System.out.println(json.writeValueAsString(line));
            }
        }
        System.exit(0);
    }

    private static String failure(Case body, World world) {
        try {
            body.run(world);
            return null;
        } catch (Exception | LinkageError | AssertionError error) {
            StringWriter text = new StringWriter();
            error.printStackTrace(new PrintWriter(text));
            // The reason of the reasons comes first.
            Throwable cause = error;
            while (cause.getCause() != null) {
                cause = cause.getCause();
            }
            return text + "\n" + cause;
        }
    }
}
