import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.data.Stat;

/**
 * Curator at work while servers come and go: under an InterProcessMutex it raises a counter, until its
 * standard input ends; the first time it says so. Then the counter must be what was acknowledged, or at
 * most more by what was in doubt, and the session must never have been lost.
 */
final class SteadyLock {
    private SteadyLock() {}

    public static void main(String[] args) throws Exception {
        AtomicBoolean stop = new AtomicBoolean();
        AtomicBoolean lost = new AtomicBoolean();
        Thread reader = new Thread(() -> {
            try {
                System.in.readAllBytes();
            } catch (java.io.IOException e) {
                // The end as well.
            }
            stop.set(true);
        });
        reader.setDaemon(true);
        reader.start();
        CuratorFramework client = CuratorFrameworkFactory.newClient(
            System.getenv("ZK_ADDR"), 20_000, 10_000, new RetryForever(50));
        client.getConnectionStateListenable().addListener((c, state) -> {
            System.err.println(Instant.now() + " " + state);
            if (state == ConnectionState.LOST) {
                lost.set(true);
            }
        });
        client.start();
        String path = "/steady-curator-" + UUID.randomUUID();
        client.create().orSetData().forPath(path, "0".getBytes(StandardCharsets.UTF_8));
        int locks = 0;
        InterProcessMutex mutex = new InterProcessMutex(client, path + "-lock" + locks);
        int acknowledged = 0;
        int doubtful = 0;
        while (!stop.get()) {
            if (!acquires(mutex)) {
                System.err.println(Instant.now() + " no lock at " + path + "-lock" + locks);
                locks++;
                mutex = new InterProcessMutex(client, path + "-lock" + locks);
                continue;
            }
            try {
                Stat stat = new Stat();
                byte[] data = client.getData().storingStatIn(stat).forPath(path);
                int value = Integer.parseInt(new String(data, StandardCharsets.UTF_8));
                byte[] next = Integer.toString(value + 1).getBytes(StandardCharsets.UTF_8);
                try {
                    client.setData().withVersion(stat.getVersion()).forPath(path, next);
                    acknowledged++;
                    if (acknowledged == 1) {
                        System.out.println("at work");
                    }
                } catch (org.apache.zookeeper.KeeperException e) {
                    // Curator tries again by itself: the first attempt may have succeeded unheard.
                    doubtful++;
                }
            } finally {
                mutex.release();
            }
            Thread.sleep(2);
        }
        int value = Integer.parseInt(new String(client.getData().forPath(path), StandardCharsets.UTF_8));
        client.close();
        boolean good = acknowledged > 0 && acknowledged <= value && value <= acknowledged + doubtful && !lost.get();
        System.out.printf("%s curator: counter %d, %d acknowledged, %d in doubt, session lost: %s%n",
            good ? "ok" : "FAIL", value, acknowledged, doubtful, lost.get());
        System.exit(good ? 0 : 1);
    }

    /**
     * Takes the mutex, unless it is stuck, which Curator alone can do: a lock node whose creation it did
     * not hear of, and that the next member does not know yet, stands before its second one for ever; and
     * a connection that is lost twice while a node is created leaves it without a path.
     */
    private static boolean acquires(InterProcessMutex mutex) throws Exception {
        try {
            return mutex.acquire(10, TimeUnit.SECONDS);
        } catch (NullPointerException e) {
            e.printStackTrace();
            return false;
        }
    }
}
