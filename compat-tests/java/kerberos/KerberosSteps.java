import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.PrivilegedExceptionAction;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import javax.security.auth.Subject;
import javax.security.auth.login.AppConfigurationEntry;
import javax.security.auth.login.Configuration;
import javax.security.auth.login.LoginContext;
import org.ietf.jgss.GSSContext;
import org.ietf.jgss.GSSCredential;
import org.ietf.jgss.GSSException;
import org.ietf.jgss.GSSManager;
import org.ietf.jgss.GSSName;
import org.ietf.jgss.MessageProp;
import org.ietf.jgss.Oid;

/**
 * A client of SASL GSSAPI written from RFC 4752, so that it can be wrong on purpose; one line for
 * each answer. Arguments: PORT CONVERSATION KEYTAB PRINCIPAL...
 */
public class KerberosSteps {
    static final String KERBEROS = "1.2.840.113554.1.2.2";
    static final String SPNEGO = "1.3.6.1.5.5.2";
    static final int SASL = 102;
    static final int WHO_AM_I = 107;
    static final byte[] NOTHING = new byte[0];
    static final byte[] NO_LAYER = {1, 0, 0, 0};

    static int port;
    static Subject subject;
    static volatile boolean quiet;

    static void say(String line) {
        if (!quiet) {
            System.out.println(line);
        }
    }

    /** A connection with a session. */
    static class Wire implements AutoCloseable {
        final Socket socket = new Socket(InetAddress.getByAddress(new byte[] {127, 0, 0, 1}), port);
        final DataInputStream in = new DataInputStream(socket.getInputStream());
        int xid = 1;

        Wire() throws IOException {
            socket.setTcpNoDelay(true);
            socket.setSoTimeout(20_000);
            send(ByteBuffer.allocate(45).putInt(0).putLong(0).putInt(10_000).putLong(0).putInt(16).put(new byte[17]).array());
            receive();
        }

        void send(byte[]... frames) throws IOException {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            DataOutputStream out = new DataOutputStream(bytes);
            for (byte[] frame : frames) {
                out.writeInt(frame.length);
                out.write(frame);
            }
            socket.getOutputStream().write(bytes.toByteArray());
        }

        ByteBuffer receive() throws IOException {
            byte[] frame = new byte[in.readInt()];
            in.readFully(frame);
            return ByteBuffer.wrap(frame);
        }

        byte[] request(int op, byte[] token) {
            ByteBuffer frame = ByteBuffer.allocate(op == SASL ? 12 + token.length : 8);
            frame.putInt(xid++).putInt(op);
            if (op == SASL) {
                frame.putInt(token.length).put(token);
            }
            return frame.array();
        }

        /** Sends a token; the server's, or null after saying why there is none. */
        byte[] token(String what, byte[] token) throws IOException {
            try {
                send(request(SASL, token));
                return answer(what);
            } catch (EOFException | SocketException e) {
                say(what + ": closed");
                return null;
            }
        }

        byte[] answer(String what) throws IOException {
            ByteBuffer reply = receive();
            reply.position(12);
            int error = reply.getInt();
            int length = reply.getInt();
            if (error != 0) {
                say(what + ": error " + error + " token " + length + " " + fate());
                return null;
            }
            say(what + ": " + (length < 0 ? "null" : length == 0 ? "empty" : "a token"));
            if (length < 0) {
                return null;
            }
            byte[] token = new byte[length];
            reply.get(token);
            return token;
        }

        String fate() throws IOException {
            socket.setSoTimeout(400);
            try {
                return in.read() < 0 ? "closed" : "more";
            } catch (SocketTimeoutException e) {
                return "open";
            } catch (SocketException e) {
                return "closed";
            } finally {
                socket.setSoTimeout(20_000);
            }
        }

        List<String> whoAmI() throws IOException {
            try {
                send(request(WHO_AM_I, null));
                return identities();
            } catch (EOFException | SocketException e) {
                say("who am I: closed");
                return List.of();
            }
        }

        List<String> identities() throws IOException {
            ByteBuffer reply = receive();
            reply.position(12);
            int error = reply.getInt();
            List<String> names = new ArrayList<>();
            if (error == 0) {
                for (int left = reply.getInt(); left > 0; left--) {
                    names.add(text(reply) + ":" + text(reply));
                }
            }
            Collections.sort(names);
            say("who am I: error " + error + " " + names);
            return names;
        }

        static String text(ByteBuffer from) {
            byte[] bytes = new byte[from.getInt()];
            from.get(bytes);
            return new String(bytes, StandardCharsets.UTF_8);
        }

        @Override
        public void close() throws IOException {
            socket.close();
        }
    }

    interface Action<T> {
        T run() throws Exception;
    }

    static <T> T as(Action<T> action) throws Exception {
        return Subject.doAs(subject, (PrivilegedExceptionAction<T>) action::run);
    }

    static void logIn(String keytab, String principal) throws Exception {
        Map<String, String> options = new HashMap<>();
        options.put("useKeyTab", "true");
        options.put("keyTab", keytab);
        options.put("principal", principal);
        options.put("doNotPrompt", "true");
        AppConfigurationEntry entry = new AppConfigurationEntry("com.sun.security.auth.module.Krb5LoginModule",
            AppConfigurationEntry.LoginModuleControlFlag.REQUIRED, options);
        LoginContext login = new LoginContext("", null, null, new Configuration() {
            @Override
            public AppConfigurationEntry[] getAppConfigurationEntry(String name) {
                return new AppConfigurationEntry[] {entry};
            }
        });
        login.login();
        subject = login.getSubject();
    }

    static GSSContext context(String service, String mechanism, boolean mutual) throws Exception {
        return as(() -> {
            GSSManager manager = GSSManager.getInstance();
            GSSName name = manager.createName(service, GSSName.NT_HOSTBASED_SERVICE);
            Oid oid = new Oid(mechanism);
            GSSContext context = manager.createContext(name, oid, null, GSSContext.DEFAULT_LIFETIME);
            context.requestMutualAuth(mutual);
            context.requestInteg(true);
            return context;
        });
    }

    static byte[] initiate(GSSContext context, byte[] token) throws Exception {
        return as(() -> context.initSecContext(token, 0, token.length));
    }

    /** Goes as far as the server's offer; the context, or null. */
    static GSSContext offered(Wire wire, String what, boolean mutual) throws Exception {
        GSSContext context = context("zookeeper@localhost", KERBEROS, mutual);
        byte[] answer = wire.token(what + ", ticket", initiate(context, NOTHING));
        if (mutual && answer != null) {
            initiate(context, answer);
            answer = wire.token(what + ", which layers", NOTHING);
        }
        if (answer == null) {
            return null;
        }
        say("offer: " + HexFormat.of().formatHex(context.unwrap(answer, 0, answer.length, new MessageProp(0, false))));
        return context;
    }

    static byte[] wrapped(GSSContext context, byte[] message) throws GSSException {
        return context.wrap(message, 0, message.length, new MessageProp(0, false));
    }

    static byte[] choice(int layer, String authzid) {
        byte[] name = authzid.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(4 + name.length).put((byte) layer).put(new byte[3]).put(name).array();
    }

    /** Chooses by the bytes given and tells what becomes of it. */
    static void choose(String what, boolean mutual, byte[] message) throws Exception {
        try (Wire wire = new Wire()) {
            GSSContext context = offered(wire, what, mutual);
            if (context != null) {
                wire.token(what + ", choice", wrapped(context, message));
                wire.whoAmI();
            }
        }
    }

    static void choices() throws Exception {
        String self = subject.getPrincipals().iterator().next().getName();
        choose("no layer", false, NO_LAYER);
        choose("no layer, mutual", true, NO_LAYER);
        choose("as oneself", false, choice(1, self));
        choose("as somebody else", false, choice(1, "super"));
        choose("no layer and more", false, choice(7, ""));
        choose("integrity", false, choice(2, ""));
        choose("privacy", false, choice(4, self));
        choose("nothing", false, choice(0, ""));
        choose("3 bytes", false, new byte[] {1, 0, 0});
        choose("1 byte of another layer", false, new byte[] {2});
        choose("no byte", false, NOTHING);
    }

    static void disorder() throws Exception {
        try (Wire wire = new Wire()) {
            GSSContext context = offered(wire, "signed by nobody", true);
            wire.token("a choice without a signature", NO_LAYER);
            wire.token("and one with it", wrapped(context, NO_LAYER));
            wire.whoAmI();
        }
        try (Wire wire = new Wire(); Wire other = new Wire()) {
            offered(wire, "one", true);
            GSSContext context = offered(other, "other", true);
            wire.token("the other's choice", wrapped(context, NO_LAYER));
        }
        try (Wire wire = new Wire()) {
            GSSContext context = context("zookeeper@localhost", KERBEROS, true);
            initiate(context, wire.token("mutual, ticket", initiate(context, NOTHING)));
            wire.token("something, not asked for", new byte[] {1});
            wire.token("nothing, as asked for", NOTHING);
        }
        try (Wire wire = new Wire()) {
            GSSContext context = offered(wire, "to the end", false);
            wire.token("choice", wrapped(context, NO_LAYER));
            wire.token("behind the end", NOTHING);
        }
        try (Wire wire = new Wire()) {
            GSSContext context = context("other@localhost", KERBEROS, true);
            wire.token("ticket for another service", initiate(context, NOTHING));
            context = context("zookeeper@localhost", KERBEROS, true);
            wire.token("ticket for this one", initiate(context, NOTHING));
        }
        try (Wire wire = new Wire()) {
            GSSContext context = context("zookeeper@localhost", SPNEGO, true);
            wire.token("ticket in SPNEGO", initiate(context, NOTHING));
            context = context("zookeeper@localhost", KERBEROS, true);
            wire.token("ticket without", initiate(context, NOTHING));
        }
        byte[] ticket = initiate(context("zookeeper@localhost", KERBEROS, false), NOTHING);
        for (int half : new int[] {1, 20, ticket.length / 2, ticket.length - 1}) {
            try (Wire wire = new Wire()) {
                wire.token("part of a ticket", Arrays.copyOf(ticket, half));
                wire.whoAmI();
            }
        }
        byte[] changed = ticket.clone();
        changed[changed.length - 5] ^= 1;
        try (Wire wire = new Wire()) {
            wire.token("changed ticket", changed);
        }
        for (String time : new String[] {"first", "second"}) {
            try (Wire wire = new Wire()) {
                wire.token("the same ticket, " + time, ticket);
            }
        }
    }

    /** Requests that are sent before the last answer has come. */
    static void pipelined() throws Exception {
        try (Wire wire = new Wire()) {
            wire.whoAmI();
            GSSContext context = offered(wire, "pipelined", false);
            wire.send(wire.request(SASL, wrapped(context, NO_LAYER)), wire.request(WHO_AM_I, null),
                wire.request(WHO_AM_I, null));
            wire.answer("choice");
            wire.identities();
            wire.identities();
        }
    }

    /** Tokens that are none, and what comes behind them. */
    static void garbage() throws Exception {
        for (byte[] token : new byte[][] {NOTHING, {0}, "hello".getBytes(StandardCharsets.UTF_8), new byte[4096],
            new byte[60_000], new byte[70_000], {0x60, 0x0b, 6, 9, 0x2a, (byte) 0x86, 0x48, (byte) 0x86, (byte) 0xf7, 0x12, 1, 2, 2},
            {0x60, (byte) 0x84, 0x7f, (byte) 0xff, (byte) 0xff, (byte) 0xff, 6, 9}}) {
            try (Wire wire = new Wire()) {
                wire.token(token.length + " bytes", token);
                wire.whoAmI();
                GSSContext context = context("zookeeper@localhost", KERBEROS, true);
                wire.token("ticket behind it", initiate(context, NOTHING));
            }
        }
    }

    /** Many that log in at the same time, more than a server looks at at once. */
    static void crowd() throws Exception {
        quiet = true;
        AtomicInteger known = new AtomicInteger();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 24; i++) {
            threads.add(new Thread(() -> {
                for (int n = 0; n < 5; n++) {
                    try (Wire wire = new Wire()) {
                        GSSContext context = offered(wire, "crowd", n % 2 == 0);
                        wire.token("choice", wrapped(context, NO_LAYER));
                        if (wire.whoAmI().toString().contains("sasl:")) {
                            known.incrementAndGet();
                        }
                    } catch (Exception e) {
                        System.out.println(e);
                    }
                }
            }));
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        quiet = false;
        say(known + " logged in");
    }

    public static void main(String[] args) throws Exception {
        port = Integer.parseInt(args[0]);
        for (String principal : Arrays.copyOfRange(args, 3, args.length)) {
            say("-- " + principal);
            logIn(args[2], principal);
            switch (args[1]) {
                case "log-in" -> choose("log in", true, NO_LAYER);
                case "choices" -> choices();
                case "disorder" -> disorder();
                case "pipelined" -> pipelined();
                case "crowd" -> crowd();
                case "garbage" -> garbage();
                default -> throw new IllegalArgumentException(args[1]);
            }
        }
        say("end");
    }
}
