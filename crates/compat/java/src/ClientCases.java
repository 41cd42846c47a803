package affluent.compat;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Runs the cases of Apache Kafka's own Java client and prints one line each: {@code PASS}, name and seconds, or
 * {@code FAIL}, name, seconds and reason, with tabs between.
 *
 * <p>Arguments: the broker's address, then {@code only=name,name} or {@code filter=text}, or nothing for all cases.
 */
public final class ClientCases {
    private static final long LIMIT_MS = 90_000;

    private ClientCases() {}

    public static void main(String[] args) throws InterruptedException {
        Broker broker = new Broker(args[0]);
        Map<String, Broker.Case> cases = new LinkedHashMap<>();
        cases.putAll(AdminCases.all());
        cases.putAll(ProducerCases.all());
        cases.putAll(ConsumerCases.all());
        cases.putAll(GroupCases.all());
        cases.putAll(TransactionCases.all());
        cases.putAll(ShareCases.all());
        cases.putAll(ClusterCases.all());
        for (Map.Entry<String, Broker.Case> entry : cases.entrySet()) {
            if (wanted(entry.getKey(), args)) {
                run(entry.getKey(), entry.getValue(), broker);
            }
        }
        // A case that ran out of time has left a thread behind.
        System.exit(0);
    }

    private static boolean wanted(String name, String[] args) {
        for (String argument : args) {
            if (argument.startsWith("only=")) {
                Set<String> only = new TreeSet<>(Arrays.asList(argument.substring(5).split(",")));
                return only.contains(name);
            }
            if (argument.startsWith("filter=")) {
                return name.contains(argument.substring(7));
            }
        }
        return true;
    }

    private static void run(String name, Broker.Case body, Broker broker) throws InterruptedException {
        AtomicReference<Throwable> thrown = new AtomicReference<>();
        Thread thread = new Thread(() -> {
            try {
                body.run(broker);
            } catch (Throwable error) {
                thrown.set(error);
            }
        }, name);
        thread.setDaemon(true);
        long start = System.nanoTime();
        thread.start();
        thread.join(LIMIT_MS);
        String failure = null;
        if (thread.isAlive()) {
            failure = "did not end within " + LIMIT_MS / 1000 + " s, at " + Arrays.toString(thread.getStackTrace());
        } else if (thrown.get() != null) {
            failure = describe(thrown.get());
        }
        String seconds = String.format("%.2f", (System.nanoTime() - start) / 1e9);
        if (failure == null) {
            System.out.println("PASS\t" + name + "\t" + seconds);
        } else {
            System.out.println("FAIL\t" + name + "\t" + seconds + "\t" + failure.replaceAll("\\s+", " "));
        }
    }

    /** The error, where in our code it arose, and its causes. */
    private static String describe(Throwable error) {
        StringBuilder text = new StringBuilder(error.toString());
        for (StackTraceElement frame : error.getStackTrace()) {
            if (frame.getClassName().endsWith("Cases")) {
                text.append(" at ").append(frame.getFileName()).append(':').append(frame.getLineNumber());
                break;
            }
        }
        for (Throwable cause = error.getCause(); cause != null; cause = cause.getCause()) {
            text.append(": ").append(cause);
        }
        return text.toString();
    }
}
