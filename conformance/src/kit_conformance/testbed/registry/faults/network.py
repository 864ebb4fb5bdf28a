"""Bodies and connections that break off, stall, crawl, or are no HTTP at all."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kit_conformance.testbed.registry.faults.base import BodyFault, Exchange, Fault
from kit_conformance.testbed.registry.wire import CHUNK, ConnectionEndError

if TYPE_CHECKING:
    from collections.abc import Iterator


def _first(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        if size <= len(chunk):
            yield chunk[:size]
            return
        size -= len(chunk)
        yield chunk


@dataclass(frozen=True)
class Cut(BodyFault):
    """The connection is closed after so many bytes of a body."""

    after: int = 0

    def stream(self, chunks: Iterator[bytes], exchange: Exchange) -> Iterator[bytes]:
        del exchange
        return _first(chunks, self.after)


@dataclass(frozen=True)
class Reset(BodyFault):
    """The connection is reset (RST) after so many bytes of a body.

    Bytes sent just before an RST may be lost with it, so the client sees at most `after` of them.
    """

    after: int = 0

    def stream(self, chunks: Iterator[bytes], exchange: Exchange) -> Iterator[bytes]:
        yield from _first(chunks, self.after)
        exchange.connection.wait(0.05)  # lets the client read what has been sent
        raise ConnectionEndError("cut", reset=True)


@dataclass(frozen=True)
class Stall(BodyFault):
    """After so many bytes of a body nothing comes until `Registry.release()`, or the client leaves."""

    after: int = 0

    def stream(self, chunks: Iterator[bytes], exchange: Exchange) -> Iterator[bytes]:
        left = self.after
        for chunk in chunks:
            if left <= len(chunk):
                yield chunk[:left]
                exchange.connection.wait(None, until=exchange.release)
                yield chunk[left:]
                yield from chunks
                return
            left -= len(chunk)
            yield chunk


@dataclass(frozen=True)
class Hang(Fault):
    """The request is read and never answered, until `Registry.release()` or until the client leaves."""

    def answer(self, exchange: Exchange) -> None:
        exchange.connection.wait(None, until=exchange.release)


@dataclass(frozen=True)
class Latency(Fault):
    """The first byte of the response comes so many seconds later."""

    seconds: float

    def answer(self, exchange: Exchange) -> None:
        exchange.connection.wait(self.seconds)


@dataclass(frozen=True)
class Bandwidth(BodyFault):
    """A connection carries no more than so many bytes in a second."""

    bytes_per_second: float

    def stream(self, chunks: Iterator[bytes], exchange: Exchange) -> Iterator[bytes]:
        piece = max(1, min(CHUNK, int(self.bytes_per_second / 100)))
        started, sent = time.monotonic(), 0
        for part in _sliced(chunks, piece):
            early = started + sent / self.bytes_per_second - time.monotonic()
            if early > 0:
                exchange.connection.wait(early)
            yield part
            sent += len(part)


@dataclass(frozen=True)
class Slices(BodyFault):
    """The body comes in writes of so many bytes, with so many seconds between two."""

    size: int = 1
    pause: float = 0.0

    def stream(self, chunks: Iterator[bytes], exchange: Exchange) -> Iterator[bytes]:
        for number, part in enumerate(_sliced(chunks, self.size)):
            if number and self.pause:
                exchange.connection.wait(self.pause)
            yield part


def _sliced(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        for at in range(0, len(chunk), size):
            yield chunk[at : at + size]


@dataclass(frozen=True)
class Drop(Fault):
    """The connection is closed, or reset, after the request has been read and before any answer."""

    reset: bool = False

    def answer(self, exchange: Exchange) -> None:
        del exchange
        raise ConnectionEndError("cut", reset=self.reset)


@dataclass(frozen=True)
class Garbage(Fault):
    """Something that is not HTTP comes instead of status line and headers."""

    data: bytes = b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n"

    def head(self, head: bytes) -> bytes:
        del head
        return self.data

    def stream(self, chunks: Iterator[bytes], exchange: Exchange) -> Iterator[bytes]:
        del chunks, exchange
        return iter(())
