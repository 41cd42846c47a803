package affluent.compat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Apache Kafka's command-line tools, one after the other, in one JVM.
 *
 * <p>A JVM takes a second to start and a tool a few milliseconds to run. Each line of standard input is a request,
 * {@code {"main": class, "args": [...], "stdin": text, "limit_ms": n}}; each line of standard output its answer,
 * {@code {"exit": n or null, "stdout": text, "stderr": text}}. A null exit means the tool ran out of time; its thread
 * is still there, and the caller starts another JVM.
 *
 * <p>The streams are replaced once, before any tool class is loaded, because Scala's {@code Console} keeps the stream
 * it first saw; what they lead to changes with each request.
 */
public final class ToolServer {
    private static final AtomicReference<Invocation> CURRENT = new AtomicReference<>();

    private ToolServer() {}

    public static void main(String[] args) throws Exception {
        PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        System.setOut(new PrintStream(new Routed(true), true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(new Routed(false), true, StandardCharsets.UTF_8));
        System.setIn(new RoutedInput());
        Exit.setExitProcedure(ToolServer::exited);
        Exit.setHaltProcedure(ToolServer::exited);
        // The console producer, for one, sends what it still holds in its shutdown hook.
        Exit.setShutdownHookAdder((name, hook) -> CURRENT.get().hooks.add(hook));
        ObjectMapper mapper = new ObjectMapper();
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            answers.println(mapper.writeValueAsString(serve(mapper, mapper.readTree(line))));
        }
    }

    private static ObjectNode serve(ObjectMapper mapper, JsonNode request) throws InterruptedException {
        List<String> arguments = new ArrayList<>();
        request.get("args").forEach(argument -> arguments.add(argument.asText()));
        Invocation invocation = new Invocation(request.get("stdin").asText());
        CURRENT.set(invocation);
        String main = request.get("main").asText();
        Thread thread = new Thread(() -> invocation.run(main, arguments.toArray(new String[0])), "tool");
        thread.setDaemon(true);
        thread.start();
        thread.join(request.get("limit_ms").asLong());
        if (thread.isAlive()) {
            for (StackTraceElement frame : thread.getStackTrace()) {
                invocation.write(false, ("  at " + frame + "\n").getBytes(StandardCharsets.UTF_8));
            }
        }
        ObjectNode answer = mapper.createObjectNode();
        answer.put("exit", thread.isAlive() ? null : invocation.exit);
        answer.put("stdout", invocation.text(true));
        answer.put("stderr", invocation.text(false));
        return answer;
    }

    private static void exited(int status, String message) {
        Invocation invocation = CURRENT.get();
        // The first status counts: a tool that catches everything takes our unwinding for a failure and exits again.
        if (invocation != null && !invocation.exited) {
            invocation.exited = true;
            invocation.exit = status;
        }
        throw new Exited();
    }

    /** Unwinds the tool's thread to where it was called. */
    private static final class Exited extends Error {
        private static final long serialVersionUID = 1L;

        Exited() {
            super("the tool asked to exit", null, false, false);
        }
    }

    private static final class Invocation {
        private final ByteArrayOutputStream stdout = new ByteArrayOutputStream();
        private final ByteArrayOutputStream stderr = new ByteArrayOutputStream();
        private final InputStream stdin;
        private final Queue<Runnable> hooks = new ConcurrentLinkedQueue<>();
        private volatile Integer exit = 0;
        private volatile boolean exited;

        Invocation(String input) {
            stdin = new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8));
        }

        void run(String main, String[] arguments) {
            runMain(main, arguments);
            for (Runnable hook = hooks.poll(); hook != null; hook = hooks.poll()) {
                hook.run();
            }
        }

        private void runMain(String main, String[] arguments) {
            try {
                Method method = Class.forName(main).getMethod("main", String[].class);
                method.invoke(null, (Object) arguments);
            } catch (InvocationTargetException thrown) {
                if (!(thrown.getCause() instanceof Exited)) {
                    exit = 1;
                    thrown.getCause().printStackTrace();
                }
            } catch (ReflectiveOperationException notFound) {
                exit = 127;
                notFound.printStackTrace();
            }
        }

        synchronized void write(boolean out, byte[] bytes) {
            (out ? stdout : stderr).writeBytes(bytes);
        }

        synchronized String text(boolean out) {
            return (out ? stdout : stderr).toString(StandardCharsets.UTF_8);
        }
    }

    /** Standard output or standard error of whichever tool runs. */
    private static final class Routed extends OutputStream {
        private final boolean out;

        Routed(boolean out) {
            this.out = out;
        }

        @Override
        public void write(int value) {
            write(new byte[] {(byte) value}, 0, 1);
        }

        @Override
        public void write(byte[] bytes, int offset, int length) {
            Invocation invocation = CURRENT.get();
            if (invocation != null) {
                byte[] copy = new byte[length];
                System.arraycopy(bytes, offset, copy, 0, length);
                invocation.write(out, copy);
            }
        }
    }

    /** Standard input of whichever tool runs. */
    private static final class RoutedInput extends InputStream {
        @Override
        public int read() throws IOException {
            return CURRENT.get().stdin.read();
        }

        @Override
        public int read(byte[] bytes, int offset, int length) throws IOException {
            return CURRENT.get().stdin.read(bytes, offset, length);
        }

        @Override
        public int available() throws IOException {
            return CURRENT.get().stdin.available();
        }
    }
}
