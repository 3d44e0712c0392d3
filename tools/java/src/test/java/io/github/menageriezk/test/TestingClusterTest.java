package io.github.menageriezk.test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Arrays;
import java.util.Collections;
import org.apache.curator.framework.CuratorFramework;
import org.apache.zookeeper.ZooKeeper;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.extension.ExtendWith;

@Timeout(120)
@ExtendWith(ZooKeeperExtension.class)
class TestingClusterTest {
    private static InstanceSpec leader(TestingCluster cluster) throws Exception {
        long end = System.nanoTime() + 30_000_000_000L;
        while (System.nanoTime() < end) {
            for (TestingZooKeeperServer server : cluster.getServers()) {
                if ("leader".equals(server.getMode())) {
                    return server.getInstanceSpec();
                }
            }
            Thread.sleep(10);
        }
        throw new AssertionError("there is no leader");
    }

    @Test
    void theClientGoesOnWhenItsServerIsKilled() throws Exception {
        try (TestingCluster cluster = new TestingCluster(3)) {
            cluster.start();
            assertEquals(3, cluster.getInstances().size());
            assertEquals(3, cluster.getConnectString().split(",").length);
            try (CuratorFramework client = TestingServerTest.client(cluster.getConnectString())) {
                ZooKeeper zooKeeper = client.getZookeeperClient().getZooKeeper();
                client.create().forPath("/a", new byte[] {1});
                InstanceSpec first = cluster.findConnectionInstance(zooKeeper);
                assertNotNull(first);
                assertTrue(cluster.killServer(first));
                client.setData().forPath("/a", new byte[] {2});
                InstanceSpec second = cluster.findConnectionInstance(
                        client.getZookeeperClient().getZooKeeper());
                assertNotNull(second);
                assertNotEquals(first, second);
                assertTrue(cluster.restartServer(first));
                cluster.start();
                try (CuratorFramework own = TestingServerTest.client(first.getConnectString())) {
                    own.sync().forPath("/a");
                    assertArrayEquals(new byte[] {2}, own.getData().forPath("/a"));
                }
            }
        }
    }

    @Test
    void anotherLeadsWhenTheLeaderIsKilled() throws Exception {
        try (TestingCluster cluster = new TestingCluster(3)) {
            cluster.start();
            InstanceSpec first = leader(cluster);
            cluster.killServer(first);
            assertNotEquals(first, leader(cluster));
            cluster.stop();
            cluster.start();
            assertNotNull(leader(cluster));
        }
    }

    @Test
    void aServerOfAnotherEnsembleIsNone() throws Exception {
        InstanceSpec spec = InstanceSpec.newInstanceSpec();
        try (TestingCluster cluster = new TestingCluster(3)) {
            assertFalse(cluster.killServer(spec));
            assertFalse(cluster.restartServer(spec));
        }
        assertThrows(IllegalArgumentException.class, () -> new TestingCluster(0));
        assertThrows(IllegalArgumentException.class, () -> new TestingCluster(spec, spec));
        new TestingZooKeeperServer(spec).close();
    }

    @Test
    void whatIsWrongWithAMemberIsTold() throws Exception {
        InstanceSpec good = new InstanceSpec(null, -1, -1, -1, true, 1);
        InstanceSpec bad = new InstanceSpec(null, -1, -1, -1, true, 2, -1, -1,
                Collections.singletonMap("syncLimit", "many"));
        try (TestingCluster cluster = new TestingCluster(Arrays.asList(good, bad))) {
            IOException error = assertThrows(IOException.class, cluster::start);
            assertTrue(error.getMessage().contains("syncLimit=many"), error.getMessage());
        }
    }

    @Test
    void nobodyServesAClientThatIsGone() throws Exception {
        try (TestingCluster cluster = new TestingCluster(3)) {
            cluster.start();
            CuratorFramework client = TestingServerTest.client(cluster.getConnectString());
            ZooKeeper zooKeeper = client.getZookeeperClient().getZooKeeper();
            assertNotNull(cluster.findConnectionInstance(zooKeeper));
            client.close();
            long end = System.nanoTime() + 20_000_000_000L;
            while (cluster.findConnectionInstance(zooKeeper) != null && System.nanoTime() < end) {
                Thread.sleep(10);
            }
            assertNull(cluster.findConnectionInstance(zooKeeper));
        }
    }

    @Test
    void theExtensionGivesServers(TestingServer server, TestingCluster cluster) throws Exception {
        assertEquals("standalone", ServerProcess.mode("127.0.0.1", server.getPort()));
        assertNotNull(leader(cluster));
    }
}
