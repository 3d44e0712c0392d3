import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;

/** Runs tests one after the other and prints one line for each, then the totals. */
final class Harness {
    static final String ADDR = System.getenv().getOrDefault("ZK_ADDR", "127.0.0.1:2181");
    /** How many servers the ensemble has; none when the server is alone. */
    static final int MEMBERS = Integer.parseInt(System.getenv().getOrDefault("ZK_ENSEMBLE", "0"));
    static final long PATIENCE_MS = 15_000;

    interface Body {
        void run() throws Exception;
    }

    private record Test(String name, Body body) {}

    private final List<Test> tests = new ArrayList<>();
    private final AtomicInteger names = new AtomicInteger();
    final String root;

    Harness(String prefix) {
        root = "/" + prefix + "-" + Long.toHexString(System.nanoTime());
    }

    void test(String name, Body body) {
        tests.add(new Test(name, body));
    }

    /** A path that no other test uses. */
    String fresh(String name) {
        return root + "/" + name + "-" + names.incrementAndGet();
    }

    static void check(boolean ok, String message) {
        if (!ok) {
            throw new AssertionError(message);
        }
    }

    static void same(Object expected, Object actual, String what) {
        check(expected.equals(actual), what + ": " + expected + " expected, got " + actual);
    }

    static void fails(Class<? extends Exception> expected, Body body) {
        try {
            body.run();
        } catch (Exception e) {
            check(expected.isInstance(e), expected.getSimpleName() + " expected, got " + e);
            return;
        }
        throw new AssertionError(expected.getSimpleName() + " expected, got success");
    }

    static void eventually(String what, BooleanSupplier condition) throws InterruptedException {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (System.currentTimeMillis() < end) {
            if (condition.getAsBoolean()) {
                return;
            }
            Thread.sleep(20);
        }
        throw new AssertionError("not within " + PATIENCE_MS + " ms: " + what);
    }

    /** This client's address as the server sees it. */
    static String ownAddress() throws Exception {
        String[] parts = ADDR.split(":");
        try (Socket socket = new Socket(parts[0], Integer.parseInt(parts[1]))) {
            return socket.getLocalAddress().getHostAddress();
        }
    }

    /** Asks for the server to be restarted: "restart" or "kill". */
    static void control(String command) throws Exception {
        String where = System.getenv("ZK_CONTROL");
        check(where != null, "ZK_CONTROL is not set; the server cannot be restarted");
        String[] parts = where.split(":");
        try (Socket socket = new Socket(parts[0], Integer.parseInt(parts[1]))) {
            socket.setSoTimeout(60_000);
            socket.getOutputStream().write((command + "\n").getBytes(StandardCharsets.US_ASCII));
            var in = new BufferedReader(new InputStreamReader(socket.getInputStream()));
            same("ok", in.readLine(), "control's answer");
        }
    }

    void runAndExit() {
        int passed = 0;
        int failed = 0;
        for (Test test : tests) {
            try {
                test.body().run();
                passed++;
                System.out.println("ok " + test.name());
            } catch (Throwable e) {
                failed++;
                String reason = String.valueOf(e.getMessage()).replace('\n', ' ');
                System.out.println("FAIL " + test.name() + ": " + e.getClass().getSimpleName() + ": " + reason);
                e.printStackTrace();
            }
        }
        System.out.println(passed + " passed, " + failed + " failed");
        System.out.flush();
        System.exit(failed > 0 ? 1 : 0);
    }
}
