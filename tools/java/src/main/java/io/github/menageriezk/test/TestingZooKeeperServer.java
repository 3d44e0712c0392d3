package io.github.menageriezk.test;

import java.io.Closeable;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;

/** A server alone, or a member of an ensemble. */
public class TestingZooKeeperServer implements Closeable {
    private final InstanceSpec spec;
    private final Collection<InstanceSpec> ensemble;
    private ServerProcess process;
    private boolean closed;

    /** A server alone. */
    public TestingZooKeeperServer(InstanceSpec spec) {
        this(spec, Collections.singletonList(spec));
    }

    /** The member {@code spec} of an ensemble. */
    public TestingZooKeeperServer(InstanceSpec spec, Collection<InstanceSpec> ensemble) {
        this.spec = Objects.requireNonNull(spec, "spec");
        this.ensemble = Objects.requireNonNull(ensemble, "ensemble");
        if (!ensemble.contains(spec)) {
            throw new IllegalArgumentException(spec + " is not among the members");
        }
    }

    /** What the server is like. */
    public InstanceSpec getInstanceSpec() {
        return spec;
    }

    /** What the members of its ensemble are like. */
    public Collection<InstanceSpec> getInstanceSpecs() {
        return Collections.unmodifiableCollection(ensemble);
    }

    /** Whether the server's process is there. */
    public synchronized boolean isRunning() {
        return process != null && process.isRunning();
    }

    /** {@code standalone}, {@code leader}, {@code follower}; null while it serves nobody. */
    public String getMode() {
        return isRunning() ? ServerProcess.mode(spec.getHostname(), spec.getPort()) : null;
    }

    /**
     * Starts the server, with the data that is there; does nothing when it runs.
     *
     * @throws IOException with the server's own message, when it does not start
     */
    public synchronized void start() throws Exception {
        if (closed) {
            throw new IllegalStateException("the server at " + spec.getConnectString() + " is closed");
        }
        if (!isRunning()) {
            stop();
            process = ServerProcess.start(parameters());
        }
    }

    /** Stops the server in good order; its data stays. */
    public synchronized void stop() throws IOException {
        if (process != null) {
            process.stop();
            process = null;
        }
    }

    /** Stops the server at once, as a power cut would (SIGKILL); its data stays. */
    public synchronized void kill() {
        if (process != null) {
            process.kill();
            process = null;
        }
    }

    /** Stops the server and starts it again, with its data and on its port. */
    public synchronized void restart() throws Exception {
        if (closed) {
            throw new IllegalStateException("the server at " + spec.getConnectString() + " is closed");
        }
        stop();
        start();
    }

    /** Stops the server for good, and removes its data if it is to. */
    @Override
    public synchronized void close() throws IOException {
        if (closed) {
            return;
        }
        stop();
        closed = true;
        spec.releasePorts();
        if (spec.deleteDataDirectoryOnClose()) {
            Cleanup.delete(spec.getDataDirectory());
        }
    }

    private Map<String, String> parameters() throws IOException {
        Map<String, String> parameters = new LinkedHashMap<>();
        parameters.put("clientPort", Integer.toString(spec.getPort()));
        parameters.put("clientPortAddress", spec.getHostname());
        parameters.put("dataDir", spec.getDataDirectory().getAbsolutePath());
        parameters.put("4lw.commands.whitelist", "*");
        parameters.put("admin.enableServer", "false");
        if (spec.deleteDataDirectoryOnClose()) {
            // What is thrown away need not survive the machine.
            parameters.put("forceSync", "no");
        }
        if (spec.getTickTime() > 0) {
            parameters.put("tickTime", Integer.toString(spec.getTickTime()));
        }
        if (spec.getMaxClientCnxns() >= 0) {
            parameters.put("maxClientCnxns", Integer.toString(spec.getMaxClientCnxns()));
        }
        if (ensemble.size() > 1) {
            parameters.put("initLimit", "10");
            parameters.put("syncLimit", "5");
            // Members that start one after the other may elect two, one of whom waits for followers in
            // vain: by default for all of initLimit.
            parameters.put("leader.maxTimeToWaitForEpoch", "0");
            for (InstanceSpec member : ensemble) {
                parameters.put("server." + member.getServerId(), member.getHostname() + ":"
                        + member.getQuorumPort() + ":" + member.getElectionPort());
            }
            File directory = spec.getDataDirectory();
            Files.createDirectories(directory.toPath());
            byte[] number = (spec.getServerId() + "\n").getBytes(StandardCharsets.US_ASCII);
            Files.write(directory.toPath().resolve("myid"), number);
        }
        spec.getCustomProperties().forEach((key, value) -> parameters.put(key, String.valueOf(value)));
        return parameters;
    }

    @Override
    public String toString() {
        return "TestingZooKeeperServer{" + spec + (isRunning() ? "" : ", not running") + "}";
    }
}
