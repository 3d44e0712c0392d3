"""Owns ports that have to be known before they are opened. Must not give one away twice.

The servers of an ensemble have to know each other's ports beforehand, so that port 0 is no help. The
ports are from below the range that systems take for outgoing connections, and a lock on a file of
that number keeps other test runs away for as long as the port is claimed.
"""

import fcntl
import os
import pwd
import random
import socket
import tempfile
import threading
from pathlib import Path
from typing import IO, Dict, List

FIRST, LAST = 20_000, 31_999
_claimed: Dict[int, IO[bytes]] = {}
_guard = threading.Lock()


def claim(count: int, host: str = "127.0.0.1") -> List[int]:
    """Ports that nobody uses, until they are released."""
    ports: List[int] = []
    with _guard:
        for port in random.sample(range(FIRST, LAST + 1), LAST + 1 - FIRST):
            if len(ports) == count:
                return ports
            if port not in _claimed and _lock(port, host):
                ports.append(port)
    release(ports)
    raise OSError(f"there are no {count} free ports from {FIRST} to {LAST}")


def release(ports: List[int]) -> None:
    """The ports are not needed any more."""
    with _guard:
        for port in ports:
            lock = _claimed.pop(port, None)
            if lock:
                lock.close()


def _lock(port: int, host: str) -> bool:
    # A POSIX lock, as Java's are, so that TestingCluster and this module see each other's.
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = "?"
    folder = Path(tempfile.gettempdir()) / f"menagerie-ports-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    lock = open(folder / str(port), "wb")
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError:
        lock.close()
        return False
    _claimed[port] = lock
    return True
