"""Owns one server as a process: its configuration, its start and its end. Must not speak to it but
in four-letter words.
"""

import atexit
import os
import re
import selectors
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, List, Optional, Type, TypeVar

from zoo._wire import four_letter
from zoo.binary import find_binary

__all__ = ["StartError", "ZooServer"]

Self = TypeVar("Self", bound="ZooServer")

_UNSET = object()
_READY = re.compile(r"menagerie ready clientPort=(\d+)")
_ERROR_LINE = re.compile(r"^\S+\s+ERROR\s+\S+:\s+(.*)$")
#: Bytes of the server's log that are kept in memory when it stops.
_LOG_KEPT = 1 << 20
#: Variables whose Java flags a server takes for parameters; a test's server has only its own.
_FLAGS = ("JVMFLAGS", "SERVER_JVMFLAGS")

_running: "Dict[ZooServer, int]" = {}


class StartError(RuntimeError):
    """A server did not start; the text has the server's own message."""

    def __init__(self, text: str, status: Optional[int] = None, log: str = "") -> None:
        super().__init__(text)
        #: The process' exit status, when it ended.
        self.status = status
        #: Everything the server said.
        self.log = log


class ZooServer:
    """A ZooKeeper server in a process of its own.

    It listens on a free port of 127.0.0.1 and keeps its data in a temporary directory, unless
    parameters say something else. It ends with ``stop()``, with the ``with`` block, or with the
    Python process, however that one ends. A server that runs is not collected as garbage.

    A derived class may set its parameters in ``__init__`` and need not call this class' own.
    """

    #: Seconds that ``start`` waits for the server to be ready.
    start_timeout: float = 30.0
    #: Seconds that ``stop`` waits for the server to end before it kills it.
    stop_timeout: float = 10.0
    #: The path of the server's program; None for what ``zoo.find_binary`` finds.
    binary: Optional[str] = None
    #: This server's number in an ensemble, written to ``dataDir/myid``. None leaves the file alone,
    #: unless there is one ``server`` line only.
    myid: Optional[int] = None

    _parameters: Dict[str, str]
    _process: "Optional[subprocess.Popen[bytes]]"
    _status: Optional[int]
    _port: Optional[int]
    _folder: Optional[Path]
    _last_log: str
    # RLock is a function to some versions of Python, not a type.
    _lock: Any

    def __new__(cls: Type[Self], *_args: Any, **_options: Any) -> Self:
        self = super().__new__(cls)
        self._parameters = {}
        self._process = None
        self._status = None
        self._port = None
        self._folder = None
        self._last_log = ""
        self._lock = threading.RLock()
        return self

    def __init__(
        self,
        *,
        binary: Optional[str] = None,
        start_timeout: Optional[float] = None,
        stop_timeout: Optional[float] = None,
    ) -> None:
        if binary is not None:
            self.binary = binary
        if start_timeout is not None:
            self.start_timeout = start_timeout
        if stop_timeout is not None:
            self.stop_timeout = stop_timeout

    # Parameters

    def set_parameter(self: Self, key: str, value: object = _UNSET) -> Self:
        """Sets a key of ``zoo.cfg``, as ``("tickTime", 500)`` or ``("tickTime=500")``.

        It takes effect at the next start. What is wrong with a value is told by ``start``, which
        asks the server.
        """
        if value is _UNSET:
            key, equals, value = key.partition("=")
            if not equals:
                raise ValueError(f"{key!r} has no value: give it as a second argument or behind '='")
        key = key.strip()
        if not key or "=" in key or any(ord(c) < 32 for c in key):
            raise ValueError(f"{key!r} is no key of zoo.cfg")
        if value is None:
            raise ValueError(f"{key}: None is no value")
        text = str(value).lower() if isinstance(value, bool) else str(value).strip()
        if any(ord(c) < 32 for c in text):
            raise ValueError(f"{key}: a value is one line of text, and {text!r} is not")
        with self._lock:
            self._parameters[key] = text
            if key == "clientPort":
                self._port = None
        return self

    @property
    def parameters(self) -> Dict[str, str]:
        """The parameters that were set."""
        return dict(self._parameters)

    # Where it is

    @property
    def port(self) -> int:
        """The port for clients. A free one that was taken at the first start stays the same."""
        if self._port is None:
            raise RuntimeError("the server has no port before it is started")
        return self._port

    @property
    def host(self) -> str:
        """The address for clients."""
        host = self._parameters.get("clientPortAddress", "127.0.0.1")
        return "127.0.0.1" if host in ("0.0.0.0", "::", "*") else host

    @property
    def hosts(self) -> str:
        """Where clients connect: ``KazooClient(hosts=server.hosts)``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    connect_string = hosts

    @property
    def data_dir(self) -> Path:
        """The directory of snapshots."""
        named = self._parameters.get("dataDir")
        if named is not None:
            return Path(named)
        if self._folder is None:
            raise RuntimeError("the server has no directory before it is started")
        return self._folder / "data"

    @property
    def log(self) -> str:
        """What the server said, also after it stopped."""
        with self._lock:
            if self._folder is None:
                return self._last_log
            try:
                with open(self._folder / "server.log", "rb") as file:
                    file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_KEPT))
                    return file.read().decode("utf-8", "replace")
            except FileNotFoundError:
                return self._last_log

    @property
    def pid(self) -> Optional[int]:
        """The number of the process, while it runs."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    @property
    def is_running(self) -> bool:
        """Whether the process is there."""
        return self.pid is not None

    @property
    def exit_status(self) -> Optional[int]:
        """How the process ended last: 0 in good order, -9 for a kill."""
        process = self._process
        return process.poll() if process else self._status

    # Start and end

    def start(self: Self) -> Self:
        """Starts the server; returns when clients can connect. Does nothing when it runs already.

        Raises StartError, with the server's own message.
        """
        with self._lock:
            if self.is_running:
                return self
            self._reap()
            fresh = self._folder is None
            try:
                self._launch()
            except BaseException:
                self._end(signal.SIGKILL)
                if fresh:
                    self._tidy()
                raise
        return self

    def stop(self) -> None:
        """Ends the server in good order, and removes its data if ``dataDir`` was not set."""
        with self._lock:
            self._end(signal.SIGTERM)
            self._tidy()

    def restart(self: Self) -> Self:
        """Ends the server in good order and starts it again, with its data and on its port."""
        with self._lock:
            self._end(signal.SIGTERM)
            return self.start()

    def kill(self) -> None:
        """Ends the server at once (SIGKILL). Its data is kept for ``start`` until ``stop``."""
        with self._lock:
            self._end(signal.SIGKILL)

    def suspend(self) -> None:
        """Halts the process: connections stay open, and nothing is answered."""
        with self._lock:
            pid = self._signal(signal.SIGSTOP)
            # Its threads go on until the system has seen to each of them.
            os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Goes on after ``suspend``."""
        self._signal(signal.SIGCONT)

    def __enter__(self: Self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = self.hosts if self.is_running else "not running"
        return f"<{type(self).__name__} {state}>"

    # What it says

    def four_letter(self, word: str, timeout: float = 5.0) -> str:
        """The answer to a four-letter word, such as ``srvr`` or ``mntr``."""
        return four_letter((self.host, self.port), word, timeout)

    @property
    def mode(self) -> Optional[str]:
        """``standalone``, ``leader``, ``follower``, ``observer``; None while it serves nobody."""
        try:
            answer = self.four_letter("srvr")
        except OSError:
            return None
        found = re.search(r"^Mode: (\S+)", answer, re.MULTILINE)
        return found.group(1) if found else None

    # Details

    def _defaults(self) -> Dict[str, str]:
        defaults = {
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "*",
        }
        server_lines = [v for k, v in self._parameters.items() if k.startswith("server.")]
        if not any(";" in line for line in server_lines):
            defaults["clientPort"] = str(self._port or 0)
            defaults["clientPortAddress"] = "127.0.0.1"
        if "dataDir" not in self._parameters:
            # What is thrown away need not survive the machine.
            defaults["forceSync"] = "no"
        return defaults

    def _number(self) -> Optional[int]:
        """What goes to ``myid``. With a single line there is no doubt which one is this server's."""
        numbers = [k[len("server.") :] for k in self._parameters if k.startswith("server.")]
        if self.myid is None and len(numbers) == 1 and numbers[0].isdecimal():
            return int(numbers[0])
        return self.myid

    def _write_files(self, folder: Path) -> Path:
        parameters = {**self._defaults(), **self._parameters}
        if parameters.get("clientPort") == "0" and self._port:
            parameters["clientPort"] = str(self._port)
        parameters["dataDir"] = os.path.abspath(self.data_dir)
        number = self._number()
        if number is not None:
            os.makedirs(parameters["dataDir"], exist_ok=True)
            Path(parameters["dataDir"], "myid").write_text(f"{number}\n", "ascii")
        lines = [f"{_escaped(key, True)}={_escaped(value)}" for key, value in parameters.items()]
        path = folder / "zoo.cfg"
        path.write_text("\n".join(lines) + "\n", "ascii")
        return path

    def _launch(self) -> None:
        try:
            binary = self.binary or find_binary()
        except FileNotFoundError as error:
            raise StartError(str(error)) from error
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="zoo-"))
        config = self._write_files(self._folder)
        environment = {k: v for k, v in os.environ.items() if k not in _FLAGS}
        begun = (self._folder / "server.log").stat().st_size if self._has_log() else 0
        with open(self._folder / "server.log", "ab") as log:
            try:
                # The server ends when its standard input does, so at the latest with this process. A
                # session of its own keeps the terminal's Ctrl-C from it, which is for the tests.
                self._process = subprocess.Popen(
                    [binary, "--stop-with-stdin", str(config)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise StartError(f"{binary} cannot be run: {error.strerror}") from error
        _running[self] = os.getpid()
        self._port = self._await_ready(self._process, begun)

    def _has_log(self) -> bool:
        return self._folder is not None and (self._folder / "server.log").exists()

    def _await_ready(self, process: "subprocess.Popen[bytes]", begun: int) -> int:
        assert process.stdout is not None
        end, said = time.monotonic() + self.start_timeout, b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while b"\n" not in said:
                if not selector.select(max(0.0, end - time.monotonic())):
                    text = f"the server was not ready within {self.start_timeout:g} s"
                    raise self._failure(text, None, begun)
                part = os.read(process.stdout.fileno(), 4096)
                if not part:
                    break
                said += part
        found = _READY.search(said.decode("utf-8", "replace"))
        if found:
            return int(found.group(1))
        try:
            status = process.wait(self.stop_timeout)
        except subprocess.TimeoutExpired:
            raise self._failure("the server said nothing of its port", None, begun) from None
        ended = f"exit status {status}" if status >= 0 else f"signal {-status}"
        raise self._failure(f"the server did not start ({ended})", status, begun)

    def _failure(self, text: str, status: Optional[int], begun: int) -> StartError:
        assert self._folder is not None
        with open(self._folder / "server.log", "rb") as file:
            file.seek(begun)
            log = file.read(_LOG_KEPT).decode("utf-8", "replace")
        message = _message(log)
        return StartError(f"{text}: {message}" if message else text, status, log)

    def _signal(self, number: signal.Signals) -> int:
        process = self._process
        if process is None or process.poll() is not None:
            raise RuntimeError("the server does not run")
        process.send_signal(number)
        return process.pid

    def _end(self, number: signal.Signals) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
            # A halted process would not notice.
            process.send_signal(signal.SIGCONT)
            try:
                process.wait(self.stop_timeout)
            except subprocess.TimeoutExpired:
                warnings.warn(
                    f"{self!r} did not stop within {self.stop_timeout:g} s and was killed",
                    RuntimeWarning,
                    stacklevel=3,
                )
                process.kill()
                process.wait()
        self._reap()

    def _reap(self) -> None:
        """Puts away a process that has ended."""
        process, self._process = self._process, None
        if process is None:
            return
        self._status = process.returncode
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        _running.pop(self, None)

    def _tidy(self) -> None:
        """Removes what is this object's own."""
        if self._folder is not None:
            self._last_log = self.log
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _escaped(text: str, key: bool = False) -> str:
    """Text as Java's properties files have it."""
    special = "\\=: #!" if key else "\\"
    parts: List[str] = []
    for index, c in enumerate(text):
        if ord(c) > 126:
            units = c.encode("utf-16-be").hex()
            parts.extend(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))
        elif c in special or (c == " " and index == 0):
            parts.append("\\" + c)
        else:
            parts.append(c)
    return "".join(parts)


def _message(log: str) -> str:
    """The error that a log ends with, or else its last line."""
    lines = [line for line in log.splitlines() if line.strip()]
    for index in range(len(lines) - 1, -1, -1):
        found = _ERROR_LINE.match(lines[index])
        if found:
            return "\n".join([found.group(1), *lines[index + 1 :]])
    return lines[-1] if lines else ""


@atexit.register
def _stop_all() -> None:
    for server, owner in list(_running.items()):
        # A forked process has the list too, but not the servers.
        if owner == os.getpid():
            server.stop()
