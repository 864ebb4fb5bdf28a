"""HTTP/1.1 on a socket (RFC 9112): one request, one head, one body at a time.

http.client would do, but it imports the email package (a fifth of the start-up of a small pull), and it reads bodies
through a buffer that forgets how many bytes came when the connection breaks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kit_initializer.deadline import NEVER

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from kit_initializer.deadline import Deadline

# Heads of registries and object stores have a few kilobytes; what is larger is no head.
_HEAD_BYTES = 64 * 1024
_LINE_BYTES = 8 * 1024
_RECEIVE_BYTES = 16 * 1024
# Interim responses (RFC 9110, 15.2) before the final one. Servers send one or two.
_INTERIM = 16
_BLANK = b"\r\n\r\n"


class ProtocolError(Exception):
    """The peer does not speak HTTP/1.1 as it should."""


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

    `until` bounds what is called next as a whole, however many pieces come: a request and the head of its response
    (interim ones included), or one `readinto`, with the chunk's size or the trailers that come before it.
    """

    def __init__(self, sock: socket.socket, until: Deadline = NEVER) -> None:
        self.sock = sock
        self.until = until
        self._ahead = b""  # received with a head, but behind it
        self._left: int | None = 0  # of the body; None: to the connection's end
        self._chunked = False
        self._chunk_left = 0
        self.reusable = True

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
        self._arm()
        self.sock.sendall("\r\n".join(lines).encode("latin-1", "replace") + _BLANK + (body or b""))

    def _arm(self) -> None:
        """Let the next operation on the socket end in time."""
        left = self.until.left()
        if left is not None:
            self.sock.settimeout(left)

    def _more(self) -> bytes:
        self._arm()
        return self.sock.recv(_RECEIVE_BYTES)

    def head(self, *, bodiless: bool = False) -> tuple[int, str, Headers]:
        """Receive status, reason and headers of the answer; its body is read with `readinto`.

        `bodiless`: the answer to CONNECT, behind which the tunnel begins. Raises ClosedError, ProtocolError, OSError.
        """
        for _ in range(_INTERIM + 1):
            status, reason, headers = self._one_head()
            if status >= 200:
                break
        else:
            raise ProtocolError(f"more than {_INTERIM} interim responses")
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
            raise ProtocolError(f"Content-Length is {length[:40]!r}")
        else:
            self._left, self.reusable = None, False
        return status, reason, headers

    def _one_head(self) -> tuple[int, str, Headers]:
        received = bytearray(self._ahead)
        self._ahead = b""
        while (end := received.find(_BLANK)) < 0:
            if len(received) > _HEAD_BYTES or (received and not b"HTTP/1.".startswith(received[:7])):
                raise ProtocolError("the answer is not HTTP")
            data = self._more()
            if not data:
                raise ProtocolError("the answer ends in its head") if received else ClosedError
            received += data
        self._ahead = bytes(received[end + 4 :])
        first, *lines = bytes(received[:end]).split(b"\r\n")
        version, _, rest = first.decode("latin-1").partition(" ")
        code, _, reason = rest.partition(" ")
        if not version.startswith("HTTP/1.") or len(code) != 3 or not (code.isascii() and code.isdigit()):
            raise ProtocolError("the answer is not HTTP")
        return int(code), reason.strip(), Headers(lines)

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
        self._arm()
        return self.sock.recv_into(view)

    def _readinto_chunk(self, view: memoryview) -> int:
        if not self._chunk_left:
            size = self._line().partition(b";")[0].strip()
            if not 0 < len(size) <= 16 or size.strip(b"0123456789abcdefABCDEF"):
                raise ProtocolError("a chunk has no size")
            self._chunk_left = int(size, 16)
            if not self._chunk_left:
                trailers = 0
                while line := self._line():  # trailers say nothing that is wanted
                    trailers += len(line)
                    if trailers > _HEAD_BYTES:
                        raise ProtocolError("the trailers do not end")
                self._left = 0
                return 0
        count = self._receive(view[: self._chunk_left])
        if not count:
            raise ProtocolError("the answer ends in a chunk")
        self._chunk_left -= count
        if not self._chunk_left and self._line():
            raise ProtocolError("a chunk does not end where it says")
        return count

    def _line(self) -> bytes:
        while b"\r\n" not in self._ahead:
            if len(self._ahead) > _LINE_BYTES:
                raise ProtocolError("a line of the answer does not end")
            data = self._more()
            if not data:
                raise ProtocolError("the answer ends in a chunk")
            self._ahead += data
        line, _, self._ahead = self._ahead.partition(b"\r\n")
        return line

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()
