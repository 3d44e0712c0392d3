import java.nio.charset.StandardCharsets;
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
 * standard input ends. Then the counter must be what was acknowledged, or at most more by what was in
 * doubt, and the session must never have been lost.
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
            if (state == ConnectionState.LOST) {
                lost.set(true);
            }
        });
        client.start();
        String path = "/steady-curator-" + UUID.randomUUID();
        client.create().forPath(path, "0".getBytes(StandardCharsets.UTF_8));
        InterProcessMutex mutex = new InterProcessMutex(client, path + "-lock");
        int acknowledged = 0;
        int doubtful = 0;
        while (!stop.get()) {
            if (!mutex.acquire(30, TimeUnit.SECONDS)) {
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
}
