package io.github.menageriezk.test;

import java.io.Closeable;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import org.apache.zookeeper.ZooKeeper;

/**
 * An ensemble of real ZooKeeper servers. Constructors and methods are those of Curator's class of that
 * name; {@link #start()} besides waits until everybody serves.
 */
public class TestingCluster implements Closeable {
    private static final long START_SECONDS = 30;
    private static final long PAUSE_MS = 5;

    private final List<TestingZooKeeperServer> servers;

    /** An ensemble of that many servers on free ports. */
    public TestingCluster(int instanceQty) {
        this(makeSpecs(instanceQty));
    }

    /** An ensemble of servers as described. */
    public TestingCluster(InstanceSpec... specs) {
        this(Arrays.asList(specs));
    }

    /** An ensemble of servers as described. */
    public TestingCluster(Collection<InstanceSpec> specs) {
        this(makeAll(specs));
    }

    /** Servers as described, each with what it takes for the members of its ensemble. */
    public TestingCluster(Map<InstanceSpec, Collection<InstanceSpec>> specs) {
        List<TestingZooKeeperServer> made = new ArrayList<>();
        specs.forEach((spec, members) -> made.add(new TestingZooKeeperServer(spec, members)));
        servers = Collections.unmodifiableList(made);
    }

    private static Collection<InstanceSpec> makeSpecs(int count) {
        if (count < 1) {
            throw new IllegalArgumentException("an ensemble of " + count + " servers is none");
        }
        List<InstanceSpec> specs = new ArrayList<>();
        for (int i = 1; i <= count; i++) {
            specs.add(new InstanceSpec(null, -1, -1, -1, true, i));
        }
        return specs;
    }

    private static Map<InstanceSpec, Collection<InstanceSpec>> makeAll(Collection<InstanceSpec> specs) {
        Map<InstanceSpec, Collection<InstanceSpec>> all = new LinkedHashMap<>();
        for (InstanceSpec spec : specs) {
            if (all.put(spec, specs) != null) {
                throw new IllegalArgumentException("two servers are at " + spec.getConnectString());
            }
        }
        return all;
    }

    /** What the servers are like. */
    public Collection<InstanceSpec> getInstances() {
        return servers.stream().map(TestingZooKeeperServer::getInstanceSpec).collect(Collectors.toList());
    }

    /** The servers. */
    public List<TestingZooKeeperServer> getServers() {
        return servers;
    }

    /** Where clients connect: all servers, with commas between. */
    public String getConnectString() {
        return getInstances().stream().map(InstanceSpec::getConnectString).collect(Collectors.joining(","));
    }

    /**
     * Starts the servers that do not run; returns when one leads and all others follow.
     *
     * @throws TimeoutException when that takes too long
     */
    public void start() throws Exception {
        for (TestingZooKeeperServer server : servers) {
            server.start();
        }
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(START_SECONDS);
        while (servers.stream().anyMatch(server -> server.getMode() == null)) {
            if (System.nanoTime() > end) {
                throw new TimeoutException("the ensemble is not complete: " + modes());
            }
            Thread.sleep(PAUSE_MS);
        }
    }

    private String modes() {
        return servers.stream()
                .map(server -> "server " + server.getInstanceSpec().getServerId() + ": " + server.getMode())
                .collect(Collectors.joining(", "));
    }

    /** Stops all servers; their data stays until {@link #close()}. */
    public void stop() throws IOException {
        for (TestingZooKeeperServer server : servers) {
            server.stop();
        }
    }

    /** Stops all servers and removes their data. */
    @Override
    public void close() throws IOException {
        IOException failure = null;
        for (TestingZooKeeperServer server : servers) {
            try {
                server.close();
            } catch (IOException e) {
                failure = e;
            }
        }
        if (failure != null) {
            throw failure;
        }
    }

    /** Stops a server at once (SIGKILL); false when it is none of this ensemble. */
    public boolean killServer(InstanceSpec instance) throws Exception {
        for (TestingZooKeeperServer server : servers) {
            if (server.getInstanceSpec().equals(instance)) {
                server.kill();
                return true;
            }
        }
        return false;
    }

    /** Starts a server again, with its data; false when it is none of this ensemble. */
    public boolean restartServer(InstanceSpec instance) throws Exception {
        for (TestingZooKeeperServer server : servers) {
            if (server.getInstanceSpec().equals(instance)) {
                server.restart();
                return true;
            }
        }
        return false;
    }

    /** The server that a client is connected to; null when it is to none. */
    public InstanceSpec findConnectionInstance(ZooKeeper client) throws Exception {
        for (TestingZooKeeperServer server : servers) {
            InstanceSpec spec = server.getInstanceSpec();
            try {
                if (server.isRunning()
                        && ServerProcess.serves(spec.getHostname(), spec.getPort(), client.getSessionId())) {
                    return spec;
                }
            } catch (IOException e) {
                // A server that answers nobody has no client either.
            }
        }
        return null;
    }
}
