import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/**
 * A Java client at work while servers and networks fail: it raises a counter, appends entries and keeps
 * an ephemeral node. A line `check NAME` on its standard input makes it compare what it was told with
 * what is there; the end of the input ends it.
 */
final class Patient {
    static final long PATIENCE_MS = 40_000;
    private static final String END = "";

    private final String root = "/patient-java-" + Long.toHexString(System.nanoTime());
    /** The path of each entry that was sent, null while nobody knows whether it is there. */
    private final List<String> entries = new ArrayList<>();
    private ZooKeeper zk;
    private int sessions;
    private int acknowledged;
    private int doubtful;
    /** What was in doubt at the last acknowledged write of the counter. */
    private int settled;
    private int lastValue;
    private int checkedEntries;
    private int lastNumber = -1;
    private int acknowledgedBefore;

    private Patient() {}

    private interface Work<T> {
        T run() throws Exception;
    }

    /** Lines of the standard input, then {@link #END}. */
    static BlockingQueue<String> input() {
        BlockingQueue<String> lines = new LinkedBlockingQueue<>();
        Thread reader = new Thread(() -> {
            try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in))) {
                for (String line = in.readLine(); line != null; line = in.readLine()) {
                    lines.add(line);
                }
            } catch (java.io.IOException e) {
                // The end as well.
            }
            lines.add(END);
        });
        reader.setDaemon(true);
        reader.start();
        return lines;
    }

    interface Check {
        String run() throws Exception;
    }

    /** Prints what a check says; whether it is content. */
    static boolean report(String name, Check check) {
        try {
            System.out.println("ok " + name + ": " + check.run());
            return true;
        } catch (Exception | AssertionError e) {
            System.out.println("FAIL " + name + ": " + String.valueOf(e).replace('\n', ' '));
            return false;
        }
    }

    public static void main(String[] args) throws Exception {
        BlockingQueue<String> lines = input();
        Patient patient = new Patient();
        patient.begin();
        System.out.println("ready");
        int passed = 0;
        int failed = 0;
        String broken = null;
        while (true) {
            String line = lines.poll();
            if (END.equals(line)) {
                break;
            }
            if (line != null) {
                String already = broken;
                boolean good = report(line.replaceFirst("^check ", ""), () -> {
                    Harness.check(already == null, already);
                    return patient.check();
                });
                passed += good ? 1 : 0;
                failed += good ? 0 : 1;
                continue;
            }
            try {
                patient.step();
            } catch (AssertionError e) {
                broken = String.valueOf(e.getMessage());
            }
            Thread.sleep(20);
        }
        patient.zk.close();
        System.out.println(passed + " passed, " + failed + " failed");
        System.out.flush();
        System.exit(failed > 0 ? 1 : 0);
    }

    private void begin() throws Exception {
        connect();
        patiently(() -> zk.create(root, bytes("0"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        patiently(() -> zk.create(root + "/log", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        own();
    }

    private void connect() throws Exception {
        zk = new ZooKeeper(Harness.ADDR, 20_000, event -> { });
        sessions++;
    }

    /** The session's ephemeral node. */
    private void own() throws Exception {
        patiently(() -> zk.create(root + "/alive-" + sessions, null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL));
    }

    /** Tries until there is an answer; a node that a lost attempt has made counts as made. */
    private <T> T patiently(Work<T> work) throws Exception {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        boolean lost = false;
        while (true) {
            try {
                return work.run();
            } catch (KeeperException.ConnectionLossException e) {
                Harness.check(System.currentTimeMillis() < end, "no connection within " + PATIENCE_MS + " ms");
                lost = true;
            } catch (KeeperException.NodeExistsException e) {
                Harness.check(lost, "exists already: " + e.getPath());
                return null;
            } catch (KeeperException.SessionExpiredException e) {
                Harness.check(System.currentTimeMillis() < end, "no session within " + PATIENCE_MS + " ms");
                zk.close();
                connect();
                own();
            }
            Thread.sleep(50);
        }
    }

    /** One write of the counter and one entry, each tried once. */
    private void step() throws Exception {
        try {
            Stat stat = new Stat();
            int value = Integer.parseInt(text(zk.getData(root, false, stat)));
            sensible(value, stat);
            Harness.check(value >= lastValue, "the counter went from " + lastValue + " back to " + value);
            lastValue = value;
            doubtful++;
            try {
                zk.setData(root, bytes(Integer.toString(value + 1)), stat.getVersion());
                doubtful--;
                acknowledged++;
                settled = doubtful;
            } catch (KeeperException.BadVersionException e) {
                doubtful--;
                Harness.check(doubtful > settled, "another version than " + stat.getVersion() + ", and no write was in doubt");
            }
            int number = entries.size();
            entries.add(null);
            entries.set(number, zk.create(root + "/log/e-", bytes(Integer.toString(number)), OPEN_ACL_UNSAFE,
                CreateMode.PERSISTENT_SEQUENTIAL));
        } catch (KeeperException.ConnectionLossException e) {
            Thread.sleep(50);
        } catch (KeeperException.SessionExpiredException e) {
            zk.close();
            connect();
            own();
            patiently(() -> synced());
        }
    }

    private Object synced() throws KeeperException, InterruptedException {
        BlockingQueue<Integer> code = new LinkedBlockingQueue<>();
        zk.sync(root, (rc, path, context) -> code.add(rc), null);
        int rc = code.take();
        if (rc != 0) {
            throw KeeperException.create(KeeperException.Code.get(rc), root);
        }
        return null;
    }

    private void sensible(int value, Stat stat) {
        Harness.same(value, stat.getVersion(), "the counter's version");
        Harness.check(acknowledged <= value && value <= acknowledged + doubtful,
            "the counter is " + value + ", " + acknowledged + " acknowledged, " + doubtful + " in doubt");
    }

    /** Compares all that was acknowledged with what is there. */
    private String check() throws Exception {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (acknowledged == acknowledgedBefore) {
            Harness.check(System.currentTimeMillis() < end, "no write was acknowledged since the last check");
            step();
        }
        patiently(() -> synced());
        Stat stat = new Stat();
        int value = Integer.parseInt(text(patiently(() -> zk.getData(root, false, stat))));
        sensible(value, stat);
        acknowledgedBefore = acknowledged;
        entries();
        Stat alive = patiently(() -> zk.exists(root + "/alive-" + sessions, false));
        Harness.check(alive != null, "the ephemeral node of the living session is gone");
        Harness.same(zk.getSessionId(), alive.getEphemeralOwner(), "its owner");
        for (int old = 1; old < sessions; old++) {
            String path = root + "/alive-" + old;
            Harness.check(patiently(() -> zk.exists(path, false)) == null, path + " outlived its session");
        }
        return "counter " + value + ", " + acknowledged + " acknowledged, " + doubtful + " in doubt, "
            + entries.size() + " entries, sessions: " + sessions;
    }

    private void entries() throws Exception {
        List<String> names = new ArrayList<>(patiently(() -> zk.getChildren(root + "/log", false)));
        Collections.sort(names);
        HashSet<String> there = new HashSet<>(names);
        for (String path : entries) {
            Harness.check(path == null || there.contains(path.substring(path.lastIndexOf('/') + 1)),
                path + " was acknowledged and is gone");
        }
        for (String name : names.subList(Math.min(checkedEntries, names.size()), names.size())) {
            String path = root + "/log/" + name;
            int number = Integer.parseInt(text(patiently(() -> zk.getData(path, false, null))));
            Harness.check(number > lastNumber && number < entries.size(), path + " holds " + number + " behind " + lastNumber);
            String known = entries.get(number);
            Harness.check(known == null || known.equals(path), path + " holds what went to " + known);
            entries.set(number, path);
            lastNumber = number;
        }
        checkedEntries = names.size();
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(byte[] data) {
        return new String(data, StandardCharsets.UTF_8);
    }
}
