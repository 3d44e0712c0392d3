package io.github.menageriezk.test;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/** Owns finding the server's program. Must not start it. */
final class Binary {
    /** The system property that names another program. */
    static final String PROPERTY = "menagerie.binary";
    /** The environment variable that does. */
    static final String VARIABLE = "MENAGERIE_BINARY";

    private static File extracted;

    private Binary() {}

    /** The program: one that was named, or else the one in this jar. */
    static File find() throws IOException {
        String property = System.getProperty(PROPERTY);
        if (property != null && !property.isEmpty()) {
            return named("the system property " + PROPERTY, property);
        }
        String variable = System.getenv(VARIABLE);
        if (variable != null && !variable.isEmpty()) {
            return named("the environment variable " + VARIABLE, variable);
        }
        return extract();
    }

    private static File named(String by, String path) throws IOException {
        File file = new File(path);
        if (!file.isFile() || !file.canExecute()) {
            throw new IOException(by + " names " + path + ", and there is no program");
        }
        return file;
    }

    /** Once for each virtual machine, to a directory that only this user may write to. */
    private static synchronized File extract() throws IOException {
        if (extracted != null && extracted.canExecute()) {
            return extracted;
        }
        String platform = platform();
        String resource = "bin/" + platform + "/menagerie";
        try (InputStream in = Binary.class.getResourceAsStream(resource)) {
            if (in == null) {
                throw new IOException("there is no server for " + platform + " in this jar; the system "
                        + "property " + PROPERTY + " or the variable " + VARIABLE + " may name one");
            }
            Path folder = Files.createTempDirectory("menagerie-");
            Cleanup.atExit(folder.toFile());
            Path file = folder.resolve("menagerie");
            Files.copy(in, file);
            if (!file.toFile().setExecutable(true)) {
                throw new IOException(file + " cannot be made a program");
            }
            extracted = file.toFile();
            return extracted;
        }
    }

    /** The system and the processor, as the jar's folders are called. */
    static String platform() {
        String os = System.getProperty("os.name", "").toLowerCase(Locale.ROOT);
        String arch = System.getProperty("os.arch", "").toLowerCase(Locale.ROOT);
        String system = os.startsWith("mac") ? "macos" : os.split(" ")[0];
        switch (arch) {
            case "amd64":
            case "x86-64":
                return system + "-x86_64";
            case "arm64":
                return system + "-aarch64";
            default:
                return system + "-" + arch;
        }
    }
}
