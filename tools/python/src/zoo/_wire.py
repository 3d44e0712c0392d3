"""Owns the few requests that the fixtures make themselves, so that this package needs no client.

Must not grow into a client library: no watches, no reconnecting.
"""

import socket
import struct
from types import TracebackType
from typing import List, Optional, Tuple, Type

NO_NODE, NO_AUTH, NODE_EXISTS, NOT_EMPTY = -101, -102, -110, -111
_CREATE, _DELETE, _CHILDREN, _CLOSE = 1, 2, 8, -11
_ALL_PERMISSIONS = 31


class RequestError(Exception):
    """The server refused a request."""

    def __init__(self, what: str, code: int) -> None:
        super().__init__(f"{what}: error {code}")
        self.code = code


def four_letter(address: Tuple[str, int], word: str, timeout: float = 5.0) -> str:
    """What a server answers to a four-letter word, such as ``srvr``."""
    with socket.create_connection(address, timeout) as stream:
        stream.sendall(word.encode("ascii"))
        answer = b""
        while True:
            part = stream.recv(65536)
            if not part:
                return answer.decode("utf-8", "replace")
            answer += part


class Session:
    """A session, closed at the end of its ``with`` block."""

    def __init__(self, address: Tuple[str, int], timeout: float = 10.0) -> None:
        self._stream = socket.create_connection(address, timeout)
        self._xid = 0
        # Protocol version, last zxid, time-out, session, password.
        self._send(struct.pack(">iqiqi16s", 0, 0, int(timeout * 1000), 0, 16, bytes(16)))
        self._receive()

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        try:
            self._call("close", _CLOSE, b"")
        except (OSError, RequestError):
            if kind is None:
                raise
        finally:
            self._stream.close()

    def create(self, path: str) -> None:
        """Creates a persistent node without data that everybody may change."""
        acl = struct.pack(">ii", 1, _ALL_PERMISSIONS) + _text("world") + _text("anyone")
        self._call(f"create {path}", _CREATE, _text(path) + struct.pack(">i", 0) + acl + bytes(4))

    def children(self, path: str) -> List[str]:
        """The names of a node's children."""
        body = self._call(f"getChildren {path}", _CHILDREN, _text(path) + b"\0")
        (count,) = struct.unpack_from(">i", body)
        names, at = [], 4
        for _ in range(count):
            (length,) = struct.unpack_from(">i", body, at)
            names.append(body[at + 4 : at + 4 + length].decode("utf-8"))
            at += 4 + length
        return names

    def delete_tree(self, path: str) -> None:
        """Deletes a node and all below; leaves what it may not delete."""
        # Others may create nodes meanwhile, but not for ever.
        for _ in range(100):
            try:
                for name in self.children(path):
                    self.delete_tree(f"{path}/{name}")
                self._call(f"delete {path}", _DELETE, _text(path) + struct.pack(">i", -1))
                return
            except RequestError as error:
                if error.code in (NO_NODE, NO_AUTH):
                    return
                if error.code != NOT_EMPTY:
                    raise

    def _call(self, what: str, kind: int, body: bytes) -> bytes:
        self._xid += 1
        self._send(struct.pack(">ii", self._xid, kind) + body)
        answer = self._receive()
        xid, _zxid, code = struct.unpack_from(">iqi", answer)
        if xid != self._xid:
            raise OSError(f"{what}: the answer is to request {xid}, not {self._xid}")
        if code:
            raise RequestError(what, code)
        return answer[16:]

    def _send(self, payload: bytes) -> None:
        self._stream.sendall(struct.pack(">i", len(payload)) + payload)

    def _receive(self) -> bytes:
        (length,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        parts = b""
        while len(parts) < count:
            part = self._stream.recv(count - len(parts))
            if not part:
                raise ConnectionError("the server closed the connection")
            parts += part
        return parts


def _text(text: str) -> bytes:
    encoded = text.encode("utf-8")
    return struct.pack(">i", len(encoded)) + encoded
