import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessLock;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;

/** Locks, semaphores, barriers and elections. */
final class LockTests {
    private static final Harness H = Curators.H;

    private LockTests() {}

    private static boolean soon(InterProcessLock lock) throws Exception {
        return lock.acquire(10, TimeUnit.SECONDS);
    }

    private static boolean now(InterProcessLock lock) throws Exception {
        return lock.acquire(100, TimeUnit.MILLISECONDS);
    }

    static void register() {
        H.test("a mutex lets one in at a time", LockTests::contention);
        H.test("a mutex can be taken again by its owner only", () -> {
            try (CuratorFramework one = Curators.client(); CuratorFramework two = Curators.client()) {
                String path = H.fresh("mutex");
                InterProcessMutex mine = new InterProcessMutex(one, path);
                InterProcessMutex other = new InterProcessMutex(two, path);
                Harness.check(soon(mine) && soon(mine), "taken twice");
                Harness.check(!now(other), "not by the other");
                mine.release();
                Harness.check(!now(other), "not after one release");
                mine.release();
                Harness.check(soon(other), "after both");
                other.release();
            }
        });
        H.test("a mutex is free when its owner's session is closed", () -> {
            try (CuratorFramework two = Curators.client()) {
                String path = H.fresh("mutex");
                CuratorFramework one = Curators.client();
                Harness.check(soon(new InterProcessMutex(one, path)), "taken");
                InterProcessMutex other = new InterProcessMutex(two, path);
                Future<Boolean> waiting = Curators.later(() -> soon(other));
                Harness.check(!waiting.isDone(), "waiting");
                one.close();
                Harness.check(Curators.result(waiting), "taken over");
            }
        });
        H.test("a semaphore mutex is not reentrant", () -> {
            try (CuratorFramework client = Curators.client()) {
                InterProcessSemaphoreMutex lock = new InterProcessSemaphoreMutex(client, H.fresh("smutex"));
                Harness.check(soon(lock), "taken");
                Harness.check(!now(lock), "not twice");
                lock.release();
                Harness.check(soon(lock), "again");
                lock.release();
            }
        });
        H.test("readers share, a writer does not", () -> {
            try (CuratorFramework one = Curators.client(); CuratorFramework two = Curators.client()) {
                String path = H.fresh("rw");
                InterProcessReadWriteLock a = new InterProcessReadWriteLock(one, path);
                InterProcessReadWriteLock b = new InterProcessReadWriteLock(two, path);
                Harness.check(soon(a.readLock()) && soon(b.readLock()), "both read");
                Harness.check(!now(b.writeLock()), "no writer beside a reader");
                b.readLock().release();
                a.readLock().release();
                Harness.check(soon(b.writeLock()), "a writer alone");
                Harness.check(!now(a.readLock()), "no reader beside the writer");
                b.writeLock().release();
                Harness.check(soon(a.readLock()), "a reader again");
            }
        });
        H.test("a semaphore has as many leases as it says", () -> {
            try (CuratorFramework client = Curators.client()) {
                InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(client, H.fresh("sem"), 3);
                List<Lease> leases = new ArrayList<>(semaphore.acquire(3, 10, TimeUnit.SECONDS));
                Harness.same(3, leases.size(), "leases");
                Harness.check(semaphore.acquire(100, TimeUnit.MILLISECONDS) == null, "no fourth");
                semaphore.returnLease(leases.get(1));
                Lease again = semaphore.acquire(10, TimeUnit.SECONDS);
                Harness.check(again != null, "one came back");
                Harness.same(3, semaphore.getParticipantNodes().size(), "participants");
            }
        });
        H.test("a multi-lock takes all or none", () -> {
            try (CuratorFramework one = Curators.client(); CuratorFramework two = Curators.client()) {
                List<String> paths = List.of(H.fresh("ml"), H.fresh("ml"));
                InterProcessMultiLock all = new InterProcessMultiLock(one, paths);
                InterProcessMutex second = new InterProcessMutex(two, paths.get(1));
                InterProcessMutex first = new InterProcessMutex(two, paths.get(0));
                Harness.check(soon(second), "one part taken");
                Harness.check(!now(all), "not all");
                Harness.check(soon(first), "the other part was given back");
                first.release();
                second.release();
                Harness.check(soon(all), "all");
                Harness.check(!now(first) && !now(second), "both parts taken");
            }
        });
        H.test("a latch has one leader, and another when it goes", LockTests::latch);
        H.test("a selector leads by turns", LockTests::selector);
        H.test("a barrier holds until it is removed", () -> {
            try (CuratorFramework one = Curators.client(); CuratorFramework two = Curators.client()) {
                String path = H.fresh("barrier");
                DistributedBarrier barrier = new DistributedBarrier(one, path);
                barrier.setBarrier();
                DistributedBarrier waiter = new DistributedBarrier(two, path);
                Harness.check(!waiter.waitOnBarrier(100, TimeUnit.MILLISECONDS), "it holds");
                Future<Boolean> waiting =
                    Curators.later(() -> waiter.waitOnBarrier(10, TimeUnit.SECONDS));
                barrier.removeBarrier();
                Harness.check(Curators.result(waiting), "it is gone");
            }
        });
        H.test("a double barrier enters and leaves together", () -> {
            try (CuratorFramework one = Curators.client(); CuratorFramework two = Curators.client()) {
                String path = H.fresh("double");
                DistributedDoubleBarrier a = new DistributedDoubleBarrier(one, path, 2);
                DistributedDoubleBarrier b = new DistributedDoubleBarrier(two, path, 2);
                Future<Boolean> entering = Curators.later(() -> a.enter(10, TimeUnit.SECONDS));
                Thread.sleep(100);
                Harness.check(!entering.isDone(), "not alone");
                Harness.check(b.enter(10, TimeUnit.SECONDS) && Curators.result(entering), "entered");
                Future<Boolean> leaving = Curators.later(() -> b.leave(10, TimeUnit.SECONDS));
                Harness.check(a.leave(10, TimeUnit.SECONDS) && Curators.result(leaving), "left");
            }
        });
        H.test("a mutex is kept over a restart of the server", () -> {
            try (CuratorFramework one = Curators.client(); CuratorFramework two = Curators.client()) {
                String path = H.fresh("restart");
                InterProcessMutex mine = new InterProcessMutex(one, path);
                InterProcessMutex other = new InterProcessMutex(two, path);
                Harness.check(soon(mine), "taken");
                Harness.control("restart");
                Curators.eventually("connected again", () -> one.checkExists().forPath(path) != null);
                Harness.check(mine.isOwnedByCurrentThread(), "still the owner");
                Harness.check(!other.acquire(300, TimeUnit.MILLISECONDS), "not free");
                mine.release();
                Harness.check(soon(other), "free");
            }
        });
    }

    private static void contention() throws Exception {
        String path = H.fresh("mutex");
        AtomicInteger inside = new AtomicInteger();
        int[] sum = {0};
        List<Future<Boolean>> workers = new ArrayList<>();
        for (int worker = 0; worker < 4; worker++) {
            workers.add(Curators.later(() -> {
                try (CuratorFramework client = Curators.client()) {
                    InterProcessMutex lock = new InterProcessMutex(client, path);
                    for (int turn = 0; turn < 25; turn++) {
                        if (!soon(lock)) {
                            return false;
                        }
                        if (inside.incrementAndGet() != 1) {
                            return false;
                        }
                        sum[0]++;
                        inside.decrementAndGet();
                        lock.release();
                    }
                    return true;
                }
            }));
        }
        for (Future<Boolean> worker : workers) {
            Harness.check(Curators.result(worker), "each got the lock, alone");
        }
        Harness.same(100, sum[0], "turns");
    }

    private static void latch() throws Exception {
        String path = H.fresh("latch");
        try (CuratorFramework one = Curators.client(); CuratorFramework two = Curators.client()) {
            LeaderLatch a = new LeaderLatch(one, path, "a");
            LeaderLatch b = new LeaderLatch(two, path, "b");
            a.start();
            Harness.check(a.await(10, TimeUnit.SECONDS), "a leads");
            b.start();
            Curators.eventually("both take part", () -> b.getParticipants().size() == 2);
            Harness.check(!b.hasLeadership(), "b does not lead");
            Harness.same("a", b.getLeader().getId(), "b's view of the leader");
            a.close();
            Harness.check(b.await(10, TimeUnit.SECONDS), "b leads");
            b.close();
        }
    }

    private static void selector() throws Exception {
        String path = H.fresh("selector");
        AtomicInteger leaders = new AtomicInteger();
        AtomicInteger turns = new AtomicInteger();
        AtomicInteger most = new AtomicInteger();
        List<CuratorFramework> clients = new ArrayList<>();
        List<LeaderSelector> selectors = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            CuratorFramework client = Curators.client();
            clients.add(client);
            LeaderSelector selector = new LeaderSelector(client, path, new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework leading) throws Exception {
                    most.accumulateAndGet(leaders.incrementAndGet(), Math::max);
                    Thread.sleep(20);
                    turns.incrementAndGet();
                    leaders.decrementAndGet();
                }
            });
            selector.autoRequeue();
            selector.start();
            selectors.add(selector);
        }
        Curators.eventually("nine turns", () -> turns.get() >= 9);
        selectors.forEach(LeaderSelector::close);
        clients.forEach(CuratorFramework::close);
        Harness.same(1, most.get(), "leaders at once");
    }
}
