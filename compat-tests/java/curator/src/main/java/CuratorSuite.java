import org.apache.curator.framework.CuratorFramework;

/** Curator's recipes against the server at ZK_ADDR. */
public final class CuratorSuite {
    private CuratorSuite() {}

    public static void main(String[] args) throws Exception {
        try (CuratorFramework client = Curators.client()) {
            client.create().creatingParentsIfNeeded().forPath(Curators.H.root);
        }
        LockTests.register();
        NodeTests.register();
        SharedTests.register();
        Curators.H.runAndExit();
    }
}
