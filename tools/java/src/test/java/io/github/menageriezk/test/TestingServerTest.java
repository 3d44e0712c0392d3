package io.github.menageriezk.test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.retry.RetryNTimes;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(120)
class TestingServerTest {
    static CuratorFramework client(String connectString) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.newClient(
                connectString, 10_000, 10_000, new RetryNTimes(100, 100));
        client.start();
        assertTrue(client.blockUntilConnected(20, TimeUnit.SECONDS), "no connection to " + connectString);
        return client;
    }

    @Test
    void recipesWork() throws Exception {
        try (TestingServer server = new TestingServer();
                CuratorFramework one = client(server.getConnectString());
                CuratorFramework two = client(server.getConnectString())) {
            InterProcessMutex mine = new InterProcessMutex(one, "/lock");
            InterProcessMutex yours = new InterProcessMutex(two, "/lock");
            assertTrue(mine.acquire(10, TimeUnit.SECONDS));
            assertFalse(yours.acquire(200, TimeUnit.MILLISECONDS));
            mine.release();
            assertTrue(yours.acquire(10, TimeUnit.SECONDS));
            yours.release();
            try (LeaderLatch latch = new LeaderLatch(one, "/latch", "me")) {
                latch.start();
                assertTrue(latch.await(10, TimeUnit.SECONDS));
            }
            try (SharedCount count = new SharedCount(two, "/count", 7)) {
                count.start();
                assertEquals(7, count.getCount());
            }
        }
    }

    @Test
    void aRestartKeepsPortAndData() throws Exception {
        try (TestingServer server = new TestingServer();
                CuratorFramework client = client(server.getConnectString())) {
            int port = server.getPort();
            assertEquals("127.0.0.1:" + port, server.getConnectString());
            client.create().forPath("/a", new byte[] {1});
            server.restart();
            assertEquals(port, server.getPort());
            assertArrayEquals(new byte[] {1}, client.getData().forPath("/a"));
            server.stop();
            server.start();
            assertArrayEquals(new byte[] {1}, client.getData().forPath("/a"));
            server.kill();
            server.start();
            assertArrayEquals(new byte[] {1}, client.getData().forPath("/a"));
        }
    }

    @Test
    void constructorsOfCuratorsClass(@TempDir Path folder) throws Exception {
        int port = InstanceSpec.getRandomPort();
        try (TestingServer server = new TestingServer(port)) {
            assertEquals(port, server.getPort());
            assertTrue(answers(server));
        }
        try (TestingServer server = new TestingServer(InstanceSpec.getRandomPort(), false)) {
            assertFalse(answers(server));
            server.start();
            assertTrue(answers(server));
        }
        try (TestingServer server = new TestingServer(false)) {
            assertFalse(answers(server));
        }
        File data = folder.resolve("data").toFile();
        try (TestingServer server = new TestingServer(-1, data)) {
            assertEquals(data, server.getTempDirectory());
            assertTrue(new File(data, "version-2").isDirectory());
        }
        assertFalse(data.exists());
        InstanceSpec spec = new InstanceSpec(folder.resolve("d\u00e4 ta").toFile(), -1, -1, -1, false, 3, 700,
                55, Collections.singletonMap("maxSessionTimeout", 12_345));
        try (TestingServer server = new TestingServer(spec, true)) {
            String conf = ServerProcess.fourLetter("127.0.0.1", server.getPort(), "conf");
            assertTrue(conf.contains("tickTime=700\nmaxClientCnxns=55\n"), conf);
            assertTrue(conf.contains("maxSessionTimeout=12345"), conf);
        }
        assertTrue(new File(spec.getDataDirectory(), "version-2").isDirectory());
    }

    private static boolean answers(TestingServer server) {
        return ServerProcess.mode("127.0.0.1", server.getPort()) != null;
    }

    @Test
    void nothingIsLeftAfterClose() throws Exception {
        TestingServer server = new TestingServer();
        assertTrue(answers(server));
        server.close();
        server.close();
        assertFalse(answers(server));
        assertFalse(server.getTempDirectory().exists());
        IllegalStateException error = assertThrows(IllegalStateException.class, server::start);
        assertTrue(error.getMessage().contains("is closed"), error.getMessage());
    }

    @Test
    void manyStartAtATime() throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(8);
        try {
            List<Future<TestingServer>> starting = IntStream.range(0, 8)
                    .mapToObj(i -> pool.submit(() -> new TestingServer()))
                    .collect(Collectors.toList());
            Set<Integer> ports = new HashSet<>();
            for (Future<TestingServer> future : starting) {
                try (TestingServer server = future.get(60, TimeUnit.SECONDS)) {
                    assertTrue(answers(server));
                    ports.add(server.getPort());
                }
            }
            assertEquals(8, ports.size());
        } finally {
            pool.shutdownNow();
        }
    }

    @Test
    void aWrongParameterIsToldInTheServersOwnWords() {
        Map<String, Object> wrong = Collections.singletonMap("tickTime", "2s");
        InstanceSpec spec = new InstanceSpec(null, -1, -1, -1, true, -1, -1, -1, wrong);
        IOException error = assertThrows(IOException.class, () -> new TestingServer(spec, true));
        String text = error.getMessage();
        assertTrue(text.startsWith("the server did not start (exit status 2): "), text);
        assertTrue(text.contains("zoo.cfg:") && text.contains("tickTime=2s: allowed is"), text);
        assertFalse(spec.getDataDirectory().exists());
    }

    @Test
    void aPortInUseIsNamed() throws Exception {
        try (ServerSocket taken = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            int port = taken.getLocalPort();
            IOException error = assertThrows(IOException.class, () -> new TestingServer(port));
            String expected = "cannot listen on 127.0.0.1:" + port;
            assertTrue(error.getMessage().contains(expected), error.getMessage());
        }
    }

    @Test
    void aProgramThatIsNotThereIsNamed() {
        System.setProperty(Binary.PROPERTY, "/nowhere/menagerie");
        try {
            IOException error = assertThrows(IOException.class, TestingServer::new);
            assertTrue(error.getMessage().contains("menagerie.binary names /nowhere/menagerie"),
                    error.getMessage());
        } finally {
            System.clearProperty(Binary.PROPERTY);
        }
    }

    @Test
    void serversEndWithTheVirtualMachineHoweverItEnds() throws Exception {
        for (String how : new String[] {"exit", "kill"}) {
            Process java = new ProcessBuilder(
                    System.getProperty("java.home") + "/bin/java", "-cp", System.getProperty("java.class.path"),
                    Victim.class.getName(), how).redirectError(ProcessBuilder.Redirect.INHERIT).start();
            try (BufferedReader lines = new BufferedReader(new InputStreamReader(java.getInputStream()))) {
                String line = lines.readLine();
                assertNotNull(line, how);
                String[] told = line.split(" ");
                int port = Integer.parseInt(told[0]);
                if (how.equals("kill")) {
                    assertNotNull(ServerProcess.mode("127.0.0.1", port));
                    java.destroyForcibly();
                }
                assertTrue(java.waitFor(30, TimeUnit.SECONDS));
                long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
                while (ServerProcess.mode("127.0.0.1", port) != null) {
                    assertTrue(System.nanoTime() < end, how + ": the server is still there");
                    Thread.sleep(20);
                }
                if (how.equals("exit")) {
                    assertFalse(Files.exists(new File(told[1]).toPath()));
                } else {
                    Cleanup.delete(new File(told[1]));
                }
            } finally {
                java.destroyForcibly();
            }
        }
    }

    /** A program that leaves its server to itself. */
    static final class Victim {
        public static void main(String[] how) throws Exception {
            TestingServer server = new TestingServer();
            System.out.println(server.getPort() + " " + server.getTempDirectory());
            if (how[0].equals("kill")) {
                Thread.sleep(60_000);
            }
            System.exit(0);
        }
    }

    @Test
    void platformsAreCalledAsTheFoldersOfTheJar() {
        assertTrue(Binary.platform().matches("[a-z]+-[a-z0-9_]+"), Binary.platform());
        assertNull(Binary.class.getResource("bin/plan9-vax/menagerie"));
    }
}
