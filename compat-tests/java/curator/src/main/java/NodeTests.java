import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.api.transaction.CuratorOp;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/** Curator's own operations, caches, watchers and nodes that persist. */
final class NodeTests {
    private static final Harness H = Curators.H;

    private NodeTests() {}

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(CuratorFramework client, String path) throws Exception {
        return new String(client.getData().forPath(path), StandardCharsets.UTF_8);
    }

    static void register() {
        H.test("parents are created as containers", () -> {
            try (CuratorFramework client = Curators.client()) {
                String path = H.fresh("parents");
                client.create().creatingParentContainersIfNeeded().forPath(path + "/a/b", bytes("x"));
                Harness.same("x", text(client, path + "/a/b"), "data");
                Stat stat = client.checkExists().forPath(path + "/a");
                Harness.same(1, stat.getNumChildren(), "children of the container");
                Harness.same(0L, stat.getEphemeralOwner(), "its owner, as clients see it");
                client.delete().deletingChildrenIfNeeded().forPath(path);
                Harness.check(client.checkExists().forPath(path) == null, "all deleted");
            }
        });
        H.test("create or set, with the stat", () -> {
            try (CuratorFramework client = Curators.client()) {
                String path = H.fresh("orset");
                Stat stat = new Stat();
                client.create().storingStatIn(stat).forPath(path, bytes("1"));
                Harness.check(stat.getCzxid() > 0, "create2's stat");
                client.create().orSetData().forPath(path, bytes("2"));
                Harness.same("2", text(client, path), "data");
                Harness.fails(KeeperException.NodeExistsException.class,
                    () -> client.create().forPath(path, null));
            }
        });
        H.test("protected sequential ephemerals", () -> {
            try (CuratorFramework client = Curators.client()) {
                String path = H.fresh("protected");
                String made = client.create().creatingParentsIfNeeded().withProtection()
                    .withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath(path + "/n-", bytes("x"));
                Harness.check(made.matches(path + "/_c_[0-9a-f-]+-n-0000000000"), made);
            }
        });
        H.test("a namespace hides what is above it", () -> {
            try (CuratorFramework client = Curators.client()) {
                String root = H.fresh("space");
                CuratorFramework inside = client.usingNamespace(root.substring(1));
                Harness.same("/n", inside.create().forPath("/n", bytes("x")), "the path inside");
                Harness.same("x", text(client, root + "/n"), "data outside");
            }
        });
        H.test("a transaction succeeds as a whole or not at all", NodeTests::transactions);
        H.test("background operations are told of in order", () -> {
            try (CuratorFramework client = Curators.client()) {
                String path = H.fresh("background");
                // What is asked for before there is a connection waits in a queue of Curator's own, and
                // what is asked for at the moment of connecting may overtake it there.
                client.blockUntilConnected();
                List<String> seen = new CopyOnWriteArrayList<>();
                client.create().inBackground((c, event) -> seen.add("create " + event.getResultCode()))
                    .forPath(path, bytes("1"));
                client.setData().inBackground((c, event) -> seen.add("set " + event.getStat().getVersion()))
                    .forPath(path, bytes("2"));
                client.delete().inBackground((c, event) -> seen.add("delete " + event.getResultCode()))
                    .forPath(path + "/none");
                Curators.eventually("three answers", () -> seen.size() == 3);
                Harness.same(List.of("create 0", "set 1", "delete -101"), seen, "answers");
            }
        });
        H.test("a cache follows a tree", NodeTests::cache);
        H.test("a cache catches up after a restart", () -> {
            try (CuratorFramework client = Curators.client()) {
                String path = H.fresh("cacherestart");
                client.create().forPath(path, bytes("1"));
                try (CuratorCache cache = CuratorCache.build(client, path)) {
                    cache.start();
                    Curators.eventually("filled", () -> cache.get(path).isPresent());
                    Harness.control("restart");
                    Curators.eventually("set", () -> client.setData().forPath(path, bytes("2")) != null);
                    Curators.eventually("seen", () -> "2".equals(new String(cache.get(path).get().getData())));
                }
            }
        });
        H.test("a persistent recursive watcher sees everything below", () -> {
            try (CuratorFramework client = Curators.client(); CuratorFramework other = Curators.client()) {
                String path = H.fresh("watcher");
                List<String> seen = new CopyOnWriteArrayList<>();
                PersistentWatcher watcher = new PersistentWatcher(client, path, true);
                watcher.getListenable().addListener(
                    event -> seen.add(event.getType() + " " + String.valueOf(event.getPath()).replace(path, "")));
                watcher.start();
                Curators.eventually("watching", () -> {
                    other.create().orSetData().forPath(path, bytes("x"));
                    return !seen.isEmpty();
                });
                other.create().forPath(path + "/a", null);
                other.setData().forPath(path + "/a", bytes("y"));
                other.delete().forPath(path + "/a");
                Curators.eventually("deleted", () -> seen.contains("NodeDeleted /a"));
                List<String> below = seen.stream().filter(event -> event.endsWith("/a")).toList();
                Harness.same(List.of("NodeCreated /a", "NodeDataChanged /a", "NodeDeleted /a"), below, "events");
                watcher.close();
            }
        });
        H.test("a persistent node comes back", () -> {
            try (CuratorFramework client = Curators.client(); CuratorFramework other = Curators.client()) {
                String path = H.fresh("pnode");
                PersistentNode node =
                    new PersistentNode(client, CreateMode.EPHEMERAL, false, path, bytes("here"));
                node.start();
                Harness.check(node.waitForInitialCreate(10, TimeUnit.SECONDS), "created");
                long first = other.checkExists().forPath(path).getCzxid();
                other.delete().forPath(path);
                Curators.eventually("created again", () -> other.checkExists().forPath(path).getCzxid() > first);
                node.close();
                Harness.check(other.checkExists().forPath(path) == null, "deleted by close");
            }
        });
        H.test("a TTL node is touched as long as it is open", () -> {
            try (CuratorFramework client = Curators.client()) {
                String path = H.fresh("ttl");
                PersistentTtlNode node = new PersistentTtlNode(client, path, 3_000, bytes("ttl"));
                node.start();
                Harness.check(node.waitForInitialCreate(10, TimeUnit.SECONDS), "created");
                String touched = path + "/" + PersistentTtlNode.DEFAULT_CHILD_NODE_NAME;
                Curators.eventually("touched", () -> client.checkExists().forPath(touched) != null);
                long first = client.checkExists().forPath(touched).getMzxid();
                Curators.eventually("touched again",
                    () -> client.checkExists().forPath(touched).getMzxid() > first);
                Harness.same("ttl", text(client, path), "data");
                node.close();
            }
        });
        H.test("a group knows its members", () -> {
            try (CuratorFramework one = Curators.client(); CuratorFramework two = Curators.client()) {
                String path = H.fresh("group");
                GroupMember a = new GroupMember(one, path, "a", bytes("1"));
                GroupMember b = new GroupMember(two, path, "b", bytes("2"));
                a.start();
                b.start();
                Curators.eventually("both", () -> b.getCurrentMembers().keySet().equals(Set.of("a", "b")));
                a.close();
                Curators.eventually("one", () -> b.getCurrentMembers().keySet().equals(Set.of("b")));
                b.close();
            }
        });
    }

    private static void transactions() throws Exception {
        try (CuratorFramework client = Curators.client()) {
            String path = H.fresh("tx");
            CuratorOp create = client.transactionOp().create().forPath(path, bytes("1"));
            CuratorOp set = client.transactionOp().setData().withVersion(0).forPath(path, bytes("2"));
            CuratorOp check = client.transactionOp().check().withVersion(1).forPath(path);
            List<CuratorTransactionResult> results = client.transaction().forOperations(create, set, check);
            Harness.same(path, results.get(0).getResultPath(), "path");
            Harness.same(1, results.get(1).getResultStat().getVersion(), "version");
            CuratorOp lost = client.transactionOp().setData().forPath(path, bytes("lost"));
            CuratorOp fails = client.transactionOp().delete().forPath(path + "/none");
            Harness.fails(KeeperException.NoNodeException.class,
                () -> client.transaction().forOperations(lost, fails));
            Harness.same("2", text(client, path), "data after the failure");
        }
    }

    private static void cache() throws Exception {
        try (CuratorFramework client = Curators.client(); CuratorFramework other = Curators.client()) {
            String path = H.fresh("cache");
            other.create().creatingParentsIfNeeded().forPath(path + "/a/b", bytes("1"));
            Set<String> present = new ConcurrentSkipListSet<>();
            List<String> changes = new CopyOnWriteArrayList<>();
            try (CuratorCache cache = CuratorCache.build(client, path)) {
                cache.listenable().addListener(CuratorCacheListener.builder()
                    .forCreates(node -> present.add(node.getPath()))
                    .forDeletes(node -> present.remove(node.getPath()))
                    .forChanges((before, after) -> changes.add(new String(after.getData())))
                    .build());
                cache.start();
                Curators.eventually("filled", () -> present.size() == 3);
                other.setData().forPath(path + "/a/b", bytes("2"));
                Curators.eventually("changed", () -> changes.contains("2"));
                for (int i = 0; i < 50; i++) {
                    other.create().forPath(path + "/c" + i, bytes("x"));
                }
                other.delete().forPath(path + "/a/b");
                Set<String> expected = new TreeSet<>(Set.of(path, path + "/a"));
                for (int i = 0; i < 50; i++) {
                    expected.add(path + "/c" + i);
                }
                Curators.eventually("all seen", () -> present.equals(expected));
            }
        }
    }
}
