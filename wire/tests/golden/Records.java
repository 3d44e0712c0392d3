// Prints records.tsv: every record, written by ZooKeeper's own serialisers, with the fields that
// ZooKeeper's own reader then finds. Run with the classpath of org.apache.zookeeper:zookeeper:3.9.5:
//   java -cp <classpath> Records.java > records.tsv
// Columns: class, case, bytes in hexadecimal, fields as JSON in the order of the schema; buffers
// are arrays of bytes.

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.apache.jute.BinaryInputArchive;
import org.apache.jute.BinaryOutputArchive;
import org.apache.jute.Record;

public class Records {
    static final String ROOT = "org.apache.zookeeper.";
    static final String[] CLASSES = {
        "data.Id", "data.ACL", "data.Stat", "data.StatPersisted", "data.ClientInfo",
        "proto.ConnectRequest", "proto.ConnectResponse", "proto.RequestHeader", "proto.ReplyHeader",
        "proto.MultiHeader", "proto.ErrorResponse", "proto.WatcherEvent", "proto.AuthPacket",
        "proto.SetWatches", "proto.SetWatches2", "proto.CreateRequest", "proto.CreateTTLRequest",
        "proto.DeleteRequest", "proto.CheckVersionRequest",
        "proto.ExistsRequest", "proto.GetDataRequest", "proto.GetChildrenRequest",
        "proto.GetChildren2Request", "proto.SetDataRequest", "proto.GetACLRequest",
        "proto.SetACLRequest", "proto.SyncRequest", "proto.GetEphemeralsRequest",
        "proto.GetAllChildrenNumberRequest", "proto.ReconfigRequest", "proto.CheckWatchesRequest",
        "proto.RemoveWatchesRequest", "proto.AddWatchRequest", "proto.GetSASLRequest",
        "proto.SetSASLResponse", "proto.CreateResponse", "proto.SyncResponse",
        "proto.Create2Response", "proto.ExistsResponse", "proto.SetDataResponse",
        "proto.SetACLResponse", "proto.GetDataResponse", "proto.GetACLResponse",
        "proto.GetChildrenResponse", "proto.GetChildren2Response", "proto.GetEphemeralsResponse",
        "proto.GetAllChildrenNumberResponse", "proto.WhoAmIResponse",
        "txn.TxnHeader", "txn.TxnDigest", "txn.CreateTxn", "txn.CreateTxnV0", "txn.CreateTTLTxn",
        "txn.CreateContainerTxn", "txn.DeleteTxn", "txn.SetDataTxn", "txn.SetACLTxn",
        "txn.CheckVersionTxn", "txn.CreateSessionTxn", "txn.CloseSessionTxn", "txn.ErrorTxn",
        "txn.Txn", "txn.MultiTxn", "server.persistence.FileHeader",
        "server.quorum.QuorumPacket", "server.quorum.LearnerInfo",
    };
    static final String[] CASES = {"nulls", "empty", "low", "high", "typical", "supplementary"};
    static final String[] TEXTS = {null, "", "\u0000\u007f\u0080", "/\u07ff\u0800\ud7ff\ue000\uffff", "/zookeeper/ä€", "a😀z"};

    /** Counts values, so that no two fields of a record look the same. */
    static int serial;

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        out.println("# Apache ZooKeeper 3.9.5; see Records.java");
        for (String name : CLASSES) {
            Class<?> type = Class.forName(ROOT + name);
            for (int kind = 0; kind < CASES.length; kind++) {
                serial = 0;
                Record record = (Record) make(type, kind);
                ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                record.serialize(BinaryOutputArchive.getArchive(bytes), "record");
                Record read = (Record) type.getDeclaredConstructor().newInstance();
                read.deserialize(
                    BinaryInputArchive.getArchive(new ByteArrayInputStream(bytes.toByteArray())), "record");
                StringBuilder json = new StringBuilder();
                json(json, read);
                out.println(type.getSimpleName() + "\t" + CASES[kind] + "\t"
                    + HexFormat.of().formatHex(bytes.toByteArray()) + "\t" + json);
            }
        }
    }

    static List<Field> fields(Class<?> type) {
        List<Field> fields = new ArrayList<>();
        for (Field field : type.getDeclaredFields()) {
            if (!Modifier.isStatic(field.getModifiers())) {
                field.setAccessible(true);
                fields.add(field);
            }
        }
        return fields;
    }

    static Object make(Type type, int kind) throws Exception {
        int n = ++serial;
        if (type == int.class) {
            return new int[] {-1, 0, Integer.MIN_VALUE, Integer.MAX_VALUE, 0x01020300 + n, n}[kind];
        }
        if (type == long.class) {
            return new long[] {-1, 0, Long.MIN_VALUE, Long.MAX_VALUE, 0x0102030405060700L + n, n}[kind];
        }
        if (type == boolean.class) {
            return kind % 2 == 0;
        }
        if (type == String.class) {
            return kind < 4 ? TEXTS[kind] : TEXTS[kind] + n;
        }
        if (type == byte[].class) {
            return new byte[][] {null, {}, {0}, {-1, 127, -128}, {1, 2, (byte) n}, {(byte) n}}[kind];
        }
        if (type instanceof ParameterizedType) {
            if (kind == 0) {
                return null;
            }
            List<Object> items = new ArrayList<>();
            for (int i = 1; i < kind; i++) {
                // One record of nulls among the elements; a null text fails where ZooKeeper uses it.
                Type item = ((ParameterizedType) type).getActualTypeArguments()[0];
                items.add(make(item, i == 3 && item != String.class ? 0 : kind));
            }
            return items;
        }
        Object record = ((Class<?>) type).getDeclaredConstructor().newInstance();
        for (Field field : fields((Class<?>) type)) {
            field.set(record, make(field.getGenericType(), kind));
        }
        return record;
    }

    static void json(StringBuilder out, Object value) throws Exception {
        if (value == null || value instanceof Number || value instanceof Boolean) {
            out.append(value);
        } else if (value instanceof String) {
            out.append('"');
            for (char c : ((String) value).toCharArray()) {
                out.append(c < ' ' || c > '~' || c == '"' || c == '\\' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
            }
            out.append('"');
        } else if (value instanceof byte[]) {
            List<Integer> bytes = new ArrayList<>();
            for (byte b : (byte[]) value) {
                bytes.add(b & 0xff);
            }
            json(out, bytes);
        } else if (value instanceof List) {
            String before = "[";
            for (Object item : (List<?>) value) {
                out.append(before);
                json(out, item);
                before = ",";
            }
            out.append(((List<?>) value).isEmpty() ? "[]" : "]");
        } else {
            String before = "{";
            for (Field field : fields(value.getClass())) {
                out.append(before).append('"').append(field.getName()).append("\":");
                json(out, field.get(value));
                before = ",";
            }
            out.append('}');
        }
    }
}
