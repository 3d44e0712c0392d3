package io.github.menageriezk.test;

import java.io.Closeable;
import java.io.File;
import java.io.IOException;

/**
 * A real ZooKeeper server in a process of its own, ready in milliseconds. Constructors and methods are
 * those of Curator's class of that name, so that a test changes nothing but an import.
 */
public class TestingServer implements Closeable {
    private final TestingZooKeeperServer server;
    private final InstanceSpec spec;

    /** Starts a server on a free port with a temporary directory. */
    public TestingServer() throws Exception {
        this(-1, null, true);
    }

    /** The same, started or not. */
    public TestingServer(boolean start) throws Exception {
        this(-1, null, start);
    }

    /** Starts a server on a port with a temporary directory. */
    public TestingServer(int port) throws Exception {
        this(port, null, true);
    }

    /** The same, started or not. */
    public TestingServer(int port, boolean start) throws Exception {
        this(port, null, start);
    }

    /** Starts a server on a port with a directory, which {@link #close()} removes. */
    public TestingServer(int port, File tempDirectory) throws Exception {
        this(port, tempDirectory, true);
    }

    /** The same, started or not. A port that is not positive stands for a free one. */
    public TestingServer(int port, File tempDirectory, boolean start) throws Exception {
        this(new InstanceSpec(tempDirectory, port, -1, -1, true, -1), start);
    }

    /** A server as described, started or not. */
    public TestingServer(InstanceSpec spec, boolean start) throws Exception {
        this.spec = spec;
        this.server = new TestingZooKeeperServer(spec);
        if (start) {
            boolean started = false;
            try {
                server.start();
                started = true;
            } finally {
                if (!started) {
                    server.close();
                }
            }
        }
    }

    /** The port for clients. */
    public int getPort() {
        return spec.getPort();
    }

    /** Where clients connect. */
    public String getConnectString() {
        return spec.getConnectString();
    }

    /** Where the data goes. */
    public File getTempDirectory() {
        return spec.getDataDirectory();
    }

    /**
     * Starts the server; returns when clients can connect.
     *
     * @throws IOException with the server's own message, when it does not start
     */
    public void start() throws Exception {
        server.start();
    }

    /** Stops the server; its data stays until {@link #close()}. */
    public void stop() throws IOException {
        server.stop();
    }

    /** Stops the server and starts it again, with its data and on its port. */
    public void restart() throws Exception {
        server.restart();
    }

    /** Stops the server at once (SIGKILL); its data stays until {@link #close()}. */
    public void kill() {
        server.kill();
    }

    /** Stops the server and removes its data. */
    @Override
    public void close() throws IOException {
        server.close();
    }
}
