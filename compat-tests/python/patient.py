"""kazoo at work while servers and networks fail: it raises a counter, appends entries, keeps an ephemeral
node, and two clients take turns at a lock. A line `check NAME` on the standard input makes it compare
what it was told with what is there; the end of the input ends it."""

import os
import queue
import sys
import threading
import time
import uuid

from kazoo import exceptions as zke
from kazoo.client import KazooClient, KazooState
from kazoo.retry import KazooRetry

ADDR = os.environ["ZK_ADDR"]
ROOT = "/patient-kazoo-" + uuid.uuid4().hex[:12]
WAIT = 40.0
# What leaves open whether a write was done.
LOST = (zke.ConnectionLoss, zke.ConnectionClosedError, zke.OperationTimeoutError)


def check(ok, message):
    if not ok:
        raise AssertionError(message)


class Client:
    """A client that counts its sessions, and keeps an ephemeral node in each."""

    def __init__(self, name):
        self.zk = KazooClient(ADDR, timeout=20)
        self.name = name
        self.lost = False
        self.zk.add_listener(self.listen)
        self.zk.start(30)
        self.ids = [self.zk.client_id[0]]
        self.retry = KazooRetry(max_tries=-1, delay=0.05, max_delay=0.5, ignore_expire=True, deadline=WAIT)

    def listen(self, state):
        if state == KazooState.LOST:
            self.lost = True

    def own(self):
        """The ephemeral node of the session, made when there is none yet; its path."""
        while True:
            session = self.zk.client_id[0]
            if session != self.ids[-1]:
                self.ids.append(session)
            path = f"{ROOT}/alive-{self.name}-{session:x}"
            stat = self.retry(self.zk.exists, path)
            if stat and stat.ephemeralOwner == session:
                return path
            try:
                self.retry(self.zk.create, path, ephemeral=True)
            except zke.NodeExistsError:
                pass


class Writer:
    """The counter and the entries."""

    def __init__(self):
        self.client = Client("writer")
        self.zk = self.client.zk
        self.zk.create(ROOT, b"0")
        self.zk.create(ROOT + "/log")
        self.path = self.client.own()
        self.acknowledged = self.doubtful = self.settled = self.before = 0
        self.entries = []
        self.checked = 0
        self.last_value = 0
        self.last_number = -1

    def sensible(self, value, stat):
        check(value == stat.version, f"the counter is {value} in version {stat.version}")
        check(self.acknowledged <= value <= self.acknowledged + self.doubtful,
              f"the counter is {value}, {self.acknowledged} acknowledged, {self.doubtful} in doubt")

    def step(self):
        """One write of the counter and one entry, each tried once."""
        try:
            if self.client.lost:
                self.client.lost = False
                self.path = self.client.own()
                self.client.retry(self.zk.sync, ROOT)
            data, stat = self.zk.get(ROOT)
            value = int(data)
            self.sensible(value, stat)
            check(value >= self.last_value, f"the counter went from {self.last_value} back to {value}")
            self.last_value = value
            self.doubtful += 1
            try:
                self.zk.set(ROOT, str(value + 1).encode(), stat.version)
                self.doubtful -= 1
                self.acknowledged += 1
                self.settled = self.doubtful
            except zke.BadVersionError:
                self.doubtful -= 1
                check(self.doubtful > self.settled,
                      f"another version than {stat.version}, and no write was in doubt")
            number = len(self.entries)
            self.entries.append(None)
            self.entries[number] = self.zk.create(ROOT + "/log/e-", str(number).encode(), sequence=True)
        except LOST:
            time.sleep(0.05)
        except zke.SessionExpiredError:
            self.client.lost = True
            time.sleep(0.05)

    def check(self):
        end = time.monotonic() + WAIT
        while self.acknowledged == self.before:
            check(time.monotonic() < end, "no write was acknowledged since the last check")
            self.step()
        retry = self.client.retry
        retry(self.zk.sync, ROOT)
        data, stat = retry(self.zk.get, ROOT)
        self.sensible(int(data), stat)
        self.before = self.acknowledged
        names = sorted(retry(self.zk.get_children, ROOT + "/log"))
        there = set(names)
        for path in self.entries:
            check(path is None or path.rsplit("/", 1)[1] in there, f"{path} was acknowledged and is gone")
        for name in names[self.checked:]:
            path = f"{ROOT}/log/{name}"
            number = int(retry(self.zk.get, path)[0])
            check(self.last_number < number < len(self.entries),
                  f"{path} holds {number} behind {self.last_number}")
            check(self.entries[number] in (None, path), f"{path} holds what went to {self.entries[number]}")
            self.entries[number] = path
            self.last_number = number
        self.checked = len(names)
        alive = self.client.own()
        if alive == self.path:
            owners = {n for n in retry(self.zk.get_children, ROOT) if n.startswith("alive-writer-")}
            check(owners == {alive.rsplit("/", 1)[1]}, f"{alive} is the living session's, there are {owners}")
        else:
            check(retry(self.zk.exists, self.path) is None, f"{self.path} outlived its session")
            check(self.client.lost, f"{self.path} is gone, and its session was not reported as lost")
            self.path = alive
        return (f"counter {int(data)}, {self.acknowledged} acknowledged, {self.doubtful} in doubt, "
                f"{len(self.entries)} entries, sessions: {len(self.client.ids)}")


class Turns:
    """Two clients that raise a number under a lock."""

    def __init__(self):
        self.inside = 0
        self.clients = [Client("a"), Client("b")]
        self.clients[0].zk.create(ROOT + "/turns", b"0")
        self.acknowledged, self.doubtful, self.before = [0, 0], [0, 0], 0
        self.broken = None
        self.stuck = 0
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.work, args=(i,), daemon=True) for i in range(2)]
        for thread in self.threads:
            thread.start()

    def work(self, index):
        client = self.clients[index]
        lock = client.zk.Lock(ROOT + "/lock", client.name)
        while not self.stop.is_set():
            try:
                if lock.acquire(timeout=10):
                    try:
                        self.turn(index, client)
                    finally:
                        lock.release()
                else:
                    self.unblock(client)
            except zke.LockTimeout:
                self.unblock(client)
            except (*LOST, zke.SessionExpiredError, zke.CancelledError):
                pass
            except AssertionError as error:
                self.broken = self.broken or str(error)
            time.sleep(0.03)

    def unblock(self, client):
        """A node whose creation kazoo did not hear of, and that the next member did not know yet, stands
        before its second one as long as the session lives: it is taken away."""
        try:
            for name in client.retry(client.zk.get_children, ROOT + "/lock"):
                stat = client.retry(client.zk.exists, f"{ROOT}/lock/{name}")
                if stat and stat.ephemeralOwner == client.zk.client_id[0]:
                    self.stuck += 1
                    client.retry(client.zk.delete, f"{ROOT}/lock/{name}")
        except zke.KazooException:
            pass

    def turn(self, index, client):
        self.inside += 1
        try:
            # Whoever lost its session may still be inside when the next one comes.
            sure = not any(c.lost for c in self.clients)
            check(self.inside == 1 or not sure, "two hold the lock")
            data, stat = client.zk.get(ROOT + "/turns")
            self.doubtful[index] += 1
            try:
                client.zk.set(ROOT + "/turns", str(int(data) + 1).encode(), stat.version)
                self.acknowledged[index] += 1
                self.doubtful[index] -= 1
            except zke.BadVersionError:
                self.doubtful[index] -= 1
                check(sum(self.doubtful) or any(c.lost for c in self.clients),
                      "somebody else wrote under the lock")
        finally:
            self.inside -= 1

    def check(self):
        check(self.broken is None, self.broken)
        end = time.monotonic() + WAIT
        while sum(self.acknowledged) <= self.before and time.monotonic() < end:
            time.sleep(0.05)
        acknowledged = sum(self.acknowledged)
        check(acknowledged > self.before, "nobody had the lock since the last check")
        self.before = acknowledged
        client = self.clients[0]
        client.retry(client.zk.sync, ROOT + "/turns")
        # The others go on: what is read lies between what was there before and after.
        data, stat = client.retry(client.zk.get, ROOT + "/turns")
        most = sum(self.acknowledged) + sum(self.doubtful) + 1
        check(acknowledged <= int(data) <= most and int(data) == stat.version,
              f"{int(data)} turns in version {stat.version}, at least {acknowledged}, at most {most}")
        return f"{acknowledged} turns under the lock, {self.stuck} nodes of kazoo's left behind"

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(WAIT)
        for client in self.clients:
            client.zk.stop()


def main():
    lines = queue.Queue()

    def read():
        for line in sys.stdin:
            lines.put(line.strip())
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    writer = Writer()
    turns = Turns()
    print("ready", flush=True)
    passed = failed = 0
    broken = None
    while True:
        try:
            line = lines.get(timeout=0.02)
        except queue.Empty:
            try:
                writer.step()
            except AssertionError as error:
                broken = broken or str(error)
            continue
        if line is None:
            break
        name = line.removeprefix("check ")
        try:
            check(broken is None, broken)
            said = f"{writer.check()}; {turns.check()}"
            passed += 1
            print(f"ok {name}: {said}", flush=True)
        except Exception as error:  # whatever goes wrong is the answer
            failed += 1
            print(f"FAIL {name}: {type(error).__name__}: {error}", flush=True)
    turns.end()
    writer.zk.stop()
    print(f"{passed} passed, {failed} failed", flush=True)
    os._exit(1 if failed else 0)


if __name__ == "__main__":
    main()
