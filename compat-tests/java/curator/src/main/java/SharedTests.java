import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.recipes.shared.SharedValue;
import org.apache.curator.framework.recipes.shared.VersionedValue;
import org.apache.curator.retry.RetryNTimes;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.ServiceProvider;

/** Counters, values, queues and service discovery. */
final class SharedTests {
    private static final Harness H = Curators.H;

    private SharedTests() {}

    static void register() {
        H.test("a shared count is seen by all", () -> {
            try (CuratorFramework one = Curators.client(); CuratorFramework two = Curators.client()) {
                String path = H.fresh("count");
                try (SharedCount a = new SharedCount(one, path, 7); SharedCount b = new SharedCount(two, path, 7)) {
                    a.start();
                    b.start();
                    Harness.same(7, b.getCount(), "seed");
                    a.setCount(8);
                    Curators.eventually("seen", () -> b.getCount() == 8);
                    VersionedValue<Integer> old = b.getVersionedValue();
                    a.setCount(9);
                    Curators.eventually("seen", () -> b.getCount() == 9);
                    Harness.check(!b.trySetCount(old, 100), "an old version is refused");
                    Harness.check(b.trySetCount(b.getVersionedValue(), 10), "the newest is not");
                }
            }
        });
        H.test("a shared value", () -> {
            try (CuratorFramework client = Curators.client();
                    SharedValue value = new SharedValue(client, H.fresh("value"), new byte[] {1})) {
                value.start();
                Harness.check(value.trySetValue(value.getVersionedValue(), new byte[] {2}), "set");
                Harness.same((byte) 2, value.getValue()[0], "value");
            }
        });
        H.test("an atomic long loses no increment", () -> {
            String path = H.fresh("atomic");
            List<Future<Integer>> workers = new ArrayList<>();
            for (int worker = 0; worker < 4; worker++) {
                workers.add(Curators.later(() -> {
                    int done = 0;
                    try (CuratorFramework client = Curators.client()) {
                        DistributedAtomicLong counter =
                            new DistributedAtomicLong(client, path, new RetryNTimes(1000, 2));
                        for (int turn = 0; turn < 50; turn++) {
                            done += counter.increment().succeeded() ? 1 : 0;
                        }
                    }
                    return done;
                }));
            }
            long done = 0;
            for (Future<Integer> worker : workers) {
                done += Curators.result(worker);
            }
            try (CuratorFramework client = Curators.client()) {
                long value = new DistributedAtomicLong(client, path, new RetryNTimes(1, 1)).get().postValue();
                Harness.check(done > 0, "some succeeded");
                Harness.same(done, value, "value");
            }
        });
        H.test("a queue gives each element once, in order", () -> {
            try (CuratorFramework one = Curators.client(); CuratorFramework two = Curators.client()) {
                String path = H.fresh("queue");
                SimpleDistributedQueue in = new SimpleDistributedQueue(one, path);
                SimpleDistributedQueue out = new SimpleDistributedQueue(two, path);
                Future<byte[]> waiting = Curators.later(() -> out.poll(10, TimeUnit.SECONDS));
                List<Integer> got = new CopyOnWriteArrayList<>();
                for (int i = 0; i < 20; i++) {
                    Harness.check(in.offer(new byte[] {(byte) i}), "offered");
                }
                got.add((int) Curators.result(waiting)[0]);
                for (byte[] next = out.poll(); next != null; next = out.poll()) {
                    got.add((int) next[0]);
                }
                List<Integer> expected = new ArrayList<>();
                for (int i = 0; i < 20; i++) {
                    expected.add(i);
                }
                Harness.same(expected, List.copyOf(got), "elements");
            }
        });
        H.test("services are found, chosen and lost", SharedTests::discovery);
    }

    private static ServiceDiscovery<Void> serving(CuratorFramework client, String path, int port) throws Exception {
        ServiceInstance<Void> instance =
            ServiceInstance.<Void>builder().name("svc").address("127.0.0.1").port(port).build();
        ServiceDiscovery<Void> discovery = ServiceDiscoveryBuilder.builder(Void.class)
            .client(client).basePath(path).thisInstance(instance).build();
        discovery.start();
        return discovery;
    }

    private static void discovery() throws Exception {
        String path = H.fresh("discovery");
        try (CuratorFramework one = Curators.client(); CuratorFramework two = Curators.client();
                CuratorFramework user = Curators.client()) {
            ServiceDiscovery<Void> first = serving(one, path, 1001);
            ServiceDiscovery<Void> second = serving(two, path, 1002);
            try (ServiceDiscovery<Void> finder =
                    ServiceDiscoveryBuilder.builder(Void.class).client(user).basePath(path).build()) {
                finder.start();
                Harness.same(2, finder.queryForInstances("svc").size(), "instances");
                ServiceProvider<Void> provider = finder.serviceProviderBuilder().serviceName("svc").build();
                provider.start();
                int a = provider.getInstance().getPort();
                int b = provider.getInstance().getPort();
                Harness.same(2003, a + b, "ports, by turns");
                ServiceCache<Void> cache = finder.serviceCacheBuilder().name("svc").build();
                cache.start();
                Harness.same(2, cache.getInstances().size(), "cached instances");
                second.close();
                Curators.eventually("one is gone", () -> cache.getInstances().size() == 1);
                Harness.same(1001, cache.getInstances().get(0).getPort(), "the port that is left");
                cache.close();
                provider.close();
            }
            first.close();
        }
    }
}
