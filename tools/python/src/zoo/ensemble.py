"""Owns several servers that form an ensemble. May use ``server``. Must not decide who leads."""

import shutil
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Iterator, List, Optional, Type

from zoo import _ports
from zoo.server import StartError, ZooServer

__all__ = ["ZooEnsemble"]

_SERVING = ("leader", "follower", "observer")


class ZooEnsemble:
    """An ensemble of ``size`` voters, and ``observers`` besides, on free ports of 127.0.0.1.

    Its members are ``ZooServer`` objects, which are killed, stopped and started one by one; a
    member's data is kept until the ensemble stops.
    """

    def __init__(
        self,
        size: int = 3,
        *,
        observers: int = 0,
        server_class: Type[ZooServer] = ZooServer,
        binary: Optional[str] = None,
        start_timeout: float = 30.0,
    ) -> None:
        if size < 1 or observers < 0 or size + observers < 2:
            raise ValueError("an ensemble has a voter and at least two members")
        #: Seconds that ``start`` and ``leader`` wait.
        self.start_timeout = start_timeout
        self._ports: List[int] = []
        self._folder: Optional[Path] = None
        #: The members; that with number N (``myid``) is ``members[N - 1]``.
        self.members: List[ZooServer] = []
        for number in range(1, size + observers + 1):
            member = server_class()
            member.myid = number
            if binary is not None:
                member.binary = binary
            member.set_parameter("initLimit", 10).set_parameter("syncLimit", 5)
            member.set_parameter("forceSync", "no")
            # Members that start one after the other may elect two, one of whom waits for followers in vain:
            # by default for all of initLimit.
            member.set_parameter("leader.maxTimeToWaitForEpoch", 0)
            if number > size:
                member.set_parameter("peerType", "observer")
            self.members.append(member)
        self._voters = size

    def set_parameter(self, key: str, value: object = None) -> "ZooEnsemble":
        """Sets a key of every member's ``zoo.cfg``; see ``ZooServer.set_parameter``."""
        for member in self.members:
            if value is None:
                member.set_parameter(key)
            else:
                member.set_parameter(key, value)
        return self

    @property
    def hosts(self) -> str:
        """Where clients connect: all members, with commas between."""
        return ",".join(member.hosts for member in self.members)

    connect_string = hosts

    def start(self) -> "ZooEnsemble":
        """Starts the members that do not run; returns when one leads and all others follow.

        Raises StartError.
        """
        if self._folder is None:
            self._prepare()
        try:
            for member in self.members:
                member.start()
            self._await_everybody()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Ends all members and removes their data."""
        for member in self.members:
            member.stop()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        _ports.release(self._ports)
        self._ports = []

    def restart(self) -> "ZooEnsemble":
        """Ends all members and starts them again, with their data and on their ports."""
        for member in self.members:
            member.stop()
        return self.start()

    def leader(self, timeout: Optional[float] = None) -> ZooServer:
        """The member that leads; waits for an election to end.

        Raises TimeoutError.
        """
        limit = self.start_timeout if timeout is None else timeout
        end = time.monotonic() + limit
        while True:
            leaders = [m for m in self.members if m.is_running and m.mode == "leader"]
            if len(leaders) == 1:
                return leaders[0]
            if time.monotonic() >= end:
                raise TimeoutError(f"there is no leader after {limit:g} s: {self._modes()}")
            time.sleep(0.01)

    def followers(self) -> List[ZooServer]:
        """The voters that follow."""
        return [m for m in self.members if m.is_running and m.mode == "follower"]

    def __enter__(self) -> "ZooEnsemble":
        return self.start()

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.stop()

    def __iter__(self) -> Iterator[ZooServer]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __getitem__(self, index: int) -> ZooServer:
        return self.members[index]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._modes()}>"

    def _prepare(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="zoo-ensemble-"))
        self._ports = _ports.claim(2 * len(self.members))
        for at, member in enumerate(self.members):
            member.set_parameter("dataDir", self._folder / str(at + 1))
            for other in range(len(self.members)):
                quorum, election = self._ports[2 * other : 2 * other + 2]
                role = "" if other < self._voters else ":observer"
                line = f"127.0.0.1:{quorum}:{election}{role}"
                member.set_parameter(f"server.{other + 1}", line)

    def _await_everybody(self) -> None:
        end = time.monotonic() + self.start_timeout
        while True:
            modes = [member.mode for member in self.members]
            if modes.count("leader") == 1 and all(mode in _SERVING for mode in modes):
                return
            gone = [m for m in self.members if not m.is_running]
            if gone or time.monotonic() >= end:
                which = gone[0] if gone else self.members[modes.index(None)] if None in modes else None
                text = f"the ensemble is not complete after its start: {self._modes()}"
                raise StartError(text, which.exit_status if which else None, which.log if which else "")
            time.sleep(0.005)

    def _modes(self) -> str:
        told = (f"{m.myid} {m.mode or 'looking' if m.is_running else 'down'}" for m in self.members)
        return ", ".join(told)
