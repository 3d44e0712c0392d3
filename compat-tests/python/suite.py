"""The official kazoo client against the server at ZK_ADDR: one line a test, then the totals."""

import os
import socket
import sys
import threading
import time
import traceback
import uuid

from kazoo import exceptions as zke
from kazoo.client import KazooClient, KazooState
from kazoo.protocol.states import EventType
from kazoo.recipe.barrier import DoubleBarrier
from kazoo.recipe.partitioner import PartitionState
from kazoo.recipe.watchers import PatientChildrenWatch
from kazoo.security import OPEN_ACL_UNSAFE, Permissions, make_acl, make_digest_acl

ADDR = os.environ.get("ZK_ADDR", "127.0.0.1:2181")
CONTROL = os.environ.get("ZK_CONTROL")
ROOT = "/kazoo-" + uuid.uuid4().hex[:12]
WAIT = 15.0
TESTS = []


def test(fn):
    TESTS.append(fn)
    return fn


class Client:
    """A started client that is stopped whatever happens."""

    def __init__(self, **options):
        options.setdefault("timeout", 6.0)
        self.zk = KazooClient(hosts=ADDR, **options)

    def __enter__(self):
        self.zk.start(timeout=WAIT)
        return self.zk

    def __exit__(self, *_):
        self.zk.stop()
        self.zk.close()


def path(name):
    return f"{ROOT}/{name}-{uuid.uuid4().hex[:8]}"


def eventually(condition, what):
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"not within {WAIT} s: {what}")


def raises(error, fn, *args, **kwargs):
    try:
        fn(*args, **kwargs)
    except error as e:
        return e
    raise AssertionError(f"{error.__name__} expected")


def control(command):
    if not CONTROL:
        raise AssertionError("ZK_CONTROL is not set; the server cannot be restarted")
    host, port = CONTROL.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=60) as s:
        s.sendall(command.encode() + b"\n")
        answer = s.makefile().readline().strip()
    assert answer == "ok", answer


@test
def version_is_parsed_from_srvr():
    with Client() as zk:
        assert zk.server_version()[:2] == (3, 9), zk.server_version()


@test
def four_letter_words_are_in_known_formats():
    with Client() as zk:
        assert zk.command(b"ruok") == "imok"
        mntr = dict(line.split("\t", 1) for line in zk.command(b"mntr").splitlines())
        for key in ("zk_version", "zk_server_state", "zk_avg_latency", "zk_znode_count",
                    "zk_watch_count", "zk_ephemerals_count", "zk_approximate_data_size",
                    "zk_num_alive_connections", "zk_outstanding_requests",
                    "zk_open_file_descriptor_count", "zk_max_file_descriptor_count",
                    "zk_packets_received", "zk_packets_sent"):
            assert key in mntr, key
        assert mntr["zk_version"].startswith("3.9."), mntr["zk_version"]
        stat = zk.command(b"stat")
        modes = ("leader", "follower") if "ZK_ENSEMBLE" in os.environ else ("standalone",)
        assert any(f"Mode: {mode}" in stat for mode in modes) and "Clients:" in stat, stat
        assert f"sid=0x{zk.client_id[0]:x}" in zk.command(b"cons")
        for word in (b"conf", b"envi", b"dump", b"wchs", b"dirs", b"isro"):
            assert zk.command(word), word


@test
def nodes_of_all_kinds():
    with Client() as zk:
        p = path("kinds")
        assert zk.create(p, b"data") == p
        data, stat = zk.get(p)
        assert data == b"data" and stat.version == 0 and stat.dataLength == 4
        assert stat.czxid == stat.mzxid == stat.pzxid and stat.ctime == stat.mtime
        e = zk.create(p + "/e", ephemeral=True)
        assert zk.exists(e).ephemeralOwner == zk.client_id[0]
        names = [zk.create(p + "/s-", sequence=True) for _ in range(3)]
        assert names == sorted(names) and names[0].endswith("/s-0000000001"), names
        both = zk.create(p + "/es-", ephemeral=True, sequence=True)
        assert both.endswith("/es-0000000004"), both
        assert zk.exists(p).cversion == 5 and zk.exists(p).numChildren == 5
        made, stat = zk.create(p + "/stat", b"x", include_data=True)
        assert stat.dataLength == 1 and stat.version == 0
        raises(zke.NoChildrenForEphemeralsError, zk.create, e + "/child")


@test
def versions_and_errors():
    with Client() as zk:
        p = path("errors")
        raises(zke.NoNodeError, zk.get, p)
        raises(zke.NoNodeError, zk.create, p + "/a/b")
        raises(zke.NoNodeError, zk.delete, p)
        raises(zke.NoNodeError, zk.set, p, b"")
        zk.create(p, b"0")
        raises(zke.NodeExistsError, zk.create, p)
        assert zk.set(p, b"1", version=0).version == 1
        raises(zke.BadVersionError, zk.set, p, b"2", version=0)
        raises(zke.BadVersionError, zk.delete, p, version=7)
        zk.create(p + "/child")
        raises(zke.NotEmptyError, zk.delete, p)
        zk.delete(p, recursive=True)
        assert zk.exists(p) is None
        raises(zke.BadArgumentsError, zk.delete, "/zookeeper")


@test
def large_and_empty_data():
    with Client() as zk:
        p = path("large")
        blob = os.urandom(1_000_000)
        zk.create(p, blob)
        assert zk.get(p)[0] == blob
        zk.set(p, b"")
        assert zk.get(p)[0] == b""
        names = {f"child-with-a-long-name-{i:05}" for i in range(2000)}
        for result in [zk.create_async(f"{p}/{name}") for name in names]:
            result.get(timeout=WAIT)
        assert set(zk.get_children(p)) == names


@test
def one_shot_watches():
    with Client() as zk:
        p = path("watch")
        seen = []
        note = lambda event: seen.append((event.type, event.path))
        assert zk.exists(p, watch=note) is None
        zk.create(p)
        zk.get(p, watch=note)
        zk.set(p, b"1")
        zk.get_children(p, watch=note)
        zk.create(p + "/c")
        zk.set(p, b"2")
        zk.delete(p + "/c")
        zk.get_children(p, watch=note)
        zk.exists(p, watch=note)
        zk.delete(p)
        expected = [(EventType.CREATED, p), (EventType.CHANGED, p), (EventType.CHILD, p),
                    (EventType.DELETED, p)]
        eventually(lambda: set(expected) <= set(seen), f"events, seen {seen}")
        assert seen[:3] == expected[:3], seen


@test
def data_and_children_watchers():
    with Client() as zk, Client() as other:
        p = path("watchers")
        zk.create(p, b"0")
        data, children = [], []
        zk.DataWatch(p, lambda d, s: data.append(d))
        zk.ChildrenWatch(p, lambda c: children.append(sorted(c)))
        for i in range(1, 4):
            other.set(p, str(i).encode())
            eventually(lambda: data[-1] == str(i).encode(), "the data watch")
            other.create(f"{p}/{i}")
            eventually(lambda: len(children[-1]) == i, "the children watch")
        other.delete(p, recursive=True)
        eventually(lambda: data[-1] is None, "deletion")


@test
def patient_children_watch():
    with Client() as zk:
        p = path("patient")
        zk.ensure_path(p)
        watch = PatientChildrenWatch(zk, p, time_boundary=0.3)
        result = watch.start()
        zk.create(p + "/a")
        assert result.get(timeout=WAIT)[0] == ["a"]


@test
def acls():
    with Client() as owner, Client() as other:
        p = path("acl")
        owner.add_auth("digest", "joe:secret")
        owner.create(p, b"private", acl=[make_digest_acl("joe", "secret", all=True)])
        assert owner.get(p)[0] == b"private"
        raises(zke.NoAuthError, other.get, p)
        raises(zke.NoAuthError, other.set, p, b"")
        raises(zke.NoAuthError, other.get_acls, p)
        other.add_auth("digest", "joe:secret")
        assert other.get(p)[0] == b"private"
        acl, stat = owner.get_acls(p)
        assert acl[0].id.scheme == "digest" and stat.aversion == 0
        owner.set_acls(p, [make_acl("world", "anyone", read=True)] + list(acl))
        assert owner.get_acls(p)[1].aversion == 1
        raises(zke.InvalidACLError, owner.set_acls, p, [make_acl("nosuch", "x", all=True)])
        everyone = path("acl-auth")
        owner.create(everyone, acl=[make_acl("auth", "", all=True)])
        assert owner.get_acls(everyone)[0][0].id.id.startswith("joe:")
        assert owner.get_acls("/")[0] == OPEN_ACL_UNSAFE
        with Client() as anonymous:
            assert anonymous.get(p)[0] == b"private"
            raises(zke.NoAuthError, anonymous.create, everyone + "/x")
        local = path("acl-ip")
        address = owner._connection._socket.getsockname()[0]
        owner.create(local, b"ip", acl=[make_acl("ip", address.split(".")[0] + ".0.0.0/8", all=True)])
        assert owner.get(local)[0] == b"ip"
        assert Permissions.ALL == 31


@test
def transactions():
    with Client() as zk:
        p = path("txn")
        t = zk.transaction()
        t.create(p, b"0")
        t.create(p + "/s-", sequence=True)
        t.set_data(p, b"1", version=0)
        t.check(p, version=1)
        t.delete(p + "/s-0000000000")
        results = t.commit()
        assert results[0] == p and results[1].endswith("s-0000000000"), results
        assert results[2].version == 1 and results[3] is True and results[4] is True, results
        t = zk.transaction()
        t.set_data(p, b"2")
        t.check(p, version=77)
        t.delete(p)
        results = t.commit()
        kinds = [type(r) for r in results]
        assert kinds == [zke.RolledBackError, zke.BadVersionError,
                         zke.RuntimeInconsistency], results
        assert zk.get(p)[0] == b"1"
        assert zk.transaction().commit() == []


@test
def a_session_is_resumed_with_its_password():
    with Client() as zk:
        p = path("resume")
        zk.create(p, ephemeral=True)
        client_id = zk.client_id
        second = KazooClient(hosts=ADDR, client_id=client_id, timeout=6.0)
        lost = threading.Event()
        zk.add_listener(lambda s: lost.set() if s != KazooState.CONNECTED else None)
        second.start(timeout=WAIT)
        assert second.client_id[0] == client_id[0]
        assert second.exists(p).ephemeralOwner == client_id[0]
        second.stop()
        second.close()
        assert lost.wait(WAIT)


@test
def a_wrong_password_gets_a_new_session():
    with Client() as zk:
        session = zk.client_id[0]
        stolen = KazooClient(hosts=ADDR, client_id=(session, b"0" * 16), timeout=6.0)
        stolen.start(timeout=WAIT)
        eventually(lambda: stolen.connected and stolen.client_id, "a session of its own")
        assert stolen.client_id[0] != session
        eventually(lambda: zk.connected and zk.client_id, "the first session again")
        assert zk.client_id[0] == session
        stolen.stop()
        stolen.close()


@test
def closing_and_expiry_delete_ephemerals():
    with Client() as watcher:
        p = path("expiry")
        with Client() as zk:
            zk.create(p, ephemeral=True)
            assert watcher.exists(p)
        eventually(lambda: watcher.exists(p) is None, "deletion at close")
        silent = KazooClient(hosts=ADDR, timeout=1.0)
        silent.start(timeout=WAIT)
        silent.create(p, ephemeral=True)
        gone = threading.Event()
        assert watcher.exists(p, watch=lambda e: gone.set())
        silent._connection._socket.close()
        silent._connection.connection_stopped.wait(0.1)
        silent._stopped.set()
        assert gone.wait(WAIT), "the ephemeral node outlived its session"


@test
def locks():
    with Client() as a, Client() as b:
        p = path("lock")
        held = []
        la, lb = a.Lock(p, "a"), b.Lock(p, "b")
        assert la.acquire(timeout=WAIT)
        assert not lb.acquire(blocking=False)
        waiter = threading.Thread(target=lambda: held.append(lb.acquire(timeout=WAIT)))
        waiter.start()
        eventually(lambda: la.contenders() == ["a", "b"], "two contenders")
        la.release()
        waiter.join(WAIT)
        assert held == [True]
        lb.release()
        r1, r2, w = a.ReadLock(p + "-rw", "r1"), b.ReadLock(p + "-rw", "r2"), b.WriteLock(p + "-rw", "w")
        assert r1.acquire(timeout=WAIT) and r2.acquire(timeout=WAIT)
        assert not w.acquire(blocking=False)
        r1.release()
        r2.release()
        assert w.acquire(timeout=WAIT)
        w.release()


@test
def semaphores():
    with Client() as a, Client() as b:
        p = path("semaphore")
        one, two = a.Semaphore(p, "one", max_leases=1), b.Semaphore(p, "two", max_leases=1)
        assert one.acquire(timeout=WAIT)
        assert not two.acquire(blocking=False)
        one.release()
        assert two.acquire(timeout=WAIT)
        assert two.lease_holders() == ["two"]
        two.release()


@test
def elections():
    with Client() as a, Client() as b:
        p = path("election")
        leaders = []
        first = threading.Event()
        def lead(name):
            leaders.append(name)
            first.set()
            time.sleep(0.1)
        threads = [threading.Thread(target=lambda c=c, n=n: c.Election(p, n).run(lead, n))
                   for c, n in ((a, "a"), (b, "b"))]
        for t in threads:
            t.start()
        for t in threads:
            t.join(WAIT)
        assert sorted(leaders) == ["a", "b"], leaders


@test
def parties_barriers_counters_queues():
    with Client() as a, Client() as b:
        p = path("party")
        pa, pb = a.Party(p, "a"), b.ShallowParty(p + "-shallow", "b")
        pa.join()
        pb.join()
        assert list(pa) == ["a"] and len(pb) == 1
        pa.leave()
        assert len(pa) == 0
        barrier = a.Barrier(p + "-barrier")
        barrier.create()
        assert not b.Barrier(p + "-barrier").wait(timeout=0.2)
        barrier.remove()
        assert b.Barrier(p + "-barrier").wait(timeout=WAIT)
        counter = a.Counter(p + "-counter")
        other = b.Counter(p + "-counter")
        for _ in range(5):
            counter += 2
            other -= 1
        assert counter.value == 5
        queue = a.Queue(p + "-queue")
        queue.put(b"low", priority=200)
        queue.put(b"high", priority=1)
        assert b.Queue(p + "-queue").get() == b"high" and queue.get() == b"low"
        locking = a.LockingQueue(p + "-lq")
        locking.put_all([b"1", b"2"])
        assert locking.get(timeout=WAIT) == b"1" and locking.consume()
        assert locking.get(timeout=WAIT) == b"2" and locking.consume()


@test
def double_barrier():
    with Client() as a, Client() as b:
        p = path("double")
        order = []
        def run(client, name):
            barrier = DoubleBarrier(client, p, 2, identifier=name)
            barrier.enter()
            order.append("in")
            barrier.leave()
            order.append("out")
        threads = [threading.Thread(target=run, args=x) for x in ((a, "a"), (b, "b"))]
        for t in threads:
            t.start()
        for t in threads:
            t.join(WAIT)
        assert order == ["in", "in", "out", "out"], order


@test
def set_partitioner():
    with Client() as a, Client() as b:
        p = path("partition")
        sets = [c.SetPartitioner(p, set=range(4), identifier=n, time_boundary=0.5)
                for c, n in ((a, "a"), (b, "b"))]
        def settled():
            for s in sets:
                if s.state == PartitionState.RELEASE:
                    s.release_set()
                elif s.state == PartitionState.ALLOCATING:
                    s.wait_for_acquire(timeout=0.5)
            return all(s.acquired for s in sets) and sorted(x for s in sets for x in s) == [0, 1, 2, 3]
        eventually(settled, "an even partition")
        for s in sets:
            s.finish()


@test
def tree_cache():
    from kazoo.recipe.cache import TreeCache
    with Client() as zk, Client() as other:
        p = path("cache")
        zk.create(p, b"0")
        cache = TreeCache(zk, p)
        cache.start()
        eventually(lambda: cache.get_data(p) is not None, "the cache's first fill")
        other.create(p + "/a", b"1")
        other.create(p + "/a/b", b"2")
        eventually(lambda: cache.get_data(p + "/a/b", None) is not None, "a grandchild")
        other.set(p + "/a/b", b"3")
        eventually(lambda: cache.get_data(p + "/a/b").data == b"3", "a change")
        other.delete(p + "/a", recursive=True)
        eventually(lambda: cache.get_children(p) == frozenset(), "a deletion")
        cache.close()


@test
def lease():
    import datetime
    with Client() as a, Client() as b:
        p = path("lease")
        hour = datetime.timedelta(hours=1)
        assert a.NonBlockingLease(p, hour, identifier="a")
        assert not b.NonBlockingLease(p, hour, identifier="b")
        assert a.NonBlockingLease(p, hour, identifier="a")


@test
def a_hundred_clients_at_once():
    p = path("crowd")
    clients = [KazooClient(hosts=ADDR, timeout=20.0) for _ in range(100)]
    try:
        for result in [c.start_async() for c in clients]:
            assert result.wait(WAIT)
        clients[0].ensure_path(p)
        for result in [c.create_async(p + "/n-", sequence=True, ephemeral=True) for c in clients]:
            result.get(timeout=WAIT)
        assert len(clients[0].get_children(p)) == 100
    finally:
        for c in clients:
            c.stop()
            c.close()


@test
def a_storm_of_watches():
    with Client() as zk, Client() as other:
        p = path("storm")
        zk.create(p)
        count = []
        for _ in range(1000):
            zk.get(p, watch=lambda e: count.append(1))
        other.set(p, b"1")
        eventually(lambda: len(count) == 1000, "a thousand callbacks")


def restart_keeps_session(command):
    with Client(timeout=20.0) as zk:
        p = path("restart")
        zk.create(p, b"kept")
        e = zk.create(p + "/e", b"mine", ephemeral=True)
        # kazoo gives up plain watches with the connection; its DataWatch sets them again.
        seen = []
        zk.DataWatch(p, lambda data, stat: seen.append(data))
        session = zk.client_id[0]
        control(command)
        eventually(lambda: zk.connected, "the reconnection")
        assert zk.retry(zk.get, p)[0] == b"kept"
        assert zk.client_id[0] == session, "the session was not resumed"
        assert zk.retry(zk.exists, e).ephemeralOwner == session
        zk.retry(zk.set, p, b"changed")
        eventually(lambda: seen[-1] == b"changed", "the watch set before the restart")


@test
def a_restart_keeps_session_ephemerals_and_watches():
    restart_keeps_session("restart")


@test
def a_kill_keeps_session_ephemerals_and_watches():
    restart_keeps_session("kill")


@test
def a_lock_survives_a_restart():
    with Client(timeout=20.0) as a, Client(timeout=20.0) as b:
        p = path("lock-restart")
        lock = a.Lock(p, "a")
        assert lock.acquire(timeout=WAIT)
        control("restart")
        eventually(lambda: a.connected and b.connected, "the reconnections")
        assert not b.retry(b.Lock(p, "b").acquire, blocking=False)
        lock.release()
        assert b.Lock(p, "b").acquire(timeout=WAIT)


def main():
    with Client() as zk:
        zk.ensure_path(ROOT)
    only = sys.argv[1:]
    passed = failed = 0
    for fn in TESTS:
        if only and fn.__name__ not in only:
            continue
        try:
            fn()
            passed += 1
            print(f"ok {fn.__name__}", flush=True)
        except Exception as e:  # every failure is one line, the rest goes to stderr
            failed += 1
            traceback.print_exc()
            print(f"FAIL {fn.__name__}: {type(e).__name__}: {e}", flush=True)
    try:
        with Client() as zk:
            zk.delete(ROOT, recursive=True)
    except zke.KazooException:
        pass
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.stdout.flush()
    os._exit(1 if failed else 0)


if __name__ == "__main__":
    main()
