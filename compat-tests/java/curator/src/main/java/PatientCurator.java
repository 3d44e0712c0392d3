import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryForever;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/**
 * Curator at work while servers and networks fail: a distributed counter, protected sequential entries, a
 * persistent ephemeral node, and two clients that take turns at a mutex. A line `check NAME` on its
 * standard input makes it compare what it was told with what is there; the end of the input ends it.
 */
final class PatientCurator {
    private static final String ROOT = "/patient-curator-" + Long.toHexString(System.nanoTime());

    private final AtomicBoolean lost = new AtomicBoolean();
    /** A write that was done and not heard of is done once more by Curator: one for each of these. */
    private final AtomicInteger cuts = new AtomicInteger();
    private final CuratorFramework client = client(cuts);
    private final DistributedAtomicLong counter =
        new DistributedAtomicLong(client, ROOT + "/counter", new RetryNTimes(10, 50));
    private final List<String> entries = new ArrayList<>();
    private PersistentNode alive;
    private int raised;
    private int doubtful;
    private int raisedBefore;
    private int checked;
    private int lastNumber = -1;
    private int twice;

    private PatientCurator() {}

    private CuratorFramework client(AtomicInteger cut) {
        CuratorFramework made = CuratorFrameworkFactory.newClient(
            System.getenv("ZK_ADDR"), 20_000, 10_000, new RetryForever(50));
        made.getConnectionStateListenable().addListener((c, state) -> {
            if (state == ConnectionState.LOST) {
                lost.set(true);
            } else if (state == ConnectionState.SUSPENDED) {
                cut.incrementAndGet();
            }
        });
        made.start();
        return made;
    }

    public static void main(String[] args) throws Exception {
        BlockingQueue<String> lines = Patient.input();
        PatientCurator patient = new PatientCurator();
        patient.begin();
        Turns turns = patient.new Turns();
        System.out.println("ready");
        int passed = 0;
        int failed = 0;
        String broken = null;
        while (true) {
            String line = lines.poll();
            if (line != null && line.isEmpty()) {
                break;
            }
            if (line != null) {
                String already = broken;
                boolean good = Patient.report(line.replaceFirst("^check ", ""), () -> {
                    Harness.check(already == null, already);
                    return patient.check() + "; " + turns.check();
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
        System.out.println(passed + " passed, " + failed + " failed");
        System.out.flush();
        System.exit(failed > 0 ? 1 : 0);
    }

    private void begin() throws Exception {
        client.create().creatingParentsIfNeeded().forPath(ROOT + "/log");
        client.create().forPath(ROOT + "/turns", bytes(0));
        Harness.check(counter.initialize(0L), "the counter is there already");
        alive = new PersistentNode(client, CreateMode.EPHEMERAL, false, ROOT + "/alive", new byte[0]);
        alive.start();
        Harness.check(alive.waitForInitialCreate(30, TimeUnit.SECONDS), "no ephemeral node");
    }

    private void step() throws Exception {
        AtomicValue<Long> value = null;
        try {
            value = counter.increment();
        } catch (KeeperException e) {
            // In doubt.
        }
        if (value != null && value.succeeded()) {
            raised++;
            Harness.same(value.preValue() + 1, value.postValue(), "the counter raised by one");
            sensible(value.postValue());
        } else {
            doubtful++;
        }
        int number = entries.size();
        entries.add(null);
        try {
            entries.set(number, client.create().withProtection().withMode(CreateMode.PERSISTENT_SEQUENTIAL)
                .forPath(ROOT + "/log/e-", bytes(number)));
        } catch (KeeperException e) {
            // In doubt as well.
        }
    }

    private void sensible(long value) {
        int unheard = doubtful + cuts.get();
        Harness.check(raised <= value && value <= raised + unheard,
            "the counter is " + value + ", raised " + raised + " times, " + unheard + " in doubt");
    }

    private String check() throws Exception {
        long end = System.currentTimeMillis() + Patient.PATIENCE_MS;
        while (raised == raisedBefore) {
            Harness.check(System.currentTimeMillis() < end, "nothing was raised since the last check");
            step();
        }
        client.sync().forPath(ROOT);
        long value = counter.get().postValue();
        sensible(value);
        raisedBefore = raised;
        entries();
        Curators.eventually("the ephemeral node is the session's", () -> {
            Stat stat = client.checkExists().forPath(alive.getActualPath());
            return stat != null && stat.getEphemeralOwner() == client.getZookeeperClient().getZooKeeper().getSessionId();
        });
        return "counter " + value + ", " + raised + " acknowledged, " + (doubtful + cuts.get()) + " in doubt, " + entries.size()
            + " entries (" + twice + " twice), session lost: " + lost.get();
    }

    /**
     * A protected create is done once, however often Curator tries; unless it was not heard of, and the
     * member that Curator asks next does not know of it yet.
     */
    private void entries() throws Exception {
        List<String> names = new ArrayList<>(client.getChildren().forPath(ROOT + "/log"));
        names.sort(Comparator.comparing(PatientCurator::sequence));
        HashSet<String> there = new HashSet<>(names);
        HashMap<String, Integer> told = new HashMap<>();
        for (int number = 0; number < entries.size(); number++) {
            String path = entries.get(number);
            if (path != null) {
                Harness.check(there.contains(path.substring(path.lastIndexOf('/') + 1)), path + " was acknowledged and is gone");
                told.put(path, number);
            }
        }
        for (String name : names.subList(Math.min(checked, names.size()), names.size())) {
            String path = ROOT + "/log/" + name;
            int number = number(client.getData().forPath(path));
            Harness.check(number >= lastNumber && number < entries.size(), path + " holds " + number + " behind " + lastNumber);
            Harness.check(told.getOrDefault(path, number) == number, path + " holds " + number + ", not " + told.get(path));
            if (number == lastNumber) {
                twice++;
                Harness.check(twice <= cuts.get(), path + " holds " + number + " once more, the " + twice
                    + "th to do so, and the connection was lost " + cuts + " times");
            }
            if (entries.get(number) == null) {
                entries.set(number, path);
            }
            lastNumber = number;
        }
        checked = names.size();
    }

    private static String sequence(String name) {
        return name.substring(name.lastIndexOf('-') + 1);
    }

    private static byte[] bytes(int number) {
        return Integer.toString(number).getBytes(StandardCharsets.UTF_8);
    }

    private static int number(byte[] data) {
        return Integer.parseInt(new String(data, StandardCharsets.UTF_8));
    }

    /** Two clients that raise a number under a mutex. */
    private final class Turns {
        private final AtomicInteger inside = new AtomicInteger();
        private final AtomicInteger taken = new AtomicInteger();
        private final AtomicInteger unsure = new AtomicInteger();
        private final AtomicInteger stuck = new AtomicInteger();
        private final AtomicReference<String> broken = new AtomicReference<>();
        private int before;

        Turns() {
            for (int i = 0; i < 2; i++) {
                Thread thread = new Thread(this::work);
                thread.setDaemon(true);
                thread.start();
            }
        }

        private void work() {
            CuratorFramework own = client(unsure);
            InterProcessMutex mutex = new InterProcessMutex(own, ROOT + "/mutex");
            while (true) {
                try {
                    if (acquires(own, mutex)) {
                        try {
                            turn(own);
                        } finally {
                            mutex.release();
                        }
                    }
                    Thread.sleep(30);
                } catch (InterruptedException e) {
                    return;
                } catch (Exception e) {
                    // The next turn comes.
                } catch (AssertionError e) {
                    broken.compareAndSet(null, e.getMessage());
                }
            }
        }

        /**
         * Takes the mutex. A node whose creation Curator did not hear of, and that the next member did not
         * know yet, stands before its second one as long as the session lives: it is taken away here. And
         * a connection that is lost twice while a node is created leaves Curator without its path.
         */
        private boolean acquires(CuratorFramework own, InterProcessMutex mutex) throws Exception {
            try {
                if (mutex.acquire(8, TimeUnit.SECONDS)) {
                    return true;
                }
            } catch (NullPointerException e) {
                // As said.
            }
            long session = own.getZookeeperClient().getZooKeeper().getSessionId();
            for (String name : own.getChildren().forPath(ROOT + "/mutex")) {
                Stat stat = own.checkExists().forPath(ROOT + "/mutex/" + name);
                if (stat != null && stat.getEphemeralOwner() == session) {
                    stuck.incrementAndGet();
                    own.delete().quietly().forPath(ROOT + "/mutex/" + name);
                }
            }
            return false;
        }

        private void turn(CuratorFramework own) throws Exception {
            try {
                // Whoever lost its session may still be inside when the next one comes.
                boolean alone = inside.incrementAndGet() == 1;
                Harness.check(alone || lost.get(), "two hold the mutex");
                Stat stat = new Stat();
                int value = number(own.getData().storingStatIn(stat).forPath(ROOT + "/turns"));
                unsure.incrementAndGet();
                own.setData().withVersion(stat.getVersion()).forPath(ROOT + "/turns", bytes(value + 1));
                taken.incrementAndGet();
                unsure.decrementAndGet();
            } finally {
                inside.decrementAndGet();
            }
        }

        String check() throws Exception {
            Harness.check(broken.get() == null, broken.get());
            Curators.eventually("a turn under the mutex", () -> taken.get() > before);
            int least = taken.get();
            before = least;
            Stat stat = new Stat();
            client.sync().forPath(ROOT + "/turns");
            int value = number(client.getData().storingStatIn(stat).forPath(ROOT + "/turns"));
            // The others go on: what is read lies between what was there before and after.
            int most = taken.get() + unsure.get() + 1;
            Harness.check(least <= value && value <= most && value == stat.getVersion(),
                value + " turns in version " + stat.getVersion() + ", at least " + least + ", at most " + most);
            return least + " turns under the mutex, " + stuck + " nodes of Curator's left behind";
        }
    }
}
