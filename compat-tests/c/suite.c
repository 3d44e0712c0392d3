/* The C client against the server at ZK_ADDR: one line a test, then the totals. */
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper.h>

enum { PATIENCE_MS = 15000, PATH = 256 };

static const char *address;
static char root[64];
static int counter;
static jmp_buf failed;
static char reason[512];

static void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    longjmp(failed, 1);
}

#define CHECK(condition, ...) do { if (!(condition)) fail(__VA_ARGS__); } while (0)
#define OK(call) do { int rc_ = (call); CHECK(rc_ == ZOK, "%s: %s", #call, zerror(rc_)); } while (0)
#define WANT(code, call) do { int rc_ = (call); \
    CHECK(rc_ == (code), "%s: %s expected, got %s", #call, #code, zerror(rc_)); } while (0)

/* What a connection's watcher has seen. */
struct events {
    pthread_mutex_t lock;
    int connected;
    int count;
    int type[64];
    char path[64][PATH];
};

static void watch(zhandle_t *zh, int type, int state, const char *path, void *context) {
    struct events *events = context ? context : (void *)zoo_get_context(zh);
    pthread_mutex_lock(&events->lock);
    if (type == ZOO_SESSION_EVENT) {
        events->connected = state == ZOO_CONNECTED_STATE;
    } else if (events->count < 64) {
        events->type[events->count] = type;
        snprintf(events->path[events->count], PATH, "%s", path);
        events->count++;
    }
    pthread_mutex_unlock(&events->lock);
}

static int connected(struct events *events) {
    pthread_mutex_lock(&events->lock);
    int yes = events->connected;
    pthread_mutex_unlock(&events->lock);
    return yes;
}

static int saw(struct events *events, int type, const char *path) {
    int found = 0;
    pthread_mutex_lock(&events->lock);
    for (int i = 0; i < events->count; i++)
        found |= events->type[i] == type && strcmp(events->path[i], path) == 0;
    pthread_mutex_unlock(&events->lock);
    return found;
}

#define EVENTUALLY(condition, what) do { \
    int left_ = PATIENCE_MS / 10; \
    while (!(condition) && left_-- > 0) usleep(10000); \
    CHECK(left_ > 0, "not within %d ms: %s", PATIENCE_MS, what); } while (0)

static zhandle_t *open_client(struct events *events, const clientid_t *id, int timeout) {
    memset(events, 0, sizeof *events);
    pthread_mutex_init(&events->lock, NULL);
    zhandle_t *zh = zookeeper_init(address, watch, timeout, id, events, 0);
    CHECK(zh, "zookeeper_init");
    EVENTUALLY(connected(events), "a session");
    return zh;
}

static void fresh(char *path, const char *name) {
    snprintf(path, PATH, "%s/%s-%d", root, name, ++counter);
}

static void nodes_of_all_kinds(void) {
    struct events events;
    zhandle_t *zh = open_client(&events, NULL, 6000);
    char p[PATH], made[PATH], child[PATH + 16], data[64];
    struct Stat stat;
    fresh(p, "kinds");
    OK(zoo_create(zh, p, "data", 4, &ZOO_OPEN_ACL_UNSAFE, 0, made, sizeof made));
    CHECK(strcmp(made, p) == 0, "created %s", made);
    int len = sizeof data;
    OK(zoo_get(zh, p, 0, data, &len, &stat));
    CHECK(len == 4 && memcmp(data, "data", 4) == 0 && stat.version == 0, "%d bytes", len);
    CHECK(stat.czxid == stat.mzxid && stat.czxid == stat.pzxid, "zxids differ");
    for (int i = 0; i < 3; i++) {
        snprintf(child, sizeof child, "%s/s-", p);
        OK(zoo_create(zh, child, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, made, sizeof made));
        snprintf(child, sizeof child, "%s/s-%010d", p, i);
        CHECK(strcmp(made, child) == 0, "sequence %s", made);
    }
    snprintf(child, sizeof child, "%s/e", p);
    OK(zoo_create2(zh, child, NULL, -1, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, made, sizeof made, &stat));
    CHECK(stat.ephemeralOwner == zoo_client_id(zh)->client_id, "the session does not own its node");
    len = sizeof data;
    OK(zoo_get(zh, child, 0, data, &len, &stat));
    CHECK(len == -1, "null data came back with %d bytes", len);
    strcat(child, "/c");
    WANT(ZNOCHILDRENFOREPHEMERALS,
         zoo_create(zh, child, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, made, sizeof made));
    struct String_vector names;
    OK(zoo_get_children2(zh, p, 0, &names, &stat));
    CHECK(names.count == 4 && stat.numChildren == 4 && stat.cversion == 4, "%d children", names.count);
    deallocate_String_vector(&names);
    zookeeper_close(zh);
}

static void versions_and_errors(void) {
    struct events events;
    zhandle_t *zh = open_client(&events, NULL, 6000);
    char p[PATH], child[PATH + 16], data[64];
    int len = sizeof data;
    struct Stat stat;
    fresh(p, "errors");
    snprintf(child, sizeof child, "%s/c", p);
    WANT(ZNONODE, zoo_get(zh, p, 0, data, &len, &stat));
    WANT(ZNONODE, zoo_create(zh, child, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    WANT(ZNONODE, zoo_delete(zh, p, -1));
    OK(zoo_create(zh, p, "0", 1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    WANT(ZNODEEXISTS, zoo_create(zh, p, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    OK(zoo_set2(zh, p, "1", 1, 0, &stat));
    CHECK(stat.version == 1, "version %d", stat.version);
    WANT(ZBADVERSION, zoo_set(zh, p, "2", 1, 0));
    WANT(ZBADVERSION, zoo_delete(zh, p, 9));
    OK(zoo_create(zh, child, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    WANT(ZNOTEMPTY, zoo_delete(zh, p, -1));
    OK(zoo_delete(zh, child, 0));
    OK(zoo_delete(zh, p, 1));
    WANT(ZNONODE, zoo_exists(zh, p, 0, &stat));
    zookeeper_close(zh);
}

static void watches(void) {
    struct events events;
    zhandle_t *zh = open_client(&events, NULL, 6000);
    char p[PATH], child[PATH + 16], data[64];
    int len = sizeof data;
    struct Stat stat;
    struct String_vector names;
    fresh(p, "watch");
    snprintf(child, sizeof child, "%s/c", p);
    WANT(ZNONODE, zoo_wexists(zh, p, watch, &events, &stat));
    OK(zoo_create(zh, p, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    OK(zoo_wget(zh, p, watch, &events, data, &len, &stat));
    OK(zoo_set(zh, p, "1", 1, -1));
    OK(zoo_wget_children(zh, p, watch, &events, &names));
    deallocate_String_vector(&names);
    OK(zoo_create(zh, child, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    OK(zoo_delete(zh, child, -1));
    OK(zoo_wexists(zh, p, watch, &events, &stat));
    OK(zoo_delete(zh, p, -1));
    EVENTUALLY(saw(&events, ZOO_DELETED_EVENT, p), "the deletion");
    CHECK(saw(&events, ZOO_CREATED_EVENT, p), "no creation");
    CHECK(saw(&events, ZOO_CHANGED_EVENT, p), "no change");
    CHECK(saw(&events, ZOO_CHILD_EVENT, p), "no child");
    CHECK(events.count == 4, "%d events", events.count);
    zookeeper_close(zh);
}

static void note(int rc, const void *result) {
    *(volatile int *)result = rc;
}

static void acls(void) {
    struct events one, two;
    zhandle_t *owner = open_client(&one, NULL, 6000), *other = open_client(&two, NULL, 6000);
    char p[PATH], data[64];
    int len = sizeof data;
    struct Stat stat;
    volatile int done = 1;
    fresh(p, "acl");
    OK(zoo_add_auth(owner, "digest", "joe:secret", 10, note, (void *)&done));
    EVENTUALLY(done == ZOK, "the authentication");
    OK(zoo_create(owner, p, "private", 7, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0));
    WANT(ZNOAUTH, zoo_get(other, p, 0, data, &len, &stat));
    WANT(ZNOAUTH, zoo_set(other, p, "", 0, -1));
    done = 1;
    OK(zoo_add_auth(other, "digest", "joe:secret", 10, note, (void *)&done));
    EVENTUALLY(done == ZOK, "the second authentication");
    len = sizeof data;
    OK(zoo_get(other, p, 0, data, &len, &stat));
    CHECK(len == 7, "%d bytes", len);
    OK(zoo_set_acl(owner, p, 0, &ZOO_READ_ACL_UNSAFE));
    struct ACL_vector acl;
    OK(zoo_get_acl(owner, p, &acl, &stat));
    CHECK(acl.count == 1 && strcmp(acl.data[0].id.scheme, "world") == 0, "%d entries", acl.count);
    CHECK(stat.aversion == 1, "aversion %d", stat.aversion);
    deallocate_ACL_vector(&acl);
    WANT(ZNOAUTH, zoo_set(owner, p, "", 0, -1));
    zookeeper_close(owner);
    zookeeper_close(other);
}

static void multi(void) {
    struct events events;
    zhandle_t *zh = open_client(&events, NULL, 6000);
    char p[PATH], child[PATH + 16], gone[PATH + 32], made[PATH], data[64];
    int len = sizeof data;
    struct Stat stat;
    zoo_op_t ops[5];
    zoo_op_result_t results[5];
    fresh(p, "multi");
    snprintf(child, sizeof child, "%s/s-", p);
    snprintf(gone, sizeof gone, "%s/s-0000000000", p);
    zoo_create_op_init(&ops[0], p, "0", 1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    zoo_set_op_init(&ops[1], p, "1", 1, 0, &stat);
    zoo_check_op_init(&ops[2], p, 1);
    zoo_create_op_init(&ops[3], child, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, made, sizeof made);
    zoo_delete_op_init(&ops[4], gone, -1);
    OK(zoo_multi(zh, 5, ops, results));
    CHECK(stat.version == 1 && strcmp(made, gone) == 0, "version %d, %s", stat.version, made);
    zoo_set_op_init(&ops[0], p, "2", 1, -1, &stat);
    zoo_delete_op_init(&ops[1], gone, -1);
    zoo_check_op_init(&ops[2], p, 1);
    WANT(ZNONODE, zoo_multi(zh, 3, ops, results));
    CHECK(results[0].err == ZOK && results[1].err == ZNONODE
              && results[2].err == ZRUNTIMEINCONSISTENCY,
          "%d %d %d", results[0].err, results[1].err, results[2].err);
    OK(zoo_get(zh, p, 0, data, &len, &stat));
    CHECK(len == 1 && data[0] == '1', "a failed multi changed the node");
    zookeeper_close(zh);
}

static pthread_mutex_t count_lock = PTHREAD_MUTEX_INITIALIZER;
static int answers, errors;

static void answered(int rc, const char *value, const void *data) {
    (void)value;
    (void)data;
    pthread_mutex_lock(&count_lock);
    answers++;
    errors += rc != ZOK;
    pthread_mutex_unlock(&count_lock);
}

static void a_thousand_asynchronous_creates(void) {
    struct events events;
    zhandle_t *zh = open_client(&events, NULL, 10000);
    char p[PATH], child[PATH + 16];
    fresh(p, "async");
    OK(zoo_create(zh, p, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    snprintf(child, sizeof child, "%s/n-", p);
    for (int i = 0; i < 1000; i++)
        OK(zoo_acreate(zh, child, "x", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, answered, NULL));
    EVENTUALLY(answers == 1000, "a thousand answers");
    CHECK(errors == 0, "%d errors", errors);
    struct String_vector names;
    OK(zoo_get_children(zh, p, 0, &names));
    CHECK(names.count == 1000, "%d children", names.count);
    deallocate_String_vector(&names);
    zookeeper_close(zh);
}

static void closing_deletes_ephemerals(void) {
    struct events one, two;
    zhandle_t *watcher = open_client(&one, NULL, 6000), *zh = open_client(&two, NULL, 6000);
    char p[PATH];
    struct Stat stat;
    fresh(p, "ephemeral");
    OK(zoo_create(zh, p, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0));
    OK(zoo_wexists(watcher, p, watch, &one, &stat));
    OK(zookeeper_close(zh));
    EVENTUALLY(saw(&one, ZOO_DELETED_EVENT, p), "the deletion");
    zookeeper_close(watcher);
}

static void a_session_is_resumed_by_its_id(void) {
    struct events one, two;
    zhandle_t *zh = open_client(&one, NULL, 10000);
    char p[PATH];
    struct Stat stat;
    fresh(p, "resume");
    OK(zoo_create(zh, p, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0));
    clientid_t id = *zoo_client_id(zh);
    zhandle_t *again = open_client(&two, &id, 10000);
    CHECK(zoo_client_id(again)->client_id == id.client_id, "another session");
    OK(zoo_exists(again, p, 0, &stat));
    CHECK(stat.ephemeralOwner == id.client_id, "the node is not the session's");
    zookeeper_close(again);
    zookeeper_close(zh);
}

static void control(const char *command) {
    const char *where = getenv("ZK_CONTROL");
    CHECK(where && strchr(where, ':'), "ZK_CONTROL is not set; the server cannot be restarted");
    char host[128], answer[16] = "";
    snprintf(host, sizeof host, "%s", where);
    char *port = strchr(host, ':');
    *port++ = 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    CHECK(getaddrinfo(host, port, &hints, &found) == 0, "no such host: %s", host);
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    struct timeval limit = {.tv_sec = 60};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    CHECK(connect(fd, found->ai_addr, found->ai_addrlen) == 0, "cannot reach %s", where);
    freeaddrinfo(found);
    CHECK(dprintf(fd, "%s\n", command) > 0, "control is gone");
    CHECK(read(fd, answer, sizeof answer - 1) > 0 && strncmp(answer, "ok", 2) == 0,
          "control answers %s", answer);
    close(fd);
}

static void restart(const char *command) {
    struct events events;
    zhandle_t *zh = open_client(&events, NULL, 20000);
    char p[PATH], child[PATH + 16], data[64];
    int len = sizeof data;
    struct Stat stat;
    fresh(p, "restart");
    snprintf(child, sizeof child, "%s/e", p);
    OK(zoo_create(zh, p, "kept", 4, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    OK(zoo_create(zh, child, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0));
    OK(zoo_wget(zh, p, watch, &events, data, &len, &stat));
    int64_t session = zoo_client_id(zh)->client_id;
    control(command);
    EVENTUALLY(zoo_exists(zh, child, 0, &stat) == ZOK, "the reconnection");
    CHECK(zoo_client_id(zh)->client_id == session, "another session");
    CHECK(stat.ephemeralOwner == session, "the ephemeral node is gone");
    OK(zoo_set(zh, p, "changed", 7, -1));
    EVENTUALLY(saw(&events, ZOO_CHANGED_EVENT, p), "the watch");
    zookeeper_close(zh);
}

static void a_restart_keeps_session_ephemerals_and_watches(void) { restart("restart"); }
static void a_kill_keeps_session_ephemerals_and_watches(void) { restart("kill"); }

static void prepare(void) {
    struct events events;
    zhandle_t *zh = open_client(&events, NULL, 6000);
    OK(zoo_create(zh, root, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    zookeeper_close(zh);
}

#define TEST(name) {#name, name}

int main(void) {
    static const struct { const char *name; void (*body)(void); } tests[] = {
        TEST(prepare),
        TEST(nodes_of_all_kinds),
        TEST(versions_and_errors),
        TEST(watches),
        TEST(acls),
        TEST(multi),
        TEST(a_thousand_asynchronous_creates),
        TEST(closing_deletes_ephemerals),
        TEST(a_session_is_resumed_by_its_id),
        TEST(a_restart_keeps_session_ephemerals_and_watches),
        TEST(a_kill_keeps_session_ephemerals_and_watches),
    };
    volatile int passed = 0, broken = 0;
    address = getenv("ZK_ADDR") ? getenv("ZK_ADDR") : "127.0.0.1:2181";
    snprintf(root, sizeof root, "/c-%d-%ld", getpid(), (long)time(NULL));
    zoo_set_debug_level(0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (volatile size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
        if (setjmp(failed) == 0) {
            tests[i].body();
            passed++;
            printf("ok %s\n", tests[i].name);
        } else {
            broken++;
            printf("FAIL %s: %s\n", tests[i].name, reason);
        }
    }
    printf("%d passed, %d failed\n", passed, broken);
    return broken > 0;
}
