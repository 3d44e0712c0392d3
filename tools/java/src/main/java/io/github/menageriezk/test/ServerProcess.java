package io.github.menageriezk.test;

import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Owns one run of the server: its configuration file, its process, its log. Must not speak to it but
 * in four-letter words.
 */
final class ServerProcess {
    private static final long START_SECONDS = 30;
    private static final long STOP_SECONDS = 10;
    private static final int WORD_TIMEOUT_MS = 5_000;
    private static final String READY = "menagerie ready clientPort=";
    private static final Pattern ERROR_LINE = Pattern.compile("^\\S+\\s+ERROR\\s+\\S+:\\s+(.*)$");
    /** What comes out when the process ends without a word. */
    private static final String END = "";

    private final Process process;
    private final File folder;

    private ServerProcess(Process process, File folder) {
        this.process = process;
        this.folder = folder;
    }

    /** Starts a server; returns when clients can connect. */
    static ServerProcess start(Map<String, String> parameters) throws IOException {
        File binary = Binary.find();
        Path folder = Files.createTempDirectory("menagerie-server-");
        Cleanup.atExit(folder.toFile());
        Path config = folder.resolve("zoo.cfg");
        Files.write(config, properties(parameters).getBytes(StandardCharsets.US_ASCII));
        // The server ends when its standard input does, so at the latest with this virtual machine.
        ProcessBuilder builder =
                new ProcessBuilder(binary.getPath(), "--stop-with-stdin", config.toString());
        builder.redirectError(folder.resolve("server.log").toFile());
        // Java flags of the environment would be taken for parameters.
        builder.environment().remove("JVMFLAGS");
        builder.environment().remove("SERVER_JVMFLAGS");
        ServerProcess server = new ServerProcess(builder.start(), folder.toFile());
        Cleanup.atExit(server);
        boolean ready = false;
        try {
            server.awaitReady();
            ready = true;
        } finally {
            if (!ready) {
                server.kill();
            }
        }
        return server;
    }

    boolean isRunning() {
        return process.isAlive();
    }

    /** Ends in good order; kills a server that does not within its time. */
    void stop() {
        process.destroy();
        end();
    }

    /** Ends at once. */
    void kill() {
        process.destroyForcibly();
        end();
    }

    private void end() {
        boolean interrupted = false;
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(STOP_SECONDS);
        while (true) {
            try {
                if (!process.waitFor(Math.max(0, end - System.nanoTime()), TimeUnit.NANOSECONDS)) {
                    process.destroyForcibly();
                    process.waitFor(STOP_SECONDS, TimeUnit.SECONDS);
                }
                break;
            } catch (InterruptedException e) {
                // A server must not stay behind because its test was interrupted.
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        Cleanup.forget(this);
        try {
            Cleanup.delete(folder);
        } catch (IOException e) {
            // The end of the virtual machine tries again.
        }
    }

    private void awaitReady() throws IOException {
        BlockingQueue<String> first = new ArrayBlockingQueue<>(1);
        Thread reader = new Thread(() -> drain(first), "menagerie-output");
        reader.setDaemon(true);
        reader.start();
        String line;
        try {
            line = first.poll(START_SECONDS, TimeUnit.SECONDS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while the server started", e);
        }
        if (line != null && line.startsWith(READY)) {
            return;
        }
        String what = "the server was not ready within " + START_SECONDS + " s";
        if (line != null) {
            what = "the server did not start";
            try {
                if (process.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
                    what += " (exit status " + process.exitValue() + ")";
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
        String message = message();
        throw new IOException(message.isEmpty() ? what : what + ": " + message);
    }

    private void drain(BlockingQueue<String> first) {
        try (BufferedReader lines = new BufferedReader(
                new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                first.offer(line);
            }
        } catch (IOException e) {
            // The process was killed.
        }
        first.offer(END);
    }

    /** The error that the log ends with, or else its last line. */
    private String message() throws IOException {
        byte[] log = Files.readAllBytes(folder.toPath().resolve("server.log"));
        String[] lines = new String(log, StandardCharsets.UTF_8).trim().split("\n");
        for (int i = lines.length - 1; i >= 0; i--) {
            Matcher error = ERROR_LINE.matcher(lines[i]);
            if (error.matches()) {
                StringBuilder text = new StringBuilder(error.group(1));
                for (int rest = i + 1; rest < lines.length; rest++) {
                    text.append('\n').append(lines[rest]);
                }
                return text.toString();
            }
        }
        return lines[lines.length - 1];
    }

    /** The answer to a four-letter word. */
    static String fourLetter(String host, int port, String word) throws IOException {
        try (Socket socket = new Socket()) {
            socket.connect(new InetSocketAddress(host, port), WORD_TIMEOUT_MS);
            socket.setSoTimeout(WORD_TIMEOUT_MS);
            socket.getOutputStream().write(word.getBytes(StandardCharsets.US_ASCII));
            ByteArrayOutputStream answer = new ByteArrayOutputStream();
            InputStream in = socket.getInputStream();
            byte[] part = new byte[8192];
            for (int n = in.read(part); n >= 0; n = in.read(part)) {
                answer.write(part, 0, n);
            }
            return new String(answer.toByteArray(), StandardCharsets.UTF_8);
        }
    }

    /** What {@code srvr} calls the server's mode; null while it serves nobody. */
    static String mode(String host, int port) {
        try {
            for (String line : fourLetter(host, port, "srvr").split("\n")) {
                if (line.startsWith("Mode: ")) {
                    return line.substring("Mode: ".length()).trim();
                }
            }
        } catch (IOException e) {
            return null;
        }
        return null;
    }

    /** Whether a session's client is connected to this server. */
    static boolean serves(String host, int port, long session) throws IOException {
        String wanted = "sid=0x" + Long.toHexString(session) + ",";
        List<String> lines = java.util.Arrays.asList(fourLetter(host, port, "cons").split("\n"));
        return lines.stream().anyMatch(line -> line.contains(wanted));
    }

    private static String properties(Map<String, String> parameters) {
        StringBuilder text = new StringBuilder();
        parameters.forEach((key, value) -> {
            escape(text, key, "\\=: #!");
            text.append('=');
            escape(text, value, "\\");
            text.append('\n');
        });
        return text.toString();
    }

    private static void escape(StringBuilder to, String text, String special) {
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c < ' ' || c > '~') {
                to.append(String.format("\\u%04x", (int) c));
            } else if (special.indexOf(c) >= 0 || (c == ' ' && i == 0)) {
                to.append('\\').append(c);
            } else {
                to.append(c);
            }
        }
    }
}
