import static org.apache.zookeeper.ZooDefs.Ids.CREATOR_ALL_ACL;
import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;
import static org.apache.zookeeper.ZooDefs.Ids.READ_ACL_UNSAFE;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZKUtil;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.ClientInfo;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/** The official Java client against the server at ZK_ADDR. */
public final class ClientSuite {
    private static final Harness H = new Harness("java");

    /** A connected client that remembers its events. */
    private static final class Client implements Watcher, AutoCloseable {
        final List<WatchedEvent> events = new CopyOnWriteArrayList<>();
        volatile KeeperState state;
        final ZooKeeper zk;

        Client(int timeout) throws Exception {
            zk = new ZooKeeper(Harness.ADDR, timeout, this);
            await(KeeperState.SyncConnected);
        }

        Client(int timeout, long session, byte[] password) throws Exception {
            zk = new ZooKeeper(Harness.ADDR, timeout, this, session, password);
        }

        @Override
        public void process(WatchedEvent event) {
            if (event.getType() == EventType.None) {
                state = event.getState();
            } else {
                events.add(event);
            }
        }

        void await(KeeperState wanted) throws InterruptedException {
            Harness.eventually("state " + wanted, () -> state == wanted);
        }

        void await(EventType type, String path) throws InterruptedException {
            Harness.eventually(type + " on " + path + ", seen " + events, () -> saw(type, path));
        }

        boolean saw(EventType type, String path) {
            return events.stream().anyMatch(e -> e.getType() == type && path.equals(e.getPath()));
        }

        @Override
        public void close() throws InterruptedException {
            zk.close();
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String create(ZooKeeper zk, String path, CreateMode mode) throws Exception {
        return zk.create(path, bytes("x"), OPEN_ACL_UNSAFE, mode);
    }

    public static void main(String[] args) throws Exception {
        try (Client c = new Client(6000)) {
            create(c.zk, H.root, CreateMode.PERSISTENT);
        }
        H.test("nodes_of_all_kinds", ClientSuite::kinds);
        H.test("ttl_and_container_nodes", ClientSuite::ttlAndContainer);
        H.test("versions_and_errors", ClientSuite::errors);
        H.test("large_and_null_data", ClientSuite::data);
        H.test("unicode_paths", ClientSuite::unicode);
        H.test("one_shot_watches", ClientSuite::oneShotWatches);
        H.test("persistent_watches", ClientSuite::persistentWatches);
        H.test("recursive_watches", ClientSuite::recursiveWatches);
        H.test("removing_watches", ClientSuite::removingWatches);
        H.test("acls", ClientSuite::acls);
        H.test("who_am_i", ClientSuite::whoAmI);
        H.test("multi_succeeds_as_one", ClientSuite::multi);
        H.test("multi_fails_as_one", ClientSuite::multiFails);
        H.test("multi_read", ClientSuite::multiRead);
        H.test("ephemerals_and_counts", ClientSuite::counts);
        H.test("sync_and_config", ClientSuite::syncAndConfig);
        H.test("quotas_are_counted", ClientSuite::quotas);
        H.test("a_session_is_resumed", ClientSuite::resume);
        H.test("a_wrong_password_expires_the_session", ClientSuite::wrongPassword);
        H.test("time_outs_are_negotiated", ClientSuite::negotiation);
        H.test("closing_deletes_ephemerals", ClientSuite::closing);
        H.test("a_silent_session_expires", ClientSuite::expiry);
        H.test("an_unknown_operation_is_unimplemented", ClientSuite::unknownOperation);
        H.test("a_restart_keeps_everything", () -> restart("restart"));
        H.test("a_kill_keeps_everything", () -> restart("kill"));
        H.runAndExit();
    }

    private static void kinds() throws Exception {
        try (Client c = new Client(6000)) {
            String p = H.fresh("kinds");
            Stat made = new Stat();
            Harness.same(p, c.zk.create(p, bytes("data"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, made), "path");
            Stat stat = new Stat();
            Harness.same("data", new String(c.zk.getData(p, false, stat)), "data");
            Harness.same(made, stat, "create2's stat");
            Harness.check(stat.getCzxid() == stat.getPzxid() && stat.getCtime() == stat.getMtime(), stat.toString());
            for (int i = 0; i < 3; i++) {
                String s = create(c.zk, p + "/s-", CreateMode.PERSISTENT_SEQUENTIAL);
                Harness.same(String.format("%s/s-%010d", p, i), s, "sequence");
            }
            c.zk.delete(p + "/s-0000000002", -1);
            String e = create(c.zk, p + "/e-", CreateMode.EPHEMERAL_SEQUENTIAL);
            Harness.same(p + "/e-0000000003", e, "the counter after a deletion");
            Harness.same(c.zk.getSessionId(), c.zk.exists(e, false).getEphemeralOwner(), "owner");
            Harness.fails(KeeperException.NoChildrenForEphemeralsException.class,
                () -> create(c.zk, e + "/c", CreateMode.PERSISTENT));
            Stat parent = c.zk.exists(p, false);
            Harness.same(5, parent.getCversion(), "cversion");
            Harness.same(3, parent.getNumChildren(), "children");
            Harness.same(c.zk.exists(e, false).getCzxid(), parent.getPzxid(), "pzxid");
            Harness.same(Set.of("s-0000000000", "s-0000000001", "e-0000000003"), Set.copyOf(c.zk.getChildren(p, false)), "names");
        }
    }

    private static void ttlAndContainer() throws Exception {
        try (Client c = new Client(6000)) {
            String ttl = H.fresh("ttl");
            Stat stat = new Stat();
            c.zk.create(ttl, bytes("t"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, stat, 3_600_000);
            Harness.same(0L, c.zk.exists(ttl, false).getEphemeralOwner(), "a TTL node's owner as clients see it");
            String s = c.zk.create(ttl + "/s-", bytes(""), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, stat, 5000);
            Harness.check(s.endsWith("/s-0000000000"), s);
            String container = H.fresh("container");
            create(c.zk, container, CreateMode.CONTAINER);
            create(c.zk, container + "/c", CreateMode.PERSISTENT);
            Harness.same(0L, c.zk.exists(container, false).getEphemeralOwner(), "a container's owner");
        }
    }

    private static void errors() throws Exception {
        try (Client c = new Client(6000)) {
            String p = H.fresh("errors");
            Harness.fails(KeeperException.NoNodeException.class, () -> c.zk.getData(p, false, null));
            Harness.fails(KeeperException.NoNodeException.class, () -> c.zk.getChildren(p, false));
            Harness.fails(KeeperException.NoNodeException.class, () -> c.zk.getACL(p, new Stat()));
            Harness.fails(KeeperException.NoNodeException.class, () -> c.zk.setData(p, bytes(""), -1));
            Harness.fails(KeeperException.NoNodeException.class, () -> c.zk.delete(p, -1));
            Harness.fails(KeeperException.NoNodeException.class, () -> create(c.zk, p + "/c", CreateMode.PERSISTENT));
            create(c.zk, p, CreateMode.PERSISTENT);
            Harness.fails(KeeperException.NodeExistsException.class, () -> create(c.zk, p, CreateMode.PERSISTENT));
            Harness.same(1, c.zk.setData(p, bytes("1"), 0).getVersion(), "version");
            Harness.fails(KeeperException.BadVersionException.class, () -> c.zk.setData(p, bytes("2"), 0));
            Harness.fails(KeeperException.BadVersionException.class, () -> c.zk.delete(p, 0));
            Harness.fails(KeeperException.BadVersionException.class, () -> c.zk.setACL(p, OPEN_ACL_UNSAFE, 5));
            create(c.zk, p + "/c", CreateMode.PERSISTENT);
            Harness.fails(KeeperException.NotEmptyException.class, () -> c.zk.delete(p, -1));
            Harness.fails(KeeperException.InvalidACLException.class,
                () -> c.zk.create(p + "/acl", bytes(""), Arrays.asList(new ACL(31, new Id("nosuch", "x"))), CreateMode.PERSISTENT));
            Harness.fails(KeeperException.InvalidACLException.class,
                () -> c.zk.create(p + "/acl", bytes(""), CREATOR_ALL_ACL, CreateMode.PERSISTENT));
            Harness.fails(KeeperException.BadArgumentsException.class, () -> c.zk.delete("/zookeeper", -1));
            Harness.fails(KeeperException.NoWatcherException.class,
                () -> c.zk.removeWatches(p, c, Watcher.WatcherType.Any, false));
        }
    }

    private static void data() throws Exception {
        try (Client c = new Client(6000)) {
            String p = H.fresh("large");
            byte[] blob = new byte[1_000_000];
            Arrays.fill(blob, (byte) 7);
            c.zk.create(p, blob, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            Harness.check(Arrays.equals(blob, c.zk.getData(p, false, null)), "another million bytes came back");
            String none = H.fresh("null");
            c.zk.create(none, null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            Harness.check(c.zk.getData(none, false, null) == null, "null data is not null");
            c.zk.setData(none, new byte[0], -1);
            Harness.same(0, c.zk.getData(none, false, null).length, "length");
        }
    }

    private static void unicode() throws Exception {
        try (Client c = new Client(6000)) {
            String p = H.fresh("ünïcödé-名前");
            create(c.zk, p, CreateMode.PERSISTENT);
            create(c.zk, p + "/ребёнок", CreateMode.PERSISTENT);
            Harness.same(List.of("ребёнок"), c.zk.getChildren(p, false), "children");
            Harness.check(c.zk.getChildren(H.root, false).contains(p.substring(p.lastIndexOf('/') + 1)), "not listed");
        }
    }

    private static void oneShotWatches() throws Exception {
        try (Client c = new Client(6000)) {
            String p = H.fresh("watch");
            Harness.check(c.zk.exists(p, c) == null, "exists");
            create(c.zk, p, CreateMode.PERSISTENT);
            c.zk.getData(p, c, null);
            c.zk.setData(p, bytes("1"), -1);
            c.zk.setData(p, bytes("2"), -1);
            c.zk.getChildren(p, c);
            create(c.zk, p + "/c", CreateMode.PERSISTENT);
            c.zk.delete(p + "/c", -1);
            c.zk.getData(p, c, null);
            c.zk.getChildren(p, c);
            c.zk.delete(p, -1);
            c.await(EventType.NodeDeleted, p);
            List<EventType> seen = c.events.stream().map(WatchedEvent::getType).toList();
            Harness.same(List.of(EventType.NodeCreated, EventType.NodeDataChanged, EventType.NodeChildrenChanged,
                EventType.NodeDeleted), seen, "events");
            Harness.check(c.events.get(0).getZxid() > 0, "an event without zxid: " + c.events.get(0));
        }
    }

    private static void persistentWatches() throws Exception {
        try (Client c = new Client(6000); Client other = new Client(6000)) {
            String p = H.fresh("persistent");
            c.zk.addWatch(p, c, AddWatchMode.PERSISTENT);
            create(other.zk, p, CreateMode.PERSISTENT);
            other.zk.setData(p, bytes("1"), -1);
            other.zk.setData(p, bytes("2"), -1);
            create(other.zk, p + "/c", CreateMode.PERSISTENT);
            other.zk.setData(p + "/c", bytes("not watched"), -1);
            other.zk.delete(p + "/c", -1);
            other.zk.delete(p, -1);
            c.await(EventType.NodeDeleted, p);
            List<EventType> seen = c.events.stream().map(WatchedEvent::getType).toList();
            Harness.same(List.of(EventType.NodeCreated, EventType.NodeDataChanged, EventType.NodeDataChanged,
                EventType.NodeChildrenChanged, EventType.NodeChildrenChanged, EventType.NodeDeleted), seen, "events");
        }
    }

    private static void recursiveWatches() throws Exception {
        try (Client c = new Client(6000); Client other = new Client(6000)) {
            String p = H.fresh("recursive");
            create(other.zk, p, CreateMode.PERSISTENT);
            c.zk.addWatch(p, c, AddWatchMode.PERSISTENT_RECURSIVE);
            create(other.zk, p + "/a", CreateMode.PERSISTENT);
            create(other.zk, p + "/a/b", CreateMode.PERSISTENT);
            other.zk.setData(p + "/a/b", bytes("1"), -1);
            other.zk.delete(p + "/a/b", -1);
            other.zk.delete(p + "/a", -1);
            other.zk.delete(p, -1);
            c.await(EventType.NodeDeleted, p);
            List<String> seen = c.events.stream().map(e -> e.getType() + " " + e.getPath()).toList();
            Harness.same(List.of("NodeCreated " + p + "/a", "NodeCreated " + p + "/a/b", "NodeDataChanged " + p + "/a/b",
                "NodeDeleted " + p + "/a/b", "NodeDeleted " + p + "/a", "NodeDeleted " + p), seen, "events");
        }
    }

    private static void removingWatches() throws Exception {
        try (Client c = new Client(6000)) {
            String p = H.fresh("removing");
            create(c.zk, p, CreateMode.PERSISTENT);
            Watcher w = event -> c.events.add(event);
            c.zk.getData(p, w, null);
            c.zk.removeWatches(p, w, Watcher.WatcherType.Data, false);
            c.zk.addWatch(p, w, AddWatchMode.PERSISTENT);
            c.zk.removeWatches(p, w, Watcher.WatcherType.Any, false);
            int before = (int) c.events.stream().filter(e -> e.getType() == EventType.NodeDataChanged).count();
            c.zk.setData(p, bytes("1"), -1);
            c.zk.sync(p);
            Harness.same((long) before, c.events.stream().filter(e -> e.getType() == EventType.NodeDataChanged).count(),
                "events after the removal");
        }
    }

    private static void acls() throws Exception {
        try (Client owner = new Client(6000); Client other = new Client(6000)) {
            String p = H.fresh("acl");
            owner.zk.addAuthInfo("digest", bytes("joe:secret"));
            owner.zk.create(p, bytes("private"), CREATOR_ALL_ACL, CreateMode.PERSISTENT);
            Harness.fails(KeeperException.NoAuthException.class, () -> other.zk.getData(p, false, null));
            Harness.fails(KeeperException.NoAuthException.class, () -> other.zk.setData(p, bytes(""), -1));
            Harness.fails(KeeperException.NoAuthException.class, () -> create(other.zk, p + "/c", CreateMode.PERSISTENT));
            Harness.fails(KeeperException.NoAuthException.class, () -> other.zk.setACL(p, OPEN_ACL_UNSAFE, -1));
            Harness.fails(KeeperException.NoAuthException.class, () -> other.zk.getACL(p, new Stat()));
            Stat stat = new Stat();
            List<ACL> acl = owner.zk.getACL(p, stat);
            Harness.check(acl.size() == 1 && acl.get(0).getId().getId().startsWith("joe:"), acl.toString());
            owner.zk.setACL(p, Arrays.asList(acl.get(0), new ACL(1, new Id("world", "anyone"))), 0);
            Harness.same("joe:x", other.zk.getACL(p, stat).get(0).getId().getId(), "the digest as others see it");
            Harness.same(1, stat.getAversion(), "aversion");
            other.zk.addAuthInfo("digest", bytes("joe:secret"));
            Harness.same("private", new String(other.zk.getData(p, false, null)), "data");
            String ip = H.fresh("acl-ip");
            owner.zk.create(ip, bytes("ip"), Arrays.asList(new ACL(31, new Id("ip", Harness.ownAddress()))), CreateMode.PERSISTENT);
            Harness.same("ip", new String(owner.zk.getData(ip, false, null)), "data");
            String readable = H.fresh("acl-read");
            owner.zk.create(readable, bytes("r"), READ_ACL_UNSAFE, CreateMode.PERSISTENT);
            Harness.fails(KeeperException.NoAuthException.class, () -> owner.zk.setData(readable, bytes(""), -1));
        }
        try (Client c = new Client(6000)) {
            c.zk.addAuthInfo("nosuchscheme", bytes("x"));
            c.await(KeeperState.AuthFailed);
        }
    }

    private static void whoAmI() throws Exception {
        try (Client c = new Client(6000)) {
            c.zk.addAuthInfo("digest", bytes("joe:secret"));
            Set<String> who = new TreeSet<>();
            for (ClientInfo info : c.zk.whoAmI()) {
                who.add(info.getAuthScheme() + ":" + info.getUser());
            }
            Harness.check(who.contains("digest:joe") && who.contains("ip:" + Harness.ownAddress()), who.toString());
        }
    }

    private static void multi() throws Exception {
        try (Client c = new Client(6000)) {
            String p = H.fresh("multi");
            List<OpResult> results = c.zk.multi(List.of(
                Op.create(p, bytes("0"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.setData(p, bytes("1"), 0),
                Op.check(p, 1),
                Op.create(p + "/s-", bytes(""), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL),
                Op.create(p + "/s-", bytes(""), OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL),
                Op.create(p + "/container", bytes(""), OPEN_ACL_UNSAFE, CreateMode.CONTAINER),
                Op.create(p + "/ttl", bytes(""), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, 100_000L),
                Op.delete(p + "/s-0000000000", -1)));
            Harness.same(8, results.size(), "results");
            Harness.same(p + "/s-0000000001", ((OpResult.CreateResult) results.get(4)).getPath(), "sequence");
            Harness.same(1, ((OpResult.SetDataResult) results.get(1)).getStat().getVersion(), "version");
            long zxid = c.zk.exists(p, false).getCzxid();
            Harness.same(zxid, c.zk.exists(p + "/ttl", false).getCzxid(), "one zxid for all");
            Harness.same(List.of(), c.zk.multi(List.of()), "an empty multi");
        }
    }

    private static void multiFails() throws Exception {
        try (Client c = new Client(6000)) {
            String p = H.fresh("multi-fails");
            create(c.zk, p, CreateMode.PERSISTENT);
            try {
                c.zk.multi(List.of(Op.setData(p, bytes("1"), -1), Op.check(p, 77), Op.delete(p, -1)));
                throw new AssertionError("success");
            } catch (KeeperException.BadVersionException e) {
                List<Integer> codes = e.getResults().stream().map(r -> ((OpResult.ErrorResult) r).getErr()).toList();
                Harness.same(List.of(0, -103, -2), codes, "codes");
            }
            Harness.same("x", new String(c.zk.getData(p, false, null)), "data after the failure");
        }
    }

    private static void multiRead() throws Exception {
        try (Client c = new Client(6000)) {
            String p = H.fresh("multi-read");
            create(c.zk, p, CreateMode.PERSISTENT);
            create(c.zk, p + "/c", CreateMode.PERSISTENT);
            List<OpResult> results = c.zk.multi(List.of(Op.getData(p), Op.getChildren(p), Op.getData(p + "/nowhere")));
            Harness.same("x", new String(((OpResult.GetDataResult) results.get(0)).getData()), "data");
            Harness.same(List.of("c"), ((OpResult.GetChildrenResult) results.get(1)).getChildren(), "children");
            Harness.same(-101, ((OpResult.ErrorResult) results.get(2)).getErr(), "code");
        }
    }

    private static void counts() throws Exception {
        try (Client c = new Client(6000)) {
            String p = H.fresh("counts");
            create(c.zk, p, CreateMode.PERSISTENT);
            create(c.zk, p + "/a", CreateMode.PERSISTENT);
            create(c.zk, p + "/a/e", CreateMode.EPHEMERAL);
            create(c.zk, p + "/e", CreateMode.EPHEMERAL);
            Harness.same(3, c.zk.getAllChildrenNumber(p), "descendants");
            Harness.same(Set.of(p + "/e", p + "/a/e"), Set.copyOf(c.zk.getEphemerals()), "ephemerals");
            Harness.same(List.of(p + "/a/e"), c.zk.getEphemerals(p + "/a"), "ephemerals below a prefix");
            Harness.same(4, ZKUtil.listSubTreeBFS(c.zk, p).size(), "subtree");
            Harness.check(ZKUtil.deleteRecursive(c.zk, p, 100), "deleteRecursive");
        }
    }

    private static void syncAndConfig() throws Exception {
        try (Client c = new Client(6000)) {
            CountDownLatch done = new CountDownLatch(1);
            c.zk.sync("/", (rc, path, ctx) -> {
                if (rc == 0 && path.equals("/")) {
                    done.countDown();
                }
            }, null);
            Harness.check(done.await(Harness.PATIENCE_MS, TimeUnit.MILLISECONDS), "sync");
            String config = new String(c.zk.getConfig(false, new Stat()), StandardCharsets.UTF_8);
            long servers = config.lines().filter(line -> line.startsWith("server.")).count();
            Harness.same((long) Harness.MEMBERS, servers, "servers in " + config);
            Harness.check(Harness.MEMBERS > 0 || config.isEmpty(), "a standalone server's configuration: " + config);
            Harness.fails(KeeperException.class,
                () -> c.zk.setData("/zookeeper/config", bytes("x"), -1));
        }
    }

    private static void quotas() throws Exception {
        try (Client c = new Client(6000)) {
            String p = H.fresh("quota");
            create(c.zk, p, CreateMode.PERSISTENT);
            String quota = "/zookeeper/quota";
            for (String name : p.substring(1).split("/")) {
                quota += "/" + name;
                if (c.zk.exists(quota, false) == null) {
                    create(c.zk, quota, CreateMode.PERSISTENT);
                }
            }
            c.zk.create(quota + "/zookeeper_limits", bytes("count=5,bytes=100"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            c.zk.create(quota + "/zookeeper_stats", bytes("count=0,bytes=0"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            create(c.zk, p + "/c", CreateMode.PERSISTENT);
            c.zk.setData(p + "/c", bytes("12345"), -1);
            Stat stat = new Stat();
            Harness.same("count=2,bytes=6", new String(c.zk.getData(quota + "/zookeeper_stats", false, stat)), "statistics");
            Harness.same(0, stat.getVersion(), "their version");
        }
    }

    private static void resume() throws Exception {
        try (Client first = new Client(10_000)) {
            String p = H.fresh("resume");
            create(first.zk, p, CreateMode.EPHEMERAL);
            try (Client second = new Client(10_000, first.zk.getSessionId(), first.zk.getSessionPasswd())) {
                second.await(KeeperState.SyncConnected);
                Harness.same(first.zk.getSessionId(), second.zk.getSessionId(), "session");
                Harness.same(second.zk.getSessionId(), second.zk.exists(p, false).getEphemeralOwner(), "owner");
            }
        }
    }

    private static void wrongPassword() throws Exception {
        try (Client first = new Client(10_000);
             Client second = new Client(10_000, first.zk.getSessionId(), new byte[16])) {
            second.await(KeeperState.Expired);
            // The attempt costs the first client its connection, not its session.
            Harness.eventually("the session survives", () -> {
                try {
                    return first.zk.exists("/", false) != null;
                } catch (KeeperException.ConnectionLossException e) {
                    return false;
                } catch (Exception e) {
                    throw new AssertionError(e);
                }
            });
        }
    }

    private static void negotiation() throws Exception {
        try (Raw low = new Raw(1); Client high = new Client(100_000_000)) {
            int max = high.zk.getSessionTimeout();
            Harness.check(low.timeout > 1 && low.timeout < max, "minimum " + low.timeout);
            Harness.check(max < 100_000_000, "maximum " + max);
        }
    }

    private static void closing() throws Exception {
        try (Client watcher = new Client(6000)) {
            String p = H.fresh("closing");
            Client c = new Client(6000);
            create(c.zk, p, CreateMode.EPHEMERAL);
            Harness.check(watcher.zk.exists(p, watcher) != null, "not there");
            c.close();
            watcher.await(EventType.NodeDeleted, p);
        }
    }

    /** A connection over which requests are sent by hand. */
    private static final class Raw implements AutoCloseable {
        final Socket socket;
        final DataOutputStream out;
        final DataInputStream in;
        final int timeout;

        Raw(int timeout) throws Exception {
            String[] parts = Harness.ADDR.split(":");
            socket = new Socket(parts[0], Integer.parseInt(parts[1]));
            socket.setSoTimeout((int) Harness.PATIENCE_MS);
            out = new DataOutputStream(socket.getOutputStream());
            in = new DataInputStream(socket.getInputStream());
            out.writeInt(45);
            out.writeInt(0);
            out.writeLong(0);
            out.writeInt(timeout);
            out.writeLong(0);
            out.writeInt(16);
            out.write(new byte[16]);
            out.write(0);
            out.flush();
            Harness.same(37, in.readInt(), "length of the connect response");
            in.skipNBytes(4);
            this.timeout = in.readInt();
            in.skipNBytes(29);
        }

        @Override
        public void close() throws Exception {
            socket.close();
        }
    }

    private static void expiry() throws Exception {
        try (Client watcher = new Client(6000); Raw raw = new Raw(1)) {
            String p = H.fresh("expiry");
            byte[] path = bytes(p);
            raw.out.writeInt(8 + 4 + path.length + 4 + 4 + 4 + 4 + 5 + 4 + 6 + 4);
            raw.out.writeInt(1);
            raw.out.writeInt(1);
            raw.out.writeInt(path.length);
            raw.out.write(path);
            raw.out.writeInt(0);
            raw.out.writeInt(1);
            raw.out.writeInt(31);
            raw.out.writeInt(5);
            raw.out.write(bytes("world"));
            raw.out.writeInt(6);
            raw.out.write(bytes("anyone"));
            raw.out.writeInt(1);
            raw.out.flush();
            raw.in.skipNBytes(raw.in.readInt());
            Harness.check(watcher.zk.exists(p, watcher) != null, "not created");
            watcher.await(EventType.NodeDeleted, p);
            Harness.same(-1, raw.in.read(), "the expired session's connection");
        }
    }

    private static void unknownOperation() throws Exception {
        try (Raw raw = new Raw(6000)) {
            raw.out.writeInt(8);
            raw.out.writeInt(7);
            raw.out.writeInt(4711);
            raw.out.flush();
            Harness.same(16, raw.in.readInt(), "length of the reply");
            Harness.same(7, raw.in.readInt(), "xid");
            Harness.same(-1L, raw.in.readLong(), "zxid");
            Harness.same(-6, raw.in.readInt(), "error");
            Harness.same(-1, raw.in.read(), "the connection afterwards");
        }
    }

    private static void restart(String command) throws Exception {
        try (Client c = new Client(20_000)) {
            String p = H.fresh("restart");
            create(c.zk, p, CreateMode.PERSISTENT);
            create(c.zk, p + "/e", CreateMode.EPHEMERAL);
            c.zk.getData(p, c, null);
            c.zk.getChildren(p, c);
            c.zk.exists(p + "/later", c);
            c.zk.addWatch(p, c, AddWatchMode.PERSISTENT_RECURSIVE);
            long session = c.zk.getSessionId();
            Harness.control(command);
            Harness.eventually("the reconnection", () -> {
                try {
                    return c.zk.exists(p + "/e", false) != null;
                } catch (KeeperException.ConnectionLossException e) {
                    return false;
                } catch (Exception e) {
                    throw new AssertionError(e);
                }
            });
            Harness.same(session, c.zk.getSessionId(), "session");
            Harness.same(session, c.zk.exists(p + "/e", false).getEphemeralOwner(), "owner");
            c.events.clear();
            c.zk.setData(p, bytes("changed"), -1);
            create(c.zk, p + "/later", CreateMode.PERSISTENT);
            c.await(EventType.NodeDataChanged, p);
            c.await(EventType.NodeChildrenChanged, p);
            c.await(EventType.NodeCreated, p + "/later");
        }
    }
}
