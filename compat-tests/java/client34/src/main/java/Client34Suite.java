import static org.apache.zookeeper.ZooDefs.Ids.CREATOR_ALL_ACL;
import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.Socket;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.Transaction;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** The Java client of ZooKeeper 3.4 against the server at ZK_ADDR. */
public final class Client34Suite {
    private static final Harness H = new Harness("java34");

    /** A client that remembers its events. */
    private static final class Client implements Watcher, AutoCloseable {
        final List<WatchedEvent> events = new CopyOnWriteArrayList<>();
        volatile KeeperState state;
        final ZooKeeper zk;

        Client() throws Exception {
            zk = new ZooKeeper(Harness.ADDR, 20_000, this);
            await(KeeperState.SyncConnected);
        }

        Client(long session, byte[] password) throws Exception {
            zk = new ZooKeeper(Harness.ADDR, 20_000, this, session, password);
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

        void awaitEvent(EventType type, String path) throws InterruptedException {
            Harness.eventually(type + " at " + path, () -> events.stream()
                .anyMatch(event -> event.getType() == type && path.equals(event.getPath())));
        }

        String make(String name) throws Exception {
            return zk.create(H.fresh(name), bytes("data"), OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        }

        @Override
        public void close() throws InterruptedException {
            zk.close();
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes(java.nio.charset.StandardCharsets.UTF_8);
    }

    private static void sessions() {
        H.test("connects with the time-out asked for", () -> {
            try (Client client = new Client()) {
                Harness.check(client.zk.getSessionId() != 0, "a session id");
                Harness.same(16, client.zk.getSessionPasswd().length, "bytes of the password");
                Harness.check(client.zk.getSessionTimeout() > 0, "a time-out");
            }
        });
        H.test("a session is taken over by its id and password", () -> {
            Client first = new Client();
            String path = first.zk.create(H.fresh("mine"), null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            try (Client second = new Client(first.zk.getSessionId(), first.zk.getSessionPasswd())) {
                second.await(KeeperState.SyncConnected);
                Harness.same(first.zk.getSessionId(), second.zk.getSessionId(), "the session");
                Harness.same(second.zk.getSessionId(),
                    second.zk.exists(path, false).getEphemeralOwner(), "the owner");
            }
            first.close();
        });
        H.test("a session with a wrong password has expired", () -> {
            try (Client first = new Client();
                    Client second = new Client(first.zk.getSessionId(), new byte[16])) {
                second.await(KeeperState.Expired);
                Harness.fails(KeeperException.SessionExpiredException.class,
                    () -> second.zk.exists("/", false));
            }
        });
        H.test("an ephemeral goes with its session", () -> {
            try (Client watching = new Client()) {
                Client owner = new Client();
                String path = owner.zk.create(H.fresh("e"), null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
                Harness.check(watching.zk.exists(path, true) != null, "the node is there");
                owner.close();
                watching.awaitEvent(EventType.NodeDeleted, path);
                Harness.check(watching.zk.exists(path, false) == null, "the node is gone");
            }
        });
        H.test("a connect request without the read-only byte", Client34Suite::withoutReadOnlyByte);
        H.test("session, ephemeral and watches survive a restart", () -> {
            try (Client client = new Client(); Client other = new Client()) {
                String path = client.make("w");
                String own = client.zk.create(H.fresh("own"), null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
                long session = client.zk.getSessionId();
                client.zk.getData(path, true, null);
                Harness.control("restart");
                Harness.eventually("connected again", () -> {
                    try {
                        return client.zk.exists(own, false) != null;
                    } catch (KeeperException.ConnectionLossException e) {
                        return false;
                    } catch (KeeperException | InterruptedException e) {
                        throw new AssertionError(e);
                    }
                });
                Harness.same(session, client.zk.getSessionId(), "the session");
                Harness.check(client.events.isEmpty(), "no event: " + client.events);
                Harness.eventually("set by the other", () -> {
                    try {
                        other.zk.setData(path, bytes("new"), -1);
                        return true;
                    } catch (KeeperException | InterruptedException e) {
                        return false;
                    }
                });
                client.awaitEvent(EventType.NodeDataChanged, path);
            }
        });
    }

    /** What clients before 3.4 send: the server answers without the byte too, or with it. */
    private static void withoutReadOnlyByte() throws Exception {
        String[] parts = Harness.ADDR.split(":");
        try (Socket socket = new Socket(parts[0], Integer.parseInt(parts[1]))) {
            socket.setSoTimeout(10_000);
            DataOutputStream out = new DataOutputStream(socket.getOutputStream());
            DataInputStream in = new DataInputStream(socket.getInputStream());
            ByteArrayOutputStream hello = new ByteArrayOutputStream();
            DataOutputStream to = new DataOutputStream(hello);
            to.writeInt(0);
            to.writeLong(0);
            to.writeInt(20_000);
            to.writeLong(0);
            to.writeInt(16);
            to.write(new byte[16]);
            out.writeInt(hello.size());
            hello.writeTo(out);
            int length = in.readInt();
            Harness.same(36, length, "bytes of the answer, without the read-only byte");
            in.readInt();
            Harness.check(in.readInt() > 0, "a time-out");
            Harness.check(in.readLong() != 0, "a session");
            Harness.same(16, in.readInt(), "bytes of the password");
            in.readFully(new byte[16]);
            out.writeInt(8);
            out.writeInt(-2);
            out.writeInt(11);
            Harness.same(16, in.readInt(), "bytes of the ping's answer");
            Harness.same(-2, in.readInt(), "xid");
            in.readLong();
            Harness.same(0, in.readInt(), "error");
            out.writeInt(8);
            out.writeInt(1);
            out.writeInt(-11);
            Harness.same(16, in.readInt(), "bytes of closeSession's answer");
            Harness.same(1, in.readInt(), "xid");
        }
    }

    private static void nodes() {
        H.test("the four kinds of nodes", () -> {
            try (Client client = new Client()) {
                String base = client.make("kinds");
                for (CreateMode mode : CreateMode.values()) {
                    String asked = base + "/" + mode.name();
                    String path = client.zk.create(asked, bytes("x"), OPEN_ACL_UNSAFE, mode);
                    Stat stat = client.zk.exists(path, false);
                    Harness.same(mode.isSequential(), !path.equals(asked), mode + " has a number");
                    long owner = mode.isEphemeral() ? client.zk.getSessionId() : 0;
                    Harness.same(owner, stat.getEphemeralOwner(), mode + "'s owner");
                }
                Harness.same(CreateMode.values().length, client.zk.getChildren(base, false).size(), "children");
            }
        });
        H.test("versions", () -> {
            try (Client client = new Client()) {
                String path = client.make("v");
                Harness.same(1, client.zk.setData(path, bytes("1"), 0).getVersion(), "version");
                Harness.fails(KeeperException.BadVersionException.class,
                    () -> client.zk.setData(path, bytes("2"), 0));
                Stat stat = new Stat();
                Harness.same("1", new String(client.zk.getData(path, false, stat)), "data");
                Harness.same(1, stat.getVersion(), "version read");
                Harness.fails(KeeperException.BadVersionException.class, () -> client.zk.delete(path, 7));
                client.zk.delete(path, 1);
                Harness.fails(KeeperException.NoNodeException.class,
                    () -> client.zk.getData(path, false, null));
            }
        });
        H.test("errors of create and delete", () -> {
            try (Client client = new Client()) {
                String path = client.make("err");
                Harness.fails(KeeperException.NodeExistsException.class,
                    () -> client.zk.create(path, null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
                String ephemeral = client.zk.create(path + "/e", null, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
                Harness.fails(KeeperException.NoChildrenForEphemeralsException.class,
                    () -> client.zk.create(ephemeral + "/c", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
                Harness.fails(KeeperException.NotEmptyException.class, () -> client.zk.delete(path, -1));
                Harness.fails(KeeperException.InvalidACLException.class,
                    () -> client.zk.create(path + "/a", null, List.of(), CreateMode.PERSISTENT));
            }
        });
        H.test("900 kB of data", () -> {
            try (Client client = new Client()) {
                byte[] large = new byte[900_000];
                Arrays.fill(large, (byte) 'x');
                String path = client.make("large");
                client.zk.setData(path, large, -1);
                Harness.check(Arrays.equals(large, client.zk.getData(path, false, null)), "the same data");
            }
        });
        H.test("sync, then a read", () -> {
            try (Client writer = new Client(); Client reader = new Client()) {
                String path = writer.make("sync");
                writer.zk.setData(path, bytes("seen"), -1);
                AtomicInteger code = new AtomicInteger(1);
                reader.zk.sync(path, (rc, p, context) -> code.set(rc), null);
                Harness.same("seen", new String(reader.zk.getData(path, false, null)), "data");
                // Callbacks have a thread of their own.
                Harness.eventually("sync's result", () -> code.get() == 0);
            }
        });
    }

    private static void others() {
        H.test("data, child and exist watches", () -> {
            try (Client client = new Client(); Client other = new Client()) {
                String path = client.make("watched");
                client.zk.getData(path, true, null);
                client.zk.getChildren(path, true);
                Harness.check(client.zk.exists(path + "/c", true) == null, "no child yet");
                other.zk.create(path + "/c", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
                client.awaitEvent(EventType.NodeCreated, path + "/c");
                client.awaitEvent(EventType.NodeChildrenChanged, path);
                other.zk.setData(path, bytes("1"), -1);
                client.awaitEvent(EventType.NodeDataChanged, path);
                other.zk.setData(path, bytes("2"), -1);
                other.zk.delete(path + "/c", -1);
                client.zk.sync(path, (rc, p, context) -> { }, null);
                client.zk.exists(path, false);
                Harness.same(3, client.events.size(), "events, each watch once");
            }
        });
        H.test("digest identities", () -> {
            try (Client owner = new Client(); Client stranger = new Client()) {
                String path = owner.make("acl");
                owner.zk.addAuthInfo("digest", bytes("user:secret"));
                owner.zk.setACL(path, CREATOR_ALL_ACL, 0);
                Harness.fails(KeeperException.NoAuthException.class,
                    () -> stranger.zk.getData(path, false, null));
                stranger.zk.addAuthInfo("digest", bytes("user:wrong"));
                Harness.fails(KeeperException.NoAuthException.class,
                    () -> stranger.zk.setData(path, null, -1));
                stranger.zk.addAuthInfo("digest", bytes("user:secret"));
                Harness.same("data", new String(stranger.zk.getData(path, false, null)), "data");
                Harness.same("digest", owner.zk.getACL(path, new Stat()).get(0).getId().getScheme(), "scheme");
            }
        });
        H.test("a multi that succeeds", () -> {
            try (Client client = new Client()) {
                String path = client.make("multi");
                Transaction transaction = client.zk.transaction();
                transaction.check(path, 0);
                transaction.create(path + "/a", null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
                transaction.setData(path, bytes("m"), 0);
                transaction.delete(path + "/a", -1);
                List<OpResult> results = transaction.commit();
                Harness.same(4, results.size(), "results");
                Harness.same(path + "/a", ((OpResult.CreateResult) results.get(1)).getPath(), "path");
                Harness.same(1, ((OpResult.SetDataResult) results.get(2)).getStat().getVersion(), "version");
            }
        });
        H.test("a multi that fails changes nothing", () -> {
            try (Client client = new Client()) {
                String path = client.make("multi");
                List<Op> ops = List.of(
                    Op.setData(path, bytes("lost"), 0),
                    Op.delete(path + "/none", -1),
                    Op.check(path, -1));
                try {
                    client.zk.multi(ops);
                    throw new AssertionError("the multi succeeded");
                } catch (KeeperException.NoNodeException e) {
                    int[] codes = e.getResults().stream()
                        .mapToInt(result -> ((OpResult.ErrorResult) result).getErr()).toArray();
                    Harness.same(List.of(0, -101, -2), Arrays.stream(codes).boxed().toList(), "errors");
                }
                Harness.same("data", new String(client.zk.getData(path, false, null)), "data");
            }
        });
    }

    public static void main(String[] args) throws Exception {
        try (Client client = new Client()) {
            client.zk.create(H.root, null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        }
        sessions();
        nodes();
        others();
        H.runAndExit();
    }
}
