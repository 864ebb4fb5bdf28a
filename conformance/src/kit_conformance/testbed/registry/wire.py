"""HTTP/1.1 on a socket, as little as a registry needs and as much as a misbehaving one does."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from io import BufferedReader
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
CHUNK: Final = 256 * 1024
_HEAD_LIMIT: Final = 64 * 1024
_HUNG_UP: Final = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
_POLL: Final = 0.02  # seconds between two looks at whether the client is still there


class ConnectionEndError(Exception):
    """Ends a connection: raised by faults to close or reset it, by the wire when the client has left."""

    def __init__(self, how: str, *, reset: bool = False) -> None:
        super().__init__(how)
        self.how = how
        self.reset = reset


class BadRequestError(Exception):
    """What came over the socket is not HTTP/1.1."""


class Content(Protocol):
    """Bytes of a known size that can be read from anywhere."""

    @property
    def size(self) -> int: ...

    def chunks(self, start: int, stop: int) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Memory:
    """Content in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        for at in range(start, stop, CHUNK):
            yield self.data[at : min(at + CHUNK, stop)]


@dataclass(frozen=True, slots=True)
class File:
    """Content in a file that nobody changes."""

    path: Path
    size: int

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            file.seek(start)
            left = stop - start
            while left and (chunk := file.read(min(CHUNK, left))):
                left -= len(chunk)
                yield chunk


@dataclass(frozen=True, slots=True)
class Request:
    """One request: its head, what it addresses, and a body that has not been read yet.

    `kind` is "manifest", "blob", "config" (a blob that a stored manifest names as its config), "token",
    "upload", "tags", "referrers", "ping" or "other"; `reference` is the tag or digest asked for. `redirected`
    says that it follows a redirect of ours.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: RequestBody
    origin: str = ""
    kind: str = "other"
    repository: str = ""
    reference: str = ""
    redirected: bool = False

    @property
    def parameters(self) -> dict[str, str]:
        """Return the query's parameters; of a repeated one the last."""
        return dict(parse_qsl(self.query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Response:
    """A response before it is written: `content[start:stop]` under a status and headers.

    Content-Length is computed unless `headers` has one (a lie, then) or `chunked` is set.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Content = Memory(b"")
    start: int = 0
    stop: int | None = None
    chunked: bool = False
    reason: str = ""  # instead of the usual phrase

    @property
    def end(self) -> int:
        return self.content.size if self.stop is None else self.stop

    @property
    def length(self) -> int:
        """Return the number of body bytes that a GET is sent."""
        return self.end - self.start

    def head(self) -> bytes:
        """Return status line and headers, blank line included."""
        headers = dict(self.headers)
        if self.chunked:
            headers["Transfer-Encoding"] = "chunked"
        elif self.status not in {204, 304}:
            headers.setdefault("Content-Length", str(self.length))
        reason = self.reason or _PHRASES.get(self.status, "Status")
        lines = [f"HTTP/1.1 {self.status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class RequestBody:
    """The body of a request, read once: by Content-Length or in chunks."""

    def __init__(self, connection: Connection, length: int, *, chunked: bool, expects: bool) -> None:
        self._connection = connection
        self._left = length
        self._chunked = chunked
        self._expects = expects
        self.received = 0

    def chunks(self) -> Iterator[bytes]:
        """Yield what the client sends; ConnectionEndError when it leaves before the end."""
        if self._expects and (self._chunked or self._left):
            self._connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._expects = False
        while True:
            if self._chunked and not self._left:
                self._left = int(self._connection.line().partition(b";")[0], 16)
                if not self._left:
                    while self._connection.line():
                        pass
                    self._chunked = False
            if not self._left:
                return
            piece = self._connection.read(min(CHUNK, self._left))
            self._left -= len(piece)
            self.received += len(piece)
            if self._chunked and not self._left:
                self._connection.line()
            yield piece

    def read(self) -> bytes:
        """Return all that is left of the body."""
        return b"".join(self.chunks())

    def drain(self) -> None:
        """Read the rest away, so that the next request can follow; a refused 100-continue has none."""
        if not self._expects:
            for _ in self.chunks():
                pass


class Connection:
    """A client's connection: requests come in, bytes go out, and waits end when the client leaves."""

    def __init__(self, sock: socket.socket, number: int, closing: threading.Event) -> None:
        self.number = number
        self._socket = sock
        self._file = BufferedReader(socket.SocketIO(sock, "r"), CHUNK)
        self._closing = closing
        self._poll = select.poll()
        self._poll.register(sock.fileno(), _HUNG_UP)

    def request(self) -> Request | None:
        """Read the next request's head; None when the client has closed between requests."""
        try:
            line = self.line()
        except (ConnectionEndError, OSError):
            return None
        parts = line.decode("latin-1").split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise BadRequestError(f"not a request line: {line[:80]!r}")
        headers = self._headers()
        target = parts[1]
        if target.startswith(("http://", "https://")):  # the absolute form, as to a proxy
            target = "/" + target.split("/", 3)[3] if target.count("/") > 2 else "/"
        path, _, query = target.partition("?")
        try:
            length = int(headers.get("content-length", "0"))
        except ValueError as error:
            raise BadRequestError("Content-Length is not a number") from error
        body = RequestBody(
            self,
            length,
            chunked="chunked" in headers.get("transfer-encoding", "").lower(),
            expects=headers.get("expect", "").lower() == "100-continue",
        )
        return Request(parts[0], unquote(path), query, headers, body)

    def _headers(self) -> dict[str, str]:
        """Read the headers; lines of one name are one list, as RFC 9110 has it (Go sends an Accept for each type)."""
        found: dict[str, str] = {}
        size = 0
        while line := self.line():
            size += len(line)
            if size > _HEAD_LIMIT:
                raise BadRequestError("headers are larger than 64 KiB")
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or not name.strip():
                raise BadRequestError(f"not a header: {line[:80]!r}")
            key = name.strip().lower()
            found[key] = f"{found[key]}, {value.strip()}" if key in found else value.strip()
        return found

    def line(self) -> bytes:
        """Read one line without its end; ConnectionEndError when the client has left."""
        line = self._file.readline(_HEAD_LIMIT)
        if not line.endswith(b"\n"):
            raise ConnectionEndError("left")
        return line.rstrip(b"\r\n")

    def read(self, size: int) -> bytes:
        """Read 1 to `size` bytes of a body; ConnectionEndError when the client has left."""
        data = self._file.read1(size)
        if not data:
            raise ConnectionEndError("left")
        return data

    def send(self, data: bytes) -> None:
        """Send all of it; ConnectionEndError when the client has left."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ConnectionEndError("left") from error

    def wait(self, seconds: float | None, *, until: threading.Event | None = None) -> None:
        """Wait for some seconds, or without limit (None), or until the event.

        Ends with ConnectionEndError when the client leaves or the registry closes.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while deadline is None or time.monotonic() < deadline:
            left = _POLL if deadline is None else min(_POLL, max(0.0, deadline - time.monotonic()))
            if self._closing.is_set():
                raise ConnectionEndError("cut")
            if (until or self._closing).wait(left) and until is not None:
                return
            if self._poll.poll(0):
                raise ConnectionEndError("left")

    def shutdown(self) -> None:
        """End the connection from another thread, and wake what reads or writes here."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def close(self, *, reset: bool = False) -> None:
        """Close; with `reset` the client gets an RST where it expects bytes."""
        with contextlib.suppress(OSError, ValueError):
            if reset:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                socket.socket.shutdown(self._socket, socket.SHUT_WR)
        with contextlib.suppress(OSError, ValueError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._socket.close()
