"""Answers that never end, although something keeps coming: a limit on each read alone waits for them for ever."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn, Self

from kit_conformance.testbed.registry.faults.base import BodyFault, Exchange, Fault
from kit_conformance.testbed.registry.wire import ConnectionEndError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kit_conformance.testbed.registry.wire import Response

_PAUSE: float = 0.05


def _for_ever(exchange: Exchange, piece: bytes, pause: float) -> NoReturn:
    while True:
        exchange.connection.wait(pause, until=exchange.release)
        if exchange.release.is_set():
            raise ConnectionEndError("cut")
        exchange.connection.send(piece)


@dataclass(frozen=True)
class Endless(Fault):
    """`first` is the response, and then comes `again`, with a pause each time, until the client leaves."""

    first: bytes
    again: bytes
    pause: float = _PAUSE

    def answer(self, exchange: Exchange) -> None:
        exchange.connection.send(self.first)
        _for_ever(exchange, self.again, self.pause)

    @classmethod
    def status(cls) -> Self:
        """Return the fault of a status line that does not end."""
        return cls(b"HTTP/1.1 200 O", b"K")

    @classmethod
    def header(cls) -> Self:
        """Return the fault of a header that does not end."""
        return cls(b"HTTP/1.1 200 OK\r\nX-Header: ", b"x")

    @classmethod
    def headers(cls) -> Self:
        """Return the fault of headers that do not end."""
        return cls(b"HTTP/1.1 200 OK\r\n", b"X-Header: more\r\n")

    @classmethod
    def interim(cls, status: int) -> Self:
        """Return the fault of interim responses (RFC 9110, 15.2) without a final one."""
        return cls(b"", b"HTTP/1.1 %d Wait\r\n\r\n" % status)

    @classmethod
    def chunk_size(cls) -> Self:
        """Return the fault of a chunk's size that does not end."""
        return cls(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0")

    @classmethod
    def chunk_extension(cls) -> Self:
        """Return the fault of a chunk's extension that does not end."""
        return cls(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x")


@dataclass(frozen=True)
class EndlessTrailers(BodyFault):
    """The body comes in chunks, whole, and is followed by trailers without an end."""

    pause: float = _PAUSE

    def amend(self, exchange: Exchange, response: Response) -> Response:
        del exchange
        return replace(response, chunked=True)

    def stream(self, chunks: Iterator[bytes], exchange: Exchange) -> Iterator[bytes]:
        yield from chunks
        exchange.connection.send(b"0\r\n")
        _for_ever(exchange, b"X-Trailer: more\r\n", self.pause)
