package io.github.menageriezk.test;

import java.io.File;
import java.io.IOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;

/** Owns what is left to do when the virtual machine ends: processes first, then directories. */
final class Cleanup {
    private static final Set<ServerProcess> PROCESSES = new LinkedHashSet<>();
    private static final Set<File> FOLDERS = new LinkedHashSet<>();

    static {
        Runtime.getRuntime().addShutdownHook(new Thread(Cleanup::all, "menagerie-cleanup"));
    }

    private Cleanup() {}

    /** Removes a directory at the end, unless that has been done. */
    static synchronized void atExit(File folder) {
        FOLDERS.add(folder);
    }

    /**
     * Kills a process at the end. It is also what keeps a running server's pipes from being collected
     * as garbage, which would stop the server.
     */
    static synchronized void atExit(ServerProcess process) {
        PROCESSES.add(process);
    }

    /** The process has ended. */
    static synchronized void forget(ServerProcess process) {
        PROCESSES.remove(process);
    }

    /** Removes a directory now. */
    static void delete(File folder) throws IOException {
        try {
            Files.walkFileTree(folder.toPath(), new SimpleFileVisitor<Path>() {
                @Override
                public FileVisitResult visitFile(Path file, BasicFileAttributes attributes)
                        throws IOException {
                    Files.deleteIfExists(file);
                    return FileVisitResult.CONTINUE;
                }

                @Override
                public FileVisitResult postVisitDirectory(Path directory, IOException error)
                        throws IOException {
                    if (error != null) {
                        throw error;
                    }
                    Files.deleteIfExists(directory);
                    return FileVisitResult.CONTINUE;
                }
            });
        } catch (NoSuchFileException e) {
            // It is gone already.
        }
        synchronized (Cleanup.class) {
            FOLDERS.remove(folder);
        }
    }

    private static void all() {
        List<ServerProcess> processes;
        List<File> folders;
        synchronized (Cleanup.class) {
            processes = new ArrayList<>(PROCESSES);
            folders = new ArrayList<>(FOLDERS);
        }
        processes.forEach(ServerProcess::kill);
        for (File folder : folders) {
            try {
                delete(folder);
            } catch (IOException e) {
                // Nobody is left to be told; the directory is a temporary one.
            }
        }
    }
}
