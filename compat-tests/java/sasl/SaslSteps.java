import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.ClientInfo;
import org.apache.zookeeper.data.Id;

/** What a client sees that logs in by SASL, or does not; one line a step. */
public class SaslSteps {
    interface Step {
        Object run() throws Exception;
    }

    static void step(String name, Step step) {
        String seen;
        try {
            seen = String.valueOf(step.run());
        } catch (KeeperException e) {
            seen = e.code().toString();
        } catch (Exception e) {
            seen = e.toString();
        }
        System.out.println(name + ": " + seen);
    }

    public static void main(String[] args) throws Exception {
        List<String> states = Collections.synchronizedList(new ArrayList<>());
        CountDownLatch settled = new CountDownLatch(1);
        KeeperState last = args[1].isEmpty() ? KeeperState.SyncConnected : KeeperState.SaslAuthenticated;
        ZooKeeper zk = new ZooKeeper(args[0], 20000, event -> {
            states.add(event.getState().toString());
            if (event.getState() == last || event.getState() == KeeperState.AuthFailed) {
                settled.countDown();
            }
        });
        System.out.println("settled: " + settled.await(20, TimeUnit.SECONDS));
        // A client that cannot even begin to log in says so before it connects, which it does all the same.
        for (int wait = 0; wait < 100 && states.equals(Collections.singletonList("AuthFailed")); wait++) {
            Thread.sleep(50);
        }
        List<String> first = new ArrayList<>(states.subList(0, Math.min(2, states.size())));
        System.out.println("states: " + first);
        byte[] data = "x".getBytes(StandardCharsets.UTF_8);
        String path = "/java-" + args[1];
        step("whoAmI", () -> {
            List<String> names = new ArrayList<>();
            for (ClientInfo info : zk.whoAmI()) {
                names.add(info.getAuthScheme() + ":" + info.getUser());
            }
            Collections.sort(names);
            return names;
        });
        step("create own", () -> zk.create(path, data, ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        step("get own", () -> new String(zk.getData("/java-bob", false, null), StandardCharsets.UTF_8));
        step("acl of own", () -> zk.getACL("/java-bob", null));
        List<ACL> other = Collections.singletonList(new ACL(ZooDefs.Perms.ALL, new Id("sasl", "zoe")));
        step("create for zoe", () -> zk.create(path + "-zoe", data, other, CreateMode.PERSISTENT));
        step("get zoe's", () -> new String(zk.getData("/java-bob-zoe", false, null), StandardCharsets.UTF_8));
        step("close", () -> {
            zk.close();
            return "closed";
        });
        System.out.println("end");
    }
}
