package io.github.menageriezk.test;

import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * What a server is to be like: directory, ports, number, parameters. Two are equal when host and port
 * are.
 */
public class InstanceSpec {
    private static final AtomicInteger NEXT_ID = new AtomicInteger(1);
    private static final String LOCALHOST = "127.0.0.1";

    private final File dataDirectory;
    private final int port;
    private final int electionPort;
    private final int quorumPort;
    private final boolean deleteDataDirectoryOnClose;
    private final int serverId;
    private final int tickTime;
    private final int maxClientCnxns;
    private final Map<String, Object> customProperties;
    private final String hostname;

    /**
     * @param dataDirectory where the data goes; null for a new temporary directory
     * @param port port for clients; a free one when it is 0 or negative
     * @param electionPort port for elections, likewise
     * @param quorumPort port of the leader, likewise
     * @param deleteDataDirectoryOnClose whether closing the server removes the directory
     * @param serverId the server's number; a new one when it is 0 or negative
     */
    public InstanceSpec(File dataDirectory, int port, int electionPort, int quorumPort,
            boolean deleteDataDirectoryOnClose, int serverId) {
        this(dataDirectory, port, electionPort, quorumPort, deleteDataDirectoryOnClose, serverId, -1, -1);
    }

    /**
     * As above.
     *
     * @param tickTime milliseconds of a tick; the default when it is 0 or negative
     * @param maxClientCnxns connections from one address; the default when it is negative
     */
    public InstanceSpec(File dataDirectory, int port, int electionPort, int quorumPort,
            boolean deleteDataDirectoryOnClose, int serverId, int tickTime, int maxClientCnxns) {
        this(dataDirectory, port, electionPort, quorumPort, deleteDataDirectoryOnClose, serverId,
                tickTime, maxClientCnxns, Collections.emptyMap());
    }

    /**
     * As above.
     *
     * @param customProperties further keys of zoo.cfg
     */
    public InstanceSpec(File dataDirectory, int port, int electionPort, int quorumPort,
            boolean deleteDataDirectoryOnClose, int serverId, int tickTime, int maxClientCnxns,
            Map<String, Object> customProperties) {
        this(dataDirectory, port, electionPort, quorumPort, deleteDataDirectoryOnClose, serverId,
                tickTime, maxClientCnxns, customProperties, null);
    }

    /**
     * As above.
     *
     * @param hostname where the server listens; 127.0.0.1 when it is null
     */
    public InstanceSpec(File dataDirectory, int port, int electionPort, int quorumPort,
            boolean deleteDataDirectoryOnClose, int serverId, int tickTime, int maxClientCnxns,
            Map<String, Object> customProperties, String hostname) {
        this.dataDirectory = dataDirectory != null ? dataDirectory : temporary();
        this.port = port > 0 ? port : Ports.claim();
        this.electionPort = electionPort > 0 ? electionPort : Ports.claim();
        this.quorumPort = quorumPort > 0 ? quorumPort : Ports.claim();
        this.deleteDataDirectoryOnClose = deleteDataDirectoryOnClose;
        this.serverId = serverId > 0 ? serverId : NEXT_ID.getAndIncrement();
        this.tickTime = tickTime;
        this.maxClientCnxns = maxClientCnxns;
        this.customProperties = customProperties == null
                ? Collections.emptyMap()
                : Collections.unmodifiableMap(new LinkedHashMap<>(customProperties));
        this.hostname = hostname != null ? hostname : LOCALHOST;
        if (deleteDataDirectoryOnClose) {
            Cleanup.atExit(this.dataDirectory);
        }
    }

    /** A server with free ports, a number of its own and a temporary directory. */
    public static InstanceSpec newInstanceSpec() {
        return new InstanceSpec(null, -1, -1, -1, true, -1, -1, -1);
    }

    /** A port that nobody uses, kept from other tests until this virtual machine ends. */
    public static int getRandomPort() {
        return Ports.claim();
    }

    /** Begins with number 1 again. */
    public static void reset() {
        NEXT_ID.set(1);
    }

    private static File temporary() {
        try {
            return Files.createTempDirectory("menagerie-data-").toFile();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot make a temporary directory", e);
        }
    }

    /** Where the data goes. */
    public File getDataDirectory() {
        return dataDirectory;
    }

    /** The server's number. */
    public int getServerId() {
        return serverId;
    }

    /** The port for clients. */
    public int getPort() {
        return port;
    }

    /** The port for elections. */
    public int getElectionPort() {
        return electionPort;
    }

    /** The port of the leader. */
    public int getQuorumPort() {
        return quorumPort;
    }

    /** Where clients connect. */
    public String getConnectString() {
        return hostname + ":" + port;
    }

    /** Milliseconds of a tick, or what is not positive. */
    public int getTickTime() {
        return tickTime;
    }

    /** Connections from one address, or what is negative. */
    public int getMaxClientCnxns() {
        return maxClientCnxns;
    }

    /** Whether closing the server removes the directory. */
    public boolean deleteDataDirectoryOnClose() {
        return deleteDataDirectoryOnClose;
    }

    /** Further keys of zoo.cfg. */
    public Map<String, Object> getCustomProperties() {
        return customProperties;
    }

    /** Where the server listens. */
    public String getHostname() {
        return hostname;
    }

    void releasePorts() {
        Ports.release(port);
        Ports.release(electionPort);
        Ports.release(quorumPort);
    }

    @Override
    public boolean equals(Object other) {
        if (!(other instanceof InstanceSpec)) {
            return false;
        }
        InstanceSpec that = (InstanceSpec) other;
        return port == that.port && hostname.equals(that.hostname);
    }

    @Override
    public int hashCode() {
        return 31 * hostname.hashCode() + port;
    }

    @Override
    public String toString() {
        return "InstanceSpec{server " + serverId + " at " + getConnectString() + ", quorumPort " + quorumPort
                + ", electionPort " + electionPort + ", data in " + dataDirectory + "}";
    }
}
