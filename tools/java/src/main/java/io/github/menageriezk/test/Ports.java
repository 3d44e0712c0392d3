package io.github.menageriezk.test;

import java.io.File;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Owns ports that have to be known before they are opened. Must not give one away twice.
 *
 * <p>They are from below the range that systems take for outgoing connections, and a lock on a file of
 * that number keeps other test runs away for as long as the port is claimed.
 */
final class Ports {
    private static final int FIRST = 20_000;
    private static final int COUNT = 12_000;
    private static final Map<Integer, FileChannel> CLAIMED = new HashMap<>();

    private Ports() {}

    /** A port that nobody uses, until it is released. */
    static synchronized int claim() {
        int begin = ThreadLocalRandom.current().nextInt(COUNT);
        IOException last = null;
        for (int i = 0; i < COUNT; i++) {
            int port = FIRST + (begin + i) % COUNT;
            if (CLAIMED.containsKey(port)) {
                continue;
            }
            try {
                FileChannel lock = lock(port);
                if (lock != null) {
                    CLAIMED.put(port, lock);
                    return port;
                }
            } catch (IOException e) {
                last = e;
            }
        }
        throw new IllegalStateException(
                "there is no free port from " + FIRST + " to " + (FIRST + COUNT - 1), last);
    }

    /** The port is not needed any more; does nothing for one that was not claimed. */
    static synchronized void release(int port) {
        FileChannel lock = CLAIMED.remove(port);
        if (lock != null) {
            try {
                lock.close();
            } catch (IOException e) {
                // The lock ends with the process at the latest.
            }
        }
    }

    private static FileChannel lock(int port) throws IOException {
        String user = System.getProperty("user.name");
        File folder = new File(System.getProperty("java.io.tmpdir"), "menagerie-ports-" + user);
        if (!folder.isDirectory() && !folder.mkdirs() && !folder.isDirectory()) {
            throw new IOException("cannot make the directory " + folder);
        }
        Path file = new File(folder, Integer.toString(port)).toPath();
        FileChannel channel =
                FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        boolean ours = false;
        try {
            FileLock lock = channel.tryLock();
            ours = lock != null && isFree(port);
        } catch (OverlappingFileLockException e) {
            // Another class loader of this virtual machine has it.
            ours = false;
        } finally {
            if (!ours) {
                channel.close();
            }
        }
        return ours ? channel : null;
    }

    private static boolean isFree(int port) {
        try (ServerSocket probe = new ServerSocket()) {
            probe.setReuseAddress(true);
            probe.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), port));
            return true;
        } catch (IOException e) {
            return false;
        }
    }
}
