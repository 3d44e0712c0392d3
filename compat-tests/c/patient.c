/* The C client at work while servers and networks fail: it raises a counter, appends entries and keeps
 * an ephemeral node. A line `check NAME` on its standard input makes it compare what it was told with
 * what is there; the end of the input ends it. */
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper.h>

enum { WAIT_S = 40, PATH = 256, ENTRIES = 100000, PAUSE_US = 20000 };

static jmp_buf broken;
static char reason[512];

static void fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    longjmp(broken, 1);
}

#define CHECK(condition, ...) do { if (!(condition)) fail(__VA_ARGS__); } while (0)

static char root[64];
static zhandle_t *zh;
static volatile int expired;
static int sessions;
/* The sequence number of each entry that was sent, -1 while nobody knows whether it is there. */
static int *entries;
static int sent;
static int acknowledged, doubtful, settled, before, checked, last_value, last_number = -1;

static void watch(zhandle_t *handle, int type, int state, const char *path, void *context) {
    (void)handle;
    (void)path;
    (void)context;
    if (type == ZOO_SESSION_EVENT && state == ZOO_EXPIRED_SESSION_STATE) expired = 1;
}

/* Whether an error leaves open what became of a request. */
static int lost(int rc) {
    return rc == ZCONNECTIONLOSS || rc == ZOPERATIONTIMEOUT || rc == ZSESSIONEXPIRED
        || rc == ZINVALIDSTATE || rc == ZSESSIONMOVED || rc == ZCLOSING;
}

static void alive(char *path, int session) {
    snprintf(path, PATH, "%s/alive-%d", root, session);
}

static void connect_and_own(void);

static void renew(void) {
    if (!expired) return;
    zookeeper_close(zh);
    connect_and_own();
}

/* Runs a call until it has an answer. */
#define PATIENTLY(rc, call) do { \
    time_t end_ = time(NULL) + WAIT_S; \
    while (lost(rc = (call))) { \
        CHECK(time(NULL) < end_, "no answer within %d s: %s", WAIT_S, zerror(rc)); \
        usleep(50000); \
        renew(); \
    } } while (0)

static void connect_and_own(void) {
    char path[PATH];
    time_t end = time(NULL) + WAIT_S;
    expired = 0;
    zh = zookeeper_init(getenv("ZK_ADDR"), watch, 20000, NULL, NULL, 0);
    CHECK(zh, "zookeeper_init");
    sessions++;
    alive(path, sessions);
    for (;;) {
        int rc = zoo_create(zh, path, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0);
        if (rc == ZOK || rc == ZNODEEXISTS) return;
        /* The first time there is no root yet. */
        if (rc == ZNONODE) rc = zoo_create(zh, root, "0", 1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
        CHECK(rc == ZOK || rc == ZNODEEXISTS || lost(rc), "the first nodes: %s", zerror(rc));
        CHECK(time(NULL) < end && !expired, "no session within %d s", WAIT_S);
        usleep(50000);
    }
}

static int sensible(const char *data, int len, const struct Stat *stat) {
    char text[32];
    snprintf(text, sizeof text, "%.*s", len, data);
    int value = atoi(text);
    CHECK(value == stat->version, "the counter is %d in version %d", value, stat->version);
    CHECK(acknowledged <= value && value <= acknowledged + doubtful,
          "the counter is %d, %d acknowledged, %d in doubt", value, acknowledged, doubtful);
    return value;
}

static int number_of(const char *name) {
    const char *dash = strrchr(name, '-');
    return dash ? atoi(dash + 1) : -1;
}

/* One write of the counter and one entry, each tried once. */
static void step(void) {
    char data[32], path[PATH], made[PATH];
    int len = sizeof data;
    struct Stat stat;
    renew();
    int rc = zoo_get(zh, root, 0, data, &len, &stat);
    if (rc == ZOK) {
        int value = sensible(data, len, &stat);
        CHECK(value >= last_value, "the counter went from %d back to %d", last_value, value);
        last_value = value;
        int length = snprintf(data, sizeof data, "%d", value + 1);
        rc = zoo_set(zh, root, data, length, stat.version);
        if (rc == ZOK) {
            acknowledged++;
            settled = doubtful;
        } else if (rc == ZBADVERSION) {
            CHECK(doubtful > settled, "another version than %d, and no write was in doubt", stat.version);
            rc = ZOK;
        } else {
            doubtful++;
        }
    }
    if (rc == ZOK) {
        CHECK(sent < ENTRIES, "more than %d entries", ENTRIES);
        snprintf(path, sizeof path, "%s/log/e-", root);
        int length = snprintf(data, sizeof data, "%d", sent);
        entries[sent++] = -1;
        rc = zoo_create(zh, path, data, length, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, made, sizeof made);
        if (rc == ZOK) entries[sent - 1] = number_of(made);
    }
    CHECK(rc == ZOK || lost(rc), "%s", zerror(rc));
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}


static void check_entries(void) {
    char path[PATH + 64], data[32];
    struct String_vector names;
    struct Stat stat;
    int rc;
    snprintf(path, sizeof path, "%s/log", root);
    PATIENTLY(rc, zoo_get_children(zh, path, 0, &names));
    CHECK(rc == ZOK, "the entries: %s", zerror(rc));
    qsort(names.data, names.count, sizeof *names.data, by_name);
    for (int i = 0; i < sent; i++) {
        char name[32], *key = name;
        if (entries[i] < 0) continue;
        snprintf(name, sizeof name, "e-%010d", entries[i]);
        CHECK(bsearch(&key, names.data, names.count, sizeof *names.data, by_name),
              "%s was acknowledged and is gone", name);
    }
    for (int i = checked; i < names.count; i++) {
        int len = sizeof data - 1;
        snprintf(path, sizeof path, "%s/log/%s", root, names.data[i]);
        PATIENTLY(rc, (len = sizeof data - 1, zoo_get(zh, path, 0, data, &len, &stat)));
        CHECK(rc == ZOK && len > 0, "%s: %s", path, zerror(rc));
        data[len] = 0;
        int number = atoi(data);
        CHECK(number > last_number && number < sent, "%s holds %d behind %d", path, number, last_number);
        CHECK(entries[number] < 0 || entries[number] == number_of(path),
              "%s holds what went to %d", path, entries[number]);
        entries[number] = number_of(path);
        last_number = number;
    }
    checked = names.count;
    deallocate_String_vector(&names);
}

/* Compares all that was acknowledged with what is there; what to tell of it. */
static void check(char *said, size_t size) {
    char data[32], path[PATH];
    int len, rc;
    struct Stat stat;
    time_t end = time(NULL) + WAIT_S;
    while (acknowledged == before) {
        CHECK(time(NULL) < end, "no write was acknowledged since the last check");
        step();
    }
    renew();
    /* A write comes behind all that was committed. */
    snprintf(path, sizeof path, "%s/log", root);
    PATIENTLY(rc, zoo_set(zh, path, "sync", 4, -1));
    CHECK(rc == ZOK, "%s: %s", path, zerror(rc));
    PATIENTLY(rc, (len = sizeof data, zoo_get(zh, root, 0, data, &len, &stat)));
    CHECK(rc == ZOK, "the counter: %s", zerror(rc));
    int value = sensible(data, len, &stat);
    before = acknowledged;
    check_entries();
    alive(path, sessions);
    PATIENTLY(rc, zoo_exists(zh, path, 0, &stat));
    CHECK(rc == ZOK, "the ephemeral node of the living session: %s", zerror(rc));
    CHECK(stat.ephemeralOwner == zoo_client_id(zh)->client_id, "session %" PRIx64 " owns the node of %" PRIx64,
          stat.ephemeralOwner, zoo_client_id(zh)->client_id);
    for (int old = 1; old < sessions; old++) {
        alive(path, old);
        PATIENTLY(rc, zoo_exists(zh, path, 0, &stat));
        CHECK(rc == ZNONODE, "%s outlived its session: %s", path, zerror(rc));
    }
    snprintf(said, size, "counter %d, %d acknowledged, %d in doubt, %d entries, sessions: %d", value,
             acknowledged, doubtful, sent, sessions);
}

static void begin(void) {
    char path[PATH];
    int rc;
    connect_and_own();
    snprintf(path, sizeof path, "%s/log", root);
    PATIENTLY(rc, zoo_create(zh, path, "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    CHECK(rc == ZOK || rc == ZNODEEXISTS, "%s: %s", path, zerror(rc));
}

int main(void) {
    static char line[256], said[256], first[512];
    volatile int passed = 0, failed = 0;
    zoo_set_debug_level(0);
    setvbuf(stdout, NULL, _IOLBF, 0);
    setvbuf(stdin, NULL, _IONBF, 0);
    snprintf(root, sizeof root, "/patient-c-%d-%ld", getpid(), (long)time(NULL));
    entries = calloc(ENTRIES, sizeof *entries);
    if (!entries || setjmp(broken)) {
        printf("FAIL start: %s\n", reason);
        return 1;
    }
    begin();
    puts("ready");
    for (;;) {
        struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&input, 1, 0) == 0) {
            if (setjmp(broken) == 0) step();
            else if (!first[0]) snprintf(first, sizeof first, "%s", reason);
            usleep(PAUSE_US);
            continue;
        }
        if (!fgets(line, sizeof line, stdin)) break;
        line[strcspn(line, "\n")] = 0;
        char *name = strncmp(line, "check ", 6) == 0 ? line + 6 : line;
        if (setjmp(broken) == 0) {
            CHECK(!first[0], "%s", first);
            check(said, sizeof said);
            passed++;
            printf("ok %s: %s\n", name, said);
        } else {
            failed++;
            printf("FAIL %s: %s\n", name, reason);
        }
    }
    zookeeper_close(zh);
    printf("%d passed, %d failed\n", passed, failed);
    return failed > 0;
}
