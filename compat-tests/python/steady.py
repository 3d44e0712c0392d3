"""kazoo at work while servers come and go: under a lock it raises a counter, until its standard input
ends; the first time it says so. Then the counter must be what was acknowledged, or at most more by
what was in doubt, and the session must be the first one."""

import os
import sys
import threading
import time
import uuid

from kazoo import exceptions as zke
from kazoo.client import KazooClient

ROOT = "/steady-kazoo-" + uuid.uuid4().hex[:8]


def main():
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    client = KazooClient(os.environ["ZK_ADDR"], timeout=20)
    client.start(30)
    client.create(ROOT, b"0")
    session = client.client_id[0]
    lock = client.Lock(ROOT + "-lock", "kazoo")
    acknowledged = doubtful = stuck = 0
    while not stop.is_set():
        try:
            if not lock.acquire(timeout=10):
                raise zke.LockTimeout()
            try:
                data, stat = client.retry(client.get, ROOT)
                doubtful += 1
                client.set(ROOT, str(int(data) + 1).encode(), version=stat.version)
                doubtful -= 1
                acknowledged += 1
                if acknowledged == 1:
                    print("at work", flush=True)
            finally:
                lock.release()
        except zke.LockTimeout:
            # A node of its own whose creation kazoo did not hear of, and that the next member did not
            # know yet, stands before its second one for ever.
            stuck += 1
            print(f"no lock after {acknowledged} rounds", file=sys.stderr)
            lock = client.Lock(f"{ROOT}-lock-{stuck}", "kazoo")
        except (zke.ConnectionLoss, zke.ConnectionClosedError, zke.OperationTimeoutError):
            pass
        except zke.BadVersionError:
            # A write in doubt had been done.
            pass
        time.sleep(0.002)
    data, _ = client.retry(client.get, ROOT)
    same = client.client_id[0] == session
    client.stop()
    good = acknowledged <= int(data) <= acknowledged + doubtful and same and acknowledged > 0
    print(f"{'ok' if good else 'FAIL'} kazoo: counter {int(data)}, {acknowledged} acknowledged, "
          f"{doubtful} in doubt, session kept: {same}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
