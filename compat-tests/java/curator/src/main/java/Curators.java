import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.retry.RetryNTimes;

/** What the tests of Curator have in common. */
final class Curators {
    static final Harness H = new Harness("curator");
    private static final ExecutorService THREADS = Executors.newCachedThreadPool(run -> {
        Thread thread = new Thread(run);
        thread.setDaemon(true);
        return thread;
    });

    private Curators() {}

    /** A started client that retries for ten seconds. */
    static CuratorFramework client() {
        CuratorFramework client = CuratorFrameworkFactory.builder()
            .connectString(Harness.ADDR).sessionTimeoutMs(10_000).connectionTimeoutMs(10_000)
            .retryPolicy(new RetryNTimes(100, 100)).build();
        client.start();
        return client;
    }

    static <T> Future<T> later(Callable<T> work) {
        return THREADS.submit(work);
    }

    static <T> T result(Future<T> future) throws Exception {
        return future.get(Harness.PATIENCE_MS, TimeUnit.MILLISECONDS);
    }

    /** A condition that may throw, which then is not met. */
    static void eventually(String what, Callable<Boolean> condition) throws InterruptedException {
        Harness.eventually(what, () -> {
            try {
                return condition.call();
            } catch (Exception e) {
                return false;
            }
        });
    }
}
