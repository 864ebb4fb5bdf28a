"""HTTP/1.1 on a socket (RFC 9112): one request, one head, one body at a time.

http.client would do, but it imports the email package (a fifth of the start-up of a small pull), and it reads bodies
through a buffer that forgets how many bytes came when the connection breaks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_initializer.deadline import NEVER
from kit_initializer.secret import printable

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from kit_initializer.deadline import Deadline

# Heads of registries and object stores have a few kilobytes; trailers have less.
_HEAD_BYTES = 64 * 1024
# Go's net/http takes five 1xx responses before the final one (Transport, max1xxResponses).
_INTERIM_RESPONSES = 5
_LINE_BYTES = 8 * 1024
_RECEIVE_BYTES = 16 * 1024
_TLS = (b"\x15\x03", b"\x16\x03")  # an alert, a handshake
_BLANK = b"\r\n\r\n"


class ProtocolError(Exception):
    """The peer does not speak HTTP/1.1 as it should."""


class NotHTTPError(ProtocolError):
    """What comes is not HTTP at all."""


class SpeaksTLSError(NotHTTPError):
    """What comes is a record of TLS (RFC 8446, 5.1), where plain HTTP was sent."""


class ClosedError(Exception):
    """The peer has closed the connection where a message should have begun."""


class Headers:
    """Header fields by name, whatever the case. A field may occur more than once."""

    __slots__ = ("_fields",)

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._fields: dict[str, list[str]] = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            if not colon or not name or name[:1] in b" \t":
                raise ProtocolError("a header line has no name")
            self._fields.setdefault(name.decode("latin-1").lower(), []).append(
                value.strip().decode("latin-1")
            )

    def get(self, name: str) -> str:
        """Return a field's value, the last where there are several; "" when it is not there."""
        return self._fields.get(name.lower(), [""])[-1]

    def get_all(self, name: str) -> list[str]:
        """Return every value of a field."""
        return self._fields.get(name.lower(), [])


class Wire:
    """A connected socket with HTTP on it.

    `until` bounds a request and the head of its response as a whole, interim ones included. `stall_s` bounds each wait
    for bytes of the body; a line between its chunks, or all of its trailers, have to come in that time as well. None
    of that goes beyond `run`.
    """

    def __init__(
        self, sock: socket.socket, until: Deadline = NEVER, stall_s: float = 0.0, run: Deadline = NEVER
    ) -> None:
        self.sock = sock
        self.until = until
        self.stall_s = stall_s
        self._run = run
        self._ahead = b""  # received with a head, but behind it
        self._left: int | None = 0  # of the body; None: to the connection's end
        self._chunked = False
        self._chunk_left = 0
        self.reusable = True
        self.used = 0  # how many requests were sent

    def send(
        self, method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes | None = None
    ) -> None:
        """Send a request. ValueError for a header that would break the message apart."""
        lines = [f"{method} {target} HTTP/1.1"]
        for name, value in headers:
            if "\r" in value or "\n" in value:
                raise ValueError(f"the header {name} holds a line break")
            lines.append(f"{name}: {value}")
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.used += 1
        self.sock.settimeout(self.until.left())
        self.sock.sendall("\r\n".join(lines).encode("latin-1", "replace") + _BLANK + (body or b""))

    def head(self, *, bodiless: bool = False) -> tuple[int, str, Headers]:
        """Receive status, reason and headers of the response; its body is read with `readinto`.

        `bodiless`: the response to CONNECT, behind which the tunnel begins. Raises ClosedError, ProtocolError, OSError.
        """
        for _ in range(_INTERIM_RESPONSES + 1):
            status, reason, headers = self._one_head()
            if status >= 200:
                break
            if status == 101:
                raise ProtocolError("the response switches to another protocol")
        else:
            raise ProtocolError(f"more than {_INTERIM_RESPONSES} interim responses (1xx)")
        self.sock.settimeout(self._stall().left())
        self._chunked = "chunked" in headers.get("Transfer-Encoding").lower()
        self._chunk_left = 0
        length = headers.get("Content-Length")
        self.reusable = "close" not in headers.get("Connection").lower()
        if bodiless or status in {204, 304}:
            self._left = 0
        elif self._chunked:
            self._left = None
        elif length.isascii() and length.isdigit():
            self._left = int(length)
        elif length:
            raise ProtocolError(f"Content-Length is {printable(length, 40)!r}")
        else:
            self._left, self.reusable = None, False
        return status, reason, headers

    def _one_head(self) -> tuple[int, str, Headers]:
        received = bytearray(self._ahead)
        self._ahead = b""
        while (end := received.find(_BLANK)) < 0:
            if received.startswith(_TLS):
                raise SpeaksTLSError("the answer is TLS")
            if len(received) > _HEAD_BYTES or (received and not b"HTTP/1.".startswith(received[:7])):
                raise NotHTTPError("the answer is not HTTP")
            data = self._more(self.until)
            if not data:
                raise ProtocolError("the answer ends in its head") if received else ClosedError
            received += data
        self._ahead = bytes(received[end + 4 :])
        first, *lines = bytes(received[:end]).split(b"\r\n")
        version, _, rest = first.decode("latin-1").partition(" ")
        code, _, reason = rest.partition(" ")
        if not version.startswith("HTTP/1.") or len(code) != 3 or not (code.isascii() and code.isdigit()):
            raise NotHTTPError("the answer is not HTTP")
        return int(code), printable(reason.strip()), Headers(lines)

    def _more(self, until: Deadline) -> bytes:
        """Receive what has come, at least a byte, or b"" at the end of the connection. TimeoutError after `until`."""
        if until.passed:
            raise TimeoutError
        self.sock.settimeout(until.left())
        return self.sock.recv(_RECEIVE_BYTES)

    def _stall(self) -> Deadline:
        return self._run.nearer("KIT_STALL_TIMEOUT", self.stall_s)

    @property
    def left(self) -> int | None:
        """Bytes of the body that are still to come; None when only its end will tell."""
        return self._left

    @property
    def finished(self) -> bool:
        """Whether the body has been read to its end, so that the connection is ready for the next request."""
        return self._left == 0 and self.reusable

    def readinto(self, view: memoryview) -> int:
        """Receive what has come, at least a byte, into `view`; 0 at the end of the body, or of the connection."""
        left = self._left
        if left == 0:
            return 0
        if self._chunked:
            return self._readinto_chunk(view)
        if left is not None and left < len(view):
            view = view[:left]
        count = self._receive(view)
        if left is not None:
            self._left = left - count
        elif not count:
            self._left = 0
        return count

    def _receive(self, view: memoryview) -> int:
        if self._ahead:
            count = min(len(view), len(self._ahead))
            view[:count] = self._ahead[:count]
            self._ahead = self._ahead[count:]
            return count
        if self._run.seconds:
            self.sock.settimeout(self._run.within(self.stall_s))
        return self.sock.recv_into(view)

    def _readinto_chunk(self, view: memoryview) -> int:
        if not self._chunk_left:
            size = self._line(self._stall()).partition(b";")[0].strip()
            if not 0 < len(size) <= 16 or size.strip(b"0123456789abcdefABCDEF"):
                raise ProtocolError("a chunk has no size")
            self._chunk_left = int(size, 16)
            if not self._chunk_left:
                self._trailers()
                self._left = 0
                return 0
        count = self._receive(view[: self._chunk_left])
        if not count:
            raise ProtocolError("the answer ends in a chunk")
        self._chunk_left -= count
        if not self._chunk_left and self._line(self._stall()):
            raise ProtocolError("a chunk does not end where it says")
        return count

    def _trailers(self) -> None:
        """Read past the trailers, which say nothing that is wanted: all of them in the time of one line."""
        until, seen = self._stall(), 0
        while line := self._line(until):
            seen += len(line) + 2
            if seen > _HEAD_BYTES:
                raise ProtocolError(f"the trailers have more than {_HEAD_BYTES} bytes")

    def _line(self, until: Deadline) -> bytes:
        """Return the next line, which has to be there by `until`."""
        if b"\r\n" not in self._ahead:
            while b"\r\n" not in self._ahead:
                if len(self._ahead) > _LINE_BYTES:
                    raise ProtocolError("a line of the answer does not end")
                data = self._more(until)
                if not data:
                    raise ProtocolError("the answer ends in a chunk")
                self._ahead += data
            self.sock.settimeout(self._stall().left())
        line, _, self._ahead = self._ahead.partition(b"\r\n")
        return line

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()
